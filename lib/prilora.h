/*
 * prilora.h - libprilora's only public header.
 *
 * Fine-tunes a pretrained encoder on the CPU with PRILoRA (Benedek & Wolf 2024, arXiv:2401.11316):
 * low-rank adapters whose rank grows from the first layer to the last, their A matrices pruned all
 * through training by |A| times the accumulated norm of the layer's input.
 *
 *     prilora_base_open       a frozen model in Hugging Face layout, shared and read-only
 *     prilora_spec_parse      the settings of one run, from JSON
 *     prilora_dataset_read    labelled text, checked and tokenized
 *     prilora_run_open        a run: fresh, or resumed from the checkpoint in its folder
 *     prilora_run_train       trains, reporting through one callback
 *     prilora_run_export      writes the adapter as Hugging Face PEFT reads it
 *     prilora_adapter_predict what a finished adapter says of texts
 *     prilora_adapter_tag     the same of their words
 *     prilora_adapter_answer  where in a text the answer to a question stands
 *     prilora_form_merged     the same adapter merged into its base, and other forms of it
 *     prilora_spectra_open    what a finished adapter has learned, direction by direction, and
 *                             which ranks that suggests for the next run
 *
 * Conventions
 *   Errors    functions that can fail return a status and fill the caller's struct prilora_error
 *             (NULL is accepted). The library never prints, exits or aborts.
 *   Memory    *_open, *_new, *_read and *_parse make an object, *_free and *_close release it and
 *             accept NULL. Strings returned as `char *` are the caller's to free(3).
 *   Threads   an object may be used by one thread at a time, except struct prilora_base, which
 *             any number of runs share. prilora_run_snapshot is safe beside prilora_run_train.
 *   Input     every file and every JSON text may be hostile: it is checked once, completely.
 */
#ifndef PRILORA_H
#define PRILORA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PRILORA_API __attribute__((visibility("default")))
#else
#define PRILORA_API
#endif

#define PRILORA_VERSION "0.1.0"

/* ---- Errors ------------------------------------------------------------------------------- */

enum prilora_status {
    PRILORA_OK = 0,
    PRILORA_EINVAL,       /* a setting or argument is wrong */
    PRILORA_EFORMAT,      /* a file is not what it should be */
    PRILORA_EDATA,        /* rows of a data file are wrong */
    PRILORA_EIO,          /* the operating system refused */
    PRILORA_ENOENT,       /* a file that must exist does not */
    PRILORA_ENOMEM,       /* out of memory */
    PRILORA_ELIMIT,       /* a named limit was reached */
    PRILORA_EUNSUPPORTED, /* well-formed, but outside what this version does */
    PRILORA_EMISMATCH,    /* a checkpoint belongs to another base, data or specification */
    PRILORA_ENUMERIC,     /* loss or gradient stopped being finite */
    PRILORA_ESTOPPED,     /* the stop flag was raised; a run has written a checkpoint */
    PRILORA_ENOSPC,       /* no space is left for a file */
    PRILORA_EBUSY,        /* somebody else holds it for now */
};

struct prilora_error {
    enum prilora_status status;
    char where[192];   /* JSON pointer, "file:line" or "" */
    char message[512]; /* one sentence naming the thing and the value seen */
};

/* "invalid", "bad_format", ...: stable lower-case words for machines. */
PRILORA_API const char *prilora_status_name(enum prilora_status status);

PRILORA_API const char *prilora_version(void);

/*
 * prilora_init - once per process, before threads are made: puts BLAS on one thread, since runs
 * bring their own, and lets C++'s operator new wait up to ten seconds for memory before it throws
 * (std::set_new_handler, unless the program has a handler), since libsentencepiece crashes then.
 * Calling it again does nothing. Every *_open calls it too.
 */
PRILORA_API void prilora_init(void);

/*
 * prilora_mend_map - for a program's handler of SIGBUS (si_addr), which reading a file map raises
 * when the file was shortened or the disk fails: true if the address is in a map of the library.
 * It reads as zeros then, and what was computed of it fails (prilora_base_check).
 * Async-signal-safe.
 */
PRILORA_API bool prilora_mend_map(const void *address);

/*
 * prilora_pulse - for who watches over threads: from now on, whatever the library does for the
 * calling thread adds to *count as it gets on: with every pass over a part of a batch, every row of
 * data, every piece of a file. It stands still when the thread does, for nothing here waits for
 * long. *count must live as long as the thread uses the library; NULL: nothing is counted.
 */
PRILORA_API void prilora_pulse(atomic_uint_least64_t *count);

/* Bytes that belong to somebody else. */
struct prilora_word {
    const char *text;
    size_t size;
};

/* ---- The base model ----------------------------------------------------------------------- */

struct prilora_base;

struct prilora_base_info {
    char model_type[32];  /* "deberta-v2" */
    char fingerprint[65]; /* SHA-256 of configuration, names, shapes and sampled weights */
    size_t hidden_size, n_layers, n_heads, intermediate_size, vocab_size;
    size_t max_positions;  /* tokens of the longest text that it reads */
    size_t n_parameters;   /* of the frozen model, task head not counted */
    size_t resident_bytes; /* memory that the open model holds beyond the file map */
    size_t mapped_bytes;   /* bytes of the read-only file map */
    size_t n_unused;       /* tensors in the checkpoint that no task here uses */
};

/*
 * prilora_base_open - a folder in Hugging Face layout: config.json, weights as
 * model.safetensors, model.safetensors.index.json or pytorch_model.bin, tokenizer files.
 *
 * The result is immutable and may be used by any number of runs on any threads; each holds a
 * reference. F32 weights stay in the file map; F16 and BF16 are widened once.
 */
