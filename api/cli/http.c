/* http.c - see http.h. The exchange itself; what is said about failures is in request.c. */
#include "api/cli/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/interrupt.h"
#include "api/cli/progress.h"
#include "prilora.h"

#define CONNECT_S 10L
#define ANSWER_S  60.0
#define STALLED_S 60L /* a transfer that moves nothing for so long has broken */
#define MAX_BODY  ((size_t)256 << 20)

struct http {
    CURL *curl;
    const struct settings *settings;
};

struct exchange {
    struct http_reply *reply;
    struct http_part *part; /* NULL: no download */
    CURL *curl;
    const char *shown;
    size_t room;
    bool failed; /* what came could not be kept */
    char error[CURL_ERROR_SIZE];
};

struct http *http_new(const struct settings *settings)
{
    struct http *http = must(calloc(1, sizeof *http));

    http->settings = settings;
    http->curl = must(curl_easy_init());
    return http;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    curl_easy_cleanup(http->curl);
    free(http);
}

void http_reply_clear(struct http_reply *reply)
{
    free(reply->body);
    json_decref(reply->json);
    *reply = (struct http_reply){0};
}

char *http_path(const char *path_format, const char *id)
{
    const char *place = strstr(path_format, "%s");
    char *encoded, *path;

    if (!place)
        return must(strdup(path_format));
    encoded = must(curl_easy_escape(NULL, id, 0));
    path = format("%.*s%s%s", (int)(place - path_format), path_format, encoded, place + 2);
    curl_free(encoded);
    return path;
}

/* ---- what comes ---- */

static bool keep_body(struct exchange *e, const char *data, size_t n)
{
    struct http_reply *reply = e->reply;

    if (n > MAX_BODY - reply->size)
        return false;
    if (reply->size + n + 1 > e->room) {
        e->room = 2 * (reply->size + n) + 4096;
        reply->body = must(realloc(reply->body, e->room));
    }
    memcpy(reply->body + reply->size, data, n);
    reply->size += n;
    reply->body[reply->size] = '\0';
    return true;
}

static bool keep_part(struct exchange *e, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t written = e->part->is_stream ? write(e->part->fd, data, n)
                                             : pwrite(e->part->fd, data, n, (off_t)e->part->size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        data += written;
        n -= (size_t)written;
        e->part->size += written;
    }
    return true;
}

static size_t take_body(char *data, size_t one, size_t n, void *context)
{
    struct exchange *e = context;
    long status = 0;
    bool kept;

    n *= one;
    curl_easy_getinfo(e->curl, CURLINFO_RESPONSE_CODE, &status);
    kept =
        e->part && (status == 200 || status == 206) ? keep_part(e, data, n) : keep_body(e, data, n);
    if (kept)
        return n;
    e->failed = true;
    snprintf(e->reply->trouble, sizeof e->reply->trouble, "%s",
             e->part ? strerror(errno) : "the answer is too long");
    return 0;
}

/* A header's value, whitespace cut off, if the line is of this name. */
static bool header_value(const char *line, size_t n, const char *name, char *out, size_t room)
{
    size_t n_name = strlen(name), first, used;

    if (n <= n_name || strncasecmp(line, name, n_name) != 0 || line[n_name] != ':')
        return false;
    for (first = n_name + 1; first < n && (line[first] == ' ' || line[first] == '\t'); first++)
        continue;
    while (n > first && (line[n - 1] == '\r' || line[n - 1] == '\n' || line[n - 1] == ' '))
        n--;
    used = n - first < room - 1 ? n - first : room - 1;
    memcpy(out, line + first, used);
    out[used] = '\0';
    return true;
}

static void note_range(struct http_part *part, const char *value)
{
    const char *slash = strchr(value, '/');
    long long first;

    if (sscanf(value, "bytes %lld-", &first) == 1 && first >= 0)
        part->size = first < part->size ? first : part->size;
    if (slash && slash[1] != '*')
        part->total = strtoll(slash + 1, NULL, 10);
}

