/* file_json.h - a file as clients are shown it; in files.c. */
#ifndef FILE_JSON_H
#define FILE_JSON_H

#include "api/json_out.h"
#include "daemon/files.h"

void api_write_file(struct json_out *out, const char *name, const struct file *file);

#endif
