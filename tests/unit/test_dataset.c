/*
 * test_dataset.c - formats, labels, bad rows, splitting and the saved form, with the small base's
 * tokenizer; and the five GLUE tasks of ../shared where they are present.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "tok/tokenizer.h"
#include "train/dataset.h"
#include "train/rows.h"

static struct pl_tokenizer *tokenizer;

/* What bad_row was told. */
static struct {
    size_t n, lines[PRILORA_MAX_BAD_ROWS + 1];
    char reasons[PRILORA_MAX_BAD_ROWS + 1][PL_MAX_REASON];
} told;
static struct prilora_error err;

static void note_bad_row(void *context, size_t line, const char *reason)
{
    assert_ptr_equal(context, &told);
    assert_true(told.n < PRILORA_MAX_BAD_ROWS);
    told.lines[told.n] = line;
    snprintf(told.reasons[told.n++], PL_MAX_REASON, "%s", reason);
}

static enum prilora_status parse_as(struct prilora_dataset **out, const char *name,
                                    const char *text, size_t size, enum prilora_task task,
                                    const struct prilora_dataset *train)
{
    struct prilora_dataset_options options = {
        .task = task,
        .max_length = 32,
        .train = train,
        .name = name,
        .bad_row = note_bad_row,
        .context = &told,
    };
    char *copy = malloc(size ? size : 1); /* without a NUL after it: reading on would be seen */
    enum prilora_status rc;

    assert_non_null(copy);
    memcpy(copy, text, size);
    told.n = 0;
    memset(&err, 0, sizeof err);
    rc = pl_dataset_parse(out, tokenizer, copy, size, &options, &err);
    assert_true((rc == PRILORA_OK) == (*out != NULL));
    free(copy);
    return rc;
}

static struct prilora_dataset *parse(const char *name, const char *text)
{
    struct prilora_dataset *d = NULL;

    if (parse_as(&d, name, text, strlen(text), PRILORA_TASK_AUTO, NULL) != PRILORA_OK)
        fail_msg("[%s] %s", err.where, err.message);
    return d;
}

/* The example is what the tokenizer makes of text and pair. */
static void assert_example(const struct prilora_dataset *d, size_t i, const char *text,
                           const char *pair, float target)
{
    struct pl_ids ids = {0};

    assert_true(i < d->n);
    assert_int_equal(pl_tokenizer_encode(tokenizer, &ids, text, strlen(text), pair,
                                         pair ? strlen(pair) : 0, 32, NULL, NULL),
                     PRILORA_OK);
    assert_int_equal(d->starts[i + 1] - d->starts[i], ids.n);
    assert_memory_equal(d->ids + d->starts[i], ids.ids, ids.n * sizeof *ids.ids);
    assert_memory_equal(d->type_ids + d->starts[i], ids.type_ids, ids.n);
    if (d->width == 1)
        assert_true(d->targets[i] == target);
    pl_ids_free(&ids);
}

