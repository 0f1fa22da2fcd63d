/* list.c - see list.h. */
#include "api/list.h"

#include <inttypes.h>
#include <string.h>

#include "api/respond.h"

static bool is_named(const char *name, const char *const *names)
{
    for (; names && *names; names++) {
        size_t n = strlen(*names);

        if ((*names)[n - 1] == '[' ? strncmp(name, *names, n) == 0 : strcmp(name, *names) == 0)
            return true;
    }
    return false;
}

static bool check_names(struct request *r, const char *const *names, const char *const *others)
{
    for (size_t i = 0; i < r->query.n; i++) {
        const char *name = r->query.list[i].name;

        if (is_named(name, names) || is_named(name, others))
            continue;
        respond_error(r, 400, "unknown_parameter", name, "unknown query parameter: %s", name);
        return false;
    }
    return true;
}

bool query_check(struct request *r, const char *const *names)
{
    return check_names(r, names, NULL);
}

bool query_number(struct request *r, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const char *text = query_get(&r->query, name);
    int64_t value = 0;
    bool right = text && *text && text[strspn(text, "0123456789")] == '\0' && strlen(text) <= 18;

    for (const char *p = text; right && *p; p++)
        value = value * 10 + (*p - '0');
    if (right && value >= min && value <= max) {
        *out = value;
        return true;
    }
    respond_error(r, 400, "invalid_value", name,
                  "%s: \"%s\", but must be an integer from %" PRId64 " to %" PRId64, name,
                  text ? text : "", min, max);
    return false;
}

static bool read_order(struct request *r, bool *ascending)
{
    const char *order = query_get(&r->query, "order");

    *ascending = order && strcmp(order, "asc") == 0;
    if (!order || *ascending || strcmp(order, "desc") == 0)
        return true;
    respond_error(r, 400, "invalid_value", "order", "order: \"%s\", but must be asc or desc",
                  order);
    return false;
}

bool page_read(struct request *r, const struct page_rules *rules, struct page *out)
{
    static const char *const with_order[] = {"after", "limit", "order", NULL};
    static const char *const without_order[] = {"after", "limit", NULL};
    int64_t limit = (int64_t)rules->standard_limit;

    if (!check_names(r, rules->has_order ? with_order : without_order, rules->others))
        return false;
    if (query_get(&r->query, "limit") &&
        !query_number(r, "limit", 1, (int64_t)rules->max_limit, &limit))
        return false;
    out->limit = (size_t)limit;
    out->after = query_get(&r->query, "after");
    return read_order(r, &out->ascending);
}

void list_respond_failure(struct request *r, const struct page *page,
                          const struct prilora_error *err)
{
    if (err->status == PRILORA_ENOENT && page->after)
        respond_error(r, 400, "invalid_value", "after", "after: nothing in this list is \"%s\"",
                      page->after);
    else
        respond_internal(r, err);
}

json_t *list_make(json_t *data, bool has_more, bool with_ids)
{
    size_t n = json_array_size(data);
    json_t *list =
        json_pack("{s:s, s:o, s:b}", "object", "list", "data", data, "has_more", (int)has_more);

    if (!list || !with_ids)
        return list;
    json_object_set_new(list, "first_id", json_null());
    json_object_set_new(list, "last_id", json_null());
    if (n > 0) {
        json_object_set(list, "first_id", json_object_get(json_array_get(data, 0), "id"));
        json_object_set(list, "last_id", json_object_get(json_array_get(data, n - 1), "id"));
    }
    return list;
}
