/* models.c - /v1/models: the base models in the configured folders, and finished adapters. */
#include "api/handlers.h"

#include <stdio.h>
#include <string.h>

#include "api/json.h"
#include "api/list.h"
#include "api/respond.h"

#define OWNER_OF_BASES    "base"
#define OWNER_OF_ADAPTERS "org-prilorad"

static json_t *encode_base(const struct model_entry *entry)
{
    return json_pack("{s:s, s:s, s:I, s:s}", "id", entry->id, "object", "model", "created",
                     (json_int_t)entry->created, "owned_by", OWNER_OF_BASES);
}

static json_t *encode_adapter(const struct job *job)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "id", job->fine_tuned_model, "object",
                     "model", "created", (json_int_t)job->finished_at, "owned_by",
                     OWNER_OF_ADAPTERS, "base_model", job->model, "fine_tuning_job_id", job->id);
}

static enum prilora_status append_bases(struct api *api, json_t *data, struct prilora_error *err)
{
    struct model_entry *entries;
    size_t n;
    enum prilora_status rc = models_list(api->models, &entries, &n, err);

    if (rc != PRILORA_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        json_array_append_new(data, encode_base(&entries[i]));
    models_free_list(entries, n);
    return PRILORA_OK;
}

static enum prilora_status append_adapters(struct api *api, json_t *data, struct prilora_error *err)
{
    struct job *jobs;
    size_t n;
    enum prilora_status rc = queue_list_models(api->store, &jobs, &n, err);

    if (rc != PRILORA_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        json_array_append_new(data, encode_adapter(&jobs[i]));
    queue_free_list(jobs, n);
    return PRILORA_OK;
}

void api_model_list(struct request *r)
{
    struct prilora_error err;
    json_t *data;

    if (!query_check(r, NULL))
        return;
    data = json_array();
    if (append_bases(r->api, data, &err) != PRILORA_OK ||
        append_adapters(r->api, data, &err) != PRILORA_OK) {
        json_decref(data);
        respond_internal(r, &err);
        return;
    }
    respond_json(r, 200, list_make(data, false, false));
}

/* What the path names. Answers and returns NULL if it is nothing. */
static json_t *find(struct request *r, bool *is_base)
{
    const char *id = r->captures[0];
    struct model_entry entry;
    struct job job;
    struct prilora_error err;
    json_t *object = NULL;
    enum prilora_status rc = models_find(r->api->models, id, &entry, &err);

    *is_base = rc == PRILORA_OK;
    if (*is_base) {
        object = encode_base(&entry);
        model_entry_clear(&entry);
    } else if (rc == PRILORA_ENOENT) {
        rc = queue_find_model(r->api->store, id, &job, &err);
        if (rc == PRILORA_OK) {
            object = encode_adapter(&job);
            job_clear(&job);
        }
    }
    if (rc == PRILORA_ENOENT)
        respond_error(r, 404, "model_not_found", "model", "no such model: %s", id);
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    else if (!object)
        respond_json(r, 200, NULL); /* out of memory */
    return object;
}

void api_model_show(struct request *r)
{
    bool is_base;
    json_t *object = query_check(r, NULL) ? find(r, &is_base) : NULL;

    if (object)
        respond_json(r, 200, object);
}

void api_model_delete(struct request *r)
{
    const char *id = r->captures[0];
    bool is_base;
    struct prilora_error err;
    json_t *object = query_check(r, NULL) ? find(r, &is_base) : NULL;
    char job_id[ID_SIZE];
    const char *of;
    enum prilora_status rc;

    if (!object)
        return;
    of = json_string_value(json_object_get(object, "fine_tuning_job_id"));
    snprintf(job_id, sizeof job_id, "%s", of ? of : "");
    json_decref(object);
    if (is_base) {
        respond_error(r, 403, "base_model", "model",
                      "%s is a base model: only finished adapters can be deleted", id);
        return;
    }
    rc = queue_delete_model(r->api->store, id, &err);
    if (rc == PRILORA_ENOENT)
        respond_error(r, 404, "model_not_found", "model", "no such model: %s", id);
    else if (rc == PRILORA_EMISMATCH)
        respond_error(r, 409, "model_in_use", "model", "%s", err.message);
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    if (rc != PRILORA_OK)
        return;
    predictor_forget(r->api->predictor, job_id);
    respond_json(r, 200, json_pack("{s:s, s:s, s:b}", "id", id, "object", "model", "deleted", 1));
}
