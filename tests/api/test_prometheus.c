/*
 * test_prometheus.c - /metrics, the dashboard for Grafana and README about the same figures, and a
 * real Prometheus server (Debian's) that scrapes the daemon and answers the dashboard's queries.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/server.h"

#define N_ROWS      32
#define BATCH       4
#define EPOCHS      2
#define N_STEPS     (EPOCHS * N_ROWS / BATCH)
#define PATIENCE_MS 120000
#define POLL_MS     200

struct fixture {
    struct test_server *server;
    char job[64];
    json_int_t tokens; /* that the job says it was trained on */
};

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* ---- the text format ---- */

/* The value of one series, named as it stands in the text; -1: it is not there. */
static double value_of(const char *text, const char *series)
{
    size_t n = strlen(series);

    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, n) == 0 && line[n] == ' ')
            return strtod(line + n + 1, NULL);
    }
    return -1;
}

static char *scrape(const struct test_server *server)
{
    struct test_reply *reply = test_get(server, "/metrics");

    assert_int_equal(reply->status, 200);
    assert_string_equal(test_header(reply, "Content-Type"),
                        "text/plain; version=0.0.4; charset=utf-8");
    return strdup(reply->body);
}

/* Names of families as a set; each line is looked at by the rules of the format. */
static json_t *read_families(char *text)
{
    json_t *families = json_object(), *series = json_object();
    char name[128] = "", type[32] = "", *rest = NULL;

    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char found[128], *end, *space = strrchr(line, ' ');
        size_t n = strlen(name);

        if (sscanf(line, "# HELP %127s %*c", found) == 1) {
            assert_null(json_object_get(families, found)); /* a family stands in one place */
            snprintf(name, sizeof name, "%s", found);
            type[0] = '\0';
            continue;
        }
        if (sscanf(line, "# TYPE %127s %31s", found, type) == 2) {
            assert_string_equal(found, name);
            json_object_set_new(families, name, json_string(type));
            continue;
        }
        assert_non_null(space);
        strtod(space + 1, &end);
        assert_true(end > space + 1 && !*end);
        *space = '\0';
        assert_null(json_object_get(series, line)); /* a series has one value */
        json_object_set_new(series, line, json_true());
        assert_memory_equal(line, name, n);
        line += n;
        if (strcmp(type, "histogram") == 0)
            assert_true(strncmp(line, "_bucket{", 8) == 0 || strncmp(line, "_sum", 4) == 0 ||
                        strncmp(line, "_count", 6) == 0);
        else
            assert_true(*line == '\0' || *line == '{');
    }
    json_decref(series);
    return families;
}

static void every_line_is_of_the_format(void **state)
{
    struct fixture *f = *state;
    char *text = scrape(f->server);
    json_t *families = read_families(text);

    assert_true(json_object_size(families) > 20);
    assert_string_equal(
        json_string_value(json_object_get(families, "prilorad_jobs_finished_total")), "counter");
    json_decref(families);
    free(text);
}

/* ---- programs of Debian's package prometheus ---- */

