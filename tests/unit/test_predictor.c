/* test_predictor.c - the daemon's predictor: batches, turns, limits, and the adapters it keeps. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/path.h"
#include "daemon/predictor_cache.h"
#include "support/asked.h"
#include "support/close.h"
#include "support/scratch.h"
#include "support/training.h"

#define BASE  "prilora-mini-en"
#define JOB_A "ftjob-a"
#define JOB_B "ftjob-b"
#define JOB_Q "ftjob-q" /* answers questions */

static struct store *store;
static struct models *models;
static char adapter_folder[600];

/* An adapter of the job, as a finished one has it. */
static void make_adapter(const char *job, const struct prilora_dataset *train)
{
    struct prilora_spec *spec = test_training_spec("\"max_steps\": 3");
    struct prilora_run_options options = {.n_threads = 1};
    struct prilora_run *run;
    struct prilora_error err;
    char folder[600];

    test_must(prilora_run_open(&run, test_training.base, spec, train, NULL, &options, &err), &err);

    snprintf(folder, sizeof folder, "%s/jobs/%s", test_scratch_path("state"), job);
    test_must(path_make_folder(folder, &err), &err);
    snprintf(adapter_folder, sizeof adapter_folder, "%s/jobs/%s/adapter",
             test_scratch_path("state"), job);
    test_must(prilora_run_train(run, &err), &err);
    test_must(prilora_run_export(run, adapter_folder, BASE, NULL, &err), &err);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

static struct prilora_dataset *read_questions(void)
{
    struct prilora_dataset_options options = {.max_length = 64, .name = "asked.json"};
    char *text = test_asked(&(struct test_asked){20, 1, 2, true, TEST_ASKED_SQUAD});
    struct prilora_dataset *out;
    struct prilora_error err;

    test_must(prilora_dataset_read(&out, test_training.base,
                                   test_scratch_write("asked.json", text, strlen(text)), &options,
                                   &err),
              &err);
    free(text);
    return out;
}

static int open_group(void **state)
{
    struct prilora_dataset *questions;

    if (test_training_open(state) != 0)
        return -1;
    test_must(store_open(&store, test_scratch_path("state"), NULL), &(struct prilora_error){0});
    test_must(models_new(&models, "examples", NULL), &(struct prilora_error){0});
    make_adapter(JOB_A, test_training.train);
    make_adapter(JOB_B, test_training.train);
    questions = read_questions();
    make_adapter(JOB_Q, questions);
    prilora_dataset_free(questions);
    return 0;
}

static int close_group(void **state)
{
    models_free(models);
    store_close(store);
    return test_training_close(state);
}

static struct predictor *start(long max_waiting)
{
    static struct config config; /* outlives its predictor */
    struct predictor *p;
    struct prilora_error err;

    config = (struct config){.predictions_threads = 2, .max_waiting = max_waiting};
    test_must(predictor_start(&p, &config, store, models, &err), &err);
    return p;
}

/* n times the same text, of a job. */
static struct prediction *make(const char *job, size_t n)
{
    struct prediction *prediction = prediction_new();
    struct prilora_text *texts = calloc(n, sizeof *texts);

    assert_true(prediction && texts);
    for (size_t i = 0; i < n; i++)
        texts[i] = (struct prilora_text){.text = "The ship was old.", .text_size = 17};
    snprintf(prediction->job_id, sizeof prediction->job_id, "%s", job);
    prediction->base = strdup(BASE);
    prediction->texts = texts;
    prediction->n = n;
    prediction->owner = texts;
    prediction->free_owner = free;
    return prediction;
}

/* ---- waiting for the end, as a client would ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static struct prediction *order[64]; /* in which they were done */
static size_t n_done;

static void note_end(void *context)
{
    pthread_mutex_lock(&lock);
    order[n_done++] = context;
    pthread_cond_broadcast(&woken);
    pthread_mutex_unlock(&lock);
}

static void wait_for(size_t n)
{
    pthread_mutex_lock(&lock);
    while (n_done < n)
        pthread_cond_wait(&woken, &lock);
    pthread_mutex_unlock(&lock);
}

static void submit(struct predictor *p, struct prediction *prediction)
{
    struct prilora_error err;

    test_must(predictor_submit(p, prediction, &err), &err);
    predictor_await(p, prediction, note_end, prediction);
}

static void what_waits_together_is_computed_together(void **state)
{
    enum { N = 24 };
    struct predictor *p = start(1000);
    struct prediction *all[N];
    struct predictor_figures figures;

    (void)state;
    n_done = 0;
    /* while the first one's adapter is opened, the others come */
    for (size_t i = 0; i < N; i++)
        submit(p, all[i] = make(JOB_A, 1 + i % 2));
    wait_for(N);
    for (size_t i = 0; i < N; i++) {
        assert_true(predictor_collect(p, all[i]));
        assert_int_equal(all[i]->status, PRILORA_OK);
        assert_int_equal(all[i]->info.n_labels, 3);
        assert_string_equal(all[i]->labels[2], "class 2");
        /* the same text: float sums in another order */
        for (size_t k = 0; k < 3 * all[i]->n; k++)
            test_close(all[i]->values[k], all[0]->values[k % 3], 1e-5);
        assert_true(all[i]->out[0].n_tokens > 3);
    }
    predictor_get_figures(p, &figures);
    assert_int_equal(figures.n_texts, N + N / 2);
    assert_int_equal(figures.n_waiting, 0);
    assert_true(figures.n_rounds < N / 2);
    for (size_t i = 0; i < N; i++)
        predictor_release(p, all[i]);
    predictor_stop(p);
}

/* 700 texts are many rounds; one that comes behind them is in the next. */
static void a_small_request_does_not_wait_for_a_large_one(void **state)
{
    struct predictor *p = start(4000);
    struct prediction *large = make(JOB_A, 700), *small = make(JOB_A, 1), *other = make(JOB_B, 1);

    (void)state;
    n_done = 0;
    submit(p, large);
    submit(p, small);
    submit(p, other); /* of another adapter */
    wait_for(3);
    assert_ptr_equal(order[2], large);
    assert_int_equal(large->status, PRILORA_OK);
    assert_int_equal(large->n_done, 700);
    test_close(large->values[3 * 699], small->values[0], 1e-5);
    predictor_release(p, large);
    predictor_release(p, small);
    predictor_release(p, other);
    predictor_stop(p);
}

/* Of six large contexts two are a round; one question that comes behind them is in the next. */
static void a_round_of_questions_is_one_requests(void **state)
{
    enum { SIZE = 33000 };
    struct predictor *p = start(1000);
    struct prediction *large = make(JOB_Q, 6), *small = make(JOB_Q, 1);
    struct prilora_text *texts = large->owner, *one = small->owner;
    struct predictor_figures figures;
    char *context = malloc(SIZE);

    (void)state;
    memset(context, ' ', SIZE); /* many bytes, few tokens */
    memcpy(context, "Anna came to Rome", 17);
    memcpy(context + SIZE - 9, "in March.", 9);
    for (size_t i = 0; i < 6; i++) {
        texts[i].pair = context;
        texts[i].pair_size = SIZE;
    }
    one->pair = "Peter went to Paris.";
    one->pair_size = 20;
    large->n_best = small->n_best = 3;
    n_done = 0;
    submit(p, large);
    submit(p, small);
    wait_for(2);
    assert_ptr_equal(order[0], small);
    assert_int_equal(large->status, PRILORA_OK);
    assert_int_equal(small->status, PRILORA_OK);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(large->answers[i].n_answers, 3);
        assert_int_equal(large->out[i].n_tokens, large->answers[0].n_tokens);
        assert_true(large->answers[i].answers[2].byte + large->answers[i].answers[2].size <= SIZE);
    }
    predictor_get_figures(p, &figures);
    assert_int_equal(figures.n_rounds, 4);
    assert_int_equal(figures.n_texts, 7);
    predictor_release(p, large);
    predictor_release(p, small);
    predictor_stop(p);
    free(context);
}

