/*
 * uniform.c - an adapter with one rank and one scale for all its maps.
 *
 * A's further rows and B's further columns are zero. Where the maps' scales differ, each goes into
 * its B and the common one is 1 (alpha = rank); where they agree, no number of B changes. It works
 * on the file alone: no base is needed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adapter/ranks.h"
#include "base/json.h"
#include "base/memory.h"
#include "train/form.h"
#include "train/import.h"

#define PREFIX "base_model.model."
#define END_A  ".lora_A.weight"
#define END_B  ".lora_B.weight"

enum kind { WHOLE, LORA_A, LORA_B };

struct source {
    const struct pl_tensor *tensor;
    enum kind kind;
    size_t rank; /* its own; of A and B */
    double scale;
};

struct uniform {
    struct pl_import in;
    struct source *sources; /* [n] */
    size_t n, rank;         /* the largest */
    double scale;           /* of all maps */
};

static void uniform_free(void *context)
{
    struct uniform *u = context;

    if (!u)
        return;
    pl_import_close(&u->in);
    free(u->sources);
    free(u);
}

/* ---- numbers ------------------------------------------------------------------------------ */

/* Columns from `column` on of a row of the padded B. */
static void read_b_row(const struct uniform *u, const struct source *s, pl_real *out, size_t row,
                       size_t column, size_t n)
{
    size_t some = column < s->rank ? s->rank - column : 0;

    some = some < n ? some : n;
    memset(out, 0, n * sizeof *out);
    if (some)
        pl_tensors_read(u->in.tensors, s->tensor, out, row * s->rank + column, some);
    for (size_t k = 0; k < some && s->scale != u->scale; k++)
        out[k] = (pl_real)((double)out[k] * (s->scale / u->scale));
}

static void read_b(const struct uniform *u, const struct source *s, pl_real *out, size_t first,
                   size_t n)
{
    while (n > 0) {
        size_t column = first % u->rank, some = u->rank - column < n ? u->rank - column : n;

        read_b_row(u, s, out, first / u->rank, column, some);
        out += some;
        first += some;
        n -= some;
    }
}

/* The rows that there are come first, the others are zero. */
static void read_from_start(const struct uniform *u, const struct source *s, pl_real *out,
                            size_t first, size_t n)
{
    size_t there = s->tensor->n_elements, some = first < there ? there - first : 0;

    some = some < n ? some : n;
    if (some)
        pl_tensors_read(u->in.tensors, s->tensor, out, first, some);
    memset(out + some, 0, (n - some) * sizeof *out);
}

static void uniform_read(void *context, const struct pl_tensor *tensor, pl_real *out, size_t first,
                         size_t n)
{
    const struct source *s = tensor->data;

    if (s->kind == LORA_B)
        read_b(context, s, out, first, n);
    else
        read_from_start(context, s, out, first, n);
}

static void uniform_digest(void *context, struct pl_digest *digest)
{
    const struct uniform *u = context;
    unsigned char bytes[PL_FORM_CHUNK];

    pl_digest_add(digest, &u->scale, sizeof u->scale);
    for (size_t i = 0; i < u->n; i++) {
        const struct pl_tensor *t = u->sources[i].tensor;
        size_t size = t->n_elements * pl_dtype_size(t->dtype);

        pl_digest_add(digest, &u->sources[i].scale, sizeof u->sources[i].scale);
        for (size_t at = 0; at < size; at += sizeof bytes) {
            size_t n = size - at < sizeof bytes ? size - at : sizeof bytes;

            pl_tensors_fetch(u->in.tensors, t, bytes, at, n);
            pl_digest_add(digest, bytes, n);
        }
    }
}

static const struct pl_form_source uniform_source = {uniform_read, uniform_digest, uniform_free,
                                                     NULL};

/* ---- the tensors -------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n > m && strcmp(name + n - m, end) == 0;
}

/* The scale of the module that a tensor's name stands for. */
static enum prilora_status find_scale(const struct uniform *u, struct source *s,
                                      struct prilora_error *err)
{
    char module[512];
    const char *name = s->tensor->name;
    size_t n = strlen(name) - strlen(END_A), skip = 0;

    if (strncmp(name, PREFIX, strlen(PREFIX)) == 0)
        skip = strlen(PREFIX);
    if (n - skip >= sizeof module)
        return pl_fail(err, PRILORA_ELIMIT, "%s: a tensor's name of %zu bytes", u->in.path, n);
    memcpy(module, name + skip, n - skip);
    module[n - skip] = '\0';
    return pl_peft_config_scale(&u->in.config, module, s->rank, &s->scale, err);
}

static bool has_other(const struct uniform *u, const struct source *s)
{
    const struct pl_tensor *t = s->tensor, *other;
    char name[512];
    int n = (int)(strlen(t->name) - strlen(END_A));

    snprintf(name, sizeof name, "%.*s%s", n, t->name, s->kind == LORA_A ? END_B : END_A);
    other = pl_tensors_find(u->in.tensors, name);
    return other && other->n_dims == 2 && other->dims[s->kind == LORA_A] == s->rank;
}

static enum prilora_status look_at(struct uniform *u, struct source *s, struct prilora_error *err)
{
    const struct pl_tensor *t = s->tensor;

