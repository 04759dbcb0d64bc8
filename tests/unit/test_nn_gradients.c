/* Every layer's backward pass against central differences of its forward pass, in double.
 *
 * The layers are those built in double (Makefile, UNIT_DOUBLE).  A case is a forward function on
 * static arrays; its objective is the inner product of the output with fixed random numbers.
 * Gradients start from random numbers, not from zero, so that "accumulates" is tested too.
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
#include "nn/vec.h"

#define TOLERANCE 1e-6
#define STEP      1e-5

static uint32_t salt; /* arrays in order of their making */

static double *gaussian(size_t n)
{
    struct cm_rng g = cm_rng_make(11, CM_RNG_TEST, 1, salt++);
    double *v = CM_NEW(n ? n : 1, double);
    for (size_t i = 0; i < n; i++)
        v[i] = cm_rng_normal(&g);
    return v;
}

/* What one case differentiates. */
static struct {
    void (*forward)(void);
    double *in, *w, *bias, *out, *cache, *scratch, *weight;
    size_t n_out, B, L, M, C, F, K, S, Z, P, H;
    int kind;
    bool per_window;
    const struct cm_windows *windows;
    const struct cm_dropout *drop;
    const uint32_t *idx;
    const float *val;
    uint32_t *which;
    const struct cm_unit *unit;
    const struct cm_mha *mha;
} e;

static double objective(void)
{
    double s = 0;
    memset(e.out, 0x7f, e.n_out * sizeof *e.out); /* forward overwrites */
    e.forward();
    for (size_t i = 0; i < e.n_out; i++)
        s += e.out[i] * e.weight[i];
    return s;
}

static void equal(const char *what, size_t i, double got, double want)
{
    if (!(fabs(got - want) <= TOLERANCE * fmax(1, fabs(want))))
        fail_msg("%s[%zu]: gradient %.12g, differences say %.12g", what, i, got, want);
}

/* got (n) = before + gradient of f with respect to x (n). */
static void differences(const char *what, double (*f)(void), double *x, size_t n, const double *got,
                        const double *before)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        double keep = x[i];
        x[i] = keep + STEP;
        double up = f();
        x[i] = keep - STEP;
        double down = f();
        x[i] = keep;
        double want = (up - down) / (2 * STEP);
        largest = fmax(largest, fabs(want));
        equal(what, i, got[i] - before[i], want);
    }
    if (n && largest == 0)
        fail_msg("%s: all differences are 0, nothing was tested", what);
}

/* A gradient array that does not begin at zero. */
struct grad {
    double *d, *before;
    size_t n;
};

static struct grad grad(size_t n)
{
    struct grad g = {gaussian(n), CM_NEW(n ? n : 1, double), n};
    memcpy(g.before, g.d, n * sizeof *g.d);
    return g;
}

static void check(const char *what, double *x, struct grad *g)
{
    differences(what, objective, x, g->n, g->d, g->before);
    cm_free(g->d);
    cm_free(g->before);
}

/* ===== sparse convolution ================================================================== */

static void sparse_forward(void)
{
    size_t n = e.M;
    cm_sparse_conv_forward(e.out, e.idx, e.val, n, e.w, e.bias, e.per_window, e.windows, e.F);
}

