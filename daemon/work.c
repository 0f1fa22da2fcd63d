/* work.c - what validation and runs have in common: how jobs end, and with which error. */
#include "daemon/work.h"

#include <stdio.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/events.h"
#include "daemon/log.h"

#define RETRY_MS 2000

/* The first row whose stage and status match; ANY matches all. */
#define ANY -1
static const struct {
    int stage, status;
    const char *code, *param;
} failures[] = {
    {ANY, PRILORA_ENOMEM, "out_of_memory", NULL},
    {ANY, PRILORA_ENOSPC, "disk_full", NULL},
    {ANY, PRILORA_EBUSY, "database_busy", NULL},
    {WORK_MODEL, PRILORA_ENOENT, "model_not_found", "model"},
    {WORK_MODEL, PRILORA_EUNSUPPORTED, "unsupported_model", "model"},
    {WORK_MODEL, ANY, "invalid_model", "model"},
    {WORK_SPEC, ANY, "invalid_specification", "method"},
    {WORK_TRAINING, PRILORA_EIO, "io_error", "training_file"},
    {WORK_TRAINING, ANY, "invalid_training_file", "training_file"},
    {WORK_VALIDATION, PRILORA_EIO, "io_error", "validation_file"},
    {WORK_VALIDATION, ANY, "invalid_validation_file", "validation_file"},
    {WORK_MISMATCHED, PRILORA_EIO, "io_error", "task.mismatched_file"},
    {WORK_MISMATCHED, ANY, "invalid_validation_file", "task.mismatched_file"},
    {WORK_FIT, PRILORA_ELIMIT, "not_enough_memory", NULL},
    {WORK_FIT, PRILORA_EIO, "io_error", NULL},
    {WORK_FIT, ANY, "invalid_specification", "method"},
    {WORK_RUN, PRILORA_ENUMERIC, "training_diverged", NULL},
    {WORK_RUN, PRILORA_EMISMATCH, "checkpoint_mismatch", NULL},
    {WORK_RUN, PRILORA_EIO, "io_error", NULL},
    {WORK_RUN, PRILORA_ENOENT, "damaged_file", NULL},
    {WORK_RUN, PRILORA_EFORMAT, "damaged_file", NULL},
    {ANY, ANY, "training_failed", NULL},
};

void work_finish(struct work *work, const char *id, const struct job_end *end)
{
    struct prilora_error err;
    enum prilora_status rc;

    while ((rc = queue_finish(work->store, id, end, &err)) != PRILORA_OK) {
        log_error("worker", "%s: %s", id, err.message);
        if (rc == PRILORA_EMISMATCH || rc == PRILORA_ENOENT || atomic_load(&work->stopping))
            return;
        queue_wait(work->store, RETRY_MS);
    }
    log_info("worker", "%s: %s%s%s", id, job_status_name(end->status),
             end->error_message ? ": " : "", end->error_message ? end->error_message : "");
}

void work_name_failure(enum work_stage stage, enum prilora_status status, const char **code,
                       const char **param)
{
    size_t i = 0;

    while ((failures[i].stage != ANY && failures[i].stage != (int)stage) ||
           (failures[i].status != ANY && failures[i].status != (int)status))
        i++;
    *code = failures[i].code;
    *param = failures[i].param;
}

void work_fail(struct work *work, const char *id, enum work_stage stage,
               const struct prilora_error *err)
{
    struct job_end end = {.status = JOB_FAILED};
    char message[sizeof err->where + sizeof err->message + 4];
    bool say_where = err->where[0] && !strstr(err->message, err->where);

    snprintf(message, sizeof message, "%s%s%s", say_where ? err->where : "", say_where ? ": " : "",
             err->message);
    work_name_failure(stage, err->status, &end.error_code, &end.error_param);
    end.error_message = message;
    work_finish(work, id, &end);
}

bool work_wait(struct work *work, const char *id, const char *key, const char *message,
               bool (*may_stop)(void *context), void *context)
{
    double again = clock_seconds() + WORK_AGAIN_S;

    work_note(work, id, key, "warn", message);
    while (clock_seconds() < again) {
        if (may_stop(context))
            return false;
        queue_wait(work->store, 1000);
    }
    return true;
}

void work_note(struct work *work, const char *id, const char *key, const char *level,
               const char *message)
{
    struct prilora_error err;

    if (events_add_before_end(work->store, id, key, level, message, &err) == PRILORA_OK)
        events_notify(id);
    else
        log_error("worker", "%s: %s", id, err.message);
}