PRILORA_API enum prilora_status prilora_base_open(struct prilora_base **out, const char *folder,
                                                  struct prilora_error *err);
PRILORA_API struct prilora_base *prilora_base_ref(struct prilora_base *base);
PRILORA_API void prilora_base_close(struct prilora_base *base);
PRILORA_API void prilora_base_describe(const struct prilora_base *base,
                                       struct prilora_base_info *info);
/*
 * prilora_base_check - whether the files are still as they were opened. EFORMAT: they were written
 * to or shortened (not: replaced or deleted, for the old ones live on); EIO: the disk did not give
 * a page. Runs and predictions ask after whatever they computed, and fail.
 */
PRILORA_API enum prilora_status prilora_base_check(const struct prilora_base *base,
                                                   struct prilora_error *err);
/* Name of the i-th unused tensor; valid while the base is open. */
PRILORA_API const char *prilora_base_unused(const struct prilora_base *base, size_t i);

/* ---- The specification of a run ------------------------------------------------------------- */

enum prilora_method {
    PRILORA_METHOD_PRILORA,
    PRILORA_METHOD_LORA,
    PRILORA_METHOD_HEAD, /* no adapters: the task head alone is trained */
};
enum prilora_task {
    PRILORA_TASK_AUTO,
    PRILORA_TASK_CLASSIFICATION,
    PRILORA_TASK_REGRESSION,
    PRILORA_TASK_MULTI_LABEL,
    PRILORA_TASK_TOKEN_CLASSIFICATION, /* a tag for every word, as in named entity recognition */
    PRILORA_TASK_QUESTION_ANSWERING,   /* the piece of a context that answers a question (SQuAD) */
};
/* The tasks of the GLUE benchmark: columns, labels, metrics follow from the name. */
enum prilora_glue {
    PRILORA_GLUE_NONE,
    PRILORA_GLUE_COLA,
    PRILORA_GLUE_SST2,
    PRILORA_GLUE_MRPC,
    PRILORA_GLUE_STSB,
    PRILORA_GLUE_QQP,
    PRILORA_GLUE_MNLI,
    PRILORA_GLUE_QNLI,
    PRILORA_GLUE_RTE,
    PRILORA_GLUE_WNLI,
};
enum prilora_metric {
    PRILORA_METRIC_AUTO,
    PRILORA_METRIC_ACCURACY,
    PRILORA_METRIC_F1, /* binary: of label 1; else macro average; multi-label: micro; tokens: of
                          whole entities, as conlleval and seqeval count them; answers: of their
                          words, as SQuAD's own program counts them */
    PRILORA_METRIC_MATTHEWS,
    PRILORA_METRIC_PEARSON,
    PRILORA_METRIC_SPEARMAN,
    PRILORA_METRIC_LOSS,        /* the only one where less is better */
    PRILORA_METRIC_EXACT_MATCH, /* of answers */
};
enum prilora_lr_scheduler { PRILORA_LR_LINEAR, PRILORA_LR_COSINE, PRILORA_LR_CONSTANT };
enum prilora_rank_schedule {
    PRILORA_RANK_LINEAR,
    PRILORA_RANK_UNIFORM,
    PRILORA_RANK_DECREASING,
    PRILORA_RANK_LIST,
};
enum prilora_scaling { PRILORA_SCALING_LAYER, PRILORA_SCALING_COMMON };
enum prilora_compute {
    PRILORA_COMPUTE_FLOAT32,
    PRILORA_COMPUTE_BF16, /* the frozen maps; where the processor cannot, a warning and FLOAT32 */
};

/* Settings by GLUE task that somebody has published; what is given wins over them. */
enum prilora_preset { PRILORA_PRESET_NONE, PRILORA_PRESET_ADALORA };

#define PRILORA_MAX_LAYERS  128
#define PRILORA_MAX_TARGETS 64
#define PRILORA_MAX_FILE_ID 128 /* bytes, its end counted */

/*
 * One run's settings; lib/train/spec.c holds the one table of their names, ranges and defaults.
 * "auto" numbers are negative here until the run resolves them.
 */
struct prilora_spec {
    enum prilora_method method;
    enum prilora_task task;
    enum prilora_metric metric;
    enum prilora_glue glue;
    char mismatched_file[PRILORA_MAX_FILE_ID]; /* MNLI's second validation data, as the caller calls
                                                  them; "": none */
    long doc_stride;        /* of question answering: tokens that two windows of a context share, */
    long max_answer_length; /* and those of the longest answer that is looked for */
    enum prilora_preset preset;
    uint64_t seed;

    long n_epochs;
    long max_steps; /* 0: as many as n_epochs make */
    long batch_size;
    long gradient_accumulation_steps;
    double learning_rate;
    double learning_rate_multiplier; /* OpenAI's setting: scales learning_rate */
    enum prilora_lr_scheduler lr_scheduler_type;
    double warmup_ratio;
    long warmup_steps; /* above 0: instead of warmup_ratio */
    double weight_decay;
    double adam_beta1, adam_beta2, adam_epsilon;
    double max_grad_norm; /* 0: no clipping */
    long max_length;      /* tokens, special ones included */
    enum prilora_compute compute;
    double hidden_dropout, attention_dropout, classifier_dropout; /* negative: as config.json */
    long eval_steps;                                              /* 0: at the end of every epoch */
    long early_stopping_patience; /* evaluations without a better metric; 0: never */
    long checkpoint_steps;        /* 0: at evaluations and every five minutes */
    bool recompute;               /* activations of one layer at a time: less memory, same bits */

