/* Learned weights of peak-gene pairs, in double: PyTorch's numbers, differences, first values. */
#define CM_REAL_DOUBLE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "ref.h"

#include "links/contrast.h"
#include "links/weights.h"

#define REF "tests/ref/links.txt"

static struct cm_links_facts pairs;
static struct cm_links_index index_of;
static struct cm_links_batch batch;
static size_t H;
static double *weights, *right[2];
static uint64_t ptr[32];
static uint32_t peak[32], group[32];

static double *load(const char *name) { return ref_load(REF, name).v; }

/* Dense features x cells as low rank and what it leaves, every place stored. */
static struct cm_factored factored(const double *x, size_t d, size_t n, double **own_right)
{
    size_t rank = cm_factored_rank(3);
    struct cm_factored f = {.n = n, .d = d, .rank = rank};
    double *right_of = CM_ZNEW(d * rank, double);
    f.left = CM_ZNEW(n * rank, double);
    f.ptr = CM_NEW(d + 1, uint64_t);
    f.cell = CM_NEW(d * n, uint32_t);
    f.val = CM_NEW(d * n, double);
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < n; i++)
            f.left[i * rank + k] = cos((double)(3 * i + k));
        for (size_t j = 0; j < d; j++)
            right_of[j * rank + k] = sin((double)(5 * j + k));
    }
    for (size_t j = 0; j <= d; j++)
        f.ptr[j] = j * n;
    for (size_t e = 0; e < d * n; e++) {
        size_t j = e / n, i = e % n;
        f.cell[e] = (uint32_t)i;
        f.val[e] = x[e];
        for (size_t k = 0; k < rank; k++)
            f.val[e] -= f.left[i * rank + k] * right_of[j * rank + k];
    }
    f.right = *own_right = right_of;
    return f;
}

static int setup(void **state)
{
    (void)state;
    double *n = load("sizes"), *at = load("ptr"), *p = load("peak"), *g = load("group"),
           *mu = load("mu"), *u = load("u"), *w = load("w");
    size_t genes = (size_t)n[1], peaks = (size_t)n[2], cells = (size_t)n[3];
    H = (size_t)n[0];
    batch = (struct cm_links_batch){.n = cells,
                                    .u = factored(u, genes, cells, &right[0]),
                                    .w = factored(w, peaks, cells, &right[1]),
                                    .s0 = load("s0"),
                                    .mu = *mu};
    pairs = (struct cm_links_facts){(size_t)n[4], load("x"), load("first"), load("c")};
    index_of = (struct cm_links_index){genes, ptr, peak};
    for (size_t i = 0; i <= genes; i++)
        ptr[i] = (uint64_t)at[i];
    for (size_t i = 0; i < pairs.n; i++)
        peak[i] = (uint32_t)p[i];
    for (size_t i = 0; i < cells; i++)
        group[i] = (uint32_t)g[i];
    weights = load("weights");
    cm_free(n);
    cm_free(at);
    cm_free(p);
    cm_free(g);
    cm_free(mu);
    cm_free(u);
    cm_free(w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cm_links_batch_free(&batch);
    cm_free(right[0]);
    cm_free(right[1]);
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
    double loss = cm_links_loss(grad ? dphi : NULL, &dl, &batch, &index_of, phi, w[size - 1]);
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
        batch.group = g ? group : NULL;
        double loss =
            cm_links_loss(dphi, &dl, &batch, &index_of, phi, weights[cm_links_weights_size(H) - 1]);
        close_to(&loss, g ? "loss.groups" : "loss", 1e-12);
        close_to(dphi, g ? "dphi.groups" : "dphi", 1e-12);
        assert_true(whole(grad, weights) == loss);
        close_to(grad, g ? "gradient.groups" : "gradient", 1e-12);
    }
    batch.group = NULL;
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

/* ===== the product against its dense twin =================================================== */

static double *dense_of(const struct cm_factored *f)
{
    double *x = CM_ZNEW(f->d * f->n, double);
    for (size_t j = 0; j < f->d; j++) {
        for (size_t i = 0; i < f->n; i++)
            for (size_t k = 0; k < f->rank; k++)
                x[j * f->n + i] += f->left[i * f->rank + k] * f->right[j * f->rank + k];
        for (uint64_t e = f->ptr[j]; e < f->ptr[j + 1]; e++)
            x[j * f->n + f->cell[e]] += f->val[e];
    }
    return x;
}

static double draw(struct cm_rng *g) { return 2 * cm_rng_uniform(g) - 1; }

/* A share `filled` of the places has an entry; some features have none. */
static struct cm_factored sparse(size_t d, size_t n, size_t rank, double filled, struct cm_rng *g,
                                 double **own_right)
{
    struct cm_factored f = {.n = n, .d = d, .rank = cm_factored_rank(rank)};
    double *right_of = CM_ZNEW(d * f.rank, double);
    f.left = CM_ZNEW(n * f.rank, double);
    f.ptr = CM_ZNEW(d + 1, uint64_t);
    f.cell = CM_NEW(d * n, uint32_t);
    f.val = CM_NEW(d * n, double);
    for (size_t k = 0; k < rank; k++) {
        for (size_t i = 0; i < n; i++)
            f.left[i * f.rank + k] = draw(g);
        for (size_t j = 0; j < d; j++)
            right_of[j * f.rank + k] = draw(g);
    }
    for (size_t j = 0; j < d; j++) {
        f.ptr[j + 1] = f.ptr[j];
        for (size_t i = 0; j % 7 && i < n; i++)
            if (cm_rng_uniform(g) < filled) {
                f.cell[f.ptr[j + 1]] = (uint32_t)i;
                f.val[f.ptr[j + 1]++] = draw(g);
            }
    }
    f.right = *own_right = right_of;
    return f;
}

static void compare(const double *have, const double *want, size_t n, const char *what)
{
    double max = 1e-300;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs(have[i] - want[i]) <= 1e-12 * max))
            fail_msg("%s[%zu]: %.17g, dense %.17g", what, i, have[i], want[i]);
}

