/*
 * predictor.c - see predictor.h: the queue and the thread; predictor_cache.c keeps the adapters.
 *
 * The mutex guards the queue and who may still look at a prediction, and is never held while
 * anything is computed. A prediction belongs to its caller and, while it is in the queue, to the
 * predictor too: whoever is the last to leave it frees it. In a round only this thread touches what
 * it writes.
 */
#include "daemon/predictor.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/error.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/meters.h"
#include "daemon/predictor_cache.h"
#include "daemon/priority.h"
#include "daemon/pulse.h"

#define ROUND_TEXTS   128
#define ROUND_BYTES   65536 /* of contexts */
#define IDLE_S        600   /* after which an adapter is closed */
#define LOOK_EVERY_S  60
#define MAX_FORGOTTEN 16
#define MAX_PATIENCE  60

struct predictor {
    struct predictor_cache cache; /* the thread's */
    atomic_int stop;
    const struct config *config, *seen; /* of the start; what the cache was told last */
    pthread_t thread;

    pthread_mutex_t mutex; /* guards the rest, and the predictions' own part */
    pthread_cond_t changed;
    struct prediction *first, *last; /* the queue */
    struct predictor_figures figures;
    double texts_per_second; /* of the last rounds; 0: none yet */
    char forgotten[MAX_FORGOTTEN][ID_SIZE];
    size_t n_forgotten; /* above MAX_FORGOTTEN: everything is to be closed */
    bool stopping;
};

/* A part of one prediction's texts, computed in this round. */
struct piece {
    struct prediction *prediction;
    size_t n; /* from its n_done on */
};

struct round {
    struct piece pieces[ROUND_TEXTS];
    size_t n_pieces, n_texts;
    struct prilora_text texts[ROUND_TEXTS];
    enum prilora_status status;
    enum prediction_stage stage;
    struct prilora_error error;
};

/* ---- predictions ---- */

struct prediction *prediction_new(void)
{
    return calloc(1, sizeof(struct prediction));
}

static void prediction_free(struct prediction *p)
{
    if (p->free_owner)
        p->free_owner(p->owner);
    for (size_t k = 0; p->labels && k < p->info.n_labels; k++)
        free(p->labels[k]);
    for (size_t i = 0; p->tags && i < p->n; i++)
        prilora_tagging_clear(&p->tags[i]);
    for (size_t i = 0; p->answers && i < p->n; i++)
        prilora_answering_clear(&p->answers[i]);
    free(p->labels);
    free(p->out);
    free(p->values);
    free(p->tags);
    free(p->answers);
    free(p->base);
    free(p);
}

/* Room for what the adapter says, when it is first known how much that is. */
static enum prilora_status prepare(struct prediction *p, const struct prilora_adapter *adapter,
                                   struct prilora_error *err)
{
    if (p->out)
        return PRILORA_OK;
    prilora_adapter_describe(adapter, &p->info);
    p->labels = calloc(p->info.n_labels, sizeof *p->labels);
    p->out = calloc(p->n, sizeof *p->out);
    if (p->info.task == PRILORA_TASK_TOKEN_CLASSIFICATION)
        p->tags = calloc(p->n, sizeof *p->tags);
    else if (p->info.task == PRILORA_TASK_QUESTION_ANSWERING)
        p->answers = calloc(p->n, sizeof *p->answers);
    else
        p->values = calloc(p->n, p->info.n_labels * sizeof *p->values);
    for (size_t k = 0; p->labels && k < p->info.n_labels; k++) {
        p->labels[k] = strdup(prilora_adapter_label(adapter, k));
        if (!p->labels[k])
            return error_memory(err);
    }
    return p->labels && p->out && (p->values || p->tags || p->answers) ? PRILORA_OK
                                                                       : error_memory(err);
}

/* ---- the queue; called with the mutex held ---- */

static void append(struct predictor *p, struct prediction *prediction)
{
    prediction->next = NULL;
    if (p->last)
        p->last->next = prediction;
    else
        p->first = prediction;
    p->last = prediction;
}

static void take_out(struct predictor *p, struct prediction *prediction)
{
    struct prediction *before = NULL;

    for (struct prediction *at = p->first; at != prediction; at = at->next)
        before = at;
    if (before)
        before->next = prediction->next;
    else
        p->first = prediction->next;
    if (p->last == prediction)
        p->last = before;
    prediction->next = NULL;
}

/* It leaves the queue, and is its caller's alone. */
static void finish(struct predictor *p, struct prediction *prediction)
{
    take_out(p, prediction);
    p->figures.n_waiting -= prediction->n - prediction->n_done;
    prediction->is_done = true;
    if (prediction->is_released)
        prediction_free(prediction);
    else if (prediction->wake)
        prediction->wake(prediction->context);
}

