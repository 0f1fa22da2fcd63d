/*
 * experiments.c - /v1/experiments: create, list, show, steer, delete. A grid's jobs are checked as
 * POST /v1/fine_tuning/jobs checks them, all before the first is queued.
 */
#include "api/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "api/creation.h"
#include "api/grid.h"
#include "api/idempotency.h"
#include "api/job_check.h"
#include "api/list.h"
#include "api/respond.h"
#include "daemon/error.h"
#include "daemon/experiments.h"
#include "daemon/predictor.h"

#define EXPERIMENTS_PER_PAGE     20
#define MAX_EXPERIMENTS_PER_PAGE 100

/* ---- showing ---- */

static void write_unless_zero(struct json_out *out, const char *name, int64_t value)
{
    if (value)
        json_out_integer(out, name, value);
    else
        json_out_null(out, name);
}

/* By all workers, from when a job last began or ended: not from now, so that the text changes only
 * when the jobs do. */
static int64_t estimated_finish(const struct api *api, const struct experiment *e)
{
    long workers = api->config->workers > 0 ? api->config->workers : 1;

    if (experiment_status(e) != JOB_RUNNING || e->seconds_left < 0 || !e->changed_at)
        return 0;
    return e->changed_at + (int64_t)(e->seconds_left / (double)workers);
}

static void write_jobs(struct json_out *out, const struct experiment *e)
{
    json_out_open(out, "jobs", '{');
    for (int status = 0; status <= JOB_CANCELLED; status++)
        json_out_integer(out, job_status_name((enum job_status)status), (int64_t)e->jobs[status]);
    json_out_close(out, '}');
}

static void write_experiment(struct json_out *out, struct api *api, const struct experiment *e)
{
    struct json_raw grid = json_raw_of(e->grid);

    json_out_open(out, NULL, '{');
    json_out_text(out, "id", e->id);
    json_out_text(out, "object", "experiment");
    json_out_integer(out, "created_at", e->created_at);
    json_out_text(out, "name", e->name);
    json_out_text(out, "model", e->model);
    json_out_text(out, "status", job_status_name(experiment_status(e)));
    write_unless_zero(out, "started_at", e->started_at);
    write_unless_zero(out, "finished_at", e->finished_at);
    write_unless_zero(out, "estimated_finish", estimated_finish(api, e));
    json_out_integer(out, "n_cells", e->n_cells);
    write_jobs(out, e);
    json_out_open(out, "progress", '{');
    json_out_real(out, "percent", e->n_cells ? 100 * e->n_done / (double)e->n_cells : 0);
    json_out_close(out, '}');
    json_out_raw(out, "methods", json_raw_member(grid, "methods"));
    json_out_raw(out, "tasks", json_raw_member(grid, "tasks"));
    json_out_raw(out, "seeds", json_raw_member(grid, "seeds"));
    json_out_raw(out, "metadata", json_raw_of(e->metadata));
    json_out_close(out, '}');
}

static void respond_failure(struct request *r, const struct prilora_error *err, const char *code)
{
    if (err->status == PRILORA_ENOENT)
        respond_error(r, 404, "experiment_not_found", "experiment_id", "no such experiment: %s",
                      r->captures[0]);
    else if (err->status == PRILORA_EMISMATCH)
        respond_error(r, 409, code, NULL, "%s", err->message);
    else
        respond_internal(r, err);
}

bool api_find_experiment(struct request *r, struct experiment *out)
{
    struct prilora_error err;

    if (experiments_get(r->api->store, r->captures[0], out, &err) == PRILORA_OK)
        return true;
    respond_failure(r, &err, NULL);
    return false;
}

static void respond_experiment(struct request *r)
{
    struct experiment e;
    struct json_out out = {0};

    if (!api_find_experiment(r, &e))
        return;
    write_experiment(&out, r->api, &e);
    experiment_clear(&e);
    respond_written(r, 200, &out);
}

