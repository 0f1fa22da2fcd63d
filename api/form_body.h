/* form_body.h - body_sink of requests whose body is a multipart form with a file. */
#ifndef FORM_BODY_H
#define FORM_BODY_H

#include "api/form.h"
#include "api/request.h"

/* For a sink's `begin`; `parts` names the form's parts, for the message. */
void form_body_begin(struct request *r, void **state, const struct form_rules *rules,
                     const char *parts);
void form_body_take(struct request *r, void *state, const char *data, size_t size);
void form_body_free(void *state);

/* For the handler: the form, closed by its last boundary and without faults; NULL: answered. */
struct form *form_body_end(struct request *r);

#endif
