/* aside.c - see aside.h; the rules of lifetime are waiting.h's. */
#include "api/aside.h"

#include <pthread.h>
#include <stdlib.h>

#include "api/respond.h"
#include "api/waiting.h"
#include "daemon/priority.h"
#include "daemon/pulse.h"

struct task {
    const struct aside_work *work;
    void *state;
    struct store *store;
    struct request *request; /* NULL: answered or gone; guarded by `lock`, as the rest */
    bool is_done, has_failed;
    int n_owners; /* the request and the thread */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static size_t n_running; /* guarded by `lock` */

static bool take_place(void)
{
    bool free_place;

    pthread_mutex_lock(&lock);
    free_place = n_running < ASIDE_MAX;
    n_running += free_place;
    pthread_mutex_unlock(&lock);
    return free_place;
}

static void leave_place(void)
{
    pthread_mutex_lock(&lock);
    n_running--;
    pthread_cond_broadcast(&idle);
    pthread_mutex_unlock(&lock);
}

static void release(struct task *task)
{
    bool is_last;

    pthread_mutex_lock(&lock);
    is_last = --task->n_owners == 0;
    pthread_mutex_unlock(&lock);
    if (!is_last)
        return;
    task->work->free(task->state);
    free(task);
}

static void release_of_request(void *state)
{
    struct task *task = state;

    pthread_mutex_lock(&lock);
    task->request = NULL;
    pthread_mutex_unlock(&lock);
    release(task);
}

static void end(struct task *task, bool has_failed)
{
    pthread_mutex_lock(&lock);
    task->is_done = true;
    task->has_failed = has_failed;
    if (task->request)
        request_wake(task->request);
    pthread_mutex_unlock(&lock);
    release(task);
    leave_place();
}

static void *run(void *argument)
{
    struct task *task = argument;

    pthread_setname_np(pthread_self(), "aside");
    priority_lower();
    pulse_begin("a forecast");
    task->work->work(task->state);
    pulse_end();
    store_close_thread(task->store); /* nobody waits for more than the work's end */
    end(task, false);
    return NULL;
}

/* Woken by the work's end or by the server's. */
static void resumed(struct request *r)
{
    struct task *task = r->state;
    bool is_done, has_failed;

    pthread_mutex_lock(&lock);
    task->request = NULL;
    is_done = task->is_done;
    has_failed = task->has_failed;
    pthread_mutex_unlock(&lock);
    if (!is_done)
        respond_error(r, 503, "stopping", NULL, "the server is stopping");
    else if (has_failed)
        respond_error(r, 503, "out_of_memory", NULL, "no thread could be made for this");
    else
        task->work->answer(r, task->state);
}

static struct task *task_new(struct request *r, const struct aside_work *work, void *state)
{
    struct task *task = state ? malloc(sizeof *task) : NULL;

    if (task)
        *task = (struct task){
            .work = work, .state = state, .store = r->api->store, .request = r, .n_owners = 2};
    return task;
}

void aside_run(struct request *r, const struct aside_work *work, void *state)
{
    struct task *task = task_new(r, work, state);
    pthread_attr_t detached;
    pthread_t thread;

    if (!task || !take_place()) {
        if (task)
            respond_later(r, 429, "too_many_at_once", NULL, 1,
                          "%d such requests are being worked on; try again in a moment", ASIDE_MAX);
        else
            respond_json(r, 503, NULL);
        if (state)
            work->free(state);
        free(task);
        return;
    }
    r->state = task;
    r->free_state = release_of_request;
    request_suspend(r, resumed);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &detached, run, task) != 0)
        end(task, true);
    pthread_attr_destroy(&detached);
}

void aside_wait_all(void)
{
    pthread_mutex_lock(&lock);
    while (n_running > 0)
        pthread_cond_wait(&idle, &lock);
    pthread_mutex_unlock(&lock);
}
