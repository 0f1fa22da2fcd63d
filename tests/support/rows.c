/* rows.c - see rows.h. */
#include "support/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

int64_t test_ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s;
    int64_t answer;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    answer = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return answer;
}