    enum prilora_rank_schedule rank_schedule;
    long rank_start, rank_end;      /* uniform uses "r", stored in both */
    long ranks[PRILORA_MAX_LAYERS]; /* PRILORA_RANK_LIST */
    size_t n_ranks;
    double lora_alpha;
    double lora_dropout;
    enum prilora_scaling scaling;
    bool targets_are_pattern; /* target_modules was one string: a whole-path pattern */
    /* else ends of paths, or kinds of maps: query, key, value, attention_output, intermediate,
     * output */
    char *targets[PRILORA_MAX_TARGETS];
    size_t n_targets; /* 0: "all-linear" */

    double prune_ratio;
    long prune_interval, prune_start; /* optimiser steps */
    double prune_decay;
    bool prune_regrow, prune_reset_moments;
};

/*
 * prilora_spec_parse - the part of a job that concerns the library:
 *
 *   { "seed": 42, "task": {"type": "classification", "metric": "accuracy"},
 *     "method": {"type": "prilora", "prilora": {"hyperparameters": {...}}},
 *     "hyperparameters": {...} }                          (the older place, OpenAI's three only)
 *
 * A task may also be a string, and the name of a GLUE task: "cola" is {"name": "cola"}; then its
 * type and its metric follow. "mnli" may have a "mismatched_file", "question_answering" a
 * "doc_stride" (1 to 4096; at most half of a window's piece of the context counts; auto: 128, or
 * half of what max_length leaves beside the longest question) and a "max_answer_length" (1 to 512;
 * auto: 30).
 *
 * Every member may be absent, every hyperparameter may be "auto". An unknown member, a wrong type
 * or a value out of range is PRILORA_EINVAL with a JSON pointer in err->where.
 */
PRILORA_API enum prilora_status prilora_spec_parse(struct prilora_spec **out, const char *json,
                                                   size_t length, struct prilora_error *err);
/* "cola", ...; NULL for PRILORA_GLUE_NONE and beyond the last. */
PRILORA_API const char *prilora_glue_name(enum prilora_glue task);
/* Also "SST-2" and the like; NONE: no such task, or NULL. */
PRILORA_API enum prilora_glue prilora_glue_find(const char *name);
/* The same as JSON with every setting spelled out; parses back to an equal specification. */
PRILORA_API char *prilora_spec_dump(const struct prilora_spec *spec);
PRILORA_API struct prilora_spec *prilora_spec_copy(const struct prilora_spec *spec);
PRILORA_API void prilora_spec_free(struct prilora_spec *spec);

/*
 * prilora_spec_continue - settings of a run that goes on from a finished adapter (start_from
 * below): as prilora_spec_parse, but what `json` leaves open of ranks, lora_alpha, scaling,
 * target_modules, the task's type, doc_stride, max_answer_length and (if it has no "method") the
 * method is taken from the adapter in `folder`.
 *
 * Errors: also those of reading the folder; EMISMATCH, at the setting and with both values, for a
 * setting that contradicts the adapter, and for an adapter that no setting can describe (a PEFT
 * adapter whose maps of one layer differ in rank, say).
 */
PRILORA_API enum prilora_status prilora_spec_continue(struct prilora_spec **out, const char *json,
                                                      size_t length,
                                                      const struct prilora_base *base,
                                                      const char *folder,
                                                      struct prilora_error *err);

/*
 * prilora_spec_settings - the table of hyperparameters as a JSON list, for forms: name, type
 * ("integer", "number", "boolean", "choice", "ranks", "targets"), methods that know it, minimum and
 * maximum (null: none), default (null: "auto"), choices (null unless a choice), description.
 */
PRILORA_API char *prilora_spec_settings(void);

/*
 * prilora_spec_ranks - the rank of every layer (l = 0 nearest the input), n_layers of them.
 * Errors: EINVAL if a rank list has another length than n_layers.
 */
PRILORA_API enum prilora_status prilora_spec_ranks(const struct prilora_spec *spec, size_t n_layers,
                                                   size_t *ranks, struct prilora_error *err);

/* ---- Data ----------------------------------------------------------------------------------- */

struct prilora_dataset;

/* The stop flags' values: of data that is being read, of a run between steps. */
enum { PRILORA_GO = 0, PRILORA_STOP = 1 };

struct prilora_dataset_options {
    enum prilora_task task; /* AUTO: told from the labels */
    enum prilora_glue glue; /* the file must be one of that task, as published or as on the hub:
                               columns, labels and their order are its; then `task` is AUTO or its
                               type */
    size_t max_length;      /* tokens per example; longer ones are truncated */
    size_t doc_stride;      /* of question answering, as in struct prilora_spec; 0: its default */
    const struct prilora_dataset *train; /* the labels must be this one's; NULL for the first */
    const char
        *adapter;     /* folder of an adapter to go on from: the task and the labels are its (of
                         labels.json; some may not occur), without train; NULL: told from the data */
    const char *name; /* file name as its owner knows it: tells the format by its ending (.jsonl
                         .json .csv .tsv .conll .bio .txt), is used in errors */
    void (*bad_row)(void *context, size_t line, const char *reason); /* may be NULL */
    void *context;
    const atomic_int *stop; /* read between rows: ESTOPPED once it is PRILORA_STOP; may be NULL */
};

struct prilora_dataset_info {
    enum prilora_task task;
    size_t n_examples, n_tokens, longest, n_truncated;
    size_t n_labels;       /* outputs of the head: classes, or 1 for regression */
    size_t majority;       /* examples of the most frequent class (classification) */
    size_t n_skipped;      /* short rows of GLUE's QQP and MNLI, which every reader passes over,
                              and lists of no words */
    size_t n_words, n_cut; /* of token classification: words that have a tag; as it was read, those
                              that were truncated away (not in a saved data set) */
    size_t n_questions;    /* of question answering; n_examples are windows */
    size_t bytes;          /* of memory */
    char fingerprint[65];  /* SHA-256 of tokens and labels */
};

