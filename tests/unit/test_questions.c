/*
 * test_questions.c - data of question answering: rows of both forms and what is wrong with them,
 * windows, targets, splitting, the saved form whole and damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "support/asked.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/base.h"
#include "train/dataset.h"
#include "train/measure.h"
#include "train/preview.h"
#include "train/questions.h"

static struct prilora_base *base;

static int open_group(void **state)
{
    struct prilora_error err;

    if (test_scratch_open(state) != 0)
        return -1;
    test_must(prilora_base_open(&base, "examples/prilora-mini-en", &err), &err);
    return 0;
}

static int close_group(void **state)
{
    prilora_base_close(base);
    return test_scratch_close(state);
}

static enum prilora_status parse(struct prilora_dataset **out, const char *name, const char *text,
                                 size_t max_length, size_t stride, struct prilora_error *err)
{
    const struct prilora_dataset_options options = {.max_length = max_length,
                                                    .doc_stride = stride,
                                                    .name = name};

    return pl_dataset_parse(out, base->tokenizer, text, strlen(text), &options, err);
}

static struct prilora_dataset *parse_well(const char *name, const char *text, size_t max_length,
                                          size_t stride)
{
    struct prilora_dataset *d;
    struct prilora_error err;

    test_must(parse(&d, name, text, max_length, stride, &err), &err);
    return d;
}

static struct prilora_dataset *parse_asked(const struct test_asked *asked, size_t max_length)
{
    char *text = test_asked(asked);
    struct prilora_dataset *d =
        parse_well(asked->format == TEST_ASKED_SQUAD ? "a.json" : "a.jsonl", text, max_length, 0);

    free(text);
    return d;
}

/* What a window's target says, cut out of the context; "": the first token. */
static const char *target_of(const struct prilora_dataset *d, size_t question, size_t i)
{
    static char text[200];
    const struct pl_questions *q = d->questions;
    const size_t w = q->list[question].window + i;
    const size_t first = (size_t)d->targets[2 * w], last = (size_t)d->targets[2 * w + 1];
    const struct pl_window *window = &q->windows[w];
    size_t n;
    const struct pl_span *spans = pl_questions_spans(q, q->list[question].context, &n);

    text[0] = '\0';
    assert_true(i < q->list[question].n_windows);
    if (!first) {
        assert_true(last == 0);
        return text;
    }
    spans += window->first;
    snprintf(text, sizeof text, "%.*s",
             (int)(spans[last - window->at].end - spans[first - window->at].begin),
             pl_texts_at(&q->contexts, q->list[question].context) +
                 spans[first - window->at].begin);
    return text;
}

/* Of the first window of a question of each. */
static void assert_same_target(const struct prilora_dataset *a, size_t of_a,
                               const struct prilora_dataset *b, size_t of_b)
{
    char *want = strdup(target_of(b, of_b, 0));

    assert_string_equal(target_of(a, of_a, 0), want);
    free(want);
}

/* ---- windows ---- */

/*
 * By hand: 20 tokens, 3 special ones and 5 of the question leave 12; the stride of 4 makes steps of
 * 8. Of 30 tokens the windows are 0-11, 8-19, 16-27 and 24-29.
 */
static void windows_share_the_stride(void **state)
{
    struct pl_windows w;
    struct prilora_error err;

    (void)state;
    test_must(pl_windows_plan(&w, 3, 20, 4, 5, 30, &err), &err);
    assert_int_equal(w.question, 5);
    assert_int_equal(w.room, 12);
    assert_int_equal(w.step, 8);
    assert_int_equal(w.n, 4);
    test_must(pl_windows_plan(&w, 3, 20, 4, 5, 12, &err), &err);
    assert_int_equal(w.n, 1);
    test_must(pl_windows_plan(&w, 3, 20, 4, 5, 13, &err), &err);
    assert_int_equal(w.n, 2);
    test_must(pl_windows_plan(&w, 3, 20, 4, 5, 0, &err), &err);
    assert_int_equal(w.n, 1);
    test_must(pl_windows_plan(&w, 3, 20, 4000, 5, 30, &err), &err);
    assert_int_equal(w.step, 6); /* half of 12 are shared, no more */
    test_must(pl_windows_plan(&w, 3, 384, 0, 70, 1000, &err), &err);
    assert_int_equal(w.question, 64);
    assert_int_equal(w.room, 317);
    assert_int_equal(w.step, 317 - 128);
    test_must(pl_windows_plan(&w, 3, 23, 0, 70, 1000, &err), &err);
    assert_int_equal(w.question, 15); /* of 20: a fourth is the context's */
    assert_int_equal(w.room, 5);
    assert_int_equal(w.step, 5 - 2);
    assert_int_equal(pl_windows_stride(3, 384), 128);
    assert_int_equal(pl_windows_stride(3, 128), (125 - 64) / 2);
    assert_int_equal(pl_windows_plan(&w, 3, 4, 0, 1, 1, &err), PRILORA_EINVAL);
    assert_non_null(strstr(err.message, "max_length 4 leaves no room"));
}

