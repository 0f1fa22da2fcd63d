/*
 * completions.h - uploads that are being completed: gigabytes take a while, so threads of their own
 * do it, and the requests wait (waiting.h).
 */
#ifndef COMPLETIONS_H
#define COMPLETIONS_H

#include "api/json_out.h"
#include "api/request.h"
#include "daemon/uploads.h"

struct completions;

enum prilora_status completions_start(struct completions **out, struct store *store,
                                      struct prilora_error *err);
/* What is not done is left undone: the upload stays pending. Then, when no request is left: */
void completions_interrupt(struct completions *completions);
void completions_stop(struct completions *completions);

/*
 * completions_take - the request's answer comes when the upload that its path names is complete or
 * cannot be; `write` makes it. What it takes of the order it leaves empty.
 */
struct completion_order {
    char **part_ids;
    size_t n_parts;
    char md5[33]; /* "": none */
    enum prilora_status (*write)(struct json_out *out, struct api *api, const void *upload_id,
                                 struct prilora_error *err);
    void (*respond_failure)(struct request *r, const struct prilora_error *err);
};
void completion_order_clear(struct completion_order *order);
void completions_take(struct request *r, struct completion_order *order);

#endif
