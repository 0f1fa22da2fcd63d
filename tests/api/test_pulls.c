/*
 * test_pulls.c - base models brought through the interface: from a hub to a trained adapter, and
 * what is said of pulls that run, fail, are cancelled, or were running when the daemon ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/hub.h"
#include "support/scratch.h"
#include "support/server.h"

#define MINI    "{\"model\": \"" TEST_HUB_MODEL "\"}"
#define WEIGHTS "model.safetensors"
#define LIMIT_S 120

struct fixture {
    struct test_hub *hub;
    struct test_server *server;
    char models[300];
    const char *settings[3];
};

static int open_one(void **state)
{
    static int number;
    struct fixture *f = calloc(1, sizeof *f);
    char name[32];

    snprintf(name, sizeof name, "models-%d", number++);
    snprintf(f->models, sizeof f->models, "--storage.models_dirs=%s:examples",
             test_scratch_path(name));
    f->hub = test_hub_new();
    test_hub_add_mini(f->hub, TEST_HUB_COMMIT);
    test_hub_need_token(f->hub, "hf_everyone");
    setenv("HF_ENDPOINT", test_hub_endpoint(f->hub), 1);
    setenv("HF_TOKEN", "hf_everyone", 1);
    f->settings[0] = f->models;
    f->server = test_server_new(f->settings);
    *state = f;
    return 0;
}

static int close_one(void **state)
{
    struct fixture *f = *state;

    test_server_free(f->server);
    test_hub_free(f->hub);
    free(f);
    return 0;
}

/* Begins a pull; its id. */
static const char *begin(struct fixture *f, const char *body)
{
    static char id[64];
    struct test_reply *reply = test_post(f->server, "/v1/models", body);

    if (reply->status != 200)
        fail_msg("the pull was refused: %s", reply->body);
    assert_string_equal(test_text(reply->json, "object"), "model.pull");
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    assert_memory_equal(id, "pull-", 5);
    return id;
}

static void nap(void)
{
    const struct timespec t = {0, 20000000};

    nanosleep(&t, NULL);
}

/* Until it has the status; or is over, which is then wrong. */
static const json_t *wait_for(struct fixture *f, const char *id, const char *status)
{
    time_t until = time(NULL) + LIMIT_S;

    for (;;) {
        struct test_reply *reply = test_get(f->server, "/v1/pulls/%s", id);
        const char *now = test_text(reply->json, "status");

        assert_int_equal(reply->status, 200);
        if (strcmp(now, status) == 0)
            return reply->json;
        if (strcmp(now, "running") != 0 || time(NULL) > until)
            fail_msg("the pull is not %s: %s", status, reply->body);
        nap();
    }
}

static void wait_for_bytes(struct fixture *f, const char *id, json_int_t bytes)
{
    while (test_integer(wait_for(f, id, "running"), "bytes") < bytes)
        nap();
}

static void a_model_is_brought_and_trained(void **state)
{
    struct fixture *f = *state;
    char id[64], json[500], *text = test_sentences(32, 1);
    const json_t *pull, *job;

    snprintf(id, sizeof id, "%s", begin(f, MINI));
    pull = wait_for(f, id, "succeeded");
    assert_string_equal(test_text(pull, "model"), TEST_HUB_MODEL);
    assert_string_equal(test_text(pull, "revision"), "main");
    assert_string_equal(test_text(pull, "commit"), TEST_HUB_COMMIT);
    assert_true(json_is_null(test_member(pull, "error")));
    assert_int_equal(test_integer(pull, "bytes"), 753 + 4489440 + 374351 + 319);
    assert_int_equal(test_integer(pull, "total_bytes"), test_integer(pull, "bytes"));
    assert_int_equal(json_array_size(test_member(pull, "files")), 4);
    assert_string_equal(test_text(pull, "files.3.name"), WEIGHTS);
    assert_int_equal(test_integer(pull, "files.3.bytes"), 4489440);
    assert_true(test_integer(pull, "finished_at") >= test_integer(pull, "created_at"));
    assert_true(json_is_number(test_member(pull, "bytes_per_second")));
    assert_false(test_hub_token_leaked(f->hub));
    assert_int_equal(test_get(f->server, "/v1/models/owner%%2Fmini")->status, 200);

    snprintf(json, sizeof json,
             "{\"model\": \"" TEST_HUB_MODEL
             "\", \"training_file\": \"%s\", \"method\": {\"type\": "
             "\"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": 1, \"batch_size\": 8, "
             "\"max_length\": 16}}}}",
             test_upload(f->server, "a.jsonl", text));
    free(text);
    snprintf(id, sizeof id, "%s", test_create_job(f->server, json));
    job = test_wait_job(f->server, id, "succeeded");
    assert_string_equal(test_text(job, "status"), "succeeded");
    assert_memory_equal(test_text(job, "fine_tuned_model"), "ft:" TEST_HUB_MODEL ":", 14);

    pull = wait_for(f, begin(f, MINI), "succeeded");
    assert_true(json_is_true(test_member(pull, "was_there")));
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 1);
}