static void sparse_conv(void **state)
{
    (void)state;
    /* three chromosomes, one of them empty, one shorter than a kernel; two features on none */
    const size_t chrom[] = {0, 23, 23, 27, 48}, chroms = 4, features = 50;
    struct cm_window_rule rules[] = {
        {.kernel = 5, .stride = 5, .partial = true},
        {.kernel = 5, .stride = 2, .padding = 2},
        {.kernel = 7, .stride = 3, .padding = 1, .partial = true},
        {.kernel = 5, .stride = 5, .partial = true, .untied = true},
        {.kernel = 6, .stride = 4, .padding = 3, .untied = true},
        {.kernel = 2, .stride = 3},
    };
    uint32_t position[50], idx[20];
    float val[20];
    for (uint32_t j = 0; j < 50; j++)
        position[j] = (j * 17 + 3) % 50;
    struct cm_rng g = cm_rng_make(5, CM_RNG_TEST, 0, 0);
    for (uint32_t i = 0; i < 20; i++) {
        idx[i] = (i * 7 + 1) % 50;
        val[i] = (float)cm_rng_normal(&g);
    }
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++)
        for (int variant = 0; variant < 4; variant++) {
            const uint32_t *order = variant & 1 ? position : NULL;
            struct cm_windows w;
            size_t tokens[5], n = 20,
                              F = r % 3 == 2 ? 55 : 5 + 8 * (r & 1); /* all widths of the loops */
            cm_windows_lay(&w, NULL, NULL, NULL, &rules[r], chrom, chroms, features, order);
            struct cm_window *window = CM_NEW(w.L, struct cm_window);
            uint32_t *first = CM_NEW(features, uint32_t);
            cm_windows_lay(&w, window, first, tokens, &rules[r], chrom, chroms, features, order);
            assert_int_equal(tokens[4], w.L);
            memset(&e, 0, sizeof e);
            e.forward = sparse_forward;
            e.idx = idx, e.val = val, e.M = n, e.F = F, e.windows = &w;
            e.per_window = variant & 2;
            e.n_out = w.L * F;
            e.w = gaussian(w.rows * F);
            e.bias = gaussian(e.per_window ? w.L * F : F);
            e.out = gaussian(e.n_out), e.weight = gaussian(e.n_out);

            /* forward against the dense definition */
            double dense[50] = {0};
            for (size_t i = 0; i < n; i++)
                dense[order ? order[idx[i]] : idx[i]] = (double)val[i];
            sparse_forward();
            size_t token = 0, row = 0;
            for (size_t c = 0; c < chroms; c++) {
                long length = (long)(chrom[c + 1] - chrom[c]), K = (long)rules[r].kernel;
                assert_int_equal(tokens[c], token);
                long Z = (long)rules[r].padding, S = (long)rules[r].stride;
                for (long at = -Z;; at += S, token++) {
                    bool whole = at + K <= length + Z;
                    bool left = at == -Z || at - S + K < length + Z; /* by the window before */
                    if (!length || !(whole || (rules[r].partial && left && at < length)))
                        break;
                    for (size_t f = 0; f < F; f++) {
                        double s = e.bias[e.per_window ? token * F + f : f];
                        size_t own = row;
                        for (long k = 0; k < K; k++) {
                            if (at + k < 0 || at + k >= length)
                                continue;
                            size_t line = rules[r].untied ? own++ : (size_t)k;
                            s += dense[(long)chrom[c] + at + k] * e.w[line * F + f];
                        }
                        assert_true(fabs(s - e.out[token * F + f]) < 1e-12);
                        if (f + 1 == F)
                            row = own;
                    }
                }
            }
            assert_int_equal(token, w.L);
            if (rules[r].untied)
                assert_int_equal(row, w.rows);

            struct grad dw = grad(w.rows * F), db = grad(e.per_window ? w.L * F : F);
            cm_sparse_conv_backward(dw.d, db.d, e.weight, idx, val, n, e.per_window, &w, F);
            check("sparse filter", e.w, &dw);
            check("sparse bias", e.bias, &db);
            cm_free(e.w), cm_free(e.bias), cm_free(e.out), cm_free(e.weight);
            cm_free(window), cm_free(first);
        }
}

static void kernel_for_tokens(void **state)
{
    (void)state;
    const size_t chrom[] = {0, 100, 130, 200, 205};
    for (size_t tokens = 4; tokens < 210; tokens += 7) {
        size_t kernel = cm_windows_kernel(chrom, 4, tokens), L[2] = {0};
        for (size_t c = 0; c < 4; c++) {
            size_t n = chrom[c + 1] - chrom[c];
            L[0] += (n + kernel - 1) / kernel;
            L[1] += kernel > 1 ? (n + kernel - 2) / (kernel - 1) : tokens + 1;
        }
        assert_true(L[0] <= tokens);
        assert_true(L[1] > tokens); /* one less would be too many */
    }
    assert_int_equal(cm_windows_kernel(chrom, 4, 1), 100); /* one a chromosome is the fewest */
}

/* ===== convolution over tokens, max-pooling ================================================ */

static void conv_forward(void)
{
    cm_conv_forward(e.out, e.in, e.w, e.bias, e.L, e.C, e.F, e.K, e.S, e.Z, e.scratch);
}

