/* events.c - what happened to a job, its checkpoints, and its numbers step by step. */
#include "api/cli/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/jobs.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

#define JOB "/v1/fine_tuning/jobs/%s"

void event_print(const json_t *event)
{
    const char *level = json_text(event, "level");
    enum colour colour = strcmp(level, "error") == 0  ? COLOUR_BAD
                         : strcmp(level, "warn") == 0 ? COLOUR_STRONG
                                                      : COLOUR_NONE;

    printf("%s%s%s  ", terminal_colour(stdout, COLOUR_FAINT),
           text_time(json_whole(event, "created_at")), terminal_colour(stdout, COLOUR_NONE));
    if (colour != COLOUR_NONE)
        printf("%s%s: ", terminal_colour(stdout, colour), level);
    text_put(stdout, json_text(event, "message"));
    if (colour != COLOUR_NONE)
        fputs(terminal_colour(stdout, COLOUR_NONE), stdout);
    putchar('\n');
}

/* Resolves the job and fetches a list below it. */
static int fetch(struct call *call, const char *path_format, size_t standard, json_t **list)
{
    char *id, *path = NULL;
    int rc = resolve(call, THING_JOB, call->args[0], &id);

    *list = NULL;
    if (rc == EXIT_DONE) {
        path = http_path(path_format, id);
        rc = list_fetch_asked(call, path, standard, 1000, list);
    }
    free(path);
    free(id);
    return rc;
}

int run_events(struct call *call)
{
    json_t *list, *data;
    int rc = fetch(call, JOB "/events", 20, &list);

    if (rc == EXIT_DONE && !list_show_json(call, list)) {
        data = json_object_get(list, "data"); /* newest first: read from its end */
        for (size_t i = json_array_size(data); i > 0; i--)
            event_print(json_array_get(data, i - 1));
    }
    json_decref(list);
    return rc;
}

int run_checkpoints(struct call *call)
{
    static const struct column columns[] = {
        {"ID", COLUMN_LEFT},          {"STEP", COLUMN_RIGHT},      {"CREATED", COLUMN_LEFT},
        {"BEST SO FAR", COLUMN_LEFT}, {"METRICS", COLUMN_SHRINKS},
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_t *list, *checkpoint;
    size_t i;
    int rc = fetch(call, JOB "/checkpoints", 10, &list);

    json_array_foreach (json_object_get(list, "data"), i, checkpoint) {
        char *metrics = job_metrics(json_at(checkpoint, "metrics"));
        char *step = format("%lld", (long long)json_whole(checkpoint, "step_number"));

        table_cell(table, json_text(checkpoint, "id"));
        table_cell(table, step);
        table_cell(table, text_minute(json_whole(checkpoint, "created_at")));
        table_cell(table, json_is_true(json_at(checkpoint, "is_best")) ? "yes" : "");
        table_cell(table, metrics);
        free(step);
        free(metrics);
    }
    if (rc == EXIT_DONE && !list_show_json(call, list))
        table_print(table);
    table_free(table);
    json_decref(list);
    return rc;
}

static void metric_cell(struct table *table, const json_t *row, const char *name)
{
    double value;

    table_cell(table, json_number(row, name, &value) ? text_real(value) : "");
}

/* The list runs from the first step on: without --all its last ones are what is wanted. */
static void keep_last(json_t *list, int64_t limit)
{
    json_t *data = json_object_get(list, "data");
    json_t *last = must(json_array());

    for (size_t n = json_array_size(data), i = n > (size_t)limit ? n - (size_t)limit : 0; i < n;
         i++)
        json_array_append(last, json_array_get(data, i));
    json_object_set_new(list, "data", last);
}

int run_metrics(struct call *call)
{
    static const struct column columns[] = {
        {"STEP", COLUMN_RIGHT},          {"EPOCH", COLUMN_RIGHT},     {"TRAIN LOSS", COLUMN_RIGHT},
        {"LEARNING RATE", COLUMN_RIGHT}, {"GRAD NORM", COLUMN_RIGHT}, {"TOKENS/S", COLUMN_RIGHT},
        {"EVALUATION", COLUMN_SHRINKS},
    };
    static const char *const names[] = {"step",          "epoch",     "train_loss",
                                        "learning_rate", "grad_norm", "tokens_per_second"};
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_t *list = NULL, *row;
    char *id = NULL, *path = NULL;
    int64_t limit;
    size_t i;
    int rc = call_integer(call, "limit", 1, 1000000, 20, &limit);

    if (rc == EXIT_DONE)
        rc = resolve(call, THING_JOB, call->args[0], &id);
    if (rc == EXIT_DONE) {
        path = http_path(JOB "/metrics", id);
        rc = list_fetch(call, path, 0, 10000, &list);
    }
    if (rc == EXIT_DONE && !call_has(call, "all"))
        keep_last(list, limit);
    json_array_foreach (json_object_get(list, "data"), i, row) {
        json_t *evaluation = must(json_deep_copy(row));
        char *metrics;

        for (size_t j = 0; j < sizeof names / sizeof *names; j++) {
            metric_cell(table, row, names[j]);
            json_object_del(evaluation, names[j]);
        }
        json_object_del(evaluation, "created_at");
        metrics = job_metrics(evaluation);
        table_cell(table, metrics);
        free(metrics);
        json_decref(evaluation);
    }
    if (rc == EXIT_DONE && !list_show_json(call, list))
        table_print(table);
    table_free(table);
    json_decref(list);
    free(path);
    free(id);
    return rc;
}