void api_experiment_show(struct request *r)
{
    if (query_check(r, NULL))
        respond_experiment(r);
}

void api_experiment_list(struct request *r)
{
    static const struct page_rules rules = {EXPERIMENTS_PER_PAGE, MAX_EXPERIMENTS_PER_PAGE, false,
                                            NULL};
    struct page page;
    struct experiment *list;
    struct prilora_error err;
    struct json_out out = {0};
    size_t n;
    bool has_more;

    if (!page_read(r, &rules, &page))
        return;
    if (experiments_list(r->api->store, page.after, page.limit, &list, &n, &has_more, &err) !=
        PRILORA_OK) {
        list_respond_failure(r, &page, &err);
        return;
    }
    json_out_open_list(&out);
    for (size_t i = 0; i < n; i++)
        write_experiment(&out, r->api, &list[i]);
    experiments_free_list(list, n);
    json_out_close_list(&out, has_more);
    respond_written(r, 200, &out);
}

/* ---- creating ---- */

/* What a request makes: experiments_submit's two. */
struct making {
    struct grid grid;
    struct experiment experiment;
    struct experiment_order order;
};

static void making_clear(struct making *m)
{
    for (size_t i = 0; m->order.pairs && i < m->order.n_methods * m->order.n_tasks; i++) {
        job_clear(&m->order.pairs[i].job);
        prilora_spec_free(m->order.pairs[i].spec);
    }
    free(m->order.pairs);
    experiment_clear(&m->experiment);
    grid_clear(&m->grid);
}

/* Answers and returns false if the job of this method on this task cannot be. */
static bool make_pair(struct request *r, struct making *m, size_t method, size_t task)
{
    struct experiment_pair *pair = &m->order.pairs[method * m->grid.n_tasks + task];
    struct job_settings settings = {0};
    struct fault fault;
    struct prilora_error err = {0};
    char *body = grid_job(&m->grid, method, task);
    bool right = body && job_decode(body, strlen(body), &pair->job, &settings, &fault) &&
                 job_check(r->api, &pair->job, &settings, &fault, &err);

    if (right) {
        pair->spec = settings.spec;
        settings.spec = NULL;
        pair->job.experiment_method = strdup(grid_name(m->grid.methods, method));
        pair->job.experiment_task = strdup(grid_name(m->grid.tasks, task));
        right = pair->job.experiment_method && pair->job.experiment_task;
        if (!right)
            respond_json(r, 503, NULL);
    } else if (!body) {
        respond_json(r, 503, NULL);
    } else if (err.status != PRILORA_OK) {
        respond_internal(r, &err);
    } else {
        grid_place_fault(&m->grid, method, task, &fault);
        respond_fault(r, &fault);
    }
    job_settings_clear(&settings);
    free(body);
    return right;
}

