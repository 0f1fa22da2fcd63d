/* test_jobs.c - the whole path: upload, submit, watch, download, delete. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/server.h"

#define JOBS "/v1/fine_tuning/jobs"

/* 64 rows in batches of 8, twice: 16 steps; a pruning every 4. */
#define N_TRAIN        64
#define N_STEPS        16
#define PRUNE_INTERVAL 4
#define SETTINGS                                                                                   \
    "\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": 2, "    \
    "\"batch_size\": 8, \"max_length\": 16, \"learning_rate\": 2e-3, \"rank_start\": 2, "          \
    "\"rank_end\": 12, \"prune_interval\": 4, \"recompute\": true}}}"

struct finished {
    struct test_server *server;
    char train[64], valid[64], job[64], model[128];
};

static void upload_both(struct finished *f)
{
    char *train = test_sentences(N_TRAIN, 1), *valid = test_sentences(16, 1000);

    snprintf(f->train, sizeof f->train, "%s", test_upload(f->server, "train.jsonl", train));
    snprintf(f->valid, sizeof f->valid, "%s", test_upload(f->server, "valid.jsonl", valid));
    free(train);
    free(valid);
}

static int open_group(void **state)
{
    static const char *const settings[] = {"--training.threads=1", NULL};
    struct finished *f = calloc(1, sizeof *f);
    char json[1500];

    f->server = test_server_new(settings);
    *state = f;
    upload_both(f);
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"seed\": 7, \"suffix\": \"weather\", \"metadata\": {\"team\": \"help "
             "desk\"}, " SETTINGS "}",
             f->train, f->valid);
    snprintf(f->job, sizeof f->job, "%s", test_create_job(f->server, json));
    snprintf(f->model, sizeof f->model, "%s",
             test_text(test_wait_job(f->server, f->job, "succeeded"), "fine_tuned_model"));
    return 0;
}

static int close_group(void **state)
{
    struct finished *f = *state;

    test_server_free(f->server);
    free(f);
    return 0;
}

static void a_job_succeeds_and_shows_what_it_became(void **state)
{
    struct finished *f = *state;
    struct test_reply *reply = test_get(f->server, JOBS "/%s", f->job);
    const json_t *job = reply->json;

    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(job, "status"), "succeeded");
    assert_string_equal(test_text(job, "object"), "fine_tuning.job");
    assert_string_equal(test_text(job, "model"), "prilora-mini-en");
    assert_string_equal(test_text(job, "training_file"), f->train);
    assert_string_equal(test_text(job, "validation_file"), f->valid);
    assert_string_equal(test_text(job, "metadata.team"), "help desk");
    assert_int_equal(test_integer(job, "seed"), 7);
    assert_int_equal(test_integer(job, "hyperparameters.n_epochs"), 2);
    assert_int_equal(test_integer(job, "hyperparameters.batch_size"), 8);
    assert_string_equal(test_text(job, "method.type"), "prilora");
    assert_int_equal(test_integer(job, "method.prilora.hyperparameters.rank_end"), 12);
    assert_int_equal(test_integer(job, "method.prilora.hyperparameters.prune_interval"), 4);
    assert_true(json_is_true(test_member(job, "method.prilora.hyperparameters.recompute")));
    assert_true(json_is_null(json_object_get(job, "error")));
    assert_true(json_is_array(json_object_get(job, "result_files")));
    assert_true(test_integer(job, "finished_at") >= test_integer(job, "created_at"));
    assert_true(test_integer(job, "trained_tokens") > N_TRAIN);
    assert_int_equal(test_integer(job, "progress.step"), N_STEPS);
    assert_int_equal(test_integer(job, "progress.total_steps"), N_STEPS);
    assert_true(test_integer(job, "progress.peak_memory_bytes") > 0);
    assert_true(test_integer(job, "forecast.memory_bytes") > 0);
    assert_int_equal(test_integer(job, "forecast.total_steps"), N_STEPS);
    assert_non_null(strstr(f->model, "weather"));
}

