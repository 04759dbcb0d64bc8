/* links/fit.c - fitting and applying the peak-gene term.
 *
 * The fit, per pair (g, p) in the window, over training cells i:
 *   n c_gp = sum_i u_gi w_pi,  w_pi = (x_pi - off_p - z_i . h_p) / sd_p,  so
 *   n sd_p c_gp = sum_i u_gi x_pi  -  off_p sum_i u_gi  -  (sum_i u_gi z_i) . h_p.
 * The first sum runs over the stored non-zeros of ATAC, each touching the few genes near its peak;
 * only the genes' residuals, which are clipped and so not linear, are made dense, in tiles of 64
 * cells.  Sums are in double, cells in fixed shards whose number depends on the problem alone.
 *
 * Variances of residuals come from sums as well (E y^2 - 2 h.b + h'Gh): no pass over residuals.
 */
#include "links/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "matrix/blas.h"

#define TILE        64 /* cells whose gene residuals are dense at one time */
#define NOWHERE     UINT32_MAX
#define SHARD_BYTES ((size_t)256 << 20) /* bound on the partial sums of all shards */

/* ===== places on the genome =============================================================== */

struct site {
    const char *chrom; /* without a leading "chr" */
    double at;
    uint32_t feature;
};

/* UCSC and Ensembl differ in the prefix alone: chr1 and 1 are one place. */
static const char *chrom_at(const struct cm_vec *v, size_t i)
{
    const char *s = v->type == CM_T_STR ? cm_strs_get(&v->s, i) : "";
    return strncmp(s, "chr", 3) == 0 ? s + 3 : s;
}

/* The placed features of a table: genes at tss (or start), peaks at the middle of start and end. */
static struct site *find_sites(const struct cm_cols *table, bool genes, size_t *n)
{
    const struct cm_vec *chrom = cm_cols_find(table, "chrom"),
                        *start = cm_cols_find(table, "start"), *end = cm_cols_find(table, "end"),
                        *tss = cm_cols_find(table, "tss");
    *n = 0;
    if (!chrom || (!start && !(genes && tss)))
        return NULL;
    struct site *s = CM_NEW(struct site, table->names.n);
    for (size_t i = 0; i < table->names.n; i++) {
        double at = cm_vec_number(start, i), other = cm_vec_number(genes ? tss : end, i);
        if (isfinite(other))
            at = genes ? other : (at + other) / 2;
        const char *c = chrom_at(chrom, i);
        if (*c && isfinite(at))
            s[(*n)++] = (struct site){c, at, (uint32_t)i};
    }
    return s;
}

static int by_place(const void *pa, const void *pb)
{
    const struct site *a = pa, *b = pb;
    int c = strcmp(a->chrom, b->chrom);
    if (c)
        return c;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->feature < b->feature ? -1 : a->feature > b->feature;
}

static int by_number(const void *pa, const void *pb)
{
    uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return a < b ? -1 : a > b;
}

/* Position of the first peak that is not before (chrom, at). */
static size_t lower_bound(const struct site *peaks, size_t n, const char *chrom, double at)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(peaks[mid].chrom, chrom);
        if (c < 0 || (c == 0 && peaks[mid].at < at))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* All pairs inside the window, gene-major: peaks (feature numbers, ascending) of each gene
 * feature. */
struct candidates {
    uint64_t *ptr; /* gene features + 1 */
    uint32_t *peak;
    size_t n;
};

