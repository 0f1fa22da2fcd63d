/*
 * pickle_globals.c - the closed list of names that a checkpoint's pickle may use, and what calling
 * them does: put a view on a storage, make an OrderedDict. See torch/_utils.py for the originals.
 */
#include <string.h>

#include "io/pickle_vm.h"

struct global {
    const char *module, *name;
    enum pl_dtype dtype; /* of a storage: when `call` is NULL */
    enum prilora_status (*call)(struct pl_vm *vm, const uint32_t *args, size_t n);
};

#define MAX_ARGUMENTS 8

/* The first `room` items of a tuple or list; how many it has in all. */
static size_t unpack(const struct pl_vm *vm, uint32_t number, uint32_t *items, size_t room)
{
    const struct pl_pickle_value *value = pl_vm_value(vm, number);
    uint32_t at = value->as.items.first;

    for (size_t i = 0; i < room && at; i++) {
        items[i] = vm->out->items[at].value;
        at = vm->out->items[at].next;
    }
    return value->as.items.n;
}

static bool is_kind(const struct pl_vm *vm, uint32_t number, enum pl_pickle_kind kind)
{
    return pl_vm_value(vm, number)->kind == kind;
}

/* A non-negative integer. */
static bool count_of(const struct pl_vm *vm, uint32_t number, uint64_t *out)
{
    const struct pl_pickle_value *value = pl_vm_value(vm, number);

    if (value->kind != PL_PICKLE_INT || value->as.integer < 0)
        return false;
    *out = (uint64_t)value->as.integer;
    return true;
}

/* A tuple of n counts, n at most PL_TENSOR_MAX_DIMS. */
static enum prilora_status counts_of(struct pl_vm *vm, uint32_t number, uint64_t *counts, size_t *n)
{
    uint32_t items[PL_TENSOR_MAX_DIMS];

    if (!is_kind(vm, number, PL_PICKLE_TUPLE))
        return pl_vm_fail(vm, PRILORA_EFORMAT, "the size or stride of a tensor is not a tuple");
    *n = unpack(vm, number, items, PL_TENSOR_MAX_DIMS);
    if (*n > PL_TENSOR_MAX_DIMS)
        return pl_vm_fail(vm, PRILORA_ELIMIT, "a tensor has more than 8 dimensions");
    for (size_t i = 0; i < *n; i++)
        if (!count_of(vm, items[i], &counts[i]))
            return pl_vm_fail(vm, PRILORA_EFORMAT, "a size or stride of a tensor is not a count");
    return PRILORA_OK;
}

/* _rebuild_tensor(storage, offset, size, stride), _rebuild_tensor_v2(the same, ...) */
static enum prilora_status rebuild_tensor(struct pl_vm *vm, const uint32_t *args, size_t n)
{
    struct pl_pickle_tensor tensor = {0};
    enum prilora_status rc;
    size_t n_strides;

    if (n < 4 || !is_kind(vm, args[0], PL_PICKLE_STORAGE) || !count_of(vm, args[1], &tensor.offset))
        return pl_vm_fail(vm, PRILORA_EFORMAT, "a tensor without storage, offset, size and stride");
    tensor.storage = pl_vm_value(vm, args[0])->as.index;
    rc = counts_of(vm, args[2], tensor.dims, &tensor.n_dims);
    if (rc == PRILORA_OK)
        rc = counts_of(vm, args[3], tensor.strides, &n_strides);
    if (rc == PRILORA_OK && n_strides != tensor.n_dims)
        rc = pl_vm_fail(vm, PRILORA_EFORMAT, "a tensor with more or fewer strides than dimensions");
    return rc == PRILORA_OK ? pl_vm_add_tensor(vm, &tensor) : rc;
}

/* _rebuild_parameter(tensor, requires_grad, hooks) */
static enum prilora_status rebuild_parameter(struct pl_vm *vm, const uint32_t *args, size_t n)
{
    if (n < 1 || !is_kind(vm, args[0], PL_PICKLE_TENSOR))
        return pl_vm_fail(vm, PRILORA_EFORMAT, "a parameter without a tensor");
    return pl_vm_push(vm, args[0]);
}

/* torch.Size((d, ...)) */
static enum prilora_status make_size(struct pl_vm *vm, const uint32_t *args, size_t n)
{
    if (n != 1 || !is_kind(vm, args[0], PL_PICKLE_TUPLE))
        return pl_vm_fail(vm, PRILORA_EFORMAT, "a torch.Size that is not made from a tuple");
    return pl_vm_push(vm, args[0]);
}

/* OrderedDict(), or as Python 2 wrote it: OrderedDict([[key, value], ...]) */
static enum prilora_status make_dict(struct pl_vm *vm, const uint32_t *args, size_t n)
{
    enum prilora_status rc = pl_vm_push_new(vm, (struct pl_pickle_value){.kind = PL_PICKLE_DICT});
    uint32_t dict, pair[2];

