/* db_copy.h - a copy of an SQLite database that is in use. */
#ifndef DB_COPY_H
#define DB_COPY_H

#include <sqlite3.h>

#include "prilora.h"

/*
 * db_copy - the database as this connection sees it (if it is in a transaction: as that does), as a
 * new file at `path`, whole and synced or not at all; what was there is replaced. ELIMIT: the disk
 * is full. EFORMAT: the database is damaged.
 */
enum prilora_status db_copy(sqlite3 *db, const char *path, struct prilora_error *err);

#endif
