/*
 * service.c - `make bench`: what is around the training step, against its targets.
 *
 *   bench-service [--json FILE] [--markdown FILE] [data|open|start|history|training]...
 *
 * data      rows of SST-2 parsed, checked and tokenized
 * open      a base model of 700 MB
 * start     the daemon with an empty queue: ready, resident memory
 * history   the same after 100,000 jobs; status requests to a daemon on one core
 * training  status requests while every core trains, and what a dashboard costs the training
 *
 * The daemon is the released one, in a temporary folder. GLUE's files and DeBERTa's own vocabulary
 * are taken from ../shared where they are; else the bundled example stands for them.
 */
#include <ftw.h>
#include <jansson.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "figures.h"
#include "history.h"
#include "load.h"
#include "prilora.h"
#include "random_model.h"

#define MEGABYTE      1e6
#define MODELS        "examples"
#define BUNDLED       "prilora-mini-en"
#define BUNDLED_DATA  "examples/support-desk/train.jsonl"
#define SST2          "../shared/data/glue/SST-2/train.tsv"
#define SST2_ROWS     67349
#define VOCABULARY    "../shared/reference/tokenizers/deberta-v3/spm.model"
#define LARGE         "deberta-v3-base" /* as published: 735 MB in single precision */
#define LARGE_FOLDER  "build/bench/" LARGE
#define N_JOBS        100000
#define N_TRIES       9
#define SETTLE_S      1.0
#define LOAD_S        5.0
#define N_WATCHERS    5
#define WINDOW_S      5.0
#define N_WINDOWS     8 /* with watchers, and as many without */
#define JOB           "/v1/fine_tuning/jobs/"
#define DAEMON_CORE   0
#define CLIENTS_CORE  1
#define STEP_TOKENS   512 /* 8 sequences of 64: short steps, all alike */
#define SEQUENCE_ROOM 64

static char folder[256]; /* of the daemon's state; a fresh one for each case */

/* ---- folders ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void folder_open(void)
{
    const char *top = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/prilorad-bench-XXXXXX", top ? top : "/tmp");
    if (!mkdtemp(folder))
        child_die("%s: cannot make the folder", folder);
}

static void folder_close(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void check(enum prilora_status rc, const struct prilora_error *err)
{
    if (rc != PRILORA_OK)
        child_die("%s", err->message);
}

static void use_core(int core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (core == CHILD_ANY_CORE || i == core)
            CPU_SET(i, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* ---- data ---- */

/* SST-2, or as many rows of the bundled example, each several times; returns the file's path. */
static const char *rows_of_sst2(void)
{
    static char path[300];
    char line[4096];
    FILE *in, *out;
    size_t n = 0;

    if (access(SST2, R_OK) == 0)
        return SST2;
    snprintf(path, sizeof path, "%s/rows.jsonl", folder);
    in = fopen(BUNDLED_DATA, "r");
    out = fopen(path, "w");
    while (in && out && n < SST2_ROWS) {
        if (!fgets(line, sizeof line, in)) {
            rewind(in);
            continue;
        }
        fputs(line, out);
        n++;
    }
    if (!in || !out || fclose(out) != 0)
        child_die("%s: cannot be written", path);
    fclose(in);
    return path;
}

/* A folder with the large random model and DeBERTa's own vocabulary, if that is there. */
static const char *large_model(void)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    static char path[300];
    struct prilora_error err;
    char *top = realpath(".", NULL);

    if (access(LARGE_FOLDER "/config.json", R_OK) != 0)
        check(random_model_write(LARGE_FOLDER, LARGE, &err), &err);
    if (access(VOCABULARY, R_OK) != 0) {
        free(top);
        return LARGE_FOLDER;
    }
    snprintf(path, sizeof path, "%s/" LARGE, folder);
    mkdir(path, 0750);
    for (size_t i = 0; i < 3; i++) {
        char from[600], to[600];

        snprintf(from, sizeof from, "%s/%s%s", top, i < 2 ? LARGE_FOLDER "/" : VOCABULARY,
                 i < 2 ? files[i] : "");
        snprintf(to, sizeof to, "%s/%s", path, i < 2 ? files[i] : "spm.model");
        if (symlink(from, to) != 0 && access(to, R_OK) != 0)
            child_die("%s: cannot be made", to);
    }
    free(top);
    return path;
}

