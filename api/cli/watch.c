/*
 * watch.c - follows a job by asking for its events after the last one seen, and for itself. The
 * daemon holds these requests until there is something new: events, or, while a terminal shows how
 * a job runs, the job. A daemon that goes away is waited for; it knows the same events when it is
 * back.
 */
#include "api/cli/watch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/events.h"
#include "api/cli/http.h"
#include "api/cli/interrupt.h"
#include "api/cli/jobs.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/progress.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

#define JOB            "/v1/fine_tuning/jobs/%s"
#define WAIT_S         25  /* so long the daemon may hold a request until there is something new */
#define LOOK_EVERY_S   1.0 /* where it would not, and at most so often at a job that runs */
#define MOST_ANSWER_S  60
#define FIRST_RETRY_S  0.25
#define MOST_RETRY_S   5
#define EVENTS_AT_ONCE 100
#define EVENTS_BEFORE  10

struct watch {
    const struct call *call;
    const char *id;
    double deadline;    /* 0: none */
    bool draws;         /* on a terminal */
    char *last_event;   /* id; NULL: none seen */
    int64_t last_time;  /* its created_at */
    int wait_s;         /* see WAIT_S; 0: the daemon would not */
    double retry_s;     /* 0: the daemon answers */
    bool met;           /* it has answered once */
    json_t *job;        /* as last heard of */
    char etag[80];      /* the job's */
    json_t *evaluation; /* the last one's numbers; NULL: none yet */
    char *status;       /* last told */
};

/* ---- asking ---- */

/* The connection's state goes into words when it changes. */
static void tell_lost(struct watch *w, const struct http_reply *reply)
{
    if (w->retry_s == 0)
        note("the daemon does not answer (%s); waiting for it",
             reply->status ? json_text(reply->json, "error.message") : reply->trouble);
    w->retry_s = w->retry_s == 0 ? FIRST_RETRY_S : fmin(1.6 * w->retry_s, MOST_RETRY_S);
}

static void tell_found(struct watch *w)
{
    if (w->retry_s > 0)
        note("the daemon answers again");
    w->retry_s = 0;
    w->met = true;
}

static double seconds_left(const struct watch *w)
{
    return w->deadline > 0 ? w->deadline - interrupt_clock() : INFINITY;
}

static int check_time(const struct watch *w)
{
    if (interrupted()) {
        progress_end();
        note("%s goes on; come back with: prilora watch %s, stop it with: prilora cancel %s", w->id,
             w->id, w->id);
        return EXIT_INTERRUPTED;
    }
    if (seconds_left(w) <= 0)
        return fail(EXIT_TIMED_OUT, "%s is not over yet (%s)", w->id, w->status ? w->status : "?");
    return EXIT_DONE;
}

static void pause_for(const struct watch *w, double seconds)
{
    interrupt_wait(fmin(seconds, fmax(seconds_left(w), 0)));
}

/* Asks until there is an answer. One that waiting does not mend ends it, as does the very first
 * that does not come: then the address is likelier to be wrong than the daemon to be restarting.
 * `held`: any answer counts. `etag`: what is known already; NULL: nothing. */
static int ask(struct watch *w, const char *path, const char *etag, bool held,
               struct http_reply *out)
{
    for (;;) {
        struct http_request request = {.method = "GET", .path = path, .etag = etag};
        bool answered;
        int rc;

        request.timeout_s = fmax(1, fmin(seconds_left(w), MOST_ANSWER_S));
        answered = http_send(w->call->http, &request, out);
        rc = check_time(w);
        if (rc != EXIT_DONE)
            return rc;
        if (answered && (held || !http_is_passing(out))) {
            tell_found(w);
            return EXIT_DONE;
        }
        if (!w->met)
            return http_tell(w->call, out);
        tell_lost(w, out);
        http_reply_clear(out);
        pause_for(w, w->retry_s);
        rc = check_time(w);
        if (rc != EXIT_DONE)
            return rc;
    }
}

/* It does not know how, or too many wait already. */
static bool would_not_wait(const struct http_reply *reply)
{
    return http_is_passing(reply) || strcmp(json_text(reply->json, "error.param"), "wait") == 0;
}

/* So long may be waited for an answer now, in whole seconds. */
static int wait_now(const struct watch *w)
{
    return (int)fmin(w->wait_s, fmax(seconds_left(w), 0));
}

/* ---- events ---- */

static void show_event(struct watch *w, const json_t *event)
{
    if (w->call->json) {
        char *text = must(json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(9)));

        text_put_json(stdout, text);
        putchar('\n');
        free(text);
    } else {
        progress_clear();
        event_print(event);
    }
    fflush(stdout);
}

