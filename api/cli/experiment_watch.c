/*
 * experiment_watch.c - an experiment to its end: a line at the bottom of a terminal, elsewhere a
 * line for every job that ends; then its table. The daemon may be restarted meanwhile.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/cli/commands.h"
#include "api/cli/experiments.h"
#include "api/cli/http.h"
#include "api/cli/interrupt.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/progress.h"
#include "api/cli/text.h"

#define LOOK_EVERY_S 2

struct follow {
    const struct call *call;
    const char *id;
    double deadline; /* 0: none */
    bool draws;
    bool met, lost; /* it has answered at all; not any more */
    int64_t n_over; /* jobs that were told of; -1: none yet */
    json_t *experiment;
};

static int check_time(const struct follow *f)
{
    if (interrupted()) {
        progress_end();
        note("%s goes on; come back with: prilora experiment watch %s, stop it with: prilora "
             "experiment cancel %s",
             f->id, f->id, f->id);
        return EXIT_INTERRUPTED;
    }
    if (f->deadline > 0 && interrupt_clock() >= f->deadline)
        return fail(EXIT_TIMED_OUT, "%s is not over yet", f->id);
    return EXIT_DONE;
}

/* What waiting may mend is waited for, but not the very first time: then the address is likelier
 * to be wrong. */
static int take(struct follow *f, const struct http_reply *reply)
{
    if (reply->status == 200 && reply->json) {
        if (f->lost)
            note("the daemon answers again");
        f->met = true;
        f->lost = false;
        json_decref(f->experiment);
        f->experiment = json_incref(reply->json);
        return EXIT_DONE;
    }
    if (!f->met || !http_is_passing(reply))
        return http_tell(f->call, reply);
    if (!f->lost)
        note("the daemon does not answer; it is asked again until it does");
    f->lost = true;
    return EXIT_DONE;
}

static int look(struct follow *f)
{
    char *path = http_path(EXPERIMENT, f->id);
    struct http_reply reply = {0};
    int rc;

    http_send(f->call->http, &(struct http_request){.method = "GET", .path = path}, &reply);
    rc = check_time(f);
    if (rc == EXIT_DONE)
        rc = take(f, &reply);
    http_reply_clear(&reply);
    free(path);
    return rc;
}

static int64_t count_over(const json_t *e)
{
    return json_whole(e, "jobs.succeeded") + json_whole(e, "jobs.failed") +
           json_whole(e, "jobs.cancelled");
}

/* "12 of 50 jobs", "2 running", "1 failed", "3:20 left" */
static void tell(struct follow *f)
{
    const json_t *e = f->experiment;
    int64_t over = count_over(e), end = json_whole(e, "estimated_finish");
    double percent = 0, left = (double)(end - (int64_t)time(NULL));
    char *parts[4];
    size_t n = 0;

    json_number(e, "progress.percent", &percent);
    parts[n++] = format("%lld of %lld jobs", (long long)over, (long long)json_whole(e, "n_cells"));
    if (json_whole(e, "jobs.running"))
        parts[n++] = format("%lld running", (long long)json_whole(e, "jobs.running"));
    if (json_whole(e, "jobs.failed"))
        parts[n++] = format("%lld failed", (long long)json_whole(e, "jobs.failed"));
    if (end && left > 0)
        parts[n++] = format("%s left", text_clock(left));
    if (f->draws)
        progress_draw(percent / 100, (const char *const *)parts, n);
    else if (!f->call->json && over != f->n_over)
        text_say("%s%s%s", parts[0], n > 1 ? ", " : "", n > 1 ? parts[n - 1] : "");
    fflush(stdout);
    f->n_over = over;
    while (n > 0)
        free(parts[--n]);
}

static bool is_over(const json_t *e)
{
    const char *status = json_text(e, "status");

    return *status && strcmp(status, "running") != 0 && strcmp(status, "paused") != 0;
}

static int finish(struct follow *f)
{
    const char *status = json_text(f->experiment, "status");
    int rc;

    progress_end();
    rc = experiment_results(f->call, f->id);
    if (rc != EXIT_DONE || strcmp(status, "succeeded") == 0)
        return rc;
    return fail(EXIT_FAILED,
                "%s %s: %lld of its %lld jobs succeeded; prilora experiment retry %s "
                "runs the others again",
                f->id, status, (long long)json_whole(f->experiment, "jobs.succeeded"),
                (long long)json_whole(f->experiment, "n_cells"), f->id);
}

int experiment_watch(const struct call *call, const char *id, double timeout_s)
{
    struct follow f = {.call = call, .id = id, .n_over = -1};
    int rc;

    interrupt_catch();
    if (timeout_s > 0)
        f.deadline = interrupt_clock() + timeout_s;
    f.draws = !call->json && progress_begin(stdout);
    while ((rc = look(&f)) == EXIT_DONE) {
        if (!f.lost)
            tell(&f);
        if (is_over(f.experiment))
            break;
        interrupt_wait(f.deadline > 0 ? fmin(LOOK_EVERY_S, fmax(f.deadline - interrupt_clock(), 0))
                                      : LOOK_EVERY_S);
    }
    if (rc == EXIT_DONE)
        rc = finish(&f);
    progress_end();
    json_decref(f.experiment);
    return rc;
}

int run_experiment_watch(struct call *call)
{
    int64_t timeout_s;
    char *id;
    int rc = call_duration(call, "timeout", &timeout_s);

    if (rc != EXIT_DONE)
        return rc;
    rc = resolve(call, THING_EXPERIMENT, call->n_args ? call->args[0] : "last", &id);
    if (rc == EXIT_DONE)
        rc = experiment_watch(call, id, (double)timeout_s);
    free(id);
    return rc;
}
