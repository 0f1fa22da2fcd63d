/*
 * validate.c - a new job's files are read, checked and tokenized once; what comes out is kept in
 * the job's folder, and the job is queued with every setting spelled out and a forecast. The same
 * without keeping or telling anything is a look ahead, for who has not submitted the job yet.
 */
#include "daemon/work.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/clock.h"
#include "daemon/error.h"
#include "daemon/events.h"
#include "daemon/files.h"
#include "daemon/json_memory.h"
#include "daemon/log.h"
#include "daemon/meters.h"
#include "daemon/path.h"
#include "daemon/reads.h"
#include "daemon/speed.h"

#define MAX_BAD_ROWS_TOLD 20
#define MAX_UNUSED_TOLD   10
#define MIN_TO_HOLD_OUT   50 /* examples or questions; with fewer a tenth says nothing */
#define HELD_OUT          0.1
#define USUAL_FLOPS       4e10 /* of a thread, until a job has shown it */
#define MIB               (1024.0 * 1024.0)

struct bad_rows {
    size_t n; /* all that were told */
    size_t lines[MAX_BAD_ROWS_TOLD];
    char *reasons[MAX_BAD_ROWS_TOLD];
};

struct validation {
    struct work *work;
    bool is_silent; /* only a look ahead: nothing is told and nothing kept */
    const struct job *job;
    enum work_stage stage; /* for the error, if there is one */
    struct prilora_base *base;
    struct prilora_spec *spec;
    struct prilora_dataset *train, *valid, *mismatched;
    char *start; /* folder of the adapter that the job goes on from, or NULL */
    /* in reads.h; "": not there */
    char train_key[READS_KEY_SIZE], valid_key[READS_KEY_SIZE], mismatched_key[READS_KEY_SIZE];
    struct prilora_forecast forecast;
};

static void note(struct validation *v, const char *key, const char *level, const char *message)
{
    if (!v->is_silent)
        work_note(v->work, v->job->id, key, level, message);
}

/* ---- reading a file ---- */

static void keep_bad_row(void *context, size_t line, const char *reason)
{
    struct bad_rows *rows = context;

    if (rows->n < MAX_BAD_ROWS_TOLD) {
        rows->lines[rows->n] = line;
        rows->reasons[rows->n] = strdup(reason);
    }
    rows->n++;
}

static void tell_bad_rows(struct validation *v, const char *file_id, const char *name,
                          const struct bad_rows *rows)
{
    struct prilora_error err;
    enum prilora_status rc;

    if (!rows->n || v->is_silent)
        return;
    rc = store_begin(v->work->store, &err);
    for (size_t i = 0; i < rows->n && i < MAX_BAD_ROWS_TOLD && rc == PRILORA_OK; i++) {
        char key[96], message[400];

        snprintf(key, sizeof key, "bad:%s:%zu", file_id, rows->lines[i]);
        snprintf(message, sizeof message, "%.100s:%zu: %.250s", name, rows->lines[i],
                 rows->reasons[i] ? rows->reasons[i] : "bad row");
        rc = events_add_before_end(v->work->store, v->job->id, key, "error", message, &err);
    }
    rc = store_end(v->work->store, rc, &err);
    if (rc != PRILORA_OK)
        log_error("worker", "%s: %s", v->job->id, err.message);
}

/* What was uploaded may have been tampered with, or lost, on our disk. */
static enum prilora_status check_size(const char *path, const struct file *file,
                                      struct prilora_error *err)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        error_errno(err, path, "open");
        return err->status = PRILORA_EIO;
    }
    if (st.st_size == file->bytes)
        return PRILORA_OK;
    return error_set(err, PRILORA_EIO, "%s: has %lld bytes, but %lld were uploaded", path,
                     (long long)st.st_size, (long long)file->bytes);
}

