/*
 * job_decode.c - see job_codec.h. The settings of the training itself (method, hyperparameters,
 * task, seed) are the library's to check: they are handed to prilora_spec_parse as they came.
 */
#include "api/job_codec.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "api/member.h"
#include "api/utf8.h"
#include "daemon/json_memory.h"

#define MAX_SEED     2147483647
#define MAX_PRIORITY 100
#define MAX_SUFFIX   64
#define MAX_ID       256
#define MAX_PAIRS    16
#define MAX_KEY      64
#define MAX_VALUE    512

/* ---- one reader each; `value` is neither absent nor null, but for what is required ---- */

struct decoding {
    struct job *job;
    char *ranks_from;
    struct fault *fault;
};

static bool read_model(struct decoding *d, const char *name, const json_t *value)
{
    return member_text(value, name, MAX_ID, "the id of a model", &d->job->model, d->fault);
}

static bool read_training_file(struct decoding *d, const char *name, const json_t *value)
{
    return member_text(value, name, MAX_ID, "the id of an uploaded file", &d->job->training_file,
                       d->fault);
}

static bool read_validation_file(struct decoding *d, const char *name, const json_t *value)
{
    return member_text(value, name, MAX_ID, "the id of an uploaded file", &d->job->validation_file,
                       d->fault);
}

static bool read_suffix(struct decoding *d, const char *name, const json_t *value)
{
    return member_text(value, name, MAX_SUFFIX, "a string of 1 to 64 characters", &d->job->suffix,
                       d->fault);
}

static bool read_seed(struct decoding *d, const char *name, const json_t *value)
{
    return member_integer(value, name, 0, MAX_SEED, "an integer from 0 to 2147483647",
                          &d->job->seed, d->fault);
}

static bool read_priority(struct decoding *d, const char *name, const json_t *value)
{
    return member_integer(value, name, -MAX_PRIORITY, MAX_PRIORITY, "an integer from -100 to 100",
                          &d->job->priority, d->fault);
}

static bool read_ranks_from(struct decoding *d, const char *name, const json_t *value)
{
    return member_text(value, name, MAX_ID, "the id of a finished job or adapter", &d->ranks_from,
                       d->fault);
}

static bool read_metadata(struct decoding *d, const char *name, const json_t *value)
{
    const char *key;
    json_t *text;
    bool right = json_is_object(value) && json_object_size(value) <= MAX_PAIRS;

    json_object_foreach ((json_t *)value, key, text) {
        size_t n = utf8_length(key);

        right = right && n >= 1 && n <= MAX_KEY && json_is_string(text) &&
                utf8_length(json_string_value(text)) <= MAX_VALUE;
    }
    if (!right)
        return member_fail(d->fault, name, value,
                           "an object of at most 16 strings: keys of 1 to 64 characters, values "
                           "of at most 512");
    d->job->metadata = json_whole_text(value, JSON_COMPACT);
    return d->job->metadata || fault_set(d->fault, 503, "out_of_memory", NULL, "out of memory");
}

static bool read_integrations(struct decoding *d, const char *name, const json_t *value)
{
    if (json_is_array(value) && json_array_size(value) == 0)
        return true;
    fault_set(d->fault, 400, "unsupported_value", name,
              "integrations: a job cannot name a service that it reports to; leave it out (the "
              "server's administrator can: webhooks.url)");
    snprintf(d->fault->pointer, sizeof d->fault->pointer, "/integrations");
    return false;
}

/* ---- the table of members ---- */

static const struct member {
    const char *name;
    bool (*read)(struct decoding *d, const char *name, const json_t *value); /* NULL: the spec's */
    bool required;
} of_new[] = {
    {"model", read_model, true},
    {"training_file", read_training_file, true},
    {"validation_file", read_validation_file, false},
    {"suffix", read_suffix, false},
    {"seed", read_seed, false},
    {"priority", read_priority, false},
    {"metadata", read_metadata, false},
    {"integrations", read_integrations, false},
    {"ranks_from", read_ranks_from, false},
    {"method", NULL, false},
    {"hyperparameters", NULL, false},
    {"task", NULL, false},
};
/* What may be changed later. */
static const struct member of_edit[] = {
    {"priority", read_priority, false},
    {"metadata", read_metadata, false},
};

#define N_OF(table) (sizeof(table) / sizeof *(table))

static bool read_members(struct decoding *d, const struct member *members, size_t n, json_t *body)
{
    const char *names[N_OF(of_new) + 1] = {NULL};
    json_t *value;

    for (size_t i = 0; i < n; i++)
        names[i] = members[i].name;
    if (!member_check_names(body, names, d->fault))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct member *m = &members[i];

        value = json_object_get(body, m->name);
        if (json_is_null(value) && !m->required) {
            json_object_del(body, m->name); /* null is absent */
            continue;
        }
        if (m->read && (value || m->required) && !m->read(d, m->name, value))
            return false;
    }
    return true;
}

