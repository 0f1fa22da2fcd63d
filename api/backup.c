/*
 * backup.c - GET /v1/backup: all that cannot be had again as one tar, made while it is sent.
 *
 * Its members are a note on what it is, what backup.h gives, and in the end the SHA-256 of them
 * all, in the form of sha256sum(1): an archive without that one is not whole.
 */
#include "api/handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/json_memory.h"
#include "api/aside.h"
#include "api/list.h"
#include "api/respond.h"
#include "api/tar.h"
#include "daemon/backup.h"
#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/schema.h"

#define PIECE     ((size_t)64 * 1024)
#define MODE      0640 /* keys and data are in it */
#define NOTE_NAME "prilorad-backup.json"
#define SUMS_NAME "SHA256SUMS"
#define SUM_WIDTH ((size_t)2 * SHA256_DIGEST_SIZE + 3) /* digits, two spaces, a line's end */

/* ---- the archive ---- */

enum part { HEADER, BYTES, ZEROS };

struct archive {
    struct backup *backup;
    char *note, *sums;
    size_t n_note, n_sums, sums_room;
    uint64_t size;

    size_t at; /* the member that is being sent: 0 the note, then the backup's, then the sums */
    enum part part;
    uint64_t offset; /* in the part */
    char header[TAR_BLOCK];
    int fd; /* of a member of the backup, while its bytes are sent */
    struct sha256_ctx sha256;
};

static void archive_free(struct archive *a)
{
    if (!a)
        return;
    if (a->fd >= 0)
        close(a->fd);
    backup_close(a->backup);
    free(a->note);
    free(a->sums);
    free(a);
}

static bool is_sums(const struct archive *a)
{
    return a->at == a->backup->n + 1;
}

static const struct backup_member *member(const struct archive *a)
{
    return a->at > 0 && !is_sums(a) ? &a->backup->members[a->at - 1] : NULL;
}

static const char *name_of(const struct archive *a)
{
    return a->at == 0 ? NOTE_NAME : is_sums(a) ? SUMS_NAME : member(a)->name;
}

static uint64_t size_of(const struct archive *a)
{
    return a->at == 0 ? a->n_note : is_sums(a) ? a->sums_room : member(a)->bytes;
}

/* What is known of it before anything is sent: every size. */
static uint64_t count_bytes(struct archive *a)
{
    uint64_t size = 2 * TAR_BLOCK; /* of zeros, at the end */

    a->sums_room = SUM_WIDTH + strlen(NOTE_NAME);
    for (size_t i = 0; i < a->backup->n; i++)
        a->sums_room += SUM_WIDTH + strlen(a->backup->members[i].name);
    for (a->at = 0; a->at < a->backup->n + 2; a->at++)
        size += TAR_BLOCK + tar_padded(size_of(a));
    a->at = 0;
    return size;
}

static bool make_note(struct archive *a)
{
    const struct backup *b = a->backup;
    json_t *missing = json_array(), *object;
    json_int_t bytes = 0;
    char *text;

    for (size_t i = 0; i < b->n; i++)
        bytes += (json_int_t)b->members[i].bytes;
    for (size_t i = 0; i < b->n_missing; i++)
        json_array_append_new(missing, json_string(b->missing[i]));
    object = json_pack("{s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:o}", "object", "prilorad.backup",
                       "format", 1, "prilorad", PRILORA_VERSION, "schema",
                       (json_int_t)schema_newest(), "created_at", (json_int_t)b->created_at,
                       "members", (json_int_t)b->n, "bytes", bytes, "missing", missing);
    text = object ? json_whole_text(object, JSON_INDENT(2)) : NULL;
    json_decref(object);
    a->note = text ? text_format("%s\n", text) : NULL;
    a->n_note = a->note ? strlen(a->note) : 0;
    free(text);
    return a->note != NULL;
}

/* Takes the backup. NULL: out of memory. */
static struct archive *archive_new(struct backup *backup)
{
    struct archive *a = calloc(1, sizeof *a);

    if (!a) {
        backup_close(backup);
        return NULL;
    }
    a->backup = backup;
    a->fd = -1;
    if (make_note(a)) {
        a->size = count_bytes(a);
        a->sums = malloc(a->sums_room + 1);
    }
    if (!a->sums) {
        archive_free(a);
        return NULL;
    }
    return a;
}

static bool begin_member(struct archive *a)
{
    const struct backup_member *m = member(a);

    tar_header(a->header, name_of(a), MODE, size_of(a), m ? m->modified_at : a->backup->created_at);
    sha256_init(&a->sha256);
    if (!m)
        return true;
    a->fd = open(m->path, O_RDONLY | O_CLOEXEC);
    if (a->fd >= 0)
        return true;
    log_error("backup", "%s: %s", m->name, strerrordesc_np(errno));
    return false;
}

/* Its link goes at once: what was deleted meanwhile frees its room, and the end has less to do. */
static void end_member(struct archive *a)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    char digits[2 * SHA256_DIGEST_SIZE + 1] = "";

    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    if (member(a))
        unlink(member(a)->path);
    if (!is_sums(a)) {
        sha256_digest(&a->sha256, sizeof digest, digest);
        base16_encode_update(digits, sizeof digest, digest);
        a->n_sums += (size_t)snprintf(a->sums + a->n_sums, a->sums_room + 1 - a->n_sums, "%s  %s\n",
                                      digits, name_of(a));
    }
    a->at++;
}