static void bytes_of_an_answer_are_the_tokens_that_they_touch(void **state)
{
    /* "ab  c" and an empty token where white space ends, then "d" */
    static const struct pl_span spans[] = {{0, 1}, {1, 2}, {4, 4}, {4, 5}, {5, 6}};
    size_t first, last;

    (void)state;
    assert_true(pl_windows_tokens(spans, 5, 0, 2, &first, &last));
    assert_true(first == 0 && last == 1);
    assert_true(pl_windows_tokens(spans, 5, 1, 5, &first, &last));
    assert_true(first == 1 && last == 3);
    assert_true(pl_windows_tokens(spans, 5, 4, 6, &first, &last));
    assert_true(first == 3 && last == 4);
    assert_false(pl_windows_tokens(spans, 5, 2, 4, &first, &last));
    assert_false(pl_windows_tokens(spans, 5, 6, 9, &first, &last));
    assert_false(pl_windows_tokens(NULL, 0, 0, 9, &first, &last));
}

/* Each window is [CLS] question [SEP] piece [SEP], and all pieces are the context's tokens. */
static void windows_are_pieces_of_the_context(void **state)
{
    static const char text[] =
        "{\"question\": \"Where is the key?\", \"context\": \"It rained all day. Nobody said a "
        "word. Anna put the key under the bed. We had a long talk. The weather was very good.\", "
        "\"answers\": {\"text\": [\"under the bed\"], \"answer_start\": [57]}}\n";
    struct prilora_dataset *d = parse_well("a.jsonl", text, 22, 5);
    const struct pl_questions *q = d->questions;
    struct pl_ids question = {0}, context = {.located = true}, whole = {0};
    struct prilora_error err;
    size_t n_found = 0, end = 0;

    (void)state;
    assert_int_equal(d->task, PRILORA_TASK_QUESTION_ANSWERING);
    assert_int_equal(d->n_labels, 2);
    assert_int_equal(d->width, 2);
    assert_int_equal(q->n, 1);
    assert_true(d->n > 2);
    test_must(pl_tokenizer_encode_bare(base->tokenizer, &question, "Where is the key?", 17, &err),
              &err);
    test_must(pl_tokenizer_encode_bare(base->tokenizer, &context, pl_texts_at(&q->contexts, 0),
                                       pl_texts_size(&q->contexts, 0), &err),
              &err);
    for (size_t i = 0; i < d->n; i++) {
        const struct pl_window *w = &q->windows[i];
        const int32_t *ids = d->ids + d->starts[i];
        const size_t n = d->starts[i + 1] - d->starts[i];

        assert_int_equal(n, 3 + question.n + w->n);
        assert_true(n == 22 || (i + 1 == d->n && n < 22));
        assert_memory_equal(ids + 1, question.ids, question.n * sizeof *ids);
        assert_int_equal(w->at, 2 + question.n);
        assert_memory_equal(ids + w->at, context.ids + w->first, w->n * sizeof *ids);
        assert_int_equal(ids[n - 1], ids[question.n + 1]);
        assert_int_equal(d->type_ids[d->starts[i]], 0);
        assert_int_equal(d->type_ids[d->starts[i] + w->at], 1);
        if (i)
            assert_int_equal(w->first + 5, end); /* the stride */
        end = w->first + w->n;
        n_found += strcmp(target_of(d, 0, i), "under the bed") == 0;
        if (*target_of(d, 0, i))
            assert_string_equal(target_of(d, 0, i), "under the bed");
    }
    assert_int_equal(end, context.n);
    assert_int_equal(n_found, 1);
    /* one that fits is the pair as it is encoded otherwise */
    prilora_dataset_free(d);
    d = parse_well("a.jsonl", text, 128, 0);
    test_must(pl_tokenizer_encode(base->tokenizer, &whole, "Where is the key?", 17,
                                  pl_texts_at(&d->questions->contexts, 0),
                                  pl_texts_size(&d->questions->contexts, 0), 128, NULL, &err),
              &err);
    assert_int_equal(d->n, 1);
    assert_int_equal(d->starts[1], whole.n);
    assert_memory_equal(d->ids, whole.ids, whole.n * sizeof *whole.ids);
    assert_memory_equal(d->type_ids, whole.type_ids, whole.n);
    pl_ids_free(&question);
    pl_ids_free(&context);
    pl_ids_free(&whole);
    prilora_dataset_free(d);
}

