/* fuzz_shards.c - any bytes as the index of a checkpoint of two small files; what opens is read to
 * the last number. */
#include <stdint.h>
#include <string.h>

#include "fuzz/folder.h"
#include "fuzz/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INDEX "model.safetensors.index.json"

/* One number under this name. */
static void write_shard(const char *file, const char *tensor)
{
    char bytes[200] = {0};
    int n = snprintf(bytes + 8, sizeof bytes - 8,
                     "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);

    bytes[0] = (char)n;
    fuzz_write(file, bytes, 8 + (size_t)n + 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[400];
    struct prilora_error err;
    struct pl_tensors *set;

    if (!*path) {
        write_shard("a.safetensors", "one");
        write_shard("b.safetensors", "two");
        snprintf(path, sizeof path, "%s/" INDEX, fuzz_folder());
    }
    fuzz_write(INDEX, data, size);
    if (pl_tensors_open_index(&set, path, &err) == PRILORA_OK)
        read_set(set);
    return 0;
}
