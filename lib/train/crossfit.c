/* train/crossfit.c - the calibrated temperature where validation cells are few.  See crossfit.h. */
#include "train/crossfit.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "linear/refit.h"
#include "train/fit.h"

enum { FOLDS = CM_CALIBRATION_FOLDS, UNUSED = FOLDS };

/* One fold: its cells, and their similarities by the model fitted without them. */
struct fold {
    uint64_t *in, *out; /* rows of the training cells, ascending */
    size_t nin, nout;
    struct cm_csr held[2];
    uint32_t *group;
    float *s, *valid;
};

/* How many folds get a model. */
static size_t folds_fitted(const struct cm_train_data *d)
{
    return d->part[0].x[0].rows < CM_LINEAR_REFIT_CELLS ? FOLDS : 1;
}

/* Upper bound of the cells of a fold that its model is evaluated on. */
static size_t held_cells(const struct cm_train_data *d)
{
    return cm_size_min(CM_CALIBRATION_MAX / folds_fitted(d), CM_CALIBRATION_FOLD_MAX);
}

static struct cm_rule_block block_of(const float *s, size_t n, const uint32_t *group)
{
    return (struct cm_rule_block){s, n, n, group};
}

/* Assigns training cells to folds in the order of a shuffle; fold sizes differ by one at most.
 * UNUSED is added where a fold has enough others to evaluate its model on. */
static void deal(const struct cm_crossfit *x, size_t n, unsigned char *fold)
{
    struct cm_rng rng = cm_rng_make(x->seed, CM_RNG_FOLDS, UINT32_MAX, 0);
    uint64_t *order = CM_NEW(n, uint64_t);
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    cm_rng_shuffle(&rng, order, n);
    size_t enough = held_cells(x->data);
    for (size_t i = 0; i < n; i++)
        fold[order[i]] = (unsigned char)(i % FOLDS + (i / FOLDS < enough ? 0 : UNUSED));
    cm_free(order);
}

static uint32_t *groups_at(const uint32_t *group, const uint64_t *at, size_t n)
{
    uint32_t *to = group ? CM_NEW(n, uint32_t) : NULL;
    for (size_t i = 0; group && i < n; i++)
        to[i] = group[at[i]];
    return to;
}

static int fit_fold(const struct cm_crossfit *x, const unsigned char *of, size_t k, struct fold *f)
{
    const struct cm_train_part *p = &x->data->part[0];
    size_t n = p->x[0].rows, v = x->valid[0]->rows;
    f->in = CM_NEW(n, uint64_t);
    f->out = CM_NEW(n, uint64_t);
    for (size_t i = 0; i < n; i++)
        if (of[i] == k)
            f->out[f->nout++] = i;
        else if (of[i] != k + UNUSED)
            f->in[f->nin++] = i;
    struct cm_train_data data = {.head = x->data->head, .groups = x->data->groups};
    data.part[0].group = groups_at(p->group, f->in, f->nin);
    for (size_t side = 0; side < 2; side++) {
        data.part[0].x[side] = cm_csr_rows(&p->x[side], f->in, f->nin);
        f->held[side] = cm_csr_rows(&p->x[side], f->out, f->nout);
    }
    f->group = groups_at(p->group, f->out, f->nout);
    f->s = CM_NEW(f->nout * f->nout, float);
    f->valid = CM_NEW(v * v + 1, float);
    const struct cm_csr *const held[2] = {&f->held[0], &f->held[1]};
    int code = x->fit(x->arg, &data, f->in, held, f->s, x->valid, f->valid);
    for (size_t side = 0; side < 2; side++) {
        cm_csr_free(&data.part[0].x[side]);
        cm_csr_free(&f->held[side]);
    }
    cm_free(data.part[0].group);
    cm_free(f->in);
    cm_free(f->out);
    return code;
}

static double quotient(const struct cm_crossfit *x, const struct fold *fold)
{
    struct cm_rule_block b[FOLDS];
    size_t v = x->valid[0]->rows;
    if (v < CM_CALIBRATION_PAIRED)
        return 1;
    for (size_t k = 0; k < folds_fitted(x->data); k++)
        b[k] = block_of(fold[k].valid, v, x->group);
    return x->on_valid / cm_rule_calibrate(b, folds_fitted(x->data), x->method, NULL);
}

int cm_crossfit(const struct cm_crossfit *x, double *temperature, size_t *cells)
{
    size_t n = x->data->part[0].x[0].rows, v = x->valid[0]->rows;
    struct fold fold[FOLDS] = {{0}};
    struct cm_rule_block b[FOLDS];
    int code = 0;
    *temperature = v ? x->on_valid : 0;
    *cells = v;
    if (n < (size_t)FOLDS * CM_CALIBRATION_FEWEST)
        return 0;
    unsigned char *of = CM_NEW(n, unsigned char);
    deal(x, n, of);
    for (size_t k = 0; k < folds_fitted(x->data) && !code; k++) {
        code = fit_fold(x, of, k, &fold[k]);
        b[k] = block_of(fold[k].s, fold[k].nout, fold[k].group);
    }
    if (!code) {
        *temperature =
            cm_rule_calibrate(b, folds_fitted(x->data), x->method, NULL) * quotient(x, fold);
        for (size_t k = 0; k < folds_fitted(x->data); k++)
            *cells += fold[k].nout;
    }
    for (size_t k = 0; k < FOLDS; k++) {
        cm_free(fold[k].group);
        cm_free(fold[k].s);
        cm_free(fold[k].valid);
    }
    cm_free(of);
    return code;
}

uint64_t cm_crossfit_bytes(const struct cm_train_data *d)
{
    const struct cm_train_part *p = &d->part[0];
    uint64_t n = p->x[0].rows, entries = p->x[0].ptr[n] + p->x[1].ptr[n], v = d->part[1].names.n,
             folds = folds_fitted(d), held = cm_size_min(n / FOLDS + 1, held_cells(d));
    return 8 * entries + 40 * n + (folds + 1) * 4 * (held * held + v * v);
}
