/* sim/oracle.c - the posterior of the best possible matcher (oracle.h has the formulas).
 *
 * After the views of both sides of every cell (posterior.h), a pair costs one Cholesky factor of
 * 8 x 8 for each common type and one product over the loci.  Rejected: a mode search for every
 * pair.
 */
#include "sim/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "sim/posterior.h"

/* ===== pairs ============================================================================== */

struct group {
    const struct cm_gen *g;
    size_t n;
    const uint64_t *cell; /* n, the same for both sides */
    struct cm_cell_view *view[2];
    const uint32_t *linked; /* genes with linked peaks */
    size_t nlinked;
    float *state[2]; /* n x nlinked */
    double *w;       /* n x n log R */
};

static int view_shard(void *arg, size_t shard)
{
    struct group *p = arg;
    int side = shard < p->n ? CM_GEN_GEX : CM_GEN_ATAC;
    size_t i = shard < p->n ? shard : shard - p->n;
    struct cm_cell_view *v = &p->view[side][i];
    v->locus = CM_ZNEW(p->g->o.cols[CM_GEN_GEX], float);
    for (size_t t = 0; t < p->g->o.types; t++)
        v->type[t].share = -INFINITY;
    cm_posterior_view(p->g, side, (size_t)p->cell[i], v);
    for (size_t d = 0; d < p->nlinked; d++)
        p->state[side][i * p->nlinked + d] = v->locus[p->linked[d]];
    cm_free(v->locus);
    return 0;
}

static int pair_shard(void *arg, size_t i)
{
    struct group *p = arg;
    const float *a = p->state[CM_GEN_GEX] + i * p->nlinked;
    for (size_t j = 0; j < p->n; j++) {
        const float *b = p->state[CM_GEN_ATAC] + j * p->nlinked;
        double w = cm_posterior_ratio(p->g, p->view[0][i].type, p->view[1][j].type), product = 1;
        for (size_t d = 0; d < p->nlinked; d++) {
            product *= 1 + (double)a[d] * b[d];
            if (d % 32 == 31) {
                w += log(fmax(product, 1e-280));
                product = 1;
            }
        }
        p->w[i * p->n + j] = w + log(fmax(product, 1e-280));
    }
    return 0;
}

/* ===== all test cells ===================================================================== */

struct best {
    double p;
    uint32_t col;
};

static int by_value(const void *a, const void *b)
{
    const struct best *x = a, *y = b;
    if (x->p != y->p)
        return x->p > y->p ? -1 : 1;
    return x->col < y->col ? -1 : x->col > y->col;
}

static int by_column(const void *a, const void *b)
{
    const struct best *x = a, *y = b;
    return x->col < y->col ? -1 : x->col > y->col;
}

/* Rows of one batch: the `max` largest entries of each, in the columns' order, sum 1. */
static void keep_rows(struct cm_oracle *o, size_t first, size_t n, const double *w,
                      const uint32_t *place, size_t max)
{
    struct best *b = CM_NEW(n, struct best);
    for (size_t i = 0; i < n; i++) {
        double sum = 0, squares = 0;
        size_t kept = 0;
        for (size_t j = 0; j < n; j++)
            b[j] = (struct best){w[i * n + j], place[j]};
        qsort(b, n, sizeof *b, by_value);
        while (kept < n && kept < max && (kept == 0 || b[kept].p > 1e-9))
            sum += b[kept++].p;
        o->hard += b[0].col == place[i];
        o->chance += 1 / (double)n;
        uint64_t at = o->ptr[first + i];
        qsort(b, kept, sizeof *b, by_column);
        for (size_t k = 0; k < kept; k++, at++) {
            double p = b[k].p / sum;
            squares += p * p;
            if (b[k].col == place[i])
                o->soft += p;
            o->idx[at] = b[k].col;
            o->val[at] = (float)p;
        }
        o->expected += squares;
        o->ptr[first + i + 1] = at;
    }
    cm_free(b);
}

static int match_batch(struct cm_oracle *o, size_t first, size_t n, size_t max)
{
    const struct cm_gen *g = o->g;
    const struct cm_gen_side *genes = &g->side[CM_GEN_GEX];
    struct group p = {.g = g, .n = n, .cell = o->row + first};
    uint32_t *linked = CM_NEW(genes->cols, uint32_t);
    for (size_t d = 0; d < genes->cols; d++)
        if (genes->locus[d] != CM_GEN_NOWHERE)
            linked[p.nlinked++] = (uint32_t)d;
    p.linked = linked;
    struct cm_view *views = CM_NEW(2 * n * g->o.types, struct cm_view);
    for (int m = 0; m < 2; m++) {
        p.view[m] = CM_NEW(n, struct cm_cell_view);
        p.state[m] = CM_NEW(n * p.nlinked, float);
        for (size_t i = 0; i < n; i++)
            p.view[m][i].type = views + ((size_t)m * n + i) * g->o.types;
    }
    p.w = CM_NEW(n * n, double);
    int e = cm_parallel(2 * n, view_shard, &p);
    e = e ? e : cm_parallel(n, pair_shard, &p);
    if (!e) {
        cm_matching_marginals(n, p.w);
        /* Column of the cell in row j: its place among the test cells of the ATAC rows. */
        uint32_t *place = CM_NEW(n, uint32_t);
        for (size_t j = 0; j < n; j++)
            for (size_t c = first; c < first + n; c++)
                if (o->col[c] == o->row[first + j])
                    place[j] = (uint32_t)c;
        keep_rows(o, first, n, p.w, place, max);
        cm_free(place);
    }
    for (int m = 0; m < 2; m++) {
        cm_free(p.view[m]);
        cm_free(p.state[m]);
    }
    cm_free(views);
    cm_free(linked);
    cm_free(p.w);
    return e;
}

