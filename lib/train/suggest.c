/*
 * suggest.c - ranks for the next run from a finished one's spectra, by the rule that
 * prilora_spectra_suggest states, and the sentences that say why.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapter/ranks.h"
#include "base/memory.h"
#include "train/spectra.h"

#define LOG_STEPS     1000.0 /* to a power of two: worths within one step are equal */
#define NO_WORTH      LLONG_MIN
#define ONE_RANK_FALL 0.5   /* of one direction alone nothing tells how the next would be */
#define TINY          1e-12 /* of all energy: rounding, not a direction */

/* What is known and chosen of one layer. */
struct layer {
    const struct prilora_map_spectrum *maps; /* [n] */
    size_t n, cost;                          /* parameters of one more rank of all of them */
    size_t rank;                             /* chosen so far */
    long long next;                          /* worth of the next rank, in steps */
    double energy, lower;                    /* measured; of it, the lower halves' */
};

struct choosing {
    struct layer layers[PRILORA_MAX_LAYERS];
    struct prilora_suggestion *out;
    bool uses_inputs;
    double energy, held; /* measured, of all layers: in all, and in the ranks chosen so far */
    size_t spent;
};

/* ---- evidence ---- */

static const struct prilora_spectrum *spectrum_of(const struct choosing *c,
                                                  const struct prilora_map_spectrum *map)
{
    return c->uses_inputs ? &map->output : &map->update;
}

/* |W|^2 in the spectrum's measure; where that is zero or unknown, energies are taken as they are.
 */
static double weight_energy(const struct prilora_spectrum *s)
{
    double norm = s->relative > 0 ? s->norm / s->relative : 1;

    return norm * norm;
}

/* Energy of a direction (0 the first), beyond the trained ones as the lower half fell. */
static double direction(const struct choosing *c, const struct prilora_map_spectrum *map, size_t k)
{
    const struct prilora_spectrum *s = spectrum_of(c, map);
    const double *v = s->values;
    size_t r = map->rank, half = (r + 1) / 2;
    double last = v[r - 1] * v[r - 1], fall = ONE_RANK_FALL;

    if (k < r)
        return v[k] * v[k] / weight_energy(s);
    if (!(last > TINY * s->norm * s->norm))
        return 0;
    if (r > 1)
        fall = pow(last / (v[half - 1] * v[half - 1]), 1 / (double)(r - half));
    return last * pow(fall, (double)(k + 1 - r)) / weight_energy(s);
}

/* Of direction k of all maps of the layer, in logarithmic steps: a thousandth decides nothing. */
static long long worth(const struct choosing *c, const struct layer *layer, size_t k)
{
    double sum = 0;

    for (size_t i = 0; i < layer->n; i++)
        sum += direction(c, &layer->maps[i], k);
    if (!(sum > TINY * c->energy))
        return NO_WORTH;
    return llround(LOG_STEPS * log2(sum / (double)layer->cost));
}

/* Measured energy in the directions from..to-1. */
static double held(const struct choosing *c, const struct layer *layer, size_t from, size_t to)
{
    double sum = 0;

    for (size_t i = 0; i < layer->n; i++) {
        for (size_t k = from; k < to && k < layer->maps[i].rank; k++)
            sum += direction(c, &layer->maps[i], k);
    }
    return sum;
}

static void gather(struct choosing *c, const struct prilora_spectra *spectra)
{
    c->uses_inputs = true;
    for (size_t i = 0; i < spectra->n_maps; i++)
        c->uses_inputs = c->uses_inputs && spectra->maps[i].has_inputs;
    for (size_t i = 0; i < spectra->n_maps; i++) {
        const struct prilora_map_spectrum *map = &spectra->maps[i];
        struct layer *layer = &c->layers[map->layer];
        struct prilora_layer_advice *advice = &c->out->layers[map->layer];

        if (!layer->n)
            layer->maps = map;
        layer->n++;
        layer->cost += map->in_features + map->out_features;
        c->out->n_before += map->rank * (map->in_features + map->out_features);
        advice->before = map->rank > advice->before ? map->rank : advice->before;
    }
    for (size_t l = 0; l < spectra->n_layers; l++) {
        struct layer *layer = &c->layers[l];

        layer->energy = held(c, layer, 0, PL_MAX_RANK);
        for (size_t i = 0; i < layer->n; i++) {
            const struct prilora_spectrum *s = spectrum_of(c, &layer->maps[i]);

            layer->lower += s->lower_share * s->norm * s->norm / weight_energy(s);
        }
        c->energy += layer->energy;
    }
}