static void conv(void **state)
{
    (void)state;
    const size_t shape[][4] = {{11, 3, 1, 1}, {23, 5, 5, 0}, {9, 4, 2, 1}, {10, 2, 3, 0},
                               {8, 8, 1, 3},  {3, 5, 2, 1},  {3, 5, 2, 0}, {13, 5, 2, 4}};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        memset(&e, 0, sizeof e);
        e.forward = conv_forward;
        e.L = shape[i][0], e.K = shape[i][1], e.S = shape[i][2], e.Z = shape[i][3];
        e.C = 3, e.F = 4;
        size_t T = e.L + 2 * e.Z < e.K ? 0 : (e.L + 2 * e.Z - e.K) / e.S + 1;
        e.n_out = T * e.F;
        e.in = gaussian(e.L * e.C), e.w = gaussian(e.K * e.C * e.F), e.bias = gaussian(e.F);
        e.out = gaussian(e.n_out), e.weight = gaussian(e.n_out);
        e.scratch = gaussian(cm_conv_scratch(e.L, e.C, e.K, e.S, e.Z));
        struct grad dx = grad(e.L * e.C), dw = grad(e.K * e.C * e.F), db = grad(e.F);
        objective();
        for (size_t t = 0; t < T; t++)
            for (size_t f = 0; f < e.F; f++) {
                double s = e.bias[f];
                for (size_t k = 0; k < e.K; k++)
                    for (size_t c = 0; c < e.C; c++)
                        if (t * e.S + k >= e.Z && t * e.S + k - e.Z < e.L)
                            s += e.in[(t * e.S + k - e.Z) * e.C + c] * e.w[(k * e.C + c) * e.F + f];
                assert_true(fabs(s - e.out[t * e.F + f]) < 1e-12);
            }
        cm_conv_backward(dx.d, dw.d, db.d, e.weight, e.in, e.w, e.L, e.C, e.F, e.K, e.S, e.Z,
                         e.scratch);
        if (T) {
            check("conv in", e.in, &dx);
            check("conv filter", e.w, &dw);
            check("conv bias", e.bias, &db);
        } else {
            assert_memory_equal(dx.d, dx.before, dx.n * sizeof *dx.d);
            cm_free(dx.d), cm_free(dx.before), cm_free(dw.d), cm_free(dw.before), cm_free(db.d);
            cm_free(db.before);
        }
        cm_free(e.in), cm_free(e.w), cm_free(e.bias), cm_free(e.out), cm_free(e.weight);
        cm_free(e.scratch);
    }
}

static void maxpool_forward(void) { cm_maxpool_forward(e.out, e.which, e.in, e.L, e.C, e.K, e.S); }

static void maxpool(void **state)
{
    (void)state;
    const size_t shape[][3] = {{11, 2, 2}, {12, 5, 2}, {7, 3, 4}};
    for (size_t i = 0; i < 3; i++) {
        memset(&e, 0, sizeof e);
        e.forward = maxpool_forward;
        e.L = shape[i][0], e.K = shape[i][1], e.S = shape[i][2], e.C = 5;
        size_t T = (e.L - e.K) / e.S + 1;
        e.n_out = T * e.C;
        e.which = CM_NEW(e.n_out, uint32_t);
        e.in = gaussian(e.L * e.C), e.out = gaussian(e.n_out), e.weight = gaussian(e.n_out);
        struct grad dx = grad(e.L * e.C);
        objective();
        cm_maxpool_backward(dx.d, e.weight, e.which, T, e.C);
        check("maxpool in", e.in, &dx);
        cm_free(e.in), cm_free(e.out), cm_free(e.weight), cm_free(e.which);
    }
}

/* ===== element-wise ========================================================================= */

static void act_forward(void) { cm_act_forward(e.out, e.in, e.L, (enum cm_activation)e.kind, .01); }

static void activations(void **state)
{
    (void)state;
    for (int kind = CM_ACT_NONE; kind <= CM_ACT_GELU; kind++) {
        memset(&e, 0, sizeof e);
        e.forward = act_forward;
        e.kind = kind;
        e.n_out = e.L = 37;
        e.in = gaussian(37), e.out = gaussian(37), e.weight = gaussian(37);
        struct grad dx = grad(37);
        cm_act_backward(dx.d, e.weight, e.in, 37, (enum cm_activation)kind, .01);
        check("activation in", e.in, &dx);
        cm_free(e.in), cm_free(e.out), cm_free(e.weight);
    }
}

