/* state.h - a daemon's state folder for tests: a store, files in it, jobs in every state. */
#ifndef TEST_STATE_H
#define TEST_STATE_H

#include "daemon/queue.h"
#include "daemon/store.h"

/* cmocka fixtures of one test: *state is a store in a fresh folder. Needs the group fixtures of
 * scratch.h. */
int test_store_open(void **state);
int test_store_close(void **state);

/* An uploaded file with this text; its id, in one of eight buffers that are reused in turn. */
const char *test_add_file(struct store *store, const char *filename, const char *text);

/* Submits a job for a file that is made for it; its id, in one of eight buffers. */
const char *test_add_job(struct store *store, int64_t priority);
/* Submits a job and takes it to a state through the queue's own functions. */
const char *test_add_job_in(struct store *store, enum job_status status);
/* How many of a job's events have this part in their message; "": all. */
size_t test_count_events(struct store *store, const char *id, const char *part);
enum job_status test_job_status(struct store *store, const char *id);

#endif
