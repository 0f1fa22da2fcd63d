/* spans.c - see spans.h. */
#include "tok/spans.h"

#include "tok/utf8.h"

void pl_spans_trim(struct pl_span *spans, size_t n, const char *text, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        size_t begin = spans[i].begin, end = spans[i].end;

        while (!pl_utf8_is_boundary(text, size, begin))
            begin--;
        while (!pl_utf8_is_boundary(text, size, end))
            end++;
        begin += pl_utf8_spaces_at_start(text + begin, end - begin);
        end -= pl_utf8_spaces_at_end(text + begin, end - begin);
        spans[i] = (struct pl_span){(uint32_t)begin, (uint32_t)end};
    }
}

/* The same place in both texts. */
struct place {
    size_t given, repaired;
};

/* Goes on to a place in the repaired text. */
static uint32_t find(struct place *p, uint32_t repaired, const char *text, size_t size)
{
    while (p->repaired < repaired && p->given < size) {
        uint32_t code;
        bool valid;
        const size_t n = pl_utf8_next(text + p->given, size - p->given, &code, &valid);

        p->given += n;
        p->repaired += valid ? n : PL_UTF8_REPLACEMENT_BYTES;
    }
    return (uint32_t)p->given;
}

void pl_spans_restore(struct pl_span *spans, size_t n, const char *text, size_t size)
{
    struct place begin = {0}, end = {0};

    for (size_t i = 0; i < n; i++) {
        spans[i].begin = find(&begin, spans[i].begin, text, size);
        spans[i].end = find(&end, spans[i].end, text, size);
    }
}
