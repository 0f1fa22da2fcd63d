/*
 * store.h - the state folder and its SQLite database.
 *
 *   prilorad.db      WAL, synchronous=FULL, foreign keys; user_version is the schema's number
 *   prilorad.lock    locked while a daemon uses the folder, its process id inside
 *   files/<id>       uploaded files
 *   uploads/         files on their way in; emptied at start
 *   backups/         links to what is being backed up, see backup.h; emptied at start
 *   speed            see speed.h
 *   parts/<id>       parts of uploads that are not complete yet
 *   reads/           see reads.h
 *   jobs/<id>/       train.tokens, valid.tokens, mismatched.tokens, start/ (a copy of the adapter
 *                    that it goes on from), checkpoint, adapter/
 *
 * Threads: one connection per thread, opened on first use by store_db and closed when the thread
 * ends. Multi-statement changes run between store_begin (BEGIN IMMEDIATE) and store_end.
 */
#ifndef STORE_H
#define STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "prilora.h"

#define ID_SIZE 40 /* "ftjob-" and 24 letters or digits, NUL */

struct store;

/* Makes the folder if needed, locks it against a second daemon, migrates the database. */
enum prilora_status store_open(struct store **out, const char *folder, struct prilora_error *err);
void store_close(struct store *store);
/*
 * store_check - reads the whole database, which takes seconds if it is large: EFORMAT if it is
 * damaged. Asks `stop` (NULL: never) now and then; ESTOPPED if it says so.
 */
enum prilora_status store_check(struct store *store, bool (*stop)(void), struct prilora_error *err);
const char *store_folder(const struct store *store);

sqlite3 *store_db(struct store *store,
                  struct prilora_error *err); /* this thread's; NULL: *err says */
/* This thread answers requests: it does not wait for long when another process holds the database
 * (EBUSY then). */
void store_be_brief(void);
/* Closes this thread's connection before the thread ends: for one that is not joined. */
void store_close_thread(struct store *store);
enum prilora_status store_begin(struct store *store, struct prilora_error *err);
/* Commits if rc is PRILORA_OK, else rolls back and keeps rc and *err as they are. */
enum prilora_status store_end(struct store *store, enum prilora_status rc,
                              struct prilora_error *err);

/*
 * store_join - what another module adds to this thread's next transaction: store_end calls `write`
 * inside of it, right before COMMIT, and rolls all back if it fails. Several are called in the
 * order in which they joined. Each is forgotten when that transaction ends, whichever way; who
 * cannot be sure that there was one calls store_leave. *joined stays the caller's.
 */
struct store_joined {
    enum prilora_status (*write)(struct store *store, void *context, struct prilora_error *err);
    void *context;
    struct store_joined *next; /* the store's own */
};
enum prilora_status store_join(struct store *store, struct store_joined *joined,
                               struct prilora_error *err);
void store_leave(struct store *store);

/*
 * store_freeze - calls `freeze` in a transaction of this thread, so that no row changes meanwhile;
 * then writes a copy of the database as it was in that moment to `path`. The others write on while
 * that is copied; `freeze` must be quick. ELIMIT: the disk is full.
 */
enum prilora_status store_freeze(struct store *store, const char *path,
                                 enum prilora_status (*freeze)(struct store *store, void *context,
                                                               struct prilora_error *err),
                                 void *context, struct prilora_error *err);

/* A prepared statement of this thread's connection, kept for the next use; reset, unbound. */
sqlite3_stmt *store_statement(struct store *store, const char *sql, struct prilora_error *err);
/* "cannot DOING: what SQLite said of this thread's last call"; the status tells its kind. */
enum prilora_status store_fail(struct store *store, const char *doing, struct prilora_error *err);

/*
 * store_query - a statement with its parameters bound: `types` has a letter for each, 't' text
 * (const char *, NULL is NULL), 'i' int64_t, 'd' double (not finite: NULL). The texts must live
 * until the statement is reset.
 *
 * store_step - the next row, if any (*row). After the last row, and after an error, the statement
 * is reset; who stops earlier calls sqlite3_reset, for an open statement holds a transaction open.
 *
 * store_run - both, for what returns no rows.
 */
sqlite3_stmt *store_query(struct store *store, struct prilora_error *err, const char *sql,
                          const char *types, ...);
enum prilora_status store_step(struct store *store, sqlite3_stmt *statement, bool *row,
                               const char *doing, struct prilora_error *err);
enum prilora_status store_run(struct store *store, struct prilora_error *err, const char *doing,
                              const char *sql, const char *types, ...);

/*
 * store_collect - the rows of a query as an array: `read` fills one element of `size` bytes, at
 * most `limit` of them, *has_more tells (if not NULL) that another row follows. After an error
 * *out and *n still hold what was read, for the caller to free.
 */
struct store_rows {
    size_t size, limit;
    enum prilora_status (*read)(sqlite3_stmt *row, void *out, struct prilora_error *err);
    const char *doing;
};
enum prilora_status store_collect(struct store *store, sqlite3_stmt *statement,
                                  const struct store_rows *rows, void **out, size_t *n,
                                  bool *has_more, struct prilora_error *err);

/* A column's text, copied; NULL for NULL and when out of memory. */
char *store_text(sqlite3_stmt *statement, int column);

/* A new id: prefix and 24 random letters or digits. */
void store_new_id(char out[ID_SIZE], const char *prefix);
int64_t store_now(void); /* seconds since 1970 */

#endif
