/*
 * uploads_complete.c - an upload's parts become one file; see uploads.h.
 *
 * The file's SHA-256 needs every byte in order, and the order is known only now: so all bytes are
 * read once, and written on the way. The parts stay until the row says that the upload is complete.
 */
#include "daemon/uploads.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <nettle/base16.h>
#include <nettle/md5.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/path.h"
#include "daemon/pulse.h"

#define PIECE ((size_t)512 * 1024)

/* ---- which parts ---- */

struct wanted {
    const char *id;
    size_t place; /* in the order that the client gave */
    int64_t bytes;
};

static int by_id(const void *a, const void *b)
{
    const struct wanted *left = a, *right = b;
    int difference = strcmp(left->id, right->id);

    return difference ? difference : left->place < right->place ? -1 : 1;
}

static int by_place(const void *a, const void *b)
{
    const struct wanted *left = a, *right = b;

    return left->place < right->place ? -1 : 1;
}

static enum prilora_status check_once(struct wanted *parts, size_t n, struct prilora_error *err)
{
    char where[40];

    qsort(parts, n, sizeof *parts, by_id);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(parts[i].id, parts[i - 1].id) != 0)
            continue;
        snprintf(where, sizeof where, "/part_ids/%zu", parts[i].place);
        return error_set_at(err, PRILORA_EINVAL, where, "part %s is listed twice", parts[i].id);
    }
    qsort(parts, n, sizeof *parts, by_place);
    return PRILORA_OK;
}

static enum prilora_status find_part(struct store *store, const char *upload_id,
                                     struct wanted *part, struct prilora_error *err)
{
    enum prilora_status rc;
    char where[40];
    bool row;
    sqlite3_stmt *s =
        store_query(store, err, "SELECT bytes FROM upload_parts WHERE id = ? AND upload_id = ?",
                    "tt", part->id, upload_id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read a part's row", err);
    if (rc == PRILORA_OK && !row) {
        snprintf(where, sizeof where, "/part_ids/%zu", part->place);
        return error_set_at(err, PRILORA_EINVAL, where, "upload %s has no part \"%.60s\"",
                            upload_id, part->id);
    }
    if (rc == PRILORA_OK) {
        part->bytes = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return rc;
}

/* The parts in their order, with their sizes: all there, each once, together what was announced. */
static enum prilora_status find_parts(struct store *store, const struct upload *upload,
                                      const struct upload_order *order, struct wanted *parts,
                                      struct prilora_error *err)
{
    enum prilora_status rc;
    int64_t sum = 0;

    for (size_t i = 0; i < order->n_parts; i++)
        parts[i] = (struct wanted){order->part_ids[i], i, 0};
    rc = check_once(parts, order->n_parts, err);
    for (size_t i = 0; i < order->n_parts && rc == PRILORA_OK; i++) {
        rc = find_part(store, upload->id, &parts[i], err);
        sum += parts[i].bytes;
    }
    if (rc == PRILORA_OK && sum != upload->bytes)
        rc = error_set_at(err, PRILORA_EINVAL, "/part_ids",
                          "the parts have %" PRId64 " bytes together, but the upload was "
                          "announced with %" PRId64,
                          sum, upload->bytes);
    return rc;
}

/* ---- their bytes ---- */

struct joining {
    struct store *store;
    const struct upload_order *order;
    int fd;     /* of the file that they become */
    char *path; /* its */
    struct sha256_ctx sha256;
    struct md5_ctx md5;
    uint8_t *piece;
};

static enum prilora_status fail_write(const char *path, struct prilora_error *err)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return error_set(err, PRILORA_ENOSPC,
                         "the server's disk is full: the parts cannot be put together");
    return error_errno(err, path, "write");
}

static enum prilora_status write_piece(struct joining *j, size_t size, struct prilora_error *err)
{
    const uint8_t *at = j->piece;

    sha256_update(&j->sha256, size, at);
    if (j->order->md5)
        md5_update(&j->md5, size, at);
    while (size > 0) {
        ssize_t n = write(j->fd, at, size);

        if (n < 0 && errno != EINTR)
            return fail_write(j->path, err);
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
    return PRILORA_OK;
}

static enum prilora_status copy_bytes(struct joining *j, int fd, const char *path, int64_t left,
                                      struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    while (rc == PRILORA_OK && left > 0) {
        size_t room = left < (int64_t)PIECE ? (size_t)left : PIECE;
        ssize_t n = read(fd, j->piece, room);

        if (j->order->stop && j->order->stop(j->order->stop_context))
            return error_set(err, PRILORA_ESTOPPED, "prilorad is stopping");
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, path, "read");
        if (n == 0)
            return error_set(err, PRILORA_EIO, "%s: %" PRId64 " bytes are missing", path, left);
        rc = write_piece(j, (size_t)n, err);
        left -= n;
        pulse_beat();
    }
    return rc;
}

static enum prilora_status copy_part(struct joining *j, const char *upload_id,
                                     const struct wanted *part, struct prilora_error *err)
{
    enum prilora_status rc;
    char *path = uploads_path(j->store, upload_id, part->id);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0) {
        rc = path ? error_errno(err, path, "open") : error_memory(err);
    } else {
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        rc = copy_bytes(j, fd, path, part->bytes, err);
        close(fd);
    }
    free(path);
    return rc;
}

