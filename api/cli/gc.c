/* gc.c - what nobody needs any more goes from the daemon's state, or is only listed. */
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

#define PATIENCE_S 600

static void print_items(const json_t *answer)
{
    static const struct column columns[] = {
        {"KIND", COLUMN_LEFT},
        {"BYTES", COLUMN_RIGHT},
        {"WHAT", COLUMN_LEFT},
        {"WHY", COLUMN_SHRINKS},
    };
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    const json_t *item;
    size_t i;

    json_array_foreach ((json_t *)json_at(answer, "data"), i, item) {
        char *what =
            json_whole(item, "n") == 1
                ? must(strdup(json_text(item, "name")))
                : format("%lld of %s", (long long)json_whole(item, "n"), json_text(item, "name"));

        table_cell(table, json_text(item, "kind"));
        table_cell(table, text_bytes(json_whole(item, "bytes")));
        table_cell(table, what);
        table_cell(table, json_text(item, "why"));
        free(what);
    }
    table_print(table);
    table_free(table);
}

static void print_answer(const json_t *answer)
{
    const char *done = json_is_true(json_at(answer, "dry_run")) ? "would be removed" : "removed";
    int64_t n = json_whole(answer, "n_items");

    if (n > 0)
        print_items(answer);
    if (json_is_true(json_at(answer, "has_more")))
        text_say("... and more");
    text_say("%lld %s, %s: %s", (long long)n, n == 1 ? "thing" : "things",
             text_bytes(json_whole(answer, "bytes")), done);
}

int run_gc(struct call *call)
{
    struct http_reply reply = {0};
    struct http_request gc = {.method = "POST",
                              .path = call_has(call, "dry-run") ? "/v1/maintenance/gc?dry_run=true"
                                                                : "/v1/maintenance/gc",
                              .timeout_s = PATIENCE_S};
    int rc = request(call, &gc, &reply);

    if (rc == EXIT_DONE && !show_json(call, &reply))
        print_answer(reply.json);
    http_reply_clear(&reply);
    return rc;
}
