/*
 * prometheus.c - GET /metrics: what the daemon does, for a Prometheus server. Cheap, so that it may
 * be asked for every second: atomics, a few files of /proc, and one count over an index.
 */
#include "api/handlers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/list.h"
#include "api/respond.h"
#include "api/traffic.h"
#include "daemon/error.h"
#include "daemon/live.h"
#include "daemon/process.h"

/* Everything that a scrape needs, taken once. */
struct scrape {
    struct api *api;
    uint64_t jobs[JOB_CANCELLED + 1];
    struct live_totals live;
    struct process_figures process;
    size_t n_requests, n_waiting;
};

/* ---- jobs and training ---- */

static void write_build(struct exposition *e, const struct scrape *s)
{
    const char *labels[] = {"version", prilora_version(), NULL};

    (void)s;
    exposition_count(e, labels, 1);
}

static void write_states(struct exposition *e, const struct scrape *s)
{
    for (int status = 0; status <= JOB_CANCELLED; status++) {
        const char *labels[] = {"status", job_status_name((enum job_status)status), NULL};

        exposition_count(e, labels, s->jobs[status]);
    }
}

static void write_finished(struct exposition *e, const struct scrape *s)
{
    static const enum job_status outcomes[] = {JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED};

    (void)s;
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        const char *labels[] = {"status", job_status_name(outcomes[i]), NULL};

        exposition_count(e, labels, meters_jobs(outcomes[i]));
    }
}

static void write_job_seconds(struct exposition *e, const struct scrape *s)
{
    (void)s;
    exposition_histogram(e, NULL, &meter_job_seconds);
}

static void write_step_seconds(struct exposition *e, const struct scrape *s)
{
    (void)s;
    exposition_histogram(e, NULL, &meter_step_seconds);
}

static void write_tokens_per_second(struct exposition *e, const struct scrape *s)
{
    exposition_sample(e, NULL, s->live.tokens_per_second);
}

static void write_workers(struct exposition *e, const struct scrape *s)
{
    exposition_count(e, NULL, (uint64_t)s->api->config->workers);
}

static void write_busy(struct exposition *e, const struct scrape *s)
{
    exposition_count(e, NULL, s->live.n_jobs);
}

/* ---- the interface ---- */

static void write_requests(struct exposition *e, const struct scrape *s)
{
    (void)s;
    traffic_write_requests(e);
}

static void write_request_seconds(struct exposition *e, const struct scrape *s)
{
    (void)s;
    traffic_write_seconds(e);
}

static uint64_t count_connections(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return info ? info->num_connections : 0;
}

static void write_connections(struct exposition *e, const struct scrape *s)
{
    size_t n_daemons = atomic_load(&s->api->n_daemons);
    uint64_t n = 0;

    for (size_t i = 0; i < n_daemons; i++)
        n += count_connections(s->api->daemons[i]);
    exposition_count(e, NULL, n);
}

static void write_open_requests(struct exposition *e, const struct scrape *s)
{
    exposition_count(e, NULL, s->n_requests);
}

static void write_waiting(struct exposition *e, const struct scrape *s)
{
    exposition_count(e, NULL, s->n_waiting);
}

/* ---- storage and process ---- */

static void write_database(struct exposition *e, const struct scrape *s)
{
    static const char *const files[] = {"prilorad.db", "prilorad.db-wal"};
    uint64_t bytes = 0;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = text_format("%s/%s", store_folder(s->api->store), files[i]);
        struct stat st;

        if (path && stat(path, &st) == 0)
            bytes += (uint64_t)st.st_size;
        free(path);
    }
    exposition_count(e, NULL, bytes);
}

/* ---- the table ---- */

#define FIGURE(member) offsetof(struct process_figures, member) + 1

