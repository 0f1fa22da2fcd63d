/*
 * team.c - threads sleep on a condition between runs, and take task numbers from an atomic
 * counter during one. The lock guards only the coming and going, never work.
 */
#include "base/team.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/pulse.h"

struct member {
    struct pl_team *team;
    pthread_t thread;
    size_t number;
};

struct pl_team {
    size_t size;
    struct member *members; /* [size]; the first is the caller and has no thread of its own */

    void (*work)(void *context, size_t task, size_t thread);
    void *context;
    size_t n_tasks;
    atomic_size_t next_task;
    atomic_uint_least64_t *pulse; /* the caller's: who works for him beats for him */

    pthread_mutex_t lock; /* guards the five below */
    pthread_cond_t start, finished, turn_changed;
    size_t generation, busy, turn, n_started;
    bool closing;
};

static void take_tasks(struct pl_team *team, size_t number)
{
    for (;;) {
        size_t task = atomic_fetch_add_explicit(&team->next_task, 1, memory_order_relaxed);

        if (task >= team->n_tasks)
            return;
        team->work(team->context, task, number);
    }
}

static void *member_main(void *argument)
{
    struct member *member = argument;
    struct pl_team *team = member->team;
    size_t seen = 0;

    pthread_mutex_lock(&team->lock);
    for (;;) {
        while (team->generation == seen && !team->closing)
            pthread_cond_wait(&team->start, &team->lock);
        if (team->closing)
            break;
        seen = team->generation;
        pl_pulse_count = team->pulse;
        pthread_mutex_unlock(&team->lock);
        take_tasks(team, member->number);
        pthread_mutex_lock(&team->lock);
        if (--team->busy == 0)
            pthread_cond_signal(&team->finished);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

/* Compute threads leave every signal to the threads of the program that made them. */
static int start_member(struct member *member)
{
    sigset_t all, before;
    int code;

    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* what a thread does to itself; blocked, it would end the program */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&member->thread, NULL, member_main, member);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

enum prilora_status pl_team_new(struct pl_team **out, size_t n_threads, struct prilora_error *err)
{
    struct pl_team *team = pl_calloc(1, sizeof *team);

    *out = NULL;
    if (!n_threads)
        n_threads = 1;
    if (!team || !(team->members = pl_calloc(n_threads, sizeof *team->members))) {
        free(team);
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu threads", n_threads);
    }
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->start, NULL);
    pthread_cond_init(&team->finished, NULL);
    pthread_cond_init(&team->turn_changed, NULL);
    team->size = n_threads;
    for (size_t i = 1; i < n_threads; i++) {
        team->members[i] = (struct member){.team = team, .number = i};
        if (start_member(&team->members[i]) != 0) {
            pl_team_free(team);
            return pl_fail(err, PRILORA_EIO, "cannot start compute thread %zu of %zu", i + 1,
                           n_threads);
        }
        team->n_started++;
    }
    *out = team;
    return PRILORA_OK;
}

void pl_team_free(struct pl_team *team)
{
    if (!team)
        return;
    pthread_mutex_lock(&team->lock);
    team->closing = true;
    pthread_cond_broadcast(&team->start);
    pthread_mutex_unlock(&team->lock);
    for (size_t i = 1; i <= team->n_started; i++)
        pthread_join(team->members[i].thread, NULL);
    pthread_mutex_destroy(&team->lock);
    pthread_cond_destroy(&team->start);
    pthread_cond_destroy(&team->finished);
    pthread_cond_destroy(&team->turn_changed);
    free(team->members);
    free(team);
}

size_t pl_team_size(const struct pl_team *team)
{
    return team->size;
}

void pl_team_run(struct pl_team *team, void (*work)(void *context, size_t task, size_t thread),
                 void *context, size_t n_tasks)
{
    pthread_mutex_lock(&team->lock);
    team->work = work;
    team->context = context;
    team->n_tasks = n_tasks;
    team->turn = 0;
    team->pulse = pl_pulse_count;
    atomic_store_explicit(&team->next_task, 0, memory_order_relaxed);
    team->busy = team->size - 1;
    team->generation++;
    pthread_cond_broadcast(&team->start);
    pthread_mutex_unlock(&team->lock);

    take_tasks(team, 0);

    pthread_mutex_lock(&team->lock);
    while (team->busy)
        pthread_cond_wait(&team->finished, &team->lock);
    pthread_mutex_unlock(&team->lock);
}

void pl_turn_wait(struct pl_team *team, size_t task)
{
    pthread_mutex_lock(&team->lock);
    while (team->turn != task)
        pthread_cond_wait(&team->turn_changed, &team->lock);
    pthread_mutex_unlock(&team->lock);
}

void pl_turn_done(struct pl_team *team, size_t task)
{
    pthread_mutex_lock(&team->lock);
    team->turn = task + 1;
    pthread_cond_broadcast(&team->turn_changed);
    pthread_mutex_unlock(&team->lock);
}
