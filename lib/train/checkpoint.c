/* checkpoint.c - writing a checkpoint, and a run taking one up again. */
#include "train/checkpoint.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/digest.h"
#include "base/file.h"
#include "train/checkpoint_format.h"

/* ---- writing ----------------------------------------------------------------------------------
 */

struct writer {
    FILE *file;
    struct pl_digest digest;
    int failed; /* errno of the first write that did */
};

static void put(struct writer *w, const void *data, size_t size)
{
    if (size && fwrite(data, 1, size, w->file) != size)
        w->failed = w->failed ? w->failed : errno;
    pl_digest_add(&w->digest, data, size);
}

static void put_number(struct writer *w, uint64_t number)
{
    put(w, &number, sizeof number);
}

static void put_fingerprint(struct writer *w, const char *fingerprint)
{
    static const char none[PL_FINGERPRINT_SIZE];

    put(w, fingerprint ? fingerprint : none, PL_FINGERPRINT_SIZE);
}

static void put_head(struct writer *w, const struct prilora_run *run)
{
    struct pl_checkpoint_head head = {
        .magic = PL_CHECKPOINT_MAGIC,
        .version = PL_CHECKPOINT_VERSION,
        .number_size = sizeof(pl_real),
    };

    put(w, &head, sizeof head);
    put_fingerprint(w, run->base->fingerprint);
    put_fingerprint(w, run->train->fingerprint);
    put_fingerprint(w, run->valid ? run->valid->fingerprint : NULL);
    put_fingerprint(w, run->start[0] ? run->start : NULL);
    put_number(w, strlen(run->spec_text));
    put(w, run->spec_text, strlen(run->spec_text));
}

static enum prilora_status write_all(FILE *file, void *context, struct prilora_error *err)
{
    const struct prilora_run *run = context;
    const struct pl_pruner *pruner = run->pruner;
    const pl_real *blocks[4] = {run->params, run->m, run->v, run->best};
    size_t size = run->engine->layout->size;
    struct writer w = {.file = file};
    char digest[PL_DIGEST_SIZE];

    pl_digest_init(&w.digest);
    put_head(&w, run);
    put_number(&w, size);
    put_number(&w, pruner->n_prunable);
    put_number(&w, pruner->n_stats);
    put_number(&w, pruner->adapter->n_maps);
    put(&w, &run->state, sizeof run->state);
    put_number(&w, pruner->n_updates);
    for (int i = 0; i < 4; i++)
        put(&w, blocks[i], size * sizeof(pl_real));
    put(&w, pruner->stats, pruner->n_stats * sizeof(pl_real));
    put(&w, pruner->mask, pruner->n_prunable);
    put(&w, pruner->maps, pruner->adapter->n_maps * sizeof *pruner->maps);
    pl_digest_hex(&w.digest, digest);
    if (fwrite(digest, 1, PL_FINGERPRINT_SIZE, file) == PL_FINGERPRINT_SIZE && !w.failed)
        return PRILORA_OK;
    errno = w.failed ? w.failed : errno;
    return pl_fail_errno(err, run->checkpoint, "write the checkpoint");
}

enum prilora_status pl_checkpoint_save(const struct prilora_run *run, struct prilora_error *err)
{
    return pl_file_replace(run->checkpoint, write_all, (void *)(uintptr_t)run, err);
}

/* ---- taking up --------------------------------------------------------------------------------
 */

