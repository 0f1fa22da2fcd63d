/*
 * config_member.h - inside view of config.c: what a member of config.json is, and the model types,
 * each with the table of its members.
 */
#ifndef PL_CONFIG_MEMBER_H
#define PL_CONFIG_MEMBER_H

#include <jansson.h>

#include "io/config.h"

enum pl_member_kind {
    PL_COUNT,
    PL_INTEGER,
    PL_REAL,
    PL_PROBABILITY,
    PL_FLAG,
    PL_ACTIVATION,
};

struct pl_member {
    const char *name;
    enum pl_member_kind kind;
    size_t offset;   /* in struct pl_config */
    double absent;   /* its value then; not checked against the range */
    double min, max; /* of a count, an integer or a real */
};

struct pl_config_type {
    const char *name; /* model_type */
    const struct pl_member *members;
    size_t n_members;
    /* What one member cannot tell alone; may be NULL. */
    enum prilora_status (*finish)(struct pl_config *config, const json_t *root, const char *path,
                                  struct prilora_error *err);
};

extern const struct pl_config_type pl_config_types[];
extern const size_t pl_n_config_types;

/* Reads one member, checked. */
enum prilora_status pl_member_read(struct pl_config *config, const struct pl_member *member,
                                   const json_t *root, const char *path, struct prilora_error *err);
enum prilora_status pl_member_number(void *to, const struct pl_member *member, const json_t *value,
                                     const char *path, struct prilora_error *err);

/* A member that is neither absent nor null; else NULL. */
const json_t *pl_member_given(const json_t *root, const char *name);

/* "PATH: NAME PROBLEM", at "/NAME". */
enum prilora_status pl_member_fail(struct prilora_error *err, enum prilora_status status,
                                   const char *path, const char *name, const char *problem);

/* A member that lists words, and the flag that each raises; NULL: it means nothing. */
struct pl_member_words {
    const char *member, *supported;
    struct {
        const char *text;
        bool *flag;
    } items[4];
};

/* "a|b", or a list of strings; NULL: nothing is raised. */
enum prilora_status pl_member_words_read(const struct pl_member_words *words, const json_t *value,
                                         const char *path, struct prilora_error *err);

#endif
