/*
 * evidence.h - what a finished run's adapter tells about ranks: its spectra, and the ranks that
 * they suggest for the next run. Everything is computed when it is asked for, from the files of the
 * adapter and its base: it takes as long as these are large.
 */
#ifndef EVIDENCE_H
#define EVIDENCE_H

#include <jansson.h>

#include "daemon/models.h"
#include "daemon/queue.h"

struct evidence {
    struct job job; /* that has finished */
    struct prilora_spectra *spectra;
    bool suggests; /* false: the update is zero; then suggestion.reason alone says so */
    struct prilora_suggestion suggestion;
    const char *error_code; /* of an error that is not the machine's */
};

/*
 * evidence_open - of a job, or (not "ftjob-...") of the finished adapter of that name. Whatever it
 * returns, the caller clears *out.
 *
 * Errors   ENOENT: no such job or adapter, or none any more; EMISMATCH: the job has no adapter, or
 *          its base is not usable; EINVAL: what is wrong with the options, `where` naming it
 */
enum prilora_status evidence_open(struct evidence *out, struct store *store, struct models *models,
                                  const char *id, const struct prilora_suggest_options *options,
                                  struct prilora_error *err);
void evidence_clear(struct evidence *evidence);

/* One object for each map; NULL: out of memory. */
json_t *evidence_maps(const struct evidence *evidence);

/*
 * {"ranks", "hyperparameters", ..., "layers", "reason"}; null if nothing is suggested. NULL: out of
 * memory. The hyperparameters are those of method "prilora" that make the finished run's again,
 * with the suggested ranks.
 */
json_t *evidence_suggestion(const struct evidence *evidence);

#endif
