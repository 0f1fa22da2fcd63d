/*
 * tensors.h - named arrays in files: safetensors (one file or sharded), PyTorch checkpoints
 * (the zip form and the older plain form).
 *
 * Every number in the files is hostile: header lengths, offsets, shapes and pickles are checked
 * before use; element count times element size must equal the byte span; spans may not overlap.
 * Pickles are read by a closed list of opcodes and names; nothing is executed.
 */
#ifndef PL_TENSORS_H
#define PL_TENSORS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/real.h"

enum pl_dtype { PL_F32, PL_F16, PL_BF16, PL_F64, PL_I64, PL_I32, PL_I16, PL_I8, PL_U8, PL_BOOL };

#define PL_TENSOR_MAX_DIMS    8
#define PL_TENSORS_MAX_HEADER ((size_t)100000000) /* bytes of JSON; the format's own limit */

struct pl_tensor {
    const char *name;
    enum pl_dtype dtype;
    size_t n_dims, dims[PL_TENSOR_MAX_DIMS];
    size_t n_elements; /* product of dims; 1 for a scalar */
    const void *data;  /* row-major, little endian; may be unaligned */
};

struct pl_tensors;

size_t pl_dtype_size(enum pl_dtype dtype);
bool pl_dtype_is_floating(enum pl_dtype dtype); /* what pl_tensor_read takes */
const char *pl_dtype_name(enum pl_dtype dtype); /* "F32", ... */
bool pl_dtype_parse(enum pl_dtype *out, const char *name);

enum prilora_status pl_tensors_open_safetensors(struct pl_tensors **out, const char *path,
                                                struct prilora_error *err);
/* index.json: {"weight_map": {name: file}}; the files stand in the same folder. */
enum prilora_status pl_tensors_open_index(struct pl_tensors **out, const char *path,
                                          struct prilora_error *err);
enum prilora_status pl_tensors_open_torch(struct pl_tensors **out, const char *path,
                                          struct prilora_error *err);
/* model.safetensors, model.safetensors.index.json or pytorch_model.bin, the first that exists. */
enum prilora_status pl_tensors_open_folder(struct pl_tensors **out, const char *folder,
                                           struct prilora_error *err);
/* The same from data[0..size), which must outlive the set; `path` is only for messages. */
enum prilora_status pl_tensors_parse_safetensors(struct pl_tensors **out, const void *data,
                                                 size_t size, const char *path,
                                                 struct prilora_error *err);
enum prilora_status pl_tensors_parse_torch(struct pl_tensors **out, const void *data, size_t size,
                                           const char *path, struct prilora_error *err);
void pl_tensors_close(struct pl_tensors *tensors);

/* Whether the files are as they were when they were mapped: see pl_file_map_check. */
enum prilora_status pl_tensors_check(const struct pl_tensors *tensors, struct prilora_error *err);

size_t pl_tensors_count(const struct pl_tensors *tensors);
const struct pl_tensor *pl_tensors_at(const struct pl_tensors *tensors, size_t i); /* by name */
const struct pl_tensor *pl_tensors_find(const struct pl_tensors *tensors, const char *name);
/* Bytes of file maps, and bytes of memory held beyond them. */
void pl_tensors_memory(const struct pl_tensors *tensors, size_t *mapped, size_t *resident);

/* "[768, 3072]" for messages; returns `text`. */
const char *pl_tensor_shape(const struct pl_tensor *tensor, char *text, size_t room);

/* n elements from element `first` on, widened or rounded to pl_real. Floating dtypes only (assert).
 */
void pl_tensor_read(const struct pl_tensor *tensor, pl_real *out, size_t first, size_t n);

/* The same without making a file map's pages resident: for what is read once or seldom. */
void pl_tensors_read(const struct pl_tensors *tensors, const struct pl_tensor *tensor, pl_real *out,
                     size_t first, size_t n);
/* `size` bytes of the tensor as they stand in the file, from byte `at` on; likewise. */
void pl_tensors_fetch(const struct pl_tensors *tensors, const struct pl_tensor *tensor, void *out,
                      size_t at, size_t size);

/*
 * pl_safetensors_header - what stands before the numbers of pl_safetensors_write's file: length,
 * JSON and padding, malloc'ed. `path` is for messages; nothing is written.
 */
enum prilora_status pl_safetensors_header(char **out, size_t *size, const char *path,
                                          const struct pl_tensor *tensors, size_t n,
                                          const char *metadata, struct prilora_error *err);

/*
 * pl_safetensors_write - `tensors` into one file, in the order given and without gaps (the format
 * allows none), the first at an 8-byte boundary of the file, with {"format": "pt"} and `metadata`
 * (a JSON object of strings as text, or NULL) as metadata. Written atomically.
 *
 * Errors  EINVAL for a name that is not UTF-8 or comes twice and for bad metadata; those of
 *         pl_file_replace
 */
enum prilora_status pl_safetensors_write(const char *path, const struct pl_tensor *tensors,
                                         size_t n, const char *metadata, struct prilora_error *err);

#endif
