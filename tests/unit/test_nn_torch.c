/* Layers, losses and optimisers in float against PyTorch (tests/ref/make_nn.py): forward to 1e-5,
 * gradients to 1e-4 relative.  Also exp and the properties that need no reference.
 *
 * "Relative" is to the number itself, or to a hundredth of the largest of its tensor where it is
 * smaller: a gradient that nearly cancels has no digits of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "nn/nn.h"

#define FIXTURE "tests/ref/nn"
#include "torch.h"

static float *zeros(size_t n) { return CM_ZNEW(n, float); }

/* An array whose contents must not matter. */
static float *junk(size_t n)
{
    float *v = CM_NEW(n, float);
    memset(v, 0xff, n * sizeof *v); /* NaN */
    return v;
}

/* ===== convolutions ========================================================================= */

static void sparse_case(const char *group, struct cm_window_rule rule, size_t L, size_t F,
                        bool per_window)
{
    const size_t chrom[] = {0, 23, 27, 48}, n = 16;
    const float *at = ref("sparse", "idx", n), *val = ref("sparse", "val", n);
    uint32_t idx[16], first[48];
    for (size_t i = 0; i < n; i++)
        idx[i] = (uint32_t)at[i];
    struct cm_window window[64];
    struct cm_windows w;
    cm_windows_lay(&w, window, first, NULL, &rule, chrom, 3, 48, NULL);
    assert_int_equal(w.L, L);
    size_t n_bias = per_window ? L * F : F;
    float *out = junk(L * F), *dw = zeros(w.rows * F), *db = zeros(n_bias);
    cm_sparse_conv_forward(out, idx, val, n, ref(group, "filter", w.rows * F),
                           ref(group, "bias", n_bias), per_window, &w, F);
    forward_is(group, "out", out, L * F);
    cm_sparse_conv_backward(dw, db, ref(group, "dout", L * F), idx, val, n, per_window, &w, F);
    gradient_is(group, "dfilter", dw, w.rows * F);
    gradient_is(group, "dbias", db, n_bias);
    cm_free(out), cm_free(dw), cm_free(db);
}

static void sparse(void **state)
{
    (void)state;
    sparse_case("sparse.stride", (struct cm_window_rule){.kernel = 5, .stride = 2, .padding = 2},
                12 + 2 + 11, 9, false);
    sparse_case("sparse.block", (struct cm_window_rule){.kernel = 7, .stride = 7, .partial = true},
                4 + 1 + 3, 9, false);
    sparse_case("sparse.untied",
                (struct cm_window_rule){.kernel = 7, .stride = 7, .partial = true, .untied = true},
                8, 6, true);
}

static void conv(void **state)
{
    (void)state;
    enum { L = 14, C = 3, F = 5, K = 3, S = 2, Z = 1, T = 7, M = 3 };
    float y[T * F], out[M * F], dpool[T * F] = {0}, dy[T * F] = {0}, *scratch;
    float dx[L * C] = {0}, dw[K * C * F] = {0}, db[F] = {0};
    uint32_t which[M * F];
    const float *in = ref("conv", "in", L * C), *w = ref("conv", "filter", K * C * F);
    scratch = junk(cm_conv_scratch(L, C, K, S, Z));
    cm_conv_forward(y, in, w, ref("conv", "bias", F), L, C, F, K, S, Z, scratch);
    cm_act_forward(y, y, T * F, CM_ACT_LEAKY, .01);
    cm_maxpool_forward(out, which, y, T, F, 3, 2);
    forward_is("conv", "out", out, M * F);
    cm_maxpool_backward(dpool, ref("conv", "dout", M * F), which, M, F);
    cm_act_backward(dy, dpool, y, T * F, CM_ACT_LEAKY, .01);
    cm_conv_backward(dx, dw, db, dy, in, w, L, C, F, K, S, Z, scratch);
    gradient_is("conv", "din", dx, L * C);
    gradient_is("conv", "dfilter", dw, K * C * F);
    gradient_is("conv", "dbias", db, F);
    cm_free(scratch);
}

