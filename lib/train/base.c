/* base.c - the shared, read-only base of any number of runs, and data read with its tokenizer. */
#include "train/base.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/guard.h"
#include "base/memory.h"
#include "math/blas.h"
#include "tok/sentencepiece.h"
#include "train/dataset.h"

static void init(void)
{
    pl_blas_single_thread();
    pl_sentencepiece_wait_for_memory();
}

void prilora_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, init);
}

static enum prilora_status check_vocabulary(const struct prilora_base *base, const char *folder,
                                            struct prilora_error *err)
{
    size_t ids = pl_tokenizer_vocabulary(base->tokenizer), rows = base->model->config.vocab_size;

    if (ids <= rows)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EFORMAT,
                   "%s: the tokenizer makes ids up to %zu, but the model's vocab_size is %zu",
                   folder, ids - 1, rows);
}

enum prilora_status prilora_base_open(struct prilora_base **out, const char *folder,
                                      struct prilora_error *err)
{
    struct prilora_base *base = pl_calloc(1, sizeof *base);
    struct pl_digest digest;
    enum prilora_status rc;

    prilora_init();
    *out = NULL;
    if (!base)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    atomic_init(&base->references, 1);
    rc = pl_model_open(&base->model, folder, err);
    if (rc == PRILORA_OK)
        rc = pl_tokenizer_open(&base->tokenizer, folder, err);
    if (rc == PRILORA_OK)
        rc = check_vocabulary(base, folder, err);
    if (rc == PRILORA_OK)
        rc = prilora_base_check(base, err);
    if (rc != PRILORA_OK) {
        prilora_base_close(base);
        return rc;
    }
    pl_digest_init(&digest);
    pl_digest_add(&digest, base->model->fingerprint, strlen(base->model->fingerprint));
    pl_digest_add(&digest, pl_tokenizer_fingerprint(base->tokenizer),
                  strlen(pl_tokenizer_fingerprint(base->tokenizer)));
    pl_digest_hex(&digest, base->fingerprint);
    pl_give_back(); /* a vocabulary in JSON took several times what stays of it */
    *out = base;
    return PRILORA_OK;
}

struct prilora_base *prilora_base_ref(struct prilora_base *base)
{
    atomic_fetch_add_explicit(&base->references, 1, memory_order_relaxed);
    return base;
}

void prilora_base_close(struct prilora_base *base)
{
    if (!base || atomic_fetch_sub_explicit(&base->references, 1, memory_order_acq_rel) != 1)
        return;
    pl_tokenizer_close(base->tokenizer);
    pl_model_close(base->model);
    free(base);
}

enum prilora_status prilora_base_check(const struct prilora_base *base, struct prilora_error *err)
{
    return pl_tensors_check(base->model->tensors, err);
}

bool prilora_mend_map(const void *address)
{
    return pl_guard_mend(address);
}

void prilora_base_describe(const struct prilora_base *base, struct prilora_base_info *info)
{
    const struct pl_model *model = base->model;
    const struct pl_config *config = &model->config;

    *info = (struct prilora_base_info){
        .hidden_size = config->hidden_size,
        .n_layers = config->num_hidden_layers,
        .n_heads = config->num_attention_heads,
        .intermediate_size = config->intermediate_size,
        .vocab_size = config->vocab_size,
        .max_positions = pl_model_max_length(model),
        .n_parameters = model->n_parameters,
        .resident_bytes = model->resident_bytes,
        .mapped_bytes = model->mapped_bytes,
        .n_unused = model->n_unused,
    };
    snprintf(info->model_type, sizeof info->model_type, "%s", config->model_type);
    memcpy(info->fingerprint, base->fingerprint, sizeof info->fingerprint);
}

const char *prilora_base_unused(const struct prilora_base *base, size_t i)
{
    return i < base->model->n_unused ? base->model->unused[i] : NULL;
}

enum prilora_status prilora_dataset_read(struct prilora_dataset **out,
                                         const struct prilora_base *base, const char *path,
                                         const struct prilora_dataset_options *options,
                                         struct prilora_error *err)
{
    struct prilora_dataset_options capped = *options;
    size_t limit = pl_model_max_length(base->model);

    if (capped.max_length == 0 || capped.max_length > limit)
        capped.max_length = limit;
    return pl_dataset_read(out, base->tokenizer, path, &capped, err);
}