static void measure_data(void)
{
    struct prilora_dataset_options options = {.max_length = 128};
    double seconds[N_TRIES];
    struct prilora_dataset_info info = {0};
    struct prilora_dataset *data;
    struct prilora_base *base;
    struct prilora_error err;
    const char *path;
    char name[100];

    folder_open();
    path = rows_of_sst2();
    check(prilora_base_open(&base, large_model(), &err), &err);
    for (size_t i = 0; i < N_TRIES; i++) {
        double start = child_now();

        check(prilora_dataset_read(&data, base, path, &options, &err), &err);
        seconds[i] = child_now() - start;
        prilora_dataset_describe(data, &info);
        prilora_dataset_free(data);
    }
    prilora_base_close(base);
    folder_close();
    snprintf(name, sizeof name, "%zu rows (%zu tokens) parsed, checked, tokenized on one core",
             info.n_examples, info.n_tokens);
    figures_add(name, "s", figures_quantile(seconds, N_TRIES, 0.5), FIGURE_AT_MOST, 2);
}

static void measure_open(void)
{
    double seconds[N_TRIES];
    struct prilora_base_info info;
    struct prilora_base *base;
    struct prilora_error err;
    const char *path;
    char name[100];

    folder_open();
    path = large_model();
    for (size_t i = 0; i < N_TRIES; i++) {
        double start = child_now();

        check(prilora_base_open(&base, path, &err), &err);
        seconds[i] = child_now() - start;
        prilora_base_describe(base, &info);
        prilora_base_close(base);
    }
    folder_close();
    snprintf(name, sizeof name, "base model of %.0f MB opened (%.0f MB mapped, not read)",
             (double)(info.mapped_bytes + info.resident_bytes) / MEGABYTE,
             (double)info.mapped_bytes / MEGABYTE);
    figures_add(name, "ms", 1e3 * figures_quantile(seconds, N_TRIES, 0.5), FIGURE_AT_MOST, 50);
}

/* ---- starting ---- */

/* Starts several times; the last one stays. */
static double ready_ms(struct child *child)
{
    double ms[N_TRIES];

    for (size_t i = 0; i < N_TRIES; i++) {
        if (i > 0)
            child_stop(child);
        child_start(child, folder, MODELS, CHILD_ANY_CORE);
        ms[i] = 1e3 * child->ready_s;
    }
    return figures_quantile(ms, N_TRIES, 0.5);
}

static void add_memory(const struct child *child, const char *when, bool is_target)
{
    char name[100];

    child_sleep(SETTLE_S);
    snprintf(name, sizeof name, "idle daemon resident, %s", when);
    figures_add(name, "MB", child_memory(child, "Rss") / MEGABYTE,
                is_target ? FIGURE_AT_MOST : FIGURE_TOLD, 15);
    snprintf(name, sizeof name, "its proportional share (PSS), %s", when);
    figures_add(name, "MB", child_memory(child, "Pss") / MEGABYTE, FIGURE_TOLD, 0);
}

static void measure_start(void)
{
    struct child child;

    folder_open();
    figures_add("daemon ready, empty queue", "ms", ready_ms(&child), FIGURE_AT_MOST, 50);
    add_memory(&child, "empty queue", true);
    child_stop(&child);
    folder_close();
}

/* ---- jobs ---- */

static char *text_of(const char *json, const char *name)
{
    json_t *object = json_loads(json, 0, NULL);
    const char *text = json_string_value(json_object_get(object, name));
    char *copy = text ? strdup(text) : NULL;

    json_decref(object);
    if (!copy)
        child_die("no \"%s\" in %.300s", name, json);
    return copy;
}

/* Uploads rows as a .jsonl file; the file's id, malloc'ed. */
static char *upload(const struct child *child, const char *rows, size_t size)
{
    static const char head[] =
        "--prilorad-rows\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n"
        "fine-tune\r\n--prilorad-rows\r\nContent-Disposition: form-data; name=\"file\"; "
        "filename=\"rows.jsonl\"\r\n\r\n",
                      tail[] = "\r\n--prilorad-rows--\r\n";
    char *body = malloc(sizeof head + size + sizeof tail), *answer, *id;

    if (!body)
        child_die("out of memory");
    memcpy(body, head, sizeof head - 1);
    memcpy(body + sizeof head - 1, rows, size);
    memcpy(body + sizeof head - 1 + size, tail, sizeof tail - 1);
    answer = load_request(child->port, "/v1/files", "multipart/form-data; boundary=prilorad-rows",
                          body, sizeof head - 1 + size + sizeof tail - 1);
    id = text_of(answer, "id");
    free(answer);
    free(body);
    return id;
}

/* Submits a job on rows, with these hyperparameters; its id, malloc'ed. */
static char *submit(const struct child *child, const char *rows, size_t size, const char *settings)
{
    char *file = upload(child, rows, size), body[600], *answer, *id;

    snprintf(body, sizeof body,
             "{\"model\": \"" BUNDLED "\", \"training_file\": \"%s\", \"seed\": 1, \"method\": "
             "{\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {%s}}}}",
             file, settings);
    answer =
        load_request(child->port, "/v1/fine_tuning/jobs", "application/json", body, strlen(body));
    id = text_of(answer, "id");
    free(answer);
    free(file);
    return id;
}