/* ===== rows ================================================================================= */

static void activation_case(const char *group, enum cm_activation kind, double slope)
{
    float out[203], dx[203] = {0};
    const float *in = ref(group, "in", 203);
    cm_act_forward(out, in, 203, kind, slope);
    forward_is(group, "out", out, 203);
    cm_act_backward(dx, ref(group, "dout", 203), in, 203, kind, slope);
    gradient_is(group, "din", dx, 203);
}

static void activations(void **state)
{
    (void)state;
    activation_case("gelu", CM_ACT_GELU, 0);
    activation_case("leaky", CM_ACT_LEAKY, .1);
}

static void rows(void **state)
{
    (void)state;
    {
        float out[66], dx[114] = {0}, dw[209] = {0}, db[11] = {0};
        const float *in = ref("linear", "in", 114), *w = ref("linear", "w", 209);
        cm_linear_forward(out, in, w, ref("linear", "bias", 11), 6, 19, 11);
        forward_is("linear", "out", out, 66);
        cm_linear_backward(dx, dw, db, ref("linear", "dout", 66), in, w, 6, 19, 11);
        gradient_is("linear", "din", dx, 114);
        gradient_is("linear", "dw", dw, 209);
        gradient_is("linear", "dbias", db, 11);
    }
    {
        float out[126], stat[12], dx[126] = {0}, dg[21] = {0}, db[21] = {0};
        const float *in = ref("norm", "in", 126), *gain = ref("norm", "gain", 21);
        cm_layernorm_forward(out, stat, in, gain, ref("norm", "bias", 21), 6, 21);
        forward_is("norm", "out", out, 126);
        cm_layernorm_backward(dx, dg, db, ref("norm", "dout", 126), stat, in, gain, 6, 21);
        gradient_is("norm", "din", dx, 126);
        gradient_is("norm", "dgain", dg, 21);
        gradient_is("norm", "dbias", db, 21);
    }
    {
        float mean[36], out[36], norm[3], dmean[36] = {0}, dx[252] = {0};
        cm_pool_forward(mean, ref("pooled", "in", 252), CM_POOL_MEAN, 3, 7, 12, 0, 7);
        cm_unitnorm_forward(out, norm, mean, 3, 12);
        forward_is("pooled", "out", out, 36);
        cm_unitnorm_backward(dmean, ref("pooled", "dout", 36), norm, out, 3, 12);
        cm_pool_backward(dx, dmean, CM_POOL_MEAN, 3, 7, 12, 0, 7);
        gradient_is("pooled", "din", dx, 252);
    }
    {
        float p[145], ds[145];
        memcpy(p, ref("softmax", "in", 145), sizeof p);
        memcpy(ds, ref("softmax", "dout", 145), sizeof ds);
        cm_softmax_rows(p, 5, 29);
        forward_is("softmax", "out", p, 145);
        cm_softmax_rows_backward(ds, p, 5, 29);
        gradient_is("softmax", "din", ds, 145);
    }
}

static void softmax_edges(void **state)
{
    (void)state;
    for (size_t C = 1; C <= 33; C++) {
        float x[66], y[66];
        for (size_t i = 0; i < 2 * C; i++)
            x[i] = (float)((i * 37) % 11) - 5;
        x[0] = 3e38f; /* no overflow; row 2 has one place closed */
        if (C > 1)
            x[C] = -INFINITY;
        memcpy(y, x, sizeof y);
        cm_softmax_rows(y, 2, C);
        assert_true(y[0] == 1);
        assert_true(C == 1 || y[C] == 0);
        for (size_t i = 0; i < 2; i++) {
            double sum = 0, exact = 0;
            for (size_t j = 0; j < C; j++)
                exact += exp((double)x[i * C + j] - (i ? 5 : (double)x[0]));
            for (size_t j = 0; j < C; j++) {
                double want = exp((double)x[i * C + j] - (i ? 5 : (double)x[0])) / exact;
                assert_true(fabs((double)y[i * C + j] - want) <= 1e-6 * want);
                sum += (double)y[i * C + j];
            }
            assert_true(fabs(sum - 1) < 1e-6);
        }
        for (size_t j = 0; j < C; j++)
            x[j] = -INFINITY, x[C + j] = j ? 1 : NAN;
        cm_softmax_rows(x, 2, C);
        for (size_t j = 0; j < C; j++) {
            assert_true(x[j] == 0);            /* nothing to attend to */
            assert_true(x[C + j] != x[C + j]); /* NaN is not hidden */
        }
    }
}

