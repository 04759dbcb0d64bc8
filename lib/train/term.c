/* train/term.c - the peak-gene term mu L of mini-batches and of the validation cells.
 *
 * The term is constant during training, so it is computed once for all training pairs where the
 * table fits (CM_TERM_TABLE), else for each mini-batch.  The choice depends on the number of cells
 * alone, never on memory or threads, because the two round differently.
 */
#include "train/loop.h"

#include <string.h>

#include "base/mem.h"
#include "links/apply.h"
#include "matrix/blas.h"

static void term_columns(const struct cm_model *m, size_t side, const struct cm_csr *x,
                         const float *z, const uint64_t *at, size_t n, float *out)
{
    size_t k = m->linear.k, width = m->links.gene.n;
    struct cm_csr rows = cm_csr_rows(x, at, n);
    float *zz = CM_NEW(float, n *k);
    for (size_t i = 0; i < n; i++)
        memcpy(zz + i * k, z + at[i] * k, k * sizeof *zz);
    if ((int)side == cm_head_find_slot(&m->head, "GEX"))
        cm_links_gene_columns(&m->links, &rows, zz, k, out, width);
    else
        cm_links_peak_columns(&m->links, &rows, zz, k, out, width);
    cm_csr_free(&rows);
    cm_free(zz);
}

/* out (n x n, ld n) = mu L of cells at[0..n-1] of both sides, block by block. */
static void term_of(const struct cm_model *m, const struct cm_csr *const x[2],
                    const float *const z[2], const uint64_t *at, size_t n, float *out)
{
    size_t width = m->links.gene.n, block = n < CM_TERM_BLOCK ? n : CM_TERM_BLOCK;
    float *c[2] = {CM_NEW(float, block *width), CM_NEW(float, block *width)};
    for (size_t i = 0; i < n; i += block) {
        size_t rows = n - i < block ? n - i : block;
        term_columns(m, 0, x[0], z[0], at + i, rows, c[0]);
        for (size_t j = 0; j < n; j += block) {
            size_t cols = n - j < block ? n - j : block;
            term_columns(m, 1, x[1], z[1], at + j, cols, c[1]);
            cm_sgemm_parallel(false, true, rows, cols, width, 1, c[0], width, c[1], width, 0,
                              out + i * n + j, n);
        }
    }
    cm_free(c[0]);
    cm_free(c[1]);
}

static uint64_t *counting(size_t n)
{
    uint64_t *at = CM_NEW(uint64_t, n);
    for (size_t i = 0; i < n; i++)
        at[i] = i;
    return at;
}

void cm_term_prepare(struct fit *f)
{
    const struct cm_fit_data *d = f->d;
    size_t k = f->m->linear.k, v = d->valid[0]->rows;
    for (size_t side = 0; k > 0 && side < 2; side++) {
        f->valid_z[side] = CM_NEW(float, v *k);
        cm_linear_z(&f->m->linear, side, d->valid[side], f->valid_z[side]);
    }
    if (!f->m->has_links)
        return;
    const float *const vz[2] = {f->valid_z[0], f->valid_z[1]};
    uint64_t *at = counting(f->n > v ? f->n : v);
    if (v) {
        f->valid_term = CM_NEW(float, v *v);
        term_of(f->m, d->valid, vz, at, v, f->valid_term);
    }
    if (f->n <= CM_TERM_TABLE) {
        f->table = CM_NEW(float, f->n * f->n);
        term_of(f->m, d->x, d->z, at, f->n, f->table);
    }
    cm_free(at);
}

/* b->term (B x B) */
void cm_term_batch(struct batch *b)
{
    struct fit *f = b->f;
    if (f->table) {
        for (size_t i = 0; i < b->B; i++)
            for (size_t j = 0; j < b->B; j++)
                b->term[i * b->B + j] = f->table[b->row[i] * f->n + b->row[j]];
        return;
    }
    uint64_t *at = CM_NEW(uint64_t, b->B);
    for (size_t i = 0; i < b->B; i++)
        at[i] = b->row[i];
    term_of(f->m, f->d->x, f->d->z, at, b->B, b->term);
    cm_free(at);
}
