/*
 * test_torture.c - the daemon is killed again and again while clients do all that they can: upload,
 * submit, pause, resume, cancel, edit, delete, go on from adapters, predict. Afterwards everything
 * that was answered must be there, once, and every job that trained to its end must have the bytes
 * of one that nobody disturbed.
 *
 *     test_torture [kills [seed]]      20 kills; the seed is told
 *
 * The kill comes from another process at a random instant, so that it hits requests half-way. What
 * was not answered may have happened or not: a submission is sent again with its Idempotency-Key.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
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
#include "support/server.h"

#define JOBS      "/v1/fine_tuning/jobs"
#define MAX_JOBS  4000
#define MAX_FILES 4000
#define MAX_OPEN  6 /* jobs that are not over */
#define N_KINDS   3
#define GOES_ON   (N_KINDS - 1) /* from the adapter of kind 0 */
#define SHORT_MS  150           /* between two kills, from the first answer on */
#define LONG_MS   1500
#define N_STEPS   24
#define OVER      "succeeded|failed|cancelled"

enum doubt { NO, PERHAPS, YES };

struct torture {
    struct test_server *server;
    uint64_t random;
    int kills;
    char train[64], parent[64], model[128];
    struct {
        char *adapter;
        size_t size;
    } kinds[N_KINDS]; /* what they end with, undisturbed */
    struct {
        char id[64]; /* "": not answered yet */
        int kind;
        enum doubt cancelled, deleted;
    } jobs[MAX_JOBS]; /* their number is in their metadata */
    int n_jobs;
    struct {
        char id[64], upload[64], parts[2][64]; /* "": not answered; upload: came in parts */
        enum doubt deleted;
    } files[MAX_FILES]; /* their number is in their name */
    int n_files;
};

static unsigned draw(struct torture *t, unsigned below)
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

    if (reply->status == 0)
        return NULL;
    if (reply->status >= 500)
        fail_msg("%s %s: %ld %s", method, path, reply->status, reply->body);
    return reply;
}

static struct test_reply *ask_about(struct torture *t, const char *method, const char *what,
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
    if (n_open >= MAX_OPEN || number == MAX_JOBS)
        return true;
    t->jobs[number].kind = (int)draw(t, N_KINDS);
    t->n_jobs++;
    return send_job(t, number);
}

/* One of the last jobs that were answered, or -1. */
static int pick_job(struct torture *t)
{
    int back = (int)draw(t, 2 * MAX_OPEN), number = t->n_jobs - 1 - back;

    return number >= 0 && t->jobs[number].id[0] && t->jobs[number].deleted == NO ? number : -1;
}

static bool steer(struct torture *t)
{
    static const char *const verbs[] = {"pause",  "pause",  "pause",  "resume", "resume",
                                        "resume", "resume", "resume", "cancel"};
    const char *verb = verbs[draw(t, sizeof verbs / sizeof *verbs)];
    int job = pick_job(t);
    struct test_reply *reply;

    if (job < 0)
        return true;
    if (strcmp(verb, "cancel") == 0)
        t->jobs[job].cancelled = PERHAPS;
    reply = ask_about(t, "POST", JOBS, t->jobs[job].id, verb);
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
    snprintf(text, sizeof text, "{\"priority\": %u}", draw(t, 9));
    reply = ask(t, "POST", path, text, NULL, NULL);
    if (reply && reply->status != 200 && reply->status != 409)
        fail_msg("edit: %s", reply->body);
    return reply;
}

static bool delete_job(struct torture *t)
{
    int job = draw(t, 4) ? -1 : pick_job(t);
    struct test_reply *reply;

    if (job < 0)
        return true;
    t->jobs[job].deleted = PERHAPS;
    reply = ask_about(t, "DELETE", JOBS, t->jobs[job].id, NULL);
    if (!reply)
        return false;
    if (reply->status != 200 && reply->status != 409)
        fail_msg("delete: %s", reply->body);
    t->jobs[job].deleted = reply->status == 200 ? YES : NO;
    return true;
}

/* ---- files ---- */

static void file_text(int number, char *out, size_t room)
{
    snprintf(out, room, "text,label\nthis is file %d,a\nand this,b\n", number);
}

