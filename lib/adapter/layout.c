/* layout.c - see layout.h. */
#include "adapter/layout.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* 64 bytes of float, 128 of double: one step for both, so that offsets are the same in the tests.
 */
#define STEP          ((size_t)16)
#define MAX_BLOCK     (SIZE_MAX / 64)
#define FIRST_ENTRIES 32

static bool grow(struct pl_layout *layout)
{
    size_t capacity = layout->capacity ? 2 * layout->capacity : FIRST_ENTRIES;
    struct pl_param *params = pl_realloc(layout->params, capacity, sizeof *params);

    if (!params)
        return false;
    layout->params = params;
    layout->capacity = capacity;
    return true;
}

enum prilora_status pl_layout_add(struct pl_layout *layout, const struct pl_param *param,
                                  size_t *index, struct prilora_error *err)
{
    struct pl_param *place;
    size_t n;

    if (!pl_mul(&n, param->rows, param->cols) || n > MAX_BLOCK - STEP ||
        layout->size > MAX_BLOCK - STEP - n)
        return pl_fail(err, PRILORA_ELIMIT, "%s: [%zu, %zu] makes the trainable block too large",
                       param->name, param->rows, param->cols);
    if (layout->n == layout->capacity && !grow(layout))
        return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for the parameter table", param->name);
    place = &layout->params[layout->n];
    *place = *param;
    place->name = pl_strdup(param->name);
    if (!place->name)
        return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for the parameter table", param->name);
    place->offset = layout->size;
    layout->size += (n + STEP - 1) / STEP * STEP;
    layout->n_parameters += n;
    if (index)
        *index = layout->n;
    layout->n++;
    return PRILORA_OK;
}

const struct pl_param *pl_layout_find(const struct pl_layout *layout, const char *name)
{
    for (size_t i = 0; i < layout->n; i++) {
        if (strcmp(layout->params[i].name, name) == 0)
            return &layout->params[i];
    }
    return NULL;
}

void pl_layout_free(struct pl_layout *layout)
{
    if (!layout)
        return;
    for (size_t i = 0; i < layout->n; i++)
        free(layout->params[i].name);
    free(layout->params);
    *layout = (struct pl_layout){0};
}
