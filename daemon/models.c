/*
 * models.c - see models.h.
 *
 * An open base belongs to an id and to the files as they were (device, inode and time of
 * config.json; weights that were not written to since): a model that is replaced on disk is opened
 * anew for the next job, and the old one goes with its last holder. The mutex is never held while a
 * base is opened: the entry is in the list as `opening` meanwhile, and whoever wants the same one
 * waits for it.
 */
#include "daemon/models.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/error.h"
#include "daemon/json_memory.h"
#include "daemon/log.h"
#include "daemon/model_id.h"
#include "daemon/models_scan.h"

#define IDLE_S 60

struct identity {
    dev_t device;
    ino_t inode;
    struct timespec modified;
};

struct open_base {
    char *id;
    struct identity identity;
    struct prilora_base *base; /* NULL while opening */
    bool opening;
    size_t holders;
    time_t idle_since;
    struct open_base *next;
};

struct models {
    char **dirs;
    bool *warned; /* [n_dirs] that the folder cannot be read */
    size_t n_dirs;
    pthread_mutex_t mutex; /* guards the rest, and `warned` */
    pthread_cond_t opened;
    struct open_base *bases;
};

/* ---- making ---- */

static enum prilora_status split_dirs(struct models *models, const char *dirs,
                                      struct prilora_error *err)
{
    size_t room = 1;

    for (const char *c = dirs; *c; c++)
        room += *c == ':';
    models->dirs = calloc(room, sizeof *models->dirs);
    models->warned = calloc(room, sizeof *models->warned);
    if (!models->dirs || !models->warned)
        return error_memory(err);
    for (const char *start = dirs; *start;) {
        size_t n = strcspn(start, ":");

        if (n) {
            models->dirs[models->n_dirs] = strndup(start, n);
            if (!models->dirs[models->n_dirs])
                return error_memory(err);
            models->n_dirs++;
        }
        start += n + (start[n] == ':');
    }
    return PRILORA_OK;
}

enum prilora_status models_new(struct models **out, const char *dirs, struct prilora_error *err)
{
    enum prilora_status rc;
    struct models *models = calloc(1, sizeof *models);

    *out = NULL;
    if (!models)
        return error_memory(err);
    pthread_mutex_init(&models->mutex, NULL);
    pthread_cond_init(&models->opened, NULL);
    rc = split_dirs(models, dirs, err);
    if (rc == PRILORA_OK)
        *out = models;
    else
        models_free(models);
    return rc;
}

static void base_free(struct open_base *base)
{
    prilora_base_close(base->base);
    free(base->id);
    free(base);
}

void models_free(struct models *models)
{
    if (!models)
        return;
    while (models->bases) {
        struct open_base *base = models->bases;

        models->bases = base->next;
        base_free(base);
    }
    for (size_t i = 0; i < models->n_dirs; i++)
        free(models->dirs[i]);
    free(models->dirs);
    free(models->warned);
    pthread_cond_destroy(&models->opened);
    pthread_mutex_destroy(&models->mutex);
    free(models);
}

/* ---- what is on disk ---- */

void model_entry_clear(struct model_entry *entry)
{
    free(entry->id);
    free(entry->folder);
    *entry = (struct model_entry){0};
}

void models_free_list(struct model_entry *entries, size_t n)
{
    for (size_t i = 0; entries && i < n; i++)
        model_entry_clear(&entries[i]);
    free(entries);
}

/* Once, until it can be read again. */
static void warn_of_folder(struct models *models, size_t i, bool readable)
{
    bool was;

    pthread_mutex_lock(&models->mutex);
    was = models->warned[i];
    models->warned[i] = !readable;
    pthread_mutex_unlock(&models->mutex);
    if (!readable && !was)
        log_warn("models", "%s: cannot read this folder of base models", models->dirs[i]);
}

static int compare_entries(const void *a, const void *b)
{
    const struct model_entry *x = a, *y = b;

    return strcmp(x->id, y->id);
}

enum prilora_status models_list(struct models *models, struct model_entry **out, size_t *n,
                                struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    *out = NULL;
    *n = 0;
    for (size_t i = 0; i < models->n_dirs && rc == PRILORA_OK; i++) {
        bool readable = false;

        rc = models_scan(models->dirs[i], out, n, &readable, err);
        warn_of_folder(models, i, readable);
    }
    if (rc != PRILORA_OK) {
        models_free_list(*out, *n);
        *out = NULL;
        *n = 0;
    } else if (*n) {
        qsort(*out, *n, sizeof **out, compare_entries);
    }
    return rc;
}

static enum prilora_status not_found(const struct models *models, const char *id,
                                     struct prilora_error *err)
{
    char dirs[320] = "";

    for (size_t i = 0; i < models->n_dirs; i++) {
        size_t used = strlen(dirs);

        snprintf(dirs + used, sizeof dirs - used, "%s%s", i ? ", " : "", models->dirs[i]);
    }
    return error_set(err, PRILORA_ENOENT, "no base model \"%.150s\" in %s", id,
                     models->n_dirs ? dirs : "no folder: models_dirs is empty");
}

