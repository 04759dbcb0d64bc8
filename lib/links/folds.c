/* links/folds.c - links out of fold.  See links/folds.h.
 *
 * The pairing enters CCA and correlations; both are of the other cells alone.  LSI knows no
 * pairing, but components that a cell has helped to find hold some of its noise, and weights
 * learned from them are worse: with 1,300 cells one LSI for all folds costs .016 of match
 * probability.  So below CM_LINEAR_REFIT_CELLS cells each fold has its own.  Above, where that
 * would be most of the time and a copy of the cells, it takes one step from the common LSI
 * (linear/refit.h), residuals are the same in all folds, and correlations are differences of sums.
 */
#include "links/folds.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "links/correlate.h"
#include "links/sites.h"
#include "linear/refit.h"
#include "matrix/blas.h"

enum { F = CM_LINKS_FACTS };

/* ===== facts ================================================================================ */

static void table_free(struct cm_links_table *t)
{
    cm_free(t->x);
    cm_free(t->first);
    cm_free(t->c);
}

/* value: correlations over n cells, in the order of the links. */
static void table_make(struct cm_links_table *t, const struct cm_links_whole *w,
                       const double *value, size_t n)
{
    const struct cm_links *links = &w->links;
    const struct cm_links_fit_config *c = &w->config->fit;
    double root = sqrt((double)n), limit = c->threshold / root;
    t->x = CM_NEW(links->n * F, float);
    t->first = CM_NEW(links->n, float);
    t->c = CM_NEW(links->n, float);
    for (size_t g = 0; g < links->gene.n; g++)
        for (uint64_t e = links->ptr[g]; e < links->ptr[g + 1]; e++) {
            double r = (double)(float)value[e], size = fabs(r), s = size * root;
            bool near = w->distance[e] < (double)c->window && size > limit;
            t->c[e] = (float)value[e];
            t->first[e] = near ? (float)(r > 0 ? r - limit : r + limit) : 0;
            float *fact = t->x + e * F;
            fact[0] = (float)log1p(s);
            fact[1] = (float)(s > 2 ? (s - 2) / 3 : 0);
            fact[2] = (float)(log10(w->distance[e] + 1000) - 4.5);
            fact[3] = (float)(log(w->seen[0][links->gene.feature[g]] + .001) + 3);
            fact[4] = (float)(log(w->seen[1][links->peak.feature[links->peak_of[e]]] + .001) + 3);
        }
    t->facts = (struct cm_links_facts){links->n, t->x, t->first, t->c};
}

static int table_scale(struct cm_links_table *t, const struct cm_links_whole *w,
                       const struct cm_links_view *v, const uint64_t *at, size_t n)
{
    t->mu = cm_links_mu(&v->links, t->first, w->config->fit.sd, v->cell, at, n, w->data->seed);
    return isfinite(t->mu) ? 0 : cm_fail(CM_ENUMERIC, "the peak-gene links are not finite");
}

/* ===== all training cells =================================================================== */

/* Share of cells that have each feature. */
static double *shares(const struct cm_csr *x)
{
    double *count = CM_ZNEW(x->cols, double);
    cm_csr_column_sums(x, NULL, count);
    for (size_t j = 0; j < x->cols; j++)
        count[j] /= (double)x->rows;
    return count;
}

struct cm_links_view cm_links_whole_view(const struct cm_links_whole *w)
{
    const struct cm_links_learn_data *d = w->data;
    size_t k = d->linear->k;
    return (struct cm_links_view){.links = w->links,
                                  .linear = d->linear,
                                  .side = {d->side[0], d->side[1]},
                                  .cell = {{d->x[0], d->z[0], k}, {d->x[1], d->z[1], k}},
                                  .z = {d->z[0], d->z[1]},
                                  .group = d->group,
                                  .mu = w->table.mu};
}

int cm_links_whole_make(struct cm_links_whole *w, const struct cm_links_config *c,
                        const struct cm_links_learn_data *d)
{
    struct cm_links_fit_config all = c->fit;
    struct cm_links_data data = {
        .x = {d->x[0], d->x[1]},
        .z = {d->z[0], d->z[1]},
        .ldz = d->linear->k,
        .mean = {d->linear->side[d->side[0]].mean, d->linear->side[d->side[1]].mean},
        .table = {d->table[0], d->table[1]},
        .group = d->group,
        .groups = d->groups,
        .seed = d->seed};
    memset(w, 0, sizeof *w);
    w->data = d;
    w->config = c;
    all.window = c->learn.window > all.window ? c->learn.window : all.window;
    all.threshold = 0;
    int code = cm_links_fit(&w->links, &all, &data);
    if (code != 1)
        return code;
    w->seen[0] = shares(d->x[0]);
    w->seen[1] = shares(d->x[1]);
    w->distance = CM_NEW(w->links.n, double);
    cm_links_distances(&w->links, d->table[0], d->table[1], w->distance);
    double *value = CM_NEW(w->links.n, double);
    for (size_t e = 0; e < w->links.n; e++)
        value[e] = (double)w->links.c[e];
    table_make(&w->table, w, value, d->x[0]->rows);
    cm_free(value);
    struct cm_links_view v = cm_links_whole_view(w);
    return table_scale(&w->table, w, &v, NULL, d->x[0]->rows) < 0 ? CM_ENUMERIC : 1;
}

