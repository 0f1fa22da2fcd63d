/* frame.h - where special tokens stand around one text, and around two. */
#ifndef PL_FRAME_H
#define PL_FRAME_H

#include "tok/kind.h"

/* first a last; first a last... b last, where `last` stands n_separators times in the middle */
struct pl_frame {
    int32_t first, last;
    size_t n_separators;
    uint8_t pair_type; /* type id of b and what follows it */
};

/*
 * pl_frame_read - from tokenizer.json's post_processor: BertProcessing, RobertaProcessing,
 * TemplateProcessing of that shape, alone or in a Sequence with ByteLevel.
 * Errors: EUNSUPPORTED for others, by name; EFORMAT; both name `folder`.
 */
enum prilora_status pl_frame_read(struct pl_frame *out, const json_t *post_processor,
                                  const char *folder, struct prilora_error *err);

#endif
