/*
 * family.c - see family.h. The table of what families of models add to their kind of tokenizer, as
 * Hugging Face's tokenizer classes have it.
 */
#include "tok/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tok/json_file.h"

#define BERT_TOKENS                                                                                \
    {                                                                                              \
        [PL_ROLE_BOS] = "[CLS]", [PL_ROLE_EOS] = "[SEP]", [PL_ROLE_UNK] = "[UNK]",                 \
        [PL_ROLE_SEP] = "[SEP]", [PL_ROLE_PAD] = "[PAD]", [PL_ROLE_CLS] = "[CLS]",                 \
        [PL_ROLE_MASK] = "[MASK]",                                                                 \
    }
#define ROBERTA_TOKENS                                                                             \
    {                                                                                              \
        [PL_ROLE_BOS] = "<s>", [PL_ROLE_EOS] = "</s>", [PL_ROLE_UNK] = "<unk>",                    \
        [PL_ROLE_SEP] = "</s>", [PL_ROLE_PAD] = "<pad>", [PL_ROLE_CLS] = "<s>",                    \
        [PL_ROLE_MASK] = "<mask>",                                                                 \
    }

static const struct pl_family families[] = {
    {
        .classes = "DebertaV2Tokenizer",
        .model_types = "deberta-v2",
        .files = {"spm.model"},
        .kind = &pl_tokenizer_spm,
        .defaults = BERT_TOKENS,
        .first = PL_ROLE_CLS,
        .last = PL_ROLE_SEP,
        .n_separators = 1,
        .pair_type = 1,
    },
    {
        .classes = "BertTokenizer DistilBertTokenizer ElectraTokenizer",
        .model_types = "bert distilbert electra",
        .files = {"vocab.txt"},
        .kind = &pl_tokenizer_wordpiece,
        .defaults = BERT_TOKENS,
        .first = PL_ROLE_CLS,
        .last = PL_ROLE_SEP,
        .n_separators = 1,
        .pair_type = 1,
    },
    {
        .classes = "RobertaTokenizer",
        .model_types = "roberta",
        .files = {"vocab.json", "merges.txt"},
        .kind = &pl_tokenizer_bpe,
        .defaults = ROBERTA_TOKENS,
        .mask_lstrip = true,
        .first = PL_ROLE_CLS,
        .last = PL_ROLE_SEP,
        .n_separators = 2,
    },
    {
        .classes = "XLMRobertaTokenizer",
        .model_types = "xlm-roberta",
        .files = {"sentencepiece.bpe.model"},
        .kind = &pl_tokenizer_spm,
        .defaults = ROBERTA_TOKENS,
        .mask_lstrip = true,
        .first = PL_ROLE_CLS,
        .last = PL_ROLE_SEP,
        .n_separators = 2,
        .spm_layout = PL_SPM_XLM_ROBERTA,
    },
    {
        .classes = "CamembertTokenizer",
        .model_types = "camembert",
        .files = {"sentencepiece.bpe.model"},
        .kind = &pl_tokenizer_spm,
        .defaults = ROBERTA_TOKENS,
        .mask_lstrip = true,
        .first = PL_ROLE_CLS,
        .last = PL_ROLE_SEP,
        .n_separators = 2,
        .more = "<s>NOTUSED </s>NOTUSED <unk>NOTUSED",
        .spm_layout = PL_SPM_CAMEMBERT,
    },
};
#define N_FAMILIES (sizeof families / sizeof *families)

#define READ_CLASSES                                                                               \
    "DebertaV2Tokenizer, BertTokenizer, DistilBertTokenizer, ElectraTokenizer, RobertaTokenizer, " \
    "XLMRobertaTokenizer, CamembertTokenizer"

bool pl_family_names(const char *words, const char *word, const char *suffix)
{
    const size_t n_word = strlen(word), n_suffix = strlen(suffix);
    size_t n = n_word;

    if (n_suffix && n > n_suffix && strcmp(word + n - n_suffix, suffix) == 0)
        n -= n_suffix;
    for (const char *at = words; n && *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == n && memcmp(at, word, n) == 0)
            return true;
    return false;
}

static enum prilora_status has_file(bool *out, const char *folder, const char *file,
                                    struct prilora_error *err)
{
    char *path = pl_file_join(folder, file);

    if (!path)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    *out = access(path, F_OK) == 0;
    free(path);
    return PRILORA_OK;
}

