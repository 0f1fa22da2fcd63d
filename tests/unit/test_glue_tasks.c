/*
 * test_glue_tasks.c - GLUE tasks by name: files as published and as the hub spells them, class
 * numbers, and what is no file of the task. The rows are made up; the layouts are the published
 * ones.
 */
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
#include "train/dataset.h"

#define BASE   "examples/prilora-mini-en"
#define SHARED "../shared/data/glue/"

static struct prilora_base *base;

static int open_group(void **state)
{
    struct prilora_error err;

    if (test_scratch_open(state) != 0)
        return -1;
    return prilora_base_open(&base, BASE, &err) == PRILORA_OK ? 0 : -1;
}

static int close_group(void **state)
{
    prilora_base_close(base);
    return test_scratch_close(state);
}

static enum prilora_status read_path(struct prilora_dataset **out, enum prilora_glue glue,
                                     const char *path, const struct prilora_dataset *train,
                                     struct prilora_error *err)
{
    struct prilora_dataset_options options = {.glue = glue, .max_length = 64, .train = train};

    *err = (struct prilora_error){0};
    return prilora_dataset_read(out, base, path, &options, err);
}

static struct prilora_dataset *must_read(enum prilora_glue glue, const char *name, const char *text)
{
    struct prilora_dataset *data;
    struct prilora_error err;

    if (read_path(&data, glue, test_scratch_write(name, text, strlen(text)), NULL, &err) !=
        PRILORA_OK)
        fail_msg("%s: %s: %s", prilora_glue_name(glue), err.where, err.message);
    return data;
}

