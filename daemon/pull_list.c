/*
 * pull_list.c - the hub's listing of a model, and which of its files are needed. Names from the
 * listing are used only if they are in the tables below, or look like a shard of the weights.
 */
#include "daemon/pull_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/path.h"

#define INDEX          "model.safetensors.index.json"
#define MAX_FILE_BYTES ((uint64_t)1 << 50) /* what a listing says beyond is no size */

/* The first one that there is, is taken. */
static const char *const weights[] = {"model.safetensors", INDEX, "pytorch_model.bin"};

static const char *const others[] = {
    "spm.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
};
#define N_OF(array) (sizeof(array) / sizeof *(array))

/* ---- the listing ---- */

static bool is_hex(const char *text, size_t n)
{
    return strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

enum prilora_status pull_take_listing(struct pull *pull, const char *text,
                                      struct prilora_error *err)
{
    json_error_t problem;
    json_t *root = json_loads(text, 0, &problem);
    const char *commit = json_string_value(json_object_get(root, "sha"));
    json_t *siblings = json_object_get(root, "siblings");
    enum prilora_status rc = PRILORA_OK;

    if (!commit || !(is_hex(commit, 40) || is_hex(commit, 64)) || !json_is_array(siblings)) {
        rc = pull_fail(pull, PRILORA_EFORMAT, "hub_error", err,
                       "%s: the answer about %s is not a hub's listing: \"sha\" and \"siblings\" "
                       "are missing",
                       pull->request->endpoint, pull->request->model);
    } else {
        snprintf(pull->result->commit, sizeof pull->result->commit, "%s", commit);
        pull->siblings = json_incref(siblings);
    }
    json_decref(root);
    return rc;
}

enum prilora_status pull_list(struct pull *pull, struct prilora_error *err)
{
    const struct pull_request *request = pull->request;
    char *revision = curl_easy_escape(pull->curl, request->revision, 0); /* its '/' too */
    size_t n = strlen(request->endpoint);
    char *url, *text = NULL;
    enum prilora_status rc;

    n -= n && request->endpoint[n - 1] == '/';
    url = revision ? text_format("%.*s/api/models/%s/revision/%s?blobs=true", (int)n,
                                 request->endpoint, request->model, revision)
                   : NULL;
    rc = url ? pull_fetch_text(pull, url, &text, err) : error_memory(err);
    if (rc == PRILORA_OK)
        rc = pull_take_listing(pull, text, err);
    free(text);
    free(url);
    curl_free(revision);
    return rc;
}

/* ---- what is needed ---- */

static const json_t *find_sibling(const struct pull *pull, const char *name)
{
    size_t i;
    json_t *sibling;

    json_array_foreach (pull->siblings, i, sibling) {
        const char *found = json_string_value(json_object_get(sibling, "rfilename"));

        if (found && strcmp(found, name) == 0)
            return sibling;
    }
    return NULL;
}

static uint64_t size_of(const json_t *object)
{
    json_int_t size = json_integer_value(json_object_get(object, "size"));

    return size > 0 && (uint64_t)size < MAX_FILE_BYTES ? (uint64_t)size : 0;
}

/* Large files have a SHA-256 (and as git blob only a note of it), small ones are git blobs. */
static enum prilora_status add(struct pull *pull, const json_t *sibling, const char *name,
                               struct prilora_error *err)
{
    const json_t *lfs = json_object_get(sibling, "lfs");
    const char *sha256 = json_string_value(json_object_get(lfs, "sha256"));
    const char *blob = json_string_value(json_object_get(sibling, "blobId"));
    struct pull_file *file = &pull->files[pull->n_files];

    if (pull->n_files == PULL_MAX_FILES)
        return pull_fail(pull, PRILORA_ELIMIT, "too_large", err, "%s has more than %d files",
                         pull->request->model, PULL_MAX_FILES);
    *file = (struct pull_file){.total_bytes = size_of(sibling)};
    snprintf(file->name, sizeof file->name, "%s", name);
    if (size_of(lfs))
        file->total_bytes = size_of(lfs);
    if (sha256 && is_hex(sha256, 64))
        snprintf(file->sha256, sizeof file->sha256, "%s", sha256);
    else if (!lfs && blob && is_hex(blob, 40))
        snprintf(file->blob, sizeof file->blob, "%s", blob);
    pull->n_files++;
    return PRILORA_OK;
}

struct pull_file *pull_find(struct pull *pull, const char *name)
{
    for (size_t i = 0; i < pull->n_files; i++)
        if (strcmp(pull->files[i].name, name) == 0)
            return &pull->files[i];
    return NULL;
}

static enum prilora_status add_weights(struct pull *pull, struct prilora_error *err)
{
    for (size_t i = 0; i < N_OF(weights); i++) {
        const json_t *sibling = find_sibling(pull, weights[i]);

        if (sibling)
            return add(pull, sibling, weights[i], err);
    }
    return pull_fail(pull, PRILORA_EUNSUPPORTED, "unsupported_model", err,
                     "%s at %s has no weights that prilorad reads: no model.safetensors, no " INDEX
                     " and no pytorch_model.bin",
                     pull->request->model, pull->request->revision);
}

enum prilora_status pull_choose(struct pull *pull, struct prilora_error *err)
{
    const json_t *config = find_sibling(pull, "config.json");
    enum prilora_status rc;

    if (!config)
        return pull_fail(pull, PRILORA_EUNSUPPORTED, "unsupported_model", err,
                         "%s at %s has no config.json", pull->request->model,
                         pull->request->revision);
    rc = add(pull, config, "config.json", err);
    for (size_t i = 0; i < N_OF(others) && rc == PRILORA_OK; i++) {
        const json_t *sibling = find_sibling(pull, others[i]);

        if (sibling)
            rc = add(pull, sibling, others[i], err);
    }
    return rc == PRILORA_OK ? add_weights(pull, err) : rc;
}

/* ---- shards ---- */

static bool is_shard_name(const char *name)
{
    size_t n = strlen(name);

    return n < PULL_MAX_NAME && n > 12 && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n &&
           strcmp(name + n - 12, ".safetensors") == 0;
}

static enum prilora_status add_shard(struct pull *pull, const char *name, struct prilora_error *err)
{
    const json_t *sibling;

    if (!name || !is_shard_name(name))
        return pull_fail(pull, PRILORA_EFORMAT, "unsupported_model", err,
                         INDEX ": \"%.100s\" cannot be the name of a file of weights",
                         name ? name : "(no text)");
    if (pull_find(pull, name))
        return PRILORA_OK;
    sibling = find_sibling(pull, name);
    if (!sibling)
        return pull_fail(pull, PRILORA_EFORMAT, "unsupported_model", err,
                         INDEX ": names %s, which %s does not have", name, pull->request->model);
    return add(pull, sibling, name, err);
}

enum prilora_status pull_choose_shards(struct pull *pull, const char *folder,
                                       struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    char *path;
    json_t *root, *map, *name;
    const char *tensor;
    int fd;

    if (!pull_find(pull, INDEX))
        return PRILORA_OK;
    path = text_format("%s/" INDEX, folder);
    fd = path ? path_open_regular(path) : -1;
    root = fd >= 0 ? json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL) : NULL;
    map = json_object_get(root, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0)
        rc = pull_fail(pull, PRILORA_EFORMAT, "unsupported_model", err,
                       INDEX ": has no \"weight_map\"");
    json_object_foreach (map, tensor, name) {
        if (rc == PRILORA_OK)
            rc = add_shard(pull, json_string_value(name), err);
    }
    json_decref(root);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}
