/*
 * test_spectra.c - singular values of low-rank products against closed forms and against the whole
 * matrix, and the spectra of adapters' folders, ours and PEFT's own.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/tensors.h"
#include "math/svd.h"
#include "support/close.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/base.h"
#include "train/import.h"
#include "train/spectra.h"

#define TINY "tests/golden/models/tiny-deberta"
#define PEFT "tests/golden/expected/tiny-deberta/peft-adapter" /* written by PEFT 0.18 */

/* Factors are float: products of a few roundings of 2^-24 each. */
#define CLOSE 2e-6

static void check_values(const struct pl_low_rank *product, const double *expected)
{
    double values[64];
    struct prilora_error err;

    test_must(pl_svd_low_rank(values, product, &err), &err);
    for (size_t k = 0; k < product->rank; k++) {
        if (!(fabs(values[k] - expected[k]) <= CLOSE * (1 + expected[0])))
            fail_msg("value %zu is %.12g, but must be %.12g", k, values[k], expected[k]);
        assert_true(k == 0 || values[k] <= values[k - 1]);
    }
}

/* Of [[3, 0], [4, 5]]: the roots of 45 and 5. */
static void a_known_matrix_has_its_values(void **state)
{
    const pl_real b[] = {3, 0, 4, 5}, a[] = {1, 0, 0, 1};
    const double expected[] = {sqrt(45), sqrt(5)}, twice[] = {2 * sqrt(45), 2 * sqrt(5)};

    (void)state;
    check_values(&(struct pl_low_rank){a, b, NULL, 2, 2, 2, 1}, expected);
    check_values(&(struct pl_low_rank){a, b, NULL, 2, 2, 2, -2}, twice);
}

/* x [rows, cols] becomes x (I - 2 v v^T), v = (1, ..., 1) / sqrt(cols): a reflection. */
static void reflect_columns(pl_real *x, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;

        for (size_t j = 0; j < cols; j++)
            sum += (double)x[i * cols + j];
        for (size_t j = 0; j < cols; j++)
            x[i * cols + j] = (pl_real)((double)x[i * cols + j] - 2 * sum / (double)cols);
    }
}

static void reflect_rows(pl_real *x, size_t rows, size_t cols)
{
    for (size_t j = 0; j < cols; j++) {
        double sum = 0;

        for (size_t i = 0; i < rows; i++)
            sum += (double)x[i * cols + j];
        for (size_t i = 0; i < rows; i++)
            x[i * cols + j] = (pl_real)((double)x[i * cols + j] - 2 * sum / (double)rows);
    }
}

/* B with orthogonal columns of lengths 4, 1, 2 and A with orthogonal rows of lengths 1, 0.5, 3. */
static void orthogonal_factors_multiply(void **state)
{
    pl_real b[7 * 3] = {0}, a[3 * 9] = {0};
    const double expected[] = {6, 4, 0.5}, columns[9] = {2, 2, 2, 2, 2, 2, 2, 2, 2};
    const double twice[] = {12, 8, 1};

    (void)state;
    b[5 * 3 + 0] = 4;
    b[0 * 3 + 1] = -1;
    b[3 * 3 + 2] = 2;
    a[0 * 9 + 8] = 1;
    a[1 * 9 + 2] = (pl_real)0.5;
    a[2 * 9 + 4] = -3;
    check_values(&(struct pl_low_rank){a, b, NULL, 3, 9, 7, 1}, expected);
    reflect_rows(b, 7, 3);
    reflect_columns(a, 3, 9);
    check_values(&(struct pl_low_rank){a, b, NULL, 3, 9, 7, 1}, expected);
    check_values(&(struct pl_low_rank){a, b, columns, 3, 9, 7, 1}, twice);
}

/* Of B = I and A = I the weighted values are the columns' weights. */
static void weights_are_of_the_inputs(void **state)
{
    pl_real identity[16] = {0};
    const double columns[] = {0.5, 3, 0, 7}, expected[] = {14, 6, 1, 0};

    (void)state;
    for (size_t i = 0; i < 4; i++)
        identity[5 * i] = 1;
    check_values(&(struct pl_low_rank){identity, identity, columns, 4, 4, 4, 2}, expected);
}

