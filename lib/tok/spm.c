/*
 * spm.c - the DeBERTa-v2/v3 kind of tokenizer: spm.model, read by the SentencePiece library.
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

struct spm {
    char *path, *model;
    size_t size;
    struct pl_spm_pieces pieces;
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
    pthread_mutex_destroy(&spm->lock);
    free(spm->path);
    free(spm->model);
    free(spm);
}

static enum prilora_status spm_open(void **state, const char *folder, struct pl_digest *digest,
                                    struct prilora_error *err)
{
    enum prilora_status rc;
    struct spm *spm = pl_calloc(1, sizeof *spm);

    *state = NULL;
    if (!spm)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    pthread_mutex_init(&spm->lock, NULL);
    atomic_init(&spm->library, NULL);
    spm->path = pl_file_join(folder, pl_tokenizer_spm.file);
    if (spm->path)
        rc = pl_file_read(&spm->model, &spm->size, spm->path, PL_SPM_MAX_FILE, err);
    else
        rc = pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    if (rc == PRILORA_OK)
        rc = pl_spm_check(&spm->pieces, spm->model, spm->size, spm->path, err);
    if (rc != PRILORA_OK) {
        spm_close(spm);
        return rc;
    }
    pl_digest_add(digest, spm->model, spm->size);
    *state = spm;
    return PRILORA_OK;
}

static size_t spm_size(const void *state)
{
    const struct spm *spm = state;

    return spm->pieces.n;
}

static size_t spm_bytes(const void *state, bool prepared)
{
    const struct spm *spm = state;
    const size_t own = spm->size + spm->pieces.n * (sizeof(uint32_t) + sizeof(uint16_t));

    prepared = prepared || atomic_load(&spm->library);
    return own + (prepared ? spm->pieces.n * LIBRARY_BYTES : 0);
}

static int32_t spm_find(const void *state, const char *token, size_t size)
{
    const struct spm *spm = state;
    const struct pl_spm_pieces *p = &spm->pieces;

    for (size_t i = 0; i < p->n; i++)
        if (p->sizes[i] == size && memcmp(spm->model + p->at[i], token, size) == 0)
            return (int32_t)i;
    return -1;
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

static enum pl_sentencepiece_result take_ids(void *context, const int32_t *ids, size_t n)
{
    return pl_ids_add(context, ids, n, 0) ? PL_SENTENCEPIECE_OK : PL_SENTENCEPIECE_NOMEM;
}

static enum prilora_status spm_encode(const void *state, struct pl_ids *out, const char *text,
                                      size_t size, struct prilora_error *err)
{
    const struct spm *spm = state;
    const struct pl_sentencepiece *library =
        atomic_load_explicit(&spm->library, memory_order_acquire);

    switch (pl_sentencepiece_encode(library, text, size, take_ids, out)) {
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
    .file = "spm.model",
    .classes = "DebertaV2Tokenizer",
    .defaults =
        {
            [PL_ROLE_BOS] = "[CLS]",
            [PL_ROLE_EOS] = "[SEP]",
            [PL_ROLE_UNK] = "[UNK]",
            [PL_ROLE_SEP] = "[SEP]",
            [PL_ROLE_PAD] = "[PAD]",
            [PL_ROLE_CLS] = "[CLS]",
            [PL_ROLE_MASK] = "[MASK]",
        },
    .first = PL_ROLE_CLS,
    .last = PL_ROLE_SEP,
    .open = spm_open,
    .close = spm_close,
    .size = spm_size,
    .bytes = spm_bytes,
    .find = spm_find,
    .prepare = spm_prepare,
    .encode = spm_encode,
};
