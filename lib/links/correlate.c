/* links/correlate.c - correlations of genes and peaks, from factored residuals.
 *
 * With w_p = S_p + left right_p (links/factored.h), summed over cells,
 *   n c_gp = u_g . S_p + (u_g left) . right_p:
 * the first runs over the stored non-zeros of the peak, the second is `rank` numbers a pair.  Only
 * the row u_g is dense, for a block of cells at a time, and every pair is summed by one thread.
 */
#include "links/correlate.h"

#include <math.h>
#include <string.h>

#include "base/clones.h"
#include "base/mem.h"
#include "base/pool.h"

enum { BLOCK = 1024, CORRELATE_SHARDS = 16 };

static size_t rank_of(const struct cm_links_pairing *p) { return cm_factored_rank(p->r + 1); }

static uint64_t pair_count(const struct cm_links_pairing *p) { return p->pairs.ptr[p->gene->n]; }

struct cm_links_sums cm_links_sums_make(const struct cm_links_pairing *p)
{
    size_t rank = rank_of(p);
    struct cm_links_sums s = {.products = CM_ZNEW(pair_count(p), double),
                              .gene = CM_ZNEW(p->gene->n * rank, double)};
    if (p->group) {
        s.size = CM_ZNEW(p->groups, double);
        s.gene_group = CM_ZNEW(p->groups * p->gene->n, double);
        s.peak_group = CM_ZNEW(p->groups * p->peak->n, double);
        s.left = CM_ZNEW(p->groups * rank, double);
    }
    return s;
}

static void add(double *to, double factor, const double *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += factor * from[i];
}

void cm_links_sums_add(struct cm_links_sums *s, const struct cm_links_pairing *p, double factor,
                       const struct cm_links_sums *other)
{
    size_t rank = rank_of(p);
    s->cells += factor * other->cells;
    add(s->products, factor, other->products, pair_count(p));
    add(s->gene, factor, other->gene, p->gene->n * rank);
    if (!p->group)
        return;
    add(s->size, factor, other->size, p->groups);
    add(s->gene_group, factor, other->gene_group, p->groups * p->gene->n);
    add(s->peak_group, factor, other->peak_group, p->groups * p->peak->n);
    add(s->left, factor, other->left, p->groups * rank);
}

void cm_links_sums_free(struct cm_links_sums *s)
{
    cm_free(s->products);
    cm_free(s->gene);
    cm_free(s->size);
    cm_free(s->gene_group);
    cm_free(s->peak_group);
    cm_free(s->left);
    memset(s, 0, sizeof *s);
}

/* ===== sums ================================================================================= */

struct take {
    struct cm_links_sums *s;
    const struct cm_links_pairing *p;
    struct cm_factored u, w;
    float *left_u, *left_w; /* rank x cells */
    const uint32_t *group;  /* of the block's cells, or NULL */
    size_t shards;
};

/* row (n) = left right + entries of feature j of f; left is transposed. */
CM_CLONES_O3 static void dense_row(float *restrict row, const struct cm_factored *f, size_t j,
                                   const float *restrict left)
{
    memset(row, 0, f->n * sizeof *row);
    for (size_t k = 0; k < f->rank; k++) {
        float factor = f->right[j * f->rank + k];
        for (size_t i = 0; factor != 0 && i < f->n; i++)
            row[i] += factor * left[k * f->n + i];
    }
    for (uint64_t e = f->ptr[j]; e < f->ptr[j + 1]; e++)
        row[f->cell[e]] += f->val[e];
}

