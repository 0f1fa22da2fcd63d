/* models.c - models: base models and finished adapters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

int run_models(struct call *call)
{
    static const struct column columns[] = {
        {"ID", COLUMN_SHRINKS},   {"KIND", COLUMN_LEFT},     {"CREATED", COLUMN_LEFT},
        {"JOB", COLUMN_OPTIONAL}, {"BASE", COLUMN_OPTIONAL},
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    struct http_reply reply = {0};
    const json_t *model;
    size_t i;
    int rc = get(call, &reply, "/v1/models", NULL);

    json_array_foreach ((json_t *)json_at(reply.json, "data"), i, model) {
        const char *base = json_text(model, "base_model");

        table_cell(table, json_text(model, "id"));
        table_cell(table, *base ? "adapter" : "base");
        table_cell(table, text_minute(json_whole(model, "created")));
        table_cell(table, *base ? json_text(model, "fine_tuning_job_id") : "-");
        table_cell(table, *base ? base : "-");
    }
    if (rc == EXIT_DONE && !show_json(call, &reply))
        table_print(table);
    table_free(table);
    http_reply_clear(&reply);
    return rc;
}

int run_models_show(struct call *call)
{
    struct http_reply reply = {0};
    struct table *t = table_new_fields();
    const char *name;
    json_t *value;
    char *id;
    int rc = resolve(call, THING_MODEL, call->args[0], &id);

    if (rc == EXIT_DONE)
        rc = get(call, &reply, "/v1/models/%s", id);
    if (rc == EXIT_DONE && !show_json(call, &reply)) {
        json_object_foreach (reply.json, name, value) {
            char *shown = strcmp(name, "created") == 0
                              ? must(strdup(text_time(json_whole(reply.json, name))))
                              : json_shown(value);

            if (strcmp(name, "object") != 0)
                table_field(t, name, "%s", shown);
            free(shown);
        }
        table_print(t);
    }
    table_free(t);
    http_reply_clear(&reply);
    free(id);
    return rc;
}

int run_models_delete(struct call *call)
{
    return delete_each(call, THING_MODEL, "/v1/models/%s", "deleted");
}
