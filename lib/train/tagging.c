/*
 * tagging.c - an opened adapter of token classification and texts whose words it tags. Texts are
 * computed some at a time, as in predict.c.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tok/utf8.h"
#include "train/predict.h"
#include "train/spec.h"

/* The words of the texts that are computed now. */
struct words {
    struct prilora_word *list; /* [room] */
    size_t *firsts;            /* [room] rows of logits; SIZE_MAX: none */
    size_t n, room;
    size_t begins[PL_PREDICT_SEQUENCES + 1]; /* of each text */
};

static bool add_word(struct words *w, const char *text, size_t size)
{
    size_t room = w->room + w->room / 2 + 256;
    struct prilora_word *list;
    size_t *firsts;

    if (w->n == w->room) {
        list = pl_realloc(w->list, room, sizeof *list);
        w->list = list ? list : w->list;
        firsts = pl_realloc(w->firsts, room, sizeof *firsts);
        w->firsts = firsts ? firsts : w->firsts;
        if (!list || !firsts)
            return false;
        w->room = room;
    }
    w->list[w->n++] = (struct prilora_word){text, size};
    return true;
}

/* Bytes up to white space, or to the end. */
static size_t word_size(const char *text, size_t size)
{
    size_t n = 0;

    while (n < size) {
        uint32_t code;
        bool valid;
        size_t bytes = pl_utf8_next(text + n, size - n, &code, &valid);

        if (pl_utf8_is_space(code))
            break;
        n += bytes;
    }
    return n;
}

static bool cut_text(struct words *w, const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t n = word_size(text + at, size - at);

        if (n && !add_word(w, text + at, n))
            return false;
        at += n;
        at += pl_utf8_spaces_at_start(text + at, size - at);
    }
    return true;
}

/* All of one text, behind those of the others. */
static enum prilora_status take_words(struct words *w, const struct prilora_text *text,
                                      struct prilora_error *err)
{
    size_t total = text->words ? 0 : text->text_size;
    bool enough = true;

    for (size_t i = 0; text->words && i < text->n_words && total <= PRILORA_MAX_TEXT_BYTES; i++)
        total += text->words[i].size;
    if (total > PRILORA_MAX_TEXT_BYTES)
        return pl_fail(err, PRILORA_ELIMIT, "a text of %zu bytes or more, but at most %zu are read",
                       total, PRILORA_MAX_TEXT_BYTES);
    if (!text->words)
        enough = cut_text(w, text->text, text->text_size);
    for (size_t i = 0; text->words && enough && i < text->n_words; i++)
        enough = add_word(w, text->words[i].text, text->words[i].size);
    return enough ? PRILORA_OK : pl_fail(err, PRILORA_ENOMEM, "no memory for the words of a text");
}

/* As many texts as are computed together, from texts[first] on; *n tells how many. */
static enum prilora_status encode(struct prilora_adapter *a, struct words *w,
                                  const struct prilora_text *texts, size_t first, size_t end,
                                  struct prilora_tagging *out, size_t *n, struct prilora_error *err)
{
    a->ids.n = 0;
    w->n = 0;
    for (*n = 0; first + *n < end && *n < PL_PREDICT_SEQUENCES && a->ids.n < PL_PREDICT_TOKENS;
         ++*n) {
        struct prilora_tagging *to = &out[first + *n];
        enum prilora_status rc = take_words(w, &texts[first + *n], err);
        const size_t begin = w->begins[*n];

        if (rc == PRILORA_OK)
            rc = pl_tokenizer_encode_words(a->base->tokenizer, &a->ids, w->list + begin,
                                           w->n - begin, a->labels.max_length, w->firsts + begin,
                                           &to->truncated, err);
        if (rc != PRILORA_OK) {
            snprintf(err->where, sizeof err->where, "/%zu", first + *n);
            return rc;
        }
        to->n_tokens = a->ids.n - a->starts[*n];
        a->starts[*n + 1] = a->ids.n;
        w->begins[*n + 1] = w->n;
    }
    return PRILORA_OK;
}

/* ---- what the logits say ------------------------------------------------------------------ */

static void choose(struct prilora_tag *tag, const pl_real *z, size_t n)
{
    double sum = 0;

    tag->label = 0;
    for (size_t k = 1; k < n; k++)
        if (z[k] > z[tag->label])
            tag->label = k;
    for (size_t k = 0; k < n; k++)
        sum += exp((double)z[k] - (double)z[tag->label]);
    tag->score = 1 / sum;
}

/* Where the words stand: in the text, or, if they were given, with a space between two. */
static void place_words(struct prilora_tagging *out, const struct prilora_word *words,
                        const struct prilora_text *text)
{
    size_t at = 0, byte = 0;

    for (size_t i = 0; i < out->n_words; i++) {
        struct prilora_tag *tag = &out->words[i];

        tag->size = words[i].size;
        if (text->words) {
            at += i > 0;
        } else {
            tag->byte = (size_t)(words[i].text - text->text);
            at += pl_utf8_count(text->text + byte, tag->byte - byte);
            byte = tag->byte + tag->size;
        }
        tag->start = at;
        at += pl_utf8_count(words[i].text, words[i].size);
        tag->end = at;
    }
}

