/*
 * test_reference.c - a small DeBERTa-v3, BERT and RoBERTa with adapters against what transformers
 * and PEFT compute on them (tests/golden/expected), padded on their side and packed on ours.
 *
 * Tolerances: in float 1e-4 relative, or ten times the distance between the reference's own float
 * and double numbers where that is larger. In double 1e-9 for hidden states and logits: both sides
 * round at 1e-16, and a few hundred operations deep that grows by some orders. The reference took
 * its loss in float even there (its gradients of the classifier's bias are float numbers), so that
 * all gradients carry some 2^-24 of rounding: 1e-6. What is tighter is in tests/grad.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/rig.h"

enum { LAYERS = 3, SEQUENCES = 5, PADDED = 40, OUTPUTS = 4 };

static const char *model;                /* "tiny-bert" */
static struct pl_tensors *wide, *narrow; /* the reference in F64 and in F32 */
static struct test_rig rig;
static size_t lengths[SEQUENCES];

static const struct pl_tensor *reference(const struct pl_tensors *from, const char *kind,
                                         const char *name)
{
    char full[256];
    const struct pl_tensor *t;

    snprintf(full, sizeof full, "%s%s", kind, name);
    t = pl_tensors_find(from, full);
    if (!t)
        fail_msg("the reference lacks %s", full);
    return t;
}

static pl_real *numbers(const struct pl_tensor *tensor)
{
    pl_real *x = pl_alloc(tensor->n_elements, sizeof *x);

    assert_non_null(x);
    pl_tensor_read(tensor, x, 0, tensor->n_elements);
    return x;
}

static int64_t integer(const char *name, size_t i)
{
    int64_t value;

    memcpy(&value, (const char *)reference(wide, "", name)->data + i * sizeof value, sizeof value);
    return value;
}

/* x [n] against the reference's tensor; `tolerance` is that in double. */
static void compare(const char *kind, const char *name, const pl_real *x, size_t n,
                    double tolerance)
{
    const struct pl_tensor *t = reference(wide, kind, name);
    pl_real *want = numbers(t), *single = numbers(reference(narrow, kind, name));
    double distance;

    assert_int_equal(t->n_elements, n);
    distance = test_distance(x, want, n);
    if (sizeof(pl_real) == sizeof(float))
        tolerance = fmax(1e-4, 10 * test_distance(single, want, n));
    if (!(distance <= tolerance))
        fail_msg("%s%s is off by %.3g, allowed are %.3g", kind, name, distance, tolerance);
    free(want);
    free(single);
}

/* Rows of the sequences' tokens out of [SEQUENCES, PADDED, width]. */
static void compare_hidden(size_t layer, const pl_real *x, size_t width)
{
    char name[8];
    pl_real *want, *single;
    double tolerance = 1e-9, own = 0, total = 0;

    snprintf(name, sizeof name, "%zu", layer);
    want = numbers(reference(wide, "hid.", name));
    single = numbers(reference(narrow, "hid.", name));
    for (size_t k = 0; k < SEQUENCES; k++) {
        const size_t n = lengths[k] * width, at = k * PADDED * width;

        own = fmax(own, test_distance(single + at, want + at, n));
        total = fmax(total, test_distance(x + rig.starts[k] * width, want + at, n));
    }
    if (sizeof(pl_real) == sizeof(float))
        tolerance = fmax(1e-4, 10 * own);
    if (!(total <= tolerance))
        fail_msg("hidden state %zu is off by %.3g, allowed are %.3g", layer, total, tolerance);
    free(want);
    free(single);
}

/* "lora.<param>" or "head.<param>" */
static const char *kind_of(const struct pl_param *param)
{
    return param->kind == PL_PARAM_HEAD ? "head." : "lora.";
}

static void load_params(void)
{
    const struct pl_layout *layout = pl_net_layout(rig.net);

    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *p = &layout->params[i];
        const struct pl_tensor *t = reference(wide, kind_of(p), p->name);

        assert_int_equal(t->n_elements, p->rows * p->cols);
        pl_tensor_read(t, rig.params + p->offset, 0, t->n_elements);
    }
}

static void load_batch(void)
{
    for (size_t k = 0; k < SEQUENCES; k++) {
        lengths[k] = 0;
        for (size_t i = 0; i < PADDED; i++)
            lengths[k] += integer("in.mask", k * PADDED + i) != 0;
    }
    test_rig_batch(&rig, lengths, SEQUENCES);
    memset(rig.type_ids, 0, rig.starts[SEQUENCES] * sizeof *rig.type_ids);
    for (size_t k = 0; k < SEQUENCES; k++) {
        for (size_t i = 0; i < lengths[k]; i++)
            rig.ids[rig.starts[k] + i] = (int32_t)integer("in.ids", k * PADDED + i);
        rig.labels[k] = (float)integer("in.labels", k);
    }
}

static struct pl_tensors *expected(const char *file)
{
    struct pl_tensors *tensors = NULL;
    struct prilora_error err;
    char path[128];

    snprintf(path, sizeof path, "tests/golden/expected/%s/%s", model, file);
    if (pl_tensors_open_safetensors(&tensors, path, &err) != PRILORA_OK)
        print_error("%s\n", err.message);
    return tensors;
}

