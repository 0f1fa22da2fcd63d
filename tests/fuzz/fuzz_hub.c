/*
 * fuzz_hub.c - what a hub says: an entity tag, a listing, and the index of a model's shards, with
 * lines "--" between. Names and sizes that are chosen from it must be such as may go onto the disk.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/pull_parts.h"
#include "fuzz/folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CUT "\n--\n"

static void check_hex(const char *text, size_t n)
{
    assert(!*text || (strlen(text) == n && strspn(text, "0123456789abcdef") == n));
}

static void check_file(const struct pull_file *file)
{
    assert(*file->name && *file->name != '.' && !strchr(file->name, '/'));
    assert(file->total_bytes <= (uint64_t)1 << 50);
    check_hex(file->sha256, 64);
    check_hex(file->blob, 40);
}

static void choose(struct pull *pull, const char *listing, const char *index, size_t index_size)
{
    struct prilora_error err = {0};
    enum prilora_status rc = pull_take_listing(pull, listing, &err);

    if (rc == PRILORA_OK)
        rc = pull_choose(pull, &err);
    fuzz_write("model.safetensors.index.json", index, index_size);
    if (rc == PRILORA_OK)
        rc = pull_choose_shards(pull, fuzz_folder(), &err);
    assert(rc == PRILORA_OK || err.message[0]);
    for (size_t i = 0; i < pull->n_files; i++) {
        check_file(&pull->files[i]);
        assert(pull_find(pull, pull->files[i].name) == &pull->files[i]); /* each once */
    }
    json_decref(pull->siblings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pull_request request = {.model = "a/b", .revision = "main", .endpoint = "http://hub"};
    struct pull_result result = {0};
    struct pull *pull = calloc(1, sizeof *pull); /* too large for a stack */
    char *text = malloc(size + 1), *listing, *index;

    assert(pull && text);
    memcpy(text, data, size);
    text[size] = '\0';
    listing = strstr(text, CUT);
    index = listing ? strstr(listing + 1, CUT) : NULL;
    if (index) {
        struct pull_file file = {.name = "a"};

        *listing = *index = '\0';
        listing += strlen(CUT);
        index += strlen(CUT);
        pull_take_digest(&file, text);
        check_file(&file);
        pull->request = &request;
        pull->result = &result;
        choose(pull, listing, index, size - (size_t)(index - text));
    }
    free(text);
    free(pull);
    return 0;
}
