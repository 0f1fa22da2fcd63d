/* schema.h - the database's tables, as the steps that lead to them. */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <sqlite3.h>
#include <stdbool.h>

#include "prilora.h"

/*
 * schema_migrate - brings a database to the newest schema, each step in a transaction of its own;
 * one that is not new is first copied to PATH.schema-N.bak, which stays (N: its schema). ELIMIT: no
 * room for that; nothing was changed. EUNSUPPORTED: a newer prilorad wrote it. EFORMAT: it is
 * damaged or no database.
 */
enum prilora_status schema_migrate(sqlite3 *db, const char *path, struct prilora_error *err);

/* No step was taken yet: it is new, or was cut off at its start. */
bool schema_is_empty(sqlite3 *db);

/* Reads the whole database: EFORMAT if it is damaged. */
enum prilora_status schema_check(sqlite3 *db, const char *path, struct prilora_error *err);

long schema_newest(void); /* number of the newest schema */

#endif
