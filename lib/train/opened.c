/* opened.c - see opened.h. */
#include "train/opened.h"

#include <stdlib.h>

#include "base/memory.h"

enum prilora_status pl_opened_new(struct pl_opened *out, struct pl_model *model,
                                  const struct pl_import *in, enum prilora_task task,
                                  const struct pl_engine_limits *limits, struct prilora_error *err)
{
    enum prilora_status rc;

    *out = (struct pl_opened){0};
    rc = pl_import_spec(&out->spec, in, model, err);
    if (rc == PRILORA_OK)
        rc = pl_engine_new(&out->engine, model, out->spec, task, limits, err);
    if (rc == PRILORA_OK) {
        out->params = pl_calloc_aligned(out->engine->layout->size, sizeof *out->params);
        rc = out->params ? pl_import_fill(in, model, out->engine, out->params, 0, err)
                         : pl_fail(err, PRILORA_ENOMEM, "no memory for %zu numbers",
                                   out->engine->layout->size);
    }
    if (rc != PRILORA_OK)
        pl_opened_free(out);
    return rc;
}

void pl_opened_free(struct pl_opened *opened)
{
    free(opened->params);
    pl_engine_free(opened->engine);
    prilora_spec_free(opened->spec);
    *opened = (struct pl_opened){0};
}
