/* jobs.c - list, show, and what is done to a job: cancel, pause, resume, priority, delete. */
#include "api/cli/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

#define JOBS          "/v1/fine_tuning/jobs"
#define JOB           JOBS "/%s"
#define JOBS_PER_PAGE 100

bool job_is_over(const char *status)
{
    return strcmp(status, "succeeded") == 0 || strcmp(status, "failed") == 0 ||
           strcmp(status, "cancelled") == 0;
}

/* ---- metrics ---- */

static bool is_metric(const char *name)
{
    static const char *const others[] = {"step", "epoch", "train_loss", "is_best"};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(name, others[i]) == 0)
            return false;
    }
    return true;
}

const char *job_metric(const json_t *job, const json_t *values, double *value)
{
    const char *chosen = json_text(job, "task.metric"), *name;
    json_t *member;

    if (json_number(values, chosen, value))
        return chosen;
    json_object_foreach ((json_t *)values, name, member) {
        if (is_metric(name) && strcmp(name, "valid_loss") != 0 && json_number(values, name, value))
            return name;
    }
    return json_number(values, "valid_loss", value) ? "valid_loss" : NULL;
}

char *job_metrics(const json_t *values)
{
    char *text = must(strdup("")), *longer;
    const char *name;
    json_t *member;

    json_object_foreach ((json_t *)values, name, member) {
        if (!is_metric(name) || !json_is_number(member))
            continue;
        longer = format("%s%s%s %s", text, *text ? ", " : "", name,
                        text_real(json_number_value(member)));
        free(text);
        text = longer;
    }
    return text;
}

/* ---- list ---- */

/* Adds "name=value", or "name[key]=value", to a path's query; takes the path. */
static char *append(char *path, const char *name, const char *key, const char *value)
{
    char *encoded_key = http_path("%s", key ? key : ""), *encoded = http_path("%s", value);
    char *longer = format("%s%c%s%s%s%s=%s", path, strchr(path, '?') ? '&' : '?', name,
                          key ? "%5B" : "", encoded_key, key ? "%5D" : "", encoded);

    free(encoded_key);
    free(encoded);
    free(path);
    return longer;
}

static int list_path(const struct call *call, char **out)
{
    char *path = must(strdup(JOBS));
    int rc = EXIT_DONE;

    if (call_has(call, "status"))
        path = append(path, "status", NULL, call_option(call, "status"));
    for (size_t i = 0; i < call->n_given && rc == EXIT_DONE; i++) {
        const char *pair = call->given[i].value, *equals;

        if (strcmp(call->given[i].option->name, "metadata") != 0)
            continue;
        equals = strchr(pair, '=');
        if (equals) {
            char *key = format("%.*s", (int)(equals - pair), pair);

            path = append(path, "metadata", key, equals + 1);
            free(key);
        } else {
            rc = fail(EXIT_USAGE, "--metadata: \"%s\", but must be NAME=TEXT", pair);
        }
    }
    *out = path;
    return rc;
}

static char *progress_of(const json_t *job)
{
    const char *status = json_text(job, "status");
    double percent = 0, value;
    const char *metric = job_metric(job, json_at(job, "result.metrics"), &value);

    if (metric)
        return format("%s %s", metric, text_real(value));
    if (strcmp(status, "succeeded") == 0 || !json_number(job, "progress.percent", &percent))
        return must(strdup(""));
    return json_whole(job, "progress.step") > 0 ? format("%.0f %%", percent) : must(strdup(""));
}

