/* The cross-attention module: gradients of a pair and of the mined loss against differences, in
 * double; candidates from cached cells against the whole stack; and the leak, planted: partners are
 * swapped behind the scorer's back, and no score may show it.
 *
 * Layers and module are those built in double (Makefile, UNIT_DOUBLE).
 */
#define CM_REAL_DOUBLE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

#include "network/cross.h"
#include "network/mining.h"
#include "network/encoder.h"
#include "preset.h"

#define TOLERANCE 1e-6
#define STEP      1e-5

enum { B = 7, L0 = 5, L1 = 4, P = 8 };

static double x[2][B * L0 * P], s0[B * B], *params, *cache, *scratch;
static struct cm_cross cross;
static struct cm_params table;
static struct cm_param tensor[32];

static double draw(uint32_t a, uint32_t b, uint64_t i)
{
    struct cm_rng g = cm_rng_make(4, CM_RNG_TEST, a, b);
    g.index = i;
    return cm_rng_normal(&g);
}

/* The module behind another tensor, so that offsets do not begin at 0. */
static void open_module(const struct cm_cross_config *o)
{
    const size_t L[2] = {L0, L1};
    table = (struct cm_params){.p = tensor, .capacity = 32};
    cm_params_add(&table, "GEX.r", "other", 37, 0, 0);
    assert_int_equal(cm_cross_make(&cross, o, L, P, &table, "cross"), 0);
    assert_int_equal(cross.begin + cross.size, table.size);
    params = CM_ZNEW(table.size, double);
    cm_cross_init(&cross, params + cross.begin, 3);
    for (size_t i = 0; i < table.size; i++)
        params[i] += .3 * draw(1, 0, i);
    cache = CM_NEW(cm_cross_cache(&cross), double);
    scratch = CM_NEW(cm_cross_scratch(&cross), double);
    for (size_t i = 0; i < B * L0 * P; i++)
        x[0][i] = draw(2, 0, i);
    for (size_t i = 0; i < B * L1 * P; i++)
        x[1][i] = draw(2, 1, i);
    for (size_t i = 0; i < B * B; i++)
        s0[i] = .3 * draw(3, 0, i) + (i % (B + 1) == 0 ? .2 : 0);
}

static void close_module(void)
{
    cm_free(params);
    cm_free(cache);
    cm_free(scratch);
}

static const double *tokens(size_t side, size_t b) { return x[side] + b * cross.L[side] * P; }

static struct cm_cross_config options(int kind)
{
    struct cm_cross_config o = preset_of(kind % 2 ? CM_PRESET_ATTN : CM_PRESET_PAPER).net.cross;
    o.ff = 1.5;
    o.mined = 3;
    return o;
}

/* got = gradient of f with respect to v (n), of which every `every`-th number is tested */
static size_t every = 1;

static void differences(const char *what, double (*f)(void), double *v, size_t n, const double *got)
{
    double largest = 0;
    for (size_t i = 0; i < n; i += every) {
        double keep = v[i];
        v[i] = keep + STEP;
        double up = f();
        v[i] = keep - STEP;
        double want = (up - f()) / (2 * STEP);
        v[i] = keep;
        largest = fmax(largest, fabs(want));
        if (!(fabs(got[i] - want) <= TOLERANCE * fmax(1, fabs(want))))
            fail_msg("%s[%zu]: gradient %.12g, differences say %.12g", what, i, got[i], want);
    }
    if (largest == 0)
        fail_msg("%s: all differences are 0, nothing was tested", what);
}

/* ===== one pair ============================================================================ */

static const struct cm_dropout *dropping;

static double forward(size_t i, size_t j, const struct cm_dropout *drop)
{
    const double *const pair[2] = {tokens(0, i), tokens(1, j)};
    return cm_cross_forward(&cross, cache, pair, params + cross.begin, drop, scratch);
}

static double pair_score(void)
{
    memset(cache, 0x7f, cm_cross_cache(&cross) * sizeof *cache);
    memset(scratch, 0x7f, cm_cross_scratch(&cross) * sizeof *scratch);
    return forward(2, 5, dropping);
}