static pid_t start(const char *const *words, const char *input, const char *output)
{
    pid_t pid = fork();

    if (pid == 0) {
        int in = open(input ? input : "/dev/null", O_RDONLY);
        int out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        if (in >= 0 && out >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
            execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

static void promtool_has_no_complaints(void **state)
{
    static const char *const words[] = {"promtool", "check", "metrics", NULL};
    struct fixture *f = *state;
    char *text = scrape(f->server), *said;
    char input[300], output[300];
    size_t size;
    int status;

    snprintf(input, sizeof input, "%s", test_scratch_write("metrics", text, strlen(text)));
    snprintf(output, sizeof output, "%s", test_scratch_path("promtool"));
    assert_true(waitpid(start(words, input, output), &status, 0) > 0);
    said = test_file(output, &size);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || size > 0)
        fail_msg("promtool: status %d: %s", status, said);
    free(said);
    free(text);
}

/* ---- what is counted ---- */

static void a_finished_job_is_counted(void **state)
{
    struct fixture *f = *state;
    char *text = scrape(f->server);

    assert_true(value_of(text, "prilorad_jobs{status=\"succeeded\"}") == 1);
    assert_true(value_of(text, "prilorad_jobs{status=\"running\"}") == 0);
    assert_true(value_of(text, "prilorad_jobs_finished_total{status=\"succeeded\"}") == 1);
    assert_true(value_of(text, "prilorad_jobs_finished_total{status=\"failed\"}") == 0);
    assert_true(value_of(text, "prilorad_job_duration_seconds_count") == 1);
    assert_true(value_of(text, "prilorad_optimizer_steps_total") == N_STEPS);
    assert_true(value_of(text, "prilorad_tokens_trained_total") == (double)f->tokens);
    /* the run's first step has no beginning to be timed from */
    assert_true(value_of(text, "prilorad_step_duration_seconds_count") == N_STEPS - 1);
    assert_true(value_of(text, "prilorad_step_duration_seconds_sum") > 0);
    assert_true(value_of(text, "prilorad_workers") == 1);
    assert_true(value_of(text, "prilorad_workers_busy") == 0);
    assert_true(value_of(text, "prilorad_tokens_per_second") == 0);
    assert_null(strstr(text, f->job));
    free(text);
}

static void requests_are_counted_by_route_and_not_by_path(void **state)
{
    static const char shown[] = "prilorad_http_requests_total{route=\"/v1/fine_tuning/jobs/"
                                "{id}\",method=\"GET\",code=\"%d\"}";
    static const char none[] =
        "prilorad_http_requests_total{route=\"none\",method=\"any\",code=\"404\"}";
    struct fixture *f = *state;
    char *before = scrape(f->server), *after, series[2][160];

    snprintf(series[0], sizeof series[0], shown, 200);
    snprintf(series[1], sizeof series[1], shown, 404);
    for (int i = 0; i < 3; i++)
        assert_int_equal(test_get(f->server, "/v1/fine_tuning/jobs/%s", f->job)->status, 200);
    assert_int_equal(test_get(f->server, "/v1/fine_tuning/jobs/ftjob-none")->status, 404);
    assert_int_equal(test_get(f->server, "/hidden/%%22quoted%%22")->status, 404);
    assert_int_equal(test_get(f->server, "/hidden/other")->status, 404);
    after = scrape(f->server);
    assert_true(value_of(after, series[0]) - value_of(before, series[0]) == 3);
    assert_true(value_of(after, series[1]) == 1);
    assert_true(value_of(after, none) == 2);
    assert_null(strstr(after, "hidden"));
    assert_null(strstr(after, "quoted"));
    assert_true(value_of(after, "prilorad_http_request_duration_seconds_count{route=\"none\","
                                "method=\"any\"}") == 2);
    free(before);
    free(after);
}

static void bytes_are_counted_both_ways(void **state)
{
    static const char sent[] = "prilorad_http_sent_bytes_total",
                      received[] = "prilorad_http_received_bytes_total";
    struct fixture *f = *state;
    char *before = scrape(f->server), *between, *after, text[3001];
    size_t n_scraped = strlen(before);
    double n;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    test_upload(f->server, "a.txt", text);
    between = scrape(f->server);
    n = value_of(between, received) - value_of(before, received);
    assert_true(n > 3000 && n < 3600); /* the form's own lines */
    test_get(f->server, "/v1/fine_tuning/jobs/%s/adapter/adapter_model.safetensors", f->job);
    after = scrape(f->server);
    n = value_of(after, sent) - value_of(between, sent);
    assert_true(n > 500000 && n > (double)n_scraped); /* the adapter has half a megabyte */
    free(before);
    free(between);
    free(after);
}

/* A line of /proc/PID/status as a number; -1: it is not there. */
static double status_of(pid_t pid, const char *name)
{
    char path[64], line[256];
    double value = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (value < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtod(line + strlen(name), NULL);
    fclose(file);
    return value;
}

static void the_process_is_the_one_that_runs(void **state)
{
    struct fixture *f = *state;
    char *text = scrape(f->server);
    double now = (double)time(NULL), resident = 1024 * status_of(f->server->pid, "VmRSS:");

    assert_true(value_of(text, "process_resident_memory_bytes") > 0.5 * resident);
    assert_true(value_of(text, "process_resident_memory_bytes") < 2.0 * resident);
    assert_true(value_of(text, "prilorad_threads") == status_of(f->server->pid, "Threads:"));
    assert_true(value_of(text, "process_start_time_seconds") <= now + 1);
    assert_true(value_of(text, "process_start_time_seconds") > now - 3600);
    assert_true(value_of(text, "process_cpu_seconds_total") > 0);
    assert_true(value_of(text, "process_open_fds") >= 5);
    assert_true(value_of(text, "process_max_fds") >= value_of(text, "process_open_fds"));
    assert_true(value_of(text, "prilorad_database_bytes") > 10000);
    assert_true(value_of(text, "prilorad_http_connections") >= 1);
    assert_true(value_of(text, "prilorad_http_requests_open") >= 1); /* this one */
    free(text);
}

static void wrong_requests_are_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(test_get(f->server, "/metrics?name=x")->status, 400);
    assert_int_equal(test_post(f->server, "/metrics", "{}")->status, 405);
}

/* ---- the dashboard and README ---- */

/* Calls `see` with every expression of the dashboard's panels and with its panel. */
static void each_expression(const json_t *dashboard,
                            void (*see)(const char *expression, const json_t *panel, void *context),
                            void *context)
{
    size_t i, k, n = 0;
    json_t *panel, *target;

    json_array_foreach (json_object_get(dashboard, "panels"), i, panel) {
        json_array_foreach (json_object_get(panel, "targets"), k, target) {
            see(json_string_value(json_object_get(target, "expr")), panel, context);
            n++;
        }
    }
    assert_true(n > 20);
}

static json_t *dashboard_of(void)
{
    json_error_t error;
    json_t *dashboard = json_load_file("api/grafana.json", JSON_REJECT_DUPLICATES, &error);

    if (!dashboard)
        fail_msg("api/grafana.json:%d: %s", error.line, error.text);
    return dashboard;
}

/* Adds the names of metrics in an expression to a set, histograms by their family's name. */
static void collect_names(const char *expression, const json_t *panel, void *context)
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};

    (void)panel;
    assert_non_null(expression);
    for (const char *at = expression; *at;) {
        size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        char name[128];

        if (strncmp(at, "prilorad_", 9) == 0 || strncmp(at, "process_", 8) == 0) {
            snprintf(name, sizeof name, "%.*s", (int)n, at);
            for (size_t i = 0; i < 3; i++) {
                size_t tail = strlen(suffixes[i]);

                if (n > tail && strcmp(name + n - tail, suffixes[i]) == 0)
                    name[n - tail] = '\0';
            }
            json_object_set_new(context, name, json_true());
        }
        at += n ? n : 1;
    }
}

