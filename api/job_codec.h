/* job_codec.h - jobs as JSON: what a client sends, and what it is shown. No I/O. */
#ifndef JOB_CODEC_H
#define JOB_CODEC_H

#include "api/adapter_files.h"
#include "api/fault.h"
#include "api/json_out.h"
#include "daemon/queue.h"

/* The settings of the training, as they came and as they are if the model is a base. */
struct job_settings {
    char *text; /* JSON for prilora_spec_parse, the seed included */
    struct prilora_spec *spec;
    char *ranks_from; /* ranks are "suggest": the finished job or adapter that tells them; in text
                         and spec stands [1] until job_suggest has asked it. NULL: they are told */
};
void job_settings_clear(struct job_settings *settings);

/*
 * job_decode - the body of POST /v1/fine_tuning/jobs, checked completely but for what must be
 * looked up (model, files). Fills what queue_submit wants, but for the forecast, and *settings.
 * Whatever it returns, the caller clears both.
 */
bool job_decode(const char *body, size_t size, struct job *out, struct job_settings *settings,
                struct fault *fault);

/* The body of POST /v1/fine_tuning/jobs/{id}: priority, metadata or both. Free edit->metadata. */
bool job_decode_edit(const char *body, size_t size, struct queue_edit *edit, struct fault *fault);

struct job_view {
    const struct job_progress *live;     /* NULL: the row's */
    const struct adapter_files *adapter; /* NULL: there is none */
};
void job_encode(struct json_out *out, const struct job *job, const struct job_view *view);
/* {"status", "estimated_finish", "progress"}: those members of the job alone. */
void job_encode_progress(struct json_out *out, const struct job *job,
                         const struct job_progress *progress);

bool job_is_over(const struct job *job);

#endif