static void above_the_limit_nothing_more_is_taken(void **state)
{
    struct predictor *p = start(10);
    struct prediction *first = make(JOB_A, 200), *second = make(JOB_A, 10);
    struct prilora_error err;

    (void)state;
    n_done = 0;
    submit(p, first); /* more than the limit, but nobody else waits */
    assert_int_equal(predictor_submit(p, second, &err), PRILORA_ELIMIT);
    assert_non_null(strstr(err.message, "10 more would be above predictions.max_waiting (10)"));
    assert_in_range(predictor_patience_s(p), 1, 60);
    wait_for(1);
    submit(p, second);
    wait_for(2);
    predictor_release(p, first);
    predictor_release(p, second);
    predictor_stop(p);
}

static void who_has_gone_is_not_woken(void **state)
{
    struct predictor *p = start(10000);
    struct prediction *last = make(JOB_A, 1);

    (void)state;
    n_done = 0;
    for (size_t i = 0; i < 8; i++) {
        struct prediction *gone = make(i % 2 ? JOB_A : JOB_B, 60);

        submit(p, gone);
        predictor_release(p, gone);
    }
    submit(p, last);
    wait_for(1);
    assert_ptr_equal(order[0], last);
    assert_int_equal(n_done, 1);
    predictor_release(p, last);
    predictor_release(p, make(JOB_A, 1)); /* never submitted */
    predictor_release(p, NULL);
    predictor_stop(p);
}

