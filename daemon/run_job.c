/*
 * run_job.c - "run this job": from its row and its folder to an adapter. Everything that it needs
 * is in those two, so that a job could run elsewhere.
 */
#include "daemon/work.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/error.h"
#include "daemon/json_memory.h"
#include "daemon/live.h"
#include "daemon/log.h"
#include "daemon/path.h"
#include "daemon/report.h"
#include "daemon/speed.h"

#define ID_TAIL 8 /* letters of the job's id in its model's name */

struct running {
    struct work *work;
    const struct job *job;
    enum work_stage stage; /* for the error, if there is one */
    struct prilora_base *base;
    struct prilora_spec *spec;
    struct prilora_dataset *train, *valid, *mismatched;
    struct prilora_run *run;
    struct report report;
    bool live;
    size_t n_threads;
    double seconds; /* spent training, in this process */
    uint64_t first_step;
};

/* ---- beginning ---- */

static enum prilora_status load_data(struct running *r, const char *name, bool required,
                                     struct prilora_dataset **out, struct prilora_error *err)
{
    char *path = queue_folder(r->work->store, r->job->id, name);
    enum prilora_status rc = path ? prilora_dataset_load(out, path, err) : error_memory(err);

    if (rc == PRILORA_ENOENT && !required)
        rc = PRILORA_OK; /* the job is not evaluated */
    free(path);
    return rc;
}

static enum prilora_status load_inputs(struct running *r, struct prilora_error *err)
{
    enum prilora_status rc;

    r->stage = WORK_MODEL;
    rc = models_acquire(r->work->models, r->job->model, &r->base, err);
    if (rc != PRILORA_OK)
        return rc;
    models_trim(r->work->models, 0); /* this job may need their memory */
    r->stage = WORK_SPEC;
    rc = json_memory_spec(&r->spec, r->job->spec, err);
    if (rc != PRILORA_OK)
        return rc;
    r->stage = WORK_RUN;
    rc = load_data(r, "train.tokens", true, &r->train, err);
    if (rc == PRILORA_OK)
        rc = load_data(r, "valid.tokens", false, &r->valid, err);
    if (rc == PRILORA_OK && r->spec->mismatched_file[0])
        rc = load_data(r, "mismatched.tokens", true, &r->mismatched, err);
    return rc;
}

/* What clients want of the job by now; a cancellation is never taken back. */
enum wish { WISH_GO_ON, WISH_PAUSE, WISH_CANCEL };

static enum wish ask_row(struct running *r)
{
    enum wish wish = WISH_GO_ON;
    struct job job;

    if (queue_get(r->work->store, r->job->id, &job, NULL) == PRILORA_OK)
        wish = job.cancel_requested ? WISH_CANCEL : job.pause_requested ? WISH_PAUSE : WISH_GO_ON;
    job_clear(&job);
    return wish;
}

/* A stop that came between the claim and live_begin found no flag to raise: look for it here. */
static void catch_up_with_stops(struct running *r)
{
    if (atomic_load(&r->work->stopping) || ask_row(r) != WISH_GO_ON)
        live_stop(r->job->id);
}

/* The settings that only the opened run knows, for who reads the job. */
static void keep_settings(struct running *r)
{
    struct prilora_error err;
    char *spec = prilora_spec_dump(prilora_run_spec(r->run));

    if (spec && strcmp(spec, r->job->spec) != 0 &&
        queue_set_spec(r->work->store, r->job->id, spec, &err) != PRILORA_OK)
        log_error("worker", "%s: %s", r->job->id, err.message);
    free(spec);
}

static enum prilora_status open_run(struct running *r, struct prilora_error *err)
{
    char *folder = queue_folder(r->work->store, r->job->id, NULL);
    char *start = r->job->start_from ? queue_folder(r->work->store, r->job->id, "start") : NULL;
    struct prilora_run_options options = {
        .folder = folder,
        .n_threads = r->n_threads,
        .on_event = report_event,
        .context = &r->report,
        .start_from = start,
        .mismatched = r->mismatched,
    };
    enum prilora_status rc = folder && (start || !r->job->start_from)
                                 ? live_begin(r->job->id, NULL, err)
                                 : error_memory(err);

