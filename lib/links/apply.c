/* links/apply.c - the columns that links add to embeddings. */
#include "links/apply.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "links/residuals.h"

enum {
    TILE = 64,   /* cells of a shard */
    BLOCK = 2048 /* cells of a product, either side */
};

struct apply {
    const struct cm_links *links;
    const struct cm_links_cells *cells;
    size_t ldo, shards;
    float *out;
};

static int gene_shard(void *arg, size_t shard)
{
    struct apply *a = arg;
    size_t from = cm_shard_begin(a->cells->x->rows, a->shards, shard),
           end = cm_shard_begin(a->cells->x->rows, a->shards, shard + 1);
    cm_links_residuals(&a->links->gene, a->links->r, a->links->clip, a->cells, from, end,
                       a->out + from * a->ldo, a->ldo);
    return 0;
}

static int peak_shard(void *arg, size_t shard)
{
    struct apply *a = arg;
    const struct cm_links *links = a->links;
    size_t G = links->gene.n, from = cm_shard_begin(a->cells->x->rows, a->shards, shard),
           end = cm_shard_begin(a->cells->x->rows, a->shards, shard + 1);
    for (size_t i = from; i < end; i++) {
        float *row = a->out + i * a->ldo;
        memcpy(row, links->base, G * sizeof *row);
        for (size_t q = 0; q < links->r; q++) {
            float zq = a->cells->z[i * a->cells->ldz + q];
            const float *slope = links->slope + q * G;
            for (size_t g = 0; g < G; g++)
                row[g] += zq * slope[g];
        }
        for (uint64_t e = a->cells->x->ptr[i]; e < a->cells->x->ptr[i + 1]; e++) {
            uint32_t p = links->peak.at[a->cells->x->idx[e]];
            if (p == CM_LINKS_NOWHERE)
                continue;
            float v = a->cells->x->val[e];
            for (uint64_t k = links->mptr[p]; k < links->mptr[p + 1]; k++)
                row[links->mgene[k]] += v * links->mval[k];
        }
    }
    return 0;
}

static void apply(const struct cm_links *links, int (*fn)(void *, size_t), const struct cm_csr *x,
                  const float *z, size_t ldz, float *out, size_t ldo)
{
    struct cm_links_cells cells = {x, z, ldz};
    struct apply a = {links, &cells, ldo, (x->rows + TILE - 1) / TILE, out}; /* a tile each */
    cm_parallel(a.shards, fn, &a);
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

/* ===== similarities ========================================================================= */

struct cm_links_index cm_links_index(const struct cm_links *links)
{
    return (struct cm_links_index){links->gene.n, links->ptr, links->peak_of};
}

void cm_links_similarities(const struct cm_links *links, const float *c,
                           const struct cm_links_cells cells[2], const uint64_t *const at[2],
                           const size_t n[2], float *out)
{
    struct cm_links_index index = cm_links_index(links);
    size_t all = n[0] > n[1] ? n[0] : n[1];
    uint64_t *first = CM_NEW(all, uint64_t);
    for (size_t i = 0; i < all; i++)
        first[i] = i;
    const uint64_t *rows = at[0] ? at[0] : first, *cols = at[1] ? at[1] : first;
    size_t blocks[2] = {(n[0] + BLOCK - 1) / BLOCK, (n[1] + BLOCK - 1) / BLOCK};
    for (size_t a = 0; a < blocks[0]; a++) {
        size_t i = cm_shard_begin(n[0], blocks[0], a), end = cm_shard_begin(n[0], blocks[0], a + 1);
        struct cm_factored u;
        cm_links_factor(&u, &links->gene, links->r, links->clip, &cells[0], rows + i, end - i);
        for (size_t b = 0; b < blocks[1]; b++) {
            size_t j = cm_shard_begin(n[1], blocks[1], b),
                   to = cm_shard_begin(n[1], blocks[1], b + 1);
            struct cm_factored w;
            cm_links_factor(&w, &links->peak, links->r, INFINITY, &cells[1], cols + j, to - j);
            cm_links_product(out + i * n[1] + j, n[1], &u, &w, &index, c, links->mu);
            cm_factored_free(&w);
        }
        cm_factored_free(&u);
    }
    cm_free(first);
}

uint64_t cm_links_similarities_bytes(uint64_t n, uint64_t entries, uint64_t genes, uint64_t peaks)
{
    uint64_t block = n < BLOCK ? n : BLOCK, some = (n ? entries / n + 1 : 0) * block,
             product = cm_links_product_bytes(block, block, some, genes, peaks),
             factored = 16 * (genes + peaks) + 24 * some + 512 * block; /* 8: spooled cells */
    return product + factored + 8 * n;
}
