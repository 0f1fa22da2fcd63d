/* run.c - a run from opening to closing, and the loop between. */
#include "train/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "train/spec.h"
#include "train/start.h"
#include "train/windows.h"

#define PUBLISH_SECONDS    0.5
#define CHECKPOINT_SECONDS 300 /* at most between two, unless the specification counts steps */

enum prilora_status pl_data_check(const struct prilora_base *base,
                                  const struct prilora_dataset *data, const char *which,
                                  struct prilora_error *err)
{
    const size_t most = pl_model_max_length(base->model);
    const size_t vocabulary = base->model->config.vocab_size;

    if (data->n == 0)
        return pl_fail(err, PRILORA_EDATA, "the %s data has no examples", which);
    if (data->longest > most)
        return pl_fail(err, PRILORA_EDATA,
                       "the %s data has an example of %zu tokens, but the model reads %zu", which,
                       data->longest, most);
    for (size_t k = 0; k < data->starts[data->n]; k++) {
        if ((size_t)data->ids[k] >= vocabulary)
            return pl_fail(err, PRILORA_EDATA, "the %s data has token %ld, but the model knows %zu",
                           which, (long)data->ids[k], vocabulary);
    }
    return PRILORA_OK;
}

static enum prilora_status check_other(const struct prilora_run *run,
                                       const struct prilora_dataset *data, const char *which,
                                       struct prilora_error *err)
{
    const struct prilora_dataset *train = run->train;
    enum prilora_status rc = data ? pl_data_check(run->base, data, which, err) : PRILORA_OK;

    if (rc != PRILORA_OK || !data ||
        (data->task == train->task && data->n_labels == train->n_labels))
        return rc;
    return pl_fail(err, PRILORA_EDATA,
                   "the %s data is for a %s task of %zu labels, the training data for a %s task of "
                   "%zu",
                   which, pl_task_word(data->task), data->n_labels, pl_task_word(train->task),
                   train->n_labels);
}

static enum prilora_status check_data(const struct prilora_run *run, struct prilora_error *err)
{
    enum prilora_status rc = pl_data_check(run->base, run->train, "training", err);

    if (rc == PRILORA_OK)
        rc = check_other(run, run->valid, "validation", err);
    return rc == PRILORA_OK ? check_other(run, run->mismatched, "mismatched", err) : rc;
}

static enum prilora_status make_engine(struct prilora_run *run, size_t n_threads,
                                       struct prilora_error *err)
{
    struct pl_model *model = run->base->model;
    struct pl_engine_limits limits = {
        .n_outputs = run->train->n_labels,
        .max_sequences = run->feed.step_size,
        .longest = run->train->longest,
        .step_tokens = pl_feed_step_tokens(run->train, run->feed.step_size),
        .n_threads = n_threads,
        .train = true,
    };
    size_t *offsets = pl_calloc(model->n_sites, sizeof *offsets);
    enum prilora_status rc;

    if (!offsets)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu maps", model->n_sites);
    if (run->valid && run->valid->longest > limits.longest)
        limits.longest = run->valid->longest;
    if (run->mismatched && run->mismatched->longest > limits.longest)
        limits.longest = run->mismatched->longest;
    rc = pl_engine_new(&run->engine, model, run->spec, run->train->task, &limits, err);
    for (size_t i = 0; rc == PRILORA_OK && i < model->n_sites; i++)
        offsets[i] = pl_net_stats_offset(run->engine->net, model->sites[i].input);
    if (rc == PRILORA_OK)
        rc = pl_pruner_new(&run->pruner, run->engine->adapter, model->sites, offsets,
                           run->engine->n_stats, err);
    free(offsets);
    return rc;
}

static enum prilora_status make_blocks(struct prilora_run *run, struct prilora_error *err)
{
    size_t size = run->engine->layout->size;
    pl_real **blocks[] = {&run->params, &run->m, &run->v, &run->best};

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        *blocks[i] = pl_calloc_aligned(size, sizeof(pl_real));
        if (!*blocks[i])
            return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu trainable numbers", size);
    }
    if (!run->valid)
        return PRILORA_OK;
    run->logits =
        pl_calloc(pl_dataset_logit_rows(run->valid) * run->valid->n_labels, sizeof *run->logits);
    if (!run->logits)
        return pl_fail(err, PRILORA_ENOMEM, "no memory to evaluate %zu examples", run->valid->n);
    if (pl_shares_new(&run->valid_cut, run->valid->n, err) != PRILORA_OK)
        return PRILORA_ENOMEM;
    pl_shares_fill(&run->valid_cut, run->valid->starts, run->valid->n, run->engine->budget);
    return PRILORA_OK;
}