/* The three settings of OpenAI's interface are enough. */
static void an_openai_job_runs_as_prilora_with_defaults(void **state)
{
    struct finished *f = *state;
    char json[500], id[64];
    const json_t *job;

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "null, \"suffix\": null, \"seed\": null, \"method\": {\"type\": \"supervised\", "
             "\"supervised\": {\"hyperparameters\": {\"n_epochs\": 1, \"batch_size\": \"auto\"}}}}",
             f->train);
    snprintf(id, sizeof id, "%s", test_create_job(f->server, json));
    job = test_wait_job(f->server, id, "succeeded");
    assert_string_equal(test_text(job, "status"), "succeeded");
    assert_string_equal(test_text(job, "method.type"), "supervised");
    assert_int_equal(test_integer(job, "method.supervised.hyperparameters.n_epochs"), 1);
    assert_int_equal(test_integer(job, "method.prilora.hyperparameters.rank_start"), 4);
    assert_int_equal(test_integer(job, "method.prilora.hyperparameters.rank_end"), 12);
    assert_true(json_is_integer(json_object_get(job, "seed")));
    /* two steps, no pruning while it trained: there are layers to look at nevertheless */
    job = test_get(f->server, JOBS "/%s/layers", id)->json;
    assert_int_equal(json_array_size(json_object_get(job, "data")), 6 * 6);
}

/* Six layers, 2 to 12: 2 4 6 8 10 12, six maps in each. Exported is what was pruned once more: half
 * of every row, whose length is even, so no fraction is lost. */
static void layers_show_ranks_and_sparsity_of_what_is_downloaded(void **state)
{
    struct finished *f = *state;
    json_int_t n_nonzero =
        test_integer(test_get(f->server, JOBS "/%s", f->job)->json, "result.n_nonzero");
    const json_t *reply = test_get(f->server, JOBS "/%s/layers", f->job)->json;
    json_t *data = json_object_get(reply, "data"), *map;
    size_t i;

    assert_string_equal(test_text(reply, "job_id"), f->job);
    assert_int_equal(json_array_size(data), 6 * 6);
    json_array_foreach (data, i, map) {
        json_int_t layer = test_integer(map, "layer"), rank = test_integer(map, "rank");
        double sparsity = json_number_value(json_object_get(map, "sparsity"));

        assert_true(layer >= 0 && layer < 6);
        assert_int_equal(rank, 2 + 2 * layer);
        assert_int_equal(test_integer(map, "n_prunable"), rank * test_integer(map, "in_features"));
        assert_true(fabs(sparsity - 0.5) < 1e-9);
        assert_true(test_integer(map, "n_prunings") >= 1);
        n_nonzero -= test_integer(map, "n_nonzero");
    }
    assert_int_equal(n_nonzero, 0);
}

static void the_history_has_a_row_for_each_pruning(void **state)
{
    struct finished *f = *state;
    const json_t *reply = test_get(f->server, JOBS "/%s/layers?history=1", f->job)->json;
    json_t *data = json_object_get(reply, "data");

    assert_true(json_array_size(data) >= N_STEPS / PRUNE_INTERVAL);
    for (size_t i = 0; i < N_STEPS / PRUNE_INTERVAL; i++) {
        const json_t *row = json_array_get(data, i);

        assert_int_equal(test_integer(row, "step"), (json_int_t)(i + 1) * PRUNE_INTERVAL);
        assert_int_equal(json_array_size(json_object_get(row, "layers")), 6 * 6);
    }
    reply = test_get(f->server, JOBS "/%s/layers?history=1&limit=1&after=4", f->job)->json;
    assert_int_equal(json_array_size(json_object_get(reply, "data")), 1);
    assert_int_equal(test_integer(reply, "data.0.step"), 8);
    assert_true(json_is_true(json_object_get(reply, "has_more")));
}

