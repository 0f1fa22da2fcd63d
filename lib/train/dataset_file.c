/*
 * dataset_file.c - a tokenized data set as a file, and its fingerprint, which is the digest of the
 * same bytes.
 *
 * All numbers little-endian:
 *
 *     8 bytes   "PLDATA01"
 *     u64       task, n, width, n_labels, n_tokens, n_skipped
 *     n_labels  u64 size, bytes
 *     n         u32 tokens of each example
 *     n         u8  truncated
 *     n_tokens  i32 ids
 *     n_tokens  u8  type ids
 *     n*width   f32 targets (n_tokens of them where every token has one)
 *               of question answering: questions_file.c's section
 *     64 bytes  SHA-256 of all before, in hexadecimal
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "model/task.h"
#include "tok/utf8.h"
#include "train/dataset.h"
#include "train/questions_file.h"

static const char magic[8] = {'P', 'L', 'D', 'A', 'T', 'A', '0', '1'};
enum { N_COUNTS = 6, DIGITS = PL_DIGEST_SIZE - 1 };

/* ---- writing --------------------------------------------------------------------------------- */

static void put_dataset(struct pl_sink *sink, const struct prilora_dataset *d)
{
    size_t n_tokens = d->starts[d->n];
    const uint64_t counts[N_COUNTS] = {d->task,     d->n,     d->width,
                                       d->n_labels, n_tokens, d->n_skipped};

    pl_digest_init(&sink->digest);
    pl_put(sink, magic, sizeof magic);
    for (size_t i = 0; i < N_COUNTS; i++)
        pl_put_u64(sink, counts[i]);
    for (size_t i = 0; i < d->n_labels; i++) {
        pl_put_u64(sink, strlen(d->labels[i]));
        pl_put(sink, d->labels[i], strlen(d->labels[i]));
    }
    pl_put_lengths(sink, d->starts, d->n);
    pl_put(sink, d->truncated, d->n);
    pl_put_u32s(sink, d->ids, n_tokens);
    pl_put(sink, d->type_ids, n_tokens);
    pl_put_u32s(sink, d->targets, pl_dataset_rows(d) * d->width);
    if (d->questions)
        pl_questions_put(sink, d->questions);
}

void pl_dataset_fingerprint(const struct prilora_dataset *dataset, char out[65])
{
    struct pl_sink sink = {.file = NULL};

    put_dataset(&sink, dataset);
    pl_digest_hex(&sink.digest, out);
}

static enum prilora_status write_file(FILE *file, void *context, struct prilora_error *err)
{
    struct pl_sink sink = {.file = file};
    char digits[PL_DIGEST_SIZE];

    errno = 0;
    put_dataset(&sink, context);
    pl_digest_hex(&sink.digest, digits);
    if (fwrite(digits, 1, DIGITS, file) != DIGITS || ferror(file)) {
        errno = errno ? errno : EIO;
        return pl_fail_errno(err, "the tokenized data set", "write");
    }
    return PRILORA_OK;
}

enum prilora_status prilora_dataset_save(const struct prilora_dataset *dataset, const char *path,
                                         struct prilora_error *err)
{
    return pl_file_replace(path, write_file, (void *)(uintptr_t)dataset, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The counts, so that all they ask for fits into what is there. */
static enum prilora_status read_counts(struct pl_source *s, uint64_t counts[N_COUNTS])
{
    const unsigned char *p = pl_take(s, sizeof magic, 1);
    uint64_t task, n, width, n_labels, n_tokens;

    if (!p || memcmp(p, magic, sizeof magic) != 0)
        return pl_broken(s, "it does not begin with PLDATA01");
    for (size_t i = 0; i < N_COUNTS; i++)
        if (!pl_take_u64(s, &counts[i]))
            return pl_broken(s, "it is cut short");
    task = counts[0];
    n = counts[1];
    width = counts[2];
    n_labels = counts[3];
    n_tokens = counts[4];
    if (task < PRILORA_TASK_CLASSIFICATION || task > PRILORA_TASK_QUESTION_ANSWERING)
        return pl_broken(s, "unknown task");
    if (n == 0 || n > PL_MAX_ROWS || n > s->left / 5 || n_tokens > s->left / 5)
        return pl_broken(s, "more examples or tokens than the file has room for");
    if (n_labels == 0 || n_labels > PL_MAX_LABELS ||
        (task == PRILORA_TASK_REGRESSION && n_labels != 1) ||
        (task == PRILORA_TASK_QUESTION_ANSWERING && n_labels != 2))
        return pl_broken(s, "wrong number of labels");
    if (width != pl_label_width((enum prilora_task)task, (size_t)n_labels) ||
        n > s->left / 4 / width)
        return pl_broken(s, "wrong number of targets");
    return PRILORA_OK;
}

static enum prilora_status read_labels(struct pl_source *s, struct prilora_dataset *d,
                                       size_t n_labels)
{
    for (; d->n_labels < n_labels; d->n_labels++) {
        const unsigned char *p;
        uint64_t size;
        char *label;

        if (!pl_take_u64(s, &size) || size == 0 || size > PL_MAX_LABEL ||
            !(p = pl_take(s, (size_t)size, 1)) || memchr(p, '\0', (size_t)size) ||
            pl_utf8_check((const char *)p, (size_t)size) != size)
            return pl_broken(s, "a broken label");
        d->labels[d->n_labels] = label = pl_calloc((size_t)size + 1, 1);
        if (!label)
            return pl_fail(s->err, PRILORA_ENOMEM, "%s: out of memory", s->path);
        memcpy(label, p, (size_t)size);
    }
    return PRILORA_OK;
}

static enum prilora_status read_starts(struct pl_source *s, struct prilora_dataset *d,
                                       size_t n_tokens)
{
    const unsigned char *p = pl_take(s, d->n, 4);
    uint32_t length;

    if (!p)
        return pl_broken(s, "it is cut short");
    for (size_t i = 0; i < d->n; i++) {
        memcpy(&length, p + 4 * i, 4);
        length = le32toh(length);
        if (length == 0 || length > n_tokens - d->starts[i])
            return pl_broken(s, "an example's length is wrong");
        d->starts[i + 1] = d->starts[i] + length;
    }
    return d->starts[d->n] == n_tokens ? PRILORA_OK : pl_broken(s, "the lengths do not add up");
}

static bool all_are_flags(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] > 1)
            return false;
    return true;
}

