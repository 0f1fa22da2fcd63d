/* fuzz_labels.c - any bytes as an adapter's labels.json, for both who read it. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "fuzz/folder.h"
#include "train/adapter_labels.h"
#include "train/dataset.h"
#include "train/labels_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fingerprint[] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void check_names(char *const *names, size_t n, size_t size)
{
    assert(n <= PL_MAX_LABELS);
    for (size_t i = 0; i < n; i++)
        assert(names[i] && strlen(names[i]) < size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_labels_file file;
    struct pl_adapter_labels labels;
    struct prilora_error err = {0};

    fuzz_write("labels.json", data, size);
    if (pl_labels_file_read(&file, fuzz_folder(), &err) == PRILORA_OK) {
        assert(file.n >= 1);
        check_names(file.names, file.n, size);
        pl_labels_file_free(&file);
    } else {
        assert(err.message[0] && file.n == 0);
    }
    err = (struct prilora_error){0};
    if (pl_adapter_labels_read(&labels, fuzz_folder(), fingerprint, &err) == PRILORA_OK) {
        check_names(labels.names, labels.n, size);
        assert(labels.doc_stride <= 4096);
        assert(labels.answers.longest >= 1 && labels.answers.longest <= 512);
        assert(!labels.max_length || (labels.max_length >= 8 && labels.max_length <= 4096));
        pl_adapter_labels_free(&labels);
    } else {
        assert(err.message[0] && labels.n == 0);
    }
    return 0;
}
