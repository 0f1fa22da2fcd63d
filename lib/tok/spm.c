/* spm.c - the DeBERTa-v2/v3 kind of tokenizer: spm.model, read by the SentencePiece library. */
#include <stdlib.h>

#include "base/file.h"
#include "tok/kind.h"
#include "tok/sentencepiece.h"
#include "tok/spm_check.h"

static enum prilora_status spm_open(void **state, const char *folder, struct pl_digest *digest,
                                    struct prilora_error *err)
{
    enum prilora_status rc;
    struct pl_sentencepiece *sp = NULL;
    char *path = pl_file_join(folder, pl_tokenizer_spm.file), *model = NULL, reason[160] = "";
    size_t size = 0;

    *state = NULL;
    if (!path)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    rc = pl_file_read(&model, &size, path, PL_SPM_MAX_FILE, err);
    if (rc == PRILORA_OK)
        rc = pl_spm_check(model, size, path, err);
    if (rc != PRILORA_OK)
        goto out;
    switch (pl_sentencepiece_open(&sp, model, size, reason, sizeof reason)) {
    case PL_SENTENCEPIECE_OK:
        pl_digest_add(digest, model, size);
        break;
    case PL_SENTENCEPIECE_NOMEM:
        rc = pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
        break;
    case PL_SENTENCEPIECE_BAD:
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: SentencePiece refuses it: %s", path, reason);
        break;
    }
    *state = sp;
out:
    free(path);
    free(model);
    return rc;
}

static void spm_close(void *state)
{
    pl_sentencepiece_close(state);
}

static size_t spm_size(const void *state)
{
    return pl_sentencepiece_size(state);
}

static int32_t spm_find(const void *state, const char *token, size_t size)
{
    return pl_sentencepiece_find(state, token, size);
}

static enum pl_sentencepiece_result take_ids(void *context, const int32_t *ids, size_t n)
{
    return pl_ids_add(context, ids, n, 0) ? PL_SENTENCEPIECE_OK : PL_SENTENCEPIECE_NOMEM;
}

static enum prilora_status spm_encode(const void *state, struct pl_ids *out, const char *text,
                                      size_t size, struct prilora_error *err)
{
    switch (pl_sentencepiece_encode(state, text, size, take_ids, out)) {
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
    .find = spm_find,
    .encode = spm_encode,
};
