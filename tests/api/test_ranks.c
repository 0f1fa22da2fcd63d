/*
 * test_ranks.c - what a finished job tells of its directions, and jobs whose ranks it suggests.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/close.h"
#include "support/server.h"

#define JOBS      "/v1/fine_tuning/jobs"
#define FORECASTS "/v1/fine_tuning/forecasts"
#define RANKS     "method.prilora.hyperparameters.ranks"

struct parent {
    struct test_server *server;
    char train[64], job[64], model[128];
};

static int open_group(void **state)
{
    struct parent *p = calloc(1, sizeof *p);
    char json[700], *train = test_sentences(64, 1);
    const json_t *job;

    p->server = test_server_new(NULL);
    snprintf(p->train, sizeof p->train, "%s", test_upload(p->server, "train.jsonl", train));
    free(train);
    snprintf(
        json, sizeof json,
        "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 5, "
        "\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": "
        "3, \"batch_size\": 8, \"max_length\": 16, \"rank_start\": 2, \"rank_end\": 7, "
        "\"prune_interval\": 4, \"learning_rate\": 3e-3}}}}",
        p->train);
    snprintf(p->job, sizeof p->job, "%s", test_create_job(p->server, json));
    job = test_wait_job(p->server, p->job, "succeeded");
    assert_string_equal(test_text(job, "status"), "succeeded");
    assert_true(json_is_null(test_member(job, "ranks_from")));
    snprintf(p->model, sizeof p->model, "%s", test_text(job, "fine_tuned_model"));
    *state = p;
    return 0;
}

static int close_group(void **state)
{
    struct parent *p = *state;

    test_server_free(p->server);
    free(p);
    return 0;
}

static double number(const json_t *object, const char *path)
{
    const json_t *value = test_member(object, path);

    assert_true(json_is_number(value));
    return json_number_value(value);
}

static json_t *ranks_of(const struct parent *p, const char *query)
{
    struct test_reply *reply = test_get(p->server, JOBS "/%s/ranks%s", p->job, query);

    if (reply->status != 200)
        fail_msg("%ld %s", reply->status, reply->body);
    return json_deep_copy(reply->json);
}

/* ---- the report ---- */

/* The layers' norm is computed in another way, in float, from Gram matrices. */
static void the_report_agrees_with_the_layers(void **state)
{
    const struct parent *p = *state;
    json_t *ranks = ranks_of(p, ""), *maps = json_object_get(ranks, "maps"), *map, *value;
    const json_t *layers =
        json_object_get(test_get(p->server, JOBS "/%s/layers", p->job)->json, "data");
    json_int_t parameters = 0;
    size_t i, k;

    assert_string_equal(test_text(ranks, "job_id"), p->job);
    assert_string_equal(test_text(ranks, "model"), p->model);
    assert_string_equal(test_text(ranks, "base_model"), "prilora-mini-en");
    assert_int_equal(json_array_size(maps), 36);
    assert_int_equal(json_array_size(layers), 36);
    json_array_foreach (maps, i, map) {
        const json_t *layer = json_array_get(layers, i);
        double energy = 0, last = INFINITY;

        assert_string_equal(test_text(map, "module"), test_text(layer, "module"));
        assert_int_equal(test_integer(map, "rank"), test_integer(layer, "rank"));
        json_array_foreach (json_object_get(json_object_get(map, "update"), "values"), k, value) {
            energy += json_number_value(value) * json_number_value(value);
            assert_true(json_number_value(value) <= last);
            last = json_number_value(value);
        }
        assert_int_equal(k, test_integer(map, "rank"));
        test_close(sqrt(energy) / number(layer, "update_norm"), 1, 1e-5);
        test_close(number(map, "update.norm"), sqrt(energy), 1e-6 * sqrt(energy));
        assert_true(number(map, "output.relative") > 0);
        test_close(number(map, "input.mean") / number(layer, "input_mean"), 1, 1e-5);
        parameters += test_integer(layer, "n_parameters");
    }
    assert_int_equal(test_integer(ranks, "suggestion.parameters_before"), parameters);
    assert_int_equal(test_integer(ranks, "suggestion.budget"), parameters);
    assert_true(test_integer(ranks, "suggestion.parameters_after") <= parameters);
    assert_true(json_is_true(test_member(ranks, "suggestion.weighted_by_inputs")));
    assert_int_equal(json_array_size(test_member(ranks, "suggestion.layers")), 6);
    assert_true(json_equal(test_member(ranks, "suggestion.ranks"),
                           test_member(ranks, "suggestion.hyperparameters.ranks")));
    assert_string_equal(test_text(ranks, "suggestion.hyperparameters.rank_schedule"), "list");
    assert_int_equal(test_integer(ranks, "suggestion.hyperparameters.prune_interval"), 4);
    assert_null(test_member(ranks, "suggestion.hyperparameters.rank_start"));
    json_decref(ranks);
}

