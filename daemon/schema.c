/*
 * schema.c - see schema.h. A step that was ever released is never changed: a new one is added.
 *
 * `row` is what lists page by: it only grows, and is never used again.
 */
#include "daemon/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/db_copy.h"
#include "daemon/error.h"
#include "daemon/log.h"

static const char *const steps[] = {
    "CREATE TABLE files ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  bytes INTEGER NOT NULL,"
    "  created_at INTEGER NOT NULL,"
    "  expires_at INTEGER NOT NULL DEFAULT 0,"
    "  filename TEXT NOT NULL,"
    "  purpose TEXT NOT NULL,"
    "  status TEXT NOT NULL,"
    "  sha256 TEXT NOT NULL);"

    "CREATE TABLE jobs ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  status TEXT NOT NULL CHECK (status IN ('validating_files', 'queued', 'running', 'paused',"
    "                                         'succeeded', 'failed', 'cancelled')),"
    "  created_at INTEGER NOT NULL,"
    "  started_at INTEGER NOT NULL DEFAULT 0,"
    "  finished_at INTEGER NOT NULL DEFAULT 0,"
    "  priority INTEGER NOT NULL,"
    "  seed INTEGER NOT NULL,"
    "  model TEXT NOT NULL,"
    "  training_file TEXT NOT NULL,"
    "  validation_file TEXT,"
    "  suffix TEXT,"
    "  metadata TEXT,"
    "  spec TEXT NOT NULL,"
    "  requested TEXT,"
    "  forecast TEXT,"
    "  result TEXT,"
    "  fine_tuned_model TEXT,"
    "  error_code TEXT,"
    "  error_message TEXT,"
    "  error_param TEXT,"
    "  trained_tokens INTEGER NOT NULL DEFAULT 0,"
    "  attempts INTEGER NOT NULL DEFAULT 0,"
    "  cancel_requested INTEGER NOT NULL DEFAULT 0,"
    "  claimed INTEGER NOT NULL DEFAULT 0,"
    "  deaths INTEGER NOT NULL DEFAULT 0,"
    "  step INTEGER NOT NULL DEFAULT 0,"
    "  total_steps INTEGER NOT NULL DEFAULT 0,"
    "  n_tokens INTEGER NOT NULL DEFAULT 0,"
    "  epoch REAL,"
    "  loss REAL,"
    "  tokens_per_second REAL,"
    "  seconds_left REAL,"
    "  peak_memory_bytes INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX jobs_in_order ON jobs (status, priority DESC, row);"
    "CREATE INDEX jobs_by_model ON jobs (fine_tuned_model) WHERE fine_tuned_model IS NOT NULL;"

    "CREATE TABLE events ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,"
    "  key TEXT,"
    "  created_at INTEGER NOT NULL,"
    "  level TEXT NOT NULL,"
    "  type TEXT NOT NULL,"
    "  message TEXT NOT NULL,"
    "  data TEXT,"
    "  UNIQUE (job_id, key));"
    "CREATE INDEX events_by_job ON events (job_id, row);"

    "CREATE TABLE series ("
    "  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,"
    "  series INTEGER NOT NULL,"
    "  step INTEGER NOT NULL,"
    "  created_at INTEGER NOT NULL,"
    "  json TEXT NOT NULL,"
    "  PRIMARY KEY (job_id, series, step)) WITHOUT ROWID;",

    /* 2: pausing, adapters that are trained on, keys, uploads in parts, idempotency, webhooks */
    "ALTER TABLE jobs ADD COLUMN pause_requested INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN start_from TEXT;" /* the fine-tuned model it goes on from */
    "DROP INDEX jobs_in_order;"
    "CREATE INDEX jobs_in_order ON jobs (status, cancel_requested DESC, priority DESC, row);"
    "CREATE INDEX jobs_by_status ON jobs (status, row);" /* lists of some states, newest first */
    "ALTER TABLE jobs ADD COLUMN key_id TEXT;" /* who submitted it; NULL: nobody had a key */
    "ALTER TABLE files ADD COLUMN key_id TEXT;"
    "CREATE INDEX jobs_by_key ON jobs (key_id, status) WHERE key_id IS NOT NULL;"
    "CREATE INDEX files_by_key ON files (key_id) WHERE key_id IS NOT NULL;"

    /* what a live stream pages by: grows with every change of a job's row in a series */
    "ALTER TABLE series ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;"
    "UPDATE series SET revision = step + 1;"
    "CREATE INDEX series_by_revision ON series (job_id, series, revision);"

    "CREATE TABLE keys ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL,"
    "  scope TEXT NOT NULL CHECK (scope IN ('read', 'submit', 'admin')),"
    "  sha256 TEXT NOT NULL UNIQUE," /* of the key, which is kept nowhere */
    "  created_at INTEGER NOT NULL,"
    "  expires_at INTEGER NOT NULL DEFAULT 0,"
    "  revoked_at INTEGER NOT NULL DEFAULT 0,"
    "  last_used_at INTEGER NOT NULL DEFAULT 0,"
    "  max_queued_jobs INTEGER NOT NULL DEFAULT 0," /* 0: no quota of its own */
    "  max_bytes INTEGER NOT NULL DEFAULT 0);"

    "CREATE TABLE uploads ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  key_id TEXT,"
    "  created_at INTEGER NOT NULL,"
    "  expires_at INTEGER NOT NULL,"
    "  bytes INTEGER NOT NULL,"
    "  filename TEXT NOT NULL,"
    "  mime_type TEXT NOT NULL,"
    "  purpose TEXT NOT NULL,"
    "  file_expires_s INTEGER NOT NULL DEFAULT 0,"
    "  status TEXT NOT NULL CHECK (status IN ('pending', 'completed', 'cancelled',"
    "                                         'expired')),"
    "  file_id TEXT);"
    "CREATE INDEX uploads_pending ON uploads (expires_at) WHERE status = 'pending';"
    "CREATE TABLE upload_parts ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  upload_id TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,"
    "  created_at INTEGER NOT NULL,"
    "  bytes INTEGER NOT NULL,"
    "  sha256 TEXT NOT NULL);"
    "CREATE INDEX upload_parts_by_upload ON upload_parts (upload_id);"

    "CREATE TABLE idempotency ("
    "  caller TEXT NOT NULL," /* a key's id, or '' */
    "  key TEXT NOT NULL,"
    "  request TEXT NOT NULL," /* SHA-256 of method, path and body */
    "  created_at INTEGER NOT NULL,"
    "  answer TEXT NOT NULL,"
    "  PRIMARY KEY (caller, key)) WITHOUT ROWID;"
    "CREATE INDEX idempotency_by_age ON idempotency (created_at);"

    "CREATE TABLE webhooks ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  job_id TEXT NOT NULL,"
    "  type TEXT NOT NULL," /* 'fine_tuning.job.succeeded', ... */
    "  created_at INTEGER NOT NULL,"
    "  attempts INTEGER NOT NULL DEFAULT 0,"
    "  next_at INTEGER NOT NULL,"
    "  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),"
    "  last_error TEXT);"
    "CREATE INDEX webhooks_due ON webhooks (next_at) WHERE state = 'pending';"
    /* a row while the configuration names an address */
    "CREATE TABLE webhook_target (one INTEGER PRIMARY KEY CHECK (one = 1), url TEXT NOT NULL);"
    /* Here, since there are many ways in which a job ends, and none may be forgotten. */
    "CREATE TRIGGER job_ends AFTER UPDATE OF status ON jobs"
    "  WHEN NEW.status IN ('succeeded', 'failed', 'cancelled')"
    "  AND OLD.status NOT IN ('succeeded', 'failed', 'cancelled')"
    "  AND EXISTS (SELECT 1 FROM webhook_target) "
    "BEGIN"
    "  INSERT INTO webhooks (id, job_id, type, created_at, next_at) VALUES ("
    "    'evt_' || lower(hex(randomblob(12))), NEW.id, 'fine_tuning.job.' || NEW.status,"
    "    CAST(strftime('%s', 'now') AS INTEGER), CAST(strftime('%s', 'now') AS INTEGER));"
    "END;",

    /* 3: experiments; a job of one stands in the cell (method, task, seed) */
    "CREATE TABLE experiments ("
    "  row INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  key_id TEXT,"
    "  created_at INTEGER NOT NULL,"
    "  name TEXT,"
    "  model TEXT NOT NULL,"
    "  metadata TEXT,"
    "  n_cells INTEGER NOT NULL,"
    "  grid TEXT NOT NULL);" /* {"methods", "tasks", "seeds"} */
    "ALTER TABLE jobs ADD COLUMN experiment_id TEXT;"
    "ALTER TABLE jobs ADD COLUMN experiment_method TEXT;" /* the names in the grid */
    "ALTER TABLE jobs ADD COLUMN experiment_task TEXT;"
    "CREATE INDEX jobs_by_experiment ON jobs (experiment_id, row) WHERE experiment_id IS NOT NULL;"
    "CREATE UNIQUE INDEX jobs_by_cell ON jobs"
    "  (experiment_id, experiment_method, experiment_task, seed) WHERE experiment_id IS NOT NULL;",

    /* 4: what is being validated is looked up whenever a worker is free */
    "CREATE INDEX jobs_claimed ON jobs (status) WHERE claimed = 1;",
};
#define N_STEPS ((long)(sizeof steps / sizeof *steps))

