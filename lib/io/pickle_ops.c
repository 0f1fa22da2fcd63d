/*
 * pickle_ops.c - what each opcode does, and the table of them.
 *
 * Source  Python's pickletools.py describes every opcode; torch/serialization.py is what the
 *         checkpoints come from
 */
#include <string.h>

#include "io/pickle_vm.h"

/* The value on top, which stays there; it must be of this kind. */
static enum prilora_status top_of_kind(struct pl_vm *vm, enum pl_pickle_kind kind, uint32_t *number)
{
    char problem[96];
    enum prilora_status rc = pl_vm_pop(vm, number);

    if (rc != PRILORA_OK)
        return rc;
    vm->n_stack++;
    if (pl_vm_value(vm, *number)->kind == kind)
        return PRILORA_OK;
    snprintf(problem, sizeof problem, "%s cannot be applied to %s", vm->op_name,
             pl_pickle_kind_name(pl_vm_value(vm, *number)->kind));
    return pl_vm_fail(vm, PRILORA_EUNSUPPORTED, problem);
}

/* Takes what stands above the topmost mark, and the mark: stack[*first .. *first + *n), which stays
 * readable until the next push. */
static enum prilora_status pop_to_mark(struct pl_vm *vm, size_t *first, size_t *n)
{
    size_t i = vm->n_stack;

    while (i && vm->stack[i - 1] != PL_VM_MARK)
        i--;
    if (i == 0)
        return pl_vm_fail(vm, PRILORA_EFORMAT, "no mark on the stack");
    *first = i;
    *n = vm->n_stack - i;
    vm->n_stack = i - 1;
    return PRILORA_OK;
}

