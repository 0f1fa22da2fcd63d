/* pattern.c - see pattern.h. */
#include "adapter/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define MATCH_LIMIT 100000 /* steps; whole paths are below 200 bytes */
#define DEPTH_LIMIT 1000
#define HEAP_LIMIT  1024 /* KiB */

struct pl_pattern {
    char *text, *where;
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static enum prilora_status compile(struct pl_pattern *p, struct prilora_error *err)
{
    size_t length = strlen(p->text), at;
    PCRE2_UCHAR reason[128] = "";
    int code;

    if (length > PL_PATTERN_MAX)
        return pl_fail_at(err, PRILORA_EINVAL, p->where,
                          "a pattern of %zu bytes, but at most %d are read", length,
                          PL_PATTERN_MAX);
    p->code =
        pcre2_compile((PCRE2_SPTR)p->text, length,
                      PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
    if (p->code)
        return PRILORA_OK;
    pcre2_get_error_message(code, reason, sizeof reason);
    return pl_fail_at(err, PRILORA_EINVAL, p->where,
                      "\"%.200s\" is not a regular expression: %s at byte %zu", p->text,
                      (const char *)reason, at);
}

enum prilora_status pl_pattern_new(struct pl_pattern **out, const char *text, const char *where,
                                   struct prilora_error *err)
{
    struct pl_pattern *p = pl_calloc(1, sizeof *p);
    enum prilora_status rc;

    *out = NULL;
    if (!p)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for a pattern");
    p->text = pl_strdup(text);
    p->where = pl_strdup(where);
    p->data = pcre2_match_data_create(1, NULL);
    p->limits = pcre2_match_context_create(NULL);
    if (!p->text || !p->where || !p->data || !p->limits)
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory for a pattern");
    else
        rc = compile(p, err);
    if (rc != PRILORA_OK) {
        pl_pattern_free(p);
        return rc;
    }
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(p->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(p->limits, HEAP_LIMIT);
    *out = p;
    return PRILORA_OK;
}

void pl_pattern_free(struct pl_pattern *pattern)
{
    if (!pattern)
        return;
    pcre2_code_free(pattern->code);
    pcre2_match_data_free(pattern->data);
    pcre2_match_context_free(pattern->limits);
    free(pattern->text);
    free(pattern->where);
    free(pattern);
}

enum prilora_status pl_pattern_match(const struct pl_pattern *pattern, const char *path,
                                     bool *matches, struct prilora_error *err)
{
    int code = pcre2_match(pattern->code, (PCRE2_SPTR)path, strlen(path), 0, 0, pattern->data,
                           pattern->limits);

    *matches = code >= 0;
    if (code >= 0 || code == PCRE2_ERROR_NOMATCH)
        return PRILORA_OK;
    return pl_fail_at(err, PRILORA_EINVAL, pattern->where,
                      "\"%.200s\" needs too many steps to match \"%.100s\"", pattern->text, path);
}
