/*
 * submit.c - a job out of options, a file, or both. Data that are here are uploaded; the request
 * has a key, so that one whose answer was lost may be sent again without a second job.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/files.h"
#include "api/cli/http.h"
#include "api/cli/interrupt.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/terminal.h"
#include "api/cli/text.h"
#include "api/cli/value.h"
#include "api/cli/watch.h"

/* ---- the request ---- */

/* The object at a path, made where it is not there; `path` is cut up. */
static json_t *object_at(json_t *object, char *path, char **last)
{
    char *dot;

    while ((dot = strchr(path, '.'))) {
        json_t *member;

        *dot = '\0';
        member = json_object_get(object, path);
        if (!json_is_object(member)) {
            member = must(json_object());
            json_object_set_new(object, path, member);
        }
        object = member;
        path = dot + 1;
    }
    *last = path;
    return object;
}

/* The task as an object, made of what stands there: a string is a type or a name. */
static json_t *task_object(json_t *job)
{
    json_t *task = json_object_get(job, "task"), *object;

    if (json_is_object(task))
        return task;
    object = must(json_object());
    if (json_is_string(task))
        json_object_set(object, "type", task);
    json_object_set_new(job, "task", object);
    return object;
}

static const char *method_type(const json_t *job)
{
    const char *type = json_text(job, "method.type");

    return *type ? type : "prilora";
}

static int apply_set(json_t *job, const char *pair)
{
    const char *equals = strchr(pair, '=');
    char *path, *last;
    json_t *value, *object;

    if (!equals || equals == pair)
        return fail(EXIT_USAGE, "--set: \"%s\", but must be NAME=VALUE", pair);
    value = value_parse(equals + 1);
    if (!value)
        return fail(EXIT_USAGE, "--set: \"%s\" is not UTF-8", pair);
    path = memchr(pair, '.', (size_t)(equals - pair))
               ? format("%.*s", (int)(equals - pair), pair)
               : format("method.%s.hyperparameters.%.*s", method_type(job), (int)(equals - pair),
                        pair);
    if (strncmp(path, "task.", 5) == 0)
        task_object(job);
    object = object_at(job, path, &last);
    json_object_set_new(object, last, value);
    free(path);
    return EXIT_DONE;
}

static int set_integer(const struct call *call, json_t *job, const char *name, int64_t min,
                       int64_t max)
{
    int64_t value;
    int rc = call_integer(call, name, min, max, 0, &value);

    if (rc == EXIT_DONE && call_has(call, name))
        json_object_set_new(job, name, json_integer((json_int_t)value));
    return rc;
}

/* "rte", or JSON of the whole member. */
static int set_task(const struct call *call, json_t *job)
{
    const char *task = call_option(call, "task"), *metric = call_option(call, "metric");

    if (task && task[0] == '{') {
        json_t *object = json_loads(task, 0, NULL);

        if (!object)
            return fail(EXIT_USAGE, "--task: \"%s\" is not JSON", task);
        json_object_set_new(job, "task", object);
    } else if (task && value_set_text(job, "task", task) != EXIT_DONE) {
        return EXIT_USAGE;
    }
    return metric ? value_set_text(task_object(job), "metric", metric) : EXIT_DONE;
}

static int set_preset(const struct call *call, json_t *job)
{
    const char *preset = call_option(call, "preset");
    char *pair = preset ? format("preset=%s", preset) : NULL;
    int rc = pair ? apply_set(job, pair) : EXIT_DONE;

    free(pair);
    return rc;
}

/* --ranks-from alone says where from, and so what. */
static int set_ranks(const struct call *call, json_t *job)
{
    const char *ranks = call_has(call, "ranks") ? call_option(call, "ranks") : "suggest";
    char *pair = format("ranks=%s", ranks);
    int rc = apply_set(job, pair);

    free(pair);
    return rc;
}

static int set_method(const struct call *call, json_t *job)
{
    const char *type = call_option(call, "method");
    json_t *method;

    if (!type && json_object_get(job, "method"))
        return EXIT_DONE;
    method = must(json_object());
    json_object_set_new(job, "method", method);
    return value_set_text(method, "type", type ? type : "prilora");
}