static enum prilora_status fail(sqlite3 *db, const char *path, struct prilora_error *err)
{
    int code = sqlite3_errcode(db) & 0xff; /* without the details */

    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        return error_set(err, PRILORA_EFORMAT,
                         "%s: the database is damaged (%s); restore it from a backup, or move it "
                         "away to start with an empty one",
                         path, sqlite3_errmsg(db));
    return error_set(err, PRILORA_EIO, "%s: %s", path, sqlite3_errmsg(db));
}

/* First column of the first row; text only valid for a moment, so it is copied. */
static enum prilora_status ask(sqlite3 *db, const char *path, const char *sql, char *answer,
                               size_t room, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        rc = fail(db, path, err);
    } else {
        const char *text = (const char *)sqlite3_column_text(statement, 0);

        snprintf(answer, room, "%s", text ? text : "");
    }
    sqlite3_finalize(statement);
    return rc;
}

enum prilora_status schema_check(sqlite3 *db, const char *path, struct prilora_error *err)
{
    char answer[200];
    enum prilora_status rc = ask(db, path, "PRAGMA quick_check(1)", answer, sizeof answer, err);

    if (rc == PRILORA_OK && strcmp(answer, "ok") != 0)
        rc = error_set(err, PRILORA_EFORMAT,
                       "%s: the database is damaged (%s); restore it from a backup, or move it "
                       "away to start with an empty one",
                       path, answer);
    return rc;
}