static void the_same_question_has_the_same_answer(void **state)
{
    const struct parent *p = *state;
    struct test_reply *reply = test_get(p->server, JOBS "/%s/ranks", p->job);
    char *first = strdup(reply->body), path[128], header[128];

    snprintf(header, sizeof header, "If-None-Match: %s", test_header(reply, "ETag"));
    reply = test_get(p->server, JOBS "/%s/ranks", p->job);
    assert_string_equal(reply->body, first);
    snprintf(path, sizeof path, JOBS "/%s/ranks", p->job);
    reply = test_send(p->server,
                      &(struct test_request){.method = "GET", .path = path, .headers = {header}});
    assert_int_equal(reply->status, 304);
    free(first);
}

static void budget_and_energy_are_kept(void **state)
{
    const struct parent *p = *state;
    json_t *all = ranks_of(p, ""), *half, *some;
    json_int_t parameters = test_integer(all, "suggestion.budget");
    char query[64];

    snprintf(query, sizeof query, "?budget=%lld", (long long)parameters / 2);
    half = ranks_of(p, query);
    some = ranks_of(p, "?energy=0.9");
    assert_true(test_integer(half, "suggestion.parameters_after") <= parameters / 2);
    assert_true(test_integer(half, "suggestion.parameters_after") > 0);
    assert_true(test_integer(some, "suggestion.parameters_after") <
                test_integer(all, "suggestion.parameters_after"));
    assert_true(number(some, "suggestion.energy_held") >= 0.9);
    assert_true(number(half, "suggestion.energy_held") < number(all, "suggestion.energy_held"));
    json_decref(all);
    json_decref(half);
    json_decref(some);
}

static void wrong_questions_are_answered(void **state)
{
    static const struct {
        const char *query, *param;
    } wrong[] = {
        {"budget=0", "budget"},         {"budget=-1", "budget"},
        {"budget=1", "budget"},         {"budget=1e5", "budget"},
        {"budget=", "budget"},          {"budget=99999999999999999999", "budget"},
        {"energy=0", "energy"},         {"energy=1.5", "energy"},
        {"energy=-0.5", "energy"},      {"energy=nan", "energy"},
        {"energy=1e-999x", "energy"},   {"energy=[0.5]", "energy"},
        {"energy=%220.5%22", "energy"}, {"energy=", "energy"},
        {"energie=0.5", "energie"},     {"wait=5", "wait"},
    };
    const struct parent *p = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct test_reply *reply = test_get(p->server, JOBS "/%s/ranks?%s", p->job, wrong[i].query);

        if (reply->status != 400)
            fail_msg("%s: %ld %s", wrong[i].query, reply->status, reply->body);
        assert_string_equal(test_text(reply->json, "error.param"), wrong[i].param);
    }
    assert_int_equal(test_get(p->server, JOBS "/ftjob-none/ranks")->status, 404);
    assert_int_equal(test_get(p->server, JOBS "/%s/ranks", p->train)->status, 404);
    assert_int_equal(test_get(p->server, JOBS "/%s/ranks?budget=1000000000000", p->job)->status,
                     200);
}

