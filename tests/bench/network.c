/* Cells a second of the network on cells of the competition's size, one case a run: what
 * tests/bench/torch.sh puts beside PyTorch.
 *
 *   network train P N   the training loop: preset `paper` without the cross module, batch 64
 *   network cross P N   with the module on each cell's own pair, forward and backward
 *   network embed P N   both modalities through their encoders
 * N cells are timed, after a batch that is not.  Prints: cells a second, cells a second of
 * processor time, GFLOP of a cell's products, GFLOP of sgemm 512 a second of processor time before
 * and after, peak RSS in MiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "model/config.h"
#include "model/presets.h"
#include "train/fit.h"

enum { B = 64, CHROMS = 23, POOL = 512 };

static const struct {
    const char *name;
    size_t features, entries;
} side[2] = {{"GEX", 13431, 1112}, {"ATAC", 116490, 3586}};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of all processors together: what a busy machine leaves comparable. */
static double processor(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(int code)
{
    if (code) {
        fprintf(stderr, "network: %s\n", cm_error_message());
        exit(1);
    }
}

/* ===== the limit ============================================================================ */

enum { N512 = 512, TIMES = 12 };

static int sgemm_shard(void *arg, size_t shard)
{
    float *a = (float *)arg + shard * 3 * N512 * N512, *b = a + N512 * N512, *c = b + N512 * N512;
    for (int i = 0; i < TIMES; i++)
        cm_sgemm(false, false, N512, N512, N512, 1, a, N512, b, N512, 0, c, N512);
    return 0;
}

static double sgemm_512(void)
{
    size_t threads = cm_pool_threads();
    float *m = CM_ZNEW(threads * 3 * N512 * N512, float);
    sgemm_shard(m, 0);
    double start = processor();
    cm_parallel(threads, sgemm_shard, m);
    double rate = 2. * N512 * N512 * N512 * TIMES * (double)threads / (processor() - start) * 1e-9;
    cm_free(m);
    return rate;
}

/* ===== cells and net ======================================================================== */

static struct cm_model model;
static struct cm_csr x[2], none[2];

static void make_side(size_t s)
{
    size_t d = side[s].features, n = side[s].entries;
    struct cm_rng g = cm_rng_make(1, CM_RNG_TEST, (uint32_t)s, 0);
    uint32_t *idx = CM_NEW(n, uint32_t);
    float *val = CM_NEW(n, float);
    uint64_t ptr[2] = {0, n};
    x[s] = cm_csr_make(d);
    none[s] = cm_csr_make(d);
    for (size_t c = 0; c < POOL; c++) {
        for (size_t e = 0; e < n; e++) { /* ascending, about evenly spread */
            idx[e] = (uint32_t)(e * d / n + cm_rng_below(&g, d / n));
            val[e] = (float)(.5 + cm_rng_uniform(&g));
        }
        cm_csr_append(&x[s], 1, ptr, idx, val);
    }
    cm_free(idx);
    cm_free(val);
    struct cm_slot *slot = cm_head_add_slot(&model.head, side[s].name);
    struct cm_vec *v = NULL;
    char text[24];
    for (size_t j = 0; j < d; j++) {
        snprintf(text, sizeof text, "f%zu", j);
        cm_strs_add(&slot->cols.names, text);
    }
    v = cm_cols_vec(&slot->cols, "chrom", CM_T_STR);
    cm_strs_clear(&v->s);
    for (size_t j = 0; j < d; j++) {
        snprintf(text, sizeof text, "chr%zu", j * CHROMS / d);
        cm_strs_add(&v->s, text);
    }
}

static void make_net(int64_t P, bool cross)
{
    static const char *const slot[2] = {"GEX", "ATAC"};
    struct cm_kv *kv = &model.head.kv;
    struct cm_config c;
    model.head.kind = CM_MODEL;
    cm_preset_config(CM_PRESET_PAPER, slot, &c);
    for (size_t s = 0; s < 2; s++)
        c.net.tokens_of[s].width = c.net.tokens_of[s].p = P;
    c.net.own[0] = c.net.own[1] = UINT64_MAX;
    c.net.cross.on = cross;
    c.loss.kind = CM_LOSS_TRIPLET;
    c.loss.margin = .2;
    c.loop.valid_every = 0;
    cm_config_write_fit(&c, kv);
    cm_config_write_net(&c, slot, kv);
    for (size_t s = 0; s < 2; s++)
        make_side(s);
    check(cm_config_read(&model.config, &model.head, CM_CONFIG_TRAIN));
    check(cm_net_make(&model.net, &model.config.net, &model.head, &model.linear));
    model.has_net = true;
    cm_net_init(&model.net, &model.linear, 20, 5);
}

/* Products of one cell and side, forward, in GFLOP: the sparse layer, the FC, the unit. */
static double side_gflop(size_t s)
{
    const struct cm_encoder *e = &model.net.encoder[s];
    double L = (double)e->L, P = (double)e->P;
    return 1e-9 *
           (2 * (double)side[s].entries * P + 2 * L * P * P + 2 * L * P * 12 * P + 4 * L * L * P);
}

static double cross_gflop(void)
{
    double L = (double)(model.net.encoder[0].L + model.net.encoder[1].L);
    double P = (double)model.net.encoder[0].P;
    return 1e-9 * (2 * L * P * 12 * P + 4 * L * L * P);
}

/* ===== cases ================================================================================ */

struct clock {
    size_t steps;
    double start, processor;
};

static struct clock timed; /* from its start on */

static void begin_timing(void) { timed.start = now(), timed.processor = processor(); }

struct rates {
    double wall, processor; /* cells a second */
};

static struct rates rates_of(size_t cells)
{
    return (struct rates){(double)cells / (now() - timed.start),
                          (double)cells / (processor() - timed.processor)};
}

static void on_step(void *arg, const struct cm_fit_report *r)
{
    (void)arg, (void)r;
    if (timed.steps++ == 0)
        begin_timing();
}

static struct rates train(size_t n)
{
    size_t steps = 1 + (n + B - 1) / B;
    struct cm_picks p = {.n = steps};
    p.begin = CM_NEW(steps + 1, uint64_t);
    p.step = CM_NEW(steps, uint64_t);
    p.epoch = CM_NEW(steps, uint32_t);
    p.row = CM_NEW(steps * B, uint32_t);
    for (size_t i = 0; i <= steps; i++)
        p.begin[i] = i * B;
    for (size_t i = 0; i < steps; i++)
        p.step[i] = i, p.epoch[i] = 1;
    for (uint32_t i = 0; i < steps * B; i++)
        p.row[i] = i % POOL;
    struct cm_fit_data data = {
        .x = {&x[0], &x[1]}, .picks = &p, .valid = {&none[0], &none[1]}, .keep = CM_FIT_KEEP};
    struct cm_fit_callbacks callbacks = {.report = on_step};
    struct cm_fit_state s = {0};
    bool stopped;
    check(cm_fit(&model, &data, &s, &callbacks, &stopped));
    return rates_of((steps - 1) * B);
}

static struct rates embed(size_t n)
{
    float *out = CM_NEW(POOL * model.net.q, float);
    cm_net_apply(&model.net, 0, model.net.w, &x[0], NULL, out, model.net.q);
    begin_timing();
    size_t done = 0;
    for (; done < n; done += POOL)
        for (size_t s = 0; s < 2; s++)
            cm_net_apply(&model.net, s, model.net.w, &x[s], NULL, out, model.net.q);
    cm_free(out);
    return rates_of(done);
}

/* A batch with the module: the loop scores mined pairs; here each cell has one, its own. */
struct work {
    size_t first, shards;
    cm_real *grad, *draw;
};

static int cross_shard(void *arg, size_t shard)
{
    struct work *w = arg;
    const struct cm_net *n = &model.net;
    const struct cm_cross *c = &n->cross;
    cm_real *cache[2], *scratch[2], *dx[2], *raw = CM_NEW(n->q, cm_real),
                                            *dw = w->grad + shard * n->table.size;
    cm_real *pair = CM_NEW(cm_cross_cache(c), cm_real),
            *work = CM_NEW(cm_cross_scratch(c), cm_real);
    for (size_t s = 0; s < 2; s++) {
        cache[s] = CM_NEW(cm_net_cache(n, s, 1), cm_real);
        scratch[s] = CM_NEW(cm_net_scratch(n, s, 1), cm_real);
        dx[s] = CM_NEW(c->L[s] * c->P, cm_real);
    }
    for (size_t b = cm_shard_begin(B, w->shards, shard);
         b < cm_shard_begin(B, w->shards, shard + 1); b++) {
        struct cm_pass p[2];
        struct cm_cell cell[2];
        const cm_real *tokens[2];
        for (size_t s = 0; s < 2; s++) {
            cell[s] = cm_cell_at(&x[s], (w->first + b) % POOL);
            p[s] = (struct cm_pass){&cell[s], 1, n->w, NULL, cache[s], scratch[s]};
            cm_net_forward(n, s, raw, &p[s]);
            tokens[s] = cache[s] + n->encoder[s].of->tokens_at(&n->encoder[s], 1);
            memset(dx[s], 0, c->L[s] * c->P * sizeof *dx[s]);
        }
        cm_cross_forward(c, pair, tokens, n->w + c->begin, NULL, work);
        cm_cross_backward(c, dw + c->begin, dx, 1. / B, pair, n->w + c->begin, NULL, work);
        for (size_t s = 0; s < 2; s++)
            cm_net_backward(n, s, dw, false, w->draw, dx[s], &p[s]);
    }
    for (size_t s = 0; s < 2; s++)
        cm_free(cache[s]), cm_free(scratch[s]), cm_free(dx[s]);
    cm_free(raw), cm_free(pair), cm_free(work);
    return 0;
}

static struct rates cross(size_t n)
{
    const struct cm_params *t = &model.net.table;
    struct cm_adam rule = CM_ADAM_DEFAULT;
    size_t steps = 1 + (n + B - 1) / B;
    cm_real *m = CM_ZNEW(t->size, cm_real), *v = CM_ZNEW(t->size, cm_real);
    struct work w = {.shards = cm_pool_threads()};
    w.grad = CM_NEW(w.shards * t->size, cm_real);
    w.draw = CM_NEW(model.net.q, cm_real);
    cm_init_normal(w.draw, model.net.q, .01, cm_rng_make(1, CM_RNG_TEST, 9, 0));
    for (size_t i = 0; i < steps; i++) {
        if (i == 1)
            begin_timing();
        w.first = i * B;
        memset(w.grad, 0, w.shards * t->size * sizeof *w.grad);
        cm_parallel(w.shards, cross_shard, &w);
        for (size_t k = 1; k < w.shards; k++)
            for (size_t j = 0; j < t->size; j++)
                w.grad[j] += w.grad[k * t->size + j];
        cm_adam_step(model.net.w, m, v, w.grad, t->size, i + 1, &rule);
    }
    return rates_of((steps - 1) * B);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int64_t P = argc > 2 ? atoi(argv[2]) : 0;
    size_t n = argc > 3 ? (size_t)atoi(argv[3]) : 1024;
    bool pairs = strcmp(what, "cross") == 0;
    if ((!pairs && strcmp(what, "train") && strcmp(what, "embed")) || P < 1) {
        fprintf(stderr, "usage: network train|cross|embed P [CELLS]\n");
        return argc > 1 ? 2 : 0; /* `make bench` runs it without: torch.sh asks it */
    }
    cm_pool_set_threads(getenv("CM_THREADS") ? (size_t)atoi(getenv("CM_THREADS")) : 2);
    make_net(P, pairs);
    double before = sgemm_512();
    struct rates rate = pairs ? cross(n) : strcmp(what, "train") ? embed(n) : train(n);
    double after = sgemm_512(), gflop = side_gflop(0) + side_gflop(1);
    if (strcmp(what, "embed"))
        gflop = 3 * (gflop + (pairs ? cross_gflop() : 0));
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("%.1f\t%.1f\t%.4f\t%.1f\t%.1f\t%.0f\n", rate.wall, rate.processor, gflop, before, after,
           (double)use.ru_maxrss / 1024);
    return 0;
}
