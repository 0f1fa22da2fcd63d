/* start.h - a finished adapter as the beginning of a run. */
#ifndef PL_START_H
#define PL_START_H

#include "train/import.h"
#include "train/labels_file.h"
#include "train/run.h"

/* Errors: EMISMATCH if the adapter was trained on another base. */
enum prilora_status pl_start_check_base(const struct pl_labels_file *labels,
                                        const struct prilora_base *base, const char *folder,
                                        struct prilora_error *err);

/*
 * pl_start_check - the maps that a specification plans are those of the file: adapted or not, rank
 * and scale. A head-only file fits every one. Errors: EMISMATCH at the setting, with both values.
 */
enum prilora_status pl_start_check(const struct pl_import *in, const struct pl_model *model,
                                   const struct prilora_spec *spec,
                                   const struct pl_adapter *adapter, struct prilora_error *err);

/* Checks the adapter in `folder` against the run, fills run->params and names them in run->start.
 */
enum prilora_status pl_start_fill(struct prilora_run *run, const char *folder,
                                  struct prilora_error *err);

#endif