static void dropout_forward(void) { cm_dropout_forward(e.out, e.in, e.B, e.L, e.drop); }

static void dropout(void **state)
{
    (void)state;
    struct cm_dropout d = {.rate = .3, .seed = 7, .step = 4, .row = 9, .site = 2};
    memset(&e, 0, sizeof e);
    e.forward = dropout_forward;
    e.drop = &d, e.B = 3, e.L = 1001, e.n_out = 3003;
    e.in = gaussian(e.n_out), e.out = gaussian(e.n_out), e.weight = gaussian(e.n_out);
    struct grad dx = grad(e.n_out);
    objective();
    size_t kept = 0;
    for (size_t i = 0; i < e.n_out; i++) {
        assert_true(e.out[i] == 0 || fabs(e.out[i] - e.in[i] / .7) < 1e-12);
        kept += e.out[i] != 0;
    }
    assert_true(fabs((double)kept / 3003 - .7) < 5 * sqrt(.21 / 3003));
    cm_dropout_backward(dx.d, e.weight, e.B, e.L, &d);
    for (size_t i = 0; i < e.n_out; i++)
        assert_true(fabs(dx.d[i] - dx.before[i] - (e.out[i] != 0) * e.weight[i] / .7) < 1e-12);
    /* cell 2 of the group alone, and an inner segment of it, have the same mask */
    struct cm_dropout other = d;
    other.row += 2;
    double *alone = gaussian(1001);
    cm_dropout_forward(alone, e.in + 2002, 1, 1001, &other);
    assert_memory_equal(alone, e.out + 2002, 1001 * sizeof *alone);
    cm_dropout_range(alone, e.in + 2002 + 13, 13, 50, &other, other.row, false);
    assert_memory_equal(alone, e.out + 2002 + 13, 50 * sizeof *alone);
    /* another site, step, row or seed: another mask */
    for (int what = 0; what < 4; what++) {
        other = d;
        *(what == 0 ? &other.site : what == 1 ? &other.step : &other.row) += what < 3;
        other.seed += what == 3;
        cm_dropout_forward(alone, e.in, 1, 1001, &other);
        size_t same = 0;
        for (size_t i = 0; i < 1001; i++)
            same += (alone[i] == 0) == (e.out[i] == 0);
        assert_true(fabs((double)same / 1001 - .58) < .08); /* .7^2 + .3^2 */
    }
    /* a sparse cell's mask goes by column, the same as the dense one's; float values */
    uint32_t idx[500];
    float val[500];
    for (uint32_t i = 0; i < 500; i++)
        idx[i] = (i * 7 + 2) % 1001, val[i] = 1;
    cm_dropout_sparse(val, val, idx, 500, &d);
    for (size_t i = 0; i < 500; i++)
        assert_true(e.out[idx[i]] == 0 ? val[i] == 0 : fabs((double)val[i] - 1 / .7) < 1e-6);
    d.rate = 1;
    cm_dropout_forward(alone, e.in, 1, 1001, &d);
    for (size_t i = 0; i < 1001; i++)
        assert_true(alone[i] == 0);
    cm_free(dx.d), cm_free(dx.before), cm_free(alone);
    cm_free(e.in), cm_free(e.out), cm_free(e.weight);
}

/* ===== rows ================================================================================= */

static void linear_forward(void) { cm_linear_forward(e.out, e.in, e.w, e.bias, e.L, e.C, e.F); }

static void layernorm_forward(void)
{
    cm_layernorm_forward(e.out, e.cache, e.in, e.w, e.bias, e.L, e.P);
}

static void unitnorm_forward(void) { cm_unitnorm_forward(e.out, e.cache, e.in, e.L, e.P); }

static void pool_forward(void)
{
    cm_pool_forward(e.out, e.in, (enum cm_pool)e.kind, e.B, e.L, e.P, e.S, e.K);
}

static void position_forward(void) { cm_position_forward(e.out, e.in, e.w, e.B, e.L, e.P); }