static bool send_file(struct torture *t)
{
    char text[100], body[600];
    int number = t->n_files;
    struct test_reply *reply;

    if (number == MAX_FILES)
        return true;
    t->n_files++;
    file_text(number, text, sizeof text);
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
    int number = t->n_files ? (int)draw(t, (unsigned)t->n_files) : 0;
    struct test_reply *reply;

    if (!t->n_files || !t->files[number].id[0] || t->files[number].deleted != NO)
        return true;
    t->files[number].deleted = PERHAPS;
    reply = ask_about(t, "DELETE", "/v1/files", t->files[number].id, NULL);
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

static bool complete(struct torture *t, int number)
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

    if (number == MAX_FILES)
        return true;
    t->n_files++;
    file_text(number, text, sizeof text);
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
           complete(t, number);
}

/* ---- what only looks ---- */

static bool look(struct torture *t)
{
    static const char *const paths[] = {JOBS, "/metrics", "/v1/models", "/v1/files", "/readyz"};
    char text[300];
    struct test_reply *reply;
    int job = pick_job(t);

    if (draw(t, 3) == 0 && job >= 0)
        return ask_about(t, "GET", JOBS, t->jobs[job].id, "events") != NULL;
    if (draw(t, 2) == 0)
        return ask(t, "GET", paths[draw(t, sizeof paths / sizeof *paths)], NULL, NULL, NULL);
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
static bool ask_again(struct torture *t)
{
    for (int i = 0; i < t->n_jobs; i++)
        if (!t->jobs[i].id[0] && !send_job(t, i))
            return false;
    return true;
}

static pid_t kill_later(struct torture *t)
{
    long ms = SHORT_MS + (long)draw(t, LONG_MS - SHORT_MS);
    const struct timespec nap = {ms / 1000, ms % 1000 * 1000000 + (long)draw(t, 1000000)};
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        nanosleep(&nap, NULL);
        kill(t->server->pid, SIGKILL);
        _exit(0);
    }
    return child;
}

static void live_and_die(struct torture *t)
{
    pid_t killer = kill_later(t);
    bool alive = ask_again(t);

    while (alive)
        alive = operations[draw(t, sizeof operations / sizeof *operations)](t);
    assert_int_equal(waitpid(killer, NULL, 0), killer);
    test_server_kill(t->server); /* it is dead: its end is taken note of */
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

/* ---- afterwards ---- */

/* Paused ones are woken, and all are waited for. */
static void finish_all(struct torture *t)
{
    for (int i = 0; i < t->n_jobs; i++) {
        const char *id = t->jobs[i].id;
        const json_t *job;

        if (t->jobs[i].deleted == PERHAPS && test_get(t->server, JOBS "/%s", id)->status == 404)
            t->jobs[i].deleted = YES;
        if (t->jobs[i].deleted == YES)
            continue;
        t->jobs[i].deleted = NO;
        job = test_wait_job(t->server, id, OVER "|paused");
        if (strcmp(test_text(job, "status"), "paused") == 0) {
            struct test_reply *reply = ask_about(t, "POST", JOBS, id, "resume");

            assert_true(reply && reply->status == 200);
            test_wait_job(t->server, id, OVER);
        }
    }
}

static void check_adapter(struct torture *t, int i)
{
    struct test_reply *reply =
        test_get(t->server, JOBS "/%s/adapter/adapter_model.safetensors", t->jobs[i].id);
    int kind = t->jobs[i].kind;

    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->size, t->kinds[kind].size);
    assert_memory_equal(reply->body, t->kinds[kind].adapter, reply->size);
}

/* A job that nobody cancelled has trained to its end; only one that three kills hit before its
 * first checkpoint may have been given up. */
static void check_end(struct torture *t, int i, size_t *n_succeeded)
{
    struct test_reply *reply = test_get(t->server, JOBS "/%s", t->jobs[i].id);
    const char *status = test_text(reply->json, "status");

    if (strcmp(status, "failed") == 0) {
        assert_string_equal(test_text(reply->json, "error.code"), "daemon_died");
    } else if (strcmp(status, "cancelled") == 0) {
        assert_int_equal(t->jobs[i].cancelled, PERHAPS);
    } else {
        assert_string_equal(status, "succeeded");
        check_adapter(t, i);
        reply = test_get(t->server, JOBS "/%s/metrics?limit=1000", t->jobs[i].id);
        assert_int_equal(json_array_size(test_member(reply->json, "data")), N_STEPS);
        ++*n_succeeded;
    }
}

