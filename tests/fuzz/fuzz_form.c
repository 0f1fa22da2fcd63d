/*
 * fuzz_form.c - the parts of an upload, cut anywhere, as libmicrohttpd's parser hands them over.
 *
 * Input: pieces of a byte for the part (low bits: which; 0x80: a new one begins), a byte for the
 * size, and that many bytes.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/form.h"
#include "api/utf8.h"
#include "fuzz/folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES 300

static struct store *store;

static void close_store(void)
{
    store_close(store);
}

static void open_store(void)
{
    /* closed before its folder goes: what is registered last is called first */
    if (store_open(&store, fuzz_folder(), NULL) != PRILORA_OK || atexit(close_store) != 0)
        abort();
}

static void check_end(struct form *form)
{
    char sha256[65];
    struct stat st;

    if (form_end(form, sha256)) {
        assert(form->has_file && form->n_bytes > 0 && form->n_bytes <= MAX_BYTES);
        assert(strlen(sha256) == 64);
        assert(stat(form->path, &st) == 0 && (uint64_t)st.st_size == form->n_bytes);
        assert(form->filename[0] && utf8_valid(form->filename, strlen(form->filename)));
    } else {
        assert(form->fault.status >= 400 && form->fault.message[0]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {
        "file", "purpose", "expires_after[anchor]", "expires_after[seconds]", "other", NULL};
    static const struct form_rules rules = {"file", true, true, MAX_BYTES, NULL};
    struct form *form;
    uint64_t offset = 0;
    char filename[16] = "";

    if (!store)
        open_store();
    form = form_new(store, &rules);
    if (!form)
        return 0;
    memcpy(filename, data, size < sizeof filename - 1 ? size : sizeof filename - 1);
    while (size >= 2) {
        size_t n = data[1] <= size - 2 ? data[1] : size - 2;
        struct form_piece piece = {keys[(data[0] & 7) % 6], filename, NULL,
                                   (const char *)data + 2,  0,        n};

        if (data[0] & 0x80)
            offset = 0;
        piece.offset = offset;
        if (!form_take(form, &piece))
            break;
        offset += n;
        data += 2 + n;
        size -= 2 + n;
    }
    check_end(form);
    form_free(form);
    return 0;
}