static void missing_directions_are_zero(void **state)
{
    const pl_real b[] = {1, 1, 0, 0, 0, 0}, a[] = {1, 2, 2, 1, 2, 2}; /* [3, 2], [2, 3] */
    const pl_real wide[] = {1, 2, 3, 4, 5}, ones[] = {1, 1, 1, 1, 1}, none[8] = {0};
    const double twice[] = {6, 0}, single[] = {15, 0, 0, 0, 0}, zeros[4] = {0};

    (void)state;
    check_values(&(struct pl_low_rank){a, b, NULL, 2, 3, 3, 1}, twice); /* rows of A are equal */
    /* one input and one output, whatever the rank: 1 + 2 + 3 + 4 + 5 */
    check_values(&(struct pl_low_rank){wide, ones, NULL, 5, 1, 1, 1}, single);
    check_values(&(struct pl_low_rank){ones, none, NULL, 4, 1, 2, 1}, zeros); /* B as it begins */
}

static void what_is_not_finite_is_refused(void **state)
{
    const pl_real fine[] = {1, 1}, nan[] = {1, (pl_real)NAN}, inf[] = {(pl_real)INFINITY, 1};
    double values[2];

    (void)state;
    assert_int_equal(pl_svd_low_rank(values, &(struct pl_low_rank){nan, fine, NULL, 1, 2, 2, 1},
                                     NULL),
                     PRILORA_ENUMERIC);
    assert_int_equal(pl_svd_low_rank(values, &(struct pl_low_rank){fine, inf, NULL, 1, 2, 2, 1},
                                     NULL),
                     PRILORA_ENUMERIC);
    assert_int_equal(
        pl_svd_low_rank(values, &(struct pl_low_rank){fine, fine, NULL, 1, 2, 2, 1e308 * 10}, NULL),
        PRILORA_ENUMERIC);
}

/*
 * Three values are known from three sums of powers of their squares, the traces of G, G^2 and G^3
 * of G = M M^T, where M is made in full. Half of A is pruned.
 */
static void the_whole_matrix_has_the_same_power_sums(void **state)
{
    enum { OUT = 11, IN = 13, RANK = 3 };
    pl_real a[RANK * IN], b[OUT * RANK];
    double columns[IN], m[OUT][IN], g[OUT][OUT], g2[OUT][OUT], values[RANK];
    double trace[3] = {0}, sums[3] = {0};
    struct prilora_error err;

    (void)state;
    for (size_t i = 0; i < RANK * IN; i++)
        a[i] = i % 2 ? 0 : (pl_real)sin((double)(3 * i + 1));
    for (size_t i = 0; i < OUT * RANK; i++)
        b[i] = (pl_real)cos((double)(5 * i + 2));
    for (size_t j = 0; j < IN; j++)
        columns[j] = 0.5 + 0.25 * (double)(j % 4);
    for (size_t o = 0; o < OUT; o++) {
        for (size_t j = 0; j < IN; j++) {
            m[o][j] = 0;
            for (size_t k = 0; k < RANK; k++)
                m[o][j] += 0.75 * (double)b[o * RANK + k] * (double)a[k * IN + j] * columns[j];
        }
    }
    memset(g, 0, sizeof g);
    memset(g2, 0, sizeof g2);
    for (size_t i = 0; i < OUT; i++)
        for (size_t k = 0; k < OUT; k++)
            for (size_t j = 0; j < IN; j++)
                g[i][k] += m[i][j] * m[k][j];
    for (size_t i = 0; i < OUT; i++)
        for (size_t k = 0; k < OUT; k++)
            for (size_t j = 0; j < OUT; j++)
                g2[i][k] += g[i][j] * g[j][k];
    for (size_t i = 0; i < OUT; i++) {
        trace[0] += g[i][i];
        trace[1] += g2[i][i];
        for (size_t k = 0; k < OUT; k++)
            trace[2] += g2[i][k] * g[k][i];
    }
    test_must(pl_svd_low_rank(values, &(struct pl_low_rank){a, b, columns, RANK, IN, OUT, 0.75},
                              &err),
              &err);
    for (size_t k = 0; k < RANK; k++)
        for (int p = 0; p < 3; p++)
            sums[p] += pow(values[k], 2 * (p + 1));
    for (int p = 0; p < 3; p++) /* both sides are in double */
        assert_true(fabs(sums[p] - trace[p]) <= 1e-12 * trace[p]);
}

/* ---- numbers of a spectrum ---- */

