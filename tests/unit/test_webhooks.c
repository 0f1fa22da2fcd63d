/* Webhooks: a row for each end of a job, signatures as others compute them, the times of attempts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/queue.h"
#include "daemon/webhooks.h"
#include "support/scratch.h"
#include "support/state.h"

/* Python's hmac module and base64.b64encode computed what follows. */
static void signatures_are_those_of_standard_webhooks(void **state)
{
    static const struct {
        const char *secret, *id, *body, *signature;
        int64_t timestamp;
    } rows[] = {
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
         "{\"test\": 2432232314}", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 1614265330},
        {"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "evt_1",
         "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":\"fine_tuning.job.succeeded\","
         "\"created_at\":1700000000,\"data\":{\"id\":\"ftjob-1\"}}",
         "v1,C1DNjUHbpXVRmPT44U3G5HPrSl8sHQCl0htKT1K+dO8=", 1700000001},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct webhook_secret secret;
        struct prilora_error err;
        char signature[WEBHOOK_SIGNATURE_SIZE];

        assert_int_equal(webhook_read_secret(&secret, rows[i].secret, &err), PRILORA_OK);
        webhook_sign(signature, &secret, rows[i].id, rows[i].timestamp, rows[i].body);
        assert_string_equal(signature, rows[i].signature);
    }
}

static void the_body_is_an_event_of_openais_shape(void **state)
{
    const struct webhook webhook = {.id = "evt_1",
                                    .job_id = "ftjob-1",
                                    .type = "fine_tuning.job.succeeded",
                                    .created_at = 1700000000};
    char *body = webhook_body(&webhook);

    (void)state;
    assert_string_equal(body, "{\"id\":\"evt_1\",\"object\":\"event\",\"type\":"
                              "\"fine_tuning.job.succeeded\",\"created_at\":1700000000,\"data\":"
                              "{\"id\":\"ftjob-1\"}}");
    free(body);
}

static void weak_or_broken_secrets_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "whsec_",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "whsec_c2hvcnQ=",                               /* 5 bytes */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",        /* cut */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La!!!!LaSwxx", /* no base64 */
    };
    char longer[400] = "whsec_";
    struct webhook_secret secret;
    struct prilora_error err;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(webhook_read_secret(&secret, wrong[i], &err), PRILORA_EINVAL);
    memset(longer + 6, 'A', 300);
    assert_int_equal(webhook_read_secret(&secret, longer, &err), PRILORA_EINVAL);
}

static void delays_grow_to_a_day_and_end(void **state)
{
    int64_t last = 0, sum = 0, attempts = 1;

    (void)state;
    for (; webhook_delay(attempts, 0); attempts++) {
        int64_t delay = webhook_delay(attempts, 0);

        assert_true(delay > last);
        assert_true(webhook_delay(attempts, 1000) == delay + delay / 5);
        assert_true(webhook_delay(attempts, 12345) <= delay + delay / 5);
        last = delay;
        sum += delay;
    }
    assert_int_equal(webhook_delay(1, 0), 5);
    assert_int_equal(last, 86400);
    assert_int_equal(attempts, 10);
    assert_true(sum > 86400);
}

/* ---- rows ---- */

static void set_target(struct store *store, const char *url)
{
    struct prilora_error err;

    assert_int_equal(webhooks_set_target(store, url, &err), PRILORA_OK);
}

/* How many there are of a job, and the type of the newest of all. */
static size_t count(struct store *store, const char *job_id, char type[40])
{
    struct webhook *webhooks;
    struct prilora_error err;
    size_t n, n_job = 0;
    bool more;

    assert_int_equal(webhooks_list(store, NULL, 1000, &webhooks, &n, &more, &err), PRILORA_OK);
    for (size_t i = 0; i < n; i++)
        n_job += strcmp(webhooks[i].job_id, job_id) == 0;
    if (n > 0)
        snprintf(type, 40, "%s", webhooks[0].type);
    webhooks_free_list(webhooks, n);
    return n_job;
}

static void every_way_a_job_ends_makes_one_webhook(void **state)
{
    static const enum job_status ends[] = {JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED};
    static const char *const types[] = {"fine_tuning.job.succeeded", "fine_tuning.job.failed",
                                        "fine_tuning.job.cancelled"};
    char type[40] = "", id[ID_SIZE];
    struct job job;

    set_target(*state, "http://x/");
    for (size_t i = 0; i < 3; i++) { /* a worker's end */
        snprintf(id, sizeof id, "%s", test_add_job_in(*state, ends[i]));
        assert_int_equal(count(*state, id, type), 1);
        assert_string_equal(type, types[i]);
        assert_int_not_equal(queue_cancel(*state, id, &job, NULL), PRILORA_OK);
        job_clear(&job);
        assert_int_equal(count(*state, id, type), 1);
    }
    for (int from = JOB_VALIDATING; from <= JOB_QUEUED; from++) { /* cancelled before it ran */
        snprintf(id, sizeof id, "%s", test_add_job_in(*state, (enum job_status)from));
        assert_int_equal(count(*state, id, type), 0);
        assert_int_equal(queue_cancel(*state, id, &job, NULL), PRILORA_OK);
        job_clear(&job);
        assert_int_equal(count(*state, id, type), 1);
        assert_string_equal(type, "fine_tuning.job.cancelled");
    }
    snprintf(id, sizeof id, "%s", test_add_job(*state, 0)); /* bad data */
    assert_int_equal(queue_finish(*state, id, &(struct job_end){.status = JOB_FAILED}, NULL),
                     PRILORA_OK);
    assert_int_equal(count(*state, id, type), 1);
    assert_string_equal(type, "fine_tuning.job.failed");
}

