/*
 * download.c - fetches into NAME.part, goes on where a broken download ended, checks the digest of
 * the whole, and only then gives it its name.
 *
 * A part that an earlier call left is taken up without knowing what it is the beginning of: if the
 * digest is wrong in the end, all is fetched once more.
 */
#include "api/cli/download.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/interrupt.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/progress.h"
#include "api/cli/text.h"

#define N_TRIES 8 /* that bring nothing new, one after another */
#define PIECE   ((size_t)256 * 1024)

/* ---- the digest ---- */

static bool hash(int fd, char out[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE) + 1])
{
    struct sha256_ctx state;
    uint8_t digest[SHA256_DIGEST_SIZE], *piece = must(malloc(PIECE));
    off_t offset = 0;
    ssize_t n;

    sha256_init(&state);
    while ((n = pread(fd, piece, PIECE, offset)) > 0) {
        sha256_update(&state, (size_t)n, piece);
        offset += n;
    }
    free(piece);
    sha256_digest(&state, sizeof digest, digest);
    memset(out, 0, BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE) + 1);
    base64_encode_raw(out, sizeof digest, digest);
    return n == 0;
}

static bool is_whole(const struct http_part *part)
{
    char digest[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE) + 1];

    if (part->total > 0 && part->size != part->total)
        return false;
    return !part->digest[0] || (hash(part->fd, digest) && strcmp(digest, part->digest) == 0);
}

/* ---- fetching ---- */

static int start_again(struct http_part *part)
{
    part->size = 0;
    part->etag[0] = part->digest[0] = '\0';
    part->total = 0;
    return ftruncate(part->fd, 0) == 0 ? EXIT_DONE
                                       : fail(EXIT_FAILED, "the part: %s", strerror(errno));
}

/* One request after another until all is there. */
static int fetch(const struct call *call, const char *path, struct http_part *part)
{
    double wait_s = 0.3;

    for (int tries = 0; tries < N_TRIES;) {
        struct http_reply reply;
        int64_t before = part->size;
        bool whole = http_fetch(call->http, path, part, &reply);
        int rc = EXIT_DONE;

        if (whole && (reply.status == 200 || reply.status == 206)) {
            http_reply_clear(&reply);
            return EXIT_DONE;
        }
        if (reply.status == 416 && part->size > 0) /* the part is longer than the whole */
            rc = start_again(part);
        else if (interrupted() || !http_is_passing(&reply) || ++tries == N_TRIES)
            rc = http_tell(call, &reply);
        http_reply_clear(&reply);
        if (rc != EXIT_DONE)
            return rc;
        if (part->size > before) {
            tries = 0;
            wait_s = 0.3;
        }
        interrupt_wait(wait_s);
        wait_s = wait_s < 5 ? 2 * wait_s : wait_s;
    }
    return EXIT_FAILED;
}

static int fetch_checked(const struct call *call, const char *path, struct http_part *part)
{
    bool resumed = part->size > 0;
    int rc = fetch(call, path, part);

    if (rc == EXIT_DONE && resumed &&
        !is_whole(part)) { /* it was the beginning of something else */
        rc = start_again(part);
        if (rc == EXIT_DONE)
            rc = fetch(call, path, part);
    }
    if (rc == EXIT_DONE && !is_whole(part)) {
        start_again(part);
        rc = fail(EXIT_FAILED, "what came has not the digest that was announced");
    }
    return rc;
}

