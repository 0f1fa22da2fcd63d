/* conv.c - the convolution that DeBERTa v2 adds to its first layer, as one product per tap. */
#include "math/blas.h"
#include "math/vector.h"
#include "model/deberta.h"

/* y of one sequence of n tokens += tap of x; token i sees token i + tap - kernel / 2. */
static void add_tap(const struct pl_conv *conv, size_t tap, pl_real *y, const pl_real *x, size_t n,
                    size_t hidden)
{
    const size_t pad = conv->kernel / 2, width = hidden / conv->groups;
    const size_t from = tap < pad ? pad - tap : 0, shift = tap > pad ? tap - pad : 0;
    const size_t lost = from + shift; /* tokens that look beyond an end */

    if (lost >= n)
        return;
    for (size_t g = 0; g < conv->groups; g++)
        pl_gemm(y + from * hidden + g * width, hidden,
                (struct pl_matrix){x + shift * hidden + g * width, hidden, false},
                (struct pl_matrix){conv->taps + (tap * hidden + g * width) * width, width, true},
                n - lost, width, width, 1, 1);
}

void pl_conv_forward(const struct pl_flow *f, const struct pl_conv *conv, const pl_real *x,
                     pl_real *y)
{
    const size_t hidden = f->net->model->config.hidden_size;
    struct pl_workspace *ws = f->ws;
    pl_real *t = ws->embedded;
    const struct pl_dropout dropout =
        pl_pass_dropout(f->pass, f->net->options.hidden_dropout, PL_SITE_CONV_DROPOUT, 0);

    pl_fill_rows(t, conv->bias, f->rows.n, hidden);
    for (size_t k = 0; k < f->rows.n_runs; k++)
        for (size_t tap = 0; tap < conv->kernel; tap++)
            add_tap(conv, tap, t + f->rows.starts[k] * hidden, x + f->rows.starts[k] * hidden,
                    f->rows.starts[k + 1] - f->rows.starts[k], hidden);
    pl_dropout_rows(&dropout, &f->rows, t, t, hidden);
    pl_activation_find(f->net->model->config.conv_act)->forward(t, t, NULL, f->rows.n, hidden);
    pl_norm_forward(y, ws->conv_xhat, ws->conv_rstd, t, NULL, y, &conv->norm, f->rows.n, hidden);
}

void pl_conv_backward(const struct pl_flow *f, const struct pl_conv *conv, pl_real *d)
{
    pl_norm_backward(d, f->ws->conv_xhat, f->ws->conv_rstd, &conv->norm, f->rows.n,
                     f->net->model->config.hidden_size);
}
