/* precision.c - see precision.h. */
#include "model/precision.h"

#include <stdlib.h>

#include "base/memory.h"
#include "math/blas.h"
#include "math/half.h"

#ifdef PL_DOUBLE
#define NATIVE PL_F64
#else
#define NATIVE PL_F32
#endif

#define ALIGNMENT ((size_t)64) /* of each map's weights, in numbers */
#define CHUNK     ((size_t)4096)

bool pl_model_half_possible(const struct pl_model *model)
{
    for (size_t i = 0; i < model->n_sites; i++)
        if (model->maps[i].in % 2 || model->maps[i].out % 2)
            return false;
    return model->config.hidden_size / model->config.num_attention_heads % 2 == 0 &&
           pl_half_supported();
}

/* Its numbers where they lie in the file, if that is the format. */
static const void *in_place(const struct pl_linear *map, bool half)
{
    const struct pl_tensor *tensor = map->tensor;

    if (tensor->dtype != (half ? PL_BF16 : NATIVE) ||
        (uintptr_t)tensor->data % (half ? sizeof(uint32_t) : sizeof(pl_real)))
        return NULL;
    return tensor->data;
}

static size_t padded(const struct pl_linear *map)
{
    return (map->in * map->out + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t bytes_of(const struct pl_linear *map, bool half)
{
    return padded(map) * (half ? sizeof(uint16_t) : sizeof(pl_real));
}

static size_t bytes_to_make(const struct pl_model *model, bool half)
{
    size_t bytes = 0;

    for (size_t i = 0; i < model->n_sites; i++)
        bytes += in_place(&model->maps[i], half) ? 0 : bytes_of(&model->maps[i], half);
    return bytes;
}

size_t pl_model_maps_bytes(const struct pl_model *model, bool half)
{
    size_t bytes = 0;

    for (size_t i = 0; i < model->n_sites; i++)
        bytes += bytes_of(&model->maps[i], half);
    return bytes;
}

static void round_weights(uint16_t *to, const struct pl_tensors *tensors,
                          const struct pl_tensor *tensor)
{
    pl_real part[CHUNK];

    for (size_t at = 0; at < tensor->n_elements; at += CHUNK) {
        const size_t left = tensor->n_elements - at, n = left < CHUNK ? left : CHUNK;

        pl_tensors_read(tensors, tensor, part, at, n);
        pl_half_from(to + at, part, n);
    }
}

static void make(struct pl_model *model, bool half, void *block)
{
    size_t used = 0;

    for (size_t i = 0; i < model->n_sites; i++) {
        struct pl_linear *map = &model->maps[i];
        const void *data = in_place(map, half);

        if (!data && half) {
            round_weights((uint16_t *)block + used, model->tensors, map->tensor);
            data = (uint16_t *)block + used;
        } else if (!data) {
            pl_tensors_read(model->tensors, map->tensor, (pl_real *)block + used, 0,
                            map->tensor->n_elements);
            data = (pl_real *)block + used;
        }
        used += data != map->tensor->data ? padded(map) : 0;
        if (half)
            map->half = data;
        else
            map->weight = data;
    }
}

static enum prilora_status use(struct pl_model *model, bool half, struct prilora_error *err)
{
    const struct pl_linear *any = &model->maps[0];
    const size_t bytes = bytes_to_make(model, half);
    void *block = NULL;

    if (half ? any->half != NULL : any->weight != NULL)
        return PRILORA_OK;
    if (bytes && !(block = pl_calloc_aligned(bytes, 1)))
        return pl_fail(err, PRILORA_ENOMEM, "no memory for weights of %zu bytes", bytes);
    make(model, half, block);
    model->forms[half] = block;
    return PRILORA_OK;
}

enum prilora_status pl_model_use(struct pl_model *model, bool half, struct prilora_error *err)
{
    enum prilora_status rc;

    pthread_mutex_lock(&model->lock);
    rc = use(model, half, err);
    pthread_mutex_unlock(&model->lock);
    return rc;
}
