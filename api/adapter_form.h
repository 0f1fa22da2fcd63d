/* adapter_form.h - other forms in which an adapter's tar can be had. */
#ifndef ADAPTER_FORM_H
#define ADAPTER_FORM_H

#include "api/request.h"
#include "daemon/queue.h"

enum adapter_form { ADAPTER_AS_IT_IS, ADAPTER_MERGED, ADAPTER_UNIFORM };

/* ?merged=true, ?rank=uniform or neither; answers and returns false if they are wrong. */
bool adapter_form_read(struct request *r, enum adapter_form *out);

/* Answers with the tar of a job's adapter, which lies in `folder`. */
void adapter_form_send(struct request *r, enum adapter_form form, const struct job *job,
                       const char *folder);

#endif
