/*
 * pull.c - see pull.h: the order of things, and what is told meanwhile. The listing, transfers,
 * digests and folders are in pull_*.c.
 */
#include "daemon/pull_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/error.h"
#include "daemon/model_id.h"

#define TELL_EVERY_S 0.2
#define MEASURE_S    1.0
#define SMOOTHING    0.5 /* weight of the newest measurement */

/* ---- names ---- */

static bool has_only(const char *text, const char *others)
{
    for (; *text; text++) {
        bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                      (*text >= '0' && *text <= '9');

        if (!letter && !strchr(others, *text))
            return false;
    }
    return true;
}

enum prilora_status pull_check_names(const char *model, const char *revision, const char *token,
                                     struct prilora_error *err)
{
    if (!model_id_is_safe(model) || !has_only(model, "/-_.") || strstr(model, ".."))
        return error_set_at(err, PRILORA_EINVAL, "model",
                            "model: \"%.100s\", but must be owner/name or name, in letters, "
                            "digits, '-', '_' and '.'",
                            model);
    if (!*revision || strlen(revision) > PULL_MAX_REVISION || !has_only(revision, "/-_.") ||
        strstr(revision, "..") || revision[0] == '/' || revision[0] == '.' || revision[0] == '-')
        return error_set_at(err, PRILORA_EINVAL, "revision",
                            "revision: \"%.100s\", but must be a branch, a tag or a commit, in "
                            "letters, digits, '-', '_', '.' and '/', at most %d",
                            revision, PULL_MAX_REVISION);
    if (token && (strlen(token) > PULL_MAX_TOKEN || !has_only(token, "-_.~+/=")))
        return error_set_at(err, PRILORA_EINVAL, "token",
                            "token: has letters that no token has, or more than %d of them",
                            PULL_MAX_TOKEN);
    return PRILORA_OK;
}

const char *pull_check_endpoint(const char *endpoint)
{
    const char *host = strstr(endpoint, "://");

    if (!host || (strncmp(endpoint, "https://", 8) != 0 && strncmp(endpoint, "http://", 7) != 0))
        return "must be an address that begins with https:// or http://";
    if (!host[3] || host[3] == '/' || !has_only(host + 3, ":/-_.[]"))
        return "must be a host, a port and a path: no user, no query, no spaces";
    return NULL;
}

/* ---- for all parts ---- */

enum prilora_status pull_fail(struct pull *pull, enum prilora_status status, const char *code,
                              struct prilora_error *err, const char *format, ...)
{
    char text[sizeof err->message];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(pull->result->code, sizeof pull->result->code, "%s", code);
    return error_set(err, status, "%s", text);
}

enum prilora_status pull_go_on(struct pull *pull, struct prilora_error *err)
{
    int stop = pull->request->stop ? atomic_load(pull->request->stop) : PULL_GO;

    if (stop == PULL_GO)
        return PRILORA_OK;
    return pull_fail(pull, PRILORA_ESTOPPED, stop == PULL_CANCEL ? "cancelled" : "stopped", err,
                     "%s: the pull was %s", pull->request->model,
                     stop == PULL_CANCEL ? "cancelled" : "broken off; what came is kept");
}

static void measure(struct pull *pull, double now)
{
    double seconds = now - pull->measured_at, rate;

    if (seconds < MEASURE_S)
        return;
    rate = (double)(pull->n_received - pull->n_measured) / seconds;
    pull->bytes_per_second = pull->bytes_per_second > 0
                                 ? SMOOTHING * rate + (1 - SMOOTHING) * pull->bytes_per_second
                                 : rate;
    pull->measured_at = now;
    pull->n_measured = pull->n_received;
}

void pull_tell(struct pull *pull, bool now)
{
    const struct pull_request *request = pull->request;
    struct pull_progress progress = {.commit = pull->result->commit,
                                     .files = pull->files,
                                     .n_files = pull->n_files};
    double time = clock_seconds();

    measure(pull, time);
    if (!request->on_progress || (!now && time - pull->told_at < TELL_EVERY_S))
        return;
    pull->told_at = time;
    progress.bytes_per_second = pull->bytes_per_second;
    progress.n_received = pull->n_received;
    for (size_t i = 0; i < pull->n_files; i++) {
        progress.bytes += pull->files[i].bytes;
        progress.total_bytes += pull->files[i].total_bytes;
    }
    request->on_progress(request->context, &progress);
}