static json_int_t step_of(const struct child *child, const char *id, char status[32])
{
    char path[120], *answer, *now;
    json_t *object;
    json_int_t step;

    snprintf(path, sizeof path, JOB "%s", id);
    answer = load_request(child->port, path, NULL, NULL, 0);
    object = json_loads(answer, 0, NULL);
    now = text_of(answer, "status");
    step = json_integer_value(json_object_get(json_object_get(object, "progress"), "step"));
    snprintf(status, 32, "%s", now);
    if (strcmp(status, "failed") == 0)
        child_die("the job failed: %s", answer);
    json_decref(object);
    free(now);
    free(answer);
    return step;
}

/* ---- after many jobs ---- */

/* One job from the bundled example, trained to its end; its id, malloc'ed. */
static char *finish_one_job(void)
{
    struct child child;
    char *rows, *id, status[32] = "";
    FILE *file = fopen(BUNDLED_DATA, "r");
    size_t size;

    rows = malloc(1 << 20);
    size = rows && file ? fread(rows, 1, 1 << 20, file) : 0;
    if (!size)
        child_die("%s: cannot be read", BUNDLED_DATA);
    fclose(file);
    child_start(&child, folder, MODELS, CHILD_ANY_CORE);
    id = submit(&child, rows, size, "\"n_epochs\": 3, \"batch_size\": 32");
    while (strcmp(status, "succeeded") != 0) {
        child_sleep(0.1);
        step_of(&child, id, status);
    }
    add_memory(&child, "a job behind it", false);
    child_stop(&child);
    free(rows);
    return id;
}

static void add_throughput(const struct child *child, const char *const *jobs, size_t n_jobs,
                           const char *what, bool is_target)
{
    static const char *const path = JOB "%JOB";
    struct load_result result;
    char name[120];

    load_run(&result, &(struct load){.port = child->port,
                                     .paths = &path,
                                     .n_paths = 1,
                                     .n_connections = 8,
                                     .seconds = LOAD_S,
                                     .jobs = jobs,
                                     .n_jobs = n_jobs});
    snprintf(name, sizeof name, "status requests of %s, daemon on one core", what);
    figures_add(name, "1/s", (double)result.n / result.seconds,
                is_target ? FIGURE_AT_LEAST : FIGURE_TOLD, 10000);
}

static void measure_throughput(const char *finished)
{
    static char ids[1000][ID_SIZE];
    const char *jobs[1000];
    struct child child;

    for (size_t i = 0; i < 1000; i++) {
        history_id(ids[i], 1 + i * (N_JOBS / 1000));
        jobs[i] = ids[i];
    }
    child_start(&child, folder, MODELS, DAEMON_CORE);
    child_sleep(10 * SETTLE_S); /* what it does after its start is over */
    use_core(CLIENTS_CORE);
    add_throughput(&child, &finished, 1, "a finished job", true);
    add_throughput(&child, jobs, 1000, "1000 of 100,000 jobs", false);
    use_core(CHILD_ANY_CORE);
    add_memory(&child, "after them", false);
    child_stop(&child);
}

static void measure_history(void)
{
    struct child child;
    char *id;

    folder_open();
    id = finish_one_job();
    history_make(folder, id, N_JOBS);
    figures_add("daemon ready, 100,000 finished jobs", "ms", ready_ms(&child), FIGURE_AT_MOST, 300);
    add_memory(&child, "100,000 finished jobs", true);
    child_stop(&child);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
        measure_throughput(id);
    free(id);
    folder_close();
}

/* ---- while training ---- */

/* Rows that all have the same number of tokens, so that every step is the same work. */
static char *equal_rows(size_t n, size_t *size)
{
    char *rows = NULL;
    FILE *out = open_memstream(&rows, size);

    for (size_t i = 0; i < n; i++) {
        fprintf(out, "{\"label\": \"%s\", \"text\": \"", i % 2 ? "even" : "odd");
        for (size_t k = 0; k < SEQUENCE_ROOM; k++)
            fputs("rain ", out);
        fputs("\"}\n", out);
    }
    if (fclose(out) != 0)
        child_die("out of memory");
    return rows;
}

static char *start_training(const struct child *child)
{
    char settings[200], status[32], *rows, *id;
    size_t size;

    snprintf(settings, sizeof settings,
             "\"n_epochs\": 10000, \"max_length\": %d, \"batch_size\": %d, \"eval_steps\": 1000000",
             SEQUENCE_ROOM, STEP_TOKENS / SEQUENCE_ROOM);
    rows = equal_rows(2000, &size);
    id = submit(child, rows, size, settings);
    free(rows);
    while (step_of(child, id, status) < 50)
        child_sleep(0.1);
    return id;
}

