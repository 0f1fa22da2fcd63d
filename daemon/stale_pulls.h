/* stale_pulls.h - what broken downloads of base models have left, and nobody has gone on with. */
#ifndef STALE_PULLS_H
#define STALE_PULLS_H

#include "daemon/sweep.h"

/* In the folders of models ("a:b"), and in the folders in them. */
enum prilora_status stale_pulls_sweep(const char *models_dirs, struct sweep *sweep,
                                      struct prilora_error *err);

#endif