static void fail(struct predictor *p, struct prediction *prediction, const struct round *round)
{
    prediction->status = round->status;
    prediction->stage = round->stage;
    prediction->error = round->error;
    finish(p, prediction);
}

static void drop_released(struct predictor *p)
{
    for (struct prediction *at = p->first, *next; at; at = next) {
        next = at->next;
        if (at->is_released)
            finish(p, at);
    }
}

/* Who waits longest has the round alone, until there is enough to read. */
static void gather_questions(struct prediction *first, struct round *round)
{
    size_t left = first->n - first->n_done, bytes = 0, n = 0;

    for (const struct prilora_text *at = first->texts + first->n_done;
         n < left && n < ROUND_TEXTS && bytes < ROUND_BYTES; at++) {
        bytes += at->pair_size;
        round->texts[n++] = *at;
    }
    round->pieces[0] = (struct piece){first, n};
    round->n_pieces = 1;
    round->n_texts = n;
}

/* Who waits longest says which adapter is next; all that want the same one share the round. */
static void gather(const struct predictor *p, struct round *round)
{
    size_t n_same = 1, fair;

    *round = (struct round){.status = PRILORA_OK};
    if (p->first->n_best > 0) {
        gather_questions(p->first, round);
        return;
    }
    for (const struct prediction *at = p->first->next; at; at = at->next)
        n_same += strcmp(at->job_id, p->first->job_id) == 0;
    fair = n_same < ROUND_TEXTS ? ROUND_TEXTS / n_same : 1;
    for (struct prediction *at = p->first; at && round->n_texts < ROUND_TEXTS; at = at->next) {
        size_t n = at->n - at->n_done < fair ? at->n - at->n_done : fair;

        if (strcmp(at->job_id, p->first->job_id) != 0)
            continue;
        round->pieces[round->n_pieces++] = (struct piece){at, n};
        memcpy(round->texts + round->n_texts, at->texts + at->n_done, n * sizeof *at->texts);
        round->n_texts += n;
    }
}

/* What is not complete after the round waits again, behind the others. */
static void settle(struct predictor *p, const struct round *round)
{
    for (size_t i = 0; i < round->n_pieces; i++) {
        struct prediction *prediction = round->pieces[i].prediction;

        if (round->status != PRILORA_OK) {
            fail(p, prediction, round);
            continue;
        }
        prediction->n_done += round->pieces[i].n;
        p->figures.n_waiting -= round->pieces[i].n;
        if (prediction->n_done == prediction->n) {
            finish(p, prediction);
        } else {
            take_out(p, prediction);
            append(p, prediction);
        }
    }
}

/* ---- a round ---- */

static void hand_out(const struct round *round, const struct prilora_prediction *out,
                     const double *values)
{
    for (size_t i = 0; i < round->n_pieces; i++) {
        const struct piece *piece = &round->pieces[i];
        struct prediction *p = piece->prediction;
        size_t width = p->info.n_labels;

        memcpy(p->out + p->n_done, out, piece->n * sizeof *out);
        memcpy(p->values + p->n_done * width, values, piece->n * width * sizeof *values);
        out += piece->n;
        values += piece->n * width;
    }
}

static enum prilora_status compute_values(struct predictor *p, struct round *round,
                                          struct prilora_adapter *adapter)
{
    const size_t width = round->pieces[0].prediction->info.n_labels;
    struct prilora_prediction out[ROUND_TEXTS];
    double *values = calloc(round->n_texts, width * sizeof *values);
    enum prilora_status rc = values ? prilora_adapter_predict(adapter, round->texts, round->n_texts,
                                                              &p->stop, out, values, &round->error)
                                    : error_memory(&round->error);

    if (rc == PRILORA_OK)
        hand_out(round, out, values);
    free(values);
    return rc;
}

/* What the words are tagged with changes hands. */
static enum prilora_status compute_tags(struct predictor *p, struct round *round,
                                        struct prilora_adapter *adapter)
{
    struct prilora_tagging out[ROUND_TEXTS];
    const struct prilora_tagging *at = out;
    enum prilora_status rc =
        prilora_adapter_tag(adapter, round->texts, round->n_texts, &p->stop, out, &round->error);

    for (size_t i = 0; rc == PRILORA_OK && i < round->n_pieces; i++) {
        struct prediction *to = round->pieces[i].prediction;

        for (size_t k = to->n_done; k < to->n_done + round->pieces[i].n; k++, at++) {
            to->tags[k] = *at;
            to->out[k] = (struct prilora_prediction){at->n_tokens, at->truncated};
        }
    }
    return rc;
}

