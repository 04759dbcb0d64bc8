/* links/scale.c - the factor mu of the links, from their spread over pairs of cells. */
#include "links/fit.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "links/apply.h"
#include "matrix/blas.h"

#define TILE 64 /* rows of L at one time */

struct spread {
    const float *a, *b;
    size_t n, m, shards;
    double *part; /* shards x 2: sum and sum of squares of L */
};

static int spread_shard(void *arg, size_t shard)
{
    struct spread *s = arg;
    size_t from = cm_shard_begin(s->n, s->shards, shard),
           to = cm_shard_begin(s->n, s->shards, shard + 1);
    float *l = CM_NEW(float, (size_t)TILE * s->n);
    for (; from < to; from += TILE) {
        size_t rows = to - from < TILE ? to - from : TILE;
        cm_sgemm(false, true, rows, s->n, s->m, 1, s->a + from * s->m, s->m, s->b, s->m, 0, l,
                 s->n);
        for (size_t i = 0; i < rows * s->n; i++) {
            s->part[2 * shard] += (double)l[i];
            s->part[2 * shard + 1] += (double)l[i] * (double)l[i];
        }
    }
    cm_free(l);
    return 0;
}

static void take_rows(const float *z, size_t ldz, size_t r, const uint64_t *at, size_t n,
                      float *out)
{
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * r, z + at[i] * ldz, r * sizeof *out);
}

/* Standard deviation of L (mu = 1) over all pairs of training cells, or of a sample of cells. */
static double spread(const struct cm_links *links, const struct cm_links_data *d)
{
    size_t all = d->x[0]->rows, n = all < CM_LINKS_SAMPLE ? all : CM_LINKS_SAMPLE, r = links->r;
    uint64_t *at = CM_NEW(uint64_t, all);
    for (size_t i = 0; i < all; i++)
        at[i] = i;
    if (n < all) {
        struct cm_rng rng = cm_rng_make(d->seed, CM_RNG_SAMPLE, 0, 0);
        cm_rng_shuffle(&rng, at, all);
    }
    struct spread s = {.n = n, .m = links->gene.n, .shards = cm_shards(n, TILE, 64)};
    float *a = CM_NEW(float, n *s.m), *b = CM_NEW(float, n *s.m), *z = CM_NEW(float, n *r);
    struct cm_csr x = cm_csr_rows(d->x[0], at, n);
    take_rows(d->z[0], d->ldz, r, at, n, z);
    cm_links_gene_columns(links, &x, z, r, a, s.m);
    cm_csr_free(&x);
    x = cm_csr_rows(d->x[1], at, n);
    take_rows(d->z[1], d->ldz, r, at, n, z);
    cm_links_peak_columns(links, &x, z, r, b, s.m);
    cm_csr_free(&x);
    s.a = a;
    s.b = b;
    s.part = CM_ZNEW(double, 2 * s.shards);
    cm_parallel(s.shards, spread_shard, &s);
    double sum = 0, square = 0, count = (double)n * (double)n;
    for (size_t k = 0; k < s.shards; k++) {
        sum += s.part[2 * k];
        square += s.part[2 * k + 1];
    }
    cm_free(s.part);
    cm_free(a);
    cm_free(b);
    cm_free(z);
    cm_free(at);
    double var = square / count - sum / count * (sum / count);
    return var > 0 ? sqrt(var) : 0;
}

int cm_links_scale(struct cm_links *links, double sd, const struct cm_links_data *d)
{
    links->mu = 1;
    cm_links_finish(links);
    double now = spread(links, d);
    if (!isfinite(now))
        return cm_fail(CM_ENUMERIC, "the peak-gene links are not finite");
    links->mu = sd / (now > 1e-12 ? now : 1e-12);
    cm_links_finish(links);
    return 0;
}
