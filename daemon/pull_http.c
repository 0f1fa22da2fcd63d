/*
 * pull_http.c - one transfer from the hub: what its headers say, where its bytes go, and whether
 * to try again when it breaks. libcurl follows redirects, and leaves the token behind when one
 * leads to another host, port or protocol.
 */
#include "daemon/pull_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "daemon/error.h"

#define CONNECT_S     30L
#define MAX_REDIRECTS 10L
#define MAX_HEADER    300

struct transfer {
    struct pull *pull;
    struct pull_sink *sink;
    bool begun; /* the first bytes of the body are there */
    /* headers: of the hub's own answers, and of the last one */
    char linked_etag[PULL_MAX_ETAG], commit[MAX_HEADER], trouble[MAX_HEADER];
    char etag[PULL_MAX_ETAG], range[MAX_HEADER];
    uint64_t linked_size;
    /* why the body was not taken; status 0: it was */
    enum prilora_status status;
    const char *code;
    char problem[200];
};

/* ---- headers ---- */

static bool header_is(const char *line, size_t n, const char *name, char *out, size_t room)
{
    size_t length = strlen(name), end = n;

    if (n <= length || line[length] != ':' || strncasecmp(line, name, length) != 0)
        return false;
    line += length + 1;
    end -= length + 1;
    while (end && (line[end - 1] == '\r' || line[end - 1] == '\n' || line[end - 1] == ' '))
        end--;
    while (end && *line == ' ')
        line++, end--;
    snprintf(out, room, "%.*s", (int)end, line);
    for (; *out; out++)
        if (*out < ' ' || *out > '~')
            *out = '?';
    return true;
}

static size_t on_header(char *line, size_t one, size_t n, void *context)
{
    struct transfer *t = context;
    char size[MAX_HEADER] = "";

    (void)one;
    if (n > 5 && memcmp(line, "HTTP/", 5) == 0) { /* another answer: after a redirect */
        t->etag[0] = '\0';
        t->range[0] = '\0';
    }
    if (header_is(line, n, "ETag", t->etag, sizeof t->etag) ||
        header_is(line, n, "Content-Range", t->range, sizeof t->range) ||
        header_is(line, n, "X-Linked-Etag", t->linked_etag, sizeof t->linked_etag) ||
        header_is(line, n, "X-Repo-Commit", t->commit, sizeof t->commit) ||
        header_is(line, n, "X-Error-Message", t->trouble, sizeof t->trouble))
        return n;
    if (header_is(line, n, "X-Linked-Size", size, sizeof size) && strspn(size, "0123456789"))
        t->linked_size = strtoull(size, NULL, 10);
    return n;
}

void pull_take_digest(struct pull_file *file, const char *etag)
{
    char hex[PULL_MAX_ETAG];
    size_t n;

    etag += strncmp(etag, "W/", 2) == 0 ? 2 : 0;
    etag += *etag == '"';
    snprintf(hex, sizeof hex, "%s", etag);
    hex[strcspn(hex, "\"")] = '\0';
    n = strlen(hex);
    if (strspn(hex, "0123456789abcdef") != n)
        return;
    if (n == 64)
        memcpy(file->sha256, hex, n + 1);
    else if (n == 40)
        memcpy(file->blob, hex, n + 1);
}

