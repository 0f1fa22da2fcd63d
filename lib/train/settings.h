/* settings.h - the table of hyperparameters: names, places, ranges, defaults, one row each. */
#ifndef PL_SETTINGS_H
#define PL_SETTINGS_H

#include "base/error.h"

enum pl_setting_kind {
    PL_SETTING_INTEGER, /* long */
    PL_SETTING_NUMBER,  /* double */
    PL_SETTING_AUTO,    /* double; negative is "auto" */
    PL_SETTING_BOOL,    /* bool */
    PL_SETTING_CHOICE,  /* an enum of int's size, its words in `choices` */
    PL_SETTING_RANKS,   /* ranks, n_ranks */
    PL_SETTING_TARGETS, /* targets, n_targets, targets_are_pattern */
};

/* Which methods know a setting. "supervised" is OpenAI's name: PRILoRA and three settings. */
enum { PL_IN_PRILORA = 1, PL_IN_LORA = 2, PL_IN_SUPERVISED = 4, PL_IN_HEAD = 8 };

struct pl_method {
    const char *type;
    unsigned bit; /* PL_IN_... */
    enum prilora_method method;
};

extern const struct pl_method pl_methods[];
extern const size_t pl_n_methods;

const struct pl_method *pl_method_of(enum prilora_method method); /* under its own name */

struct pl_choice {
    const char *word; /* NULL ends a list */
    int value;
};

struct pl_setting {
    const char *name;
    enum pl_setting_kind kind;
    unsigned methods;
    size_t offset; /* in struct prilora_spec */
    double min, max, standard;
    const struct pl_choice *choices;
    const char *help;
};

extern const struct pl_setting pl_settings[];
extern const size_t pl_n_settings;

#define PL_MAX_SETTINGS 64 /* of a set kept as bits */

const struct pl_setting *pl_setting_find(const char *name, unsigned method);
size_t pl_setting_index(const char *name); /* of a name that is in the table */

extern const struct pl_choice pl_task_words[], pl_metric_words[];

/* The value of a word, or false. */
bool pl_choice_value(const struct pl_choice *choices, const char *word, int *value);
/* The word of a value, of the first row that has it. */
const char *pl_choice_word(const struct pl_choice *choices, int value);
/* "linear", "cosine" or "constant"; cut if it does not fit. Returns text. */
const char *pl_choice_list(const struct pl_choice *choices, char *text, size_t room);

/* Edits (insert, delete, change) between two names, counted up to `limit` + 1. */
size_t pl_name_distance(const char *a, const char *b, size_t limit);

#endif
