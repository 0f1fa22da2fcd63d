/* limits.c - see limits.h. */
#include "daemon/limits.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/path.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define MAX_CPUS    8192

/* ---- control groups ---- */

/* Whether "cpu,cpuacct" lists a name. */
static bool lists(const char *names, const char *name)
{
    size_t n = strlen(name);

    while (strncmp(names, name, n) != 0 || (names[n] != ',' && names[n] != '\0')) {
        names = strchr(names, ',');
        if (!names)
            return false;
        names++;
    }
    return true;
}

/*
 * Our group's path in the hierarchy of a controller ("memory"; "": version 2, which has one for
 * all), from a line "4:memory:/path", "2:cpu,cpuacct:/path" or "0::/path"; NULL: none.
 */
static char *own_group(const char *controller)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char *line = NULL, *group = NULL;
    size_t room = 0;

    while (file && !group && getline(&line, &room, file) > 0) {
        char *names = strchr(line, ':');
        char *path = names ? strchr(names + 1, ':') : NULL;

        if (!path)
            continue;
        *path = '\0';
        path[1 + strcspn(path + 1, "\n")] = '\0';
        if (lists(names + 1, controller))
            group = strdup(path + 1);
    }
    free(line);
    if (file)
        fclose(file);
    return group;
}

/* The first line of a file of a group; NULL: it is not there. Free it. */
static char *read_value(const char *group, const char *name)
{
    char *path = text_format("%s/%s", group, name);
    char *line = path ? path_first_line(path) : NULL;

    free(path);
    return line;
}

/* The least nonzero number that `read` finds in the folders of the group and all groups above it,
 * of the hierarchy in `root`; takes `group`. */
static uint64_t least_of_groups(const char *root, char *group, uint64_t (*read)(const char *folder))
{
    uint64_t least = 0;

    while (group) {
        char *folder = text_format("%s%s", root, group);
        uint64_t limit = folder ? read(folder) : 0;
        char *slash = strrchr(group, '/');

        if (limit && (!least || limit < least))
            least = limit;
        free(folder);
        if (!slash)
            break;
        *slash = '\0';
    }
    free(group);
    return least;
}

/* A controller may be in either version's hierarchy. */
static uint64_t least_of_own_groups(const char *controller, uint64_t (*read)(const char *folder))
{
    char *root = text_format(CGROUP_ROOT "/%s", controller);
    uint64_t in_1 = root ? least_of_groups(root, own_group(controller), read) : 0;
    uint64_t in_2 = least_of_groups(CGROUP_ROOT, own_group(""), read);

    free(root);
    return in_1 && (!in_2 || in_1 < in_2) ? in_1 : in_2;
}

long limits_parse_cpu_max(const char *text)
{
    long long quota, period;

    if (sscanf(text, "%lld %lld", &quota, &period) != 2 || quota < 1 || period < 1)
        return 0; /* "max 100000", "-1 100000" */
    return (long)(quota / period + (quota % period != 0));
}

/* "200000 100000"; -1: no quota. */
static char *read_quota_of_version_1(const char *folder)
{
    char *quota = read_value(folder, "cpu.cfs_quota_us");
    char *period = read_value(folder, "cpu.cfs_period_us");
    char *text = quota && period ? text_format("%s %s", quota, period) : NULL;

    free(quota);
    free(period);
    return text;
}

static uint64_t read_cores(const char *folder)
{
    char *text = read_value(folder, "cpu.max");
    uint64_t cores;

    if (!text)
        text = read_quota_of_version_1(folder);
    cores = text ? (uint64_t)limits_parse_cpu_max(text) : 0;
    free(text);
    return cores;
}

static uint64_t read_memory(const char *folder)
{
    char *text = read_value(folder, "memory.max");
    uint64_t bytes;

    if (!text)
        text = read_value(folder, "memory.limit_in_bytes"); /* of version 1; no limit: 2^63 */
    bytes = text ? strtoull(text, NULL, 10) : 0;            /* "max": 0 */
    free(text);
    return bytes;
}

uint64_t limits_group_memory(const char *root, const char *group)
{
    return least_of_groups(root, strdup(group), read_memory);
}

uint64_t limits_group_cores(const char *root, const char *group)
{
    return least_of_groups(root, strdup(group), read_cores);
}

/* ---- the questions ---- */

long limits_cores(void)
{
    cpu_set_t *set = CPU_ALLOC(MAX_CPUS);
    size_t size = CPU_ALLOC_SIZE(MAX_CPUS);
    long cores = sysconf(_SC_NPROCESSORS_ONLN),
         limit = (long)least_of_own_groups("cpu", read_cores);

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
    uint64_t group = least_of_own_groups("memory", read_memory);

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
