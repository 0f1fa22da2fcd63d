/* fuzz_prediction.c - any bytes as the body of a request for predictions; one that is accepted is
 * answered as if every text had the same values. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/prediction_codec.h"
#include "api/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill_tags(struct prediction *p)
{
    p->tags = calloc(p->n, sizeof *p->tags);
    assert(p->tags);
    for (size_t i = 0; i < p->n; i++) { /* its first word is all there is of it, and an entity */
        const struct prilora_text *text = &p->texts[i];
        size_t size = text->words ? text->words[0].size : text->text_size;
        struct prilora_tagging *t = &p->tags[i];

        t->words = calloc(1, sizeof *t->words);
        t->entities = calloc(1, sizeof *t->entities);
        assert(t->words && t->entities);
        t->n_words = t->n_entities = 1;
        t->words[0] = (struct prilora_tag){.end = 1, .size = size, .label = i % 3 ? 1 : SIZE_MAX};
        t->entities[0] = (struct prilora_entity){strdup("PER"), 0, 1, 0, 1, 0.5};
    }
}

/* The whole context, and that there is no answer; to the last of several nothing at all. */
static void fill_answers(struct prediction *p)
{
    p->answers = calloc(p->n, sizeof *p->answers);
    assert(p->answers);
    for (size_t i = 0; i < p->n; i++) {
        struct prilora_answering *a = &p->answers[i];

        a->answers = calloc(2, sizeof *a->answers);
        assert(a->answers);
        a->n_answers = p->n > 1 && i + 1 == p->n ? 0 : 2;
        a->answers[0].size = p->texts[i].pair_size;
    }
}

/* What every text is answered with. */
static void fill(struct prediction *p, enum prilora_task task)
{
    p->info.task = task;
    p->info.n_labels = task == PRILORA_TASK_REGRESSION ? 1 : 2;
    p->out = calloc(p->n, sizeof *p->out);
    assert(p->out);
    if (task == PRILORA_TASK_TOKEN_CLASSIFICATION) {
        fill_tags(p);
    } else if (task == PRILORA_TASK_QUESTION_ANSWERING) {
        fill_answers(p);
    } else {
        p->values = calloc(p->n, 2 * sizeof *p->values);
        assert(p->values);
    }
}

static void answer(const struct prediction_request *request, enum prilora_task task)
{
    static char first[] = "a", second[] = "b\"\n";
    char *labels[2] = {first, second};
    struct prediction p = {.n = request->n, .texts = request->texts, .labels = labels};
    struct json_out out = {0};
    json_t *shown;

    fill(&p, task);
    prediction_encode(&out, request->model, &p, request->top_k);
    assert(!out.failed);
    shown = json_loadb(out.text, out.n, JSON_REJECT_DUPLICATES, NULL);
    assert(json_array_size(json_object_get(shown, "data")) == request->n);
    json_decref(shown);
    json_out_clear(&out);
    for (size_t i = 0; p.tags && i < p.n; i++)
        prilora_tagging_clear(&p.tags[i]);
    for (size_t i = 0; p.answers && i < p.n; i++)
        prilora_answering_clear(&p.answers[i]);
    free(p.tags);
    free(p.answers);
    free(p.out);
    free(p.values);
}

static void check_fault(const struct fault *fault)
{
    assert(fault->status >= 400 && fault->code && fault->message[0]);
    assert(utf8_valid(fault->message, strlen(fault->message)));
    assert(utf8_valid(fault->param, strlen(fault->param)));
    assert(utf8_valid(fault->pointer, strlen(fault->pointer)));
}

static void check_texts(const struct prediction_request *request, enum prilora_task task)
{
    const bool answers = task == PRILORA_TASK_QUESTION_ANSWERING;

    assert(request->n >= 1 && request->n <= PREDICTION_MAX_INPUTS);
    assert(request->top_k >= 1 && request->top_k <= (answers ? PREDICTION_BEST : 1000));
    for (size_t i = 0; i < request->n; i++) {
        const struct prilora_text *text = &request->texts[i];

        assert(text->words || (text->text && utf8_valid(text->text, text->text_size)));
        assert(!answers || (text->pair && utf8_valid(text->pair, text->pair_size)));
        for (size_t k = 0; k < text->n_words; k++)
            assert(utf8_valid(text->words[k].text, text->words[k].size));
    }
}

/* Read and answered for each of the tasks. */
static void try_task(const uint8_t *data, size_t size, enum prilora_task task)
{
    struct prediction_request request;
    struct fault fault = {0};

    if (!prediction_decode((const char *)data, size, &request, &fault)) {
        check_fault(&fault);
        return;
    }
    assert(request.model && request.top_k <= 1000);
    if (prediction_decode_input(&request, task, &fault)) {
        check_texts(&request, task);
        if (request.n <= 8) /* more are more of the same, and slow */
            answer(&request, task);
    } else {
        check_fault(&fault);
    }
    prediction_request_clear(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_task(data, size, PRILORA_TASK_CLASSIFICATION);
    try_task(data, size, PRILORA_TASK_REGRESSION);
    try_task(data, size, PRILORA_TASK_MULTI_LABEL);
    try_task(data, size, PRILORA_TASK_TOKEN_CLASSIFICATION);
    try_task(data, size, PRILORA_TASK_QUESTION_ANSWERING);
    return 0;
}