/* Columns of the published files, their rows in the first one's order. */
#define MNLI_PARSES "\t(p)\t(h)\t(P)\t(H)"
static const struct {
    enum prilora_glue glue;
    const char *file, *text;
    size_t n, n_labels;
    const char *labels[3];
    float targets[3];
} published[] = {
    {PRILORA_GLUE_COLA,
     "train.tsv",
     "gj04\t1\t\tThe ship sank.\n"
     "gj04\t0\t*\tThe ship \"sank\n"
     "cj99\t1\t\tThe more, the better.\n",
     3,
     2,
     {"unacceptable", "acceptable"},
     {1, 0, 1}},
    {PRILORA_GLUE_SST2,
     "train.tsv",
     "sentence\tlabel\na fine film \t1\na dull one \t0\n\"half a quote \t1\n",
     3,
     2,
     {"negative", "positive"},
     {1, 0, 1}},
    {PRILORA_GLUE_MRPC,
     "train.tsv",
     "\xEF\xBB\xBFQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
     "1\t10\t11\tHe said \" no \" .\tHe said no .\n"
     "0\t12\t13\tIt rained .\tIt snowed .\n",
     2,
     2,
     {"not_equivalent", "equivalent"},
     {1, 0}},
    {PRILORA_GLUE_STSB,
     "dev.tsv",
     "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
     "0\tmain-news\theadlines\t2015\t0001\tnone\tnone\tA man sings.\tA man is singing.\t5.000\n"
     "1\tmain-news\theadlines\t2015\t0002\tnone\tnone\tA dog runs.\tA cat sleeps.\t0.25\n",
     2,
     1,
     {"score"},
     {5, 0.25F}},
    {PRILORA_GLUE_QQP,
     "train.tsv",
     "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
     "0\t1\t2\tHow is it?\tHow is this?\t1\n"
     "1\t3\t4\tcut short\n" /* some published rows are */
     "2\t5\t6\t\tWhy?\t0\n",
     2,
     2,
     {"not_duplicate", "duplicate"},
     {1, 0}},
    {PRILORA_GLUE_MNLI,
     "train.tsv", /* 12 columns */
     "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
     "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label\n"
     "0\t1\t1n\tfiction" MNLI_PARSES "\tIt rains.\tIt is wet.\tneutral\tneutral\n"
     "1\t2\t2e\tfiction" MNLI_PARSES "\tHe ran.\tHe moved.\tentailment\tentailment\n"
     "2\t3\t3c\tfiction" MNLI_PARSES "\tHe ran.\tHe slept.\tcontradiction\tcontradiction\n",
     3,
     3,
     {"entailment", "neutral", "contradiction"},
     {1, 0, 2}},
    {PRILORA_GLUE_MNLI,
     "dev_matched.tsv", /* 16 columns; only the last one counts */
     "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
     "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tlabel2\tlabel3\tlabel4\t"
     "label5\tgold_label\n"
     "0\t1\t1n\tslate" MNLI_PARSES "\tIt rains.\tIt is wet.\tneutral\tentailment\tentailment\t"
     "entailment\tneutral\tentailment\n",
     1,
     3,
     {"entailment", "neutral", "contradiction"},
     {0}},
    {PRILORA_GLUE_QNLI,
     "train.tsv",
     "index\tquestion\tsentence\tlabel\n"
     "0\tWho won?\tThe \"Reds won in May.\tentailment\n"
     "1\tWhen?\tThe Reds won.\tnot_entailment\n",
     2,
     2,
     {"entailment", "not_entailment"},
     {0, 1}},
    {PRILORA_GLUE_RTE,
     "dev.tsv",
     "index\tsentence1\tsentence2\tlabel\n"
     "0\tNo sun.\tRain.\tnot_entailment\n1\tIt rains.\tRain.\tentailment\n",
     2,
     2,
     {"entailment", "not_entailment"},
     {1, 0}},
    {PRILORA_GLUE_WNLI,
     "train.tsv",
     "index\tsentence1\tsentence2\tlabel\n"
     "0\tI put it in the box because it was empty.\tThe box was empty.\t1\n"
     "1\tThe cup fell off the shelf; it broke.\tThe shelf broke.\t0\n",
     2,
     2,
     {"not_entailment", "entailment"},
     {1, 0}},
    /* the hub's spellings, as JSON lines and as CSV */
    {PRILORA_GLUE_COLA,
     "h.jsonl",
     "{\"sentence\": \"It sank.\", \"label\": 1, \"idx\": 0}\n"
     "{\"sentence\": \"Sank it.\", \"label\": 0, \"idx\": 1}\n",
     2,
     2,
     {"unacceptable", "acceptable"},
     {1, 0}},
    {PRILORA_GLUE_MNLI,
     "h.jsonl",
     "{\"premise\": \"He ran.\", \"hypothesis\": \"\", \"label\": 2, \"idx\": 7}\n"
     "{\"premise\": \"He ran.\", \"hypothesis\": \"He moved.\", \"label\": 0, \"idx\": 8}\n",
     2,
     3,
     {"entailment", "neutral", "contradiction"},
     {2, 0}},
    {PRILORA_GLUE_QQP,
     "h.csv",
     "question1,question2,label,idx\n\"How, then?\",How?,1,0\nWhy?,,0,1\n",
     2,
     2,
     {"not_duplicate", "duplicate"},
     {1, 0}},
    {PRILORA_GLUE_QNLI,
     "h.csv",
     "question,sentence,label,idx\nWho?,They did.,1,0\n",
     1,
     2,
     {"entailment", "not_entailment"},
     {1}},
    {PRILORA_GLUE_RTE,
     "h.jsonl",
     "{\"sentence1\": \"It rains.\", \"sentence2\": \"Rain.\", \"label\": 0, \"idx\": 0}\n",
     1,
     2,
     {"entailment", "not_entailment"},
     {0}},
    {PRILORA_GLUE_STSB,
     "h.jsonl",
     "{\"sentence1\": \"A.\", \"sentence2\": \"B.\", \"label\": 3, \"idx\": 0}\n",
     1,
     1,
     {"score"},
     {3}},
    {PRILORA_GLUE_MRPC,
     "h.jsonl",
     "{\"sentence1\": \"A.\", \"sentence2\": \"B.\", \"label\": \"equivalent\"}\n",
     1,
     2,
     {"not_equivalent", "equivalent"},
     {1}},
};

static void published_layouts_have_their_tasks_labels_in_class_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        struct prilora_dataset *data =
            must_read(published[i].glue, published[i].file, published[i].text);

        if (data->n != published[i].n || data->n_labels != published[i].n_labels)
            fail_msg("%s %s: %zu rows, %zu labels", prilora_glue_name(published[i].glue),
                     published[i].file, data->n, data->n_labels);
        assert_int_equal(data->task, published[i].glue == PRILORA_GLUE_STSB
                                         ? PRILORA_TASK_REGRESSION
                                         : PRILORA_TASK_CLASSIFICATION);
        for (size_t k = 0; k < data->n_labels; k++)
            assert_string_equal(data->labels[k], published[i].labels[k]);
        for (size_t k = 0; k < data->n; k++)
            assert_true(data->targets[k] == published[i].targets[k]);
        prilora_dataset_free(data);
    }
}

