/*
 * spm.c - the tokenizers of DeBERTa-v2/v3, XLM-RoBERTa and CamemBERT: a SentencePiece model, read
 * by the library of that name, and how its numbers become the model's ids.
 *
 * The library takes a tenth of a second and 30 MB for a vocabulary of 128,000; a job whose texts
 * are token ids already needs neither. So the model is only checked when it is opened, and given to
 * the library before the first text.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "tok/kind.h"
#include "tok/sentencepiece.h"
#include "tok/spm_check.h"

#define LIBRARY_BYTES ((size_t)230) /* for each piece, as measured with SentencePiece 0.1.97 */

#define MAX_NAMED 5

/*
 * fairseq, which trained the last two, has tokens of its own first and moves the others up: a
 * piece's id is its number + offset, but for pieces that have one of the names, and the unknown
 * one.
 */
struct layout {
    int32_t offset;
    size_t n_named;
    struct {
        const char *name;
        int32_t id;
    } named[MAX_NAMED];
};

static const struct layout layouts[] = {
    [PL_SPM_AS_IS] = {0},
    [PL_SPM_XLM_ROBERTA] = {1, 4, {{"<s>", 0}, {"<pad>", 1}, {"</s>", 2}, {"<unk>", 3}}},
    [PL_SPM_CAMEMBERT] =
        {4,
         5,
         {{"<s>NOTUSED", 0}, {"<pad>", 1}, {"</s>NOTUSED", 2}, {"<unk>", 3}, {"<unk>NOTUSED", 4}}},
};
#define UNKNOWN_ID 3 /* of both */

struct spm {
    const struct layout *layout;
    int32_t numbers[MAX_NAMED]; /* of the pieces with the layout's names; -1: none */
    char *path, *model;
    size_t size;
    struct pl_spm_pieces pieces;
    struct pl_spm_rules rules;
    pthread_mutex_t lock;                       /* held while the library reads the model */
    _Atomic(struct pl_sentencepiece *) library; /* NULL until then */
};

static void spm_close(void *state)
{
    struct spm *spm = state;

    if (!spm)
        return;
    pl_sentencepiece_close(atomic_load(&spm->library));
    pl_spm_pieces_free(&spm->pieces);
    pl_spm_rules_free(&spm->rules);
    pthread_mutex_destroy(&spm->lock);
    free(spm->path);
    free(spm->model);
    free(spm);
}

static int32_t find_piece(const struct spm *spm, const char *text, size_t size)
{
    const struct pl_spm_pieces *p = &spm->pieces;

    for (size_t i = 0; i < p->n; i++)
        if (p->sizes[i] == size && memcmp(spm->model + p->at[i], text, size) == 0)
            return (int32_t)i;
    return -1;
}

static enum prilora_status lay_out(struct spm *spm, enum pl_spm_layout layout,
                                   struct prilora_error *err)
{
    spm->layout = &layouts[layout];
    if (layout != PL_SPM_AS_IS && spm->pieces.unknown != 0)
        return pl_fail(err, PRILORA_EUNSUPPORTED,
                       "%s: what is unknown is piece %zu, but 0 in models of this family",
                       spm->path, spm->pieces.unknown);
    for (size_t i = 0; i < spm->layout->n_named; i++)
        spm->numbers[i] =
            find_piece(spm, spm->layout->named[i].name, strlen(spm->layout->named[i].name));
    return PRILORA_OK;
}

static enum prilora_status spm_open(void **state, const struct pl_source *source,
                                    struct prilora_error *err)
{
    enum prilora_status rc;
    const char *folder = source->folder;
    struct spm *spm = pl_calloc(1, sizeof *spm);

    *state = NULL;
    if (!spm)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    pthread_mutex_init(&spm->lock, NULL);
    atomic_init(&spm->library, NULL);
    spm->path = pl_file_join(folder, source->family->files[0]);
    if (spm->path)
        rc = pl_file_read(&spm->model, &spm->size, spm->path, PL_SPM_MAX_FILE, err);
    else
        rc = pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    if (rc == PRILORA_OK)
        rc = pl_spm_check(&spm->pieces, &spm->rules, spm->model, spm->size, spm->path, err);
    if (rc == PRILORA_OK)
        rc = lay_out(spm, source->family->spm_layout, err);
    if (rc != PRILORA_OK) {
        spm_close(spm);
        return rc;
    }
    pl_digest_add(source->digest, spm->model, spm->size);
    *state = spm;
    return PRILORA_OK;
}

static size_t spm_size(const void *state)
{
    const struct spm *spm = state;

    return spm->pieces.n + (size_t)spm->layout->offset;
}

static size_t spm_bytes(const void *state, bool prepared)
{
    const struct spm *spm = state;
    const size_t own = spm->size + spm->pieces.n * (sizeof(uint32_t) + sizeof(uint16_t)) +
                       spm->rules.n_symbols * sizeof *spm->rules.symbols;

    prepared = prepared || atomic_load(&spm->library);
    return own + (prepared ? spm->pieces.n * LIBRARY_BYTES : 0);
}

/* The model's id of a piece. */
static int32_t id_of(const struct spm *spm, int32_t number)
{
    for (size_t i = 0; i < spm->layout->n_named; i++)
        if (spm->numbers[i] == number)
            return spm->layout->named[i].id;
    return spm->layout->offset && number == 0 ? UNKNOWN_ID : number + spm->layout->offset;
}