/* More genes than a panel, more cells than a strip, a rank beyond a strip, and none at all. */
static void twin(size_t genes, size_t peaks, size_t rows, size_t cols, size_t rank)
{
    struct cm_rng g = cm_rng_make(5, CM_RNG_SAMPLE, 0, 0);
    double *own[2], mu = .7;
    struct cm_factored u = sparse(genes, rows, rank, .08, &g, &own[0]),
                       w = sparse(peaks, cols, rank, .03, &g, &own[1]);
    double *ud = dense_of(&u), *wd = dense_of(&w);
    uint64_t *start = CM_ZNEW(genes + 1, uint64_t);
    uint32_t *of = CM_NEW(8 * genes, uint32_t);
    for (size_t j = 0; j < genes; j++) {
        start[j + 1] = start[j];
        for (size_t k = 0; k < j % 8; k++)
            of[start[j + 1]++] = (uint32_t)((j * 3 + k) % peaks);
    }
    size_t n = (size_t)start[genes], size = rows * cols;
    double *phi = CM_NEW(n, double), *have = CM_NEW(size, double), *want = CM_NEW(size, double),
           *ds = CM_NEW(size, double), *dphi = CM_NEW(n, double), *dwant = CM_ZNEW(n, double);
    for (size_t e = 0; e < n; e++)
        phi[e] = draw(&g);
    for (size_t i = 0; i < size; i++) {
        have[i] = want[i] = draw(&g);
        ds[i] = draw(&g);
    }
    for (size_t j = 0; j < genes; j++)
        for (uint64_t e = start[j]; e < start[j + 1]; e++)
            for (size_t i = 0; i < rows; i++)
                for (size_t k = 0; k < cols; k++) {
                    double product = mu * ud[j * rows + i] * wd[of[e] * cols + k];
                    want[i * cols + k] += phi[e] * product;
                    dwant[e] += ds[i * cols + k] * product;
                }
    struct cm_links_index index = {genes, start, of};
    cm_links_product(have, cols, &u, &w, &index, phi, mu);
    compare(have, want, size, "similarity");
    cm_links_product_backward(dphi, ds, cols, &u, &w, &index, mu);
    compare(dphi, dwant, n, "gradient");
    cm_factored_free(&u);
    cm_factored_free(&w);
    void *all[] = {own[0], own[1], ud, wd, start, of, phi, have, want, ds, dphi, dwant};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        cm_free(all[k]);
}

static void test_twin(void **state)
{
    (void)state;
    twin(210, 300, 70, 90, 11);
    twin(96, 40, 33, 64, 45);
    twin(3, 2, 1, 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torch),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_twin),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