/* From the part that it is in: how many bytes; -1: a file has become shorter, or cannot be read. */
static ssize_t take(struct archive *a, char *out, size_t room)
{
    const struct backup_member *m = member(a);
    ssize_t n;

    if (a->part == HEADER) {
        memcpy(out, a->header + a->offset, room);
        return (ssize_t)room;
    }
    if (a->part == ZEROS) {
        memset(out, 0, room);
        return (ssize_t)room;
    }
    if (!m) {
        memcpy(out, (a->at == 0 ? a->note : a->sums) + a->offset, room);
        n = (ssize_t)room;
    } else {
        n = pread(a->fd, out, room, (off_t)a->offset);
        if (n <= 0) {
            log_error("backup", "%s: %s", m->name, n < 0 ? strerrordesc_np(errno) : "is cut off");
            return -1;
        }
    }
    sha256_update(&a->sha256, (size_t)n, (const uint8_t *)out);
    return n;
}

static uint64_t part_size(const struct archive *a)
{
    uint64_t size = size_of(a);

    return a->part == HEADER ? TAR_BLOCK : a->part == BYTES ? size : tar_padded(size) - size;
}

/* Moves on over parts and members of which all is sent. */
static bool advance(struct archive *a)
{
    while (a->at < a->backup->n + 2 && a->offset == part_size(a)) {
        a->offset = 0;
        if (a->part != ZEROS) {
            a->part++;
            continue;
        }
        a->part = HEADER;
        end_member(a);
        if (a->at < a->backup->n + 2 && !begin_member(a))
            return false;
    }
    return true;
}

static ssize_t send_piece(void *context, uint64_t position, char *out, size_t room)
{
    struct archive *a = context;
    size_t used = 0;

    if (position >= a->size)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (room > a->size - position)
        room = (size_t)(a->size - position);
    while (used < room) {
        size_t most = room - used;
        ssize_t n;

        if (!advance(a))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (a->at == a->backup->n + 2) {
            memset(out + used, 0, most);
            return (ssize_t)room;
        }
        if (most > part_size(a) - a->offset)
            most = (size_t)(part_size(a) - a->offset);
        n = take(a, out + used, most);
        if (n < 0)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        used += (size_t)n;
        a->offset += (uint64_t)n;
    }
    return (ssize_t)used;
}

static void end_sending(void *context)
{
    archive_free(context);
}

/* ---- the request ---- */

struct freezing {
    struct store *store;
    struct backup *backup;
    struct prilora_error err;
    enum prilora_status rc;
};

static void freeze(void *state)
{
    struct freezing *f = state;

    f->rc = backup_open(&f->backup, f->store, &f->err);
}

static void freezing_free(void *state)
{
    struct freezing *f = state;

    backup_close(f->backup);
    free(f);
}

static void respond_failure(struct request *r, const struct prilora_error *err)
{
    if (err->status == PRILORA_ENOSPC)
        respond_error(r, 507, "disk_full", NULL, "%s", err->message);
    else if (err->status == PRILORA_EUNSUPPORTED)
        respond_error(r, 501, "no_hard_links", NULL, "%s", err->message);
    else
        respond_internal(r, err);
}

/* "prilorad-20261125T141500Z.tar". */
static void add_filename(struct request *r, int64_t created_at)
{
    time_t seconds = (time_t)created_at;
    struct tm utc;
    char stamp[32] = "", text[96];

    if (gmtime_r(&seconds, &utc))
        strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    snprintf(text, sizeof text, "attachment; filename=\"prilorad-%s.tar\"", stamp);
    respond_header(r, MHD_HTTP_HEADER_CONTENT_DISPOSITION, text);
}

static void answer(struct request *r, void *state)
{
    struct freezing *f = state;
    struct MHD_Response *response = NULL;
    int64_t created_at;
    uint64_t size = 0;
    size_t n;
    struct archive *a;

    if (f->rc != PRILORA_OK) {
        respond_failure(r, &f->err);
        return;
    }
    created_at = f->backup->created_at;
    n = f->backup->n;
    a = archive_new(f->backup);
    f->backup = NULL;
    if (a && begin_member(a)) {
        size = a->size;
        response = MHD_create_response_from_callback(size, PIECE, send_piece, a, end_sending);
    }
    if (!response)
        archive_free(a);
    respond_take(r, 200, response);
    respond_size(r, size);
    if (!response)
        return;
    log_info("audit", "a backup of %zu files begins, %llu bytes (%s)", n, (unsigned long long)size,
             r->id);
    respond_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/x-tar");
    respond_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    add_filename(r, created_at);
}

void api_backup(struct request *r)
{
    static const struct aside_work work = {freeze, answer, freezing_free};
    struct freezing *f;

    if (!query_check(r, NULL))
        return;
    f = calloc(1, sizeof *f);
    if (f)
        f->store = r->api->store;
    aside_run(r, &work, f);
}
