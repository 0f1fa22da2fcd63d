/* models_scan.c - see models_scan.h. */
#include "daemon/models_scan.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/error.h"
#include "daemon/model_id.h"

enum prilora_status models_look(const char *dir, const char *id, struct model_entry *out,
                                struct prilora_error *err)
{
    struct stat st;
    struct model_entry entry = {.id = strdup(id), .folder = text_format("%s/%s", dir, id)};
    char *config = text_format("%s/%s/config.json", dir, id);
    enum prilora_status rc = PRILORA_OK;

    *out = (struct model_entry){0};
    if (!config || !entry.id || !entry.folder)
        rc = error_memory(err);
    else if (stat(config, &st) != 0 || !S_ISREG(st.st_mode))
        rc = error_set(err, PRILORA_ENOENT, "no base model \"%s\" in %s", id, dir);
    else
        entry.created = (int64_t)st.st_mtime;
    free(config);
    if (rc == PRILORA_OK)
        *out = entry;
    else
        model_entry_clear(&entry);
    return rc;
}

static bool is_known(const struct model_entry *entries, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(entries[i].id, id) == 0)
            return true;
    return false;
}

static enum prilora_status add(struct model_entry **entries, size_t *n, struct model_entry *entry,
                               struct prilora_error *err)
{
    struct model_entry *more;

    if (is_known(*entries, *n, entry->id)) {
        model_entry_clear(entry); /* an earlier folder has it */
        return PRILORA_OK;
    }
    more = reallocarray(*entries, *n + 1, sizeof **entries);
    if (!more) {
        model_entry_clear(entry);
        return error_memory(err);
    }
    *entries = more;
    more[(*n)++] = *entry;
    return PRILORA_OK;
}

/* Models below dir/prefix (prefix "" or "owner/"); goes one level deeper from the top. */
static enum prilora_status scan(const char *dir, const char *prefix, struct model_entry **entries,
                                size_t *n, bool *readable, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct model_entry entry;
    struct dirent *item;
    char *path = text_format("%s/%s", dir, prefix);
    DIR *stream = path ? opendir(path) : NULL;

    *readable = stream != NULL;
    while (stream && rc == PRILORA_OK && (item = readdir(stream))) {
        char *id = text_format("%s%s", prefix, item->d_name);
        char *deeper = text_format("%s/", item->d_name);
        bool inner;

        if (!id || !deeper)
            rc = error_memory(err);
        else if (item->d_name[0] == '.' || !model_id_is_safe(id))
            rc = PRILORA_OK;
        else if ((rc = models_look(dir, id, &entry, err)) == PRILORA_OK)
            rc = add(entries, n, &entry, err);
        else if (rc == PRILORA_ENOENT)
            rc = *prefix ? PRILORA_OK : scan(dir, deeper, entries, n, &inner, err);
        free(id);
        free(deeper);
    }
    if (stream)
        closedir(stream);
    free(path);
    return rc;
}

enum prilora_status models_scan(const char *dir, struct model_entry **entries, size_t *n,
                                bool *readable, struct prilora_error *err)
{
    return scan(dir, "", entries, n, readable, err);
}
