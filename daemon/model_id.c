/* model_id.c - see model_id.h. */
#include "daemon/model_id.h"

#include <string.h>

#define MAX_ID 200

bool model_id_is_safe(const char *id)
{
    size_t parts = 0;

    if (strlen(id) > MAX_ID)
        return false;
    for (const char *part = id;; part = strchr(part, '/') + 1) {
        size_t n = strcspn(part, "/");

        if (n == 0 || part[0] == '.') /* empty, ".", ".." and hidden ones */
            return false;
        parts++;
        if (part[n] == '\0')
            return parts <= 2;
    }
}
