/*
 * fuzz_grid.c - bodies of POST /v1/experiments: what is taken has a size within the limits, and
 * every pair of it gives a job that is JSON and whose faults find their place.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/grid.h"
#include "api/job_codec.h"
#include "api/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pair(const struct grid *grid, size_t method, size_t task)
{
    char *text = grid_job(grid, method, task);
    struct job job;
    struct job_settings settings;
    struct fault fault = {0};

    assert(text);
    if (!job_decode(text, strlen(text), &job, &settings, &fault)) {
        grid_place_fault(grid, method, task, &fault);
        assert(fault.status >= 400 && fault.message[0]);
        assert(utf8_valid(fault.message, strlen(fault.message)));
        assert(fault.pointer[0] == '\0' || fault.pointer[0] == '/');
    }
    job_settings_clear(&settings);
    job_clear(&job);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct grid grid;
    struct fault fault = {0};
    char *text;

    if (grid_decode((const char *)data, size, &grid, &fault)) {
        assert(grid.n_methods * grid.n_tasks * grid.n_seeds <= GRID_MAX_CELLS);
        assert(grid.n_seeds >= 1 && grid_name(grid.tasks, 0)[0]);
        text = grid_text(&grid);
        assert(text);
        free(text);
        check_pair(&grid, 0, 0);
        check_pair(&grid, grid.n_methods - 1, grid.n_tasks - 1);
    } else {
        assert(fault.status >= 400 && fault.message[0]);
        assert(utf8_valid(fault.message, strlen(fault.message)));
    }
    grid_clear(&grid);
    return 0;
}
