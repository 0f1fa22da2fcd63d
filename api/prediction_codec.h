/* prediction_codec.h - predictions as JSON: what a client asks, and what it is told. No I/O. */
#ifndef PREDICTION_CODEC_H
#define PREDICTION_CODEC_H

#include <jansson.h>

#include "api/fault.h"
#include "api/json_out.h"
#include "daemon/predictor.h"

#define PREDICTION_MAX_INPUTS 2048
#define PREDICTION_TOP_K      100 /* if it is not given */
#define PREDICTION_BEST       20  /* the most answers to a question; one if it is not given */

struct prediction_request {
    json_t *root; /* holds all texts */
    const char *model;
    size_t top_k;               /* 0: not given, until the input is read */
    struct prilora_text *texts; /* [n] or questions; their words are the request's too */
    size_t n;
};

/* {"model", "input", "top_k"?}, the input unread. On a fault nothing is left to clear. */
bool prediction_decode(const char *body, size_t size, struct prediction_request *out,
                       struct fault *fault);
/* The input of an adapter with that task, and how much is told of each. A fault leaves the request
 * to be cleared. */
bool prediction_decode_input(struct prediction_request *request, enum prilora_task task,
                             struct fault *fault);
void prediction_request_clear(struct prediction_request *request);

/* The answer to a prediction that is done and right. */
void prediction_encode(struct json_out *out, const char *model, const struct prediction *prediction,
                       size_t top_k);

#endif