static bool target_is_right(const struct prilora_dataset *d, float target)
{
    if (d->task == PRILORA_TASK_REGRESSION)
        return isfinite(target);
    if (d->task == PRILORA_TASK_MULTI_LABEL)
        return target == 0 || target == 1;
    if (d->task == PRILORA_TASK_TOKEN_CLASSIFICATION && target == PL_LABEL_IGNORED)
        return true;
    if (d->task == PRILORA_TASK_QUESTION_ANSWERING) /* more is checked with the windows */
        return target >= 0 && target < (float)d->starts[d->n] && target == floorf(target);
    return target >= 0 && target < (float)d->n_labels && target == floorf(target);
}

static enum prilora_status read_arrays(struct pl_source *s, struct prilora_dataset *d,
                                       size_t n_tokens)
{
    enum prilora_status rc = read_starts(s, d, n_tokens);
    const unsigned char *truncated, *types;

    if (rc != PRILORA_OK)
        return rc;
    truncated = pl_take(s, d->n, 1);
    if (!truncated || !pl_take_u32s(s, d->ids, n_tokens) || !(types = pl_take(s, n_tokens, 1)) ||
        !pl_take_u32s(s, d->targets, pl_dataset_rows(d) * d->width))
        return pl_broken(s, "its size is not what its counts say");
    memcpy(d->truncated, truncated, d->n);
    memcpy(d->type_ids, types, n_tokens);
    if (!all_are_flags(d->truncated, d->n) || !all_are_flags(d->type_ids, n_tokens))
        return pl_broken(s, "a flag that is neither 0 nor 1");
    for (size_t i = 0; i < n_tokens; i++)
        if (d->ids[i] < 0)
            return pl_broken(s, "a negative token");
    for (size_t i = 0; i < pl_dataset_rows(d) * d->width; i++)
        if (!target_is_right(d, d->targets[i]))
            return pl_broken(s, "a target that is no label");
    if (d->task == PRILORA_TASK_QUESTION_ANSWERING)
        rc = pl_questions_take(s, d);
    if (rc == PRILORA_OK && s->left != 0)
        rc = pl_broken(s, "its size is not what its counts say");
    return rc;
}

/* The digest at the end, taken off. */
static enum prilora_status check_digest(struct pl_source *s)
{
    struct pl_digest digest;
    char digits[PL_DIGEST_SIZE];

    if (s->left < DIGITS)
        return pl_broken(s, "it is cut short");
    s->left -= DIGITS;
    pl_digest_init(&digest);
    pl_digest_add(&digest, s->at, s->left);
    pl_digest_hex(&digest, digits);
    return memcmp(s->at + s->left, digits, DIGITS) == 0 ? PRILORA_OK
                                                        : pl_broken(s, "its digest does not agree");
}

enum prilora_status pl_dataset_decode(struct prilora_dataset **out, const unsigned char *data,
                                      size_t size, bool check, const char *path,
                                      struct prilora_error *err)
{
    struct pl_source s = {data, size, path, err};
    struct prilora_dataset *d = NULL;
    uint64_t counts[N_COUNTS];
    enum prilora_status rc = check ? check_digest(&s) : PRILORA_OK;

    *out = NULL;
    if (rc == PRILORA_OK)
        rc = read_counts(&s, counts);
    if (rc != PRILORA_OK)
        return rc;
    d = pl_dataset_new((enum prilora_task)counts[0], (size_t)counts[1], (size_t)counts[4],
                       (size_t)counts[3], (size_t)counts[2]);
    if (!d)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    d->n_skipped = (size_t)counts[5];
    rc = read_labels(&s, d, (size_t)counts[3]);
    if (rc == PRILORA_OK)
        rc = read_arrays(&s, d, (size_t)counts[4]);
    if (rc == PRILORA_OK)
        rc = pl_dataset_finish(d, err);
    if (rc == PRILORA_OK) {
        *out = d;
        d = NULL;
    }
    prilora_dataset_free(d);
    return rc;
}

enum prilora_status prilora_dataset_load(struct prilora_dataset **out, const char *path,
                                         struct prilora_error *err)
{
    struct pl_file_map map;
    enum prilora_status rc = pl_file_map(&map, path, err);

    *out = NULL;
    if (rc != PRILORA_OK)
        return rc;
    rc = pl_dataset_decode(out, map.data, map.size, true, path, err);
    rc = pl_file_map_end(&map, rc, err);
    if (rc != PRILORA_OK) {
        prilora_dataset_free(*out);
        *out = NULL;
    }
    return rc;
}