/* What an option means must be in the key of reads.h, too. */
static enum prilora_status tokenize(struct validation *v, const struct file *file, const char *path,
                                    struct prilora_dataset **out, struct prilora_error *err)
{
    struct bad_rows rows = {0};
    enum prilora_status rc;
    struct prilora_dataset_options options = {
        .task = v->spec->task,
        .glue = v->spec->glue,
        .max_length = (size_t)v->spec->max_length,
        .doc_stride = v->spec->doc_stride > 0 ? (size_t)v->spec->doc_stride : 0,
        .train = v->train,
        .adapter = v->start,
        .name = file->filename,
        .bad_row = keep_bad_row,
        .context = &rows,
        .stop = &v->work->stopping,
    };

    rc = prilora_dataset_read(out, v->base, path, &options, err);
    if (rc != PRILORA_OK)
        tell_bad_rows(v, file->id, file->filename, &rows);
    else if (!v->is_silent)
        meters_add(METER_FILES_READ, 1);
    for (size_t i = 0; i < MAX_BAD_ROWS_TOLD; i++)
        free(rows.reasons[i]);
    return rc;
}

/* The same, but read once for all jobs of experiments that read it alike. Sharing that fails for
 * any reason of its own only costs time. */
static enum prilora_status tokenize_once(struct validation *v, const struct file *file,
                                         const char *path, char key[READS_KEY_SIZE],
                                         struct prilora_dataset **out, struct prilora_error *err)
{
    const struct reading reading = {v->base, v->spec, file, v->train};
    struct prilora_error why;
    enum prilora_status rc = reads_key(key, &reading, err);

    if (rc != PRILORA_OK)
        return rc;
    if (reads_find(v->work->store, key, out, &why) == PRILORA_OK) {
        meters_add(METER_FILES_SHARED, 1);
        return PRILORA_OK;
    }
    rc = tokenize(v, file, path, out, err);
    if (rc == PRILORA_OK && reads_keep(v->work->store, key, *out, &why) != PRILORA_OK) {
        log_warn("worker", "%s: %s", v->job->id, why.message);
        key[0] = '\0';
    }
    return rc;
}

static enum prilora_status read_file(struct validation *v, const char *file_id,
                                     char key[READS_KEY_SIZE], struct prilora_dataset **out,
                                     struct prilora_error *err)
{
    struct file file;
    char *path = files_path(v->work->store, file_id);
    enum prilora_status rc = files_get(v->work->store, file_id, &file, err);

    if (rc == PRILORA_OK && !path)
        rc = error_memory(err);
    if (rc == PRILORA_OK)
        rc = check_size(path, &file, err);
    if (rc == PRILORA_OK)
        rc = v->job->experiment && !v->start && !v->is_silent
                 ? tokenize_once(v, &file, path, key, out, err)
                 : tokenize(v, &file, path, out, err);
    file_clear(&file);
    free(path);
    return rc;
}

/* What is held out, or not: a question's windows stay together. */
static size_t n_units(const struct prilora_dataset_info *info)
{
    return info->task == PRILORA_TASK_QUESTION_ANSWERING ? info->n_questions : info->n_examples;
}

/* Without a validation file, a tenth of the training data becomes one. */
static enum prilora_status hold_out(struct validation *v, struct prilora_error *err)
{
    struct prilora_dataset_info all, held;
    enum prilora_status rc;
    char message[200];
    const char *units;

    prilora_dataset_describe(v->train, &all);
    units = all.task == PRILORA_TASK_QUESTION_ANSWERING ? "questions" : "examples";
    if (n_units(&all) < MIN_TO_HOLD_OUT) {
        snprintf(message, sizeof message,
                 "No validation file, and too few %s to hold some out: nothing is evaluated while "
                 "training",
                 units);
        note(v, "held_out", "warn", message);
        return PRILORA_OK;
    }
    rc = prilora_dataset_split(v->train, &v->valid, HELD_OUT, v->spec->seed, err);
    if (rc != PRILORA_OK)
        return rc;
    v->train_key[0] = '\0'; /* it is another one now */
    prilora_dataset_describe(v->valid, &held);
    snprintf(message, sizeof message,
             "No validation file: %zu of the %zu training %s, chosen by the seed, are held out for "
             "validation",
             n_units(&held), n_units(&all), units);
    note(v, "held_out", "info", message);
    return PRILORA_OK;
}