static const char *const dashboard[] = {JOB "%JOB", JOB "%JOB/layers",
                                        JOB "%JOB/metrics?after=%STEP"};

/* A while of training, watched or not: steps per second, and the seconds of each thread kind. */
static double window(const struct child *child, const char *id, size_t n_watchers, double *http_s)
{
    char status[32];
    double http = child_thread_seconds(child, "MHD"), start = child_now();
    json_int_t first = step_of(child, id, status), last;
    struct load_result result;

    if (n_watchers)
        load_run(&result, &(struct load){.port = child->port,
                                         .paths = dashboard,
                                         .n_paths = 3,
                                         .n_connections = n_watchers,
                                         .interval_s = 1,
                                         .seconds = WINDOW_S,
                                         .jobs = &id,
                                         .n_jobs = 1});
    else
        child_sleep(WINDOW_S);
    last = step_of(child, id, status);
    *http_s = child_thread_seconds(child, "MHD") - http;
    return (double)(last - first) / (child_now() - start);
}

/* Windows alternate, so that what else the machine does meets both kinds. */
static void measure_watchers(const struct child *child, const char *id)
{
    double slower[N_WINDOWS], seconds = 0;

    for (size_t i = 0; i < N_WINDOWS; i++) {
        double without_s, with_s, without = window(child, id, 0, &without_s),
                                  with = window(child, id, N_WATCHERS, &with_s);

        slower[i] = 100 * (1 - with / without);
        seconds += with_s - without_s;
    }
    figures_add("training slowed by 5 watchers (job, layers, metrics every second)", "%",
                figures_quantile(slower, N_WINDOWS, 0.5), FIGURE_AT_MOST, 1);
    figures_add("processor time of the HTTP threads for them, of all cores", "%",
                100 * seconds / (N_WINDOWS * WINDOW_S * (double)sysconf(_SC_NPROCESSORS_ONLN)),
                FIGURE_TOLD, 0);
}

static void measure_latency(const struct child *child, const char *id)
{
    static const char *const path = JOB "%JOB";
    struct load load = {.port = child->port,
                        .paths = &path,
                        .n_paths = 1,
                        .n_connections = 4,
                        .interval_s = 0.02,
                        .seconds = 4 * LOAD_S,
                        .jobs = &id,
                        .n_jobs = 1};
    struct load_result result;

    load_run(&result, &load);
    figures_add("status request while all cores train, median", "ms", 1e3 * result.median_s,
                FIGURE_TOLD, 0);
    figures_add("status request while all cores train, 99th percentile", "ms", 1e3 * result.p99_s,
                FIGURE_AT_MOST, 1);
    load.interval_s = 0;
    load.seconds = LOAD_S;
    load_run(&result, &load);
    figures_add("status requests while all cores train, 4 clients at full speed", "1/s",
                (double)result.n / result.seconds, FIGURE_TOLD, 0);
}

static void measure_training(void)
{
    struct child child;
    char *id;

    folder_open();
    child_start(&child, folder, MODELS, CHILD_ANY_CORE);
    id = start_training(&child);
    measure_latency(&child, id);
    measure_watchers(&child, id);
    child_stop(&child);
    free(id);
    folder_close();
}

/* ---- all ---- */

static const struct {
    const char *name;
    void (*measure)(void);
} cases[] = {
    {"data", measure_data},       {"open", measure_open},         {"start", measure_start},
    {"history", measure_history}, {"training", measure_training},
};
#define N_CASES (sizeof cases / sizeof *cases)

static int usage(void)
{
    fprintf(stderr, "usage: bench-service [--json FILE] [--markdown FILE] "
                    "[data|open|start|history|training]...\n");
    return 2;
}

int main(int argc, char **argv)
{
    const char *json = NULL;
    FILE *markdown = stdout;
    bool wanted[N_CASES] = {false}, any = false;

    for (int i = 1; i < argc; i++) {
        bool known = false;

        if (i + 1 < argc && strcmp(argv[i], "--json") == 0) {
            json = argv[++i];
            continue;
        }
        if (i + 1 < argc && strcmp(argv[i], "--markdown") == 0) {
            markdown = fopen(argv[++i], "w");
            if (!markdown)
                child_die("%s: cannot be written", argv[i]);
            continue;
        }
        for (size_t k = 0; k < N_CASES; k++)
            if (strcmp(argv[i], cases[k].name) == 0)
                any = known = wanted[k] = true;
        if (!known)
            return usage();
    }
    prilora_init();
    figures_open(markdown);
    for (size_t k = 0; k < N_CASES; k++)
        if (!any || wanted[k])
            cases[k].measure();
    if (json && !figures_write_json(json))
        child_die("%s: cannot be written", json);
    figures_close();
    return 0;
}