/* ---- choosing ---- */

/* No layer's product has more directions than its narrowest side. */
static size_t most_useful(const struct layer *layer)
{
    size_t most = 1;

    for (size_t i = 0; i < layer->n; i++) {
        size_t in = layer->maps[i].in_features, out = layer->maps[i].out_features;
        size_t side = in < out ? in : out;

        most = side > most ? side : most;
    }
    return most < PL_MAX_RANK ? most : PL_MAX_RANK;
}

static void set_bounds(struct choosing *c)
{
    double f = (double)c->out->budget / (double)c->out->n_before;
    double least_cost = 0;

    for (size_t l = 0; l < c->out->n_layers; l++) {
        struct prilora_layer_advice *advice = &c->out->layers[l];
        size_t useful = most_useful(&c->layers[l]);
        double low = floor(f * (double)advice->before / 2),
               high = ceil(2 * f * (double)advice->before);

        advice->most = high < (double)useful ? (size_t)high : useful;
        advice->most = advice->most ? advice->most : 1;
        advice->least = low < (double)advice->most ? (size_t)low : advice->most;
        advice->least = advice->least ? advice->least : 1;
        least_cost += (double)advice->least * (double)c->layers[l].cost;
    }
    for (size_t l = 0; l < c->out->n_layers && least_cost > (double)c->out->budget; l++)
        c->out->layers[l].least = 1;
}

static void set_rank(struct choosing *c, size_t l, size_t rank)
{
    struct layer *layer = &c->layers[l];

    c->spent += (rank - layer->rank) * layer->cost;
    c->held += held(c, layer, layer->rank, rank);
    layer->rank = rank;
    layer->next = rank < c->out->layers[l].most ? worth(c, layer, rank) : NO_WORTH;
}

/* Whether layer a's next rank comes before layer b's. */
static bool comes_first(const struct choosing *c, size_t a, size_t b)
{
    const struct layer *x = &c->layers[a], *y = &c->layers[b];

    if (x->next != y->next)
        return x->next > y->next;
    return x->rank != y->rank ? x->rank < y->rank : a > b;
}

static void choose(struct choosing *c, double energy)
{
    size_t n = c->out->n_layers;

    for (;;) {
        size_t best = 0;

        if (energy > 0 && c->held >= energy * c->energy * (1 - TINY))
            return;
        for (size_t l = 1; l < n; l++)
            best = comes_first(c, l, best) ? l : best;
        if (c->layers[best].next == NO_WORTH || c->layers[best].cost > c->out->budget - c->spent)
            return;
        set_rank(c, best, c->layers[best].rank + 1);
    }
}

/* ---- saying why ---- */

/* "5 -> 8: ..." */
static void explain(const struct layer *layer, struct prilora_layer_advice *a)
{
    double lower = 100 * a->lower_share, lost = 100 * (1 - a->held);
    size_t room = sizeof a->reason;

    if (!layer->n)
        snprintf(a->reason, room, "no map of this layer is adapted, so its rank means nothing");
    else if (!(a->energy > 0))
        snprintf(a->reason, room, "%zu -> %zu: its update is zero", a->before, a->rank);
    else if (a->rank > a->before)
        snprintf(
            a->reason, room,
            "%zu -> %zu: the lower half of its directions still carries %.1f %% of its update, "
            "so that another one is worth more here than elsewhere%s",
            a->before, a->rank, lower,
            a->rank == a->most ? "; not raised further than the bound" : "");
    else if (a->rank < a->before)
        snprintf(
            a->reason, room,
            "%zu -> %zu: the lower half of its directions carries %.1f %% of its update; those "
            "given up carry %.1f %%, less for their parameters than what is kept elsewhere%s",
            a->before, a->rank, lower, lost,
            a->rank == a->least ? "; not lowered further than the bound" : "");
    else
        snprintf(a->reason, room,
                 "stays %zu: the lower half of its directions carries %.1f %% of its update, and "
                 "another direction more or less is worth as much elsewhere",
                 a->rank, lower);
}

