/*
 * queue_claim.c - which job a free worker gets, and whether it gets one at all; see queue.h.
 */
#include "daemon/queue_row.h"

#include <inttypes.h>
#include <stdio.h>

#include "daemon/error.h"
#include "daemon/events.h"
#include "daemon/log.h"

#define MIB (1024.0 * 1024.0)

/* ---- whether the next in line may run now ---- */

struct claim {
    struct store *store;
    enum job_status from;
    int64_t limit;         /* bytes of all that runs */
    char told[2][ID_SIZE]; /* jobs that have a new event, for after the commit */
    size_t n_told;
};

struct next {
    char id[ID_SIZE];
    int64_t attempts;
    int64_t bytes, together; /* forecast: its own; of it and all that is worked on */
    int64_t n_others;        /* jobs that are worked on */
    bool alone;              /* it, or one of those, has to be alone */
};

/* Cancelled ones first: they only have an adapter to write. */
#define IN_ORDER "ORDER BY cancel_requested DESC, priority DESC, row"
#define BYTES    "COALESCE(json_extract(forecast, '$.memory_bytes'), 0)"
#define BASE     "COALESCE(json_extract(forecast, '$.base_bytes'), 0)"

/* The first in line in state ?1 of those that need ?2 bytes at most; ?3: deaths of the daemon after
 * which a job has to be alone. What is being validated has but a bound for what it will need. */
static const char next_sql[] =
    "WITH next AS (SELECT id, attempts, deaths, model, " BYTES " AS bytes, " BASE " AS base "
    "FROM jobs WHERE status = ?1 AND claimed = 0 AND " BYTES " <= ?2 " IN_ORDER " LIMIT 1), "
    "others AS (SELECT deaths, model, " BYTES " AS bytes, " BASE " AS base FROM jobs "
    "WHERE status = 'running' UNION ALL SELECT deaths, model, 0, 0 FROM jobs "
    "WHERE status = 'validating_files' AND claimed = 1), "
    "together AS (SELECT model, bytes, base FROM next "
    "UNION ALL SELECT model, bytes, base FROM others) "
    "SELECT id, attempts, bytes, (SELECT SUM(bytes - base) FROM together) + (SELECT SUM(base) FROM "
    "(SELECT MAX(base) AS base FROM together GROUP BY model)), (SELECT COUNT(*) FROM others), "
    "deaths >= ?3 OR EXISTS (SELECT 1 FROM others WHERE deaths >= ?3) FROM next";

#define KEY_LIMIT "waits:limit"

/* Jobs that the limit lets run no longer, one at a time and each once. */
static const char too_large_sql[] =
    "SELECT id, " BYTES " AS bytes FROM jobs WHERE status = 'queued' AND bytes > ?1 "
    "AND NOT EXISTS (SELECT 1 FROM events WHERE job_id = jobs.id AND key = '" KEY_LIMIT
    "') " IN_ORDER " LIMIT 1";

static enum prilora_status find_next(struct claim *claim, int64_t most, struct next *out,
                                     bool *found, struct prilora_error *err)
{
    sqlite3_stmt *s = store_query(claim->store, err, next_sql, "tii", job_status_name(claim->from),
                                  most, (int64_t)(QUEUE_MAX_DEATHS - 1));
    enum prilora_status rc;

    *found = false;
    rc = s ? store_step(claim->store, s, found, "look for a job", err) : err->status;
    if (rc != PRILORA_OK || !*found)
        return rc;
    snprintf(out->id, sizeof out->id, "%s", (const char *)sqlite3_column_text(s, 0));
    out->attempts = sqlite3_column_int64(s, 1);
    out->bytes = sqlite3_column_int64(s, 2);
    out->together = sqlite3_column_int64(s, 3);
    out->n_others = sqlite3_column_int64(s, 4);
    out->alone = sqlite3_column_int(s, 5) != 0;
    sqlite3_reset(s);
    return PRILORA_OK;
}

/* Unless it has been told already. */
static enum prilora_status tell(struct claim *claim, const char *id, const char *key,
                                const char *message, struct prilora_error *err)
{
    enum prilora_status rc =
        queue_add_note(claim->store, id, &(struct queue_note){key, "warn", message}, err);

    if (rc == PRILORA_OK && sqlite3_changes(store_db(claim->store, NULL)) > 0) {
        snprintf(claim->told[claim->n_told++], ID_SIZE, "%s", id);
        log_warn("queue", "%s: %s", id, message);
    }
    return rc;
}

static enum prilora_status tell_too_large(struct claim *claim, struct prilora_error *err)
{
    sqlite3_stmt *s = store_query(claim->store, err, too_large_sql, "i", claim->limit);
    bool found = false;
    char id[ID_SIZE], message[200];
    enum prilora_status rc =
        s ? store_step(claim->store, s, &found, "look for a job", err) : err->status;

