/* specials.c - see specials.h. */
#include "tok/specials.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tok/family.h"
#include "tok/json_file.h"

const char *const pl_role_keys[PL_N_ROLES] = {
    [PL_ROLE_BOS] = "bos_token",   [PL_ROLE_EOS] = "eos_token", [PL_ROLE_UNK] = "unk_token",
    [PL_ROLE_SEP] = "sep_token",   [PL_ROLE_PAD] = "pad_token", [PL_ROLE_CLS] = "cls_token",
    [PL_ROLE_MASK] = "mask_token",
};

/* What is being put together. */
struct build {
    struct pl_specials *out;
    const char *folder, *file; /* the file being read, for errors */
    const struct pl_source *source;
    const struct pl_tokenizer_kind *kind;
    const void *state;
    struct prilora_error *err;
    char *role_texts[PL_N_ROLES]; /* owned */
};

static enum prilora_status bad(const struct build *b, enum prilora_status status, const char *key,
                               const char *what)
{
    return pl_fail(b->err, status, "%s/%s: %s %s", b->folder, b->file, key, what);
}

const char *pl_source_token(const struct pl_source *source, enum pl_role role)
{
    const json_t *value = json_object_get(source->config, pl_role_keys[role]);
    const json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;

    return json_is_string(content) ? json_string_value(content) : source->family->defaults[role];
}

static struct pl_special *find(const struct pl_specials *s, const char *text, size_t size)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].size == size && memcmp(s->list[i].text, text, size) == 0)
            return &s->list[i];
    return NULL;
}

/* The entry for `text`, made if it is new. */
static enum prilora_status intern(struct build *b, const char *text, struct pl_special **out)
{
    struct pl_specials *s = b->out;
    size_t size = strlen(text);
    struct pl_special *entry = find(s, text, size);

    if (entry) {
        *out = entry;
        return PRILORA_OK;
    }
    if (size == 0 || size > PL_MAX_SPECIAL)
        return pl_fail(b->err, PRILORA_ELIMIT,
                       "%s/%s: a special token of %zu bytes (1 to %d are read)", b->folder, b->file,
                       size, PL_MAX_SPECIAL);
    if (s->n == PL_MAX_SPECIALS)
        return pl_fail(b->err, PRILORA_ELIMIT, "%s/%s: more than %d special tokens", b->folder,
                       b->file, PL_MAX_SPECIALS);
    entry = &s->list[s->n];
    *entry = (struct pl_special){.text = pl_strdup(text), .size = size, .id = -1};
    if (!entry->text)
        return pl_fail(b->err, PRILORA_ENOMEM, "%s: out of memory", b->folder);
    s->n++;
    *out = entry;
    return PRILORA_OK;
}

/* A token as text or as {"content", "lstrip", "rstrip", "single_word"}. */
static enum prilora_status read_token(struct build *b, const char *key, const json_t *value,
                                      struct pl_special **out)
{
    const json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;
    enum prilora_status rc;

    if (!json_is_string(content))
        return bad(b, PRILORA_EFORMAT, key, "is not a token (text, or an object with content)");
    if (json_is_true(json_object_get(value, "single_word")))
        return bad(b, PRILORA_EUNSUPPORTED, key, "has single_word set, which is not supported");
    if (b->kind->normalizes && json_is_true(json_object_get(value, "normalized")) &&
        !json_is_true(json_object_get(value, "special")))
        return bad(b, PRILORA_EUNSUPPORTED, key, "has normalized set, which is not supported");
    rc = intern(b, json_string_value(content), out);
    if (rc == PRILORA_OK && json_is_object(value)) {
        (*out)->lstrip = json_is_true(json_object_get(value, "lstrip"));
        (*out)->rstrip = json_is_true(json_object_get(value, "rstrip"));
    }
    return rc;
}

static enum prilora_status set_id(struct build *b, struct pl_special *entry, json_int_t id)
{
    int32_t known = b->kind->find(b->state, entry->text, entry->size);

    if (id < 0 || id >= PL_MAX_TOKEN_ID)
        return pl_fail(b->err, PRILORA_EFORMAT, "%s/%s: token \"%s\" has id %lld", b->folder,
                       b->file, entry->text, (long long)id);
    if ((size_t)id < b->kind->size(b->state) && id != known)
        return pl_fail(b->err, PRILORA_EFORMAT,
                       "%s/%s: token \"%s\" has id %lld, which is another token's", b->folder,
                       b->file, entry->text, (long long)id);
    entry->id = (int32_t)id;
    return PRILORA_OK;
}

static enum prilora_status read_role(struct build *b, enum pl_role role, const json_t *value)
{
    struct pl_special *entry = NULL;
    enum prilora_status rc;
    char *text;

