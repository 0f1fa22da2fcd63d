/* fuzz_request.c - any bytes as the body of a new job; one that is accepted is shown again. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/job_codec.h"
#include "api/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(struct job *job)
{
    const struct job_view view = {0};
    struct prilora_spec *again = NULL;
    struct json_out out = {0};
    json_t *shown;

    job->status = JOB_VALIDATING;
    job_encode(&out, job, &view);
    assert(!out.failed);
    shown = json_loadb(out.text, out.n, JSON_REJECT_DUPLICATES, NULL);
    assert(shown);
    assert(json_is_object(json_object_get(shown, "method")));
    json_decref(shown);
    json_out_clear(&out);
    assert(prilora_spec_parse(&again, job->spec, strlen(job->spec), NULL) == PRILORA_OK);
    prilora_spec_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct job job;
    struct job_settings settings;
    struct queue_edit edit;
    struct fault fault = {0};

    if (job_decode((const char *)data, size, &job, &settings, &fault)) {
        assert(job.model && job.training_file && job.spec && job.requested && settings.spec);
        assert(job.seed >= 0 && job.seed <= INT32_MAX);
        show(&job);
    } else {
        assert(fault.status >= 400 && fault.code && fault.message[0]);
        assert(utf8_valid(fault.message, strlen(fault.message)));
        assert(utf8_valid(fault.param, strlen(fault.param)));
        assert(utf8_valid(fault.pointer, strlen(fault.pointer)));
    }
    job_settings_clear(&settings);
    job_clear(&job);
    if (job_decode_edit((const char *)data, size, &edit, &fault))
        assert(edit.has_priority || edit.metadata);
    free(edit.metadata);
    return 0;
}
