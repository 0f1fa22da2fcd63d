/*
 * request.c - the daemon's answers as the user hears of them: what may be tried again is, and what
 * is wrong becomes a sentence.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/http.h"
#include "api/cli/interrupt.h"
#include "api/cli/json.h"
#include "api/cli/progress.h"
#include "api/cli/text.h"

#define N_TRIES     3
#define FIRST_S     0.3
#define MOST_WAIT_S 20

bool http_is_passing(const struct http_reply *reply)
{
    switch (reply->status) {
    case 0:
    case 408:
    case 429:
    case 502:
    case 503:
    case 504:
        return !reply->should_not_retry;
    default:
        return false;
    }
}

bool show_json(const struct call *call, const struct http_reply *reply)
{
    if (!call->json || !reply->json)
        return call->json;
    progress_clear();
    text_put_json(stdout, reply->body);
    if (reply->size == 0 || reply->body[reply->size - 1] != '\n')
        putchar('\n');
    return true;
}

static const char *place(const struct call *call)
{
    const char *socket = call->settings.values[SETTING_SOCKET];

    return *socket ? socket : call->settings.values[SETTING_URL];
}

static int tell_unreachable(const struct call *call, const struct http_reply *reply)
{
    if (interrupted())
        return EXIT_INTERRUPTED;
    return fail(EXIT_UNREACHABLE, "no answer from %s: %s%s%s%s", place(call), reply->trouble,
                reply->advice ? " (" : "", reply->advice ? reply->advice : "",
                reply->advice ? ")" : "");
}

/* Most messages begin with the name of what is wrong, or its last part, or have it in them. */
static bool names(const char *message, const char *param)
{
    const char *dot = strrchr(param, '.'), *last = dot ? dot + 1 : param;
    size_t n = strlen(last);

    return strstr(message, param) || (strncmp(message, last, n) == 0 && message[n] == ':');
}

int http_tell(const struct call *call, const struct http_reply *reply)
{
    const char *message = json_text(reply->json, "error.message");
    const char *param = json_text(reply->json, "error.param");
    bool named = !*param || reply->status == 404 || names(message, param);

    if (reply->status == 0)
        return tell_unreachable(call, reply);
    show_json(call, reply);
    if (!*message)
        return fail(EXIT_FAILED, "%s answered with status %ld and no reason; is it prilorad?",
                    place(call), reply->status);
    fail(EXIT_FAILED, "%s%s%s", named ? "" : param, named ? "" : ": ", message);
    if (reply->status == 401 && !*call->settings.values[SETTING_KEY])
        note("a key is given by --key, PRILORA_API_KEY or: prilora config set key -");
    if (reply->status == 401 || reply->status == 403)
        return EXIT_NOT_ALLOWED;
    return reply->status == 404 ? EXIT_NOT_FOUND : EXIT_FAILED;
}

/* What never reached the daemon, or is done once however often it comes. */
static bool may_repeat(const struct http_request *request, const struct http_reply *reply)
{
    return http_is_passing(reply) && !request->probe &&
           (reply->refused || reply->status == 429 || reply->status == 503 || request->key ||
            strcmp(request->method, "GET") == 0);
}

int request(const struct call *call, const struct http_request *request, struct http_reply *out)
{
    double wait_s = FIRST_S;

    for (int i = 1;; i++, wait_s *= 3) {
        bool answered = http_send(call->http, request, out);

        if (answered && out->status >= 200 && out->status < 300 && !out->json && !request->is_text)
            return fail(EXIT_FAILED, "%s does not answer in JSON; is it prilorad?", place(call));
        if (answered && out->status >= 200 && out->status < 300)
            return EXIT_DONE;
        if (i == N_TRIES || interrupted() || !may_repeat(request, out))
            return http_tell(call, out);
        if (out->retry_after_s > wait_s)
            wait_s = out->retry_after_s < MOST_WAIT_S ? out->retry_after_s : MOST_WAIT_S;
        http_reply_clear(out);
        interrupt_wait(wait_s);
    }
}

int get(const struct call *call, struct http_reply *out, const char *path_format, const char *id)
{
    char *path = http_path(path_format, id);
    int rc = request(call, &(struct http_request){.method = "GET", .path = path}, out);

    free(path);
    return rc;
}

int post(const struct call *call, struct http_reply *out, const char *path_format, const char *id,
         const json_t *body)
{
    char *path = http_path(path_format, id);
    int rc =
        request(call, &(struct http_request){.method = "POST", .path = path, .body = body}, out);

    free(path);
    return rc;
}