    if (!value || json_is_null(value))
        return PRILORA_OK;
    rc = read_token(b, pl_role_keys[role], value, &entry);
    if (rc != PRILORA_OK)
        return rc;
    if (role == PL_ROLE_MASK && json_is_string(value))
        entry->lstrip = b->source->family->mask_lstrip;
    text = pl_strdup(entry->text);
    if (!text)
        return pl_fail(b->err, PRILORA_ENOMEM, "%s: out of memory", b->folder);
    free(b->role_texts[role]);
    b->role_texts[role] = text;
    return PRILORA_OK;
}

/* The token members that tokenizer_config.json and special_tokens_map.json share. */
static enum prilora_status read_roles(struct build *b, json_t *object)
{
    const json_t *more = json_object_get(object, "additional_special_tokens");
    enum prilora_status rc = PRILORA_OK;
    struct pl_special *entry;

    for (int role = 0; rc == PRILORA_OK && role < PL_N_ROLES; role++)
        rc = read_role(b, (enum pl_role)role, json_object_get(object, pl_role_keys[role]));
    for (size_t i = 0; rc == PRILORA_OK && i < json_array_size(more); i++)
        rc = read_token(b, "additional_special_tokens", json_array_get(more, i), &entry);
    return rc;
}

/* Members of the configuration that must not be true. */
static enum prilora_status check_options(struct build *b, json_t *config)
{
    const char *key;
    json_t *value;

    json_object_foreach (config, key, value) {
        if (json_is_true(value) && pl_family_names(b->kind->refused, key, ""))
            return bad(b, PRILORA_EUNSUPPORTED, key, "is true: not supported");
    }
    return PRILORA_OK;
}

static enum prilora_status read_config(struct build *b, json_t *config)
{
    enum prilora_status rc = check_options(b, config);
    const char *key;
    json_t *value;

    if (rc == PRILORA_OK)
        rc = read_roles(b, config);
    json_object_foreach (json_object_get(config, "added_tokens_decoder"), key, value) {
        struct pl_special *entry = NULL;
        char *end;
        long id = strtol(key, &end, 10);

        if (rc != PRILORA_OK)
            break;
        rc = read_token(b, "added_tokens_decoder", value, &entry);
        if (rc == PRILORA_OK)
            rc = set_id(b, entry, *key && !*end ? id : -1);
    }
    return rc;
}

/* added_tokens of tokenizer.json: {"id", "content", ...} each. */
static enum prilora_status read_whole(struct build *b)
{
    const json_t *list = json_object_get(b->source->whole, "added_tokens");
    enum prilora_status rc = PRILORA_OK;

    b->file = "tokenizer.json";
    for (size_t i = 0; rc == PRILORA_OK && i < json_array_size(list); i++) {
        const json_t *token = json_array_get(list, i), *id = json_object_get(token, "id");
        struct pl_special *entry = NULL;

        rc = read_token(b, "added_tokens", token, &entry);
        if (rc == PRILORA_OK)
            rc = set_id(b, entry, json_is_integer(id) ? json_integer_value(id) : -1);
    }
    return rc;
}

static enum prilora_status read_added(struct build *b, json_t *added)
{
    enum prilora_status rc = PRILORA_OK;
    const char *key;
    json_t *value;

    json_object_foreach (added, key, value) {
        struct pl_special *entry = NULL;

        if (rc == PRILORA_OK)
            rc = intern(b, key, &entry);
        if (rc == PRILORA_OK)
            rc = set_id(b, entry, json_is_integer(value) ? json_integer_value(value) : -1);
    }
    return rc;
}

static enum prilora_status read_files(struct build *b)
{
    static const struct {
        const char *file;
        enum prilora_status (*read)(struct build *b, json_t *object);
    } files[] = {
        {"special_tokens_map.json", read_roles},
        {"tokenizer_config.json", read_config},
        {"added_tokens.json", read_added},
    };
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; rc == PRILORA_OK && i < sizeof files / sizeof *files; i++) {
        json_t *object = NULL;

        b->file = files[i].file;
        rc =
            pl_json_file(&object, b->folder, b->file, PL_MAX_JSON_BYTES, b->source->digest, b->err);
        if (rc == PRILORA_OK && object)
            rc = files[i].read(b, object);
        json_decref(object);
    }
    return rc == PRILORA_OK ? read_whole(b) : rc;
}

static void raise_vocabulary(struct pl_specials *s, int32_t id)
{
    if ((size_t)id >= s->vocabulary)
        s->vocabulary = (size_t)id + 1;
}

