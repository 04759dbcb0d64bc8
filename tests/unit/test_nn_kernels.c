/* The kernels of nn/gemm.c and nn/softmax.c, each set that this processor has, against plain loops
 * in double: all transpositions, edges of tiles and panels, what is added and cut; the same bits by
 * AVX-512 and AVX2; rows that do not depend on their number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "nn/gemm.h"
#include "nn/vec.h"

enum { SIDE = 560 };

static float *a, *b, *bias, *before;

static int make(void **state)
{
    (void)state;
    float **const all[] = {&a, &b, &before};
    for (uint32_t i = 0; i < 3; i++) {
        *all[i] = CM_NEW(SIDE * SIDE, float);
        cm_init_normal(*all[i], SIDE * SIDE, 1, cm_rng_make(1, CM_RNG_TEST, 7, i));
    }
    bias = CM_NEW(SIDE, float);
    cm_init_normal(bias, SIDE, 1, cm_rng_make(1, CM_RNG_TEST, 7, 9));
    return 0;
}

static int clean(void **state)
{
    (void)state;
    cm_free(a), cm_free(b), cm_free(bias), cm_free(before);
    return 0;
}

static double plain(const struct cm_gemm *g, size_t i, size_t j, double *size)
{
    double s = 0;
    *size = 1;
    for (size_t k = 0; k < g->k; k++) {
        double x = (double)g->a[g->ta ? k * g->lda + i : i * g->lda + k];
        double y = (double)g->b[g->tb ? j * g->ldb + k : k * g->ldb + j];
        s += x * y;
        *size += fabs(x * y);
    }
    s *= (double)g->alpha;
    s += g->bias ? (double)g->bias[j] : 0;
    s += g->add ? (double)before[i * g->ldc + j] : 0;
    return g->relu && s < 0 ? 0 : s;
}

/* c has a column more than the product; it must stay. */
static void check(enum cm_machine which, struct cm_gemm g, float *c)
{
    g.c = c;
    memcpy(c, before, g.m * g.ldc * sizeof *c);
    cm_gemm_by(which, &g);
    for (size_t i = 0; i < g.m; i++) {
        for (size_t j = 0; j < g.n; j++) {
            double size, want = plain(&g, i, j, &size);
            if (!(fabs((double)c[i * g.ldc + j] - want) <= 3e-7 * size))
                fail_msg("kernels %d, %zu x %zu x %zu, %d%d: c[%zu][%zu] = %.9g, not %.9g", which,
                         g.m, g.n, g.k, g.ta, g.tb, i, j, (double)c[i * g.ldc + j], want);
        }
        assert_true(c[i * g.ldc + g.n] == before[i * g.ldc + g.n]);
    }
}

static void shapes(void **state)
{
    (void)state;
    static const size_t shape[][3] = {{1, 1, 1},    {3, 5, 2},    {8, 48, 16},   {9, 16, 257},
                                      {17, 15, 33}, {16, 80, 40}, {7, 65, 300},  {13, 33, 0},
                                      {33, 7, 520}, {21, 112, 3}, {205, 49, 270}};
    float *c = CM_NEW(SIDE * SIDE, float), *other = CM_NEW(SIDE * SIDE, float);
    for (size_t s = 0; s < sizeof shape / sizeof *shape; s++)
        for (unsigned way = 0; way < 32; way++) {
            size_t m = shape[s][0], n = shape[s][1], k = shape[s][2];
            struct cm_gemm g = {.m = m,
                                .n = n,
                                .k = k,
                                .a = a,
                                .b = b,
                                .ta = way & 1,
                                .tb = way & 2,
                                .add = way & 4,
                                .bias = way & 8 ? bias : NULL,
                                .relu = way & 16,
                                .alpha = way & 4 ? 1 : .3f,
                                .ldc = n + 1};
            g.lda = (g.ta ? m : k) + 2;
            g.ldb = (g.tb ? k : n) + 3;
            for (int which = CM_AVX512; which <= CM_PORTABLE; which++)
                if (cm_machine_has((enum cm_machine)which))
                    check((enum cm_machine)which, g, c);
            if (!cm_machine_has(CM_AVX512) || !cm_machine_has(CM_AVX2))
                continue;
            check(CM_AVX512, g, c);
            check(CM_AVX2, g, other);
            assert_memory_equal(c, other, m * g.ldc * sizeof *c);
        }
    cm_free(c), cm_free(other);
}