    if (rc != PRILORA_OK || !found)
        return rc;
    snprintf(id, sizeof id, "%s", (const char *)sqlite3_column_text(s, 0));
    snprintf(
        message, sizeof message,
        "Waits until the limit is raised: the job needs about %.0f MiB of memory, and all jobs "
        "together may now have %.0f MiB",
        (double)sqlite3_column_int64(s, 1) / MIB, (double)claim->limit / MIB);
    sqlite3_reset(s);
    return tell(claim, id, KEY_LIMIT, message, err);
}

/* Once for each time that a worker would begin it. */
static enum prilora_status tell_waiting(struct claim *claim, const struct next *next,
                                        struct prilora_error *err)
{
    char key[48], message[240];

    snprintf(key, sizeof key, "waits:%s:%" PRId64, job_status_name(claim->from), next->attempts);
    if (next->alone)
        snprintf(message, sizeof message,
                 "Waits for what is being worked on (%" PRId64 "): prilorad has ended unexpectedly "
                 "several times, and a job that may have been the reason is now alone until its "
                 "next checkpoint",
                 next->n_others);
    else
        snprintf(message, sizeof message,
                 "Waits for memory: with what is running it would be about %.0f MiB, and all jobs "
                 "together may have %.0f MiB",
                 (double)next->together / MIB, (double)claim->limit / MIB);
    return tell(claim, next->id, key, message, err);
}

/* The job that shall be worked on now; those that have to wait are told. */
static enum prilora_status choose(struct claim *claim, struct next *out, bool *found,
                                  struct prilora_error *err)
{
    enum prilora_status rc = find_next(claim, INT64_MAX, out, found, err);

    if (rc == PRILORA_OK && *found && out->bytes > claim->limit) {
        rc = tell_too_large(claim, err);
        if (rc == PRILORA_OK)
            rc = find_next(claim, claim->limit, out, found, err);
    }
    if (rc == PRILORA_OK && *found && out->n_others > 0 &&
        (out->alone || out->together > claim->limit)) {
        *found = false;
        rc = tell_waiting(claim, out, err);
    }
    return rc;
}

/* ---- claiming ---- */

static const char validate_sql[] =
    "UPDATE jobs SET claimed = 1 WHERE id = ?1 RETURNING " QUEUE_COLUMNS;

static const char run_sql[] =
    "UPDATE jobs SET status = 'running', attempts = attempts + 1, started_at = CASE started_at "
    "WHEN 0 THEN ?2 ELSE started_at END WHERE id = ?1 RETURNING " QUEUE_COLUMNS;

/* The one row of the UPDATE ... RETURNING, which is run to its end. */
static enum prilora_status take(struct claim *claim, const char *id, struct job *out, bool *found,
                                struct prilora_error *err)
{
    sqlite3_stmt *s = claim->from == JOB_QUEUED
                          ? store_query(claim->store, err, run_sql, "ti", id, store_now())
                          : store_query(claim->store, err, validate_sql, "t", id);
    bool more = false;
    enum prilora_status rc =
        s ? store_step(claim->store, s, found, "claim a job", err) : err->status;

    if (rc != PRILORA_OK || !*found)
        return rc;
    rc = queue_read_row(s, out, err);
    if (rc == PRILORA_OK)
        rc = store_step(claim->store, s, &more, "claim a job", err);
    sqlite3_reset(s);
    return rc;
}

static enum prilora_status claim_next(struct claim *claim, struct job *out, bool *found,
                                      struct prilora_error *err)
{
    static const struct queue_note started = {"started", "info", "Fine-tuning job started"};
    struct next next = {0};
    enum prilora_status rc = choose(claim, &next, found, err);

    if (rc == PRILORA_OK && *found)
        rc = take(claim, next.id, out, found, err);
    if (rc == PRILORA_OK && *found && claim->from == JOB_QUEUED)
        rc = queue_add_note(claim->store, out->id, &started, err);
    return rc;
}

enum prilora_status queue_claim(struct store *store, enum job_status from, uint64_t memory_limit,
                                struct job *out, bool *found, struct prilora_error *err)
{
    bool limited = from == JOB_QUEUED && memory_limit && memory_limit < INT64_MAX;
    struct claim claim = {
        .store = store,
        .from = from,
        .limit = limited ? (int64_t)memory_limit : INT64_MAX,
    };
    enum prilora_status rc;
    struct prilora_error local;

    err = err ? err : &local;
    *out = (struct job){0};
    *found = false;
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = store_end(store, claim_next(&claim, out, found, err), err);
    for (size_t i = 0; rc == PRILORA_OK && i < claim.n_told; i++)
        events_notify(claim.told[i]);
    if (rc != PRILORA_OK || !*found) {
        *found = false;
        job_clear(out);
    } else {
        events_notify(out->id);
    }
    return rc;
}
