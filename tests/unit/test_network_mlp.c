/* The mlp encoder: gradients against central differences in double, its first values, and that a
 * trained and an applied pass differ by dropout alone. */
#define CM_REAL_DOUBLE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "network/encoder.h"

#define B      5
#define K      6
#define HIDDEN 9
#define Q      4
#define CELLS  40

static struct cm_encoder e;
static struct cm_param tensor[8];
static struct cm_params table = {.p = tensor, .capacity = 8};
static struct cm_cell cell[B];
static float z[B * K];
static double params[512], grads[512], before[512], weight[B * Q], out[B * Q], cache[1024],
    scratch[1024];
static struct cm_linear linear;
static double s[K] = {9, 7, 5, 3, 2, 1e-9};

static double random_number(uint32_t a, uint32_t b)
{
    struct cm_rng g = cm_rng_make(5, CM_RNG_TEST, a, b);
    return cm_rng_normal(&g);
}

static int make(void **state)
{
    (void)state;
    struct cm_net_config c = {
        .mlp = {.hidden = HIDDEN, .dropout_in = .3, .dropout = .5, .init = .1}};
    linear = (struct cm_linear){.k = K, .q = Q, .cells = CELLS, .side = {{.s = s}}};
    assert_int_equal(cm_encoder_mlp.make(&e, &c, NULL, &linear, 0, &table, "GEX.r"), 0);
    assert_true(table.n == 4 && table.size <= 512);
    assert_true(e.of->cache(&e, B) <= 1024 && e.of->scratch(&e, B) <= 1024);
    for (uint32_t i = 0; i < B * K; i++)
        z[i] = (float)random_number(1, i);
    for (uint32_t i = 0; i < B * Q; i++)
        weight[i] = random_number(2, i);
    for (size_t i = 0; i < B; i++)
        cell[i].z = z + i * K;
    return 0;
}

static double objective(const struct cm_dropout *drop)
{
    double sum = 0;
    struct cm_pass pass = {cell, B, params, drop, cache, scratch};
    e.of->forward(&e, out, &pass);
    for (size_t i = 0; i < B * Q; i++)
        sum += out[i] * weight[i];
    return sum;
}

static void gradients(const struct cm_dropout *drop)
{
    for (uint32_t i = 0; i < 512; i++) {
        params[i] = .5 * random_number(3, i);
        before[i] = grads[i] = random_number(4, i);
    }
    objective(drop);
    struct cm_pass pass = {cell, B, params, drop, cache, scratch};
    e.of->backward(&e, grads, weight, NULL, &pass);
    size_t moved = 0;
    for (size_t t = 0; t < table.n; t++)
        for (size_t j = 0; j < tensor[t].n; j++) {
            size_t i = tensor[t].offset + j;
            double keep = params[i], step = 1e-5;
            params[i] = keep + step;
            double up = objective(drop);
            params[i] = keep - step;
            double want = (up - objective(drop)) / (2 * step), got = grads[i] - before[i];
            params[i] = keep;
            moved += fabs(want) > 1e-3;
            if (!(fabs(got - want) <= 1e-6 * fmax(1, fabs(want))))
                fail_msg("%s[%zu]: gradient %.12g, differences say %.12g", tensor[t].name, j, got,
                         want);
        }
    assert_true(moved > 40);
}

static void gradients_applied(void **state)
{
    (void)state;
    gradients(NULL);
}

static void gradients_with_dropout(void **state)
{
    (void)state;
    struct cm_dropout drop = {.seed = 3, .step = 2, .row = 7};
    gradients(&drop);
}

static void first_values(void **state)
{
    (void)state;
    e.of->init(&e, params, &linear.side[0], 1, 0);
    double max = 0, square = 0;
    for (size_t i = 0; i < K * HIDDEN; i++)
        max = fmax(max, fabs(params[tensor[0].offset + i]));
    assert_true(max <= 1 / sqrt(K) && max > .8 / sqrt(K));
    for (size_t i = 0; i < HIDDEN; i++)
        assert_true(params[tensor[1].offset + i] == 0);
    for (size_t i = 0; i < HIDDEN * Q; i++)
        square += params[tensor[2].offset + i] * params[tensor[2].offset + i];
    assert_true(fabs(sqrt(square / (HIDDEN * Q)) / (.1 / sqrt(HIDDEN)) - 1) < .4);
    double first = params[tensor[0].offset];
    e.of->init(&e, params, &linear.side[0], 1, 1);
    assert_true(params[tensor[0].offset] != first); /* the sides start differently */
}

/* The last component does not vary, so it must not blow up; the others have unit variance. */
static void standardised(void **state)
{
    (void)state;
    struct cm_pass pass = {cell, 1, params, NULL, cache, scratch};
    e.of->forward(&e, out, &pass); /* which keeps its input */
    double first = (double)cell[0].z[0] * sqrt(CELLS) / 9;
    assert_true(fabs(cache[0] - first) < 1e-12 * fabs(first));
    assert_true(cell[0].z[K - 1] != 0 && cache[K - 1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_applied),
        cmocka_unit_test(gradients_with_dropout),
        cmocka_unit_test(first_values),
        cmocka_unit_test(standardised),
    };
    return cmocka_run_group_tests(tests, make, NULL);
}
