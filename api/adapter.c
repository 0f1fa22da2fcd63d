/* adapter.c - downloads of a finished adapter: all of it as one tar, or a file; other forms of it
 * are adapter_form.c's. */
#include "api/handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/adapter_files.h"
#include "api/adapter_form.h"
#include "api/content.h"
#include "api/list.h"
#include "api/respond.h"
#include "api/tar.h"
#include "daemon/error.h"

#define PIECE ((size_t)256 * 1024)

/* ---- digests: each is computed when it is first asked for ---- */

struct source { /* one of the two */
    struct tar *tar;
    int fd;
};

static ssize_t read_source(const struct source *source, uint64_t offset, char *out, size_t room)
{
    return source->tar ? tar_read(source->tar, offset, out, room)
                       : pread(source->fd, out, room, (off_t)offset);
}

static bool hash(const struct source *source, uint64_t size, char hex[DIGEST_HEX_SIZE])
{
    struct sha256_ctx state;
    uint8_t bytes[SHA256_DIGEST_SIZE];
    char *piece = malloc(PIECE);
    uint64_t done = 0;
    ssize_t n = 1;

    if (!piece)
        return false;
    sha256_init(&state);
    while (done < size && n > 0) {
        n = read_source(source, done, piece, PIECE);
        if (n > 0)
            sha256_update(&state, (size_t)n, (const uint8_t *)piece);
        done += n > 0 ? (uint64_t)n : 0;
    }
    free(piece);
    sha256_digest(&state, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return done == size;
}

/* Fills content->sha256; answers and returns false if it cannot. */
static bool find_digest(struct request *r, const struct source *source, const char *job_id,
                        const char *name, struct content *content)
{
    char key[DIGESTS_MAX_NAME];
    struct prilora_error err;

    snprintf(key, sizeof key, "%s/%s", job_id, name);
    if (digests_find(&r->api->digests, key, content->sha256))
        return true;
    if (!hash(source, content->size, content->sha256)) {
        error_set(&err, PRILORA_EIO, "%s: cannot be read whole", key);
        respond_internal(r, &err);
        return false;
    }
    digests_put(&r->api->digests, key, content->sha256);
    return true;
}

/* ---- what both do first ---- */

static void respond_no_adapter(struct request *r, const struct job *job)
{
    respond_error(r, 404, "adapter_not_found", NULL, "job %s has no adapter: it is %s", job->id,
                  job_status_name(job->status));
}

static bool find(struct request *r, const char *const *names, struct job *job,
                 struct adapter_files *files)
{
    struct prilora_error err;
    enum prilora_status rc;

    *files = (struct adapter_files){0};
    if (!query_check(r, names) || !api_find_job(r, job))
        return false;
    rc = adapter_files_read(r->api->store, job, files, &err);
    if (rc == PRILORA_ENOENT)
        respond_no_adapter(r, job);
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    return rc == PRILORA_OK;
}

static void send_tar(struct request *r, const struct job *job, const struct adapter_files *files)
{
    struct content content = {.media_type = "application/x-tar"};
    struct prilora_error err;
    struct source source = {.fd = -1};
    char filename[ID_SIZE + 8];
    enum prilora_status rc =
        tar_open(&source.tar, files->folder, job->id, (const char *const *)files->names, files->n,
                 job->finished_at, &err);

    if (adapter_files_are_gone(r->api->store, job)) {
        respond_no_adapter(r, job);
        tar_close(source.tar);
        return;
    }
    if (rc != PRILORA_OK) {
        respond_internal(r, &err);
        return;
    }
    snprintf(filename, sizeof filename, "%s.tar", job->id);
    content.filename = filename;
    content.size = tar_size(source.tar);
    if (find_digest(r, &source, job->id, ".tar", &content))
        respond_tar(r, &content, source.tar);
    else
        tar_close(source.tar);
}

void api_adapter_tar(struct request *r)
{
    static const char *const names[] = {"merged", "rank", NULL};
    struct job job = {0};
    struct adapter_files files = {0};
    enum adapter_form form;

    if (!adapter_form_read(r, &form))
        return;
    if (find(r, names, &job, &files)) {
        if (form == ADAPTER_AS_IT_IS)
            send_tar(r, &job, &files);
        else
            adapter_form_send(r, form, &job, files.folder);
    }
    adapter_files_clear(&files);
    job_clear(&job);
}

static const char *media_type(const char *name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {{".json", "application/json"}, {".md", "text/markdown; charset=utf-8"}};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++) {
        if (strcmp(dot, types[i].ending) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

static void send_file(struct request *r, const struct job *job, const struct adapter_files *files,
                      const char *name)
{
    struct content content = {.media_type = media_type(name), .filename = name};
    struct source source = {.fd = -1};
    struct prilora_error err;
    bool is_listed = false;
    char *path = text_format("%s/%s", files->folder, name);

    for (size_t i = 0; i < files->n && !is_listed; i++) {
        is_listed = strcmp(files->names[i], name) == 0;
        content.size = files->sizes[i];
    }
    if (is_listed && path)
        source.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (!is_listed || (path && source.fd < 0 && errno == ENOENT)) {
        respond_error(r, 404, "file_not_found", NULL, "the adapter of job %s has no file %s",
                      job->id, name);
    } else if (source.fd < 0) {
        error_errno(&err, name, "read it");
        respond_internal(r, &err);
    } else if (find_digest(r, &source, job->id, name, &content)) {
        respond_file(r, &content, source.fd);
    } else {
        close(source.fd);
    }
    free(path);
}

void api_adapter_file(struct request *r)
{
    struct job job = {0};
    struct adapter_files files;

    if (find(r, NULL, &job, &files))
        send_file(r, &job, &files, r->captures[1]);
    adapter_files_clear(&files);
    job_clear(&job);
}