    s->kind = ends_in(t->name, END_A) ? LORA_A : ends_in(t->name, END_B) ? LORA_B : WHOLE;
    if (t->dtype > PL_F64 || t->n_dims < 1 || t->n_dims > 2 || !t->n_elements ||
        (s->kind == WHOLE && strstr(t->name, "lora_")))
        return pl_fail(err, PRILORA_EUNSUPPORTED, "%s: %.160s is nothing that can be padded",
                       u->in.path, t->name);
    if (s->kind == WHOLE)
        return PRILORA_OK;
    s->rank = t->n_dims == 2 ? t->dims[s->kind == LORA_B] : 0;
    if (s->rank < 1 || s->rank > PL_MAX_RANK)
        return pl_fail(err, PRILORA_ELIMIT, "%s: %.160s has rank %zu, but 1 to %d are read",
                       u->in.path, t->name, s->rank, PL_MAX_RANK);
    if (!has_other(u, s))
        return pl_fail(err, PRILORA_EFORMAT, "%s: %.160s has no counterpart of rank %zu",
                       u->in.path, t->name, s->rank);
    if (s->rank > u->rank)
        u->rank = s->rank;
    return find_scale(u, s, err);
}

/* The common scale: what all maps have, or 1. */
static void choose_scale(struct uniform *u)
{
    u->scale = 0;
    for (size_t i = 0; i < u->n; i++) {
        const struct source *s = &u->sources[i];

        if (s->kind == WHOLE)
            continue;
        if (u->scale == 0)
            u->scale = s->scale;
        else if (s->scale != u->scale) {
            u->scale = 1;
            return;
        }
    }
    if (u->scale == 0) /* an adapter that adds nothing has B times 0, with any scale */
        u->scale = 1;
}

static enum prilora_status add_tensors(struct prilora_form *form, struct uniform *u,
                                       struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    u->n = pl_tensors_count(u->in.tensors);
    u->sources = pl_calloc(u->n, sizeof *u->sources);
    if (!u->sources)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu tensors", u->n);
    for (size_t i = 0; rc == PRILORA_OK && i < u->n; i++) {
        u->sources[i].tensor = pl_tensors_at(u->in.tensors, i);
        rc = look_at(u, &u->sources[i], err);
    }
    if (rc == PRILORA_OK && !u->rank)
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: has no lora_A", u->in.path);
    if (rc == PRILORA_OK)
        choose_scale(u);
    for (size_t i = 0; rc == PRILORA_OK && i < u->n; i++) {
        const struct source *s = &u->sources[i];
        const struct pl_tensor *t = s->tensor;
        size_t rows = t->n_dims == 2 ? t->dims[0] : 0, cols = t->dims[t->n_dims - 1];

        rc = pl_form_add_tensor(form, pl_strdup(t->name), s->kind == LORA_A ? u->rank : rows,
                                s->kind == LORA_B ? u->rank : cols, s, err);
    }
    return rc == PRILORA_OK ? pl_form_add_tensors(form, "adapter_model.safetensors", err) : rc;
}

/* ---- the other files ---------------------------------------------------------------------- */

static char *config_text(json_t *config, const void *context)
{
    const struct uniform *u = context;
    double alpha = u->scale * (double)u->rank;

    if (json_object_set_new(config, "r", json_integer((json_int_t)u->rank)) != 0 ||
        json_object_set_new(config, "lora_alpha",
                            alpha == (double)(long)alpha ? json_integer((json_int_t)alpha)
                                                         : json_real(alpha)) != 0 ||
        json_object_set_new(config, "use_rslora", json_false()) != 0)
        return NULL;
    json_object_del(config, "rank_pattern");
    json_object_del(config, "alpha_pattern");
    return pl_json_text(config, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
}

static bool is_other(int folder, const char *name)
{
    struct stat st;

    return name[0] != '.' && strcmp(name, "adapter_config.json") != 0 &&
           strncmp(name, "adapter_model.", 14) != 0 &&
           fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static enum prilora_status add_others(struct prilora_form *form, const char *folder,
                                      struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (!dir)
        return pl_fail(err, PRILORA_EIO, "%s: cannot be read", folder);
    while (rc == PRILORA_OK && (entry = readdir(dir)))
        if (is_other(dirfd(dir), entry->d_name))
            rc = pl_form_add_copy(form, folder, entry->d_name, err);
    closedir(dir);
    return rc;
}

enum prilora_status prilora_form_uniform(struct prilora_form **out, const char *adapter_folder,
                                         struct prilora_error *err)
{
    struct uniform *u = pl_calloc(1, sizeof *u);
    struct prilora_form *form;
    enum prilora_status rc;

    *out = NULL;
    if (!u)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", adapter_folder);
    rc = pl_form_new(&form, &uniform_source, u, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = pl_import_open(&u->in, adapter_folder, err);
    if (rc == PRILORA_OK)
        rc = add_tensors(form, u, err);
    if (rc == PRILORA_OK)
        rc = pl_form_add_config(form, adapter_folder, "adapter_config.json", config_text, u, err);
    if (rc == PRILORA_OK)
        rc = add_others(form, adapter_folder, err);
    if (rc == PRILORA_OK)
        *out = form;
    else
        prilora_form_close(form);
    return rc;
}