static void exponential(void **state)
{
    (void)state;
    float x[1001];
    double worst = 0;
    for (int block = 0; block < 200; block++) {
        float keep[1001];
        for (int i = 0; i < 1001; i++)
            keep[i] = x[i] = (float)(-87.3 + (block * 1001 + i) * (176. / 200200));
        cm_exp_all(x, 1001);
        for (int i = 0; i < 1001; i++) {
            double want = exp((double)keep[i]);
            worst = fmax(worst, fabs((double)x[i] - want) / want);
        }
    }
    if (worst > 2e-7)
        fail_msg("largest relative error of exp %g", worst);
    float ends[] = {0, -0.f, 88.72f, 88.73f, 1000, INFINITY, -95, -103.9f, -110, -INFINITY, NAN};
    float got[11];
    memcpy(got, ends, sizeof got);
    cm_exp_all(got, 11);
    assert_true(got[0] == 1 && got[1] == 1);
    assert_true(isfinite(got[2]) && isinf(got[3]) && isinf(got[4]) && isinf(got[5]));
    assert_true(fabs((double)got[6] - exp(-95)) < 2e-45); /* subnormal */
    assert_true(fabs((double)got[7] - exp((double)ends[7])) < 2e-45);
    assert_true(got[8] == 0 && got[9] == 0 && isnan(got[10]));
}

/* The vectors' normal distribution against the library's, down its tail. */
static void gelu_everywhere(void **state)
{
    (void)state;
    enum { N = 16001 };
    float *x = junk(N), *y = junk(N), *one = junk(N), *slope = zeros(N);
    for (size_t i = 0; i < N; i++)
        x[i] = (float)i / 1000 - 8, one[i] = 1;
    cm_act_forward(y, x, N, CM_ACT_GELU, 0);
    cm_act_backward(slope, one, x, N, CM_ACT_GELU, 0);
    for (size_t i = 0; i < N; i++) {
        double v = (double)x[i], phi = erfc(-v * M_SQRT1_2) / 2;
        double density = exp(-v * v / 2) / sqrt(2 * M_PI);
        if (!(fabs((double)y[i] - v * phi) <= 2e-6 * fabs(v * phi)))
            fail_msg("GELU(%g) = %.9g, expected %.9g", v, (double)y[i], v * phi);
        assert_true(fabs((double)slope[i] - (phi + v * density)) <= 3e-7);
    }
    float ends[4] = {-1000, 1000, NAN, 0}, got[4];
    cm_act_forward(got, ends, 4, CM_ACT_GELU, 0);
    assert_true(got[0] == 0 && got[1] == 1000 && isnan(got[2]) && got[3] == 0);
    cm_free(x), cm_free(y), cm_free(one), cm_free(slope);
}

/* ===== attention and the unit =============================================================== */

enum { B = 2, L = 7, P = 16, H = 4, W = 24 };

/* The fixture's tensors of one case into an arena, and the gradients of that arena back. */
static float *arena(const char *group, const struct cm_params *t)
{
    float *params = zeros(t->size);
    for (size_t i = 0; i < t->n; i++)
        memcpy(params + t->p[i].offset, ref(group, t->p[i].name, t->p[i].n),
               t->p[i].n * sizeof *params);
    return params;
}

static void arena_gradients(const char *group, const struct cm_params *t, const float *dparams)
{
    for (size_t i = 0; i < t->n; i++) {
        char name[CM_PARAM_NAME + 1] = "d";
        strcat(name, t->p[i].name);
        gradient_is(group, name, dparams + t->p[i].offset, t->p[i].n);
    }
}