static void metrics_have_every_step(void **state)
{
    struct finished *f = *state;
    const json_t *reply = test_get(f->server, JOBS "/%s/metrics", f->job)->json;
    json_t *data = json_object_get(reply, "data");

    assert_int_equal(json_array_size(data), N_STEPS);
    for (size_t i = 0; i < N_STEPS; i++) {
        const json_t *row = json_array_get(data, i);

        assert_int_equal(test_integer(row, "step"), (json_int_t)i + 1);
        assert_true(json_number_value(json_object_get(row, "train_loss")) > 0);
        assert_true(json_is_number(json_object_get(row, "learning_rate")));
        assert_true(json_is_number(json_object_get(row, "grad_norm")));
    }
    reply = json_array_get(data, N_STEPS - 1); /* the end of an epoch: evaluated */
    assert_true(json_is_number(json_object_get(reply, "valid_loss")));
    assert_true(json_is_number(json_object_get(reply, "accuracy")));
    reply = test_get(f->server, JOBS "/%s/metrics?after=%d", f->job, N_STEPS - 2)->json;
    assert_int_equal(json_array_size(json_object_get(reply, "data")), 2);
}

/* Every page of a list by `after`, as the client asks for it; how many elements there are. */
static size_t walk(const struct test_server *server, const char *list, const char *between)
{
    char after[80] = "";
    size_t n = 0;
    bool has_more = true;

    while (has_more) {
        const json_t *reply =
            test_get(server, "%s%climit=2%s%s", list, *between, *after ? "&after=" : "", after)
                ->json;
        json_t *data = json_object_get(reply, "data");

        assert_true(json_array_size(data) >= 1 && json_array_size(data) <= 2);
        n += json_array_size(data);
        assert_true(n < 1000);
        has_more = json_is_true(json_object_get(reply, "has_more"));
        snprintf(after, sizeof after, "%s",
                 test_text(json_array_get(data, json_array_size(data) - 1), "id"));
    }
    return n;
}

static void events_tell_the_story_in_both_orders(void **state)
{
    struct finished *f = *state;
    char list[160];
    const json_t *reply;
    json_t *data;
    size_t n;

    reply = test_get(f->server, JOBS "/%s/events?limit=1000&order=asc", f->job)->json;
    data = json_object_get(reply, "data");
    n = json_array_size(data);
    assert_true(n > 5);
    assert_string_equal(test_text(data, "0.object"), "fine_tuning.job.event");
    assert_string_equal(test_text(data, "0.level"), "info");
    assert_non_null(strstr(test_text(data, "0.message"), "Created"));
    assert_non_null(strstr(test_text(json_array_get(data, n - 1), "message"), "completed"));
    snprintf(list, sizeof list, JOBS "/%s/events", f->job);
    assert_int_equal(walk(f->server, list, "?"), n);
    snprintf(list, sizeof list, JOBS "/%s/events?order=asc", f->job);
    assert_int_equal(walk(f->server, list, "&"), n);
}

static void checkpoints_carry_the_metrics_of_their_evaluation(void **state)
{
    struct finished *f = *state;
    char list[160], first[80];
    const json_t *reply = test_get(f->server, JOBS "/%s/checkpoints", f->job)->json;
    json_t *data = json_object_get(reply, "data");

    assert_int_equal(json_array_size(data), 2); /* one at the end of each epoch */
    assert_string_equal(test_text(data, "0.object"), "fine_tuning.job.checkpoint");
    assert_string_equal(test_text(data, "0.fine_tuning_job_id"), f->job);
    assert_int_equal(test_integer(data, "0.step_number"), N_STEPS);
    assert_int_equal(test_integer(data, "1.step_number"), N_STEPS / 2);
    assert_int_equal(test_integer(data, "1.metrics.step"), N_STEPS / 2);
    assert_true(json_is_number(
        json_object_get(json_object_get(json_array_get(data, 0), "metrics"), "valid_loss")));
    assert_string_equal(test_text(reply, "first_id"), test_text(data, "0.id"));
    assert_string_equal(test_text(reply, "last_id"), test_text(data, "1.id"));
    snprintf(first, sizeof first, "%s", test_text(data, "0.id"));
    assert_memory_equal(first, "ftckpt_", 7);
    reply = test_get(f->server, JOBS "/%s/checkpoints?limit=1&after=%s", f->job, first)->json;
    assert_int_equal(test_integer(reply, "data.0.step_number"), N_STEPS / 2);
    assert_false(json_is_true(json_object_get(reply, "has_more")));
    snprintf(list, sizeof list, JOBS "/%s/checkpoints", f->job);
    assert_int_equal(walk(f->server, list, "?"), 2);
}