    if (rc != PRILORA_OK || n == 0)
        return rc;
    dict = vm->stack[vm->n_stack - 1];
    if (n > 1 || !is_kind(vm, args[0], PL_PICKLE_LIST))
        return pl_vm_fail(vm, PRILORA_EFORMAT, "an OrderedDict that is not made from a list");
    for (uint32_t at = pl_vm_value(vm, args[0])->as.items.first; at && rc == PRILORA_OK;
         at = vm->out->items[at].next) {
        uint32_t item = vm->out->items[at].value;

        if ((!is_kind(vm, item, PL_PICKLE_LIST) && !is_kind(vm, item, PL_PICKLE_TUPLE)) ||
            unpack(vm, item, pair, 2) != 2)
            return pl_vm_fail(vm, PRILORA_EFORMAT, "an OrderedDict made from something but pairs");
        rc = pl_vm_add_item(vm, dict, pair[0], pair[1]);
    }
    return rc;
}

static const struct global globals[] = {
    {"collections", "OrderedDict", 0, make_dict},
    {"torch", "Size", 0, make_size},
    {"torch._utils", "_rebuild_tensor_v2", 0, rebuild_tensor},
    {"torch._utils", "_rebuild_tensor", 0, rebuild_tensor},
    {"torch._utils", "_rebuild_parameter", 0, rebuild_parameter},
    {"torch", "FloatStorage", PL_F32, NULL},
    {"torch", "HalfStorage", PL_F16, NULL},
    {"torch", "BFloat16Storage", PL_BF16, NULL},
    {"torch", "DoubleStorage", PL_F64, NULL},
    {"torch", "LongStorage", PL_I64, NULL},
    {"torch", "IntStorage", PL_I32, NULL},
    {"torch", "ShortStorage", PL_I16, NULL},
    {"torch", "CharStorage", PL_I8, NULL},
    {"torch", "ByteStorage", PL_U8, NULL},
    {"torch", "BoolStorage", PL_BOOL, NULL},
};

static bool equals(const char *name, const char *bytes, size_t length)
{
    return strlen(name) == length && memcmp(name, bytes, length) == 0;
}

enum prilora_status pl_vm_push_global(struct pl_vm *vm, const char *module, size_t module_length,
                                      const char *name, size_t name_length)
{
    char problem[256];

    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        if (equals(globals[i].module, module, module_length) &&
            equals(globals[i].name, name, name_length))
            return pl_vm_push_new(vm, (struct pl_pickle_value){.kind = PL_PICKLE_GLOBAL,
                                                               .as.index = i});
    snprintf(problem, sizeof problem, "the global '%.*s.%.*s' is not one that a checkpoint needs",
             module_length > 80 ? 80 : (int)module_length, module,
             name_length > 80 ? 80 : (int)name_length, name);
    return pl_vm_fail(vm, PRILORA_EUNSUPPORTED, problem);
}

/* ("storage", type, key, location, n_elements[, view]); only the older form has the last. */
enum prilora_status pl_vm_persistent(struct pl_vm *vm, uint32_t id)
{
    struct pl_pickle_storage storage;
    const struct pl_pickle_value *what, *type, *key;
    uint32_t items[6];
    size_t n;

    if (!is_kind(vm, id, PL_PICKLE_TUPLE) || (n = unpack(vm, id, items, 6)) < 2)
        return pl_vm_fail(vm, PRILORA_EFORMAT, "a persistent id that is not a tuple");
    what = pl_vm_value(vm, items[0]);
    if (what->kind != PL_PICKLE_TEXT ||
        !equals("storage", what->as.text.bytes, what->as.text.length))
        return pl_vm_fail(vm, PRILORA_EUNSUPPORTED, "a persistent id that is not a storage's");
    if (n != 5 && n != 6)
        return pl_vm_fail(vm, PRILORA_EFORMAT, "a storage is not described by 5 or 6 values");
    type = pl_vm_value(vm, items[1]);
    key = pl_vm_value(vm, items[2]);
    if (type->kind != PL_PICKLE_GLOBAL || globals[type->as.index].call ||
        key->kind != PL_PICKLE_TEXT || !count_of(vm, items[4], &storage.n_elements))
        return pl_vm_fail(vm, PRILORA_EFORMAT, "a storage without type, key and size");
    if (n == 6 && !is_kind(vm, items[5], PL_PICKLE_NONE))
        return pl_vm_fail(vm, PRILORA_EUNSUPPORTED, "a storage that is a view of another");
    storage.dtype = globals[type->as.index].dtype;
    storage.key = key->as.text.bytes;
    storage.key_length = key->as.text.length;
    return pl_vm_add_storage(vm, &storage);
}

enum prilora_status pl_vm_call(struct pl_vm *vm, uint32_t callable, uint32_t arguments)
{
    const struct pl_pickle_value *value = pl_vm_value(vm, callable);
    uint32_t args[MAX_ARGUMENTS];
    size_t n;

    if (value->kind != PL_PICKLE_GLOBAL || !globals[value->as.index].call)
        return pl_vm_fail(vm, PRILORA_EUNSUPPORTED, "a call of something that is not a function");
    if (!is_kind(vm, arguments, PL_PICKLE_TUPLE) ||
        (n = unpack(vm, arguments, args, MAX_ARGUMENTS)) > MAX_ARGUMENTS)
        return pl_vm_fail(vm, PRILORA_EFORMAT, "a call whose arguments are not a short tuple");
    return globals[value->as.index].call(vm, args, n);
}
