/* links/learn.c - learning the weights of links out of fold.
 *
 * A fold with at most CM_LINKS_CELLS cells is matched whole and its residuals are worked out once.
 * Larger ones take turns: half of them a step, each with cells drawn for the step.  On 7,333 cells
 * that is half the time for 1/40 of the loss that learning takes away.
 */
#include "links/learn.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "links/apply.h"
#include "links/folds.h"
#include "linear/refit.h"

#define VALID        1024 /* validation cells used */
#define LINKS_A_GENE 64   /* more than the wide window has of them; for the bound on memory */
#define FOLDS_AT     0    /* purposes of the random numbers: `a` of cm_rng_make */
#define DRAW_AT      1

struct learning {
    const struct cm_learn_config *o;
    const struct cm_links_learn_data *d;
    const struct cm_links_whole *whole;
    struct cm_links_index index;
    struct cm_links_fold *fold;
    size_t folds;
    struct cm_links_batch valid; /* n 0: none */
    float *w, *grad;
};

static size_t size_of(const struct learning *l)
{
    return cm_links_weights_size((size_t)l->o->hidden);
}

/* ===== a step of the folds ================================================================== */

/* Every fold is a shard, and all that it does is serial: no core waits for another. */
struct step {
    const struct learning *l;
    size_t step, from, every; /* folds from, from + every, ... */
    bool grad;
    const double *log_t; /* of each loss */
    size_t losses;       /* 1 with gradients */
    double *loss;        /* folds x losses */
    float *part;         /* folds x numbers of the network */
};

static int fold_step(void *arg, size_t item)
{
    const struct step *s = arg;
    const struct learning *l = s->l;
    size_t k = s->from + item * s->every;
    struct cm_links_fold *f = &l->fold[k];
    struct cm_links_batch drawn = {0}, *b = &f->batch;
    size_t hidden = (size_t)l->o->hidden, size = size_of(l);
    if (f->n > CM_LINKS_CELLS) {
        struct cm_rng g =
            cm_rng_make(l->d->seed, CM_RNG_FOLDS, DRAW_AT + (uint32_t)k, (uint32_t)s->step);
        cm_rng_shuffle(&g, f->at, f->n);
        cm_links_batch_make(&drawn, &f->view, f->at, CM_LINKS_CELLS);
        b = &drawn;
    }
    float *phi = CM_NEW(f->table.facts.n, float), *part = s->part + k * size;
    cm_links_weights(phi, &f->table.facts, l->w, hidden);
    if (s->grad) {
        float *dphi = CM_NEW(f->table.facts.n, float);
        s->loss[k] = cm_links_loss(dphi, &part[size - 1], b, &l->index, phi, s->log_t[0]);
        cm_links_weights_backward(part, dphi, &f->table.facts, l->w, hidden);
        cm_free(dphi);
    } else {
        cm_links_losses(s->loss + k * s->losses, s->log_t, s->losses, b, &l->index, phi);
    }
    cm_free(phi);
    cm_links_batch_free(&drawn);
    return 0;
}

/* loss (losses) = sums over folds, under each of the factors; with grad (one factor) l->grad too,
 * and large folds take turns. */
static void run_folds(struct learning *l, size_t step, bool grad, const double *log_t,
                      size_t losses, double *loss)
{
    size_t size = size_of(l), every = grad && l->fold[0].n > CM_LINKS_CELLS ? 2 : 1;
    struct step s = {.l = l,
                     .step = step,
                     .from = step % every,
                     .every = every,
                     .grad = grad,
                     .log_t = log_t,
                     .losses = losses};
    s.loss = CM_ZNEW(l->folds * losses, double);
    s.part = CM_ZNEW(l->folds * size, float);
    cm_parallel((l->folds - s.from + every - 1) / every, fold_step, &s);
    memset(l->grad, 0, size * sizeof *l->grad);
    memset(loss, 0, losses * sizeof *loss);
    for (size_t k = s.from; k < l->folds; k += every) {
        for (size_t i = 0; i < losses; i++)
            loss[i] += s.loss[k * losses + i];
        for (size_t i = 0; grad && i < size; i++)
            l->grad[i] += s.part[k * size + i];
    }
    cm_free(s.loss);
    cm_free(s.part);
}

static double validate(struct learning *l)
{
    double loss, log_t = (double)l->w[size_of(l) - 1];
    if (l->valid.n == 0)
        return NAN;
    float *phi = CM_NEW(l->index.ptr[l->index.genes], float);
    cm_links_weights(phi, &l->whole->table.facts, l->w, (size_t)l->o->hidden);
    cm_links_losses(&loss, &log_t, 1, &l->valid, &l->index, phi);
    cm_free(phi);
    return loss;
}

/* The factor of the similarities under which the first weights do best, of a few. */
static void first_factor(struct learning *l)
{
    static const double factor[] = {5, 8, 12, 20, 40, 80};
    enum { N = sizeof factor / sizeof *factor };
    double log_t[N], loss[N];
    size_t best = 0;
    for (size_t i = 0; i < N; i++)
        log_t[i] = log(factor[i]);
    run_folds(l, 0, false, log_t, N, loss);
    for (size_t i = 1; i < N; i++)
        if (loss[i] < loss[best])
            best = i;
    l->w[size_of(l) - 1] = (float)log_t[best];
}

/* ===== descent ============================================================================== */

