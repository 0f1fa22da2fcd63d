/*
 * store.h - the state folder and its SQLite database.
 *
 *   prilorad.db      WAL, synchronous=FULL, foreign keys; PRAGMA user_version is the schema's
 * number files/<id>       uploaded files uploads/         files on their way in; emptied at start
 *   jobs/<id>/       train.tokens, valid.tokens, checkpoint, adapter/
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
const char *store_folder(const struct store *store);

sqlite3 *store_db(struct store *store,
                  struct prilora_error *err); /* this thread's; NULL: *err says */
enum prilora_status store_begin(struct store *store, struct prilora_error *err);
/* Commits if rc is PRILORA_OK, else rolls back and keeps rc and *err as they are. */
enum prilora_status store_end(struct store *store, enum prilora_status rc,
                              struct prilora_error *err);

/* A prepared statement of this thread's connection, kept for the next use; reset, unbound. */
sqlite3_stmt *store_statement(struct store *store, const char *sql, struct prilora_error *err);
enum prilora_status store_fail(struct store *store, const char *doing, struct prilora_error *err);

/* A new id: prefix and 24 random letters or digits. */
void store_new_id(char out[ID_SIZE], const char *prefix);
int64_t store_now(void); /* seconds since 1970 */

#endif
