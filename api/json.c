/* json.c - see json.h. */
#include "api/json.h"

json_t *json_text(const char *text)
{
    return text ? json_string(text) : json_null();
}

json_t *json_time(int64_t seconds)
{
    return seconds ? json_integer(seconds) : json_null();
}

json_t *json_parsed(const char *text)
{
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    return value ? value : json_null();
}
