/* process.h - what this process uses, as Prometheus's conventions name it. */
#ifndef PROCESS_H
#define PROCESS_H

struct process_figures {
    double cpu_seconds;  /* user and system */
    double started_at;   /* seconds since 1970 */
    double memory_bytes; /* resident */
    double virtual_bytes;
    double open_fds, max_fds;
    double threads;
};

/* From /proc; what cannot be read is NAN. */
void process_measure(struct process_figures *out);

#endif