/* In eight strands, in double. */
CM_CLONES_O3 static double dot(const float *restrict x, const float *restrict y, size_t n)
{
    double strand[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            strand[k] += (double)x[i + k] * (double)y[i + k];
    for (; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    for (size_t k = 0; k < 8; k++)
        sum += strand[k];
    return sum;
}

static int gene_shard(void *arg, size_t shard)
{
    const struct take *t = arg;
    const struct cm_factored *u = &t->u, *w = &t->w;
    size_t n = u->n;
    float *row = CM_NEW(n, float);
    for (size_t g = cm_shard_begin(u->d, t->shards, shard);
         g < cm_shard_begin(u->d, t->shards, shard + 1); g++) {
        dense_row(row, u, g, t->left_u);
        for (size_t k = 0; k <= t->p->r; k++)
            t->s->gene[g * w->rank + k] += dot(row, t->left_w + k * n, n);
        for (size_t i = 0; t->group && i < n; i++)
            t->s->gene_group[t->group[i] * u->d + g] += (double)row[i];
        for (uint64_t k = t->p->pairs.ptr[g]; k < t->p->pairs.ptr[g + 1]; k++) {
            size_t peak = t->p->pairs.peak[k];
            double sum = 0;
            for (uint64_t e = w->ptr[peak]; e < w->ptr[peak + 1]; e++)
                sum += (double)w->val[e] * (double)row[w->cell[e]];
            t->s->products[k] += sum;
        }
    }
    cm_free(row);
    return 0;
}

static void take_groups(const struct take *t)
{
    const struct cm_factored *w = &t->w;
    for (size_t i = 0; i < w->n; i++) {
        t->s->size[t->group[i]]++;
        for (size_t k = 0; k < w->rank; k++)
            t->s->left[t->group[i] * w->rank + k] += (double)w->left[i * w->rank + k];
    }
    for (size_t j = 0; j < w->d; j++)
        for (uint64_t e = w->ptr[j]; e < w->ptr[j + 1]; e++)
            t->s->peak_group[t->group[w->cell[e]] * w->d + j] += (double)w->val[e];
}

static float *left_transposed(const struct cm_factored *f)
{
    float *to = CM_NEW(f->rank * f->n, float);
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < f->rank; k++)
            to[k * f->n + i] = f->left[i * f->rank + k];
    return to;
}

void cm_links_sums_take(struct cm_links_sums *s, const struct cm_links_pairing *p,
                        const uint64_t *at, size_t n)
{
    size_t blocks = (n + BLOCK - 1) / BLOCK;
    uint64_t *cell = CM_NEW(BLOCK, uint64_t);
    uint32_t *group = p->group ? CM_NEW(BLOCK, uint32_t) : NULL;
    for (size_t b = 0; b < blocks; b++) {
        size_t from = cm_shard_begin(n, blocks, b), m = cm_shard_begin(n, blocks, b + 1) - from;
        for (size_t i = 0; i < m; i++) {
            cell[i] = at ? at[from + i] : from + i;
            if (group)
                group[i] = p->group[cell[i]];
        }
        struct take t = {.s = s, .p = p, .group = group};
        t.shards = cm_shards(p->gene->n, 16, CORRELATE_SHARDS);
        cm_links_factor(&t.u, p->gene, p->r, p->clip, &p->cell[0], cell, m);
        cm_links_factor(&t.w, p->peak, p->r, INFINITY, &p->cell[1], cell, m);
        t.left_u = left_transposed(&t.u);
        t.left_w = left_transposed(&t.w);
        cm_parallel(t.shards, gene_shard, &t);
        if (group)
            take_groups(&t);
        s->cells += (double)m;
        cm_factored_free(&t.u);
        cm_factored_free(&t.w);
        cm_free(t.left_u);
        cm_free(t.left_w);
    }
    cm_free(cell);
    cm_free(group);
}

/* ===== correlations ========================================================================= */

void cm_links_correlations(double *value, const struct cm_links_sums *s,
                           const struct cm_links_pairing *p)
{
    size_t G = p->gene->n, P = p->peak->n, rank = rank_of(p);
    double *w_sum = p->group ? CM_NEW(p->groups * P, double) : NULL;
    for (size_t b = 0; w_sum && b < p->groups; b++)
        for (size_t j = 0; j < P; j++) {
            double sum = s->peak_group[b * P + j];
            for (size_t k = 0; k < rank; k++)
                sum += s->left[b * rank + k] * (double)p->peak->right[j * rank + k];
            w_sum[b * P + j] = sum;
        }
    for (size_t g = 0; g < G; g++)
        for (uint64_t e = p->pairs.ptr[g]; e < p->pairs.ptr[g + 1]; e++) {
            size_t j = p->pairs.peak[e];
            double v = s->products[e];
            for (size_t k = 0; k < rank; k++)
                v += s->gene[g * rank + k] * (double)p->peak->right[j * rank + k];
            for (size_t b = 0; w_sum && b < p->groups; b++)
                if (s->size[b] > 0)
                    v -= s->gene_group[b * G + g] * w_sum[b * P + j] / s->size[b];
            value[e] = v / s->cells;
        }
    cm_free(w_sum);
}