static void a_spectrum_is_described(void **state)
{
    const double flat[] = {2, 2, 2, 2}, falling[] = {3, 1, 0}, zeros[] = {0, 0, 0};
    struct prilora_spectrum s;

    (void)state;
    pl_spectrum_describe(&s, flat, 4, 8);
    test_close(s.norm, 4, 1e-12);
    test_close(s.relative, 0.5, 1e-12);
    test_close(s.lower_share, 0.5, 1e-12);
    test_close(s.stable_rank, 4, 1e-12);
    test_close(s.effective_rank, 4, 1e-12);
    assert_int_equal(s.rank_90, 4);
    pl_spectrum_describe(&s, falling, 3, 0);
    assert_true(isnan(s.relative));
    test_close(s.lower_share, 0, 0); /* the last one of three */
    test_close(s.stable_rank, 10.0 / 9, 1e-12);
    /* shares 0.9 and 0.1: entropy -0.9 ln 0.9 - 0.1 ln 0.1 = 0.325083 */
    test_close(s.effective_rank, exp(0.32508297339), 1e-9);
    assert_int_equal(s.rank_90, 1);
    assert_int_equal(s.rank_95, 2);
    assert_int_equal(s.rank_99, 2);
    pl_spectrum_describe(&s, zeros, 3, 5);
    assert_true(s.norm == 0 && s.relative == 0 && s.lower_share == 0 && s.stable_rank == 0 &&
                s.effective_rank == 0);
    assert_int_equal(s.rank_99, 0);
}

/* ---- folders ---- */

static char ours[512]; /* an adapter's folder */
static struct prilora_layer layers[128];
static size_t n_layers;

static int open_group(void **state)
{
    struct prilora_run_options options = {.n_threads = 2};
    struct prilora_spec *spec;
    struct prilora_run *run;
    struct prilora_error err;
    size_t size;

    if (test_training_open(state) != 0)
        return -1;
    spec = test_training_spec("");
    run = test_training_run(spec, test_training.valid, &options);
    test_must(prilora_run_train(run, &err), &err);
    free(test_training_export(run, "ours", &size));
    snprintf(ours, sizeof ours, "%s", test_scratch_path("ours"));
    n_layers = prilora_run_snapshot(run, layers, 128, NULL);
    assert_in_range(n_layers, 1, 128);
    prilora_run_close(run);
    prilora_spec_free(spec);
    return 0;
}

static struct prilora_spectra *opened(struct prilora_base *base, const char *folder)
{
    struct prilora_spectra *spectra;
    struct prilora_error err;

    test_must(prilora_spectra_open(&spectra, base, folder, &err), &err);
    return spectra;
}

/* The board's norm comes from Gram matrices in float, 2^-24 of relative rounding in sums of a few
 * hundred; the input statistic is the same floats. */
static void our_spectra_agree_with_the_layers(void **state)
{
    struct prilora_spectra *spectra = opened(test_training.base, ours);
    const struct prilora_map_spectrum *map;
    size_t i = 0;

    (void)state;
    for (; (map = prilora_spectra_map(spectra, i)); i++) {
        const struct prilora_layer *layer = &layers[i];
        double energy = 0;

        assert_true(i < n_layers);
        assert_string_equal(map->module, layer->module);
        assert_string_equal(map->map, layer->map);
        assert_int_equal(map->layer, layer->layer);
        assert_int_equal(map->rank, layer->rank);
        test_close(map->scale, layer->scale, 1e-9);
        for (size_t k = 0; k < map->rank; k++)
            energy += map->update.values[k] * map->update.values[k];
        assert_true(layer->update_norm > 0);
        test_close(sqrt(energy) / layer->update_norm, 1, 1e-5);
        test_close(map->update.norm, sqrt(energy), 1e-12);
        assert_true(map->update.relative > 0 && map->update.effective_rank >= 1 &&
                    map->update.effective_rank <= (double)map->rank);
        assert_true(map->has_inputs);
        test_close(map->input_min, layer->input_min, 1e-6 * layer->input_max);
        test_close(map->input_mean, layer->input_mean, 1e-6 * layer->input_max);
        test_close(map->input_max, layer->input_max, 1e-6 * layer->input_max);
        assert_true(map->output.norm >= map->input_min * map->update.norm * (1 - CLOSE));
        assert_true(map->output.norm <= map->input_max * map->update.norm * (1 + CLOSE));
    }
    assert_int_equal(i, n_layers);
    prilora_spectra_close(spectra);
}

static void our_adapter_suggests_what_fits(void **state)
{
    struct prilora_spectra *spectra = opened(test_training.base, ours);
    struct prilora_suggestion s;
    struct prilora_error err;
    size_t n_parameters = 0, n_after = 0;

    (void)state;
    test_must(prilora_spectra_suggest(&s, spectra, &(struct prilora_suggest_options){0}, &err),
              &err);
    for (size_t i = 0; i < n_layers; i++) {
        n_parameters += layers[i].n_parameters;
        n_after +=
            s.layers[layers[i].layer].rank * (layers[i].in_features + layers[i].out_features);
    }
    assert_true(s.uses_inputs);
    assert_int_equal(s.n_before, n_parameters);
    assert_int_equal(s.n_after, n_after);
    assert_true(n_after <= n_parameters);
    prilora_spectra_close(spectra);
}

