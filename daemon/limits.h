/* limits.h - what this process may use of the machine, and what it has used. */
#ifndef LIMITS_H
#define LIMITS_H

#include <stdint.h>

/* Cores by CPU affinity, and not more than the quota of the cgroup (rounded up); at least 1. */
long limits_cores(void);
/* Memory of the machine or what the cgroup may have, whichever is less; 0: unknown. */
uint64_t limits_memory_bytes(void);
/* Resident memory of the program itself: what it was when this was first called, before any job. */
uint64_t limits_own_bytes(void);
/* The most memory that the process ever held; 0: unknown. */
uint64_t limits_peak_bytes(void);

/* Lets the process have as many files open as its hard limit allows; how many that are. */
uint64_t limits_raise_files(void);

/*
 * The least that a group ("/a/b") and those above it may have, by the files of either version of
 * cgroups in the hierarchy at `root`: bytes; cores, rounded up. 0: no limit.
 */
uint64_t limits_group_memory(const char *root, const char *group);
uint64_t limits_group_cores(const char *root, const char *group);

/* "200000 100000" is 2 cores; 0: no limit. */
long limits_parse_cpu_max(const char *text);

#endif
