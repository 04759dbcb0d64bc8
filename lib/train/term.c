/* train/term.c - the peak-gene term mu L of mini-batches and of the validation cells.
 *
 * The term is constant during training, and mini-batches stay within a group of cells (batch
 * --within).  So it is computed once for all pairs of a group where the tables of all groups fit
 * (CM_TERM_TABLE numbers), else for each mini-batch: the same bits, since no sum of a pair's
 * crosses other cells.
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

/* ===== tables of groups ===================================================================== */

static size_t group_of(const struct cm_fit_data *d, size_t row)
{
    return d->train_group ? d->train_group[row] : 0;
}

/* to (groups): cells of each group. */
static size_t *group_sizes(const struct cm_fit_data *d, size_t *groups)
{
    *groups = d->train_group ? d->groups : 1;
    size_t *to = CM_ZNEW(*groups, size_t);
    for (size_t i = 0; i < d->x[0]->rows; i++)
        to[group_of(d, i)]++;
    return to;
}

/* Numbers of the tables of all groups; 0: too many, or more than all mini-batches need. */
uint64_t cm_term_numbers(const struct cm_fit_data *d)
{
    size_t groups, *size = group_sizes(d, &groups);
    uint64_t sum = 0, drawn = 0;
    for (size_t g = 0; g < groups; g++)
        sum += (uint64_t)size[g] * size[g];
    cm_free(size);
    for (size_t i = 0; i < d->picks->n; i++) {
        uint64_t B = d->picks->begin[i + 1] - d->picks->begin[i];
        drawn += B * B;
    }
    return sum <= CM_TERM_TABLE && sum <= drawn ? sum : 0;
}

static void make_tables(struct fit *f)
{
    const struct cm_fit_data *d = f->d;
    size_t groups, *size = group_sizes(d, &groups);
    struct term *t = &f->term;
    uint64_t *at = CM_NEW(f->n, uint64_t), first = 0;
    t->table = CM_NEW(groups, float *);
    t->place = CM_NEW(f->n, uint32_t);
    t->size = size;
    t->all = CM_NEW(cm_term_numbers(d), float);
    for (size_t g = 0; g < groups; g++) {
        size_t n = 0;
        for (size_t i = 0; i < f->n; i++)
            if (group_of(d, i) == g) {
                t->place[i] = (uint32_t)n;
                at[n++] = i;
            }
        t->table[g] = t->all + first;
        term_of(f->m, d->x, d->z, at, n, t->table[g]);
        first += (uint64_t)n * n;
    }
    cm_free(at);
}

/* to (B x B) from the table of a group; false: the cells are of several. */
static bool from_table(const struct fit *f, const uint32_t *row, size_t B, float *to)
{
    const struct term *t = &f->term;
    size_t g = group_of(f->d, row[0]);
    for (size_t i = 0; i < B; i++)
        if (group_of(f->d, row[i]) != g)
            return false;
    for (size_t i = 0; i < B; i++) {
        const float *from = t->table[g] + (size_t)t->place[row[i]] * t->size[g];
        for (size_t j = 0; j < B; j++)
            to[i * B + j] = from[t->place[row[j]]];
    }
    return true;
}

/* ===== what the loop asks for =============================================================== */

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
    if (v) {
        const float *const vz[2] = {f->valid_z[0], f->valid_z[1]};
        uint64_t *at = counting(v);
        f->valid_term = CM_NEW(v * v, float);
        term_of(f->m, d->valid, vz, at, v, f->valid_term);
        cm_free(at);
    }
    if (cm_term_numbers(d))
        make_tables(f);
}

/* b->term (B x B) */
void cm_term_batch(struct batch *b)
{
    struct fit *f = b->f;
    if (f->term.all && from_table(f, b->row, b->B, b->term))
        return;
    uint64_t *at = CM_NEW(b->B, uint64_t);
    for (size_t i = 0; i < b->B; i++)
        at[i] = b->row[i];
    term_of(f->m, f->d->x, f->d->z, at, b->B, b->term);
    cm_free(at);
}

void cm_term_free(struct fit *f)
{
    struct term *t = &f->term;
    cm_free(t->table);
    cm_free(t->place);
    cm_free(t->size);
    cm_free(t->all);
    cm_free(f->valid_term);
    cm_free(f->valid_z[0]);
    cm_free(f->valid_z[1]);
}