/* Frobenius norm of scale B A, made in full of what stands in the file. */
static double full_norm(const struct pl_tensors *file, const struct prilora_map_spectrum *map)
{
    const struct pl_tensor *a, *b;
    char name[300];
    double sum = 0;

    snprintf(name, sizeof name, "base_model.model.%s.lora_A.weight", map->module);
    a = pl_tensors_find(file, name);
    snprintf(name, sizeof name, "base_model.model.%s.lora_B.weight", map->module);
    b = pl_tensors_find(file, name);
    assert_non_null(a);
    assert_non_null(b);
    for (size_t o = 0; o < map->out_features; o++) {
        for (size_t j = 0; j < map->in_features; j++) {
            double x = 0;

            for (size_t k = 0; k < map->rank; k++)
                x += (double)((const float *)b->data)[o * map->rank + k] *
                     (double)((const float *)a->data)[k * map->in_features + j];
            sum += x * x;
        }
    }
    return map->scale * sqrt(sum);
}

/* The reference's tiny model, which has no tokenizer, as a base. */
static struct prilora_base *open_tiny(void)
{
    struct prilora_base *base = calloc(1, sizeof *base);
    struct prilora_error err;

    assert_non_null(base);
    atomic_init(&base->references, 1);
    test_must(pl_model_open(&base->model, TINY, &err), &err);
    memcpy(base->fingerprint, base->model->fingerprint, sizeof base->fingerprint);
    return base;
}

static void peft_s_own_adapter_has_spectra_without_inputs(void **state)
{
    struct prilora_spectra *spectra;
    const struct prilora_map_spectrum *map;
    struct prilora_suggestion s;
    struct prilora_base *base = open_tiny();
    struct pl_tensors *file;
    struct prilora_error err;
    size_t i = 0;

    (void)state;
    test_must(pl_tensors_open_safetensors(&file, PEFT "/adapter_model.safetensors", &err), &err);
    spectra = opened(base, PEFT);
    for (; (map = prilora_spectra_map(spectra, i)); i++) {
        assert_false(map->has_inputs);
        test_close(map->update.norm, full_norm(file, map), 1e-9);
    }
    assert_int_equal(i, 18);
    test_must(prilora_spectra_suggest(&s, spectra, &(struct prilora_suggest_options){0}, &err),
              &err);
    assert_false(s.uses_inputs);
    assert_true(s.n_after <= s.n_before);
    prilora_spectra_close(spectra);
    pl_tensors_close(file);
    prilora_base_close(base);
}

/* ---- folders that are wrong ---- */

static void copy(const char *folder, const char *name)
{
    char from[600], to[64];
    char *bytes;
    size_t size;

    snprintf(from, sizeof from, "%s/%s", ours, name);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    bytes = test_file(from, &size);
    assert_non_null(bytes);
    test_scratch_write(to, bytes, size);
    free(bytes);
}

/* Our adapter again in the scratch folder `name`. */
static void copy_ours(const char *name)
{
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors",
                                        "labels.json", "input_statistics.safetensors"};

    mkdir(test_scratch_path(name), 0700);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        copy(name, files[i]);
}

static void refuses(struct prilora_base *base, const char *folder, enum prilora_status status,
                    const char *words)
{
    struct prilora_spectra *spectra = (struct prilora_spectra *)1;
    struct prilora_error err;
    enum prilora_status rc = prilora_spectra_open(&spectra, base, folder, &err);

    if (rc != status || !strstr(err.message, words))
        fail_msg("%s: %s", prilora_status_name(rc), err.message);
    assert_null(spectra);
}

static void another_base_or_none_of_the_files(void **state)
{
    struct prilora_base *base = open_tiny();

    (void)state;
    refuses(test_training.base, test_scratch_path("nowhere"), PRILORA_ENOENT, "nowhere");
    refuses(base, ours, PRILORA_EMISMATCH, "another base");
    prilora_base_close(base);
    refuses(test_training.base, PEFT, PRILORA_EFORMAT, "must be");
}

static void write_inputs(const char *folder, const char *module, size_t n, float bad)
{
    float *numbers = calloc(n, sizeof *numbers);
    struct pl_tensor t = {.name = module,
                          .dtype = PL_F32,
                          .n_dims = 1,
                          .dims = {n},
                          .n_elements = n,
                          .data = numbers};
    char path[64];
    struct prilora_error err;

    assert_non_null(numbers);
    numbers[n / 2] = bad;
    snprintf(path, sizeof path, "%s/input_statistics.safetensors", folder);
    test_must(pl_safetensors_write(test_scratch_path(path), &t, 1, NULL, &err), &err);
    free(numbers);
}