/* Any three neighbouring words as the answer: it is the target of the windows that have all its
 * tokens, and of no other. */
static void an_answer_is_the_target_where_all_of_it_is(void **state)
{
    static const char context[] = "one two three four five six seven eight nine ten eleven twelve "
                                  "one two three four five six seven eight nine ten eleven twelve";
    size_t n_with = 0, n_without = 0;
    char text[600];

    (void)state;
    for (size_t begin = 0; begin < sizeof context - 1; begin++) {
        const char *end = context + begin;
        struct prilora_dataset *d;
        size_t n, first, last;
        const struct pl_span *spans;

        for (size_t k = 0; end && k < 3; k++)
            end = strchr(end + 1, ' ');
        if (!end || (begin && context[begin - 1] != ' '))
            continue;
        n = (size_t)(end - context) - begin;
        snprintf(text, sizeof text,
                 "{\"question\": \"q\", \"context\": \"%s\", \"answers\": [{\"text\": \"%.*s\", "
                 "\"answer_start\": %zu}]}",
                 context, (int)n, context + begin, begin);
        d = parse_well("a.jsonl", text, 16, 4);
        spans = pl_questions_spans(d->questions, 0, &n);
        assert_true(pl_windows_tokens(spans, n, begin, (size_t)(end - context), &first, &last));
        for (size_t i = 0; i < d->n; i++) {
            const struct pl_window *w = &d->questions->windows[i];
            const bool has = first >= w->first && last < (size_t)w->first + w->n;

            assert_int_equal(d->targets[2 * i], has ? w->at + first - w->first : 0);
            assert_int_equal(d->targets[2 * i + 1], has ? w->at + last - w->first : 0);
            n_with += has;
            n_without += !has;
        }
        prilora_dataset_free(d);
    }
    assert_true(n_with > 20 && n_without > 20);
}

static void a_long_question_is_cut(void **state)
{
    char text[2000] = "{\"question\": \"", *end = text + strlen(text);
    struct prilora_dataset *d;
    struct prilora_dataset_info info;

    (void)state;
    for (size_t i = 0; i < 100; i++)
        end += snprintf(end, 16, "a b ");
    snprintf(end, 200, "\", \"context\": \"x y z\", \"answers\": []}\n");
    d = parse_well("a.jsonl", text, 128, 0);
    prilora_dataset_describe(d, &info);
    assert_int_equal(info.n_truncated, 1);
    assert_int_equal(info.n_examples, 1);
    assert_int_equal(info.n_questions, 1);
    assert_int_equal(d->questions->windows[0].at, 2 + 64);
    assert_int_equal(info.majority, 0);
    assert_string_equal(prilora_dataset_label(d, 0), "start");
    assert_string_equal(prilora_dataset_label(d, 1), "end");
    prilora_dataset_free(d);
}

/* ---- rows ---- */