/* Those that tell of something that happens once. */
static bool happens_once(const char *message)
{
    static const char *const begins[] = {
        "Created ",     "Validating ", "Files validated",        "Fine-tuning job started",
        "Step ",        "Checkpoint ", "New fine-tuned model",   "The job was",
        "The job has ", "Forecast",    "Cancellation requested", "Training data",
    };

    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(message, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

/* In the order in which they were written: the first one, none twice, and the end last. */
static void check_events(struct torture *t, int i)
{
    struct test_reply *reply =
        test_get(t->server, JOBS "/%s/events?order=asc&limit=1000", t->jobs[i].id);
    const json_t *events = test_member(reply->json, "data");
    size_t n = json_array_size(events);
    const char *last;

    assert_int_equal(reply->status, 200);
    assert_true(n >= 3);
    for (size_t k = 0; k < n; k++) {
        const char *message = test_text(json_array_get(events, k), "message");

        for (size_t before = 0; happens_once(message) && before < k; before++)
            if (strcmp(test_text(json_array_get(events, before), "message"), message) == 0)
                fail_msg("job %d: \"%s\" was told twice", i, message);
    }
    last = test_text(json_array_get(events, n - 1), "message");
    if (strncmp(last, "The job ", 8) != 0 && !strstr(last, "ended unexpectedly"))
        fail_msg("job %d: the last event is \"%s\"", i, last);
}

/* Every number once, under the id that was answered. */
static void check_list(struct torture *t)
{
    char after[100] = "";
    int seen[MAX_JOBS] = {0};
    bool more = true;

    while (more) {
        struct test_reply *reply = test_get(t->server, JOBS "?limit=50%s", after);
        const json_t *data = test_member(reply->json, "data"), *job;
        size_t k;

        assert_int_equal(reply->status, 200);
        json_array_foreach ((json_t *)(uintptr_t)data, k, job) {
            int number = (int)strtol(test_text(job, "metadata.n"), NULL, 10);

            assert_true(number < t->n_jobs);
            snprintf(after, sizeof after, "&after=%s", test_text(job, "id"));
            if (number < 0)
                continue;
            assert_string_equal(test_text(job, "id"), t->jobs[number].id);
            seen[number]++;
        }
        more = json_is_true(test_member(reply->json, "has_more"));
    }
    for (int i = 0; i < t->n_jobs; i++)
        assert_int_equal(seen[i], t->jobs[i].deleted != YES);
}

static void check_file(struct torture *t, int number)
{
    char text[100];
    struct test_reply *reply = test_get(t->server, "/v1/files/%s/content", t->files[number].id);

    if (t->files[number].deleted == YES)
        assert_int_equal(reply->status, 404);
    if (reply->status == 404) {
        assert_int_not_equal(t->files[number].deleted, NO);
        return;
    }
    file_text(number, text, sizeof text);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, text);
}

/* An upload whose parts were answered can be completed, if it was not. */
static void check_upload(struct torture *t, int number)
{
    struct test_reply *reply = test_get(t->server, "/v1/uploads/%s", t->files[number].upload);

    assert_int_equal(reply->status, 200);
    if (strcmp(test_text(reply->json, "status"), "completed") == 0)
        snprintf(t->files[number].id, sizeof t->files[number].id, "%s",
                 test_text(reply->json, "file.id"));
    else if (t->files[number].parts[1][0])
        assert_true(complete(t, number));
}

static void check_files(struct torture *t)
{
    for (int i = 0; i < t->n_files; i++) {
        if (t->files[i].upload[0] && !t->files[i].id[0])
            check_upload(t, i);
        if (t->files[i].id[0])
            check_file(t, i);
    }
}

/* ---- what is on disk ---- */

static int64_t ask_database(sqlite3 *db, const char *sql, const char *text)
{
    sqlite3_stmt *s;
    int64_t answer;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    if (text)
        sqlite3_bind_text(s, 1, text, -1, SQLITE_TRANSIENT);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    answer = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return answer;
}

/* Entries of state/<folder> for which the query says 0; their number, the first one is told. */
static size_t count_orphans(struct torture *t, sqlite3 *db, const char *folder, const char *sql)
{
    char path[64];
    struct dirent *entry;
    size_t n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "state/%s", folder);
    dir = opendir(test_server_path(t->server, path));
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !ask_database(db, sql, entry->d_name) && n++ == 0)
            print_message("# an orphan: %s/%s\n", folder, entry->d_name);
    closedir(dir);
    return n;
}

