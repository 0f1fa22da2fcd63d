/* feed.c - see feed.h. Nothing here allocates after pl_feed_new. */
#include "train/feed.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "model/task.h"

/* Tokens that a step can have: of its longest examples, but no example comes twice. */
static size_t most_tokens(const struct prilora_dataset *data, size_t step_size)
{
    size_t total = data->starts[data->n], most;

    return pl_mul(&most, step_size, data->longest) && most < total ? most : total;
}

enum prilora_status pl_feed_new(struct pl_feed *out, const struct prilora_dataset *data,
                                uint64_t seed, size_t step_size, struct prilora_error *err)
{
    size_t tokens;

    *out = (struct pl_feed){.data = data, .seed = seed, .epoch = UINT64_MAX};
    out->step_size = step_size < data->n ? step_size : data->n;
    out->steps_per_epoch = (data->n + out->step_size - 1) / out->step_size;
    tokens = most_tokens(data, out->step_size);
    out->order = pl_calloc(data->n, sizeof *out->order);
    out->starts = pl_calloc(out->step_size + 1, sizeof *out->starts);
    out->ids = pl_calloc(tokens, sizeof *out->ids);
    out->type_ids = pl_calloc(tokens, sizeof *out->type_ids);
    out->labels =
        pl_calloc((pl_task_of(data->task)->labelled ? tokens : out->step_size) * data->width,
                  sizeof *out->labels);
    if (out->order && out->starts && out->ids && out->type_ids && out->labels)
        return PRILORA_OK;
    pl_feed_free(out);
    return pl_fail(err, PRILORA_ENOMEM, "no memory for batches of %zu examples", step_size);
}

void pl_feed_free(struct pl_feed *feed)
{
    free(feed->order);
    free(feed->starts);
    free(feed->ids);
    free(feed->type_ids);
    free(feed->labels);
    *feed = (struct pl_feed){0};
}

size_t pl_feed_bytes(const struct prilora_dataset *data, size_t step_size, size_t step_tokens)
{
    size_t n = step_size < data->n ? step_size : data->n;
    size_t n_rows = pl_task_of(data->task)->labelled ? step_tokens : n;

    return data->n * sizeof(size_t) + n * sizeof(size_t) + n_rows * data->width * sizeof(float) +
           step_tokens * (sizeof(int32_t) + 1);
}

size_t pl_feed_step_tokens(const struct prilora_dataset *data, size_t step_size)
{
    double n = (double)(step_size < data->n ? step_size : data->n);

    return (size_t)((double)data->starts[data->n] / (double)data->n * n);
}

/* A row of targets that is none. */
static bool is_ignored(const struct prilora_dataset *data, size_t row)
{
    return pl_task_of(data->task)->labelled && data->targets[row] < 0;
}

struct pl_batch pl_feed_batch(struct pl_feed *feed, uint64_t step)
{
    const struct prilora_dataset *data = feed->data;
    uint64_t epoch = step / feed->steps_per_epoch;
    size_t first = (size_t)(step % feed->steps_per_epoch) * feed->step_size, longest = 0, at = 0;
    size_t n = data->n - first < feed->step_size ? data->n - first : feed->step_size;
    size_t n_rows = 0, n_counted = 0;

    if (feed->epoch != epoch) {
        struct pl_random random = pl_random_at(feed->seed, epoch, PL_SITE_SHUFFLE, 0);

        pl_random_permute(&random, feed->order, data->n);
        feed->epoch = epoch;
    }
    for (size_t i = 0; i < n; i++) {
        size_t one = feed->order[first + i], from = data->starts[one];
        size_t length = data->starts[one + 1] - from, row,
               rows = pl_dataset_rows_of(data, one, &row);

        feed->starts[i] = at;
        memcpy(feed->ids + at, data->ids + from, length * sizeof *feed->ids);
        memcpy(feed->type_ids + at, data->type_ids + from, length);
        memcpy(feed->labels + n_rows * data->width, data->targets + row * data->width,
               rows * data->width * sizeof *feed->labels);
        for (size_t k = 0; k < rows; k++)
            n_counted += !is_ignored(data, row + k);
        n_rows += rows;
        at += length;
        longest = length > longest ? length : longest;
    }
    feed->starts[n] = at;
    return (struct pl_batch){
        n, at, longest, feed->ids, feed->type_ids, feed->starts, feed->labels, n_counted};
}

struct pl_batch pl_feed_all(const struct prilora_dataset *data)
{
    return (struct pl_batch){data->n,       data->starts[data->n],   data->longest,
                             data->ids,     data->type_ids,          data->starts,
                             data->targets, pl_dataset_counted(data)};
}