static void release(void)
{
    cm_free(e.in), cm_free(e.w), cm_free(e.bias), cm_free(e.out), cm_free(e.cache);
    cm_free(e.scratch), cm_free(e.weight), cm_free(e.which);
}

static void linear(void **state)
{
    (void)state;
    memset(&e, 0, sizeof e);
    e.forward = linear_forward;
    e.L = 5, e.C = 7, e.F = 6, e.n_out = 30;
    e.in = gaussian(35), e.w = gaussian(42), e.bias = gaussian(6);
    e.out = gaussian(30), e.weight = gaussian(30);
    struct grad dx = grad(35), dw = grad(42), db = grad(6);
    cm_linear_backward(dx.d, dw.d, db.d, e.weight, e.in, e.w, 5, 7, 6);
    check("linear in", e.in, &dx);
    check("linear weights", e.w, &dw);
    check("linear bias", e.bias, &db);
    release();
}

static void layernorm(void **state)
{
    (void)state;
    for (size_t P = 12; P <= 13; P++) {
        memset(&e, 0, sizeof e);
        e.forward = layernorm_forward;
        e.L = 4, e.P = P, e.n_out = 4 * P;
        e.in = gaussian(4 * P), e.w = gaussian(P), e.bias = gaussian(P), e.cache = gaussian(8);
        e.out = gaussian(4 * P), e.weight = gaussian(4 * P);
        struct grad dx = grad(4 * P), dw = grad(P), db = grad(P);
        objective();
        cm_layernorm_backward(dx.d, dw.d, db.d, e.weight, e.cache, e.in, e.w, 4, P);
        check("layer norm in", e.in, &dx);
        check("layer norm gain", e.w, &dw);
        check("layer norm bias", e.bias, &db);
        release();
    }
}

static void unitnorm(void **state)
{
    (void)state;
    memset(&e, 0, sizeof e);
    e.forward = unitnorm_forward;
    e.L = 4, e.P = 9, e.n_out = 36;
    e.in = gaussian(36), e.out = gaussian(36), e.weight = gaussian(36), e.cache = gaussian(4);
    struct grad dx = grad(36);
    objective();
    cm_unitnorm_backward(dx.d, e.weight, e.cache, e.out, 4, 9);
    check("unit norm in", e.in, &dx);
    /* a row of zeros stays one and gets no gradient */
    memset(e.in, 0, 36 * sizeof *e.in);
    struct grad none = grad(36);
    objective();
    cm_unitnorm_backward(none.d, e.weight, e.cache, e.out, 4, 9);
    assert_memory_equal(none.d, none.before, 36 * sizeof *none.d);
    assert_memory_equal(e.out, e.in, 36 * sizeof *e.out);
    cm_free(none.d), cm_free(none.before);
    release();
}

static void pools(void **state)
{
    (void)state;
    for (int kind = CM_POOL_MEAN; kind <= CM_POOL_SUM; kind++)
        for (size_t from = 0; from < 4; from += 3) {
            memset(&e, 0, sizeof e);
            e.forward = pool_forward;
            e.kind = kind, e.B = 2, e.L = 7, e.P = 5, e.S = from, e.K = from ? 6 : 7;
            e.n_out = 10;
            e.in = gaussian(70), e.out = gaussian(10), e.weight = gaussian(10);
            struct grad dx = grad(70);
            cm_pool_backward(dx.d, e.weight, (enum cm_pool)kind, 2, 7, 5, e.S, e.K);
            check("pool in", e.in, &dx);
            release();
        }
}

static void positions(void **state)
{
    (void)state;
    memset(&e, 0, sizeof e);
    e.forward = position_forward;
    e.B = 2, e.L = 3, e.P = 5, e.n_out = 30;
    e.in = gaussian(30), e.w = gaussian(15), e.out = gaussian(30), e.weight = gaussian(30);
    struct grad dx = grad(30), dw = grad(15);
    cm_position_backward(dx.d, dw.d, e.weight, 2, 3, 5);
    check("position in", e.in, &dx);
    check("position", e.w, &dw);
    release();
}

/* ===== attention ============================================================================ */

/* q in columns 1.., k and v side by side in one array: leading dimensions that differ. */
static void attend_forward(void)
{
    size_t P = e.P;
    cm_attend_forward(e.out, e.cache, e.in + 1, P + 3, e.w, 2 * P, e.w + P, 2 * P, e.L, e.M, P, e.H,
                      e.drop, e.scratch);
}