/* So do the answers; all are to one request's questions. */
static enum prilora_status compute_answers(struct predictor *p, struct round *round,
                                           struct prilora_adapter *adapter)
{
    struct prilora_answering out[ROUND_TEXTS];
    struct prediction *to = round->pieces[0].prediction;
    enum prilora_status rc = prilora_adapter_answer(adapter, round->texts, round->n_texts,
                                                    to->n_best, &p->stop, out, &round->error);

    for (size_t i = 0; rc == PRILORA_OK && i < round->n_texts; i++) {
        to->answers[to->n_done + i] = out[i];
        to->out[to->n_done + i] = (struct prilora_prediction){out[i].n_tokens, out[i].truncated};
    }
    if (rc == PRILORA_ELIMIT) /* "/2" of the round */
        snprintf(round->error.where, sizeof round->error.where, "/%zu",
                 to->n_done + strtoul(round->error.where + 1, NULL, 10));
    return rc;
}

static enum prilora_status compute(struct predictor *p, struct round *round,
                                   struct prilora_adapter *adapter)
{
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; rc == PRILORA_OK && i < round->n_pieces; i++)
        rc = prepare(round->pieces[i].prediction, adapter, &round->error);
    if (rc != PRILORA_OK)
        return rc;
    if (round->pieces[0].prediction->answers)
        return compute_answers(p, round, adapter);
    return round->pieces[0].prediction->tags ? compute_tags(p, round, adapter)
                                             : compute_values(p, round, adapter);
}

static void run(struct predictor *p, struct round *round)
{
    struct prilora_adapter *adapter;

    round->status = predictor_cache_get(&p->cache, round->pieces[0].prediction, &adapter,
                                        &round->stage, &round->error);
    if (round->status == PRILORA_OK) {
        round->stage = PREDICTION_TEXTS;
        round->status = compute(p, round, adapter);
    }
    if (round->status != PRILORA_OK && round->status != PRILORA_ESTOPPED)
        log_warn("predictor", "%s: %s", round->pieces[0].prediction->job_id, round->error.message);
}

/* ---- the thread ---- */

/* Called with the mutex held, which it lets go while adapters are closed. */
static void close_some(struct predictor *p)
{
    char forgotten[MAX_FORGOTTEN][ID_SIZE];
    size_t n = p->n_forgotten;

    memcpy(forgotten, p->forgotten, sizeof forgotten);
    p->n_forgotten = 0;
    pthread_mutex_unlock(&p->mutex);
    for (size_t i = 0; n <= MAX_FORGOTTEN && i < n; i++)
        predictor_cache_forget(&p->cache, forgotten[i]);
    predictor_cache_trim(&p->cache, n > MAX_FORGOTTEN ? 0 : IDLE_S);
    pthread_mutex_lock(&p->mutex);
}

/* Until there is something to do; called with the mutex held. */
static void wait_for_work(struct predictor *p)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_EVERY_S;
    if (!p->first && !p->stopping && !p->n_forgotten)
        pthread_cond_timedwait(&p->changed, &p->mutex, &until);
    drop_released(p);
    if (!p->first || p->n_forgotten)
        close_some(p);
}

static uint64_t memory_limit(const struct config *config)
{
    uint64_t machine = limits_memory_bytes();

    if (config->predictions_memory_limit_mb > 0)
        return (uint64_t)config->predictions_memory_limit_mb << 20;
    return machine ? machine / 4 : UINT64_MAX;
}

/* A reload may have changed it. */
static void keep_limit(struct predictor *p)
{
    const struct config *config = config_now(p->config);

    if (config != p->seen)
        p->cache.limit_bytes = memory_limit(config);
    p->seen = config;
}

static void run_round(struct predictor *p, struct round *round)
{
    double start = clock_seconds(), speed;

    gather(p, round);
    pthread_mutex_unlock(&p->mutex);
    keep_limit(p);
    run(p, round);
    pthread_mutex_lock(&p->mutex);
    speed = (double)round->n_texts / (clock_seconds() - start + 1e-6);
    if (round->status == PRILORA_OK) {
        p->texts_per_second =
            p->texts_per_second > 0 ? 0.8 * p->texts_per_second + 0.2 * speed : speed;
        p->figures.n_rounds++;
        p->figures.n_texts += round->n_texts;
        meters_add(METER_PREDICTIONS, round->n_texts);
    }
    settle(p, round);
}

static void *predict(void *argument)
{
    static const struct round stopped = {
        .status = PRILORA_ESTOPPED,
        .error = {.status = PRILORA_ESTOPPED, .message = "prilorad is stopping"},
    };
    struct predictor *p = argument;
    struct round *round = malloc(sizeof *round);

    pthread_setname_np(pthread_self(), "predictor");
    priority_lower_some();
    pthread_mutex_lock(&p->mutex);
    while (round && !p->stopping) {
        wait_for_work(p);
        pulse_begin("a prediction");
        if (p->first && !p->stopping)
            run_round(p, round);
        pulse_end();
    }
    while (p->first)
        fail(p, p->first, &stopped);
    p->stopping = true;
    pthread_mutex_unlock(&p->mutex);
    predictor_cache_trim(&p->cache, 0);
    free(round);
    return NULL;
}