/* What is no number comes out as none, also where it is cut at 0. */
static void not_a_number(void **state)
{
    (void)state;
    float x[2] = {NAN, 1}, y[2] = {1, 1}, c[1];
    for (int which = CM_AVX512; which <= CM_PORTABLE; which++) {
        struct cm_gemm g = {1, 1, 2, x, 2, y, 1, c, 1, 1, false, false, false, true, NULL};
        if (cm_machine_has((enum cm_machine)which)) {
            cm_gemm_by((enum cm_machine)which, &g);
            assert_true(isnan(c[0]));
        }
    }
}

/* A row of 1 is the row of 37, bit for bit. */
static void rows(void **state)
{
    (void)state;
    enum { M = 37, N = 70, K = 100 };
    float whole[M * N], one[N];
    for (int which = CM_AVX512; which <= CM_PORTABLE; which++) {
        if (!cm_machine_has((enum cm_machine)which))
            continue;
        struct cm_gemm g = {M, N, K, a, K, b, N, whole, N, 1, false, false, false, false, bias};
        cm_gemm_by((enum cm_machine)which, &g);
        for (size_t i = 0; i < M; i++) {
            struct cm_gemm r = g;
            r.m = 1, r.a = a + i * K, r.c = one;
            cm_gemm_by((enum cm_machine)which, &r);
            assert_memory_equal(one, whole + i * N, sizeof one);
        }
    }
}

/* Relative error of each probability below 4e-7; rows of any length. */
static void softmax(void **state)
{
    (void)state;
    enum { ROWS = 3, LONGEST = 70 };
    float in[ROWS * LONGEST], out[CM_MACHINES][ROWS * LONGEST];
    for (size_t C = 1; C <= LONGEST; C++) {
        for (size_t i = 0; i < ROWS * C; i++)
            in[i] = 4 * a[i] + (i < C ? 1000 : 0);
        in[2 * C] = -INFINITY;
        for (int which = CM_AVX512; which <= CM_PORTABLE; which++) {
            if (!cm_machine_has((enum cm_machine)which))
                continue;
            memcpy(out[which], in, sizeof in);
            cm_softmax_rows_by((enum cm_machine)which, out[which], ROWS, C);
            for (size_t r = 0; r < ROWS && (C > 1 || r < 2); r++) {
                float max = -INFINITY; /* the difference is taken in float */
                double sum = 0;
                for (size_t j = 0; j < C; j++)
                    max = fmaxf(max, in[r * C + j]);
                for (size_t j = 0; j < C; j++)
                    sum += exp((double)(in[r * C + j] - max));
                for (size_t j = 0; j < C; j++) {
                    double want = exp((double)(in[r * C + j] - max)) / sum;
                    if (!(fabs((double)out[which][r * C + j] - want) <= 6e-7 * want))
                        fail_msg("kernels %d, %zu of %zu: %.9g, not %.9g", which, j, C,
                                 (double)out[which][r * C + j], want);
                }
            }
        }
        if (cm_machine_has(CM_AVX512) && cm_machine_has(CM_AVX2))
            assert_memory_equal(out[CM_AVX512], out[CM_AVX2], ROWS * C * sizeof(float));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(not_a_number),
                                       cmocka_unit_test(rows), cmocka_unit_test(softmax)};
    return cmocka_run_group_tests(tests, make, clean);
}