static void assert_labels(const struct prilora_dataset *d, size_t n, const char *const *names)
{
    assert_int_equal(d->n_labels, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(prilora_dataset_label(d, i), names[i]);
    assert_null(prilora_dataset_label(d, n));
}

/* A file that must be refused, at that place, with those words in the message. */
static void refused(const char *name, const char *text, size_t size, enum prilora_status status,
                    const char *where, const char *words)
{
    struct prilora_dataset *d = NULL;

    assert_int_equal(parse_as(&d, name, text, size, PRILORA_TASK_AUTO, NULL), status);
    assert_string_equal(err.where, where);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void bad(const char *name, const char *text, const char *where, const char *words)
{
    refused(name, text, strlen(text), PRILORA_EDATA, where, words);
}

/* ---- formats --------------------------------------------------------------------------------- */

static void jsonl_with_text_and_label_is_read(void **state)
{
    static const char *const names[] = {"bad", "good"};
    struct prilora_dataset *d =
        parse("a.jsonl", "{\"text\": \"A fine day.\", \"label\": \"good\", \"id\": 7}\r\n"
                         "\n"
                         "  {\"label\": \"bad\", \"text\": \"It rains.\", \"text_pair\": \"Yes\"}\n"
                         "{\"text\": \"Sun\", \"text_pair\": null, \"label\": \"good\"}");
    struct prilora_dataset_info info;

    (void)state;
    assert_int_equal(d->n, 3);
    assert_labels(d, 2, names);
    assert_example(d, 0, "A fine day.", NULL, 1);
    assert_example(d, 1, "It rains.", "Yes", 0);
    assert_example(d, 2, "Sun", NULL, 1);
    prilora_dataset_describe(d, &info);
    assert_int_equal(info.task, PRILORA_TASK_CLASSIFICATION);
    assert_int_equal(info.n_examples, 3);
    assert_int_equal(info.n_tokens, d->starts[3]);
    assert_int_equal(info.majority, 2);
    assert_int_equal(info.n_truncated, 0);
    assert_int_equal(strlen(info.fingerprint), 64);
    prilora_dataset_free(d);
}

static void a_json_list_is_read_like_lines(void **state)
{
    struct prilora_dataset *list =
        parse("a.json", " [\n{\"text\": \"\\u00e9t\xC3\xA9\",\n \"label\": 1}\n,"
                        "{\"text\": \"b\", \"label\": 0}]\n");
    struct prilora_dataset *lines =
        parse("a.JSONL", "{\"text\": \"\xC3\xA9t\\u00e9\", \"label\": 1}\n"
                         "{\"text\": \"b\", \"label\": 0}");

    (void)state;
    assert_int_equal(list->n, 2);
    assert_string_equal(list->fingerprint, lines->fingerprint);
    prilora_dataset_free(list);
    prilora_dataset_free(lines);
    bad("a.json", "[{\"text\": \"a\", \"label\": 1}\n\n {\"text\": \"b\", \"label\": 0}]",
        "a.json:3", ", or ] is expected");
    bad("a.json", "[\n{\"text\": \"a\",\n\"label\": tru}]", "a.json:3", "invalid token");
    bad("a.json", "[{\"text\": \"a\", \"label\": 1}, 3]", "a.json:1", "{ is expected");
    bad("a.json", "[{\"text\": \"a\", \"label\": 1}] x", "a.json:1", "text after ]");
    bad("a.json", "[{\"text\": \"a\", \"label\": 1}", "a.json:1", "is expected after a row");
    bad("a.json", "[]", "a.json", "there are no rows");
}

static void csv_quotes_commas_and_line_ends(void **state)
{
    struct prilora_dataset *d = parse("a.csv", "\xEF\xBB\xBFid,text,label\r\n"
                                               "1,\"Hello, \"\"you\"\"\",good\r\n"
                                               "2,\"two\r\nlines\", bad \r\n"
                                               "\r\n"
                                               "3,5\" of rain,good,,");
    (void)state;
    assert_int_equal(d->n, 3);
    assert_example(d, 0, "Hello, \"you\"", NULL, 1);
    assert_example(d, 1, "two\r\nlines", NULL, 0);
    assert_example(d, 2, "5\" of rain", NULL, 1);
    prilora_dataset_free(d);
    bad("a.csv", "text,label\n\"two\nlines\",1\n\"\",0\n", "a.csv:4", "the text is empty");
    bad("a.csv", "text,label\na,1\n\"b\"c,0\n", "a.csv:3",
        "column 1: text after the closing quote");
    bad("a.csv", "text,label\na,1\n\"b,0\nc,1\n", "a.csv:3", "a quote is opened and not closed");
    bad("a.csv", "text,label\na,1\nb\n", "a.csv:3", "1 column, but the first line has 2");
    bad("a.csv", "text,label\na,1\nb,c,0\n", "a.csv:3", "3 columns, but the first line has 2");
    bad("a.csv", "a,1\nb,0\n", "a.csv:1", "the first is \"a\") has no text");
    bad("a.csv", "text,other\nb,0\n", "a.csv:1", "no label: \"label\" is expected beside \"text\"");
}

/* One line of each published layout, with what must come out of it. */
static void glue_layouts_are_known_by_their_columns(void **state)
{
    static const struct {
        const char *text, *first, *second;
        const char *label; /* of that row */
    } layouts[] = {
        {"gj04\t1\t\tOne here.\ngj05\t0\t*\tTwo.\n", "One here.", NULL, "1"},
        {"sentence\tlabel\nOne here. \t1\nx\t0\n", "One here. ", NULL, "1"},
        {"\xEF\xBB\xBFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
         "1\t7\t8\tShe said \" one .\tTwo\" .\r\n0\t1\t2\tx\ty\r\n",
         "She said \" one .", "Two\" .", "1"},
        {"id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n5\t1\t2\tone?\ttwo?\t1\n5\t1\t2\tx\t"
         "y\t0\n",
         "one?", "two?", "1"},
        {"index\tpromptID\tsentence1\tsentence2\tlabel1\tgold_label\n0\t1\tone\ttwo\tneutral\t"
         "contradiction\n1\t1\tx\ty\tneutral\tneutral\n",
         "one", "two", "contradiction"},
        {"index\tquestion\tsentence\tlabel\n0\tone?\ttwo\tentailment\n1\tx\ty\tnot_entailment\n",
         "one?", "two", "entailment"},
        {"index\tsentence1\tsentence2\tlabel\n0\tone\ttwo\tnot_entailment\n1\tx\ty\tentailment\n",
         "one", "two", "not_entailment"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        struct prilora_dataset *d = parse("train.tsv", layouts[i].text);

        assert_int_equal(d->n, 2);
        assert_int_equal(d->n_labels, 2);
        assert_string_equal(prilora_dataset_label(d, (size_t)d->targets[0]), layouts[i].label);
        assert_example(d, 0, layouts[i].first, layouts[i].second, d->targets[0]);
        prilora_dataset_free(d);
    }
}

static void stsb_scores_are_a_regression(void **state)
{
    struct prilora_dataset *d = parse("a.tsv", "index\tsentence1\tsentence2\tscore\n"
                                               "0\tone\ttwo\t5.000\n1\tx\ty\t0\n2\tx\tz\t2.5e-1\n");
    static const char *const names[] = {"score"};

    (void)state;
    assert_int_equal(d->task, PRILORA_TASK_REGRESSION);
    assert_labels(d, 1, names);
    assert_example(d, 0, "one", "two", 5);
    assert_example(d, 1, "x", "y", 0);
    assert_example(d, 2, "x", "z", 0.25F);
    prilora_dataset_free(d);
}

static void short_rows_of_qqp_are_passed_over_as_its_readers_do(void **state)
{
    struct prilora_dataset *d =
        parse("a.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
                       "1\t1\t2\tone?\ttwo?\t1\n"
                       "2\t1\t2\tcut\n"
                       "3\t1\t2\tx\t\t0\n");
    struct prilora_dataset_info info;

    (void)state;
    assert_int_equal(d->n, 2);
    assert_example(d, 1, "x", "", 0);
    prilora_dataset_describe(d, &info);
    assert_int_equal(info.n_skipped, 1);
    prilora_dataset_free(d);
    /* but not of any other table */
    bad("a.tsv", "sentence\tlabel\na\t1\nb\n", "a.tsv:3", "1 column, but");
}

static void the_ending_of_the_name_tells_the_format(void **state)
{
    static const char utf16[] = "\xFF\xFEt\0e\0";

    (void)state;
    refused("rows.xlsx", "", 0, PRILORA_EINVAL, "rows.xlsx",
            ".jsonl, .ndjson, .json, .csv, .tsv, .conll, .bio or .txt");
    refused(".csv", "", 0, PRILORA_EINVAL, ".csv", "ending");
    refused("a.csv", utf16, sizeof utf16 - 1, PRILORA_EFORMAT, "a.csv", "UTF-16");
    refused("a.csv", "", 0, PRILORA_EDATA, "a.csv", "there are no rows");
    refused("a.jsonl", "\n\n", 2, PRILORA_EDATA, "a.jsonl", "there are no rows");
    refused("a.tsv", "sentence\tlabel\n", 15, PRILORA_EDATA, "a.tsv", "there are no rows");
}

/* ---- labels ---------------------------------------------------------------------------------- */

static void classes_that_are_numbers_keep_their_number(void **state)
{
    static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"};
    char text[1024] = "text,label\n";
    struct prilora_dataset *d;

    (void)state;
    for (int i = 10; i >= 0; i--)
        snprintf(text + strlen(text), sizeof text - strlen(text), "t%d,%d\n", i, i);
    d = parse("a.csv", text);
    assert_labels(d, 11, names);
    assert_example(d, 0, "t10", NULL, 10);
    assert_example(d, 8, "t2", NULL, 2);
    prilora_dataset_free(d);
}

static void other_names_are_sorted_by_bytes(void **state)
{
    static const char *const numbers[] = {"1", "10", "2"}, *const words[] = {"Z", "a", "\xC3\xA4"};
    struct prilora_dataset *d = parse("a.csv", "text,label\na,2\nb,10\nc,1\n");

    (void)state;
    assert_labels(d, 3, numbers);
    prilora_dataset_free(d);
    d = parse("a.jsonl", "{\"text\": \"a\", \"label\": \"\xC3\xA4\"}\n{\"text\": \"b\", \"label\": "
                         "\"a\"}\n{\"text\": \"c\", \"label\": \"Z\"}\n");
    assert_labels(d, 3, words);
    prilora_dataset_free(d);
}

static void lists_are_a_multi_label_task(void **state)
{
    static const char *const names[] = {"blue", "red"};
    static const float targets[] = {0, 1, 1, 1, 0, 0};
    struct prilora_dataset *d =
        parse("a.jsonl", "{\"text\": \"a\", \"labels\": [\"red\"]}\n"
                         "{\"text\": \"b\", \"labels\": [\"red\", \"blue\"]}\n"
                         "{\"text\": \"c\", \"labels\": []}\n");

    (void)state;
    assert_int_equal(d->task, PRILORA_TASK_MULTI_LABEL);
    assert_int_equal(d->width, 2);
    assert_labels(d, 2, names);
    assert_memory_equal(d->targets, targets, sizeof targets);
    prilora_dataset_free(d);
    d = NULL;
    bad("a.jsonl", "{\"text\": \"a\", \"label\": [\"red\", 1.5]}", "a.jsonl:1",
        "\"label\" holds a number; strings or integers are expected");
    assert_int_equal(parse_as(&d, "a.jsonl", "{\"text\": \"a\", \"label\": []}", 26,
                              PRILORA_TASK_REGRESSION, NULL),
                     PRILORA_EDATA);
    assert_non_null(strstr(err.message, "the label is a list; a number is expected"));
    bad("a.jsonl", "{\"text\": \"a\", \"label\": []}", "a.jsonl", "no row has a label");
}

static void the_task_can_be_told_instead(void **state)
{
    static const char text[] = "text,label\na,1.0\nb,0.0\nc,1.0\n",
                      ints[] = "text,label\na,1\nb,4\n";
    static const char *const names[] = {"0", "1"};
    struct prilora_dataset *d = NULL;

    (void)state;
    assert_int_equal(parse_as(&d, "a.csv", text, strlen(text), PRILORA_TASK_CLASSIFICATION, NULL),
                     PRILORA_OK);
    assert_labels(d, 2, names);
    assert_example(d, 0, "a", NULL, 1);
    prilora_dataset_free(d);
    assert_int_equal(parse_as(&d, "a.csv", ints, strlen(ints), PRILORA_TASK_REGRESSION, NULL),
                     PRILORA_OK);
    assert_int_equal(d->task, PRILORA_TASK_REGRESSION);
    assert_example(d, 1, "b", NULL, 4);
    prilora_dataset_free(d);
    assert_int_equal(parse_as(&d, "a.csv", ints, strlen(ints), PRILORA_TASK_MULTI_LABEL, NULL),
                     PRILORA_OK);
    assert_int_equal(d->width, 2);
    prilora_dataset_free(d);
}

static void one_odd_label_does_not_change_the_task(void **state)
{
    (void)state;
    bad("a.csv", "text,label\na,1.5\nb,n/a\nc,0.5\n", "a.csv:3",
        "the label \"n/a\" is not a number");
    bad("a.csv", "text,label\na,1.5\nb,nan\nc,0.5\n", "a.csv:3",
        "the label \"nan\" is not a number");
    bad("a.csv", "text,label\na,1.5\nb,1e999\nc,0.5\n", "a.csv:3",
        "the label \"1e999\" is too large");
    bad("a.jsonl",
        "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"a\", \"label\": \"y\"}\n"
        "{\"text\": \"a\", \"label\": [\"x\"]}",
        "a.jsonl:3", "the label is a list; one label is expected");
}

static void a_classification_needs_two_labels(void **state)
{
    (void)state;
    bad("a.csv", "text,label\na,x\nb,x\n", "a.csv",
        "all 2 rows have the label \"x\"; a classification needs at least two");
}

static void too_many_labels_are_a_named_limit(void **state)
{
    size_t room = 32 * (PL_MAX_LABELS + 2), used;
    char *text = malloc(room);

    (void)state;
    assert_non_null(text);
    used = (size_t)snprintf(text, room, "text,label\n");
    for (int i = 0; i <= PL_MAX_LABELS; i++)
        used += (size_t)snprintf(text + used, room - used, "a,l%d\n", i);
    refused("a.csv", text, used, PRILORA_ELIMIT, "a.csv", "more than 1000 different labels");
    free(text);
}

static void validation_data_must_have_the_training_labels(void **state)
{
    static const char valid[] = "text,label\na,good\n", wrong[] = "text,label\na,bad\nb,ugly\n";
    struct prilora_dataset *train = parse("t.csv", "text,label\na,good\nb,bad\nc,awful\n"),
                           *d = NULL;
    static const char *const names[] = {"awful", "bad", "good"};

    (void)state;
    assert_int_equal(parse_as(&d, "v.csv", valid, strlen(valid), PRILORA_TASK_AUTO, train),
                     PRILORA_OK);
    assert_labels(d, 3, names);
    assert_example(d, 0, "a", NULL, 2);
    prilora_dataset_free(d);
    assert_int_equal(parse_as(&d, "v.csv", wrong, strlen(wrong), PRILORA_TASK_AUTO, train),
                     PRILORA_EDATA);
    assert_string_equal(err.message, "1 of 2 rows is wrong; line 3: the label \"ugly\" does not "
                                     "occur in the training data, which has \"awful\", \"bad\", "
                                     "\"good\"");
    assert_int_equal(parse_as(&d, "v.csv", valid, strlen(valid), PRILORA_TASK_REGRESSION, train),
                     PRILORA_EINVAL);
    prilora_dataset_free(train);
}

/* ---- bad rows -------------------------------------------------------------------------------- */

static void every_kind_of_bad_json_row_is_named(void **state)
{
    static const struct {
        const char *row, *reason;
    } rows[] = {
        {"{\"text\": \"a\", \"label\": 1", "not JSON: column 24"},
        {"{\"text\": \"a\", \"text\": \"b\", \"label\": 1}", "duplicate object key"},
        {"[1]x", "not JSON"},
        {"[1]", "the row is a list, an object is expected"},
        {"{\"label\": 1}", "no text: \"text\" is expected"},
        {"{\"text\": \"a\"}", "no label: \"label\" is expected beside \"text\""},
        {"{\"sentence1\": \"a\", \"label\": 1}", "no second text: \"sentence2\""},
        {"{\"text\": 5, \"label\": 1}", "\"text\" is a number, a string is expected"},
        {"{\"text\": \"a\", \"text_pair\": [], \"label\": 1}", "\"text_pair\" is a list"},
        {"{\"text\": \" \\t\", \"label\": 1}", "the text is empty"},
        {"{\"text\": \"a\", \"text_pair\": \"\", \"label\": 1}", "the second text is empty"},
        {"{\"text\": \"a\", \"label\": null}", "\"label\" is null"},
        {"{\"text\": \"a\", \"label\": true}", "\"label\" is true"},
        {"{\"text\": \"a\", \"label\": {}}", "\"label\" is an object"},
        {"{\"text\": \"a\", \"label\": 1e999}", "real number overflow"},
        {"{\"text\": \"a\", \"label\": \"\"}", "the label is empty"},
        {"{\"text\": \"a\", \"label\": \"x\\u0000y\"}", "holds a NUL"},
        {"{\"text\": \"\xC3\x28\", \"label\": 1}", "not UTF-8: byte 11 of the row is 0xC3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        int size =
            snprintf(text, sizeof text,
                     "{\"text\": \"a\", \"label\": 0}\n%s\n{\"text\": \"a\", \"label\": 1}\n",
                     rows[i].row);

        refused("a.jsonl", text, (size_t)size, PRILORA_EDATA, "a.jsonl:2", rows[i].reason);
        assert_int_equal(told.n, 1);
        assert_int_equal(told.lines[0], 2);
        assert_non_null(strstr(told.reasons[0], rows[i].reason));
        assert_true(strncmp(err.message, "1 of 3 rows is wrong; line 2: ", 30) == 0);
    }
}

static void bad_rows_are_told_in_line_order_up_to_the_limit(void **state)
{
    char text[8192] = "text,label\n";
    struct prilora_dataset *d = NULL;

    (void)state;
    /* line 2: a label that only turns out wrong at the end; lines 3 to 152: no text */
    snprintf(text + strlen(text), sizeof text - strlen(text), "a,\n");
    for (int i = 0; i < 150; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ",1\n");
    snprintf(text + strlen(text), sizeof text - strlen(text), "a,1\na,0\n");
    assert_int_equal(parse_as(&d, "a.csv", text, strlen(text), PRILORA_TASK_AUTO, NULL),
                     PRILORA_EDATA);
    assert_int_equal(told.n, PRILORA_MAX_BAD_ROWS);
    for (size_t i = 0; i < told.n; i++)
        assert_int_equal(told.lines[i], i + 2);
    assert_string_equal(err.where, "a.csv:2");
    assert_string_equal(err.message, "151 of 153 rows are wrong; line 2: the label is empty");
}

static void a_row_above_the_limit_is_refused(void **state)
{
    static const char head[] = "sentence\tlabel\na\t1\n";
    size_t size = sizeof head - 1 + PL_MAX_LINE + 1;
    char *text = malloc(size + 8);

    (void)state;
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, head, sizeof head - 1);
    memcpy(text + size, "\nb\t0\n", 5);
    refused("a.tsv", text, size + 5, PRILORA_EDATA, "a.tsv:3",
            "4194305 bytes, but a row may have at most 4194304");
    memcpy(text, "text,label\na,1\n\"y,0", 19); /* a quote that runs on as far as may be */
    refused("a.csv", text, size + 5, PRILORA_EDATA, "a.csv:3", "not closed within 4194304 bytes");
    memcpy(text, "text,label\na,1\n2yyy", 19);
    refused("a.csv", text, size + 5, PRILORA_EDATA, "a.csv:3", "bytes, but a row may have at most");
    assert_int_equal(told.n, 2); /* the row after it is read: one column where two are needed */
    assert_int_equal(told.lines[1], 4);
    free(text);
}

static void a_text_above_the_limit_is_refused(void **state)
{
    size_t size = PL_MAX_TEXT_BYTES + 1;
    char *text = malloc(size + 64);

    (void)state;
    assert_non_null(text);
    memset(text, 'x', size + 64);
    memcpy(text, "text,label\n", 11);
    memcpy(text + 11 + size, ",1\n", 3);
    refused("a.csv", text, size + 14, PRILORA_EDATA, "a.csv:2",
            "a text of 1048577 bytes, but at most 1048576 are read");
    free(text);
}

static void max_length_without_room_is_no_row_s_fault(void **state)
{
    struct prilora_dataset_options options = {.max_length = 2, .name = "a.csv"};
    struct prilora_dataset *d = NULL;

    (void)state;
    assert_int_equal(pl_dataset_parse(&d, tokenizer, "text,label\na,1\nb,0\n", 19, &options, &err),
                     PRILORA_EINVAL);
    assert_non_null(strstr(err.message, "max_length 2"));
}

static void long_examples_are_truncated_and_counted(void **state)
{
    struct prilora_dataset_options options = {.max_length = 5, .name = "a.csv"};
    struct prilora_dataset *d = NULL;
    struct prilora_dataset_info info;

    (void)state;
    assert_int_equal(pl_dataset_parse(&d, tokenizer, "text,label\na b c d e f,1\nb,0\n", 29,
                                      &options, NULL),
                     PRILORA_OK);
    prilora_dataset_describe(d, &info);
    assert_int_equal(info.n_truncated, 1);
    assert_int_equal(info.longest, 5);
    prilora_dataset_free(d);
}

/* ---- files, splitting, saving -----------------------------------------------------------------
 */

static void a_missing_file_is_told_so(void **state)
{
    struct prilora_dataset_options options = {.name = "upload.csv"};
    struct prilora_dataset *d = NULL;

    (void)state;
    assert_int_equal(pl_dataset_read(&d, tokenizer, test_scratch_path("absent"), &options, &err),
                     PRILORA_ENOENT);
    assert_null(d);
}

/* n examples, one in ten of class "b", and one alone of class "c". */
static struct prilora_dataset *lopsided(size_t n)
{
    size_t room = 64 * n, used;
    char *text = malloc(room);
    struct prilora_dataset *d;

    assert_non_null(text);
    used = (size_t)snprintf(text, room, "text,label\n");
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, room - used, "number %zu,%s\n", i,
                                 i == 7        ? "c"
                                 : i % 10 == 0 ? "b"
                                               : "a");
    d = parse("a.csv", text);
    free(text);
    return d;
}

static size_t count(const struct prilora_dataset *d, const char *label)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n; i++)
        n += strcmp(prilora_dataset_label(d, (size_t)d->targets[i]), label) == 0;
    return n;
}