static void both_forms_say_the_same(void **state)
{
    static const char squad[] =
        "{\"version\": \"v2.0\", \"data\": [{\"title\": \"A\", \"paragraphs\": [\n"
        "{\"context\": \"The cat sleeps.\", \"qas\": [\n"
        "{\"id\": \"1\", \"question\": \"Who?\", \"answers\": [{\"text\": \"The cat\", "
        "\"answer_start\": 0}, {\"text\": \"cat\", \"answer_start\": 4}], \"is_impossible\": "
        "false},\n{\"id\": \"2\", \"question\": \"Where?\", \"answers\": [], "
        "\"is_impossible\": true, \"plausible_answers\": [{\"text\": \"x\", \"answer_start\": "
        "7}]}]},\n{\"qas\": [], \"context\": \"none\"}]}, {\"paragraphs\": []}, {\"paragraphs\": "
        "[{\"document_id\": 5, \"context\": \"A dog.\", \"qas\": [{\"question\": \"Who?\", "
        "\"answers\": [{\"answer_start\": 2, \"text\": \"dog\"}]}]}], \"title\": \"B\"}]}\n";
    static const char flat[] =
        "{\"id\": \"1\", \"title\": \"A\", \"question\": \"Who?\", \"context\": \"The cat "
        "sleeps.\", \"answers\": {\"text\": [\"The cat\", \"cat\"], \"answer_start\": [0, 4]}}\n"
        "{\"id\": null, \"question\": \"Where?\", \"context\": \"The cat sleeps.\", \"answers\": "
        "{\"text\": [], \"answer_start\": []}}\n"
        "{\"question\": \"Who?\", \"context\": \"A dog.\", \"answers\": {\"text\": [\"dog\"], "
        "\"answer_start\": [2]}}";
    char list[1000];
    struct prilora_dataset *d[3];

    (void)state;
    snprintf(list, sizeof list, " [%s]", flat);
    for (char *p = list; *p; p++)
        if (*p == '\n')
            *p = ',';
    d[0] = parse_well("a.json", squad, 64, 0);
    d[1] = parse_well("a.jsonl", flat, 64, 0);
    d[2] = parse_well("b.JSON", list, 64, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(d[i]->fingerprint, d[0]->fingerprint);
        assert_int_equal(d[i]->questions->n, 3);
        assert_int_equal(d[i]->questions->contexts.n, 2); /* the first one is there once */
        assert_int_equal(d[i]->questions->list[0].n_answers, 2);
        assert_int_equal(d[i]->questions->list[1].n_answers, 0);
        assert_string_equal(target_of(d[i], 0, 0), "The cat");
        assert_string_equal(target_of(d[i], 1, 0), "");
        assert_string_equal(target_of(d[i], 2, 0), "dog");
    }
    for (size_t i = 0; i < 3; i++)
        prilora_dataset_free(d[i]);
}

/* Code points, not bytes; up to two off, and white space around, as published files have it. */
static void answers_are_found_where_they_stand(void **state)
{
    static const struct {
        const char *answer;
        int start;
        const char *found; /* NULL: nowhere */
    } rows[] = {
        {"z\xC3\xBCrich", 5, "z\xC3\xBCrich"},
        {"z\xC3\xBCrich", 7, "z\xC3\xBCrich"},
        {"z\xC3\xBCrich", 3, "z\xC3\xBCrich"},
        {"z\xC3\xBCrich", 8, NULL},
        {"z\xC3\xBCrich", 2, NULL},
        {" z\xC3\xBCrich ", 4, "z\xC3\xBCrich"},
        {"end", 12, "end"},
        {"end", 13, "end"},
        {"ending", 12, NULL},
        {"\xC3\xA9t\xC3\xA9", 1, "\xC3\xA9t\xC3\xA9"},
    };
    char text[400];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct prilora_dataset *d = NULL;
        struct prilora_error err = {0};
        enum prilora_status rc;

        snprintf(text, sizeof text,
                 "{\"question\": \"q\", \"context\": \"\xC3\xA9t\xC3\xA9, z\xC3\xBCrich end\", "
                 "\"answers\": [{\"text\": \"%s\", \"answer_start\": %d}]}",
                 rows[i].answer, rows[i].start);
        rc = parse(&d, "a.jsonl", text, 64, 0, &err);
        if (rc != (rows[i].found ? PRILORA_OK : PRILORA_EDATA))
            fail_msg("row %zu: %s", i, err.message);
        if (rows[i].found)
            assert_string_equal(target_of(d, 0, 0), rows[i].found);
        prilora_dataset_free(d);
    }
}

#define ROW(question, context, rest)                                                               \
    "{\"question\": " question ", \"context\": " context ", " rest "}"
#define ANSWER(answers)      ROW("\"Who?\"", "\"The cat sleeps.\"", "\"answers\": " answers)
#define LISTS(texts, starts) ANSWER("{\"text\": " texts ", \"answer_start\": " starts "}")
#define PARAGRAPH(qas)                                                                             \
    "{\"data\": [{\"paragraphs\": [\n{\"context\": \"The cat\", \"qas\": [" qas "]}]}]}"

