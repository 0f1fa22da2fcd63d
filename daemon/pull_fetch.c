/*
 * pull_fetch.c - transfers until they are whole: what broke is tried again, with growing delays,
 * from where it broke. A file is <name>.part in the work folder while it comes, with the entity
 * tag of its bytes in <name>.etag; it gets its name when its size and digest are right.
 */
#include "daemon/pull_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/path.h"

#define MAX_TRIES      7 /* in a row in which nothing came */
#define MAX_DELAY_MS   30000L
#define MAX_ASKED_S    300L /* Retry-After beyond is not waited for at once */
#define MAX_MISMATCHES 2
#define LISTING_LIMIT  ((uint64_t)16 << 20)
#define JSON_LIMIT     ((uint64_t)64 << 20)
#define NAP_MS         100

static enum prilora_status wait_ms(struct pull *pull, long ms, struct prilora_error *err)
{
    double until = clock_seconds() + 1e-3 * (double)ms;
    const struct timespec nap = {0, NAP_MS * 1000000L};
    enum prilora_status rc;

    while ((rc = pull_go_on(pull, err)) == PRILORA_OK && clock_seconds() < until) {
        nanosleep(&nap, NULL);
        pull_tell(pull, false);
    }
    return rc;
}

static enum prilora_status get_whole(struct pull *pull, const char *url, struct pull_sink *sink,
                                     struct prilora_error *err)
{
    long first = pull->request->retry_ms ? pull->request->retry_ms : PULL_RETRY_MS, delay = first;
    int tries = 0;

    for (;;) {
        uint64_t before = sink->offset;
        long asked_s = 0;
        enum prilora_status rc = pull_go_on(pull, err);
        enum pull_verdict verdict;

        if (rc != PRILORA_OK)
            return rc;
        verdict = pull_get(pull, url, sink, &asked_s, err);
        if (verdict != PULL_AGAIN)
            return verdict == PULL_WHOLE ? PRILORA_OK : err->status;
        if (sink->fd < 0)
            sink->offset = 0; /* a listing is asked for as a whole */
        if (sink->offset > before)
            tries = 0, delay = first;
        if (++tries == MAX_TRIES)
            return err->status;
        if (asked_s > MAX_ASKED_S)
            asked_s = MAX_ASKED_S;
        log_debug("pull", "%s; again in %ld ms", err->message,
                  asked_s * 1000 > delay ? asked_s * 1000 : delay);
        rc = wait_ms(pull, asked_s * 1000 > delay ? asked_s * 1000 : delay, err);
        if (rc != PRILORA_OK)
            return rc;
        delay = 2 * delay < MAX_DELAY_MS ? 2 * delay : MAX_DELAY_MS;
    }
}

enum prilora_status pull_fetch_text(struct pull *pull, const char *url, char **out,
                                    struct prilora_error *err)
{
    struct pull_sink sink = {.fd = -1, .limit = LISTING_LIMIT};
    enum prilora_status rc = get_whole(pull, url, &sink, err);

    if (rc == PRILORA_OK && !sink.text)
        rc = pull_fail(pull, PRILORA_EFORMAT, "hub_error", err, "%s: an empty answer", url);
    if (rc != PRILORA_OK)
        free(sink.text);
    *out = rc == PRILORA_OK ? sink.text : NULL;
    return rc;
}

/* ---- one file ---- */

struct paths {
    char *file, *part, *etag, *url;
};

static void free_paths(struct paths *paths)
{
    free(paths->file);
    free(paths->part);
    free(paths->etag);
    free(paths->url);
}

static enum prilora_status make_paths(struct pull *pull, const struct pull_file *file,
                                      struct paths *out, struct prilora_error *err)
{
    const struct pull_request *request = pull->request;
    size_t n = strlen(request->endpoint);

    n -= n && request->endpoint[n - 1] == '/';
    out->file = text_format("%s/%s", pull->work, file->name);
    out->part = text_format("%s/%s.part", pull->work, file->name);
    out->etag = text_format("%s/%s.etag", pull->work, file->name);
    out->url = text_format("%.*s/%s/resolve/%s/%s", (int)n, request->endpoint, request->model,
                           pull->result->commit, file->name);
    return out->file && out->part && out->etag && out->url ? PRILORA_OK : error_memory(err);
}

static uint64_t limit_of(const struct pull_file *file)
{
    size_t n = strlen(file->name);

    if (file->total_bytes)
        return file->total_bytes;
    return n > 5 && strcmp(file->name + n - 5, ".json") == 0 ? JSON_LIMIT : UINT64_MAX >> 2;
}

