/*
 * grid.h - the body of POST /v1/experiments, and the jobs that it stands for. No I/O. What is
 * inside of "task" and "method" is the library's to check, job by job.
 */
#ifndef GRID_H
#define GRID_H

#include <jansson.h>
#include <stdint.h>

#include "api/fault.h"

#define GRID_MAX_METHODS 50
#define GRID_MAX_TASKS   50
#define GRID_MAX_SEEDS   1000
#define GRID_MAX_CELLS   5000
#define GRID_SEEDS       5 /* 1 to 5, if none are given */

struct grid {
    json_t *body;            /* the whole, nulls left out */
    json_t *methods, *tasks; /* of the body */
    int64_t *seeds;
    size_t n_methods, n_tasks, n_seeds;
};

/* Checked completely but for what job_decode and job_check say of each job. Whatever it returns,
 * the caller clears it. */
bool grid_decode(const char *body, size_t size, struct grid *out, struct fault *fault);
void grid_clear(struct grid *grid);

const char *grid_name(const json_t *list, size_t i); /* of a method, of a task */
/* {"methods", "tasks", "seeds"} as they came, seeds as a list; NULL: out of memory. Free it. */
char *grid_text(const struct grid *grid);
/* The body of the job of this method on this task, with the first seed; likewise. */
char *grid_job(const struct grid *grid, size_t method, size_t task);
/* What is wrong with that body becomes what is wrong with the grid's. */
void grid_place_fault(const struct grid *grid, size_t method, size_t task, struct fault *fault);

#endif
