/* range.h - the Range, If-Range and If-None-Match headers (RFC 9110). Pure functions. */
#ifndef RANGE_H
#define RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum range_kind {
    RANGE_WHOLE, /* no Range, another unit, several ranges or no syntax: the whole answer */
    RANGE_PART,
    RANGE_OUTSIDE, /* 416 */
};

struct range {
    uint64_t first, size;
};

/* header may be NULL. `out` is what to send of `size` bytes: all of them if RANGE_WHOLE. */
enum range_kind range_parse(struct range *out, const char *header, uint64_t size);

/* Whether a header like If-None-Match ("*", or entity tags with commas) names `etag` (with its
 * quotes); weak tags match as If-None-Match compares them. header may be NULL. */
bool etag_listed(const char *header, const char *etag);

#endif
