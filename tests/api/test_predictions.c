/* test_predictions.c - POST /v1/predictions on a finished adapter, alone and by many at once. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "support/server.h"

#define PATH      "/v1/predictions"
#define N_CLIENTS 16
#define N_EACH    6

struct finished {
    struct test_server *server;
    char job[64], model[128], rows[64]; /* ids; rows: of the file trained on */
};

static void train_one(struct test_server *server, const char *rows, const char *suffix,
                      char job[64], char model[128])
{
    char json[800];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"suffix\": \"%s\", "
             "\"seed\": 3, \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"max_steps\": 12, \"batch_size\": 8, \"max_length\": 16, \"learning_rate\": "
             "5e-3}}}}",
             rows, suffix);
    test_train(server, json, job, model);
}

static int open_group(void **state)
{
    static const char *const settings[] = {"--training.threads=1", "--predictions.threads=2",
                                           "--predictions.max_waiting=100", NULL};
    struct finished *f = calloc(1, sizeof *f);
    char *rows = test_sentences(64, 1);

    f->server = test_server_new(settings);
    *state = f;
    snprintf(f->rows, sizeof f->rows, "%s", test_upload(f->server, "a.jsonl", rows));
    free(rows);
    train_one(f->server, f->rows, "one", f->job, f->model);
    return 0;
}

static int close_group(void **state)
{
    struct finished *f = *state;

    test_server_free(f->server);
    free(f);
    return 0;
}

static struct test_reply *predict(struct finished *f, const char *rest)
{
    return test_predict(f->server, f->model, rest);
}

static void one_text_gets_one_prediction(void **state)
{
    struct finished *f = *state;
    struct test_reply *reply = predict(f, "\"input\": \"There is rain today.\"");
    const json_t *data = json_object_get(reply->json, "data"), *one = json_array_get(data, 0);
    double first = json_number_value(test_member(one, "probabilities.0.probability")),
           second = json_number_value(test_member(one, "probabilities.1.probability"));

    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "object"), "list");
    assert_string_equal(test_text(reply->json, "model"), f->model);
    assert_int_equal(json_array_size(data), 1);
    assert_string_equal(test_text(one, "object"), "prediction");
    assert_int_equal(test_integer(one, "index"), 0);
    assert_int_equal(json_array_size(json_object_get(one, "probabilities")), 2);
    assert_string_equal(test_text(one, "label"), test_text(one, "probabilities.0.label"));
    assert_true(json_number_value(json_object_get(one, "score")) == first);
    assert_true(first >= second && fabs(first + second - 1) < 1e-8); /* nine digits are written */
    assert_true(json_is_false(json_object_get(one, "truncated")));
    assert_true(test_integer(reply->json, "usage.total_tokens") >= 3);
}

/* Every spelling of the same input has the same answer; of a pair another one. */
static void inputs_may_be_written_in_many_ways(void **state)
{
    static const char *const same[] = {
        "\"input\": \"There is rain today.\"",
        "\"input\": [\"There is rain today.\"]",
        "\"input\": {\"text\": \"There is rain today.\"}",
        "\"input\": [{\"text\": \"There is rain today.\", \"text_pair\": null}]",
    };
    static const char *const pairs[] = {
        "\"input\": {\"text\": \"There is\", \"text_pair\": \"rain today.\"}",
        "\"input\": [{\"text\": \"There is\", \"text_pair\": \"rain today.\"}]",
        "\"input\": [[\"There is\", \"rain today.\"]]",
    };
    struct finished *f = *state;
    json_int_t tokens = 0, of_pair = 0;
    double score = 0;

    for (size_t i = 0; i < 4; i++) {
        struct test_reply *reply = predict(f, same[i]);

        assert_int_equal(reply->status, 200);
        if (i == 0) {
            score = json_number_value(test_member(reply->json, "data.0.score"));
            tokens = test_integer(reply->json, "usage.total_tokens");
        }
        /* one text at a time: the same computation */
        assert_true(json_number_value(test_member(reply->json, "data.0.score")) == score);
        assert_int_equal(test_integer(reply->json, "usage.total_tokens"), tokens);
    }
    for (size_t i = 0; i < 3; i++) {
        struct test_reply *reply = predict(f, pairs[i]);

        assert_int_equal(reply->status, 200);
        of_pair = i ? of_pair : test_integer(reply->json, "usage.total_tokens");
        assert_int_equal(test_integer(reply->json, "usage.total_tokens"), of_pair);
        assert_int_equal(of_pair, tokens + 1); /* one more [SEP] */
    }
}