/* Whether some example of b has the same tokens. */
static bool contains(const struct prilora_dataset *b, const struct prilora_dataset *a, size_t i)
{
    size_t n = a->starts[i + 1] - a->starts[i];

    for (size_t j = 0; j < b->n; j++)
        if (b->starts[j + 1] - b->starts[j] == n &&
            memcmp(b->ids + b->starts[j], a->ids + a->starts[i], n * sizeof *a->ids) == 0)
            return true;
    return false;
}

static void a_split_keeps_the_proportions_and_loses_nothing(void **state)
{
    struct prilora_dataset *whole = lopsided(200), *d = lopsided(200), *out = NULL;

    (void)state;
    assert_int_equal(prilora_dataset_split(d, &out, 0.2, 42, &err), PRILORA_OK);
    assert_int_equal(d->n, 160);
    assert_int_equal(out->n, 40);
    /* a fifth of 20; the only example of c stays in training */
    assert_int_equal(count(out, "b"), 4);
    assert_int_equal(count(out, "c"), 0);
    assert_int_equal(count(d, "c"), 1);
    for (size_t i = 0; i < whole->n; i++)
        assert_true(contains(d, whole, i) != contains(out, whole, i));
    assert_string_not_equal(d->fingerprint, whole->fingerprint);
    assert_int_equal(d->starts[d->n] + out->starts[out->n], whole->starts[whole->n]);
    prilora_dataset_free(whole);
    prilora_dataset_free(d);
    prilora_dataset_free(out);
}

