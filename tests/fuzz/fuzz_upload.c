/* fuzz_upload.c - the JSON bodies of requests about uploads, each text as both of them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/upload_decode.h"
#include "api/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct upload upload = {0};
    struct completion_order order = {0};
    struct fault fault = {0};

    if (upload_decode((const char *)data, size, MAX_BYTES, &upload, &fault)) {
        assert(upload.bytes >= 1 && upload.bytes <= MAX_BYTES);
        assert(upload.filename[0] && !strchr(upload.filename, '/'));
        assert(utf8_valid(upload.filename, strlen(upload.filename)) && upload.mime_type[0]);
        assert(strcmp(upload.purpose, "fine-tune") == 0);
    } else {
        assert(fault.status >= 400 && fault.message[0]);
    }
    upload_clear(&upload);
    fault = (struct fault){0};
    if (upload_decode_order((const char *)data, size, &order, &fault))
        assert(order.n_parts >= 1 && order.n_parts <= UPLOAD_MAX_PARTS &&
               (strlen(order.md5) == 0 || strlen(order.md5) == 32));
    else
        assert(fault.status >= 400 && fault.message[0]);
    completion_order_clear(&order);
    return 0;
}