static enum prilora_status has_files(bool *out, const char *folder, const struct pl_family *family,
                                     struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    *out = true;
    for (size_t i = 0; rc == PRILORA_OK && *out && i < 2 && family->files[i]; i++)
        rc = has_file(out, folder, family->files[i], err);
    return rc;
}

/* PreTrainedTokenizerFast, or its later name, stands for any tokenizer.json. */
static enum prilora_status by_class(struct pl_source *source, struct prilora_error *err)
{
    const char *class = json_string_value(json_object_get(source->config, "tokenizer_class"));

    if (!class || strcmp(class, "PreTrainedTokenizerFast") == 0 ||
        strcmp(class, "TokenizersBackend") == 0)
        return PRILORA_OK;
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (pl_family_names(families[i].classes, class, "Fast"))
            source->family = &families[i];
    if (source->family)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EUNSUPPORTED,
                   "%s/tokenizer_config.json: tokenizer_class \"%.60s\" is not supported: "
                   "only " READ_CLASSES " are",
                   source->folder, class);
}

static enum prilora_status by_model_type(struct pl_source *source, struct prilora_error *err)
{
    json_t *config = NULL;
    enum prilora_status rc =
        pl_json_file(&config, source->folder, "config.json", PL_MAX_JSON_BYTES, NULL, err);
    const char *type = json_string_value(json_object_get(config, "model_type"));

    for (size_t i = 0; type && i < N_FAMILIES; i++)
        if (pl_family_names(families[i].model_types, type, ""))
            source->family = &families[i];
    json_decref(config);
    return rc;
}

static enum prilora_status by_files(struct pl_source *source, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; rc == PRILORA_OK && !source->family && i < N_FAMILIES; i++) {
        bool found = false;

        rc = has_files(&found, source->folder, &families[i], err);
        if (found)
            source->family = &families[i];
    }
    return rc;
}

static bool reads(const struct pl_family *family, const char *type)
{
    return family && type && family->kind->model && strcmp(type, family->kind->model) == 0;
}

/* The family that was told, if it reads the model in tokenizer.json, else the first that does. */
static enum prilora_status by_whole(struct pl_source *source, struct prilora_error *err)
{
    const char *type =
        json_string_value(json_object_get(json_object_get(source->whole, "model"), "type"));

    if (reads(source->family, type))
        return PRILORA_OK;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (!reads(&families[i], type))
            continue;
        source->family = &families[i];
        return PRILORA_OK;
    }
    return pl_fail(err, PRILORA_EUNSUPPORTED,
                   "%s/tokenizer.json: a model of type \"%.40s\"; only WordPiece and BPE are read "
                   "from there: %s is needed",
                   source->folder, type ? type : "(none)",
                   source->family ? source->family->files[0]
                                  : "spm.model or sentencepiece.bpe.model");
}

static enum prilora_status nothing(const struct pl_source *source, struct prilora_error *err)
{
    const struct pl_family *f = source->family;

    if (!f)
        return pl_fail(err, PRILORA_ENOENT,
                       "%s: no tokenizer: there is no spm.model, vocab.txt, vocab.json with "
                       "merges.txt, sentencepiece.bpe.model or tokenizer.json",
                       source->folder);
    return pl_fail(err, PRILORA_ENOENT, "%s: no tokenizer: %s needs %s%s%s%s", source->folder,
                   f->model_types, f->files[0], f->files[1] ? " and " : "",
                   f->files[1] ? f->files[1] : "", f->kind->model ? ", or tokenizer.json" : "");
}

enum prilora_status pl_family_choose(struct pl_source *source, struct prilora_error *err)
{
    enum prilora_status rc = by_class(source, err);
    bool found = false;

    if (rc == PRILORA_OK && !source->family)
        rc = by_model_type(source, err);
    if (rc == PRILORA_OK && !source->family)
        rc = by_files(source, err);
    if (rc == PRILORA_OK && source->family)
        rc = has_files(&found, source->folder, source->family, err);
    if (rc != PRILORA_OK || found)
        return rc;
    rc = pl_json_file(&source->whole, source->folder, "tokenizer.json", PL_MAX_TOKENIZER_BYTES,
                      source->digest, err);
    if (rc == PRILORA_OK)
        rc = source->whole ? by_whole(source, err) : nothing(source, err);
    return rc;
}