static void attend(void **state)
{
    (void)state;
    struct cm_dropout d = {.rate = .25, .seed = 3, .step = 1, .row = 5, .site = 1};
    for (int variant = 0; variant < 2; variant++) {
        memset(&e, 0, sizeof e);
        e.forward = attend_forward;
        e.L = 4, e.M = 6, e.P = 6, e.H = 3, e.n_out = 24;
        e.drop = variant ? &d : NULL;
        size_t n_q = e.L * (e.P + 3) + 1, n_kv = e.M * 2 * e.P, n_prob = e.H * e.L * e.M;
        e.in = gaussian(n_q), e.w = gaussian(n_kv);
        e.cache = gaussian(n_prob), e.scratch = gaussian(cm_attend_scratch(e.L, e.M));
        e.out = gaussian(e.n_out), e.weight = gaussian(e.n_out);
        struct grad dq = grad(n_q), dkv = grad(n_kv);
        objective();
        cm_attend_backward(dq.d + 1, dkv.d, dkv.d + e.P, e.weight, e.cache, e.in + 1, e.P + 3, e.w,
                           2 * e.P, e.w + e.P, 2 * e.P, e.L, e.M, e.P, e.H, e.drop, e.scratch);
        check("attention queries", e.in, &dq);
        check("attention keys and values", e.w, &dkv);
        release();
    }
}

static void mha_forward(void)
{
    cm_mha_forward(e.out, e.cache, e.in, e.w, e.mha, e.B, e.drop, e.scratch);
}

static void mha(void **state)
{
    (void)state;
    struct cm_mha a = {.L = 5, .P = 6, .H = 2};
    struct cm_params t = {0};
    cm_params_add(&t, "", "in.front", 5, 0, 0);
    cm_mha_declare(&a, &t, "mha");
    memset(&e, 0, sizeof e);
    e.forward = mha_forward;
    e.mha = &a, e.B = 2, e.n_out = 60;
    e.in = gaussian(60), e.w = gaussian(t.size), e.out = gaussian(60);
    e.cache = gaussian(cm_mha_cache(&a, 2)), e.scratch = gaussian(cm_mha_scratch(&a, 2));
    e.weight = gaussian(60);
    struct grad dx = grad(60), dw = grad(t.size);
    objective();
    const double *prob = e.cache + cm_mha_prob_at(&a, 2, 1);
    for (size_t i = 0; i < 10; i++) { /* rows of the second cell's maps */
        double s = 0;
        for (size_t j = 0; j < 5; j++)
            s += prob[i * 5 + j];
        assert_true(fabs(s - 1) < 1e-12);
    }
    cm_mha_backward(dx.d, dw.d, e.weight, e.cache, e.in, e.w, &a, 2, NULL, e.scratch);
    check("multi-head in", e.in, &dx);
    check("multi-head parameters", e.w, &dw);
    release();
}

/* ===== unit ================================================================================= */

static void unit_forward(void)
{
    cm_unit_forward(e.out, e.cache, e.in, e.w, e.unit, e.B, e.drop, e.scratch);
}

static void unit(void **state)
{
    (void)state;
    struct cm_dropout d = {.seed = 3, .step = 1, .row = 5};
    for (int variant = 0; variant < 12; variant++) {
        struct cm_unit u = {.mha = {.L = 4, .P = 6, .H = 3},
                            .F = 9,
                            .pre_norm = variant & 1,
                            .act = variant % 6 < 2   ? CM_ACT_RELU
                                   : variant % 6 < 4 ? CM_ACT_GELU
                                                     : CM_ACT_LEAKY,
                            .slope = .1,
                            .rate = .2,
                            .attention = .1,
                            .site = 3};
        struct cm_params t = {0};
        cm_unit_declare(&u, &t, "unit");
        memset(&e, 0, sizeof e);
        e.forward = unit_forward;
        e.unit = &u, e.B = 2, e.n_out = 48;
        e.drop = variant < 6 ? NULL : &d;
        e.in = gaussian(48), e.w = gaussian(t.size), e.out = gaussian(48);
        e.cache = gaussian(cm_unit_cache(&u, 2)), e.scratch = gaussian(cm_unit_scratch(&u, 2));
        e.weight = gaussian(48);
        struct grad dx = grad(48), dw = grad(t.size), dw2 = grad(t.size);
        objective();
        cm_unit_backward(dx.d, dw.d, e.weight, e.cache, e.in, e.w, &u, 2, e.drop, e.scratch);
        /* the input's gradient is optional, and nothing else depends on it */
        cm_unit_backward(NULL, dw2.d, e.weight, e.cache, e.in, e.w, &u, 2, e.drop, e.scratch);
        for (size_t i = 0; i < t.size; i++)
            assert_true(fabs(dw2.d[i] - dw2.before[i] - dw.d[i] + dw.before[i]) < 1e-9);
        cm_free(dw2.d), cm_free(dw2.before);
        check("unit in", e.in, &dx);
        check("unit parameters", e.w, &dw);
        release();
    }
}

