/* test_predict.c - PEFT's own folder, opened to predict, gives the reference's probabilities. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/golden.h"
#include "support/scratch.h"
#include "train/base.h"
#include "train/predict.h"

enum { N = TEST_GOLDEN_SEQUENCES, K = TEST_GOLDEN_OUTPUTS };

struct reference {
    struct test_golden golden;
    struct prilora_base base; /* the golden model; with a tokenizer, though its tokens are given */
    char adapter[256];        /* PEFT's folder */
    double probabilities[N * K];
};

/* softmax of the reference's logits, in double. */
static void read_probabilities(struct reference *r)
{
    const struct pl_tensor *t = pl_tensors_find(r->golden.narrow, "out.logits");

    assert_non_null(t);
    assert_int_equal(t->n_elements, N * K);
    for (size_t i = 0; i < N; i++) {
        double sum = 0;
        pl_real z[K];

        pl_tensor_read(t, z, i * K, K);
        for (size_t k = 0; k < K; k++)
            sum += exp((double)z[k]);
        for (size_t k = 0; k < K; k++)
            r->probabilities[i * K + k] = exp((double)z[k]) / sum;
    }
}

static void open_reference(struct reference *r, const char *model)
{
    *r = (struct reference){0};
    test_golden_open(&r->golden, model, 1);
    snprintf(r->adapter, sizeof r->adapter, "%s/peft-adapter", r->golden.expected);
    r->base.model = r->golden.model;
    atomic_init(&r->base.references, 1);
    memset(r->base.fingerprint, '0', 64);
    assert_int_equal(pl_tokenizer_open(&r->base.tokenizer, "examples/prilora-mini-en", NULL),
                     PRILORA_OK);
    read_probabilities(r);
}

static void close_reference(struct reference *r)
{
    pl_tokenizer_close(r->base.tokenizer);
    test_golden_close(&r->golden);
}

static void compare_probabilities(const char *model)
{
    struct reference r;
    struct prilora_adapter *adapter;
    struct prilora_adapter_info info;
    struct prilora_error err;
    double values[N * K];

    open_reference(&r, model);
    for (size_t n_threads = 1; n_threads <= 3; n_threads++) {
        struct prilora_team *team;

        assert_int_equal(prilora_team_new(&team, n_threads, NULL), PRILORA_OK);
        if (prilora_adapter_open(&adapter, &r.base, r.adapter, team, &err) != PRILORA_OK)
            fail_msg("%s", err.message);
        prilora_adapter_describe(adapter, &info);
        assert_int_equal(info.task, PRILORA_TASK_CLASSIFICATION);
        assert_int_equal(info.n_labels, K);
        assert_int_equal(pl_adapter_predict_batch(adapter, &r.golden.batch, NULL, values, &err),
                         PRILORA_OK);
        /* logits of about 1 agree to 1e-4 relative (golden.h), and a probability moves by at most
         * half of what its logit does */
        for (size_t i = 0; i < N * K; i++)
            if (fabs(values[i] - r.probabilities[i]) > 1e-4)
                fail_msg("value %zu is %.9g, the reference's %.9g", i, values[i],
                         r.probabilities[i]);
        prilora_adapter_close(adapter);
        prilora_team_free(team);
    }
    close_reference(&r);
}

static void the_probabilities_are_the_reference_s(void **state)
{
    (void)state;
    for (size_t k = 0; test_golden_models[k]; k++)
        compare_probabilities(test_golden_models[k]);
}

/* The reference's probabilities differ from one another by far more than the tolerance above. */
static void the_reference_tells_its_sentences_apart(void **state)
{
    struct reference r;
    double most = 0;

    (void)state;
    open_reference(&r, "tiny-deberta");
    for (size_t i = 1; i < N; i++)
        most = fmax(most, fabs(r.probabilities[i * K] - r.probabilities[0]));
    assert_true(most > 1e-2);
    close_reference(&r);
}

/* No labels.json: names by number, texts as long as the model reads. */
static void peft_s_folder_names_its_labels_by_number(void **state)
{
    struct reference r;
    struct prilora_adapter *adapter;
    struct prilora_adapter_info info;

    (void)state;
    open_reference(&r, "tiny-deberta");
    assert_int_equal(prilora_adapter_open(&adapter, &r.base, r.adapter, NULL, NULL), PRILORA_OK);
    prilora_adapter_describe(adapter, &info);
    assert_string_equal(prilora_adapter_label(adapter, 0), "LABEL_0");
    assert_string_equal(prilora_adapter_label(adapter, 3), "LABEL_3");
    assert_null(prilora_adapter_label(adapter, 4));
    assert_int_equal(info.max_length, r.golden.model->config.max_position_embeddings);
    assert_true(info.resident_bytes > info.n_parameters * sizeof(pl_real));
    prilora_adapter_close(adapter);
    close_reference(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_probabilities_are_the_reference_s),
        cmocka_unit_test(the_reference_tells_its_sentences_apart),
        cmocka_unit_test(peft_s_folder_names_its_labels_by_number),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
