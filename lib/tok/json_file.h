/* json_file.h - a JSON object out of a tokenizer's folder. */
#ifndef PL_JSON_FILE_H
#define PL_JSON_FILE_H

#include <jansson.h>

#include "base/digest.h"
#include "base/error.h"

#define PL_MAX_JSON_BYTES      ((size_t)16 << 20)
#define PL_MAX_TOKENIZER_BYTES ((size_t)64 << 20) /* of a vocabulary, in whatever file */

/*
 * pl_json_file - folder/file, parsed; *out NULL if there is no such file, else the caller's.
 *
 * Adds its bytes to `digest`, if that is not NULL. Errors: EFORMAT naming path, line and column
 * (not JSON, not an object, a name that stands twice, a NUL in a name, more than 2048 levels);
 * ELIMIT above `limit` bytes; EIO; ENOMEM.
 */
enum prilora_status pl_json_file(json_t **out, const char *folder, const char *file, size_t limit,
                                 struct pl_digest *digest, struct prilora_error *err);

#endif
