/* content.c - see content.h. */
#include "api/content.h"

#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/range.h"
#include "api/respond.h"
#include "api/tar.h"
#include "daemon/error.h"

#define BLOCK ((size_t)64 * 1024)

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 127 && c != '"' && c != '\\' && c != '%';
}

/* attr-char of RFC 8187. */
static bool is_attribute(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$&+-.^_`|~", c));
}

char *content_disposition(const char *filename)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = strlen(filename), used = 0;
    char *quoted = malloc(n + 1), *encoded = malloc(3 * n + 1), *out = NULL;
    bool plain = true;

    if (!quoted || !encoded)
        goto out;
    for (size_t i = 0; i <= n; i++) {
        quoted[i] = filename[i] && !is_plain((unsigned char)filename[i]) ? '_' : filename[i];
        plain = plain && quoted[i] == filename[i];
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)filename[i];

        if (is_attribute(c)) {
            encoded[used++] = (char)c;
        } else {
            encoded[used++] = '%';
            encoded[used++] = digits[c >> 4];
            encoded[used++] = digits[c & 15];
        }
    }
    encoded[used] = '\0';
    out = plain ? text_format("attachment; filename=\"%s\"", quoted)
                : text_format("attachment; filename=\"%s\"; filename*=UTF-8''%s", quoted, encoded);
out:
    free(quoted);
    free(encoded);
    return out;
}

/* sha-256=:BASE64: of 64 hexadecimal digits. */
static void repr_digest(char out[64], const char *hex)
{
    uint8_t bytes[32];
    char base64[BASE64_ENCODE_RAW_LENGTH(sizeof bytes) + 1] = {0};

    for (size_t i = 0; i < sizeof bytes; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    base64_encode_raw(base64, sizeof bytes, bytes);
    snprintf(out, 64, "sha-256=:%s:", base64);
}

struct plan {
    unsigned status; /* 200, 206, 304 or 416 */
    struct range range;
    char etag[DIGEST_HEX_SIZE + 2];
};

static void make_plan(struct request *r, const struct content *content, struct plan *out)
{
    const char *range = request_header(r, MHD_HTTP_HEADER_RANGE);
    const char *condition = request_header(r, MHD_HTTP_HEADER_IF_RANGE);
    static const unsigned statuses[] = {
        [RANGE_WHOLE] = 200, [RANGE_PART] = 206, [RANGE_OUTSIDE] = 416};

    snprintf(out->etag, sizeof out->etag, "\"%s\"", content->sha256);
    if (condition && strcmp(condition, out->etag) != 0)
        range = NULL;
    if (strcmp(r->method, "GET") != 0)
        range = NULL; /* RFC 9110, 14.2: defined for GET only */
    out->status = statuses[range_parse(&out->range, range, content->size)];
    if (etag_listed(request_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH), out->etag))
        out->status = 304;
}

/* Answers what needs none of the bytes; true if it did. */
static bool respond_without_bytes(struct request *r, const struct content *content,
                                  const struct plan *plan)
{
    char text[64];

    if (plan->status == 416) {
        respond_error(r, 416, "range_not_satisfiable", NULL,
                      "the range lies outside of the %llu bytes",
                      (unsigned long long)content->size);
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)content->size);
        respond_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, text);
        return true;
    }
    if (plan->status != 304)
        return false;
    respond_take(r, 304, MHD_create_response_from_buffer(0, text, MHD_RESPMEM_MUST_COPY));
    respond_header(r, MHD_HTTP_HEADER_ETAG, plan->etag);
    return true;
}

static void add_headers(struct request *r, const struct content *content, const struct plan *plan)
{
    char text[96];
    char *disposition = content_disposition(content->filename);

    respond_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, content->media_type);
    if (disposition)
        respond_header(r, MHD_HTTP_HEADER_CONTENT_DISPOSITION, disposition);
    free(disposition);
    respond_header(r, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    respond_header(r, MHD_HTTP_HEADER_ETAG, plan->etag);
    if (!content->is_computed) {
        repr_digest(text, content->sha256);
        respond_header(r, "Repr-Digest", text);
    }
    if (plan->status != 206)
        return;
    snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)plan->range.first,
             (unsigned long long)(plan->range.first + plan->range.size - 1),
             (unsigned long long)content->size);
    respond_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, text);
}

void respond_file(struct request *r, const struct content *content, int fd)
{
    struct plan plan;
    struct MHD_Response *response;
    static char none[1];

    make_plan(r, content, &plan);
    if (respond_without_bytes(r, content, &plan)) {
        close(fd);
        return;
    }
    response = plan.range.size > 0
                   ? MHD_create_response_from_fd_at_offset64(plan.range.size, fd, plan.range.first)
                   : MHD_create_response_from_buffer(0, none, MHD_RESPMEM_PERSISTENT);
    if (!response || plan.range.size == 0)
        close(fd); /* else it is the response's now */
    respond_take(r, plan.status, response);
    respond_size(r, response ? plan.range.size : 0);
    if (response)
        add_headers(r, content, &plan);
}

/* ---- a tar, made while it is sent ---- */

struct sending {
    struct tar *tar;
    uint64_t first, size;
};

static ssize_t send_piece(void *context, uint64_t position, char *out, size_t room)
{
    struct sending *s = context;
    ssize_t n;

    if (position >= s->size)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (room > s->size - position)
        room = (size_t)(s->size - position);
    n = tar_read(s->tar, s->first + position, out, room);
    return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void end_sending(void *context)
{
    struct sending *s = context;

    tar_close(s->tar);
    free(s);
}

void respond_tar(struct request *r, const struct content *content, struct tar *tar)
{
    struct plan plan;
    struct MHD_Response *response = NULL;
    struct sending *s;

    make_plan(r, content, &plan);
    if (respond_without_bytes(r, content, &plan)) {
        tar_close(tar);
        return;
    }
    s = malloc(sizeof *s);
    if (s) {
        *s = (struct sending){tar, plan.range.first, plan.range.size};
        response =
            MHD_create_response_from_callback(plan.range.size, BLOCK, send_piece, s, end_sending);
    }
    if (!response) {
        free(s);
        tar_close(tar);
    }
    respond_take(r, plan.status, response);
    respond_size(r, response ? plan.range.size : 0);
    if (response)
        add_headers(r, content, &plan);
}
