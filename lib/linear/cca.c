/* linear/cca.c - CCA of two modalities in closed form, on their LSI.
 *
 * Covariances are sums over cells: fixed shards of cells, each summed in double, added in
 * shard order.  The k x k algebra is in double and serial.
 */
#include "linear/cca.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "matrix/blas.h"

/* ===== covariances ======================================================================== */

struct gram {
    const float *a, *b;
    size_t n, k, shards;
    double *part; /* shards x k x k */
};

static int gram_shard(void *arg, size_t shard)
{
    struct gram *g = arg;
    size_t k = g->k, from = cm_shard_begin(g->n, g->shards, shard),
           to = cm_shard_begin(g->n, g->shards, shard + 1);
    double *part = g->part + shard * k * k;
    double *row = CM_NEW(k, double);
    for (size_t i = from; i < to; i++) {
        for (size_t c = 0; c < k; c++)
            row[c] = (double)g->b[i * k + c];
        for (size_t r = 0; r < k; r++) {
            double v = (double)g->a[i * k + r], *p = part + r * k;
            for (size_t c = 0; c < k; c++)
                p[c] += v * row[c];
        }
    }
    cm_free(row);
    return 0;
}

/* c (k x k) = a' b / n */
static void gram(const float *a, const float *b, size_t n, size_t k, double *c)
{
    struct gram g = {a, b, n, k, cm_shards(n, 512, 64), NULL};
    g.part = CM_ZNEW(g.shards * k * k, double);
    cm_parallel(g.shards, gram_shard, &g);
    memset(c, 0, k * k * sizeof *c);
    for (size_t s = 0; s < g.shards; s++)
        for (size_t i = 0; i < k * k; i++)
            c[i] += g.part[s * k * k + i];
    for (size_t i = 0; i < k * k; i++)
        c[i] /= (double)n;
    cm_free(g.part);
}

/* w (k x k) = (c + ridge tr(c)/k I)^-1/2; c is destroyed. */
static int inverse_root(double *c, size_t k, double ridge, double *w)
{
    double trace = 0;
    for (size_t i = 0; i < k; i++)
        trace += c[i * k + i];
    if (!(trace > 0) || !isfinite(trace))
        return cm_fail(CM_ENUMERIC, "the training cells do not vary, so nothing can be fitted");
    for (size_t i = 0; i < k; i++)
        c[i * k + i] += ridge * trace / (double)k;
    double *lambda = CM_NEW(k, double), *scaled = CM_NEW(k * k, double);
    int code = cm_eigh(k, c, lambda);
    /* Without a ridge a rank-deficient covariance has no inverse root. */
    if (code == 0 && !(lambda[0] > 1e-13 * lambda[k - 1]))
        code = cm_fail(CM_ENUMERIC,
                       "the covariance of the components is singular; use fewer components or a "
                       "larger ridge");
    if (code == 0) {
        for (size_t r = 0; r < k; r++) /* rows of c are eigenvectors */
            for (size_t i = 0; i < k; i++)
                scaled[r * k + i] = c[r * k + i] / sqrt(lambda[r]);
        cm_dgemm(true, false, k, k, k, 1, c, k, scaled, k, 0, w, k);
    }
    cm_free(lambda);
    cm_free(scaled);
    return code;
}

static void to_floats(const double *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)in[i];
}

