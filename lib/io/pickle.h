/*
 * pickle.h - reads the pickles of PyTorch checkpoints into plain values. Nothing is executed.
 *
 * A pickle is a program for a stack machine. Of its opcodes only those that torch.save emits are
 * known here, and of the names it may refer to only storages, the functions that put a tensor on a
 * storage, and OrderedDict; their effect is written out in C. Whatever else occurs is an error that
 * names it. Time and memory are linear in the length of the pickle.
 */
#ifndef PL_PICKLE_H
#define PL_PICKLE_H

#include <stdint.h>

#include "io/tensors.h"

#define PL_PICKLE_MAX_BYTES ((size_t)16 << 20) /* some hundred bytes a tensor are usual */
#define PL_PICKLE_MAX_MEMO  ((size_t)1 << 22)
#define PL_PICKLE_MAX_ITEMS ((size_t)1 << 22) /* in all tuples, lists and dicts together */

enum pl_pickle_kind {
    PL_PICKLE_NONE,
    PL_PICKLE_BOOL,
    PL_PICKLE_INT,
    PL_PICKLE_FLOAT,
    PL_PICKLE_TEXT,
    PL_PICKLE_TUPLE,
    PL_PICKLE_LIST,
    PL_PICKLE_DICT,
    PL_PICKLE_GLOBAL,
    PL_PICKLE_STORAGE,
    PL_PICKLE_TENSOR,
};

struct pl_pickle_value {
    enum pl_pickle_kind kind;
    union {
        int64_t integer; /* and BOOL */
        double real;
        struct { /* TEXT: in the pickle, not terminated */
            const char *bytes;
            size_t length;
        } text;
        struct { /* TUPLE, LIST, DICT: numbers of items, 0 for none */
            uint32_t first, last, n;
        } items;
        size_t index; /* GLOBAL, STORAGE, TENSOR */
    } as;
};

/* One item of a tuple, list or dict. */
struct pl_pickle_item {
    uint32_t key;   /* of a dict: number of a value */
    uint32_t value; /* number of a value */
    uint32_t next;  /* number of an item; 0: it was the last */
};

/* A reference to numbers that stand elsewhere in the checkpoint. */
struct pl_pickle_storage {
    const char *key; /* in the pickle, not terminated */
    size_t key_length;
    enum pl_dtype dtype;
    uint64_t n_elements;
};

/* A view of a storage. Nothing has been compared with the storage's size. */
struct pl_pickle_tensor {
    size_t storage; /* index */
    uint64_t offset;
    size_t n_dims;
    uint64_t dims[PL_TENSOR_MAX_DIMS], strides[PL_TENSOR_MAX_DIMS]; /* in elements */
};

struct pl_pickle {
    struct pl_pickle_value *values; /* [n_values]; number 0 is no value */
    struct pl_pickle_item *items;   /* [n_items]; number 0 is no item */
    struct pl_pickle_storage *storages;
    struct pl_pickle_tensor *tensors;
    size_t n_values, n_items, n_storages, n_tensors;
    size_t values_room, items_room, storages_room, tensors_room;
    uint32_t root;
};

/*
 * pl_pickle_read - runs one pickle from data[0..size), which must outlive the result; *used is its
 * length. On failure *out needs no freeing.
 *
 * Errors  EFORMAT: malformed; EUNSUPPORTED: an opcode or a global outside the lists; ELIMIT; ENOMEM
 */
enum prilora_status pl_pickle_read(struct pl_pickle *out, const unsigned char *data, size_t size,
                                   size_t *used, const char *path, struct prilora_error *err);
void pl_pickle_free(struct pl_pickle *pickle);

/* The value that a dict has under a text key (the last one given), or NULL. */
const struct pl_pickle_value *pl_pickle_get(const struct pl_pickle *pickle,
                                            const struct pl_pickle_value *dict, const char *key);

/* "an integer", "a tensor": for messages. */
const char *pl_pickle_kind_name(enum pl_pickle_kind kind);

#endif