static void top_k_cuts_the_list(void **state)
{
    struct finished *f = *state;
    struct test_reply *reply = predict(f, "\"input\": [\"a\", \"b\"], \"top_k\": 1");

    assert_int_equal(reply->status, 200);
    assert_int_equal(json_array_size(test_member(reply->json, "data.1.probabilities")), 1);
    assert_int_equal(test_integer(reply->json, "data.1.index"), 1);
    assert_int_equal(json_array_size(
                         test_member(predict(f, "\"input\": \"a\", \"top_k\": null")->json,
                                     "data.0.probabilities")),
                     2);
}

/* As many as are right in the evaluation that the job reports: of the same rows. */
static void right_answers_are_as_many_as_the_job_reports(void **state)
{
    struct finished *f = *state;
    char json[900], job[64], model[128], *rows = test_sentences(40, 500), *line, *rest = rows;
    json_t *body = json_object(), *input = json_array(), *labels = json_array(), *answer;
    size_t n, right = 0;
    double accuracy;
    const char *valid = test_upload(f->server, "valid.jsonl", rows);

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"max_steps\": 12, \"batch_size\": 8, \"max_length\": 16, \"learning_rate\": "
             "5e-3}}}}",
             f->rows, valid);
    snprintf(job, sizeof job, "%s", test_create_job(f->server, json));
    accuracy = json_number_value(
        test_member(test_wait_job(f->server, job, "succeeded"), "result.metrics.accuracy"));
    snprintf(model, sizeof model, "%s",
             test_text(test_get(f->server, "/v1/fine_tuning/jobs/%s", job)->json,
                       "fine_tuned_model"));
    while ((line = strsep(&rest, "\n")) && *line) {
        json_t *row = json_loads(line, 0, NULL);

        json_array_append(input, json_object_get(row, "text"));
        json_array_append(labels, json_object_get(row, "label"));
        json_decref(row);
    }
    n = json_array_size(input);
    json_object_set_new(body, "model", json_string(model));
    json_object_set_new(body, "input", input);
    line = json_dumps(body, 0);
    answer = json_deep_copy(test_post(f->server, PATH, line)->json);
    for (size_t i = 0; i < n; i++)
        right +=
            strcmp(json_string_value(json_array_get(labels, i)),
                   test_text(json_array_get(json_object_get(answer, "data"), i), "label")) == 0;
    assert_int_equal(n, 40);
    /* nine digits of k/40 are exact */
    assert_true((double)right / (double)n == accuracy);
    json_decref(answer);
    json_decref(labels);
    json_decref(body);
    free(line);
    free(rows);
}

/* ---- what is wrong ---- */

static void wrong_requests_say_what_and_where(void **state)
{
    static const struct {
        const char *rest;
        long status;
        const char *param, *message;
    } rows[] = {
        {"\"top_k\": 1", 400, "input", "input is missing"},
        {"\"input\": null", 400, "input", "is null"},
        {"\"input\": 5", 400, "input", "is a number"},
        {"\"input\": []", 400, "input", "must hold 1 to 2048"},
        {"\"input\": [\"a\", 5]", 400, "input.1", "is a number"},
        {"\"input\": [[1, 2, 3]]", 400, "input.0", "a list of 3, but a pair has two texts"},
        {"\"input\": [[\"a\", 2]]", 400, "input.0.1", "is a number, but must be a text"},
        {"\"input\": [\"a\", {\"text_pair\": \"b\"}]", 400, "input.1.text", "is absent"},
        {"\"input\": {\"text\": \"a\", \"text_pair\": 1}", 400, "input.text_pair", "is a number"},
        {"\"input\": {\"text\": \"a\", \"test_pair\": \"\"}", 400, "input.test_pair",
         "did you mean \"text_pair\"?"},
        {"\"input\": \"a\", \"topk\": 5", 400, "topk", "did you mean \"top_k\"?"},
        {"\"input\": \"a\", \"a/b\": 5", 400, "a/b", "a/b: not known here"},
        {"\"input\": \"a\", \"top_k\": 0", 400, "top_k", "0, but must be an integer from 1"},
        {"\"input\": \"a\", \"top_k\": 1001", 400, "top_k", "1001, but must be"},
        {"\"input\": \"a\", \"top_k\": 1.5", 400, "top_k", "is a number, but must be an integer"},
        {"\"input\": \"a\", \"top_k\": \"3\"", 400, "top_k", "is a text"},
        {"\"input\": \"a\", \"top_k\": 99999999999999999999", 400, NULL, "too big integer"},
        {"\"input\": \"a\\u0000b\"", 400, NULL, "NUL"},
        {"\"input\": \"a\", \"input\": \"b\"", 400, NULL, "duplicate"},
    };
    struct finished *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct test_reply *reply = predict(f, rows[i].rest);

        if (reply->status != rows[i].status ||
            !strstr(test_text(reply->json, "error.message"), rows[i].message))
            fail_msg("%s: %ld %s", rows[i].rest, reply->status, reply->body);
        if (rows[i].param)
            assert_string_equal(test_text(reply->json, "error.param"), rows[i].param);
    }
    assert_int_equal(test_post(f->server, PATH, "")->status, 400);
    assert_int_equal(test_post(f->server, PATH, "[]")->status, 400);
    assert_int_equal(test_post(f->server, PATH, "{\"input\": \"a\"}")->status, 400);
    assert_int_equal(test_post(f->server, PATH, "{\"model\": 5, \"input\": \"a\"}")->status, 400);
    assert_int_equal(test_post(f->server, PATH "?x=1", "{}")->status, 400);
    assert_int_equal(test_get(f->server, "%s", PATH)->status, 405);
}

