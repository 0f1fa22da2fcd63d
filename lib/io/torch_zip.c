/*
 * torch_zip.c - the form in which torch.save writes since version 1.6: a zip archive with one
 * folder of any name, in it data.pkl, data/KEY for each storage, and byteorder in newer ones.
 * torch.save never compresses; entries that are compressed are refused, so that what is read is
 * never more than the file holds.
 */
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "base/memory.h"
#include "io/torch.h"

#define MAX_FOLDER 512 /* bytes of the folder's name */
#define MAX_KEY    128 /* of a storage's; they are decimal numbers */

struct archive {
    struct pl_torch *t;
    zip_t *zip;
    char folder[MAX_FOLDER + 1]; /* with its '/'; may be empty */
    size_t n_read;               /* bytes, of all entries */
};

bool pl_torch_is_zip(const struct pl_torch *t)
{
    return t->file_size >= 4 && memcmp(t->file, "PK\3\4", 4) == 0;
}

/* *out stays NULL on failure. */
static enum prilora_status open_archive(zip_t **out, const struct pl_torch *t,
                                        struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    zip_source_t *source;
    zip_error_t problem;

    zip_error_init(&problem);
    source = zip_source_buffer_create(t->file, t->file_size, 0, &problem);
    *out = source ? zip_open_from_source(source, ZIP_RDONLY, &problem) : NULL;
    if (!*out) {
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: not a readable zip archive: %s", t->path,
                     zip_error_strerror(&problem));
        zip_source_free(source);
    }
    zip_error_fini(&problem);
    return rc;
}

/* As torch.load does: the folder of the first entry is that of all. */
static enum prilora_status find_folder(struct archive *a, struct prilora_error *err)
{
    const char *first = zip_get_name(a->zip, 0, ZIP_FL_ENC_RAW);
    const char *slash = first ? strchr(first, '/') : NULL;
    size_t length = slash ? (size_t)(slash - first) + 1 : 0;

    if (length > MAX_FOLDER)
        return pl_fail(err, PRILORA_ELIMIT, "%s: the archive's folder has a name of %zu bytes",
                       a->t->path, length);
    if (length)
        memcpy(a->folder, first, length);
    a->folder[length] = '\0';
    return PRILORA_OK;
}

/* Index and size of FOLDER/name; ENOENT, without a message, if there is none. */
static enum prilora_status find_entry(const struct archive *a, const char *name,
                                      zip_uint64_t *index, size_t *size, struct prilora_error *err)
{
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    char full[MAX_FOLDER + MAX_KEY + 16];
    zip_int64_t found;
    zip_stat_t st;

    snprintf(full, sizeof full, "%s%s", a->folder, name);
    found = zip_name_locate(a->zip, full, ZIP_FL_ENC_RAW);
    if (found < 0)
        return PRILORA_ENOENT;
    *index = (zip_uint64_t)found;
    if (zip_stat_index(a->zip, *index, 0, &st) != 0 || (st.valid & needed) != needed)
        return pl_fail(err, PRILORA_EFORMAT, "%s: entry '%.200s' has no size", a->t->path, full);
    if (st.comp_method != ZIP_CM_STORE)
        return pl_fail(err, PRILORA_EUNSUPPORTED,
                       "%s: entry '%.200s' is compressed, which torch.save never does", a->t->path,
                       full);
    if (st.size != st.comp_size || st.size > a->t->file_size - a->n_read)
        return pl_fail(err, PRILORA_EFORMAT,
                       "%s: entry '%.200s' is said to have %llu bytes, more than are in the file",
                       a->t->path, full, (unsigned long long)st.size);
    *size = (size_t)st.size;
    return PRILORA_OK;
}

/* Reads the whole entry; its check sum is compared when its end is reached. */
static enum prilora_status read_entry(struct archive *a, const char *name, zip_uint64_t index,
                                      unsigned char *to, size_t size, struct prilora_error *err)
{
    zip_file_t *file = zip_fopen_index(a->zip, index, 0);
    enum prilora_status rc = PRILORA_OK;
    zip_int64_t n = 1;
    size_t got = 0;
    char more;

    if (!file)
        return pl_fail(err, PRILORA_EFORMAT, "%s: entry '%.200s': %s", a->t->path, name,
                       zip_strerror(a->zip));
    while (got < size && (n = zip_fread(file, to + got, size - got)) > 0)
        got += (size_t)n;
    if (got == size)
        n = zip_fread(file, &more, 1);
    if (n < 0)
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: entry '%.200s': %s", a->t->path, name,
                     zip_file_strerror(file));
    else if (n > 0 || got < size)
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: entry '%.200s' does not have its %zu bytes",
                     a->t->path, name, size);
    zip_fclose(file);
    a->n_read += size;
    return rc;
}

