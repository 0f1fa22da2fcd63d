/* path.h - folders and files below the state folder. */
#ifndef PATH_H
#define PATH_H

#include <stddef.h>
#include <stdint.h>

#include "prilora.h"

/* mkdir -p, mode 0750 less the umask; on disk for good. */
enum prilora_status path_make_folder(const char *path, struct prilora_error *err);
/* Removes a file or a whole folder; links are removed, not followed. Absent is no error. */
enum prilora_status path_remove(const char *path, struct prilora_error *err);
/* Removes everything inside a folder but `keep` (NULL: nothing is kept). Absent is no error. */
enum prilora_status path_empty(const char *path, const char *keep, struct prilora_error *err);
enum prilora_status path_sync_folder(const char *path, struct prilora_error *err);
/* The file appears with exactly these bytes, or not at all. */
enum prilora_status path_replace(const char *path, const char *text, struct prilora_error *err);
/* A new file with the bytes of another, synced. ENOENT: there is no such other file. */
enum prilora_status path_copy(const char *from, const char *to, struct prilora_error *err);
/* Bytes of a file, or of all files in a folder and the folders in it; *newest (if not NULL) is when
 * the last of all this was written to. Absent: 0 bytes. */
uint64_t path_tree_bytes(const char *path, int64_t *newest);
/* Bytes of the regular files directly in a folder. */
uint64_t path_folder_bytes(const char *path);
/* Opens a regular file for reading, by way of links too; -1 with errno, EINVAL for anything else. A
 * FIFO is not waited for. */
int path_open_regular(const char *path);
/* First line of a small file without its end; NULL if it cannot be read. Free it. */
char *path_first_line(const char *path);

#endif
