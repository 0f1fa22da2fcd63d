/* changed.h - the small base's tokenizer with more in its model. */
#ifndef TEST_CHANGED_H
#define TEST_CHANGED_H

#include <stddef.h>

#define MINI "examples/prilora-mini-en"
#define U    "\u2581" /* a space as SentencePiece shows it */

/* A fresh scratch folder with the file `as`: the bytes of `file` (NULL: none), then `more`. */
const char *changed_folder(const char *name, const char *file, const char *as, const void *more,
                           size_t size);

/* A field that stands in a model again replaces what it said before. */
#define MINI_AND(name, more)                                                                       \
    changed_folder(name, MINI "/spm.model", "spm.model", more, sizeof(more) - 1)

/* {trainer_spec = 2 {treat_whitespace_as_suffix = 24}} and so on */
#define SPACE_LAST   "\x12\x03\xC0\x01\x01"
#define NO_SPACE     "\x1A\x02\x18\0"
#define ALL_SPACES   "\x1A\x02\x20\0"
#define PLAIN_SPACES "\x1A\x02\x28\0"
/* pieces of type 4, which are looked for before normalisation */
#define SYMBOLS                                                                                    \
    "\x0A\x07\x0A\x03\uFB01\x18\x04"                                                               \
    "\x0A\x08\x0A\x04\uFB01x\x18\x04"

#endif