static enum prilora_status read_data(struct validation *v, struct prilora_error *err)
{
    struct prilora_dataset_info info;
    enum prilora_status rc;

    v->stage = WORK_TRAINING;
    rc = read_file(v, v->job->training_file, v->train_key, &v->train, err);
    if (rc != PRILORA_OK)
        return rc;
    prilora_dataset_describe(v->train, &info);
    v->spec->task = info.task;
    if (v->spec->mismatched_file[0]) {
        v->stage = WORK_MISMATCHED;
        rc = read_file(v, v->spec->mismatched_file, v->mismatched_key, &v->mismatched, err);
    }
    if (rc != PRILORA_OK)
        return rc;
    v->stage = WORK_VALIDATION;
    if (v->job->validation_file)
        return read_file(v, v->job->validation_file, v->valid_key, &v->valid, err);
    v->stage = WORK_TRAINING;
    return hold_out(v, err);
}

static enum prilora_status save(struct validation *v, const struct prilora_dataset *data,
                                const char *key, const char *name, struct prilora_error *err)
{
    char *path = queue_folder(v->work->store, v->job->id, name);
    enum prilora_status rc = path ? PRILORA_OK : error_memory(err);
    bool linked = path && *key && reads_link(v->work->store, key, path, err) == PRILORA_OK;

    if (path && !linked)
        rc = prilora_dataset_save(data, path, err);
    free(path);
    return rc;
}

static enum prilora_status save_data(struct validation *v, struct prilora_error *err)
{
    enum prilora_status rc = save(v, v->train, v->train_key, "train.tokens", err);

    if (rc == PRILORA_OK && v->valid)
        rc = save(v, v->valid, v->valid_key, "valid.tokens", err);
    if (rc == PRILORA_OK && v->mismatched)
        rc = save(v, v->mismatched, v->mismatched_key, "mismatched.tokens", err);
    return rc;
}

/* ---- the adapter that it goes on from ---- */

static enum prilora_status copy_files(const char *from, const char *to, struct prilora_error *err)
{
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors",
                                        "labels.json"};
    enum prilora_status rc = path_make_folder(to, err);

    for (size_t i = 0; i < sizeof files / sizeof *files && rc == PRILORA_OK; i++) {
        char *source = text_format("%s/%s", from, files[i]);
        char *copy = text_format("%s/%s", to, files[i]);

        rc = source && copy ? path_copy(source, copy, err) : error_memory(err);
        free(source);
        free(copy);
    }
    return rc == PRILORA_OK ? path_sync_folder(to, err) : rc;
}

/* Where the other job has it; free it. */
static enum prilora_status find_start(struct validation *v, char **out, struct prilora_error *err)
{
    struct job made;
    enum prilora_status rc = queue_find_model(v->work->store, v->job->start_from, &made, err);

    *out = NULL;
    if (rc != PRILORA_OK)
        return rc;
    *out = queue_folder(v->work->store, made.id, "adapter");
    job_clear(&made);
    return *out ? PRILORA_OK : error_memory(err);
}

/* The job's own copy: from now on the other job may be deleted, and every start is the same. */
static enum prilora_status copy_start(struct validation *v, struct prilora_error *err)
{
    char *from;
    enum prilora_status rc = find_start(v, &from, err);

    if (rc != PRILORA_OK)
        return rc;
    v->start = queue_folder(v->work->store, v->job->id, "start");
    rc = v->start ? copy_files(from, v->start, err) : error_memory(err);
    free(from);
    return rc;
}

