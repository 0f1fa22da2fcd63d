/* form.c - see form.h: what all forms of an adapter share. */
#include "train/form.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define MAX_CONFIG ((size_t)16 << 20) /* bytes */

/* ---- making ------------------------------------------------------------------------------- */

enum prilora_status pl_form_new(struct prilora_form **out, const struct pl_form_source *source,
                                void *context, struct prilora_error *err)
{
    struct prilora_form *form = pl_calloc(1, sizeof *form);

    *out = form;
    if (!form) {
        source->free(context);
        return pl_fail(err, PRILORA_ENOMEM, "no memory for a form of an adapter");
    }
    form->source = source;
    form->context = context;
    return PRILORA_OK;
}

void prilora_form_close(struct prilora_form *form)
{
    if (!form)
        return;
    for (size_t i = 0; i < form->n_files; i++) {
        free(form->files[i].name);
        free(form->files[i].bytes);
        pl_file_unmap(&form->files[i].map);
    }
    for (size_t i = 0; i < form->n_tensors; i++)
        free((char *)(uintptr_t)form->tensors[i].name);
    free(form->tensors);
    free(form->starts);
    free(form->header);
    form->source->free(form->context);
    free(form);
}

/* An empty file in its place by name. */
static enum prilora_status add(struct prilora_form *form, const char *name,
                               struct pl_form_file **out, struct prilora_error *err)
{
    size_t i = form->n_files;
    char *copy;

    if (i == PL_FORM_MAX_FILES)
        return pl_fail(err, PRILORA_ELIMIT, "%s: more than %d files", name, PL_FORM_MAX_FILES);
    copy = pl_strdup(name);
    if (!copy)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", name);
    for (; i > 0 && strcmp(form->files[i - 1].name, name) > 0; i--)
        form->files[i] = form->files[i - 1];
    form->files[i] = (struct pl_form_file){.name = copy};
    form->n_files++;
    *out = &form->files[i];
    return PRILORA_OK;
}

enum prilora_status pl_form_add_bytes(struct prilora_form *form, const char *name, char *bytes,
                                      struct prilora_error *err)
{
    struct pl_form_file *file;
    enum prilora_status rc = bytes ? add(form, name, &file, err)
                                   : pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", name);

    if (rc != PRILORA_OK) {
        free(bytes);
        return rc;
    }
    file->bytes = bytes;
    file->size = strlen(bytes);
    return PRILORA_OK;
}

enum prilora_status pl_form_add_copy(struct prilora_form *form, const char *folder,
                                     const char *name, struct prilora_error *err)
{
    char *path = pl_file_join(folder, name);
    struct pl_file_map map = {0};
    struct pl_form_file *file;
    enum prilora_status rc = path ? pl_file_map(&map, path, err)
                                  : pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", name);

    if (rc == PRILORA_OK)
        rc = add(form, name, &file, err);
    if (rc == PRILORA_OK) {
        file->map = map;
        file->size = map.size;
    } else {
        pl_file_unmap(&map);
    }
    free(path);
    return rc;
}

enum prilora_status pl_form_add_config(struct prilora_form *form, const char *folder,
                                       const char *name,
                                       char *(*edit)(json_t *config, const void *context),
                                       const void *context, struct prilora_error *err)
{
    char *path = pl_file_join(folder, name), *text = NULL;
    json_t *config = NULL;
    size_t size;
    enum prilora_status rc = path ? pl_file_read(&text, &size, path, MAX_CONFIG, err)
                                  : pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);

    if (rc == PRILORA_OK) {
        config = json_loadb(text, size, 0, NULL);
        rc = json_is_object(config) ? pl_form_add_bytes(form, name, edit(config, context), err)
                                    : pl_fail(err, PRILORA_EFORMAT, "%s: not a JSON object", path);
    }
    json_decref(config);
    free(text);
    free(path);
    return rc;
}

enum prilora_status pl_form_add_tensor(struct prilora_form *form, char *name, size_t rows,
                                       size_t cols, const void *data, struct prilora_error *err)
{
    struct pl_tensor *grown = pl_realloc(form->tensors, form->n_tensors + 1, sizeof *form->tensors);
    struct pl_tensor tensor = {.name = name, .dtype = PL_F32, .n_dims = rows ? 2 : 1, .data = data};

    if (grown)
        form->tensors = grown;
    if (!grown || !name) {
        free(name);
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu tensors", form->n_tensors + 1);
    }
    tensor.dims[0] = rows ? rows : cols;
    tensor.dims[1] = rows ? cols : 0;
    tensor.n_elements = rows ? rows * cols : cols;
    form->tensors[form->n_tensors++] = tensor;
    return PRILORA_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pl_tensor *)a)->name, ((const struct pl_tensor *)b)->name);
}

enum prilora_status pl_form_add_tensors(struct prilora_form *form, const char *name,
                                        struct prilora_error *err)
{
    size_t n = form->n_tensors;
    struct pl_form_file *file;
    enum prilora_status rc;

