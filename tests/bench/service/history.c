/*
 * history.c - see history.h. The rows of one job that really ran are held in temporary tables and
 * written again and again under other ids, so that they stay as the daemon writes them.
 */
#include "history.h"

#include <stdio.h>

#include "child.h"

#define PER_TRANSACTION 5000

static void check(enum prilora_status rc, const struct prilora_error *err)
{
    if (rc != PRILORA_OK)
        child_die("%s", err->message);
}

void history_id(char out[ID_SIZE], size_t i)
{
    /* spread over the index as random ids are, and never twice: the factor is odd */
    snprintf(out, ID_SIZE, "ftjob-%024llu",
             (unsigned long long)i * 0x9E3779B97F4A7C15ull & 0x7FFFFFFFFFFFFFFF);
}

static void take_originals(struct store *store, const char *id)
{
    struct prilora_error err;

    check(store_run(store, &err, "copy a job",
                    "CREATE TEMP TABLE one_job AS SELECT * FROM jobs WHERE id = ?", "t", id),
          &err);
    check(store_run(store, &err, "copy events",
                    "CREATE TEMP TABLE its_events AS SELECT * FROM events WHERE job_id = ? "
                    "ORDER BY row",
                    "t", id),
          &err);
}

static void write_copy(struct store *store, const char *id)
{
    static const char *const sql[] = {
        "UPDATE one_job SET row = NULL, id = ?1, fine_tuned_model = 'ft:' || ?1",
        "INSERT INTO jobs SELECT * FROM one_job WHERE id = ?1",
        "UPDATE its_events SET row = NULL, job_id = ?1, "
        "id = 'ftevent-' || lower(hex(randomblob(12)))",
        "INSERT INTO events SELECT * FROM its_events WHERE job_id = ?1",
    };
    struct prilora_error err;

    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++)
        check(store_run(store, &err, "write a copy", sql[i], "t", id), &err);
}

void history_make(const char *folder, const char *id, size_t n)
{
    char path[600], copy[ID_SIZE];
    struct prilora_error err;
    struct store *store;

    snprintf(path, sizeof path, "%s/state", folder);
    check(store_open(&store, path, &err), &err);
    take_originals(store, id);
    for (size_t i = 1; i <= n; i++) {
        if (i % PER_TRANSACTION == 1)
            check(store_begin(store, &err), &err);
        history_id(copy, i);
        write_copy(store, copy);
        if (i % PER_TRANSACTION == 0 || i == n)
            check(store_end(store, PRILORA_OK, &err), &err);
    }
    store_close(store);
}
