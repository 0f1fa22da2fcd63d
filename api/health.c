/* health.c - /livez and /readyz, for whoever watches over the daemon. */
#include "api/handlers.h"

#include "api/list.h"
#include "api/respond.h"
#include "daemon/log.h"

void api_livez(struct request *r)
{
    if (query_check(r, NULL))
        respond_json(r, 200, json_pack("{s:s, s:s}", "status", "ok", "version", prilora_version()));
}

void api_readyz(struct request *r)
{
    uint64_t counts[JOB_CANCELLED + 1];
    struct prilora_error err;
    json_t *jobs;

    if (!query_check(r, NULL))
        return;
    if (queue_counts(r->api->store, counts, &err) != PRILORA_OK) {
        log_error("http", "%s: not ready: %s", r->id, err.message);
        respond_error(r, 503, "not_ready", NULL, "the database does not answer");
        return;
    }
    jobs = json_object();
    for (int status = 0; status <= JOB_CANCELLED; status++)
        json_object_set_new(jobs, job_status_name(status),
                            json_integer((json_int_t)counts[status]));
    respond_json(r, 200, json_pack("{s:s, s:o}", "status", "ok", "jobs", jobs));
}
