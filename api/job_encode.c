/* job_encode.c - see job_codec.h. The object of OpenAI's interface, and ours in the same. */
#include "api/job_codec.h"

#include <string.h>

#include "api/json.h"

#define ORGANIZATION "org-prilorad"

bool job_is_over(const struct job *job)
{
    return job->status == JOB_SUCCEEDED || job->status == JOB_FAILED ||
           job->status == JOB_CANCELLED;
}

static json_t *encode_error(const struct job *job)
{
    if (!job->error_code)
        return json_null();
    return json_pack("{s:s, s:o, s:o}", "code", job->error_code, "message",
                     json_text(job->error_message), "param", json_text(job->error_param));
}

/* The method's settings inside of a specification: its only member that is an object. */
static json_t *settings_of(const json_t *spec)
{
    json_t *method = json_object_get(spec, "method");
    const char *type = json_string_value(json_object_get(method, "type"));

    return type ? json_object_get(json_object_get(method, type), "hyperparameters") : NULL;
}

/* The three that OpenAI has: a number, or "auto". */
static json_t *encode_three(const json_t *spec)
{
    static const char *const names[] = {"batch_size", "learning_rate_multiplier", "n_epochs"};
    json_t *settings = settings_of(spec), *three = json_object();

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *value = json_object_get(settings, names[i]);

        if (json_is_number(value))
            json_object_set(three, names[i], value);
        else
            json_object_set_new(three, names[i], json_string("auto"));
    }
    return three;
}

/*
 * The method as it became, every setting spelled out. A client that asked for "supervised" finds
 * its own type and the three settings that it knows, and beside them what is really done.
 */
static json_t *encode_method(const struct job *job, const json_t *spec, const json_t *three)
{
    json_t *requested = json_parsed(job->requested);
    const char *type =
        json_string_value(json_object_get(json_object_get(requested, "method"), "type"));
    json_t *method = json_deep_copy(json_object_get(spec, "method"));

    if (method && type && strcmp(type, "supervised") == 0) {
        json_object_set_new(method, "type", json_string(type));
        json_object_set_new(method, type,
                            json_pack("{s:o}", "hyperparameters", json_deep_copy(three)));
    }
    json_decref(requested);
    return method ? method : json_null();
}

static json_t *encode_progress(const struct job *job, const struct job_progress *p)
{
    bool running = job->status == JOB_RUNNING, begun = p->step > 0;
    double percent = p->total_steps ? 100.0 * (double)p->step / (double)p->total_steps : 0;

    return json_pack(
        "{s:I, s:o, s:o, s:f, s:o, s:o, s:o, s:o}", "step", (json_int_t)p->step, "total_steps",
        p->total_steps ? json_integer((json_int_t)p->total_steps) : json_null(), "epoch",
        json_number_or_null(p->epoch), "percent", percent, "tokens_per_second",
        begun ? json_number_or_null(p->tokens_per_second) : json_null(), "seconds_left",
        running && begun ? json_number_or_null(p->seconds_left) : json_null(), "loss",
        begun ? json_number_or_null(p->loss) : json_null(), "peak_memory_bytes",
        p->peak_memory_bytes ? json_integer((json_int_t)p->peak_memory_bytes) : json_null());
}

static json_t *encode_finish(const struct job *job, const struct job_progress *p, int64_t now)
{
    bool known =
        job->status == JOB_RUNNING && p->step > 0 && p->seconds_left >= 0 && p->seconds_left < 1e9;

    return known ? json_integer(now + (int64_t)p->seconds_left) : json_null();
}

json_t *job_encode(const struct job *job, const struct job_view *view)
{
    const struct job_progress *p = view->live ? view->live : &job->progress;
    json_t *spec = json_parsed(job->spec), *three = encode_three(spec);
    json_t *task = json_deep_copy(json_object_get(spec, "task"));
    json_t *method = encode_method(job, spec, three);
    json_t *object;

    object = json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:s, s:s, s:[], s:I, s:s, s:o, s:s, s:o}", "id",
        job->id, "object", "fine_tuning.job", "created_at", (json_int_t)job->created_at, "error",
        encode_error(job), "fine_tuned_model", json_text(job->fine_tuned_model), "finished_at",
        json_time(job->finished_at), "hyperparameters", three, "model", job->model,
        "organization_id", ORGANIZATION, "result_files", "seed", (json_int_t)job->seed, "status",
        job_status_name(job->status), "trained_tokens",
        job_is_over(job) ? json_integer((json_int_t)job->trained_tokens) : json_null(),
        "training_file", job->training_file, "validation_file", json_text(job->validation_file));
    if (!object) {
        json_decref(task);
        json_decref(method);
        json_decref(view->adapter);
    } else {
        json_object_set_new(object, "estimated_finish", encode_finish(job, p, view->now));
        json_object_set_new(object, "integrations", json_null());
        json_object_set_new(object, "metadata", json_parsed(job->metadata));
        json_object_set_new(object, "method", method);
        /* ours */
        json_object_set_new(object, "suffix", json_text(job->suffix));
        json_object_set_new(object, "priority", json_integer(job->priority));
        json_object_set_new(object, "started_at", json_time(job->started_at));
        json_object_set_new(object, "cancel_requested", json_boolean(job->cancel_requested));
        json_object_set_new(object, "task", task ? task : json_null());
        json_object_set_new(object, "progress", encode_progress(job, p));
        json_object_set_new(object, "forecast", json_parsed(job->forecast));
        json_object_set_new(object, "result", json_parsed(job->result));
        json_object_set_new(object, "adapter", view->adapter ? view->adapter : json_null());
    }
    json_decref(spec);
    return object;
}
