/* predictor_cache.h - the adapters that the predictor's thread keeps open; nobody else sees them.
 */
#ifndef PREDICTOR_CACHE_H
#define PREDICTOR_CACHE_H

#include <time.h>

#include "daemon/predictor.h"

struct cached_adapter {
    char job_id[ID_SIZE];
    struct prilora_adapter *adapter;
    struct prilora_base *base; /* acquired */
    size_t bytes, base_bytes;
    time_t used;                 /* monotonic seconds */
    struct cached_adapter *next; /* less recently used */
};

struct predictor_cache {
    struct store *store;
    struct models *models;
    size_t n_threads;
    struct prilora_team *team; /* of all open adapters; NULL while there are none */
    uint64_t limit_bytes;
    struct cached_adapter *first; /* most recently used */
};

/* The open adapter of a prediction's job, most recently used from now on; less recently used ones
 * are closed to keep to the limit. ELIMIT: it does not keep to it alone. *stage is what was done.
 */
enum prilora_status predictor_cache_get(struct predictor_cache *cache,
                                        const struct prediction *prediction,
                                        struct prilora_adapter **out, enum prediction_stage *stage,
                                        struct prilora_error *err);
void predictor_cache_forget(struct predictor_cache *cache, const char *job_id);
/* Closes what has not been used for so long; 0: everything. */
void predictor_cache_trim(struct predictor_cache *cache, time_t idle_s);

#endif
