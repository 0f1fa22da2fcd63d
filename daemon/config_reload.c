/*
 * config_reload.c - settings that change while the daemon runs; see config_now in config.h.
 *
 * Readers take no lock: what a reload replaces is neither changed nor freed before the end. That is
 * some kilobytes for every reload that changes something.
 */
#include "daemon/config_table.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"

const struct config *config_now(const struct config *first)
{
    const struct config *newer = atomic_load(&first->newer);

    return newer ? newer : first;
}

static bool is_live(const struct setting *setting, const char *before, const char *after)
{
    if (setting->change == CHANGE_WHILE_SET)
        return *before && *after;
    return setting->change == CHANGE_LIVE;
}

/* "log.level = warn (was info)", "training.workers = 2 (is 1)". */
static char *describe(const struct setting *setting, bool live, const char *before,
                      const char *after)
{
    if (setting->type == SETTING_SECRET)
        return text_format("%s.%s (not shown)", setting->section, setting->key);
    return text_format("%s.%s = %s (%s %s)", setting->section, setting->key,
                       *after ? after : "nothing", live ? "was" : "is",
                       *before ? before : "nothing");
}

static enum prilora_status compare(const struct config *new, struct config_changes *changes,
                                   const struct config *old, const struct setting *setting,
                                   struct prilora_error *err)
{
    char numbers[2][32];
    const char *before = config_value(setting, old, numbers[0], sizeof numbers[0]);
    const char *after = config_value(setting, new, numbers[1], sizeof numbers[1]);
    bool live = is_live(setting, before, after);
    char *text;

    if (strcmp(before, after) == 0)
        return PRILORA_OK;
    text = describe(setting, live, before, after);
    if (!text)
        return error_memory(err);
    if (live)
        changes->now[changes->n_now++] = text;
    else
        changes->later[changes->n_later++] = text;
    return PRILORA_OK;
}

enum prilora_status config_reload(struct config **out, struct config_changes *changes,
                                  const struct config *first, int argc, char **argv,
                                  struct prilora_error *err)
{
    struct config *new = calloc(1, sizeof *new);
    enum prilora_status rc = new ? config_read(new, argc, argv, err) : error_memory(err);

    *out = NULL;
    *changes = (struct config_changes){0};
    for (size_t i = 0; i < config_n_settings && rc == PRILORA_OK; i++)
        rc = compare(new, changes, config_now(first), &config_settings[i], err);
    if (rc == PRILORA_OK) {
        *out = new;
        return PRILORA_OK;
    }
    config_clear_changes(changes);
    config_drop(new);
    return rc;
}

enum prilora_status config_keep(struct config *new, const struct config *first,
                                struct prilora_error *err)
{
    const struct config *old = config_now(first);
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; i < config_n_settings && rc == PRILORA_OK; i++) {
        const struct setting *setting = &config_settings[i];
        char numbers[2][32];

        if (!is_live(setting, config_value(setting, old, numbers[0], sizeof numbers[0]),
                     config_value(setting, new, numbers[1], sizeof numbers[1])))
            rc = config_copy_value(setting, new, old, err);
    }
    return rc;
}

void config_take(struct config *first, struct config *newer)
{
    newer->replaced = atomic_load(&first->newer);
    atomic_store(&first->newer, newer);
}

void config_clear_changes(struct config_changes *changes)
{
    for (size_t i = 0; i < changes->n_now; i++)
        free(changes->now[i]);
    for (size_t i = 0; i < changes->n_later; i++)
        free(changes->later[i]);
    *changes = (struct config_changes){0};
}