void cm_links_whole_free(struct cm_links_whole *w)
{
    cm_links_free(&w->links);
    table_free(&w->table);
    cm_free(w->seen[0]);
    cm_free(w->seen[1]);
    cm_free(w->distance);
}

/* ===== folds ================================================================================ */

static struct cm_links_pairing pairing_of(const struct cm_links_view *v, size_t groups)
{
    bool grouped = v->group && groups > 1;
    return (struct cm_links_pairing){.gene = &v->links.gene,
                                     .peak = &v->links.peak,
                                     .pairs = {v->links.gene.n, v->links.ptr, v->links.peak_of},
                                     .r = v->links.r,
                                     .clip = v->links.clip,
                                     .cell = {v->cell[0], v->cell[1]},
                                     .group = grouped ? v->group : NULL,
                                     .groups = grouped ? groups : 1};
}

void cm_links_fold_free(struct cm_links_fold *f)
{
    cm_linear_free(&f->linear);
    for (size_t m = 0; m < 2; m++) {
        cm_links_side_free(&f->side[m]);
        cm_free(f->z[m]);
    }
    table_free(&f->table);
    cm_links_batch_free(&f->batch);
    cm_free(f->at);
}

/* One step of LSI, and CCA, of cells `rest`; all cells get components under them. */
static int refit(struct cm_links_fold *f, const struct cm_links_whole *w,
                 const struct cm_linear_whole *linear, const uint64_t *rest, size_t n)
{
    float *to[2];
    for (size_t m = 0; m < 2; m++) {
        f->z[m] = CM_NEW(w->data->x[m]->rows * linear->linear->k, float);
        to[w->data->side[m]] = f->z[m];
        f->view.z[m] = f->z[m];
    }
    return cm_linear_refit(&f->linear, linear, rest, n, to);
}

/* The features that have links, of a regression of all. */
static struct cm_links_side like(const struct cm_links_side *all, const struct cm_links_side *side,
                                 size_t r)
{
    bool *keep = CM_ZNEW(all->n, bool);
    for (size_t j = 0; j < side->n; j++)
        keep[side->feature[j]] = true;
    struct cm_links_side s = cm_links_side_take(all, keep, r);
    cm_free(keep);
    return s;
}

/* LSI, CCA and residuals of cells `rest` alone. */
static int own_fit(struct cm_links_fold *f, const struct cm_links_whole *w, const uint64_t *rest,
                   size_t n)
{
    const struct cm_links_learn_data *d = w->data;
    struct cm_linear_config how = d->fit;
    size_t k = d->linear->k;
    struct cm_csr part[2];
    const struct cm_csr *x[2];
    float *z[2];
    for (size_t m = 0; m < 2; m++) {
        part[m] = cm_csr_rows(d->x[m], rest, n);
        x[d->side[m]] = &part[m];
        z[d->side[m]] = CM_NEW(n * k, float);
    }
    how.k = (int64_t)k;
    how.q = (int64_t)d->linear->q;
    int code = cm_linear_fit(&f->linear, x, &how, d->seed, z);
    for (size_t m = 0; m < 2; m++) {
        size_t side = d->side[m];
        struct cm_links_side all = {0};
        if (!code)
            code = cm_links_regress(&all, &part[m], z[side], k, f->linear.side[side].mean,
                                    w->links.r, w->config->fit.ridge);
        if (!code) {
            f->side[m] = like(&all, m ? &w->links.peak : &w->links.gene, w->links.r);
            f->z[m] = CM_NEW(d->x[m]->rows * k, float);
            cm_linear_z(&f->linear, side, d->x[m], f->z[m]);
            f->view.z[m] = f->view.cell[m].z = f->z[m];
        }
        cm_links_side_free(&all);
        cm_csr_free(&part[m]);
        cm_free(z[side]);
    }
    f->view.links.gene = f->side[0];
    f->view.links.peak = f->side[1];
    return code;
}