/* ---- jobs ---- */

/* A job of this model with the parent's data, `settings`, and more members. */
static struct test_reply *post(const struct parent *p, const char *path, const char *model,
                               const char *method, const char *settings, const char *more)
{
    char json[1200];

    snprintf(json, sizeof json,
             "{\"model\": \"%s\", \"training_file\": \"%s\", \"seed\": 9, \"method\": {\"type\": "
             "\"%s\", \"%s\": {\"hyperparameters\": {\"n_epochs\": 1, \"batch_size\": 8, %s}}}%s}",
             model, p->train, method, method, settings, more);
    return test_post(p->server, path, json);
}

static struct test_reply *suggest(const struct parent *p, const char *path, const char *from)
{
    char more[300];

    snprintf(more, sizeof more, ", \"ranks_from\": \"%s\"", from);
    return post(p, path, "prilora-mini-en", "prilora", "\"ranks\": \"suggest\"", more);
}

static void a_job_trains_with_the_suggested_ranks(void **state)
{
    const struct parent *p = *state;
    json_t *told = ranks_of(p, ""), *events, *event = NULL, *layer;
    const json_t *ranks = test_member(told, "suggestion.ranks"), *job;
    struct test_reply *reply = suggest(p, JOBS, p->job);
    char id[64];
    size_t i;

    if (reply->status != 200)
        fail_msg("%ld %s", reply->status, reply->body);
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    assert_true(json_equal(test_member(reply->json, RANKS), ranks));
    assert_string_equal(test_text(reply->json, "method.prilora.hyperparameters.rank_schedule"),
                        "list");
    assert_string_equal(test_text(reply->json, "ranks_from"), p->job);
    job = test_wait_job(p->server, id, "succeeded");
    assert_string_equal(test_text(job, "status"), "succeeded");
    assert_true(json_equal(test_member(job, RANKS), ranks));
    reply = test_get(p->server, JOBS "/%s/layers", id);
    json_array_foreach (json_object_get(reply->json, "data"), i, layer)
        assert_int_equal(test_integer(layer, "rank"),
                         json_integer_value(
                             json_array_get(ranks, (size_t)test_integer(layer, "layer"))));
    assert_int_equal(i, 36);
    events = json_object_get(test_get(p->server, JOBS "/%s/events?order=asc", id)->json, "data");
    json_array_foreach (events, i, event) {
        if (strncmp(test_text(event, "message"), "Ranks suggested", 15) == 0)
            break;
    }
    assert_true(i < json_array_size(events));
    assert_non_null(strstr(test_text(event, "message"), p->job));
    assert_string_equal(test_text(event, "data.ranks_from"), p->job);
    assert_true(json_equal(test_member(event, "data.ranks"), ranks));
    assert_true(
        json_equal(test_member(event, "data.layers"), test_member(told, "suggestion.layers")));
    json_decref(told);
}

static void an_adapter_s_name_will_do_and_a_forecast_too(void **state)
{
    const struct parent *p = *state;
    json_t *told = ranks_of(p, "");
    const json_t *ranks = test_member(told, "suggestion.ranks");
    struct test_reply *reply = suggest(p, JOBS, p->model);
    char id[64];

    assert_int_equal(reply->status, 200);
    assert_true(json_equal(test_member(reply->json, RANKS), ranks));
    assert_string_equal(test_text(reply->json, "ranks_from"), p->model);
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    test_wait_job(p->server, id, "succeeded");
    reply = suggest(p, FORECASTS, p->job);
    assert_int_equal(reply->status, 200);
    assert_true(json_equal(test_member(reply->json, "ranks"), ranks));
    assert_int_equal(test_integer(reply->json, "n_adapter"),
                     test_integer(told, "suggestion.parameters_after"));
    assert_int_equal(suggest(p, FORECASTS, "ftjob-none")->status, 400);
    json_decref(told);
}