static void pair_gradients(void **state)
{
    (void)state;
    const struct cm_dropout drop = {.seed = 1, .step = 3, .row = 17};
    for (int kind = 0; kind < 3; kind++) {
        struct cm_cross_config o = options(kind);
        open_module(&o);
        dropping = kind == 2 ? NULL : &drop;
        double *dp = CM_ZNEW(table.size, double), d0[L0 * P] = {0}, d1[L1 * P] = {0};
        pair_score();
        double *const dx[2] = {d0, d1};
        cm_cross_backward(&cross, dp + cross.begin, dx, 1, cache, params + cross.begin, dropping,
                          scratch);
        differences("parameters", pair_score, params, table.size, dp);
        differences("side 0", pair_score, x[0] + 2 * L0 * P, L0 * P, d0);
        differences("side 1", pair_score, x[1] + 5 * L1 * P, L1 * P, d1);
        cm_free(dp);
        close_module();
    }
}

/* Cells in advance give what the stack gives; also where one side's scores dwarf the other's. */
static void cached_is_uncached(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct cm_cross_config o = options(kind);
        open_module(&o);
        for (size_t i = 0; i < L0 * P; i++)
            x[0][i] *= 30;
        double *a = CM_NEW(cm_cross_cell(&cross, 0), double);
        double *b = CM_NEW(cm_cross_cell(&cross, 1), double);
        for (size_t i = 0; i < B; i++)
            for (size_t j = 0; j < B; j++) {
                memset(scratch, 0x7f, cm_cross_scratch(&cross) * sizeof *scratch);
                cm_cross_cell_make(&cross, 0, a, tokens(0, i), params + cross.begin, scratch);
                cm_cross_cell_make(&cross, 1, b, tokens(1, j), params + cross.begin, scratch);
                double fast = cm_cross_pair(&cross, a, b, params + cross.begin, scratch);
                double slow = forward(i, j, NULL);
                assert_true(fabs(fast) > 1e-3 && fabs(fast) <= 1 + 1e-12);
                if (!(fabs(fast - slow) < 1e-12))
                    fail_msg("pair %zu, %zu: %.15g cached, %.15g not", i, j, fast, slow);
            }
        cm_free(a);
        cm_free(b);
        close_module();
    }
}

/* Attention of a pair: rows of probabilities over both parts. */
static void probabilities(void **state)
{
    (void)state;
    struct cm_cross_config o = options(0);
    open_module(&o);
    dropping = NULL;
    pair_score();
    const double *prob = cm_cross_prob(&cross, cache);
    for (size_t row = 0; row < 4 * (L0 + L1); row++) {
        double sum = 0;
        for (size_t j = 0; j < L0 + L1; j++)
            sum += prob[row * (L0 + L1) + j];
        assert_true(fabs(sum - 1) < 1e-12);
    }
    close_module();
}

/* ===== the mined loss ======================================================================= */

static struct cm_cross_batch batch;

static double mined_loss(void)
{
    static double ds0[B * B], d0[B * L0 * P], d1[B * L1 * P];
    double *dp = CM_ZNEW(table.size, double), *const dx[2] = {d0, d1};
    double loss =
        cm_cross_loss(&cross, ds0, dx, dp + cross.begin, &batch, params + cross.begin, NULL);
    cm_free(dp);
    return loss;
}

