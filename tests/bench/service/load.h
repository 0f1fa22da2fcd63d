/*
 * load.h - HTTP/1.1 clients that keep their connections alive: one at a time for what a measurement
 * needs, many at once for the load.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stddef.h>

/* One request on a connection of its own; the body, malloc'ed. Anything but 200 ends the program.
 * body NULL: GET. */
char *load_request(int port, const char *path, const char *type, const char *body, size_t size);

/* The same with any method. */
char *load_send(int port, const char *method, const char *path, const char *type, const char *body,
                size_t size);

/*
 * Each connection sends all paths in order, one after the other's answer, then again `interval_s`
 * after it began (0: at once). "%STEP" in a path becomes the step that the connection last saw in a
 * job; "%JOB" a job of `jobs`, another each time.
 */
struct load {
    int port;
    const char *const *paths;
    const char *body; /* JSON that is posted; NULL: GET */
    size_t n_paths, n_connections;
    double interval_s, seconds;
    const char *const *jobs;
    size_t n_jobs;
};

struct load_result {
    size_t n;                        /* answers */
    double seconds, median_s, p99_s; /* from sending to the answer's last byte */
};

void load_run(struct load_result *out, const struct load *load);

#endif