    qsort(form->tensors, n, sizeof *form->tensors, by_name);
    form->starts = pl_calloc(n + 1, sizeof *form->starts);
    if (!form->starts)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu tensors", n);
    rc =
        pl_safetensors_header(&form->header, &form->header_size, name, form->tensors, n, NULL, err);
    if (rc == PRILORA_OK)
        rc = add(form, name, &file, err);
    if (rc != PRILORA_OK)
        return rc;
    form->starts[0] = form->header_size;
    for (size_t i = 0; i < n; i++)
        form->starts[i + 1] =
            form->starts[i] + (uint64_t)form->tensors[i].n_elements * sizeof(float);
    file->size = form->starts[n];
    return PRILORA_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

size_t prilora_form_count(const struct prilora_form *form)
{
    return form->n_files;
}

const char *prilora_form_name(const struct prilora_form *form, size_t file)
{
    return file < form->n_files ? form->files[file].name : NULL;
}

uint64_t prilora_form_size(const struct prilora_form *form, size_t file)
{
    return file < form->n_files ? form->files[file].size : 0;
}

static size_t least(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

/* The tensor that byte `offset` of the file lies in. */
static size_t find_tensor(const struct prilora_form *form, uint64_t offset)
{
    size_t low = 0, high = form->n_tensors;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (form->starts[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* A piece that lies in one tensor and at most one chunk, which may begin and end within numbers;
 * how many bytes it was. */
static size_t read_piece(struct prilora_form *form, uint64_t offset, char *out, size_t size)
{
    size_t i = find_tensor(form, offset), skip, first, n;
    const uint64_t at = offset - form->starts[i];
    pl_real numbers[PL_FORM_CHUNK];
    float floats[PL_FORM_CHUNK];

    first = (size_t)(at / sizeof *floats);
    skip = (size_t)(at % sizeof *floats);
    n = least(form->tensors[i].n_elements - first, PL_FORM_CHUNK);
    if (size < n * sizeof *floats - skip)
        n = (skip + size + sizeof *floats - 1) / sizeof *floats;
    size = least(n * sizeof *floats - skip, size);
    form->source->read(form->context, &form->tensors[i], numbers, first, n);
    for (size_t k = 0; k < n; k++)
        floats[k] = (float)numbers[k];
    memcpy(out, (const char *)floats + skip, size);
    return size;
}

static void read_tensors(struct prilora_form *form, uint64_t offset, char *out, size_t size)
{
    if (offset < form->header_size) {
        size_t n = least(form->header_size - offset, size);

        memcpy(out, form->header + offset, n);
        offset += n;
        out += n;
        size -= n;
    }
    while (size > 0) {
        size_t n = read_piece(form, offset, out, size);

        offset += n;
        out += n;
        size -= n;
    }
}

enum prilora_status prilora_form_read(struct prilora_form *form, size_t file, uint64_t offset,
                                      void *out, size_t size, struct prilora_error *err)
{
    const struct pl_form_file *f = file < form->n_files ? &form->files[file] : NULL;

    if (!f || offset > f->size || size > f->size - offset)
        return pl_fail(err, PRILORA_EINVAL, "no %zu bytes at %llu in file %zu", size,
                       (unsigned long long)offset, file);
    if (size == 0)
        return PRILORA_OK;
    if (f->bytes)
        memcpy(out, f->bytes + offset, size);
    else if (f->map.data)
        pl_file_fetch(&f->map, out, (size_t)offset, size);
    else
        read_tensors(form, offset, out, size);
    if (!f->bytes && !f->map.data && form->source->check)
        return form->source->check(form->context, err);
    return pl_file_map_check(&f->map, err);
}

enum prilora_status prilora_form_fingerprint(struct prilora_form *form, char fingerprint[65],
                                             struct prilora_error *err)
{
    struct pl_digest digest;
    char bytes[PL_FORM_CHUNK];
    enum prilora_status rc = PRILORA_OK;

    pl_digest_init(&digest);
    pl_digest_add(&digest, form->header, form->header_size);
    form->source->digest(form->context, &digest);
    for (size_t i = 0; rc == PRILORA_OK && i < form->n_files; i++) {
        const struct pl_form_file *f = &form->files[i];
        uint64_t end = f->bytes || f->map.data ? f->size : 0;

        pl_digest_add(&digest, f->name, strlen(f->name) + 1);
        pl_digest_add(&digest, &f->size, sizeof f->size);
        for (uint64_t at = 0; rc == PRILORA_OK && at < end; at += sizeof bytes) {
            size_t n = least(end - at, sizeof bytes);

            rc = prilora_form_read(form, i, at, bytes, n, err);
            pl_digest_add(&digest, bytes, n);
        }
    }
    pl_digest_hex(&digest, fingerprint);
    return rc;
}
