/*
 * layout.h - one table for everything trainable.
 *
 * A block is `size` numbers; every tensor that training changes has its place in it. Parameters,
 * gradients and both Adam moments are blocks of the same layout, so optimiser, clipping, checkpoint
 * and export all walk this one table.
 */
#ifndef PL_LAYOUT_H
#define PL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum pl_param_kind { PL_PARAM_LORA_A, PL_PARAM_LORA_B, PL_PARAM_HEAD };

struct pl_param {
    char *name; /* "<module path>.lora_A", "<module path>.lora_B", "classifier.weight" */
    enum pl_param_kind kind;
    size_t n_dims;     /* 1 or 2 */
    size_t rows, cols; /* a vector has rows = 1 */
    size_t offset;     /* of its first number in a block; each starts on a 64-byte boundary */
    size_t map;        /* lora: index of the adapted map */
    bool decay;        /* weight decay applies: not for biases and normalisation weights */
};

struct pl_layout {
    struct pl_param *params;
    size_t n, capacity;
    size_t size;         /* numbers in a block, gaps included (gaps stay zero) */
    size_t n_parameters; /* numbers that mean something */
};

/* Appends one tensor; *index may be NULL. Errors: ENOMEM, ELIMIT on overflow. */
enum prilora_status pl_layout_add(struct pl_layout *layout, const struct pl_param *param,
                                  size_t *index, struct prilora_error *err);
const struct pl_param *pl_layout_find(const struct pl_layout *layout, const char *name);
void pl_layout_free(struct pl_layout *layout);

#endif