static void a_split_depends_on_its_seed_alone(void **state)
{
    static const uint64_t seeds[] = {1, 1, 2};
    char prints[3][65];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct prilora_dataset *d = lopsided(100), *out = NULL;

        assert_int_equal(prilora_dataset_split(d, &out, 0.1, seeds[i], &err), PRILORA_OK);
        memcpy(prints[i], out->fingerprint, sizeof prints[i]);
        prilora_dataset_free(d);
        prilora_dataset_free(out);
    }
    assert_string_equal(prints[0], prints[1]);
    assert_string_not_equal(prints[0], prints[2]);
}

static void a_split_leaves_both_sides_at_least_one(void **state)
{
    static const double wrong[] = {0, 1, -0.5, 2, (double)NAN};
    struct prilora_dataset *d = parse("a.csv", "text,label\na,1.5\nb,0\n"), *out = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(prilora_dataset_split(d, &out, wrong[i], 1, &err), PRILORA_EINVAL);
    assert_int_equal(prilora_dataset_split(d, &out, 0.001, 1, &err), PRILORA_OK);
    assert_int_equal(d->n, 1);
    assert_int_equal(out->n, 1);
    prilora_dataset_free(out);
    assert_int_equal(prilora_dataset_split(d, &out, 0.5, 1, &err), PRILORA_EDATA);
    assert_null(out);
    prilora_dataset_free(d);
}