static void mha(void **state)
{
    (void)state;
    struct cm_param offsets[4];
    struct cm_params t = {.p = offsets, .capacity = 4};
    struct cm_mha a = {.L = L, .P = P, .H = H};
    cm_mha_declare(&a, &t, "");
    float *params = arena("mha", &t), *dparams = zeros(t.size);
    float *cache = junk(cm_mha_cache(&a, B)), *scratch = junk(cm_mha_scratch(&a, B));
    float *out = junk(B * L * P), *din = zeros(B * L * P);
    const float *in = ref("mha", "in", B * L * P);
    cm_mha_forward(out, cache, in, params, &a, B, NULL, scratch);
    forward_is("mha", "out", out, B * L * P);
    forward_is("mha", "prob", cache + cm_mha_prob_at(&a, B, 0), B * H * L * L);
    cm_mha_backward(din, dparams, ref("mha", "dout", B * L * P), cache, in, params, &a, B, NULL,
                    scratch);
    gradient_is("mha", "din", din, B * L * P);
    arena_gradients("mha", &t, dparams);
    cm_free(params), cm_free(dparams), cm_free(cache), cm_free(scratch), cm_free(out);
    cm_free(din);
}

static void unit_case(const char *group, bool pre_norm, enum cm_activation act)
{
    struct cm_param offsets[12];
    struct cm_params t = {.p = offsets, .capacity = 12};
    struct cm_unit u = {
        .mha = {.L = L, .P = P, .H = H}, .F = W, .pre_norm = pre_norm, .act = act, .rate = .5};
    cm_unit_declare(&u, &t, "");
    assert_int_equal(t.n, 12);
    float *params = arena(group, &t), *dparams = zeros(t.size);
    float *cache = junk(cm_unit_cache(&u, B)), *scratch = junk(cm_unit_scratch(&u, B));
    float *out = junk(B * L * P), *din = zeros(B * L * P);
    const float *in = ref(group, "in", B * L * P);
    cm_unit_forward(out, cache, in, params, &u, B, NULL, scratch);
    forward_is(group, "out", out, B * L * P);
    cm_unit_backward(din, dparams, ref(group, "dout", B * L * P), cache, in, params, &u, B, NULL,
                     scratch);
    gradient_is(group, "din", din, B * L * P);
    arena_gradients(group, &t, dparams);

    /* A cell alone gives what it gave in the group. */
    float *alone = junk(L * P);
    cm_unit_forward(alone, cache, in + L * P, params, &u, 1, NULL, scratch);
    for (size_t i = 0; i < L * P; i++)
        assert_true(fabs((double)(alone[i] - out[L * P + i])) <= 1e-5);
    cm_free(params), cm_free(dparams), cm_free(cache), cm_free(scratch), cm_free(out);
    cm_free(din), cm_free(alone);
}

static void unit(void **state)
{
    (void)state;
    unit_case("post.relu", false, CM_ACT_RELU);
    unit_case("pre.relu", true, CM_ACT_RELU);
    unit_case("post.gelu", false, CM_ACT_GELU);
    unit_case("pre.gelu", true, CM_ACT_GELU);
}

/* ===== losses =============================================================================== */

static void losses(void **state)
{
    (void)state;
    enum { N = 12 };
    float scratch[2 * N * N + N], loss, ds[N * N] = {0}, dt = 0;
    uint32_t target[6], row[N], col[N];
    assert_true(cm_infonce_scratch(N) <= sizeof scratch / sizeof *scratch);
    for (size_t i = 0; i < 6; i++)
        target[i] = (uint32_t)ref("ce", "target", 6)[i];
    loss = (float)cm_cross_entropy(ds, ref("ce", "in", 54), target, 6, 9, scratch);
    forward_is("ce", "out", &loss, 1);
    gradient_is("ce", "din", ds, 54);

    for (int kind = CM_NEG_HARDEST; kind <= CM_NEG_SEMIHARD; kind++) {
        const char *group = kind == CM_NEG_HARDEST ? "hardest" : "semihard";
        const float *s = ref(group, "in", N * N);
        memset(ds, 0, sizeof ds);
        cm_negatives_choose(row, col, s, NULL, N, .2, (enum cm_negatives)kind, NULL);
        loss = (float)cm_triplet(ds, NULL, s, row, col, N, .2);
        forward_is(group, "out", &loss, 1);
        gradient_is(group, "din", ds, N * N);
    }

    memset(ds, 0, sizeof ds);
    loss = (float)cm_infonce(ds, &dt, ref("infonce", "in", N * N),
                             (double)*ref("infonce", "logt", 1), N, scratch);
    forward_is("infonce", "out", &loss, 1);
    gradient_is("infonce", "din", ds, N * N);
    gradient_is("infonce", "dlogt", &dt, 1);
}