/* ---- the specification ---- */

/* A copy of `body` with the named members only, as text. */
static char *dump_some(json_t *body, const char *const *names)
{
    json_t *some = json_object();
    char *text;

    for (; some && *names; names++) {
        json_t *value = json_object_get(body, *names);

        if (value && json_object_set(some, *names, value) != 0) {
            json_decref(some);
            some = NULL;
        }
    }
    text = some ? json_whole_text(some, JSON_COMPACT) : NULL;
    json_decref(some);
    return text;
}

/* Any list of ranks in place of "suggest", so that all else can be checked; true: it stood there.
 */
static bool take_suggest(json_t *body)
{
    json_t *method = json_object_get(body, "method");
    const char *type = json_string_value(json_object_get(method, "type"));
    json_t *settings =
        type ? json_object_get(json_object_get(method, type), "hyperparameters") : NULL;
    const char *ranks = json_string_value(json_object_get(settings, "ranks"));

    if (!ranks || strcmp(ranks, "suggest") != 0)
        return false;
    json_object_set_new(settings, "ranks", json_pack("[i]", 1));
    return true;
}

static bool check_suggest(const struct decoding *d, bool suggests)
{
    if (suggests == (d->ranks_from != NULL))
        return true;
    if (suggests)
        fault_set(d->fault, 400, "missing_required_parameter", "ranks_from",
                  "ranks_from: missing; ranks \"suggest\" needs a finished job or its adapter to "
                  "be suggested from");
    else
        fault_set(d->fault, 400, "invalid_value", "ranks_from",
                  "ranks_from goes only with ranks \"suggest\"");
    snprintf(d->fault->pointer, sizeof d->fault->pointer, "/ranks_from");
    return false;
}

static bool read_spec(struct decoding *d, json_t *body, struct job_settings *settings)
{
    static const char *const of_spec[] = {"seed", "task", "method", "hyperparameters", NULL};
    static const char *const requested[] = {"hyperparameters", "method", "ranks_from", NULL};
    struct prilora_error err = {0};
    enum prilora_status rc;
    uint32_t random;

    if (!json_object_get(body, "seed")) {
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            return fault_set(d->fault, 500, "internal_error", NULL, "no random numbers");
        d->job->seed = random & MAX_SEED;
        json_object_set_new(body, "seed", json_integer(d->job->seed));
    }
    d->job->requested = dump_some(body, requested);
    if (!check_suggest(d, take_suggest(body)))
        return false;
    settings->text = dump_some(body, of_spec);
    if (!settings->text || !d->job->requested)
        return fault_set(d->fault, 503, "out_of_memory", NULL, "out of memory");
    rc = json_memory_spec(&settings->spec, settings->text, &err);
    if (rc == PRILORA_ENOMEM)
        return fault_set(d->fault, 503, "out_of_memory", NULL, "out of memory");
    if (rc != PRILORA_OK)
        return fault_from_spec(d->fault, &err);
    d->job->spec = prilora_spec_dump(settings->spec);
    return d->job->spec || fault_set(d->fault, 503, "out_of_memory", NULL, "out of memory");
}

void job_settings_clear(struct job_settings *settings)
{
    free(settings->text);
    free(settings->ranks_from);
    prilora_spec_free(settings->spec);
    *settings = (struct job_settings){0};
}

/* ---- bodies ---- */

bool job_decode(const char *body, size_t size, struct job *out, struct job_settings *settings,
                struct fault *fault)
{
    struct decoding d = {.job = out, .fault = fault};
    unsigned long before = json_memory_refusals();
    json_t *object;
    bool right;

    *out = (struct job){0};
    *settings = (struct job_settings){0};
    object = member_body(body, size, fault);
    if (!object)
        return false;
    right = read_members(&d, of_new, N_OF(of_new), object) && read_spec(&d, object, settings);
    settings->ranks_from = d.ranks_from;
    json_decref(object);
    if (json_memory_refusals() != before) /* the job would have been another one */
        return fault_set(fault, 503, "out_of_memory", NULL, "out of memory");
    return right;
}

bool job_decode_edit(const char *body, size_t size, struct queue_edit *edit, struct fault *fault)
{
    struct job job = {0};
    struct decoding d = {.job = &job, .fault = fault};
    json_t *object = member_body(body, size, fault);
    bool right = object && read_members(&d, of_edit, N_OF(of_edit), object);

    *edit = (struct queue_edit){0};
    if (right && json_object_size(object) == 0)
        right = fault_set(fault, 400, "missing_required_parameter", NULL,
                          "nothing to change: priority or metadata must be given");
    if (right) {
        edit->has_priority = json_object_get(object, "priority") != NULL;
        edit->priority = job.priority;
        edit->metadata = job.metadata;
        job.metadata = NULL;
    }
    json_decref(object);
    job_clear(&job);
    return right;
}
