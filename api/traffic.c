/*
 * traffic.c - see traffic.h. One row for each route of the table, and one for paths that have none:
 * what clients invent does not make new series.
 */
#include "api/traffic.h"

#include <stdio.h>

#define MAX_ROUTES   128
#define FIRST_STATUS 100
#define N_STATUSES   500

static const double bounds[] = {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60};
#define N_BOUNDS (sizeof bounds / sizeof *bounds)

static struct row {
    _Atomic uint64_t by_status[N_STATUSES];
    struct meter_counts seconds;
} rows[MAX_ROUTES + 1]; /* the last one: no route */

static struct meter_histogram histogram_of(struct row *row)
{
    return (struct meter_histogram){bounds, N_BOUNDS, &row->seconds};
}

static size_t row_of(const struct route *route)
{
    size_t i = route ? (size_t)(route - routes) : MAX_ROUTES;

    return i < MAX_ROUTES ? i : MAX_ROUTES;
}

void traffic_count(const struct route *route, unsigned status, double seconds)
{
    struct row *row = &rows[row_of(route)];
    const struct meter_histogram histogram = histogram_of(row);

    if (status < FIRST_STATUS || status >= FIRST_STATUS + N_STATUSES)
        return; /* a client that went before it had asked */
    atomic_fetch_add_explicit(&row->by_status[status - FIRST_STATUS], 1, memory_order_relaxed);
    meter_observe(&histogram, seconds);
}

static bool label(size_t i, const char *labels[7])
{
    const bool is_route = i < n_routes && i < MAX_ROUTES;

    labels[0] = "route";
    labels[1] = is_route ? routes[i].pattern : "none";
    labels[2] = "method";
    labels[3] = is_route ? routes[i].method : "any";
    labels[4] = NULL;
    return is_route || i == MAX_ROUTES;
}

void traffic_write_requests(struct exposition *e)
{
    for (size_t i = 0; i <= MAX_ROUTES; i++) {
        const char *labels[7] = {NULL};

        if (!label(i, labels))
            continue;
        for (unsigned s = 0; s < N_STATUSES; s++) {
            uint64_t n = atomic_load_explicit(&rows[i].by_status[s], memory_order_relaxed);
            char code[8];

            if (!n)
                continue;
            snprintf(code, sizeof code, "%u", s + FIRST_STATUS);
            labels[4] = "code";
            labels[5] = code;
            exposition_count(e, labels, n);
        }
    }
}

void traffic_write_seconds(struct exposition *e)
{
    for (size_t i = 0; i <= MAX_ROUTES; i++) {
        const struct meter_histogram histogram = histogram_of(&rows[i]);
        const char *labels[7] = {NULL};
        bool seen = false;

        for (size_t b = 0; b <= N_BOUNDS && !seen; b++)
            seen = atomic_load_explicit(&rows[i].seconds.buckets[b], memory_order_relaxed) > 0;
        if (seen && label(i, labels))
            exposition_histogram(e, labels, &histogram);
    }
}