static void jobs_are_listed_and_found_by_metadata(void **state)
{
    struct finished *f = *state;
    const json_t *reply = test_get(f->server, JOBS "?metadata%%5Bteam%%5D=help+desk&limit=5")->json;

    assert_int_equal(json_array_size(json_object_get(reply, "data")), 1);
    assert_string_equal(test_text(reply, "data.0.id"), f->job);
    reply = test_get(f->server, JOBS "?metadata[team]=sales")->json;
    assert_int_equal(json_array_size(json_object_get(reply, "data")), 0);
    assert_true(walk(f->server, JOBS, "?") >= 1);
}

/* Left out in silence it would show all jobs as those that were asked for. */
static void a_filter_whose_bracket_is_open_is_refused(void **state)
{
    static const char *const names[] = {"metadata[team", "metadata%5Bteam", "metadata[",
                                        "metadata[team]x"};
    struct finished *f = *state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct test_reply *reply = test_get(f->server, JOBS "?%s=sales", names[i]);

        assert_int_equal(reply->status, 400);
        assert_memory_equal(test_text(reply->json, "error.param"), "metadata[", 9);
    }
}

static void models_are_bases_and_finished_adapters(void **state)
{
    struct finished *f = *state;
    const json_t *reply = test_get(f->server, "/v1/models")->json;
    json_t *data = json_object_get(reply, "data"), *model;
    size_t i, n_bases = 0, n_ours = 0;

    json_array_foreach (data, i, model) {
        assert_string_equal(test_text(model, "object"), "model");
        n_bases += strcmp(test_text(model, "owned_by"), "base") == 0;
        n_ours += strcmp(test_text(model, "id"), f->model) == 0;
    }
    assert_int_equal(n_bases, 4); /* the example and the three of the golden tests */
    assert_int_equal(n_ours, 1);
    reply = test_get(f->server, "/v1/models/%s", f->model)->json;
    assert_string_equal(test_text(reply, "id"), f->model);
    assert_string_equal(test_text(reply, "base_model"), "prilora-mini-en");
    assert_int_equal(test_get(f->server, "/v1/models/prilora-mini-en")->status, 200);
    assert_int_equal(test_get(f->server, "/v1/models/no%%2Fsuch")->status, 404);
}

static void cancelling_a_finished_job_is_a_conflict_not_to_be_retried(void **state)
{
    struct finished *f = *state;
    char path[160];
    struct test_reply *reply;

    snprintf(path, sizeof path, JOBS "/%s/cancel", f->job);
    reply = test_post(f->server, path, NULL);
    assert_int_equal(reply->status, 409);
    assert_string_equal(test_header(reply, "x-should-retry"), "false");
    assert_string_equal(test_text(reply->json, "error.code"), "job_is_over");
}