static bool make_order(struct request *r, struct making *m)
{
    const struct grid *grid = &m->grid;

    m->order = (struct experiment_order){
        .pairs = calloc(grid->n_methods * grid->n_tasks, sizeof *m->order.pairs),
        .n_methods = grid->n_methods,
        .n_tasks = grid->n_tasks,
        .seeds = grid->seeds,
        .n_seeds = grid->n_seeds,
    };
    if (!m->order.pairs) {
        respond_json(r, 503, NULL);
        return false;
    }
    for (size_t method = 0; method < grid->n_methods; method++)
        for (size_t task = 0; task < grid->n_tasks; task++)
            if (!make_pair(r, m, method, task))
                return false;
    return true;
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

/* What the first job was told of itself that is the experiment's. */
static bool describe(struct request *r, struct making *m)
{
    const struct job *first = &m->order.pairs[0].job;
    const char *name = json_string_value(json_object_get(m->grid.body, "name"));
    struct experiment *e = &m->experiment;

    memcpy(e->key_id, r->caller, sizeof e->key_id);
    e->name = copy(name);
    e->model = copy(first->start_from ? first->start_from : first->model);
    e->metadata = copy(first->metadata);
    e->grid = grid_text(&m->grid);
    if ((!name || e->name) && e->model && (!first->metadata || e->metadata) && e->grid)
        return true;
    respond_json(r, 503, NULL);
    return false;
}

/* creation.write; the object is the struct experiment that was submitted. */
static enum prilora_status write_created(struct json_out *out, struct api *api, const void *object,
                                         struct prilora_error *err)
{
    const struct experiment *made = object;
    struct experiment e;
    enum prilora_status rc = experiments_get(api->store, made->id, &e, err);

    if (rc == PRILORA_OK)
        write_experiment(out, api, &e);
    experiment_clear(&e);
    return rc;
}

static void submit(struct request *r, struct making *m)
{
    struct prilora_error err;
    struct creation creation = {.write = write_created, .object = &m->experiment};
    enum prilora_status rc = creation_begin(&creation, r, &err);

    if (rc == PRILORA_OK)
        rc = experiments_submit(r->api->store, &m->experiment, &m->order, &err);
    if (creation_end(&creation, r, rc))
        return;
    if (rc == PRILORA_ENOENT) /* it was deleted since it was looked at */
        respond_error(r, 400,
                      strcmp(err.where, "model") == 0 ? "model_not_found" : "file_not_found",
                      err.where, "%s: %s", err.where, err.message);
    else if (rc == PRILORA_ELIMIT)
        respond_quota(r, &err);
    else
        respond_internal(r, &err);
}

void api_experiment_create(struct request *r)
{
    struct making m = {0};
    struct fault fault;

    if (!query_check(r, NULL) || !respond_unless_json(r))
        return;
    if (!grid_decode(r->body, r->n_body, &m.grid, &fault))
        respond_fault(r, &fault);
    else if (idempotency_check(r) && make_order(r, &m) && describe(r, &m))
        submit(r, &m);
    making_clear(&m);
}

/* ---- what is done to one ---- */

static void steer(struct request *r, enum queue_verb verb, const char *code)
{
    struct prilora_error err;

    if (!query_check(r, NULL))
        return;
    if (experiments_steer(r->api->store, r->captures[0], verb, &err) == PRILORA_OK)
        respond_experiment(r);
    else
        respond_failure(r, &err, code);
}

void api_experiment_cancel(struct request *r)
{
    steer(r, QUEUE_CANCEL, "experiment_is_over");
}

void api_experiment_pause(struct request *r)
{
    steer(r, QUEUE_PAUSE, "experiment_cannot_be_paused");
}

void api_experiment_resume(struct request *r)
{
    steer(r, QUEUE_RESUME, "experiment_is_not_paused");
}

void api_experiment_retry(struct request *r)
{
    struct prilora_error err;
    enum prilora_status rc;

    if (!query_check(r, NULL))
        return;
    rc = experiments_retry(r->api->store, r->captures[0], r->caller, &err);
    if (rc == PRILORA_OK)
        respond_experiment(r);
    else if (rc == PRILORA_ELIMIT)
        respond_quota(r, &err);
    else if (rc == PRILORA_ENOENT && err.where[0]) /* a file or model that its jobs need */
        respond_error(r, 409, "experiment_cannot_be_retried", NULL, "%s", err.message);
    else
        respond_failure(r, &err, "nothing_to_retry");
}

void api_experiment_delete(struct request *r)
{
    struct prilora_error err;
    char(*ids)[ID_SIZE];
    size_t n;

    if (!query_check(r, NULL))
        return;
    if (experiments_delete(r->api->store, r->captures[0], &ids, &n, &err) == PRILORA_OK) {
        for (size_t i = 0; i < n; i++)
            predictor_forget(r->api->predictor, ids[i]);
        respond_json(r, 200,
                     json_pack("{s:s, s:s, s:b}", "id", r->captures[0], "object", "experiment",
                               "deleted", 1));
    } else {
        respond_failure(r, &err, "experiment_cannot_be_deleted");
    }
    free(ids);
}
