/* family.h - which tokenizer a folder has. */
#ifndef PL_FAMILY_H
#define PL_FAMILY_H

#include "tok/kind.h"

/*
 * pl_family_choose - by tokenizer_class of tokenizer_config.json, else by model_type of
 * config.json, else by the files that are there.
 *
 * Fills source->family and source->whole (read only if the family's own files are not there, then
 * added to the digest; the caller's). Errors: EUNSUPPORTED: a class or a kind of tokenizer.json
 * that is not read, with what is; ENOENT names what was looked for; EFORMAT, EIO, ENOMEM.
 */
enum prilora_status pl_family_choose(struct pl_source *source, struct prilora_error *err);

/* Whether `word` is one of `words`, which spaces separate, or one of them with `suffix` after it.
 */
bool pl_family_names(const char *words, const char *word, const char *suffix);

#endif
