/* torch.h - a checkpoint on its way into a set of tensors, between the torch*.c files only. */
#ifndef PL_TORCH_H
#define PL_TORCH_H

#include "io/pickle.h"
#include "io/set.h"

/* One array of numbers in the checkpoint, under whatever number of tensors. */
struct pl_torch_slot {
    const char *key; /* not terminated */
    size_t key_length;
    enum pl_dtype dtype;
    size_t n_elements, size;   /* size in bytes */
    const unsigned char *data; /* NULL: not found yet */
};

struct pl_torch {
    struct pl_tensors *set;
    const unsigned char *file;
    size_t file_size;
    const char *path;
    struct pl_pickle pickle;     /* of the state dict */
    struct pl_torch_slot *slots; /* [n_slots], sorted by key */
    size_t n_slots;
    unsigned char *pickled; /* what the pickle points into, if that is not the file; ours */
    size_t copied;          /* bytes of tensors that had to be put in order */
};

/* Fills the slots from the storages of the pickle. */
enum prilora_status pl_torch_make_slots(struct pl_torch *t, struct prilora_error *err);
struct pl_torch_slot *pl_torch_find_slot(const struct pl_torch *t, const char *key, size_t length);

/* The two forms: read the pickle, make the slots and find the data of each. */
bool pl_torch_is_zip(const struct pl_torch *t);
enum prilora_status pl_torch_read_zip(struct pl_torch *t, struct prilora_error *err);
bool pl_torch_is_plain(const struct pl_torch *t);
enum prilora_status pl_torch_read_plain(struct pl_torch *t, struct prilora_error *err);

#endif
