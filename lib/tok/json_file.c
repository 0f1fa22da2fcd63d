/* json_file.c - see json_file.h. What the members mean is the readers'. */
#include "tok/json_file.h"

#include <stdlib.h>

#include "base/file.h"

static enum prilora_status parse(json_t **out, const char *text, size_t size, const char *path,
                                 struct prilora_error *err)
{
    json_error_t e;

    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!*out)
        return pl_fail(err, PRILORA_EFORMAT, "%s: line %d, column %d: %s", path, e.line, e.column,
                       e.text);
    if (json_is_object(*out))
        return PRILORA_OK;
    json_decref(*out);
    *out = NULL;
    return pl_fail(err, PRILORA_EFORMAT, "%s: is not a JSON object", path);
}

enum prilora_status pl_json_file(json_t **out, const char *folder, const char *file, size_t limit,
                                 struct pl_digest *digest, struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error e_file;
    char *path = pl_file_join(folder, file), *text = NULL;
    size_t size = 0;

    *out = NULL;
    if (!path)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    rc = pl_file_read(&text, &size, path, limit, &e_file);
    if (rc == PRILORA_OK) {
        rc = parse(out, text, size, path, err);
        if (digest)
            pl_digest_add(digest, text, size);
    } else if (rc == PRILORA_ENOENT) {
        rc = PRILORA_OK;
    } else {
        pl_fail(err, rc, "%s", e_file.message);
    }
    free(path);
    free(text);
    return rc;
}
