/* links/folds.c - links fitted on a part of the training cells, and cells matched among themselves.
 *
 * Folds differ in their number of links by pairs whose correlation is exactly 0.
 */
#include "links/folds.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "matrix/blas.h"
#include "links/apply.h"
#include "links/sites.h"

enum { F = CM_LINKS_FACTS };

void cm_links_table_free(struct cm_links_table *t)
{
    cm_free(t->x);
    cm_free(t->first);
    cm_free(t->c);
}

/* seen[side][feature]: share of training cells.  links->c is set to the first weights, and mu to
 * their scale; d: the cells that links were fitted on. */
static int make_table(struct cm_links_table *t, struct cm_links *links,
                      const struct cm_links_fit_config *c, const struct cm_links_data *d,
                      double *const seen[2])
{
    double *distance = CM_NEW(double, links->n), n = (double)d->x[0]->rows, root = sqrt(n);
    memset(t, 0, sizeof *t);
    t->x = CM_NEW(float, links->n *F);
    t->first = CM_NEW(float, links->n);
    t->c = CM_NEW(float, links->n);
    cm_links_distances(links, d->table[0], d->table[1], distance);
    for (size_t g = 0; g < links->gene.n; g++)
        for (uint64_t e = links->ptr[g]; e < links->ptr[g + 1]; e++) {
            double r = (double)links->c[e], size = fabs(r), limit = c->threshold / root,
                   s = size * root;
            bool near = distance[e] < (double)c->window && size > limit;
            t->c[e] = links->c[e];
            t->first[e] = near ? (float)(r > 0 ? r - limit : r + limit) : 0;
            float *fact = t->x + e * F;
            fact[0] = (float)log1p(s);
            fact[1] = (float)(s > 2 ? (s - 2) / 3 : 0);
            fact[2] = (float)(log10(distance[e] + 1000) - 4.5);
            fact[3] = (float)(log(seen[0][links->gene.feature[g]] + .001) + 3);
            fact[4] = (float)(log(seen[1][links->peak.feature[links->peak_of[e]]] + .001) + 3);
        }
    memcpy(links->c, t->first, links->n * sizeof *links->c);
    cm_free(distance);
    t->p = (struct cm_links_facts){links->n, t->x, t->first, t->c, links->ptr, links->peak_of};
    int code = cm_links_scale(links, c->sd, d);
    t->mu = links->mu;
    return code;
}

struct cm_links_data cm_links_data_of(const struct cm_links_learn_data *d,
                                      const struct cm_linear *linear,
                                      const struct cm_csr *const x[2], const float *const z[2],
                                      const uint32_t *group)
{
    struct cm_links_data to = {
        .ldz = linear->k, .group = group, .groups = d->groups, .seed = d->seed};
    for (size_t m = 0; m < 2; m++) {
        to.x[m] = x[m];
        to.z[m] = z[m];
        to.mean[m] = linear->side[d->side[m]].mean;
        to.table[m] = d->table[m];
    }
    return to;
}

int cm_links_fit_all(struct cm_links *links, struct cm_links_table *t,
                     const struct cm_links_config *c, const struct cm_links_data *d,
                     double *const seen[2])
{
    struct cm_links_fit_config all = c->fit;
    all.window = c->learn.window > all.window ? c->learn.window : all.window;
    all.threshold = 0;
    int code = cm_links_fit(links, &all, d);
    if (code == 1)
        code = make_table(t, links, &c->fit, d, seen) < 0 ? CM_ENUMERIC : 1;
    return code;
}

static float *transposed(float *x, size_t n, size_t features)
{
    float *to = CM_NEW(float, n *features);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < features; j++)
            to[j * n + i] = x[i * features + j];
    cm_free(x);
    return to;
}

