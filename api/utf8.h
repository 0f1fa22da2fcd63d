/* utf8.h - text from outside (RFC 3629). */
#ifndef UTF8_H
#define UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *text, size_t n);
size_t utf8_length(const char *text); /* in code points; text is valid */
/* Puts '?' for every control character and every byte that is not UTF-8. */
void utf8_repair(char *text);

#endif
