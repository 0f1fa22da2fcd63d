/* upload_decode.h - the JSON bodies of requests about uploads. No I/O. */
#ifndef UPLOAD_DECODE_H
#define UPLOAD_DECODE_H

#include "api/completions.h"
#include "api/fault.h"

/* POST /v1/uploads: fills what uploads_create wants. Whatever it returns, the caller clears. */
bool upload_decode(const char *body, size_t size, int64_t max_bytes, struct upload *out,
                   struct fault *fault);

/* POST /v1/uploads/{id}/complete: part_ids and md5. The caller clears. */
bool upload_decode_order(const char *body, size_t size, struct completion_order *out,
                         struct fault *fault);

#endif
