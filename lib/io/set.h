/*
 * set.h - how the readers of lib/io fill a struct pl_tensors. Not for other parts.
 *
 * A reader maps or reads its files, adds every tensor with a pointer into them, and seals the set:
 * from then on it is sorted by name and never changes.
 */
#ifndef PL_SET_H
#define PL_SET_H

#include <stdint.h>

#include "base/file.h"
#include "io/tensors.h"

struct pl_set_entry {
    struct pl_tensor tensor; /* its name is ours */
    size_t file;             /* number that the reader gave to the file it came from */
};

struct pl_tensors {
    struct pl_set_entry *entries;
    size_t n, capacity;
    struct pl_file_map *maps;
    size_t n_maps;
    void **blocks; /* memory that tensors point into, beyond the maps */
    size_t n_blocks;
    size_t mapped, resident; /* bytes */
};

struct pl_tensors *pl_set_new(void); /* NULL: out of memory */

/* Maps a file for as long as the set lives. */
enum prilora_status pl_set_map(struct pl_tensors *set, const char *path, struct pl_file_map *out,
                               struct prilora_error *err);

/* Memory of `size` bytes for as long as the set lives, contents unset; NULL: out of memory. */
void *pl_set_alloc(struct pl_tensors *set, size_t size);

/* Product of dims, and the bytes they take; false if either does not fit a size_t. */
bool pl_tensor_measure(struct pl_tensor *tensor, size_t *bytes);

/* Adds a copy of *tensor, its name copied too. Errors: ENOMEM. */
enum prilora_status pl_set_add(struct pl_tensors *set, const struct pl_tensor *tensor, size_t file,
                               struct prilora_error *err);

/* Sorts by name. Errors: EFORMAT if two tensors have one name; `path` is for the message. */
enum prilora_status pl_set_seal(struct pl_tensors *set, const char *path,
                                struct prilora_error *err);

/* Adds the tensors of a safetensors file at data[0..size), which must outlive the set. */
enum prilora_status pl_set_add_safetensors(struct pl_tensors *set, const unsigned char *data,
                                           size_t size, size_t file, const char *path,
                                           struct prilora_error *err);

/* The same for the file at `path`, mapped for as long as the set lives. */
enum prilora_status pl_set_map_safetensors(struct pl_tensors *set, const char *path, size_t file,
                                           struct prilora_error *err);

/* The same for a PyTorch checkpoint. */
enum prilora_status pl_set_add_torch(struct pl_tensors *set, const unsigned char *data, size_t size,
                                     const char *path, struct prilora_error *err);

/* Eight bytes of a file as a number. */
uint64_t pl_u64_le(const unsigned char bytes[8]);

#endif