static void the_dashboard_shows_what_is_exported_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    char *text = scrape(f->server);
    json_t *families = read_families(text), *shown = json_object(), *dashboard = dashboard_of();
    const char *name;
    json_t *value;

    each_expression(dashboard, collect_names, shown);
    json_object_foreach (shown, name, value) {
        if (!json_object_get(families, name))
            fail_msg("the dashboard asks for %s, which is not exported", name);
    }
    json_object_foreach (families, name, value) {
        if (!json_object_get(shown, name))
            fail_msg("%s is exported, but the dashboard does not show it", name);
    }
    json_decref(dashboard);
    json_decref(shown);
    json_decref(families);
    free(text);
}

static void check_panel(const char *expression, const json_t *panel, void *context)
{
    json_t *ids = context;
    char id[32];

    assert_non_null(strstr(expression, "instance=~\"$instance\""));
    assert_string_equal(test_text(panel, "datasource.uid"), "${datasource}");
    assert_true(*test_text(panel, "title"));
    assert_true(test_integer(panel, "gridPos.x") + test_integer(panel, "gridPos.w") <= 24);
    snprintf(id, sizeof id, "%lld", (long long)test_integer(panel, "id"));
    if (json_object_get(ids, id))
        assert_ptr_equal(json_object_get(ids, id), panel);
    json_object_set(ids, id, (json_t *)(uintptr_t)panel);
}