static void check_disk(struct torture *t)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(test_server_path(t->server, "state/prilorad.db"), &db,
                                     SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    assert_int_equal(ask_database(db,
                                  "SELECT count(*) FROM pragma_integrity_check "
                                  "WHERE integrity_check <> 'ok'",
                                  NULL),
                     0);
    assert_int_equal(
        count_orphans(t, db, "jobs",
                      "SELECT count(*) FROM jobs WHERE id = ? AND fine_tuned_model IS NOT NULL"),
        0);
    assert_int_equal(count_orphans(t, db, "files", "SELECT count(*) FROM files WHERE id = ?"), 0);
    assert_int_equal(count_orphans(t, db, "parts",
                                   "SELECT count(*) FROM uploads WHERE id = ? AND status = "
                                   "'pending'"),
                     0);
    assert_int_equal(count_orphans(t, db, "uploads", "SELECT ?1 IS NULL"), 0);
    /* every end has one webhook, of jobs that are gone, too */
    assert_int_equal(ask_database(db,
                                  "SELECT count(*) FROM (SELECT 1 FROM webhooks GROUP BY "
                                  "job_id HAVING count(*) > 1)",
                                  NULL),
                     0);
    assert_int_equal(ask_database(db,
                                  "SELECT count(*) FROM jobs WHERE id NOT IN (SELECT job_id "
                                  "FROM webhooks)",
                                  NULL),
                     0);
    sqlite3_close(db);
}

/* ---- the test ---- */

static struct torture torture;

static void nothing_is_lost_and_nothing_is_doubled(void **state)
{
    struct torture *t = *state;
    size_t n_succeeded = 0, n_kept = 0;

    for (int i = 0; i < t->kills; i++)
        live_and_die(t);
    assert_true(ask_again(t));
    finish_all(t);
    check_list(t);
    check_files(t);
    for (int i = 0; i < t->n_jobs; i++) {
        if (t->jobs[i].deleted == YES)
            continue;
        n_kept++;
        check_end(t, i, &n_succeeded);
        check_events(t, i);
    }
    print_message("# %d kills: %d jobs, %zu kept, %zu of them succeeded; %d files\n", t->kills,
                  t->n_jobs, n_kept, n_succeeded, t->n_files);
    assert_true(n_succeeded > 0);
    test_server_stop(t->server); /* and what a start sweeps is swept */
    test_server_start(t->server);
    for (int i = 0; i < 100 && !strstr(test_get(t->server, "/metrics")->body, "prilorad"); i++)
        ;
    sleep(1);
    test_server_stop(t->server);
    check_disk(t);
}

static int open_group(void **state)
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
    torture.server = test_server_new(settings);
    snprintf(torture.train, sizeof torture.train, "%s",
             test_upload(torture.server, "train.jsonl", text));
    free(text);
    for (int kind = 0; kind < N_KINDS; kind++)
        run_undisturbed(&torture, kind);
    *state = &torture;
    return 0;
}

static int close_group(void **state)
{
    test_server_free(torture.server);
    for (int kind = 0; kind < N_KINDS; kind++)
        free(torture.kinds[kind].adapter);
    return test_scratch_close(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_and_nothing_is_doubled),
    };

    torture.kills = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 20;
    torture.random = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL) * 2654435761u;
    torture.random += !torture.random; /* 0 would stay 0 */
    fprintf(stderr, "test_torture %d %llu\n", torture.kills, (unsigned long long)torture.random);
    return cmocka_run_group_tests(tests, open_group, close_group);
}