static struct candidates find_candidates(const struct cm_cols *gene_table,
                                         const struct cm_cols *peak_table, double window,
                                         size_t *genes_placed, size_t *peaks_placed)
{
    struct candidates c = {CM_ZNEW(uint64_t, gene_table->names.n + 1), NULL, 0};
    struct site *genes = find_sites(gene_table, true, genes_placed),
                *peaks = find_sites(peak_table, false, peaks_placed);
    size_t cap = 0, next = 0;
    if (*peaks_placed)
        qsort(peaks, *peaks_placed, sizeof *peaks, by_place);
    for (size_t g = 0; g < gene_table->names.n; g++) {
        if (next < *genes_placed && genes[next].feature == g) {
            const struct site *s = &genes[next++];
            size_t from = c.n;
            for (size_t i = lower_bound(peaks, *peaks_placed, s->chrom, s->at - window);
                 i < *peaks_placed && strcmp(peaks[i].chrom, s->chrom) == 0 &&
                 peaks[i].at < s->at + window;
                 i++) {
                if (fabs(peaks[i].at - s->at) >= window)
                    continue; /* the window is open at both ends */
                CM_GROW(c.peak, cap, c.n + 1);
                c.peak[c.n++] = peaks[i].feature;
            }
            if (c.n > from)
                qsort(c.peak + from, c.n - from, sizeof *c.peak, by_number);
        }
        c.ptr[g + 1] = c.n;
    }
    cm_free(genes);
    cm_free(peaks);
    return c;
}

/* ===== residuals ========================================================================== */

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
    q.part = CM_ZNEW(double, q.shards * x->cols);
    cm_parallel(q.shards, squares_shard, &q);
    for (size_t s = 1; s < q.shards; s++)
        for (size_t j = 0; j < x->cols; j++)
            q.part[j] += q.part[s * x->cols + j];
    return q.part;
}

/* Regression of every column of X - mean on [z_1..r, 1], ridge included, as all places of a
 * side. */
