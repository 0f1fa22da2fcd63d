/* json_memory.c - see json_memory.h. */
#include "daemon/json_memory.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"

#define RESERVE ((size_t)1 << 20)

static _Thread_local unsigned long refusals;

/*
 * jansson's reader does not survive a refusal everywhere: without a string's last quote it copies
 * beyond its end. So there is something for it to go on with, until what it makes is thrown away.
 */
static struct {
    pthread_mutex_t lock; /* guards the rest */
    size_t used, n_live;
    _Alignas(max_align_t) char bytes[RESERVE];
} reserve = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *take_reserve(size_t size)
{
    const size_t unit = _Alignof(max_align_t);
    const size_t rounded = size <= RESERVE ? (size + unit - 1) / unit * unit : SIZE_MAX;
    void *memory = NULL;

    pthread_mutex_lock(&reserve.lock);
    if (rounded <= RESERVE - reserve.used) {
        memory = reserve.bytes + reserve.used;
        reserve.used += rounded;
        reserve.n_live++;
    }
    pthread_mutex_unlock(&reserve.lock);
    return memory;
}

/* All of it is there again when nothing of it is in use. */
static void give_reserve(void)
{
    pthread_mutex_lock(&reserve.lock);
    if (--reserve.n_live == 0)
        reserve.used = 0;
    pthread_mutex_unlock(&reserve.lock);
}

static void *allocate(size_t size)
{
    void *memory = malloc(size);

    if (memory)
        return memory;
    refusals++;
    return take_reserve(size);
}

static void release(void *memory)
{
    uintptr_t begin = (uintptr_t)reserve.bytes, at = (uintptr_t)memory;

    if (at >= begin && at - begin < sizeof reserve.bytes)
        give_reserve();
    else
        free(memory);
}

void json_memory_watch(void)
{
    json_set_alloc_funcs(allocate, release);
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