static void take_event(struct watch *w, const json_t *event)
{
    const json_t *data = json_at(event, "data");

    show_event(w, event);
    free(w->last_event);
    w->last_event = must(strdup(json_text(event, "id")));
    w->last_time = json_whole(event, "created_at");
    if (strcmp(json_text(event, "type"), "metrics") == 0 && data) {
        json_decref(w->evaluation);
        w->evaluation = json_incref((json_t *)data);
    }
}

/* The last few events before now, oldest first. */
static int show_before(struct watch *w)
{
    char *path = http_path(JOB "/events", w->id);
    char *whole = format("%s?limit=%d", path, EVENTS_BEFORE);
    struct http_reply reply = {0};
    const json_t *data;
    int rc = ask(w, whole, NULL, false, &reply);

    if (rc == EXIT_DONE && reply.status != 200)
        rc = http_tell(w->call, &reply);
    data = json_at(reply.json, "data");
    if (rc == EXIT_DONE && json_is_true(json_at(reply.json, "has_more")) && !w->call->json)
        note("earlier events: prilora events --all %s", w->id);
    for (size_t i = rc == EXIT_DONE ? json_array_size(data) : 0; i > 0; i--)
        take_event(w, json_array_get(data, i - 1));
    http_reply_clear(&reply);
    free(path);
    free(whole);
    return rc;
}

static char *events_path(const struct watch *w, int wait_s)
{
    char *path = http_path(JOB "/events", w->id), *whole;
    char *wait = wait_s > 0 ? format("&wait=%d", wait_s) : must(strdup(""));

    whole = format("%s?order=asc&limit=%d%s%s%s", path, EVENTS_AT_ONCE,
                   w->last_event ? "&after=" : "", w->last_event ? w->last_event : "", wait);
    free(path);
    free(wait);
    return whole;
}

/* After a power cut that took the last event with it all are read again: not those seen. */
static void take_page(struct watch *w, const json_t *data)
{
    bool again = !w->last_event && w->last_time > 0;
    int64_t seen = w->last_time;
    const json_t *event;
    size_t i;

    json_array_foreach ((json_t *)data, i, event) {
        if (!again || json_whole(event, "created_at") > seen)
            take_event(w, event);
    }
}

/* One page; *more: ask again at once. */
static int fetch_events(struct watch *w, int wait_s, bool *more)
{
    char *path = events_path(w, wait_s);
    struct http_reply reply = {0};
    const json_t *data;
    int rc = ask(w, path, NULL, wait_s > 0, &reply);
    const char *param = json_text(reply.json, "error.param");

    data = json_at(reply.json, "data");
    *more = false;
    if (rc == EXIT_DONE && reply.status == 200) {
        take_page(w, data);
        *more = json_is_true(json_at(reply.json, "has_more")) && json_array_size(data) > 0 &&
                w->last_event;
    } else if (rc == EXIT_DONE && wait_s > 0 && would_not_wait(&reply)) {
        w->wait_s = 0;
        *more = true;
    } else if (rc == EXIT_DONE && reply.status == 400 && strcmp(param, "after") == 0 &&
               w->last_event) {
        free(w->last_event);
        w->last_event = NULL;
        *more = true;
    } else if (rc == EXIT_DONE) {
        rc = http_tell(w->call, &reply);
    }
    http_reply_clear(&reply);
    free(path);
    return rc;
}

static int take_events(struct watch *w, int wait_s)
{
    bool more = true;
    int rc = EXIT_DONE;

    while (more && rc == EXIT_DONE) {
        rc = fetch_events(w, wait_s, &more);
        wait_s = 0;
    }
    return rc;
}

/* ---- the job ---- */

static void keep_job(struct watch *w, const struct http_reply *reply)
{
    const char *status = json_text(reply->json, "status");

    json_decref(w->job);
    w->job = json_incref(reply->json);
    snprintf(w->etag, sizeof w->etag, "%s", reply->etag);
    if (strcmp(status, "paused") == 0 && (!w->status || strcmp(w->status, status) != 0))
        note("%s is paused; prilora resume %s lets it go on", w->id, w->id);
    free(w->status);
    w->status = must(strdup(status));
}

/* With wait_s > 0: once it is another one than is known. */
static int take_job(struct watch *w, int wait_s)
{
    char *path = http_path(JOB, w->id);
    char *whole = wait_s > 0 ? format("%s?wait=%d", path, wait_s) : must(strdup(path));
    struct http_reply reply = {0};
    int rc = ask(w, whole, *w->etag ? w->etag : NULL, wait_s > 0, &reply);

    if (rc == EXIT_DONE && wait_s > 0 && reply.status != 200 && would_not_wait(&reply))
        w->wait_s = 0;
    else if (rc == EXIT_DONE && reply.status == 200)
        keep_job(w, &reply);
    else if (rc == EXIT_DONE && reply.status != 304)
        rc = http_tell(w->call, &reply);
    http_reply_clear(&reply);
    free(path);
    free(whole);
    return rc;
}