static void statistics_that_are_none_are_refused(void **state)
{
    const struct prilora_layer *first = &layers[0];
    char name[200];

    (void)state;
    copy_ours("wrong");
    snprintf(name, sizeof name, "%s.input", first->module);
    write_inputs("wrong", name, first->in_features, -1);
    refuses(test_training.base, test_scratch_path("wrong"), PRILORA_EFORMAT, "no norm");
    write_inputs("wrong", name, first->in_features, (float)NAN);
    refuses(test_training.base, test_scratch_path("wrong"), PRILORA_EFORMAT, "no norm");
    write_inputs("wrong", name, first->in_features, (float)INFINITY);
    refuses(test_training.base, test_scratch_path("wrong"), PRILORA_EFORMAT, "no norm");
    write_inputs("wrong", name, first->in_features + 1, 1);
    refuses(test_training.base, test_scratch_path("wrong"), PRILORA_EFORMAT, "must be");
    test_scratch_write("wrong/input_statistics.safetensors", "no tensors", 10);
    refuses(test_training.base, test_scratch_path("wrong"), PRILORA_EFORMAT, "input_statistics");
}

/* Of an earlier version, or by another hand. */
static void statistics_that_are_missing_are_not_used(void **state)
{
    struct prilora_spectra *spectra;
    char name[200];

    (void)state;
    copy_ours("without");
    unlink(test_scratch_path("without/input_statistics.safetensors"));
    spectra = opened(test_training.base, test_scratch_path("without"));
    assert_false(prilora_spectra_map(spectra, 0)->has_inputs);
    prilora_spectra_close(spectra);
    snprintf(name, sizeof name, "%s.input", layers[0].module); /* of query, key and value */
    write_inputs("without", name, layers[0].in_features, 1);
    spectra = opened(test_training.base, test_scratch_path("without"));
    assert_true(prilora_spectra_map(spectra, 0)->has_inputs);
    assert_true(prilora_spectra_map(spectra, 2)->has_inputs);
    assert_false(prilora_spectra_map(spectra, 3)->has_inputs);
    prilora_spectra_close(spectra);
}

/* ---- no training, no update ---- */

static void an_adapter_that_adds_nothing_suggests_nothing(void **state)
{
    struct prilora_run_options options = {.n_threads = 1};
    struct prilora_spec *spec = test_training_spec("\"max_steps\": 1");
    struct prilora_run *run = test_training_run(spec, NULL, &options);
    const struct prilora_map_spectrum *map;
    struct prilora_suggestion s;
    struct prilora_spectra *spectra;
    struct prilora_error err;
    size_t size;

    (void)state;
    test_must(prilora_run_train(run, &err), &err); /* the first step's rate is zero: B stays zero */
    free(test_training_export(run, "untrained", &size));
    prilora_run_close(run);
    prilora_spec_free(spec);
    spectra = opened(test_training.base, test_scratch_path("untrained"));
    for (size_t i = 0; (map = prilora_spectra_map(spectra, i)); i++) {
        for (size_t k = 0; k < map->rank; k++)
            assert_true(map->update.values[k] == 0 && map->output.values[k] == 0);
        assert_true(map->update.relative == 0 && map->update.effective_rank == 0);
    }
    assert_int_equal(prilora_spectra_suggest(&s, spectra, &(struct prilora_suggest_options){0},
                                             &err),
                     PRILORA_EMISMATCH);
    prilora_spectra_close(spectra);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_matrix_has_its_values),
        cmocka_unit_test(orthogonal_factors_multiply),
        cmocka_unit_test(weights_are_of_the_inputs),
        cmocka_unit_test(missing_directions_are_zero),
        cmocka_unit_test(what_is_not_finite_is_refused),
        cmocka_unit_test(the_whole_matrix_has_the_same_power_sums),
        cmocka_unit_test(a_spectrum_is_described),
        cmocka_unit_test(our_spectra_agree_with_the_layers),
        cmocka_unit_test(our_adapter_suggests_what_fits),
        cmocka_unit_test(peft_s_own_adapter_has_spectra_without_inputs),
        cmocka_unit_test(another_base_or_none_of_the_files),
        cmocka_unit_test(statistics_that_are_none_are_refused),
        cmocka_unit_test(statistics_that_are_missing_are_not_used),
        cmocka_unit_test(an_adapter_that_adds_nothing_suggests_nothing),
    };

    return cmocka_run_group_tests(tests, open_group, test_training_close);
}