/*
 * prilora_dataset_read - reads a whole file, checks every row, tokenizes with the base's tokenizer.
 *
 * JSONL ({"text", "text_pair"?, "label"} or GLUE's own column names; .json: a list of the same),
 * CSV (RFC 4180, with a header) and TSV as GLUE publishes it (no quoting; a header, or CoLA's four
 * columns). Rows of {"tokens", "ner_tags" | "tags" | "labels"}, lists of one length, and .conll,
 * .bio and .txt (a word a line, its tag in the last column, a blank line after each sentence) are
 * token classification: a tag belongs to the first token of its word. Rows of {"question",
 * "context", "answers": {"text": [...], "answer_start": [...]}} and SQuAD's own .json are question
 * answering: an example is a window, [CLS] question [SEP] piece of the context [SEP], whose target
 * is the first answer's first and last token if all of it is in that piece; a question is cut to 64
 * tokens, and to what leaves the context a quarter of a window. answer_start counts code points; no
 * answers: the context has none. Told from the labels: lists are multi-label, numbers of which one
 * is written as a real regression, all else classification; classes 0..k-1 keep their numbers,
 * other names are sorted.
 * Errors: EDATA names file:line of the first bad row and their number; bad_row is told of each, in
 * line order, up to PRILORA_MAX_BAD_ROWS. ESTOPPED: *stop was raised.
 */
#define PRILORA_MAX_BAD_ROWS 100
PRILORA_API enum prilora_status prilora_dataset_read(struct prilora_dataset **out,
                                                     const struct prilora_base *base,
                                                     const char *path,
                                                     const struct prilora_dataset_options *options,
                                                     struct prilora_error *err);
/*
 * prilora_dataset_split - moves `fraction` of the examples (at least 1; of question answering: of
 * the questions, each with all its windows), chosen by seed, from `dataset` into *held_out. For
 * jobs that bring no validation file.
 */
PRILORA_API enum prilora_status prilora_dataset_split(struct prilora_dataset *dataset,
                                                      struct prilora_dataset **held_out,
                                                      double fraction, uint64_t seed,
                                                      struct prilora_error *err);
/* The tokenized form, written atomically and read back: what a queued job keeps. */
PRILORA_API enum prilora_status prilora_dataset_save(const struct prilora_dataset *dataset,
                                                     const char *path, struct prilora_error *err);
PRILORA_API enum prilora_status prilora_dataset_load(struct prilora_dataset **out, const char *path,
                                                     struct prilora_error *err);
PRILORA_API void prilora_dataset_describe(const struct prilora_dataset *dataset,
                                          struct prilora_dataset_info *info);
PRILORA_API const char *prilora_dataset_label(const struct prilora_dataset *dataset, size_t label);
PRILORA_API void prilora_dataset_free(struct prilora_dataset *dataset);

/* ---- A first look at data -------------------------------------------------------------------- */

struct prilora_preview;

struct prilora_preview_options {
    enum prilora_task task; /* AUTO: told from the labels */
    enum prilora_glue glue; /* as in prilora_dataset_options */
    const char *name;       /* as in prilora_dataset_options */
    size_t n_shown;         /* so many of the first good rows are kept, */
    size_t max_text;        /* of each text so many bytes (less where a character would be cut) */
    size_t max_bytes;       /* reading ends behind so much of the file, */
    size_t max_rows;        /* or behind so many rows */
};

struct prilora_preview_info {
    enum prilora_task task;
    const char *format; /* "jsonl", "csv", ... */
    size_t n_rows;      /* read, good or bad; n_skipped are not counted */
    size_t n_skipped;   /* as in struct prilora_dataset_info */
    size_t n_bad;       /* of n_rows */
    size_t n_shown, n_errors;
    size_t n_labels;     /* of question answering 0 */
    bool is_complete;    /* the whole file was read */
    const char *problem; /* what is wrong with the labels as a whole, or NULL */
};

/* Of words with tags: text is the words with spaces between, labels are the tags of those shown. Of
 * questions: text_pair is the context, labels are the answers. */
struct prilora_preview_row {
    size_t line;
    const char *text, *text_pair; /* text_pair NULL: none */
    bool text_is_cut, pair_is_cut;
    const char *const *labels; /* as they stand in the file; one if not is_list */
    size_t n_labels;
    bool is_list;
};

/*
 * prilora_preview_read - the rows of a data file as prilora_dataset_read sees them, without a base
 * model: nothing is tokenized. Bad rows are no error here, they are part of what is shown.
 * Errors: those of prilora_dataset_read that concern the file as a whole (EINVAL, EFORMAT, EDATA of
 * a header, EIO, ENOENT, ENOMEM).
 * Memory: the rows shown, and labels of the rows read.
 */
PRILORA_API enum prilora_status prilora_preview_read(struct prilora_preview **out, const char *path,
                                                     const struct prilora_preview_options *options,
                                                     struct prilora_error *err);
PRILORA_API void prilora_preview_describe(const struct prilora_preview *preview,
                                          struct prilora_preview_info *info);
/* All pointers stay valid until the preview is freed. i < n_shown, n_labels, n_errors. */
PRILORA_API void prilora_preview_show(const struct prilora_preview *preview, size_t i,
                                      struct prilora_preview_row *row);
/* The i-th label's name, in the order of the head's outputs, and the good rows that have it. */
PRILORA_API const char *prilora_preview_label(const struct prilora_preview *preview, size_t i,
                                              size_t *count);
/* Why the i-th bad row is wrong; the first PRILORA_MAX_BAD_ROWS in line order. */
PRILORA_API const char *prilora_preview_error(const struct prilora_preview *preview, size_t i,
                                              size_t *line);
PRILORA_API void prilora_preview_free(struct prilora_preview *preview);

