/* speed.c - see speed.h. One number in a file: it is read seldom, and its loss costs little. */
#include "daemon/speed.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/path.h"

#define FILE_NAME "speed"
#define MOST      1e15 /* of one thread; more is no number that this program wrote */

double speed_get(struct store *store)
{
    char *path = text_format("%s/" FILE_NAME, store_folder(store));
    char *line = path ? path_first_line(path) : NULL;
    double value = line ? strtod(line, NULL) : 0;

    free(line);
    free(path);
    return isfinite(value) && value > 0 && value < MOST ? value : 0;
}

void speed_learned(struct store *store, double flops_per_second)
{
    char *path = text_format("%s/" FILE_NAME, store_folder(store));
    char *text = text_format("%.0f\n", flops_per_second);
    struct prilora_error err;

    if (path && text && path_replace(path, text, &err) != PRILORA_OK)
        log_warn("worker", "%s", err.message);
    free(text);
    free(path);
}
