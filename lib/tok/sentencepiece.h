/*
 * sentencepiece.h - a thin C interface to the SentencePiece C++ library.
 *
 * No exception leaves it. It stands alone (C++ cannot read prilora.h's atomics), so it reports by
 * its own three results; spm.c turns them into errors.
 * Threads: all functions but open and close are safe at once on one object.
 */
#ifndef PL_SENTENCEPIECE_H
#define PL_SENTENCEPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pl_sentencepiece;

enum pl_sentencepiece_result { PL_SENTENCEPIECE_OK, PL_SENTENCEPIECE_NOMEM, PL_SENTENCEPIECE_BAD };

/*
 * pl_sentencepiece_wait_for_memory - from now on C++'s operator new, where it is refused memory,
 * waits for some, for ten seconds of refusals at most, before it throws: what the library is made
 * of (protobuf) does not survive an exception at any point, and crashes. A program that has set a
 * handler of its own (std::set_new_handler) keeps it.
 */
void pl_sentencepiece_wait_for_memory(void);

/*
 * pl_sentencepiece_open - `model` holds a whole spm.model that pl_spm_check has passed.
 * BAD: the library refuses it; its words, cut to room bytes, are in `reason`.
 */
enum pl_sentencepiece_result pl_sentencepiece_open(struct pl_sentencepiece **out, const char *model,
                                                   size_t size, char *reason, size_t room);
void pl_sentencepiece_close(struct pl_sentencepiece *sp);

/*
 * pl_sentencepiece_encode - normalises and splits UTF-8 text. `take` is given all ids at once, for
 * as long as it runs; what it says (OK or NOMEM) is the result.
 */
enum pl_sentencepiece_result pl_sentencepiece_encode(
    const struct pl_sentencepiece *sp, const char *text, size_t size,
    enum pl_sentencepiece_result (*take)(void *context, const int32_t *ids, size_t n),
    void *context);

/* One of the pieces that a text was split into, and the bytes of the text that it came of. */
struct pl_sentencepiece_piece {
    int32_t id;
    uint32_t begin, end;
    bool is_space;
};

/* pl_sentencepiece_split - the same, with the pieces that have the ids. */
enum pl_sentencepiece_result pl_sentencepiece_split(
    const struct pl_sentencepiece *sp, const char *text, size_t size,
    enum pl_sentencepiece_result (*take)(void *context, const struct pl_sentencepiece_piece *pieces,
                                         size_t n),
    void *context);

#ifdef __cplusplus
}
#endif

#endif
