/* utf8.h - reading UTF-8 that may be broken. */
#ifndef PL_UTF8_H
#define PL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PL_UTF8_REPLACEMENT       0xFFFDu
#define PL_UTF8_REPLACEMENT_BYTES 3 /* of it, in UTF-8 */

/*
 * pl_utf8_next - the first code point of text[0..size), size > 0, into *code; returns the bytes it
 * takes. What is not UTF-8 (overlong forms and surrogates included) is read as U+FFFD, one per
 * longest well-formed beginning, which is how Python and the Unicode standard (3.9) replace it;
 * *valid says which it was.
 */
size_t pl_utf8_next(const char *text, size_t size, uint32_t *code, bool *valid);

/* Offset of the first byte that is not UTF-8, or `size` if all is well. */
size_t pl_utf8_check(const char *text, size_t size);

/* Whether a character of valid UTF-8 begins, or the text ends, at `at`. */
static inline bool pl_utf8_is_boundary(const char *text, size_t size, size_t at)
{
    return at == size || ((unsigned char)text[at] & 0xC0) != 0x80;
}

/* Code points of text[0..size), each U+FFFD of pl_utf8_next counted. */
size_t pl_utf8_count(const char *text, size_t size);

/* Whether Unicode calls it white space (what Python's str.strip takes away). */
bool pl_utf8_is_space(uint32_t code);

/* Bytes of white space at the beginning, and at the end, of text[0..size). */
size_t pl_utf8_spaces_at_start(const char *text, size_t size);
size_t pl_utf8_spaces_at_end(const char *text, size_t size);

#endif
