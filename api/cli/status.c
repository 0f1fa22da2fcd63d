/* status.c - is the daemon there, of what version, and how long is its queue? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/table.h"
#include "api/cli/text.h"
#include "prilora.h"

static void show_status(const struct call *call, const char *version, const json_t *jobs)
{
    struct table *t = table_new_fields();
    const char *socket = call->settings.values[SETTING_SOCKET], *name;
    json_t *count;

    table_field(t, "daemon", "%s", *socket ? socket : call->settings.values[SETTING_URL]);
    table_field(t, "version", "%s", version);
    json_object_foreach ((json_t *)jobs, name, count) {
        char *number = json_shown(count);

        table_field(t, name, "%s", number);
        free(number);
    }
    table_print(t);
    table_free(t);
}

int run_status(struct call *call)
{
    struct http_reply live = {0}, ready = {0};
    int rc = get(call, &live, "/livez", NULL);

    if (rc == EXIT_DONE)
        rc = get(call, &ready, "/readyz", NULL);
    if (rc == EXIT_DONE && !show_json(call, &ready))
        show_status(call, json_text(live.json, "version"), json_at(ready.json, "jobs"));
    http_reply_clear(&live);
    http_reply_clear(&ready);
    return rc;
}

int run_version(struct call *call)
{
    const struct http_request livez = {.method = "GET", .path = "/livez", .timeout_s = 3};
    struct http_reply reply;
    bool answered = http_send(call->http, &livez, &reply) && reply.status == 200;

    if (call->json) {
        json_t *versions = must(json_pack("{s:s, s:s*}", "prilora", PRILORA_VERSION, "prilorad",
                                          answered ? json_text(reply.json, "version") : NULL));
        char *text = must(json_dumps(versions, JSON_COMPACT));

        text_say("%s", text);
        free(text);
        json_decref(versions);
    } else {
        puts("prilora " PRILORA_VERSION);
        if (answered)
            text_say("prilorad %s", json_text(reply.json, "version"));
    }
    http_reply_clear(&reply);
    return EXIT_DONE;
}
