/*
 * report.c - see report.h. Everything here runs on the training thread, so it is little: steps are
 * gathered and written at most once a second, in one transaction.
 *
 * A database that cannot be written does not stop a training: rows wait here, and what they could
 * not wait for is told when it works again.
 */
#include "daemon/report.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/events.h"
#include "daemon/limits.h"
#include "daemon/json_memory.h"
#include "daemon/live.h"
#include "daemon/log.h"
#include "daemon/meters.h"

#define FLUSH_EVERY_S 1.0
#define WARN_EVERY_S  60.0

void report_open(struct report *report, struct store *store, const char *job_id)
{
    *report = (struct report){.store = store, .job_id = job_id, .train_loss = NAN};
    report->flushed_at = clock_seconds();
    report->warned_at = -WARN_EVERY_S;
}

void report_close(struct report *report)
{
    for (size_t i = 0; i < report->n_rows; i++)
        free(report->rows[i].json);
    free(report->rows);
    free(report->evaluation);
    *report = (struct report){0};
}

/* ---- JSON ---- */

/* Numbers that are not finite have no place in JSON: the member is left out. */
static void set_number(json_t **object, const char *name, double value)
{
    if (isfinite(value))
        json_put(object, name, json_real(value));
}

static void set_count(json_t **object, const char *name, uint64_t value)
{
    json_put(object, name, json_integer((json_int_t)value));
}

/* Takes the reference. */
static char *dump(json_t *object)
{
    char *text = object ? json_whole_text(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

    json_decref(object);
    return text;
}

static const char *public_name(const struct prilora_value *value)
{
    return strcmp(value->name, "loss") == 0 ? "valid_loss" : value->name;
}

json_t *report_values(const struct prilora_value *values, size_t n)
{
    json_t *object = json_object();

    for (size_t i = 0; i < n; i++)
        set_number(&object, public_name(&values[i]), values[i].value);
    return object;
}

static char *step_json(const struct prilora_event *e)
{
    json_t *object = json_object();

    set_count(&object, "step", e->step);
    set_number(&object, "epoch", e->epoch);
    set_number(&object, "train_loss", e->loss);
    set_number(&object, "learning_rate", e->learning_rate);
    set_number(&object, "grad_norm", e->grad_norm);
    set_number(&object, "tokens_per_second", e->tokens_per_second);
    return dump(object);
}

static json_t *evaluation_object(const struct report *report, const struct prilora_event *e)
{
    json_t *object = report_values(e->values, e->n_values);

    set_count(&object, "step", e->step);
    set_number(&object, "epoch", e->epoch);
    set_number(&object, "train_loss", report->train_loss);
    return object;
}

json_t *report_layer(const struct prilora_layer *l)
{
    json_t *o = json_object();

    json_put(&o, "module", json_string(l->module));
    json_put(&o, "map", json_string(l->map));
    set_count(&o, "layer", l->layer);
    set_count(&o, "rank", l->rank);
    set_count(&o, "in_features", l->in_features);
    set_count(&o, "out_features", l->out_features);
    set_number(&o, "alpha", l->alpha);
    set_number(&o, "scale", l->scale);
    set_count(&o, "n_parameters", l->n_parameters);
    set_count(&o, "n_prunable", l->n_prunable);
    set_count(&o, "n_nonzero", l->n_nonzero);
    set_number(&o, "sparsity", l->sparsity);
    set_number(&o, "a_norm", l->a_norm);
    set_number(&o, "b_norm", l->b_norm);
    set_number(&o, "update_norm", l->update_norm);
    set_number(&o, "input_min", l->input_min);
    set_number(&o, "input_mean", l->input_mean);
    set_number(&o, "input_max", l->input_max);
    set_count(&o, "n_prunings", l->n_prunings);
    set_count(&o, "last_pruning_step", l->last_pruning_step);
    set_count(&o, "last_pruned", l->last_pruned);
    set_number(&o, "churn", l->churn);
    return o;
}

/* NULL where no map is adapted. */
static char *layers_json(struct report *report, uint64_t step)
{
    uint64_t published;
    size_t n;
    struct prilora_layer *layers = live_copy_layers(report->run, &n, &published);
    json_t *array;

    if (!n) {
        free(layers);
        return NULL;
    }
    array = json_array();
    for (size_t i = 0; i < n; i++)
        json_add(&array, report_layer(&layers[i]));
    free(layers);
    return dump(json_pack("{s:I, s:o}", "step", (json_int_t)step, "layers", array));
}

/* ---- writing ---- */

/* Takes `json`. When there is no room left the row is lost, and counted. */
static void keep_row(struct report *report, uint64_t step, char *json)
{
    if (json && report->n_rows == report->room && report->room < REPORT_MAX_ROWS) {
        size_t room = report->room ? 2 * report->room : 64;
        struct report_row *more = reallocarray(report->rows, room, sizeof *more);

        if (more) {
            report->rows = more;
            report->room = room;
        }
    }
    if (json && report->n_rows < report->room) {
        report->rows[report->n_rows++] = (struct report_row){step, json};
    } else {
        report->n_lost++;
        free(json);
    }
}

static enum prilora_status write_rows(struct report *report, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; i < report->n_rows && rc == PRILORA_OK; i++)
        rc = series_merge(report->store, SERIES_METRICS, report->job_id, report->rows[i].step,
                          report->rows[i].json, err);
    if (rc == PRILORA_OK)
        rc = queue_progress(report->store, report->job_id, &report->progress, err);
    return rc;
}

