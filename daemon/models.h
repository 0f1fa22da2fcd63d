/*
 * models.h - base models found in the configured folders, and the shared open ones.
 *
 * A base model is a folder with a config.json, directly in one of models_dirs ("mini") or one level
 * deeper ("microsoft/deberta-v3-base"). Its id is that relative path.
 */
#ifndef MODELS_H
#define MODELS_H

#include <stdint.h>

#include "prilora.h"

struct models;

struct model_entry {
    char *id, *folder;
    int64_t created; /* modification time of config.json */
};

/* dirs: ':' between. A folder that does not exist is warned of and looked at again later. */
enum prilora_status models_new(struct models **out, const char *dirs, struct prilora_error *err);
void models_free(struct models *models);

/* What is there now. Free with models_free_list. */
enum prilora_status models_list(struct models *models, struct model_entry **out, size_t *n,
                                struct prilora_error *err);
void models_free_list(struct model_entry *entries, size_t n);
/* ENOENT names the id and the folders looked in. Ids with "..", empty parts or a leading '/' never
 * match. */
enum prilora_status models_find(struct models *models, const char *id, struct model_entry *out,
                                struct prilora_error *err);
void model_entry_clear(struct model_entry *entry);

/*
 * models_acquire - the open base: one copy per id however many hold it, kept open a while after the
 * last release. Release with models_release.
 */
enum prilora_status models_acquire(struct models *models, const char *id, struct prilora_base **out,
                                   struct prilora_error *err);
void models_release(struct models *models, struct prilora_base *base);
/* Closes bases that nobody has held for `idle_s` seconds (0: all that nobody holds). */
void models_trim(struct models *models, long idle_s);

#endif
