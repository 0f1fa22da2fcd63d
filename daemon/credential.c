/* credential.c - see credential.h. */
#include "daemon/credential.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/error.h"

#define FOLDER "CREDENTIALS_DIRECTORY"

char *credential_path(const char *setting, const char *value, struct prilora_error *err)
{
    const char *folder = getenv(FOLDER);
    char *path;

    if (!strchr(value, '/') && !folder) {
        error_set(err, PRILORA_ENOENT,
                  "%s: \"%s\" would be a credential, but $" FOLDER
                  " is not set; a file needs its whole path",
                  setting, value);
        return NULL;
    }
    path = strchr(value, '/') ? strdup(value) : text_format("%s/%s", folder, value);
    if (!path)
        error_memory(err);
    return path;
}

bool credential_exists(const char *name)
{
    const char *folder = getenv(FOLDER);
    char *path = folder ? text_format("%s/%s", folder, name) : NULL;
    bool exists = path && access(path, F_OK) == 0;

    free(path);
    return exists;
}
