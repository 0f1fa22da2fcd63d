/*
 * predictor_cache.c - see predictor_cache.h.
 *
 * An open adapter holds its base as a job does, so the base is closed only after the adapter. A
 * base counts once however many adapters stand on it.
 */
#include "daemon/predictor_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/error.h"
#include "daemon/json_memory.h"
#include "daemon/log.h"
#include "daemon/queue.h"

#define MIB (1024.0 * 1024.0)

/* Threads that no open adapter computes with end. */
static void let_team_go(struct predictor_cache *cache)
{
    if (cache->first)
        return;
    prilora_team_free(cache->team);
    cache->team = NULL;
}

static void close_entry(struct predictor_cache *cache, struct cached_adapter *entry)
{
    prilora_adapter_close(entry->adapter);
    models_release(cache->models, entry->base);
    free(entry);
}

/* The entry that *at points at goes. */
static void drop(struct predictor_cache *cache, struct cached_adapter **at, const char *why)
{
    struct cached_adapter *entry = *at;

    *at = entry->next;
    log_debug("predictor", "%s: closed, %s", entry->job_id, why);
    close_entry(cache, entry);
    let_team_go(cache);
}

/* ---- memory ---- */

/* What computing with the base makes resident: its weights, widened if they are narrower. */
static size_t base_bytes(const struct prilora_base *base)
{
    struct prilora_base_info info;
    size_t wide;

    prilora_base_describe(base, &info);
    wide = info.n_parameters * sizeof(float);
    return info.resident_bytes + (wide > info.mapped_bytes ? wide : info.mapped_bytes);
}

static uint64_t total_bytes(const struct predictor_cache *cache)
{
    uint64_t total = 0;

    for (const struct cached_adapter *e = cache->first; e; e = e->next) {
        const struct cached_adapter *before = cache->first;

        while (before->base != e->base)
            before = before->next;
        total += e->bytes + (before == e ? e->base_bytes : 0);
    }
    return total;
}

/* Closes the last ones until the rest keeps to the limit; the first one stays. */
static void make_room(struct predictor_cache *cache)
{
    while (total_bytes(cache) > cache->limit_bytes && cache->first->next) {
        struct cached_adapter **last = &cache->first->next;

        while ((*last)->next)
            last = &(*last)->next;
        drop(cache, last, "others need its memory");
    }
}

/* ---- opening ---- */

static enum prilora_status open_entry(struct predictor_cache *cache, struct cached_adapter *entry,
                                      const struct prediction *prediction,
                                      enum prediction_stage *stage, struct prilora_error *err)
{
    struct prilora_adapter_info info;
    enum prilora_status rc;
    unsigned long before;
    char *folder;

    *stage = PREDICTION_BASE;
    rc = models_acquire(cache->models, prediction->base, &entry->base, err);
    if (rc != PRILORA_OK)
        return rc;
    *stage = PREDICTION_ADAPTER;
    if (!cache->team)
        rc = prilora_team_new(&cache->team, cache->n_threads, err);
    if (rc != PRILORA_OK)
        return rc;
    folder = queue_folder(cache->store, prediction->job_id, "adapter");
    before = json_memory_refusals();
    rc = folder ? prilora_adapter_open(&entry->adapter, entry->base, folder, cache->team, err)
                : error_memory(err);
    free(folder);
    if (rc == PRILORA_OK && json_memory_refusals() != before)
        rc = error_memory(err);
    if (rc != PRILORA_OK)
        return rc;
    prilora_adapter_describe(entry->adapter, &info);
    entry->bytes = info.resident_bytes;
    entry->base_bytes = base_bytes(entry->base);
    snprintf(entry->job_id, sizeof entry->job_id, "%s", prediction->job_id);
    log_debug("predictor", "%s: open, %.0f MiB and %.0f MiB of its base", entry->job_id,
              (double)entry->bytes / MIB, (double)entry->base_bytes / MIB);
    return PRILORA_OK;
}

static enum prilora_status check_limit(const struct predictor_cache *cache,
                                       struct prilora_error *err)
{
    uint64_t total = total_bytes(cache);

    if (total <= cache->limit_bytes)
        return PRILORA_OK;
    return error_set(err, PRILORA_ELIMIT,
                     "the adapter and its base need %.0f MiB of memory, but "
                     "predictions.memory_limit_mb is %.0f",
                     (double)total / MIB, (double)cache->limit_bytes / MIB);
}

static enum prilora_status add(struct predictor_cache *cache, const struct prediction *prediction,
                               enum prediction_stage *stage, struct prilora_error *err)
{
    struct cached_adapter *entry = calloc(1, sizeof *entry);
    enum prilora_status rc;

    if (!entry)
        return error_memory(err);
    rc = open_entry(cache, entry, prediction, stage, err);
    if (rc != PRILORA_OK) {
        close_entry(cache, entry);
        let_team_go(cache);
        return rc;
    }
    entry->next = cache->first;
    cache->first = entry;
    make_room(cache);
    rc = check_limit(cache, err);
    if (rc != PRILORA_OK)
        drop(cache, &cache->first, "above the limit alone");
    return rc;
}

enum prilora_status predictor_cache_get(struct predictor_cache *cache,
                                        const struct prediction *prediction,
                                        struct prilora_adapter **out, enum prediction_stage *stage,
                                        struct prilora_error *err)
{
    struct cached_adapter **at = &cache->first, *entry;
    enum prilora_status rc = PRILORA_OK;

    while (*at && strcmp((*at)->job_id, prediction->job_id) != 0)
        at = &(*at)->next;
    entry = *at;
    if (entry && prilora_base_check(entry->base, NULL) != PRILORA_OK) {
        drop(cache, at, "its base has changed");
        entry = NULL;
    }
    if (entry) { /* to the front */
        *at = entry->next;
        entry->next = cache->first;
        cache->first = entry;
    } else {
        rc = add(cache, prediction, stage, err);
    }
    if (rc != PRILORA_OK)
        return rc;
    cache->first->used = (time_t)clock_seconds();
    *out = cache->first->adapter;
    return PRILORA_OK;
}

void predictor_cache_forget(struct predictor_cache *cache, const char *job_id)
{
    for (struct cached_adapter **at = &cache->first; *at; at = &(*at)->next) {
        if (strcmp((*at)->job_id, job_id) == 0) {
            drop(cache, at, "deleted");
            return;
        }
    }
}

void predictor_cache_trim(struct predictor_cache *cache, time_t idle_s)
{
    struct cached_adapter **at = &cache->first;
    time_t oldest = (time_t)clock_seconds() - idle_s;

    while (*at) {
        if ((*at)->used <= oldest)
            drop(cache, at, "not used any more");
        else
            at = &(*at)->next;
    }
}
