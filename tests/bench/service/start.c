/* start.c - the case `start`: the daemon with an empty queue. */
#include <stdio.h>

#include "cases.h"
#include "figures.h"

#define SETTLE_S 1.0

double ready_ms(struct child *child)
{
    double ms[N_TRIES];

    for (size_t i = 0; i < N_TRIES; i++) {
        if (i > 0)
            child_stop(child);
        child_start(child, folder, MODELS, CHILD_ANY_CORE);
        ms[i] = 1e3 * child->ready_s;
    }
    return figures_quantile(ms, N_TRIES, 0.5);
}

void add_memory(const struct child *child, const char *when, bool is_target)
{
    char name[100];

    child_sleep(SETTLE_S);
    snprintf(name, sizeof name, "idle daemon resident, %s", when);
    figures_add(name, "MB", child_memory(child, "Rss") / MEGABYTE,
                is_target ? FIGURE_AT_MOST : FIGURE_TOLD, 15);
    snprintf(name, sizeof name, "its proportional share (PSS), %s", when);
    figures_add(name, "MB", child_memory(child, "Pss") / MEGABYTE, FIGURE_TOLD, 0);
}

void measure_start(void)
{
    struct child child;

    folder_open();
    figures_add("daemon ready, empty queue", "ms", ready_ms(&child), FIGURE_AT_MOST, 50);
    add_memory(&child, "empty queue", true);
    child_stop(&child);
    folder_close();
}
