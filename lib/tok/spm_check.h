/* spm_check.h - whether a spm.model file may be handed to the SentencePiece library. */
#ifndef PL_SPM_CHECK_H
#define PL_SPM_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PL_SPM_MAX_FILE        ((size_t)64 << 20) /* bytes of a model file */
#define PL_SPM_MAX_PIECES      ((size_t)1 << 20)
#define PL_SPM_MAX_PIECE       ((size_t)1024) /* bytes of one piece: encoding costs text times this */
#define PL_SPM_MAX_REPLACEMENT ((size_t)128) /* bytes; Unicode's own longest is 33 (U+FDFA) */

struct pl_spm_pieces {
    uint32_t *at;    /* [n] offset of its text in the file */
    uint16_t *sizes; /* [n] bytes of its text */
    size_t n, room;
    size_t unknown; /* the piece for what is unknown */
};

/*
 * pl_spm_check - walks the model's protocol buffer and refuses what the library would trust:
 *
 *   lengths      every field lies inside its message; groups and unknown wire types are refused
 *   pieces       number, length, no NUL (the library's trie takes them as C strings), finite score
 *   charsmap     the compiled normalisation table: every step of its double-array trie stays inside
 *                the array, and every leaf points into the replacement texts, which end with NUL;
 *                none is so long that a text could grow without bound
 *   nesting      of symbols and of normalised sequences: the limits of spm_nest.h
 *   model type   unigram or BPE
 *   unknown      one piece is the unknown one
 *
 * What it leaves to the library: duplicate or missing pieces, byte pieces.
 * Writes where every piece stands, in the order of their ids; release it, whatever is returned.
 * Errors: EFORMAT naming path and offset; ELIMIT; EUNSUPPORTED; ENOMEM.
 */
enum prilora_status pl_spm_check(struct pl_spm_pieces *pieces, const char *data, size_t size,
                                 const char *path, struct prilora_error *err);
void pl_spm_pieces_free(struct pl_spm_pieces *pieces);

#endif
