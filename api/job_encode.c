/*
 * job_encode.c - see job_codec.h. The object of OpenAI's interface, and ours in the same. What is
 * stored as JSON goes into it as text: it was read and checked when it came.
 */
#include "api/job_codec.h"

#include <stdio.h>
#include <string.h>

#define ORGANIZATION "org-prilorad"
#define MAX_TYPE     32

bool job_is_over(const struct job *job)
{
    return job->status == JOB_SUCCEEDED || job->status == JOB_FAILED ||
           job->status == JOB_CANCELLED;
}

static void write_unless_zero(struct json_out *out, const char *name, int64_t value)
{
    if (value)
        json_out_integer(out, name, value);
    else
        json_out_null(out, name);
}

static void write_error(struct json_out *out, const struct job *job)
{
    if (!job->error_code) {
        json_out_null(out, "error");
        return;
    }
    json_out_open(out, "error", '{');
    json_out_text(out, "code", job->error_code);
    json_out_text(out, "message", job->error_message);
    json_out_text(out, "param", job->error_param);
    json_out_close(out, '}');
}

/* "prilora" of {"type": "prilora", ...}; "" if there is none. */
static void read_type(char type[MAX_TYPE], struct json_raw method)
{
    struct json_raw quoted = json_raw_member(method, "type");

    type[0] = '\0';
    if (quoted.n >= 2 && quoted.n - 2 < MAX_TYPE) {
        memcpy(type, quoted.at + 1, quoted.n - 2);
        type[quoted.n - 2] = '\0';
    }
}

/* The three settings that OpenAI has: a number, or "auto". */
static void write_three(struct json_out *out, struct json_raw method)
{
    static const char *const names[] = {"batch_size", "learning_rate_multiplier", "n_epochs"};
    struct json_raw settings;
    char type[MAX_TYPE];

    read_type(type, method);
    settings = json_raw_member(json_raw_member(method, type), "hyperparameters");
    json_out_open(out, "hyperparameters", '{');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct json_raw value = json_raw_member(settings, names[i]);

        if (json_raw_is_number(value))
            json_out_raw(out, names[i], value);
        else
            json_out_text(out, names[i], "auto");
    }
    json_out_close(out, '}');
}

/*
 * The method as it became, every setting spelled out. A client that asked for "supervised" finds
 * its own type and the three settings that it knows, and beside them what is really done.
 */
static void write_method(struct json_out *out, const struct job *job, struct json_raw method)
{
    struct json_raw requested = json_raw_member(json_raw_of(job->requested), "method");
    char type[MAX_TYPE], wanted[MAX_TYPE];

    read_type(type, method);
    read_type(wanted, requested);
    if (!method.at || strcmp(wanted, "supervised") != 0) {
        json_out_raw(out, "method", method);
        return;
    }
    json_out_open(out, "method", '{');
    json_out_text(out, "type", wanted);
    if (strcmp(type, wanted) != 0)
        json_out_raw(out, type, json_raw_member(method, type));
    json_out_open(out, wanted, '{');
    write_three(out, method);
    json_out_close(out, '}');
    json_out_close(out, '}');
}

static void write_real_if(struct json_out *out, const char *name, double value, bool known)
{
    if (known)
        json_out_real(out, name, value);
    else
        json_out_null(out, name);
}

static void write_progress(struct json_out *out, const struct job *job,
                           const struct job_progress *p)
{
    bool running = job->status == JOB_RUNNING, begun = p->step > 0;
    double percent = p->total_steps ? 100.0 * (double)p->step / (double)p->total_steps : 0;

    json_out_open(out, "progress", '{');
    json_out_integer(out, "step", (int64_t)p->step);
    write_unless_zero(out, "total_steps", (int64_t)p->total_steps);
    json_out_real(out, "epoch", p->epoch);
    json_out_real(out, "percent", percent);
    write_real_if(out, "tokens_per_second", p->tokens_per_second, begun);
    write_real_if(out, "seconds_left", p->seconds_left, running && begun);
    write_real_if(out, "loss", p->loss, begun);
    write_unless_zero(out, "peak_memory_bytes", (int64_t)p->peak_memory_bytes);
    json_out_close(out, '}');
}