enum prilora_status models_find(struct models *models, const char *id, struct model_entry *out,
                                struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_ENOENT;

    *out = (struct model_entry){0};
    for (size_t i = 0; rc == PRILORA_ENOENT && model_id_is_safe(id) && i < models->n_dirs; i++)
        rc = models_look(models->dirs[i], id, out, err);
    return rc == PRILORA_ENOENT ? not_found(models, id, err) : rc;
}

/* ---- open ones ---- */

static enum prilora_status identify(const struct model_entry *entry, struct identity *out,
                                    struct prilora_error *err)
{
    struct stat st;
    char *config = text_format("%s/config.json", entry->folder);
    enum prilora_status rc = PRILORA_OK;

    if (!config)
        return error_memory(err);
    if (stat(config, &st) != 0)
        rc = error_errno(err, config, "look at it");
    else
        *out = (struct identity){st.st_dev, st.st_ino, st.st_mtim};
    free(config);
    return rc;
}

static bool is_same(const struct identity *a, const struct identity *b)
{
    return a->device == b->device && a->inode == b->inode &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

static bool is_intact(const struct open_base *base)
{
    return !base->base || prilora_base_check(base->base, NULL) == PRILORA_OK;
}

static struct open_base *find(struct models *models, const char *id,
                              const struct identity *identity)
{
    struct open_base *base = models->bases;

    while (base &&
           (strcmp(base->id, id) != 0 || !is_same(&base->identity, identity) || !is_intact(base)))
        base = base->next;
    return base;
}

static void take_out(struct models *models, struct open_base *base)
{
    struct open_base **at = &models->bases;

    while (*at != base)
        at = &(*at)->next;
    *at = base->next;
}

/* A new entry, `opening`, with one holder; called with the mutex held. */
static struct open_base *add(struct models *models, const char *id, const struct identity *identity)
{
    struct open_base *base = calloc(1, sizeof *base);

    if (base)
        base->id = strdup(id);
    if (!base || !base->id) {
        free(base);
        return NULL;
    }
    base->identity = *identity;
    base->opening = true;
    base->holders = 1;
    base->next = models->bases;
    models->bases = base;
    return base;
}

static enum prilora_status open_now(struct models *models, struct open_base *base,
                                    const char *folder, struct prilora_error *err)
{
    struct prilora_base *opened;
    unsigned long before = json_memory_refusals();
    enum prilora_status rc = prilora_base_open(&opened, folder, err);

    if (json_memory_refusals() != before) { /* its configuration may say something else */
        prilora_base_close(opened);
        rc = error_memory(err);
    }

    pthread_mutex_lock(&models->mutex);
    base->opening = false;
    base->base = rc == PRILORA_OK ? opened : NULL;
    if (rc != PRILORA_OK)
        take_out(models, base);
    pthread_cond_broadcast(&models->opened);
    pthread_mutex_unlock(&models->mutex);
    if (rc != PRILORA_OK)
        base_free(base);
    return rc;
}

static enum prilora_status acquire(struct models *models, const struct model_entry *entry,
                                   const struct identity *identity, struct prilora_base **out,
                                   struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct open_base *base;
    bool fresh;

    pthread_mutex_lock(&models->mutex);
    /* Who waited looks again: the entry may be gone because its opening failed. */
    while ((base = find(models, entry->id, identity)) && base->opening)
        pthread_cond_wait(&models->opened, &models->mutex);
    fresh = !base;
    if (fresh)
        base = add(models, entry->id, identity);
    else
        base->holders++;
    pthread_mutex_unlock(&models->mutex);
    if (!base)
        return error_memory(err);
    if (fresh)
        rc = open_now(models, base, entry->folder, err);
    if (rc == PRILORA_OK)
        *out = base->base;
    return rc;
}

enum prilora_status models_acquire(struct models *models, const char *id, struct prilora_base **out,
                                   struct prilora_error *err)
{
    struct model_entry entry;
    struct identity identity;
    enum prilora_status rc;

    *out = NULL;
    rc = models_find(models, id, &entry, err);
    if (rc == PRILORA_OK)
        rc = identify(&entry, &identity, err);
    if (rc == PRILORA_OK)
        rc = acquire(models, &entry, &identity, out, err);
    model_entry_clear(&entry);
    models_trim(models, IDLE_S);
    return rc;
}

void models_release(struct models *models, struct prilora_base *base)
{
    struct open_base *at;

    if (!base)
        return;
    pthread_mutex_lock(&models->mutex);
    for (at = models->bases; at && at->base != base; at = at->next)
        ;
    if (at && at->holders > 0 && --at->holders == 0)
        at->idle_since = (time_t)clock_seconds();
    pthread_mutex_unlock(&models->mutex);
    models_trim(models, IDLE_S);
}

void models_trim(struct models *models, long idle_s)
{
    struct open_base *idle = NULL, **at;

    pthread_mutex_lock(&models->mutex);
    for (at = &models->bases; *at;) {
        struct open_base *base = *at;

        if (base->holders || (time_t)clock_seconds() - base->idle_since < idle_s) {
            at = &base->next;
        } else {
            *at = base->next;
            base->next = idle;
            idle = base;
        }
    }
    pthread_mutex_unlock(&models->mutex);
    while (idle) { /* closing can take a while: unmapping gigabytes */
        struct open_base *base = idle;

        idle = base->next;
        base_free(base);
    }
}