/* An empty folder for the job, but for what it starts from; nothing is made for a look ahead. */
static enum prilora_status prepare_folder(struct validation *v, struct prilora_error *err)
{
    char *folder;
    enum prilora_status rc;

    if (v->is_silent)
        return v->job->start_from ? find_start(v, &v->start, err) : PRILORA_OK;
    folder = queue_folder(v->work->store, v->job->id, NULL);
    rc = folder ? path_make_folder(folder, err) : error_memory(err);
    if (rc == PRILORA_OK)
        rc = path_empty(folder, NULL, err); /* of a validation that was cut off */
    free(folder);
    if (rc != PRILORA_OK || !v->job->start_from)
        return rc;
    v->stage = WORK_MODEL;
    return copy_start(v, err);
}

/* ---- telling what came out ---- */

/* Of the whole run on this machine; `each`: operations per second of a thread. */
static double seconds_needed(const struct validation *v, double each)
{
    return v->forecast.flops / (each * (double)worker_threads(v->work->config));
}

static char *forecast_text(const struct validation *v)
{
    double each = speed_get(v->work->store);
    json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "memory_bytes",
                               (json_int_t)v->forecast.memory_bytes, "base_bytes",
                               (json_int_t)v->forecast.base_bytes, "n_trainable",
                               (json_int_t)v->forecast.n_trainable, "n_adapter",
                               (json_int_t)v->forecast.n_adapter, "total_steps",
                               (json_int_t)v->forecast.total_steps, "flops", v->forecast.flops,
                               "seconds", seconds_needed(v, each > 0 ? each : USUAL_FLOPS));
    char *text = object ? json_whole_text(object, JSON_COMPACT) : NULL;

    json_decref(object);
    return text;
}

static void tell_counts(struct validation *v, const char *key, const char *what,
                        const struct prilora_dataset *data)
{
    struct prilora_dataset_info info;
    char message[300];
    int n;

    prilora_dataset_describe(data, &info);
    n = snprintf(message, sizeof message,
                 "%s: %zu examples, %zu tokens, the longest example has %zu, %zu truncated", what,
                 info.n_examples, info.n_tokens, info.longest, info.n_truncated);
    if (info.task == PRILORA_TASK_CLASSIFICATION && info.n_examples && n > 0)
        snprintf(message + n, sizeof message - (size_t)n,
                 "; %zu labels, the most frequent is %.1f %% of all", info.n_labels,
                 100.0 * (double)info.majority / (double)info.n_examples);
    else if (info.task == PRILORA_TASK_TOKEN_CLASSIFICATION && n > 0)
        snprintf(message + n, sizeof message - (size_t)n,
                 "; %zu tagged words, %zu more were cut off; %zu tags", info.n_words, info.n_cut,
                 info.n_labels);
    else if (info.task == PRILORA_TASK_MULTI_LABEL && n > 0)
        snprintf(message + n, sizeof message - (size_t)n, "; %zu labels", info.n_labels);
    else if (info.task == PRILORA_TASK_QUESTION_ANSWERING && n > 0)
        snprintf(message + n, sizeof message - (size_t)n,
                 "; the examples are windows on the contexts of %zu questions", info.n_questions);
    note(v, key, "info", message);
}

/* The checkpoint's tensors that nothing here reads, such as the heads of its pretraining. */
static void tell_unused(struct validation *v)
{
    struct prilora_base_info info;
    char message[1200];
    size_t used;

    prilora_base_describe(v->base, &info);
    if (!info.n_unused)
        return;
    used =
        (size_t)snprintf(message, sizeof message,
                         "%zu tensors of the base model's checkpoint are not used:", info.n_unused);
    for (size_t i = 0; i < info.n_unused && i < MAX_UNUSED_TOLD && used < sizeof message; i++)
        used += (size_t)snprintf(message + used, sizeof message - used, "%s %.100s", i ? "," : "",
                                 prilora_base_unused(v->base, i));
    if (info.n_unused > MAX_UNUSED_TOLD && used < sizeof message)
        snprintf(message + used, sizeof message - used, ", …");
    note(v, "unused", "info", message);
}