static int apply_options(const struct call *call, json_t *job)
{
    static const char *const texts[] = {"model", "suffix"};
    int rc = set_method(call, job);

    for (size_t i = 0; i < sizeof texts / sizeof *texts && rc == EXIT_DONE; i++) {
        if (call_has(call, texts[i]))
            rc = value_set_text(job, texts[i], call_option(call, texts[i]));
    }
    if (rc == EXIT_DONE)
        rc = set_task(call, job);
    if (rc == EXIT_DONE && (call_has(call, "ranks") || call_has(call, "ranks-from")))
        rc = set_ranks(call, job);
    if (rc == EXIT_DONE)
        rc = set_preset(call, job);
    if (rc == EXIT_DONE)
        rc = set_integer(call, job, "seed", 0, INT32_MAX);
    if (rc == EXIT_DONE)
        rc = set_integer(call, job, "priority", -100, 100);
    for (size_t i = 0; i < call->n_given && rc == EXIT_DONE; i++) {
        const char *name = call->given[i].option->name;

        if (strcmp(name, "set") == 0)
            rc = apply_set(job, call->given[i].value);
        else if (strcmp(name, "metadata") == 0)
            rc = value_set_metadata(job, call->given[i].value);
    }
    return rc;
}

/* Puts the id of DATA (NULL: what stands there already) where the object names it. */
static int set_data(const struct call *call, json_t *object, const char *name, const char *data)
{
    char *id;
    int rc;

    if (!data)
        data = json_string_value(json_object_get(object, name));
    if (!data)
        return EXIT_DONE;
    rc = files_data(call, data, &id);
    if (rc == EXIT_DONE)
        json_object_set_new(object, name, must(json_string(id)));
    free(id);
    return rc;
}

/* The finished job that --ranks-from means. */
static int set_ranks_from(const struct call *call, json_t *job)
{
    char *id;
    int rc;

    if (!call_has(call, "ranks-from"))
        return EXIT_DONE;
    rc = resolve_target(call, call_option(call, "ranks-from"), &id);
    if (rc == EXIT_DONE)
        json_object_set_new(job, "ranks_from", must(json_string(id)));
    free(id);
    return rc;
}

static int make_job(const struct call *call, json_t **out)
{
    const char *path = call_option(call, "from-file");
    int rc = EXIT_DONE;

    *out = NULL;
    if (path)
        rc = value_read_object(path, "a job", out);
    else
        *out = must(json_object());
    if (rc == EXIT_DONE)
        rc = apply_options(call, *out);
    if (rc == EXIT_DONE && !json_object_get(*out, "model"))
        rc = fail(EXIT_USAGE, "submit: which model? (--model; prilora models lists those there "
                              "are)");
    if (rc == EXIT_DONE && call->n_args == 0 && !json_object_get(*out, "training_file"))
        rc = fail(EXIT_USAGE, "submit: no data to train on (usage: prilora submit --model MODEL "
                              "DATA)");
    return rc;
}

static int send_job(const struct call *call, const json_t *job, struct http_reply *out)
{
    char key[33];

    files_random_key(key);
    return request(call,
                   &(struct http_request){
                       .method = "POST", .path = "/v1/fine_tuning/jobs", .body = job, .key = key},
                   out);
}

static void tell_submitted(const struct call *call, const struct http_reply *reply)
{
    const char *id = json_text(reply->json, "id");

    if (show_json(call, reply))
        return;
    text_say("%s", id);
    fflush(stdout);
    if (terminal_is(stderr) && !call_has(call, "watch"))
        note("queued; it will need up to %s of memory. Follow it with: prilora watch %s",
             text_bytes(json_whole(reply->json, "forecast.memory_bytes")), id);
}

int run_submit(struct call *call)
{
    struct http_reply reply = {0};
    json_t *job;
    int rc;

    interrupt_catch();
    rc = make_job(call, &job);
    if (rc == EXIT_DONE)
        rc = set_ranks_from(call, job);
    if (rc == EXIT_DONE)
        rc = set_data(call, job, "training_file", call->n_args ? call->args[0] : NULL);
    if (rc == EXIT_DONE)
        rc = set_data(call, job, "validation_file", call_option(call, "valid"));
    if (rc == EXIT_DONE && (call_has(call, "mismatched") || json_at(job, "task.mismatched_file")))
        rc = set_data(call, task_object(job), "mismatched_file", call_option(call, "mismatched"));
    if (rc == EXIT_DONE)
        rc = send_job(call, job, &reply);
    if (rc == EXIT_DONE)
        tell_submitted(call, &reply);
    if (rc == EXIT_DONE && call_has(call, "watch"))
        rc = watch_job(call, json_text(reply.json, "id"), 0, true);
    http_reply_clear(&reply);
    json_decref(job);
    return rc;
}
