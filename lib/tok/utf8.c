/* utf8.c - see utf8.h. Normalisation and everything beyond code points is the tokenizer's. */
#include "tok/utf8.h"

/* A lead byte's sequence: its length, and the range of the second byte (Unicode 15, table 3-7). */
struct sequence {
    unsigned char first, last; /* lead bytes */
    unsigned char length, low, high;
};

static const struct sequence sequences[] = {
    {0xC2, 0xDF, 2, 0x80, 0xBF}, {0xE0, 0xE0, 3, 0xA0, 0xBF}, {0xE1, 0xEC, 3, 0x80, 0xBF},
    {0xED, 0xED, 3, 0x80, 0x9F}, {0xEE, 0xEF, 3, 0x80, 0xBF}, {0xF0, 0xF0, 4, 0x90, 0xBF},
    {0xF1, 0xF3, 4, 0x80, 0xBF}, {0xF4, 0xF4, 4, 0x80, 0x8F},
};

static const struct sequence *sequence_of(unsigned char lead)
{
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++)
        if (lead >= sequences[i].first && lead <= sequences[i].last)
            return &sequences[i];
    return NULL;
}

size_t pl_utf8_next(const char *text, size_t size, uint32_t *code, bool *valid)
{
    const unsigned char *s = (const unsigned char *)text;
    const struct sequence *q;
    size_t i;

    *valid = true;
    *code = s[0];
    if (s[0] < 0x80)
        return 1;
    *code = PL_UTF8_REPLACEMENT;
    *valid = false;
    q = sequence_of(s[0]);
    if (!q || size < 2 || s[1] < q->low || s[1] > q->high)
        return 1;
    for (i = 2; i < q->length; i++)
        if (i >= size || (s[i] & 0xC0) != 0x80)
            return i;
    *valid = true;
    *code = s[0] & (0x7Fu >> q->length);
    for (i = 1; i < q->length; i++)
        *code = *code << 6 | (s[i] & 0x3Fu);
    return q->length;
}

size_t pl_utf8_check(const char *text, size_t size)
{
    size_t i = 0;

    while (i < size) {
        uint32_t code;
        bool valid;
        size_t n;

        if ((unsigned char)text[i] < 0x80) {
            i++;
            continue;
        }
        n = pl_utf8_next(text + i, size - i, &code, &valid);
        if (!valid)
            return i;
        i += n;
    }
    return size;
}

size_t pl_utf8_count(const char *text, size_t size)
{
    size_t n = 0;

    for (size_t at = 0; at < size; n++) {
        uint32_t code;
        bool valid;

        at += pl_utf8_next(text + at, size - at, &code, &valid);
    }
    return n;
}

bool pl_utf8_is_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
           code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

size_t pl_utf8_spaces_at_start(const char *text, size_t size)
{
    size_t i = 0;

    while (i < size) {
        uint32_t code;
        bool valid;
        size_t n = pl_utf8_next(text + i, size - i, &code, &valid);

        if (!pl_utf8_is_space(code))
            break;
        i += n;
    }
    return i;
}

size_t pl_utf8_spaces_at_end(const char *text, size_t size)
{
    size_t end = size;

    while (end > 0) {
        uint32_t code;
        bool valid;
        size_t start = end - 1;

        while (start > 0 && end - start < 4 && ((unsigned char)text[start] & 0xC0) == 0x80)
            start--;
        if (pl_utf8_next(text + start, end - start, &code, &valid) != end - start ||
            !pl_utf8_is_space(code))
            break;
        end = start;
    }
    return size - end;
}