int run_list(struct call *call)
{
    static const struct column columns[] = {
        {"ID", COLUMN_LEFT},      {"STATUS", COLUMN_SHRINKS}, {"PROGRESS", COLUMN_SHRINKS},
        {"CREATED", COLUMN_LEFT}, {"MODEL", COLUMN_OPTIONAL}, {"FINE-TUNED MODEL", COLUMN_SHRINKS},
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_t *list = NULL, *job;
    char *path;
    size_t i;
    int rc = list_path(call, &path);

    if (rc == EXIT_DONE)
        rc = list_fetch_asked(call, path, 20, JOBS_PER_PAGE, &list);
    free(path);
    json_array_foreach (json_object_get(list, "data"), i, job) {
        const char *status = json_text(job, "status"), *made = json_text(job, "fine_tuned_model");
        char *progress = progress_of(job);

        table_cell(table, json_text(job, "id"));
        table_cell_coloured(table, status, terminal_status_colour(status));
        table_cell(table, progress);
        table_cell(table, text_minute(json_whole(job, "created_at")));
        table_cell(table, json_text(job, "model"));
        table_cell(table, *made ? made : "-");
        free(progress);
    }
    if (rc == EXIT_DONE && !list_show_json(call, list)) {
        table_print(table);
        if (json_is_true(json_at(list, "has_more")) && terminal_is(stdout))
            note("there are more: --limit N or --all");
    }
    table_free(table);
    json_decref(list);
    return rc;
}

/* ---- show ---- */

static void show_times(struct table *t, const json_t *job)
{
    table_field(t, "created", "%s", text_time(json_whole(job, "created_at")));
    if (json_whole(job, "started_at"))
        table_field(t, "started", "%s", text_time(json_whole(job, "started_at")));
    if (json_whole(job, "finished_at"))
        table_field(t, "finished", "%s", text_time(json_whole(job, "finished_at")));
    if (json_whole(job, "estimated_finish"))
        table_field(t, "will finish", "%s", text_time(json_whole(job, "estimated_finish")));
}

static void show_answering(struct table *t, const json_t *job)
{
    static const char *const names[] = {"doc_stride", "max_answer_length"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = format("task.%s", names[i]), *shown = json_shown(json_at(job, path));

        table_field(t, names[i], "%s", shown);
        free(path);
        free(shown);
    }
}

static void show_data(struct table *t, const json_t *job)
{
    static const char *const names[] = {"model", "suffix", "training_file", "validation_file"};
    const json_t *metadata = json_at(job, "metadata");
    const char *task = json_text(job, "task.type"), *glue = json_text(job, "task.name"), *name;
    json_t *value;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (*json_text(job, names[i]))
            table_field(t, names[i], "%s", json_text(job, names[i]));
    }
    if (*task && strcmp(task, "auto") != 0)
        table_field(t, "task", "%s%s%s, judged by %s", glue, *glue ? ": " : "", task,
                    json_text(job, "task.metric"));
    if (*json_text(job, "task.mismatched_file"))
        table_field(t, "mismatched_file", "%s", json_text(job, "task.mismatched_file"));
    if (strcmp(task, "question_answering") == 0)
        show_answering(t, job);
    table_field(t, "seed", "%lld", (long long)json_whole(job, "seed"));
    table_field(t, "priority", "%lld", (long long)json_whole(job, "priority"));
    json_object_foreach ((json_t *)metadata, name, value) {
        char *row = format("metadata.%s", name);

        table_field(t, row, "%s", json_string_value(value));
        free(row);
    }
}

static void show_settings(struct table *t, const json_t *job)
{
    const char *type = json_text(job, "method.type"), *name;
    char *path = format("method.%s.hyperparameters", type);
    const json_t *settings = json_at(job, path);
    json_t *value;

    table_field(t, "method", "%s", type);
    json_object_foreach ((json_t *)settings, name, value) {
        char *row = format("  %s", name), *shown = json_shown(value);

        table_field(t, row, "%s", shown);
        free(row);
        free(shown);
    }
    free(path);
}

static void show_progress(struct table *t, const json_t *job)
{
    double loss, speed, left;
    const char *status = json_text(job, "status");

    if (json_whole(job, "progress.step") == 0)
        return;
    table_field(t, "step", "%lld of %lld", (long long)json_whole(job, "progress.step"),
                (long long)json_whole(job, "progress.total_steps"));
    if (json_number(job, "progress.loss", &loss))
        table_field(t, "loss", "%s", text_real(loss));
    if (json_number(job, "progress.tokens_per_second", &speed))
        table_field(t, "tokens/s", "%s", text_count(speed));
    if (strcmp(status, "running") == 0 && json_number(job, "progress.seconds_left", &left))
        table_field(t, "time left", "%s", text_clock(left));
    if (json_whole(job, "progress.peak_memory_bytes"))
        table_field(t, "memory", "%s", text_bytes(json_whole(job, "progress.peak_memory_bytes")));
}

