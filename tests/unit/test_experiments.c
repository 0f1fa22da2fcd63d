/*
 * test_experiments.c - grids of jobs in the store: there whole or not at all, steered together,
 * and their table from what the jobs have come to.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/results.h"
#include "daemon/experiments.h"
#include "daemon/keys.h"
#include "support/scratch.h"
#include "support/state.h"

#define METHODS 2
#define SEEDS   3
#define CELLS   (METHODS * 2 * SEEDS)
#define GRID                                                                                       \
    "{\"methods\":[{\"name\":\"ours\"},{\"name\":\"theirs\"}],"                                    \
    "\"tasks\":[{\"name\":\"one\"},{\"name\":\"two\"}],\"seeds\":[7,8,9]}"

/* ---- making ---- */

static const int64_t seeds[SEEDS] = {7, 8, 9};

/* Two methods on two tasks; every job trains on `file`, or the last pair's on what stands behind a
 * comma in it. */
static enum prilora_status submit(struct store *store, const char *file, const char *key,
                                  char id[ID_SIZE], struct prilora_error *err)
{
    static const char *const methods[] = {"ours", "theirs"}, *const tasks[] = {"one", "two"};
    char model[] = "mini", requested[] = "{}", grid[] = GRID;
    const char *comma = strchr(file, ','), *last = comma ? comma + 1 : file;
    struct experiment_pair pairs[METHODS * 2] = {0};
    struct experiment_order order = {pairs, METHODS, 2, seeds, SEEDS};
    struct experiment e = {.model = model, .grid = grid};
    enum prilora_status rc;

    snprintf(e.key_id, sizeof e.key_id, "%s", key);
    for (size_t i = 0; i < METHODS * 2; i++) {
        struct job *job = &pairs[i].job;

        job->model = model;
        job->requested = requested;
        job->training_file = i + 1 < METHODS * 2 ? strndup(file, strcspn(file, ",")) : strdup(last);
        job->experiment_method = (char *)(uintptr_t)methods[i / 2];
        job->experiment_task = (char *)(uintptr_t)tasks[i % 2];
        assert_int_equal(prilora_spec_parse(&pairs[i].spec, "{}", 2, err), PRILORA_OK);
    }
    rc = experiments_submit(store, &e, &order, err);
    memcpy(id, e.id, ID_SIZE);
    for (size_t i = 0; i < METHODS * 2; i++) {
        free(pairs[i].job.training_file);
        free(pairs[i].job.spec);
        prilora_spec_free(pairs[i].spec);
    }
    return rc;
}

