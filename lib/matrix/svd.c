/* matrix/svd.c - truncated SVD by a randomised block Krylov method.
 *
 * Block Lanczos on C = A A' or A' A, whichever is smaller (n x n, never formed), from a Gaussian
 * block of 16 columns (Musco and Musco, NeurIPS 2015; Golub, Luk and Overton, ACM TOMS 7, 1981),
 * with full reorthogonalisation, and a thick restart (Wu and Simon, SIAM J. Matrix Anal. Appl. 22,
 * 2000) when the basis is full.  A pair (theta, y) is done when |C y - theta y| <= tolerance theta:
 * a residual, not a change between two steps, which is small also where nothing moves.  Products
 * with X are four fifths of the work; they run in float where the tolerance allows.  Forming C was
 * rejected: a plain loop over the inner products of all pairs, at 3,000 cells of 120,000 peaks,
 * took longer than the whole method.  So were power iterations on k + 20 columns (Halko, Martinsson
 * and Tropp), which need several times the products for trailing components of the same quality.
 * All cuts are fixed, sums within a cut run in order: the same bits for any number of threads.
 *
 * Letters: n the shorter side, l the longer; Q the basis, its vectors as ROWS (m x n); b columns of
 * a block; T = Q C Q' (m x m); R the residual block's coefficients.
 */
#include "matrix/svd.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "matrix/blas.h"
#include "matrix/centred.h"

enum { BLOCK = 16, PANEL = 1024 }; /* 16 floats are a line of the cache */

/* Directions smaller than this part of |C| are rounding errors. */
static const double negligible = 1e-13;

struct krylov {
    struct cm_centred a;
    bool by_rows; /* n = rows */
    size_t n, l, k, max;
    double *q, *t;           /* Q (max + 2 BLOCK) x n; T (ld max) */
    size_t m;                /* vectors of Q that T knows */
    size_t b;                /* vectors behind them: the next block */
    double *in, *mid, *out;  /* of the operator: n x b, l x b, n x b */
    double *h;               /* coefficients, max x BLOCK */
    double *w, *s;           /* Ritz values ascending, their vectors in Q as rows (m x m) */
    double r[BLOCK * BLOCK]; /* next block's coefficients: C q_last = ... + next' r */
    size_t last;             /* width of the block that r belongs to; the last rows of Q below m */
    uint64_t seed;
    uint32_t fresh; /* random blocks drawn so far */
};

/* ===== the operator ======================================================================= */

/* out (b x n, rows) = C applied to the rows of in (b x n). */
static void apply(struct krylov *z, const double *in, size_t b, double *out)
{
    for (size_t c = 0; c < b; c++)
        for (size_t i = 0; i < z->n; i++)
            z->in[i * b + c] = in[c * z->n + i];
    if (z->by_rows) {
        cm_centred_transposed(&z->a, z->in, b, z->mid);
        cm_centred_times(&z->a, z->mid, b, z->out);
    } else {
        cm_centred_times(&z->a, z->in, b, z->mid);
        cm_centred_transposed(&z->a, z->mid, b, z->out);
    }
    for (size_t c = 0; c < b; c++)
        for (size_t i = 0; i < z->n; i++)
            out[c * z->n + i] = z->out[i * b + c];
}

/* ===== the basis ========================================================================== */

struct span {
    struct krylov *z;
    double *to;        /* vectors changed or made, as rows of length n */
    const double *how; /* coefficients */
    size_t m, b, shards;
};

/* h (m x b) = Q W', cut by vectors of Q. */
static int project_job(void *arg, size_t shard)
{
    const struct span *p = arg;
    size_t n = p->z->n, from = cm_shard_begin(p->m, p->shards, shard);
    size_t to = cm_shard_begin(p->m, p->shards, shard + 1);
    cm_dgemm(false, true, to - from, p->b, n, 1, p->z->q + from * n, n, p->to, n, 0,
             p->z->h + from * p->b, p->b);
    return 0;
}

/* W -= h' Q, cut by places. */
static int subtract_job(void *arg, size_t shard)
{
    const struct span *p = arg;
    size_t n = p->z->n, from = cm_shard_begin(n, p->shards, shard);
    size_t to = cm_shard_begin(n, p->shards, shard + 1);
    cm_dgemm(true, false, p->b, to - from, p->m, -1, p->z->h, p->b, p->z->q + from, n, 1,
             p->to + from, n);
    return 0;
}

