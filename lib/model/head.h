/*
 * head.h - the task head. Of sequences: first token, dropout, dense map, activation, dropout,
 * classifier; what it is called and where dropout is, the architecture says. Of tokens: dropout and
 * classifier, for each of them; of answers the same under another name, and in most architectures
 * without dropout. All of it is trained, but a dense map that came with the encoder (BERT's pooler)
 * stays as it is.
 */
#ifndef PL_HEAD_H
#define PL_HEAD_H

#include <stdint.h>

#include "adapter/layout.h"
#include "base/real.h"
#include "model/model.h"
#include "model/task.h"

struct pl_flow;

struct pl_head {
    const struct pl_head_kind *kind;
    size_t inner, n_outputs;
    bool dense_trained;
    size_t dense_weight, dense_bias, weight, bias; /* offsets in a block */
    double dense_dropout, dropout;
    const struct pl_activation_map *activation;
};

/* [n_sequences, inner] each. Of tokens: `dropped` alone, [n, inner], NULL without dropout. */
struct pl_head_scratch {
    pl_real *first;   /* first tokens after dropout */
    pl_real *before;  /* dense map before its activation */
    pl_real *pooled;  /* after it */
    pl_real *dropped; /* and after dropout */
    pl_real *gradient;
    pl_real *logits, *dlogits; /* [n_sequences or n, n_outputs] */
};

struct pl_head_kind {
    /* Module path of the map to the logits; NULL: the architecture's classifier. */
    const char *path;
    /* Before that map, unless the settings say it. */
    double (*dropout)(const struct pl_model *model, double hidden_dropout);
    /* Appends the head's tensors to the layout. */
    enum prilora_status (*plan)(struct pl_head *head, struct pl_layout *layout,
                                const struct pl_model *model, size_t n_outputs,
                                struct prilora_error *err);
    /* True if all of it comes from the checkpoint. */
    bool (*init)(const struct pl_head *head, const struct pl_model *model, pl_real *params,
                 uint64_t seed);
    /* Logits of the share in ws->head.logits, from the last hidden state x [n, hidden]. */
    void (*forward)(const struct pl_flow *flow, const pl_real *x);
    /* From ws->head.dlogits: gradients of the head, and d of x: [n, hidden], or, of sequences,
     * [n_sequences, hidden] of their first tokens; no other one has any. */
    void (*backward)(const struct pl_flow *flow, const pl_real *x, pl_real *d);
};

extern const struct pl_head_kind pl_head_of_sequences, pl_head_of_tokens, pl_head_of_answers;

/* Module paths in every one of Hugging Face's ...ForTokenClassification, ...ForQuestionAnswering.
 */
#define PL_HEAD_OF_TOKENS  "classifier"
#define PL_HEAD_OF_ANSWERS "qa_outputs"

/* Module path of a head's map to the logits in that model. */
const char *pl_head_path(const struct pl_head_kind *kind, const struct pl_model *model);

#endif