/* ---- Training ------------------------------------------------------------------------------- */

struct prilora_run;

struct prilora_value {
    char name[24]; /* "accuracy", "f1", ..., "loss" */
    double value;
};
#define PRILORA_MAX_VALUES 8

enum prilora_event_type {
    PRILORA_EVENT_STEP,
    PRILORA_EVENT_EVALUATION,
    PRILORA_EVENT_PRUNING,
    PRILORA_EVENT_CHECKPOINT, /* a checkpoint is safely on disk */
    PRILORA_EVENT_WARNING,
    PRILORA_EVENT_SAVING, /* a checkpoint is about to be written: a run that goes on from it does
                             not tell again what was told before */
};

/* Which members mean something depends on the type; all pointers end with the callback. */
struct prilora_event {
    enum prilora_event_type type;
    uint64_t step, total_steps; /* optimiser steps done; planned */
    double epoch;               /* of the data seen, 1.0 = once */
    /* STEP */
    double loss, learning_rate, grad_norm; /* grad_norm before clipping */
    uint64_t n_tokens;        /* real tokens trained since the run began, all processes */
    double tokens_per_second; /* smoothed over recent steps */
    double seconds_left;      /* estimate, evaluations included */
    /* EVALUATION */
    struct prilora_value values[PRILORA_MAX_VALUES];
    size_t n_values;
    bool is_best;
    /* PRUNING */
    size_t n_pruned, n_nonzero, n_prunable; /* entries of all A: set to zero now, left, in all */
    /* WARNING */
    const char *message;
};

struct prilora_run_options {
    const char *folder; /* checkpoints live here; made if absent; NULL: none are written */
    size_t n_threads;   /* compute threads, the caller's one counted; 0 means 1 */
    void (*on_event)(void *context, const struct prilora_event *event); /* may be NULL */
    void *context;
    const atomic_int *stop; /* may be NULL */
    const char *start_from; /* an adapter's folder, ours or PEFT's own; NULL: start afresh */
    const struct prilora_dataset *mismatched; /* more validation data, read with `train`, for the
                                                 exported bytes alone: accuracy_mismatched; or NULL,
                                                 as without valid; outlives the run */
};

/* What a run will need, known before it starts. */
struct prilora_forecast {
    size_t
        memory_bytes;   /* that the run adds to the program's resident memory, at its peak, with one
                           compute thread; the shared base counted as if no other run had it open */
    size_t base_bytes;  /* of these, the shared base */
    size_t fixed_bytes; /* of these, what is the same for any data: base, parameters, moments */
    size_t thread_bytes; /* of these, one compute thread's: each further thread adds so much */
    size_t n_trainable;  /* parameters: adapters and head */
    size_t n_adapter;    /* of these, adapters */
    uint64_t total_steps;
    double flops; /* floating-point operations of the whole run */
};

/*
 * prilora_run_forecast - from settings and shapes alone. `train` and `valid` may be NULL: then
 * total_steps and flops are 0 and memory is an upper bound for any data.
 */
PRILORA_API enum prilora_status
prilora_run_forecast(struct prilora_forecast *out, const struct prilora_base *base,
                     const struct prilora_spec *spec, const struct prilora_dataset *train,
                     const struct prilora_dataset *valid, struct prilora_error *err);

/*
 * prilora_run_open - binds base, specification and data. If options->folder holds a checkpoint, the
 * run goes on from it, bit for bit as if never interrupted; a checkpoint of another base, data or
 * specification is EMISMATCH. base, train and valid must outlive the run (it takes a reference to
 * base). `valid` may be NULL: nothing is evaluated, the last state is the best.
 *
 * With options->start_from the run begins with the values of that adapter: every A and B, head and
 * pooler. Ranks, scales and adapted maps must be those of the specification, labels those of the
 * training data (prilora_spec_continue and the data sets' `adapter` see to both): EMISMATCH names
 * what differs. All else starts afresh: the optimiser's moments, the schedule, the input statistic
 * and the mask of the pruning, so that the first pruning chooses by what this run has seen. The
 * folder is read when the run is opened, also when it goes on from a checkpoint, which names it:
 * one of another start is EMISMATCH.
 */
PRILORA_API enum prilora_status
prilora_run_open(struct prilora_run **out, struct prilora_base *base,
                 const struct prilora_spec *spec, const struct prilora_dataset *train,
                 const struct prilora_dataset *valid, const struct prilora_run_options *options,
                 struct prilora_error *err);
/* Settings as they became, "auto" resolved: valid until the run is closed. */
PRILORA_API const struct prilora_spec *prilora_run_spec(const struct prilora_run *run);
PRILORA_API uint64_t prilora_run_step(const struct prilora_run *run);

/*
 * prilora_run_train - trains to the end (OK), or until the stop flag (ESTOPPED, checkpoint
 * written). After either, prilora_run_export works. ENUMERIC: the numbers of several steps in
 * a row were not finite; the message names the first place and what may help. Allocates nothing
 * after its first step.
 */
PRILORA_API enum prilora_status prilora_run_train(struct prilora_run *run,
                                                  struct prilora_error *err);

/* How the run ended: of the exported bytes. */
struct prilora_result {
    struct prilora_value values[PRILORA_MAX_VALUES];
    size_t n_values;
    uint64_t best_step;
    uint64_t n_tokens; /* real tokens trained */
    size_t n_nonzero, n_prunable;
};

/*
 * prilora_run_export - prunes the best state once more, evaluates exactly that, and writes
 * adapter_config.json, adapter_model.safetensors, labels.json, README.md and
 * input_statistics.safetensors (for prilora_spectra_open) into `folder` (made; written completely
 * or not at all). base_name goes into base_model_name_or_path.
 * ENUMERIC: what would be written is not finite, or gives numbers that are not; nothing is written.
 */
