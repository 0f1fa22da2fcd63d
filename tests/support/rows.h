/* rows.h - what a database says. */
#ifndef TEST_ROWS_H
#define TEST_ROWS_H

#include <sqlite3.h>
#include <stdint.h>

/* The number that a query's first row has in its first column; fails the test if there is none. */
int64_t test_ask(sqlite3 *db, const char *sql);

#endif