static void tell(struct validation *v)
{
    const struct prilora_forecast *f = &v->forecast;
    char message[300];

    tell_unused(v);
    tell_counts(v, "counts:training", "Training data", v->train);
    if (v->valid)
        tell_counts(v, "counts:validation", "Validation data", v->valid);
    if (v->mismatched)
        tell_counts(v, "counts:mismatched", "Mismatched validation data", v->mismatched);
    snprintf(message, sizeof message,
             "Forecast: %llu steps, %zu trainable parameters (%zu in adapters), %.0f MiB of "
             "memory (%.0f MiB of them the shared base model)",
             (unsigned long long)f->total_steps, f->n_trainable, f->n_adapter,
             (double)f->memory_bytes / MIB, (double)f->base_bytes / MIB);
    note(v, "forecast", "info", message);
}

/* ---- the whole ---- */

static enum prilora_status check_job(struct validation *v, struct prilora_error *err)
{
    struct prilora_dataset_info mismatched;
    enum prilora_status rc;

    v->stage = WORK_MODEL;
    rc = models_acquire(v->work->models, v->job->model, &v->base, err);
    if (rc != PRILORA_OK)
        return rc;
    v->stage = WORK_SPEC;
    rc = json_memory_spec(&v->spec, v->job->spec, err);
    v->stage = rc == PRILORA_OK ? WORK_FIT : v->stage;
    if (rc == PRILORA_OK)
        rc = prepare_folder(v, err);
    if (rc == PRILORA_OK)
        rc = read_data(v, err);
    if (rc != PRILORA_OK)
        return rc;
    v->stage = WORK_FIT;
    rc = worker_forecast(&v->forecast, v->work->config, v->base, v->spec, v->train, v->valid, err);
    if (rc == PRILORA_OK && v->mismatched) {
        prilora_dataset_describe(v->mismatched, &mismatched);
        v->forecast.memory_bytes += mismatched.bytes;
    }
    if (rc == PRILORA_OK)
        rc = worker_check_memory(v->work->config, &v->forecast, err);
    return rc;
}

static enum prilora_status queue_it(struct validation *v, struct prilora_error *err)
{
    char *spec = prilora_spec_dump(v->spec), *forecast = forecast_text(v);
    char *folder = queue_folder(v->work->store, v->job->id, NULL);
    enum prilora_status rc;

    tell(v);
    rc = spec && forecast && folder
             ? queue_validated(v->work->store, v->job->id, spec, forecast, err)
             : error_memory(err);
    if (rc == PRILORA_EMISMATCH || rc == PRILORA_ENOENT) { /* cancelled meanwhile, or deleted */
        path_remove(folder, NULL);
        rc = PRILORA_OK;
    }
    free(spec);
    free(forecast);
    free(folder);
    return rc;
}

/* The folder goes with the job; one that was cancelled meanwhile had its folder made again here. */
static void give_up(struct validation *v, const struct prilora_error *err)
{
    struct prilora_error ignored;
    char *folder = queue_folder(v->work->store, v->job->id, NULL);

    work_fail(v->work, v->job->id, v->stage, err);
    if (folder && path_remove(folder, &ignored) != PRILORA_OK)
        log_warn("worker", "%s", ignored.message);
    free(folder);
}

/* The daemon ends: the job is validated when it is back, unless a client has ended it meanwhile. */
static void put_back(struct validation *v)
{
    struct prilora_error err;
    char *folder = queue_folder(v->work->store, v->job->id, NULL);
    enum prilora_status rc = queue_unclaim(v->work->store, v->job->id, &err);

    if (folder && (rc == PRILORA_EMISMATCH || rc == PRILORA_ENOENT))
        rc = path_remove(folder, &err);
    if (rc != PRILORA_OK)
        log_error("worker", "%s: %s", v->job->id, err.message); /* found again at the next start */
    free(folder);
}

