/* pull_digest.c - whether a file is the one that the hub's listing means. */
#include "daemon/pull_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/path.h"

#define PIECE ((size_t)256 * 1024)

struct digests {
    struct sha256_ctx sha256;
    struct sha1_ctx blob;
    bool is_blob; /* which of the two is wanted */
};

static void to_hex(char *out, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static enum prilora_status read_all(struct pull *pull, int fd, const char *path,
                                    struct digests *digests, struct prilora_error *err)
{
    uint8_t *piece = malloc(PIECE);
    enum prilora_status rc = piece ? PRILORA_OK : error_memory(err);
    ssize_t n;

    while (rc == PRILORA_OK && (n = read(fd, piece, PIECE)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = error_errno(err, path, "read");
        else if (digests->is_blob)
            sha1_update(&digests->blob, (size_t)n, piece);
        else
            sha256_update(&digests->sha256, (size_t)n, piece);
        if (rc == PRILORA_OK)
            rc = pull_go_on(pull, err);
    }
    free(piece);
    return rc;
}

/* As git hashes it: "blob", the size, a NUL, the bytes. */
static void begin(struct digests *digests, const struct pull_file *file, uint64_t size)
{
    char head[40];
    int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size);

    digests->is_blob = !file->sha256[0];
    sha256_init(&digests->sha256);
    sha1_init(&digests->blob);
    sha1_update(&digests->blob, (size_t)n + 1, (const uint8_t *)head);
}

static bool is_right(struct digests *digests, const struct pull_file *file)
{
    uint8_t bytes[SHA256_DIGEST_SIZE];
    char hex[2 * SHA256_DIGEST_SIZE + 1];

    if (digests->is_blob) {
        sha1_digest(&digests->blob, SHA1_DIGEST_SIZE, bytes);
        to_hex(hex, bytes, SHA1_DIGEST_SIZE);
        return strcmp(hex, file->blob) == 0;
    }
    sha256_digest(&digests->sha256, SHA256_DIGEST_SIZE, bytes);
    to_hex(hex, bytes, SHA256_DIGEST_SIZE);
    return strcmp(hex, file->sha256) == 0;
}

enum prilora_status pull_verify(struct pull *pull, const char *path, const struct pull_file *file,
                                bool *same, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct digests digests;
    struct stat st;
    int fd = path_open_regular(path);

    *same = false;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EINVAL
                   ? PRILORA_OK
                   : error_errno(err, path, "open");
    if (fstat(fd, &st) != 0) {
        rc = error_errno(err, path, "look at");
    } else if (!file->total_bytes || (uint64_t)st.st_size == file->total_bytes) {
        *same = true;
        if (file->sha256[0] || file->blob[0]) {
            begin(&digests, file, (uint64_t)st.st_size);
            rc = read_all(pull, fd, path, &digests, err);
            *same = rc == PRILORA_OK && is_right(&digests, file);
        }
    }
    close(fd);
    return rc;
}
