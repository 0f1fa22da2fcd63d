/*
 * tar.c - see tar.h. Each member is a header of 512 bytes, the file, and zeros up to the next
 * multiple of 512; two blocks of zeros end the archive (POSIX.1-2017, pax, "ustar interchange
 * format").
 */
#include "api/tar.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/error.h"

#define BLOCK    TAR_BLOCK
#define MAX_SIZE 077777777777 /* eleven octal digits */

struct header { /* all numbers in octal, as text */
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
    char link[100], magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155];
    char unused[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

struct member {
    struct header header;
    uint64_t offset, size; /* of the header in the archive; of the file */
    int fd;                /* -1: a file of the form */
};

struct tar {
    struct prilora_form *form; /* or NULL */
    uint64_t size;
    size_t n;
    struct member members[];
};

uint64_t tar_padded(uint64_t size)
{
    return (size + BLOCK - 1) / BLOCK * BLOCK;
}

/* value < 8^(size-1), so that its digits and a NUL fill the field. */
static void put_octal(char *field, size_t size, uint64_t value)
{
    field[--size] = '\0';
    while (size > 0) {
        field[--size] = (char)('0' + (value & 7));
        value >>= 3;
    }
}

/* Digits if they suffice; else the number itself, the first bit telling so. */
static void put_size(char *field, size_t size, uint64_t value)
{
    if (value <= MAX_SIZE) {
        put_octal(field, size, value);
        return;
    }
    while (size > 1) {
        field[--size] = (char)(value & 0xff);
        value >>= 8;
    }
    field[0] = (char)0x80;
}

static void put_header(struct header *h, const char *name, unsigned mode, uint64_t size,
                       int64_t mtime)
{
    unsigned sum = 0;

    memset(h, 0, sizeof *h);
    memcpy(h->name, name, strlen(name));
    put_octal(h->mode, sizeof h->mode, mode);
    put_octal(h->uid, sizeof h->uid, 0);
    put_octal(h->gid, sizeof h->gid, 0);
    put_size(h->size, sizeof h->size, size);
    put_octal(h->mtime, sizeof h->mtime, mtime > 0 ? (uint64_t)mtime & MAX_SIZE : 0);
    h->type = '0';
    memcpy(h->magic, "ustar", 6);
    memcpy(h->version, "00", 2);
    put_octal(h->major, sizeof h->major, 0);
    put_octal(h->minor, sizeof h->minor, 0);
    /* the sum of all bytes, those of the checksum itself counted as spaces */
    memset(h->checksum, ' ', sizeof h->checksum);
    for (size_t i = 0; i < sizeof *h; i++)
        sum += ((const unsigned char *)h)[i];
    put_octal(h->checksum, sizeof h->checksum - 1, sum);
}

void tar_header(char out[TAR_BLOCK], const char *name, unsigned mode, uint64_t size, int64_t mtime)
{
    struct header header;

    put_header(&header, name, mode, size, mtime);
    memcpy(out, &header, sizeof header);
}

/* The header of a member of m->size bytes. */
static enum prilora_status begin_member(struct member *m, const char *prefix, const char *name,
                                        int64_t mtime, struct prilora_error *err)
{
    char path[sizeof m->header.name];
    int n = snprintf(path, sizeof path, "%s/%s", prefix, name);

    if (n < 0 || (size_t)n >= sizeof path || m->size > MAX_SIZE)
        return error_set(err, PRILORA_ELIMIT, "%s: is not a file that a tar can hold", name);
    put_header(&m->header, path, 0644, m->size, mtime);
    return PRILORA_OK;
}

static enum prilora_status open_member(struct member *m, int folder, const char *prefix,
                                       const char *name, int64_t mtime, struct prilora_error *err)
{
    struct stat st;

    m->fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (m->fd < 0 || fstat(m->fd, &st) != 0)
        return error_errno(err, name, "read it");
    if (!S_ISREG(st.st_mode))
        return error_set(err, PRILORA_ELIMIT, "%s: is not a file that a tar can hold", name);
    m->size = (uint64_t)st.st_size;
    return begin_member(m, prefix, name, mtime, err);
}

static struct tar *tar_new(size_t n)
{
    struct tar *tar = n <= 1000 ? calloc(1, sizeof *tar + n * sizeof tar->members[0]) : NULL;

    for (size_t i = 0; tar && i < n; i++)
        tar->members[i].fd = -1;
    return tar;
}

enum prilora_status tar_open(struct tar **out, const char *folder, const char *prefix,
                             const char *const *names, size_t n, int64_t mtime,
                             struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct tar *tar = tar_new(n);

    *out = NULL;
    if (!tar || fd < 0) {
        rc = fd < 0 ? error_errno(err, folder, "open the folder") : error_memory(err);
        goto out;
    }
    for (; rc == PRILORA_OK && tar->n < n; tar->n++) {
        struct member *m = &tar->members[tar->n];

        m->offset = tar->size;
        rc = open_member(m, fd, prefix, names[tar->n], mtime, err);
        tar->size += BLOCK + tar_padded(m->size);
    }
    tar->size += 2 * BLOCK;
    if (rc == PRILORA_OK) {
        *out = tar;
        tar = NULL;
    }
out:
    tar_close(tar);
    if (fd >= 0)
        close(fd);
    return rc;
}

enum prilora_status tar_open_form(struct tar **out, struct prilora_form *form, const char *prefix,
                                  int64_t mtime, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    size_t n = prilora_form_count(form);
    struct tar *tar = tar_new(n);

    *out = NULL;
    if (!tar) {
        prilora_form_close(form);
        return error_memory(err);
    }
    tar->form = form;
    for (; rc == PRILORA_OK && tar->n < n; tar->n++) {
        struct member *m = &tar->members[tar->n];

        m->offset = tar->size;
        m->size = prilora_form_size(form, tar->n);
        rc = begin_member(m, prefix, prilora_form_name(form, tar->n), mtime, err);
        tar->size += BLOCK + tar_padded(m->size);
    }
    tar->size += 2 * BLOCK;
    if (rc == PRILORA_OK)
        *out = tar;
    else
        tar_close(tar);
    return rc;
}

void tar_close(struct tar *tar)
{
    for (size_t i = 0; tar && i < tar->n; i++) {
        if (tar->members[i].fd >= 0)
            close(tar->members[i].fd);
    }
    if (tar)
        prilora_form_close(tar->form);
    free(tar);
}

uint64_t tar_size(const struct tar *tar)
{
    return tar->size;
}

static size_t least(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static ssize_t read_bytes(const struct tar *tar, const struct member *m, uint64_t offset, char *out,
                          size_t room)
{
    ssize_t n;

    room = least(m->size - offset, room);
    if (m->fd < 0)
        return prilora_form_read(tar->form, (size_t)(m - tar->members), offset, out, room, NULL) ==
                       PRILORA_OK
                   ? (ssize_t)room
                   : -1;
    n = pread(m->fd, out, room, (off_t)offset);
    return n > 0 ? n : -1;
}

/* A piece that lies wholly in the header, in the file or in the zeros. */
static ssize_t read_member(const struct tar *tar, const struct member *m, uint64_t offset,
                           char *out, size_t room)
{
    if (offset < BLOCK) {
        room = least(BLOCK - offset, room);
        memcpy(out, (const char *)&m->header + offset, room);
        return (ssize_t)room;
    }
    offset -= BLOCK;
    if (offset < m->size)
        return read_bytes(tar, m, offset, out, room);
    room = least(tar_padded(m->size) - offset, room);
    memset(out, 0, room);
    return (ssize_t)room;
}

ssize_t tar_read(const struct tar *tar, uint64_t offset, char *out, size_t room)
{
    if (offset >= tar->size || room == 0)
        return 0;
    for (size_t i = 0; i < tar->n; i++) {
        const struct member *m = &tar->members[i];

        if (offset < m->offset + BLOCK + tar_padded(m->size))
            return read_member(tar, m, offset - m->offset, out, room);
    }
    room = least(tar->size - offset, room);
    memset(out, 0, room);
    return (ssize_t)room;
}
