/* network/map.c - mean attention.
 *
 * Cell by cell through the plain unit, whose cache keeps the probabilities; they are added up in
 * double, one sum a shard.
 */
#include "network/map.h"

#include <string.h>

#include "base/mem.h"
#include "base/pool.h"

#define MAP_SHARDS 8

size_t cm_map_size(const struct cm_net *net, enum cm_map_module module)
{
    size_t L0 = net->encoder[0].L, L1 = net->encoder[1].L;
    return module == CM_MAP_CROSS ? L0 + L1 : module == CM_MAP_SELF_0 ? L0 : L1;
}

struct map {
    const struct cm_net *net;
    enum cm_map_module module;
    const struct cm_map_cells *cells;
    size_t L, shards;
    double *sum; /* shards x groups x L x L */
};

/* Numbers that one cell's probabilities take on their way. */
static size_t map_scratch(const struct cm_net *net, enum cm_map_module module)
{
    if (module == CM_MAP_CROSS)
        return cm_net_tokens_scratch(net, 0) + cm_net_tokens_scratch(net, 1) +
               cm_cross_cache(&net->cross) + cm_cross_scratch(&net->cross);
    const struct cm_encoder *e = &net->encoder[module == CM_MAP_SELF_1];
    return e->of->cache(e, 1) + e->of->scratch(e, 1) + e->q;
}

static const cm_real *probabilities(const struct map *m, size_t cell, cm_real *scratch, size_t *H)
{
    const struct cm_net *net = m->net;
    struct cm_cell c[2];
    for (size_t s = 0; s < 2; s++)
        if (m->module == CM_MAP_CROSS || s == (m->module == CM_MAP_SELF_1))
            c[s] = cm_cell_at(m->cells->x[s], m->cells->at[s][cell]);
    if (m->module == CM_MAP_CROSS) {
        cm_real *second = scratch + cm_net_tokens_scratch(net, 0),
                *cache = second + cm_net_tokens_scratch(net, 1);
        const cm_real *const x[2] = {cm_net_tokens(net, 0, net->w, c[0], scratch),
                                     cm_net_tokens(net, 1, net->w, c[1], second)};
        cm_cross_forward(&net->cross, cache, x, net->w + net->cross.begin, NULL,
                         cache + cm_cross_cache(&net->cross));
        *H = net->cross.unit.mha.H;
        return cm_cross_prob(&net->cross, cache);
    }
    size_t side = m->module == CM_MAP_SELF_1;
    const struct cm_encoder *e = &net->encoder[side];
    struct cm_pass p = {.cell = &c[side], .B = 1, .params = net->w, .cache = scratch + e->q};
    p.scratch = p.cache + e->of->cache(e, 1);
    e->of->forward(e, scratch, &p);
    *H = e->H;
    return p.cache + e->of->prob_at(e, 1, 0);
}

static int map_shard(void *arg, size_t shard)
{
    const struct map *m = arg;
    const struct cm_map_cells *cells = m->cells;
    size_t n = m->L * m->L;
    cm_real *scratch = CM_NEW(map_scratch(m->net, m->module), cm_real);
    for (size_t c = cm_shard_begin(cells->n, m->shards, shard),
                to = cm_shard_begin(cells->n, m->shards, shard + 1);
         c < to; c++) {
        size_t g = cells->group ? cells->group[c] : 0, H;
        if (g >= cells->groups)
            continue;
        const cm_real *p = probabilities(m, c, scratch, &H);
        double *sum = m->sum + (shard * cells->groups + g) * n;
        for (size_t h = 0; h < H; h++)
            for (size_t i = 0; i < n; i++)
                sum[i] += (double)p[h * n + i] / (double)H;
    }
    cm_free(scratch);
    return 0;
}

void cm_attention_map(const struct cm_net *net, enum cm_map_module module,
                      const struct cm_map_cells *cells, double *out, uint64_t *count)
{
    size_t L = cm_map_size(net, module), n = L * L, groups = cells->groups;
    struct map m = {.net = net, .module = module, .cells = cells, .L = L, .shards = MAP_SHARDS};
    m.sum = CM_ZNEW((size_t)MAP_SHARDS * groups * n, double);
    memset(count, 0, groups * sizeof *count);
    for (size_t c = 0; c < cells->n; c++) {
        size_t g = cells->group ? cells->group[c] : 0;
        if (g < groups)
            count[g]++;
    }
    cm_parallel(m.shards, map_shard, &m);
    memset(out, 0, groups * n * sizeof *out);
    for (size_t s = 0; s < m.shards; s++)
        for (size_t i = 0; i < groups * n; i++)
            out[i] += m.sum[s * groups * n + i];
    for (size_t g = 0; g < groups; g++)
        for (size_t i = 0; count[g] && i < n; i++)
            out[g * n + i] /= (double)count[g];
    cm_free(m.sum);
}
