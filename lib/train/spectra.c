/*
 * spectra.c - the singular values of every map of a finished adapter, as it is and weighted by what
 * the map's input was in training; see prilora_spectra_open. What follows from them for the next
 * run is in suggest.c.
 */
#include "train/spectra.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/ranks.h"
#include "base/memory.h"
#include "base/pulse.h"
#include "math/svd.h"
#include "train/base.h"
#include "train/import.h"
#include "train/inputs_file.h"
#include "train/labels_file.h"
#include "train/start.h"

#define CHUNK 1024 /* numbers of a frozen weight at a time */

/* ---- numbers of a spectrum ---- */

/* The first so many directions hold `share` of the energy, up to the rounding of the sums. */
static size_t rank_holding(const double *values, size_t rank, double total, double share)
{
    double sum = 0;
    size_t k = 0;

    while (k < rank && sum < share * total * (1 - 1e-12)) {
        sum += values[k] * values[k];
        k++;
    }
    return k;
}

void pl_spectrum_describe(struct prilora_spectrum *out, const double *values, size_t rank,
                          double weight_norm)
{
    double total = 0, lower = 0, entropy = 0;

    for (size_t k = 0; k < rank; k++) {
        total += values[k] * values[k];
        lower += k >= rank - rank / 2 ? values[k] * values[k] : 0;
    }
    *out = (struct prilora_spectrum){.values = values, .norm = sqrt(total)};
    out->relative = weight_norm > 0 ? out->norm / weight_norm : (double)NAN;
    if (!(total > 0))
        return;
    for (size_t k = 0; k < rank; k++) {
        double p = values[k] * values[k] / total;

        entropy -= p > 0 ? p * log(p) : 0;
    }
    out->lower_share = lower / total;
    out->stable_rank = total / (values[0] * values[0]);
    out->effective_rank = exp(entropy);
    out->rank_90 = rank_holding(values, rank, total, 0.90);
    out->rank_95 = rank_holding(values, rank, total, 0.95);
    out->rank_99 = rank_holding(values, rank, total, 0.99);
}

/* ---- one map ---- */

/* What the spectra of one adapter are made of. */
struct making {
    struct prilora_base *base;
    struct pl_import in;
    struct pl_tensors *inputs; /* NULL: none */
    const char *folder;
    size_t *sites;  /* [n_maps] the model's, of the adapted maps */
    double *values; /* where the next map's go */
};

/* Frobenius norms of W and of W diag(columns), computed where the file map's pages stay away. */
static void weight_norms(const struct pl_model *model, size_t site, const double *columns,
                         double *plain, double *weighted)
{
    const struct pl_tensor *t = model->maps[site].tensor;
    size_t in = model->sites[site].in;
    pl_real numbers[CHUNK];
    double sum = 0, weighted_sum = 0;

    for (size_t at = 0; at < t->n_elements; at += CHUNK) {
        size_t n = t->n_elements - at < CHUNK ? t->n_elements - at : CHUNK;

        pl_tensors_read(model->tensors, t, numbers, at, n);
        for (size_t i = 0; i < n; i++) {
            double square = (double)numbers[i] * (double)numbers[i];
            double column = columns ? columns[(at + i) % in] : 0;

            sum += square;
            weighted_sum += square * column * column;
        }
    }
    *plain = sqrt(sum);
    *weighted = sqrt(weighted_sum);
}

static void describe_inputs(struct prilora_map_spectrum *map, const double *columns)
{
    double low = columns[0], high = low, sum = 0;

    for (size_t j = 0; j < map->in_features; j++) {
        low = columns[j] < low ? columns[j] : low;
        high = columns[j] > high ? columns[j] : high;
        sum += columns[j];
    }
    map->input_min = low;
    map->input_mean = sum / (double)map->in_features;
    map->input_max = high;
}

/* One spectrum into the next values; its energy must be a number, too. */
static enum prilora_status decompose(struct making *m, struct prilora_spectrum *out,
                                     const struct pl_low_rank *product, double weight_norm,
                                     const char *module, struct prilora_error *err)
{
    struct prilora_error why;
    enum prilora_status rc = pl_svd_low_rank(m->values, product, &why);

    if (rc != PRILORA_OK)
        return pl_fail(err, rc, "%s: %s: %s", m->in.path, module, why.message);
    pl_spectrum_describe(out, m->values, product->rank, weight_norm);
    m->values += product->rank;
    if (isfinite(out->norm) && !isinf(out->relative))
        return PRILORA_OK;
    return pl_fail(err, PRILORA_ENUMERIC, "%s: %s: numbers too large to compute with", m->in.path,
                   module);
}

static enum prilora_status fill_spectra(struct making *m, struct prilora_map_spectrum *map,
                                        size_t site, const pl_real *a, const pl_real *b,
                                        double *columns, struct prilora_error *err)
{
    const struct pl_model *model = m->base->model;
    struct pl_low_rank product = {
        a, b, NULL, map->rank, map->in_features, map->out_features, map->scale};
    double plain, weighted;
    struct prilora_error why;
    enum prilora_status rc = pl_inputs_file_read(columns, &map->has_inputs, m->inputs, model->sites,
                                                 model->n_sites, site, &why);

    if (rc != PRILORA_OK)
        return pl_fail(err, rc, "%s/%s", m->folder, why.message);
    weight_norms(model, site, map->has_inputs ? columns : NULL, &plain, &weighted);
    rc = decompose(m, &map->update, &product, plain, map->module, err);
    if (rc != PRILORA_OK || !map->has_inputs)
        return rc;
    describe_inputs(map, columns);
    product.columns = columns;
    return decompose(m, &map->output, &product, weighted, map->module, err);
}