/* An id for a token that no file gave one. */
static void number(struct build *b, struct pl_special *token)
{
    if (token->id < 0)
        token->id = b->kind->find(b->state, token->text, token->size);
    if (token->id < 0)
        token->id = (int32_t)b->out->vocabulary;
    raise_vocabulary(b->out, token->id);
    b->out->starts[(unsigned char)token->text[0]] = true;
}

static enum prilora_status number_all(struct build *b)
{
    struct pl_specials *s = b->out;

    s->vocabulary = b->kind->size(b->state);
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].id >= 0)
            raise_vocabulary(s, s->list[i].id);
    for (int role = 0; role < PL_N_ROLES; role++) {
        const char *text = b->role_texts[role];
        struct pl_special *token = text ? find(s, text, strlen(text)) : NULL;

        s->roles[role] = -1;
        if (!token)
            continue;
        number(b, token);
        s->roles[role] = token->id;
    }
    for (size_t i = 0; i < s->n; i++)
        number(b, &s->list[i]);
    if (s->vocabulary > PL_MAX_TOKEN_ID)
        return pl_fail(b->err, PRILORA_ELIMIT, "%s: %zu token ids, at most %d", b->folder,
                       s->vocabulary, PL_MAX_TOKEN_ID);
    return PRILORA_OK;
}

static int longest_first(const void *a, const void *b)
{
    const struct pl_special *x = a, *y = b;

    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return memcmp(x->text, y->text, x->size);
}

/* The family's token, where no file names one; tokenizer.json is complete without it. */
static enum prilora_status add_default(struct build *b, enum pl_role role)
{
    const char *text = b->source->family->defaults[role];
    const size_t size = strlen(text);
    struct pl_special *entry;
    enum prilora_status rc;

    if (b->role_texts[role] ||
        (b->source->whole && !find(b->out, text, size) && b->kind->find(b->state, text, size) < 0))
        return PRILORA_OK;
    b->role_texts[role] = pl_strdup(text);
    if (!b->role_texts[role])
        return pl_fail(b->err, PRILORA_ENOMEM, "%s: out of memory", b->folder);
    if (find(b->out, text, size))
        return PRILORA_OK;
    rc = intern(b, text, &entry);
    if (rc == PRILORA_OK && role == PL_ROLE_MASK)
        entry->lstrip = b->source->family->mask_lstrip;
    return rc;
}

static enum prilora_status add_more(struct build *b)
{
    enum prilora_status rc = PRILORA_OK;
    const char *more = b->source->family->more;

    while (rc == PRILORA_OK && more && *more) {
        const size_t n = strcspn(more, " ");
        struct pl_special *entry;
        char *text = strndup(more, n);

        rc = text ? intern(b, text, &entry)
                  : pl_fail(b->err, PRILORA_ENOMEM, "%s: out of memory", b->folder);
        free(text);
        more += n + (more[n] == ' ');
    }
    return rc;
}

enum prilora_status pl_specials_open(struct pl_specials *out, const struct pl_source *source,
                                     const void *state, struct prilora_error *err)
{
    struct build b = {.out = out, .folder = source->folder, .source = source, .state = state};
    enum prilora_status rc;

    b.kind = source->family->kind;
    b.err = err;
    *out = (struct pl_specials){.list = pl_calloc(PL_MAX_SPECIALS, sizeof *out->list)};
    if (!out->list)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", b.folder);
    rc = read_files(&b);
    b.file = source->whole ? "tokenizer.json" : source->family->files[0];
    for (int role = 0; rc == PRILORA_OK && role < PL_N_ROLES; role++)
        rc = add_default(&b, (enum pl_role)role);
    if (rc == PRILORA_OK)
        rc = add_more(&b);
    if (rc == PRILORA_OK)
        rc = number_all(&b);
    for (int role = 0; role < PL_N_ROLES; role++)
        free(b.role_texts[role]);
    if (rc == PRILORA_OK)
        qsort(out->list, out->n, sizeof *out->list, longest_first);
    else
        pl_specials_close(out);
    return rc;
}

void pl_specials_close(struct pl_specials *specials)
{
    for (size_t i = 0; i < specials->n; i++)
        free(specials->list[i].text);
    free(specials->list);
    *specials = (struct pl_specials){0};
}

const struct pl_special *pl_specials_match(const struct pl_specials *specials, const char *text,
                                           size_t size)
{
    if (!specials->starts[(unsigned char)text[0]])
        return NULL;
    for (size_t i = 0; i < specials->n; i++) {
        const struct pl_special *s = &specials->list[i];

        if (s->size <= size && memcmp(s->text, text, s->size) == 0)
            return s;
    }
    return NULL;
}
