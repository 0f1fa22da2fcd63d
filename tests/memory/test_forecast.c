/*
 * test_forecast.c - the memory that a run is forecast to add, against what is resident at its
 * peak. Its checkpoints and the export count too. Without huge pages: where the kernel always gives
 * them, some MiB more than are used become resident.
 *
 *   test_forecast                                             the bundled base, within 5 %
 *   test_forecast FOLDER BATCH LENGTH THREADS HYPERPARAMETERS one run on a base of yours, printed;
 *                                                             LENGTH 0: as GLUE's sentences
 *   test_forecast ... words                                   the same with a tag for each token
 *   test_forecast ... answers                                 with answers in contexts
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "model/task.h"
#include "support/scratch.h"
#include "support/tiny.h"
#include "train/base.h"
#include "train/dataset.h"
#include "train/questions.h"

#define STEPS   8
#define N_VALID 40
#define WORDS   7900 /* of every base's vocabulary, after the special tokens */

#define MAX_LENGTH 512 /* of answers */
#define TOKENIZERS "../shared/reference/tokenizers"

struct run_case {
    const char *folder;
    size_t batch, length; /* length 0: GLUE-like */
    size_t n_threads;
    const char *hyperparameters;
    const char *task; /* "words": token classification; "answers": question answering; or "" */
};

struct peak {
    size_t own, base, forecast, measured; /* bytes: of the program, of the base; of all */
};

/* Log-normal of mean 25, between 4 and 128. */
static size_t glue_length(size_t i)
{
    const struct pl_random r = pl_random_at(1, 0, PL_SITE_SPLIT, 0);
    const double length = 25 * exp(0.6 * pl_random_normal(&r, i) - 0.18);

    return length < 4 ? 4 : length > 128 ? 128 : (size_t)length;
}

/* Every other token is the first of a word. */
static void tag_words(struct prilora_dataset *d)
{
    d->task = PRILORA_TASK_TOKEN_CLASSIFICATION;
    free(d->targets);
    d->targets = pl_calloc(d->starts[d->n], sizeof *d->targets);
    for (size_t t = 0; t < d->starts[d->n]; t++)
        d->targets[t] = t % 2 ? (float)(t / 2 % 2) : PL_LABEL_IGNORED;
}

/* A question for two examples, which are windows of a context of its own: ten tokens of a question,
 * the last one special, the answer in their midst. */
static void ask(struct prilora_dataset *d)
{
    char text[2 * MAX_LENGTH];
    struct pl_span spans[2 * MAX_LENGTH];

    memset(text, 'a', sizeof text);
    for (uint32_t t = 0; t < 2 * MAX_LENGTH; t++)
        spans[t] = (struct pl_span){t, t + 1};
    d->task = PRILORA_TASK_QUESTION_ANSWERING;
    d->width = 2;
    free(d->targets);
    d->targets = pl_calloc(2 * d->n, sizeof *d->targets);
    d->questions = pl_calloc(1, sizeof *d->questions);
    assert_non_null(d->questions);
    for (size_t i = 0; i < d->n; i++) {
        const uint32_t length = (uint32_t)(d->starts[i + 1] - d->starts[i]);
        const struct pl_window window = {i % 2 ? 5 : 0, length - 11, 10};

        assert_true(length > 12 && length <= MAX_LENGTH);
        if (i % 2 == 0) {
            assert_true(
                pl_questions_add_context(d->questions, text, sizeof text, spans, 2 * MAX_LENGTH));
            assert_true(pl_questions_add(d->questions, i / 2));
            assert_true(pl_questions_add_answer(d->questions, "aa", 2));
        }
        assert_true(pl_questions_add_window(d->questions, &window));
        d->targets[2 * i] = d->targets[2 * i + 1] = 11;
    }
}

static struct prilora_dataset *dataset(size_t n, size_t length, uint64_t seed, const char *task)
{
    const struct pl_random r = pl_random_at(seed, 0, PL_SITE_SPLIT, 0);
    struct prilora_dataset *d = pl_calloc(1, sizeof *d);