static void assert_same(const struct prilora_dataset *a, const struct prilora_dataset *b)
{
    struct prilora_dataset_info x, y;

    prilora_dataset_describe(a, &x);
    prilora_dataset_describe(b, &y);
    assert_memory_equal(&x.fingerprint, &y.fingerprint, sizeof x.fingerprint);
    assert_int_equal(x.task, y.task);
    assert_int_equal(x.n_examples, y.n_examples);
    assert_int_equal(x.longest, y.longest);
    assert_int_equal(x.n_truncated, y.n_truncated);
    assert_int_equal(x.majority, y.majority);
    assert_int_equal(x.n_skipped, y.n_skipped);
    assert_labels(b, a->n_labels, (const char *const *)a->labels);
    assert_memory_equal(a->starts, b->starts, (a->n + 1) * sizeof *a->starts);
    assert_memory_equal(a->ids, b->ids, x.n_tokens * sizeof *a->ids);
    assert_memory_equal(a->type_ids, b->type_ids, x.n_tokens);
    assert_memory_equal(a->targets, b->targets, a->n * a->width * sizeof *a->targets);
}

static void a_saved_data_set_comes_back_the_same(void **state)
{
    static const char *const texts[][2] = {
        {"a.csv", "text,label\na,x\nb b b b,y\n"},
        {"a.csv", "text,label\na,1.5\nb,-2\n"},
        {"a.jsonl", "{\"text\": \"a\", \"text_pair\": \"b\", \"label\": [\"x\", \"z\"]}\n"
                    "{\"text\": \"a\", \"label\": [\"y\"]}\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct prilora_dataset *d = parse(texts[i][0], texts[i][1]), *again = NULL;

        assert_int_equal(prilora_dataset_save(d, test_scratch_path("saved"), &err), PRILORA_OK);
        assert_int_equal(prilora_dataset_load(&again, test_scratch_path("saved"), &err),
                         PRILORA_OK);
        assert_same(d, again);
        prilora_dataset_free(d);
        prilora_dataset_free(again);
    }
}

static void a_saved_data_set_with_any_byte_changed_or_missing_is_refused(void **state)
{
    struct prilora_dataset *d = parse("a.csv", "text,label\na,x\nb,y\n"), *again = NULL;
    size_t size;
    char *bytes;

    (void)state;
    assert_int_equal(prilora_dataset_save(d, test_scratch_path("saved"), &err), PRILORA_OK);
    bytes = test_file(test_scratch_path("saved"), &size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)(bytes[i] ^ 0x10);
        assert_int_equal(prilora_dataset_load(&again, test_scratch_write("hurt", bytes, size),
                                              &err),
                         PRILORA_EFORMAT);
        bytes[i] = (char)(bytes[i] ^ 0x10);
        assert_int_equal(prilora_dataset_load(&again, test_scratch_write("hurt", bytes, i), &err),
                         PRILORA_EFORMAT);
        assert_null(again);
    }
    free(bytes);
    prilora_dataset_free(d);
}

