/* rows_json.c - see rows_json.h. */
#include "train/rows_json.h"

#include <stdio.h>

const char *pl_json_type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };

    return names[json_typeof(value)];
}

int pl_rows_json_space(struct pl_rows *rows)
{
    while (rows->at < rows->end) {
        char c = *rows->at;

        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return (unsigned char)c;
        rows->line += c == '\n';
        rows->at++;
    }
    return -1;
}

enum pl_row_result pl_rows_json_value(struct pl_rows *rows, size_t flags, json_t **out,
                                      char *reason)
{
    const size_t left = (size_t)(rows->end - rows->at);
    json_error_t e;

    *out = json_loadb(rows->at, left < PL_MAX_LINE ? left : PL_MAX_LINE,
                      flags | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DISABLE_EOF_CHECK, &e);
    if (!*out && json_error_code(&e) == json_error_out_of_memory)
        return PL_ROW_NOMEM;
    if (!*out) {
        rows->line += e.line > 1 ? (size_t)e.line - 1 : 0;
        snprintf(reason, PL_MAX_REASON, "%s", e.text);
        return PL_ROW_BAD;
    }
    for (int i = 0; i < e.position; i++)
        rows->line += rows->at[i] == '\n';
    rows->at += e.position;
    return PL_ROW_GOOD;
}