/* ---- from other threads ---- */

enum prilora_status predictor_submit(struct predictor *p, struct prediction *prediction,
                                     struct prilora_error *err)
{
    const size_t most = (size_t)config_now(p->config)->max_waiting;
    enum prilora_status rc = PRILORA_OK;

    pthread_mutex_lock(&p->mutex);
    if (p->stopping) {
        rc = error_set(err, PRILORA_ESTOPPED, "prilorad is stopping");
    } else if (p->figures.n_waiting > 0 && p->figures.n_waiting + prediction->n > most) {
        rc = error_set(err, PRILORA_ELIMIT,
                       "%zu texts wait to be predicted; %zu more would be above "
                       "predictions.max_waiting (%zu)",
                       p->figures.n_waiting, prediction->n, most);
    } else {
        p->figures.n_waiting += prediction->n;
        append(p, prediction);
        pthread_cond_signal(&p->changed);
    }
    pthread_mutex_unlock(&p->mutex);
    return rc;
}

void predictor_await(struct predictor *p, struct prediction *prediction,
                     void (*wake)(void *context), void *context)
{
    pthread_mutex_lock(&p->mutex);
    prediction->wake = wake;
    prediction->context = context;
    if (prediction->is_done)
        wake(context);
    pthread_mutex_unlock(&p->mutex);
}

bool predictor_collect(struct predictor *p, struct prediction *prediction)
{
    bool is_done;

    pthread_mutex_lock(&p->mutex);
    prediction->wake = NULL;
    is_done = prediction->is_done;
    pthread_mutex_unlock(&p->mutex);
    return is_done;
}

/* Called with the mutex held. */
static bool is_queued(const struct predictor *p, const struct prediction *prediction)
{
    const struct prediction *at = p->first;

    while (at && at != prediction)
        at = at->next;
    return at != NULL;
}

void predictor_release(struct predictor *p, struct prediction *prediction)
{
    bool free_it;

    if (!prediction)
        return;
    pthread_mutex_lock(&p->mutex);
    prediction->wake = NULL;
    prediction->is_released = true;
    free_it = prediction->is_done || !is_queued(p, prediction);
    pthread_mutex_unlock(&p->mutex);
    if (free_it)
        prediction_free(prediction);
}

long predictor_patience_s(struct predictor *p)
{
    double seconds;

    pthread_mutex_lock(&p->mutex);
    seconds = p->texts_per_second > 0 ? (double)p->figures.n_waiting / p->texts_per_second : 0;
    pthread_mutex_unlock(&p->mutex);
    return seconds > MAX_PATIENCE - 1 ? MAX_PATIENCE : 1 + (long)seconds;
}

void predictor_get_figures(struct predictor *p, struct predictor_figures *out)
{
    pthread_mutex_lock(&p->mutex);
    *out = p->figures;
    pthread_mutex_unlock(&p->mutex);
}

void predictor_forget(struct predictor *p, const char *job_id)
{
    pthread_mutex_lock(&p->mutex);
    if (p->n_forgotten < MAX_FORGOTTEN)
        snprintf(p->forgotten[p->n_forgotten], ID_SIZE, "%s", job_id);
    if (p->n_forgotten <= MAX_FORGOTTEN)
        p->n_forgotten++;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

/* ---- starting and stopping ---- */

static void predictor_free(struct predictor *p)
{
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

enum prilora_status predictor_start(struct predictor **out, const struct config *config,
                                    struct store *store, struct models *models,
                                    struct prilora_error *err)
{
    struct predictor *p = calloc(1, sizeof *p);
    long threads = config->predictions_threads > 0 ? config->predictions_threads : limits_cores();
    pthread_condattr_t monotonic;

    *out = NULL;
    if (!p)
        return error_memory(err);
    p->cache = (struct predictor_cache){.store = store,
                                        .models = models,
                                        .n_threads = (size_t)threads,
                                        .limit_bytes = memory_limit(config_now(config))};
    p->config = config;
    p->seen = config_now(config);
    atomic_init(&p->stop, PRILORA_GO);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&p->thread, NULL, predict, p) != 0) {
        predictor_free(p);
        return error_set(err, PRILORA_EIO, "cannot start the thread of predictions");
    }
    *out = p;
    return PRILORA_OK;
}

void predictor_stop(struct predictor *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, PRILORA_STOP);
    pthread_mutex_lock(&p->mutex);
    p->stopping = true;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    pthread_join(p->thread, NULL);
    predictor_free(p);
}