/* What the listing has not told, an answer without detours may. */
static void learn(struct transfer *t)
{
    struct pull_file *file = t->sink->file;
    long n_redirects = 0;
    curl_off_t length = -1;

    if (!file)
        return;
    curl_easy_getinfo(t->pull->curl, CURLINFO_REDIRECT_COUNT, &n_redirects);
    curl_easy_getinfo(t->pull->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (!file->sha256[0] && !file->blob[0])
        pull_take_digest(file, t->linked_etag[0] || n_redirects ? t->linked_etag : t->etag);
    if (!file->total_bytes && t->linked_size)
        file->total_bytes = t->linked_size;
    else if (!file->total_bytes && length > 0)
        file->total_bytes = t->sink->offset + (uint64_t)length;
}

/* ---- the body ---- */

static size_t refuse(struct transfer *t, enum prilora_status status, const char *code,
                     const char *problem)
{
    t->status = status;
    t->code = code;
    snprintf(t->problem, sizeof t->problem, "%s", problem);
    return 0; /* libcurl breaks the transfer off */
}

/* The whole although a part was asked for (it is another file now), or exactly that part. */
static bool begin_body(struct transfer *t)
{
    struct pull_sink *sink = t->sink;
    unsigned long long from = 0;
    long status = 0;

    t->begun = true;
    curl_easy_getinfo(t->pull->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206) {
        refuse(t, PRILORA_EIO, "hub_error", "the hub's answer is neither a file nor an error");
        return false;
    }
    if (t->commit[0] && sink->file && strcmp(t->commit, t->pull->result->commit) != 0) {
        refuse(t, PRILORA_EFORMAT, "hub_error", "the hub sent a file of another commit");
        return false;
    }
    if (status == 206 && (sscanf(t->range, "bytes %llu-", &from) != 1 || from != sink->offset)) {
        refuse(t, PRILORA_EFORMAT, "hub_error", "the hub sent another part than was asked for");
        return false;
    }
    if (status != 206)
        sink->offset = 0;
    if (sink->fd >= 0 && ftruncate(sink->fd, (off_t)sink->offset) != 0) {
        refuse(t, PRILORA_EIO, "storage_error", strerrordesc_np(errno));
        return false;
    }
    snprintf(sink->etag, sizeof sink->etag, "%s", t->etag[0] == '"' ? t->etag : "");
    learn(t);
    return true;
}

static size_t write_file(struct transfer *t, const char *data, size_t n)
{
    struct pull_sink *sink = t->sink;

    for (size_t done = 0; done < n;) {
        ssize_t more = pwrite(sink->fd, data + done, n - done, (off_t)(sink->offset + done));

        if (more < 0 && errno == EINTR)
            continue;
        if (more < 0 && (errno == ENOSPC || errno == EDQUOT))
            return refuse(t, PRILORA_ELIMIT, "no_space", "the disk is full");
        if (more < 0)
            return refuse(t, PRILORA_EIO, "storage_error", strerrordesc_np(errno));
        done += (size_t)more;
    }
    return n;
}

static size_t write_text(struct transfer *t, const char *data, size_t n)
{
    struct pull_sink *sink = t->sink;
    size_t used = (size_t)sink->offset;

    if (sink->room - used <= n) { /* one more for the NUL */
        size_t room = 2 * (used + n) + 1;
        char *text = realloc(sink->text, room);

        if (!text)
            return refuse(t, PRILORA_ENOMEM, "out_of_memory", "out of memory");
        sink->text = text;
        sink->room = room;
    }
    memcpy(sink->text + used, data, n);
    sink->text[used + n] = '\0';
    return n;
}

static size_t on_body(char *data, size_t one, size_t n, void *context)
{
    struct transfer *t = context;
    struct pull_sink *sink = t->sink;

    (void)one;
    if (!t->begun && !begin_body(t))
        return 0;
    if (n > sink->limit - sink->offset)
        return refuse(t, PRILORA_EFORMAT, "size_mismatch", "it is longer than it should be");
    if ((sink->fd >= 0 ? write_file(t, data, n) : write_text(t, data, n)) != n)
        return 0;
    sink->offset += n;
    t->pull->n_received += n;
    if (sink->file)
        sink->file->bytes = sink->offset;
    return n;
}

/* libcurl calls it all the time while bytes come, and once a second while none do. */
static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up)
{
    struct transfer *t = context;

    (void)total, (void)now, (void)up_total, (void)up;
    pull_tell(t->pull, false);
    return t->pull->request->stop && atomic_load(t->pull->request->stop) != PULL_GO;
}

/* ---- how it went ---- */

static bool is_passing(CURLcode code)
{
    static const CURLcode codes[] = {
        CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY,
        CURLE_COULDNT_CONNECT,      CURLE_PARTIAL_FILE,
        CURLE_OPERATION_TIMEDOUT,   CURLE_SSL_CONNECT_ERROR,
        CURLE_GOT_NOTHING,          CURLE_SEND_ERROR,
        CURLE_RECV_ERROR,           CURLE_HTTP2,
        CURLE_HTTP2_STREAM,         CURLE_WEIRD_SERVER_REPLY,
    };

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == code)
            return true;
    return false;
}

static const struct refusal {
    long http; /* 0: any other */
    bool passing;
    enum prilora_status status;
    const char *code, *meaning;
} refusals[] = {
    {401, false, PRILORA_EIO, "unauthorized",
     "there is no such model, or it needs a token that may read it"},
    {403, false, PRILORA_EIO, "forbidden", "the token may not read this model"},
    {404, false, PRILORA_ENOENT, "not_found", "there is no such model, revision or file"},
    {408, true, PRILORA_EIO, "hub_error", "the request took too long"},
    {416, true, PRILORA_EIO, "hub_error", "the part that was asked for is not there"},
    {425, true, PRILORA_EIO, "hub_error", "too early"},
    {429, true, PRILORA_EIO, "hub_busy", "too many requests"},
    {500, true, PRILORA_EIO, "hub_error", "the hub has trouble"},
    {502, true, PRILORA_EIO, "hub_error", "the hub has trouble"},
    {503, true, PRILORA_EIO, "hub_busy", "the hub is busy"},
    {504, true, PRILORA_EIO, "hub_error", "the hub has trouble"},
    {0, false, PRILORA_EIO, "hub_error", "the hub does not answer this"},
};