static void the_dashboard_is_one_that_grafana_reads(void **state)
{
    json_t *dashboard = dashboard_of(), *ids = json_object();

    (void)state;
    assert_true(test_integer(dashboard, "schemaVersion") >= 39);
    assert_string_equal(test_text(dashboard, "templating.list.0.type"), "datasource");
    assert_string_equal(test_text(dashboard, "templating.list.0.query"), "prometheus");
    assert_true(*test_text(dashboard, "title") && *test_text(dashboard, "uid"));
    each_expression(dashboard, check_panel, ids);
    json_decref(ids);
    json_decref(dashboard);
}

static void readme_names_every_figure(void **state)
{
    struct fixture *f = *state;
    char *text = scrape(f->server);
    size_t size;
    char *readme = test_file("README.md", &size), quoted[140];
    json_t *families = read_families(text), *type;
    const char *name;

    json_object_foreach (families, name, type) {
        snprintf(quoted, sizeof quoted, "`%s`", name);
        if (strncmp(name, "prilorad_", 9) == 0 && !strstr(readme, quoted))
            fail_msg("README.md does not name %s", name);
    }
    json_decref(families);
    free(readme);
    free(text);
}

/* ---- a real Prometheus server ---- */

struct prometheus {
    pid_t pid;
    struct test_server api; /* only its port is used */
    char log[300];
};

/* It writes `address=127.0.0.1:41855` behind "Listening on". */
static int read_port(const char *log)
{
    size_t size;
    char *text = test_file(log, &size), *at = text ? strstr(text, "Listening on") : NULL;
    int port = 0;

    if (at && (at = strstr(at, "address=127.0.0.1:")))
        port = (int)strtol(at + strlen("address=127.0.0.1:"), NULL, 10);
    free(text);
    return port;
}

static void start_prometheus(struct prometheus *p, const struct test_server *server)
{
    char config[400], file[340], data[340];
    const char *words[] = {"prometheus", file, data, "--web.listen-address=127.0.0.1:0", NULL};

    snprintf(config, sizeof config,
             "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
             "scrape_configs:\n"
             "  - job_name: prilorad\n"
             "    authorization: {credentials: a-token}\n"
             "    static_configs: [{targets: ['127.0.0.1:%d']}]\n",
             server->port);
    snprintf(file, sizeof file, "--config.file=%s",
             test_scratch_write("prometheus.yml", config, strlen(config)));
    snprintf(data, sizeof data, "--storage.tsdb.path=%s", test_scratch_path("prometheus"));
    snprintf(p->log, sizeof p->log, "%s", test_scratch_path("prometheus.log"));
    p->pid = start(words, NULL, p->log);
    for (long waited = 0; !p->api.port && waited < PATIENCE_MS; waited += POLL_MS) {
        sleep_ms(POLL_MS);
        p->api.port = read_port(p->log);
    }
    assert_true(p->api.port > 0);
}

/* The answer to an expression, percent-encoded whole. */
static const json_t *query(const struct prometheus *p, const char *expression)
{
    char path[4000] = "/api/v1/query?query=";
    size_t n = strlen(path);
    struct test_reply *reply;

    for (; *expression && n + 4 < sizeof path; expression++)
        n += (size_t)snprintf(path + n, sizeof path - n, "%%%02X", (unsigned char)*expression);
    reply = test_send(&p->api, &(struct test_request){.method = "GET", .path = path});
    if (reply->status != 200 || strcmp(test_text(reply->json, "status"), "success") != 0)
        fail_msg("Prometheus: %s", reply->body);
    return reply->json;
}

/* Waits until the expression has a result. */
static const json_t *wait_for_result(const struct prometheus *p, const char *expression)
{
    for (long waited = 0; waited < PATIENCE_MS; waited += POLL_MS) {
        const json_t *reply = query(p, expression);

        if (json_array_size(test_member(reply, "data.result")) > 0)
            return reply;
        sleep_ms(POLL_MS);
    }
    fail_msg("Prometheus has nothing for %s", expression);
    return NULL;
}