/* The stride that the data were read with, unless their reader was told another one. */
static void settle_stride(struct prilora_run *run)
{
    const size_t most = pl_model_max_length(run->base->model);
    const size_t wanted = (size_t)run->spec->max_length;

    if (run->spec->task == PRILORA_TASK_QUESTION_ANSWERING && run->spec->doc_stride <= 0)
        run->spec->doc_stride =
            (long)pl_windows_stride(pl_tokenizer_pair_specials(run->base->tokenizer),
                                    wanted < most ? wanted : most);
}

static enum prilora_status bind(struct prilora_run *run, const struct prilora_spec *spec,
                                const struct prilora_run_options *options,
                                struct prilora_error *err)
{
    enum prilora_status rc = check_data(run, err);
    size_t n_layers = run->base->model->config.num_hidden_layers;

    run->on_event = options->on_event;
    run->context = options->context;
    run->stop = options->stop;
    if (rc != PRILORA_OK)
        return rc;
    run->spec = prilora_spec_copy(spec);
    if (!run->spec)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for a specification");
    rc = pl_spec_resolve(run->spec, run->train->task, n_layers, err);
    if (rc != PRILORA_OK)
        return rc;
    settle_stride(run);
    if (!options->folder)
        return PRILORA_OK;
    run->checkpoint = pl_file_join(options->folder, "checkpoint");
    if (!run->checkpoint)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for the folder's name");
    return pl_file_make_folder(options->folder, err);
}

/* The last "auto" values, which the base decides; then the specification is what a checkpoint
 * names. */
static enum prilora_status settle_spec(struct prilora_run *run, struct prilora_error *err)
{
    const struct pl_net_options *options = pl_net_options(run->engine->net);

    run->spec->hidden_dropout = options->hidden_dropout;
    run->spec->attention_dropout = options->attention_dropout;
    run->spec->classifier_dropout = options->classifier_dropout;
    run->spec_text = prilora_spec_dump(run->spec);
    return run->spec_text ? PRILORA_OK
                          : pl_fail(err, PRILORA_ENOMEM, "no memory for a specification");
}

enum prilora_status prilora_run_open(struct prilora_run **out, struct prilora_base *base,
                                     const struct prilora_spec *spec,
                                     const struct prilora_dataset *train,
                                     const struct prilora_dataset *valid,
                                     const struct prilora_run_options *options,
                                     struct prilora_error *err)
{
    struct prilora_run *run = pl_calloc(1, sizeof *run);
    enum prilora_status rc;
    bool known_head;

    prilora_init();
    *out = NULL;
    if (!run)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for a run");
    run->base = prilora_base_ref(base);
    run->train = train;
    run->valid = valid;
    run->mismatched = valid ? options->mismatched : NULL;
    rc = bind(run, spec, options, err);
    if (rc == PRILORA_OK) {
        size_t step_size = (size_t)(run->spec->batch_size * run->spec->gradient_accumulation_steps);

        rc = pl_feed_new(&run->feed, train, run->spec->seed, step_size, err);
    }
    if (rc == PRILORA_OK)
        rc = make_engine(run, options->n_threads, err);
    if (rc == PRILORA_OK)
        rc = settle_spec(run, err);
    if (rc == PRILORA_OK)
        rc = make_blocks(run, err);
    if (rc == PRILORA_OK) {
        run->total_steps = run->spec->max_steps > 0
                               ? (uint64_t)run->spec->max_steps
                               : (uint64_t)run->spec->n_epochs * run->feed.steps_per_epoch;
        pl_net_init(run->engine->net, run->params, run->spec->seed, &known_head);
        if (options->start_from)
            rc = pl_start_fill(run, options->start_from, err);
    }
    if (rc == PRILORA_OK)
        rc = pl_checkpoint_load(run, err);
    if (rc == PRILORA_OK)
        rc = pl_board_new(run, err);
    if (rc != PRILORA_OK) {
        prilora_run_close(run);
        return rc;
    }
    *out = run;
    return PRILORA_OK;
}

void prilora_run_close(struct prilora_run *run)
{
    if (!run)
        return;
    pl_board_free(&run->board);
    pl_pruner_free(run->pruner);
    pl_engine_free(run->engine);
    pl_feed_free(&run->feed);
    pl_shares_free(&run->valid_cut);
    free(run->logits);
    free(run->params);
    free(run->m);
    free(run->v);
    free(run->best);
    free(run->checkpoint);
    free(run->spec_text);
    prilora_spec_free(run->spec);
    prilora_base_close(run->base);
    free(run);
}

const struct prilora_spec *prilora_run_spec(const struct prilora_run *run)
{
    return run->spec;
}

