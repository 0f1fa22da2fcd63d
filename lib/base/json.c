/* json.c - see json.h. */
#include "base/json.h"

static void check(json_t **whole, int failed)
{
    if (!failed)
        return;
    json_decref(*whole);
    *whole = NULL;
}

void pl_json_set(json_t **object, const char *name, json_t *value)
{
    check(object, json_object_set_new(*object, name, value));
}

void pl_json_append(json_t **list, json_t *value)
{
    check(list, json_array_append_new(*list, value));
}
