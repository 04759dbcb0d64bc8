/* linear/projections.c - ridge regression and Procrustes between the components of two modalities.
 *
 * Both need only the k x k moments of the training components, summed in double over cells in
 * order; n k^2 operations are nothing beside the truncated SVD before them, so there are no threads
 * here.  The regression is solved by Cholesky on the penalised moments: k is some dozens, and the
 * penalty bounds their condition.
 */
#include "linear/projections.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "matrix/blas.h"

/* c (k x k) = a' b */
static void moments(const float *a, const float *b, size_t n, size_t k, double *c)
{
    memset(c, 0, k * k * sizeof *c);
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < k; r++)
            for (size_t j = 0; j < k; j++)
                c[r * k + j] += (double)a[i * k + r] * (double)b[i * k + j];
}

/* p (k x k) = (c11 + ridge tr(c11)/k I)^-1 c12 */
static int regression(const float *const z[2], size_t n, size_t k, double ridge, double *p)
{
    double *c = CM_NEW(k * k, double), trace = 0;
    moments(z[0], z[0], n, k, c);
    moments(z[0], z[1], n, k, p);
    for (size_t i = 0; i < k; i++)
        trace += c[i * k + i];
    for (size_t i = 0; i < k; i++)
        c[i * k + i] += ridge * trace / (double)k;
    int code = cm_solve_spd(k, k, c, p);
    if (code == CM_ENUMERIC)
        code = cm_fail(CM_ENUMERIC,
                       "the covariance of the components is singular; use fewer components or a "
                       "larger ridge");
    cm_free(c);
    return code;
}

static int procrustes(const float *const z[2], size_t n, size_t k, double *p)
{
    double *c = CM_NEW(3 * k * k + k, double), *u = c + k * k, *vt = u + k * k, *s = vt + k * k;
    moments(z[0], z[1], n, k, c);
    int code = cm_svd(k, k, c, u, s, vt);
    if (code == 0)
        cm_dgemm(false, false, k, k, k, 1, u, k, vt, k, 0, p, k);
    cm_free(c);
    return code;
}

/* Correlation of column c of z1 p with column c of z2; both have mean 0 by construction. */
static void correlations(const float *const z[2], size_t n, size_t k, const float *p, double *corr)
{
    double *sum = CM_ZNEW(3 * k, double), *e = CM_NEW(k, double);
    for (size_t i = 0; i < n; i++) {
        memset(e, 0, k * sizeof *e);
        for (size_t r = 0; r < k; r++)
            for (size_t c = 0; c < k; c++)
                e[c] += (double)z[0][i * k + r] * (double)p[r * k + c];
        for (size_t c = 0; c < k; c++) {
            double t = (double)z[1][i * k + c];
            sum[3 * c] += e[c] * t;
            sum[3 * c + 1] += e[c] * e[c];
            sum[3 * c + 2] += t * t;
        }
    }
    for (size_t c = 0; c < k; c++) {
        double product = sum[3 * c + 1] * sum[3 * c + 2];
        corr[c] = product > 0 ? sum[3 * c] / sqrt(product) : 0;
    }
    cm_free(sum);
    cm_free(e);
}

int cm_linear_project(struct cm_linear *m, const float *const z[2], size_t n,
                      enum cm_projection_method method, double ridge)
{
    size_t k = m->k;
    if (method == CM_PROJECT_CCA)
        return 0;
    double *p = CM_NEW(k * k, double);
    int code = method == CM_PROJECT_RIDGE ? regression(z, n, k, ridge, p) : procrustes(z, n, k, p);
    for (size_t i = 0; code == 0 && i < k * k; i++)
        if (!isfinite(p[i]))
            code = cm_fail(CM_ENUMERIC, "a projection is not finite");
    if (code == 0) {
        m->q = k;
        cm_free(m->corr);
        m->corr = CM_NEW(k, double);
        for (size_t side = 0; side < 2; side++) {
            struct cm_linear_side *s = &m->side[side];
            cm_free(s->p);
            s->p = CM_ZNEW(k * k, float);
            for (size_t i = 0; i < k * k; i++)
                s->p[i] = side ? (i % (k + 1) == 0 ? 1.0F : 0.0F) : (float)p[i];
        }
        correlations(z, n, k, m->side[0].p, m->corr);
    }
    cm_free(p);
    return code;
}