    assert_non_null(d);
    d->task = PRILORA_TASK_CLASSIFICATION;
    d->n = n;
    d->width = 1;
    d->n_labels = 2;
    d->labels = pl_calloc(2, sizeof *d->labels);
    d->labels[0] = pl_strdup("no");
    d->labels[1] = pl_strdup("yes");
    d->starts = pl_calloc(n + 1, sizeof *d->starts);
    d->targets = pl_calloc(n, sizeof *d->targets);
    for (size_t i = 0; i < n; i++) {
        const size_t one = length ? length : glue_length(i);

        d->starts[i + 1] = d->starts[i] + one;
        d->longest = one > d->longest ? one : d->longest;
        d->targets[i] = (float)(i % 2);
    }
    d->ids = pl_calloc(d->starts[n], sizeof *d->ids);
    d->type_ids = pl_calloc(d->starts[n], 1);
    for (size_t t = 0; t < d->starts[n]; t++)
        d->ids[t] = (int32_t)(4 + pl_random_u32(&r, t) % WORDS);
    if (strcmp(task, "words") == 0)
        tag_words(d);
    if (strcmp(task, "answers") == 0)
        ask(d);
    snprintf(d->fingerprint, sizeof d->fingerprint, "random");
    return d;
}

static void must(enum prilora_status rc, const struct prilora_error *err)
{
    if (rc != PRILORA_OK)
        fail_msg("%s: %s", prilora_status_name(rc), err->message);
}

/* What is resident in this process ("VmRSS:"), or was at its peak ("VmHWM:"). */
static size_t resident_bytes(const char *which)
{
    FILE *file = fopen("/proc/self/status", "r");
    unsigned long long kib = 0;
    char line[256];

    while (file && !kib && fgets(line, sizeof line, file))
        if (strncmp(line, which, strlen(which)) == 0)
            kib = strtoull(line + strlen(which), NULL, 10);
    if (file)
        fclose(file);
    return (size_t)kib * 1024;
}

static struct peak train(const struct run_case *c)
{
    struct prilora_run_options options = {.folder = test_scratch_path("run"),
                                          .n_threads = c->n_threads};
    struct prilora_dataset *data = dataset(c->batch * STEPS, c->length, 2, c->task);
    struct prilora_dataset *valid = dataset(N_VALID, c->length, 3, c->task);
    struct prilora_forecast forecast;
    struct prilora_base *base;
    struct prilora_spec *spec;
    struct prilora_run *run;
    struct prilora_error err = {0};
    struct peak peak = {.own = resident_bytes("VmRSS:")};
    char json[512];

    snprintf(json, sizeof json,
             "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": 1, \"batch_size\": %zu, \"prune_interval\": 3%s%s}}}}",
             c->batch, *c->hyperparameters ? ", " : "", c->hyperparameters);
    prilora_init();
    must(prilora_base_open(&base, c->folder, &err), &err);
    must(pl_tokenizer_prepare(base->tokenizer, &err), &err); /* as reading texts does */
    must(prilora_spec_parse(&spec, json, strlen(json), &err), &err);
    must(prilora_run_forecast(&forecast, base, spec, data, valid, &err), &err);
    must(prilora_run_open(&run, base, spec, data, valid, &options, &err), &err);
    must(prilora_run_train(run, &err), &err);
    must(prilora_run_export(run, test_scratch_path("adapter"), "base", NULL, &err), &err);
    peak.forecast = peak.own + forecast.memory_bytes + (c->n_threads - 1) * forecast.thread_bytes;
    peak.base = forecast.base_bytes;
    peak.measured = resident_bytes("VmHWM:");
    prilora_run_close(run);
    prilora_spec_free(spec);
    prilora_base_close(base);
    prilora_dataset_free(data);
    prilora_dataset_free(valid);
    return peak;
}

static double excess(const struct peak *p)
{
    return (double)p->forecast / (double)p->measured - 1;
}

static void show(const struct run_case *c, const struct peak *p)
{
    printf("# batch %3zu, length %3zu, %zu threads, {%s}%s%s: forecast %.1f MB, %.1f of them the "
           "base, "
           "%.1f the program; resident %.1f MB: %+.1f %%\n",
           c->batch, c->length, c->n_threads, c->hyperparameters, *c->task ? " of " : "", c->task,
           (double)p->forecast * 1e-6, (double)p->base * 1e-6, (double)p->own * 1e-6,
           (double)p->measured * 1e-6, 100 * excess(p));
}

