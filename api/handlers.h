/* handlers.h - what the rows of routes.c call: each answers one request, once, with respond_*. */
#ifndef HANDLERS_H
#define HANDLERS_H

#include "api/request.h"
#include "api/routes.h"
#include "daemon/queue.h"

extern const struct body_sink api_file_sink;
void api_file_create(struct request *r);
void api_file_list(struct request *r);
void api_file_show(struct request *r);
void api_file_delete(struct request *r);
void api_file_content(struct request *r);
void api_file_preview(struct request *r);

extern const struct body_sink api_part_sink;
void api_upload_create(struct request *r);
void api_upload_list(struct request *r);
void api_upload_show(struct request *r);
void api_upload_add_part(struct request *r);
void api_upload_complete(struct request *r);
void api_upload_cancel(struct request *r);

void api_model_list(struct request *r);
void api_model_show(struct request *r);
void api_model_delete(struct request *r);

void api_pull_create(struct request *r);
void api_pull_list(struct request *r);
void api_pull_show(struct request *r);
void api_pull_cancel(struct request *r);

void api_job_create(struct request *r);
void api_job_list(struct request *r);
void api_job_show(struct request *r);
void api_job_cancel(struct request *r);
void api_job_pause(struct request *r);
void api_job_resume(struct request *r);
void api_job_edit(struct request *r);
void api_job_delete(struct request *r);
void api_job_events(struct request *r);
void api_job_checkpoints(struct request *r);
void api_job_layers(struct request *r);
void api_job_metrics(struct request *r);
void api_job_ranks(struct request *r);

void api_experiment_create(struct request *r);
void api_experiment_list(struct request *r);
void api_experiment_show(struct request *r);
void api_experiment_jobs(struct request *r);
void api_experiment_results(struct request *r);
void api_experiment_cancel(struct request *r);
void api_experiment_pause(struct request *r);
void api_experiment_resume(struct request *r);
void api_experiment_retry(struct request *r);
void api_experiment_delete(struct request *r);

void api_adapter_tar(struct request *r);
void api_adapter_file(struct request *r);

void api_webhook_list(struct request *r);
void api_webhook_retry(struct request *r);

void api_key_create(struct request *r);
void api_key_list(struct request *r);
void api_key_show(struct request *r);
void api_key_revoke(struct request *r);

void api_backup(struct request *r);
void api_gc(struct request *r);

void api_predictions(struct request *r);

void api_livez(struct request *r);
void api_readyz(struct request *r);
void api_prometheus(struct request *r);

void api_forecast_create(struct request *r);
void api_setting_list(struct request *r);

void api_dashboard_page(struct request *r);
void api_dashboard_file(struct request *r);
void api_openapi(struct request *r);

/* "classification", "auto", ... */
const char *api_task_word(enum prilora_task task);
/* The other way round; false: there is none of that name. */
bool api_task_find(const char *word, size_t n, enum prilora_task *out);
/* That of a stored specification, AUTO if it does not say. */
enum prilora_task api_task_of_spec(const char *spec);

/* A body as POST /v1/fine_tuning/jobs takes it, checked as far as that can be done at once (with
 * settings->ranks_from only until job_suggest has found the ranks); answers and returns false if
 * anything is wrong with it. Otherwise clear both. */
struct job_settings;
bool api_read_job(struct request *r, struct job *out, struct job_settings *settings);
/* The job that the path names; answers and returns false if there is none. job_clear it. */
bool api_find_job(struct request *r, struct job *out);
struct experiment;
/* The experiment that the path names, likewise. experiment_clear it. */
bool api_find_experiment(struct request *r, struct experiment *out);
struct file;
/* The file that the path names, likewise. file_clear it. */
bool api_find_file(struct request *r, struct file *out);
/* 200 with the job's object. */
void api_respond_job(struct request *r, const struct job *job);

/* The job as GET shows it: with its live progress and its adapter's files. */
struct json_out;
void api_write_job(struct json_out *out, struct api *api, const struct job *job);

#endif
