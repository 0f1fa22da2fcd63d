/*
 * torture.c - see torture.h: what the clients do, and how the daemon ends under it.
 *
 * The end comes from another process at a random instant, so that it hits requests half-way. What
 * was not answered may have happened or not: a submission is sent again with its Idempotency-Key.
 */
#include "support/torture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/scratch.h"

#define MAX_OPEN 6                   /* jobs that are not over */
#define GOES_ON  (TORTURE_KINDS - 1) /* from the adapter of kind 0 */
#define SHORT_MS 150                 /* between two ends, from the first answer on */
#define LONG_MS  1500
#define OVER     "succeeded|failed|cancelled"
#define JOBS     "/v1/fine_tuning/jobs"

unsigned torture_draw(struct torture *t, unsigned below)
{
    t->random ^= t->random << 13; /* xorshift64 */
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return (unsigned)(t->random >> 33) % below;
}

/* ---- requests that the daemon may not live to answer ---- */

/* NULL: it is dead. */
static struct test_reply *ask(struct torture *t, const char *method, const char *path,
                              const char *body, const char *type, const char *header)
{
    struct test_reply *reply = test_send(t->server, &(struct test_request){.method = method,
                                                                           .path = path,
                                                                           .body = body,
                                                                           .type = type,
                                                                           .headers = {header},
                                                                           .may_break = true});

    if (reply->status == 0 || (reply->status == 503 && t->how == TORTURE_TERM))
        return NULL;
    if (reply->status >= 500)
        fail_msg("%s %s: %ld %s", method, path, reply->status, reply->body);
    return reply;
}

struct test_reply *torture_ask(struct torture *t, const char *method, const char *what,
                               const char *id, const char *verb)
{
    char path[300];

    snprintf(path, sizeof path, "%s/%s%s%s", what, id, verb ? "/" : "", verb ? verb : "");
    return ask(t, method, path, NULL, NULL, NULL);
}

/* ---- jobs ---- */

static void job_text(struct torture *t, int kind, int number, char *out, size_t room)
{
    snprintf(out, room,
             "{\"model\": \"%s\", \"training_file\": \"%s\", \"seed\": %d, \"metadata\": {\"n\": "
             "\"%d\"}, \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": 3, \"batch_size\": 4, \"max_length\": 16, \"prune_interval\": 4, "
             "\"checkpoint_steps\": %d, \"hidden_dropout\": 0.1}}}}",
             kind == GOES_ON ? t->model : "prilora-mini-en", t->train, 11 + kind, number, 2 + kind);
}

/* Sends job `number`, perhaps not for the first time. */
static bool send_job(struct torture *t, int number)
{
    char text[800], header[64];
    struct test_reply *reply;

    job_text(t, t->jobs[number].kind, number, text, sizeof text);
    snprintf(header, sizeof header, "Idempotency-Key: job-%d", number);
    reply = ask(t, "POST", JOBS, text, NULL, header);
    if (!reply)
        return false;
    if (reply->status != 200)
        fail_msg("job %d was refused: %s", number, reply->body);
    snprintf(t->jobs[number].id, sizeof t->jobs[number].id, "%s", test_text(reply->json, "id"));
    return true;
}

static bool count_open(struct torture *t, int *n)
{
    struct test_reply *reply =
        ask(t, "GET", JOBS "?limit=100&status=validating_files,queued,running,paused", NULL, NULL,
            NULL);

    if (!reply)
        return false;
    assert_int_equal(reply->status, 200);
    *n = (int)json_array_size(test_member(reply->json, "data"));
    return true;
}

static bool submit(struct torture *t)
{
    int n_open, number = t->n_jobs;

    if (!count_open(t, &n_open))
        return false;
    if (n_open >= MAX_OPEN || number == TORTURE_MAX_JOBS)
        return true;
    t->jobs[number].kind = (int)torture_draw(t, TORTURE_KINDS);
    t->n_jobs++;
    return send_job(t, number);
}

/* One of the last jobs that were answered, or -1. */
static int pick_job(struct torture *t)
{
    int back = (int)torture_draw(t, 2 * MAX_OPEN), number = t->n_jobs - 1 - back;

    return number >= 0 && t->jobs[number].id[0] && t->jobs[number].deleted == NO ? number : -1;
}

static bool steer(struct torture *t)
{
    static const char *const verbs[] = {"pause",  "pause",  "pause",  "resume", "resume",
                                        "resume", "resume", "resume", "cancel"};
    const char *verb = verbs[torture_draw(t, sizeof verbs / sizeof *verbs)];
    int job = pick_job(t);
    struct test_reply *reply;

    if (job < 0)
        return true;
    if (strcmp(verb, "cancel") == 0)
        t->jobs[job].cancelled = PERHAPS;
    reply = torture_ask(t, "POST", JOBS, t->jobs[job].id, verb);
    if (reply && reply->status != 200 && reply->status != 409)
        fail_msg("%s: %s", verb, reply->body);
    return reply;
}

