/* golden.c - see golden.h. */
#include "support/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

const char *const test_golden_models[] = {"tiny-deberta", "tiny-bert", "tiny-roberta", NULL};

static void must(enum prilora_status rc, const struct prilora_error *err)
{
    if (rc != PRILORA_OK)
        fail_msg("%s: %s", prilora_status_name(rc), err->message);
}

static const struct pl_tensor *find(const struct pl_tensors *from, const char *kind,
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

static int64_t integer(const struct test_golden *g, const char *name, size_t i)
{
    int64_t value;

    memcpy(&value, (const char *)find(g->wide, "in.", name)->data + i * sizeof value, sizeof value);
    return value;
}

static void load_batch(struct test_golden *g)
{
    size_t at = 0, longest = 0;

    for (size_t k = 0; k < TEST_GOLDEN_SEQUENCES; k++) {
        g->starts[k] = at;
        for (size_t i = 0; i < TEST_GOLDEN_PADDED; i++) {
            size_t cell = k * TEST_GOLDEN_PADDED + i;

            if (integer(g, "mask", cell))
                g->ids[at++] = (int32_t)integer(g, "ids", cell);
        }
        longest = at - g->starts[k] > longest ? at - g->starts[k] : longest;
        g->labels[k] = (float)integer(g, "labels", k);
    }
    g->starts[TEST_GOLDEN_SEQUENCES] = at;
    g->batch =
        (struct pl_batch){TEST_GOLDEN_SEQUENCES, at,        longest,   g->ids,
                          g->type_ids,           g->starts, g->labels, TEST_GOLDEN_SEQUENCES};
}

static void load_params(struct test_golden *g)
{
    const struct pl_layout *layout = g->engine->layout;

    g->params = pl_calloc_aligned(layout->size, sizeof *g->params);
    assert_non_null(g->params);
    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *p = &layout->params[i];
        const struct pl_tensor *t =
            find(g->wide, p->kind == PL_PARAM_HEAD ? "head." : "lora.", p->name);

        assert_int_equal(t->n_elements, p->rows * p->cols);
        pl_tensor_read(t, g->params + p->offset, 0, t->n_elements);
    }
}

void test_golden_open(struct test_golden *golden, const char *model, size_t n_threads)
{
    char path[256];
    static const char settings[] =
        "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"ranks\": [4, "
        "8, 2], \"lora_alpha\": 16, \"hidden_dropout\": 0, \"attention_dropout\": 0, "
        "\"classifier_dropout\": 0}}}}";
    struct pl_engine_limits limits = {
        .n_outputs = TEST_GOLDEN_OUTPUTS,
        .max_sequences = TEST_GOLDEN_SEQUENCES,
        .longest = TEST_GOLDEN_PADDED,
        .n_threads = n_threads,
        .train = true,
    };
    struct prilora_error err = {0};

    memset(golden, 0, sizeof *golden);
    snprintf(golden->expected, sizeof golden->expected, "tests/golden/expected/%s", model);
    snprintf(path, sizeof path, "%s/f64.safetensors", golden->expected);
    must(pl_tensors_open_safetensors(&golden->wide, path, &err), &err);
    snprintf(path, sizeof path, "%s/f32.safetensors", golden->expected);
    must(pl_tensors_open_safetensors(&golden->narrow, path, &err), &err);
    snprintf(path, sizeof path, "tests/golden/models/%s", model);
    must(pl_model_open(&golden->model, path, &err), &err);
    must(prilora_spec_parse(&golden->spec, settings, strlen(settings), &err), &err);
    must(pl_engine_new(&golden->engine, golden->model, golden->spec, PRILORA_TASK_CLASSIFICATION,
                       &limits, &err),
         &err);
    load_batch(golden);
    load_params(golden);
}

void test_golden_close(struct test_golden *golden)
{
    free(golden->params);
    pl_engine_free(golden->engine);
    prilora_spec_free(golden->spec);
    pl_model_close(golden->model);
    pl_tensors_close(golden->wide);
    pl_tensors_close(golden->narrow);
}

double test_relative(const pl_real *x, const pl_real *y, size_t n)
{
    double difference = 0, norm = 0;

    for (size_t i = 0; i < n; i++) {
        difference += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        norm += (double)y[i] * (double)y[i];
    }
    return sqrt(difference / norm);
}

void test_golden_compare(const struct test_golden *golden, const char *kind, const char *name,
                         const pl_real *x, size_t n)
{
    const struct pl_tensor *t = find(golden->wide, kind, name);
    pl_real *want = calloc(n, sizeof *want), *single = calloc(n, sizeof *single);
    double tolerance = strcmp(name, "logits") == 0 ? 1e-9 : 1e-6, distance;

    assert_int_equal(t->n_elements, n);
    pl_tensor_read(t, want, 0, n);
    pl_tensor_read(find(golden->narrow, kind, name), single, 0, n);
    distance = test_relative(x, want, n);
    if (sizeof(pl_real) == sizeof(float))
        tolerance = fmax(1e-4, 10 * test_relative(single, want, n));
    free(want);
    free(single);
    if (!(distance <= tolerance))
        fail_msg("%s%s is off by %.3g, allowed are %.3g", kind, name, distance, tolerance);
}
