/* gc.h - everything that nobody needs any more, in all modules: removed, or only told. */
#ifndef GC_H
#define GC_H

#include "daemon/config.h"
#include "daemon/store.h"
#include "daemon/sweep.h"

/*
 * gc_run - one sweep through all of it, as sweep.h says; keep_jobs_s is filled in from the
 * configuration. EMISMATCH: another one is at it. ESTOPPED: as far as it came, it is done.
 */
enum prilora_status gc_run(struct store *store, const struct config *config, struct sweep *sweep,
                           struct prilora_error *err);

#endif
