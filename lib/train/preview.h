/* preview.h - inside view of struct prilora_preview (the public functions are in prilora.h). */
#ifndef PL_PREVIEW_H
#define PL_PREVIEW_H

#include "base/error.h"

/* prilora_preview_read from memory: what the fuzz target feeds. options->name is not NULL. */
enum prilora_status pl_preview_parse(struct prilora_preview **out, const char *data, size_t size,
                                     const struct prilora_preview_options *options,
                                     struct prilora_error *err);

#endif