/* The file `part_name` becomes what `path` answers, whole and checked. */
static int fetch_part(const struct call *call, const char *path, const char *part_name,
                      const char *shown)
{
    struct http_part part = {.shown = shown};
    struct stat st;
    int rc;

    part.fd = open(part_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (part.fd < 0 || fstat(part.fd, &st) != 0) {
        rc = fail(EXIT_FAILED, "%s: %s", part_name, strerror(errno));
        if (part.fd >= 0)
            close(part.fd);
        return rc;
    }
    part.size = st.st_size;
    progress_begin(stderr);
    rc = fetch_checked(call, path, &part);
    progress_end();
    if (rc == EXIT_DONE && fsync(part.fd) != 0)
        rc = fail(EXIT_FAILED, "%s: %s", part_name, strerror(errno));
    if (rc == EXIT_INTERRUPTED && part.size > 0)
        note("what came is in %s; the same command goes on from there", part_name);
    if (rc != EXIT_DONE && part.size == 0)
        unlink(part_name);
    close(part.fd);
    return rc;
}

static int rename_to(const char *from, const char *to)
{
    return rename(from, to) == 0 ? EXIT_DONE : fail(EXIT_FAILED, "%s: %s", to, strerror(errno));
}

/* ---- an uploaded file ---- */

static int to_stdout(const struct call *call, const char *path)
{
    FILE *spool = tmpfile();
    struct http_part part = {.fd = spool ? fileno(spool) : -1};
    char *piece = must(malloc(PIECE));
    off_t offset = 0;
    ssize_t n;
    int rc = spool ? fetch_checked(call, path, &part)
                   : fail(EXIT_FAILED, "a temporary file: %s", strerror(errno));

    while (rc == EXIT_DONE && (n = pread(part.fd, piece, PIECE, offset)) > 0) {
        fwrite(piece, 1, (size_t)n, stdout);
        offset += n;
    }
    free(piece);
    if (spool)
        fclose(spool);
    return rc;
}

char *download_name(const char *name, const char *other)
{
    char *clean = text_clean(name);

    for (char *p = clean; *p; p++) {
        if (*p == '/')
            *p = '_';
    }
    if (*clean && *clean != '.' && *clean != '-')
        return clean;
    free(clean);
    return other ? download_name(other, NULL) : must(strdup("download"));
}

int download_file(const struct call *call, const char *path, const char *output, const char *name)
{
    struct http_reply reply = {0};
    char *to, *part;
    int rc = EXIT_DONE;

    interrupt_catch();
    if (output && strcmp(output, "-") == 0)
        return to_stdout(call, path);
    if (!output)
        rc = get(call, &reply, "/v1/files/%s", name);
    to = output ? must(strdup(output)) : download_name(json_text(reply.json, "filename"), name);
    part = format("%s.part", to);
    if (rc == EXIT_DONE && !output && access(to, F_OK) == 0)
        rc = fail(EXIT_FAILED, "%s exists; --output says where else to put it", to);
    if (rc == EXIT_DONE)
        rc = fetch_part(call, path, part, to);
    if (rc == EXIT_DONE)
        rc = rename_to(part, to);
    if (rc == EXIT_DONE && !output && !show_json(call, &reply))
        text_say("%s", to);
    http_reply_clear(&reply);
    free(part);
    free(to);
    return rc;
}

/* ---- an adapter ---- */

static int check_place(const char *to, bool is_tar)
{
    struct stat st;

    if (lstat(to, &st) != 0)
        return EXIT_DONE;
    if (!is_tar && S_ISDIR(st.st_mode) && folder_is_empty(to))
        return EXIT_DONE;
    return fail(EXIT_FAILED, "%s exists; --output says where else to put it", to);
}

static char *adapter_path(const struct call *call, const char *id)
{
    char *path = http_path("/v1/fine_tuning/jobs/%s/adapter", id);
    char *whole = format("%s%s", path,
                         call_has(call, "merged")    ? "?merged=true"
                         : call_has(call, "uniform") ? "?rank=uniform"
                                                     : "");

    free(path);
    return whole;
}

static int fetch_adapter(const struct call *call, const char *id, const char *to)
{
    bool is_tar = call_has(call, "tar");
    char *path = adapter_path(call, id), *part;
    const char *form = call_has(call, "merged")    ? ".merged"
                       : call_has(call, "uniform") ? ".uniform"
                                                   : "";
    int rc = check_place(to, is_tar);

    part = format("%s%s.tar.part", to, form);
    if (rc == EXIT_DONE)
        rc = fetch_part(call, path, part, to);
    if (rc == EXIT_DONE && is_tar)
        rc = rename_to(part, to);
    if (rc == EXIT_DONE && !is_tar) {
        rc = unpack(part, to);
        if (rc == EXIT_DONE)
            unlink(part);
    }
    free(part);
    free(path);
    return rc;
}

int run_download(struct call *call)
{
    const char *output = call_option(call, "output");
    struct http_reply reply = {0};
    char *id = NULL, *to = NULL;
    int rc;

    if (call_has(call, "merged") && call_has(call, "uniform"))
        return fail(EXIT_USAGE, "download: --merged or --uniform, not both");
    if (output && !*output)
        return fail(EXIT_USAGE, "--output: must not be empty");
    interrupt_catch();
    rc = resolve_target(call, call->args[0], &id);
    if (rc == EXIT_DONE)
        rc = get(call, &reply, "/v1/fine_tuning/jobs/%s", id);
    if (rc == EXIT_DONE) {
        char *name = download_name(id, NULL);

        to = output ? must(strdup(output))
                    : format("%s%s", name, call_has(call, "tar") ? ".tar" : "");
        free(name);
        for (size_t n = strlen(to); n > 1 && to[n - 1] == '/'; n--)
            to[n - 1] = '\0';
        rc = fetch_adapter(call, id, to);
    }
    if (rc == EXIT_DONE && !show_json(call, &reply))
        text_say("%s", to);
    http_reply_clear(&reply);
    free(to);
    free(id);
    return rc;
}
