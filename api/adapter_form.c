/*
 * adapter_form.c - see adapter_form.h. The bytes are computed while they are sent; their entity tag
 * is of what they follow from, so a range is answered without computing what is before it.
 */
#include "api/adapter_form.h"

#include <stdio.h>
#include <string.h>

#include "api/adapter_files.h"
#include "api/content.h"
#include "api/respond.h"
#include "api/tar.h"
#include "daemon/error.h"

static bool read_word(struct request *r, const char *name, const char *const *words, int *out)
{
    const char *value = query_get(&r->query, name);

    *out = 0;
    for (int i = 0; value && words[i]; i++) {
        if (strcmp(words[i], value) == 0) {
            *out = i + 1;
            return true;
        }
    }
    if (!value)
        return true;
    respond_error(r, 400, "invalid_value", name, "%s: \"%.60s\", but must be %s%s%s", name, value,
                  words[0], words[1] ? " or " : "", words[1] ? words[1] : "");
    return false;
}

bool adapter_form_read(struct request *r, enum adapter_form *out)
{
    static const char *const truths[] = {"true", "false", NULL}, *const ranks[] = {"uniform", NULL};
    int merged, rank;

    if (!read_word(r, "merged", truths, &merged) || !read_word(r, "rank", ranks, &rank))
        return false;
    if (merged == 1 && rank == 1) {
        respond_error(r, 400, "invalid_value", "rank",
                      "rank: a merged model has no ranks; ask for merged or for rank");
        return false;
    }
    *out = merged == 1 ? ADAPTER_MERGED : rank == 1 ? ADAPTER_UNIFORM : ADAPTER_AS_IT_IS;
    return true;
}

/* The form keeps its own reference to the base. */
static enum prilora_status open_merged(struct request *r, const struct job *job, const char *folder,
                                       struct prilora_form **out, struct prilora_error *err)
{
    struct models *models = r->api->models;
    struct prilora_base *base = NULL;
    struct model_entry entry;
    enum prilora_status rc = models_find(models, job->model, &entry, err);

    if (rc == PRILORA_OK)
        rc = models_acquire(models, job->model, &base, err);
    if (rc == PRILORA_OK)
        rc = prilora_form_merged(out, base, entry.folder, folder, err);
    models_release(models, base);
    model_entry_clear(&entry);
    return rc;
}

static void respond_failure(struct request *r, enum adapter_form form, const struct job *job,
                            const struct prilora_error *err)
{
    bool is_base = form == ADAPTER_MERGED &&
                   (err->status == PRILORA_ENOENT || err->status == PRILORA_EMISMATCH);

    if (adapter_files_are_gone(r->api->store, job))
        respond_error(r, 404, "adapter_not_found", NULL, "job %s has no adapter any more", job->id);
    else if (is_base)
        respond_error(r, 409, "base_model_not_usable", NULL,
                      "the adapter cannot be merged into %s: %s", job->model,
                      err->status == PRILORA_ENOENT ? "it is not there any more"
                                                    : "it is not what was trained on");
    else if (err->status == PRILORA_ELIMIT)
        respond_error(r, 409, "form_not_possible", NULL, "%s", err->message);
    else
        respond_internal(r, err);
}

void adapter_form_send(struct request *r, enum adapter_form form, const struct job *job,
                       const char *folder)
{
    struct content content = {.media_type = "application/x-tar", .is_computed = true};
    const char *word = form == ADAPTER_MERGED ? "merged" : "uniform";
    struct prilora_form *opened = NULL;
    struct prilora_error err;
    struct tar *tar = NULL;
    char filename[ID_SIZE + 24];
    enum prilora_status rc = form == ADAPTER_MERGED ? open_merged(r, job, folder, &opened, &err)
                                                    : prilora_form_uniform(&opened, folder, &err);

    if (rc == PRILORA_OK) {
        rc = prilora_form_fingerprint(opened, content.sha256, &err);
        if (rc != PRILORA_OK)
            prilora_form_close(opened);
    }
    if (rc == PRILORA_OK)
        rc = tar_open_form(&tar, opened, job->id, job->finished_at, &err);
    if (rc != PRILORA_OK) {
        respond_failure(r, form, job, &err);
        return;
    }
    snprintf(filename, sizeof filename, "%s-%s.tar", job->id, word);
    content.filename = filename;
    content.size = tar_size(tar);
    respond_tar(r, &content, tar);
}