/* numbers: of the words that have labels, which the entity counts. */
static bool add_entity(struct prilora_tagging *out, const struct pl_entity *entity,
                       const size_t *numbers, const struct pl_tag *tags)
{
    struct prilora_entity *more =
        pl_realloc(out->entities, out->n_entities + 1, sizeof *out->entities);
    struct prilora_entity *to;

    if (!more)
        return false;
    out->entities = more;
    to = &more[out->n_entities];
    *to = (struct prilora_entity){.type = pl_strdup(tags[entity->type].name),
                                  .first = numbers[entity->first],
                                  .end = numbers[entity->end - 1] + 1};
    if (!to->type)
        return false;
    out->n_entities++;
    to->start = out->words[to->first].start;
    to->end_of_text = out->words[to->end - 1].end;
    for (size_t i = entity->first; i < entity->end; i++)
        to->score += out->words[numbers[i]].score / (double)(entity->end - entity->first);
    return true;
}

/* Words without a tag are passed over, as evaluations do. */
static bool find_entities(struct prilora_tagging *out, const struct pl_tag *tags)
{
    uint32_t *labels = pl_calloc(out->n_words + 1, sizeof *labels);
    size_t *numbers = pl_calloc(out->n_words + 1, sizeof *numbers), n = 0, at = 0;
    bool enough = labels && numbers;
    struct pl_entity entity;

    for (size_t i = 0; enough && i < out->n_words; i++) {
        if (out->words[i].label == SIZE_MAX)
            continue;
        labels[n] = (uint32_t)out->words[i].label;
        numbers[n++] = i;
    }
    while (enough && pl_entity_next(&entity, tags, labels, n, &at))
        enough = add_entity(out, &entity, numbers, tags);
    free(labels);
    free(numbers);
    return enough;
}

static enum prilora_status decode(const struct prilora_adapter *a, const struct words *w, size_t i,
                                  const struct prilora_text *text, struct prilora_tagging *out,
                                  struct prilora_error *err)
{
    const size_t begin = w->begins[i];

    out->n_words = w->begins[i + 1] - begin;
    out->words = pl_calloc(out->n_words + 1, sizeof *out->words);
    if (!out->words) {
        out->n_words = 0;
        return pl_fail(err, PRILORA_ENOMEM, "no memory for the words of a text");
    }
    place_words(out, w->list + begin, text);
    for (size_t k = 0; k < out->n_words; k++) {
        const size_t row = w->firsts[begin + k];

        out->words[k].label = SIZE_MAX;
        if (row != SIZE_MAX)
            choose(&out->words[k], a->logits + row * a->labels.n, a->labels.n);
    }
    return find_entities(out, a->tags)
               ? PRILORA_OK
               : pl_fail(err, PRILORA_ENOMEM, "no memory for the entities of a text");
}

/* ---- all texts ---------------------------------------------------------------------------- */

void prilora_tagging_clear(struct prilora_tagging *tagging)
{
    for (size_t i = 0; i < tagging->n_entities; i++)
        free(tagging->entities[i].type);
    free(tagging->entities);
    free(tagging->words);
    *tagging = (struct prilora_tagging){0};
}

enum prilora_status prilora_adapter_tag(struct prilora_adapter *adapter,
                                        const struct prilora_text *texts, size_t n,
                                        const atomic_int *stop, struct prilora_tagging *out,
                                        struct prilora_error *err)
{
    struct words *w = pl_calloc(1, sizeof *w);
    struct prilora_error local;
    enum prilora_status rc = PRILORA_OK;
    size_t some;

    err = err ? err : &local;
    memset(out, 0, n * sizeof *out);
    if (!adapter->tags)
        rc = pl_fail(err, PRILORA_EINVAL, "the adapter's task is %s: it tags no words",
                     pl_task_word(adapter->labels.task));
    else if (!w)
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory for the words of texts");
    for (size_t done = 0; rc == PRILORA_OK && done < n; done += some) {
        rc = encode(adapter, w, texts, done, n, out, &some, err);
        if (rc == PRILORA_OK) {
            const struct pl_batch batch = pl_adapter_batch(adapter, some);

            rc = pl_adapter_compute(adapter, &batch, stop, err);
        }
        for (size_t i = 0; rc == PRILORA_OK && i < some; i++)
            rc = decode(adapter, w, i, &texts[done + i], &out[done + i], err);
    }
    for (size_t i = 0; rc != PRILORA_OK && i < n; i++)
        prilora_tagging_clear(&out[i]);
    if (w) {
        free(w->list);
        free(w->firsts);
    }
    free(w);
    return rc;
}
