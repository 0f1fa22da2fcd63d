/* download.h - bytes that come whole or not at all. */
#ifndef CLI_DOWNLOAD_H
#define CLI_DOWNLOAD_H

#include "api/cli/cli.h"

/* To `output` (NULL: the name the daemon gives, else `name`; "-": stdout). */
int download_file(const struct call *call, const char *path, const char *output, const char *name);

/* The plain name of a file that a server calls `name`, else `other` (NULL: "download"): nothing
 * that leads elsewhere, is hidden, or could be taken for an option. Free it. */
char *download_name(const char *name, const char *other);

/* Unpacks the tar into `folder`, which must not exist or be empty, without the one folder that is
 * in it: into another first, which gets its name in the end. */
int unpack(const char *tar, const char *folder);
bool folder_is_empty(const char *path);

#endif
