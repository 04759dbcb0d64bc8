/* Layers and loss of the cross-linked autoencoder against central differences, in double, with
 * dropout on: every gradient to 1e-6.  Gradients start from random numbers, so that "adds" is
 * tested too. */
#define CM_REAL_DOUBLE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include <string.h>

#include "base/mem.h"
#include "baselines/clue.h"
#include "preset.h"

#define STEP      1e-5
#define TOLERANCE 1e-6

static uint32_t salt;

static double *gaussian(size_t n)
{
    struct cm_rng g = cm_rng_make(21, CM_RNG_TEST, 2, salt++);
    double *v = CM_NEW(n, double);
    for (size_t i = 0; i < n; i++)
        v[i] = cm_rng_normal(&g);
    return v;
}

static void differences(const char *what, double (*f)(void), double *x, size_t n, const double *got,
                        const double *before)
{
    for (size_t i = 0; i < n; i++) {
        double keep = x[i];
        x[i] = keep + STEP;
        double up = f();
        x[i] = keep - STEP;
        double down = f();
        x[i] = keep;
        double want = (up - down) / (2 * STEP), have = got[i] - (before ? before[i] : 0);
        if (!(fabs(have - want) <= TOLERANCE * fmax(1, fabs(want))))
            fail_msg("%s[%zu]: gradient %.12g, differences say %.12g", what, i, have, want);
    }
}

/* ===== layers ============================================================================= */

enum { N = 6, P = 5 };
static double *in, *gain, *bias, *weight;

static double batch_norm_objective(void)
{
    double out[N * P], stat[3 * P], s = 0;
    cm_batchnorm_forward(out, stat, in, gain, bias, N, P);
    for (size_t i = 0; i < N * P; i++)
        s += out[i] * weight[i];
    return s;
}

static void batch_norm(void **state)
{
    (void)state;
    in = gaussian(N * P), gain = gaussian(P), bias = gaussian(P), weight = gaussian(N * P);
    double *din = gaussian(N * P), *dgain = gaussian(P), *dbias = gaussian(P),
           before[N * P + 2 * P], out[N * P], stat[3 * P];
    memcpy(before, din, sizeof(double) * N * P);
    memcpy(before + N * P, dgain, sizeof(double) * P);
    memcpy(before + N * P + P, dbias, sizeof(double) * P);
    cm_batchnorm_forward(out, stat, in, gain, bias, N, P);
    cm_batchnorm_backward(din, dgain, dbias, weight, stat, in, gain, N, P);
    differences("din", batch_norm_objective, in, N * P, din, before);
    differences("dgain", batch_norm_objective, gain, P, dgain, before + N * P);
    differences("dbias", batch_norm_objective, bias, P, dbias, before + N * P + P);
    double *const all[] = {din, dgain, dbias, in, gain, bias, weight};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cm_free(all[i]);
}

enum { D = 7 };
static double *logits, *log_theta;
static const uint32_t column[4] = {1, 2, 4, 6};
static const float count[4] = {1, 12, 90, 3.5F};

static double likelihood_objective(void)
{
    double theta[D], scratch[2 * D];
    for (size_t j = 0; j < D; j++)
        theta[j] = exp(log_theta[j]);
    return cm_negbin(NULL, NULL, logits, theta, column, count, 4, D, .3, scratch);
}

static void negative_binomial(void **state)
{
    (void)state;
    logits = gaussian(D), log_theta = gaussian(D);
    double *dlogits = gaussian(D), *dtheta = gaussian(D), before[2 * D], theta[D], scratch[2 * D];
    memcpy(before, dlogits, sizeof(double) * D);
    memcpy(before + D, dtheta, sizeof(double) * D);
    for (size_t j = 0; j < D; j++)
        theta[j] = exp(log_theta[j]);
    cm_negbin(dlogits, dtheta, logits, theta, column, count, 4, D, .3, scratch);
    differences("dlogits", likelihood_objective, logits, D, dlogits, before);
    differences("dlog_theta", likelihood_objective, log_theta, D, dtheta, before + D);
    cm_free(dlogits);
    cm_free(dtheta);
    cm_free(logits);
    cm_free(log_theta);
}

/* ===== the whole loss ===================================================================== */

