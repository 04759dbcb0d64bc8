/* links/learn.c - learning the weights of links out of fold.
 *
 * A fold with at most CM_LINKS_CELLS cells is matched whole and its residuals are worked out once;
 * of a larger one every step draws other cells.
 */
#include "links/learn.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "links/folds.h"

#define VALID    1024 /* validation cells used */
#define FOLDS_AT 0    /* purposes of the random numbers: `a` of cm_rng_make */
#define DRAW_AT  1

struct learning {
    const struct cm_learn_config *o;
    const struct cm_links_learn_data *d;
    struct cm_links_fold *fold;
    size_t folds;
    struct cm_links_cells valid; /* n 0: none */
    const struct cm_links_table *full;
    float *w, *grad, *phi, *dphi;
};

/* Sum over folds of their loss; with grad also the gradient. */
static double all_folds(struct learning *l, size_t step, bool grad)
{
    size_t hidden = (size_t)l->o->hidden, size = cm_links_weights_size(hidden);
    double total = 0;
    memset(l->grad, 0, size * sizeof *l->grad);
    for (size_t k = 0; k < l->folds; k++) {
        struct cm_links_fold *f = &l->fold[k];
        struct cm_links_cells drawn = {0}, *s = &f->cells;
        if (f->n > CM_LINKS_CELLS) {
            struct cm_rng g =
                cm_rng_make(l->d->seed, CM_RNG_FOLDS, DRAW_AT + (uint32_t)k, (uint32_t)step);
            cm_rng_shuffle(&g, f->at, f->n);
            cm_links_cells_make(&drawn, &f->links, &f->linear, l->d->side, l->d->x, f->at,
                                CM_LINKS_CELLS, l->d->group, f->table.mu);
            s = &drawn;
        }
        float dlog_t = 0;
        cm_links_weights(l->phi, &f->table.p, l->w, hidden);
        total += cm_links_loss(grad ? l->dphi : NULL, &dlog_t, s, &f->table.p, l->phi,
                               (double)l->w[size - 1]);
        if (grad)
            cm_links_weights_backward(l->grad, l->dphi, &f->table.p, l->w, hidden);
        l->grad[size - 1] += dlog_t;
        cm_links_cells_free(&drawn);
    }
    return total;
}

static double validate(struct learning *l)
{
    float unused;
    if (l->valid.n == 0)
        return NAN;
    size_t hidden = (size_t)l->o->hidden;
    cm_links_weights(l->phi, &l->full->p, l->w, hidden);
    return cm_links_loss(NULL, &unused, &l->valid, &l->full->p, l->phi,
                         (double)l->w[cm_links_weights_size(hidden) - 1]);
}

/* The factor of the similarities under which the first weights do best, of a few. */
static void first_factor(struct learning *l)
{
    static const double factor[] = {5, 8, 12, 20, 40, 80};
    size_t last = cm_links_weights_size((size_t)l->o->hidden) - 1;
    double min = INFINITY, best = factor[0];
    for (size_t i = 0; i < sizeof factor / sizeof *factor; i++) {
        l->w[last] = (float)log(factor[i]);
        double loss = all_folds(l, 0, false);
        if (loss < min) {
            min = loss;
            best = factor[i];
        }
    }
    l->w[last] = (float)log(best);
}

static int descend(struct learning *l, struct cm_links_report *r)
{
    const struct cm_learn_config *o = l->o;
    size_t size = cm_links_weights_size((size_t)o->hidden), steps = (size_t)o->steps;
    float *m = CM_ZNEW(float, size), *v = CM_ZNEW(float, size), *best = CM_NEW(float, size);
    struct cm_adam adam = CM_ADAM_DEFAULT;
    adam.lr = o->lr;
    int code = 0;
    memcpy(best, l->w, size * sizeof *best);
    r->before = r->after = validate(l);
    for (size_t step = 0; !code && step < steps; step++) {
        double loss = all_folds(l, step, true);
        cm_adam_step(l->w, m, v, l->grad, size, step + 1, &adam);
        if (!isfinite(loss) || !cm_all_finite(l->w, size))
            code = cm_fail(CM_ENUMERIC, "step %zu of the weights of peak-gene links is not finite",
                           step);
        if (code || ((step + 1) % CM_LINKS_VALID_EVERY && step + 1 < steps))
            continue;
        double now = validate(l);
        if (l->valid.n == 0 || now < r->after) {
            r->after = now;
            r->step = step + 1;
            memcpy(best, l->w, size * sizeof *best);
        }
    }
    memcpy(l->w, best, size * sizeof *best);
    cm_free(m);
    cm_free(v);
    cm_free(best);
    return code;
}