void cm_links_cells_make(struct cm_links_cells *s, const struct cm_links *links,
                         const struct cm_linear *linear, const size_t side[2],
                         const struct cm_csr *const x[2], const uint64_t *at, size_t n,
                         const uint32_t *group, double mu)
{
    size_t k = linear->k, q = linear->q;
    memset(s, 0, sizeof *s);
    s->n = n;
    s->mu = mu;
    s->genes = links->gene.n;
    s->peaks = links->peak.n;
    s->u = CM_NEW(float, n * s->genes);
    s->w = CM_NEW(float, n * s->peaks);
    s->s0 = CM_NEW(float, n *n);
    float *e[2], *z = CM_NEW(float, n *k);
    for (size_t m = 0; m < 2; m++) {
        struct cm_csr rows = cm_csr_rows(x[m], at, n);
        cm_linear_z(linear, side[m], &rows, z);
        e[m] = CM_NEW(float, n *q);
        cm_linear_e(linear, side[m], z, n, e[m], q);
        if (m == 0)
            cm_links_gene_columns(links, &rows, z, k, s->u, s->genes);
        else
            cm_links_peak_residuals(links, &rows, z, k, s->w, s->peaks);
        cm_csr_free(&rows);
    }
    s->u = transposed(s->u, n, s->genes);
    s->w = transposed(s->w, n, s->peaks);
    cm_sgemm_parallel(false, true, n, n, q, 1, e[0], q, e[1], q, 0, s->s0, n);
    if (group) {
        uint32_t *own = CM_NEW(uint32_t, n);
        for (size_t i = 0; i < n; i++)
            own[i] = group[at[i]];
        s->group = own;
    }
    cm_free(e[0]);
    cm_free(e[1]);
    cm_free(z);
}

void cm_links_cells_free(struct cm_links_cells *s)
{
    cm_free(s->u);
    cm_free(s->w);
    cm_free(s->s0);
    cm_free((void *)(uintptr_t)s->group);
    memset(s, 0, sizeof *s);
}

void cm_links_fold_free(struct cm_links_fold *f)
{
    cm_linear_free(&f->linear);
    cm_links_free(&f->links);
    cm_links_table_free(&f->table);
    cm_links_cells_free(&f->cells);
    cm_free(f->at);
}

/* Fits the cells `rest` of a fold's complement: linear part, links and their facts. */
static int fit_rest(struct cm_links_fold *f, const struct cm_links_config *c,
                    const struct cm_links_learn_data *d, double *const seen[2],
                    const uint64_t *rest, size_t n)
{
    struct cm_csr part[2];
    for (size_t m = 0; m < 2; m++)
        part[m] = cm_csr_rows(d->x[m], rest, n);
    uint32_t *group = d->group ? CM_NEW(uint32_t, n) : NULL;
    for (size_t i = 0; group && i < n; i++)
        group[i] = d->group[rest[i]];
    const struct cm_csr *x[2] = {&part[0], &part[1]}, *by_side[2];
    float *z[2] = {NULL, NULL}, *z_side[2];
    size_t k = d->linear->k < n ? d->linear->k : n, q = d->linear->q < k ? d->linear->q : k;
    for (size_t m = 0; m < 2; m++) {
        z[m] = CM_NEW(float, n *k);
        by_side[d->side[m]] = x[m];
        z_side[d->side[m]] = z[m];
    }
    struct cm_linear_config how = d->fit;
    how.k = (int64_t)k;
    how.q = (int64_t)q;
    int code = cm_linear_fit(&f->linear, by_side, &how, d->seed, z_side);
    if (code == 0) {
        const float *const zc[2] = {z[0], z[1]};
        struct cm_links_data data = cm_links_data_of(d, &f->linear, x, zc, group);
        code = cm_links_fit_all(&f->links, &f->table, c, &data, seen);
    }
    for (size_t m = 0; m < 2; m++) {
        cm_csr_free(&part[m]);
        cm_free(z[m]);
    }
    cm_free(group);
    return code;
}

int cm_links_fold_make(struct cm_links_fold *f, const struct cm_links_config *c,
                       const struct cm_links_learn_data *d, double *const seen[2],
                       const uint64_t *order, size_t from, size_t to)
{
    size_t all = d->x[0]->rows, n = all - (to - from);
    uint64_t *rest = CM_NEW(uint64_t, n);
    memset(f, 0, sizeof *f);
    memcpy(rest, order, from * sizeof *rest);
    memcpy(rest + from, order + to, (all - to) * sizeof *rest);
    f->n = to - from;
    f->at = CM_NEW(uint64_t, f->n);
    memcpy(f->at, order + from, f->n * sizeof *f->at);
    int code = fit_rest(f, c, d, seen, rest, n);
    if (code == 1 && f->n <= CM_LINKS_CELLS)
        cm_links_cells_make(&f->cells, &f->links, &f->linear, d->side, d->x, f->at, f->n, d->group,
                            f->table.mu);
    cm_free(rest);
    return code;
}