/* Takes the part in Q's first m vectors away from the b rows of w; z->h keeps the coefficients. */
static void project_out(struct krylov *z, size_t m, double *w, size_t b)
{
    if (!m || !b)
        return;
    struct span p = {.z = z, .to = w, .m = m, .b = b, .shards = cm_shards(m, 32, 64)};
    cm_parallel(p.shards, project_job, &p);
    p.shards = cm_shards(z->n, PANEL, 64);
    cm_parallel(p.shards, subtract_job, &p);
}

static double dot(const double *a, const double *b, size_t n)
{
    double s[4] = {0}; /* four sums: a chain of additions would wait for itself */
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t c = 0; c < 4; c++)
            s[c] += a[i + c] * b[i + c];
    for (; i < n; i++)
        s[0] += a[i] * b[i];
    return s[0] + s[1] + (s[2] + s[3]);
}

/* Makes the b rows of w orthonormal among themselves by Gram-Schmidt, twice a row, moving the
 * survivors to the front: w = r' kept, r kept x b (ld BLOCK).  Rows below `min` are dropped.
 * Returns how many are left, or CM_ENUMERIC. */
static int orthonormalise(double *w, size_t n, size_t b, double min, double *r)
{
    size_t kept = 0;
    memset(r, 0, BLOCK * BLOCK * sizeof *r);
    for (size_t c = 0; c < b; c++) {
        double *row = w + c * n;
        for (int pass = 0; pass < 2; pass++)
            for (size_t p = 0; p < kept; p++) {
                double d = dot(w + p * n, row, n);
                r[p * BLOCK + c] += d;
                for (size_t i = 0; i < n; i++)
                    row[i] -= d * w[p * n + i];
            }
        double size = sqrt(dot(row, row, n));
        if (!isfinite(size))
            return cm_fail(CM_ENUMERIC, "singular values of a matrix with values that are not "
                                        "finite, or too large to square");
        if (size <= min || size < DBL_MIN)
            continue;
        for (size_t i = 0; i < n; i++)
            w[kept * n + i] = row[i] / size;
        r[kept++ * BLOCK + c] = size;
    }
    return (int)kept;
}

/* Random vectors as the next block, orthogonal to all of Q. */
static int draw(struct krylov *z)
{
    size_t b = z->n - z->m < BLOCK ? z->n - z->m : BLOCK;
    double *next = z->q + z->m * z->n, unused[BLOCK * BLOCK];
    struct cm_rng g = cm_rng_make(z->seed, CM_RNG_SVD, z->fresh++, 0);
    for (size_t i = 0; i < b * z->n; i++)
        next[i] = cm_rng_normal(&g);
    project_out(z, z->m, next, b);
    project_out(z, z->m, next, b);
    int left = orthonormalise(next, z->n, b, 1e-8, unused);
    if (left <= 0)
        return left < 0 ? left : cm_fail(CM_ENUMERIC, "singular vectors: no new direction found");
    z->b = (size_t)left;
    project_out(z, z->m, next, z->b);
    memset(z->r, 0, sizeof z->r);
    return 0;
}

/* Takes the next block into T and makes the block after it. */
static int step(struct krylov *z)
{
    size_t m = z->m + z->b, b = z->b;
    double *next = z->q + m * z->n, *sum = CM_ZNEW(m * b, double);
    apply(z, z->q + z->m * z->n, b, next);
    for (int pass = 0; pass < 2; pass++) {
        project_out(z, m, next, b);
        for (size_t i = 0; i < m * b; i++)
            sum[i] += z->h[i];
    }
    double size = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t c = 0; c < b; c++) {
            double v = sum[i * b + c];
            if (i >= z->m) /* inside the block: make the rounding symmetric too */
                v = (v + sum[(z->m + c) * b + (i - z->m)]) / 2;
            z->t[i * z->max + z->m + c] = z->t[(z->m + c) * z->max + i] = v;
            size = fmax(size, fabs(v));
        }
    cm_free(sum);
    for (size_t i = 0; i < z->m; i++)
        size = fmax(size, fabs(z->t[i * z->max + i]));
    int left = orthonormalise(next, z->n, b, negligible * size, z->r);
    if (left < 0)
        return left;
    z->last = b;
    z->m = m;
    z->b = m + (size_t)left > z->n ? z->n - m : (size_t)left;
    project_out(z, m, next, z->b);
    return 0;
}

/* Eigenvalues and vectors of T: z->w ascending, z->s rows. */
static int ritz(struct krylov *z)
{
    for (size_t i = 0; i < z->m; i++)
        memcpy(z->s + i * z->m, z->t + i * z->max, z->m * sizeof *z->s);
    return cm_eigh(z->m, z->s, z->w);
}

