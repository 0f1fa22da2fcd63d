/*
 * webhooks.h - telling another server that a job has ended: signed as Standard Webhooks, sent until
 * it is taken or there is no hope.
 *
 * A row is written by a trigger of the database (schema.c) in the transaction in which a job ends,
 * whatever ends it: one row for each end, while webhooks.url is set. A thread sends what is due; an
 * event may arrive twice if the daemon dies between sending and writing so, always under one id.
 */
#ifndef WEBHOOKS_H
#define WEBHOOKS_H

#include "daemon/config.h"
#include "daemon/store.h"
#include "daemon/sweep.h"

/* ---- rows ---- */

struct webhook {
    char id[ID_SIZE]; /* "evt_..." */
    char job_id[ID_SIZE];
    char type[40];  /* "fine_tuning.job.succeeded" */
    char state[16]; /* "pending", "sent", "failed" */
    int64_t created_at;
    int64_t attempts, next_at; /* next_at: when pending */
    char *last_error;          /* of the last attempt, NULL: none or none failed */
};
void webhook_clear(struct webhook *webhook);
void webhooks_free_list(struct webhook *webhooks, size_t n);

/* Jobs that end from now on are told of if `url` is not empty; if it is, what was not sent yet is
 * given up. At start, before any job runs. */
enum prilora_status webhooks_set_target(struct store *store, const char *url,
                                        struct prilora_error *err);
/* Newest first. ENOENT if `after` (NULL: from the first) names none. */
enum prilora_status webhooks_list(struct store *store, const char *after, size_t limit,
                                  struct webhook **out, size_t *n, bool *has_more,
                                  struct prilora_error *err);
/* Sent again from the first attempt on, whatever its state. ENOENT. */
enum prilora_status webhooks_retry(struct store *store, const char *id, struct webhook *out,
                                   struct prilora_error *err);
/* Forgets what has been over for long. */
enum prilora_status webhooks_sweep(struct store *store, struct sweep *sweep,
                                   struct prilora_error *err);

/* For the sender: one that is due, if any. */
enum prilora_status webhooks_next(struct store *store, struct webhook *out, bool *found,
                                  struct prilora_error *err);
/* How an attempt ended: error NULL means well; next_at 0 that it was the last. */
enum prilora_status webhooks_attempted(struct store *store, const char *id, const char *error,
                                       int64_t next_at, struct prilora_error *err);

/* ---- signatures ---- */

#define WEBHOOK_MAX_SECRET     128 /* bytes */
#define WEBHOOK_SIGNATURE_SIZE 64

struct webhook_secret {
    unsigned char bytes[WEBHOOK_MAX_SECRET];
    size_t n;
};
/* "whsec_" and base64 of 24 bytes or more. EINVAL. */
enum prilora_status webhook_read_secret(struct webhook_secret *out, const char *text,
                                        struct prilora_error *err);
/* "v1," and base64 of HMAC-SHA256 over "id.timestamp.body". */
void webhook_sign(char out[WEBHOOK_SIGNATURE_SIZE], const struct webhook_secret *secret,
                  const char *id, int64_t timestamp, const char *body);
/* What is sent, the same at each attempt; free it. NULL: out of memory. */
char *webhook_body(const struct webhook *webhook);
/* Seconds until the attempt after `attempts` failed ones, up to a fifth more by `random`; 0: there
 * is none. */
int64_t webhook_delay(int64_t attempts, uint32_t random);

/* ---- the sender ---- */

struct webhooks;

/* Sends nothing while webhooks.url is empty. EINVAL, ENOENT, EIO: the secret. `config` outlives the
 * sender, and so do those that webhooks_prepare gets. */
enum prilora_status webhooks_start(struct webhooks **out, const struct config *config,
                                   struct store *store, struct prilora_error *err);
/*
 * Another address and secret, read in two steps: webhooks_prepare may fail as webhooks_start may,
 * and also when the database cannot be written; then all stays as it is. After it jobs that end are
 * told to the new address; deliveries go there from webhooks_take on, which frees the target.
 */
struct webhook_target;
enum prilora_status webhooks_prepare(struct webhooks *webhooks, struct webhook_target **out,
                                     const struct config *config, struct prilora_error *err);
void webhooks_take(struct webhooks *webhooks, struct webhook_target *target);
void webhooks_stop(struct webhooks *webhooks); /* within a second or so; accepts NULL */

#endif
