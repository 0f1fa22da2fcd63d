/*
 * flow.h - inside view of a net at work: what the parts of model/ hand each other during a share.
 *
 * The maps of a layer are fed by four stages. Inputs are numbered 4 * layer + stage; a gradient is
 * propagated to an input only if some map above the lowest adapted one needs it.
 */
#ifndef PL_FLOW_H
#define PL_FLOW_H

#include "adapter/adapter.h"
#include "base/memory.h"
#include "base/meter.h"
#include "math/activation.h"
#include "math/dropout.h"
#include "model/head.h"
#include "model/net.h"
#include "model/position.h"

enum { PL_QUERY, PL_KEY, PL_VALUE, PL_ATTENTION_OUTPUT, PL_INTERMEDIATE, PL_OUTPUT, PL_LAYER_MAPS };
enum { PL_STAGE_ATTENTION, PL_STAGE_CONTEXT, PL_STAGE_INTERMEDIATE, PL_STAGE_OUTPUT, PL_STAGES };

struct pl_net {
    const struct pl_model *model;
    struct pl_net_options options; /* dropouts resolved */
    struct pl_layout layout;
    struct pl_adapter adapter;
    struct pl_head head;
    struct pl_positions positions;
    size_t lowest; /* input number of the lowest adapted map */
    size_t max_rank;
    size_t *stats_offsets;            /* [n_inputs + 1] */
    bool *stats_wanted;               /* [n_inputs]: an adapted map is fed by it */
    struct pl_table_sums *table_sums; /* [layers] */
    size_t sum_size;
};

/* Where the gradients of a layer's projected table stand in a sum block; 0: none are needed. */
struct pl_table_sums {
    size_t key, query; /* [positions.n[max_length], hidden] each */
};

/* A layer's projected relative positions: rows first .. first + n - 1 of the table. */
struct pl_table {
    size_t first, n;
    pl_real *key, *query;       /* [n, hidden]; NULL: not used by this model */
    pl_real *xa_key, *xa_query; /* [n, rank] of the key and query maps */
};

struct pl_tables {
    struct pl_arena arena;
    struct pl_table *layers;
};

/* What a layer's backward pass needs of its forward pass, and what the forward pass computes in. */
struct pl_saved {
    pl_real *query, *key, *value, *context; /* [n, hidden] */
    pl_real *probabilities;                 /* heads x [length, length], sequence by sequence */
    pl_real *wide;                          /* [n, intermediate]: before the activation */
    pl_real *xhat[2], *rstd[2];             /* of both norms; NULL: no backward pass */
    pl_real *xa[PL_LAYER_MAPS];             /* [n, rank] */
};

/* A map's update computes in these. */
struct pl_map_scratch {
    pl_real *dropped; /* [n, in]: an input after LoRA's dropout, or its gradient before */
    pl_real *db;      /* [rank, out] */
    uint16_t *half;   /* [n, widest]: a left factor in bfloat16 */
};

/* Attention of one head of one sequence computes in these. */
struct pl_attention_scratch {
    pl_real *square, *dropped; /* [length, length] */
    pl_real *terms;            /* [PL_STRIP, table rows] of the position terms */
};
/* The same in bfloat16; rows have one more, of zeros. */
struct pl_attention_half {
    uint16_t *query, *key, *value, *dcontext; /* [n + 1, hidden] */
    uint16_t *table_key, *table_query;        /* [table rows + 1, hidden] */
    uint16_t *matrix; /* [length, length] or [PL_STRIP, table rows], made even */
};
#define PL_STRIP ((size_t)32) /* tokens whose position terms are computed together */

struct pl_workspace {
    struct pl_arena arena;
    struct pl_meter meter;
    size_t common;           /* bytes of the arena before what a share fills */
    bool train;              /* room for a backward pass */
    struct pl_saved *layers; /* [layers]; those that are not kept share one */
    pl_real **hidden;        /* [layers + 1] */
    size_t *starts, *first;  /* [max_sequences + 1] runs of the share's tokens */
    size_t *counting;        /* [max_sequences + 1]: 0, 1, 2, ... */

    pl_real *gradient;                          /* [n, hidden] of the hidden state */
    pl_real *narrow;                            /* [n, hidden] */
    pl_real *middle;                            /* [n, hidden]: after attention and its norm */
    pl_real *dcontext, *dquery, *dkey, *dvalue; /* [n, hidden] */
    pl_real *active;                            /* [n, intermediate] after the activation */
    pl_real *dactive; /* the same, in the place of the four above: attention comes later */
    pl_real *dxa;     /* [n, rank] */
    struct pl_map_scratch map;
    pl_real *embedded; /* [n, embedding], then for the convolution [n, hidden] */
    pl_real *conv_xhat, *conv_rstd;
    pl_real *table;    /* [table rows, hidden] after dropout */
    pl_real *table_xa; /* [table rows, rank] */
    struct pl_attention_scratch attention;
    struct pl_attention_half half;
    struct pl_head_scratch head;
};

/* Lays the workspace out for a share, for a backward pass too if `train`; what it held is lost. */
void pl_workspace_fit(struct pl_workspace *ws, const struct pl_net *net,
                      const struct pl_extent *share, bool train);

/* One share on its way through the net. */
struct pl_flow {
    const struct pl_net *net;
    const struct pl_pass *pass;
    const struct pl_share *share;
    struct pl_workspace *ws;
    struct pl_rows rows;    /* the tokens; each run is a sequence, numbered as in the batch */
    pl_real *grads, *stats; /* NULL: no backward pass */
    bool firsts; /* the gradient coming in has one row per sequence, of its first token */
    bool again;  /* forward once more, for what the backward pass needs and was not kept */
};

/* Is the gradient with respect to that input needed? Is any map at or below it adapted? */
static inline bool pl_needs_input(const struct pl_net *net, size_t layer, size_t stage)
{
    return PL_STAGES * layer + stage > net->lowest;
}

static inline bool pl_needs_maps(const struct pl_net *net, size_t layer, size_t stage)
{
    return PL_STAGES * layer + stage >= net->lowest;
}

/* The dropout of a site in this pass; none when not training. */
struct pl_dropout pl_pass_dropout(const struct pl_pass *pass, double p, enum pl_site site,
                                  size_t index);

/* Adds the column squares of a map input [n, width] to the statistics if they are wanted. */
void pl_flow_observe(const struct pl_flow *flow, size_t layer, size_t stage, const pl_real *x,
                     size_t width);

/* Rows of x [n, width] that begin a run, moved together to its beginning; and back, zeros between.
 */
void pl_gather_rows(pl_real *x, const struct pl_rows *rows, size_t width);
void pl_spread_rows(pl_real *x, const struct pl_rows *rows, size_t width);

const struct pl_activation_map *pl_activation_find(enum pl_activation activation);

#endif
