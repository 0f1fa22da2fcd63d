/*
 * experiment_submit.c - a grid out of a file, options, or both. Data that are here are uploaded,
 * each file once, however many tasks name it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/experiments.h"
#include "api/cli/files.h"
#include "api/cli/http.h"
#include "api/cli/interrupt.h"
#include "api/cli/json.h"
#include "api/cli/terminal.h"
#include "api/cli/text.h"
#include "api/cli/value.h"

/* ---- the grid ---- */

/* A member that is a list or an object, made where it is not there. */
static json_t *member(json_t *object, const char *name, json_t *(*make)(void))
{
    json_t *there = json_object_get(object, name);

    if (there)
        return there;
    there = must(make());
    json_object_set_new(object, name, there);
    return there;
}

/* "mine=lora", or only "lora". */
static int add_method(json_t *grid, const char *option)
{
    const char *equals = strchr(option, '=');
    char *name = equals ? format("%.*s", (int)(equals - option), option) : must(strdup(option));
    json_t *method = must(json_pack("{s:{}}", "method"));
    int rc = value_set_text(method, "name", name);

    if (rc == EXIT_DONE)
        rc =
            value_set_text(json_object_get(method, "method"), "type", equals ? equals + 1 : option);
    json_array_append_new(member(grid, "methods", json_array), method);
    free(name);
    return rc;
}

/* "name=train.tsv,valid.tsv"; the files are where the user is. */
static int add_task(const struct call *call, json_t *grid, const char *option)
{
    static const char *const members[] = {"training_file", "validation_file"};
    const char *equals = strchr(option, '=');
    json_t *task;
    char *name;
    int rc;

    if (!equals || equals == option || !equals[1])
        return fail(EXIT_USAGE, "--task: \"%s\", but must be NAME=DATA or NAME=DATA,DATA", option);
    task = must(json_object());
    name = format("%.*s", (int)(equals - option), option);
    rc = value_set_text(task, "name", name);
    for (size_t i = 0; i < 2 && rc == EXIT_DONE && equals; i++) {
        size_t n = strcspn(equals + 1, ",");
        char *path = format("%.*s", (int)n, equals + 1), *id;

        rc = files_data(call, path, &id);
        if (rc == EXIT_DONE)
            rc = value_set_text(task, members[i], id);
        equals = equals[n + 1] ? equals + n + 1 : NULL;
        free(id);
        free(path);
    }
    json_array_append_new(member(grid, "tasks", json_array), task);
    free(name);
    return rc;
}

/* Of all tasks, or with a method's name and a dot before it of that method. */
static int apply_set(json_t *grid, const char *pair)
{
    const char *equals = strchr(pair, '=');
    const char *dot = equals ? memchr(pair, '.', (size_t)(equals - pair)) : NULL;
    const char *first = dot ? dot + 1 : pair;
    json_t *element, *value = equals && equals > first ? value_parse(equals + 1) : NULL;
    char *name;
    size_t i, n_set = 0;

    if (!value)
        return fail(EXIT_USAGE, "--set: \"%s\", but must be NAME=VALUE or METHOD.NAME=VALUE", pair);
    name = format("%.*s", (int)(equals - first), first);
    json_array_foreach (json_object_get(grid, dot ? "methods" : "tasks"), i, element) {
        const char *own = json_text(element, "name"), *type = json_text(element, "method.type");
        json_t *place = element;

        if (dot && (strlen(own) != (size_t)(dot - pair) || strncmp(own, pair, strlen(own)) != 0))
            continue;
        if (dot)
            place = member(member(element, "method", json_object), type, json_object);
        json_object_set(member(place, "hyperparameters", json_object), name, value);
        n_set++;
    }
    json_decref(value);
    free(name);
    if (n_set)
        return EXIT_DONE;
    return fail(EXIT_USAGE, "--set: \"%s\": the grid has no %s", pair,
                dot ? "such method" : "tasks");
}

static int set_value(const struct call *call, json_t *grid, const char *name)
{
    json_t *value;

    if (!call_has(call, name))
        return EXIT_DONE;
    value = value_parse(call_option(call, name));
    if (!value)
        return fail(EXIT_USAGE, "--%s: \"%s\" is not UTF-8", name, call_option(call, name));
    json_object_set_new(grid, name, value);
    return EXIT_DONE;
}

