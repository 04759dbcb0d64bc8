/* links/contrast.c - contrastive loss of the weights of links, and its gradient.
 *
 * Forward: phi of all pairs; a_g = sum_p phi_gp w_p, a row over the cells of the peaks' side; L =
 * mu u'a.  Backward goes the same way: dS to da = mu u dS, to dphi_gp = da_g . w_p.  Features are
 * rows, so that the sparse part runs along cells, and every gene is one thread's.
 */
#include "links/contrast.h"

#include <math.h>
#include <string.h>

#include "base/clones.h"
#include "base/mem.h"
#include "base/pool.h"

#define SHARDS  8
#define OUTSIDE ((cm_real)-1e30) /* similarity of cells of other groups: its exp is 0 */

struct cells_job {
    const struct cm_links_cells *s;
    const struct cm_links_facts *p;
    const cm_real *phi;
    cm_real *a; /* genes x n: a, or da */
    cm_real *dphi;
    size_t shards;
};

CM_CLONES static void gather_one(cm_real *restrict a, cm_real phi, const cm_real *restrict w,
                                 size_t n)
{
    enum { STEP = 16 };
    size_t i = 0;
    for (; i + STEP <= n; i += STEP)
        for (size_t k = 0; k < STEP; k++)
            a[i + k] += phi * w[i + k];
    for (; i < n; i++)
        a[i] += phi * w[i];
}

static int gather_shard(void *arg, size_t shard)
{
    const struct cells_job *j = arg;
    size_t n = j->s->n;
    for (size_t g = cm_shard_begin(j->s->genes, j->shards, shard);
         g < cm_shard_begin(j->s->genes, j->shards, shard + 1); g++) {
        cm_real *a = j->a + g * n;
        memset(a, 0, n * sizeof *a);
        for (uint64_t e = j->p->ptr[g]; e < j->p->ptr[g + 1]; e++)
            gather_one(a, j->phi[e], j->s->w + j->p->peak[e] * n, n);
    }
    return 0;
}

/* In eight strands, which the compiler may put into one register. */
CM_CLONES static cm_real dot(const cm_real *x, const cm_real *y, size_t n)
{
    cm_real strand[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            strand[k] += x[i + k] * y[i + k];
    for (; i < n; i++)
        sum += x[i] * y[i];
    for (size_t k = 0; k < 8; k++)
        sum += strand[k];
    return sum;
}

static int scatter_shard(void *arg, size_t shard)
{
    const struct cells_job *j = arg;
    size_t n = j->s->n;
    for (size_t g = cm_shard_begin(j->s->genes, j->shards, shard);
         g < cm_shard_begin(j->s->genes, j->shards, shard + 1); g++)
        for (uint64_t e = j->p->ptr[g]; e < j->p->ptr[g + 1]; e++)
            j->dphi[e] = dot(j->a + g * n, j->s->w + j->p->peak[e] * n, n);
    return 0;
}

/* c (m x n) = alpha op(a) b + beta c, b k x n; row panels of c, as many as m alone decides. */
struct product {
    bool transposed; /* a is k x m */
    size_t m, n, k;
    double alpha;
    const cm_real *a, *b;
    cm_real beta, *c;
    size_t shards;
};

static int product_shard(void *arg, size_t shard)
{
    const struct product *p = arg;
    size_t from = cm_shard_begin(p->m, p->shards, shard),
           rows = cm_shard_begin(p->m, p->shards, shard + 1) - from;
    cm_gemm_real(p->transposed, false, rows, p->n, p->k, (cm_real)p->alpha,
                 p->transposed ? p->a + from : p->a + from * p->k, p->transposed ? p->m : p->k,
                 p->b, p->n, p->beta, p->c + from * p->n, p->n);
    return 0;
}

double cm_links_loss(cm_real *dphi, cm_real *dlog_t, const struct cm_links_cells *s,
                     const struct cm_links_facts *p, const cm_real *phi, double log_t)
{
    size_t n = s->n, G = s->genes;
    cm_real *S = CM_NEW(cm_real, n * n), *dS = CM_ZNEW(cm_real, n * n), *a = CM_NEW(cm_real, G * n),
            *scratch = CM_NEW(cm_real, cm_infonce_scratch(n));
    struct cells_job j = {s, p, phi, a, dphi, cm_shards(G, 16, SHARDS)};
    cm_parallel(j.shards, gather_shard, &j);
    memcpy(S, s->s0, n * n * sizeof *S);
    struct product up = {true, n, n, G, s->mu, s->u, a, 1, S, cm_shards(n, 16, SHARDS)};
    cm_parallel(up.shards, product_shard, &up);
    for (size_t i = 0; s->group && i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (s->group[i] != s->group[k])
                S[i * n + k] = OUTSIDE;
    *dlog_t = 0;
    double loss = cm_infonce(dS, dlog_t, S, log_t, n, scratch);
    if (dphi) {
        struct product down = {false, G, n, n, s->mu, s->u, dS, 0, a, j.shards};
        cm_parallel(down.shards, product_shard, &down);
        cm_parallel(j.shards, scatter_shard, &j);
    }
    cm_free(S);
    cm_free(dS);
    cm_free(a);
    cm_free(scratch);
    return loss;
}
