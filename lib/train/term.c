/* train/term.c - the peak-gene term mu L of mini-batches and of the validation cells.
 *
 * The term is constant during training, so it is computed once for all training pairs where the
 * table fits (CM_TERM_TABLE), else for each mini-batch.  The choice depends on the number of cells
 * alone, never on memory or threads, because the two round differently.
 */
#include "train/loop.h"

#include <string.h>

#include "base/mem.h"

/* out (n x n) = mu L of cells at[0..n-1] of both sides. */
static void term_of(const struct cm_model *m, const struct cm_csr *const x[2],
                    const float *const z[2], const uint64_t *at, size_t n, float *out)
{
    const uint64_t *const both[2] = {at, at};
    const size_t size[2] = {n, n};
    memset(out, 0, n * n * sizeof *out);
    cm_model_add_links(m, x, z, both, size, out);
}

static uint64_t *counting(size_t n)
{
    uint64_t *at = CM_NEW(n, uint64_t);
    for (size_t i = 0; i < n; i++)
        at[i] = i;
    return at;
}

void cm_term_prepare(struct fit *f)
{
    const struct cm_fit_data *d = f->d;
    size_t k = f->m->linear.k, v = d->valid[0]->rows;
    for (size_t side = 0; k > 0 && side < 2; side++) {
        f->valid_z[side] = CM_NEW(v * k, float);
        cm_linear_z(&f->m->linear, side, d->valid[side], f->valid_z[side]);
    }
    if (!f->m->has_links)
        return;
    const float *const vz[2] = {f->valid_z[0], f->valid_z[1]};
    uint64_t *at = counting(f->n > v ? f->n : v);
    if (v) {
        f->valid_term = CM_NEW(v * v, float);
        term_of(f->m, d->valid, vz, at, v, f->valid_term);
    }
    if (f->n <= CM_TERM_TABLE) {
        f->table = CM_NEW(f->n * f->n, float);
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
    uint64_t *at = CM_NEW(b->B, uint64_t);
    for (size_t i = 0; i < b->B; i++)
        at[i] = b->row[i];
    term_of(f->m, f->d->x, f->d->z, at, b->B, b->term);
    cm_free(at);
}