int cm_oracle_make(struct cm_oracle **out, const struct cm_gen *g, size_t max)
{
    struct cm_oracle *o = CM_ZNEW(1, struct cm_oracle);
    *out = o;
    o->g = g;
    o->row = CM_NEW(g->o.cells, uint64_t);
    o->col = CM_NEW(g->o.cells, uint64_t);
    size_t m = 0;
    for (size_t r = 0; r < g->o.cells; r++) {
        if (cm_gen_cell(g, r).split == CM_GEN_TEST)
            o->row[o->n++] = r;
        size_t cell = cm_gen_at(g, CM_GEN_ATAC, r);
        if (cm_gen_cell(g, cell).split == CM_GEN_TEST)
            o->col[m++] = cell;
    }
    if (!o->n)
        return cm_fail(CM_EINPUT, "no cell fell into the split test");
    size_t capacity = 0;
    for (size_t b = 0, i = 0; b < g->o.batches; b++) {
        size_t n = 0;
        for (; i < o->n && o->row[i] < g->batch_begin[b + 1]; i++)
            n++;
        capacity += n * (n < max ? n : max);
    }
    o->ptr = CM_ZNEW(o->n + 1, uint64_t);
    o->idx = CM_NEW(capacity, uint32_t);
    o->val = CM_NEW(capacity, float);
    for (size_t b = 0, i = 0; b < g->o.batches; b++) { /* batches lie one after the other */
        size_t n = 0;
        while (i + n < o->n && o->row[i + n] < g->batch_begin[b + 1])
            n++;
        int e = n ? match_batch(o, i, n, max) : 0;
        if (e)
            return e;
        i += n;
    }
    o->soft /= (double)o->n;
    o->hard /= (double)o->n;
    o->expected /= (double)o->n;
    o->chance /= (double)o->n;
    return 0;
}

void cm_oracle_free(struct cm_oracle *o)
{
    if (!o)
        return;
    cm_free(o->row);
    cm_free(o->col);
    cm_free(o->ptr);
    cm_free(o->idx);
    cm_free(o->val);
    cm_free(o);
}

/* As knn-match does it: the columns' labels are typed columns. */
static void label_columns(const struct cm_oracle *o, struct cm_cols *cols)
{
    struct cm_head names = {0};
    cm_gen_add_labels(o->g, &names);
    for (size_t l = 0; l < names.nlabels; l++) {
        struct cm_vec *v = cm_cols_vec(cols, names.label[l].name, CM_T_STR);
        cm_strs_clear(&v->s);
        for (size_t j = 0; j < o->n; j++) {
            struct cm_gen_cell c = cm_gen_cell(o->g, (size_t)o->col[j]);
            size_t code = l == 0 ? c.batch : l == 1 ? c.type : (size_t)c.split;
            cm_strs_add(&v->s, cm_strs_get(&names.label[l].dict.names, code));
        }
    }
    cm_head_free(&names);
}

void cm_oracle_head(const struct cm_oracle *o, struct cm_head *h)
{
    char name[CM_GEN_NAME_MAX];
    h->kind = CM_MATCH;
    struct cm_slot *s = cm_head_add_slot(h, "match");
    s->state = CM_S_PROBABILITY;
    s->rows = o->n;
    for (size_t j = 0; j < o->n; j++) {
        cm_gen_name(o->g, (size_t)o->col[j], name);
        cm_strs_add(&s->cols.names, name);
    }
    label_columns(o, &s->cols);
    cm_gen_add_labels(o->g, h);
    cm_kv_set(&h->kv, "match.rows", "GEX");
    cm_kv_set(&h->kv, "match.cols", "ATAC");
}

void cm_oracle_chunk(const struct cm_oracle *o, size_t first, size_t rows, struct cm_chunk *c)
{
    uint64_t from = o->ptr[first], nnz = o->ptr[first + rows] - from;
    struct cm_block *b = &c->block[0];
    cm_block_shape(b, false, rows, o->n, nnz, CM_V_F32);
    memcpy(b->idx, o->idx + from, nnz * sizeof *b->idx);
    memcpy(b->raw, o->val + from, nnz * sizeof *o->val);
    c->first = first;
    c->rows = rows;
    cm_strs_clear(&c->names);
    cm_gen_reset_labels(c, rows);
    for (size_t i = 0; i < rows; i++) {
        char name[CM_GEN_NAME_MAX];
        b->ptr[i + 1] = o->ptr[first + i + 1] - from;
        cm_gen_name(o->g, (size_t)o->row[first + i], name);
        cm_strs_add(&c->names, name);
        cm_gen_set_labels(o->g, (size_t)o->row[first + i], c, i);
    }
}
