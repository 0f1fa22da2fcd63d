/* json.c - see json.h. */
#include "api/cli/json.h"

#include <stdlib.h>
#include <string.h>

#include "api/cli/cli.h"
#include "api/cli/text.h"

#define MOST_WHOLE 1000000000000000 /* what a server that lies says beyond can be added up */

const json_t *json_at(const json_t *object, const char *path)
{
    while (object && *path) {
        size_t n = strcspn(path, ".");

        object = json_object_getn(object, path, n);
        path += n + (path[n] == '.');
    }
    return object && !json_is_null(object) ? object : NULL;
}

const char *json_text(const json_t *object, const char *path)
{
    const char *text = json_string_value(json_at(object, path));

    return text ? text : "";
}

int64_t json_whole(const json_t *object, const char *path)
{
    const json_t *value = json_at(object, path);
    json_int_t whole = json_integer_value(value);
    double real = json_is_real(value) ? json_real_value(value) : 0;

    if (real >= MOST_WHOLE || whole >= MOST_WHOLE)
        return MOST_WHOLE;
    if (real <= -MOST_WHOLE || whole <= -MOST_WHOLE)
        return -MOST_WHOLE;
    return json_is_real(value) ? (int64_t)real : whole;
}

bool json_number(const json_t *object, const char *path, double *out)
{
    const json_t *value = json_at(object, path);

    if (json_is_number(value))
        *out = json_number_value(value);
    return json_is_number(value);
}

char *json_shown(const json_t *value)
{
    if (!value || json_is_null(value))
        return must(strdup("-"));
    if (json_is_string(value))
        return must(strdup(json_string_value(value)));
    if (json_is_real(value))
        return must(strdup(text_real(json_real_value(value))));
    return must(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6)));
}
