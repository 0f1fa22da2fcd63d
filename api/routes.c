/* routes.c - see routes.h. A path with a slash too many is another path: not found. */
#include "api/routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/query.h"

#define JOB        "/v1/fine_tuning/jobs/{id}"
#define EXPERIMENT "/v1/experiments/{id}"

const struct route routes[] = {
    {"POST", "/v1/files", SCOPE_SUBMIT, api_file_create, "upload a file", &api_file_sink},
    {"GET", "/v1/files", SCOPE_READ, api_file_list, "files, newest first", NULL},
    {"GET", "/v1/files/{id}", SCOPE_READ, api_file_show, "one file", NULL},
    {"DELETE", "/v1/files/{id}", SCOPE_SUBMIT, api_file_delete, "delete a file", NULL},
    {"GET", "/v1/files/{id}/content", SCOPE_READ, api_file_content, "a file's bytes", NULL},
    {"GET", "/v1/files/{id}/preview", SCOPE_READ, api_file_preview,
     "first rows, labels and errors, as training would see them", NULL},

    {"POST", "/v1/uploads", SCOPE_SUBMIT, api_upload_create, "announce a file that comes in parts",
     NULL},
    {"GET", "/v1/uploads", SCOPE_READ, api_upload_list, "uploads, newest first", NULL},
    {"GET", "/v1/uploads/{id}", SCOPE_READ, api_upload_show, "one upload", NULL},
    {"POST", "/v1/uploads/{id}/parts", SCOPE_SUBMIT, api_upload_add_part, "send one part",
     &api_part_sink},
    {"POST", "/v1/uploads/{id}/complete", SCOPE_SUBMIT, api_upload_complete,
     "make the file of its parts", NULL},
    {"POST", "/v1/uploads/{id}/cancel", SCOPE_SUBMIT, api_upload_cancel, "drop an upload", NULL},

    {"GET", "/v1/models", SCOPE_READ, api_model_list, "base models and finished adapters", NULL},
    {"GET", "/v1/models/{id*}", SCOPE_READ, api_model_show, "one model", NULL},
    {"DELETE", "/v1/models/{id*}", SCOPE_SUBMIT, api_model_delete, "delete a finished adapter",
     NULL},

    {"POST", "/v1/models", SCOPE_ADMIN, api_pull_create, "bring a base model from the hub", NULL},
    {"GET", "/v1/pulls", SCOPE_READ, api_pull_list, "models being brought, newest first", NULL},
    {"GET", "/v1/pulls/{id}", SCOPE_READ, api_pull_show, "one of them, with its progress", NULL},
    {"POST", "/v1/pulls/{id}/cancel", SCOPE_ADMIN, api_pull_cancel, "stop bringing a model", NULL},

    {"POST", "/v1/fine_tuning/jobs", SCOPE_SUBMIT, api_job_create, "queue a training job", NULL},
    {"POST", "/v1/fine_tuning/forecasts", SCOPE_SUBMIT, api_forecast_create,
     "what a job would need, without queueing it", NULL},
    {"GET", "/v1/fine_tuning/settings", SCOPE_READ, api_setting_list,
     "every hyperparameter: range, default, meaning", NULL},
    {"GET", "/v1/fine_tuning/jobs", SCOPE_READ, api_job_list, "jobs, newest first", NULL},
    {"GET", JOB, SCOPE_READ, api_job_show, "one job, with its progress", NULL},
    {"POST", JOB, SCOPE_SUBMIT, api_job_edit, "change a job's priority or metadata", NULL},
    {"DELETE", JOB, SCOPE_SUBMIT, api_job_delete, "delete a job that is over, adapter and all",
     NULL},
    {"POST", JOB "/cancel", SCOPE_SUBMIT, api_job_cancel, "stop a job, keeping its best adapter",
     NULL},
    {"POST", JOB "/pause", SCOPE_SUBMIT, api_job_pause, "checkpoint a job and free its worker",
     NULL},
    {"POST", JOB "/resume", SCOPE_SUBMIT, api_job_resume, "put a paused job back into the queue",
     NULL},
    {"GET", JOB "/events", SCOPE_READ, api_job_events, "what happened to a job; live, too", NULL},
    {"GET", JOB "/checkpoints", SCOPE_READ, api_job_checkpoints,
     "a job's checkpoints, newest first", NULL},
    {"GET", JOB "/layers", SCOPE_READ, api_job_layers, "every adapted map: rank, sparsity, norms",
     NULL},
    {"GET", JOB "/ranks", SCOPE_READ, api_job_ranks,
     "what a finished adapter's directions carry, and ranks by that", NULL},
    {"GET", JOB "/metrics", SCOPE_READ, api_job_metrics, "loss, rate and evaluations by step",
     NULL},
    {"GET", JOB "/adapter", SCOPE_READ, api_adapter_tar, "the finished PEFT adapter as one tar",
     NULL},
    {"GET", JOB "/adapter/{file}", SCOPE_READ, api_adapter_file, "one file of the adapter", NULL},

    {"POST", "/v1/experiments", SCOPE_SUBMIT, api_experiment_create,
     "queue a grid of jobs: methods, tasks, seeds", NULL},
    {"GET", "/v1/experiments", SCOPE_READ, api_experiment_list, "experiments, newest first", NULL},
    {"GET", EXPERIMENT, SCOPE_READ, api_experiment_show, "one experiment, with its progress", NULL},
    {"DELETE", EXPERIMENT, SCOPE_SUBMIT, api_experiment_delete,
     "delete an experiment that is over, jobs and all", NULL},
    {"GET", EXPERIMENT "/jobs", SCOPE_READ, api_experiment_jobs, "its jobs, newest first", NULL},
    {"GET", EXPERIMENT "/results", SCOPE_READ, api_experiment_results,
     "its table, as JSON, CSV or Markdown", NULL},
    {"POST", EXPERIMENT "/cancel", SCOPE_SUBMIT, api_experiment_cancel,
     "stop all jobs of an experiment", NULL},
    {"POST", EXPERIMENT "/pause", SCOPE_SUBMIT, api_experiment_pause,
     "pause all jobs of an experiment", NULL},
    {"POST", EXPERIMENT "/resume", SCOPE_SUBMIT, api_experiment_resume,
     "queue its paused jobs again", NULL},
    {"POST", EXPERIMENT "/retry", SCOPE_SUBMIT, api_experiment_retry,
     "run failed and cancelled cells again", NULL},

    {"GET", "/v1/webhooks/deliveries", SCOPE_ADMIN, api_webhook_list,
     "webhooks and how their sending went, newest first", NULL},
    {"POST", "/v1/webhooks/deliveries/{id}/retry", SCOPE_ADMIN, api_webhook_retry,
     "send a webhook again", NULL},

    {"POST", "/v1/keys", SCOPE_ADMIN, api_key_create, "make an API key, shown this once", NULL},
    {"GET", "/v1/keys", SCOPE_ADMIN, api_key_list, "API keys, newest first", NULL},
    {"GET", "/v1/keys/{id}", SCOPE_ADMIN, api_key_show, "one API key, with what it has used", NULL},
    {"DELETE", "/v1/keys/{id}", SCOPE_ADMIN, api_key_revoke, "revoke an API key at once", NULL},

    {"GET", "/v1/backup", SCOPE_ADMIN, api_backup,
     "all that cannot be had again as one tar, while everything goes on", NULL},
    {"POST", "/v1/maintenance/gc", SCOPE_ADMIN, api_gc,
     "remove what nobody needs any more, or only list it", NULL},

    {"POST", "/v1/predictions", SCOPE_READ, api_predictions,
     "what a finished adapter says of texts", NULL},

    {"GET", "/metrics", SCOPE_READ, api_prometheus, "figures for Prometheus", NULL},
    {"GET", "/", SCOPE_NONE, api_dashboard_page, "the dashboard", NULL},
    {"GET", "/dashboard/{file}", SCOPE_NONE, api_dashboard_file, "a part of the dashboard", NULL},

    {"GET", "/openapi.json", SCOPE_NONE, api_openapi, "this interface, described as OpenAPI 3.1",
     NULL},

    {"GET", "/livez", SCOPE_NONE, api_livez, "the process answers", NULL},
    {"GET", "/readyz", SCOPE_NONE, api_readyz, "the database answers; jobs by state", NULL},
};
const size_t n_routes = sizeof routes / sizeof *routes;

