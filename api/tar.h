/*
 * tar.h - a folder's files, or a form's, as one POSIX.1-1988 ("ustar") archive that is never whole
 * anywhere: any piece of it can be read at its offset. The same files, prefix and time give the
 * same bytes.
 */
#ifndef TAR_H
#define TAR_H

#include <stdint.h>
#include <sys/types.h>

#include "prilora.h"

struct tar;

/*
 * tar_open - members prefix/name for each of the n names, in this order; the files stay open until
 * tar_close. ENOENT, EIO; ELIMIT: a name or a file that the format cannot hold.
 */
enum prilora_status tar_open(struct tar **out, const char *folder, const char *prefix,
                             const char *const *names, size_t n, int64_t mtime,
                             struct prilora_error *err);
/*
 * tar_open_form - the same of an adapter's other form, which is read while the archive is. Takes
 * the form, also when it fails. ELIMIT.
 */
enum prilora_status tar_open_form(struct tar **out, struct prilora_form *form, const char *prefix,
                                  int64_t mtime, struct prilora_error *err);
uint64_t tar_size(const struct tar *tar);
/* At most `room` bytes at `offset`: how many, 0 at the end, -1: a file has become shorter, or
 * errno. */
ssize_t tar_read(const struct tar *tar, uint64_t offset, char *out, size_t room);
void tar_close(struct tar *tar); /* accepts NULL */

/* ---- for who writes an archive himself ---- */

#define TAR_BLOCK ((size_t)512)

/* The block before a member's bytes; name of at most 99 bytes. Sizes of 8 GiB and more are written
 * as GNU tar and others do. */
void tar_header(char out[TAR_BLOCK], const char *name, unsigned mode, uint64_t size, int64_t mtime);
/* Bytes that a member's take, with the zeros after them; two blocks of zeros end the archive. */
uint64_t tar_padded(uint64_t size);

#endif