static void stopping_ends_what_waits(void **state)
{
    struct predictor *p = start(100000);
    struct prediction *all[8];
    size_t n_stopped = 0;

    (void)state;
    n_done = 0;
    for (size_t i = 0; i < 8; i++)
        submit(p, all[i] = make(JOB_A, 4000));
    predictor_forget(p, JOB_A); /* any time */
    predictor_stop(p);
    assert_int_equal(n_done, 8);
    for (size_t i = 0; i < 8; i++) {
        n_stopped += all[i]->status == PRILORA_ESTOPPED;
        assert_true(all[i]->is_done);
    }
    assert_true(n_stopped > 0); /* 32,000 texts take longer than this */
    p = start(10);              /* to free them with: they belong to none any more */
    for (size_t i = 0; i < 8; i++)
        predictor_release(p, all[i]);
    predictor_stop(p);
    predictor_stop(NULL);
}

static void failures_say_at_what_stage(void **state)
{
    struct predictor *p = start(10);
    struct prediction *no_base = make(JOB_A, 1), *no_adapter = make("ftjob-none", 1);

    (void)state;
    n_done = 0;
    free(no_base->base);
    no_base->base = strdup("no-such-base");
    submit(p, no_base);
    submit(p, no_adapter);
    wait_for(2);
    assert_int_equal(no_base->status, PRILORA_ENOENT);
    assert_int_equal(no_base->stage, PREDICTION_BASE);
    assert_int_equal(no_adapter->status, PRILORA_ENOENT);
    assert_int_equal(no_adapter->stage, PREDICTION_ADAPTER);
    predictor_release(p, no_base);
    predictor_release(p, no_adapter);
    predictor_stop(p);
}

/* ---- the adapters that are kept ---- */

static size_t n_open(const struct predictor_cache *cache)
{
    size_t n = 0;

    for (const struct cached_adapter *e = cache->first; e; e = e->next)
        n++;
    return n;
}

static enum prilora_status get(struct predictor_cache *cache, const char *job,
                               struct prilora_adapter **out)
{
    struct prediction *prediction = make(job, 1);
    enum prediction_stage stage;
    enum prilora_status rc = predictor_cache_get(cache, prediction, out, &stage, NULL);

    free((void *)(uintptr_t)prediction->texts);
    free(prediction->base);
    free(prediction);
    return rc;
}

static void the_least_recently_used_adapter_goes_first(void **state)
{
    struct predictor_cache cache = {
        .store = store, .models = models, .n_threads = 1, .limit_bytes = UINT64_MAX};
    struct prilora_adapter *a, *b, *again;
    size_t one, base;

    (void)state;
    assert_int_equal(get(&cache, JOB_A, &a), PRILORA_OK);
    one = cache.first->bytes;
    base = cache.first->base_bytes;
    assert_true(base > 8000000); /* model.safetensors has 9 MB */
    assert_int_equal(get(&cache, JOB_B, &b), PRILORA_OK);
    assert_int_equal(n_open(&cache), 2);
    assert_ptr_equal(cache.first->base, cache.first->next->base);
    assert_int_equal(get(&cache, JOB_A, &again), PRILORA_OK);
    assert_ptr_equal(a, again); /* still open */
    predictor_cache_trim(&cache, 0);
    assert_int_equal(n_open(&cache), 0);

    cache.limit_bytes = base + 2 * one; /* the base counts once: room for both */
    assert_int_equal(get(&cache, JOB_A, &a), PRILORA_OK);
    assert_int_equal(get(&cache, JOB_B, &b), PRILORA_OK);
    assert_int_equal(n_open(&cache), 2);
    predictor_cache_forget(&cache, JOB_A);
    assert_int_equal(n_open(&cache), 1);
    assert_string_equal(cache.first->job_id, JOB_B);
    predictor_cache_trim(&cache, 3600);
    assert_int_equal(n_open(&cache), 1);

    cache.limit_bytes = base + 2 * one - 1; /* not any more */
    assert_int_equal(get(&cache, JOB_A, &a), PRILORA_OK);
    assert_int_equal(n_open(&cache), 1);
    assert_string_equal(cache.first->job_id, JOB_A);
    assert_int_equal(get(&cache, JOB_B, &b), PRILORA_OK);
    assert_string_equal(cache.first->job_id, JOB_B);

    cache.limit_bytes = base + one - 1; /* for none */
    assert_int_equal(get(&cache, JOB_A, &a), PRILORA_ELIMIT);
    assert_int_equal(n_open(&cache), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_together_is_computed_together),
        cmocka_unit_test(a_small_request_does_not_wait_for_a_large_one),
        cmocka_unit_test(a_round_of_questions_is_one_requests),
        cmocka_unit_test(above_the_limit_nothing_more_is_taken),
        cmocka_unit_test(who_has_gone_is_not_woken),
        cmocka_unit_test(stopping_ends_what_waits),
        cmocka_unit_test(failures_say_at_what_stage),
        cmocka_unit_test(the_least_recently_used_adapter_goes_first),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