static void note_part(struct exchange *e, const char *line, size_t n, long status)
{
    struct http_part *part = e->part;
    char value[300], *end;

    if (status != 200 && status != 206)
        return;
    if (header_value(line, n, "ETag", value, sizeof value))
        snprintf(part->etag, sizeof part->etag, "%s", value);
    if (status == 206 && header_value(line, n, "Content-Range", value, sizeof value))
        note_range(part, value);
    if (status == 200 && header_value(line, n, "Content-Length", value, sizeof value))
        part->total = strtoll(value, NULL, 10);
    if (header_value(line, n, "Repr-Digest", value, sizeof value)) {
        char *digest = strstr(value, "sha-256=:");

        end = digest ? strchr(digest + 9, ':') : NULL;
        if (end)
            snprintf(part->digest, sizeof part->digest, "%.*s", (int)(end - digest - 9),
                     digest + 9);
    }
}

static size_t take_header(char *line, size_t one, size_t n, void *context)
{
    struct exchange *e = context;
    long status = 0;
    char value[64];

    n *= one;
    curl_easy_getinfo(e->curl, CURLINFO_RESPONSE_CODE, &status);
    if (header_value(line, n, "Retry-After", value, sizeof value))
        e->reply->retry_after_s = strtod(value, NULL);
    if (header_value(line, n, "x-should-retry", value, sizeof value))
        e->reply->should_not_retry = strcmp(value, "false") == 0;
    if (header_value(line, n, "ETag", value, sizeof value))
        snprintf(e->reply->etag, sizeof e->reply->etag, "%s", value);
    if (!e->part)
        return n;
    if (strncmp(line, "HTTP/", 5) == 0 && status == 200) {
        e->part->size = 0; /* all of it comes again: it has changed, or ranges are not understood */
        if (!e->part->is_stream && ftruncate(e->part->fd, 0) != 0)
            return 0;
    }
    note_part(e, line, n, status);
    return n;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    const struct exchange *e = context;

    (void)down_total;
    (void)down;
    if (e->shown && e->part)
        progress_bytes(e->shown, e->part->size, e->part->total);
    else if (e->shown && up < up_total)
        progress_bytes(e->shown, up, up_total);
    return interrupted();
}

/* ---- what goes ---- */

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
    char *line = format("%s: %s", name, value);
    struct curl_slist *longer = must(curl_slist_append(list, line));

    free(line);
    return longer;
}

static curl_mime *make_form(CURL *curl, const char *file)
{
    curl_mime *form = must(curl_mime_init(curl));
    curl_mimepart *part = must(curl_mime_addpart(form));

    curl_mime_name(part, "purpose");
    curl_mime_data(part, "fine-tune", CURL_ZERO_TERMINATED);
    part = must(curl_mime_addpart(form));
    curl_mime_name(part, "file");
    curl_mime_filedata(part, file);
    return form;
}

