/* json_memory.c - see json_memory.h. */
#include "daemon/json_memory.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"

static _Thread_local unsigned long refusals;

static void *allocate(size_t size)
{
    void *memory = malloc(size);

    refusals += !memory;
    return memory;
}

void json_memory_watch(void)
{
    json_set_alloc_funcs(allocate, free);
}

unsigned long json_memory_refusals(void)
{
    return refusals;
}

static void check(json_t **whole, int failed)
{
    if (!failed)
        return;
    json_decref(*whole);
    *whole = NULL;
}

void json_put(json_t **whole, const char *name, json_t *value)
{
    check(whole, json_object_set_new(*whole, name, value));
}

void json_add(json_t **whole, json_t *value)
{
    check(whole, json_array_append_new(*whole, value));
}

char *json_whole_text(const json_t *value, size_t flags)
{
    size_t size = json_dumpb(value, NULL, 0, flags);
    char *text = size ? malloc(size + 1) : NULL;

    if (text && json_dumpb(value, text, size, flags) != size) {
        free(text);
        text = NULL;
    }
    if (text)
        text[size] = '\0';
    return text;
}

enum prilora_status json_memory_spec(struct prilora_spec **out, const char *json,
                                     struct prilora_error *err)
{
    unsigned long before = refusals;
    enum prilora_status rc = prilora_spec_parse(out, json, strlen(json), err);

    if (refusals == before)
        return rc;
    if (rc == PRILORA_OK)
        prilora_spec_free(*out);
    *out = NULL;
    return error_memory(err);
}
