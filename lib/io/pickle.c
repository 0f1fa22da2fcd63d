/*
 * pickle.c - runs a pickle, and looks things up in the result. What the opcodes do is pickle_ops.c,
 * what the allowed globals do pickle_globals.c.
 */
#include "io/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/pickle_vm.h"

/* ---- growing ------------------------------------------------------------------------------ */

enum prilora_status pl_vm_fail(struct pl_vm *vm, enum prilora_status status, const char *problem)
{
    return pl_fail(vm->err, status, "%s: pickle, byte %zu: %s", vm->path, vm->op_at, problem);
}

bool pl_vm_grow(void *array, size_t *room, size_t n, size_t size)
{
    void **slot = array, *grown;
    size_t wanted = *room ? 2 * *room : 64;

    if (n < *room)
        return true;
    grown = pl_realloc(*slot, wanted, size);
    if (!grown)
        return false;
    *slot = grown;
    *room = wanted;
    return true;
}

enum prilora_status pl_vm_no_memory(struct pl_vm *vm)
{
    return pl_vm_fail(vm, PRILORA_ENOMEM, "out of memory");
}

enum prilora_status pl_vm_push(struct pl_vm *vm, uint32_t number)
{
    if (!pl_vm_grow(&vm->stack, &vm->stack_room, vm->n_stack, sizeof *vm->stack))
        return pl_vm_no_memory(vm);
    vm->stack[vm->n_stack++] = number;
    return PRILORA_OK;
}

/* The pickle's length bounds how many values there can be, far below 2^32. */
enum prilora_status pl_vm_push_new(struct pl_vm *vm, struct pl_pickle_value value)
{
    struct pl_pickle *p = vm->out;

    if (!pl_vm_grow(&p->values, &p->values_room, p->n_values, sizeof *p->values))
        return pl_vm_no_memory(vm);
    p->values[p->n_values] = value;
    return pl_vm_push(vm, (uint32_t)p->n_values++);
}

enum prilora_status pl_vm_add_item(struct pl_vm *vm, uint32_t container, uint32_t key,
                                   uint32_t value)
{
    struct pl_pickle *p = vm->out;
    struct pl_pickle_value *to;
    uint32_t number = (uint32_t)p->n_items;

    if (p->n_items == PL_PICKLE_MAX_ITEMS)
        return pl_vm_fail(vm, PRILORA_ELIMIT, "more than 4194304 items");
    if (!pl_vm_grow(&p->items, &p->items_room, p->n_items, sizeof *p->items))
        return pl_vm_no_memory(vm);
    p->items[p->n_items++] = (struct pl_pickle_item){key, value, 0};
    to = &p->values[container];
    if (to->as.items.last)
        p->items[to->as.items.last].next = number;
    else
        to->as.items.first = number;
    to->as.items.last = number;
    to->as.items.n++;
    return PRILORA_OK;
}

enum prilora_status pl_vm_add_storage(struct pl_vm *vm, const struct pl_pickle_storage *storage)
{
    struct pl_pickle *p = vm->out;

    if (!pl_vm_grow(&p->storages, &p->storages_room, p->n_storages, sizeof *p->storages))
        return pl_vm_no_memory(vm);
    p->storages[p->n_storages] = *storage;
    return pl_vm_push_new(vm, (struct pl_pickle_value){.kind = PL_PICKLE_STORAGE,
                                                       .as.index = p->n_storages++});
}

enum prilora_status pl_vm_add_tensor(struct pl_vm *vm, const struct pl_pickle_tensor *tensor)
{
    struct pl_pickle *p = vm->out;

    if (!pl_vm_grow(&p->tensors, &p->tensors_room, p->n_tensors, sizeof *p->tensors))
        return pl_vm_no_memory(vm);
    p->tensors[p->n_tensors] = *tensor;
    return pl_vm_push_new(vm, (struct pl_pickle_value){.kind = PL_PICKLE_TENSOR,
                                                       .as.index = p->n_tensors++});
}

/* ---- the stack ---------------------------------------------------------------------------- */

const struct pl_pickle_value *pl_vm_value(const struct pl_vm *vm, uint32_t number)
{
    return &vm->out->values[number];
}

enum prilora_status pl_vm_pop(struct pl_vm *vm, uint32_t *number)
{
    if (vm->n_stack == 0 || vm->stack[vm->n_stack - 1] == PL_VM_MARK)
        return pl_vm_fail(vm, PRILORA_EFORMAT, "the stack is empty");
    *number = vm->stack[--vm->n_stack];
    return PRILORA_OK;
}

/* ---- the whole ---------------------------------------------------------------------------- */

enum prilora_status pl_pickle_read(struct pl_pickle *out, const unsigned char *data, size_t size,
                                   size_t *used, const char *path, struct prilora_error *err)
{
    struct pl_vm vm = {.out = out,
                       .data = data,
                       .size = size < PL_PICKLE_MAX_BYTES ? size : PL_PICKLE_MAX_BYTES,
                       .path = path,
                       .err = err};
    enum prilora_status rc = PRILORA_OK;

    *out = (struct pl_pickle){.n_values = 1, .n_items = 1};
    *used = 0;
    while (rc == PRILORA_OK && !vm.stopped)
        rc = pl_vm_step(&vm);
    free(vm.stack);
    free(vm.memo);
    if (rc == PRILORA_OK)
        *used = vm.at;
    else
        pl_pickle_free(out);
    return rc;
}

void pl_pickle_free(struct pl_pickle *pickle)
{
    free(pickle->values);
    free(pickle->items);
    free(pickle->storages);
    free(pickle->tensors);
    *pickle = (struct pl_pickle){0};
}

const struct pl_pickle_value *pl_pickle_get(const struct pl_pickle *pickle,
                                            const struct pl_pickle_value *dict, const char *key)
{
    const struct pl_pickle_value *found = NULL;
    size_t length = strlen(key);

    if (dict->kind != PL_PICKLE_DICT)
        return NULL;
    for (uint32_t i = dict->as.items.first; i; i = pickle->items[i].next) {
        const struct pl_pickle_value *name = &pickle->values[pickle->items[i].key];

        if (name->kind == PL_PICKLE_TEXT && name->as.text.length == length &&
            memcmp(name->as.text.bytes, key, length) == 0)
            found = &pickle->values[pickle->items[i].value];
    }
    return found;
}

const char *pl_pickle_kind_name(enum pl_pickle_kind kind)
{
    static const char *const names[] = {
        [PL_PICKLE_NONE] = "None",       [PL_PICKLE_BOOL] = "a truth value",
        [PL_PICKLE_INT] = "an integer",  [PL_PICKLE_FLOAT] = "a float",
        [PL_PICKLE_TEXT] = "a string",   [PL_PICKLE_TUPLE] = "a tuple",
        [PL_PICKLE_LIST] = "a list",     [PL_PICKLE_DICT] = "a dict",
        [PL_PICKLE_GLOBAL] = "a global", [PL_PICKLE_STORAGE] = "a storage",
        [PL_PICKLE_TENSOR] = "a tensor",
    };

    return names[kind];
}