static void clear(char *captures[ROUTE_MAX_CAPTURES])
{
    for (size_t i = 0; i < ROUTE_MAX_CAPTURES; i++) {
        free(captures[i]);
        captures[i] = NULL;
    }
}

enum matched { MATCH, OTHER, NO_MEMORY };

/* Matches one segment of the pattern and moves both on. */
static enum matched match_segment(const char **pattern, const char **path, char **capture,
                                  bool *captured)
{
    size_t n_pattern = strcspn(*pattern, "/"), n_path = strcspn(*path, "/");

    *captured = (*pattern)[0] == '{';
    if (*captured) {
        if ((*pattern)[n_pattern - 2] == '*')
            n_path = strlen(*path);
        if (n_path == 0)
            return OTHER;
        *capture = percent_decode(*path, n_path, false);
        if (!*capture)
            return errno == ENOMEM ? NO_MEMORY : OTHER;
    } else if (n_pattern != n_path || memcmp(*pattern, *path, n_path) != 0) {
        return OTHER;
    }
    *pattern += n_pattern;
    *path += n_path;
    return MATCH;
}

static enum matched match(const char *pattern, const char *path, char *captures[ROUTE_MAX_CAPTURES])
{
    enum matched matched = MATCH;
    size_t n = 0;

    while (matched == MATCH && *pattern == '/' && *path == '/') {
        bool captured;
        char *capture = NULL;

        pattern++;
        path++;
        matched = match_segment(&pattern, &path, &capture, &captured);
        if (matched == MATCH && captured)
            captures[n++] = capture;
    }
    if (matched == MATCH && (*pattern || *path))
        matched = OTHER;
    if (matched != MATCH)
        clear(captures);
    return matched;
}

enum route_found route_find(const char *method, const char *path, const struct route **out,
                            char *captures[ROUTE_MAX_CAPTURES])
{
    enum route_found found = ROUTE_NO_PATH;

    for (size_t i = 0; i < ROUTE_MAX_CAPTURES; i++)
        captures[i] = NULL;
    *out = NULL;
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < n_routes; i++) {
        enum matched matched = match(routes[i].pattern, path, captures);

        if (matched == NO_MEMORY)
            return ROUTE_NO_MEMORY;
        if (matched == OTHER)
            continue;
        if (strcmp(routes[i].method, method) == 0) {
            *out = &routes[i];
            return ROUTE_FOUND;
        }
        clear(captures);
        found = ROUTE_NO_METHOD;
    }
    return found;
}

void route_methods(const char *path, char *out, size_t room)
{
    size_t used = 0;

    *out = '\0';
    for (size_t i = 0; i < n_routes && used < room; i++) {
        char *captures[ROUTE_MAX_CAPTURES] = {0};
        const char *method = routes[i].method;

        if (match(routes[i].pattern, path, captures) != MATCH)
            continue;
        clear(captures);
        used += (size_t)snprintf(out + used, room - used, "%s%s%s", used ? ", " : "", method,
                                 strcmp(method, "GET") == 0 ? ", HEAD" : "");
    }
}
