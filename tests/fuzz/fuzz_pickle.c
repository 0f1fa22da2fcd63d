/* fuzz_pickle.c - any bytes as a pickle; every value that results refers only to what is there. */
#include <stdint.h>
#include <stdlib.h>

#include "io/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void check_text(const char *text, size_t length, const uint8_t *data, size_t size)
{
    const char *begin = (const char *)data;

    check(text >= begin && text <= begin + size && length <= (size_t)(begin + size - text));
}

static void check_value(const struct pl_pickle *p, const struct pl_pickle_value *value,
                        const uint8_t *data, size_t size)
{
    uint32_t n = 0;

    switch (value->kind) {
    case PL_PICKLE_TEXT:
        check_text(value->as.text.bytes, value->as.text.length, data, size);
        break;
    case PL_PICKLE_TUPLE:
    case PL_PICKLE_LIST:
    case PL_PICKLE_DICT:
        for (uint32_t i = value->as.items.first; i; i = p->items[i].next, n++) {
            check(i < p->n_items && p->items[i].value && p->items[i].value < p->n_values);
            check((p->items[i].key != 0) == (value->kind == PL_PICKLE_DICT));
            check(p->items[i].key < p->n_values);
        }
        check(n == value->as.items.n);
        break;
    case PL_PICKLE_STORAGE:
        check(value->as.index < p->n_storages);
        check_text(p->storages[value->as.index].key, p->storages[value->as.index].key_length, data,
                   size);
        break;
    case PL_PICKLE_TENSOR:
        check(value->as.index < p->n_tensors);
        check(p->tensors[value->as.index].storage < p->n_storages);
        check(p->tensors[value->as.index].n_dims <= PL_TENSOR_MAX_DIMS);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prilora_error err;
    struct pl_pickle p;
    size_t used;

    if (pl_pickle_read(&p, data, size, &used, "input", &err) != PRILORA_OK)
        return 0;
    check(used > 0 && used <= size);
    check(p.root > 0 && p.root < p.n_values);
    for (size_t i = 1; i < p.n_values; i++)
        check_value(&p, &p.values[i], data, size);
    pl_pickle_get(&p, &p.values[p.root], "little_endian");
    pl_pickle_free(&p);
    return 0;
}