static enum prilora_status tell_trouble(struct report *report, struct prilora_error *err)
{
    char message[sizeof report->trouble + 120];

    if (!report->trouble[0])
        return PRILORA_OK;
    snprintf(message, sizeof message,
             "For a while nothing could be written about this job (%s); %zu rows of metrics were "
             "lost",
             report->trouble, report->n_lost);
    return events_add(report->store, report->job_id, NULL, "warn", "message", message, NULL, err);
}

static void note_trouble(struct report *report, const struct prilora_error *err)
{
    snprintf(report->trouble, sizeof report->trouble, "%s", err->message);
    if (clock_seconds() - report->warned_at < WARN_EVERY_S)
        return;
    report->warned_at = clock_seconds();
    log_error("worker", "%s: %s; training goes on", report->job_id, err->message);
}

/* One more thing to write in the transaction of the rows. */
struct extra {
    enum series series;
    uint64_t step;
    const char *row;                                 /* JSON of the series, or NULL */
    const char *key, *level, *type, *message, *data; /* message NULL: no event */
    bool checkpointed;
};

static enum prilora_status write_extra(struct report *report, const struct extra *extra,
                                       struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    if (extra->row)
        rc = series_put(report->store, extra->series, report->job_id, extra->step, extra->row, err);
    if (rc == PRILORA_OK && extra->checkpointed)
        rc = queue_checkpointed(report->store, report->job_id, err);
    if (rc == PRILORA_OK && extra->message)
        rc = events_add(report->store, report->job_id, extra->key, extra->level, extra->type,
                        extra->message, extra->data, err);
    return rc;
}

static void write_all(struct report *report, const struct extra *extra)
{
    struct prilora_error err = {0};
    enum prilora_status rc = store_begin(report->store, &err);

    report->progress.peak_memory_bytes = limits_peak_bytes();
    report->flushed_at = clock_seconds();
    if (rc == PRILORA_OK) {
        rc = write_rows(report, &err);
        if (rc == PRILORA_OK)
            rc = tell_trouble(report, &err);
        if (rc == PRILORA_OK && extra)
            rc = write_extra(report, extra, &err);
        rc = store_end(report->store, rc, &err);
    }
    if (rc != PRILORA_OK) {
        note_trouble(report, &err);
        return;
    }
    for (size_t i = 0; i < report->n_rows; i++)
        free(report->rows[i].json);
    report->n_rows = 0;
    report->n_lost = 0;
    report->trouble[0] = '\0';
    events_notify(report->job_id);
}