static enum prilora_status fill_map(struct making *m, struct prilora_map_spectrum *map, size_t site,
                                    struct prilora_error *err)
{
    const struct pl_map_site *s = &m->base->model->sites[site];
    pl_real *a = pl_alloc(map->rank * s->in, sizeof *a);
    pl_real *b = pl_alloc(map->rank * s->out, sizeof *b);
    double *columns = pl_alloc(s->in, sizeof *columns);
    enum prilora_status rc;

    if (a && b && columns)
        rc = pl_import_read_map(&m->in, s, a, b, err);
    else
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory for the spectrum of %s", s->path);
    if (rc == PRILORA_OK)
        rc = fill_spectra(m, map, site, a, b, columns, err);
    pl_pulse_beat();
    free(columns);
    free(b);
    free(a);
    return rc;
}

/* ---- all of them ---- */

static bool is_lora(const char *name)
{
    return strstr(name, ".lora_") != NULL;
}

/* The maps that are adapted and their shapes; *n_values: of all their spectra. */
static enum prilora_status list_maps(struct prilora_spectra *out, struct making *m,
                                     size_t *n_values, struct prilora_error *err)
{
    const struct pl_model *model = m->base->model;
    size_t n_lora = 0;

    *n_values = 0;
    for (size_t i = 0; i < model->n_sites; i++) {
        const struct pl_map_site *site = &model->sites[i];
        struct prilora_map_spectrum *map = &out->maps[out->n_maps];
        enum prilora_status rc = pl_import_map(&m->in, site, &map->rank, &map->scale, err);

        if (rc != PRILORA_OK)
            return rc;
        if (!map->rank)
            continue;
        snprintf(map->module, sizeof map->module, "%s", site->path);
        snprintf(map->map, sizeof map->map, "%s", site->kind);
        map->layer = site->layer;
        map->in_features = site->in;
        map->out_features = site->out;
        *n_values += 2 * map->rank;
        m->sites[out->n_maps++] = i;
    }
    for (size_t i = 0; i < pl_tensors_count(m->in.tensors); i++)
        n_lora += is_lora(pl_tensors_at(m->in.tensors, i)->name);
    if (!out->n_maps)
        return pl_fail(err, PRILORA_EMISMATCH, "%s: adapts no map of this base", m->in.path);
    if (n_lora != 2 * out->n_maps)
        return pl_fail(err, PRILORA_EUNSUPPORTED, "%s: adapts more than the maps known here",
                       m->in.path);
    return PRILORA_OK;
}

static enum prilora_status make(struct prilora_spectra *out, struct making *m,
                                struct prilora_error *err)
{
    const struct pl_model *model = m->base->model;
    size_t n_values;
    enum prilora_status rc;

    out->n_layers = model->config.num_hidden_layers;
    if (out->n_layers > PRILORA_MAX_LAYERS)
        return pl_fail(err, PRILORA_ELIMIT, "the model has %zu layers, but at most %d are adapted",
                       out->n_layers, PRILORA_MAX_LAYERS);
    out->maps = pl_calloc(model->n_sites, sizeof *out->maps);
    m->sites = pl_calloc(model->n_sites, sizeof *m->sites);
    if (!out->maps || !m->sites)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu maps", model->n_sites);
    rc = list_maps(out, m, &n_values, err);
    if (rc != PRILORA_OK)
        return rc;
    m->values = out->values = pl_calloc(n_values, sizeof *out->values);
    if (!out->values)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu singular values", n_values);
    for (size_t i = 0; rc == PRILORA_OK && i < out->n_maps; i++)
        rc = fill_map(m, &out->maps[i], m->sites[i], err);
    return rc;
}

/* What was read is what the files held when they were opened. */
static enum prilora_status check_files(const struct making *m, struct prilora_error *err)
{
    enum prilora_status rc = pl_tensors_check(m->in.tensors, err);

    if (rc == PRILORA_OK && m->inputs)
        rc = pl_tensors_check(m->inputs, err);
    return rc == PRILORA_OK ? prilora_base_check(m->base, err) : rc;
}

static enum prilora_status check_base(const struct prilora_base *base, const char *folder,
                                      struct prilora_error *err)
{
    struct pl_labels_file labels;
    enum prilora_status rc = pl_labels_file_read(&labels, folder, err);

    if (rc == PRILORA_OK)
        rc = pl_start_check_base(&labels, base, folder, err);
    pl_labels_file_free(&labels);
    return rc;
}

enum prilora_status prilora_spectra_open(struct prilora_spectra **out, struct prilora_base *base,
                                         const char *folder, struct prilora_error *err)
{
    struct prilora_spectra *spectra = pl_calloc(1, sizeof *spectra);
    struct making m = {.base = base, .folder = folder};
    enum prilora_status rc;

    *out = NULL;
    if (!spectra)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    prilora_init();
    rc = check_base(base, folder, err);
    if (rc == PRILORA_OK)
        rc = pl_import_open(&m.in, folder, err);
    if (rc == PRILORA_OK)
        rc = pl_inputs_file_open(&m.inputs, folder, err);
    if (rc == PRILORA_OK)
        rc = make(spectra, &m, err);
    if (rc == PRILORA_OK)
        rc = check_files(&m, err);
    pl_tensors_close(m.inputs);
    pl_import_close(&m.in);
    free(m.sites);
    if (rc == PRILORA_OK) {
        *out = spectra;
        spectra = NULL;
    }
    prilora_spectra_close(spectra);
    return rc;
}

void prilora_spectra_close(struct prilora_spectra *spectra)
{
    if (!spectra)
        return;
    free(spectra->maps);
    free(spectra->values);
    free(spectra);
}

const struct prilora_map_spectrum *prilora_spectra_map(const struct prilora_spectra *spectra,
                                                       size_t i)
{
    return i < spectra->n_maps ? &spectra->maps[i] : NULL;
}
