/* links/correlate.c - correlations of genes and peaks, from sparse sums.
 *
 * Of a pair (g, p), over training cells i:
 *   n c_gp = sum_i u_gi w_pi,  w_pi = (x_pi - off_p - z_i . h_p) / sd_p,  so
 *   n sd_p c_gp = sum_i u_gi x_pi  -  off_p sum_i u_gi  -  (sum_i u_gi z_i) . h_p.
 * The first sum runs over the stored non-zeros of ATAC, each touching the few genes near its peak;
 * only the genes' residuals, which are clipped and so not linear, are made dense, in tiles of 64
 * cells.  Sums are in double, cells in fixed shards whose number depends on the problem alone.
 */
#include "links/correlate.h"

#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "links/residuals.h"
#include "matrix/blas.h"

#define TILE 64 /* cells whose gene residuals are dense at one time */

#define SHARD_BYTES ((size_t)256 << 20) /* bound on the partial sums of all shards */

static int sums_shard(void *arg, size_t shard)
{
    struct cm_links_sums *s = arg;
    size_t G = s->gene->n, r = s->r, from = cm_shard_begin(s->genes->rows, s->shards, shard),
           end = cm_shard_begin(s->genes->rows, s->shards, shard + 1);
    double *c = s->part + shard * s->stride, *uz = c + s->pairs, *u_sum = uz + G * r;
    float *u = CM_NEW(float, (size_t)TILE *G), *tile_uz = CM_NEW(float, G *r);
    for (; from < end; from += TILE) {
        size_t to = from + TILE < end ? from + TILE : end;
        cm_links_residuals(s->gene, r, s->clip, s->genes, s->zg, s->ldz, from, to, u, G);
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
                if (p == CM_LINKS_NOWHERE)
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
static void peak_group_sums(const struct cm_links_sums *s, double *out, double *size)
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
            if (p != CM_LINKS_NOWHERE)
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

void cm_links_correlate(struct cm_links_sums *s, const uint64_t *ptr, const uint32_t *peak_of,
                        double *value)
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
