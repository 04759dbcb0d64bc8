/* links/scale.c - the factor mu of the links, from their spread over pairs of cells. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "links/apply.h"
#include "links/fit.h"

struct moments {
    const float *l;
    size_t n, shards;
    double *part; /* shards x 2: sum and sum of squares */
};

static int moments_shard(void *arg, size_t shard)
{
    const struct moments *m = arg;
    double sum = 0, square = 0;
    for (size_t i = cm_shard_begin(m->n, m->shards, shard);
         i < cm_shard_begin(m->n, m->shards, shard + 1); i++) {
        sum += (double)m->l[i];
        square += (double)m->l[i] * (double)m->l[i];
    }
    m->part[2 * shard] = sum;
    m->part[2 * shard + 1] = square;
    return 0;
}

static double deviation(const float *l, size_t n)
{
    struct moments m = {l, n, cm_shards(n, 65536, 64), NULL};
    double sum = 0, square = 0, count = (double)n;
    m.part = CM_NEW(2 * m.shards, double);
    cm_parallel(m.shards, moments_shard, &m);
    for (size_t k = 0; k < m.shards; k++) {
        sum += m.part[2 * k];
        square += m.part[2 * k + 1];
    }
    cm_free(m.part);
    double var = square / count - sum / count * (sum / count);
    return var > 0 ? sqrt(var) : isfinite(var) ? 0 : var;
}

double cm_links_mu(const struct cm_links *links, const float *c, double sd,
                   const struct cm_links_cells cells[2], const uint64_t *at, size_t all,
                   uint64_t seed)
{
    size_t n = all < CM_LINKS_SAMPLE ? all : CM_LINKS_SAMPLE;
    uint64_t *chosen = CM_NEW(all, uint64_t);
    for (size_t i = 0; i < all; i++)
        chosen[i] = at ? at[i] : i;
    if (n < all) {
        struct cm_rng rng = cm_rng_make(seed, CM_RNG_SAMPLE, 0, 0);
        cm_rng_shuffle(&rng, chosen, all);
    }
    struct cm_links unscaled = *links;
    unscaled.mu = 1;
    float *l = CM_ZNEW(n * n, float);
    const uint64_t *const both[2] = {chosen, chosen};
    const size_t size[2] = {n, n};
    cm_links_similarities(&unscaled, c, cells, both, size, l);
    double now = deviation(l, n * n);
    cm_free(l);
    cm_free(chosen);
    return !isfinite(now) ? (double)NAN : sd / (now > 1e-12 ? now : 1e-12);
}

int cm_links_scale(struct cm_links *links, double sd, const struct cm_links_data *d)
{
    const struct cm_links_cells cells[2] = {{d->x[0], d->z[0], d->ldz}, {d->x[1], d->z[1], d->ldz}};
    links->mu = 1;
    cm_links_finish(links);
    links->mu = cm_links_mu(links, links->c, sd, cells, NULL, d->x[0]->rows, d->seed);
    if (!isfinite(links->mu))
        return cm_fail(CM_ENUMERIC, "the peak-gene links are not finite");
    cm_links_finish(links);
    return 0;
}
