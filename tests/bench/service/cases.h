/* cases.h - what can be measured, and the folder that each does it in. */
#ifndef BENCH_CASES_H
#define BENCH_CASES_H

#include "child.h"
#include "prilora.h"

#define MEGABYTE     1e6
#define N_TRIES      9 /* of what is quick: the median counts */
#define MODELS       "examples"
#define BUNDLED      "prilora-mini-en"
#define BUNDLED_DATA "examples/support-desk/train.jsonl"
#define JOB          "/v1/fine_tuning/jobs/"

void measure_data(void);
void measure_open(void);
void measure_start(void);
void measure_history(void);
void measure_training(void);
void measure_streams(void);
void measure_predictions(void);
void measure_soak(void);
extern double soak_seconds;

/* A fresh folder for the daemon's state, and its end. */
extern char folder[256];
void folder_open(void);
void folder_close(void);

void check(enum prilora_status rc, const struct prilora_error *err); /* ends the program */

/* Of a daemon on `folder`: the median of several starts, the last of which stays; and its resident
 * memory when it has come to rest. */
double ready_ms(struct child *child);
void add_memory(const struct child *child, const char *when, bool is_target);

#endif
