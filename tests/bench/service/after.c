/* after.c - the case `history`: a daemon after 100,000 jobs. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases.h"
#include "figures.h"
#include "history.h"
#include "load.h"
#include "submit.h"

#define N_JOBS       100000
#define N_ASKED      1000 /* of them */
#define TIDIED_S     10.0
#define LOAD_S       5.0
#define DAEMON_CORE  0
#define CLIENTS_CORE 1

static void use_core(int core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (core == CHILD_ANY_CORE || i == core)
            CPU_SET(i, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* One job from the bundled example, trained to its end; its id, malloc'ed. */
static char *finish_one_job(void)
{
    struct child child;
    char *rows, *id, status[32] = "";
    FILE *file = fopen(BUNDLED_DATA, "r");
    size_t size;

    rows = malloc(1 << 20);
    size = rows && file ? fread(rows, 1, 1 << 20, file) : 0;
    if (!size)
        child_die("%s: cannot be read", BUNDLED_DATA);
    fclose(file);
    child_start(&child, folder, MODELS, CHILD_ANY_CORE);
    id = submit(&child, rows, size, "\"n_epochs\": 3, \"batch_size\": 32");
    while (strcmp(status, "succeeded") != 0) {
        child_sleep(0.1);
        step_of(&child, id, status);
    }
    add_memory(&child, "a job behind it", false);
    child_stop(&child);
    free(rows);
    return id;
}

/* What a request costs the daemon is told too: on a busy machine it says more than their number. */
static void add_throughput(const struct child *child, const char *const *jobs, size_t n_jobs,
                           const char *what, bool is_target)
{
    static const char *const path = JOB "%JOB";
    double seconds = child_thread_seconds(child, "MHD");
    struct load_result result;
    char name[120];

    load_run(&result, &(struct load){.port = child->port,
                                     .paths = &path,
                                     .n_paths = 1,
                                     .n_connections = 8,
                                     .seconds = LOAD_S,
                                     .jobs = jobs,
                                     .n_jobs = n_jobs});
    snprintf(name, sizeof name, "status requests of %s, daemon on one core", what);
    figures_add(name, "1/s", (double)result.n / result.seconds,
                is_target ? FIGURE_AT_LEAST : FIGURE_TOLD, 10000);
    figures_add("processor time of each", "µs",
                1e6 * (child_thread_seconds(child, "MHD") - seconds) / (double)result.n,
                FIGURE_TOLD, 0);
}

static void measure_throughput(const char *finished)
{
    static char ids[N_ASKED][ID_SIZE];
    const char *jobs[N_ASKED];
    struct child child;

    for (size_t i = 0; i < N_ASKED; i++) {
        history_id(ids[i], 1 + i * (N_JOBS / N_ASKED));
        jobs[i] = ids[i];
    }
    child_start(&child, folder, MODELS, DAEMON_CORE);
    child_sleep(TIDIED_S); /* what it does after its start is over */
    use_core(CLIENTS_CORE);
    add_throughput(&child, &finished, 1, "a finished job", true);
    add_throughput(&child, jobs, N_ASKED, "1000 of 100,000 jobs", false);
    use_core(CHILD_ANY_CORE);
    add_memory(&child, "after them", false);
    child_stop(&child);
}

void measure_history(void)
{
    struct child child;
    char *id;

    folder_open();
    id = finish_one_job();
    history_make(folder, id, N_JOBS);
    figures_add("daemon ready, 100,000 finished jobs", "ms", ready_ms(&child), FIGURE_AT_MOST, 300);
    add_memory(&child, "100,000 finished jobs", true);
    child_stop(&child);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
        measure_throughput(id);
    free(id);
    folder_close();
}