/* Share of cells that have each feature. */
static double *shares(const struct cm_csr *x)
{
    double *count = CM_ZNEW(double, x->cols);
    cm_csr_column_sums(x, NULL, count);
    for (size_t j = 0; j < x->cols; j++)
        count[j] /= (double)x->rows;
    return count;
}

static uint64_t *counting(size_t n)
{
    uint64_t *at = CM_NEW(uint64_t, n);
    for (size_t i = 0; i < n; i++)
        at[i] = i;
    return at;
}

/* Trains the network on the folds; 1: the weights of `full` are the learned ones. */
static int learn_weights(struct learning *l, struct cm_links *full, size_t max,
                         struct cm_links_report *r)
{
    const struct cm_links_learn_data *d = l->d;
    size_t hidden = (size_t)l->o->hidden, size = cm_links_weights_size(hidden);
    size_t v = d->v[0]->rows < VALID ? d->v[0]->rows : VALID;
    uint64_t *at = counting(v);
    if (v)
        cm_links_cells_make(&l->valid, full, d->linear, d->side, d->v, at, v, d->valid_group,
                            l->full->mu);
    l->w = CM_NEW(float, size);
    l->grad = CM_NEW(float, size);
    l->phi = CM_NEW(float, max);
    l->dphi = CM_NEW(float, max);
    cm_links_weights_init(l->w, hidden, 0, d->seed);
    first_factor(l);
    int code = descend(l, r);
    if (code == 0 && r->step == 0) {
        code = cm_fail(0, "no weights of links were better on the validation cells");
    } else if (code == 0) {
        cm_links_weights(full->c, &l->full->p, l->w, hidden);
        cm_links_finish(full);
        r->pairs = full->n;
        code = 1;
    }
    cm_links_cells_free(&l->valid);
    cm_free(at);
    cm_free(l->w);
    cm_free(l->grad);
    cm_free(l->phi);
    cm_free(l->dphi);
    return code;
}

int cm_links_learn(struct cm_links *links, const struct cm_links_config *c,
                   const struct cm_links_learn_data *d, struct cm_links_report *report)
{
    size_t n = d->x[0]->rows, all = (size_t)c->learn.folds, max, folds = 0;
    struct cm_links_report none = {0}, *r = report ? report : &none;
    memset(r, 0, sizeof *r);
    r->before = r->after = NAN;
    if (n / all < CM_LINKS_FEWEST || n - n / all <= d->linear->k)
        return cm_fail(0,
                       "%zu training cells are too few to hold out %zu parts of at least %d and to "
                       "fit %zu components on the others",
                       n, all, CM_LINKS_FEWEST, d->linear->k);
    double *seen[2] = {shares(d->x[0]), shares(d->x[1])};
    uint64_t *order = counting(n);
    struct cm_rng g = cm_rng_make(d->seed, CM_RNG_FOLDS, FOLDS_AT, 0);
    cm_rng_shuffle(&g, order, n);

    struct cm_links full = {0};
    struct cm_links_table table = {{0}, NULL, NULL, NULL, 0};
    struct cm_links_fold *fold = CM_ZNEW(struct cm_links_fold, all);
    struct cm_links_data data = cm_links_data_of(d, d->linear, d->x, d->z, d->group);
    int code = cm_links_fit_all(&full, &table, c, &data, seen);
    max = full.n;
    for (; code == 1 && folds < all; folds++) {
        code = cm_links_fold_make(&fold[folds], c, d, seen, order, cm_shard_begin(n, all, folds),
                                  cm_shard_begin(n, all, folds + 1));
        max = fold[folds].links.n > max ? fold[folds].links.n : max;
    }
    if (code == 1) {
        struct learning l = {.o = &c->learn, .d = d, .fold = fold, .folds = folds, .full = &table};
        code = learn_weights(&l, &full, max, r);
    }
    if (code == 1) {
        cm_links_free(links);
        *links = full;
        memset(&full, 0, sizeof full);
    }
    for (size_t k = 0; k < all; k++)
        cm_links_fold_free(&fold[k]);
    cm_free(fold);
    cm_links_table_free(&table);
    cm_links_free(&full);
    cm_free(order);
    cm_free(seen[0]);
    cm_free(seen[1]);
    return code;
}

uint64_t cm_links_learn_bytes(const struct cm_learn_config *o, uint64_t n, uint64_t entries,
                              uint64_t genes, uint64_t peaks)
{
    uint64_t folds = (uint64_t)o->folds, fold = n / folds + 1;
    uint64_t cells = fold < CM_LINKS_CELLS ? fold : CM_LINKS_CELLS,
             held = fold <= CM_LINKS_CELLS ? folds : 1;
    uint64_t copy = 8 * (entries - entries / folds);
    uint64_t sets = 4 * (held * cells + VALID) * (genes + peaks + cells);
    uint64_t work = 4 * VALID * (2 * (uint64_t)VALID + genes);
    return copy + sets + work;
}