static void show_result(struct table *t, const json_t *job)
{
    const json_t *result = json_at(job, "result");
    char *metrics = job_metrics(json_at(result, "metrics"));

    if (*metrics)
        table_field(t, "result", "%s, as after step %lld", metrics,
                    (long long)json_whole(result, "best_step"));
    if (json_at(result, "adapter_bytes"))
        table_field(t, "adapter", "%s, %lld of %lld entries of A are not zero",
                    text_bytes(json_whole(result, "adapter_bytes")),
                    (long long)json_whole(result, "n_nonzero"),
                    (long long)json_whole(result, "n_prunable"));
    if (*json_text(job, "fine_tuned_model"))
        table_field(t, "fine-tuned", "%s", json_text(job, "fine_tuned_model"));
    if (*json_text(job, "error.message"))
        table_field(t, "error", "%s", json_text(job, "error.message"));
    free(metrics);
}

static void show_job(const json_t *job)
{
    struct table *t = table_new_fields();
    const char *status = json_text(job, "status");

    table_field(t, "id", "%s", json_text(job, "id"));
    table_cell_coloured(t, "status", COLOUR_FAINT);
    table_cell_coloured(t, status, terminal_status_colour(status));
    show_times(t, job);
    show_data(t, job);
    show_progress(t, job);
    show_result(t, job);
    if (json_at(job, "forecast.memory_bytes"))
        table_field(t, "forecast", "up to %s of memory, %s parameters to train",
                    text_bytes(json_whole(job, "forecast.memory_bytes")),
                    text_count((double)json_whole(job, "forecast.n_trainable")));
    show_settings(t, job);
    table_print(t);
    table_free(t);
}

int run_show(struct call *call)
{
    struct http_reply reply = {0};
    char *id;
    int rc = resolve(call, THING_JOB, call->args[0], &id);

    if (rc == EXIT_DONE)
        rc = get(call, &reply, JOB, id);
    if (rc == EXIT_DONE && !show_json(call, &reply))
        show_job(reply.json);
    http_reply_clear(&reply);
    free(id);
    return rc;
}

/* ---- what is done to jobs ---- */

/* What became of a job that something was done to; what it still has to do comes first. */
static const char *outcome(const json_t *job, const char *done)
{
    const char *status = json_text(job, "status");

    if (!*status)
        return done;
    if (!job_is_over(status) && json_is_true(json_at(job, "cancel_requested")))
        return "will be cancelled";
    if (!job_is_over(status) && strcmp(status, "paused") != 0 &&
        json_is_true(json_at(job, "pause_requested")))
        return "will be paused";
    return status;
}

/* The same request for every job named; the first that fails does not stop the others. */
static int for_each_job(struct call *call, const char *method, const char *path_format,
                        const char *done)
{
    int rc = EXIT_DONE;

    for (size_t i = 0; i < call->n_args; i++) {
        struct http_reply reply = {0};
        char *id, *path = NULL;
        int one = resolve(call, THING_JOB, call->args[i], &id);

        if (one == EXIT_DONE) {
            path = http_path(path_format, id);
            one = request(call, &(struct http_request){.method = method, .path = path}, &reply);
        }
        if (one == EXIT_DONE && !show_json(call, &reply))
            text_say("%s: %s", id, outcome(reply.json, done));
        rc = rc == EXIT_DONE ? one : rc;
        http_reply_clear(&reply);
        free(path);
        free(id);
    }
    return rc;
}

int run_cancel(struct call *call)
{
    return for_each_job(call, "POST", JOB "/cancel", "cancelled");
}

int run_pause(struct call *call)
{
    return for_each_job(call, "POST", JOB "/pause", "paused");
}

int run_resume(struct call *call)
{
    return for_each_job(call, "POST", JOB "/resume", "queued");
}

int run_delete(struct call *call)
{
    return for_each_job(call, "DELETE", JOB, "deleted");
}

int run_priority(struct call *call)
{
    struct http_reply reply = {0};
    int64_t priority;
    json_t *body = NULL;
    char *id = NULL;
    int rc = EXIT_DONE;

    if (!text_integer(call->args[1], -100, 100, &priority))
        rc = fail(EXIT_USAGE, "priority: \"%s\", but must be an integer from -100 to 100",
                  call->args[1]);
    if (rc == EXIT_DONE)
        rc = resolve(call, THING_JOB, call->args[0], &id);
    if (rc == EXIT_DONE) {
        body = must(json_pack("{s:I}", "priority", (json_int_t)priority));
        rc = post(call, &reply, JOB, id, body);
    }
    if (rc == EXIT_DONE && !show_json(call, &reply))
        text_say("%s: priority %lld", id, (long long)json_whole(reply.json, "priority"));
    http_reply_clear(&reply);
    json_decref(body);
    free(id);
    return rc;
}
