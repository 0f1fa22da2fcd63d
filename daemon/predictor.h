/*
 * predictor.h - finished adapters that say something of texts: one thread, a queue, and the
 * adapters that it keeps open.
 *
 * What waits for the same adapter is computed in one batch: while a batch is computed the next one
 * gathers, so that it is as large as there are requests, and one request alone waits for nobody. In
 * a batch everyone has a fair part, and a request with many texts is computed in several rounds,
 * the others' between them. Questions are the exception: the windows of one context are a batch by
 * themselves, so that a round is one request's, and ends with enough bytes of contexts.
 */
#ifndef PREDICTOR_H
#define PREDICTOR_H

#include "daemon/config.h"
#include "daemon/models.h"
#include "daemon/store.h"

struct predictor;

enum prilora_status predictor_start(struct predictor **out, const struct config *config,
                                    struct store *store, struct models *models,
                                    struct prilora_error *err);
/* What waits ends as ESTOPPED; the round that is computed is given up. Accepts NULL. */
void predictor_stop(struct predictor *predictor);

/* What was being done when a prediction failed. */
enum prediction_stage { PREDICTION_BASE, PREDICTION_ADAPTER, PREDICTION_TEXTS };

/* The texts of one request and what becomes of them. */
struct prediction {
    char job_id[ID_SIZE]; /* whose adapter */
    char *base;           /* id of its base; malloc'ed, the prediction's */
    const struct prilora_text *texts;
    size_t n;
    size_t n_best; /* answers of each question; 0: the adapter does not answer questions */
    void *owner;   /* of the texts; freed with free_owner */
    void (*free_owner)(void *owner);

    /* when it is done */
    enum prilora_status status;
    struct prilora_error error;  /* of a context that is too long, its number in where: "/2" */
    enum prediction_stage stage; /* that failed */
    struct prilora_adapter_info info;
    char **labels;                     /* [info.n_labels] */
    struct prilora_prediction *out;    /* [n] */
    double *values;                    /* [n, info.n_labels], or NULL and one of these [n]: */
    struct prilora_tagging *tags;      /* of token classification */
    struct prilora_answering *answers; /* of question answering */

    /* the predictor's, guarded by its mutex */
    size_t n_done;
    bool is_done, is_released;
    void (*wake)(void *context);
    void *context;
    struct prediction *next;
};

/* All zero, to be filled; predictor_release frees it. NULL: out of memory. */
struct prediction *prediction_new(void);

/* ELIMIT: so much waits already that it would be more than predictions.max_waiting. */
enum prilora_status predictor_submit(struct predictor *predictor, struct prediction *prediction,
                                     struct prilora_error *err);
/* Calls wake(context) when it is done, at once if it is: with the predictor's mutex held, on any
 * thread; it must only wake somebody. */
void predictor_await(struct predictor *predictor, struct prediction *prediction,
                     void (*wake)(void *context), void *context);
/* Whether it is done; from now on nobody is woken. */
bool predictor_collect(struct predictor *predictor, struct prediction *prediction);
/* The caller wants no more of it, done or not, submitted or not. Accepts NULL for it. */
void predictor_release(struct predictor *predictor, struct prediction *prediction);

/* In how many seconds what waits now will probably be done, 1 to 60. */
long predictor_patience_s(struct predictor *predictor);

/* What it has done since it was started, and what waits now. */
struct predictor_figures {
    uint64_t n_rounds, n_texts; /* computed; n_texts in so many rounds */
    size_t n_waiting;           /* texts */
};
void predictor_get_figures(struct predictor *predictor, struct predictor_figures *out);

/* A job's adapter is gone: it need not be kept open. */
void predictor_forget(struct predictor *predictor, const char *job_id);

#endif
