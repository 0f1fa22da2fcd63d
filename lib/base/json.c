/* json.c - see json.h. */
#include "base/json.h"

#include <stdlib.h>

#include "base/memory.h"

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

char *pl_json_text(const json_t *value, size_t flags)
{
    size_t size = json_dumpb(value, NULL, 0, flags);
    char *text = size ? pl_alloc(size + 1, 1) : NULL;

    if (text && json_dumpb(value, text, size, flags) != size) {
        free(text);
        text = NULL;
    }
    if (text)
        text[size] = '\0';
    return text;
}
