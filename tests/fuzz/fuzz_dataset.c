/*
 * fuzz_dataset.c - any bytes as a data file: the first byte chooses the format and the task that is
 * asked for (low bits), and the GLUE task, or words with tags or questions (high bits). What is
 * read must hold together, and split; the preview, which reads the same without tokens, must agree
 * with it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "answered.h"
#include "tok/tokenizer.h"
#include "tok/utf8.h"
#include "train/dataset.h"
#include "train/preview.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void see_bad_row(void *context, size_t line, const char *reason)
{
    size_t *last = context;

    assert(line >= *last && reason[0] && pl_utf8_check(reason, strlen(reason)) == strlen(reason));
    *last = line;
}

static void check_whole(struct prilora_dataset *d)
{
    struct prilora_dataset *held_out = NULL;
    struct prilora_dataset_info info;

    prilora_dataset_describe(d, &info);
    assert(info.n_examples >= 1 && info.n_tokens >= 2 * info.n_examples && info.longest <= 16);
    for (size_t i = 0; i < info.n_labels; i++)
        assert(prilora_dataset_label(d, i)[0]);
    for (size_t i = 0; d->task == PRILORA_TASK_CLASSIFICATION && i < d->n; i++)
        assert((size_t)d->targets[i] < d->n_labels);
    for (size_t i = 0; d->task == PRILORA_TASK_TOKEN_CLASSIFICATION && i < d->starts[d->n]; i++)
        assert(d->targets[i] == -1 || (size_t)d->targets[i] < d->n_labels);
    if (d->questions)
        fuzz_check_answered(d);
    if (prilora_dataset_split(d, &held_out, 0.3, 1, NULL) == PRILORA_OK)
        assert(held_out->n >= 1 && held_out->n + d->n == info.n_examples);
    prilora_dataset_free(held_out);
}

static void check_shown(const struct prilora_preview *p, const struct prilora_preview_info *info)
{
    for (size_t i = 0; i < info->n_shown; i++) {
        struct prilora_preview_row row;

        prilora_preview_show(p, i, &row);
        assert(row.line >= 1 && strlen(row.text) <= 9 && (row.is_list || row.n_labels == 1));
        assert(pl_utf8_check(row.text, strlen(row.text)) == strlen(row.text));
    }
}

/* d is NULL if the data set was refused. */
static void check_preview(const char *data, size_t size,
                          const struct prilora_dataset_options *options,
                          const struct prilora_dataset *d)
{
    struct prilora_preview_options same = {options->task, options->glue, options->name, 5, 9,
                                           SIZE_MAX,      SIZE_MAX};
    struct prilora_preview_info info;
    struct prilora_preview *p;
    struct prilora_error err = {0};
    size_t sum = 0, count;

    if (pl_preview_parse(&p, data, size, &same, &err) != PRILORA_OK) {
        assert(err.message[0] && !d);
        return;
    }
    prilora_preview_describe(p, &info);
    assert(info.is_complete && info.n_errors <= info.n_bad && info.n_bad <= info.n_rows);
    check_shown(p, &info);
    for (size_t i = 0; i < info.n_labels; i++, sum += count)
        assert(prilora_preview_label(p, i, &count)[0]);
    if (d) {
        assert(info.n_bad == 0 && !info.problem && info.task == d->task);
        assert(info.n_rows == (d->questions ? d->questions->n : d->n));
        assert(info.n_labels == (d->questions ? 0 : d->n_labels));
        if (info.task == PRILORA_TASK_TOKEN_CLASSIFICATION)
            assert(sum >= pl_dataset_counted(d));
        else
            assert(info.task == PRILORA_TASK_MULTI_LABEL || d->questions || sum == d->n);
    } else {
        assert(info.n_bad > 0 || info.problem);
    }
    prilora_preview_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"f.jsonl", "f.json", "f.csv", "f.tsv", "f.conll"};
    static const enum prilora_task of_high_bits[] = {PRILORA_TASK_AUTO,
                                                     PRILORA_TASK_TOKEN_CLASSIFICATION,
                                                     PRILORA_TASK_AUTO,
                                                     PRILORA_TASK_QUESTION_ANSWERING};
    static struct pl_tokenizer *tokenizer;
    struct prilora_dataset *d = NULL;
    struct prilora_error err = {0};
    size_t last_line = 0;
    bool tagged;
    struct prilora_dataset_options options = {.max_length = 16,
                                              .bad_row = see_bad_row,
                                              .context = &last_line};

    if (!tokenizer && pl_tokenizer_open(&tokenizer, "examples/prilora-mini-en", NULL) != PRILORA_OK)
        abort();
    if (size == 0)
        return 0;
    tagged = data[0] >> 4 > PRILORA_GLUE_WNLI;
    options.name = names[tagged && data[0] & 2 ? 4 : data[0] & 3];
    options.task = tagged ? of_high_bits[data[0] >> 2 & 3] : (enum prilora_task)(data[0] >> 2 & 3);
    if (!tagged)
        options.glue = (enum prilora_glue)(data[0] >> 4);
    if (pl_dataset_parse(&d, tokenizer, (const char *)data + 1, size - 1, &options, &err) !=
        PRILORA_OK)
        assert(!d && err.message[0] && err.status != PRILORA_OK);
    check_preview((const char *)data + 1, size - 1, &options, d);
    if (d)
        check_whole(d);
    prilora_dataset_free(d);
    return 0;
}