/* As Grafana fills it in. */
static void fill_in(char *out, size_t room, const char *expression)
{
    static const char *const variables[][2] = {{"$job", ".*"},
                                               {"$instance", ".*"},
                                               {"$__rate_interval", "10s"}};
    size_t n = 0;

    while (*expression && n + 8 < room) {
        size_t i = 0;

        while (i < 3 && strncmp(expression, variables[i][0], strlen(variables[i][0])) != 0)
            i++;
        if (i < 3) {
            n += (size_t)snprintf(out + n, room - n, "%s", variables[i][1]);
            expression += strlen(variables[i][0]);
        } else {
            out[n++] = *expression++;
        }
    }
    out[n] = '\0';
}

static void ask(const char *expression, const json_t *panel, void *context)
{
    char filled[2000];

    (void)panel;
    fill_in(filled, sizeof filled, expression);
    wait_for_result(context, filled);
}

static void a_prometheus_server_scrapes_and_answers_the_dashboard(void **state)
{
    struct fixture *f = *state;
    struct prometheus p = {0};
    json_t *dashboard = dashboard_of();
    const json_t *reply;
    int status;

    start_prometheus(&p, f->server);
    reply = wait_for_result(&p, "up{job=\"prilorad\"} == 1");
    assert_string_equal(test_text(reply, "data.result.0.value.1"), "1");
    reply = wait_for_result(&p, "prilorad_jobs_finished_total{status=\"succeeded\"}");
    assert_string_equal(test_text(reply, "data.result.0.value.1"), "1");
    each_expression(dashboard, ask, &p);
    json_decref(dashboard);
    kill(p.pid, SIGTERM);
    assert_int_equal(waitpid(p.pid, &status, 0), p.pid);
}

/* Last, for it starts the daemon anew. */
static void what_had_ended_stays_counted_over_a_restart(void **state)
{
    struct fixture *f = *state;
    char *text;

    test_server_stop(f->server);
    test_server_start(f->server);
    text = scrape(f->server);
    assert_true(value_of(text, "prilorad_jobs_finished_total{status=\"succeeded\"}") == 1);
    assert_true(value_of(text, "prilorad_job_duration_seconds_count") == 0);
    assert_true(value_of(text, "prilorad_tokens_trained_total") == 0);
    free(text);
}

/* ---- the daemon and its one job ---- */

static int open_group(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char json[600], *text = test_sentences(N_ROWS, 1), *valid = test_sentences(8, 7);
    const json_t *job;

    test_scratch_open(state);
    f->server = test_server_new(NULL);
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": %d, \"batch_size\": %d, \"max_length\": 16}}}}",
             test_upload(f->server, "a.jsonl", text), test_upload(f->server, "b.jsonl", valid),
             EPOCHS, BATCH);
    free(text);
    free(valid);
    text = NULL;
    snprintf(f->job, sizeof f->job, "%s", test_create_job(f->server, json));
    job = test_wait_job(f->server, f->job, "succeeded");
    f->tokens = test_integer(job, "trained_tokens");
    *state = f;
    if (strcmp(test_text(job, "status"), "succeeded") != 0 || f->tokens <= 0)
        return -1;
    do { /* the job is seen to have ended a moment before its worker has counted it and is idle */
        free(text);
        text = scrape(f->server);
        sleep_ms(10);
    } while (value_of(text, "prilorad_job_duration_seconds_count") < 1 ||
             value_of(text, "prilorad_workers_busy") > 0);
    free(text);
    return 0;
}

static int close_group(void **state)
{
    struct fixture *f = *state;

    test_server_free(f->server);
    free(f);
    return test_scratch_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finished_job_is_counted),
        cmocka_unit_test(every_line_is_of_the_format),
        cmocka_unit_test(promtool_has_no_complaints),
        cmocka_unit_test(requests_are_counted_by_route_and_not_by_path),
        cmocka_unit_test(bytes_are_counted_both_ways),
        cmocka_unit_test(the_process_is_the_one_that_runs),
        cmocka_unit_test(wrong_requests_are_refused),
        cmocka_unit_test(the_dashboard_shows_what_is_exported_and_nothing_else),
        cmocka_unit_test(the_dashboard_is_one_that_grafana_reads),
        cmocka_unit_test(readme_names_every_figure),
        cmocka_unit_test(a_prometheus_server_scrapes_and_answers_the_dashboard),
        cmocka_unit_test(what_had_ended_stays_counted_over_a_restart),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
