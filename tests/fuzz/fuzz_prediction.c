/* fuzz_prediction.c - any bytes as the body of a request for predictions; one that is accepted is
 * answered as if every text had the same values. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/prediction_codec.h"
#include "api/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const struct prediction_request *request, enum prilora_task task)
{
    static char first[] = "a", second[] = "b\"\n";
    char *labels[2] = {first, second};
    struct prediction p = {.n = request->n, .texts = request->texts, .labels = labels};
    struct json_out out = {0};
    json_t *shown;

    p.info.task = task;
    p.info.n_labels = task == PRILORA_TASK_REGRESSION ? 1 : 2;
    p.out = calloc(p.n, sizeof *p.out);
    p.values = calloc(p.n, 2 * sizeof *p.values);
    assert(p.out && p.values);
    prediction_encode(&out, request->model, &p, request->top_k);
    assert(!out.failed);
    shown = json_loadb(out.text, out.n, JSON_REJECT_DUPLICATES, NULL);
    assert(json_array_size(json_object_get(shown, "data")) == request->n);
    json_decref(shown);
    json_out_clear(&out);
    free(p.out);
    free(p.values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prediction_request request;
    struct fault fault = {0};

    if (prediction_decode((const char *)data, size, &request, &fault)) {
        assert(request.model && request.n >= 1 && request.n <= PREDICTION_MAX_INPUTS);
        assert(request.top_k >= 1 && request.top_k <= 1000);
        for (size_t i = 0; i < request.n; i++)
            assert(request.texts[i].text &&
                   utf8_valid(request.texts[i].text, request.texts[i].text_size));
        if (request.n <= 8) { /* more are more of the same, and slow */
            answer(&request, PRILORA_TASK_CLASSIFICATION);
            answer(&request, PRILORA_TASK_REGRESSION);
            answer(&request, PRILORA_TASK_MULTI_LABEL);
        }
        prediction_request_clear(&request);
    } else {
        assert(fault.status >= 400 && fault.code && fault.message[0]);
        assert(utf8_valid(fault.message, strlen(fault.message)));
        assert(utf8_valid(fault.param, strlen(fault.param)));
        assert(utf8_valid(fault.pointer, strlen(fault.pointer)));
    }
    return 0;
}