static int descend(struct learning *l, struct cm_links_report *r)
{
    const struct cm_learn_config *o = l->o;
    size_t size = size_of(l), steps = (size_t)o->steps;
    float *m = CM_ZNEW(size, float), *v = CM_ZNEW(size, float), *best = CM_NEW(size, float);
    struct cm_adam adam = CM_ADAM_DEFAULT;
    adam.lr = o->lr;
    int code = 0;
    memcpy(best, l->w, size * sizeof *best);
    r->before = r->after = validate(l);
    for (size_t step = 0; !code && step < steps; step++) {
        double loss, log_t = (double)l->w[size - 1];
        run_folds(l, step, true, &log_t, 1, &loss);
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

static uint64_t *counting(size_t n)
{
    uint64_t *at = CM_NEW(n, uint64_t);
    for (size_t i = 0; i < n; i++)
        at[i] = i;
    return at;
}

/* Validation cells under the fit of all training cells. */
static void make_valid(struct learning *l)
{
    const struct cm_links_learn_data *d = l->d;
    struct cm_links_view view = cm_links_whole_view(l->whole);
    size_t n = d->v[0]->rows < VALID ? d->v[0]->rows : VALID, k = d->linear->k;
    float *z[2] = {NULL, NULL};
    if (n == 0)
        return;
    for (size_t m = 0; m < 2; m++) {
        z[m] = CM_NEW(d->v[m]->rows * k, float);
        cm_linear_z(d->linear, d->side[m], d->v[m], z[m]);
        view.cell[m] = (struct cm_links_cells){d->v[m], z[m], k};
        view.z[m] = z[m];
    }
    view.group = d->valid_group;
    uint64_t *at = counting(n);
    cm_links_batch_make(&l->valid, &view, at, n);
    cm_free(at);
    cm_free(z[0]);
    cm_free(z[1]);
}

/* Trains the network on the folds; 1: the weights of the links are the learned ones. */
static int learn_weights(struct learning *l, struct cm_links_whole *whole,
                         struct cm_links_report *r)
{
    size_t hidden = (size_t)l->o->hidden, size = size_of(l);
    make_valid(l);
    l->w = CM_NEW(size, float);
    l->grad = CM_NEW(size, float);
    cm_links_weights_init(l->w, hidden, 0, l->d->seed);
    first_factor(l);
    int code = descend(l, r);
    if (code == 0 && r->step == 0) {
        code = cm_fail(0, "no weights of links were better on the validation cells");
    } else if (code == 0) {
        cm_links_weights(whole->links.c, &whole->table.facts, l->w, hidden);
        whole->links.mu = whole->table.mu;
        cm_links_finish(&whole->links);
        r->pairs = whole->links.n;
        code = 1;
    }
    cm_links_batch_free(&l->valid);
    cm_free(l->w);
    cm_free(l->grad);
    return code;
}

int cm_links_learn(struct cm_links *links, const struct cm_links_config *c,
                   const struct cm_links_learn_data *d, struct cm_links_report *report)
{
    size_t n = d->x[0]->rows, folds = (size_t)c->learn.folds;
    struct cm_links_report none = {0}, *r = report ? report : &none;
    memset(r, 0, sizeof *r);
    r->before = r->after = NAN;
    if (n / folds < CM_LINKS_FEWEST || n - n / folds - 1 < d->linear->k)
        return cm_fail(0,
                       "%zu training cells are too few to hold out %zu parts of at least %d and to "
                       "fit %zu components on the others",
                       n, folds, CM_LINKS_FEWEST, d->linear->k);
    uint64_t *order = counting(n);
    struct cm_rng g = cm_rng_make(d->seed, CM_RNG_FOLDS, FOLDS_AT, 0);
    cm_rng_shuffle(&g, order, n);
    struct cm_links_whole whole;
    struct cm_links_fold *fold = CM_ZNEW(folds, struct cm_links_fold);
    int code = cm_links_whole_make(&whole, c, d);
    if (code == 1 && cm_links_folds_make(fold, folds, &whole, order) < 0)
        code = CM_ENUMERIC;
    if (code == 1) {
        struct learning l = {.o = &c->learn,
                             .d = d,
                             .whole = &whole,
                             .index = cm_links_index(&whole.links),
                             .fold = fold,
                             .folds = folds};
        code = learn_weights(&l, &whole, r);
    }
    if (code == 1) {
        cm_links_free(links);
        *links = whole.links;
        memset(&whole.links, 0, sizeof whole.links);
    }
    for (size_t k = 0; k < folds; k++)
        cm_links_fold_free(&fold[k]);
    cm_free(fold);
    cm_links_whole_free(&whole);
    cm_free(order);
    return code;
}

uint64_t cm_links_learn_bytes(const struct cm_learn_config *o, uint64_t n, uint64_t entries,
                              uint64_t genes, uint64_t peaks, uint64_t k)
{
    uint64_t folds = (uint64_t)o->folds, fold = n / folds + 1,
             cells = fold < CM_LINKS_CELLS ? fold : CM_LINKS_CELLS,
             links = LINKS_A_GENE * (genes < peaks ? genes : peaks),
             batch = cm_links_similarities_bytes(cells, entries / (n / cells + 1), genes, peaks) +
                     16 * cells * cells;
    /* Components of all cells under each fold's fit; loadings of one fit at a time. */
    uint64_t linear = 8 * k * n * (folds + 1) + 20 * k * (genes + peaks),
             facts = links * (40 * (folds + 1) + 8 * (folds + 3));
    /* Small folds keep their batches; of large ones those are there that a thread works on. */
    uint64_t kept = fold > CM_LINKS_CELLS ? 0 : folds * batch,
             step = cm_size_min(folds, cm_pool_threads()) * batch,
             sample = cm_links_similarities_bytes(n, entries, genes, peaks);
    return linear + facts + (n < CM_LINEAR_REFIT_CELLS ? 8 * entries : 0) + kept +
           (step > sample ? step : sample) + 16 * (uint64_t)VALID * VALID;
}