/* The part that an earlier transfer left, and its entity tag; longer than the file, it is none. */
static enum prilora_status open_part(const struct paths *paths, struct pull_file *file,
                                     struct pull_sink *sink, struct prilora_error *err)
{
    struct stat st;
    char *etag = path_first_line(paths->etag);

    *sink = (struct pull_sink){.limit = limit_of(file), .file = file};
    sink->fd = open(paths->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (sink->fd < 0 || fstat(sink->fd, &st) != 0) {
        free(etag);
        return error_errno(err, paths->part, "write");
    }
    if ((uint64_t)st.st_size <= sink->limit)
        sink->offset = (uint64_t)st.st_size;
    if (etag && etag[0] == '"' && strlen(etag) < sizeof sink->etag)
        snprintf(sink->etag, sizeof sink->etag, "%s", etag);
    free(etag);
    file->bytes = sink->offset;
    return PRILORA_OK;
}

/* A later pull asks for the rest of these very bytes; without a tag the digest alone decides. */
static void keep_etag(const struct paths *paths, const struct pull_sink *sink)
{
    if (sink->offset && sink->etag[0])
        path_replace(paths->etag, sink->etag, NULL);
    else
        unlink(paths->etag);
}

static enum prilora_status fetch_part(struct pull *pull, const struct paths *paths,
                                      struct pull_file *file, struct prilora_error *err)
{
    struct pull_sink sink = {.fd = -1};
    enum prilora_status rc = open_part(paths, file, &sink, err);

    if (rc == PRILORA_OK && (!file->total_bytes || sink.offset < file->total_bytes)) {
        rc = get_whole(pull, paths->url, &sink, err);
        if (rc != PRILORA_OK)
            keep_etag(paths, &sink);
    }
    if (rc == PRILORA_OK && fsync(sink.fd) != 0)
        rc = error_errno(err, paths->part, "sync");
    if (sink.fd >= 0)
        close(sink.fd);
    return rc;
}

static enum prilora_status settle(struct pull *pull, const struct paths *paths,
                                  struct pull_file *file, bool *done, struct prilora_error *err)
{
    struct stat st = {0};
    enum prilora_status rc = pull_verify(pull, paths->part, file, done, err);

    if (rc != PRILORA_OK)
        return rc;
    if (*done && rename(paths->part, paths->file) != 0)
        return error_errno(err, paths->file, "rename");
    unlink(paths->etag);
    if (*done)
        return PRILORA_OK;
    stat(paths->part, &st);
    unlink(paths->part);
    file->bytes = 0;
    if (file->total_bytes && (uint64_t)st.st_size != file->total_bytes)
        pull_fail(pull, PRILORA_EFORMAT, "size_mismatch", err,
                  "%s has %llu bytes, but the hub's listing says %llu", file->name,
                  (unsigned long long)st.st_size, (unsigned long long)file->total_bytes);
    else
        pull_fail(pull, PRILORA_EFORMAT, "digest_mismatch", err,
                  "%s is not the file that the hub's listing means: its %s is not %s", file->name,
                  file->sha256[0] ? "SHA-256" : "git blob's SHA-1",
                  file->sha256[0] ? file->sha256 : file->blob);
    return PRILORA_OK;
}

enum prilora_status pull_fetch_file(struct pull *pull, struct pull_file *file,
                                    struct prilora_error *err)
{
    struct paths paths = {0};
    bool done = false;
    enum prilora_status rc = make_paths(pull, file, &paths, err);

    if (rc == PRILORA_OK && !file->is_whole)
        rc = pull_verify(pull, paths.file, file, &done, err); /* by an earlier pull */
    done = done || file->is_whole;
    for (int i = 0; rc == PRILORA_OK && !done; i++) {
        if (i == MAX_MISMATCHES) {
            rc = err->status; /* as settle has said it */
            break;
        }
        rc = fetch_part(pull, &paths, file, err);
        if (rc == PRILORA_OK)
            rc = settle(pull, &paths, file, &done, err);
    }
    if (rc == PRILORA_OK && !file->is_whole) {
        struct stat st;

        file->is_whole = true;
        file->bytes = stat(paths.file, &st) == 0 ? (uint64_t)st.st_size : file->total_bytes;
        file->total_bytes = file->bytes;
        pull_tell(pull, true);
    }
    free_paths(&paths);
    return rc;
}