static void what_suggests_nothing_is_refused(void **state)
{
    const struct parent *p = *state;
    const char *base = "prilora-mini-en", *suggests = "\"ranks\": \"suggest\"";
    char from[200];
    const struct {
        const char *model, *method, *settings, *more, *param;
    } wrong[] = {
        {base, "prilora", suggests, "", "ranks_from"},
        {base, "prilora", suggests, ", \"ranks_from\": null", "ranks_from"},
        {base, "prilora", suggests, ", \"ranks_from\": 7", "ranks_from"},
        {base, "prilora", suggests, ", \"ranks_from\": \"\"", "ranks_from"},
        {base, "prilora", suggests, ", \"ranks_from\": \"ftjob-none\"", "ranks_from"},
        {base, "prilora", suggests, ", \"ranks_from\": \"../../etc\"", "ranks_from"},
        {base, "prilora", suggests, ", \"ranks_from\": \"prilora-mini-en\"", "ranks_from"},
        {base, "prilora", "\"r\": 4", from, "ranks_from"},
        {base, "prilora", "\"ranks\": \"suggested\"", "", RANKS},
        {base, "prilora", "\"ranks\": \"suggest\", \"rank_schedule\": \"uniform\"", from, RANKS},
        {base, "prilora", "\"ranks\": \"suggest\", \"r\": 4", from,
         "method.prilora.hyperparameters.r"},
        {base, "lora", suggests, from, "method.lora.hyperparameters.ranks"},
        {base, "supervised", suggests, from, "method.supervised.hyperparameters.ranks"},
        {p->model, "prilora", suggests, from, "ranks_from"}, /* its ranks are what they are */
        {"tiny-deberta", "prilora", suggests, from, "ranks_from"},
        {"no such model", "prilora", suggests, from, "ranks_from"},
    };

    snprintf(from, sizeof from, ", \"ranks_from\": \"%s\"", p->job);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct test_reply *reply =
            post(p, JOBS, wrong[i].model, wrong[i].method, wrong[i].settings, wrong[i].more);

        if (reply->status != 400 ||
            strcmp(test_text(reply->json, "error.param"), wrong[i].param) != 0)
            fail_msg("%zu: %ld %s", i, reply->status, reply->body);
    }
}

static size_t count_jobs(const struct parent *p, const char *mark)
{
    const json_t *list = test_get(p->server, JOBS "?limit=100&metadata[mark]=%s", mark)->json;

    return json_array_size(json_object_get(list, "data"));
}

static void the_same_request_makes_one_job(void **state)
{
    const struct parent *p = *state;
    char json[700], first[64];
    struct test_request request = {
        .method = "POST", .path = JOBS, .body = json, .headers = {"Idempotency-Key: ranks"}};
    struct test_reply *reply;

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"ranks_from\": \"%s\", "
             "\"metadata\": {\"mark\": \"once\"}, \"method\": {\"type\": \"prilora\", \"prilora\": "
             "{\"hyperparameters\": {\"max_steps\": 1, \"ranks\": \"suggest\"}}}}",
             p->train, p->job);
    reply = test_send(p->server, &request);
    assert_int_equal(reply->status, 200);
    snprintf(first, sizeof first, "%s", test_text(reply->json, "id"));
    reply = test_send(p->server, &request);
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "id"), first);
    assert_int_equal(count_jobs(p, "once"), 1);
}

/* Whether a job comes of it or not: the server is as it was. */
static void clients_that_leave_are_let_go(void **state)
{
    const struct parent *p = *state;
    char json[700], text[1200];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"ranks_from\": \"%s\", "
             "\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"max_steps\": 1, \"ranks\": \"suggest\"}}}}",
             p->train, p->job);
    snprintf(text, sizeof text,
             "POST " JOBS " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             strlen(json), json);
    for (size_t i = 0; i < 6; i++)
        test_send_and_leave(p->server, text, strlen(text));
    snprintf(text, sizeof text, "GET " JOBS "/%s/ranks HTTP/1.1\r\nHost: localhost\r\n\r\n",
             p->job);
    for (size_t i = 0; i < 6; i++)
        test_send_and_leave(p->server, text, strlen(text));
    for (size_t i = 0; i < 600; i++) {
        struct test_reply *reply = test_get(p->server, JOBS "/%s/ranks", p->job);

        if (reply->status == 200)
            return;
        assert_int_equal(reply->status, 429); /* four at a time, the others' still */
        usleep(100000);
    }
    fail_msg("nobody is served any more");
}