/* The bar and, most important first: step, loss, metric, time left, speed, epoch. */
static void draw(struct watch *w)
{
    const char *status = json_text(w->job, "status"), *metric;
    double value, percent = 0;
    char *parts[7];
    size_t n = 0;

    if (!w->draws)
        return;
    if (strcmp(status, "running") != 0 || json_whole(w->job, "progress.total_steps") == 0) {
        progress_draw(-1, &status, 1);
        return;
    }
    json_number(w->job, "progress.percent", &percent);
    parts[n++] = format("step %lld/%lld", (long long)json_whole(w->job, "progress.step"),
                        (long long)json_whole(w->job, "progress.total_steps"));
    if (json_number(w->job, "progress.loss", &value))
        parts[n++] = format("loss %.3f", value);
    metric = job_metric(w->job, w->evaluation, &value);
    if (metric)
        parts[n++] = format("%s %.3f", metric, value);
    if (json_number(w->job, "progress.seconds_left", &value))
        parts[n++] = format("%s left", text_clock(value));
    if (json_number(w->job, "progress.tokens_per_second", &value))
        parts[n++] = format("%s tokens/s", text_count(value));
    if (json_number(w->job, "progress.epoch", &value))
        parts[n++] = format("epoch %.1f", value);
    progress_draw(percent / 100, (const char *const *)parts, n);
    while (n > 0)
        free(parts[--n]);
}

static void show_end(const struct watch *w)
{
    const json_t *result = json_at(w->job, "result");
    char *metrics = job_metrics(json_at(result, "metrics"));
    const char *model = json_text(w->job, "fine_tuned_model");

    fputs(terminal_colour(stdout, terminal_status_colour(w->status)), stdout);
    text_put(stdout, w->status);
    fputs(terminal_colour(stdout, COLOUR_NONE), stdout);
    if (*metrics)
        text_say(": %s, as after step %lld", metrics, (long long)json_whole(result, "best_step"));
    else
        putchar('\n');
    if (*model)
        text_say("model %s; fetch it with: prilora download %s", model, w->id);
    free(metrics);
}

static int finish(struct watch *w)
{
    const char *message = json_text(w->job, "error.message");
    const char *param = json_text(w->job, "error.param");

    progress_end();
    if (w->call->json) {
        char *text = must(json_dumps(w->job, JSON_COMPACT | JSON_REAL_PRECISION(9)));

        text_put_json(stdout, text);
        putchar('\n');
        free(text);
    } else {
        show_end(w);
    }
    if (strcmp(w->status, "succeeded") == 0)
        return EXIT_DONE;
    if (*message)
        return fail(EXIT_FAILED, "%s %s: %s%s%s", w->id, w->status, param, *param ? ": " : "",
                    message);
    return fail(EXIT_FAILED, "%s %s", w->id, w->status);
}

/*
 * What is there is shown first; then events and the job in turn until it is over. A job that runs
 * changes every moment, which only a terminal shows: there its changes are waited for. All else
 * that becomes of a job comes with an event.
 */
static int follow(struct watch *w, bool from_start)
{
    int rc = take_job(w, 0);

    if (rc == EXIT_DONE && !from_start)
        rc = show_before(w);
    while (rc == EXIT_DONE) {
        bool over = job_is_over(w->status), of_job = w->draws && strcmp(w->status, "running") == 0;

        /* events that came before the end are told before the end is */
        rc = take_events(w, over || of_job ? 0 : wait_now(w));
        if (rc != EXIT_DONE || over)
            break;
        draw(w);
        if (of_job || wait_now(w) == 0)
            pause_for(w, LOOK_EVERY_S);
        rc = check_time(w);
        if (rc == EXIT_DONE)
            rc = take_job(w, of_job ? wait_now(w) : 0);
    }
    return rc == EXIT_DONE ? finish(w) : rc;
}

int watch_job(const struct call *call, const char *id, double timeout_s, bool from_start)
{
    struct watch w = {.call = call, .id = id};
    int rc;

    interrupt_catch();
    if (timeout_s > 0)
        w.deadline = interrupt_clock() + timeout_s;
    w.draws = !call->json && progress_begin(stdout);
    w.wait_s = WAIT_S;
    rc = follow(&w, from_start);
    progress_end();
    json_decref(w.job);
    json_decref(w.evaluation);
    free(w.last_event);
    free(w.status);
    return rc;
}

int run_watch(struct call *call)
{
    int64_t timeout_s;
    char *id;
    int rc = call_duration(call, "timeout", &timeout_s);

    if (rc != EXIT_DONE)
        return rc;
    rc = resolve(call, THING_JOB, call->n_args ? call->args[0] : "last", &id);
    if (rc == EXIT_DONE)
        rc = watch_job(call, id, (double)timeout_s, call_has(call, "all"));
    free(id);
    return rc;
}