static void mined_gradients(void **state)
{
    (void)state;
    const struct cm_dropout drop = {.seed = 1, .step = 3};
    static unsigned char allowed[B * B];
    for (size_t i = 0; i < B * B; i++)
        allowed[i] = (i / B < 4) == (i % B < 4);
    static struct cm_rng g;
    g = cm_rng_make(8, CM_RNG_NEGATIVES, 0, 0);
    for (int kind = 0; kind < 6; kind++) {
        struct cm_cross_config o = options(kind);
        o.loss = kind < 4 ? CM_CROSS_TRIPLET : CM_CROSS_LISTWISE;
        o.negatives = kind == 2   ? CM_NEG_SEMIHARD
                      : kind == 3 ? CM_NEG_RANDOM_SEMIHARD
                                  : o.negatives;
        o.margin = 1.1;
        open_module(&o);
        dropping = kind % 2 ? &drop : NULL;
        batch = (struct cm_cross_batch){.B = B,
                                        .x = {x[0], x[1]},
                                        .s0 = s0,
                                        .allowed = kind == 1 ? allowed : NULL,
                                        .log_t = .7,
                                        .drop = dropping,
                                        .g = &g};
        /* gradients begin at 1 */
        double *dp = CM_NEW(table.size, double), ds0[B * B], d0[B * L0 * P], d1[B * L1 * P];
        double *const dx[2] = {d0, d1};
        for (size_t i = 0; i < table.size; i++)
            dp[i] = 1;
        for (size_t i = 0; i < B * B; i++)
            ds0[i] = 1;
        for (size_t i = 0; i < B * L0 * P; i++)
            d0[i] = 1;
        for (size_t i = 0; i < B * L1 * P; i++)
            d1[i] = 1;
        struct cm_cross_report r;
        cm_cross_loss(&cross, ds0, dx, dp + cross.begin, &batch, params + cross.begin, &r);
        assert_true(r.mined >= r.back && r.back > 0 && r.mined <= B * (1 + 2 * 3));
        assert_true(r.sd > .01 && r.active > 0 && r.active <= 2 * B);
        for (size_t i = 0; i < table.size; i++)
            dp[i] -= 1;
        for (size_t i = 0; i < B * B; i++)
            ds0[i] -= 1;
        for (size_t i = 0; i < B * L0 * P; i++)
            d0[i] -= 1;
        for (size_t i = 0; i < B * L1 * P; i++)
            d1[i] -= 1;
        every = 7; /* the pair's gradients are tested one by one above */
        differences("parameters", mined_loss, params, table.size, dp);
        differences("S0", mined_loss, s0, B * B, ds0);
        differences("side 0", mined_loss, x[0], B * L0 * P, d0);
        differences("side 1", mined_loss, x[1], B * L1 * P, d1);
        every = 1;
        if (o.loss == CM_CROSS_LISTWISE) {
            double keep = batch.log_t;
            batch.log_t = keep + STEP;
            double up = mined_loss();
            batch.log_t = keep - STEP;
            double want = (up - mined_loss()) / (2 * STEP);
            assert_true(fabs(want - r.dlog_t) < TOLERANCE && fabs(want) > 1e-3);
        }
        if (kind == 1) /* pairs that are not allowed have no gradient */
            for (size_t i = 0; i < B * B; i++)
                assert_true(allowed[i] || ds0[i] == 0);
        cm_free(dp);
        close_module();
    }
}

/* The same bits for any number of threads. */
static void threads(void **state)
{
    (void)state;
    struct cm_cross_config o = options(1);
    o.loss = CM_CROSS_LISTWISE;
    open_module(&o);
    const struct cm_dropout drop = {.seed = 1, .step = 3};
    batch = (struct cm_cross_batch){.B = B, .x = {x[0], x[1]}, .s0 = s0, .log_t = 1, .drop = &drop};
    double *dp[2], loss[2];
    static double ds0[2][B * B], d0[2][B * L0 * P], d1[2][B * L1 * P];
    for (int run = 0; run < 2; run++) {
        cm_pool_set_threads(run ? 3 : 1);
        double *const dx[2] = {d0[run], d1[run]};
        dp[run] = CM_ZNEW(table.size, double);
        loss[run] = cm_cross_loss(&cross, ds0[run], dx, dp[run] + cross.begin, &batch,
                                  params + cross.begin, NULL);
    }
    cm_pool_set_threads(1);
    assert_true(loss[0] == loss[1]);
    assert_memory_equal(dp[0], dp[1], table.size * sizeof *dp[0]);
    assert_memory_equal(ds0[0], ds0[1], sizeof ds0[0]);
    assert_memory_equal(d0[0], d0[1], sizeof d0[0]);
    assert_memory_equal(d1[0], d1[1], sizeof d1[0]);
    cm_free(dp[0]);
    cm_free(dp[1]);
    close_module();
}

/* ===== the leak, planted ==================================================================== */

/* S of cell i with every candidate, from cached cells. */
static void scores(double *s)
{
    double *a = CM_NEW(cm_cross_cell(&cross, 0), double),
           *b = CM_NEW(B * cm_cross_cell(&cross, 1), double);
    for (size_t j = 0; j < B; j++)
        cm_cross_cell_make(&cross, 1, b + j * cm_cross_cell(&cross, 1), tokens(1, j),
                           params + cross.begin, scratch);
    for (size_t i = 0; i < B; i++) {
        cm_cross_cell_make(&cross, 0, a, tokens(0, i), params + cross.begin, scratch);
        for (size_t j = 0; j < B; j++)
            s[i * B + j] = cm_cross_pair(&cross, a, b + j * cm_cross_cell(&cross, 1),
                                         params + cross.begin, scratch);
    }
    cm_free(a);
    cm_free(b);
}

/* Row i of side 1 holds the partner of row i of side 0.  Behind the scorer's back rows 1 and 4 of
 * side 1 change places: each score must go with the CELL, bit for bit, true pairs included; a
 * scorer that knew the partner (by row, or from an e1 made of the true pair) would differ there. */
