/* questions_file.h - the section of a saved data set that only question answering has. */
#ifndef PL_QUESTIONS_FILE_H
#define PL_QUESTIONS_FILE_H

#include "train/dataset.h"
#include "train/dataset_format.h"

void pl_questions_put(struct pl_sink *sink, const struct pl_questions *q);

/*
 * pl_questions_take - into dataset->questions; the data set is complete otherwise. Everything is
 * checked: texts, places of tokens, windows against the examples, and the targets against them.
 * Errors: EFORMAT, ENOMEM.
 */
enum prilora_status pl_questions_take(struct pl_source *s, struct prilora_dataset *dataset);

#endif
