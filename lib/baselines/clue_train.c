/* baselines/clue_train.c - training of the cross-linked autoencoder.
 *
 * One step: codes of the mini-batch; the discriminator learns on them; then encoders and decoders
 * learn against the discriminator as it now is.  Random numbers are functions of (seed, step, row),
 * so runs repeat to the bit.  The authors end on a validation loss; here the validation score of
 * all trainers decides (match probability and top 5 of the validation cells), because matching is
 * what is compared, and the decoders then need no second form.  Only the encoders are kept.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "baselines/clue.h"

struct clue_fit {
    struct cm_model *m;
    const struct cm_train_data *d;
    float *const *z;
    const struct cm_clue_callbacks *callbacks;
    struct cm_clue c;
    cm_real *w, *v, *grad, *other;
    uint64_t seed;
    const struct cm_train_sample *valid;
};

/* ===== a mini-batch ======================================================================= */

struct drawn {
    size_t B;
    float *z[2];
    const uint32_t **idx[2];
    const float **count[2];
    size_t *n[2];
    uint32_t *label;
    cm_real *eps[2];
    struct cm_dropout drop;
    struct cm_clue_batch b;
};

static void draw(struct drawn *x, const struct clue_fit *f, const uint32_t *row, size_t B,
                 uint64_t step)
{
    const struct cm_train_part *p = &f->d->part[0];
    size_t k = f->c.in, q = f->c.q;
    *x = (struct drawn){.B = B, .drop = {.seed = f->seed, .step = (uint32_t)step}};
    x->b = (struct cm_clue_batch){.B = B, .drop = &x->drop};
    for (size_t m = 0; m < 2; m++) {
        x->z[m] = CM_NEW(B * k, float);
        x->idx[m] = CM_NEW(B, const uint32_t *);
        x->count[m] = CM_NEW(B, const float *);
        x->n[m] = CM_NEW(B, size_t);
        x->eps[m] = CM_NEW(B * q, cm_real);
        for (size_t i = 0; i < B; i++) {
            uint64_t from = p->x[m].ptr[row[i]];
            memcpy(x->z[m] + i * k, f->z[m] + row[i] * k, k * sizeof(float));
            x->idx[m][i] = p->x[m].idx + from;
            x->count[m][i] = p->count[m] + from;
            x->n[m][i] = p->x[m].ptr[row[i] + 1] - from;
            struct cm_rng g =
                cm_rng_make(f->seed, CM_RNG_LATENT, (uint32_t)step, (uint32_t)(2 * i + m));
            for (size_t c = 0; c < q; c++)
                x->eps[m][i * q + c] = (cm_real)cm_rng_normal(&g);
        }
        x->b.z[m] = x->z[m];
        x->b.idx[m] = x->idx[m];
        x->b.count[m] = x->count[m];
        x->b.n[m] = x->n[m];
        x->b.eps[m] = x->eps[m];
    }
    if (f->c.batches) {
        x->b.label = x->label = CM_NEW(B, uint32_t);
        for (size_t i = 0; i < B; i++)
            x->label[i] = p->group[row[i]];
    }
}

static void drawn_free(struct drawn *x)
{
    for (size_t m = 0; m < 2; m++) {
        cm_free(x->z[m]);
        cm_free(x->idx[m]);
        cm_free(x->count[m]);
        cm_free(x->n[m]);
        cm_free(x->eps[m]);
    }
    cm_free(x->label);
}

/* ===== a step ============================================================================= */

static void update(struct clue_fit *f, size_t from, size_t to)
{
    double lr = f->m->config.loop.lr, alpha = f->c.o.alpha;
    for (size_t t = from; t < to; t++) {
        const struct cm_param *p = &f->c.table.p[t];
        cm_rmsprop_step(f->w + p->offset, f->v + p->offset, f->grad + p->offset, p->n, lr, alpha,
                        1e-8);
    }
}

static int not_finite(const struct clue_fit *f, uint64_t step, uint32_t epoch)
{
    const char *where = "the loss";
    for (size_t t = 0; t < f->c.table.n; t++) {
        const struct cm_param *p = &f->c.table.p[t];
        if (!cm_all_finite(f->w + p->offset, p->n)) {
            where = p->name;
            break;
        }
    }
    return cm_fail(CM_ENUMERIC, "step %llu (epoch %u): %s is not finite; a smaller --lr may help",
                   (unsigned long long)step, epoch, where);
}