static void wrong_rows_say_what_is_wrong(void **state)
{
    static const struct {
        const char *name, *text, *where, *message;
    } rows[] = {
        {"a.jsonl", "{\"question\": \"a\", \"context\": \"b\"}", "a.jsonl:1",
         "no \"answers\": a list or an object of lists is expected"},
        {"a.jsonl", ROW("5", "\"b\"", "\"answers\": []"), "a.jsonl:1",
         "\"question\" is a number, a string is expected"},
        {"a.jsonl", ROW("\"a\"", "[]", "\"answers\": []"), "a.jsonl:1",
         "\"context\" is a list, a string is expected"},
        {"a.jsonl", ROW("\" \"", "\"b\"", "\"answers\": []"), "a.jsonl:1", "the question is empty"},
        {"a.jsonl", ROW("\"a\"", "\"\\n\"", "\"answers\": []"), "a.jsonl:1",
         "the context is empty"},
        {"a.jsonl", ANSWER("\"The cat\""), "a.jsonl:1",
         "\"answers\" is a string, a list or an object of lists is expected"},
        {"a.jsonl", ANSWER("null"), "a.jsonl:1", "\"answers\" is null"},
        {"a.jsonl", ANSWER("{}"), "a.jsonl:1", "no \"text\": a list is expected"},
        {"a.jsonl", LISTS("[\"cat\"]", "4"), "a.jsonl:1", "\"answer_start\" is a number, a list"},
        {"a.jsonl", LISTS("[\"cat\"]", "[4, 5]"), "a.jsonl:1", "1 answers, but 2 starts"},
        {"a.jsonl", LISTS("[5]", "[4]"), "a.jsonl:1", "answer 1: \"text\" is a number, a string"},
        {"a.jsonl", LISTS("[\"cat\", \"cat\"]", "[4, 4.0]"), "a.jsonl:1",
         "answer 2: \"answer_start\" is a number, an integer is expected"},
        {"a.jsonl", ANSWER("[{\"text\": \"cat\"}]"), "a.jsonl:1",
         "answer 1: \"answer_start\" is not there, an integer"},
        {"a.jsonl", ANSWER("[\"cat\"]"), "a.jsonl:1", "answer 1: \"text\" is not there, a string"},
        {"a.jsonl", LISTS("[\" \"]", "[4]"), "a.jsonl:1", "answer 1 is empty"},
        {"a.jsonl", LISTS("[\"cat\"]", "[-1]"), "a.jsonl:1",
         "answer 1, \"cat\", does not stand at -1 in the context"},
        {"a.jsonl", LISTS("[\"cat\"]", "[9223372036854775807]"), "a.jsonl:1",
         "does not stand at 9223372036854775807"},
        {"a.jsonl", LISTS("[\"cat\"]", "[16]"), "a.jsonl:1", "does not stand at 16"},
        {"a.jsonl", LISTS("[\"dog\"]", "[4]"), "a.jsonl:1", "\"dog\", does not stand at 4"},
        {"a.jsonl", ROW("\"a\"", "\"b\"", "\"answers\": [], \"id\": 7"), "a.jsonl:1",
         "\"id\" is a number, a string is expected"},
        {"a.jsonl", ROW("\"a\"", "\"b\"", "\"answers\": [], \"is_impossible\": 1"), "a.jsonl:1",
         "\"is_impossible\" is a number, true or false is expected"},
        {"a.jsonl",
         ROW("\"a\"", "\"b\"",
             "\"is_impossible\": true, \"answers\": [{\"text\": \"b\", \"answer_start\": 0}]"),
         "a.jsonl:1", "\"is_impossible\" is true, but there is an answer"},
        {"a.jsonl", ANSWER("[]") "\n" ANSWER("[]") "\n{\"text\": \"a\", \"label\": \"x\"}\n",
         "a.jsonl:3",
         "the row is a text, but the task is question_answering, which needs questions with "
         "contexts and answers"},
        {"a.jsonl",
         "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"y\"}\n" ANSWER("[]"),
         "a.jsonl:3", "the row is a question with a context, but the task is classification"},
        {"a.json", "{\"data\": [5]}", "a.json:1", "\"data\" is a list of objects"},
        {"a.json", "{\"data\": [{}]}", "a.json:1", "without a list \"paragraphs\""},
        {"a.json", "{\"data\": [\n\n{\"paragraphs\": 5}]}", "a.json:3",
         "without a list \"paragraphs\""},
        {"a.json", "{\"data\": [{\"paragraphs\": [\n5]}]}", "a.json:2",
         "a paragraph without a list \"qas\""},
        {"a.json", "{\"data\": [{\"paragraphs\": [{\"qas\": 5}]}]}", "a.json:1",
         "a paragraph without a list \"qas\""},
        {"a.json", PARAGRAPH("5"), "a.json:2",
         "question 1 of the paragraph: it is a number, an object is expected"},
        {"a.json", PARAGRAPH("{\"id\": \"x-1\", \"answers\": []}"), "a.json:2",
         "question \"x-1\": no \"question\": a string is expected"},
        {"a.json",
         PARAGRAPH("{\"question\": \"a\", \"answers\": []}, {\"question\": \"a\", \"answers\": "
                   "[{\"text\": \"dog\", \"answer_start\": 4}]}"),
         "a.json:2", "question 2 of the paragraph: answer 1, \"dog\", does not stand at 4"},
        {"a.json", "{\"data\": [{\"paragraphs\": [\n{\"qas\": []}, \n\n{]}", "a.json:4",
         "not JSON as SQuAD has it"},
        {"a.json", "{\"data\": []} []", "a.json:1", "text after }"},
        {"a.json", "{\"data\": [] []}", "a.json:1", ", or } is expected"},
        {"a.json", "{\"data\": [{\"paragraphs\": []} {}]}", "a.json:1", ", or ] is expected"},
        {"a.json", "{\"data\": [], 5: 5}", "a.json:1", "a member's name and : are expected"},
        {"a.json", "{\"data\": [{\"paragraphs\": []}]}", "a.json", "there are no rows in it"},
        {"a.json", "{\"data\": [", "a.json:1", "\"data\" is a list of objects"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct prilora_dataset *d = NULL;
        struct prilora_error err = {0};

        if (parse(&d, rows[i].name, rows[i].text, 64, 0, &err) != PRILORA_EDATA ||
            strcmp(err.where, rows[i].where) != 0 || !strstr(err.message, rows[i].message))
            fail_msg("%s: at %s: %s", rows[i].text, err.where, err.message);
        assert_null(d);
    }
}

/* A text that is made of one letter again and again. */
static void check_long(const char *before, size_t n, const char *piece, const char *behind,
                       size_t max_length, const char *message)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct prilora_dataset *d = NULL;
    struct prilora_error err = {0};

    fputs(before, out);
    for (size_t i = 0; i < n; i++)
        fputs(piece, out);
    fputs(behind, out);
    assert_int_equal(fclose(out), 0);
    if (parse(&d, "a.jsonl", text, max_length, 0, &err) != PRILORA_EDATA ||
        !strstr(err.message, message))
        fail_msg("%s", err.message);
    free(text);
}

