/* train/memory.c - upper bounds of the memory that training takes. */
#include "train/loop.h"

#include "base/pool.h"
#include "links/apply.h"
#include "links/learn.h"
#include "network/mining.h"
#include "network/scorer.h"
#include "train/crossfit.h"
#include "train/train.h"

#define SHARDS      16
#define SHARD_BYTES ((uint64_t)256 << 20) /* gradient arenas of all shards */
#define PROGRAM     ((uint64_t)32 << 20)  /* code, libraries, their buffers */

size_t cm_token_size(const struct cm_net *net, size_t side)
{
    return net->cross.L[side] * net->cross.P;
}

size_t cm_fit_largest(const struct cm_net *net,
                      size_t (*of)(const struct cm_net *, size_t side, size_t B))
{
    return cm_size_max(of(net, 0, net->encoder[0].group), of(net, 1, net->encoder[1].group));
}

size_t cm_fit_shards(size_t size)
{
    uint64_t max = SHARD_BYTES / (size * sizeof(cm_real) + 1);
    return max < 2 ? 2 : max > SHARDS ? SHARDS : (size_t)max;
}

/* The module: tokens, their gradients, and the larger of a loss and a validation. */
static uint64_t cross_bytes(const struct cm_net *net, uint64_t B, uint64_t v)
{
    if (!net->has_cross)
        return 0;
    uint64_t loss = 4 * B * B + cm_cross_loss_bytes(&net->cross, B, cm_pool_threads()),
             valid = v ? cm_scorer_all_bytes(net, v, (size_t)net->cross.o.top) : 0;
    return 8 * B * (cm_token_size(net, 0) + cm_token_size(net, 1)) + (loss > valid ? loss : valid);
}

uint64_t cm_fit_bytes(const struct cm_model *m, const struct cm_fit_data *d)
{
    const struct cm_net *net = &m->net;
    uint64_t B = cm_picks_largest(d->picks), n = d->x[0]->rows, v = d->valid[0]->rows,
             size = net->table.size;
    uint64_t shards = cm_fit_shards(size), kept = 0;
    for (size_t side = 0; side < 2; side++) {
        uint64_t group = net->encoder[side].group;
        kept += 4 * ((B + group - 1) / group) * cm_net_cache(net, side, group);
    }
    if (kept > d->keep)
        kept = 4 * shards * cm_fit_largest(net, cm_net_cache);
    uint64_t term = 0;
    if (m->has_links) {
        uint64_t entries = d->x[0]->ptr[n] + d->x[1]->ptr[n];
        term = cm_links_similarities_bytes(n, entries, m->links.gene.n, m->links.peak.n) +
               4 * B * B + 4 * v * v + 4 * cm_term_numbers(d) + 12 * n;
    }
    uint64_t model = 8 * n * net->k; /* components, tables of the linear part */
    for (size_t side = 0; side < 2; side++)
        model += 4 * m->linear.side[side].d * (net->k + 2);
    return PROGRAM + model + 4 * size * (6 + shards) + kept +
           4 * shards * cm_fit_largest(net, cm_net_scratch) + term +
           4 * (2 * B * B + cm_infonce_scratch(B)) +
           2 * B * (20 * net->q + sizeof(struct cm_cell)) + 8 * v * (net->k + net->q) + 12 * v * v +
           cross_bytes(net, B, v);
}

uint64_t cm_train_bytes(const struct cm_train_data *d, const struct cm_train_options *o)
{
    const struct cm_config *c = o->config;
    const struct cm_csr *x = d->part[0].x;
    uint64_t n = x[0].rows, k = (uint64_t)c->linear.k,
             max = x[0].cols > x[1].cols ? x[0].cols : x[1].cols,
             v = cm_size_min(d->part[1].names.n, CM_VALID_CELLS);
    if (!c->linear.on)
        return PROGRAM + 16 * v * v;
    uint64_t components = 4 * k * (2 * n + x[0].cols + x[1].cols);
    uint64_t basis = 4 * k + 512; /* matrix/svd.h */
    uint64_t sketch = 8 * (basis * (n < max ? n : max) + (32 + k) * (n + max) + 2 * basis * basis);
    uint64_t entries = x[0].ptr[n] + x[1].ptr[n], sample = cm_size_min(n, CM_LINKS_SAMPLE),
             correlations = !c->links.on
                                ? 0
                                : 4 * sample * sample +
                                      cm_links_similarities_bytes(n, entries, x[0].cols, x[1].cols),
             links =
                 c->links.on && c->links.learned
                     ? cm_links_learn_bytes(&c->links.learn, n, entries, x[0].cols, x[1].cols, k)
                     : 0;
    /* One after the other: LSI, links, their weights, the rule with its folds. */
    uint64_t fit = sketch > correlations ? sketch : correlations,
             folds = cm_train_crossfits(o) && v < CM_CALIBRATION_ENOUGH
                         ? components + cm_crossfit_bytes(d) +
                               (n < CM_LINEAR_REFIT_CELLS ? fit : correlations)
                         : 0,
             rule = 16 * v * v + folds;
    if (links && n < CM_LINEAR_REFIT_CELLS) /* folds with an LSI of their own */
        links += sketch;
    fit = links > fit ? links : fit;
    return PROGRAM + components + (rule > fit ? rule : fit);
}
