/* prediction_encode.c - see prediction_codec.h. */
#include <stdlib.h>
#include <string.h>

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
static void encode_values(struct json_out *out, const struct prediction *p, size_t i, size_t top_k,
                          struct ranked *ranked)
{
    const double *values = p->values + i * p->info.n_labels;

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
}

/* ---- text ---- */

/* `size` bytes of a text. */
static void encode_piece(struct json_out *out, const char *name, const char *text, size_t size)
{
    char *piece = malloc(size + 1);

    if (!piece) {
        out->failed = true;
        return;
    }
    memcpy(piece, text, size);
    piece[size] = '\0';
    json_out_text(out, name, piece);
    free(piece);
}

/* ---- words ---- */

/* Words first to end - 1 as they stand in the text; of words that were given with spaces between.
 */
static void encode_span(struct json_out *out, const char *name, const struct prilora_text *text,
                        const struct prilora_tagging *tags, size_t first, size_t end)
{
    const struct prilora_tag *last = &tags->words[end - 1];
    const size_t begin = tags->words[first].byte;
    size_t size = 0, n = 0;
    char *span;

    if (!text->words) {
        encode_piece(out, name, text->text + begin, last->byte + last->size - begin);
        return;
    }
    for (size_t i = first; i < end; i++)
        size += text->words[i].size + 1;
    span = malloc(size + 1);
    if (!span) {
        out->failed = true;
        return;
    }
    for (size_t i = first; i < end; i++) {
        memcpy(span + n, text->words[i].text, text->words[i].size);
        n += text->words[i].size;
        span[n++] = ' ';
    }
    span[n > 0 ? n - 1 : 0] = '\0';
    json_out_text(out, name, span);
    free(span);
}

static void encode_entities(struct json_out *out, const struct prilora_text *text,
                            const struct prilora_tagging *tags)
{
    json_out_open(out, "entities", '[');
    for (size_t i = 0; i < tags->n_entities; i++) {
        const struct prilora_entity *entity = &tags->entities[i];

        json_out_open(out, NULL, '{');
        json_out_text(out, "label", entity->type);
        encode_span(out, "text", text, tags, entity->first, entity->end);
        json_out_integer(out, "start", (int64_t)entity->start);
        json_out_integer(out, "end", (int64_t)entity->end_of_text);
        json_out_real(out, "score", entity->score);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
}

static void encode_words(struct json_out *out, const struct prediction *p, size_t i)
{
    const struct prilora_tagging *tags = &p->tags[i];

    json_out_open(out, "words", '[');
    for (size_t k = 0; k < tags->n_words; k++) {
        const struct prilora_tag *tag = &tags->words[k];
        const bool tagged = tag->label < p->info.n_labels;

        json_out_open(out, NULL, '{');
        encode_span(out, "word", &p->texts[i], tags, k, k + 1);
        json_out_integer(out, "start", (int64_t)tag->start);
        json_out_integer(out, "end", (int64_t)tag->end);
        json_out_text(out, "tag", tagged ? p->labels[tag->label] : NULL);
        if (tagged)
            json_out_real(out, "score", tag->score);
        else
            json_out_null(out, "score");
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
}

/* ---- answers ---- */

static void encode_answer(struct json_out *out, const struct prilora_text *text,
                          const struct prilora_answer *answer)
{
    encode_piece(out, "answer", text->pair + answer->byte, answer->size);
    json_out_integer(out, "start", (int64_t)answer->start);
    json_out_integer(out, "end", (int64_t)answer->end);
    json_out_real(out, "score", answer->score);
}

/* The best one, then all that were asked for; a context of no tokens has none. */
static void encode_answers(struct json_out *out, const struct prilora_text *text,
                           const struct prilora_answering *found, size_t top_k)
{
    static const struct prilora_answer none = {0};

    encode_answer(out, text, found->n_answers ? &found->answers[0] : &none);
    json_out_open(out, "answers", '[');
    for (size_t k = 0; k < found->n_answers && k < top_k; k++) {
        json_out_open(out, NULL, '{');
        encode_answer(out, text, &found->answers[k]);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
    json_out_integer(out, "n_windows", (int64_t)found->n_windows);
}

/* ---- all of it ---- */

static void encode_one(struct json_out *out, const struct prediction *p, size_t i, size_t top_k,
                       struct ranked *ranked)
{
    json_out_open(out, NULL, '{');
    json_out_text(out, "object", "prediction");
    json_out_integer(out, "index", (int64_t)i);
    if (p->answers) {
        encode_answers(out, &p->texts[i], &p->answers[i], top_k);
    } else if (p->tags) {
        encode_entities(out, &p->texts[i], &p->tags[i]);
        encode_words(out, p, i);
    } else {
        encode_values(out, p, i, top_k, ranked);
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