PRILORA_API enum prilora_status prilora_run_export(struct prilora_run *run, const char *folder,
                                                   const char *base_name,
                                                   struct prilora_result *result,
                                                   struct prilora_error *err);
PRILORA_API void prilora_run_close(struct prilora_run *run);

/* One adapted map, as prilora_run_snapshot gives it. */
struct prilora_layer {
    char module[160]; /* "deberta.encoder.layer.0.attention.self.query_proj" */
    char map[24];     /* "query", "key", "value", "attention_output", ... */
    size_t layer, rank, in_features, out_features;
    double alpha, scale;
    size_t n_parameters;                     /* of A and B */
    size_t n_prunable;                       /* entries of A */
    size_t n_nonzero;                        /* of these, not zero now */
    double sparsity;                         /* 1 - n_nonzero / n_prunable */
    double a_norm, b_norm;                   /* Frobenius */
    double update_norm;                      /* of scale * B * A */
    double input_min, input_mean, input_max; /* of the accumulated input statistic */
    uint64_t n_prunings, last_pruning_step;
    size_t last_pruned; /* entries zeroed by the last pruning that were not zero before */
    double churn;       /* share of the entries zeroed last that the pruning before spared */
};

/*
 * prilora_run_snapshot - copies at most `capacity` layers of the latest published statistics and
 * the step they belong to; returns how many there are. Published every half second, at every
 * pruning, and (of the exported adapter) by prilora_run_export. Any thread may call it while
 * another trains; it waits for no computation.
 */
PRILORA_API size_t prilora_run_snapshot(struct prilora_run *run, struct prilora_layer *layers,
                                        size_t capacity, uint64_t *step);

/* ---- A finished adapter --------------------------------------------------------------------- */

/*
 * prilora_adapter_evaluate - metrics of a PEFT adapter folder (ours or PEFT's own) on a dataset
 * read with the same base. values holds PRILORA_MAX_VALUES.
 */
PRILORA_API enum prilora_status
prilora_adapter_evaluate(struct prilora_base *base, const char *folder,
                         const struct prilora_dataset *data, size_t n_threads,
                         struct prilora_value *values, size_t *n_values, struct prilora_error *err);

struct prilora_adapter;

struct prilora_adapter_info {
    enum prilora_task task;
    size_t n_labels;       /* numbers per text: classes, labels, or 1 for regression */
    size_t max_length;     /* tokens that a text is cut to: what the adapter was trained with */
    size_t n_parameters;   /* of adapter and head */
    size_t resident_bytes; /* memory that the open adapter holds, the shared base not counted */
};

/*
 * prilora_team_new - `n_threads` compute threads, the caller's one counted (0 means 1), for any
 * number of adapters of which one at a time predicts.
 *
 * Errors   ENOMEM, ELIMIT: the system gives no more threads
 * Memory   the caller's, until prilora_team_free, which comes after all its adapters are closed
 */
struct prilora_team;
PRILORA_API enum prilora_status prilora_team_new(struct prilora_team **out, size_t n_threads,
                                                 struct prilora_error *err);
PRILORA_API void prilora_team_free(struct prilora_team *team);

/*
 * prilora_adapter_open - a PEFT adapter folder, ours or PEFT's own, on its base, to predict with
 * the threads of `team` (NULL: with the caller's alone). Task, labels and max_length come from
 * labels.json; without one, a head of one output is a regression, any other a classification with
 * the names of the base's config.json or LABEL_0, LABEL_1, ..., and texts may be as long as the
 * model reads. The folder is read completely: it may go afterwards.
 *
 * Errors   those of the files; EMISMATCH: labels.json names another base; EUNSUPPORTED for an
 *          adapter that computes what this library does not
 * Memory   a reference to base until it is closed, and what prilora_adapter_describe tells
 * Threads  one at a time of those that share a team; otherwise independent
 */
PRILORA_API enum prilora_status prilora_adapter_open(struct prilora_adapter **out,
                                                     struct prilora_base *base, const char *folder,
                                                     struct prilora_team *team,
                                                     struct prilora_error *err);
PRILORA_API void prilora_adapter_describe(const struct prilora_adapter *adapter,
                                          struct prilora_adapter_info *info);
/* Name of a label, NULL beyond the last; valid until the adapter is closed. */
PRILORA_API const char *prilora_adapter_label(const struct prilora_adapter *adapter, size_t label);
PRILORA_API void prilora_adapter_close(struct prilora_adapter *adapter);

/* UTF-8; bytes that are not are read as U+FFFD. */
struct prilora_text {
    const char *text, *pair; /* pair NULL: none */
    size_t text_size, pair_size;
    const struct prilora_word *words; /* for prilora_adapter_tag: instead of text; NULL: none */
    size_t n_words;
};
#define PRILORA_MAX_TEXT_BYTES ((size_t)1 << 20) /* of text, of pair and of all words */

struct prilora_prediction {
    size_t n_tokens; /* that were computed, special ones included */
    bool truncated;  /* the text was longer than max_length */
};

/*
 * prilora_adapter_predict - n texts, in packed batches.
 *
 *     classification   values[i,k] = softmax(logits)[k]       sum 1
 *     multi-label      values[i,k] = 1 / (1 + e^-logit[k])    each label by itself
 *     regression       values[i,0] = the number
 *
 * Shapes   texts, out [n]; values f64[n, n_labels]; out may be NULL
 * Errors   ELIMIT above PRILORA_MAX_TEXT_BYTES: err->where is "/i", the text's number; ENOMEM;
 *          ESTOPPED: *stop was raised (NULL: never); ENUMERIC: a damaged base; EINVAL for an
 *          adapter of token classification or question answering. After an error values mean
 *          nothing
 * Memory   none that grows with n
 * Numbers  a text's values do not depend on the others beyond the rounding of float sums
 */