static void set_place(struct http *http, const char *path)
{
    const char *socket = http->settings->values[SETTING_SOCKET];
    const char *base = *socket ? "http://localhost" : http->settings->values[SETTING_URL];
    const char *cacert = http->settings->values[SETTING_CACERT];
    size_t n = strlen(base);
    char *url;

    while (n > 0 && base[n - 1] == '/')
        n--;
    url = format("%.*s%s", (int)n, base, path);
    curl_easy_setopt(http->curl, CURLOPT_URL, url);
    free(url);
    if (*socket)
        curl_easy_setopt(http->curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    if (*cacert)
        curl_easy_setopt(http->curl, CURLOPT_CAINFO, cacert);
    if (settings_is_on(http->settings, SETTING_INSECURE)) {
        curl_easy_setopt(http->curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(http->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void set_common(struct http *http, const char *path, struct exchange *e)
{
    curl_easy_reset(http->curl);
    set_place(http, path);
    e->curl = http->curl;
    curl_easy_setopt(http->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(http->curl, CURLOPT_USERAGENT, "prilora/" PRILORA_VERSION);
    curl_easy_setopt(http->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(http->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, e);
    curl_easy_setopt(http->curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(http->curl, CURLOPT_HEADERDATA, e);
    curl_easy_setopt(http->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(http->curl, CURLOPT_XFERINFODATA, e);
    curl_easy_setopt(http->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(http->curl, CURLOPT_ERRORBUFFER, e->error);
}

static struct curl_slist *common_headers(const struct http *http)
{
    const char *key = http->settings->values[SETTING_KEY];
    struct curl_slist *headers = add_header(NULL, "Accept", "application/json");
    char *value;

    headers = add_header(headers, "Expect", ""); /* a form is sent without asking first */
    if (!*key)
        return headers;
    value = format("Bearer %s", key);
    headers = add_header(headers, "Authorization", value);
    free(value);
    return headers;
}

static const char *advice_on(CURLcode code, const char *url)
{
    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return "is prilorad running there? --url or PRILORA_URL say where";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "--cacert FILE names a certificate to trust";
    case CURLE_SSL_CONNECT_ERROR:
        return "is it http://, not https://?";
    case CURLE_GOT_NOTHING:
        return strncmp(url, "http://", 7) == 0 ? "is it https://, not http://?" : NULL;
    default:
        return NULL;
    }
}

/* True: an answer came, whole. */
static bool perform(struct http *http, struct exchange *e)
{
    CURLcode code = curl_easy_perform(http->curl);
    struct http_reply *reply = e->reply;

    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &reply->status);
    if (code == CURLE_OK && reply->status > 0) {
        reply->json =
            reply->size ? json_loadb(reply->body, reply->size, JSON_DECODE_ANY, NULL) : NULL;
        return true;
    }
    reply->refused = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST;
    reply->advice = advice_on(code, http->settings->values[SETTING_URL]);
    /* libcurl's words for this case are longer, and tell of a port where there is a socket */
    if (!e->failed)
        snprintf(reply->trouble, sizeof reply->trouble, "%s",
                 *e->error && !reply->refused ? e->error : curl_easy_strerror(code));
    reply->status = 0;
    return false;
}

struct body {
    curl_mime *form;
    char *text;
};

/* What is sent besides headers; returns the headers with those that belong to it. */
static struct curl_slist *set_body(struct http *http, const struct http_request *request,
                                   struct body *body, struct curl_slist *headers)
{
    double timeout_s = request->timeout_s > 0 ? request->timeout_s : ANSWER_S;

    if (request->upload) {
        body->form = make_form(http->curl, request->upload);
        curl_easy_setopt(http->curl, CURLOPT_MIMEPOST, body->form);
        curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_TIME, STALLED_S);
        return headers;
    }
    curl_easy_setopt(http->curl, CURLOPT_TIMEOUT_MS, (long)(1000 * timeout_s));
    if (request->body) {
        body->text = must(json_dumps(request->body, JSON_COMPACT));
        headers = add_header(headers, "Content-Type", "application/json");
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, body->text);
    } else if (strcmp(request->method, "POST") == 0) {
        headers = add_header(headers, "Content-Type", "");
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS, "");
    }
    return headers;
}

bool http_send(struct http *http, const struct http_request *request, struct http_reply *out)
{
    struct exchange e = {.reply = out, .shown = request->shown};
    struct curl_slist *headers = common_headers(http);
    struct body body = {0};
    bool answered;

    *out = (struct http_reply){0};
    set_common(http, request->path, &e);
    curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, request->method);
    if (request->key)
        headers = add_header(headers, "Idempotency-Key", request->key);
    if (request->etag)
        headers = add_header(headers, "If-None-Match", request->etag);
    headers = set_body(http, request, &body, headers);
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
    answered = perform(http, &e);
    if (answered && out->status < 300 && out->size == 0) {
        /* libcurl takes a line that is cut in the headers for a whole answer */
        snprintf(out->trouble, sizeof out->trouble, "the answer broke off");
        out->status = 0;
        answered = false;
    }
    curl_slist_free_all(headers);
    curl_mime_free(body.form);
    free(body.text);
    return answered;
}

bool http_fetch(struct http *http, const char *path, struct http_part *part, struct http_reply *out)
{
    struct exchange e = {.reply = out, .part = part, .shown = part->shown};
    struct curl_slist *headers = common_headers(http);
    char range[40];
    bool answered;

    *out = (struct http_reply){0};
    set_common(http, path, &e);
    curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(http->curl, CURLOPT_LOW_SPEED_TIME, STALLED_S);
    if (part->size > 0) {
        snprintf(range, sizeof range, "bytes=%lld-", (long long)part->size);
        headers = add_header(headers, "Range", range);
        if (part->etag[0])
            headers = add_header(headers, "If-Range", part->etag);
    }
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
    answered = perform(http, &e);
    curl_slist_free_all(headers);
    return answered;
}
