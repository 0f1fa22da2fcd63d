/* job_suggest.h - ranks: "suggest" of a new job becomes a list, by what a finished run has learned.
 */
#ifndef JOB_SUGGEST_H
#define JOB_SUGGEST_H

#include "api/job_codec.h"
#include "daemon/models.h"

/*
 * job_suggest - settles job->ranks_from's suggestion: the job's specification and *settings then
 * have the list of ranks, and the job tells of it. It takes as long as the finished adapter and its
 * base are large: nothing for a polling thread. False: *fault, or (err->status not OK) the
 * machine's own trouble.
 */
bool job_suggest(struct job *job, struct job_settings *settings, struct store *store,
                 struct models *models, struct fault *fault, struct prilora_error *err);

#endif