PRILORA_API enum prilora_status prilora_adapter_predict(struct prilora_adapter *adapter,
                                                        const struct prilora_text *texts, size_t n,
                                                        const atomic_int *stop,
                                                        struct prilora_prediction *out,
                                                        double *values, struct prilora_error *err);

/* A word and its tag. In code points of the text; of words that were given, of these with one space
 * between two. */
struct prilora_tag {
    size_t start, end;
    size_t byte, size; /* of it in the text; of words that were given, in the word */
    size_t label;      /* SIZE_MAX: none, for the word was cut off or has no tokens */
    double score;      /* its probability */
};
struct prilora_entity {
    char *type;                /* "PER": what the tags of its words have behind "B-" or "I-" */
    size_t first, end;         /* words; end is behind the last */
    size_t start, end_of_text; /* code points, as of words */
    double score;              /* mean of its words' */
};
struct prilora_tagging {
    size_t n_tokens;
    bool truncated;
    struct prilora_tag *words; /* [n_words] */
    struct prilora_entity *entities;
    size_t n_words, n_entities;
};
PRILORA_API void prilora_tagging_clear(struct prilora_tagging *tagging); /* accepts {0} */

/*
 * prilora_adapter_tag - n texts for an adapter of token classification, each cut into words at
 * white space unless its words are given. Entities are what seqeval makes of the words' tags.
 *
 * Shapes   texts, out [n]; out is filled anew, and to be cleared after OK
 * Errors   as of prilora_adapter_predict; EINVAL for an adapter of another task
 * Memory   what out holds, and none else that grows with n
 */
PRILORA_API enum prilora_status
prilora_adapter_tag(struct prilora_adapter *adapter, const struct prilora_text *texts, size_t n,
                    const atomic_int *stop, struct prilora_tagging *out, struct prilora_error *err);

/* A piece of a context. */
struct prilora_answer {
    size_t byte, size; /* in the context; size 0: the question has no answer there */
    size_t start, end; /* code points of the context */
    double score;      /* its share in e^(start logit + end logit) of the 20 best pieces */
};
struct prilora_answering {
    size_t n_tokens, n_windows; /* that were computed; tokens with special ones, of all windows */
    bool truncated;             /* the question was cut */
    struct prilora_answer *answers; /* [n_answers] the best first */
    size_t n_answers;
};
PRILORA_API void prilora_answering_clear(struct prilora_answering *answering); /* accepts {0} */

/*
 * prilora_adapter_answer - n questions (`text`) to contexts (`pair`) for an adapter of question
 * answering. A context that is longer than max_length leaves room for is read in windows that share
 * doc_stride tokens, and all windows compete. "No answer" is among the pieces for adapters whose
 * training data had questions without one.
 *
 * Shapes   texts, out [n]; out is filled anew, and to be cleared after OK
 * n_best   answers per question, 1 to 20; there are fewer where the context has fewer pieces
 * Errors   as of prilora_adapter_predict; EINVAL for an adapter of another task, or a text without
 *          a pair; ELIMIT for a context that takes more than 1024 windows
 * Memory   what out holds, and a question's windows
 */
PRILORA_API enum prilora_status prilora_adapter_answer(struct prilora_adapter *adapter,
                                                       const struct prilora_text *texts, size_t n,
                                                       size_t n_best, const atomic_int *stop,
                                                       struct prilora_answering *out,
                                                       struct prilora_error *err);

/* ---- Other forms of an adapter ----------------------------------------------------------------
 */

/*
 * Files whose bytes are computed while they are read, so that a merged model of gigabytes is never
 * whole in memory: names and sizes are known at once, any piece of a file can be read, and a byte
 * is the same however it is asked for.
 *
 * Threads  one at a time per form
 */
struct prilora_form;

/*
 * prilora_form_merged - the whole checkpoint, without adapters: W + scale * B * A for every adapted
 * map, head and pooler as trained, all in F32 under the names that Hugging Face's
 * ...ForSequenceClassification loads. model.safetensors, config.json (of `base_folder`, with the
 * adapter's labels) and the base's tokenizer files. Keeps a reference to base; both folders are
 * read while it is open.
 * Errors: those of prilora_adapter_open.
 */
PRILORA_API enum prilora_status
prilora_form_merged(struct prilora_form **out, struct prilora_base *base, const char *base_folder,
                    const char *adapter_folder, struct prilora_error *err);
/*
 * prilora_form_uniform - the adapter with one rank and one scale for all maps, for programs that
 * ignore rank_pattern and alpha_pattern: A and B padded with zeros to the largest rank, what
 * differs in the scales multiplied into B (where they all agree, B stays as it is). The folder's
 * other plain files are part of it unchanged.
 * Errors: those of the files; ELIMIT for more than 32 of them.
 */
PRILORA_API enum prilora_status prilora_form_uniform(struct prilora_form **out,
                                                     const char *adapter_folder,
                                                     struct prilora_error *err);
PRILORA_API void prilora_form_close(struct prilora_form *form);

PRILORA_API size_t prilora_form_count(const struct prilora_form *form);
/* By name, ascending; NULL and 0 beyond the last. */
PRILORA_API const char *prilora_form_name(const struct prilora_form *form, size_t file);
PRILORA_API uint64_t prilora_form_size(const struct prilora_form *form, size_t file);
/* Exactly `size` bytes at `offset`. Errors: EINVAL if they do not lie in the file; EIO. */
PRILORA_API enum prilora_status prilora_form_read(struct prilora_form *form, size_t file,
                                                  uint64_t offset, void *out, size_t size,
                                                  struct prilora_error *err);
