/* pull.c - base models that the daemon fetches from a hub; without it: pull_here.c. */
#include "api/cli/pull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/interrupt.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/progress.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

#define LOOK_EVERY_S 0.5

int pull_status(const char *code)
{
    static const struct {
        const char *code;
        int status;
    } rows[] = {
        {"not_found", EXIT_NOT_FOUND},
        {"unauthorized", EXIT_NOT_ALLOWED},
        {"forbidden", EXIT_NOT_ALLOWED},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].code, code) == 0)
            return rows[i].status;
    }
    return EXIT_FAILED;
}

static bool is_over(const char *status)
{
    return strcmp(status, "running") != 0 && strcmp(status, "queued") != 0;
}

/* The file that is on its way. */
static const char *current_file(const json_t *pull)
{
    const json_t *file;
    const char *name = json_text(pull, "model");
    size_t i;

    json_array_foreach ((json_t *)json_at(pull, "files"), i, file) {
        if (json_whole(file, "bytes") > 0)
            name = json_text(file, "name");
        if (json_whole(file, "bytes") < json_whole(file, "total_bytes"))
            break;
    }
    return name;
}

static int finish(const struct call *call, const struct http_reply *reply)
{
    const char *status = json_text(reply->json, "status");
    const char *message = json_text(reply->json, "error.message");

    progress_end();
    if (!show_json(call, reply)) {
        text_say("%s: %s, %s", json_text(reply->json, "model"), status,
                 json_is_true(json_at(reply->json, "was_there"))
                     ? "it was there already"
                     : text_bytes(json_whole(reply->json, "bytes")));
    }
    if (strcmp(status, "succeeded") == 0)
        return EXIT_DONE;
    return fail(pull_status(json_text(reply->json, "error.code")), "%s",
                *message ? message : status);
}

/* The reply is the pull as it is now, and as it was in the end. */
static int follow(const struct call *call, struct http_reply *reply)
{
    char *id = must(strdup(json_text(reply->json, "id")));
    int rc = EXIT_DONE;

    progress_begin(stderr);
    while (rc == EXIT_DONE && !is_over(json_text(reply->json, "status")) && !interrupted()) {
        progress_bytes(current_file(reply->json), json_whole(reply->json, "bytes"),
                       json_whole(reply->json, "total_bytes"));
        interrupt_wait(LOOK_EVERY_S);
        if (interrupted())
            break;
        http_reply_clear(reply);
        rc = get(call, reply, "/v1/pulls/%s", id);
    }
    progress_end();
    if (interrupted()) {
        note("the download goes on; stop it with: prilora pulls cancel %s", id);
        rc = EXIT_INTERRUPTED;
    } else if (rc == EXIT_DONE) {
        rc = finish(call, reply);
    }
    free(id);
    return rc;
}

int run_pull(struct call *call)
{
    struct http_reply reply = {0};
    const char *token = getenv("HF_TOKEN"), *revision = call_option(call, "revision");
    const char *dir = call_option(call, "to");
    json_t *body;
    int rc;

    if (dir && call_has(call, "detach"))
        return fail(EXIT_USAGE,
                    "pull: --to or --detach, not both: without a daemon nobody goes on");
    if (dir)
        return pull_here(call, dir, call->args[0]);
    body = json_pack("{s:s}", "model", call->args[0]);
    if (!body)
        return fail(EXIT_USAGE, "the name is not UTF-8");
    if (revision)
        json_object_set_new(body, "revision", json_string(revision));
    if (token && *token)
        json_object_set_new(body, "token", json_string(token));
    if (call_has(call, "force"))
        json_object_set_new(body, "force", json_true());
    interrupt_catch();
    rc = post(call, &reply, "/v1/models", NULL, body);
    if (rc == EXIT_DONE && call_has(call, "detach")) {
        if (!show_json(call, &reply))
            text_say("%s", json_text(reply.json, "id"));
    } else if (rc == EXIT_DONE) {
        rc = follow(call, &reply);
    }
    json_decref(body);
    http_reply_clear(&reply);
    return rc;
}

int run_pulls(struct call *call)
{
    static const struct column columns[] = {
        {"ID", COLUMN_LEFT},  {"STATUS", COLUMN_LEFT},   {"BYTES", COLUMN_RIGHT},
        {"OF", COLUMN_RIGHT}, {"MODEL", COLUMN_SHRINKS},
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    struct http_reply reply = {0};
    const json_t *pull;
    size_t i;
    int rc = get(call, &reply, "/v1/pulls", NULL);

    json_array_foreach ((json_t *)json_at(reply.json, "data"), i, pull) {
        const char *status = json_text(pull, "status");

        table_cell(table, json_text(pull, "id"));
        table_cell_coloured(table, status, terminal_status_colour(status));
        table_cell(table, text_bytes(json_whole(pull, "bytes")));
        table_cell(table, text_bytes(json_whole(pull, "total_bytes")));
        table_cell(table, json_text(pull, "model"));
    }
    if (rc == EXIT_DONE && !show_json(call, &reply))
        table_print(table);
    table_free(table);
    http_reply_clear(&reply);
    return rc;
}

int run_pulls_cancel(struct call *call)
{
    int rc = EXIT_DONE;

    for (size_t i = 0; i < call->n_args; i++) {
        struct http_reply reply = {0};
        char *id;
        int one = resolve(call, THING_PULL, call->args[i], &id);

        if (one == EXIT_DONE)
            one = post(call, &reply, "/v1/pulls/%s/cancel", id, NULL);
        if (one == EXIT_DONE && !show_json(call, &reply))
            text_say("%s: %s", id, json_text(reply.json, "status"));
        rc = rc == EXIT_DONE ? one : rc;
        http_reply_clear(&reply);
        free(id);
    }
    return rc;
}
