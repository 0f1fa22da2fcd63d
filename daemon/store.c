/*
 * store.c - see store.h. What the tables mean is known to files.c, queue.c, events.c and series.c;
 * here are opening, transactions and statements; connections are store_connection.c's.
 */
#include "daemon/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "daemon/db_copy.h"
#include "daemon/error.h"
#include "daemon/path.h"
#include "daemon/pulse.h"
#include "daemon/schema.h"
#include "daemon/store_parts.h"

#define ID_LETTERS  24
#define CHECK_STEPS 1000 /* of SQLite's machine between two looks at `stop` */

/* ---- opening and closing ---- */

static enum prilora_status lock_folder(struct store *store, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    char *path = text_format("%s/prilorad.lock", store->folder), *owner = NULL;

    if (!path)
        return error_memory(err);
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (store->lock_fd < 0) {
        rc = error_errno(err, path, "open");
    } else if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        rc = error_errno(err, path, "lock");
        owner = path_first_line(path);
        if (owner)
            rc = error_set(err, PRILORA_EIO,
                           "%s: another prilorad (process %s) uses this state folder",
                           store->folder, *owner ? owner : "unknown");
    } else if (ftruncate(store->lock_fd, 0) != 0 ||
               dprintf(store->lock_fd, "%ld\n", (long)getpid()) < 0) {
        rc = error_errno(err, path, "write");
    }
    free(owner);
    free(path);
    return rc;
}

static enum prilora_status make_folders(const char *folder, struct prilora_error *err)
{
    static const struct {
        const char *name;
        bool is_emptied; /* of what the daemon before has left half-way */
    } folders[] = {
        {"files", false}, {"uploads", true}, {"parts", false},
        {"jobs", false},  {"reads", false},  {"backups", true},
    };
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; i < sizeof folders / sizeof *folders && rc == PRILORA_OK; i++) {
        char *path = text_format("%s/%s", folder, folders[i].name);

        rc = path ? path_make_folder(path, err) : error_memory(err);
        if (rc == PRILORA_OK && folders[i].is_emptied)
            rc = path_empty(path, NULL, err);
        free(path);
    }
    return rc;
}

/* A name in state/<folder>; false: none, or no such folder. */
static bool holds_something(const struct store *store, const char *folder)
{
    char *path = text_format("%s/%s", store->folder, folder);
    DIR *dir = path ? opendir(path) : NULL;
    struct dirent *entry = NULL;

    while (dir && (entry = readdir(dir)) && entry->d_name[0] == '.')
        ;
    if (dir)
        closedir(dir);
    free(path);
    return entry;
}

/*
 * An empty database beside files and jobs was lost or cut off, not never written: what is there
 * would be swept away as belonging to nobody.
 */
static enum prilora_status refuse_lost(const struct store *store, const struct connection *c,
                                       struct prilora_error *err)
{
    if (!schema_is_empty(c->db) ||
        (!holds_something(store, "files") && !holds_something(store, "jobs")))
        return PRILORA_OK;
    return error_set(err, PRILORA_EFORMAT,
                     "%s: the database is empty, but there are files and jobs beside it; restore "
                     "it from a backup, or move the whole folder away to start with an empty one",
                     store->database);
}

static int beat(void *context)
{
    (void)context;
    pulse_beat();
    return 0;
}

enum prilora_status store_open(struct store **out, const char *folder, struct prilora_error *err)
{
    enum prilora_status rc;
    struct store *store = calloc(1, sizeof *store);
    struct connection *c = NULL;

    *out = NULL;
    if (!store)
        return error_memory(err);
    store->lock_fd = -1;
    pthread_mutex_init(&store->mutex, NULL);
    store->folder = strdup(folder);
    store->database = text_format("%s/prilorad.db", folder);
    store->has_key = pthread_key_create(&store->key, store_connection_release) == 0;
    if (!store->folder || !store->database || !store->has_key) {
        rc = error_memory(err);
        goto out;
    }
    rc = path_make_folder(folder, err);
    if (rc == PRILORA_OK)
        rc = lock_folder(store, err);
    if (rc == PRILORA_OK)
        rc = make_folders(folder, err);
    if (rc != PRILORA_OK)
        goto out;
    c = store_connection(store, err);
    rc = c ? refuse_lost(store, c, err) : err ? err->status : PRILORA_EIO;
    if (rc != PRILORA_OK)
        goto out;
    /* a large database takes its time */
    sqlite3_progress_handler(c->db, CHECK_STEPS, beat, NULL);
    rc = schema_migrate(c->db, store->database, err);
    sqlite3_progress_handler(c->db, 0, NULL, NULL);
    if (rc != PRILORA_OK)
        goto out;
    *out = store;
    store = NULL;
out:
    store_close(store);
    return rc;
}

/* No other thread may use the store any more. */
void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->has_key)
        pthread_key_delete(store->key);
    while (store->connections) {
        struct connection *c = store->connections;

        store->connections = c->next;
        store_connection_close(c);
    }
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_mutex_destroy(&store->mutex);
    free(store->folder);
    free(store->database);
    free(store);
}

