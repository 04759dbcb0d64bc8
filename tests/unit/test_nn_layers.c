/* Batch norm, the negative binomial and RMSprop, in float, against PyTorch
 * (tests/ref/make_baselines.py): forward to 1e-5, gradients to 1e-4 relative; digamma against its
 * own recurrence and known values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "nn/nn.h"
#include "ref.h"

#define REF "tests/ref/baselines.txt"

static void batch_norm(void **state)
{
    (void)state;
    enum { N = 7, P = 3 };
    float *in = ref_floats(REF, "bn.in", N * P), *gain = ref_floats(REF, "bn.gain", P),
          *bias = ref_floats(REF, "bn.bias", P), *dout = ref_floats(REF, "bn.dout", N * P);
    float out[N * P], stat[3 * P], din[N * P] = {0}, dgain[P] = {0}, dbias[P] = {0}, mean[P] = {0},
                                           var[P] = {1, 1, 1};
    cm_batchnorm_forward(out, stat, in, gain, bias, N, P);
    ref_equal(REF, "bn.out", out, N * P, 1e-5, 0);
    cm_batchnorm_backward(din, dgain, dbias, dout, stat, in, gain, N, P);
    ref_equal(REF, "bn.din", din, N * P, 1e-4, 1);
    ref_equal(REF, "bn.dgain", dgain, P, 1e-4, 1);
    ref_equal(REF, "bn.dbias", dbias, P, 1e-4, 1);
    cm_batchnorm_running(mean, var, stat, N, P, .1);
    ref_equal(REF, "bn.mean", mean, P, 1e-5, 0);
    ref_equal(REF, "bn.var", var, P, 1e-5, 0);
    cm_batchnorm_apply(out, in, gain, bias, mean, var, N, P);
    ref_equal(REF, "bn.applied", out, N * P, 1e-5, 0);
    cm_free(in);
    cm_free(gain);
    cm_free(bias);
    cm_free(dout);
}

static void elu(void **state)
{
    (void)state;
    enum { N = 20 };
    float *in = ref_floats(REF, "elu.in", N), *dout = ref_floats(REF, "elu.dout", N), out[N],
          din[N] = {0};
    cm_act_forward(out, in, N, CM_ACT_ELU, 0);
    ref_equal(REF, "elu.out", out, N, 1e-6, 0);
    cm_act_backward(din, dout, in, N, CM_ACT_ELU, 0);
    ref_equal(REF, "elu.din", din, N, 1e-4, 1);
    cm_free(in);
    cm_free(dout);
}

static void rmsprop(void **state)
{
    (void)state;
    enum { N = 20 };
    float *w = ref_floats(REF, "rms.w", N), v[N] = {0};
    for (int k = 0; k < 3; k++) {
        char name[24];
        snprintf(name, sizeof name, "rms.g%d", k);
        float *g = ref_floats(REF, name, N);
        cm_rmsprop_step(w, v, g, N, 2e-3, .99, 1e-8);
        cm_free(g);
    }
    ref_equal(REF, "rms.out", w, N, 1e-6, 0);
    cm_free(w);
}

/* Zeros are not stored; 2.5 and 300 take the general path, 40 the border of it. */
static void negative_binomial(void **state)
{
    (void)state;
    enum { N = 2, D = 8 };
    float *x = ref_floats(REF, "nb.x", N * D), *logits = ref_floats(REF, "nb.logits", N * D),
          *theta = ref_floats(REF, "nb.log_theta", D), dlogits[N * D] = {0}, dtheta[D] = {0},
          scratch[2 * D];
    double loss = 0;
    assert_true(cm_negbin_scratch(D) <= 2 * D);
    for (size_t j = 0; j < D; j++)
        theta[j] = expf(theta[j]);
    for (size_t i = 0; i < N; i++) {
        uint32_t idx[D];
        float count[D];
        size_t n = 0;
        for (uint32_t j = 0; j < D; j++)
            if (x[i * D + j] != 0) {
                idx[n] = j;
                count[n++] = x[i * D + j];
            }
        loss +=
            cm_negbin(dlogits + i * D, dtheta, logits + i * D, theta, idx, count, n, D, 1, scratch);
    }
    float got = (float)loss;
    ref_equal(REF, "nb.loss", &got, 1, 1e-5, 0);
    ref_equal(REF, "nb.dlogits", dlogits, N * D, 1e-4, 1);
    ref_equal(REF, "nb.dlog_theta", dtheta, D, 1e-4, 1);
    assert_true(cm_negbin(dlogits, NULL, logits, theta, NULL, NULL, 0, D, 1, scratch) == 0);
    cm_free(x);
    cm_free(logits);
    cm_free(theta);
}

static void digamma(void **state)
{
    (void)state;
    assert_true(fabs(cm_digamma(1) + 0.57721566490153286) < 1e-12);
    assert_true(fabs(cm_digamma(.5) + 1.9635100260214235) < 1e-12);
    assert_true(fabs(cm_digamma(1e-3) + 1000.5755719318103) < 1e-9);
    for (double t = .01; t < 1e6; t *= 3)
        assert_true(fabs(cm_digamma(t + 1) - cm_digamma(t) - 1 / t) < 1e-12 * (1 + 1 / t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_norm), cmocka_unit_test(elu), cmocka_unit_test(rmsprop),
        cmocka_unit_test(negative_binomial), cmocka_unit_test(digamma)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
