/* meters.c - see meters.h. */
#include "daemon/meters.h"

static const double step_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                     1,     2.5,  5,     10,   30,  60};
static const double job_bounds[] = {1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400};
#define N_OF(array) (sizeof(array) / sizeof *(array))

static struct meter_counts step_counts, job_counts;
const struct meter_histogram meter_step_seconds = {step_bounds, N_OF(step_bounds), &step_counts};
const struct meter_histogram meter_job_seconds = {job_bounds, N_OF(job_bounds), &job_counts};

static _Atomic uint64_t meters[METERS];
static _Atomic uint64_t jobs[JOB_CANCELLED + 1];

void meters_add(enum meter meter, uint64_t n)
{
    atomic_fetch_add_explicit(&meters[meter], n, memory_order_relaxed);
}

uint64_t meters_get(enum meter meter)
{
    return atomic_load_explicit(&meters[meter], memory_order_relaxed);
}

void meter_observe(const struct meter_histogram *histogram, double seconds)
{
    size_t i = 0;

    if (!(seconds >= 0 && seconds < 1e9))
        return; /* the clock was set: no duration */
    while (i < histogram->n_bounds && seconds > histogram->bounds[i])
        i++;
    atomic_fetch_add_explicit(&histogram->counts->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->counts->sum_us, (uint64_t)(1e6 * seconds),
                              memory_order_relaxed);
}

enum prilora_status meters_begin_jobs(struct store *store, struct prilora_error *err)
{
    uint64_t counts[JOB_CANCELLED + 1];
    enum prilora_status rc = queue_counts(store, counts, err);

    for (int status = 0; rc == PRILORA_OK && status <= JOB_CANCELLED; status++)
        atomic_store_explicit(&jobs[status], counts[status], memory_order_relaxed);
    return rc;
}

void meters_job_ended(enum job_status status, double seconds)
{
    atomic_fetch_add_explicit(&jobs[status], 1, memory_order_relaxed);
    meter_observe(&meter_job_seconds, seconds);
}

uint64_t meters_jobs(enum job_status status)
{
    return atomic_load_explicit(&jobs[status], memory_order_relaxed);
}