/* byteorder: "little", or absent in files from before version 2.1. */
static enum prilora_status check_byte_order(struct archive *a, struct prilora_error *err)
{
    unsigned char text[8] = {0};
    zip_uint64_t index;
    size_t size;
    enum prilora_status rc = find_entry(a, "byteorder", &index, &size, err);

    if (rc == PRILORA_ENOENT)
        return PRILORA_OK;
    if (rc == PRILORA_OK && size < sizeof text)
        rc = read_entry(a, "byteorder", index, text, size, err);
    if (rc == PRILORA_OK && strcmp((const char *)text, "little") != 0)
        rc = pl_fail(err, PRILORA_EUNSUPPORTED, "%s: the byte order is '%s', not little",
                     a->t->path, (const char *)text);
    return rc;
}

static enum prilora_status read_pickle(struct archive *a, struct prilora_error *err)
{
    size_t size, used;
    zip_uint64_t index;
    enum prilora_status rc = find_entry(a, "data.pkl", &index, &size, err);

    if (rc == PRILORA_ENOENT)
        return pl_fail(err, PRILORA_EFORMAT, "%s: the archive has no data.pkl", a->t->path);
    if (rc != PRILORA_OK)
        return rc;
    if (size > PL_PICKLE_MAX_BYTES)
        return pl_fail(err, PRILORA_ELIMIT, "%s: data.pkl has %zu bytes, but at most %zu are read",
                       a->t->path, size, PL_PICKLE_MAX_BYTES);
    a->t->pickled = pl_alloc(size, 1);
    if (!a->t->pickled)
        return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu bytes", a->t->path, size);
    rc = read_entry(a, "data.pkl", index, a->t->pickled, size, err);
    if (rc == PRILORA_OK)
        rc = pl_pickle_read(&a->t->pickle, a->t->pickled, size, &used, a->t->path, err);
    return rc;
}

static enum prilora_status read_slot(struct archive *a, struct pl_torch_slot *slot,
                                     struct prilora_error *err)
{
    char name[MAX_KEY + 8];
    unsigned char *data;
    zip_uint64_t index;
    size_t size = 0;
    enum prilora_status rc;

    if (slot->key_length > MAX_KEY || memchr(slot->key, '\0', slot->key_length))
        return pl_fail(err, PRILORA_EFORMAT, "%s: a storage has a key of %zu bytes", a->t->path,
                       slot->key_length);
    snprintf(name, sizeof name, "data/%.*s", (int)slot->key_length, slot->key);
    rc = find_entry(a, name, &index, &size, err);
    if (rc == PRILORA_ENOENT)
        return pl_fail(err, PRILORA_EFORMAT, "%s: the archive has no entry '%s'", a->t->path, name);
    if (rc != PRILORA_OK)
        return rc;
    if (size != slot->size)
        return pl_fail(err, PRILORA_EFORMAT,
                       "%s: entry '%s' has %zu bytes, but %zu elements of %s take %zu", a->t->path,
                       name, size, slot->n_elements, pl_dtype_name(slot->dtype), slot->size);
    data = pl_set_alloc(a->t->set, size);
    if (!data)
        return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu bytes", a->t->path, size);
    slot->data = data;
    return read_entry(a, name, index, data, size, err);
}

enum prilora_status pl_torch_read_zip(struct pl_torch *t, struct prilora_error *err)
{
    struct archive a = {.t = t};
    enum prilora_status rc = open_archive(&a.zip, t, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = find_folder(&a, err);
    if (rc == PRILORA_OK)
        rc = check_byte_order(&a, err);
    if (rc == PRILORA_OK)
        rc = read_pickle(&a, err);
    if (rc == PRILORA_OK)
        rc = pl_torch_make_slots(t, err);
    for (size_t i = 0; i < t->n_slots && rc == PRILORA_OK; i++)
        rc = read_slot(&a, &t->slots[i], err);
    zip_discard(a.zip);
    return rc;
}