static void what_is_too_much_is_refused(void **state)
{
    (void)state;
    check_long("{\"question\": \"a\", \"context\": \"", 5000, "x y ", "\", \"answers\": []}", 12,
               "windows, but at most 1024 are made");
    check_long("{\"question\": \"a\", \"context\": \"", 300000, "x yz", "\", \"answers\": []}", 64,
               "a text of 1200000 bytes, but at most 1048576 are read");
    check_long("{\"question\": \"a\", \"context\": \"b\", \"answers\": [{}", 1000, ", {}", "]}", 64,
               "1001 answers, but at most 1000 are read");
}

/* Rows of other kinds that have such members, too, stay what they were. */
static void other_rows_may_have_such_members(void **state)
{
    static const char *const texts[] = {
        "{\"text\": \"a\", \"label\": 0, \"question\": \"q\", \"context\": \"c\"}\n"
        "{\"text\": \"b\", \"label\": 1, \"question\": \"q\", \"context\": \"c\", \"answers\": 5}",
        "{\"text\": \"a\", \"label\": 0, \"data\": 5}\n{\"text\": \"b\", \"label\": 1}",
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct prilora_dataset *d = parse_well("a.json", texts[i], 64, 0);

        assert_int_equal(d->task, PRILORA_TASK_CLASSIFICATION);
        assert_null(d->questions);
        prilora_dataset_free(d);
    }
}