static void make(struct store *store, char id[ID_SIZE])
{
    struct prilora_error err = {0};

    if (submit(store, test_add_file(store, "a.jsonl", "{}\n"), "", id, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
}

static uint64_t count_jobs(struct store *store)
{
    uint64_t counts[JOB_CANCELLED + 1], sum = 0;

    assert_int_equal(queue_counts(store, counts, NULL), PRILORA_OK);
    for (int i = 0; i <= JOB_CANCELLED; i++)
        sum += counts[i];
    return sum;
}

static void look(struct store *store, const char *id, struct experiment *out)
{
    struct prilora_error err = {0};

    if (experiments_get(store, id, out, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
}

/* The next job through all of its life, with this end; false: there is none left. */
static bool finish_next(struct store *store, const struct job_end *end, char job_id[ID_SIZE])
{
    struct job job;
    bool found;

    assert_int_equal(queue_claim(store, JOB_VALIDATING, 0, &job, &found, NULL), PRILORA_OK);
    if (!found)
        return false;
    assert_int_equal(queue_validated(store, job.id,
                                     "{\"seed\":1,\"task\":{\"type\":\"classification\","
                                     "\"metric\":\"accuracy\"}}",
                                     "{\"n_trainable\":1000,\"n_adapter\":800,\"seconds\":10}",
                                     NULL),
                     PRILORA_OK);
    job_clear(&job);
    assert_int_equal(queue_claim(store, JOB_QUEUED, 0, &job, &found, NULL), PRILORA_OK);
    assert_true(found);
    assert_int_equal(queue_finish(store, job.id, end, NULL), PRILORA_OK);
    memcpy(job_id, job.id, ID_SIZE);
    job_clear(&job);
    return true;
}

static void succeed(struct store *store, double accuracy)
{
    char result[300], id[ID_SIZE];
    struct job_end end = {.status = JOB_SUCCEEDED, .result = result};

    snprintf(result, sizeof result,
             "{\"metrics\":{\"accuracy\":%.4f,\"valid_loss\":%.4f},\"n_prunable\":400,"
             "\"n_nonzero\":300,\"seconds\":2.5}",
             accuracy, 1 - accuracy);
    assert_true(finish_next(store, &end, id));
}

/* ---- coming and going ---- */

static void a_grid_is_there_whole(void **state)
{
    struct store *store = *state;
    struct queue_query query = {.limit = 100};
    struct experiment e;
    struct job *jobs;
    size_t n;
    bool more;
    char id[ID_SIZE];

    make(store, id);
    test_add_job(store, 0);
    look(store, id, &e);
    assert_int_equal(e.n_cells, CELLS);
    assert_int_equal(e.jobs[JOB_VALIDATING], CELLS);
    assert_int_equal(experiment_status(&e), JOB_RUNNING);
    assert_true(e.seconds_left < 0);
    assert_string_equal(e.grid, GRID);
    query.experiment = id;
    assert_int_equal(queue_list(store, &query, &jobs, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, CELLS);
    /* the first to come are the first task's first seed, by every method */
    assert_string_equal(jobs[n - 1].experiment_method, "ours");
    assert_string_equal(jobs[n - 2].experiment_method, "theirs");
    assert_string_equal(jobs[n - 2].experiment_task, "one");
    assert_int_equal(jobs[n - 2].seed, 7);
    assert_int_equal(jobs[n - 3].seed, 8);
    assert_non_null(strstr(jobs[n - 3].spec, "\"seed\": 8"));
    assert_string_equal(jobs[0].experiment_task, "two");
    queue_free_list(jobs, n);
    experiment_clear(&e);
}

static void or_not_at_all(void **state)
{
    struct store *store = *state;
    struct prilora_error err = {0};
    struct experiment *list;
    size_t n;
    bool more;
    char id[ID_SIZE], files[100];

    snprintf(files, sizeof files, "%s,file-none", test_add_file(store, "a.jsonl", "{}\n"));
    assert_int_equal(submit(store, files, "", id, &err), PRILORA_ENOENT);
    assert_string_equal(err.where, "training_file");
    assert_int_equal(count_jobs(store), 0);
    assert_int_equal(experiments_list(store, NULL, 10, &list, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, 0);
    experiments_free_list(list, n);
}

static void its_jobs_count_for_the_key(void **state)
{
    struct store *store = *state;
    struct prilora_error err = {0};
    struct keys *keys;
    struct key key = {.name = "k", .scope = SCOPE_SUBMIT, .max_queued_jobs = CELLS + 3};
    char text[KEY_SIZE], id[ID_SIZE], file[ID_SIZE];

    assert_int_equal(keys_open(&keys, store, &err), PRILORA_OK);
    assert_int_equal(keys_create(keys, &key, text, &err), PRILORA_OK);
    snprintf(file, sizeof file, "%s", test_add_file(store, "a.jsonl", "{}\n"));
    assert_int_equal(submit(store, file, key.id, id, &err), PRILORA_OK);
    assert_int_equal(submit(store, file, key.id, id, &err), PRILORA_ELIMIT);
    assert_string_equal(err.where, "max_queued_jobs");
    assert_string_equal(err.message, "max_queued_jobs of this key is 15, and 12 of its jobs are "
                                     "not over yet: 12 more do not fit");
    assert_int_equal(count_jobs(store), CELLS);
    keys_close(keys);
}

static void lists_have_pages(void **state)
{
    struct store *store = *state;
    struct experiment *list;
    size_t n;
    bool more;
    char ids[3][ID_SIZE];

    for (size_t i = 0; i < 3; i++)
        make(store, ids[i]);
    assert_int_equal(experiments_list(store, NULL, 2, &list, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, 2);
    assert_true(more);
    assert_string_equal(list[0].id, ids[2]);
    assert_string_equal(list[1].id, ids[1]);
    assert_int_equal(list[1].jobs[JOB_VALIDATING], CELLS);
    experiments_free_list(list, n);
    assert_int_equal(experiments_list(store, ids[1], 2, &list, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, 1);
    assert_false(more);
    assert_string_equal(list[0].id, ids[0]);
    experiments_free_list(list, n);
    assert_int_equal(experiments_list(store, "exp-none", 2, &list, &n, &more, NULL),
                     PRILORA_ENOENT);
}

static void what_is_left_follows_from_the_finished_ones(void **state)
{
    struct store *store = *state;
    struct experiment e;
    struct job job;
    bool found;
    char id[ID_SIZE];

    make(store, id);
    succeed(store, 0.5); /* took 2.5 of the 10 seconds that were forecast */
    for (size_t i = 1; i < CELLS; i++) {
        look(store, id, &e);
        assert_true(e.seconds_left < 0);
        experiment_clear(&e);
        assert_int_equal(queue_claim(store, JOB_VALIDATING, 0, &job, &found, NULL), PRILORA_OK);
        assert_int_equal(queue_validated(store, job.id, "{}", "{\"seconds\":20}", NULL),
                         PRILORA_OK);
        job_clear(&job);
    }
    look(store, id, &e);
    assert_true(fabs(e.seconds_left - (CELLS - 1) * 20 * 0.25) < 1e-9);
    assert_true(fabs(e.n_done - 1) < 1e-9);
    experiment_clear(&e);
}

/* ---- steering ---- */

static void all_are_paused_resumed_and_cancelled(void **state)
{
    struct store *store = *state;
    struct prilora_error err = {0};
    struct experiment e;
    struct job job;
    bool found;
    char id[ID_SIZE], other[ID_SIZE];

    snprintf(other, sizeof other, "%s", test_add_job_in(store, JOB_QUEUED));
    make(store, id);
    succeed(store, 0.5); /* by the way the other one's, which came first */
    succeed(store, 0.5);
    assert_int_equal(test_job_status(store, other), JOB_SUCCEEDED);
    snprintf(other, sizeof other, "%s", test_add_job(store, 0));

    assert_int_equal(queue_claim(store, JOB_VALIDATING, 0, &job, &found, NULL), PRILORA_OK);
    assert_int_equal(queue_validated(store, job.id, "{}", "{}", NULL), PRILORA_OK);
    assert_int_equal(experiments_steer(store, id, QUEUE_PAUSE, &err), PRILORA_OK);
    look(store, id, &e);
    assert_true(e.jobs[JOB_PAUSED] >= 1);
    experiment_clear(&e);
    assert_int_equal(experiments_steer(store, id, QUEUE_PAUSE, &err), PRILORA_EMISMATCH);
    assert_int_equal(experiments_steer(store, id, QUEUE_RESUME, &err), PRILORA_OK);
    assert_int_equal(experiments_steer(store, id, QUEUE_RESUME, &err), PRILORA_EMISMATCH);
    assert_int_equal(experiments_delete(store, id, &(char(*)[ID_SIZE]){NULL}, &(size_t){0}, &err),
                     PRILORA_EMISMATCH);
    assert_int_equal(experiments_steer(store, id, QUEUE_CANCEL, &err), PRILORA_OK);
    look(store, id, &e);
    assert_int_equal(experiment_status(&e), JOB_CANCELLED);
    assert_int_equal(e.jobs[JOB_CANCELLED] + e.jobs[JOB_SUCCEEDED], CELLS);
    assert_true(e.finished_at >= e.created_at);
    experiment_clear(&e);
    assert_int_equal(experiments_steer(store, id, QUEUE_CANCEL, &err), PRILORA_EMISMATCH);
    assert_non_null(strstr(err.message, "all its jobs are over"));
    assert_int_equal(test_job_status(store, other), JOB_VALIDATING); /* not one of them */
    assert_int_equal(experiments_steer(store, "exp-none", QUEUE_CANCEL, &err), PRILORA_ENOENT);
    job_clear(&job);
}

static void failed_cells_are_tried_again(void **state)
{
    struct store *store = *state;
    struct prilora_error err = {0};
    const struct job_end wrong = {.status = JOB_FAILED,
                                  .error_code = "x",
                                  .error_message = "it broke"};
    struct experiment e;
    struct outcome *outcomes;
    size_t n, n_failed = 0;
    char id[ID_SIZE], failed[ID_SIZE];
    struct job job;

    make(store, id);
    assert_int_equal(experiments_retry(store, id, "", &err), PRILORA_EMISMATCH);
    for (size_t i = 0; i + 1 < CELLS; i++)
        succeed(store, 0.5);
    assert_true(finish_next(store, &wrong, failed));
    look(store, id, &e);
    assert_int_equal(experiment_status(&e), JOB_FAILED);
    experiment_clear(&e);
    assert_int_equal(experiments_outcomes(store, id, &outcomes, &n, &err), PRILORA_OK);
    for (size_t i = 0; i < n; i++)
        n_failed += outcomes[i].error && strcmp(outcomes[i].error, "it broke") == 0;
    experiments_free_outcomes(outcomes, n);
    assert_int_equal(n_failed, 1);

    assert_int_equal(experiments_retry(store, id, "", &err), PRILORA_OK);
    assert_int_equal(count_jobs(store), CELLS + 1);
    assert_int_equal(queue_get(store, failed, &job, &err), PRILORA_OK);
    assert_int_equal(job.status, JOB_FAILED); /* as it was, but on its own now */
    assert_null(job.experiment);
    job_clear(&job);
    look(store, id, &e);
    assert_int_equal(experiment_status(&e), JOB_RUNNING);
    assert_int_equal(e.jobs[JOB_VALIDATING], 1);
    assert_int_equal(e.jobs[JOB_SUCCEEDED], CELLS - 1);
    experiment_clear(&e);
    succeed(store, 0.5);
    look(store, id, &e);
    assert_int_equal(experiment_status(&e), JOB_SUCCEEDED);
    experiment_clear(&e);
}

static void what_is_deleted_is_gone_with_its_jobs(void **state)
{
    struct store *store = *state;
    struct prilora_error err = {0};
    char(*ids)[ID_SIZE];
    struct experiment e;
    size_t n;
    char id[ID_SIZE];

    make(store, id);
    test_add_job(store, 0);
    assert_int_equal(experiments_steer(store, id, QUEUE_CANCEL, &err), PRILORA_OK);
    assert_int_equal(experiments_delete(store, id, &ids, &n, &err), PRILORA_OK);
    assert_int_equal(n, CELLS);
    free(ids);
    assert_int_equal(count_jobs(store), 1);
    assert_int_equal(experiments_get(store, id, &e, &err), PRILORA_ENOENT);
    assert_int_equal(experiments_delete(store, id, &ids, &n, &err), PRILORA_ENOENT);
    free(ids);
}

static void one_without_jobs_is_swept(void **state)
{
    struct store *store = *state;
    struct sweep sweep = {0};
    struct prilora_error err = {0};
    struct experiment e;
    char ids[2][ID_SIZE];

    make(store, ids[0]);
    make(store, ids[1]);
    assert_int_equal(store_run(store, &err, "delete", "DELETE FROM jobs WHERE experiment_id = ?",
                               "t", ids[0]),
                     PRILORA_OK);
    assert_int_equal(experiments_sweep(store, &sweep, &err), PRILORA_OK);
    assert_int_equal(experiments_get(store, ids[0], &e, &err), PRILORA_ENOENT);
    look(store, ids[1], &e);
    experiment_clear(&e);
}

/* ---- the table ---- */

static void close_to(double value, double expected)
{
    if (!(fabs(value - expected) < 1e-9))
        fail_msg("%.12g is not %.12g", value, expected);
}

/* ours: 0.80 0.82 0.84 on "one", 0.60 0.62 0.66 on "two"; theirs: 0.79 0.80 0.81, 0.60 0.61 0.62 */
static void fill(struct store *store)
{
    static const double values[2][SEEDS][METHODS] = {
        {{0.80, 0.79}, {0.82, 0.80}, {0.84, 0.81}},
        {{0.60, 0.60}, {0.62, 0.61}, {0.66, 0.62}},
    };

    for (size_t t = 0; t < 2; t++)
        for (size_t s = 0; s < SEEDS; s++)
            for (size_t m = 0; m < METHODS; m++)
                succeed(store, values[t][s][m]);
}

static struct results *tabulate(struct store *store, const char *id, const char *metric,
                                struct experiment *e, struct outcome **outcomes, size_t *n)
{
    struct prilora_error err = {0};
    struct results *results;

    look(store, id, e);
    assert_int_equal(experiments_outcomes(store, id, outcomes, n, &err), PRILORA_OK);
    if (results_make(&results, e, *outcomes, *n, metric, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return results;
}

static void the_table_says_what_came_out(void **state)
{
    struct store *store = *state;
    struct experiment e;
    struct outcome *outcomes;
    struct results *r;
    struct comparison c;
    size_t n;
    char id[ID_SIZE];

    make(store, id);
    fill(store);
    r = tabulate(store, id, NULL, &e, &outcomes, &n);
    assert_string_equal(r->metrics[0], "accuracy");
    close_to(r->cells[0].moments.mean, 0.82);
    close_to(r->cells[0].moments.sd, 0.02);
    close_to(r->cells[0].values[2], 0.84);
    assert_int_equal(r->cells[0].n_trainable, 1000);
    close_to(r->cells[0].n_nonzero.mean, 900); /* 400 of A, 300 of them not zero */
    close_to(r->cells[0].seconds.mean, 2.5);
    close_to(r->averages[0].mean, (0.70 + 0.72 + 0.75) / 3);
    c = results_compare(r, 0, 1, 0); /* 0.01 0.02 0.03 */
    close_to(c.difference.mean, 0.02);
    close_to(c.t.t, 2 * sqrt(3));
    close_to(c.t.p, 1 - sqrt(12.0 / 14)); /* closed form for two degrees of freedom */
    close_to(c.wilcoxon.p, 0.25);
    c = results_compare(r, 1, 0, RESULTS_ALL_TASKS); /* and 0 0.01 0.04, the other way round */
    assert_int_equal(c.n, 6);
    assert_int_equal(c.wilcoxon.n, 5);
    close_to(c.difference.mean, -0.11 / 6);
    close_to(c.wilcoxon.p, 2.0 / 32);
    results_free(r);
    experiments_free_outcomes(outcomes, n);
    experiment_clear(&e);
    r = tabulate(store, id, "loss", &e, &outcomes, &n);
    close_to(r->cells[0].moments.mean, 0.18);
    assert_false(results_more_is_better(r->metrics[0]));
    results_free(r);
    experiments_free_outcomes(outcomes, n);
    experiment_clear(&e);
}

static void half_a_table_says_so(void **state)
{
    struct store *store = *state;
    const struct job_end wrong = {.status = JOB_FAILED,
                                  .error_code = "x",
                                  .error_message = "it broke"};
    struct contrast contrast = {0, SIZE_MAX};
    struct experiment e;
    struct outcome *outcomes;
    struct results *r;
    struct prilora_error err = {0};
    size_t n, size;
    char id[ID_SIZE], failed[ID_SIZE], *text;
    FILE *out;

    make(store, id);
    succeed(store, 0.8);
    succeed(store, 0.7);
    succeed(store, 0.9);
    assert_true(finish_next(store, &wrong, failed));
    r = tabulate(store, id, NULL, &e, &outcomes, &n);
    assert_int_equal(results_compare(r, 0, 1, 0).n, 1);
    assert_true(isnan(results_compare(r, 0, 1, 0).t.p));
    assert_int_equal(results_compare(r, 0, 1, 1).n, 0);
    assert_int_equal(r->cells[2].n_failed, 1);
    out = open_memstream(&text, &size);
    results_write_markdown(out, r, &contrast);
    fclose(out);
    assert_string_equal(
        text, "| method | one (accuracy) | two | mean | trainable | non-zero | seconds |\n"
              "|---|---:|---:|---:|---:|---:|---:|\n"
              "| ours | 0.8500 ± 0.0707 (2 of 3) | – (0 of 3) | – (0 of 3) | 1000 | 900 | 5 |\n"
              "| theirs | 0.7000 (1 of 3) | – (0 of 3) | – (0 of 3) | 1000 | 900 | 2 |\n\n"
              "| ours − theirs | pairs | difference | t | p (paired t) | W | p (signed ranks) |\n"
              "|---|---:|---:|---:|---:|---:|---:|\n"
              "| one | 1 | +0.1000 | – | – | 0 | 1.0000 |\n"
              "| two | 0 | – | – | – | – | – |\n"
              "| all | 1 | +0.1000 | – | – | 0 | 1.0000 |\n");
    free(text);
    out = open_memstream(&text, &size);
    results_write_csv(out, r);
    fclose(out);
    assert_string_equal(
        text, "method,task,metric,seeds,n,failed,mean,sd,trainable,nonzero,seconds,seed 7,seed "
              "8,seed 9\r\n"
              "ours,one,accuracy,3,2,0,0.85,0.0707106781,1000,900,2.500,0.8,0.9,\r\n"
              "ours,two,,3,0,0,,,,,,,,\r\n"
              "theirs,one,accuracy,3,1,1,0.7,,1000,900,2.500,0.7,,\r\n"
              "theirs,two,,3,0,0,,,,,,,,\r\n");
    free(text);
    results_free(r);
    assert_int_equal(results_make(&r, &e, outcomes, n, "bleu", &err), PRILORA_ENOENT);
    assert_string_equal(err.message,
                        "no job of the experiment has \"bleu\"; there are: accuracy, valid_loss");
    experiments_free_outcomes(outcomes, n);
    experiment_clear(&e);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_store_open, test_store_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grid_is_there_whole),
        TEST(or_not_at_all),
        TEST(its_jobs_count_for_the_key),
        TEST(lists_have_pages),
        TEST(what_is_left_follows_from_the_finished_ones),
        TEST(all_are_paused_resumed_and_cancelled),
        TEST(failed_cells_are_tried_again),
        TEST(what_is_deleted_is_gone_with_its_jobs),
        TEST(one_without_jobs_is_swept),
        TEST(the_table_says_what_came_out),
        TEST(half_a_table_says_so),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