static void damaged_or_deleted_adapters_suggest_nothing(void **state)
{
    struct parent *p = *state;
    struct test_reply *reply = suggest(p, JOBS, p->job);
    char id[64], path[160], model[128];
    FILE *file;

    assert_int_equal(reply->status, 200);
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    snprintf(model, sizeof model, "%s",
             test_text(test_wait_job(p->server, id, "succeeded"), "fine_tuned_model"));
    snprintf(path, sizeof path, "state/jobs/%s/adapter/input_statistics.safetensors", id);
    file = fopen(test_server_path(p->server, path), "wb");
    assert_non_null(file);
    fputs("nothing that is read", file);
    fclose(file);
    assert_int_equal(test_get(p->server, JOBS "/%s/ranks", id)->status, 500);
    assert_int_equal(suggest(p, JOBS, id)->status, 500);
    assert_int_equal(unlink(test_server_path(p->server, path)), 0);
    reply = test_get(p->server, JOBS "/%s/ranks", id);
    assert_int_equal(reply->status, 200);
    assert_true(json_is_false(test_member(reply->json, "suggestion.weighted_by_inputs")));
    assert_true(json_is_null(test_member(reply->json, "maps.0.output")));
    snprintf(path, sizeof path, "/v1/models/%s", model);
    reply = test_send(p->server, &(struct test_request){.method = "DELETE", .path = path});
    assert_int_equal(reply->status, 200);
    reply = test_get(p->server, JOBS "/%s/ranks", id);
    assert_int_equal(reply->status, 404);
    assert_string_equal(test_text(reply->json, "error.code"), "adapter_not_found");
    reply = suggest(p, JOBS, id);
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.code"), "adapter_not_found");
    assert_int_equal(suggest(p, JOBS, model)->status, 400);
}

/* One step at a rate of zero leaves B as it began. */
static void an_untrained_adapter_tells_only_that(void **state)
{
    const struct parent *p = *state;
    struct test_reply *reply = post(p, JOBS, "prilora-mini-en", "prilora", "\"max_steps\": 1", "");
    char id[64];

    assert_int_equal(reply->status, 200);
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    assert_string_equal(test_text(test_wait_job(p->server, id, "succeeded"), "status"),
                        "succeeded");
    reply = test_get(p->server, JOBS "/%s/ranks", id);
    assert_int_equal(reply->status, 200);
    assert_true(json_is_null(test_member(reply->json, "suggestion")));
    assert_non_null(strstr(test_text(reply->json, "reason"), "zero"));
    assert_true(number(reply->json, "maps.0.update.effective_rank") == 0);
    reply = suggest(p, JOBS, id);
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.param"), "ranks_from");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_report_agrees_with_the_layers),
        cmocka_unit_test(the_same_question_has_the_same_answer),
        cmocka_unit_test(budget_and_energy_are_kept),
        cmocka_unit_test(wrong_questions_are_answered),
        cmocka_unit_test(a_job_trains_with_the_suggested_ranks),
        cmocka_unit_test(an_adapter_s_name_will_do_and_a_forecast_too),
        cmocka_unit_test(what_suggests_nothing_is_refused),
        cmocka_unit_test(the_same_request_makes_one_job),
        cmocka_unit_test(damaged_or_deleted_adapters_suggest_nothing),
        cmocka_unit_test(an_untrained_adapter_tells_only_that),
        cmocka_unit_test(clients_that_leave_are_let_go),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