/* ===== losses =============================================================================== */

static struct {
    double *s, log_t, *scratch;
    size_t B, C;
    uint32_t *target, *row_neg, *col_neg;
} l;

static double cross_entropy_loss(void)
{
    return cm_cross_entropy(NULL, l.s, l.target, l.B, l.C, l.scratch);
}

static double triplet_loss(void)
{
    return cm_triplet(NULL, NULL, l.s, l.row_neg, l.col_neg, l.B, .2);
}

static double infonce_loss(void) { return cm_infonce(NULL, NULL, l.s, l.log_t, l.B, l.scratch); }

static void losses(void **state)
{
    (void)state;
    enum { B = 7, C = 5 };
    uint32_t target[B] = {0, 4, 2, 2, 1, 3, 0}, row_neg[B], col_neg[B];
    l.target = target, l.row_neg = row_neg, l.col_neg = col_neg;
    l.B = B, l.C = C, l.log_t = 1.3;
    l.scratch = gaussian(cm_infonce_scratch(B));

    l.s = gaussian(B * C);
    struct grad g = grad(B * C);
    assert_true(cm_cross_entropy(g.d, l.s, target, B, C, l.scratch) == cross_entropy_loss());
    differences("cross-entropy", cross_entropy_loss, l.s, B * C, g.d, g.before);
    cm_free(l.s), cm_free(g.d), cm_free(g.before);

    for (int kind = CM_NEG_HARDEST; kind <= CM_NEG_RANDOM_SEMIHARD; kind++) {
        l.s = gaussian(B * B);
        for (size_t i = 0; i < B * B; i++)
            l.s[i] *= .3;
        struct cm_rng draw = cm_rng_make(1, CM_RNG_NEGATIVES, 0, 0);
        cm_negatives_choose(row_neg, col_neg, l.s, NULL, B, .2, (enum cm_negatives)kind, &draw);
        g = grad(B * B);
        size_t active;
        assert_true(cm_triplet(g.d, &active, l.s, row_neg, col_neg, B, .2) == triplet_loss());
        assert_true(active > 0);
        differences("triplet", triplet_loss, l.s, B * B, g.d, g.before);
        cm_free(l.s), cm_free(g.d), cm_free(g.before);
    }

    l.s = gaussian(B * B);
    g = grad(B * B);
    struct grad t = grad(1);
    assert_true(cm_infonce(g.d, t.d, l.s, l.log_t, B, l.scratch) == infonce_loss());
    differences("infonce", infonce_loss, l.s, B * B, g.d, g.before);
    differences("infonce temperature", infonce_loss, &l.log_t, 1, t.d, t.before);
    cm_free(l.s), cm_free(g.d), cm_free(g.before), cm_free(t.d), cm_free(t.before);
    cm_free(l.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparse_conv), cmocka_unit_test(kernel_for_tokens),
        cmocka_unit_test(conv),        cmocka_unit_test(maxpool),
        cmocka_unit_test(activations), cmocka_unit_test(dropout),
        cmocka_unit_test(linear),      cmocka_unit_test(layernorm),
        cmocka_unit_test(unitnorm),    cmocka_unit_test(pools),
        cmocka_unit_test(positions),   cmocka_unit_test(attend),
        cmocka_unit_test(mha),         cmocka_unit_test(unit),
        cmocka_unit_test(losses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