/*
 * prilora_form_fingerprint - SHA-256 over what all its bytes follow from: the adapter's numbers,
 * the small files, the base's fingerprint. Equal fingerprints mean equal files; nothing is computed
 * or read of the base's weights.
 */
PRILORA_API enum prilora_status prilora_form_fingerprint(struct prilora_form *form,
                                                         char fingerprint[65],
                                                         struct prilora_error *err);

/* ---- Ranks by evidence ------------------------------------------------------------------------
 */

/*
 * The singular values s_1 >= s_2 >= ... of a matrix of rank r; s_k^2 is a direction's energy.
 * All numbers are zero for a matrix of zeros.
 */
struct prilora_spectrum {
    const double *values;  /* [rank]; valid until the spectra are closed */
    double norm;           /* Frobenius: root of the sum of the energies */
    double relative;       /* norm / the same of the frozen weight; NaN where that is zero */
    double lower_share;    /* of the energy, in the last floor(r / 2) directions */
    double stable_rank;    /* all energy / the first direction's */
    double effective_rank; /* exp of the entropy of the directions' shares of the energy */
    size_t rank_90, rank_95, rank_99; /* the first so many directions hold that per cent of it */
};

/* One adapted map. xbar: the accumulated norm of each of its input's columns, as the run ended. */
struct prilora_map_spectrum {
    char module[160], map[24]; /* as in struct prilora_layer */
    size_t layer, rank, in_features, out_features;
    double scale;
    struct prilora_spectrum update;          /* of scale * B A */
    bool has_inputs;                         /* the folder tells xbar; else nothing below is */
    struct prilora_spectrum output;          /* of scale * B A diag(xbar): what the update adds to
                                                the map's output, directions by their inputs' size */
    double input_min, input_mean, input_max; /* of xbar */
};

struct prilora_spectra;

/*
 * prilora_spectra_open - the spectra of every map that an adapter's folder adapts, ours or PEFT's
 * own. xbar is in input_statistics.safetensors, which prilora_run_export writes; PEFT's own
 * folders, and those of earlier versions, have none. Everything is computed here.
 *
 * Errors   those of prilora_adapter_open; EMISMATCH if no map of the base is adapted; ENUMERIC:
 *          numbers beyond what can be computed with
 * Memory   8 (rank + 4) numbers for each map, until prilora_spectra_close
 */
PRILORA_API enum prilora_status prilora_spectra_open(struct prilora_spectra **out,
                                                     struct prilora_base *base, const char *folder,
                                                     struct prilora_error *err);
PRILORA_API void prilora_spectra_close(struct prilora_spectra *spectra);
/* Layer by layer; NULL beyond the last. */
PRILORA_API const struct prilora_map_spectrum *
prilora_spectra_map(const struct prilora_spectra *spectra, size_t i);

struct prilora_suggest_options {
    size_t budget; /* parameters of all A and B; 0: as many as the adapter has */
    double energy; /* above 0: stop once the ranks hold this share of what was learned; at most 1 */
};

struct prilora_layer_advice {
    size_t before, rank; /* the largest rank of the layer's maps; what is suggested */
    size_t least, most;  /* the bounds below */
    double energy;       /* the layer's share of what was learned, 0 to 1 */
    double lower_share;  /* of that, in the lower halves of its maps' directions */
    double held;         /* of that, in the directions that the suggested rank keeps */
    char reason[256];    /* one plain sentence */
};

struct prilora_suggestion {
    size_t n_layers;
    struct prilora_layer_advice layers[PRILORA_MAX_LAYERS]; /* 0 nearest the input */
    size_t n_before, n_after, budget;                       /* parameters of all A and B */
    double held;      /* share of what was learned that the suggested ranks keep */
    bool uses_inputs; /* energies are those of `output`; else of `update` */
    char reason[640]; /* of the whole */
};

/*
 * prilora_spectra_suggest - ranks for the next run, by what a finished one has made of its own.
 *
 *   energy      of direction k of map m: e_m(k) = s_k^2 / |W|^2, of `output` against the frozen
 *               weight W diag(xbar) if every map has xbar, else of `update` against W
 *   beyond      the trained rank r it is guessed to fall as it did over the lower half:
 *               e_m(r+i) = e_m(r) q^i, q = (e_m(r) / e_m(h))^(1/(r-h)), h = ceil(r/2);
 *               q = 1/2 for r = 1
 *   worth       of rank k of layer l: the sum of e_m(k) over its maps / the parameters that one
 *               more rank of them costs; worths within a thousandth of a power of two are equal
 *   bounds      from max(1, floor(f r / 2)) to ceil(2 f r), f = budget / parameters now; never
 *               above 1024 or what the maps' shapes can use; where the lower bounds do not fit
 *               the budget they are 1
 *   choice      every layer begins at its lower bound; then, again and again, the layer whose next
 *               rank is worth most gets it (of equal ones the lower rank, then the later layer),
 *               until that does not fit the budget, is worth nothing, or `energy` is reached
 *
 * Without the bounds and the guess this is the choice that keeps most of the update's energy. The
 * result follows from the numbers alone; a layer whose energies grow never loses rank by it. It is
 * a heuristic: what one run has learned, with one seed and on one set of data.
 *
 * Errors   EINVAL: a budget that rank 1 everywhere exceeds, energy outside 0 to 1; EMISMATCH: the
 *          adapter's update is zero, so that nothing is told
 */
PRILORA_API enum prilora_status
prilora_spectra_suggest(struct prilora_suggestion *out, const struct prilora_spectra *spectra,
                        const struct prilora_suggest_options *options, struct prilora_error *err);

#ifdef __cplusplus
}
#endif

#endif