static void a_preview_shows_questions_contexts_and_answers(void **state)
{
    const struct prilora_preview_options options = {
        .name = "a.json", .n_shown = 3, .max_text = 9, .max_bytes = 10000, .max_rows = 100};
    static const char text[] =
        PARAGRAPH("{\"question\": \"Who?\", \"answers\": [{\"text\": \"The cat\", "
                  "\"answer_start\": 0}, {\"text\": \"cat\", \"answer_start\": 4}]}, "
                  "{\"question\": \"Where is it?\", \"answers\": []}, {\"question\": 5}");
    struct prilora_preview_info info;
    struct prilora_preview_row row;
    struct prilora_preview *p;
    struct prilora_error err;
    size_t line;

    (void)state;
    test_must(pl_preview_parse(&p, text, strlen(text), &options, &err), &err);
    prilora_preview_describe(p, &info);
    assert_int_equal(info.task, PRILORA_TASK_QUESTION_ANSWERING);
    assert_string_equal(info.format, "json");
    assert_int_equal(info.n_rows, 3);
    assert_int_equal(info.n_bad, 1);
    assert_int_equal(info.n_labels, 0);
    assert_null(info.problem);
    prilora_preview_show(p, 0, &row);
    assert_string_equal(row.text, "Who?");
    assert_string_equal(row.text_pair, "The cat");
    assert_true(row.is_list);
    assert_int_equal(row.n_labels, 2);
    assert_string_equal(row.labels[0], "The cat");
    assert_string_equal(row.labels[1], "cat");
    prilora_preview_show(p, 1, &row);
    assert_string_equal(row.text, "Where is ");
    assert_true(row.text_is_cut);
    assert_int_equal(row.n_labels, 0);
    assert_non_null(strstr(prilora_preview_error(p, 0, &line), "question 3 of the paragraph"));
    assert_int_equal(line, 2);
    prilora_preview_free(p);
}

/* ---- the data set ---- */

static void a_split_keeps_questions_whole(void **state)
{
    const struct test_asked asked = {31, 4, 12, true, TEST_ASKED_SQUAD};
    struct prilora_dataset *whole = parse_asked(&asked, 32), *kept = parse_asked(&asked, 32);
    struct prilora_dataset *held_out, *parts[2];
    size_t next[2] = {0, 0};
    struct prilora_error err;

    (void)state;
    assert_true(whole->n > 2 * whole->questions->n);
    test_must(prilora_dataset_split(kept, &held_out, 0.3, 9, &err), &err);
    parts[0] = kept;
    parts[1] = held_out;
    assert_int_equal(held_out->questions->n, 9);
    assert_int_equal(kept->questions->n, 22);
    assert_int_equal(held_out->n + kept->n, whole->n);
    for (size_t i = 0; i < 31; i++) {
        const struct pl_question *want = &whole->questions->list[i];
        bool found = false;

        /* the next of one of the two parts, for both keep the order */
        for (size_t k = 0; k < 2 && !found; k++) {
            const struct pl_questions *q = parts[k]->questions;
            const struct pl_question *have = &q->list[next[k]];
            const size_t from = whole->starts[want->window], to = parts[k]->starts[have->window];
            const size_t n = whole->starts[want->window + want->n_windows] - from;

            if (next[k] == q->n || have->n_windows != want->n_windows ||
                parts[k]->starts[have->window + have->n_windows] - to != n ||
                memcmp(whole->ids + from, parts[k]->ids + to, n * sizeof *whole->ids) != 0)
                continue;
            found = true;
            next[k]++;
            assert_int_equal(have->n_answers, want->n_answers);
            assert_same_target(parts[k], next[k] - 1, whole, i);
            assert_int_equal(pl_texts_size(&q->contexts, have->context),
                             pl_texts_size(&whole->questions->contexts, want->context));
        }
        assert_true(found);
    }
    prilora_dataset_free(whole);
    prilora_dataset_free(kept);
    prilora_dataset_free(held_out);
    kept = parse_well("a.jsonl", ANSWER("[]"), 64, 0);
    assert_int_equal(prilora_dataset_split(kept, &held_out, 0.5, 1, &err), PRILORA_EDATA);
    assert_non_null(strstr(err.message, "one question alone"));
    prilora_dataset_free(kept);
}

static struct prilora_dataset *saved_and_loaded(const struct prilora_dataset *d, char **bytes,
                                                size_t *size)
{
    char *path = strdup(test_scratch_path("questions"));
    struct prilora_dataset *loaded;
    struct prilora_error err;

    test_must(prilora_dataset_save(d, path, &err), &err);
    test_must(prilora_dataset_load(&loaded, path, &err), &err);
    *bytes = test_file(path, size);
    free(path);
    return loaded;
}

