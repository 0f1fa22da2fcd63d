/*
 * progress.h - one line at the bottom of a terminal that is drawn again and again; what is printed
 * meanwhile goes above it. On anything but a terminal nothing of it is seen.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The line is on this stream from now on; false: it is no terminal, nothing will be drawn. */
bool progress_begin(FILE *stream);
/* "[####....]  45 %  ..." : a bar and parts; the last parts go first where the terminal is narrow.
 * share < 0: no bar. */
void progress_draw(double share, const char *const *parts, size_t n_parts);
void progress_clear(void); /* before anything else is printed; the next draw puts it back */
void progress_end(void);

/* Bytes of a transfer: draws at most ten times a second. `total` 0: not known. */
void progress_bytes(const char *what, int64_t done, int64_t total);

#endif