/* All is written: on disk for good, with the digests that were asked for. */
static enum prilora_status close_file(struct joining *j, char sha256[65], struct prilora_error *err)
{
    uint8_t bytes[SHA256_DIGEST_SIZE];
    char md5[2 * MD5_DIGEST_SIZE + 1] = "";
    int fd = j->fd;

    sha256_digest(&j->sha256, sizeof bytes, bytes);
    base16_encode_update(sha256, sizeof bytes, bytes);
    sha256[64] = '\0';
    md5_digest(&j->md5, MD5_DIGEST_SIZE, bytes);
    base16_encode_update(md5, MD5_DIGEST_SIZE, bytes);
    if (j->order->md5 && strcasecmp(md5, j->order->md5) != 0)
        return error_set_at(err, PRILORA_EINVAL, "/md5",
                            "the parts in this order have the MD5 %s, not %s", md5, j->order->md5);
    if (fsync(fd) != 0)
        return fail_write(j->path, err);
    j->fd = -1;
    return close(fd) == 0 ? PRILORA_OK : fail_write(j->path, err);
}

/* ---- the change ---- */

struct change {
    const struct upload *upload;
    const struct file *file;
};

/* In the transaction that writes the file's row. */
static enum prilora_status write_completed(struct store *store, void *context,
                                           struct prilora_error *err)
{
    const struct change *change = context;
    struct upload now;
    enum prilora_status rc =
        store_run(store, err, "complete an upload",
                  "UPDATE uploads SET status = 'completed', file_id = ?2 WHERE id = ?1 AND status "
                  "= 'pending'",
                  "tt", change->upload->id, change->file->id);

    if (rc == PRILORA_OK && sqlite3_changes(store_db(store, NULL)) == 0) {
        rc = uploads_get_pending(store, change->upload->id, &now, err);
        upload_clear(&now);
        return rc;
    }
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "remove parts", "DELETE FROM upload_parts WHERE upload_id = ?",
                       "t", change->upload->id);
    return rc;
}

static enum prilora_status adopt(struct joining *j, const struct upload *upload, const char *sha256,
                                 struct prilora_error *err)
{
    struct file file;
    struct change change = {upload, &file};
    struct store_joined completed = {write_completed, &change, NULL};
    enum prilora_status rc = store_join(j->store, &completed, err);

    if (rc == PRILORA_OK && j->order->joined)
        rc = store_join(j->store, j->order->joined, err);
    if (rc == PRILORA_OK)
        rc = files_adopt(j->store, upload->key_id, j->path, upload->filename, upload->purpose,
                         upload->bytes, sha256,
                         upload->file_expires_s ? store_now() + upload->file_expires_s : 0, &file,
                         err);
    store_leave(j->store);
    if (rc == PRILORA_OK)
        file_clear(&file);
    return rc;
}

static enum prilora_status put_together(struct joining *j, const struct upload *upload,
                                        const struct wanted *parts, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    char sha256[65];

    sha256_init(&j->sha256);
    md5_init(&j->md5);
    j->piece = malloc(PIECE);
    if (!j->piece)
        return error_memory(err);
    j->fd = files_spool(j->store, &j->path, err);
    if (j->fd < 0)
        return err->status;
    for (size_t i = 0; i < j->order->n_parts && rc == PRILORA_OK; i++)
        rc = copy_part(j, upload->id, &parts[i], err);
    if (rc == PRILORA_OK)
        rc = close_file(j, sha256, err);
    if (rc == PRILORA_OK)
        rc = adopt(j, upload, sha256, err);
    if (j->fd >= 0)
        close(j->fd);
    if (rc != PRILORA_OK)
        unlink(j->path);
    return rc;
}

/* Why its bytes could not be read: perhaps it was cancelled meanwhile. */
static enum prilora_status explain(struct store *store, const char *id, enum prilora_status rc,
                                   struct prilora_error *err)
{
    struct prilora_error now;
    struct upload upload;

    if (rc != PRILORA_ENOENT && rc != PRILORA_EIO)
        return rc;
    if (uploads_get_pending(store, id, &upload, &now) == PRILORA_OK)
        rc = err->status = PRILORA_EIO;
    else
        rc = (*err = now).status;
    upload_clear(&upload);
    return rc;
}

enum prilora_status uploads_complete(struct store *store, const char *id,
                                     const struct upload_order *order, struct prilora_error *err)
{
    struct upload upload;
    struct joining joining = {.store = store, .order = order, .fd = -1};
    struct wanted *parts = calloc(order->n_parts + 1, sizeof *parts);
    char *folder = uploads_path(store, id, NULL);
    enum prilora_status rc = uploads_get_pending(store, id, &upload, err);

    if (rc == PRILORA_OK && (!parts || !folder))
        rc = error_memory(err);
    if (rc == PRILORA_OK)
        rc = find_parts(store, &upload, order, parts, err);
    if (rc == PRILORA_OK) {
        rc = put_together(&joining, &upload, parts, err);
        rc = rc == PRILORA_OK ? rc : explain(store, id, rc, err);
    }
    if (rc == PRILORA_OK)
        path_remove(folder, NULL); /* else the sweep does */
    free(joining.piece);
    free(joining.path);
    free(folder);
    free(parts);
    upload_clear(&upload);
    return rc;
}
