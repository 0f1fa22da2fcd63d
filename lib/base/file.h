/*
 * file.h - files read whole or mapped, and files that appear complete or not at all.
 *
 * Errors: EIO or ENOENT with the path and the system's reason; ELIMIT with both sizes.
 */
#ifndef PL_FILE_H
#define PL_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "base/error.h"
#include "base/guard.h"

/* A read-only map of a whole regular file. An empty file has data NULL, size 0, and no more. */
struct pl_file_map {
    const unsigned char *data;
    size_t size;
    int fd; /* of the same file */
    char *path;
    struct timespec modified; /* when it was mapped */
    struct pl_guard *guard;
};

enum prilora_status pl_file_map(struct pl_file_map *out, const char *path,
                                struct prilora_error *err);
void pl_file_unmap(struct pl_file_map *map);

/*
 * pl_file_map_check - whether what was read of the map so far is what the file held when it was
 * mapped. EFORMAT: it was written to or shortened meanwhile; EIO: the disk did not give a page.
 */
enum prilora_status pl_file_map_check(const struct pl_file_map *map, struct prilora_error *err);
/*
 * pl_file_map_end - unmaps what was read once. `rc` is what came of the reading: of a file that
 * changed meanwhile, that comes first (*err is replaced then).
 */
enum prilora_status pl_file_map_end(struct pl_file_map *map, enum prilora_status rc,
                                    struct prilora_error *err);

/*
 * pl_file_fetch - copies bytes at..at+size-1 of a mapped file without touching the map: what is
 * read once, or seldom, does not become resident in the process. Falls back on the map if the file
 * does not give them.
 */
void pl_file_fetch(const struct pl_file_map *map, void *out, size_t at, size_t size);

/* The whole file in malloc'ed memory with a NUL after its last byte; at most `limit` bytes. */
enum prilora_status pl_file_read(char **out, size_t *size, const char *path, size_t limit,
                                 struct prilora_error *err);

/*
 * pl_file_replace - `write` fills a temporary file beside `path`, which is then synced and renamed
 * over it, and the folder synced: whoever opens `path` sees the old bytes or the new, all of them.
 */
enum prilora_status pl_file_replace(const char *path,
                                    enum prilora_status (*write)(FILE *file, void *context,
                                                                 struct prilora_error *err),
                                    void *context, struct prilora_error *err);
/* For `write`: all bytes, or EIO with the path and the system's reason. */
enum prilora_status pl_file_write(FILE *file, const void *data, size_t size, const char *path,
                                  struct prilora_error *err);
enum prilora_status pl_file_replace_bytes(const char *path, const void *data, size_t size,
                                          struct prilora_error *err);

/* mkdir -p, mode 0777 less the umask. */
enum prilora_status pl_file_make_folder(const char *path, struct prilora_error *err);
enum prilora_status pl_file_sync_folder(const char *path, struct prilora_error *err);

/* folder + "/" + name in malloc'ed memory, or NULL when out of memory. */
char *pl_file_join(const char *folder, const char *name);

#endif