static enum pull_verdict judge_status(struct transfer *t, const char *url, long status,
                                      struct prilora_error *err)
{
    const struct refusal *refusal = refusals;

    while (refusal->http && refusal->http != status)
        refusal++;
    if (status == 416)
        t->sink->offset = 0; /* what is there belongs to something else */
    pull_fail(t->pull, refusal->status, refusal->code, err, "%s: HTTP status %ld: %s%s%s", url,
              status, refusal->meaning, t->trouble[0] ? "; it says: " : "", t->trouble);
    return refusal->passing ? PULL_AGAIN : PULL_GIVE_UP;
}

static enum pull_verdict judge(struct transfer *t, const char *url, CURLcode code,
                               struct prilora_error *err)
{
    long status = 0;

    curl_easy_getinfo(t->pull->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && !t->begun)
        begin_body(t); /* it has no bytes */
    if (t->status != PRILORA_OK) {
        pull_fail(t->pull, t->status, t->code, err, "%s: %s", url, t->problem);
        return PULL_GIVE_UP;
    }
    if (code == CURLE_OK)
        return PULL_WHOLE;
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        pull_go_on(t->pull, err);
        return PULL_GIVE_UP;
    }
    if (code == CURLE_HTTP_RETURNED_ERROR)
        return judge_status(t, url, status, err);
    pull_fail(t->pull, PRILORA_EIO, "hub_unreachable", err, "%s: %s", url,
              curl_easy_strerror(code));
    return is_passing(code) ? PULL_AGAIN : PULL_GIVE_UP;
}

/* ---- asking ---- */

enum prilora_status pull_http_open(struct pull *pull, struct prilora_error *err)
{
    const char *wrong = pull_check_endpoint(pull->request->endpoint);

    if (wrong)
        return pull_fail(pull, PRILORA_EINVAL, "invalid_endpoint", err, "\"%.100s\": %s",
                         pull->request->endpoint, wrong);
    pull->curl = curl_easy_init();
    return pull->curl ? PRILORA_OK : error_memory(err);
}

static void set_limits(CURL *curl, const struct pull_request *request)
{
    bool plain = strncmp(request->endpoint, "http://", 7) == 0;
    const char *protocols = plain ? "http,https" : "https";

    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* never wait for a name server at the end */
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                     request->stall_s ? request->stall_s : (long)PULL_STALL_S);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "prilorad/" PRILORA_VERSION);
}

static void append(struct curl_slist **list, bool *failed, const char *name, const char *value)
{
    char *line = text_format("%s%s", name, value);
    struct curl_slist *longer = line ? curl_slist_append(*list, line) : NULL;

    free(line);
    if (longer)
        *list = longer;
    else
        *failed = true;
}

enum pull_verdict pull_get(struct pull *pull, const char *url, struct pull_sink *sink,
                           long *retry_after_s, struct prilora_error *err)
{
    struct transfer t = {.pull = pull, .sink = sink};
    struct curl_slist *headers = NULL;
    bool failed = false;
    char range[32];
    CURLcode code = CURLE_OUT_OF_MEMORY;
    curl_off_t retry_after = 0;

    snprintf(range, sizeof range, "%llu-", (unsigned long long)sink->offset);
    if (pull->request->token && *pull->request->token)
        append(&headers, &failed, "Authorization: Bearer ", pull->request->token);
    if (sink->offset && sink->etag[0])
        append(&headers, &failed, "If-Range: ", sink->etag);
    curl_easy_reset(pull->curl);
    set_limits(pull->curl, pull->request);
    curl_easy_setopt(pull->curl, CURLOPT_URL, url);
    curl_easy_setopt(pull->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(pull->curl, CURLOPT_RANGE, sink->offset ? range : NULL);
    curl_easy_setopt(pull->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(pull->curl, CURLOPT_HEADERDATA, &t);
    curl_easy_setopt(pull->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(pull->curl, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(pull->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(pull->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(pull->curl, CURLOPT_XFERINFODATA, &t);
    if (!failed)
        code = curl_easy_perform(pull->curl);
    curl_slist_free_all(headers);
    curl_easy_getinfo(pull->curl, CURLINFO_RETRY_AFTER, &retry_after);
    *retry_after_s = retry_after > 0 && retry_after < 86400 ? (long)retry_after : 0;
    return judge(&t, url, code, err);
}