static void who_asks_for_a_running_pull_gets_it_again(void **state)
{
    struct fixture *f = *state;
    struct test_reply *reply;
    char first[64];

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.drip_ms = 20});
    snprintf(first, sizeof first, "%s", begin(f, MINI));
    assert_string_equal(begin(f, "{\"model\": \"" TEST_HUB_MODEL "\", \"revision\": null}"), first);
    reply = test_post(f->server, "/v1/models",
                      "{\"model\": \"" TEST_HUB_MODEL "\", \"revision\": \"v2\"}");
    assert_int_equal(reply->status, 409);
    assert_string_equal(test_text(reply->json, "error.code"), "pull_in_progress");
    assert_string_equal(test_header(reply, "x-should-retry"), "false");
    wait_for_bytes(f, first, 500000);
    assert_true(test_integer(test_get(f->server, "/v1/pulls/%s", first)->json, "bytes") <
                test_integer(test_get(f->server, "/v1/pulls/%s", first)->json, "total_bytes"));
}

static void a_running_pull_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct test_reply *reply;
    const json_t *pull;
    char id[64], path[100];

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.drip_ms = 20});
    snprintf(id, sizeof id, "%s", begin(f, MINI));
    wait_for_bytes(f, id, 500000);
    snprintf(path, sizeof path, "/v1/pulls/%s/cancel", id);
    assert_int_equal(test_post(f->server, path, NULL)->status, 200);
    pull = wait_for(f, id, "cancelled");
    assert_true(json_is_null(test_member(pull, "error")));
    reply = test_post(f->server, path, NULL);
    assert_int_equal(reply->status, 409);
    assert_string_equal(test_text(reply->json, "error.code"), "pull_is_over");
    assert_int_equal(test_get(f->server, "/v1/models/owner%%2Fmini")->status, 404);
}

static void a_failed_pull_says_why(void **state)
{
    struct fixture *f = *state;
    const json_t *pull = wait_for(f, begin(f, "{\"model\": \"owner/none\"}"), "failed");

    assert_string_equal(test_text(pull, "error.code"), "not_found");
    assert_non_null(strstr(test_text(pull, "error.message"), "owner/none"));
    assert_true(test_integer(pull, "finished_at") > 0);
    pull = wait_for(f, begin(f, "{\"model\": \"" TEST_HUB_MODEL "\", \"token\": \"hf_wrong\"}"),
                    "failed");
    assert_string_equal(test_text(pull, "error.code"), "unauthorized");
    assert_null(strstr(test_text(pull, "error.message"), "hf_"));
}

static void wrong_requests_are_refused(void **state)
{
    static const struct {
        const char *body, *param, *code;
    } cases[] = {
        {"{}", "model", "missing_required_parameter"},
        {"{\"model\": 7}", "model", "invalid_value"},
        {"{\"model\": \"../etc\"}", "model", "invalid_value"},
        {"{\"model\": \"http://10.0.0.1/x\"}", "model", "invalid_value"},
        {"{\"model\": \"a/b\", \"revision\": \"../x\"}", "revision", "invalid_value"},
        {"{\"model\": \"a/b\", \"revision\": 1}", "revision", "invalid_value"},
        {"{\"model\": \"a/b\", \"token\": \"a\\r\\nb: c\"}", "token", "invalid_value"},
        {"{\"model\": \"a/b\", \"force\": \"yes\"}", "force", "invalid_value"},
        {"{\"model\": \"a/b\", \"endpoint\": \"http://x\"}", "endpoint", "unknown_parameter"},
        {"[]", "", "invalid_json"},
        {"{", "", "invalid_json"},
        {"", "", "missing_body"},
    };
    struct fixture *f = *state;
    int listings = test_hub_n_listings(f->hub);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test_reply *reply = test_post(f->server, "/v1/models", cases[i].body);

        assert_int_equal(reply->status, 400);
        assert_string_equal(test_text(reply->json, "error.param"), cases[i].param);
        assert_string_equal(test_text(reply->json, "error.code"), cases[i].code);
    }
    assert_int_equal(test_send(f->server, &(struct test_request){.method = "POST",
                                                                 .path = "/v1/models",
                                                                 .body = MINI,
                                                                 .type = "text/plain"})
                         ->status,
                     415);
    assert_int_equal(test_get(f->server, "/v1/pulls/pull-nothing")->status, 404);
    assert_int_equal(test_post(f->server, "/v1/pulls/pull-nothing/cancel", NULL)->status, 404);
    assert_int_equal(test_get(f->server, "/v1/pulls?after=pull-nothing")->status, 400);
    assert_int_equal(test_hub_n_listings(f->hub), listings);
}

