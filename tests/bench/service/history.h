/* history.h - a state folder in which very many jobs have been done. */
#ifndef BENCH_HISTORY_H
#define BENCH_HISTORY_H

#include <stddef.h>

#include "daemon/store.h"

/*
 * history_make - copies the finished job `id` of folder/state n times, its row and its events,
 * under other ids. No daemon may run there.
 */
void history_make(const char *folder, const char *id, size_t n);

/* The id of copy i. */
void history_id(char out[ID_SIZE], size_t i);

#endif
