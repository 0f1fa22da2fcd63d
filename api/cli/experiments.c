/* experiments.c - grids of jobs: list, show, results, and what is done to one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/experiments.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

#define EXPERIMENTS_PER_PAGE 100

/* "12 of 50 jobs" that are over. */
static char *jobs_of(const json_t *e)
{
    int64_t over = json_whole(e, "jobs.succeeded") + json_whole(e, "jobs.failed") +
                   json_whole(e, "jobs.cancelled");

    return format("%lld of %lld", (long long)over, (long long)json_whole(e, "n_cells"));
}

int run_experiments(struct call *call)
{
    static const struct column columns[] = {
        {"ID", COLUMN_LEFT},      {"STATUS", COLUMN_SHRINKS}, {"JOBS", COLUMN_LEFT},
        {"CREATED", COLUMN_LEFT}, {"MODEL", COLUMN_OPTIONAL}, {"NAME", COLUMN_SHRINKS},
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_t *list, *e;
    size_t i;
    int rc = list_fetch_asked(call, EXPERIMENTS, 20, EXPERIMENTS_PER_PAGE, &list);

    json_array_foreach (json_object_get(list, "data"), i, e) {
        const char *status = json_text(e, "status"), *name = json_text(e, "name");
        char *jobs = jobs_of(e);

        table_cell(table, json_text(e, "id"));
        table_cell_coloured(table, status, terminal_status_colour(status));
        table_cell(table, jobs);
        table_cell(table, text_minute(json_whole(e, "created_at")));
        table_cell(table, json_text(e, "model"));
        table_cell(table, *name ? name : "-");
        free(jobs);
    }
    if (rc == EXIT_DONE && !list_show_json(call, list))
        table_print(table);
    table_free(table);
    json_decref(list);
    return rc;
}

/* ---- one ---- */

static void show_names(struct table *t, const json_t *e, const char *list)
{
    char *text = must(strdup("")), *longer;
    json_t *element;
    size_t i;

    json_array_foreach (json_object_get(e, list), i, element) {
        longer = format("%s%s%s", text, i ? ", " : "", json_text(element, "name"));
        free(text);
        text = longer;
    }
    table_field(t, list, "%s", text);
    free(text);
}

static void show_jobs(struct table *t, const json_t *e)
{
    const char *status;
    json_t *count;

    json_object_foreach (json_object_get(e, "jobs"), status, count) {
        char *row = format("  %s", status);

        if (json_integer_value(count) > 0)
            table_field(t, row, "%lld", (long long)json_integer_value(count));
        free(row);
    }
}

static void show_experiment(const json_t *e)
{
    static const char *const times[] = {"created_at", "started_at", "finished_at",
                                        "estimated_finish"};
    struct table *t = table_new_fields();
    const char *status = json_text(e, "status");

    table_field(t, "id", "%s", json_text(e, "id"));
    table_cell_coloured(t, "status", COLOUR_FAINT);
    table_cell_coloured(t, status, terminal_status_colour(status));
    if (*json_text(e, "name"))
        table_field(t, "name", "%s", json_text(e, "name"));
    table_field(t, "model", "%s", json_text(e, "model"));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (json_whole(e, times[i]))
            table_field(t, times[i], "%s", text_time(json_whole(e, times[i])));
    show_names(t, e, "methods");
    show_names(t, e, "tasks");
    table_field(t, "seeds", "%zu", json_array_size(json_object_get(e, "seeds")));
    table_field(t, "jobs", "%lld", (long long)json_whole(e, "n_cells"));
    show_jobs(t, e);
    table_print(t);
    table_free(t);
}

int run_experiment_show(struct call *call)
{
    struct http_reply reply = {0};
    char *id;
    int rc = resolve(call, THING_EXPERIMENT, call->args[0], &id);

    if (rc == EXIT_DONE)
        rc = get(call, &reply, EXPERIMENT, id);
    if (rc == EXIT_DONE && !show_json(call, &reply))
        show_experiment(reply.json);
    http_reply_clear(&reply);
    free(id);
    return rc;
}

/* Adds "name=value" to a path's query, if there is a value; takes the path. */
static char *append(char *path, const char *name, const char *value)
{
    char *encoded = http_path("%s", value ? value : "");
    char *longer = value ? format("%s%c%s=%s", path, strchr(path, '?') ? '&' : '?', name, encoded)
                         : must(strdup(path));

    free(encoded);
    free(path);
    return longer;
}

int experiment_results(const struct call *call, const char *id)
{
    const char *form = call_option(call, "format");
    struct http_request query = {.method = "GET", .is_text = true};
    struct http_reply reply = {0};
    char *path = http_path(EXPERIMENT "/results", id);
    int rc;

    path = append(path, "format", call->json ? "json" : form ? form : "markdown");
    path = append(path, "metric", call_option(call, "metric"));
    path = append(path, "compare", call_option(call, "compare"));
    query.path = path;
    rc = request(call, &query, &reply);
    if (rc == EXIT_DONE && reply.json)
        text_put_json(stdout, reply.body);
    else if (rc == EXIT_DONE)
        fwrite(reply.body, 1, reply.size, stdout); /* nothing in it that a terminal obeys */
    if (rc == EXIT_DONE && reply.size && reply.body[reply.size - 1] != '\n')
        putchar('\n');
    http_reply_clear(&reply);
    free(path);
    return rc;
}

int run_experiment_results(struct call *call)
{
    char *id;
    int rc = resolve(call, THING_EXPERIMENT, call->args[0], &id);

    if (rc == EXIT_DONE)
        rc = experiment_results(call, id);
    free(id);
    return rc;
}

/* ---- what is done to them ---- */

/* The same request for every one named; the first that fails does not stop the others. */
static int for_each(struct call *call, const char *path_format)
{
    int rc = EXIT_DONE;

    for (size_t i = 0; i < call->n_args; i++) {
        struct http_reply reply = {0};
        char *id, *path = NULL;
        int one = resolve(call, THING_EXPERIMENT, call->args[i], &id);

        if (one == EXIT_DONE) {
            path = http_path(path_format, id);
            one = request(call, &(struct http_request){.method = "POST", .path = path}, &reply);
        }
        if (one == EXIT_DONE && !show_json(call, &reply)) {
            char *jobs = jobs_of(reply.json);

            text_say("%s: %s, %s jobs are over", id, json_text(reply.json, "status"), jobs);
            free(jobs);
        }
        rc = rc == EXIT_DONE ? one : rc;
        http_reply_clear(&reply);
        free(path);
        free(id);
    }
    return rc;
}

int run_experiment_cancel(struct call *call)
{
    return for_each(call, EXPERIMENT "/cancel");
}

int run_experiment_pause(struct call *call)
{
    return for_each(call, EXPERIMENT "/pause");
}

int run_experiment_resume(struct call *call)
{
    return for_each(call, EXPERIMENT "/resume");
}

int run_experiment_retry(struct call *call)
{
    return for_each(call, EXPERIMENT "/retry");
}

int run_experiment_delete(struct call *call)
{
    return delete_each(call, THING_EXPERIMENT, EXPERIMENT, "deleted");
}
