/*
 * test_recompute.c - what a step gives when activations are computed again instead of kept: the
 * same bits, with every kind of dropout, the convolution, and layers below the lowest adapted one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/rig.h"
#include "support/scratch.h"
#include "support/tiny.h"

/* The gradients and statistics of three shares of one step, and the bytes that a share takes. */
static size_t trained(struct test_rig *rig, const struct test_tiny *tiny,
                      const char *const *targets, size_t n_targets,
                      const struct pl_net_options *how)
{
    static const size_t sequences[] = {5, 1, 12, 3};

    test_rig_open(rig, test_tiny_write("model", tiny), (const long[]){3, 2, 4}, 3, targets,
                  n_targets, how);
    test_fill(rig->params, pl_net_layout(rig->net)->size, 0.3, 1);
    test_rig_batch(rig, sequences, 4);
    test_rig_step(rig, (const size_t[]){1, 2, 1}, 3);
    return pl_workspace_bytes(rig->net, true, NULL);
}

static const struct test_tiny tinies[] = {
    {.pos_att_type = "p2c|c2p",
     .buckets = 6,
     .norm_rel = true,
     .hidden = 48,
     .wide = 80,
     .heads = 3,
     .layers = 3,
     .dropout = 0.1,
     .conv_kernel = 3,
     .conv_act = "gelu"},
    {.type = "electra",
     .embedding = 32,
     .hidden = 48,
     .wide = 80,
     .heads = 3,
     .layers = 3,
     .dropout = 0.1},
};

static void compare(const struct test_tiny *tiny)
{
    static const char *const upper[] = {"1.attention.self.value_proj", "1.attention.self.value",
                                        "2.output.dense"};
    const struct pl_net_options keeping = {.task = PRILORA_TASK_CLASSIFICATION,
                                           .n_outputs = 3,
                                           .hidden_dropout = -1,
                                           .attention_dropout = -1,
                                           .classifier_dropout = -1,
                                           .lora_dropout = 0.2,
                                           .max_tokens = 32,
                                           .max_sequences = 4,
                                           .max_length = 12};
    struct pl_net_options again = keeping;

    again.recompute = true;
    for (size_t n_targets = 0; n_targets <= 3; n_targets += 3) {
        struct test_rig kept, repeated;
        size_t most = trained(&kept, tiny, n_targets ? upper : NULL, n_targets, &keeping);
        size_t least = trained(&repeated, tiny, n_targets ? upper : NULL, n_targets, &again);

        assert_true(least < most);
        assert_true(pl_net_repeated_operations(kept.net, 12) == 0);
        assert_true(pl_net_repeated_operations(repeated.net, 12) > 0);
        assert_true(pl_net_repeated_operations(repeated.net, 12) <
                    pl_net_operations(repeated.net, 12, false));
        assert_true(kept.loss == repeated.loss);
        assert_memory_equal(kept.grads, repeated.grads,
                            pl_net_sum_size(kept.net) * sizeof *kept.grads);
        assert_memory_equal(kept.stats, repeated.stats,
                            pl_net_stats_size(kept.net) * sizeof *kept.stats);
        test_rig_close(&kept);
        test_rig_close(&repeated);
    }
}

static void recomputing_changes_memory_but_not_a_bit(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof tinies / sizeof *tinies; k++)
        compare(&tinies[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recomputing_changes_memory_but_not_a_bit),
    };

    return cmocka_run_group_tests_name("recompute", tests, test_scratch_open, test_scratch_close);
}