uint64_t prilora_run_step(const struct prilora_run *run)
{
    return run->state.step;
}

static bool finished(const struct prilora_run *run)
{
    uint64_t patience = (uint64_t)run->spec->early_stopping_patience;

    return run->state.step >= run->total_steps || (patience && run->state.n_stale >= patience);
}

static bool stop_raised(const struct prilora_run *run)
{
    return run->stop && atomic_load_explicit(run->stop, memory_order_relaxed) == PRILORA_STOP;
}

static enum prilora_status save(struct prilora_run *run, struct prilora_error *err)
{
    struct prilora_event saving = pl_run_event(run, PRILORA_EVENT_SAVING);
    struct prilora_event event = pl_run_event(run, PRILORA_EVENT_CHECKPOINT);
    enum prilora_status rc;

    if (!run->checkpoint)
        return PRILORA_OK;
    pl_run_emit(run, &saving);
    rc = pl_checkpoint_save(run, err);
    run->clock.last = pl_seconds();
    if (rc != PRILORA_OK)
        return rc;
    run->saved_step = run->state.step;
    run->saved_at = run->clock.last;
    pl_run_emit(run, &event);
    return PRILORA_OK;
}

/* When a checkpoint is written changes nothing in what is trained: it may go by the clock. */
static bool checkpoint_due(const struct prilora_run *run, bool evaluated)
{
    uint64_t every = (uint64_t)run->spec->checkpoint_steps;

    if (run->state.step == run->saved_step)
        return false;
    if (every ? run->state.step % every == 0 : evaluated)
        return true;
    return finished(run) || (!every && pl_seconds() - run->saved_at >= CHECKPOINT_SECONDS);
}

/* What is due between two steps. ESTOPPED: the evaluation was interrupted, and nothing changed. */
static enum prilora_status between_steps(struct prilora_run *run, struct prilora_error *err)
{
    enum prilora_status rc;
    bool evaluate = pl_run_evaluation_due(run);
    struct prilora_error reason;

    if (evaluate && !pl_run_evaluate(run))
        return PRILORA_ESTOPPED;
    rc = prilora_base_check(run->base, err); /* no checkpoint is made of what was not there */
    if (rc != PRILORA_OK)
        return rc;
    if (pl_seconds() - run->board.last >= PUBLISH_SECONDS)
        pl_board_publish(run, run->params);
    if (!checkpoint_due(run, evaluate))
        return PRILORA_OK;
    /* a full disk may be empty again at the next checkpoint: no reason to lose the work */
    if (save(run, &reason) != PRILORA_OK)
        pl_run_warn(run, "no checkpoint at step %llu: %s", (unsigned long long)run->state.step,
                    reason.message);
    return PRILORA_OK;
}

/* Whatever a base that changed meanwhile does to the numbers, that comes first. */
static enum prilora_status step(struct prilora_run *run, struct prilora_error *err)
{
    enum prilora_status rc = pl_run_step(run, err), changed;

    if (rc == PRILORA_OK)
        return rc; /* it is asked for between the steps */
    changed = prilora_base_check(run->base, err);
    return changed != PRILORA_OK ? changed : rc;
}

static enum prilora_status stop(struct prilora_run *run, struct prilora_error *err)
{
    enum prilora_status rc = save(run, err);

    if (rc != PRILORA_OK)
        return rc;
    pl_board_publish(run, run->params);
    return pl_fail(err, PRILORA_ESTOPPED, "stopped after step %llu of %llu",
                   (unsigned long long)run->state.step, (unsigned long long)run->total_steps);
}

enum prilora_status prilora_run_train(struct prilora_run *run, struct prilora_error *err)
{
    enum prilora_status rc;

    run->clock = (struct pl_clock){.last = pl_seconds()};
    run->saved_at = run->clock.last;
    if (run->spec->early_stopping_patience && !run->valid)
        pl_run_warn(run, "early_stopping_patience does nothing without validation data");
    if (run->spec->compute == PRILORA_COMPUTE_BF16 && !pl_net_options(run->engine->net)->half)
        pl_run_warn(run,
                    "this processor does not multiply in bfloat16 (it has no AVX512-BF16): the "
                    "run computes in float32");
    for (;;) {
        rc = between_steps(run, err);
        if (rc == PRILORA_OK && finished(run))
            break;
        if (rc == PRILORA_ESTOPPED || (rc == PRILORA_OK && stop_raised(run)))
            return stop(run, err);
        if (rc == PRILORA_OK)
            rc = step(run, err);
        if (rc != PRILORA_OK)
            return rc;
    }
    pl_board_publish(run, run->params);
    return PRILORA_OK;
}