static int step_of(struct clue_fit *f, const uint32_t *row, size_t B, uint64_t step, uint32_t epoch,
                   struct cm_clue_terms *t)
{
    size_t size = f->c.table.size;
    struct drawn x;
    struct cm_clue_work work;
    draw(&x, f, row, B, step);
    cm_clue_work_make(&f->c, &work, B);
    memset(f->grad, 0, size * sizeof *f->grad);
    memset(f->other, 0, size * sizeof *f->other);
    cm_clue_encode(&f->c, f->w, &x.b, &work);
    if (f->c.o.adversary > 0) {
        cm_clue_discriminator(&f->c, f->w, f->grad, &x.b, &work);
        update(f, f->c.first_discriminator, f->c.table.n);
    }
    cm_clue_generate(&f->c, f->w, f->grad, f->other, &x.b, &work, t);
    for (size_t i = 0; i < size; i++)
        f->grad[i] += f->other[i];
    update(f, 0, f->c.first_discriminator);
    cm_clue_running(&f->c, f->w, &work, B);
    cm_clue_work_free(&f->c, &work);
    drawn_free(&x);
    if (!isfinite(t->loss) || !cm_all_finite(f->w, size))
        return not_finite(f, step, epoch);
    return 0;
}

/* ===== validation ========================================================================= */

/* The encoders, as the model has them. */
static void publish(const struct clue_fit *f)
{
    struct cm_net *net = &f->m->net;
    for (size_t t = 0; t < net->table.n; t++) {
        const struct cm_param *to = &net->table.p[t], *from = cm_params_find(&f->c.table, to->name);
        if (from)
            memcpy(net->w + to->offset, f->w + from->offset, to->n * sizeof *net->w);
    }
}

static double validate(const struct clue_fit *f)
{
    const struct cm_train_sample *v = f->valid;
    const struct cm_csr *const both[2] = {&v->x[0], &v->x[1]};
    float *s = CM_NEW(v->n * v->n, float);
    cm_model_similarities(f->m, both, s);
    double score = cm_fit_score(s, v->n, v->group);
    cm_free(s);
    return score;
}

/* ===== the loop =========================================================================== */

static size_t batches_of(const struct cm_train_part *p)
{
    uint32_t max = 0;
    for (size_t i = 0; p->group && i < p->names.n; i++)
        max = p->group[i] > max ? p->group[i] : max;
    return max ? max + 1 : 0; /* one batch tells nothing */
}

static void make(struct clue_fit *f, size_t n)
{
    const struct cm_linear *l = &f->m->linear;
    const char *slot[2] = {f->m->head.slot[0].name, f->m->head.slot[1].name};
    size_t d[2] = {f->d->part[0].x[0].cols, f->d->part[0].x[1].cols};
    cm_real *scale[2];
    cm_clue_make(&f->c, &f->m->config.net.clue, slot, l->k, d, batches_of(&f->d->part[0]));
    for (size_t m = 0; m < 2; m++) {
        const double *s = l->side[m].s;
        scale[m] = CM_ZNEW(l->k, cm_real);
        for (size_t i = 0; i < l->k; i++)
            if (s[i] > 1e-6 * s[0])
                scale[m][i] = (cm_real)(sqrt((double)n) / s[i]);
    }
    cm_real **const arena[] = {&f->w, &f->v, &f->grad, &f->other};
    for (size_t i = 0; i < 4; i++)
        *arena[i] = CM_ZNEW(f->c.table.size, cm_real);
    const cm_real *const both[2] = {scale[0], scale[1]};
    cm_clue_init(&f->c, f->w, both, f->seed);
    cm_free(scale[0]);
    cm_free(scale[1]);
}

struct progress {
    double best;
    uint32_t best_epoch;
    int64_t stale;
    uint64_t steps, cells;
    bool stopped, lonely;
    cm_real *kept; /* the net's weights at the best validation */
    struct cm_clue_terms last;
};

static void report(const struct clue_fit *f, const struct progress *g, size_t at, double score)
{
    const struct cm_picks *p = &f->d->picks;
    if (!f->callbacks || !f->callbacks->report)
        return;
    struct cm_fit_report r = {.step = p->step[at],
                              .steps = p->step[p->n - 1] + 1,
                              .epoch = p->epoch[at],
                              .epochs = p->epoch[p->n - 1],
                              .cells = g->cells,
                              .cells_total = p->begin[p->n] - p->begin[0],
                              .loss = g->last.loss,
                              .lr = f->m->config.loop.lr,
                              .score = score,
                              .best = g->best >= 0 ? g->best : NAN};
    f->callbacks->report(f->callbacks->arg, &r, &g->last);
}

/* After the last mini-batch of an epoch that is due; NaN otherwise. */
static double validate_when_due(const struct clue_fit *f, struct progress *g, size_t at)
{
    const struct cm_picks *p = &f->d->picks;
    int64_t every = f->m->config.loop.valid_every;
    bool last = at + 1 == p->n;
    size_t size = f->m->net.table.size * sizeof *f->m->net.w;
    if (f->valid->n == 0 || every < 1 || (!last && p->epoch[at + 1] == p->epoch[at]) ||
        (!last && p->epoch[at] % (uint64_t)every))
        return NAN;
    publish(f);
    double score = validate(f);
    g->stale++;
    if (score > g->best) {
        g->best = score;
        g->best_epoch = p->epoch[at];
        g->stale = 0;
        memcpy(g->kept, f->m->net.w, size);
    }
    return score;
}

