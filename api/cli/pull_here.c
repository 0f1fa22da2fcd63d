/* pull_here.c - prilora pull --to: base models fetched without a daemon, by its own functions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/interrupt.h"
#include "api/cli/progress.h"
#include "api/cli/pull.h"
#include "api/cli/text.h"
#include "daemon/pull.h"

#define HUB "https://huggingface.co"

struct here {
    struct pull_request request;
    struct pull_result result;
    struct prilora_error error;
    uint64_t bytes;
};

static const char *environment(const char *name, const char *standard)
{
    const char *value = getenv(name);

    return value && *value ? value : standard;
}

static void on_progress(void *context, const struct pull_progress *progress)
{
    struct here *here = context;
    const char *name = here->request.model;

    for (size_t i = 0; i < progress->n_files && progress->files[i].bytes > 0; i++) {
        name = progress->files[i].name;
        if (!progress->files[i].is_whole)
            break;
    }
    here->bytes = progress->bytes;
    if (progress->n_files == 0) { /* it may be long, and in vain, until the hub tells which */
        char *asking = format("asking %s", here->request.endpoint);

        progress_draw(-1, (const char *const[]){asking}, 1);
        free(asking);
        return;
    }
    progress_bytes(name, (int64_t)progress->bytes, (int64_t)progress->total_bytes);
}

/* As an answer of GET /v1/pulls/{id} would have it. */
static void show_json_of(const struct here *here, enum prilora_status rc)
{
    const struct pull_request *request = &here->request;
    json_t *error = rc == PRILORA_OK ? json_null()
                                     : json_pack("{s:s, s:s}", "code", here->result.code, "message",
                                                 here->error.message);
    json_t *object = must(
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:o}", "model", request->model, "revision",
                  request->revision, "commit", here->result.commit, "folder", request->models_dir,
                  "status", rc == PRILORA_OK ? "succeeded" : "failed", "was_there",
                  here->result.was_there, "bytes", (json_int_t)here->bytes, "error", must(error)));
    char *text = must(json_dumps(object, JSON_COMPACT));

    text_put_json(stdout, text);
    putchar('\n');
    free(text);
    json_decref(object);
}

static int finish(const struct call *call, const struct here *here, enum prilora_status rc)
{
    const struct pull_request *request = &here->request;

    if (call->json)
        show_json_of(here, rc);
    else if (rc == PRILORA_OK)
        text_say("%s/%s: %s", request->models_dir, request->model,
                 here->result.was_there ? "it was there already"
                                        : text_bytes((int64_t)here->bytes));
    if (rc == PRILORA_OK)
        return EXIT_DONE;
    if (rc == PRILORA_ESTOPPED) {
        note("what came is kept in %s; the same command goes on from there", request->models_dir);
        return EXIT_INTERRUPTED;
    }
    return fail(rc == PRILORA_EINVAL ? EXIT_USAGE : pull_status(here->result.code), "%s",
                here->error.message);
}

int pull_here(const struct call *call, const char *dir, const char *model)
{
    const char *endpoint = environment("HF_ENDPOINT", HUB), *wrong = pull_check_endpoint(endpoint);
    const char *revision = call_option(call, "revision");
    struct here here = {.request = {
                            .endpoint = endpoint,
                            .token = environment("HF_TOKEN", NULL),
                            .model = model,
                            .revision = revision ? revision : "main",
                            .models_dir = dir,
                            .force = call_has(call, "force"),
                            .stop = interrupt_flag(),
                            .context = &here,
                            .on_progress = on_progress,
                        }};
    enum prilora_status rc;

    if (wrong)
        return fail(EXIT_USAGE, "HF_ENDPOINT: \"%s\", but %s", endpoint, wrong);
    if (!*dir)
        return fail(EXIT_USAGE, "--to: must not be empty");
    interrupt_catch();
    progress_begin(stderr);
    rc = pull_model(&here.request, &here.result, &here.error);
    progress_end();
    return finish(call, &here, rc);
}
