/* form.c - see form.h. */
#include "api/form.h"

#include <errno.h>
#include <nettle/base16.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/utf8.h"
#include "daemon/files.h"
#include "daemon/log.h"

static const char *const field_names[FORM_N_FIELDS] = {
    [FORM_PURPOSE] = "purpose",
    [FORM_ANCHOR] = "expires_after[anchor]",
    [FORM_SECONDS] = "expires_after[seconds]",
};

struct form *form_new(struct store *store, const struct form_rules *rules)
{
    struct form *form = calloc(1, sizeof *form);

    if (!form)
        return NULL;
    form->store = store;
    form->rules = *rules;
    form->fd = -1;
    sha256_init(&form->hash);
    return form;
}

void form_keep(struct form *form)
{
    free(form->path);
    form->path = NULL;
}

void form_discard(struct form *form)
{
    if (form->fd >= 0)
        close(form->fd);
    form->fd = -1;
    if (form->path)
        unlink(form->path);
    form_keep(form);
}

void form_free(struct form *form)
{
    if (form)
        form_discard(form);
    free(form);
}

const char *form_value(const struct form *form, enum form_field field)
{
    return form->fields[field].given ? form->fields[field].text : NULL;
}

bool form_filename(char out[FORM_MAX_FILENAME + 1], const char *raw, struct fault *fault)
{
    static const struct {
        const char *escape;
        char byte;
    } escapes[] = {{"%22", '"'}, {"%0D", '\r'}, {"%0A", '\n'}};
    const char *slash = strrchr(raw, '/');
    size_t n = 0;

    for (const char *p = slash ? slash + 1 : raw; *p; p++) {
        if (n == FORM_MAX_FILENAME)
            return fault_set(fault, 400, "invalid_filename", "file",
                             "the file's name is longer than %d bytes", FORM_MAX_FILENAME);
        out[n] = *p;
        for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
            if (strncmp(p, escapes[i].escape, 3) == 0) {
                out[n] = escapes[i].byte;
                p += 2;
                break;
            }
        }
        n++;
    }
    out[n] = '\0';
    if (n == 0 || strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
        return fault_set(fault, 400, "invalid_filename", "file", "the file has no name");
    return utf8_valid(out, n) ||
           fault_set(fault, 400, "invalid_filename", "file", "the file's name is not UTF-8");
}

/* ---- short fields ---- */

static bool take_field(struct form *form, size_t i, const struct form_piece *piece)
{
    bool again = piece->offset == 0 && form->fields[i].given;

    if (again || piece->offset != form->fields[i].size)
        return fault_set(&form->fault, 400, "duplicate_parameter", field_names[i],
                         "%s is given twice", field_names[i]);
    if (piece->size > FORM_MAX_VALUE - form->fields[i].size)
        return fault_set(&form->fault, 400, "invalid_value", field_names[i],
                         "%s is longer than %d bytes", field_names[i], FORM_MAX_VALUE);
    if (piece->size > 0 && memchr(piece->data, '\0', piece->size))
        return fault_set(&form->fault, 400, "invalid_value", field_names[i], "%s has a NUL byte",
                         field_names[i]);
    if (piece->size > 0)
        memcpy(form->fields[i].text + form->fields[i].size, piece->data, piece->size);
    form->fields[i].size += piece->size;
    form->fields[i].text[form->fields[i].size] = '\0';
    form->fields[i].given = true;
    return true;
}

/* ---- the file ---- */

static bool fail_full(struct form *form)
{
    const char *name = form->rules.file;

    return fault_set(&form->fault, 507, "disk_full", name,
                     "the server's disk is full: the %s cannot be kept", name);
}

static bool fail_disk(struct form *form, const char *doing)
{
    const char *name = form->rules.file;
    int reason = errno;

    log_error("http", "upload: cannot %s: %s", doing, strerror(reason));
    if (reason == ENOSPC || reason == EDQUOT)
        return fail_full(form);
    return fault_set(&form->fault, 500, "internal_error", name, "the %s cannot be written: %s",
                     name, strerror(reason));
}