/* |C y - theta y| of the e-th Ritz pair: what the next block holds of C y. */
static double residual(const struct krylov *z, size_t e)
{
    const double *end = z->s + e * z->m + z->m - z->last;
    double sum = 0;
    for (size_t p = 0; p < z->b; p++) {
        double s = 0;
        for (size_t c = 0; c < z->last; c++)
            s += z->r[p * BLOCK + c] * end[c];
        sum += s * s;
    }
    return sqrt(sum);
}

/* The largest residual of the k leading pairs in units of the allowed one: settled when <= 1. */
static double unsettled(const struct krylov *z, double tolerance)
{
    if (z->m < z->k)
        return INFINITY;
    double worst = 0, top = fmax(z->w[z->m - 1], DBL_MIN);
    for (size_t e = z->m - z->k; e < z->m; e++) {
        double r = residual(z, e) / fmax(tolerance * z->w[e], negligible * top);
        worst = r > worst ? r : worst;
    }
    return worst;
}

static int rotate_job(void *arg, size_t shard)
{
    const struct span *p = arg;
    const struct krylov *z = p->z;
    size_t n = z->n, from = cm_shard_begin(n, p->shards, shard);
    size_t to = cm_shard_begin(n, p->shards, shard + 1), width = to - from;
    double *made = CM_NEW(p->b * width, double);
    cm_dgemm(false, false, p->b, width, z->m, 1, p->how, z->m, z->q + from, n, 0, made, width);
    for (size_t e = 0; e < p->b; e++)
        memcpy(p->to + e * n + from, made + e * width, width * sizeof *made);
    cm_free(made);
    return 0;
}

/* to (rows of length n) = the Ritz vectors m - keep .. m - 1; may be Q itself. */
static void rotate(struct krylov *z, size_t keep, double *to)
{
    struct span p = {.z = z, .to = to, .how = z->s + (z->m - keep) * z->m, .b = keep};
    p.shards = cm_shards(z->n, PANEL, SIZE_MAX);
    cm_parallel(p.shards, rotate_job, &p);
}

/* Full: keeps the leading Ritz vectors and the next block.  T of the kept is diagonal; its coupling
 * to the next block comes with that block's own products. */
static void restart(struct krylov *z)
{
    size_t keep = z->k + (z->m - z->k) / 3, n = z->n;
    rotate(z, keep, z->q);
    memmove(z->q + keep * n, z->q + z->m * n, z->b * n * sizeof *z->q);
    for (size_t i = 0; i < keep; i++) {
        memset(z->t + i * z->max, 0, z->max * sizeof *z->t);
        z->t[i * z->max + i] = z->w[z->m - keep + i];
    }
    z->m = keep;
}

/* ===== the whole ========================================================================== */

/* Grows the basis until the k leading pairs are settled or `blocks` blocks are used up; returns
 * the number of blocks, or more than `blocks`, or CM_ENUMERIC. */
static int64_t grow(struct krylov *z, double tolerance, size_t blocks)
{
    int code = draw(z);
    if (code < 0)
        return code;
    /* Blocks taken; when T is looked at again, and was looked at last with what result: looking
     * costs m^3, so it waits for where the residuals' decline points, but not for long. */
    size_t done = 0, check_at = 0, seen = 0;
    double was = INFINITY;
    double *before = CM_ZNEW(z->k, double); /* Ritz values when the Krylov space last ended */
    bool ended = false;
    while (code == 0) {
        code = step(z);
        done++;
        bool full = z->m + z->b > z->max;
        if (code || (z->b && !full && (z->m < z->k || done < check_at)))
            continue;
        if ((code = ritz(z)) < 0)
            break;
        double now = unsettled(z, tolerance);
        bool done_now = now <= 1;
        double rate = isfinite(was) && now < was ? log(was / now) / (double)(done - seen) : 0;
        double wait = rate > 0 ? log(now) / rate * .8 : (double)done / 4;
        check_at = done + (size_t)fmax(1, fmin(wait, (double)done / 4));
        was = now;
        seen = done;
        if (!z->b && z->m < z->n) {
            /* The space of the first block is exhausted: a value of more than 16 copies could hide
             * outside it, so random vectors must fail to change the result. */
            bool same = ended && z->m >= z->k;
            for (size_t e = 0; e < z->k && z->m >= z->k; e++) {
                double w = z->w[z->m - 1 - e];
                same = same && fabs(w - before[e]) <= tolerance * w + negligible * z->w[z->m - 1];
                before[e] = w;
            }
            ended = z->m >= z->k;
            if (same && done_now)
                break;
            if (z->max < z->n && z->m + BLOCK > z->max)
                restart(z);
            code = draw(z);
            continue;
        }
        if (done_now && !ended)
            break;
        if (!z->b) /* the basis is the whole space */
            break;
        if (done >= blocks) {
            done = blocks + 1;
            break;
        }
        if (full)
            restart(z);
    }
    cm_free(before);
    return code < 0 ? code : (int64_t)done;
}