struct stopper {
    bool (*stop)(void);
};

static int asks_to_stop(void *context)
{
    const struct stopper *stopper = context;

    return stopper->stop && stopper->stop();
}

enum prilora_status store_check(struct store *store, bool (*stop)(void), struct prilora_error *err)
{
    struct stopper stopper = {stop};
    struct connection *c = store_connection(store, err);
    enum prilora_status rc;

    if (!c)
        return err ? err->status : PRILORA_EIO;
    sqlite3_progress_handler(c->db, CHECK_STEPS, asks_to_stop, &stopper);
    rc = schema_check(c->db, store->database, err);
    sqlite3_progress_handler(c->db, 0, NULL, NULL);
    sqlite3_db_release_memory(c->db);
    if (rc != PRILORA_OK && asks_to_stop(&stopper))
        rc = error_set(err, PRILORA_ESTOPPED, "the check was stopped");
    return rc;
}

const char *store_folder(const struct store *store)
{
    return store->folder;
}

/* ---- statements ---- */

enum prilora_status store_fail(struct store *store, const char *doing, struct prilora_error *err)
{
    struct connection *c = pthread_getspecific(store->key);
    int code = c ? sqlite3_errcode(c->db) : SQLITE_NOMEM;

    return error_set(err, store_status_of(code), "cannot %s: %s", doing,
                     c ? sqlite3_errmsg(c->db) : sqlite3_errstr(code));
}

sqlite3_stmt *store_statement(struct store *store, const char *sql, struct prilora_error *err)
{
    struct connection *c = store_connection(store, err);
    sqlite3_stmt *statement = NULL;

    if (!c)
        return NULL;
    for (size_t i = 0; i < c->n_statements; i++)
        if (strcmp(sqlite3_sql(c->statements[i]), sql) == 0) {
            sqlite3_reset(c->statements[i]);
            sqlite3_clear_bindings(c->statements[i]);
            return c->statements[i];
        }
    if (c->n_statements == c->room) {
        size_t room = c->room ? 2 * c->room : 32;
        sqlite3_stmt **more = realloc(c->statements, room * sizeof *more);

        if (!more) {
            error_memory(err);
            return NULL;
        }
        c->statements = more;
        c->room = room;
    }
    if (sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
        SQLITE_OK) {
        store_fail(store, "prepare a statement", err);
        return NULL;
    }
    c->statements[c->n_statements++] = statement;
    return statement;
}

static bool bind_all(sqlite3_stmt *statement, const char *types, va_list args)
{
    bool ok = true;

    for (int i = 1; types[i - 1]; i++) {
        const char *text;
        double number;

        switch (types[i - 1]) {
        case 't':
            text = va_arg(args, const char *);
            ok = ok && sqlite3_bind_text(statement, i, text, -1, SQLITE_STATIC) == SQLITE_OK;
            break;
        case 'd':
            number = va_arg(args, double);
            ok = ok && (isfinite(number) ? sqlite3_bind_double(statement, i, number)
                                         : sqlite3_bind_null(statement, i)) == SQLITE_OK;
            break;
        default:
            ok = ok && sqlite3_bind_int64(statement, i, va_arg(args, int64_t)) == SQLITE_OK;
            break;
        }
    }
    return ok;
}

static sqlite3_stmt *query(struct store *store, struct prilora_error *err, const char *sql,
                           const char *types, va_list args)
{
    sqlite3_stmt *statement = store_statement(store, sql, err);

    if (statement && !bind_all(statement, types, args)) {
        store_fail(store, "bind a value", err);
        return NULL;
    }
    return statement;
}

sqlite3_stmt *store_query(struct store *store, struct prilora_error *err, const char *sql,
                          const char *types, ...)
{
    va_list args;
    sqlite3_stmt *statement;

    va_start(args, types);
    statement = query(store, err, sql, types, args);
    va_end(args);
    return statement;
}

enum prilora_status store_step(struct store *store, sqlite3_stmt *statement, bool *row,
                               const char *doing, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int code = sqlite3_step(statement);

    *row = code == SQLITE_ROW;
    if (*row)
        return PRILORA_OK;
    if (code != SQLITE_DONE)
        rc = store_fail(store, doing, err);
    sqlite3_reset(statement);
    return rc;
}

enum prilora_status store_run(struct store *store, struct prilora_error *err, const char *doing,
                              const char *sql, const char *types, ...)
{
    enum prilora_status rc;
    struct prilora_error local = {0};
    va_list args;
    sqlite3_stmt *statement;
    bool row = true;

    if (!err)
        err = &local;
    va_start(args, types);
    statement = query(store, err, sql, types, args);
    va_end(args);
    if (!statement)
        return err->status;
    do
        rc = store_step(store, statement, &row, doing, err);
    while (row);
    return rc;
}

static enum prilora_status make_room(void **out, size_t n, size_t *room, size_t size,
                                     struct prilora_error *err)
{
    void *more;

    if (n < *room)
        return PRILORA_OK;
    more = reallocarray(*out, 2 * *room + 16, size);
    if (!more)
        return error_memory(err);
    *out = more;
    *room = 2 * *room + 16;
    return PRILORA_OK;
}