int cm_linear_cca(struct cm_linear *m, const float *const z[2], size_t n, double ridge)
{
    size_t k = m->k, q = m->q, kk = k * k;
    double *mem = CM_ZNEW(8 * kk + k, double);
    double *c = mem, *w1 = c + kk, *w2 = w1 + kk, *c12 = w2 + kk, *t = c12 + kk, *u = t + kk,
           *vt = u + kk, *p = vt + kk, *s = p + kk;
    gram(z[0], z[0], n, k, c);
    int code = inverse_root(c, k, ridge, w1);
    if (code == 0) {
        gram(z[1], z[1], n, k, c);
        code = inverse_root(c, k, ridge, w2);
    }
    if (code == 0) {
        gram(z[0], z[1], n, k, c12);
        cm_dgemm(false, false, k, k, k, 1, w1, k, c12, k, 0, t, k);
        cm_dgemm(false, false, k, k, k, 1, t, k, w2, k, 0, c, k);
        code = cm_svd(k, k, c, u, s, vt);
    }
    if (code == 0) {
        for (size_t r = 0; r < k; r++)
            for (size_t i = 0; i < q; i++)
                t[r * q + i] = u[r * k + i] * s[i];
        cm_dgemm(false, false, k, q, k, 1, w1, k, t, q, 0, p, q);
        to_floats(p, k * q, m->side[0].p);
        for (size_t r = 0; r < k; r++)
            for (size_t i = 0; i < q; i++)
                t[r * q + i] = vt[i * k + r] * s[i];
        cm_dgemm(false, false, k, q, k, 1, w2, k, t, q, 0, p, q);
        to_floats(p, k * q, m->side[1].p);
        memcpy(m->corr, s, q * sizeof *s);
    }
    cm_free(mem);
    return code;
}

/* ===== public ============================================================================= */

int cm_linear_fit(struct cm_linear *m, const struct cm_csr *const x[2],
                  const struct cm_linear_config *c, uint64_t seed, float *const z[2])
{
    size_t n = x[0]->rows, k = (size_t)c->k, q = (size_t)c->q;
    CM_ASSERT(n == x[1]->rows && k && q <= k && k <= n && k <= x[0]->cols && k <= x[1]->cols);
    memset(m, 0, sizeof *m);
    m->k = k;
    m->q = q;
    m->cells = n;
    m->corr = CM_NEW(q, double);
    for (size_t side = 0; side < 2; side++) {
        int code = cm_lsi_fit(&m->side[side], x[side], c, seed, side);
        if (code < 0)
            return code;
        m->side[side].p = CM_NEW(k * q, float);
        cm_linear_z(m, side, x[side], z[side]);
    }
    const float *const both[2] = {z[0], z[1]};
    return q ? cm_linear_cca(m, both, n, c->ridge) : 0;
}

void cm_linear_z(const struct cm_linear *m, size_t side, const struct cm_csr *x, float *z)
{
    cm_lsi_components(&m->side[side], m->k, x, z);
}

/* Plain loops, a row at a time: BLAS rounds differently for different numbers of rows, and a cell's
 * embedding must not depend on who stands beside it in a chunk. */
void cm_linear_e(const struct cm_linear *m, size_t side, const float *z, size_t n, float *out,
                 size_t ldo)
{
    size_t k = m->k, q = m->q;
    const float *p = m->side[side].p;
    double *e = CM_NEW(q, double);
    for (size_t i = 0; i < n; i++) {
        memset(e, 0, q * sizeof *e);
        for (size_t r = 0; r < k; r++) {
            double zr = (double)z[i * k + r];
            for (size_t c = 0; c < q; c++)
                e[c] += zr * (double)p[r * q + c];
        }
        double sum = 0;
        for (size_t c = 0; c < q; c++)
            sum += e[c] * e[c];
        double scale = sum > 1e-24 ? 1 / sqrt(sum) : 0;
        for (size_t c = 0; c < q; c++)
            out[i * ldo + c] = (float)(e[c] * scale);
    }
    cm_free(e);
}

void cm_linear_finish(struct cm_linear *m)
{
    for (size_t side = 0; side < 2; side++) {
        struct cm_linear_side *s = &m->side[side];
        s->bias = CM_NEW(m->k, float);
        cm_csr_bias(s->mean, s->v, s->d, m->k, s->bias);
    }
}

void cm_linear_free(struct cm_linear *m)
{
    for (size_t side = 0; side < 2; side++) {
        cm_free(m->side[side].mean);
        cm_free(m->side[side].v);
        cm_free(m->side[side].s);
        cm_free(m->side[side].p);
        cm_free(m->side[side].bias);
    }
    cm_free(m->corr);
    memset(m, 0, sizeof *m);
}
