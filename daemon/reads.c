/* reads.c - see reads.h. */
#include "daemon/reads.h"

#include <jansson.h>
#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/json_memory.h"
#include "daemon/log.h"
#include "daemon/path.h"

static char *folder(struct store *store)
{
    return text_format("%s/reads", store_folder(store));
}

static char *place(struct store *store, const char *key)
{
    return text_format("%s/reads/%s", store_folder(store), key);
}

/* ---- keys ---- */

/* Each part with its end, so that no two lists of parts are the same bytes. */
static void add(struct sha256_ctx *digest, const char *part)
{
    sha256_update(digest, strlen(part) + 1, (const uint8_t *)part);
}

/* The task as JSON, whatever members it has. */
static char *task_text(const struct prilora_spec *spec)
{
    char *text = prilora_spec_dump(spec);
    json_t *object = text ? json_loads(text, 0, NULL) : NULL;
    json_t *task = json_object_get(object, "task");
    char *out =
        task ? json_whole_text(task, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;

    json_decref(object);
    free(text);
    return out;
}

enum prilora_status reads_key(char key[READS_KEY_SIZE], const struct reading *r,
                              struct prilora_error *err)
{
    struct prilora_base_info base;
    struct prilora_dataset_info train = {0};
    struct sha256_ctx digest;
    uint8_t bytes[SHA256_DIGEST_SIZE];
    const char *ending = strrchr(r->file->filename, '.');
    char *task = task_text(r->spec);
    char length[24];

    if (!task)
        return error_memory(err);
    prilora_base_describe(r->base, &base);
    if (r->train)
        prilora_dataset_describe(r->train, &train);
    snprintf(length, sizeof length, "%ld", r->spec->max_length);
    sha256_init(&digest);
    add(&digest, PRILORA_VERSION);
    add(&digest, base.fingerprint);
    add(&digest, r->file->sha256);
    add(&digest, ending ? ending : "");
    add(&digest, task);
    add(&digest, length);
    add(&digest, train.fingerprint);
    sha256_digest(&digest, sizeof bytes, bytes);
    base16_encode_update(key, sizeof bytes, bytes);
    key[READS_KEY_SIZE - 1] = '\0';
    free(task);
    return PRILORA_OK;
}

/* ---- what is kept ---- */

enum prilora_status reads_find(struct store *store, const char *key, struct prilora_dataset **out,
                               struct prilora_error *err)
{
    char *path = place(store, key);
    enum prilora_status rc = path ? prilora_dataset_load(out, path, err) : error_memory(err);

    free(path);
    return rc;
}

enum prilora_status reads_keep(struct store *store, const char *key,
                               const struct prilora_dataset *data, struct prilora_error *err)
{
    char *path = place(store, key);
    enum prilora_status rc = path ? prilora_dataset_save(data, path, err) : error_memory(err);

    free(path);
    return rc;
}

enum prilora_status reads_link(struct store *store, const char *key, const char *path,
                               struct prilora_error *err)
{
    char *kept = place(store, key), *above = strdup(path), *slash;
    enum prilora_status rc = kept && above ? PRILORA_OK : error_memory(err);

    if (rc == PRILORA_OK && link(kept, path) != 0)
        rc = error_errno(err, kept, "link");
    slash = rc == PRILORA_OK ? strrchr(above, '/') : NULL;
    if (slash) {
        *slash = '\0';
        rc = path_sync_folder(above, err);
    }
    free(above);
    free(kept);
    return rc;
}

/* ---- what goes ---- */

static enum prilora_status is_wanted(struct store *store, bool *wanted, struct prilora_error *err)
{
    sqlite3_stmt *s = store_query(store, err,
                                  "SELECT 1 FROM jobs WHERE status = 'validating_files' AND "
                                  "experiment_id IS NOT NULL LIMIT 1",
                                  "");
    enum prilora_status rc;

    if (!s)
        return err->status;
    rc = store_step(store, s, wanted, "look for jobs to be validated", err);
    sqlite3_reset(s);
    return rc;
}

void reads_trim(struct store *store)
{
    struct prilora_error err;
    bool wanted = true;
    char *path = folder(store);
    enum prilora_status rc = path ? is_wanted(store, &wanted, &err) : error_memory(&err);

    if (rc == PRILORA_OK && !wanted)
        rc = path_empty(path, NULL, &err);
    if (rc != PRILORA_OK)
        log_warn("worker", "%s", err.message);
    free(path);
}

enum prilora_status reads_sweep(struct store *store, struct sweep *sweep, struct prilora_error *err)
{
    bool wanted = true;
    char *path = folder(store);
    enum prilora_status rc = path ? is_wanted(store, &wanted, err) : error_memory(err);
    int64_t bytes = rc == PRILORA_OK && !wanted ? (int64_t)path_folder_bytes(path) : 0;

    if (bytes > 0 && !sweep->is_dry)
        rc = path_empty(path, NULL, err);
    if (bytes > 0 && rc == PRILORA_OK)
        sweep_tell(sweep, "tokens", "reads", "no job of an experiment is to be validated", bytes);
    free(path);
    return rc;
}
