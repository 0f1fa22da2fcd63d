/* peft_config.c - see peft_config.h. */
#include "train/peft_config.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/naming.h"

/* Members that must be absent, null, false, empty or the one word that means "not used". */
static const struct {
    const char *name, *word, *meaning;
} unused[] = {
    {"use_dora", NULL, "DoRA"},
    {"use_qalora", NULL, "QALoRA"},
    {"bias", "none", "trained biases"},
    {"lora_bias", NULL, "biases in B"},
    {"fan_in_fan_out", NULL, "transposed weights"},
    {"layer_replication", NULL, "replicated layers"},
    {"target_parameters", NULL, "adapters on bare parameters"},
    {"trainable_token_indices", NULL, "trained tokens"},
    {"alora_invocation_tokens", NULL, "activated LoRA"},
    {"arrow_config", NULL, "Arrow routing"},
    {"megatron_config", NULL, "Megatron layers"},
};

static bool is_unused(const json_t *value, const char *word)
{
    if (!value || json_is_null(value) || json_is_false(value))
        return true;
    if (word && json_is_string(value))
        return strcmp(json_string_value(value), word) == 0;
    return (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static enum prilora_status check_kind(const json_t *root, const char *path,
                                      struct prilora_error *err)
{
    const json_t *type = json_object_get(root, "peft_type");

    if (!json_is_object(root))
        return pl_fail(err, PRILORA_EFORMAT, "%s: not a JSON object", path);
    if (!json_is_string(type) || strcmp(json_string_value(type), "LORA") != 0)
        return pl_fail_at(err, PRILORA_EUNSUPPORTED, "/peft_type",
                          "%s: peft_type is \"%.40s\", but only \"LORA\" is read", path,
                          json_is_string(type) ? json_string_value(type) : "absent");
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++) {
        char where[64];

        if (is_unused(json_object_get(root, unused[i].name), unused[i].word))
            continue;
        snprintf(where, sizeof where, "/%s", unused[i].name);
        return pl_fail_at(err, PRILORA_EUNSUPPORTED, where,
                          "%s: %s is set, but %s cannot be computed here", path, unused[i].name,
                          unused[i].meaning);
    }
    return PRILORA_OK;
}

static enum prilora_status read_alpha(double *out, const json_t *value, const char *where,
                                      const char *path, struct prilora_error *err)
{
    *out = json_number_value(value);
    if (json_is_number(value) && *out > -1e9 && *out < 1e9)
        return PRILORA_OK;
    return pl_fail_at(err, PRILORA_EFORMAT, where, "%s: %s must be a number", path, where + 1);
}

/* PEFT asks re.match(r"(.*\.)?(KEY)$", module): a key is an expression for the path's end. */
static enum prilora_status add_pattern(struct pl_peft_config *config, const char *key,
                                       const json_t *alpha, const char *path,
                                       struct prilora_error *err)
{
    char text[PL_PATTERN_MAX];
    enum prilora_status rc =
        read_alpha(&config->alphas[config->n_patterns], alpha, "/alpha_pattern", path, err);

    if (rc != PRILORA_OK)
        return rc;
    if (strlen(key) > sizeof text - 16)
        return pl_fail_at(err, PRILORA_EFORMAT, "/alpha_pattern", "%s: a key of %zu bytes", path,
                          strlen(key));
    snprintf(text, sizeof text, "(?:.*\\.)?(?:%s)", key);
    rc = pl_pattern_new(&config->patterns[config->n_patterns], text, "/alpha_pattern", err);
    if (rc == PRILORA_OK)
        config->n_patterns++;
    return rc;
}

static enum prilora_status read_members(struct pl_peft_config *config, const json_t *root,
                                        const char *path, struct prilora_error *err)
{
    json_t *patterns = json_object_get(root, "alpha_pattern"), *value;
    size_t n = json_object_size(patterns);
    const char *key;
    enum prilora_status rc = read_alpha(&config->lora_alpha, json_object_get(root, "lora_alpha"),
                                        "/lora_alpha", path, err);

    config->task = pl_naming_task(json_string_value(json_object_get(root, "task_type")));
    config->use_rslora = json_is_true(json_object_get(root, "use_rslora"));
    if (rc != PRILORA_OK)
        return rc;
    if (patterns && !json_is_null(patterns) && !json_is_object(patterns))
        return pl_fail_at(err, PRILORA_EFORMAT, "/alpha_pattern",
                          "%s: alpha_pattern must be an object", path);
    if (n > PL_PEFT_MAX_PATTERNS)
        return pl_fail_at(err, PRILORA_ELIMIT, "/alpha_pattern",
                          "%s: %zu patterns, but at most %d are read", path, n,
                          PL_PEFT_MAX_PATTERNS);
    config->patterns = pl_calloc(n, sizeof(struct pl_pattern *));
    config->alphas = pl_calloc(n, sizeof *config->alphas);
    if (!config->patterns || !config->alphas)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    json_object_foreach (patterns, key, value) {
        rc = add_pattern(config, key, value, path, err);
        if (rc != PRILORA_OK)
            return rc;
    }
    return PRILORA_OK;
}

enum prilora_status pl_peft_config_parse(struct pl_peft_config *out, const char *json,
                                         size_t length, const char *path, struct prilora_error *err)
{
    json_error_t reason;
    json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &reason);
    enum prilora_status rc;

    *out = (struct pl_peft_config){0};
    if (!root)
        return pl_fail(err, PRILORA_EFORMAT, "%s: not JSON: line %d, column %d: %s", path,
                       reason.line, reason.column, reason.text);
    rc = check_kind(root, path, err);
    if (rc == PRILORA_OK)
        rc = read_members(out, root, path, err);
    json_decref(root);
    if (rc != PRILORA_OK)
        pl_peft_config_free(out);
    return rc;
}

void pl_peft_config_free(struct pl_peft_config *config)
{
    for (size_t i = 0; i < config->n_patterns; i++)
        pl_pattern_free(config->patterns[i]);
    free(config->patterns);
    free(config->alphas);
    *config = (struct pl_peft_config){0};
}

enum prilora_status pl_peft_config_scale(const struct pl_peft_config *config, const char *module,
                                         size_t rank, double *scale, struct prilora_error *err)
{
    double alpha = config->lora_alpha;
    bool matches = false;

    for (size_t i = 0; i < config->n_patterns && !matches; i++) {
        enum prilora_status rc = pl_pattern_match(config->patterns[i], module, &matches, err);

        if (rc != PRILORA_OK)
            return rc;
        if (matches)
            alpha = config->alphas[i];
    }
    *scale = alpha / (config->use_rslora ? sqrt((double)rank) : (double)rank);
    return PRILORA_OK;
}