static int run(struct clue_fit *f, struct progress *g)
{
    const struct cm_picks *p = &f->d->picks;
    int64_t patience = f->m->config.loop.patience;
    for (size_t at = 0; at < p->n; at++) {
        size_t B = p->begin[at + 1] - p->begin[at];
        if (patience > 0 && g->stale >= patience)
            break;
        if (f->callbacks && f->callbacks->stop && f->callbacks->stop(f->callbacks->arg)) {
            g->stopped = true;
            break;
        }
        g->cells += B;
        if (B >= 2) {
            int code = step_of(f, p->row + p->begin[at], B, p->step[at], p->epoch[at], &g->last);
            if (code)
                return code;
            g->steps++;
        } else if (!g->lonely && f->callbacks && f->callbacks->warn) {
            f->callbacks->warn(f->callbacks->arg,
                               "mini-batches of one cell are left out: batch norm needs "
                               "at least two");
            g->lonely = true;
        }
        report(f, g, at, validate_when_due(f, g, at));
    }
    return g->steps ? 0 : cm_fail(CM_EINPUT, "no mini-batch has two cells or more");
}

int cm_clue_fit(struct cm_model *m, const struct cm_train_data *d, const struct cm_train_sample *v,
                float *const z[2], const struct cm_clue_callbacks *callbacks)
{
    uint64_t seed = (uint64_t)m->config.seed;
    struct clue_fit f = {.m = m, .d = d, .z = z, .callbacks = callbacks, .seed = seed, .valid = v};
    struct cm_kv *kv = &m->head.kv;
    const char *const slot[2] = {m->head.slot[0].name, m->head.slot[1].name};
    if (d->blocks)
        return cm_fail(CM_EINPUT, "a mini-batch has cells of its own; this trainer knows the cells "
                                  "of the data pass only");
    if (d->picks.n == 0)
        return cm_fail(CM_EINPUT, "there are no mini-batches: batch --epochs N");
    CM_ASSERT(d->part[0].count[0] && d->part[0].count[1]);
    cm_config_write_net(&m->config, slot, kv);
    cm_config_write_batches(&d->head.kv, true, kv);
    int code = cm_net_make(&m->net, &m->config.net, &m->head, &m->linear);
    if (code)
        return code;
    m->has_net = true;
    make(&f, d->part[0].names.n);
    struct progress g = {.best = -1, .kept = CM_NEW(m->net.table.size, cm_real)};
    code = run(&f, &g);
    publish(&f);
    if (g.best >= 0)
        memcpy(m->net.w, g.kept, m->net.table.size * sizeof *m->net.w);
    cm_kv_seti(kv, "train.steps", (int64_t)g.steps);
    cm_kv_setf(kv, "train.loss", g.last.loss);
    if (g.best >= 0)
        cm_kv_seti(kv, "train.best.epoch", g.best_epoch);
    if (g.stopped)
        cm_kv_seti(kv, "train.stopped", 1);
    cm_free(g.kept);
    cm_free(f.w);
    cm_free(f.v);
    cm_free(f.grad);
    cm_free(f.other);
    cm_clue_free(&f.c);
    return code;
}

uint64_t cm_clue_bytes(const struct cm_train_data *d, const struct cm_clue_config *o, size_t k)
{
    uint64_t B = cm_picks_largest(&d->picks);
    const char *const slot[2] = {"0", "1"};
    size_t cols[2] = {d->part[0].x[0].cols, d->part[0].x[1].cols};
    struct cm_clue c;
    cm_clue_make(&c, o, slot, k, cols, batches_of(&d->part[0]));
    uint64_t hidden = (uint64_t)o->hidden, size = c.table.size, q = c.q, wide = q + c.batches,
             v = d->part[1].names.n;
    cm_clue_free(&c);
    if (v > CM_VALID_CELLS)
        v = CM_VALID_CELLS;
    uint64_t activations = 2 * B * (2 * k + 10 * q + 6 * hidden * (uint64_t)o->depth) +
                           4 * B * 5 * hidden + 4 * B * (2 * wide + 7 * (uint64_t)o->decoder) +
                           4 * B * (cols[0] + cols[1]) +
                           2 * B * (2 * wide + 5 * (uint64_t)o->discriminator + 4);
    return 4 * (6 * size + activations + 3 * v * v + 12 * (cols[0] + cols[1])) + 8 * v * (k + q) +
           ((uint64_t)32 << 20);
}
