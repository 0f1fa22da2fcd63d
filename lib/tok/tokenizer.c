/*
 * tokenizer.c - opening a tokenizer. Which one a folder has is family.c's, its files are the kind's
 * (kind.h); what becomes of texts is encode.c's.
 */
#include "tok/tokenizer.h"

#include <stdlib.h>

#include "base/memory.h"
#include "tok/family.h"
#include "tok/json_file.h"
#include "tok/open.h"

static enum prilora_status find_frame(struct pl_tokenizer *t, const struct pl_source *source,
                                      struct prilora_error *err)
{
    const struct pl_family *f = source->family;

    if (source->whole)
        return pl_frame_read(&t->frame, json_object_get(source->whole, "post_processor"),
                             source->folder, err);
    t->frame = (struct pl_frame){t->specials.roles[f->first], t->specials.roles[f->last],
                                 f->n_separators, f->pair_type};
    return PRILORA_OK;
}

/* The ids that tokenizer.json puts around texts are ids like others. */
static enum prilora_status check_frame(const struct pl_tokenizer *t, const char *folder,
                                       struct prilora_error *err)
{
    const size_t end = t->specials.vocabulary;

    if ((size_t)t->frame.first < end && (size_t)t->frame.last < end)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EFORMAT,
                   "%s/tokenizer.json: post_processor adds the ids %d and %d, but the vocabulary "
                   "ends at %zu",
                   folder, (int)t->frame.first, (int)t->frame.last, end);
}

static enum prilora_status open_parts(struct pl_tokenizer *t, struct pl_source *source,
                                      struct prilora_error *err)
{
    enum prilora_status rc = pl_json_file(&source->config, source->folder, "tokenizer_config.json",
                                          PL_MAX_JSON_BYTES, NULL, err);

    if (rc == PRILORA_OK)
        rc = pl_family_choose(source, err);
    if (rc != PRILORA_OK)
        return rc;
    t->kind = source->family->kind;
    rc = t->kind->open(&t->state, source, err);
    if (rc == PRILORA_OK)
        rc = pl_specials_open(&t->specials, source, t->state, err);
    if (rc == PRILORA_OK)
        rc = find_frame(t, source, err);
    return rc == PRILORA_OK ? check_frame(t, source->folder, err) : rc;
}

enum prilora_status pl_tokenizer_open(struct pl_tokenizer **out, const char *folder,
                                      struct prilora_error *err)
{
    enum prilora_status rc;
    struct pl_tokenizer *t = pl_calloc(1, sizeof *t);
    struct pl_digest digest;
    struct pl_source source = {.folder = folder, .digest = &digest};

    *out = NULL;
    if (!t)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    pl_digest_init(&digest);
    rc = open_parts(t, &source, err);
    json_decref(source.config);
    json_decref(source.whole);
    if (rc == PRILORA_OK) {
        pl_digest_hex(&digest, t->fingerprint);
        *out = t;
        t = NULL;
    }
    pl_tokenizer_close(t);
    return rc;
}

void pl_tokenizer_close(struct pl_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    pl_specials_close(&tokenizer->specials);
    if (tokenizer->kind)
        tokenizer->kind->close(tokenizer->state);
    free(tokenizer);
}

size_t pl_tokenizer_vocabulary(const struct pl_tokenizer *tokenizer)
{
    return tokenizer->specials.vocabulary;
}

const char *pl_tokenizer_fingerprint(const struct pl_tokenizer *tokenizer)
{
    return tokenizer->fingerprint;
}

enum prilora_status pl_tokenizer_prepare(const struct pl_tokenizer *tokenizer,
                                         struct prilora_error *err)
{
    return tokenizer->kind->prepare(tokenizer->state, err);
}

size_t pl_tokenizer_bytes(const struct pl_tokenizer *tokenizer, bool prepared)
{
    return tokenizer->kind->bytes(tokenizer->state, prepared);
}
