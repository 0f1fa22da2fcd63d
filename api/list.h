/* list.h - the query parameters of lists, and what lists look like. */
#ifndef LIST_H
#define LIST_H

#include <jansson.h>

#include "api/request.h"

struct page {
    const char *after; /* NULL: from the first */
    size_t limit;
    bool ascending;
};

/* Which parameters a list takes; others are faults. */
struct page_rules {
    size_t standard_limit, max_limit;
    bool has_order;            /* order=asc|desc, desc if absent */
    const char *const *others; /* more names, NULL-terminated; one that ends in '[' is a prefix */
};

/* Answers with the fault and returns false if a parameter is unknown or wrong. */
bool page_read(struct request *r, const struct page_rules *rules, struct page *out);

/* For requests that take no parameters, or only `names` (NULL-terminated, or NULL). */
bool query_check(struct request *r, const char *const *names);

/* A decimal number without sign from `min` to `max`; answers with a fault that names it. */
bool query_number(struct request *r, const char *name, int64_t min, int64_t max, int64_t *out);

/* A list that could not be had: 400 if `after` names nothing in it, else the server's own trouble.
 */
void list_respond_failure(struct request *r, const struct page *page,
                          const struct prilora_error *err);

/* {"object": "list", "data", "has_more"}; takes data. with_ids adds first_id and last_id. */
json_t *list_make(json_t *data, bool has_more, bool with_ids);

#endif
