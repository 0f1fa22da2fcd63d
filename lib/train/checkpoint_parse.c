/* checkpoint_parse.c - a checkpoint's bytes, checked once: every count by subtraction from what is
 * left. */
#include <math.h>
#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "train/checkpoint.h"
#include "train/checkpoint_format.h"

struct cursor {
    const unsigned char *at;
    size_t left;
    const char *path;
    struct prilora_error *err;
};

/* `n` items of `size` bytes from the cursor into *out (a pointer into the file). */
static enum prilora_status take(struct cursor *c, const unsigned char **out, uint64_t n,
                                size_t size, const char *what)
{
    if (n > c->left / size)
        return pl_fail(c->err, PRILORA_EFORMAT,
                       "%s: %llu items of %zu bytes for %s, but %zu bytes are left", c->path,
                       (unsigned long long)n, size, what, c->left);
    *out = c->at;
    c->at += n * size;
    c->left -= n * size;
    return PRILORA_OK;
}

static enum prilora_status take_copy(struct cursor *c, void *out, size_t size, const char *what)
{
    const unsigned char *from = NULL;
    enum prilora_status rc = take(c, &from, 1, size, what);

    if (rc == PRILORA_OK)
        memcpy(out, from, size);
    return rc;
}

static enum prilora_status check_digest(struct cursor *c)
{
    struct pl_digest digest;
    char hex[PL_DIGEST_SIZE];

    if (c->left < PL_FINGERPRINT_SIZE)
        return pl_fail(c->err, PRILORA_EFORMAT, "%s: %zu bytes are no checkpoint", c->path,
                       c->left);
    c->left -= PL_FINGERPRINT_SIZE;
    pl_digest_init(&digest);
    pl_digest_add(&digest, c->at, c->left);
    pl_digest_hex(&digest, hex);
    if (memcmp(hex, c->at + c->left, PL_FINGERPRINT_SIZE) != 0)
        return pl_fail(c->err, PRILORA_EFORMAT, "%s: damaged: its SHA-256 is %.12s, not %.12s",
                       c->path, hex, (const char *)c->at + c->left);
    return PRILORA_OK;
}

static enum prilora_status take_head(struct cursor *c, struct pl_checkpoint *out)
{
    static const char none[PL_FINGERPRINT_SIZE];
    struct pl_checkpoint_head head;
    const unsigned char *from = NULL;
    uint64_t spec_size;
    enum prilora_status rc = take_copy(c, &head, sizeof head, "the head");

    if (rc != PRILORA_OK)
        return rc;
    if (memcmp(head.magic, PL_CHECKPOINT_MAGIC, sizeof head.magic) != 0)
        return pl_fail(c->err, PRILORA_EFORMAT, "%s: not a checkpoint", c->path);
    if (head.version < PL_CHECKPOINT_OLDEST || head.version > PL_CHECKPOINT_VERSION ||
        head.number_size != sizeof(pl_real))
        return pl_fail(c->err, PRILORA_EUNSUPPORTED,
                       "%s: version %u with numbers of %u bytes, but this is version %d with %zu",
                       c->path, head.version, head.number_size, PL_CHECKPOINT_VERSION,
                       sizeof(pl_real));
    out->fingerprints[3] = none;
    for (int i = 0; i < (head.version == 1 ? 3 : 4); i++) {
        rc = take(c, &from, 1, PL_FINGERPRINT_SIZE, "fingerprints");
        if (rc != PRILORA_OK)
            return rc;
        out->fingerprints[i] = (const char *)from;
    }
    rc = take_copy(c, &spec_size, sizeof spec_size, "the specification's size");
    if (rc != PRILORA_OK)
        return rc;
    if (spec_size > PL_CHECKPOINT_MAX_SPEC)
        return pl_fail(c->err, PRILORA_EFORMAT, "%s: a specification of %llu bytes", c->path,
                       (unsigned long long)spec_size);
    rc = take(c, &from, spec_size, 1, "the specification");
    out->spec = (const char *)from;
    out->spec_size = (size_t)spec_size;
    return rc;
}

static enum prilora_status check_state(const struct cursor *c, const struct pl_state *s,
                                       uint64_t n_updates)
{
    if (s->n_updates <= s->step && n_updates == s->n_updates && s->evaluated_step <= s->step &&
        s->best_step <= s->step && s->n_bad <= s->step && s->n_stale <= s->step &&
        s->has_best <= 1 && !isnan(s->best_metric))
        return PRILORA_OK;
    return pl_fail(c->err, PRILORA_EFORMAT, "%s: its counters contradict each other at step %llu",
                   c->path, (unsigned long long)s->step);
}

static enum prilora_status check_mask(const struct cursor *c, const unsigned char *mask, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        if (mask[i] > 1)
            return pl_fail(c->err, PRILORA_EFORMAT, "%s: mark %llu of the pruned entries is %u",
                           c->path, (unsigned long long)i, mask[i]);
    }
    return PRILORA_OK;
}

enum prilora_status pl_checkpoint_parse(struct pl_checkpoint *out, const unsigned char *data,
                                        size_t size, const char *path, struct prilora_error *err)
{
    static const char *const names[4] = {"parameters", "first moments", "second moments",
                                         "best parameters"};
    struct cursor c = {data, size, path, err};
    uint64_t *const counts[] = {&out->n_block, &out->n_mask, &out->n_stats, &out->n_maps};
    enum prilora_status rc = check_digest(&c);

    if (rc == PRILORA_OK)
        rc = take_head(&c, out);
    for (size_t i = 0; rc == PRILORA_OK && i < 4; i++)
        rc = take_copy(&c, counts[i], sizeof *counts[i], "counts");
    if (rc == PRILORA_OK)
        rc = take_copy(&c, &out->state, sizeof out->state, "the state");
    if (rc == PRILORA_OK)
        rc = take_copy(&c, &out->n_updates, sizeof out->n_updates, "the statistics' age");
    if (rc == PRILORA_OK)
        rc = check_state(&c, &out->state, out->n_updates);
    for (size_t i = 0; rc == PRILORA_OK && i < 4; i++)
        rc = take(&c, &out->blocks[i], out->n_block, sizeof(pl_real), names[i]);
    if (rc == PRILORA_OK)
        rc = take(&c, &out->stats, out->n_stats, sizeof(pl_real), "input statistics");
    if (rc == PRILORA_OK)
        rc = take(&c, &out->mask, out->n_mask, 1, "pruned entries");
    if (rc == PRILORA_OK)
        rc = take(&c, &out->maps, out->n_maps, sizeof(struct pl_pruned), "prunings");
    if (rc == PRILORA_OK && c.left)
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: %zu bytes too many", path, c.left);
    return rc == PRILORA_OK ? check_mask(&c, out->mask, out->n_mask) : rc;
}