static int apply_options(const struct call *call, json_t *grid)
{
    static const char *const texts[] = {"model", "name"};
    static const char *const values[] = {"seeds", "priority"};
    int rc = EXIT_DONE;

    for (size_t i = 0; i < 2 && rc == EXIT_DONE; i++) {
        if (call_has(call, texts[i]))
            rc = value_set_text(grid, texts[i], call_option(call, texts[i]));
        if (rc == EXIT_DONE)
            rc = set_value(call, grid, values[i]);
    }
    for (size_t i = 0; i < call->n_given && rc == EXIT_DONE; i++) {
        const char *option = call->given[i].option->name, *value = call->given[i].value;

        if (strcmp(option, "method") == 0)
            rc = add_method(grid, value);
        else if (strcmp(option, "task") == 0)
            rc = add_task(call, grid, value);
        else if (strcmp(option, "metadata") == 0)
            rc = value_set_metadata(grid, value);
    }
    /* when all that they may be of is there */
    for (size_t i = 0; i < call->n_given && rc == EXIT_DONE; i++)
        if (strcmp(call->given[i].option->name, "set") == 0)
            rc = apply_set(grid, call->given[i].value);
    return rc;
}

/* ---- its data ---- */

/* Where a file is that the grid names: in --data, else beside the grid. */
static char *find(const struct call *call, const char *name)
{
    const char *folder = call_option(call, "data"), *grid = call->n_args ? call->args[0] : "";
    const char *slash = strrchr(grid, '/');

    if (name[0] == '/' || (!folder && !slash))
        return must(strdup(name));
    return folder ? format("%s/%s", folder, name)
                  : format("%.*s%s", (int)(slash + 1 - grid), grid, name);
}

/* Uploads what `object` names as `member`, unless it is known: `ids` has the ids by path. */
static int upload(const struct call *call, json_t *object, const char *member, json_t *ids)
{
    const char *name = json_string_value(json_object_get(object, member));
    char *path, *id = NULL;
    int rc = EXIT_DONE;

    if (!name)
        return EXIT_DONE;
    /* an id is one wherever files are */
    path = strncmp(name, "file-", 5) == 0 ? must(strdup(name)) : find(call, name);
    if (!json_object_get(ids, path)) {
        rc = files_data(call, path, &id);
        if (rc == EXIT_DONE)
            json_object_set_new(ids, path, must(json_string(id)));
    }
    if (rc == EXIT_DONE)
        json_object_set(object, member, json_object_get(ids, path));
    free(id);
    free(path);
    return rc;
}

static int upload_all(const struct call *call, json_t *grid)
{
    json_t *ids = must(json_object()), *task;
    size_t i;
    int rc = EXIT_DONE;

    json_array_foreach (json_object_get(grid, "tasks"), i, task) {
        if (rc == EXIT_DONE)
            rc = upload(call, task, "training_file", ids);
        if (rc == EXIT_DONE)
            rc = upload(call, task, "validation_file", ids);
        if (rc == EXIT_DONE) /* MNLI's second validation file */
            rc = upload(call, json_object_get(task, "task"), "mismatched_file", ids);
    }
    json_decref(ids);
    return rc;
}

/* ---- the whole ---- */

static int make_grid(const struct call *call, json_t **out)
{
    int rc = EXIT_DONE;

    *out = NULL;
    if (call->n_args)
        rc = value_read_object(call->args[0], "a grid", out);
    else
        *out = must(json_object());
    if (rc == EXIT_DONE)
        rc = upload_all(call, *out);
    if (rc == EXIT_DONE)
        rc = apply_options(call, *out);
    return rc;
}

static void tell_submitted(const struct call *call, const struct http_reply *reply)
{
    const char *id = json_text(reply->json, "id");

    if (show_json(call, reply))
        return;
    text_say("%s", id);
    fflush(stdout);
    if (terminal_is(stderr) && !call_has(call, "watch"))
        note("%lld jobs are queued. Follow them with: prilora experiment watch %s",
             (long long)json_whole(reply->json, "n_cells"), id);
}

int run_experiment_submit(struct call *call)
{
    struct http_reply reply = {0};
    json_t *grid;
    char key[33];
    int rc;

    interrupt_catch();
    rc = make_grid(call, &grid);
    files_random_key(key);
    if (rc == EXIT_DONE)
        rc = request(
            call,
            &(struct http_request){.method = "POST", .path = EXPERIMENTS, .body = grid, .key = key},
            &reply);
    if (rc == EXIT_DONE)
        tell_submitted(call, &reply);
    if (rc == EXIT_DONE && call_has(call, "watch"))
        rc = experiment_watch(call, json_text(reply.json, "id"), 0);
    http_reply_clear(&reply);
    json_decref(grid);
    return rc;
}