/* sums: of the cells `rest`, or NULL: to be taken under a fit of the fold's own. */
static int fold_make(struct cm_links_fold *f, const struct cm_links_whole *w,
                     const struct cm_linear_whole *linear, const struct cm_links_sums *sums,
                     const uint64_t *rest, size_t n)
{
    f->view = cm_links_whole_view(w);
    f->view.linear = &f->linear;
    int code = sums ? refit(f, w, linear, rest, n) : own_fit(f, w, rest, n);
    /* Components are known; loadings, the larger part of a fit, are not needed. */
    for (size_t m = 0; m < 2; m++) {
        cm_free(f->linear.side[m].v);
        f->linear.side[m].v = NULL;
    }
    if (code)
        return code;
    struct cm_links_pairing pairing = pairing_of(&f->view, w->data->groups);
    struct cm_links_sums own = {0};
    double *value = CM_NEW(w->links.n, double);
    if (!sums) {
        own = cm_links_sums_make(&pairing);
        cm_links_sums_take(&own, &pairing, rest, n);
    }
    cm_links_correlations(value, sums ? sums : &own, &pairing);
    cm_links_sums_free(&own);
    table_make(&f->table, w, value, n);
    cm_free(value);
    code = table_scale(&f->table, w, &f->view, rest, n);
    f->view.mu = f->table.mu;
    if (!code && f->n <= CM_LINKS_CELLS)
        cm_links_batch_make(&f->batch, &f->view, f->at, f->n);
    return code;
}

/* Sums of each fold's cells, and of all. */
static void take_sums(struct cm_links_sums *part, struct cm_links_sums *all,
                      const struct cm_links_fold *fold, size_t folds,
                      const struct cm_links_pairing *pairing)
{
    *all = cm_links_sums_make(pairing);
    for (size_t k = 0; k < folds; k++) {
        part[k] = cm_links_sums_make(pairing);
        cm_links_sums_take(&part[k], pairing, fold[k].at, fold[k].n);
        cm_links_sums_add(all, pairing, 1, &part[k]);
    }
}

static struct cm_linear_whole linear_whole(const struct cm_links_learn_data *d)
{
    const struct cm_csr *x[2];
    const float *z[2];
    for (size_t m = 0; m < 2; m++) {
        x[d->side[m]] = d->x[m];
        z[d->side[m]] = d->z[m];
    }
    return cm_linear_whole(d->linear, x, z, &d->fit);
}

int cm_links_folds_make(struct cm_links_fold *fold, size_t folds, const struct cm_links_whole *w,
                        const uint64_t *order)
{
    size_t all = w->data->x[0]->rows;
    struct cm_links_view view = cm_links_whole_view(w);
    struct cm_links_pairing pairing = pairing_of(&view, w->data->groups);
    struct cm_links_sums *part = CM_ZNEW(folds, struct cm_links_sums), rest_sums = {0};
    bool own = all < CM_LINEAR_REFIT_CELLS;
    struct cm_linear_whole linear = linear_whole(w->data);
    uint64_t *rest = CM_NEW(all, uint64_t);
    int code = 0;
    for (size_t k = 0; k < folds; k++) {
        size_t from = cm_shard_begin(all, folds, k), to = cm_shard_begin(all, folds, k + 1);
        fold[k].n = to - from;
        fold[k].at = CM_NEW(fold[k].n, uint64_t);
        memcpy(fold[k].at, order + from, fold[k].n * sizeof *order);
    }
    if (!own)
        take_sums(part, &rest_sums, fold, folds, &pairing);
    for (size_t k = 0; !code && k < folds; k++) {
        size_t from = cm_shard_begin(all, folds, k), to = cm_shard_begin(all, folds, k + 1);
        memcpy(rest, order, from * sizeof *rest);
        memcpy(rest + from, order + to, (all - to) * sizeof *rest);
        if (!own)
            cm_links_sums_add(&rest_sums, &pairing, -1, &part[k]);
        code = fold_make(&fold[k], w, &linear, own ? NULL : &rest_sums, rest, all - fold[k].n);
        if (!own)
            cm_links_sums_add(&rest_sums, &pairing, 1, &part[k]);
    }
    for (size_t k = 0; k < folds; k++)
        cm_links_sums_free(&part[k]);
    cm_links_sums_free(&rest_sums);
    cm_linear_whole_free(&linear);
    cm_free(part);
    cm_free(rest);
    return code;
}

/* ===== cells ================================================================================ */

void cm_links_batch_make(struct cm_links_batch *b, const struct cm_links_view *v,
                         const uint64_t *at, size_t n)
{
    size_t k = v->linear->k, q = v->linear->q;
    float *e[2], *z = CM_NEW(n * k, float);
    *b = (struct cm_links_batch){.n = n, .mu = v->mu};
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < n; i++)
            memcpy(z + i * k, v->z[m] + at[i] * k, k * sizeof *z);
        e[m] = CM_NEW(n * q, float);
        cm_linear_e(v->linear, v->side[m], z, n, e[m], q);
    }
    b->s0 = CM_NEW(n * n, float);
    cm_sgemm_parallel(false, true, n, n, q, 1, e[0], q, e[1], q, 0, b->s0, n);
    cm_links_factor(&b->u, &v->links.gene, v->links.r, v->links.clip, &v->cell[0], at, n);
    cm_links_factor(&b->w, &v->links.peak, v->links.r, INFINITY, &v->cell[1], at, n);
    if (v->group) {
        b->group = CM_NEW(n, uint32_t);
        for (size_t i = 0; i < n; i++)
            b->group[i] = v->group[at[i]];
    }
    cm_free(e[0]);
    cm_free(e[1]);
    cm_free(z);
}
