/* predict.h - an opened adapter and texts that are tokenized already. */
#ifndef PL_PREDICT_H
#define PL_PREDICT_H

#include <stdatomic.h>

#include "model/net.h"

#define PL_PREDICT_SEQUENCES 1024 /* computed together, at most */

/* values f64[n_sequences, labels], as prilora_adapter_predict gives them; batch->labels is not
 * looked at. Errors: ESTOPPED. */
enum prilora_status pl_adapter_predict_batch(struct prilora_adapter *adapter,
                                             const struct pl_batch *batch, const atomic_int *stop,
                                             double *values, struct prilora_error *err);

#endif
