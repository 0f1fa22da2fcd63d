/*
 * tensors.c - the set of named arrays: what is in it, looking it up, reading numbers out of it,
 * and the choice of file in a folder. The formats themselves are safetensors.c and torch.c.
 */
#include "io/tensors.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/set.h"

#define CHUNK 8192 /* bytes that are fetched together */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays are used as they stand in files");

/* ---- dtypes ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [PL_F32] = {"F32", 4}, [PL_F16] = {"F16", 2},   [PL_BF16] = {"BF16", 2}, [PL_F64] = {"F64", 8},
    [PL_I64] = {"I64", 8}, [PL_I32] = {"I32", 4},   [PL_I16] = {"I16", 2},   [PL_I8] = {"I8", 1},
    [PL_U8] = {"U8", 1},   [PL_BOOL] = {"BOOL", 1},
};

size_t pl_dtype_size(enum pl_dtype dtype)
{
    return dtypes[dtype].size;
}

bool pl_dtype_is_floating(enum pl_dtype dtype)
{
    return dtype == PL_F32 || dtype == PL_F16 || dtype == PL_BF16 || dtype == PL_F64;
}

const char *pl_dtype_name(enum pl_dtype dtype)
{
    return dtypes[dtype].name;
}

bool pl_dtype_parse(enum pl_dtype *out, const char *name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            *out = (enum pl_dtype)i;
            return true;
        }
    }
    return false;
}

/* ---- the set ------------------------------------------------------------------------------ */

struct pl_tensors *pl_set_new(void)
{
    struct pl_tensors *set = pl_calloc(1, sizeof *set);

    if (set)
        set->resident = sizeof *set;
    return set;
}

/* Makes room for one more element of `size` bytes in an array of n. */
static bool grow_by_one(struct pl_tensors *set, void *array, size_t n, size_t size)
{
    void **slot = array, *grown = pl_realloc(*slot, n + 1, size);

    if (!grown)
        return false;
    *slot = grown;
    set->resident += size;
    return true;
}

enum prilora_status pl_set_map(struct pl_tensors *set, const char *path, struct pl_file_map *out,
                               struct prilora_error *err)
{
    enum prilora_status rc = pl_file_map(out, path, err);

    if (rc != PRILORA_OK)
        return rc;
    if (!grow_by_one(set, &set->maps, set->n_maps, sizeof *set->maps)) {
        pl_file_unmap(out);
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    }
    set->maps[set->n_maps++] = *out;
    set->mapped += out->size;
    return PRILORA_OK;
}

void *pl_set_alloc(struct pl_tensors *set, size_t size)
{
    void *block = pl_alloc(size, 1);

    if (!block || !grow_by_one(set, &set->blocks, set->n_blocks, sizeof *set->blocks)) {
        free(block);
        return NULL;
    }
    set->blocks[set->n_blocks++] = block;
    set->resident += size;
    return block;
}

bool pl_tensor_measure(struct pl_tensor *tensor, size_t *bytes)
{
    tensor->n_elements = 1;
    for (size_t i = 0; i < tensor->n_dims; i++)
        if (!pl_mul(&tensor->n_elements, tensor->n_elements, tensor->dims[i]))
            return false;
    return pl_mul(bytes, tensor->n_elements, pl_dtype_size(tensor->dtype));
}

enum prilora_status pl_set_add(struct pl_tensors *set, const struct pl_tensor *tensor, size_t file,
                               struct prilora_error *err)
{
    struct pl_set_entry *entry;
    char *name;

    if (set->n == set->capacity) {
        size_t capacity = set->capacity ? 2 * set->capacity : 64;
        void *grown = pl_realloc(set->entries, capacity, sizeof *set->entries);

        if (!grown)
            return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu tensors", capacity);
        set->resident += (capacity - set->capacity) * sizeof *set->entries;
        set->entries = grown;
        set->capacity = capacity;
    }
    name = pl_strdup(tensor->name);
    if (!name)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu tensors", set->n + 1);
    entry = &set->entries[set->n++];
    *entry = (struct pl_set_entry){*tensor, file};
    entry->tensor.name = name;
    set->resident += strlen(name) + 1;
    return PRILORA_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct pl_set_entry *left = a, *right = b;

    return strcmp(left->tensor.name, right->tensor.name);
}

enum prilora_status pl_set_seal(struct pl_tensors *set, const char *path, struct prilora_error *err)
{
    if (set->n)
        qsort(set->entries, set->n, sizeof *set->entries, by_name);
    for (size_t i = 1; i < set->n; i++)
        if (by_name(&set->entries[i - 1], &set->entries[i]) == 0)
            return pl_fail(err, PRILORA_EFORMAT, "%s: two tensors are named '%.200s'", path,
                           set->entries[i].tensor.name);
    return PRILORA_OK;
}

void pl_tensors_close(struct pl_tensors *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->n; i++)
        free((char *)(uintptr_t)set->entries[i].tensor.name);
    for (size_t i = 0; i < set->n_blocks; i++)
        free(set->blocks[i]);
    for (size_t i = 0; i < set->n_maps; i++)
        pl_file_unmap(&set->maps[i]);
    free(set->entries);
    free(set->blocks);
    free(set->maps);
    free(set);
}

size_t pl_tensors_count(const struct pl_tensors *set)
{
    return set->n;
}

const struct pl_tensor *pl_tensors_at(const struct pl_tensors *set, size_t i)
{
    return &set->entries[i].tensor;
}

const struct pl_tensor *pl_tensors_find(const struct pl_tensors *set, const char *name)
{
    struct pl_set_entry key = {.tensor = {.name = name}};
    struct pl_set_entry *found =
        set->n ? bsearch(&key, set->entries, set->n, sizeof *set->entries, by_name) : NULL;

    return found ? &found->tensor : NULL;
}