static void negatives(void **state)
{
    (void)state;
    /* margin .2; row 0: own .5, semi-hard .4 and .45, too easy .1, too hard .9 */
    const float s[25] = {.5f, .4f, .45f, .1f, .9f, 0,   .5f, 0, 0, 0, 0, 0,  .5f,
                         0,   0,   0,    0,   0,   .5f, 0,   0, 0, 0, 0, .5f};
    unsigned char allowed[25];
    memset(allowed, 1, sizeof allowed);
    uint32_t row[5], col[5], seen[5] = {0};
    cm_negatives_choose(row, col, s, allowed, 5, .2, CM_NEG_HARDEST, NULL);
    assert_int_equal(row[0], 4);
    assert_int_equal(col[4], 0);
    assert_int_equal(row[1], 0); /* a tie: the lowest */
    allowed[4] = 0;
    cm_negatives_choose(row, col, s, allowed, 5, .2, CM_NEG_HARDEST, NULL);
    assert_int_equal(row[0], 2);
    assert_int_equal(col[4], 1);
    cm_negatives_choose(row, col, s, NULL, 5, .2, CM_NEG_SEMIHARD, NULL);
    assert_int_equal(row[0], 2);
    assert_int_equal(row[1], CM_NO_NEGATIVE);
    for (uint32_t step = 0; step < 400; step++) {
        struct cm_rng g = cm_rng_make(1, CM_RNG_NEGATIVES, 0, step);
        cm_negatives_choose(row, col, s, NULL, 5, .2, CM_NEG_RANDOM_SEMIHARD, &g);
        assert_true(row[0] < 5);
        seen[row[0]]++;
        assert_int_equal(row[3], CM_NO_NEGATIVE);
        assert_int_equal(col[1], 0); /* the only one */
    }
    assert_int_equal(seen[1] + seen[2], 400);
    assert_true(seen[1] > 140 && seen[2] > 140); /* 200 +- 6 standard deviations */
    /* no negatives, no loss, no gradient */
    float ds[25] = {0};
    size_t active;
    for (size_t i = 0; i < 5; i++)
        row[i] = col[i] = CM_NO_NEGATIVE;
    assert_true(cm_triplet(ds, &active, s, row, col, 5, .2) == 0);
    assert_int_equal(active, 0);
    for (size_t i = 0; i < 25; i++)
        assert_true(ds[i] == 0);
}

/* ===== optimiser ============================================================================ */

static void adam_case(const char *group, struct cm_adam o)
{
    enum { N = 37 };
    float w[N], m[N] = {0}, v[N] = {0};
    const float *grads = ref(group, "grads", 5 * N), *steps = ref(group, "steps", 5 * N);
    memcpy(w, ref(group, "start", N), sizeof w);
    for (uint64_t t = 1; t <= 5; t++) {
        const float *g = grads + (t - 1) * N;
        cm_adam_step(w, m, v, g, 20, t, &o); /* in two segments */
        cm_adam_step(w + 20, m + 20, v + 20, g + 20, N - 20, t, &o);
        for (size_t i = 0; i < N; i++) {
            double want = (double)steps[(t - 1) * N + i];
            if (!(fabs((double)w[i] - want) <= 2e-7 * fmax(1, fabs(want))))
                fail_msg("%s step %d [%zu]: %.9g, PyTorch %.9g", group, (int)t, i, (double)w[i],
                         want);
        }
    }
}