static void pulls_are_listed_newest_first(void **state)
{
    struct fixture *f = *state;
    char first[64], second[64];
    const json_t *reply;

    snprintf(first, sizeof first, "%s", begin(f, "{\"model\": \"owner/a\"}"));
    snprintf(second, sizeof second, "%s", begin(f, "{\"model\": \"owner/b\"}"));
    reply = test_get(f->server, "/v1/pulls")->json;
    assert_int_equal(json_array_size(test_member(reply, "data")), 2);
    assert_string_equal(test_text(reply, "data.0.id"), second);
    assert_string_equal(test_text(reply, "data.1.id"), first);
    reply = test_get(f->server, "/v1/pulls?limit=1")->json;
    assert_true(json_is_true(test_member(reply, "has_more")));
    reply = test_get(f->server, "/v1/pulls?limit=1&after=%s", second)->json;
    assert_string_equal(test_text(reply, "data.0.id"), first);
    assert_true(json_is_false(test_member(reply, "has_more")));
}

static void a_fifth_model_at_a_time_has_to_wait(void **state)
{
    static const char *const bodies[] = {"{\"model\": \"owner/a\"}", "{\"model\": \"owner/b\"}",
                                         "{\"model\": \"owner/c\"}", "{\"model\": \"owner/d\"}"};
    struct fixture *f = *state;
    struct test_reply *reply;

    test_hub_refuse_listings(f->hub, 503, 1000); /* which is asked for again for a minute */
    for (size_t i = 0; i < 4; i++)
        begin(f, bodies[i]);
    reply = test_post(f->server, "/v1/models", MINI);
    assert_int_equal(reply->status, 429);
    assert_string_equal(test_header(reply, "retry-after"), "60");
}

static void the_daemon_ends_soon_and_the_next_pull_goes_on(void **state)
{
    struct fixture *f = *state;
    time_t began;

    test_hub_trouble(f->hub, WEIGHTS,
                     (struct test_hub_trouble){.break_after = 2000000, .n_stalls = 1});
    wait_for_bytes(f, begin(f, MINI), 2000000);
    began = time(NULL);
    test_server_stop(f->server);
    assert_true(time(NULL) - began < 30); /* half of what a stall is given */
    test_server_start(f->server);
    assert_int_equal(json_array_size(test_member(test_get(f->server, "/v1/pulls")->json, "data")),
                     0);
    assert_int_equal(test_get(f->server, "/v1/models/owner%%2Fmini")->status, 404);
    wait_for(f, begin(f, MINI), "succeeded");
    assert_int_equal(test_hub_n_ranges(f->hub, WEIGHTS), 1);
    assert_true(test_hub_n_bytes(f->hub, WEIGHTS) < 4489440 + 1000000);
}

static void a_killed_daemon_leaves_parts_that_are_gone_on_with(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS,
                     (struct test_hub_trouble){.break_after = 2000000, .n_stalls = 1});
    wait_for_bytes(f, begin(f, MINI), 2000000);
    test_server_kill(f->server);
    test_server_start(f->server);
    wait_for(f, begin(f, MINI), "succeeded");
    assert_int_equal(test_hub_n_ranges(f->hub, WEIGHTS), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_one, close_one)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_model_is_brought_and_trained),
        TEST(who_asks_for_a_running_pull_gets_it_again),
        TEST(a_running_pull_can_be_cancelled),
        TEST(a_failed_pull_says_why),
        TEST(wrong_requests_are_refused),
        TEST(pulls_are_listed_newest_first),
        TEST(a_fifth_model_at_a_time_has_to_wait),
        TEST(the_daemon_ends_soon_and_the_next_pull_goes_on),
        TEST(a_killed_daemon_leaves_parts_that_are_gone_on_with),
    };

    unsetenv("http_proxy"); /* the hub is on this machine */
    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