enum prilora_status store_collect(struct store *store, sqlite3_stmt *statement,
                                  const struct store_rows *rows, void **out, size_t *n,
                                  bool *has_more, struct prilora_error *err)
{
    enum prilora_status rc;
    size_t room = 0;
    bool row;

    *out = NULL;
    *n = 0;
    for (;;) {
        rc = store_step(store, statement, &row, rows->doing, err);
        if (rc != PRILORA_OK || !row || *n == rows->limit)
            break;
        rc = make_room(out, *n, &room, rows->size, err);
        if (rc == PRILORA_OK)
            rc = rows->read(statement, (char *)*out + *n * rows->size, err);
        if (rc != PRILORA_OK)
            break;
        ++*n;
    }
    if (has_more)
        *has_more = rc == PRILORA_OK && row;
    sqlite3_reset(statement);
    return rc;
}

char *store_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text ? strdup(text) : NULL;
}

/* ---- transactions ---- */

/* Rolls back what is open; some errors have done so already. */
static void roll_back(struct store *store)
{
    sqlite3 *db = store_db(store, NULL);

    if (db && !sqlite3_get_autocommit(db))
        store_run(store, NULL, "roll back", "ROLLBACK", "");
}

/* What rolls back is prepared before there is something to: memory may be short then. Should it
 * have failed all the same, it is tried again here. */
enum prilora_status store_begin(struct store *store, struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;

    err = err ? err : &local;
    if (!store_statement(store, "ROLLBACK", err))
        return err->status;
    roll_back(store);
    rc = store_run(store, err, "begin a transaction", "BEGIN IMMEDIATE", "");
    if (rc == PRILORA_OK)
        atomic_store(&store->is_held, false);
    return rc;
}

enum prilora_status store_join(struct store *store, struct store_joined *joined,
                               struct prilora_error *err)
{
    struct connection *c = store_connection(store, err);
    struct store_joined **at;

    if (!c)
        return err ? err->status : PRILORA_EIO;
    for (at = &c->joined; *at; at = &(*at)->next)
        ;
    joined->next = NULL;
    *at = joined;
    return PRILORA_OK;
}

void store_leave(struct store *store)
{
    struct connection *c = pthread_getspecific(store->key);

    if (c)
        c->joined = NULL;
}

static enum prilora_status write_joined(struct store *store, struct prilora_error *err)
{
    struct connection *c = pthread_getspecific(store->key);
    enum prilora_status rc = PRILORA_OK;

    for (struct store_joined *j = c ? c->joined : NULL; j && rc == PRILORA_OK; j = j->next)
        rc = j->write(store, j->context, err);
    return rc;
}

enum prilora_status store_end(struct store *store, enum prilora_status rc,
                              struct prilora_error *err)
{
    if (rc == PRILORA_OK)
        rc = write_joined(store, err);
    store_leave(store);
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "commit", "COMMIT", "");
    if (rc != PRILORA_OK)
        roll_back(store);
    return rc;
}

/* ---- freezing ---- */

/* From here on this connection reads what was there when it was called. */
static enum prilora_status pin(sqlite3 *db, const char *path, struct prilora_error *err)
{
    if (sqlite3_exec(db, "BEGIN; SELECT 1 FROM jobs LIMIT 1", NULL, NULL, NULL) == SQLITE_OK)
        return PRILORA_OK;
    return error_set(err, PRILORA_EIO, "%s: %s", path, sqlite3_errmsg(db));
}

enum prilora_status store_freeze(struct store *store, const char *path,
                                 enum prilora_status (*freeze)(struct store *store, void *context,
                                                               struct prilora_error *err),
                                 void *context, struct prilora_error *err)
{
    struct connection c = {.store = store};
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = store_connection_open(&c, store->database, err);
    if (rc == PRILORA_OK)
        rc = pin(c.db, store->database, err);
    if (rc == PRILORA_OK)
        rc = freeze(store, context, err);
    rc = store_end(store, rc, err);
    if (rc == PRILORA_OK)
        rc = db_copy(c.db, path, err);
    sqlite3_close(c.db);
    return rc;
}

/* ---- ids and time ---- */

void store_new_id(char out[ID_SIZE], const char *prefix)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const unsigned n_letters = sizeof letters - 1, fair = 256 / n_letters * n_letters;
    int n = snprintf(out, ID_SIZE - ID_LETTERS, "%s", prefix);
    size_t at = n < ID_SIZE - ID_LETTERS ? (size_t)n : ID_SIZE - ID_LETTERS - 1, end;

    end = at + ID_LETTERS;
    while (at < end) {
        unsigned char bytes[ID_LETTERS];
        ssize_t got = getrandom(bytes, sizeof bytes, 0); /* waits for entropy at most at boot */

        for (ssize_t i = 0; i < got && at < end; i++)
            if (bytes[i] < fair)
                out[at++] = letters[bytes[i] % n_letters];
    }
    out[end] = '\0';
}

int64_t store_now(void)
{
    return (int64_t)time(NULL);
}