static void validation_close(struct validation *v)
{
    free(v->start);
    prilora_dataset_free(v->mismatched);
    prilora_dataset_free(v->valid);
    prilora_dataset_free(v->train);
    prilora_spec_free(v->spec);
    models_release(v->work->models, v->base);
}

static enum prilora_status validate(struct validation *v, struct prilora_error *err)
{
    unsigned long before = json_memory_refusals();
    enum prilora_status rc = check_job(v, err);

    if (json_memory_refusals() != before) /* rows may say something else */
        rc = error_memory(err);
    if (rc == PRILORA_OK)
        rc = save_data(v, err);
    return rc == PRILORA_OK ? queue_it(v, err) : rc;
}

/* Whether the daemon stops, or a client has ended the job. */
static bool may_stop(void *context)
{
    const struct validation *v = context;
    struct job job;
    enum prilora_status rc = queue_get(v->work->store, v->job->id, &job, NULL);
    bool over = rc == PRILORA_ENOENT || (rc == PRILORA_OK && job.status != JOB_VALIDATING);

    job_clear(&job);
    return over || atomic_load(&v->work->stopping);
}

/* A full disk is waited for, as an export waits for it. */
void work_validate(struct work *work, const struct job *job)
{
    struct validation v = {.work = work, .job = job};
    struct prilora_error err = {0};
    double give_up_at = clock_seconds() + WORK_PATIENCE_S;
    enum prilora_status rc;

    log_info("worker", "%s: validating", job->id);
    while ((rc = validate(&v, &err)) == PRILORA_ENOSPC &&
           clock_seconds() + WORK_AGAIN_S < give_up_at) {
        validation_close(&v);
        v = (struct validation){.work = work, .job = job};
        if (!work_wait(work, job->id, "validation", err.message, may_stop, &v)) {
            rc = PRILORA_ESTOPPED;
            break;
        }
    }
    if (rc == PRILORA_ESTOPPED)
        put_back(&v);
    else if (rc != PRILORA_OK)
        give_up(&v, &err);
    validation_close(&v);
    if (job->experiment)
        reads_trim(work->store);
}

/* ---- only a look ahead ---- */

static enum prilora_status describe(struct validation *v, struct worker_outlook *out,
                                    struct prilora_error *err)
{
    struct prilora_base_info base;
    double each = speed_get(v->work->store);

    out->forecast = v->forecast;
    out->seconds = each > 0 ? seconds_needed(v, each) : -1;
    prilora_dataset_describe(v->train, &out->train);
    if (v->valid)
        prilora_dataset_describe(v->valid, &out->valid);
    prilora_base_describe(v->base, &base);
    if (v->spec->method == PRILORA_METHOD_HEAD)
        return PRILORA_OK; /* no ranks */
    out->n_layers = base.n_layers < PRILORA_MAX_LAYERS ? base.n_layers : PRILORA_MAX_LAYERS;
    return prilora_spec_ranks(v->spec, out->n_layers, out->ranks, err);
}

enum prilora_status worker_look_ahead(struct worker_outlook *out, const struct config *config,
                                      struct store *store, struct models *models,
                                      const struct job *job, struct prilora_error *err)
{
    struct work work = {.config = config, .store = store, .models = models};
    struct validation v = {.work = &work, .job = job, .is_silent = true};
    enum prilora_status rc = check_job(&v, err);

    *out = (struct worker_outlook){0};
    if (rc == PRILORA_OK)
        rc = describe(&v, out, err);
    if (rc != PRILORA_OK)
        work_name_failure(v.stage, rc, &out->error_code, &out->error_param);
    validation_close(&v);
    return rc;
}
