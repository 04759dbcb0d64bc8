/* links/apply.c - the columns that links add to embeddings. */
#include "links/apply.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "links/residuals.h"

#define TILE 64 /* cells of a shard */

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
    cm_links_residuals(&a->links->gene, a->links->r, a->links->clip, a->x, a->z, a->ldz, from, end,
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
            if (p == CM_LINKS_NOWHERE)
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
    cm_links_residuals(&a->links->peak, a->links->r, INFINITY, a->x, a->z, a->ldz, from, end,
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