static int fit_residuals(struct cm_links_side *s, const struct cm_csr *x, const float *z,
                         size_t ldz, const float *mean, size_t r, double ridge)
{
    size_t n = x->rows, d = x->cols, w = r + 1;
    double dn = (double)n;
    float *zt = CM_NEW(float, n *w), *b = CM_NEW(float, d *w);
    double *g = CM_ZNEW(double, w *w), *a = CM_NEW(double, w *w), *h = CM_NEW(double, w *d),
           *sum = CM_ZNEW(double, d);
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
    s->h = CM_NEW(float, d *r);
    s->off = CM_NEW(float, d);
    s->sd = CM_NEW(float, d);
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

static void side_free(struct cm_links_side *s)
{
    cm_free(s->feature);
    cm_free(s->h);
    cm_free(s->off);
    cm_free(s->sd);
    cm_free(s->at);
    cm_free(s->ht);
    memset(s, 0, sizeof *s);
}

static void side_index(struct cm_links_side *s, size_t r)
{
    cm_free(s->at);
    cm_free(s->ht);
    s->at = CM_NEW(uint32_t, s->features);
    memset(s->at, 0xFF, s->features * sizeof *s->at);
    s->ht = CM_NEW(float, r * s->n);
    for (size_t i = 0; i < s->n; i++) {
        s->at[s->feature[i]] = (uint32_t)i;
        for (size_t q = 0; q < r; q++)
            s->ht[q * s->n + i] = s->h[i * r + q];
    }
}

/* Of a side that holds all features: those whose keep[] is set. */
static struct cm_links_side side_take(const struct cm_links_side *all, const bool *keep, size_t r)
{
    struct cm_links_side s = {.features = all->features};
    for (size_t j = 0; j < all->n; j++)
        s.n += keep[j];
    s.feature = CM_NEW(uint32_t, s.n);
    s.h = CM_NEW(float, s.n *r);
    s.off = CM_NEW(float, s.n);
    s.sd = CM_NEW(float, s.n);
    for (size_t j = 0, put = 0; j < all->n; j++) {
        if (!keep[j])
            continue;
        s.feature[put] = all->feature ? all->feature[j] : (uint32_t)j;
        memcpy(s.h + put * r, all->h + j * r, r * sizeof *s.h);
        s.off[put] = all->off[j];
        s.sd[put++] = all->sd[j];
    }
    side_index(&s, r);
    return s;
}

/* out (rows from..to-1 of x, s->n columns, ld ldo) = clip((x - off - z h') / sd).  No BLAS: its
 * bits depend on how many rows are in a call, and an embedding must not depend on the stream's
 * chunks. */
static void residual_tile(const struct cm_links_side *s, size_t r, double clip,
                          const struct cm_csr *x, const float *z, size_t ldz, size_t from,
                          size_t to, float *out, size_t ldo)
{
    float max = (float)clip;
    for (size_t i = from; i < to; i++) {
        float *row = out + (i - from) * ldo;
        for (size_t j = 0; j < s->n; j++)
            row[j] = -s->off[j];
        for (size_t q = 0; q < r; q++) {
            float zq = z[i * ldz + q];
            const float *h = s->ht + q * s->n;
            for (size_t j = 0; j < s->n; j++)
                row[j] -= zq * h[j];
        }
        for (uint64_t e = x->ptr[i]; e < x->ptr[i + 1]; e++)
            if (s->at[x->idx[e]] != NOWHERE)
                row[s->at[x->idx[e]]] += x->val[e];
        for (size_t j = 0; j < s->n; j++) {
            float v = row[j] / s->sd[j];
            row[j] = v > max ? max : v < -max ? -max : v;
        }
    }
}

/* ===== correlations ======================================================================= */

struct sums {
    const struct cm_links_side *gene, *peak;
    const struct cm_csr *genes, *peaks;
    const float *zg, *zp;
    size_t ldz, r, pairs, groups, shards;
    double clip;
    const uint32_t *group;
    const uint64_t *near; /* peak.n + 1: the pairs of each peak, */
    const uint32_t *near_gene;
    const uint64_t *near_pair; /* their gene and their number */
    double *part;              /* shards x stride */
    size_t stride;             /* pairs, then gene.n x r, then groups x gene.n */
};

static int sums_shard(void *arg, size_t shard)
{
    struct sums *s = arg;
    size_t G = s->gene->n, r = s->r, from = cm_shard_begin(s->genes->rows, s->shards, shard),
           end = cm_shard_begin(s->genes->rows, s->shards, shard + 1);
    double *c = s->part + shard * s->stride, *uz = c + s->pairs, *u_sum = uz + G * r;
    float *u = CM_NEW(float, (size_t)TILE *G), *tile_uz = CM_NEW(float, G *r);
    for (; from < end; from += TILE) {
        size_t to = from + TILE < end ? from + TILE : end;
        residual_tile(s->gene, r, s->clip, s->genes, s->zg, s->ldz, from, to, u, G);
        cm_sgemm(true, false, G, r, to - from, 1, u, G, s->zp + from * s->ldz, s->ldz, 0, tile_uz,
                 r);
        for (size_t i = 0; i < G * r; i++)
            uz[i] += (double)tile_uz[i];
        for (size_t i = from; i < to; i++) {
            const float *ui = u + (i - from) * G;
            double *sum = u_sum + (s->group ? s->group[i] : 0) * G;
            for (size_t g = 0; g < G; g++)
                sum[g] += (double)ui[g];
            for (uint64_t e = s->peaks->ptr[i]; e < s->peaks->ptr[i + 1]; e++) {
                uint32_t p = s->peak->at[s->peaks->idx[e]];
                if (p == NOWHERE)
                    continue;
                double x = (double)s->peaks->val[e];
                for (uint64_t k = s->near[p]; k < s->near[p + 1]; k++)
                    c[s->near_pair[k]] += x * (double)ui[s->near_gene[k]];
            }
        }
    }
    cm_free(u);
    cm_free(tile_uz);
    return 0;
}

/* Sums of w over the cells of each group: out (groups x peak.n), and the groups' sizes. */
static void peak_group_sums(const struct sums *s, double *out, double *size)
{
    size_t P = s->peak->n, r = s->r;
    double *z = CM_ZNEW(double, s->groups *r);
    for (size_t i = 0; i < s->peaks->rows; i++) {
        uint32_t b = s->group[i];
        size[b]++;
        for (size_t k = 0; k < r; k++)
            z[b * r + k] += (double)s->zp[i * s->ldz + k];
        for (uint64_t e = s->peaks->ptr[i]; e < s->peaks->ptr[i + 1]; e++) {
            uint32_t p = s->peak->at[s->peaks->idx[e]];
            if (p != NOWHERE)
                out[b * P + p] += (double)s->peaks->val[e];
        }
    }
    for (size_t b = 0; b < s->groups; b++)
        for (size_t p = 0; p < P; p++) {
            double w = out[b * P + p] - size[b] * (double)s->peak->off[p];
            for (size_t k = 0; k < r; k++)
                w -= z[b * r + k] * (double)s->peak->h[p * r + k];
            out[b * P + p] = w / (double)s->peak->sd[p];
        }
    cm_free(z);
}

/* value[pair] = mean over cells of u_g w_p, inside groups where there are any. */
static void correlate(struct sums *s, const uint64_t *ptr, const uint32_t *peak_of, double *value)
{
    size_t G = s->gene->n, P = s->peak->n, r = s->r;
    double n = (double)s->genes->rows;
    s->stride = s->pairs + G * r + s->groups * G;
    size_t max = SHARD_BYTES / (s->stride * sizeof(double));
    s->shards = cm_shards(s->genes->rows, 4 * TILE, max < 16 ? (max ? max : 1) : 16);
    s->part = CM_ZNEW(double, s->shards * s->stride);
    cm_parallel(s->shards, sums_shard, s);
    double *c = s->part, *uz = c + s->pairs, *u_sum = uz + G * r;
    for (size_t k = 1; k < s->shards; k++)
        for (size_t i = 0; i < s->stride; i++)
            c[i] += s->part[k * s->stride + i];

    double *w_sum = NULL, *size = NULL;
    if (s->group) {
        w_sum = CM_ZNEW(double, s->groups *P);
        size = CM_ZNEW(double, s->groups);
        peak_group_sums(s, w_sum, size);
    }
    for (size_t g = 0; g < G; g++) {
        double u_all = 0;
        for (size_t b = 0; b < s->groups; b++)
            u_all += u_sum[b * G + g];
        for (uint64_t k = ptr[g]; k < ptr[g + 1]; k++) {
            size_t p = peak_of[k];
            double v = c[k] - (double)s->peak->off[p] * u_all;
            for (size_t q = 0; q < r; q++)
                v -= uz[g * r + q] * (double)s->peak->h[p * r + q];
            v /= (double)s->peak->sd[p];
            for (size_t b = 0; s->group && b < s->groups; b++)
                if (size[b] > 0)
                    v -= u_sum[b * G + g] * w_sum[b * P + p] / size[b];
            value[k] = v / n;
        }
    }
    cm_free(w_sum);
    cm_free(size);
    cm_free(s->part);
}

/* The peak-major view of gene-major pairs: which (gene, pair) lie near each peak. */
static void turn(size_t genes, size_t peaks, const uint64_t *ptr, const uint32_t *peak_of,
                 uint64_t *near, uint32_t *gene, uint64_t *pair)
{
    memset(near, 0, (peaks + 1) * sizeof *near);
    for (uint64_t k = 0; k < ptr[genes]; k++)
        near[peak_of[k] + 1]++;
    for (size_t p = 0; p < peaks; p++)
        near[p + 1] += near[p];
    uint64_t *put = CM_NEW(uint64_t, peaks);
    memcpy(put, near, peaks * sizeof *put);
    for (size_t g = 0; g < genes; g++)
        for (uint64_t k = ptr[g]; k < ptr[g + 1]; k++) {
            uint64_t at = put[peak_of[k]]++;
            gene[at] = (uint32_t)g;
            pair[at] = k;
        }
    cm_free(put);
}

/* ===== scale ============================================================================== */

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

/* ===== fit ================================================================================ */

/* Keeps the pairs whose correlation passes the threshold; 0 pairs is possible. */
static void threshold(struct cm_links *links, const struct cm_links_side *gene,
                      const struct cm_links_side *peak, const uint64_t *ptr,
                      const uint32_t *peak_of, const double *value, double limit)
{
    bool *keep_gene = CM_ZNEW(bool, gene->n), *keep_peak = CM_ZNEW(bool, peak->n);
    for (size_t g = 0; g < gene->n; g++)
        for (uint64_t k = ptr[g]; k < ptr[g + 1]; k++)
            if (fabs(value[k]) > limit) {
                keep_gene[g] = keep_peak[peak_of[k]] = true;
                links->pairs++;
            }
    links->gene = side_take(gene, keep_gene, links->r);
    links->peak = side_take(peak, keep_peak, links->r);
    links->ptr = CM_ZNEW(uint64_t, links->gene.n + 1);
    links->peak_of = CM_NEW(uint32_t, links->pairs);
    links->c = CM_NEW(float, links->pairs);
    size_t put = 0, row = 0;
    for (size_t g = 0; g < gene->n; g++) {
        if (!keep_gene[g])
            continue;
        for (uint64_t k = ptr[g]; k < ptr[g + 1]; k++)
            if (fabs(value[k]) > limit) {
                links->peak_of[put] = links->peak.at[peak->feature[peak_of[k]]];
                links->c[put++] = (float)(value[k] > 0 ? value[k] - limit : value[k] + limit);
            }
        links->ptr[++row] = put;
    }
    cm_free(keep_gene);
    cm_free(keep_peak);
}

/* Keeps of both sides what occurs in a pair, and rewrites the pairs in terms of its places. */
static uint64_t *take_paired(const struct cm_links_side all[2], struct candidates *near, size_t r,
                             struct cm_links_side *gene, struct cm_links_side *peak)
{
    size_t genes = all[0].features, peaks = all[1].features;
    bool *keep = CM_ZNEW(bool, genes > peaks ? genes : peaks);
    for (size_t g = 0; g < genes; g++)
        keep[g] = near->ptr[g + 1] > near->ptr[g];
    *gene = side_take(&all[0], keep, r);
    memset(keep, 0, peaks * sizeof *keep);
    for (size_t k = 0; k < near->n; k++)
        keep[near->peak[k]] = true;
    *peak = side_take(&all[1], keep, r);
    cm_free(keep);
    uint64_t *ptr = CM_ZNEW(uint64_t, gene->n + 1); /* genes without pairs fall away */
    for (size_t g = 0; g < gene->n; g++)
        ptr[g + 1] = near->ptr[gene->feature[g] + 1];
    for (size_t k = 0; k < near->n; k++)
        near->peak[k] = peak->at[near->peak[k]];
    return ptr;
}

/* Correlations of all candidates, and the term that their threshold leaves. */
static void fit_pairs(struct cm_links *links, const struct cm_links_fit_config *c,
                      const struct cm_links_data *d, const struct cm_links_side all[2],
                      struct candidates *near)
{
    struct cm_links_side gene = {0}, peak = {0};
    bool grouped = d->group && d->groups > 1;
    uint64_t *ptr = take_paired(all, near, links->r, &gene, &peak);
    uint64_t *start = CM_NEW(uint64_t, peak.n + 1), *pair = CM_NEW(uint64_t, near->n);
    uint32_t *of = CM_NEW(uint32_t, near->n);
    turn(gene.n, peak.n, ptr, near->peak, start, of, pair);
    struct sums s = {.gene = &gene,
                     .peak = &peak,
                     .genes = d->x[0],
                     .peaks = d->x[1],
                     .zg = d->z[0],
                     .zp = d->z[1],
                     .ldz = d->ldz,
                     .r = links->r,
                     .pairs = near->n,
                     .groups = grouped ? d->groups : 1,
                     .clip = c->clip,
                     .group = grouped ? d->group : NULL,
                     .near = start,
                     .near_gene = of,
                     .near_pair = pair};
    double *value = CM_NEW(double, near->n);
    correlate(&s, ptr, near->peak, value);
    threshold(links, &gene, &peak, ptr, near->peak, value,
              c->threshold / sqrt((double)d->x[0]->rows));
    cm_free(value);
    cm_free(ptr);
    cm_free(start);
    cm_free(pair);
    cm_free(of);
    side_free(&gene);
    side_free(&peak);
}

int cm_links_fit(struct cm_links *links, const struct cm_links_fit_config *c,
                 const struct cm_links_data *d)
{
    CM_ASSERT(d->x[0]->rows == d->x[1]->rows && c->components >= 1 &&
              (size_t)c->components <= d->ldz && d->x[0]->cols == d->table[0]->names.n &&
              d->x[1]->cols == d->table[1]->names.n);
    memset(links, 0, sizeof *links);
    links->r = (size_t)c->components;
    links->clip = c->clip;
    links->mu = 1;
    size_t placed[2];
    double window = (double)c->window;
    struct candidates near =
        find_candidates(d->table[0], d->table[1], window, &placed[0], &placed[1]);
    links->candidates = near.n;
    int code = 0;
    /* Regression for all features, then only those that occur in a pair. */
    struct cm_links_side all[2] = {{0}};
    for (size_t s = 0; near.n && !code && s < 2; s++)
        code = fit_residuals(&all[s], d->x[s], d->z[s], d->ldz, d->mean[s], links->r, c->ridge);
    if (near.n && !code)
        fit_pairs(links, c, d, all, &near);
    side_free(&all[0]);
    side_free(&all[1]);
    cm_free(near.ptr);
    cm_free(near.peak);
    if (code < 0)
        return code;
    if (near.n == 0)
        return placed[0] && placed[1]
                   ? cm_fail(0, "no peak lies within %.0f bases of a gene", window)
                   : cm_fail(0, "the %s have no coordinates (columns chrom and start)",
                             placed[0] ? "peaks" : "genes");
    if (links->pairs == 0)
        return cm_fail(0, "no peak-gene correlation exceeds %g/sqrt(cells)", c->threshold);
    code = cm_links_scale(links, c->sd, d);
    return code < 0 ? code : 1;
}

int cm_links_scale(struct cm_links *links, double sd, const struct cm_links_data *d)
{
    links->mu = 1;
    cm_links_finish(links);
    double now = spread(links, d);
    if (!isfinite(now))
        return cm_fail(CM_ENUMERIC, "the peak-gene term is not finite");
    links->mu = sd / (now > 1e-12 ? now : 1e-12);
    cm_links_finish(links);
    return 0;
}

void cm_links_distances(const struct cm_links *links, const struct cm_cols *gene_table,
                        const struct cm_cols *peak_table, double *out)
{
    const struct cm_cols *table[2] = {gene_table, peak_table};
    double *at[2];
    for (size_t s = 0; s < 2; s++) {
        size_t n;
        struct site *site = find_sites(table[s], s == 0, &n);
        at[s] = CM_ZNEW(double, table[s]->names.n);
        for (size_t i = 0; i < n; i++)
            at[s][site[i].feature] = site[i].at;
        cm_free(site);
    }
    for (size_t g = 0; g < links->gene.n; g++)
        for (uint64_t k = links->ptr[g]; k < links->ptr[g + 1]; k++)
            out[k] =
                fabs(at[0][links->gene.feature[g]] - at[1][links->peak.feature[links->peak_of[k]]]);
    cm_free(at[0]);
    cm_free(at[1]);
}

/* ===== apply ============================================================================== */

struct apply {
    const struct cm_links *links;
    const struct cm_csr *x;
    const float *z;
    size_t ldz, ldo, shards;
    float *out;
};

static int gene_shard(void *arg, size_t shard)
{
    struct apply *a = arg;
    size_t from = cm_shard_begin(a->x->rows, a->shards, shard),
           end = cm_shard_begin(a->x->rows, a->shards, shard + 1);
    residual_tile(&a->links->gene, a->links->r, a->links->clip, a->x, a->z, a->ldz, from, end,
                  a->out + from * a->ldo, a->ldo);
    return 0;
}

static int peak_shard(void *arg, size_t shard)
{
    struct apply *a = arg;
    const struct cm_links *links = a->links;
    size_t G = links->gene.n, from = cm_shard_begin(a->x->rows, a->shards, shard),
           end = cm_shard_begin(a->x->rows, a->shards, shard + 1);
    for (size_t i = from; i < end; i++) {
        float *row = a->out + i * a->ldo;
        memcpy(row, links->base, G * sizeof *row);
        for (size_t q = 0; q < links->r; q++) {
            float zq = a->z[i * a->ldz + q];
            const float *slope = links->slope + q * G;
            for (size_t g = 0; g < G; g++)
                row[g] += zq * slope[g];
        }
        for (uint64_t e = a->x->ptr[i]; e < a->x->ptr[i + 1]; e++) {
            uint32_t p = links->peak.at[a->x->idx[e]];
            if (p == NOWHERE)
                continue;
            float v = a->x->val[e];
            for (uint64_t k = links->mptr[p]; k < links->mptr[p + 1]; k++)
                row[links->mgene[k]] += v * links->mval[k];
        }
    }
    return 0;
}

static void apply(const struct cm_links *links, int (*fn)(void *, size_t), const struct cm_csr *x,
                  const float *z, size_t ldz, float *out, size_t ldo)
{
    struct apply a = {links, x, z, ldz, ldo, 0, out};
    a.shards = (x->rows + TILE - 1) / TILE; /* a tile each */
    cm_parallel(a.shards, fn, &a);
}

static int residual_shard(void *arg, size_t shard)
{
    struct apply *a = arg;
    size_t from = cm_shard_begin(a->x->rows, a->shards, shard),
           end = cm_shard_begin(a->x->rows, a->shards, shard + 1);
    residual_tile(&a->links->peak, a->links->r, INFINITY, a->x, a->z, a->ldz, from, end,
                  a->out + from * a->ldo, a->ldo);
    return 0;
}

void cm_links_peak_residuals(const struct cm_links *links, const struct cm_csr *x, const float *z,
                             size_t ldz, float *out, size_t ldo)
{
    apply(links, residual_shard, x, z, ldz, out, ldo);
}

void cm_links_gene_columns(const struct cm_links *links, const struct cm_csr *x, const float *z,
                           size_t ldz, float *out, size_t ldo)
{
    apply(links, gene_shard, x, z, ldz, out, ldo);
}

void cm_links_peak_columns(const struct cm_links *links, const struct cm_csr *x, const float *z,
                           size_t ldz, float *out, size_t ldo)
{
    apply(links, peak_shard, x, z, ldz, out, ldo);
}

static void free_derived(struct cm_links *links)
{
    cm_free(links->mptr);
    cm_free(links->mgene);
    cm_free(links->mval);
    cm_free(links->slope);
    cm_free(links->base);
}

void cm_links_finish(struct cm_links *links)
{
    size_t G = links->gene.n, P = links->peak.n, r = links->r;
    free_derived(links);
    side_index(&links->gene, r);
    side_index(&links->peak, r);
    links->mptr = CM_NEW(uint64_t, P + 1);
    links->mgene = CM_NEW(uint32_t, links->pairs);
    links->mval = CM_NEW(float, links->pairs);
    links->slope = CM_NEW(float, r *G);
    links->base = CM_NEW(float, G);
    uint64_t *pair = CM_NEW(uint64_t, links->pairs);
    turn(G, P, links->ptr, links->peak_of, links->mptr, links->mgene, pair);
    for (size_t p = 0; p < P; p++)
        for (uint64_t k = links->mptr[p]; k < links->mptr[p + 1]; k++)
            links->mval[k] =
                (float)(links->mu * (double)links->c[pair[k]] / (double)links->peak.sd[p]);
    double *slope = CM_NEW(double, r);
    for (size_t g = 0; g < G; g++) {
        double base = 0;
        memset(slope, 0, r * sizeof *slope);
        for (uint64_t k = links->ptr[g]; k < links->ptr[g + 1]; k++) {
            size_t p = links->peak_of[k];
            double v = links->mu * (double)links->c[k] / (double)links->peak.sd[p];
            base -= v * (double)links->peak.off[p];
            for (size_t q = 0; q < r; q++)
                slope[q] -= v * (double)links->peak.h[p * r + q];
        }
        links->base[g] = (float)base;
        for (size_t q = 0; q < r; q++)
            links->slope[q * G + g] = (float)slope[q];
    }
    cm_free(slope);
    cm_free(pair);
}

void cm_links_free(struct cm_links *links)
{
    free_derived(links);
    side_free(&links->gene);
    side_free(&links->peak);
    cm_free(links->ptr);
    cm_free(links->peak_of);
    cm_free(links->c);
    memset(links, 0, sizeof *links);
}