static void too_many_and_too_large_inputs_are_refused(void **state)
{
    struct finished *f = *state;
    size_t n = 2000000, used;
    char *json = malloc(n);
    struct test_reply *reply;

    used = (size_t)snprintf(json, n, "{\"model\": \"%s\", \"input\": [\"\"", f->model);
    for (size_t i = 0; i < 2048; i++)
        used += (size_t)snprintf(json + used, n - used, ",\"\"");
    snprintf(json + used, n - used, "]}");
    reply = test_post(f->server, PATH, json);
    assert_int_equal(reply->status, 400);
    assert_non_null(strstr(reply->body, "a list of 2049, but must hold 1 to 2048"));
    used = (size_t)snprintf(json, n, "{\"model\": \"%s\", \"input\": [\"a\", \"", f->model);
    memset(json + used, 'a', (1 << 20) + 1);
    used += (1 << 20) + 1;
    snprintf(json + used, n - used, "\"]}");
    reply = test_post(f->server, PATH, json);
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.param"), "input.1");
    assert_non_null(strstr(reply->body, "1048577 bytes, but at most 1048576"));
    free(json);
}

static void a_base_or_an_unknown_model_is_told_apart(void **state)
{
    struct finished *f = *state;
    struct test_reply *reply =
        test_post(f->server, PATH, "{\"model\": \"prilora-mini-en\", \"input\": \"a\"}");

    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.param"), "model");
    assert_non_null(strstr(reply->body, "predictions need a finished adapter"));
    reply = test_post(f->server, PATH, "{\"model\": \"ft:prilora-mini-en:x:y\", \"input\": \"a\"}");
    assert_int_equal(reply->status, 404);
    assert_string_equal(test_text(reply->json, "error.code"), "model_not_found");
    reply = test_post(f->server, PATH, "{\"model\": \"../../etc\", \"input\": \"a\"}");
    assert_int_equal(reply->status, 404);
}

/* ---- many at once, over sockets of their own ---- */

static int send_request(int port, const char *body)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {.tv_sec = 120};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char head[256];
    int n = snprintf(head, sizeof head,
                     "POST " PATH " HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                     "application/json\r\nConnection: close\r\nContent-Length: "
                     "%zu\r\n\r\n",
                     strlen(body));

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        send(fd, head, (size_t)n, MSG_NOSIGNAL) != n ||
        send(fd, body, strlen(body), MSG_NOSIGNAL) != (ssize_t)strlen(body)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The status, and the answer's text; 0: none came. */
static long take_answer(int fd, char *answer, size_t room)
{
    size_t used = 0;
    ssize_t n;

    while (used + 1 < room && (n = recv(fd, answer + used, room - used - 1, 0)) > 0)
        used += (size_t)n;
    answer[used] = '\0';
    close(fd);
    return used > 12 ? strtol(answer + 9, NULL, 10) : 0;
}

struct client {
    const struct finished *f;
    size_t number;
    size_t n_right, n_other;
};