/* From when the progress was told, not from now: the job's text changes only when the job does. */
static int64_t estimated_finish(const struct job *job, const struct job_progress *p)
{
    bool known = job->status == JOB_RUNNING && p->updated_at && p->step > 0 &&
                 p->seconds_left >= 0 && p->seconds_left < 1e9;

    return known ? p->updated_at + (int64_t)p->seconds_left : 0;
}

static void write_adapter(struct json_out *out, const struct job *job,
                          const struct adapter_files *files)
{
    char url[ID_SIZE + 48];

    if (!files) {
        json_out_null(out, "adapter");
        return;
    }
    snprintf(url, sizeof url, "/v1/fine_tuning/jobs/%s/adapter", job->id);
    json_out_open(out, "adapter", '{');
    json_out_text(out, "url", url);
    json_out_open(out, "files", '[');
    for (size_t i = 0; i < files->n; i++) {
        json_out_open(out, NULL, '{');
        json_out_text(out, "name", files->names[i]);
        json_out_integer(out, "bytes", (int64_t)files->sizes[i]);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
    json_out_close(out, '}');
}

/* The experiment that it is part of, and its place there; the seed is the job's own. */
static void write_cell(struct json_out *out, const struct job *job)
{
    if (!job->experiment) {
        json_out_null(out, "experiment");
        return;
    }
    json_out_open(out, "experiment", '{');
    json_out_text(out, "id", job->experiment);
    json_out_text(out, "method", job->experiment_method);
    json_out_text(out, "task", job->experiment_task);
    json_out_close(out, '}');
}

static void write_openai(struct json_out *out, const struct job *job, const struct job_view *view,
                         struct json_raw method)
{
    const struct job_progress *p = view->live ? view->live : &job->progress;

    json_out_text(out, "id", job->id);
    json_out_text(out, "object", "fine_tuning.job");
    json_out_integer(out, "created_at", job->created_at);
    write_error(out, job);
    json_out_text(out, "fine_tuned_model", job->fine_tuned_model);
    write_unless_zero(out, "finished_at", job->finished_at);
    write_three(out, method);
    json_out_text(out, "model", job->start_from ? job->start_from : job->model);
    json_out_text(out, "organization_id", ORGANIZATION);
    json_out_open(out, "result_files", '[');
    json_out_close(out, ']');
    json_out_integer(out, "seed", job->seed);
    json_out_text(out, "status", job_status_name(job->status));
    if (job_is_over(job))
        json_out_integer(out, "trained_tokens", (int64_t)job->trained_tokens);
    else
        json_out_null(out, "trained_tokens");
    json_out_text(out, "training_file", job->training_file);
    json_out_text(out, "validation_file", job->validation_file);
    write_unless_zero(out, "estimated_finish", estimated_finish(job, p));
    json_out_null(out, "integrations");
    json_out_raw(out, "metadata", json_raw_of(job->metadata));
    write_method(out, job, method);
}

void job_encode(struct json_out *out, const struct job *job, const struct job_view *view)
{
    struct json_raw spec = json_raw_of(job->spec), method = json_raw_member(spec, "method");

    json_out_open(out, NULL, '{');
    write_openai(out, job, view, method);
    /* ours */
    json_out_text(out, "base_model", job->model);
    json_out_text(out, "suffix", job->suffix);
    write_cell(out, job);
    json_out_integer(out, "priority", job->priority);
    write_unless_zero(out, "started_at", job->started_at);
    json_out_bool(out, "cancel_requested", job->cancel_requested);
    json_out_bool(out, "pause_requested", job->pause_requested);
    json_out_raw(out, "task", json_raw_member(spec, "task"));
    write_progress(out, job, view->live ? view->live : &job->progress);
    json_out_raw(out, "forecast", json_raw_of(job->forecast));
    json_out_raw(out, "result", json_raw_of(job->result));
    write_adapter(out, job, view->adapter);
    json_out_raw(out, "ranks_from", json_raw_member(json_raw_of(job->requested), "ranks_from"));
    json_out_close(out, '}');
}

void job_encode_progress(struct json_out *out, const struct job *job,
                         const struct job_progress *progress)
{
    json_out_open(out, NULL, '{');
    json_out_text(out, "status", job_status_name(job->status));
    write_unless_zero(out, "estimated_finish", estimated_finish(job, progress));
    write_progress(out, job, progress);
    json_out_close(out, '}');
}
