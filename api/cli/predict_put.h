/* predict_put.h - what was predicted, as lines with tabs between. */
#ifndef CLI_PREDICT_PUT_H
#define CLI_PREDICT_PUT_H

#include "api/cli/cli.h"

/* One input's; top > 0: a line for each of its `top` labels or answers. */
void predict_put(const struct call *call, const json_t *prediction, const json_t *input,
                 int64_t top);

#endif