static void what_is_no_file_of_the_task_is_refused(void **state)
{
    static const struct {
        enum prilora_glue glue;
        const char *file, *text, *where, *message;
    } bad[] = {
        {PRILORA_GLUE_RTE, "a.tsv", "sentence\tlabel\nfine\t1\n", "a.tsv:1",
         "(2 columns, the first is \"sentence\") is not what RTE has: \"sentence1\", "
         "\"sentence2\", "
         "\"label\""},
        {PRILORA_GLUE_COLA, "a.tsv", "gj04\t1\tThe ship sank.\n", "a.tsv:1",
         "is not what CoLA has: four columns without a header, or \"sentence\", \"label\""},
        {PRILORA_GLUE_COLA, "a.tsv", "gj04\t2\t\tThe ship sank.\n", "a.tsv:1", "not what CoLA has"},
        {PRILORA_GLUE_COLA, "a.tsv", "gj04\t1\t\tA.\ngj04\t1\tB.\n", "a.tsv:2",
         "3 columns, but the first line has 4"},
        {PRILORA_GLUE_SST2, "a.tsv", "gj04\t1\t\tThe ship sank.\n", "a.tsv:1",
         "not what SST-2 has"},
        {PRILORA_GLUE_MNLI, "test_matched.tsv",
         "index\tpromptID\tpairID\tgenre\tp\th\tP\tH\tsentence1\tsentence2\n"
         "0\t1\t1n\tfiction\t1\t2\t3\t4\tA.\tB.\n",
         "test_matched.tsv:1",
         "not what MNLI has: \"sentence1\", \"sentence2\", \"gold_label\", or \"premise\", "
         "\"hypothesis\", \"label\" (a test file has no labels)"},
        {PRILORA_GLUE_RTE, "a.tsv", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tmaybe\n",
         "a.tsv:2", "\"maybe\" is none of RTE's, which are \"entailment\", \"not_entailment\""},
        {PRILORA_GLUE_SST2, "a.tsv", "sentence\tlabel\nfine\t2\n", "a.tsv:2",
         "\"2\" is none of SST-2's, which are \"negative\", \"positive\""},
        {PRILORA_GLUE_SST2, "a.jsonl", "{\"sentence\": \"fine\", \"label\": -1}\n", "a.jsonl:1",
         "\"-1\" is none of SST-2's"},
        {PRILORA_GLUE_SST2, "a.jsonl", "{\"sentence\": \"fine\", \"label\": [\"positive\"]}\n",
         "a.jsonl:1", "the label is a list"},
        {PRILORA_GLUE_SST2, "a.jsonl", "{\"text\": \"fine\", \"label\": 1}\n", "a.jsonl:1",
         "not what SST-2 has: \"sentence\", \"label\""},
        {PRILORA_GLUE_STSB, "a.jsonl",
         "{\"sentence1\": \"A.\", \"sentence2\": \"B.\", \"label\": 5.5}\n", "a.jsonl:1",
         "\"5.5\" is no score of STS-B's, which go from 0 to 5"},
        {PRILORA_GLUE_STSB, "a.jsonl",
         "{\"sentence1\": \"A.\", \"sentence2\": \"B.\", \"label\": -1}\n", "a.jsonl:1",
         "is no score of STS-B's"},
        {PRILORA_GLUE_STSB, "a.tsv", "index\tsentence1\tsentence2\tlabel\n0\tA\tB\tentailment\n",
         "a.tsv:2", "\"entailment\" is not a number, as STS-B's are"},
        {PRILORA_GLUE_RTE, "a.jsonl",
         "{\"sentence1\": \"\", \"sentence2\": \"B.\", \"label\": 0}\n", "a.jsonl:1",
         "the text is empty"},
        {PRILORA_GLUE_QNLI, "a.tsv", "index\tquestion\tsentence\tlabel\n0\tWho?\tentailment\n",
         "a.tsv:2", "3 columns, but the first line has 4"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct prilora_dataset *data;
        struct prilora_error err;
        const char *path = test_scratch_write(bad[i].file, bad[i].text, strlen(bad[i].text));
        size_t end;

        if (read_path(&data, bad[i].glue, path, NULL, &err) == PRILORA_OK)
            fail_msg("read as %s: %s", prilora_glue_name(bad[i].glue), bad[i].text);
        assert_int_equal(err.status, PRILORA_EDATA);
        end = strlen(err.where) - strlen(bad[i].where);
        if (strcmp(err.where + end, bad[i].where) != 0 || !strstr(err.message, bad[i].message))
            fail_msg("%s: got %s: %s", bad[i].message, err.where, err.message);
    }
}

/* A file may lack a class, and validation data may be in another spelling than the training data.
 */
static void validation_data_may_be_spelt_in_another_way(void **state)
{
    static const char hub[] = "{\"sentence1\": \"It rains.\", \"sentence2\": \"Rain.\", "
                              "\"label\": 1}\n";
    struct prilora_dataset *train =
        must_read(PRILORA_GLUE_RTE, "train.tsv",
                  "index\tsentence1\tsentence2\tlabel\n0\tNo sun.\tRain.\tnot_entailment\n");
    struct prilora_dataset *valid;
    struct prilora_error err;

    (void)state;
    assert_int_equal(train->n_labels, 2);
    assert_int_equal(read_path(&valid, PRILORA_GLUE_RTE,
                               test_scratch_write("valid.jsonl", hub, sizeof hub - 1), train, &err),
                     PRILORA_OK);
    assert_true(train->targets[0] == 1);
    assert_true(valid->targets[0] == 1);
    prilora_dataset_free(valid);
    prilora_dataset_free(train);
}

static void a_preview_reads_as_the_task(void **state)
{
    static const char text[] = "sentence1,sentence2,label\nA.,B.,1\nA.,B.,0\nA.,C.,1\n";
    struct prilora_preview_options options = {
        .glue = PRILORA_GLUE_RTE, .n_shown = 1, .max_text = 100, .max_bytes = 1000, .max_rows = 10};
    struct prilora_preview_info info;
    struct prilora_preview *preview;
    struct prilora_error err;
    size_t count;

    (void)state;
    assert_int_equal(prilora_preview_read(&preview,
                                          test_scratch_write("p.csv", text, sizeof text - 1),
                                          &options, &err),
                     PRILORA_OK);
    prilora_preview_describe(preview, &info);
    assert_int_equal(info.n_rows, 3);
    assert_int_equal(info.n_bad, 0);
    assert_int_equal(info.n_labels, 2);
    assert_string_equal(prilora_preview_label(preview, 1, &count), "not_entailment");
    assert_int_equal(count, 2);
    prilora_preview_free(preview);
}

/* Rows and classes of the published sets, counted by other means (awk over the label's column). */
static void the_published_files_themselves_are_read(void **state)
{
    static const struct {
        enum prilora_glue glue;
        const char *file;
        size_t n, n_last; /* rows; those of the last class */
    } files[] = {
        {PRILORA_GLUE_COLA, SHARED "CoLA/train.tsv", 8551, 6023},
        {PRILORA_GLUE_COLA, SHARED "CoLA/dev.tsv", 1043, 721},
        {PRILORA_GLUE_SST2, SHARED "SST-2/train.tsv", 67349, 37569},
        {PRILORA_GLUE_SST2, SHARED "SST-2/dev.tsv", 872, 444},
        {PRILORA_GLUE_MRPC, SHARED "MRPC/train.tsv", 3667, 2473},
        {PRILORA_GLUE_MRPC, SHARED "MRPC/dev.tsv", 408, 279},
        {PRILORA_GLUE_STSB, SHARED "STS-B/train.tsv", 5749, 266},
        {PRILORA_GLUE_STSB, SHARED "STS-B/dev.tsv", 1500, 56},
        {PRILORA_GLUE_RTE, SHARED "RTE/train.tsv", 2490, 1241},
        {PRILORA_GLUE_RTE, SHARED "RTE/dev.tsv", 277, 131},
    };

    (void)state;
    if (access(SHARED, R_OK) != 0)
        skip(); /* the published data is not part of the project */
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct prilora_dataset *data;
        struct prilora_error err;
        size_t n_last = 0;

        if (read_path(&data, files[i].glue, files[i].file, NULL, &err) != PRILORA_OK)
            fail_msg("%s: %s", files[i].file, err.message);
        for (size_t k = 0; k < data->n; k++)
            n_last += data->targets[k] == (float)(files[i].glue == PRILORA_GLUE_STSB ? 5 : 1);
        assert_int_equal(data->n, files[i].n);
        assert_int_equal(n_last, files[i].n_last);
        prilora_dataset_free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_layouts_have_their_tasks_labels_in_class_order),
        cmocka_unit_test(what_is_no_file_of_the_task_is_refused),
        cmocka_unit_test(validation_data_may_be_spelt_in_another_way),
        cmocka_unit_test(a_preview_reads_as_the_task),
        cmocka_unit_test(the_published_files_themselves_are_read),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
