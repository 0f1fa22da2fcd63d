/* prediction_encode.c - see prediction_codec.h. */
#include <stdlib.h>

#include "api/prediction_codec.h"

#define THRESHOLD 0.5 /* above it, a label of several is one of the text's */

struct ranked {
    double probability;
    size_t label;
};

/* Descending; of equal ones the lower label first. */
static int by_probability(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->probability != y->probability)
        return x->probability > y->probability ? -1 : 1;
    return x->label < y->label ? -1 : x->label > y->label;
}

static void encode_probabilities(struct json_out *out, const struct prediction *p,
                                 const struct ranked *ranked, size_t top_k)
{
    json_out_open(out, "probabilities", '[');
    for (size_t k = 0; k < p->info.n_labels && k < top_k; k++) {
        json_out_open(out, NULL, '{');
        json_out_text(out, "label", p->labels[ranked[k].label]);
        json_out_real(out, "probability", ranked[k].probability);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
}

static void encode_labels(struct json_out *out, const struct prediction *p,
                          const struct ranked *ranked)
{
    json_out_open(out, "labels", '[');
    for (size_t k = 0; k < p->info.n_labels && ranked[k].probability > THRESHOLD; k++)
        json_out_text(out, NULL, p->labels[ranked[k].label]);
    json_out_close(out, ']');
}

/* `ranked` has room for all labels. */
static void encode_one(struct json_out *out, const struct prediction *p, size_t i, size_t top_k,
                       struct ranked *ranked)
{
    const double *values = p->values + i * p->info.n_labels;

    json_out_open(out, NULL, '{');
    json_out_text(out, "object", "prediction");
    json_out_integer(out, "index", (int64_t)i);
    if (p->info.task == PRILORA_TASK_REGRESSION) {
        json_out_real(out, "value", values[0]);
    } else {
        for (size_t k = 0; k < p->info.n_labels; k++)
            ranked[k] = (struct ranked){values[k], k};
        qsort(ranked, p->info.n_labels, sizeof *ranked, by_probability);
        if (p->info.task == PRILORA_TASK_MULTI_LABEL) {
            encode_labels(out, p, ranked);
        } else {
            json_out_text(out, "label", p->labels[ranked[0].label]);
            json_out_real(out, "score", ranked[0].probability);
        }
        encode_probabilities(out, p, ranked, top_k);
    }
    json_out_bool(out, "truncated", p->out[i].truncated);
    json_out_close(out, '}');
}

void prediction_encode(struct json_out *out, const char *model, const struct prediction *prediction,
                       size_t top_k)
{
    struct ranked *ranked = calloc(prediction->info.n_labels, sizeof *ranked);
    int64_t n_tokens = 0;

    if (!ranked) {
        out->failed = true;
        return;
    }
    json_out_open(out, NULL, '{');
    json_out_text(out, "object", "list");
    json_out_text(out, "model", model);
    json_out_open(out, "data", '[');
    for (size_t i = 0; i < prediction->n; i++) {
        encode_one(out, prediction, i, top_k, ranked);
        n_tokens += (int64_t)prediction->out[i].n_tokens;
    }
    json_out_close(out, ']');
    json_out_open(out, "usage", '{');
    json_out_integer(out, "total_tokens", n_tokens);
    json_out_close(out, '}');
    json_out_close(out, '}');
    free(ranked);
}