static enum prilora_status take_step(sqlite3 *db, const char *path, long step,
                                     struct prilora_error *err)
{
    enum prilora_status rc;
    char version[48];

    snprintf(version, sizeof version, "PRAGMA user_version = %ld", step + 1);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_exec(db, steps[step], NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_exec(db, version, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
        return PRILORA_OK;
    rc = fail(db, path, err);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* Where a database of an older schema is kept as it was; free it. */
static char *backup_path(const char *path, long version)
{
    return text_format("%s.schema-%ld.bak", path, version);
}

/* What was there before the first step stays, for who has to go back to the prilorad before. */
static enum prilora_status keep_copy(sqlite3 *db, const char *path, long version,
                                     struct prilora_error *err)
{
    struct prilora_error why;
    char *copy = backup_path(path, version);
    enum prilora_status rc = copy ? db_copy(db, copy, &why) : error_memory(&why);

    if (rc == PRILORA_OK)
        log_info("store", "%s: schema %ld becomes %ld; as it was, it is kept in %s", path, version,
                 N_STEPS, copy);
    else
        rc = error_set(err, rc,
                       "%s: schema %ld has to become %ld, but a copy of what is there cannot be "
                       "made before (%s); nothing was changed",
                       path, version, N_STEPS, why.message);
    free(copy);
    return rc;
}

/* Whoever has gone back to an older prilorad has the copy that the newer one kept, if any. */
static enum prilora_status refuse_newer(const char *path, long version, struct prilora_error *err)
{
    char *copy = NULL;
    enum prilora_status rc;

    for (long old = N_STEPS; old > 0; old--) {
        copy = backup_path(path, old);
        if (copy && access(copy, F_OK) == 0)
            break;
        free(copy);
        copy = NULL;
    }
    rc = error_set(err, PRILORA_EUNSUPPORTED,
                   "%s: was written by a newer prilorad (schema %ld; prilorad " PRILORA_VERSION
                   " knows up to %ld)%s%s%s",
                   path, version, N_STEPS, copy ? "; as it was before that, it is in " : "",
                   copy ? copy : "",
                   copy ? ": put in its place, without its -wal and -shm files, it can be used, "
                          "but has nothing of what came after"
                        : "");
    free(copy);
    return rc;
}

bool schema_is_empty(sqlite3 *db)
{
    char answer[32];

    return ask(db, "", "SELECT user_version FROM pragma_user_version", answer, sizeof answer,
               NULL) == PRILORA_OK &&
           strcmp(answer, "0") == 0;
}

enum prilora_status schema_migrate(sqlite3 *db, const char *path, struct prilora_error *err)
{
    char answer[32];
    long version = 0;
    enum prilora_status rc =
        ask(db, path, "SELECT user_version FROM pragma_user_version", answer, sizeof answer, err);

    if (rc != PRILORA_OK)
        return rc;
    if (sscanf(answer, "%ld", &version) != 1 || version < 0 || version > N_STEPS)
        return refuse_newer(path, version, err);
    if (version > 0 && version < N_STEPS)
        rc = keep_copy(db, path, version, err);
    for (long step = version; step < N_STEPS && rc == PRILORA_OK; step++)
        rc = take_step(db, path, step, err);
    return rc;
}

long schema_newest(void)
{
    return N_STEPS;
}
