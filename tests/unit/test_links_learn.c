/* Learned weights of peak-gene pairs, in double: PyTorch's numbers, differences, first values. */
#define CM_REAL_DOUBLE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "ref.h"

#include "links/contrast.h"
#include "links/weights.h"

#define REF "tests/ref/links.txt"

static struct cm_links_facts pairs;
static struct cm_links_cells cells;
static size_t H;
static double *weights;
static uint64_t ptr[32];
static uint32_t peak[32], group[32];

static double *load(const char *name) { return ref_load(REF, name).v; }

static int setup(void **state)
{
    (void)state;
    double *n = load("sizes"), *at = load("ptr"), *p = load("peak"), *g = load("group"),
           *mu = load("mu");
    H = (size_t)n[0];
    cells = (struct cm_links_cells){.n = (size_t)n[3],
                                    .genes = (size_t)n[1],
                                    .peaks = (size_t)n[2],
                                    .u = load("u"),
                                    .w = load("w"),
                                    .s0 = load("s0"),
                                    .mu = *mu};
    pairs = (struct cm_links_facts){(size_t)n[4], load("x"), load("first"), load("c"), ptr, peak};
    for (size_t i = 0; i <= cells.genes; i++)
        ptr[i] = (uint64_t)at[i];
    for (size_t i = 0; i < pairs.n; i++)
        peak[i] = (uint32_t)p[i];
    for (size_t i = 0; i < cells.n; i++)
        group[i] = (uint32_t)g[i];
    weights = load("weights");
    cm_free(n);
    cm_free(at);
    cm_free(p);
    cm_free(g);
    cm_free(mu);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cm_free(cells.u);
    cm_free(cells.w);
    cm_free(cells.s0);
    cm_free((void *)(uintptr_t)pairs.x);
    cm_free((void *)(uintptr_t)pairs.first);
    cm_free((void *)(uintptr_t)pairs.c);
    cm_free(weights);
    return 0;
}

static void close_to(const double *have, const char *name, double relative)
{
    struct ref want = ref_load(REF, name);
    double max = 0;
    for (size_t i = 0; i < want.rows * want.cols; i++)
        max = fmax(max, fabs(want.v[i]));
    for (size_t i = 0; i < want.rows * want.cols; i++)
        if (!(fabs(have[i] - want.v[i]) <= relative * max))
            fail_msg("%s[%zu]: %.17g, PyTorch has %.17g", name, i, have[i], want.v[i]);
    cm_free(want.v);
}

/* Loss and the gradient of all numbers of the network. */
static double whole(double *grad, const double *w)
{
    double phi[32], dphi[32], dl;
    size_t size = cm_links_weights_size(H);
    cm_links_weights(phi, &pairs, w, H);
    double loss = cm_links_loss(grad ? dphi : NULL, &dl, &cells, &pairs, phi, w[size - 1]);
    if (grad) {
        memset(grad, 0, size * sizeof *grad);
        cm_links_weights_backward(grad, dphi, &pairs, w, H);
        grad[size - 1] += dl;
    }
    return loss;
}

static void test_torch(void **state)
{
    (void)state;
    double phi[32], dphi[32], dl, grad[64];
    cm_links_weights(phi, &pairs, weights, H);
    close_to(phi, "phi", 1e-14);
    for (int g = 0; g < 2; g++) {
        cells.group = g ? group : NULL;
        double loss =
            cm_links_loss(dphi, &dl, &cells, &pairs, phi, weights[cm_links_weights_size(H) - 1]);
        close_to(&loss, g ? "loss.groups" : "loss", 1e-12);
        close_to(dphi, g ? "dphi.groups" : "dphi", 1e-12);
        assert_true(whole(grad, weights) == loss);
        close_to(grad, g ? "gradient.groups" : "gradient", 1e-12);
    }
    cells.group = NULL;
}

static void test_differences(void **state)
{
    (void)state;
    double grad[64], w[64];
    size_t size = cm_links_weights_size(H);
    whole(grad, weights);
    memcpy(w, weights, size * sizeof *w);
    for (size_t i = 0; i < size; i++) {
        double h = 1e-5;
        w[i] = weights[i] + h;
        double up = whole(NULL, w);
        w[i] = weights[i] - h;
        double down = whole(NULL, w), slope = (up - down) / (2 * h);
        w[i] = weights[i];
        if (fabs(slope - grad[i]) > 1e-6 * fmax(1, fabs(slope)))
            fail_msg("number %zu: gradient %.12g, difference %.12g", i, grad[i], slope);
    }
}

/* Before the first step the weights are the term's own, so the similarities are, too. */
static void test_first(void **state)
{
    (void)state;
    double w[512], phi[32];
    cm_links_weights_init(w, 16, log(12), 3);
    cm_links_weights(phi, &pairs, w, 16);
    for (size_t e = 0; e < pairs.n; e++)
        assert_true(phi[e] == pairs.first[e]);
    assert_true(w[cm_links_weights_size(16) - 1] == log(12));
    double other[512];
    cm_links_weights_init(other, 16, log(12), 4);
    assert_true(memcmp(w, other, sizeof *w * 16) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torch),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_first),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
