/*
 * team.h - a small team of compute threads.
 *
 * A run owns one team; its caller is the first member. Tasks are handed out in ascending order,
 * so whatever each thread does, task k begins no later than task k + 1: in-order sums
 * (pl_turn) therefore never deadlock.
 */
#ifndef PL_TEAM_H
#define PL_TEAM_H

#include <stddef.h>

#include "base/error.h"

struct pl_team;

/* `n_threads` members, the caller counted; 0 counts as 1. */
enum prilora_status pl_team_new(struct pl_team **out, size_t n_threads, struct prilora_error *err);
void pl_team_free(struct pl_team *team);
size_t pl_team_size(const struct pl_team *team);

/* Calls work(context, task, thread) once for every task in [0, n_tasks), thread in [0, size).
 * Returns when all are done; what they wrote is visible to the caller. */
void pl_team_run(struct pl_team *team, void (*work)(void *context, size_t task, size_t thread),
                 void *context, size_t n_tasks);

/* Inside work: pl_turn_wait(task) returns when tasks 0 .. task-1 have called pl_turn_done. Every
 * task must call pl_turn_done exactly once, in a run in which any does. */
void pl_turn_wait(struct pl_team *team, size_t task);
void pl_turn_done(struct pl_team *team, size_t task);

#endif
