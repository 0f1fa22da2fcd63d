/*
 * export.h - an adapter as a folder that Hugging Face PEFT reads.
 *
 *     adapter_config.json         PEFT's LoraConfig
 *     adapter_model.safetensors   A, B, and the whole of the modules that were trained whole, F32
 *     labels.json                 label names and the metrics of exactly these bytes
 *     README.md                   model card, with a loading snippet that runs
 *     input_statistics.safetensors  xbar of the maps' inputs, if the run has seen any
 */
#ifndef PL_EXPORT_H
#define PL_EXPORT_H

#include "adapter/adapter.h"
#include "adapter/prune.h"
#include "base/real.h"
#include "train/measure.h"

/* Everything that the folder is made from; nothing is owned. */
struct pl_export {
    const struct pl_layout *layout;
    const struct pl_adapter *adapter;
    const struct pl_map_site *sites;
    const pl_real *params; /* block */
    const struct prilora_spec *spec;
    const char *base_name, *base_fingerprint;
    enum prilora_task task;
    char *const *labels; /* [n_labels] */
    size_t n_labels;
    const struct prilora_result *result;
    size_t n_train;                 /* examples */
    const struct pl_pruner *pruner; /* whose statistics are written; NULL: none are */
    struct pl_answer_rules answers; /* of question answering */
};

/*
 * The map of which a head-only adapter holds an adapter nevertheless, since PEFT loads none without
 * one: of rank 1, A and B both zero, so that it adds nothing and no gradient ever moves it. NULL:
 * maps are adapted.
 */
const struct pl_map_site *pl_export_placeholder(const struct pl_export *x);

/* Written beside `folder` and then put in its place, an existing one replaced. Errors: EINVAL if
 * what stands at `folder` is no folder of plain files. */
enum prilora_status pl_export_write(const struct pl_export *x, const char *folder,
                                    struct prilora_error *err);

/* The texts of three of the files, malloc'ed; NULL when out of memory. */
char *pl_export_config(const struct pl_export *x);
char *pl_export_labels(const struct pl_export *x);
char *pl_export_card(const struct pl_export *x);

/* The module of modules_to_save that a head tensor belongs to: "classifier", "pooler", ...; NULL if
 * it is none of a head. */
const char *pl_export_saved_module(const char *tensor);

#endif