static bool edit(struct torture *t)
{
    char path[200], text[60];
    int job = pick_job(t);
    struct test_reply *reply;

    if (job < 0)
        return true;
    snprintf(path, sizeof path, JOBS "/%s", t->jobs[job].id);
    snprintf(text, sizeof text, "{\"priority\": %u}", torture_draw(t, 9));
    reply = ask(t, "POST", path, text, NULL, NULL);
    if (reply && reply->status != 200 && reply->status != 409)
        fail_msg("edit: %s", reply->body);
    return reply;
}

static bool delete_job(struct torture *t)
{
    int job = torture_draw(t, 4) ? -1 : pick_job(t);
    struct test_reply *reply;

    if (job < 0)
        return true;
    t->jobs[job].deleted = PERHAPS;
    reply = torture_ask(t, "DELETE", JOBS, t->jobs[job].id, NULL);
    if (!reply)
        return false;
    if (reply->status != 200 && reply->status != 409)
        fail_msg("delete: %s", reply->body);
    t->jobs[job].deleted = reply->status == 200 ? YES : NO;
    return true;
}

/* ---- files ---- */

void torture_file_text(int number, char *out, size_t room)
{
    snprintf(out, room, "text,label\nthis is file %d,a\nand this,b\n", number);
}

static bool send_file(struct torture *t)
{
    char text[100], body[600];
    int number = t->n_files;
    struct test_reply *reply;

    if (number == TORTURE_MAX_FILES)
        return true;
    t->n_files++;
    torture_file_text(number, text, sizeof text);
    snprintf(body, sizeof body,
             "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file-%d.csv\"\r\n"
             "\r\n%s\r\n--cut\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune"
             "\r\n--cut--\r\n",
             number, text);
    reply = ask(t, "POST", "/v1/files", body, "multipart/form-data; boundary=cut", NULL);
    if (!reply)
        return false;
    assert_int_equal(reply->status, 200);
    snprintf(t->files[number].id, sizeof t->files[number].id, "%s", test_text(reply->json, "id"));
    return true;
}

static bool delete_file(struct torture *t)
{
    int number = t->n_files ? (int)torture_draw(t, (unsigned)t->n_files) : 0;
    struct test_reply *reply;

    if (!t->n_files || !t->files[number].id[0] || t->files[number].deleted != NO)
        return true;
    t->files[number].deleted = PERHAPS;
    reply = torture_ask(t, "DELETE", "/v1/files", t->files[number].id, NULL);
    if (!reply)
        return false;
    assert_int_equal(reply->status, 200);
    t->files[number].deleted = YES;
    return true;
}

static bool send_part(struct torture *t, int number, const char *text, size_t size, char *id)
{
    char body[400], path[200];
    struct test_reply *reply;

    snprintf(body, sizeof body,
             "--cut\r\nContent-Disposition: form-data; name=\"data\"; filename=\"blob\"\r\n\r\n"
             "%.*s\r\n--cut--\r\n",
             (int)size, text);
    snprintf(path, sizeof path, "/v1/uploads/%s/parts", t->files[number].upload);
    reply = ask(t, "POST", path, body, "multipart/form-data; boundary=cut", NULL);
    if (!reply)
        return false;
    assert_int_equal(reply->status, 200);
    snprintf(id, 64, "%s", test_text(reply->json, "id"));
    return true;
}

bool torture_complete(struct torture *t, int number)
{
    char path[200], text[300];
    struct test_reply *reply;

    snprintf(path, sizeof path, "/v1/uploads/%s/complete", t->files[number].upload);
    snprintf(text, sizeof text, "{\"part_ids\": [\"%s\", \"%s\"]}", t->files[number].parts[0],
             t->files[number].parts[1]);
    reply = ask(t, "POST", path, text, NULL, NULL);
    if (!reply)
        return false;
    if (reply->status != 200)
        fail_msg("complete: %s", reply->body);
    snprintf(t->files[number].id, sizeof t->files[number].id, "%s",
             test_text(reply->json, "file.id"));
    return true;
}

static bool send_in_parts(struct torture *t)
{
    char text[100], body[300];
    int number = t->n_files;
    struct test_reply *reply;
    size_t half;

    if (number == TORTURE_MAX_FILES)
        return true;
    t->n_files++;
    torture_file_text(number, text, sizeof text);
    half = strlen(text) / 2;
    snprintf(body, sizeof body,
             "{\"bytes\": %zu, \"filename\": \"file-%d.csv\", \"mime_type\": \"text/csv\", "
             "\"purpose\": \"fine-tune\"}",
             strlen(text), number);
    reply = ask(t, "POST", "/v1/uploads", body, NULL, NULL);
    if (!reply)
        return false;
    assert_int_equal(reply->status, 200);
    snprintf(t->files[number].upload, sizeof t->files[number].upload, "%s",
             test_text(reply->json, "id"));
    return send_part(t, number, text, half, t->files[number].parts[0]) &&
           send_part(t, number, text + half, strlen(text) - half, t->files[number].parts[1]) &&
           torture_complete(t, number);
}

/* ---- what only looks ---- */