/* Without the digest to stop them, wrong counts and contents must be seen for themselves. */
static void saved_counts_are_not_believed(void **state)
{
    struct prilora_dataset *d = parse("a.csv", "text,label\na,x\nb,y\n"), *again = NULL;
    size_t size;
    unsigned char *bytes;

    (void)state;
    assert_int_equal(prilora_dataset_save(d, test_scratch_path("saved"), &err), PRILORA_OK);
    bytes = (unsigned char *)test_file(test_scratch_path("saved"), &size);
    size -= 64;
    assert_int_equal(pl_dataset_decode(&again, bytes, size, false, "x", &err), PRILORA_OK);
    prilora_dataset_free(again);
    for (size_t i = 8; i < 8 + 5 * 8; i++) { /* the five counts that sizes follow from */
        unsigned char byte = bytes[i];

        for (int bit = 0; bit < 8; bit++) {
            bytes[i] = (unsigned char)(byte ^ 1 << bit);
            assert_int_equal(pl_dataset_decode(&again, bytes, size, false, "x", &err),
                             PRILORA_EFORMAT);
        }
        bytes[i] = byte;
    }
    bytes[size - 1] = 0x7F; /* the last target: 2^97 or so, no class */
    assert_int_equal(pl_dataset_decode(&again, bytes, size, false, "x", &err), PRILORA_EFORMAT);
    assert_non_null(strstr(err.message, "a target that is no label"));
    free(bytes);
    prilora_dataset_free(d);
}