void pl_tensors_memory(const struct pl_tensors *set, size_t *mapped, size_t *resident)
{
    *mapped = set->mapped;
    *resident = set->resident;
}

/* ---- one tensor --------------------------------------------------------------------------- */

const char *pl_tensor_shape(const struct pl_tensor *tensor, char *text, size_t room)
{
    size_t used = 0;

    assert(room > 0);
    text[0] = '\0';
    for (size_t i = 0; i <= tensor->n_dims && used < room; i++) {
        int n = i < tensor->n_dims
                    ? snprintf(text + used, room - used, "%s%zu", i ? ", " : "[", tensor->dims[i])
                    : snprintf(text + used, room - used, "%s", i ? "]" : "[]");

        used += (size_t)n;
    }
    return text;
}

static pl_real from_half(uint16_t half)
{
    uint32_t exponent = (half >> 10) & 31, fraction = half & 1023, bits;
    float magnitude;

    if (exponent == 0) { /* subnormal: an integer count of 2^-24 */
        magnitude = (float)fraction * 0x1p-24f;
        return half & 0x8000 ? -magnitude : magnitude;
    }
    bits = (uint32_t)(half & 0x8000) << 16 | fraction << 13;
    bits |= (exponent == 31 ? 255 : exponent + 127 - 15) << 23;
    memcpy(&magnitude, &bits, sizeof magnitude);
    return magnitude;
}

static pl_real from_bfloat(uint16_t upper)
{
    uint32_t bits = (uint32_t)upper << 16;
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static void read_f32(pl_real *out, const unsigned char *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float value;

        memcpy(&value, from + i * sizeof value, sizeof value);
        out[i] = value;
    }
}

static void read_f64(pl_real *out, const unsigned char *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value;

        memcpy(&value, from + i * sizeof value, sizeof value);
        out[i] = (pl_real)value;
    }
}

static void read_f16(pl_real *out, const unsigned char *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t value;

        memcpy(&value, from + i * sizeof value, sizeof value);
        out[i] = from_half(value);
    }
}

static void read_bf16(pl_real *out, const unsigned char *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t value;

        memcpy(&value, from + i * sizeof value, sizeof value);
        out[i] = from_bfloat(value);
    }
}

static void (*const readers[])(pl_real *, const unsigned char *, size_t) = {
    [PL_F32] = read_f32, [PL_F16] = read_f16, [PL_BF16] = read_bf16, [PL_F64] = read_f64};

void pl_tensor_read(const struct pl_tensor *tensor, pl_real *out, size_t first, size_t n)
{
    const unsigned char *data = tensor->data;

    assert(pl_dtype_is_floating(tensor->dtype) && first <= tensor->n_elements &&
           n <= tensor->n_elements - first);
    readers[tensor->dtype](out, data + first * pl_dtype_size(tensor->dtype), n);
}

enum prilora_status pl_tensors_check(const struct pl_tensors *set, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; i < set->n_maps && rc == PRILORA_OK; i++)
        rc = pl_file_map_check(&set->maps[i], err);
    return rc;
}

void pl_tensors_fetch(const struct pl_tensors *set, const struct pl_tensor *tensor, void *out,
                      size_t at, size_t size)
{
    const unsigned char *from = (const unsigned char *)tensor->data + at;

    for (size_t i = 0; i < set->n_maps; i++) {
        const struct pl_file_map *map = &set->maps[i];

        if ((uintptr_t)from - (uintptr_t)map->data < map->size) {
            pl_file_fetch(map, out, (size_t)(from - map->data), size);
            return;
        }
    }
    memcpy(out, from, size);
}

void pl_tensors_read(const struct pl_tensors *set, const struct pl_tensor *tensor, pl_real *out,
                     size_t first, size_t n)
{
    const size_t size = pl_dtype_size(tensor->dtype);
    unsigned char bytes[CHUNK];

    assert(tensor->dtype <= PL_F64 && first <= tensor->n_elements &&
           n <= tensor->n_elements - first);
    while (n) {
        const size_t some = n < CHUNK / size ? n : CHUNK / size;

        pl_tensors_fetch(set, tensor, bytes, first * size, some * size);
        readers[tensor->dtype](out, bytes, some);
        out += some;
        first += some;
        n -= some;
    }
}

uint64_t pl_u64_le(const unsigned char bytes[8])
{
    uint64_t value;

    memcpy(&value, bytes, sizeof value);
    return value;
}

/* ---- opening ------------------------------------------------------------------------------ */

enum prilora_status pl_tensors_open_folder(struct pl_tensors **out, const char *folder,
                                           struct prilora_error *err)
{
    static const struct {
        const char *name;
        enum prilora_status (*open)(struct pl_tensors **, const char *, struct prilora_error *);
    } choices[] = {
        {"model.safetensors", pl_tensors_open_safetensors},
        {"model.safetensors.index.json", pl_tensors_open_index},
        {"pytorch_model.bin", pl_tensors_open_torch},
    };

    *out = NULL;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        char *path = pl_file_join(folder, choices[i].name);
        enum prilora_status rc = PRILORA_ENOENT;

        if (!path)
            return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
        /* whatever else is wrong with a file that is there, its opening will tell */
        if (access(path, F_OK) == 0 || errno != ENOENT)
            rc = choices[i].open(out, path, err);
        free(path);
        if (rc != PRILORA_ENOENT)
            return rc;
    }
    return pl_fail(err, PRILORA_ENOENT, "%s: no %s, %s or %s", folder, choices[0].name,
                   choices[1].name, choices[2].name);
}
