/*
 * targets.c - see targets.h. Patterns come from strangers: PCRE2 runs them without its compiler
 * and with its counters set, so that a pattern can be wrong but not slow.
 */
#include "adapter/targets.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/ranks.h"
#include "base/memory.h"

#define MATCH_LIMIT 100000 /* steps; whole paths are below 200 bytes */
#define DEPTH_LIMIT 1000
#define HEAP_LIMIT  1024 /* KiB */

struct pl_targets {
    const struct prilora_spec *spec;
    pcre2_code *code; /* NULL unless the targets are a pattern */
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static enum prilora_status compile(struct pl_targets *targets, const char *where,
                                   struct prilora_error *err)
{
    const char *pattern = targets->spec->targets[0];
    size_t length = strlen(pattern), at;
    int code;

    if (length > PL_TARGETS_MAX_PATTERN)
        return pl_fail_at(err, PRILORA_EINVAL, where,
                          "target_modules: a pattern of %zu bytes, but at most %d are read", length,
                          PL_TARGETS_MAX_PATTERN);
    targets->code =
        pcre2_compile((PCRE2_SPTR)pattern, length,
                      PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
    if (!targets->code) {
        PCRE2_UCHAR reason[128] = "";

        pcre2_get_error_message(code, reason, sizeof reason);
        return pl_fail_at(err, PRILORA_EINVAL, where,
                          "target_modules: \"%.200s\" is not a regular expression: %s at byte %zu",
                          pattern, (const char *)reason, at);
    }
    targets->data = pcre2_match_data_create(1, NULL);
    targets->limits = pcre2_match_context_create(NULL);
    if (!targets->data || !targets->limits)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for target_modules");
    pcre2_set_match_limit(targets->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(targets->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(targets->limits, HEAP_LIMIT);
    return PRILORA_OK;
}

enum prilora_status pl_targets_new(struct pl_targets **out, const struct prilora_spec *spec,
                                   struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct pl_targets *targets = pl_calloc(1, sizeof *targets);
    char where[PL_WHERE_SIZE];

    *out = NULL;
    if (!targets)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for target_modules");
    targets->spec = spec;
    if (spec->targets_are_pattern && spec->n_targets)
        rc = compile(targets, pl_spec_where(where, spec, "target_modules"), err);
    if (rc != PRILORA_OK) {
        pl_targets_free(targets);
        return rc;
    }
    *out = targets;
    return PRILORA_OK;
}

void pl_targets_free(struct pl_targets *targets)
{
    if (!targets)
        return;
    pcre2_code_free(targets->code);
    pcre2_match_data_free(targets->data);
    pcre2_match_context_free(targets->limits);
    free(targets);
}

static bool is_suffix(const char *path, const char *entry)
{
    size_t length = strlen(path), tail = strlen(entry);

    if (tail > length || strcmp(path + length - tail, entry) != 0)
        return false;
    return tail == length || path[length - tail - 1] == '.';
}

enum prilora_status pl_targets_match(const struct pl_targets *targets, const char *path,
                                     bool *matches, struct prilora_error *err)
{
    const struct prilora_spec *spec = targets->spec;
    char where[PL_WHERE_SIZE];
    int code;

    *matches = spec->n_targets == 0;
    for (size_t i = 0; !targets->code && !*matches && i < spec->n_targets; i++)
        *matches = is_suffix(path, spec->targets[i]);
    if (!targets->code)
        return PRILORA_OK;
    code = pcre2_match(targets->code, (PCRE2_SPTR)path, strlen(path), 0, 0, targets->data,
                       targets->limits);
    *matches = code >= 0;
    if (code >= 0 || code == PCRE2_ERROR_NOMATCH)
        return PRILORA_OK;
    return pl_fail_at(err, PRILORA_EINVAL, pl_spec_where(where, spec, "target_modules"),
                      "target_modules: \"%.200s\" needs too many steps to match \"%s\"",
                      spec->targets[0], path);
}