/* Names the first setting in which two specifications differ, with both values. */
static void describe_difference(json_t *then, json_t *now, char *text, size_t room)
{
    const char *name;
    json_t *value;

    json_object_foreach (now, name, value) {
        json_t *old = json_object_get(then, name);
        char *a, *b;

        if (old && json_equal(old, value))
            continue;
        if (json_is_object(old) && json_is_object(value)) {
            describe_difference(old, value, text, room);
            return;
        }
        a = old ? pl_json_text(old, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
        b = pl_json_text(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
        snprintf(text, room, "%s was %.100s, now %.100s", name, a ? a : "absent", b ? b : "?");
        free(a);
        free(b);
        return;
    }
}

static enum prilora_status check_spec(const struct prilora_run *run, const struct pl_checkpoint *c,
                                      struct prilora_error *err)
{
    char difference[256] = "its settings";
    json_t *then, *now;

    if (c->spec_size == strlen(run->spec_text) &&
        memcmp(c->spec, run->spec_text, c->spec_size) == 0)
        return PRILORA_OK;
    then = json_loadb(c->spec, c->spec_size, JSON_REJECT_DUPLICATES, NULL);
    now = json_loads(run->spec_text, 0, NULL);
    if (then && now)
        describe_difference(then, now, difference, sizeof difference);
    json_decref(then);
    json_decref(now);
    return pl_fail(err, PRILORA_EMISMATCH, "%s: made with another specification: %s",
                   run->checkpoint, difference);
}

static enum prilora_status check_identity(const struct prilora_run *run,
                                          const struct pl_checkpoint *c, struct prilora_error *err)
{
    static const char none[PL_FINGERPRINT_SIZE];
    const struct {
        const char *what, *fingerprint;
    } parts[4] = {
        {"base model", run->base->fingerprint},
        {"training data", run->train->fingerprint},
        {"validation data", run->valid ? run->valid->fingerprint : none},
        {"adapter to start from", run->start[0] ? run->start : none},
    };

    for (int i = 0; i < 4; i++) {
        if (memcmp(c->fingerprints[i], parts[i].fingerprint, PL_FINGERPRINT_SIZE) != 0)
            return pl_fail(err, PRILORA_EMISMATCH,
                           "%s: made with another %s (fingerprint %.12s, now %.12s)",
                           run->checkpoint, parts[i].what,
                           *c->fingerprints[i] ? c->fingerprints[i] : "none",
                           *parts[i].fingerprint ? parts[i].fingerprint : "none");
    }
    return check_spec(run, c, err);
}

/* The same base, data and settings give the same counts: others mean another version of us. */
static enum prilora_status check_counts(const struct prilora_run *run,
                                        const struct pl_checkpoint *c, struct prilora_error *err)
{
    const struct {
        const char *what;
        uint64_t then, now;
    } counts[] = {
        {"trainable numbers", c->n_block, run->engine->layout->size},
        {"entries of A", c->n_mask, run->pruner->n_prunable},
        {"statistics", c->n_stats, run->pruner->n_stats},
        {"maps", c->n_maps, run->pruner->adapter->n_maps},
    };

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (counts[i].then != counts[i].now)
            return pl_fail(err, PRILORA_EMISMATCH, "%s: has %llu %s, but this run %llu",
                           run->checkpoint, (unsigned long long)counts[i].then, counts[i].what,
                           (unsigned long long)counts[i].now);
    }
    if (c->state.step > run->total_steps)
        return pl_fail(err, PRILORA_EFORMAT, "%s: made after step %llu of %llu", run->checkpoint,
                       (unsigned long long)c->state.step, (unsigned long long)run->total_steps);
    return PRILORA_OK;
}

static void take_up(struct prilora_run *run, const struct pl_checkpoint *c)
{
    struct pl_pruner *pruner = run->pruner;
    pl_real *blocks[4] = {run->params, run->m, run->v, run->best};

    for (int i = 0; i < 4; i++)
        memcpy(blocks[i], c->blocks[i], c->n_block * sizeof(pl_real));
    memcpy(pruner->stats, c->stats, c->n_stats * sizeof(pl_real));
    memcpy(pruner->mask, c->mask, c->n_mask);
    memcpy(pruner->maps, c->maps, c->n_maps * sizeof *pruner->maps);
    pruner->n_updates = c->n_updates;
    run->state = c->state;
    run->saved_step = c->state.step;
}

enum prilora_status pl_checkpoint_load(struct prilora_run *run, struct prilora_error *err)
{
    struct prilora_error reason;
    struct pl_checkpoint c;
    struct pl_file_map map;
    enum prilora_status rc;

    if (!run->checkpoint)
        return PRILORA_OK;
    rc = pl_file_map(&map, run->checkpoint, &reason);
    if (rc == PRILORA_ENOENT)
        return PRILORA_OK;
    if (rc != PRILORA_OK)
        return pl_fail(err, rc, "%s", reason.message);
    rc = pl_checkpoint_parse(&c, map.data, map.size, run->checkpoint, err);
    if (rc == PRILORA_OK)
        rc = check_identity(run, &c, err);
    if (rc == PRILORA_OK)
        rc = check_counts(run, &c, err);
    if (rc == PRILORA_OK)
        take_up(run, &c);
    return pl_file_map_end(&map, rc, err);
}
