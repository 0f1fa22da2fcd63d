/* model_id.h - ids of base models: relative paths of folders. */
#ifndef MODEL_ID_H
#define MODEL_ID_H

#include <stdbool.h>

/* "name" or "owner/name", parts that cannot lead out of a folder. */
bool model_id_is_safe(const char *id);

#endif
