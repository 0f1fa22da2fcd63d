/* pickle_vm.h - the machine's state, between the pickle*.c files only. */
#ifndef PL_PICKLE_VM_H
#define PL_PICKLE_VM_H

#include <stdio.h>

#include "io/pickle.h"

#define PL_VM_MARK 0 /* on the stack, where all others are numbers of values */

struct pl_vm {
    struct pl_pickle *out;
    const unsigned char *data;
    size_t size, at, op_at; /* op_at: where the running opcode stands */
    const char *op_name;
    uint32_t *stack, *memo; /* numbers of values; memo: 0 where nothing was put */
    size_t n_stack, n_memo, stack_room, memo_room;
    bool stopped;
    const char *path;
    struct prilora_error *err;
};

/* Fails with "PATH: pickle, byte N: problem". */
enum prilora_status pl_vm_fail(struct pl_vm *vm, enum prilora_status status, const char *problem);

enum prilora_status pl_vm_no_memory(struct pl_vm *vm);

/* Room for one more of n elements of `size` bytes in the array that `array` points to. */
bool pl_vm_grow(void *array, size_t *room, size_t n, size_t size);

enum prilora_status pl_vm_push(struct pl_vm *vm, uint32_t number);
enum prilora_status pl_vm_push_new(struct pl_vm *vm, struct pl_pickle_value value);
enum prilora_status pl_vm_pop(struct pl_vm *vm, uint32_t *number); /* never a mark */
const struct pl_pickle_value *pl_vm_value(const struct pl_vm *vm, uint32_t number);
enum prilora_status pl_vm_add_item(struct pl_vm *vm, uint32_t container, uint32_t key,
                                   uint32_t value);

/* Both push the new value. */
enum prilora_status pl_vm_add_storage(struct pl_vm *vm, const struct pl_pickle_storage *storage);
enum prilora_status pl_vm_add_tensor(struct pl_vm *vm, const struct pl_pickle_tensor *tensor);

/* pickle_ops.c: runs the opcode at vm->at. */
enum prilora_status pl_vm_step(struct pl_vm *vm);

/* pickle_globals.c: what GLOBAL, BINPERSID and REDUCE do; all push their result. */
enum prilora_status pl_vm_push_global(struct pl_vm *vm, const char *module, size_t module_length,
                                      const char *name, size_t name_length);
enum prilora_status pl_vm_persistent(struct pl_vm *vm, uint32_t id);
enum prilora_status pl_vm_call(struct pl_vm *vm, uint32_t callable, uint32_t arguments);

#endif
