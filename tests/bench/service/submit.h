/* submit.h - jobs given to a daemon over HTTP. Whatever goes wrong ends the program. */
#ifndef BENCH_SUBMIT_H
#define BENCH_SUBMIT_H

#include <jansson.h>

#include "child.h"

/* A job on these rows (JSONL) and hyperparameters ("\"n_epochs\": 3"); its id, malloc'ed. */
char *submit(const struct child *child, const char *rows, size_t size, const char *settings);

/* The steps it has done, and its status. */
json_int_t step_of(const struct child *child, const char *id, char status[32]);

/* A job of equal short steps that goes on until the daemon is stopped, when it has begun; its id.
 */
char *submit_endless(const struct child *child);

#endif