static void *ask(void *argument)
{
    struct client *c = argument;
    char body[400], *answer = malloc(65536), expected[40];

    snprintf(body, sizeof body, "{\"model\": \"%s\", \"input\": [\"x\", \"text %zu\", \"y\"]}",
             c->f->model, c->number);
    snprintf(expected, sizeof expected, "\"index\":2");
    for (size_t i = 0; i < N_EACH; i++) {
        int fd = send_request(c->f->server->port, body);
        long status = fd >= 0 ? take_answer(fd, answer, 65536) : 0;

        c->n_right += status == 200 && strstr(answer, expected) != NULL;
        c->n_other += status != 200;
    }
    free(answer);
    return NULL;
}

/* 16 clients with 3 texts each never have more than 48 waiting: nobody is refused. */
static void many_at_once_all_get_their_own_answer(void **state)
{
    struct finished *f = *state;
    struct client clients[N_CLIENTS];
    pthread_t threads[N_CLIENTS];

    for (size_t i = 0; i < N_CLIENTS; i++) {
        clients[i] = (struct client){f, i, 0, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &clients[i]), 0);
    }
    for (size_t i = 0; i < N_CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].n_right, N_EACH);
        assert_int_equal(clients[i].n_other, 0);
    }
}

/* n long texts: enough to keep the predictor busy a while. */
static char *large_body(const struct finished *f, size_t n)
{
    char *json = NULL;
    size_t size;
    FILE *out = open_memstream(&json, &size);

    fprintf(out, "{\"model\": \"%s\", \"top_k\": 1, \"input\": [", f->model);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s\"There is rain and wind and snow and bread and soup and cake %zu\"",
                i ? "," : "", i);
    fprintf(out, "]}");
    fclose(out);
    return json;
}

/* max_waiting is 100: of two that come together, with 2000 and with 100 texts, the one that comes
 * second is asked to come again, unless the first one is through already. */
static void above_the_limit_some_are_asked_to_come_again(void **state)
{
    enum { ROOM = 2000000 };
    struct finished *f = *state;
    char *bodies[2] = {large_body(f, 2000), large_body(f, 100)};
    char *answers[2] = {malloc(ROOM), malloc(ROOM)};
    const char *refusal = NULL;

    for (int i = 0; i < 20 && !refusal; i++) {
        int fds[2];

        for (size_t k = 0; k < 2; k++)
            assert_true((fds[k] = send_request(f->server->port, bodies[k])) >= 0);
        for (size_t k = 0; k < 2; k++) {
            long status = take_answer(fds[k], answers[k], ROOM);

            assert_true(status == 200 || status == 429);
            if (status == 429)
                refusal = answers[k];
            else
                assert_non_null(strstr(answers[k], k ? "\"index\":99," : "\"index\":1999,"));
        }
    }
    assert_non_null(refusal);
    assert_non_null(strstr(refusal, "\r\nRetry-After: "));
    assert_non_null(strstr(refusal, "predictions.max_waiting (100)"));
    for (size_t k = 0; k < 2; k++) {
        free(bodies[k]);
        free(answers[k]);
    }
}

static void clients_that_go_away_disturb_nobody(void **state)
{
    struct finished *f = *state;
    char *body = large_body(f, 60), request[300];
    size_t n = strlen(body);
    char *all = malloc(n + sizeof request);

    for (int i = 0; i < 8; i++) {
        int used = snprintf(all, n + sizeof request,
                            "POST " PATH " HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                            "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                            n, body);

        test_send_and_leave(f->server, all, (size_t)used);
        test_send_and_leave(f->server, all, (size_t)used - n / 2); /* half a body */
    }
    for (int i = 0; i < 100; i++) { /* those that had come whole are still computed */
        struct test_reply *reply = predict(f, "\"input\": \"There is rain today.\"");

        if (reply->status == 200)
            break;
        assert_int_equal(reply->status, 429);
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    assert_int_equal(predict(f, "\"input\": \"There is rain today.\"")->status, 200);
    free(all);
    free(body);
}

/* ---- beside other things ---- */

static void it_answers_while_a_job_trains(void **state)
{
    struct finished *f = *state;
    char json[600], job[64];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"method\": {\"type\": "
             "\"lora\", \"lora\": {\"hyperparameters\": {\"n_epochs\": 10000, \"max_length\": 16, "
             "\"batch_size\": 8}}}}",
             f->rows);
    snprintf(job, sizeof job, "%s", test_create_job(f->server, json));
    assert_string_equal(test_text(test_wait_job(f->server, job, "running"), "status"), "running");
    for (int i = 0; i < 5; i++)
        assert_int_equal(predict(f, "\"input\": [\"a\", \"b\", \"c\"]")->status, 200);
    assert_string_equal(
        test_text(test_get(f->server, "/v1/fine_tuning/jobs/%s", job)->json, "status"), "running");
    snprintf(json, sizeof json, "/v1/fine_tuning/jobs/%s/cancel", job);
    assert_int_equal(test_post(f->server, json, "")->status, 200);
    test_wait_job(f->server, job, "cancelled");
}