/* ---- GLUE ------------------------------------------------------------------------------------ */

#define GLUE "../shared/data/glue/"

static void check_glue(const char *task, size_t n_train, size_t n_dev, size_t n_labels)
{
    struct prilora_dataset *train = NULL, *dev = NULL;
    struct prilora_dataset_options options = {.max_length = 64};
    char path[128];

    snprintf(path, sizeof path, GLUE "%s/train.tsv", task);
    if (access(path, R_OK) != 0)
        skip();
    if (pl_dataset_read(&train, tokenizer, path, &options, &err) != PRILORA_OK)
        fail_msg("%s: %s", err.where, err.message);
    snprintf(path, sizeof path, GLUE "%s/dev.tsv", task);
    options.train = train;
    if (pl_dataset_read(&dev, tokenizer, path, &options, &err) != PRILORA_OK)
        fail_msg("%s: %s", err.where, err.message);
    assert_int_equal(train->n, n_train);
    assert_int_equal(dev->n, n_dev);
    assert_int_equal(train->n_labels, n_labels);
    assert_int_equal(dev->n_labels, n_labels);
    assert_int_equal(train->n_skipped + dev->n_skipped, 0);
    prilora_dataset_free(train);
    prilora_dataset_free(dev);
}

/* Row counts are those of GLUE.md. */
static void cola_loads_whole(void **state)
{
    (void)state;
    check_glue("CoLA", 8551, 1043, 2);
}