static void swapped_partners(void **state)
{
    (void)state;
    struct cm_cross_config o = options(0);
    open_module(&o);
    for (size_t b = 0; b < B; b++) /* partners resemble each other */
        for (size_t i = 0; i < L1 * P; i++)
            x[1][b * L1 * P + i] = x[0][b * L0 * P + i] + .1 * draw(9, 0, b * 100 + i);
    double before[B * B], after[B * B], hold[L1 * P];
    scores(before);
    size_t bytes = sizeof hold;
    memcpy(hold, tokens(1, 1), bytes);
    memcpy(x[1] + 1 * L1 * P, x[1] + 4 * L1 * P, bytes);
    memcpy(x[1] + 4 * L1 * P, hold, bytes);
    scores(after);
    for (size_t i = 0; i < B; i++)
        for (size_t j = 0; j < B; j++) {
            size_t k = j == 1 ? 4 : j == 4 ? 1 : j;
            assert_true(after[i * B + j] == before[i * B + k]);
        }
    /* and the loss scores its negatives on their own stacks: written out, it is the same number */
    o.mined = 2;
    cross.o = o;
    batch = (struct cm_cross_batch){.B = B, .x = {x[0], x[1]}, .s0 = s0};
    dropping = NULL;
    double want = 0;
    for (size_t i = 0; i < B; i++)
        for (int side = 0; side < 2; side++) {
            double best = -INFINITY, s[B], own = 0;
            for (size_t j = 0; j < B; j++) {
                size_t k = side ? j * B + i : i * B + j;
                s[j] = s0[k] + o.alpha * after[k];
            }
            own = s[i];
            for (size_t j = 0; j < B; j++) {
                size_t above = 0;
                for (size_t m = 0; m < B; m++)
                    above += m != i && m != j &&
                             s0[side ? m * B + i : i * B + m] > s0[side ? j * B + i : i * B + j];
                if (j != i && above < 2)
                    best = fmax(best, s[j]);
            }
            want += fmax(0, o.margin - own + best) / B;
        }
    assert_true(want > 0 && fabs(mined_loss() - want) < 1e-12);
    close_module();
}

/* Every partner ranks in the middle, by S0 and by S: the largest are no semi-hard negatives, the
 * largest below the partner's are, and all of them are found. */
static void partners_that_rank_low(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct cm_cross_config o = options(0);
        o.mined = 2;
        o.alpha = 1e-6;
        o.margin = 1;
        o.negatives = kind ? CM_NEG_RANDOM_SEMIHARD : CM_NEG_SEMIHARD;
        open_module(&o);
        for (size_t i = 0; i < B; i++) /* as a distance: 0 for the partner, half of them above */
            for (size_t j = 0; j < B; j++) {
                size_t d = (j + B - i) % B;
                s0[i * B + j] = d == 0 ? 0 : d <= B / 2 ? .1 * (double)d : -.1 * (double)(B - d);
            }
        struct cm_rng g = cm_rng_make(8, CM_RNG_NEGATIVES, 0, 0);
        batch = (struct cm_cross_batch){.B = B, .x = {x[0], x[1]}, .s0 = s0, .g = &g};
        double ds0[B * B] = {0}, *dp = CM_ZNEW(table.size, double);
        double *const dx[2] = {CM_ZNEW(B * L0 * P, double), CM_ZNEW(B * L1 * P, double)};
        struct cm_cross_report r;
        cm_cross_loss(&cross, ds0, dx, dp + cross.begin, &batch, params + cross.begin, &r);
        assert_int_equal(r.active, 2 * B);
        for (size_t i = 0; i < B; i++)
            for (size_t j = 0; j < B; j++)
                assert_true(i == j ? ds0[i * B + j] < 0
                                   : ds0[i * B + j] == 0 ||
                                         (s0[i * B + j] < 0 && s0[i * B + j] > -.25));
        cm_free(dp);
        cm_free(dx[0]);
        cm_free(dx[1]);
        close_module();
    }
}

static void heads_divide(void **state)
{
    (void)state;
    struct cm_cross_config o = options(0);
    const size_t L[2] = {3, 3};
    o.heads = 3;
    table = (struct cm_params){0};
    assert_int_equal(cm_cross_make(&cross, &o, L, 8, &table, ""), CM_EINPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pair_gradients),         cmocka_unit_test(cached_is_uncached),
        cmocka_unit_test(partners_that_rank_low), cmocka_unit_test(probabilities),
        cmocka_unit_test(mined_gradients),        cmocka_unit_test(threads),
        cmocka_unit_test(swapped_partners),       cmocka_unit_test(heads_divide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
