/* spans.h - from the bytes that a kind of tokenizer tells to those that pl_ids.spans promises. */
#ifndef PL_SPANS_H
#define PL_SPANS_H

#include "tok/tokenizer.h"

/*
 * pl_spans_trim - of bytes of valid UTF-8: characters that are begun are taken whole, white space
 * at both ends is not; of nothing but white space, the end is left. Spans that do not go back still
 * do not.
 */
void pl_spans_trim(struct pl_span *spans, size_t n, const char *text, size_t size);

/*
 * pl_spans_restore - from places in a text that was repaired to those in the text as it was given:
 * U+FFFD, three bytes, stands for each piece that pl_utf8_next calls invalid.
 * Spans lie on characters' boundaries, and do not go back. Time O(n + size)
 */
void pl_spans_restore(struct pl_span *spans, size_t n, const char *text, size_t size);

#endif