static void sst2_loads_whole(void **state)
{
    (void)state;
    check_glue("SST-2", 67349, 872, 2);
}

static void mrpc_loads_whole(void **state)
{
    (void)state;
    /* GLUE.md says 3,668 training rows; the copy there has 3,667 (and a header) */
    check_glue("MRPC", 3667, 408, 2);
}

static void stsb_loads_whole(void **state)
{
    (void)state;
    check_glue("STS-B", 5749, 1500, 1);
}

static void rte_loads_whole(void **state)
{
    (void)state;
    check_glue("RTE", 2490, 277, 2);
}

static int open_all(void **state)
{
    if (pl_tokenizer_open(&tokenizer, "examples/prilora-mini-en", NULL) != PRILORA_OK)
        return -1;
    return test_scratch_open(state);
}

static int close_all(void **state)
{
    pl_tokenizer_close(tokenizer);
    return test_scratch_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jsonl_with_text_and_label_is_read),
        cmocka_unit_test(a_json_list_is_read_like_lines),
        cmocka_unit_test(csv_quotes_commas_and_line_ends),
        cmocka_unit_test(glue_layouts_are_known_by_their_columns),
        cmocka_unit_test(stsb_scores_are_a_regression),
        cmocka_unit_test(short_rows_of_qqp_are_passed_over_as_its_readers_do),
        cmocka_unit_test(the_ending_of_the_name_tells_the_format),
        cmocka_unit_test(classes_that_are_numbers_keep_their_number),
        cmocka_unit_test(other_names_are_sorted_by_bytes),
        cmocka_unit_test(lists_are_a_multi_label_task),
        cmocka_unit_test(the_task_can_be_told_instead),
        cmocka_unit_test(one_odd_label_does_not_change_the_task),
        cmocka_unit_test(a_classification_needs_two_labels),
        cmocka_unit_test(too_many_labels_are_a_named_limit),
        cmocka_unit_test(validation_data_must_have_the_training_labels),
        cmocka_unit_test(every_kind_of_bad_json_row_is_named),
        cmocka_unit_test(bad_rows_are_told_in_line_order_up_to_the_limit),
        cmocka_unit_test(a_row_above_the_limit_is_refused),
        cmocka_unit_test(a_text_above_the_limit_is_refused),
        cmocka_unit_test(max_length_without_room_is_no_row_s_fault),
        cmocka_unit_test(long_examples_are_truncated_and_counted),
        cmocka_unit_test(a_missing_file_is_told_so),
        cmocka_unit_test(a_split_keeps_the_proportions_and_loses_nothing),
        cmocka_unit_test(a_split_depends_on_its_seed_alone),
        cmocka_unit_test(a_split_leaves_both_sides_at_least_one),
        cmocka_unit_test(a_saved_data_set_comes_back_the_same),
        cmocka_unit_test(a_saved_data_set_with_any_byte_changed_or_missing_is_refused),
        cmocka_unit_test(saved_counts_are_not_believed),
        cmocka_unit_test(cola_loads_whole),
        cmocka_unit_test(sst2_loads_whole),
        cmocka_unit_test(mrpc_loads_whole),
        cmocka_unit_test(stsb_loads_whole),
        cmocka_unit_test(rte_loads_whole),
    };

    return cmocka_run_group_tests_name("dataset", tests, open_all, close_all);
}