static void a_model_may_be_deleted_while_it_is_predicted_with(void **state)
{
    struct finished *f = *state;
    struct finished other = *f;
    char *body, *answer = malloc(2000000), path[200];
    struct test_request request = {.method = "DELETE", .path = path};
    int fd;
    long status;

    train_one(f->server, f->rows, "gone", other.job, other.model);
    assert_int_equal(predict(&other, "\"input\": \"a\"")->status, 200);
    body = large_body(&other, 1000);
    fd = send_request(f->server->port, body);
    assert_true(fd >= 0);
    snprintf(path, sizeof path, "/v1/models/%s", other.model);
    assert_int_equal(test_send(f->server, &request)->status, 200);
    status = take_answer(fd, answer, 2000000);
    assert_true(status == 200 || status == 404); /* whichever came first */
    assert_int_equal(predict(&other, "\"input\": \"a\"")->status, 404);
    assert_int_equal(predict(f, "\"input\": \"a\"")->status, 200);
    free(answer);
    free(body);
}

static void stopping_answers_whoever_waits(void **state)
{
    struct finished *f = *state;
    char *body = large_body(f, 2048), *answer = malloc(4000000);
    int fd = send_request(f->server->port, body);
    long status;

    assert_true(fd >= 0);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    test_server_stop(f->server);
    status = take_answer(fd, answer, 4000000);
    assert_true(status == 503 || status == 200); /* 200: the machine was quicker than we */
    if (status == 503)
        assert_non_null(strstr(answer, "\"code\":\"shutting_down\""));
    test_server_start(f->server);
    assert_int_equal(predict(f, "\"input\": \"a\"")->status, 200);
    free(answer);
    free(body);
}

/* A limit that no adapter keeps to. */
static void an_adapter_above_the_memory_limit_is_refused(void **state)
{
    struct finished *f = *state;
    struct test_reply *reply;

    test_server_stop(f->server);
    f->server->settings[3] = "--predictions.memory_limit_mb=1";
    test_server_start(f->server);
    reply = predict(f, "\"input\": \"a\"");
    assert_int_equal(reply->status, 507);
    assert_non_null(strstr(reply->body, "predictions.memory_limit_mb is 1"));
    assert_string_equal(test_header(reply, "x-should-retry"), "false");
}

/* Two adapters where there is room for one: each is opened again when it is asked. */
static void adapters_give_way_to_one_another(void **state)
{
    struct finished *f = *state;
    struct finished other = *f;

    test_server_stop(f->server);
    f->server->settings[3] = "--predictions.memory_limit_mb=24";
    f->server->settings[4] = "--log.level=debug";
    test_server_start(f->server);
    train_one(f->server, f->rows, "two", other.job, other.model);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(predict(f, "\"input\": \"a\"")->status, 200);
        assert_int_equal(predict(&other, "\"input\": \"a\"")->status, 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_text_gets_one_prediction),
        cmocka_unit_test(inputs_may_be_written_in_many_ways),
        cmocka_unit_test(top_k_cuts_the_list),
        cmocka_unit_test(right_answers_are_as_many_as_the_job_reports),
        cmocka_unit_test(wrong_requests_say_what_and_where),
        cmocka_unit_test(too_many_and_too_large_inputs_are_refused),
        cmocka_unit_test(a_base_or_an_unknown_model_is_told_apart),
        cmocka_unit_test(many_at_once_all_get_their_own_answer),
        cmocka_unit_test(above_the_limit_some_are_asked_to_come_again),
        cmocka_unit_test(clients_that_go_away_disturb_nobody),
        cmocka_unit_test(it_answers_while_a_job_trains),
        cmocka_unit_test(a_model_may_be_deleted_while_it_is_predicted_with),
        cmocka_unit_test(stopping_answers_whoever_waits),
        cmocka_unit_test(an_adapter_above_the_memory_limit_is_refused),
        cmocka_unit_test(adapters_give_way_to_one_another),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