static int32_t spm_find(const void *state, const char *token, size_t size)
{
    const struct spm *spm = state;
    int32_t number;

    for (size_t i = 0; i < spm->layout->n_named; i++)
        if (strlen(spm->layout->named[i].name) == size &&
            memcmp(spm->layout->named[i].name, token, size) == 0)
            return spm->layout->named[i].id;
    number = find_piece(spm, token, size);
    return number < 0 ? -1 : id_of(spm, number);
}

static enum prilora_status load(struct spm *spm, struct prilora_error *err)
{
    struct pl_sentencepiece *library = NULL;
    char reason[160] = "";

    switch (pl_sentencepiece_open(&library, spm->model, spm->size, reason, sizeof reason)) {
    case PL_SENTENCEPIECE_OK:
        atomic_store_explicit(&spm->library, library, memory_order_release);
        return PRILORA_OK;
    case PL_SENTENCEPIECE_NOMEM:
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", spm->path);
    case PL_SENTENCEPIECE_BAD:
        break;
    }
    return pl_fail(err, PRILORA_EFORMAT, "%s: SentencePiece refuses it: %s", spm->path, reason);
}

static enum prilora_status spm_prepare(void *state, struct prilora_error *err)
{
    struct spm *spm = state;
    enum prilora_status rc = PRILORA_OK;

    if (atomic_load_explicit(&spm->library, memory_order_acquire))
        return PRILORA_OK;
    pthread_mutex_lock(&spm->lock);
    if (!atomic_load(&spm->library))
        rc = load(spm, err);
    pthread_mutex_unlock(&spm->lock);
    return rc;
}

/* ---- encoding ------------------------------------------------------------------------------- */

struct encoding {
    const struct spm *spm;
    struct pl_ids *out;
    struct pl_spm_walk walk; /* over the normalised text, if located */
};

static enum pl_sentencepiece_result take_ids(void *context, const int32_t *ids, size_t n)
{
    const struct encoding *e = context;
    const size_t start = e->out->n;

    if (!pl_ids_add(e->out, ids, n, 0))
        return PL_SENTENCEPIECE_NOMEM;
    for (size_t i = start; e->spm->layout->offset && i < e->out->n; i++)
        e->out->ids[i] = id_of(e->spm, e->out->ids[i]);
    return PL_SENTENCEPIECE_OK;
}

/* Goes on over the piece; false: it is not what comes next. */
static bool locate(struct pl_spm_walk *w, const struct pl_sentencepiece_piece *piece,
                   struct pl_span *span)
{
    bool is_space = true;

    for (uint32_t i = 0; i < piece->size; i++) {
        if (!pl_spm_next(w) || (i == 0 && w->source.begin != piece->begin))
            return false;
        if (w->is_space && !is_space)
            continue;
        if (is_space)
            span->begin = w->is_space ? w->source.end : w->source.begin;
        span->end = w->source.end;
        is_space = w->is_space;
    }
    return true;
}

static enum pl_sentencepiece_result
take_pieces(void *context, const struct pl_sentencepiece_piece *pieces, size_t n)
{
    struct encoding *e = context;

    for (size_t i = 0; i < n; i++) {
        const int32_t id = id_of(e->spm, pieces[i].id);

        if (!pl_ids_add(e->out, &id, 1, 0))
            return PL_SENTENCEPIECE_NOMEM;
        if (!locate(&e->walk, &pieces[i], &e->out->spans[e->out->n - 1]))
            return PL_SENTENCEPIECE_BAD;
    }
    return PL_SENTENCEPIECE_OK;
}

static enum prilora_status spm_encode(const void *state, struct pl_ids *out, const char *text,
                                      size_t size, bool is_word, struct prilora_error *err)
{
    const struct spm *spm = state;
    const struct pl_sentencepiece *library =
        atomic_load_explicit(&spm->library, memory_order_acquire);
    struct encoding e = {.spm = spm, .out = out};
    enum pl_sentencepiece_result result;

    (void)is_word; /* a space is put before every text */
    if (out->located) {
        pl_spm_start(&e.walk, &spm->rules, text, size);
        result = pl_sentencepiece_split(library, text, size, take_pieces, &e);
    } else {
        result = pl_sentencepiece_encode(library, text, size, take_ids, &e);
    }
    switch (result) {
    case PL_SENTENCEPIECE_OK:
        return PRILORA_OK;
    case PL_SENTENCEPIECE_NOMEM:
        return pl_fail(err, PRILORA_ENOMEM, "tokenizer: out of memory for a text of %zu bytes",
                       size);
    case PL_SENTENCEPIECE_BAD:
        break;
    }
    return pl_fail(err, PRILORA_EFORMAT,
                   "tokenizer: SentencePiece cannot split a text of %zu bytes", size);
}

const struct pl_tokenizer_kind pl_tokenizer_spm = {
    .normalizes = false, /* special tokens are looked for before the library sees the text */
    .refused = "do_lower_case split_by_punct",
    .open = spm_open,
    .close = spm_close,
    .size = spm_size,
    .bytes = spm_bytes,
    .find = spm_find,
    .prepare = spm_prepare,
    .encode = spm_encode,
};
