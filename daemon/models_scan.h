/* models_scan.h - the folders of base models as they are on disk; for models.c. */
#ifndef MODELS_SCAN_H
#define MODELS_SCAN_H

#include <stdbool.h>

#include "daemon/models.h"

/* Adds the models of one folder to *entries, those whose id is not there yet. A folder that cannot
 * be read adds none; *readable tells. */
enum prilora_status models_scan(const char *dir, struct model_entry **entries, size_t *n,
                                bool *readable, struct prilora_error *err);
/* The model `id` in one folder. ENOENT: there is none. */
enum prilora_status models_look(const char *dir, const char *id, struct model_entry *out,
                                struct prilora_error *err);

#endif