static void what_is_saved_is_what_is_loaded(void **state)
{
    const struct test_asked asked = {20, 5, 6, true, TEST_ASKED_JSONL};
    struct prilora_dataset *d = parse_asked(&asked, 40);
    char *bytes;
    size_t size;
    struct prilora_dataset *loaded = saved_and_loaded(d, &bytes, &size);
    struct prilora_dataset_info info, of_loaded;

    (void)state;
    prilora_dataset_describe(d, &info);
    prilora_dataset_describe(loaded, &of_loaded);
    assert_memory_equal(&info, &of_loaded, sizeof info);
    assert_int_equal(info.n_questions, 20);
    for (size_t i = 0; i < 20; i++) {
        const struct pl_questions *a = d->questions, *b = loaded->questions;

        assert_memory_equal(&a->list[i], &b->list[i], sizeof *a->list);
        assert_same_target(loaded, i, d, i);
    }
    free(bytes);
    prilora_dataset_free(d);
    prilora_dataset_free(loaded);
}

/* What a damaged file is taken for must be safe to compute with: metrics of logits like any. */
static void evaluate(const struct prilora_dataset *d)
{
    pl_real *logits = calloc(2 * pl_dataset_logit_rows(d), sizeof *logits);
    const struct pl_measured measured = {.data = d, .logits = logits, .answers = {5, true}};
    struct prilora_value values[PRILORA_MAX_VALUES];

    for (size_t i = 0; i < 2 * pl_dataset_logit_rows(d); i++)
        logits[i] = (pl_real)(i * 7 % 13);
    for (size_t i = 0; i < d->n; i++) {
        const struct pl_window *w = &d->questions->windows[i];

        assert_true(w->at > 0 && w->at + (size_t)w->n < d->starts[i + 1] - d->starts[i]);
    }
    assert_int_equal(pl_measure(values, &measured), 2);
    free(logits);
}

/* Every byte of the file changed in a few ways, and every length of it. */
static void a_damaged_file_is_refused_or_harmless(void **state)
{
    const struct test_asked asked = {4, 6, 5, true, TEST_ASKED_SQUAD};
    struct prilora_dataset *d = parse_asked(&asked, 32), *out;
    char *bytes;
    size_t size, n_refused = 0;
    struct prilora_error err;

    (void)state;
    prilora_dataset_free(saved_and_loaded(d, &bytes, &size));
    prilora_dataset_free(d);
    size -= 64; /* its digest, which would tell any change */
    for (size_t i = 0; i < size; i++) {
        static const unsigned char changes[] = {0x01, 0x80, 0xFF};

        for (size_t k = 0; k < 3; k++) {
            bytes[i] ^= (char)changes[k];
            if (pl_dataset_decode(&out, (unsigned char *)bytes, size, false, "x", &err) ==
                PRILORA_OK) {
                evaluate(out);
                prilora_dataset_free(out);
            } else {
                assert_true(err.status == PRILORA_EFORMAT || err.status == PRILORA_ENOMEM);
                n_refused++;
            }
            bytes[i] ^= (char)changes[k];
        }
    }
    assert_true(n_refused > size / 4);
    for (size_t n = 0; n < size; n++) {
        char *copy = malloc(n ? n : 1);

        memcpy(copy, bytes, n);
        assert_int_equal(pl_dataset_decode(&out, (unsigned char *)copy, n, false, "x", &err),
                         PRILORA_EFORMAT);
        free(copy);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_share_the_stride),
        cmocka_unit_test(bytes_of_an_answer_are_the_tokens_that_they_touch),
        cmocka_unit_test(windows_are_pieces_of_the_context),
        cmocka_unit_test(an_answer_is_the_target_where_all_of_it_is),
        cmocka_unit_test(a_long_question_is_cut),
        cmocka_unit_test(both_forms_say_the_same),
        cmocka_unit_test(answers_are_found_where_they_stand),
        cmocka_unit_test(wrong_rows_say_what_is_wrong),
        cmocka_unit_test(what_is_too_much_is_refused),
        cmocka_unit_test(other_rows_may_have_such_members),
        cmocka_unit_test(a_preview_shows_questions_contexts_and_answers),
        cmocka_unit_test(a_split_keeps_questions_whole),
        cmocka_unit_test(what_is_saved_is_what_is_loaded),
        cmocka_unit_test(a_damaged_file_is_refused_or_harmless),
    };

    return cmocka_run_group_tests_name("questions", tests, open_group, close_group);
}
