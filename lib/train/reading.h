/* reading.h - one parse of a specification: where it stands and how it complains. */
#ifndef PL_READING_H
#define PL_READING_H

#include <jansson.h>

#include "adapter/ranks.h"
#include "train/settings.h"

struct pl_reading {
    struct prilora_spec *spec;
    struct prilora_error *err;
    unsigned method;              /* PL_IN_... */
    bool has_method;              /* "method" was there */
    bool has_stride, has_longest; /* the task had a doc_stride, a max_answer_length; not "auto" */
    uint64_t given;               /* bit i: setting i was set to something other than "auto" */
    char where[PL_WHERE_SIZE];    /* of the object whose members are read */
    char pointer[PL_WHERE_SIZE];  /* of the member looked at now */
};

#define PL_SHOW_SIZE 64

/* Sets r->pointer to r->where/name, name escaped as RFC 6901 asks and cut if need be. */
const char *pl_reading_point(struct pl_reading *r, const char *name);

/* The value seen, cut short for a message; returns text. */
const char *pl_reading_show(const json_t *value, char text[PL_SHOW_SIZE]);

/* One word of a list into *place, or EINVAL at r->pointer. */
enum prilora_status pl_reading_word(struct pl_reading *r, const char *name,
                                    const struct pl_choice *choices, const json_t *value,
                                    int *place);

/* EINVAL for a member that nothing knows, with the nearest of the NULL-ended names. */
enum prilora_status pl_reading_fail_unknown(struct pl_reading *r, const char *name,
                                            const char *const *known);

/* "cola", or {"type", "name", "metric", "mismatched_file", "doc_stride", "max_answer_length"}. */
enum prilora_status pl_reading_task(struct pl_reading *r, json_t *value);

/* {"n_epochs": 3, ...} at r->where, by the table of settings; `method` is its name. */
enum prilora_status pl_reading_settings(struct pl_reading *r, json_t *object, const char *method);

#endif
