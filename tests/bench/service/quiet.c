/* quiet.c - see quiet.h. Others' time is all processor time less the daemon's and ours. */
#include "quiet.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "figures.h"

#define MOST       64
#define ENOUGH     0.02 /* of all cores: quiet */
#define N_STATES   8    /* of /proc/stat's first line */
#define STATE_IDLE 3    /* and the next one: idle, waiting for a disk */

struct one {
    double others, value;
};

static double all_seconds(void)
{
    double ticks[N_STATES] = {0}, sum = 0;
    FILE *file = fopen("/proc/stat", "r");

    if (!file ||
        fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &ticks[0], &ticks[1], &ticks[2],
               &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) != N_STATES)
        child_die("/proc/stat cannot be read");
    fclose(file);
    for (int i = 0; i < N_STATES; i++)
        if (i != STATE_IDLE && i != STATE_IDLE + 1)
            sum += ticks[i];
    return sum / (double)sysconf(_SC_CLK_TCK);
}

static double our_seconds(const struct child *child)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return child_thread_seconds(child, "") +
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int compare(const void *a, const void *b)
{
    const struct one *x = a, *y = b;

    return (x->others > y->others) - (x->others < y->others);
}

double quiet_measure(struct quiet *quiet, const struct child *child,
                     double (*measure)(void *context), void *context)
{
    double cores = (double)sysconf(_SC_NPROCESSORS_ONLN), values[MOST];
    struct one all[MOST];
    size_t n = 0, n_quiet = 0;

    while (n < quiet->most && n < MOST && n_quiet < quiet->wanted) {
        double start = child_now(), busy = all_seconds(), ours = our_seconds(child);

        all[n].value = measure(context);
        all[n].others =
            (all_seconds() - busy - (our_seconds(child) - ours)) / (cores * (child_now() - start));
        n_quiet += all[n++].others <= ENOUGH;
    }
    qsort(all, n, sizeof *all, compare);
    n = n < quiet->wanted ? n : quiet->wanted;
    for (size_t i = 0; i < n; i++)
        values[i] = all[i].value;
    quiet->others = n ? all[n - 1].others : 0;
    return figures_quantile(values, n, 0.5);
}
