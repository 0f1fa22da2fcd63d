/* inputs_file.c - see inputs_file.h. */
#include "train/inputs_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

#define NAME     "input_statistics.safetensors"
#define END      ".input"
#define MAX_NAME 320

/* ---- writing ---- */

/* Whether no adapted map before it is fed by the same input. */
static bool is_first(const struct pl_pruner *pruner, size_t site)
{
    if (!pruner->adapter->maps[site].rank)
        return false;
    for (size_t i = 0; i < site; i++) {
        if (pruner->adapter->maps[i].rank && pruner->sites[i].input == pruner->sites[site].input)
            return false;
    }
    return true;
}

static bool fill(struct pl_tensor *t, float *numbers, const struct pl_pruner *pruner, size_t site)
{
    const pl_real *stats = pruner->stats + pruner->stats_offset[site];
    const char *path = pruner->sites[site].path;
    size_t n = pruner->sites[site].in, room = strlen(path) + sizeof END;
    char *name = pl_alloc(room, 1);

    if (!name)
        return false;
    snprintf(name, room, "%s" END, path);
    for (size_t j = 0; j < n; j++)
        numbers[j] = (float)stats[j];
    *t = (struct pl_tensor){
        .name = name, .dtype = PL_F32, .n_dims = 1, .dims = {n}, .n_elements = n, .data = numbers};
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pl_tensor *)a)->name, ((const struct pl_tensor *)b)->name);
}

enum prilora_status pl_inputs_file_write(const char *folder, const struct pl_pruner *pruner,
                                         struct prilora_error *err)
{
    size_t n_maps = pruner->adapter->n_maps, n = 0, used = 0;
    struct pl_tensor *tensors = pl_calloc(n_maps, sizeof *tensors);
    float *numbers = pl_calloc(pruner->n_stats, sizeof *numbers);
    char *path = pl_file_join(folder, NAME);
    bool right = tensors && numbers && path;
    enum prilora_status rc;

    for (size_t i = 0; right && i < n_maps; i++) {
        if (!is_first(pruner, i))
            continue;
        right = fill(&tensors[n], numbers + used, pruner, i);
        used += pruner->sites[i].in;
        n += right;
    }
    if (right) {
        qsort(tensors, n, sizeof *tensors, by_name);
        rc = pl_safetensors_write(path, tensors, n, NULL, err);
    } else {
        rc = pl_fail(err, PRILORA_ENOMEM, "%s/" NAME ": out of memory", folder);
    }
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)tensors[i].name);
    free(tensors);
    free(numbers);
    free(path);
    return rc;
}

/* ---- reading ---- */

enum prilora_status pl_inputs_file_open(struct pl_tensors **out, const char *folder,
                                        struct prilora_error *err)
{
    char *path = pl_file_join(folder, NAME);
    enum prilora_status rc = PRILORA_OK;

    *out = NULL;
    if (!path)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    if (access(path, F_OK) == 0)
        rc = pl_tensors_open_safetensors(out, path, err);
    free(path);
    return rc;
}

static const struct pl_tensor *find(const struct pl_tensors *file, const struct pl_map_site *sites,
                                    size_t n_sites, size_t input)
{
    for (size_t i = 0; file && i < n_sites; i++) {
        const struct pl_tensor *t;
        char name[MAX_NAME];

        if (sites[i].input != input)
            continue;
        snprintf(name, sizeof name, "%s" END, sites[i].path);
        t = pl_tensors_find(file, name);
        if (t)
            return t;
    }
    return NULL;
}

enum prilora_status pl_inputs_file_read(double *columns, bool *found, const struct pl_tensors *file,
                                        const struct pl_map_site *sites, size_t n_sites,
                                        size_t site, struct prilora_error *err)
{
    const struct pl_tensor *t = find(file, sites, n_sites, sites[site].input);
    size_t n = sites[site].in;
    char shape[128];

    *found = t != NULL;
    if (!t)
        return PRILORA_OK;
    if (t->n_dims != 1 || t->n_elements != n || !pl_dtype_is_floating(t->dtype))
        return pl_fail(err, PRILORA_EFORMAT, NAME ": %s is %s of %s, but must be [%zu]", t->name,
                       pl_tensor_shape(t, shape, sizeof shape), pl_dtype_name(t->dtype), n);
    for (size_t j = 0; j < n; j++) {
        pl_real x;

        pl_tensor_read(t, &x, j, 1);
        columns[j] = (double)x;
        if (!(isfinite(columns[j]) && columns[j] >= 0))
            return pl_fail(err, PRILORA_EFORMAT, NAME ": %s has a number that is no norm", t->name);
    }
    return PRILORA_OK;
}
