/* process.c - see process.h; proc(5). */
#include "daemon/process.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Fields of /proc/self/stat after the name, which may hold anything; the first one is number 3. */
enum { FIELD_UTIME = 14, FIELD_STIME = 15, FIELD_THREADS = 20, FIELD_START = 22, FIELD_VSIZE = 23 };
#define FIELD_RSS 24

static double boot_time;

/* /proc/stat says it, too, but a sandbox may hide that (ProcSubset=pid). Once: a clock that is set
 * does not make us start at another time. */
static void find_boot_time(void)
{
    struct timespec real, since;

    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_BOOTTIME, &since);
    boot_time =
        (double)(real.tv_sec - since.tv_sec) + 1e-9 * (double)(real.tv_nsec - since.tv_nsec);
}

/* Ours is the one of the folder that is being read. */
static double count_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double n = 0;

    if (!dir)
        return NAN;
    for (struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n - 1;
}

static void read_stat(struct process_figures *out)
{
    FILE *file = fopen("/proc/self/stat", "re");
    char text[2048], *at;
    double fields[FIELD_RSS + 1];
    double ticks = (double)sysconf(_SC_CLK_TCK);
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;

    if (file)
        fclose(file);
    text[n] = '\0';
    at = strrchr(text, ')');
    for (int i = 0; i <= FIELD_RSS; i++)
        fields[i] = NAN;
    at = at && strlen(at) > 4 ? at + 3 : NULL; /* ") S " */
    for (int i = 4; at && *at && i <= FIELD_RSS; i++)
        fields[i] = strtod(at, &at);
    out->cpu_seconds = (fields[FIELD_UTIME] + fields[FIELD_STIME]) / ticks;
    out->threads = fields[FIELD_THREADS];
    out->started_at = boot_time + fields[FIELD_START] / ticks;
    out->virtual_bytes = fields[FIELD_VSIZE];
    out->memory_bytes = fields[FIELD_RSS] * (double)sysconf(_SC_PAGESIZE);
}

void process_measure(struct process_figures *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct rlimit limit;

    pthread_once(&once, find_boot_time);
    read_stat(out);
    out->open_fds = count_open();
    out->max_fds = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : (double)NAN;
}