static uint32_t u32_le(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static enum prilora_status push_int(struct pl_vm *vm, int64_t integer)
{
    return pl_vm_push_new(vm,
                          (struct pl_pickle_value){.kind = PL_PICKLE_INT, .as.integer = integer});
}

static enum prilora_status push_empty(struct pl_vm *vm, enum pl_pickle_kind kind)
{
    return pl_vm_push_new(vm, (struct pl_pickle_value){.kind = kind});
}

/* Takes `length` bytes of code; NULL with the error set if they are not there. */
static const unsigned char *take(struct pl_vm *vm, size_t length)
{
    const unsigned char *bytes = vm->data + vm->at;

    if (length > vm->size - vm->at) {
        pl_vm_fail(vm, PRILORA_EFORMAT, "the pickle ends inside an opcode");
        return NULL;
    }
    vm->at += length;
    return bytes;
}

static enum prilora_status push_text(struct pl_vm *vm, size_t length)
{
    const unsigned char *bytes = take(vm, length);

    if (!bytes)
        return PRILORA_EFORMAT;
    return pl_vm_push_new(vm, (struct pl_pickle_value){.kind = PL_PICKLE_TEXT,
                                                       .as.text = {(const char *)bytes, length}});
}

static enum prilora_status op_proto(struct pl_vm *vm, const unsigned char *arg)
{
    return arg[0] <= 5 ? PRILORA_OK
                       : pl_vm_fail(vm, PRILORA_EFORMAT, "the pickle protocol is above 5");
}

static enum prilora_status op_stop(struct pl_vm *vm, const unsigned char *arg)
{
    enum prilora_status rc = pl_vm_pop(vm, &vm->out->root);

    (void)arg;
    if (rc == PRILORA_OK && vm->n_stack != 0)
        rc = pl_vm_fail(vm, PRILORA_EFORMAT, "more than one value is left on the stack");
    vm->stopped = true;
    return rc;
}

static enum prilora_status op_mark(struct pl_vm *vm, const unsigned char *arg)
{
    (void)arg;
    return pl_vm_push(vm, PL_VM_MARK);
}

static enum prilora_status op_none(struct pl_vm *vm, const unsigned char *arg)
{
    (void)arg;
    return push_empty(vm, PL_PICKLE_NONE);
}

static enum prilora_status op_newtrue(struct pl_vm *vm, const unsigned char *arg)
{
    (void)arg;
    return pl_vm_push_new(vm, (struct pl_pickle_value){.kind = PL_PICKLE_BOOL, .as.integer = 1});
}

static enum prilora_status op_newfalse(struct pl_vm *vm, const unsigned char *arg)
{
    (void)arg;
    return push_empty(vm, PL_PICKLE_BOOL);
}

static enum prilora_status op_binint(struct pl_vm *vm, const unsigned char *arg)
{
    return push_int(vm, (int32_t)u32_le(arg));
}

static enum prilora_status op_binint1(struct pl_vm *vm, const unsigned char *arg)
{
    return push_int(vm, arg[0]);
}

static enum prilora_status op_binint2(struct pl_vm *vm, const unsigned char *arg)
{
    return push_int(vm, arg[0] | arg[1] << 8);
}

/* Two's complement, little endian, of any length; none of ours needs more than eight bytes. */
static enum prilora_status op_long1(struct pl_vm *vm, const unsigned char *arg)
{
    size_t length = arg[0];
    const unsigned char *bytes = take(vm, length);
    uint64_t value;

    if (!bytes)
        return PRILORA_EFORMAT;
    if (length > 8)
        return pl_vm_fail(vm, PRILORA_EUNSUPPORTED, "an integer of more than 64 bits");
    value = length && bytes[length - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = length; i > 0; i--)
        value = value << 8 | bytes[i - 1];
    return push_int(vm, (int64_t)value);
}

static enum prilora_status op_binfloat(struct pl_vm *vm, const unsigned char *arg)
{
    struct pl_pickle_value value = {.kind = PL_PICKLE_FLOAT};
    uint64_t bits = 0;

    for (size_t i = 0; i < 8; i++) /* big endian */
        bits = bits << 8 | arg[i];
    memcpy(&value.as.real, &bits, sizeof bits);
    return pl_vm_push_new(vm, value);
}

static enum prilora_status op_short_binstring(struct pl_vm *vm, const unsigned char *arg)
{
    return push_text(vm, arg[0]);
}

static enum prilora_status op_binstring(struct pl_vm *vm, const unsigned char *arg)
{
    return push_text(vm, u32_le(arg));
}

static enum prilora_status op_empty_tuple(struct pl_vm *vm, const unsigned char *arg)
{
    (void)arg;
    return push_empty(vm, PL_PICKLE_TUPLE);
}

static enum prilora_status op_empty_list(struct pl_vm *vm, const unsigned char *arg)
{
    (void)arg;
    return push_empty(vm, PL_PICKLE_LIST);
}

static enum prilora_status op_empty_dict(struct pl_vm *vm, const unsigned char *arg)
{
    (void)arg;
    return push_empty(vm, PL_PICKLE_DICT);
}

/* A tuple of stack[first .. first + n), which have been popped, in their place. */
static enum prilora_status make_tuple(struct pl_vm *vm, size_t first, size_t n)
{
    enum prilora_status rc;
    uint32_t tuple;

    /* the tuple is made on top of its items, so that the push does not overwrite them */
    vm->n_stack = first + n;
    rc = push_empty(vm, PL_PICKLE_TUPLE);
    if (rc != PRILORA_OK)
        return rc;
    tuple = vm->stack[first + n];
    for (size_t i = first; i < first + n && rc == PRILORA_OK; i++)
        rc = pl_vm_add_item(vm, tuple, 0, vm->stack[i]);
    return rc;
}

static enum prilora_status op_tuple(struct pl_vm *vm, const unsigned char *arg)
{
    size_t first, n;
    enum prilora_status rc = pop_to_mark(vm, &first, &n);

    (void)arg;
    if (rc == PRILORA_OK)
        rc = make_tuple(vm, first, n);
    if (rc != PRILORA_OK)
        return rc;
    vm->stack[first - 1] = vm->stack[first + n];
    vm->n_stack = first;
    return PRILORA_OK;
}

/* TUPLE1, TUPLE2, TUPLE3: opcodes 0x85, 0x86, 0x87 */
static enum prilora_status op_short_tuple(struct pl_vm *vm, const unsigned char *arg)
{
    size_t n = (size_t)(vm->data[vm->op_at] - 0x84), first;
    enum prilora_status rc;
    uint32_t item;

    (void)arg;
    for (size_t i = 0; i < n; i++) {
        rc = pl_vm_pop(vm, &item);
        if (rc != PRILORA_OK)
            return rc;
    }
    first = vm->n_stack;
    rc = make_tuple(vm, first, n);
    if (rc != PRILORA_OK)
        return rc;
    vm->stack[first] = vm->stack[first + n];
    vm->n_stack = first + 1;
    return PRILORA_OK;
}

static enum prilora_status op_append(struct pl_vm *vm, const unsigned char *arg)
{
    uint32_t list, item;
    enum prilora_status rc = pl_vm_pop(vm, &item);

    (void)arg;
    if (rc == PRILORA_OK)
        rc = top_of_kind(vm, PL_PICKLE_LIST, &list);
    return rc == PRILORA_OK ? pl_vm_add_item(vm, list, 0, item) : rc;
}

static enum prilora_status op_appends(struct pl_vm *vm, const unsigned char *arg)
{
    size_t first, n;
    uint32_t list;
    enum prilora_status rc = pop_to_mark(vm, &first, &n);

    (void)arg;
    if (rc == PRILORA_OK)
        rc = top_of_kind(vm, PL_PICKLE_LIST, &list);
    for (size_t i = 0; i < n && rc == PRILORA_OK; i++)
        rc = pl_vm_add_item(vm, list, 0, vm->stack[first + i]);
    return rc;
}

static enum prilora_status op_setitem(struct pl_vm *vm, const unsigned char *arg)
{
    uint32_t dict, key, value;
    enum prilora_status rc = pl_vm_pop(vm, &value);

    (void)arg;
    if (rc == PRILORA_OK)
        rc = pl_vm_pop(vm, &key);
    if (rc == PRILORA_OK)
        rc = top_of_kind(vm, PL_PICKLE_DICT, &dict);
    return rc == PRILORA_OK ? pl_vm_add_item(vm, dict, key, value) : rc;
}

static enum prilora_status op_setitems(struct pl_vm *vm, const unsigned char *arg)
{
    size_t first, n;
    uint32_t dict;
    enum prilora_status rc = pop_to_mark(vm, &first, &n);

    (void)arg;
    if (rc == PRILORA_OK)
        rc = top_of_kind(vm, PL_PICKLE_DICT, &dict);
    if (rc == PRILORA_OK && n % 2 != 0)
        rc = pl_vm_fail(vm, PRILORA_EFORMAT, "a key without a value");
    for (size_t i = 0; i < n && rc == PRILORA_OK; i += 2)
        rc = pl_vm_add_item(vm, dict, vm->stack[first + i], vm->stack[first + i + 1]);
    return rc;
}

static enum prilora_status put_memo(struct pl_vm *vm, size_t place)
{
    uint32_t number;
    enum prilora_status rc;

    if (place >= PL_PICKLE_MAX_MEMO)
        return pl_vm_fail(vm, PRILORA_ELIMIT, "a memo place above 4194303");
    /* they count up, a place for an object, and no object takes less than a byte */
    if (place > vm->op_at)
        return pl_vm_fail(vm, PRILORA_EFORMAT, "a memo place beyond what came before it");
    rc = pl_vm_pop(vm, &number);
    if (rc != PRILORA_OK)
        return rc;
    vm->n_stack++;
    while (vm->n_memo <= place) {
        if (!pl_vm_grow(&vm->memo, &vm->memo_room, vm->n_memo, sizeof *vm->memo))
            return pl_vm_no_memory(vm);
        vm->memo[vm->n_memo++] = 0;
    }
    vm->memo[place] = number;
    return PRILORA_OK;
}

static enum prilora_status get_memo(struct pl_vm *vm, size_t place)
{
    if (place >= vm->n_memo || vm->memo[place] == 0)
        return pl_vm_fail(vm, PRILORA_EFORMAT, "a memo place that holds nothing");
    return pl_vm_push(vm, vm->memo[place]);
}

static enum prilora_status op_binput(struct pl_vm *vm, const unsigned char *arg)
{
    return put_memo(vm, arg[0]);
}

static enum prilora_status op_long_binput(struct pl_vm *vm, const unsigned char *arg)
{
    return put_memo(vm, u32_le(arg));
}

static enum prilora_status op_binget(struct pl_vm *vm, const unsigned char *arg)
{
    return get_memo(vm, arg[0]);
}

static enum prilora_status op_long_binget(struct pl_vm *vm, const unsigned char *arg)
{
    return get_memo(vm, u32_le(arg));
}

/* Takes the code up to the next newline; false with the error set if there is none. */
static bool take_line(struct pl_vm *vm, const char **line, size_t *length)
{
    const unsigned char *end = memchr(vm->data + vm->at, '\n', vm->size - vm->at);

    if (!end) {
        pl_vm_fail(vm, PRILORA_EFORMAT, "the pickle ends inside an opcode");
        return false;
    }
    *line = (const char *)vm->data + vm->at;
    *length = (size_t)(end - vm->data) - vm->at;
    vm->at += *length + 1;
    return true;
}

static enum prilora_status op_global(struct pl_vm *vm, const unsigned char *arg)
{
    const char *module, *name;
    size_t module_length, name_length;

    (void)arg;
    if (!take_line(vm, &module, &module_length) || !take_line(vm, &name, &name_length))
        return PRILORA_EFORMAT;
    return pl_vm_push_global(vm, module, module_length, name, name_length);
}

static enum prilora_status op_binpersid(struct pl_vm *vm, const unsigned char *arg)
{
    uint32_t id;
    enum prilora_status rc = pl_vm_pop(vm, &id);

    (void)arg;
    return rc == PRILORA_OK ? pl_vm_persistent(vm, id) : rc;
}

static enum prilora_status op_reduce(struct pl_vm *vm, const unsigned char *arg)
{
    uint32_t callable, arguments;
    enum prilora_status rc = pl_vm_pop(vm, &arguments);

    (void)arg;
    if (rc == PRILORA_OK)
        rc = pl_vm_pop(vm, &callable);
    return rc == PRILORA_OK ? pl_vm_call(vm, callable, arguments) : rc;
}

/* Sets attributes; those of an OrderedDict (a state dict's _metadata) say nothing about tensors. */
static enum prilora_status op_build(struct pl_vm *vm, const unsigned char *arg)
{
    uint32_t state, object;
    enum prilora_status rc = pl_vm_pop(vm, &state);

    (void)arg;
    return rc == PRILORA_OK ? top_of_kind(vm, PL_PICKLE_DICT, &object) : rc;
}

/* Every opcode by its byte: name, bytes of argument, effect. Those without effect are only known by
 * name. */
static const struct {
    const char *name;
    size_t n_bytes;
    enum prilora_status (*run)(struct pl_vm *vm, const unsigned char *arg);
} opcodes[256] = {
    [0x80] = {"PROTO", 1, op_proto},
    ['.'] = {"STOP", 0, op_stop},
    ['('] = {"MARK", 0, op_mark},
    ['N'] = {"NONE", 0, op_none},
    [0x88] = {"NEWTRUE", 0, op_newtrue},
    [0x89] = {"NEWFALSE", 0, op_newfalse},
    ['J'] = {"BININT", 4, op_binint},
    ['K'] = {"BININT1", 1, op_binint1},
    ['M'] = {"BININT2", 2, op_binint2},
    [0x8a] = {"LONG1", 1, op_long1},
    ['G'] = {"BINFLOAT", 8, op_binfloat},
    ['X'] = {"BINUNICODE", 4, op_binstring},
    ['U'] = {"SHORT_BINSTRING", 1, op_short_binstring},
    ['T'] = {"BINSTRING", 4, op_binstring},
    [')'] = {"EMPTY_TUPLE", 0, op_empty_tuple},
    [']'] = {"EMPTY_LIST", 0, op_empty_list},
    ['}'] = {"EMPTY_DICT", 0, op_empty_dict},
    ['t'] = {"TUPLE", 0, op_tuple},
    [0x85] = {"TUPLE1", 0, op_short_tuple},
    [0x86] = {"TUPLE2", 0, op_short_tuple},
    [0x87] = {"TUPLE3", 0, op_short_tuple},
    ['a'] = {"APPEND", 0, op_append},
    ['e'] = {"APPENDS", 0, op_appends},
    ['s'] = {"SETITEM", 0, op_setitem},
    ['u'] = {"SETITEMS", 0, op_setitems},
    ['q'] = {"BINPUT", 1, op_binput},
    ['r'] = {"LONG_BINPUT", 4, op_long_binput},
    ['h'] = {"BINGET", 1, op_binget},
    ['j'] = {"LONG_BINGET", 4, op_long_binget},
    ['c'] = {"GLOBAL", 0, op_global},
    ['Q'] = {"BINPERSID", 0, op_binpersid},
    ['R'] = {"REDUCE", 0, op_reduce},
    ['b'] = {"BUILD", 0, op_build},

    ['0'] = {"POP", 0, NULL},
    ['1'] = {"POP_MARK", 0, NULL},
    ['2'] = {"DUP", 0, NULL},
    ['F'] = {"FLOAT", 0, NULL},
    ['I'] = {"INT", 0, NULL},
    ['L'] = {"LONG", 0, NULL},
    ['P'] = {"PERSID", 0, NULL},
    ['S'] = {"STRING", 0, NULL},
    ['V'] = {"UNICODE", 0, NULL},
    ['d'] = {"DICT", 0, NULL},
    ['g'] = {"GET", 0, NULL},
    ['i'] = {"INST", 0, NULL},
    ['l'] = {"LIST", 0, NULL},
    ['o'] = {"OBJ", 0, NULL},
    ['p'] = {"PUT", 0, NULL},
    ['B'] = {"BINBYTES", 0, NULL},
    ['C'] = {"SHORT_BINBYTES", 0, NULL},
    [0x81] = {"NEWOBJ", 0, NULL},
    [0x82] = {"EXT1", 0, NULL},
    [0x83] = {"EXT2", 0, NULL},
    [0x84] = {"EXT4", 0, NULL},
    [0x8b] = {"LONG4", 0, NULL},
    [0x8c] = {"SHORT_BINUNICODE", 0, NULL},
    [0x8d] = {"BINUNICODE8", 0, NULL},
    [0x8e] = {"BINBYTES8", 0, NULL},
    [0x8f] = {"EMPTY_SET", 0, NULL},
    [0x90] = {"ADDITEMS", 0, NULL},
    [0x91] = {"FROZENSET", 0, NULL},
    [0x92] = {"NEWOBJ_EX", 0, NULL},
    [0x93] = {"STACK_GLOBAL", 0, NULL},
    [0x94] = {"MEMOIZE", 0, NULL},
    [0x95] = {"FRAME", 0, NULL},
    [0x96] = {"BYTEARRAY8", 0, NULL},
    [0x97] = {"NEXT_BUFFER", 0, NULL},
    [0x98] = {"READONLY_BUFFER", 0, NULL},
};

enum prilora_status pl_vm_step(struct pl_vm *vm)
{
    const unsigned char *arg;
    char problem[64];
    unsigned code;

    vm->op_at = vm->at;
    if (vm->at == vm->size)
        return pl_vm_fail(vm, vm->size == PL_PICKLE_MAX_BYTES ? PRILORA_ELIMIT : PRILORA_EFORMAT,
                          "the pickle has no end here");
    code = vm->data[vm->at++];
    if (!opcodes[code].name) {
        snprintf(problem, sizeof problem, "0x%02x is no opcode", code);
        return pl_vm_fail(vm, PRILORA_EFORMAT, problem);
    }
    if (!opcodes[code].run) {
        snprintf(problem, sizeof problem, "opcode %s is not supported", opcodes[code].name);
        return pl_vm_fail(vm, PRILORA_EUNSUPPORTED, problem);
    }
    vm->op_name = opcodes[code].name;
    arg = take(vm, opcodes[code].n_bytes);
    return arg ? opcodes[code].run(vm, arg) : PRILORA_EFORMAT;
}