static void a_running_job_can_be_watched_and_cancelled(void **state)
{
    struct finished *f = *state;
    char json[1200], id[64], path[160];
    const json_t *job;

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": 10000, \"batch_size\": 8, \"max_length\": 16}}}}",
             f->train, f->valid);
    snprintf(id, sizeof id, "%s", test_create_job(f->server, json));
    do
        job = test_wait_job(f->server, id, "running");
    while (test_integer(job, "progress.step") < 2);
    assert_string_equal(test_text(job, "status"), "running");
    assert_int_equal(test_integer(job, "progress.total_steps"), 10000 * N_TRAIN / 8);
    assert_true(json_is_number(json_object_get(json_object_get(job, "progress"), "loss")));
    assert_true(test_integer(job, "estimated_finish") >= test_integer(job, "started_at"));
    assert_int_equal(json_array_size(
                         json_object_get(test_get(f->server, JOBS "/%s/layers", id)->json, "data")),
                     6 * 6);
    snprintf(path, sizeof path, JOBS "/%s/cancel", id);
    assert_int_equal(test_post(f->server, path, NULL)->status, 200);
    job = test_wait_job(f->server, id, "cancelled");
    assert_string_equal(test_text(job, "status"), "cancelled");
    assert_true(*test_text(job, "fine_tuned_model")); /* its best adapter is kept */
    assert_int_equal(test_get(f->server, JOBS "/%s/adapter", id)->status, 200);
}

/* A decay of 1 at a rate of 10 multiplies by -9 at every step: no number stands that for long. */
static void a_job_that_diverges_fails_with_the_place_and_advice(void **state)
{
    struct finished *f = *state;
    const json_t *job, *event;
    char json[1500], id[64];
    bool told = false;
    size_t i;

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"batch_size\": 8, \"learning_rate\": 10, \"weight_decay\": 1, \"warmup_ratio\": 0, "
             "\"lr_scheduler_type\": \"constant\", \"max_steps\": 400}}}}",
             f->train, f->valid);
    snprintf(id, sizeof id, "%s", test_create_job(f->server, json));
    job = test_wait_job(f->server, id, "failed");
    assert_string_equal(test_text(job, "error.code"), "training_diverged");
    assert_non_null(
        strstr(test_text(job, "error.message"),
               "not finite, as in the 2 steps before; a learning_rate below 10 may help"));
    assert_string_equal(test_text(job, "fine_tuned_model"), "");
    json_array_foreach (
        test_member(test_get(f->server, JOBS "/%s/events?limit=100", id)->json, "data"), i, event)
        told = told || (strcmp(test_text(event, "level"), "warn") == 0 &&
                        strstr(test_text(event, "message"), "skipped: "));
    assert_true(told);
    assert_int_equal(test_get(f->server, JOBS "/%s/adapter", id)->status, 404);
}

static void a_deleted_model_takes_its_adapter_along(void **state)
{
    struct finished *f = *state;
    char path[300];
    struct test_reply *reply;

    snprintf(path, sizeof path, "/v1/models/%s", f->model);
    reply = test_send(f->server, &(struct test_request){.method = "DELETE", .path = path});
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "id"), f->model);
    assert_true(json_is_true(json_object_get(reply->json, "deleted")));
    assert_int_equal(test_get(f->server, "%s", path)->status, 404);
    assert_int_equal(test_get(f->server, JOBS "/%s/adapter", f->job)->status, 404);
    assert_true(json_is_null(
        json_object_get(test_get(f->server, JOBS "/%s", f->job)->json, "fine_tuned_model")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_succeeds_and_shows_what_it_became),
        cmocka_unit_test(layers_show_ranks_and_sparsity_of_what_is_downloaded),
        cmocka_unit_test(the_history_has_a_row_for_each_pruning),
        cmocka_unit_test(metrics_have_every_step),
        cmocka_unit_test(events_tell_the_story_in_both_orders),
        cmocka_unit_test(checkpoints_carry_the_metrics_of_their_evaluation),
        cmocka_unit_test(jobs_are_listed_and_found_by_metadata),
        cmocka_unit_test(a_filter_whose_bracket_is_open_is_refused),
        cmocka_unit_test(models_are_bases_and_finished_adapters),
        cmocka_unit_test(cancelling_a_finished_job_is_a_conflict_not_to_be_retried),
        cmocka_unit_test(an_openai_job_runs_as_prilora_with_defaults),
        cmocka_unit_test(a_running_job_can_be_watched_and_cancelled),
        cmocka_unit_test(a_job_that_diverges_fails_with_the_place_and_advice),
        cmocka_unit_test(a_deleted_model_takes_its_adapter_along),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