enum { B = 5, K = 4, LATENT = 2, Q = 2 * LATENT, D0 = 6, D1 = 5 };
static struct cm_clue c;
static struct cm_clue_batch b;
static struct cm_dropout drop = {.seed = 5, .step = 3};
static double *w, *other;
static struct cm_clue_terms terms;
static bool of_discriminator;

static double clue_objective(void)
{
    struct cm_clue_work x;
    double *grad = CM_ZNEW(c.table.size, double), loss;
    cm_clue_work_make(&c, &x, B);
    cm_clue_encode(&c, w, &b, &x);
    if (of_discriminator) {
        loss = cm_clue_discriminator(&c, w, grad, &b, &x);
    } else {
        memset(other, 0, c.table.size * sizeof *other);
        cm_clue_generate(&c, w, grad, other, &b, &x, &terms);
        loss = terms.loss;
    }
    cm_clue_work_free(&c, &x);
    cm_free(grad);
    return loss;
}

static int make(void **state)
{
    (void)state;
    struct cm_clue_config o = preset_of(CM_PRESET_CLUE).net.clue;
    o.latent = LATENT;
    o.hidden = 6, o.depth = 2, o.decoder = 5, o.discriminator = 4;
    o.cross = .8, o.cosine = .3, o.mse = .6, o.adversary = .7;
    const char *const slot[2] = {"GEX", "ATAC"};
    const size_t d[2] = {D0, D1};
    cm_clue_make(&c, &o, slot, K, d, 2);
    w = gaussian(c.table.size);
    other = CM_ZNEW(c.table.size, double);
    static float z[2][B * K], counts[2][B * D0];
    static uint32_t columns[2][B * D0], label[B] = {0, 1, 1, 7, 0};
    static const uint32_t *idx[2][B];
    static const float *val[2][B];
    static size_t n[2][B];
    b = (struct cm_clue_batch){.B = B, .label = label, .drop = &drop};
    for (size_t m = 0; m < 2; m++) {
        struct cm_rng g = cm_rng_make(22, CM_RNG_TEST, 3, (uint32_t)m);
        for (size_t i = 0; i < B * K; i++)
            z[m][i] = (float)cm_rng_normal(&g);
        for (size_t i = 0; i < B; i++) {
            idx[m][i] = columns[m] + i * D0;
            val[m][i] = counts[m] + i * D0;
            for (uint32_t j = 0; j < d[m]; j++) {
                uint64_t x = cm_rng_below(&g, 4);
                if (x) {
                    columns[m][i * D0 + n[m][i]] = j;
                    counts[m][i * D0 + n[m][i]++] = (float)x;
                }
            }
        }
        b.z[m] = z[m];
        b.idx[m] = idx[m];
        b.count[m] = val[m];
        b.n[m] = n[m];
        b.eps[m] = gaussian(B * Q);
    }
    return 0;
}

static void gradients(void **state)
{
    (void)state;
    struct cm_clue_work x;
    double *grad = gaussian(c.table.size), *before = CM_NEW(c.table.size, double);
    memcpy(before, grad, c.table.size * sizeof *grad);
    cm_clue_work_make(&c, &x, B);
    cm_clue_encode(&c, w, &b, &x);
    cm_clue_discriminator(&c, w, grad, &b, &x);
    memset(other, 0, c.table.size * sizeof *other);
    cm_clue_generate(&c, w, grad, other, &b, &x, &terms);
    for (size_t i = 0; i < c.table.size; i++)
        grad[i] += other[i];
    size_t checked = 0;
    for (size_t t = 0; t < c.table.n; t++) {
        const struct cm_param *p = &c.table.p[t];
        const char *last = strrchr(p->name, '.');
        of_discriminator = t >= c.first_discriminator;
        if (strcmp(last, ".scale") == 0) /* never trained */
            continue;
        differences(p->name, clue_objective, w + p->offset, p->n, grad + p->offset,
                    before + p->offset);
        checked += p->n;
    }
    assert_true(checked > 700);
    cm_clue_work_free(&c, &x);
    cm_free(grad);
    cm_free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(batch_norm),
                                       cmocka_unit_test(negative_binomial),
                                       cmocka_unit_test(gradients)};
    return cmocka_run_group_tests(tests, make, NULL);
}