/* ---- the order of things ---- */

/*
 * The library looks at config.json first and tells of it; that the weights or the tokenizer are
 * not there (yet) is no complaint about it.
 */
static enum prilora_status refuse_early(struct pull *pull, struct prilora_error *err)
{
    struct prilora_base *base = NULL;
    struct prilora_error what = {0};
    enum prilora_status rc = prilora_base_open(&base, pull->work, &what);

    prilora_base_close(base);
    if (rc == PRILORA_OK || rc == PRILORA_ENOENT)
        return PRILORA_OK;
    if (error_is_machines(rc))
        return pull_fail(pull, rc, "storage_error", err, "%s", what.message);
    return pull_fail(pull, PRILORA_EUNSUPPORTED, "unsupported_model", err,
                     "%s is not a model that prilorad can train: %s", pull->request->model,
                     strncmp(what.message, pull->work, strlen(pull->work)) == 0
                         ? what.message + strlen(pull->work) + 1
                         : what.message);
}

static enum prilora_status fetch_all(struct pull *pull, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; i < pull->n_files && rc == PRILORA_OK; i++)
        rc = pull_fetch_file(pull, &pull->files[i], err);
    return rc;
}

static enum prilora_status fetch_named(struct pull *pull, const char *name,
                                       struct prilora_error *err)
{
    struct pull_file *file = pull_find(pull, name);

    return file ? pull_fetch_file(pull, file, err) : PRILORA_OK;
}

/* All files, the small ones that tell whether the large ones are wanted first. */
static enum prilora_status bring(struct pull *pull, struct prilora_error *err)
{
    enum prilora_status rc = pull_place_open(pull, err);

    if (rc == PRILORA_OK)
        rc = fetch_named(pull, "config.json", err);
    if (rc == PRILORA_OK)
        rc = refuse_early(pull, err);
    if (rc == PRILORA_OK)
        rc = fetch_named(pull, "model.safetensors.index.json", err);
    if (rc == PRILORA_OK)
        rc = pull_choose_shards(pull, pull->work, err);
    if (rc == PRILORA_OK && !pull->request->force)
        rc = pull_place_reuse(pull, err);
    if (rc == PRILORA_OK)
        rc = pull_place_check_room(pull, err);
    if (rc == PRILORA_OK)
        rc = fetch_all(pull, err);
    if (rc == PRILORA_OK)
        rc = pull_go_on(pull, err);
    return rc == PRILORA_OK ? pull_place_commit(pull, err) : rc;
}

static void release(struct pull *pull, enum prilora_status rc)
{
    const char *code = pull->result->code;
    bool keep = rc != PRILORA_OK && strcmp(code, "cancelled") != 0 &&
                strcmp(code, "unsupported_model") != 0;

    pull_place_close(pull, keep);
    curl_easy_cleanup(pull->curl);
    json_decref(pull->siblings);
    free(pull->folder);
    free(pull->parent);
    free(pull->work);
    free(pull);
}

enum prilora_status pull_model(const struct pull_request *request, struct pull_result *result,
                               struct prilora_error *err)
{
    struct pull *pull = calloc(1, sizeof *pull);
    struct prilora_error local;
    enum prilora_status rc;

    err = err ? err : &local;
    *result = (struct pull_result){0};
    if (!pull)
        return error_memory(err);
    pull->request = request;
    pull->result = result;
    pull->lock = -1;
    pull->measured_at = clock_seconds();
    rc = pull_check_names(request->model, request->revision, request->token, err);
    if (rc == PRILORA_OK)
        rc = pull_http_open(pull, err);
    if (rc == PRILORA_OK)
        rc = pull_place_find(pull, err);
    if (rc == PRILORA_OK)
        rc = pull_list(pull, err);
    if (rc == PRILORA_OK)
        rc = pull_choose(pull, err);
    if (rc == PRILORA_OK && !request->force)
        rc = pull_place_is_done(pull, &result->was_there, err);
    if (rc == PRILORA_OK && !result->was_there)
        rc = bring(pull, err);
    if (rc == PRILORA_OK)
        result->code[0] = '\0'; /* of a try that another one has made good */
    else if (!*result->code)
        snprintf(result->code, sizeof result->code, "%s", prilora_status_name(rc));
    pull_tell(pull, true);
    release(pull, rc);
    return rc;
}
