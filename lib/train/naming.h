/* naming.h - what Hugging Face calls a task: in PEFT's configuration, in classes, on the hub. */
#ifndef PL_NAMING_H
#define PL_NAMING_H

#include "base/error.h"

struct pl_naming {
    const char *peft_type;    /* task_type of adapter_config.json */
    const char *class_end;    /* "ForSequenceClassification": after a family's name, or AutoModel */
    const char *problem_type; /* of config.json; NULL: none */
    const char *pipeline;     /* pipeline_tag of a model card */
    const char *usage;        /* Python, for a model card: from `inputs` to what is printed */
};

/* Not for AUTO. */
const struct pl_naming *pl_naming_of(enum prilora_task task);

/* The task that only this task_type names; AUTO: none, or several. NULL is accepted. */
enum prilora_task pl_naming_task(const char *peft_type);

#endif