static bool begin_file(struct form *form, const struct form_piece *piece)
{
    struct prilora_error err;
    const char *name = form->rules.file;

    if (form->rules.is_named && !piece->filename)
        return fault_set(&form->fault, 400, "invalid_value", name,
                         "%s is a value, but must be a file: its part has no filename", name);
    if (form->rules.is_named && !form_filename(form->filename, piece->filename, &form->fault))
        return false;
    form->has_file = true;
    form->fd = files_spool(form->store, &form->path, &err);
    if (form->fd >= 0)
        return true;
    log_error("http", "upload: %s", err.message);
    if (err.status == PRILORA_ENOSPC)
        return fail_full(form);
    return fault_set(&form->fault, 500, "internal_error", name, "the %s cannot be written", name);
}

static bool take_file(struct form *form, const struct form_piece *piece)
{
    const char *data = piece->data, *setting = form->rules.setting;
    size_t left = piece->size;
    bool again = form->has_file && piece->offset == 0;

    if (!form->has_file && !begin_file(form, piece))
        return false;
    if (again || piece->offset != form->n_bytes)
        return fault_set(&form->fault, 400, "duplicate_parameter", form->rules.file,
                         "%s is given twice", form->rules.file);
    if (left > form->rules.max_bytes - form->n_bytes)
        return fault_set(&form->fault, 413, "file_too_large", form->rules.file,
                         "the %s has more than %llu bytes%s%s%s", form->rules.file,
                         (unsigned long long)form->rules.max_bytes, setting ? " (" : "",
                         setting ? setting : "", setting ? ")" : "");
    sha256_update(&form->hash, left, (const uint8_t *)data);
    form->n_bytes += left;
    while (left > 0) {
        ssize_t n = write(form->fd, data, left);

        if (n < 0 && errno != EINTR)
            return fail_disk(form, "write");
        if (n > 0) {
            data += n;
            left -= (size_t)n;
        }
    }
    return true;
}

/* ---- parts ---- */

bool form_take(struct form *form, const struct form_piece *piece)
{
    static const char *const plain[] = {"binary", "8bit", "7bit"};
    bool is_plain = !piece->encoding;

    if (form->fault.status)
        return false;
    form->n_pieces++;
    for (size_t i = 0; i < sizeof plain / sizeof *plain && !is_plain; i++)
        is_plain = strcasecmp(piece->encoding, plain[i]) == 0;
    if (!is_plain)
        return fault_set(&form->fault, 400, "invalid_form", NULL,
                         "parts cannot be encoded (Content-Transfer-Encoding: %.40s)",
                         piece->encoding);
    if (!piece->key)
        return fault_set(&form->fault, 400, "invalid_form", NULL, "a part of the form has no name");
    if (strcmp(piece->key, form->rules.file) == 0)
        return take_file(form, piece);
    for (size_t i = 0; form->rules.has_fields && i < FORM_N_FIELDS; i++) {
        if (strcmp(piece->key, field_names[i]) == 0)
            return take_field(form, i, piece);
    }
    return fault_set(&form->fault, 400, "unknown_parameter", piece->key,
                     "unknown form field: %.100s", piece->key);
}

bool form_end(struct form *form, char sha256[65])
{
    uint8_t bytes[SHA256_DIGEST_SIZE];

    if (form->fault.status)
        return false;
    if (!form->has_file)
        return fault_set(&form->fault, 400, "missing_required_parameter", form->rules.file,
                         "the form has no %s", form->rules.file);
    if (form->n_bytes == 0)
        return fault_set(&form->fault, 400, "empty_file", form->rules.file, "the %s is empty",
                         form->rules.file);
    if (fsync(form->fd) != 0)
        return fail_disk(form, "sync");
    if (close(form->fd) != 0) {
        form->fd = -1;
        return fail_disk(form, "close");
    }
    form->fd = -1;
    sha256_digest(&form->hash, sizeof bytes, bytes);
    base16_encode_update(sha256, sizeof bytes, bytes);
    sha256[64] = '\0';
    return true;
}