static void a_job_that_is_given_up_makes_one_too(void **state)
{
    char type[40] = "", id[ID_SIZE];
    struct job job;
    size_t n;
    bool found;

    set_target(*state, "http://x/");
    snprintf(id, sizeof id, "%s", test_add_job_in(*state, JOB_RUNNING));
    for (int deaths = 0; deaths < QUEUE_MAX_DEATHS; deaths++) {
        assert_int_equal(count(*state, id, type), 0);
        assert_int_equal(queue_recover(*state, &n, NULL), PRILORA_OK);
        queue_claim(*state, JOB_QUEUED, 0, &job, &found, NULL);
        job_clear(&job);
    }
    assert_int_equal(test_job_status(*state, id), JOB_FAILED);
    assert_int_equal(count(*state, id, type), 1);
    assert_string_equal(type, "fine_tuning.job.failed");
}

static void without_an_address_there_are_none(void **state)
{
    char type[40] = "";
    struct webhook webhook;
    struct prilora_error err;
    bool found;

    test_add_job_in(*state, JOB_SUCCEEDED);
    assert_int_equal(count(*state, "", type), 0);
    assert_string_equal(type, "");
    set_target(*state, "http://x/");
    test_add_job_in(*state, JOB_SUCCEEDED);
    assert_int_equal(webhooks_next(*state, &webhook, &found, &err), PRILORA_OK);
    assert_true(found);
    webhook_clear(&webhook);
    set_target(*state, ""); /* what was not sent yet never will be */
    assert_int_equal(webhooks_next(*state, &webhook, &found, &err), PRILORA_OK);
    assert_false(found);
}

static void an_attempt_changes_what_is_due(void **state)
{
    struct webhook webhook, again;
    struct prilora_error err;
    bool found;

    set_target(*state, "http://x/");
    test_add_job_in(*state, JOB_SUCCEEDED);
    assert_int_equal(webhooks_next(*state, &webhook, &found, &err), PRILORA_OK);
    assert_true(found);
    assert_memory_equal(webhook.id, "evt_", 4);
    assert_int_equal(webhooks_attempted(*state, webhook.id, "they were out", store_now() + 1000,
                                        &err),
                     PRILORA_OK);
    assert_int_equal(webhooks_next(*state, &again, &found, &err), PRILORA_OK);
    assert_false(found); /* not before its time */
    assert_int_equal(webhooks_retry(*state, webhook.id, &again, &err), PRILORA_OK);
    assert_string_equal(again.last_error, "they were out");
    assert_string_equal(again.state, "pending");
    webhook_clear(&again);
    assert_int_equal(webhooks_next(*state, &again, &found, &err), PRILORA_OK);
    assert_true(found);
    webhook_clear(&again);
    assert_int_equal(webhooks_attempted(*state, webhook.id, NULL, 0, &err), PRILORA_OK);
    assert_int_equal(webhooks_next(*state, &again, &found, &err), PRILORA_OK);
    assert_false(found);
    assert_int_equal(webhooks_retry(*state, "evt_none", &again, &err), PRILORA_ENOENT);
    webhook_clear(&webhook);
}

/* ---- the sender's secret ---- */

static enum prilora_status start(struct store *store, const char *secret_file,
                                 struct prilora_error *err)
{
    char url[] = "http://127.0.0.1:9/", *file = strdup(secret_file);
    const struct config config = {.webhooks_url = url, .webhooks_secret_file = file};
    struct webhooks *webhooks;
    enum prilora_status rc = webhooks_start(&webhooks, &config, store, err);

    webhooks_stop(webhooks);
    free(file);
    return rc;
}

static void nothing_is_sent_without_a_secret(void **state)
{
    static const char secret[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    const char *path = test_scratch_write("hook-secret", secret, strlen(secret));
    struct prilora_error err;
    char folder[300];

    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(start(*state, path, &err), PRILORA_OK);
    assert_int_equal(start(*state, "", &err), PRILORA_EINVAL);
    assert_non_null(strstr(err.message, "webhooks.secret_file is not"));
    assert_int_equal(start(*state, "/nowhere/secret", &err), PRILORA_EIO);
    assert_non_null(strstr(err.message, "/nowhere/secret cannot be read"));
    assert_int_equal(start(*state, "hook-secret", &err), PRILORA_ENOENT);
    assert_non_null(strstr(err.message, "CREDENTIALS_DIRECTORY"));
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    setenv("CREDENTIALS_DIRECTORY", folder, 1); /* as systemd does */
    assert_int_equal(start(*state, "hook-secret", &err), PRILORA_OK);
    unsetenv("CREDENTIALS_DIRECTORY");
    path = test_scratch_write("weak-secret", "password\n", 9);
    assert_int_equal(start(*state, path, &err), PRILORA_EINVAL);
    assert_non_null(strstr(err.message, "whsec_"));
    assert_null(strstr(err.message, "password")); /* a secret is never shown */
}

#define with_store(f) cmocka_unit_test_setup_teardown(f, test_store_open, test_store_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_standard_webhooks),
        cmocka_unit_test(the_body_is_an_event_of_openais_shape),
        cmocka_unit_test(weak_or_broken_secrets_are_refused),
        cmocka_unit_test(delays_grow_to_a_day_and_end),
        with_store(every_way_a_job_ends_makes_one_webhook),
        with_store(a_job_that_is_given_up_makes_one_too),
        with_store(without_an_address_there_are_none),
        with_store(nothing_is_sent_without_a_secret),
        with_store(an_attempt_changes_what_is_due),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
