/* etag.h - entity tags of answers that are made for each request: they name the text itself. */
#ifndef ETAG_H
#define ETAG_H

#include <stddef.h>

#define ETAG_SIZE 35 /* 32 hexadecimal digits in quotes, NUL */

/* A strong tag: the same for the same bytes, whenever and by whichever daemon they are sent. */
void etag_make(char out[ETAG_SIZE], const char *text, size_t n);

#endif
