/* links/residuals.c - regression of features on components, and its residuals.
 *
 * Variances of residuals come from sums (E y^2 - 2 h.b + h'Gh): no pass over residuals.
 */
#include "links/residuals.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "matrix/blas.h"

struct squares {
    const struct cm_csr *x;
    size_t shards;
    double *part;
};

static int squares_shard(void *arg, size_t shard)
{
    struct squares *q = arg;
    const struct cm_csr *x = q->x;
    double *part = q->part + shard * x->cols;
    uint64_t from = x->ptr[cm_shard_begin(x->rows, q->shards, shard)],
             to = x->ptr[cm_shard_begin(x->rows, q->shards, shard + 1)];
    for (uint64_t e = from; e < to; e++)
        part[x->idx[e]] += (double)x->val[e] * (double)x->val[e];
    return 0;
}

static double *column_squares(const struct cm_csr *x)
{
    struct squares q = {x, cm_shards(x->rows, 1024, 8), NULL};
    q.part = CM_ZNEW(q.shards * x->cols, double);
    cm_parallel(q.shards, squares_shard, &q);
    for (size_t s = 1; s < q.shards; s++)
        for (size_t j = 0; j < x->cols; j++)
            q.part[j] += q.part[s * x->cols + j];
    return q.part;
}

int cm_links_regress(struct cm_links_side *s, const struct cm_csr *x, const float *z, size_t ldz,
                     const float *mean, size_t r, double ridge)
{
    size_t n = x->rows, d = x->cols, w = r + 1;
    double dn = (double)n;
    float *zt = CM_NEW(n * w, float), *b = CM_NEW(d * w, float);
    double *g = CM_ZNEW(w * w, double), *a = CM_NEW(w * w, double), *h = CM_NEW(w * d, double),
           *sum = CM_ZNEW(d, double);
    for (size_t i = 0; i < n; i++) {
        memcpy(zt + i * w, z + i * ldz, r * sizeof *zt);
        zt[i * w + r] = 1;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; p < w; p++)
            for (size_t q = 0; q < w; q++)
                g[p * w + q] += (double)zt[i * w + p] * (double)zt[i * w + q];
    cm_csr_transposed_times(x, zt, w, w, mean, b);
    memcpy(a, g, w * w * sizeof *a);
    for (size_t p = 0; p < w; p++) {
        a[p * w + p] += ridge;
        for (size_t j = 0; j < d; j++)
            h[p * d + j] = (double)b[j * w + p];
    }
    int code = cm_solve_spd(w, d, a, h);
    double *square = column_squares(x);
    cm_csr_column_sums(x, sum, NULL);

    *s = (struct cm_links_side){.n = d, .features = d};
    s->h = CM_NEW(d * r, float);
    s->off = CM_NEW(d, float);
    s->sd = CM_NEW(d, float);
    for (size_t j = 0; code == 0 && j < d; j++) {
        double m = (double)mean[j], raw = square[j] / dn;
        double first = sum[j] / dn - m;                            /* E y */
        double var = raw - 2 * m * sum[j] / dn + m * m, own = var; /* E y^2 */
        for (size_t p = 0; p < w; p++) {
            double hp = h[p * d + j];
            first -= hp * g[p * w + r] / dn;
            var -= 2 * hp * (double)b[j * w + p] / dn;
            for (size_t q = 0; q < w; q++)
                var += hp * g[p * w + q] * h[q * d + j] / dn;
            if (p < r)
                s->h[j * r + p] = (float)hp;
        }
        var -= first * first;
        /* A column without variation of its own has rounding for residuals: 1 makes it vanish. */
        s->sd[j] = var > 1e-9 * own && own > 1e-9 * raw ? (float)sqrt(var) : 1;
        s->off[j] = (float)(m + h[r * d + j]);
    }
    cm_free(zt);
    cm_free(b);
    cm_free(g);
    cm_free(a);
    cm_free(h);
    cm_free(sum);
    cm_free(square);
    return code;
}

struct cm_links_side cm_links_side_take(const struct cm_links_side *all, const bool *keep, size_t r)
{
    struct cm_links_side s = {.features = all->features};
    for (size_t j = 0; j < all->n; j++)
        s.n += keep[j];
    s.feature = CM_NEW(s.n, uint32_t);
    s.h = CM_NEW(s.n * r, float);
    s.off = CM_NEW(s.n, float);
    s.sd = CM_NEW(s.n, float);
    for (size_t j = 0, put = 0; j < all->n; j++) {
        if (!keep[j])
            continue;
        s.feature[put] = all->feature ? all->feature[j] : (uint32_t)j;
        memcpy(s.h + put * r, all->h + j * r, r * sizeof *s.h);
        s.off[put] = all->off[j];
        s.sd[put++] = all->sd[j];
    }
    cm_links_side_index(&s, r);
    return s;
}

void cm_links_residuals(const struct cm_links_side *s, size_t r, double clip,
                        const struct cm_links_cells *cells, size_t from, size_t to, float *out,
                        size_t ldo)
{
    const struct cm_csr *x = cells->x;
    float max = (float)clip;
    for (size_t i = from; i < to; i++) {
        float *row = out + (i - from) * ldo;
        for (size_t j = 0; j < s->n; j++)
            row[j] = -s->off[j];
        for (size_t q = 0; q < r; q++) {
            float zq = cells->z[i * cells->ldz + q];
            const float *h = s->ht + q * s->n;
            for (size_t j = 0; j < s->n; j++)
                row[j] -= zq * h[j];
        }
        for (uint64_t e = x->ptr[i]; e < x->ptr[i + 1]; e++)
            if (s->at[x->idx[e]] != CM_LINKS_NOWHERE)
                row[s->at[x->idx[e]]] += x->val[e];
        for (size_t j = 0; j < s->n; j++) {
            float v = row[j] / s->sd[j];
            row[j] = v > max ? max : v < -max ? -max : v;
        }
    }
}