static const struct family {
    const char *name, *type, *help;
    void (*write)(struct exposition *e, const struct scrape *s);
    enum meter meter; /* if there is no `write` ... */
    size_t figure;    /* ... nor this, which is an offset and 1 */
} families[] = {
    {"prilorad_build_info", "gauge", "The daemon's version, as a label.", write_build, 0, 0},
    {"prilorad_jobs", "gauge", "Jobs that there are, by status.", write_states, 0, 0},
    {"prilorad_jobs_finished_total", "counter", "Jobs that have ended, by how they ended.",
     write_finished, 0, 0},
    {"prilorad_job_duration_seconds", "histogram",
     "From a job's start to its end, of jobs that ended since the daemon started.",
     write_job_seconds, 0, 0},
    {"prilorad_tokens_trained_total", "counter", "Real tokens trained on.", NULL, METER_TOKENS, 0},
    {"prilorad_optimizer_steps_total", "counter", "Optimiser steps made.", NULL, METER_STEPS, 0},
    {"prilorad_step_duration_seconds", "histogram",
     "Time of one optimiser step, without evaluations and checkpoints.", write_step_seconds, 0, 0},
    {"prilorad_tokens_per_second", "gauge", "Speed of all running jobs together.",
     write_tokens_per_second, 0, 0},
    {"prilorad_workers", "gauge", "Jobs that may train at a time.", write_workers, 0, 0},
    {"prilorad_workers_busy", "gauge", "Jobs that train now.", write_busy, 0, 0},
    {"prilorad_http_requests_total", "counter",
     "Requests answered, by route, method and HTTP status.", write_requests, 0, 0},
    {"prilorad_http_request_duration_seconds", "histogram",
     "From a request's first line to the last byte of its answer, by route and method.",
     write_request_seconds, 0, 0},
    {"prilorad_http_received_bytes_total", "counter", "Bytes of requests' bodies.", NULL,
     METER_RECEIVED_BYTES, 0},
    {"prilorad_http_sent_bytes_total", "counter",
     "Bytes of answers' bodies that were taken whole; live streams are not counted.", NULL,
     METER_SENT_BYTES, 0},
    {"prilorad_http_connections", "gauge", "Open connections.", write_connections, 0, 0},
    {"prilorad_http_requests_open", "gauge", "Requests that are not answered completely.",
     write_open_requests, 0, 0},
    {"prilorad_http_requests_waiting", "gauge",
     "Of these, live streams and others that wait for something to happen.", write_waiting, 0, 0},
    {"prilorad_predictions_total", "counter", "Texts classified by finished adapters.", NULL,
     METER_PREDICTIONS, 0},
    {"prilorad_pulled_bytes_total", "counter", "Bytes of base models that came from the hub.", NULL,
     METER_PULLED_BYTES, 0},
    {"prilorad_data_files_read_total", "counter", "Data files checked and tokenized for jobs.",
     NULL, METER_FILES_READ, 0},
    {"prilorad_data_files_shared_total", "counter",
     "Data files that jobs of experiments had from another of their jobs.", NULL,
     METER_FILES_SHARED, 0},
    {"prilorad_database_bytes", "gauge", "Size of the database and its log.", write_database, 0, 0},
    {"prilorad_threads", "gauge", "Threads of the process.", NULL, 0, FIGURE(threads)},
    {"process_cpu_seconds_total", "counter", "Processor time used.", NULL, 0, FIGURE(cpu_seconds)},
    {"process_resident_memory_bytes", "gauge", "Resident memory.", NULL, 0, FIGURE(memory_bytes)},
    {"process_virtual_memory_bytes", "gauge", "Address space.", NULL, 0, FIGURE(virtual_bytes)},
    {"process_open_fds", "gauge", "Open file descriptors.", NULL, 0, FIGURE(open_fds)},
    {"process_max_fds", "gauge", "File descriptors that may be open.", NULL, 0, FIGURE(max_fds)},
    {"process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.",
     NULL, 0, FIGURE(started_at)},
};

static void write_family(struct exposition *e, const struct family *family, const struct scrape *s)
{
    exposition_family(e, family->name, family->type, family->help);
    if (family->write)
        family->write(e, s);
    else if (family->figure)
        exposition_sample(e, NULL,
                          *(const double *)(const void *)((const char *)&s->process +
                                                          family->figure - 1));
    else
        exposition_count(e, NULL, meters_get(family->meter));
}

static enum prilora_status take(struct scrape *s, struct api *api, struct prilora_error *err)
{
    *s = (struct scrape){.api = api};
    live_total(&s->live);
    process_measure(&s->process);
    pthread_mutex_lock(&api->lock);
    s->n_requests = api->n_requests;
    for (const struct request *r = api->waiting; r; r = r->waiting.next)
        s->n_waiting++;
    pthread_mutex_unlock(&api->lock);
    return queue_counts(api->store, s->jobs, err);
}

void api_prometheus(struct request *r)
{
    struct exposition e = {0};
    struct scrape scrape;
    struct prilora_error err;
    struct MHD_Response *response;
    char *text = NULL;
    size_t n = 0;

    if (!query_check(r, NULL))
        return;
    if (take(&scrape, r->api, &err) != PRILORA_OK) {
        respond_internal(r, &err);
        return;
    }
    e.out = open_memstream(&text, &n);
    for (size_t i = 0; e.out && i < sizeof families / sizeof *families; i++)
        write_family(&e, &families[i], &scrape);
    if (!e.out || fclose(e.out) != 0) {
        free(text);
        respond_take(r, 503, NULL);
        return;
    }
    response = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    respond_take(r, 200, response);
    respond_size(r, response ? n : 0);
    respond_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, EXPOSITION_TYPE);
}