    r->live = rc == PRILORA_OK;
    if (!r->live)
        goto out;
    catch_up_with_stops(r);
    options.stop = live_stop_flag(r->job->id);
    report_open(&r->report, r->work->store, r->job->id); /* opening may warn already */
    rc = prilora_run_open(&r->run, r->base, r->spec, r->train, r->valid, &options, err);
    if (rc != PRILORA_OK)
        goto out;
    r->report.run = r->run;
    live_attach(r->job->id, r->run);
    r->first_step = prilora_run_step(r->run);
    if (r->first_step)
        report_resumed(&r->report, r->first_step);
    keep_settings(r);
out:
    free(start);
    free(folder);
    return rc;
}

static void tell_beginning(struct running *r)
{
    char key[64], message[120];

    log_info("worker", "%s: training from step %llu", r->job->id,
             (unsigned long long)r->first_step);
    if (!r->first_step && r->job->start_from) {
        snprintf(message, sizeof message, "Going on from the adapter %.90s", r->job->start_from);
        work_note(r->work, r->job->id, "start", "info", message);
    }
    if (!r->first_step)
        return;
    snprintf(key, sizeof key, "resumed:%lld:%llu", (long long)r->job->attempts,
             (unsigned long long)r->first_step);
    snprintf(message, sizeof message, "Going on from the checkpoint of step %llu",
             (unsigned long long)r->first_step);
    work_note(r->work, r->job->id, key, "info", message);
}

/* ---- ending ---- */

/* "ft:mini:support:AbC12345"; without a suffix nothing stands between the colons. */
static char *model_name(const struct job *job)
{
    size_t n = strlen(job->id);

    return text_format("ft:%s:%s:%s", job->model, job->suffix ? job->suffix : "",
                       job->id + (n > ID_TAIL ? n - ID_TAIL : 0));
}

static json_t *label_names(const struct prilora_dataset *data)
{
    struct prilora_dataset_info info;
    json_t *names = json_array();

    prilora_dataset_describe(data, &info);
    for (size_t i = 0; i < info.n_labels; i++)
        json_add(&names, json_string(prilora_dataset_label(data, i)));
    return names;
}

/* Accuracy of always giving the most frequent label; null where that means nothing. */
static json_t *majority_baseline(const struct running *r)
{
    struct prilora_dataset_info info;

    prilora_dataset_describe(r->valid ? r->valid : r->train, &info);
    if (info.task != PRILORA_TASK_CLASSIFICATION || !info.n_examples)
        return json_null();
    return json_real((double)info.majority / (double)info.n_examples);
}

