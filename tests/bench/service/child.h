/* child.h - the real daemon in a child process, and what the kernel says of it. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHILD_ANY_CORE (-1)

struct child {
    pid_t pid;
    int port;
    double ready_s; /* from fork to "READY=1" */
};

/* Starts $PRILORAD, else build/release/prilorad, with its state in folder/state, on one core or
 * any. Prints why and ends the program if the daemon does not become ready. */
void child_start(struct child *child, const char *folder, const char *models, int core);
void child_stop(struct child *child); /* SIGTERM, and waits */

/* Bytes: "Rss", "Pss" or another row of /proc/PID/smaps_rollup. */
double child_memory(const struct child *child, const char *row);

/* Seconds of processor time of the threads whose names begin so. */
double child_thread_seconds(const struct child *child, const char *name);

/* Ends the program, removing nothing. */
void child_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
double child_now(void); /* seconds, monotonic */
void child_sleep(double seconds);

#endif
