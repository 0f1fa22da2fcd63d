/*
 * job_steer.c - what is done to a job that is there: cancel, pause, resume, edit, delete. The queue
 * decides what its state allows; here its refusals become answers.
 */
#include "api/handlers.h"

#include <jansson.h>
#include <stdlib.h>

#include "api/job_codec.h"
#include "api/list.h"
#include "api/respond.h"
#include "daemon/predictor.h"

/* A change that the queue has refused: `code` says it to machines. */
static void respond_refused(struct request *r, enum prilora_status rc, const char *code,
                            const struct prilora_error *err)
{
    if (rc == PRILORA_EMISMATCH)
        respond_error(r, 409, code, NULL, "%s", err->message);
    else if (rc == PRILORA_ENOENT)
        respond_error(r, 404, "job_not_found", "fine_tuning_job_id", "%s", err->message);
    else
        respond_internal(r, err);
}

/* Requests without a body whose answer is the job as it is then. */
static void steer(struct request *r, const char *code,
                  enum prilora_status (*change)(struct store *store, const char *id,
                                                struct job *out, struct prilora_error *err))
{
    struct job job;
    struct prilora_error err;
    enum prilora_status rc;

    if (!query_check(r, NULL))
        return;
    rc = change(r->api->store, r->captures[0], &job, &err);
    if (rc == PRILORA_OK)
        api_respond_job(r, &job);
    else
        respond_refused(r, rc, code, &err);
    job_clear(&job);
}

void api_job_cancel(struct request *r)
{
    steer(r, "job_is_over", queue_cancel);
}

void api_job_pause(struct request *r)
{
    steer(r, "job_cannot_be_paused", queue_pause);
}

void api_job_resume(struct request *r)
{
    steer(r, "job_is_not_paused", queue_resume);
}

void api_job_edit(struct request *r)
{
    struct queue_edit edit = {0};
    struct job job = {0};
    struct fault fault;
    struct prilora_error err;
    enum prilora_status rc;

    if (!query_check(r, NULL) || !api_find_job(r, &job))
        return;
    job_clear(&job);
    if (!respond_unless_json(r))
        return;
    if (!job_decode_edit(r->body, r->n_body, &edit, &fault)) {
        respond_fault(r, &fault);
        return;
    }
    rc = queue_edit(r->api->store, r->captures[0], &edit, &job, &err);
    if (rc == PRILORA_OK)
        api_respond_job(r, &job);
    else
        respond_refused(r, rc, "job_is_over", &err);
    job_clear(&job);
    free(edit.metadata);
}

void api_job_delete(struct request *r)
{
    const char *id = r->captures[0];
    struct prilora_error err;
    enum prilora_status rc;

    if (!query_check(r, NULL))
        return;
    rc = queue_delete(r->api->store, id, &err);
    if (rc == PRILORA_OK)
        predictor_forget(r->api->predictor, id);
    if (rc == PRILORA_OK)
        respond_json(r, 200,
                     json_pack("{s:s, s:s, s:b}", "id", id, "object", "fine_tuning.job", "deleted",
                               1));
    else
        respond_refused(r, rc, "job_cannot_be_deleted", &err);
}