static void optimisers(void **state)
{
    (void)state;
    struct cm_adam o = CM_ADAM_DEFAULT;
    o.lr = 1e-2;
    adam_case("adam", o);
    o.decay = .1;
    adam_case("adam.decay", o);
    o.decoupled = true;
    o.b2 = .98;
    adam_case("adamw", o);
    const float *want = ref("schedule", "", 20);
    for (uint64_t t = 0; t < 20; t++)
        assert_true(fabs(cm_schedule_factor(CM_LR_COSINE, t, 5, 20) - (double)want[t]) < 1e-6);
    assert_true(cm_schedule_factor(CM_LR_COSINE, 20, 5, 20) == 0);
    assert_true(cm_schedule_factor(CM_LR_COSINE, 0, 0, 20) == 1);
    assert_true(cm_schedule_factor(CM_LR_CONSTANT, 1, 4, 20) == .5);
    assert_true(cm_schedule_factor(CM_LR_CONSTANT, 4, 4, 20) == 1);

    /* averaged weights of a constant are the constant; the early ones forget the start */
    float average[3] = {9, 9, 9}, w[3] = {1, 2, 3};
    cm_average_step(average, w, 3, .98, 0);
    for (size_t i = 0; i < 3; i++)
        assert_true(fabs((double)average[i] - (.1 * 9 + .9 * (double)w[i])) < 1e-6);
    assert_true(fabs(cm_average_decay(.98, 8) - .5) < 1e-12);
    assert_true(cm_average_decay(.98, 100000) == .98);
}

static void parameters(void **state)
{
    (void)state;
    struct cm_param offsets[3];
    struct cm_params t = {.p = offsets, .capacity = 3}, count = {0};
    for (int pass = 0; pass < 2; pass++) {
        struct cm_params *table = pass ? &t : &count;
        assert_int_equal(cm_params_add(table, "gex", "w", 3, 5, 0), 0);
        assert_int_equal(cm_params_add(table, "", "b", 16, 0, 0), 16);
        assert_int_equal(cm_params_add(table, "x.y", "c", 2, 3, 4), 32);
    }
    assert_int_equal(count.n, 3);
    assert_int_equal(count.size, 64);
    assert_int_equal(t.size, 64);
    const struct cm_param *p = cm_params_find(&t, "x.y.c");
    assert_non_null(p);
    assert_int_equal(p->dims, 3);
    assert_int_equal(p->n, 24);
    assert_int_equal(p->shape[2], 4);
    assert_string_equal(t.p[1].name, "b");
    assert_null(cm_params_find(&t, "x.y"));
    float w[4001];
    cm_init_normal(w, 4001, .1, cm_rng_make(1, CM_RNG_INIT, 0, 0));
    double s = 0, ss = 0;
    for (size_t i = 0; i < 4001; i++)
        s += (double)w[i], ss += (double)w[i] * (double)w[i];
    assert_true(fabs(s / 4001) < .01 && fabs(sqrt(ss / 4001) - .1) < .005);
    cm_init_uniform(w, 4001, .1, cm_rng_make(1, CM_RNG_INIT, 0, 0));
    for (size_t i = 0; i < 4001; i++)
        assert_true(fabs((double)w[i]) <= .1);
    assert_true(cm_all_finite(w, 4001));
    w[4000] = NAN;
    assert_false(cm_all_finite(w, 4001));
    w[4000] = -INFINITY;
    assert_false(cm_all_finite(w, 4001));
    assert_true(cm_all_finite(w, 4000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparse),
        cmocka_unit_test(conv),
        cmocka_unit_test(activations),
        cmocka_unit_test(rows),
        cmocka_unit_test(softmax_edges),
        cmocka_unit_test(exponential),
        cmocka_unit_test(gelu_everywhere),
        cmocka_unit_test(mha),
        cmocka_unit_test(unit),
        cmocka_unit_test(losses),
        cmocka_unit_test(negatives),
        cmocka_unit_test(optimisers),
        cmocka_unit_test(parameters),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