/* v (cols x k) and s from the settled basis. */
static int finish(struct krylov *z, float *v, double *s)
{
    size_t k = z->k, n = z->n, cols = z->a.x->cols;
    double *y = CM_NEW(k * n, double), *u = CM_NEW(n * k, double), *right = NULL;
    rotate(z, k, y); /* ascending */
    for (size_t e = 0; e < k; e++) {
        double w = z->w[z->m - 1 - e];
        s[e] = w > negligible * z->w[z->m - 1] ? sqrt(w) : 0;
        for (size_t i = 0; i < n; i++)
            u[i * k + e] = y[(k - 1 - e) * n + i];
    }
    cm_free(y);
    int code = 0;
    if (z->by_rows) { /* u are left vectors: v = A' u / s, and anything orthonormal where s = 0 */
        right = CM_NEW(cols * k, double);
        z->a.single = false; /* the vectors themselves are worth digits */
        cm_centred_transposed(&z->a, u, k, right);
        bool weak = false;
        for (size_t e = 0; e < k; e++) {
            double size = 0;
            for (size_t j = 0; j < cols; j++)
                size += right[j * k + e] * right[j * k + e];
            size = sqrt(size);
            weak = weak || size <= 1e-5 * s[0];
            for (size_t j = 0; j < cols && size > 0; j++)
                right[j * k + e] /= size;
        }
        if (weak)
            code = cm_qr_double(cols, k, right, k);
        cm_free(u);
    } else {
        right = u;
    }
    for (size_t e = 0; e < k && !code; e++) {
        size_t at = 0;
        for (size_t j = 1; j < cols; j++)
            if (fabs(right[j * k + e]) > fabs(right[at * k + e]))
                at = j;
        double sign = right[at * k + e] < 0 ? -1 : 1;
        for (size_t j = 0; j < cols; j++)
            v[j * k + e] = (float)(sign * right[j * k + e]);
    }
    cm_free(right);
    return code;
}

int cm_svd_truncated(const struct cm_csr *x, const float *mean, const float *weight, size_t k,
                     uint64_t seed, double tolerance, size_t max_iterations, float *v, double *s,
                     size_t *iterations)
{
    size_t n = x->rows < x->cols ? x->rows : x->cols;
    if (iterations)
        *iterations = 0;
    if (k > n)
        return cm_fail(CM_EUSAGE, "%zu singular vectors of a %zu x %zu matrix", k, x->rows,
                       x->cols);
    if (!k)
        return 0;
    struct krylov z = {.k = k, .seed = seed, .n = n};
    z.a = cm_centred_make(x, mean, weight, BLOCK, tolerance >= CM_SVD_SINGLE);
    z.by_rows = x->rows < x->cols;
    z.l = z.by_rows ? x->cols : x->rows;
    z.max = 4 * k + 512 < n ? 4 * k + 512 : n;
    size_t capacity;
    if (cm_mul(z.max + 2 * BLOCK, n, &capacity))
        cm_panic(4, "out of memory: %zu vectors of %zu values", z.max, n);
    z.q = CM_NEW(capacity, double);
    z.t = CM_ZNEW(z.max * z.max, double);
    z.s = CM_NEW(z.max * z.max, double);
    z.w = CM_NEW(z.max, double);
    z.h = CM_NEW((z.max + BLOCK) * BLOCK, double);
    z.in = CM_NEW(n * BLOCK, double);
    z.out = CM_NEW(n * BLOCK, double);
    z.mid = CM_NEW(z.l * BLOCK, double);
    size_t columns = k + 20, bound = max_iterations < 4 ? 4 : max_iterations;
    size_t blocks =
        bound < SIZE_MAX / columns / 2 ? (bound * columns + BLOCK - 1) / BLOCK : SIZE_MAX / 2;
    int64_t used = grow(&z, tolerance, blocks);
    int code = used < 0 ? (int)used : finish(&z, v, s);
    if (iterations && code == 0)
        *iterations =
            (size_t)used > blocks ? bound + 1 : ((size_t)used * BLOCK + columns - 1) / columns;
    double *all[] = {z.q, z.t, z.s, z.w, z.h, z.in, z.out, z.mid};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cm_free(all[i]);
    cm_centred_free(&z.a);
    return code;
}