static void explain_whole(const struct choosing *c)
{
    struct prilora_suggestion *s = c->out;

    snprintf(s->reason, sizeof s->reason,
             "The ranks whose directions carried most of the finished run's update for each "
             "parameter%s: they keep %.1f %% of it with %zu adapter parameters (the run had %zu, "
             "the budget is %zu). Beyond the ranks that were trained, the worth of a direction is "
             "guessed from how the last half of them falls off. This is a heuristic from one run, "
             "one seed and one set of data: let validation data decide whether it helps.",
             s->uses_inputs ? ", weighted by what the maps' inputs were" : "", 100 * s->held,
             s->n_after, s->n_before, s->budget);
}

static void report(struct choosing *c)
{
    struct prilora_suggestion *s = c->out;

    s->n_after = c->spent;
    s->uses_inputs = c->uses_inputs;
    s->held = c->held < c->energy ? c->held / c->energy : 1;
    for (size_t l = 0; l < s->n_layers; l++) {
        const struct layer *layer = &c->layers[l];
        struct prilora_layer_advice *a = &s->layers[l];

        a->rank = layer->rank;
        a->energy = layer->energy / c->energy;
        a->lower_share = layer->energy > 0 ? layer->lower / layer->energy : 0;
        a->held = layer->energy > 0 ? held(c, layer, 0, a->rank) / layer->energy : 1;
        a->held = a->held < 1 ? a->held : 1;
        explain(layer, a);
    }
    explain_whole(c);
}

/* ---- the whole ---- */

static enum prilora_status check(const struct choosing *c,
                                 const struct prilora_suggest_options *options,
                                 struct prilora_error *err)
{
    size_t least = 0;

    if (!(options->energy >= 0 && options->energy <= 1))
        return pl_fail_at(err, PRILORA_EINVAL, "energy", "energy: %g, but must be from 0 to 1",
                          options->energy);
    for (size_t l = 0; l < c->out->n_layers; l++)
        least += c->layers[l].cost;
    if (c->out->budget < least)
        return pl_fail_at(err, PRILORA_EINVAL, "budget",
                          "budget: %zu parameters, but rank 1 in every layer takes %zu",
                          c->out->budget, least);
    if (!(c->energy > 0))
        return pl_fail(err, PRILORA_EMISMATCH,
                       "the adapter's update is zero, so it tells nothing about ranks");
    return PRILORA_OK;
}

enum prilora_status prilora_spectra_suggest(struct prilora_suggestion *out,
                                            const struct prilora_spectra *spectra,
                                            const struct prilora_suggest_options *options,
                                            struct prilora_error *err)
{
    struct choosing *c = pl_calloc(1, sizeof *c);
    enum prilora_status rc;

    *out = (struct prilora_suggestion){.n_layers = spectra->n_layers};
    if (!c)
        return pl_fail(err, PRILORA_ENOMEM, "no memory to choose ranks");
    c->out = out;
    gather(c, spectra);
    out->budget = options->budget ? options->budget : out->n_before;
    rc = check(c, options, err);
    if (rc == PRILORA_OK) {
        set_bounds(c);
        for (size_t l = 0; l < out->n_layers; l++)
            set_rank(c, l, out->layers[l].least);
        choose(c, options->energy);
        report(c);
    }
    free(c);
    return rc;
}