static char *result_text(const struct running *r, const struct prilora_result *result,
                         const char *folder)
{
    json_t *object =
        json_pack("{s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:f}", "metrics",
                  report_values(result->values, result->n_values), "best_step",
                  (json_int_t)result->best_step, "trained_tokens", (json_int_t)result->n_tokens,
                  "n_nonzero", (json_int_t)result->n_nonzero, "n_prunable",
                  (json_int_t)result->n_prunable, "labels", label_names(r->train),
                  "majority_baseline", majority_baseline(r), "adapter_bytes",
                  (json_int_t)path_folder_bytes(folder), "seconds", r->seconds);
    char *text = object ? json_whole_text(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

    json_decref(object);
    return text;
}

/* Readers go first, then the run; what it told is written. */
static void close_run(struct running *r)
{
    if (r->run)
        report_flush(&r->report);
    if (r->live)
        live_end(r->job->id);
    r->live = false;
    prilora_run_close(r->run);
    r->run = NULL;
    report_close(&r->report);
}

/* The worker is needed no longer, or for another job: this one goes on later, or stays paused. */
static void put_back(struct running *r)
{
    struct prilora_error err;
    const char *why = atomic_load(&r->work->stopping)
                          ? "prilorad is stopping; the job goes on when it is back"
                          : "The job is in the queue again";

    close_run(r);
    if (queue_requeue(r->work->store, r->job->id, why, &err) != PRILORA_OK)
        log_error("worker", "%s: %s", r->job->id, err.message); /* found again at the next start */
    else
        log_info("worker", "%s: stopped, to go on later", r->job->id);
}

/* Whether what could not be written may wait until the job is taken up again. */
static bool may_wait(void *context)
{
    struct running *r = context;

    return atomic_load(&r->work->stopping) || ask_row(r) == WISH_PAUSE;
}

/* A minute of full disk is no reason to lose hours of training: writing is tried again a while. */
static enum prilora_status export_adapter(struct running *r, const char *folder,
                                          struct prilora_result *result, struct prilora_error *err)
{
    double give_up = clock_seconds() + WORK_PATIENCE_S;

    for (;;) {
        enum prilora_status rc = path_remove(folder, err);

        if (rc == PRILORA_OK)
            rc = prilora_run_export(r->run, folder, r->job->model, result, err);
        if (!error_may_pass(rc) || clock_seconds() + WORK_AGAIN_S > give_up ||
            !work_wait(r->work, r->job->id, "export", err->message, may_wait, r))
            return rc;
    }
}

static void finish_with_adapter(struct running *r, enum job_status status)
{
    struct prilora_error err = {0};
    struct prilora_result result = {0};
    struct job_end end = {.status = status};
    char *folder = queue_folder(r->work->store, r->job->id, "adapter");
    char *name = model_name(r->job), *text = NULL;
    unsigned long before = json_memory_refusals();
    enum prilora_status rc =
        folder && name ? export_adapter(r, folder, &result, &err) : error_memory(&err);

    if (error_may_pass(rc) && may_wait(r)) {
        put_back(r); /* what is missing is done again when the job is taken up again */
        goto out;
    }
    if (rc == PRILORA_OK)
        text = result_text(r, &result, folder);
    if (rc == PRILORA_OK && (!text || json_memory_refusals() != before))
        rc = error_memory(&err); /* what was written may lack a member */
    if (rc == PRILORA_OK)
        report_exported(&r->report);
    close_run(r);
    if (rc == PRILORA_OK) {
        end.fine_tuned_model = name;
        end.result = text;
        end.trained_tokens = result.n_tokens;
        work_finish(r->work, r->job->id, &end);
    } else if (status == JOB_CANCELLED) { /* still what was asked for */
        work_note(r->work, r->job->id, NULL, "warn", err.message);
        work_finish(r->work, r->job->id, &end);
    } else {
        work_fail(r->work, r->job->id, WORK_RUN, &err);
    }
out:
    free(text);
    free(name);
    free(folder);
}

static void learn_speed(struct running *r)
{
    struct prilora_forecast forecast;
    double steps = (double)(prilora_run_step(r->run) - r->first_step);

    if (r->seconds < 1 ||
        prilora_run_forecast(&forecast, r->base, r->spec, r->train, r->valid, NULL) != PRILORA_OK)
        return;
    if (forecast.total_steps && steps > 0)
        speed_learned(r->work->store, forecast.flops * steps / (double)forecast.total_steps /
                                          r->seconds / (double)r->n_threads);
}

/*
 * A stop that could not write its checkpoint (the disk is full) is a stop all the same: the job
 * goes on from the checkpoint before.
 */
static void conclude(struct running *r, enum prilora_status rc, const struct prilora_error *err)
{
    bool stopped = rc == PRILORA_ESTOPPED ||
                   (error_may_pass(rc) && r->run && atomic_load(live_stop_flag(r->job->id)));

    if (stopped && rc != PRILORA_ESTOPPED)
        work_note(r->work, r->job->id, NULL, "warn", err->message);
    if (rc == PRILORA_OK) {
        learn_speed(r);
        finish_with_adapter(r, JOB_SUCCEEDED);
    } else if (!stopped) {
        close_run(r);
        work_fail(r->work, r->job->id, r->stage, err);
    } else if (ask_row(r) != WISH_CANCEL) {
        put_back(r);
    } else if (r->run && prilora_run_step(r->run) > 0) {
        finish_with_adapter(r, JOB_CANCELLED);
    } else {
        close_run(r);
        work_finish(r->work, r->job->id, &(struct job_end){.status = JOB_CANCELLED});
    }
}

void work_run(struct work *work, const struct job *job)
{
    struct running r = {.work = work, .job = job, .n_threads = worker_threads(work->config)};
    struct prilora_error err = {0};
    enum prilora_status rc = load_inputs(&r, &err);
    double start;

    if (rc == PRILORA_OK)
        rc = open_run(&r, &err);
    if (rc == PRILORA_OK) {
        tell_beginning(&r);
        start = clock_seconds();
        rc = prilora_run_train(r.run, &err);
        r.seconds = clock_seconds() - start;
    }
    conclude(&r, rc, &err);
    if (r.live)
        live_end(job->id);
    prilora_dataset_free(r.mismatched);
    prilora_dataset_free(r.valid);
    prilora_dataset_free(r.train);
    prilora_spec_free(r.spec);
    models_release(work->models, r.base);
}
