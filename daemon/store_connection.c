/* store_connection.c - see store_parts.h: how connections are opened, and wait for each other. */
#include <stdlib.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/error.h"
#include "daemon/store_parts.h"

#define PATIENCE_MS 20000 /* while another process holds the database */
#define BRIEF_MS    5000
#define HURRY_MS    200
#define NAP_MS      20 /* between two tries; the first ones are closer */
#define SHORT_NAPS  10

/* ---- waiting for the database ----
 *
 * Who writes waits for who writes: milliseconds, among our threads; but another process may hold
 * the lock for long. A thread that answers requests does not wait for that to end, and once one has
 * waited in vain the others hardly wait at all.
 */

static _Thread_local bool is_brief;

void store_be_brief(void)
{
    is_brief = true;
}

/* SQLite's question, whether to try again. */
static int wait_for_lock(void *context, int n_tries)
{
    const struct timespec nap = {0, (n_tries < SHORT_NAPS ? 1 : NAP_MS) * 1000000L};
    struct connection *c = context;
    long limit_ms = !is_brief ? PATIENCE_MS : atomic_load(&c->store->is_held) ? HURRY_MS : BRIEF_MS;

    if (n_tries == 0)
        c->waits_since = clock_seconds();
    if (1e3 * (clock_seconds() - c->waits_since) >= (double)limit_ms) {
        atomic_store(&c->store->is_held, true);
        return 0;
    }
    nanosleep(&nap, NULL);
    return 1;
}

/* ---- connections ---- */

void store_connection_close(struct connection *c)
{
    for (size_t i = 0; i < c->n_statements; i++)
        sqlite3_finalize(c->statements[i]);
    free(c->statements);
    sqlite3_close(c->db);
    free(c);
}

/* When a thread ends. */
void store_connection_release(void *value)
{
    struct connection *c = value, **at;
    struct store *store = c->store;

    pthread_mutex_lock(&store->mutex);
    for (at = &store->connections; *at && *at != c; at = &(*at)->next)
        ;
    if (*at)
        *at = c->next;
    pthread_mutex_unlock(&store->mutex);
    store_connection_close(c);
}

void store_close_thread(struct store *store)
{
    void *c = pthread_getspecific(store->key);

    if (!c)
        return;
    pthread_setspecific(store->key, NULL);
    store_connection_release(c);
}

enum prilora_status store_status_of(int code)
{
    static const struct {
        int code;
        enum prilora_status status;
    } kinds[] = {
        {SQLITE_NOMEM, PRILORA_ENOMEM},   {SQLITE_CORRUPT, PRILORA_EFORMAT},
        {SQLITE_NOTADB, PRILORA_EFORMAT}, {SQLITE_TOOBIG, PRILORA_ELIMIT},
        {SQLITE_FULL, PRILORA_ENOSPC},    {SQLITE_BUSY, PRILORA_EBUSY},
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == (code & 0xff))
            return kinds[i].status;
    return PRILORA_EIO;
}

static enum prilora_status configure(struct connection *c, const char *path,
                                     struct prilora_error *err)
{
    static const char *const settings = "PRAGMA journal_mode = WAL;"
                                        "PRAGMA synchronous = FULL;"
                                        "PRAGMA cache_size = -256;" /* KiB; every thread has one */
                                        "PRAGMA foreign_keys = ON;";
    sqlite3 *db = c->db;

    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_handler(db, wait_for_lock, c);
    if (sqlite3_exec(db, settings, NULL, NULL, NULL) == SQLITE_OK)
        return PRILORA_OK;
    if (store_status_of(sqlite3_errcode(db)) == PRILORA_EFORMAT)
        return error_set(err, PRILORA_EFORMAT,
                         "%s: is not a database of prilorad, or is damaged; restore it from a "
                         "backup, or move it away to start with an empty one",
                         path);
    return error_set(err, store_status_of(sqlite3_errcode(db)), "%s: cannot open the database: %s",
                     path, sqlite3_errmsg(db));
}

enum prilora_status store_connection_open(struct connection *c, const char *path,
                                          struct prilora_error *err)
{
    enum prilora_status rc;

    if (sqlite3_open_v2(path, &c->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        rc = error_set(err, PRILORA_EIO, "%s: cannot open the database: %s", path,
                       c->db ? sqlite3_errmsg(c->db) : "out of memory");
    else
        rc = configure(c, path, err);
    if (rc != PRILORA_OK) {
        sqlite3_close(c->db);
        c->db = NULL;
    }
    return rc;
}

struct connection *store_connection(struct store *store, struct prilora_error *err)
{
    struct connection *c = pthread_getspecific(store->key);

    if (c)
        return c;
    c = calloc(1, sizeof *c);
    if (!c) {
        error_memory(err);
        return NULL;
    }
    c->store = store;
    if (store_connection_open(c, store->database, err) != PRILORA_OK) {
        free(c);
        return NULL;
    }
    if (pthread_setspecific(store->key, c) != 0) {
        error_memory(err);
        store_connection_close(c);
        return NULL;
    }
    pthread_mutex_lock(&store->mutex);
    c->next = store->connections;
    store->connections = c;
    pthread_mutex_unlock(&store->mutex);
    return c;
}

sqlite3 *store_db(struct store *store, struct prilora_error *err)
{
    struct connection *c = store_connection(store, err);

    return c ? c->db : NULL;
}