/* A process of its own for each, for a peak never falls. True if it came as forecast. */
static bool run_alone(const struct run_case *c)
{
    char batch[24], length[24], n_threads[24];
    int status = -1;
    pid_t child;

    snprintf(batch, sizeof batch, "%zu", c->batch);
    snprintf(length, sizeof length, "%zu", c->length);
    snprintf(n_threads, sizeof n_threads, "%zu", c->n_threads);
    child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "test_forecast", c->folder, batch, length, n_threads,
              c->hyperparameters, *c->task ? c->task : NULL, (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status == 0;
}

static void what_is_resident_is_what_was_forecast(void **state)
{
    static const struct {
        size_t batch, length;
    } shapes[] = {{32, 128}, {8, 128}, {32, 0}, {128, 0}, {4, 20}};
    static const char *const modes[] = {"", "\"recompute\": true", "\"lora_dropout\": 0.1"};
    size_t n_bad = 0;

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
            for (size_t threads = 1; threads <= 2; threads++) {
                const struct run_case c = {"examples/prilora-mini-en",
                                           shapes[i].batch,
                                           shapes[i].length,
                                           threads,
                                           modes[m],
                                           ""};

                n_bad += !run_alone(&c);
            }
        }
    }
    assert_int_equal(n_bad, 0);
}

static void heads_on_all_tokens_are_forecast_too(void **state)
{
    static const struct run_case cases[] = {
        {"examples/prilora-mini-en", 32, 128, 1, "", "words"},
        {"examples/prilora-mini-en", 8, 128, 2, "\"recompute\": true", "words"},
        {"examples/prilora-mini-en", 32, 128, 1, "", "answers"},
        {"examples/prilora-mini-en", 8, 64, 2, "\"recompute\": true", "answers"},
    };
    size_t n_bad = 0;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        n_bad += !run_alone(&cases[i]);
    assert_int_equal(n_bad, 0);
}

/* Reading a tokenizer's files takes several times what stays of them. */
static void what_real_tokenizers_leave_is_forecast_too(void **state)
{
    static const struct {
        const char *type, *tokenizer;
        size_t vocab;
    } bases[] = {{"roberta", "roberta-base", 50265}, {"bert", "bert-base-uncased", 30522}};
    static const char *const files[] = {"vocab.json", "merges.txt", "vocab.txt"};
    size_t n_bad = 0;

    (void)state;
    if (access(TOKENIZERS, R_OK) != 0)
        skip(); /* the reference is not part of the project */
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        const struct test_tiny tiny = {.type = bases[i].type,
                                       .vocab = bases[i].vocab,
                                       .hidden = 128,
                                       .wide = 256,
                                       .layers = 3,
                                       .positions = 130,
                                       .types = 1};
        const struct run_case c = {test_tiny_write(bases[i].type, &tiny), 32, 128, 1, "", ""};

        for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
            char from[200], name[200];
            size_t size;
            char *text;

            snprintf(from, sizeof from, TOKENIZERS "/%s/%s", bases[i].tokenizer, files[k]);
            text = access(from, R_OK) == 0 ? test_file(from, &size) : NULL;
            if (text) {
                snprintf(name, sizeof name, "%s/%s", bases[i].type, files[k]);
                test_scratch_write(name, text, size);
            }
            free(text);
        }
        n_bad += !run_alone(&c);
    }
    assert_int_equal(n_bad, 0);
}

static int run_one(char **words, const char *task)
{
    const struct run_case c = {words[0],
                               strtoul(words[1], NULL, 10),
                               strtoul(words[2], NULL, 10),
                               strtoul(words[3], NULL, 10),
                               words[4],
                               task};
    struct peak peak;

    test_scratch_open(NULL);
    peak = train(&c);
    test_scratch_close(NULL);
    show(&c, &peak);
    return fabs(excess(&peak)) > 0.05;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_resident_is_what_was_forecast),
        cmocka_unit_test(heads_on_all_tokens_are_forecast_too),
        cmocka_unit_test(what_real_tokenizers_leave_is_forecast_too),
    };

    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    if (argc == 6 || argc == 7)
        return run_one(argv + 1, argc == 7 ? argv[6] : "");
    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
