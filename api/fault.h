/* fault.h - what is wrong with a request, before it becomes an answer. */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

#include "prilora.h"

struct fault {
    unsigned status;        /* HTTP's */
    const char *code;       /* a word for machines; static text */
    unsigned retry_after_s; /* above 0: it passes, and may be tried again then */
    bool is_final;          /* the same again would be refused again, whatever the status says */
    char param[192];        /* "method.prilora.hyperparameters.rank_start", "limit"; "": none */
    char pointer[192];      /* the same as a JSON pointer into the body; "": none */
    char message[768];
};

/* Fills *f and returns false, so that a check can `return fault_set(...)`. param may be NULL. */
bool fault_set(struct fault *f, unsigned status, const char *code, const char *param,
               const char *format, ...) __attribute__((format(printf, 5, 6)));

/* "/method/lora/ranks/0" as OpenAI writes it: "method.lora.ranks.0"; cut to the room. */
void fault_dotted(char *out, size_t room, const char *pointer);

/* From an error of the library about the JSON body: err->where is its pointer. */
bool fault_from_spec(struct fault *f, const struct prilora_error *err);

#endif
