/* client.c - see server.h: requests by libcurl, and raw ones. */
#include "support/server.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/tree.h"

#define SILENCE_MS 5000

static CURL *curl;
static struct test_reply last;
static FILE *body_stream, *header_stream;
static size_t header_size;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void test_tree_remove(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void clear_reply(void)
{
    free(last.body);
    free(last.headers);
    json_decref(last.json);
    last = (struct test_reply){0};
}

void test_client_free(void)
{
    clear_reply();
    curl_easy_cleanup(curl);
    curl = NULL;
}

/* ---- sending ---- */

static size_t on_body(char *data, size_t one, size_t n, void *context)
{
    (void)context;
    return fwrite(data, one, n, body_stream);
}

static size_t on_header(char *data, size_t one, size_t n, void *context)
{
    (void)context;
    if (n > 5 && memcmp(data, "HTTP/", 5) == 0)
        rewind(header_stream); /* an answer after "100 Continue" */
    return fwrite(data, one, n, header_stream);
}

static size_t on_read(char *out, size_t one, size_t n, void *context)
{
    return fread(out, one, n, context);
}

static struct curl_slist *make_headers(const struct test_request *request)
{
    struct curl_slist *list = NULL;
    char text[300];

    if (request->body) {
        snprintf(text, sizeof text, "Content-Type: %s",
                 request->type ? request->type : "application/json");
        list = curl_slist_append(list, text);
    }
    if (request->chunked)
        list = curl_slist_append(list, "Transfer-Encoding: chunked");
    for (size_t i = 0; i < sizeof request->headers / sizeof *request->headers; i++) {
        if (request->headers[i])
            list = curl_slist_append(list, request->headers[i]);
    }
    return list;
}

static void set_body(const struct test_request *request, FILE **stream)
{
    size_t size = request->size || !request->body ? request->size : strlen(request->body);

    *stream = NULL;
    if (request->chunked) {
        *stream = fmemopen((void *)request->body, size, "r");
        assert_non_null(*stream);
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl, CURLOPT_READDATA, *stream);
    } else if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    } else if (strcmp(request->method, "POST") == 0) { /* content-length 0, as the client does */
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static void take_reply(void)
{
    fclose(body_stream);
    fclose(header_stream);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &last.status);
    last.json = last.body ? json_loadb(last.body, last.size, 0, NULL) : NULL;
}

struct test_reply *test_send(const struct test_server *server, const struct test_request *request)
{
    char url[8192];
    struct curl_slist *headers = make_headers(request);
    FILE *upload;
    CURLcode code;

    clear_reply();
    if (!curl)
        curl = curl_easy_init();
    assert_non_null(curl);
    curl_easy_reset(curl);
    body_stream = open_memstream(&last.body, &last.size);
    header_stream = open_memstream(&last.headers, &header_size);
    assert_true(body_stream && header_stream);
    snprintf(url, sizeof url, "%s:%d%s", request->ca ? "https://localhost" : "http://127.0.0.1",
             request->socket ? 80 : server->port, request->path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, request->socket);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    set_body(request, &upload);
    code = curl_easy_perform(curl);
    take_reply();
    if (upload)
        fclose(upload);
    curl_slist_free_all(headers);
    if (code != CURLE_OK && request->may_break)
        last.status = 0; /* what came of the answer is none */
    else if (code != CURLE_OK)
        fail_msg("%s %s: %s", request->method, request->path, curl_easy_strerror(code));
    return &last;
}

struct test_reply *test_get(const struct test_server *server, const char *format, ...)
{
    char path[8000];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    return test_send(server, &(struct test_request){.method = "GET", .path = path});
}

struct test_reply *test_post(const struct test_server *server, const char *path, const char *json)
{
    return test_send(server, &(struct test_request){.method = "POST", .path = path, .body = json});
}

const char *test_upload(const struct test_server *server, const char *filename, const char *text)
{
    static char ids[4][64];
    static unsigned next;
    char *id = ids[next++ % 4], *body = NULL;
    size_t size;
    FILE *out = open_memstream(&body, &size);
    struct test_reply *reply;

    assert_non_null(out);
    fprintf(out,
            "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n\r\n%s\r\n"
            "--cut\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n"
            "--cut--\r\n",
            filename, text);
    fclose(out);
    reply = test_send(server, &(struct test_request){.method = "POST",
                                                     .path = "/v1/files",
                                                     .body = body,
                                                     .size = size,
                                                     .type = "multipart/form-data; boundary=cut"});
    free(body);
    if (reply->status != 200)
        fail_msg("the upload was refused: %s", reply->body);
    snprintf(id, sizeof ids[0], "%s", test_text(reply->json, "id"));
    return id;
}

int test_connect(const struct test_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int send_all(const struct test_server *server, const char *data, size_t size)
{
    int fd = test_connect(server);

    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n <= 0)
            break; /* the server has heard enough */
        data += n;
        size -= (size_t)n;
    }
    return fd;
}

void test_send_and_leave(const struct test_server *server, const char *data, size_t size)
{
    close(send_all(server, data, size));
}

char *test_send_raw(const struct test_server *server, const char *data, size_t size)
{
    int fd = send_all(server, data, size);
    char *text = NULL, piece[4096];
    size_t length;
    FILE *out = open_memstream(&text, &length);
    struct pollfd poller = {fd, POLLIN, 0};

    assert_non_null(out);
    while (poll(&poller, 1, SILENCE_MS) > 0) {
        ssize_t n = recv(fd, piece, sizeof piece, 0);

        if (n <= 0)
            break;
        fwrite(piece, 1, (size_t)n, out);
    }
    close(fd);
    fclose(out);
    return text;
}

/* ---- looking at replies ---- */

const char *test_header(const struct test_reply *reply, const char *name)
{
    static char buffers[4][300];
    static unsigned next;
    size_t n = strlen(name);

    for (const char *line = reply->headers; line && *line;) {
        const char *end = strchr(line, '\n');

        if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
            char *value = buffers[next++ % 4];

            line += n + 1 + strspn(line + n + 1, " ");
            snprintf(value, sizeof buffers[0], "%.*s", (int)strcspn(line, "\r\n"), line);
            return value;
        }
        line = end ? end + 1 : NULL;
    }
    return NULL;
}

const json_t *test_member(const json_t *object, const char *path)
{
    char name[64];

    while (object && *path) {
        size_t n = strcspn(path, ".");

        snprintf(name, sizeof name, "%.*s", (int)n, path);
        object = json_is_array(object) ? json_array_get(object, strtoul(name, NULL, 10))
                                       : json_object_get(object, name);
        path += n + (path[n] == '.');
    }
    return object;
}

const char *test_text(const json_t *object, const char *path)
{
    const char *text = json_string_value(test_member(object, path));

    return text ? text : "";
}

json_int_t test_integer(const json_t *object, const char *path)
{
    return json_integer_value(test_member(object, path));
}