static int open_all(void **state)
{
    const struct pl_net_options options = {.task = PRILORA_TASK_CLASSIFICATION,
                                           .n_outputs = OUTPUTS,
                                           .max_tokens = SEQUENCES * PADDED,
                                           .max_sequences = SEQUENCES,
                                           .max_length = PADDED};
    char folder[128];
    long ranks[LAYERS];

    (void)state;
    wide = expected("f64.safetensors");
    narrow = expected("f32.safetensors");
    if (!wide || !narrow)
        return -1;
    snprintf(folder, sizeof folder, "tests/golden/models/%s", model);
    for (size_t l = 0; l < LAYERS; l++)
        ranks[l] = (long)integer("in.ranks", l);
    test_rig_open(&rig, folder, ranks, LAYERS, NULL, 0, &options);
    load_params();
    load_batch();
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    test_rig_close(&rig);
    pl_tensors_close(wide);
    pl_tensors_close(narrow);
    return 0;
}

static void every_hidden_state_is_the_reference(void **state)
{
    (void)state;
    test_rig_loss(&rig);
    for (size_t l = 0; l <= LAYERS; l++)
        compare_hidden(l, pl_workspace_hidden(rig.ws, l), rig.model->config.hidden_size);
}

static void logits_and_loss_are_the_reference(void **state)
{
    pl_real *want = numbers(reference(wide, "", "out.loss"));

    (void)state;
    test_rig_loss(&rig);
    compare("out.", "logits", rig.logits, SEQUENCES * OUTPUTS, 1e-9);
    /* The loss stands in the file as F32: half its last place. */
    assert_true(fabs(rig.loss / (double)*want - 1) <
                (sizeof(pl_real) == sizeof(float) ? 1e-5 : 1e-7));
    free(want);
}

static void compare_gradients(void)
{
    const struct pl_layout *layout = pl_net_layout(rig.net);

    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *p = &layout->params[i];

        compare("grad.", p->name, rig.grads + p->offset, p->rows * p->cols, 1e-6);
    }
}

static void every_gradient_is_the_reference(void **state)
{
    (void)state;
    test_rig_loss(&rig);
    compare_gradients();
}

static void any_cut_into_shares_gives_the_reference(void **state)
{
    static const size_t cuts[][SEQUENCES] = {{1, 1, 1, 1, 1}, {2, 3}, {4, 1}, {1, 3, 1}};

    (void)state;
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        size_t n = 0;

        while (n < SEQUENCES && cuts[c][n])
            n++;
        test_rig_step(&rig, cuts[c], n);
        compare("out.", "logits", rig.logits, SEQUENCES * OUTPUTS, 1e-9);
        compare_gradients();
    }
}

/* Evaluation computes the same logits in its smaller workspace. */
static void evaluation_gives_the_reference_logits(void **state)
{
    struct pl_workspace *kept = rig.ws;
    struct prilora_error err;

    (void)state;
    assert_int_equal(pl_workspace_new(&rig.ws, rig.net, false, &err), PRILORA_OK);
    assert_true(pl_workspace_bytes(rig.net, false, NULL) <
                pl_workspace_bytes(rig.net, true, NULL) / 2);
    rig.train = false;
    test_rig_loss(&rig);
    compare("out.", "logits", rig.logits, SEQUENCES * OUTPUTS, 1e-9);
    pl_workspace_free(rig.ws);
    rig.ws = kept;
    rig.train = true;
}

static double sum_of_squares(const pl_real *x, size_t n, size_t width, size_t column)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i * width + column] * (double)x[i * width + column];
    return sum;
}

/* The input of a layer's query, key and value is the hidden state, which the reference gives. */
static void statistics_are_the_column_norms_of_the_hidden_states(void **state)
{
    const size_t width = rig.model->config.hidden_size;

    (void)state;
    test_rig_step(&rig, (const size_t[]){2, 3}, 2);
    for (size_t l = 0; l < LAYERS; l++) {
        const size_t input = rig.model->sites[6 * l].input;
        char name[8];
        pl_real *want;

        snprintf(name, sizeof name, "%zu", l);
        want = numbers(reference(wide, "hid.", name));
        assert_int_equal(rig.model->sites[6 * l + 2].input, input);
        for (size_t j = 0; j < width; j++) {
            double sum = 0;

            for (size_t k = 0; k < SEQUENCES; k++)
                sum += sum_of_squares(want + k * PADDED * width, lengths[k], width, j);
            assert_true(fabs((double)rig.stats[pl_net_stats_offset(rig.net, input) + j] / sum - 1) <
                        1e-4); /* the hidden states' tolerance */
        }
        free(want);
    }
}

int main(void)
{
    static const char *const models[] = {"tiny-deberta", "tiny-bert", "tiny-roberta"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_hidden_state_is_the_reference),
        cmocka_unit_test(logits_and_loss_are_the_reference),
        cmocka_unit_test(every_gradient_is_the_reference),
        cmocka_unit_test(any_cut_into_shares_gives_the_reference),
        cmocka_unit_test(evaluation_gives_the_reference_logits),
        cmocka_unit_test(statistics_are_the_column_norms_of_the_hidden_states),
    };
    int failed = 0;

    for (size_t k = 0; k < sizeof models / sizeof *models; k++) {
        model = models[k];
        failed += cmocka_run_group_tests_name(model, tests, open_all, close_all);
    }
    return failed;
}
