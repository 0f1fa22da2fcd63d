/* job_check.h - what must be looked up before a job is queued: model, files, memory. */
#ifndef JOB_CHECK_H
#define JOB_CHECK_H

#include "api/job_codec.h"
#include "api/server.h"

/*
 * job_check - a job that job_decode has read: fills model and start_from, spec if it goes on from
 * an adapter, and forecast. False: *fault says what is wrong with it, or *err (if its status is not
 * PRILORA_OK) what trouble the daemon has.
 */
bool job_check(struct api *api, struct job *job, struct job_settings *settings, struct fault *fault,
               struct prilora_error *err);

#endif