static bool look(struct torture *t)
{
    static const char *const paths[] = {JOBS, "/metrics", "/v1/models", "/v1/files", "/readyz"};
    char text[300];
    struct test_reply *reply;
    int job = pick_job(t);

    if (torture_draw(t, 3) == 0 && job >= 0)
        return torture_ask(t, "GET", JOBS, t->jobs[job].id, "events") != NULL;
    if (torture_draw(t, 2) == 0)
        return ask(t, "GET", paths[torture_draw(t, sizeof paths / sizeof *paths)], NULL, NULL,
                   NULL);
    snprintf(text, sizeof text, "{\"model\": \"%s\", \"input\": \"It rains.\"}", t->model);
    reply = ask(t, "POST", "/v1/predictions", text, NULL, NULL);
    if (reply && reply->status != 200)
        fail_msg("prediction: %s", reply->body);
    return reply;
}
/* ---- one life of the daemon ---- */

static bool (*const operations[])(struct torture *) = {
    submit,     submit,    submit,      steer,         steer, steer, edit,
    delete_job, send_file, delete_file, send_in_parts, look,  look,
};

/* Everything that is still in doubt and can be asked again. */
bool torture_ask_again(struct torture *t)
{
    for (int i = 0; i < t->n_jobs; i++)
        if (!t->jobs[i].id[0] && !send_job(t, i))
            return false;
    return true;
}

static pid_t kill_later(struct torture *t)
{
    long ms = SHORT_MS + (long)torture_draw(t, LONG_MS - SHORT_MS);
    const struct timespec nap = {ms / 1000, ms % 1000 * 1000000 + (long)torture_draw(t, 1000000)};
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        nanosleep(&nap, NULL);
        kill(t->server->pid, t->how == TORTURE_TERM ? SIGTERM : SIGKILL);
        _exit(0);
    }
    return child;
}

void torture_live(struct torture *t)
{
    pid_t killer = kill_later(t);
    bool alive = torture_ask_again(t);

    while (alive)
        alive = operations[torture_draw(t, sizeof operations / sizeof *operations)](t);
    assert_int_equal(waitpid(killer, NULL, 0), killer);
    if (t->how == TORTURE_TERM)
        test_server_wait(t->server);
    else
        test_server_kill(t->server); /* it is dead: its end is taken note of */
    if (t->after_end)
        t->after_end(t);
    test_server_start(t->server);
}
/* ---- the undisturbed ones ---- */

static void run_undisturbed(struct torture *t, int kind)
{
    char text[800], id[64];
    const json_t *job;
    struct test_reply *reply;

    job_text(t, kind, -1, text, sizeof text);
    snprintf(id, sizeof id, "%s", test_create_job(t->server, text));
    job = test_wait_job(t->server, id, OVER);
    assert_string_equal(test_text(job, "status"), "succeeded");
    if (kind == 0) {
        snprintf(t->parent, sizeof t->parent, "%s", id);
        snprintf(t->model, sizeof t->model, "%s", test_text(job, "fine_tuned_model"));
    }
    reply = test_get(t->server, JOBS "/%s/adapter/adapter_model.safetensors", id);
    assert_int_equal(reply->status, 200);
    t->kinds[kind].adapter = malloc(reply->size);
    t->kinds[kind].size = reply->size;
    assert_non_null(t->kinds[kind].adapter);
    memcpy(t->kinds[kind].adapter, reply->body, reply->size);
}
/* ---- opening and closing ---- */

int torture_open(struct torture *t, void **state)
{
    static char secret_setting[600];
    static const char secret[] = "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\n";
    static const char *settings[] = {"--training.workers=2", "--training.threads=1",
                                     "--webhooks.url=http://127.0.0.1:9/", secret_setting, NULL};
    char *text = test_sentences(32, 1);

    if (test_scratch_open(state) != 0)
        return -1;
    snprintf(secret_setting, sizeof secret_setting, "--webhooks.secret_file=%s",
             test_scratch_write("secret", secret, sizeof secret - 1));
    t->server = t->start ? t->start(t, settings) : test_server_new(settings);
    snprintf(t->train, sizeof t->train, "%s", test_upload(t->server, "train.jsonl", text));
    free(text);
    for (int kind = 0; kind < TORTURE_KINDS; kind++)
        run_undisturbed(t, kind);
    *state = t;
    return 0;
}

int torture_close(struct torture *t, void **state)
{
    test_server_free(t->server);
    for (int kind = 0; kind < TORTURE_KINDS; kind++)
        free(t->kinds[kind].adapter);
    return test_scratch_close(state);
}

void torture_arguments(struct torture *t, int n_ends, int argc, char **argv)
{
    t->n_ends = argc > 1 ? (int)strtol(argv[1], NULL, 10) : n_ends;
    t->random =
        argc > 2 && *argv[2] ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL) * 2654435761u;
    t->random += !t->random; /* 0 would stay 0 */
    fprintf(stderr, "%s %d %llu\n", argv[0], t->n_ends, (unsigned long long)t->random);
}
