/* ranks.h - what rank schedules need besides prilora_spec_ranks, which prilora.h declares. */
#ifndef PL_RANKS_H
#define PL_RANKS_H

#include "base/error.h"

#define PL_WHERE_SIZE sizeof((struct prilora_error){0}.where)
#define PL_MAX_RANK   1024

/* JSON pointer of a hyperparameter of this specification's method; returns `out`, which has room
 * for PL_WHERE_SIZE. */
const char *pl_spec_where(char *out, const struct prilora_spec *spec, const char *setting);

#endif
