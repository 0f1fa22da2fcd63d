/* range.c - see range.h. */
#include "api/range.h"

#include <string.h>

/* Decimal digits into *out, saturating; false if there is none. */
static bool take_number(const char **text, uint64_t *out)
{
    const char *p = *text;

    *out = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        *out = *out > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *out * 10 + digit;
    }
    if (p == *text)
        return false;
    *text = p;
    return true;
}

static void skip_blanks(const char **text)
{
    *text += strspn(*text, " \t");
}

enum range_kind range_parse(struct range *out, const char *header, uint64_t size)
{
    uint64_t first = 0, last = UINT64_MAX;
    bool has_first, has_last;

    *out = (struct range){0, size};
    if (!header || strncmp(header, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    header += 6;
    skip_blanks(&header);
    has_first = take_number(&header, &first);
    if (*header++ != '-')
        return RANGE_WHOLE;
    has_last = take_number(&header, &last);
    skip_blanks(&header);
    if (*header || (!has_first && !has_last) || (has_first && has_last && last < first))
        return RANGE_WHOLE;
    if (!has_first) { /* the last so many bytes */
        if (last == 0 || size == 0)
            return RANGE_OUTSIDE;
        out->size = last < size ? last : size;
        out->first = size - out->size;
        return RANGE_PART;
    }
    if (first >= size)
        return RANGE_OUTSIDE;
    out->first = first;
    out->size = (has_last && last < size - 1 ? last : size - 1) - first + 1;
    return RANGE_PART;
}

bool etag_listed(const char *header, const char *etag)
{
    size_t n = strlen(etag);

    while (header && *header) {
        const char *end;

        header += strspn(header, " \t,");
        if (*header == '*')
            return true;
        if (strncmp(header, "W/", 2) == 0)
            header += 2;
        if (*header != '"')
            return false;
        end = strchr(header + 1, '"');
        if (!end)
            return false;
        end++;
        if ((size_t)(end - header) == n && memcmp(header, etag, n) == 0)
            return true;
        header = end;
    }
    return false;
}
