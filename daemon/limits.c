/* limits.c - see limits.h. Only cgroup v2 is looked at. */
#include "daemon/limits.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/path.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define MAX_CPUS    8192

/* ---- cgroup v2 ---- */

/* Our group's path below CGROUP_ROOT ("/system.slice/prilorad.service"); NULL: none. */
static char *own_group(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char *line = NULL, *group = NULL;
    size_t room = 0;

    while (file && !group && getline(&line, &room, file) > 0)
        if (strncmp(line, "0::/", 4) == 0) {
            line[strcspn(line, "\n")] = '\0';
            group = strdup(line + 3);
        }
    free(line);
    if (file)
        fclose(file);
    return group;
}

/* The least nonzero number that `parse` makes of `file` in the group and all groups above it;
 * takes `group`. */
static uint64_t least_of_groups(const char *root, char *group, const char *file,
                                uint64_t (*parse)(const char *text))
{
    uint64_t least = 0;

    while (group) {
        char *path = text_format("%s%s/%s", root, group, file);
        char *text = path ? path_first_line(path) : NULL;
        uint64_t limit = text ? parse(text) : 0;
        char *slash = strrchr(group, '/');

        if (limit && (!least || limit < least))
            least = limit;
        free(text);
        free(path);
        if (!slash)
            break;
        *slash = '\0';
    }
    free(group);
    return least;
}

long limits_parse_cpu_max(const char *text)
{
    long long quota, period;

    if (sscanf(text, "%lld %lld", &quota, &period) != 2 || quota < 1 || period < 1)
        return 0; /* "max 100000" */
    return (long)(quota / period + (quota % period != 0));
}

static uint64_t parse_cores(const char *text)
{
    return (uint64_t)limits_parse_cpu_max(text);
}

static uint64_t parse_bytes(const char *text)
{
    char *end;
    unsigned long long bytes = strtoull(text, &end, 10);

    return end == text ? 0 : bytes; /* "max" */
}

uint64_t limits_group_memory(const char *root, const char *group)
{
    return least_of_groups(root, strdup(group), "memory.max", parse_bytes);
}

/* ---- the questions ---- */

long limits_cores(void)
{
    cpu_set_t *set = CPU_ALLOC(MAX_CPUS);
    size_t size = CPU_ALLOC_SIZE(MAX_CPUS);
    long cores = sysconf(_SC_NPROCESSORS_ONLN),
         limit = (long)least_of_groups(CGROUP_ROOT, own_group(), "cpu.max", parse_cores);

    if (set && sched_getaffinity(0, size, set) == 0)
        cores = CPU_COUNT_S(size, set);
    CPU_FREE(set);
    if (limit && limit < cores)
        cores = limit;
    return cores < 1 ? 1 : cores;
}

uint64_t limits_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    uint64_t group = least_of_groups(CGROUP_ROOT, own_group(), "memory.max", parse_bytes);

    return group && (!machine || group < machine) ? group : machine;
}

/* A member of /proc/self/status that is in kB, in bytes; 0: it is not there. */
static uint64_t status_bytes(const char *name)
{
    FILE *file = fopen("/proc/self/status", "re");
    unsigned long long kib = 0;
    char line[256];

    while (file && !kib && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtoull(line + strlen(name), NULL, 10);
    if (file)
        fclose(file);
    return (uint64_t)kib * 1024;
}

uint64_t limits_peak_bytes(void)
{
    return status_bytes("VmHWM:");
}

static uint64_t own_bytes;

static void note_own_bytes(void)
{
    own_bytes = status_bytes("VmRSS:");
}

uint64_t limits_own_bytes(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, note_own_bytes);
    return own_bytes;
}

uint64_t limits_raise_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        const rlim_t before = limit.rlim_cur;

        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            limit.rlim_cur = before;
    }
    return limit.rlim_cur;
}