/* Only that: how far the run is, is not known yet. */
static void write_alone(struct report *report, const struct extra *extra)
{
    struct prilora_error err = {0};
    enum prilora_status rc = store_begin(report->store, &err);

    if (rc == PRILORA_OK)
        rc = store_end(report->store, write_extra(report, extra, &err), &err);
    if (rc != PRILORA_OK)
        log_error("worker", "%s: %s", report->job_id, err.message);
    else
        events_notify(report->job_id);
}

void report_flush(struct report *report)
{
    write_all(report, NULL);
}

/* ---- events of the run ---- */

/*
 * Evaluations and checkpoints are events too, so that what has passed since the last one is the
 * step's own. A run's first step is not timed; nor are its tokens known if it is resumed.
 */
static void count_step(const struct report *report, const struct prilora_event *e)
{
    uint64_t before = report->progress.n_tokens;

    meters_add(METER_STEPS, 1);
    if ((before || e->step == 1) && e->n_tokens >= before)
        meters_add(METER_TOKENS, e->n_tokens - before);
    if (report->told_at > 0)
        meter_observe(&meter_step_seconds, clock_seconds() - report->told_at);
}

static void on_step(struct report *report, const struct prilora_event *e)
{
    count_step(report, e);
    report->progress = (struct job_progress){
        .step = e->step,
        .total_steps = e->total_steps,
        .n_tokens = e->n_tokens,
        .epoch = e->epoch,
        .loss = e->loss,
        .tokens_per_second = e->tokens_per_second,
        .seconds_left = e->seconds_left,
        .peak_memory_bytes = report->progress.peak_memory_bytes,
        .updated_at = store_now(),
    };
    report->train_loss = e->loss;
    live_progress(report->job_id, &report->progress);
    keep_row(report, e->step, step_json(e));
    if (clock_seconds() - report->flushed_at >= FLUSH_EVERY_S)
        write_all(report, NULL);
}

/* "Step 40 of 626: train_loss 0.5230, valid_loss 0.4120, accuracy 0.8710 (best so far)" */
static void evaluation_message(char *out, size_t room, double train_loss,
                               const struct prilora_event *e)
{
    FILE *text = fmemopen(out, room, "w"); /* cuts what does not fit */

    out[0] = '\0';
    if (!text)
        return;
    fprintf(text, "Step %llu of %llu: ", (unsigned long long)e->step,
            (unsigned long long)e->total_steps);
    if (isfinite(train_loss))
        fprintf(text, "train_loss %.4f, ", train_loss);
    for (size_t i = 0; i < e->n_values; i++)
        fprintf(text, "%s%s %.4f", i ? ", " : "", public_name(&e->values[i]), e->values[i].value);
    fputs(e->is_best ? " (best so far)" : "", text);
    fclose(text);
}

static void on_evaluation(struct report *report, const struct prilora_event *e)
{
    char key[64], message[600];
    json_t *object = evaluation_object(report, e);
    char *row = dump(json_incref(object)), *data;

    evaluation_message(message, sizeof message, report->train_loss, e);
    json_put(&object, "is_best", json_boolean(e->is_best));
    data = dump(object);
    free(report->evaluation);
    report->evaluation = data ? strdup(data) : NULL;
    keep_row(report, e->step, row);
    snprintf(key, sizeof key, "step:%llu:evaluation", (unsigned long long)e->step);
    write_all(report, &(struct extra){.key = key,
                                      .level = "info",
                                      .type = "metrics",
                                      .message = message,
                                      .data = data});
    free(data);
}

