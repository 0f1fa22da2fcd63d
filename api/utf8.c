/* utf8.c - see utf8.h. */
#include "api/utf8.h"

#include <string.h>

/* Bytes of the sequence that starts at text; 0: none of UTF-8 (RFC 3629, table 3-7 of Unicode). */
static size_t utf8_sequence(const unsigned char *text, size_t n)
{
    static const struct {
        unsigned char first, last, low, high, size;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (text[0] < rows[i].first || text[0] > rows[i].last)
            continue;
        if (rows[i].size > n)
            return 0;
        if (rows[i].size > 1 && (text[1] < rows[i].low || text[1] > rows[i].high))
            return 0;
        for (size_t j = 2; j < rows[i].size; j++) {
            if (text[j] < 0x80 || text[j] > 0xbf)
                return 0;
        }
        return rows[i].size;
    }
    return 0;
}

bool utf8_valid(const char *text, size_t n)
{
    while (n > 0) {
        size_t size = utf8_sequence((const unsigned char *)text, n);

        if (size == 0)
            return false;
        text += size;
        n -= size;
    }
    return true;
}

size_t utf8_length(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void utf8_repair(char *text)
{
    size_t n = strlen(text);

    while (n > 0) {
        size_t size = utf8_sequence((const unsigned char *)text, n);

        if (size == 0 || (unsigned char)text[0] < ' ' || text[0] == 127)
            text[0] = '?';
        size = size ? size : 1;
        text += size;
        n -= size;
    }
}