static void on_pruning(struct report *report, const struct prilora_event *e)
{
    char key[64], message[200];
    char *row = layers_json(report, e->step);

    snprintf(key, sizeof key, "step:%llu:pruning", (unsigned long long)e->step);
    snprintf(message, sizeof message,
             "Step %llu of %llu: pruned %zu entries of A; %zu of %zu are left (%.1f %%)",
             (unsigned long long)e->step, (unsigned long long)e->total_steps, e->n_pruned,
             e->n_nonzero, e->n_prunable,
             e->n_prunable ? 100.0 * (double)e->n_nonzero / (double)e->n_prunable : 0.0);
    write_all(report, &(struct extra){.series = SERIES_LAYERS,
                                      .step = e->step,
                                      .row = row,
                                      .key = key,
                                      .level = "info",
                                      .type = "message",
                                      .message = message});
    free(row);
}

void report_exported(struct report *report)
{
    uint64_t step = prilora_run_step(report->run);
    char *row = layers_json(report, step);

    write_all(report, &(struct extra){.series = SERIES_LAYERS, .step = step, .row = row});
    free(row);
}

/* A run that goes on from the checkpoint does not make these steps again. */
static void on_saving(struct report *report, const struct prilora_event *e)
{
    (void)e;
    if (report->n_rows)
        write_all(report, NULL);
}

/*
 * A checkpoint is listed for clients only if its metrics are known: the first after an evaluation.
 * Deaths before one that was just made are forgiven.
 */
static void tell_checkpoint(struct report *report, uint64_t step,
                            void (*write)(struct report *, const struct extra *))
{
    char key[64], message[120];
    json_t *metrics = report->evaluation ? json_loads(report->evaluation, 0, NULL) : NULL;
    json_t *best = json_object_get(metrics, "is_best");
    char *row = NULL;

    if (metrics) {
        json_t *object = json_pack("{s:I, s:O}", "step", (json_int_t)step, "is_best",
                                   best ? best : json_false());

        json_object_del(metrics, "is_best");
        json_put(&object, "metrics", metrics);
        row = dump(object);
    }
    free(report->evaluation);
    report->evaluation = NULL;
    snprintf(key, sizeof key, "step:%llu:checkpoint", (unsigned long long)step);
    snprintf(message, sizeof message, "Checkpoint created at step %llu", (unsigned long long)step);
    write(report, &(struct extra){.series = SERIES_CHECKPOINTS,
                                  .step = step,
                                  .row = row,
                                  .key = key,
                                  .level = "info",
                                  .type = "message",
                                  .message = message,
                                  .checkpointed = write == write_all});
    free(row);
}

static void on_checkpoint(struct report *report, const struct prilora_event *e)
{
    tell_checkpoint(report, e->step, write_all);
}

void report_resumed(struct report *report, uint64_t step)
{
    struct prilora_error err;

    if (events_last_data(report->store, report->job_id, "step:*:evaluation", "step:*:checkpoint",
                         &report->evaluation, &err) != PRILORA_OK)
        log_error("worker", "%s: %s", report->job_id, err.message);
    tell_checkpoint(report, step, write_alone);
}

static void on_warning(struct report *report, const struct prilora_event *e)
{
    char key[160];

    snprintf(key, sizeof key, "step:%llu:warning:%.100s", (unsigned long long)e->step, e->message);
    write_all(report, &(struct extra){
                          .key = key, .level = "warn", .type = "message", .message = e->message});
}

void report_event(void *report, const struct prilora_event *event)
{
    static void (*const handlers[])(struct report *, const struct prilora_event *) = {
        [PRILORA_EVENT_STEP] = on_step,       [PRILORA_EVENT_EVALUATION] = on_evaluation,
        [PRILORA_EVENT_PRUNING] = on_pruning, [PRILORA_EVENT_CHECKPOINT] = on_checkpoint,
        [PRILORA_EVENT_WARNING] = on_warning, [PRILORA_EVENT_SAVING] = on_saving,
    };

    if ((size_t)event->type < sizeof handlers / sizeof *handlers)
        handlers[event->type](report, event);
    ((struct report *)report)->told_at = clock_seconds();
}
