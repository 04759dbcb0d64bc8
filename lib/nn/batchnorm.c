/* nn/batchnorm.c - batch normalisation over the rows of a mini-batch.
 *
 * The variational baseline was published with it, and a network without it is another network.
 * Uses the batch's statistics while training, running ones when applied (Ioffe and Szegedy 2015,
 * with PyTorch's conventions: variance with divisor N inside, N - 1 in the running one).  The mean
 * is taken first and the squares about it, column sums run over rows in order, in double: columns
 * are few and the result is the same whatever runs beside it.  Rejected for our own encoders: a
 * cell's vector would depend, while training, on who shares its batch.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "nn/vec.h"

static void column_means(cm_real *mean, cm_real *var, const cm_real *in, size_t N, size_t P)
{
    double *sum = CM_ZNEW(P, double);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < P; j++)
            sum[j] += (double)in[i * P + j];
    for (size_t j = 0; j < P; j++)
        mean[j] = (cm_real)(sum[j] / (double)N);
    memset(sum, 0, P * sizeof *sum);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < P; j++) {
            double c = (double)(in[i * P + j] - mean[j]);
            sum[j] += c * c;
        }
    for (size_t j = 0; j < P; j++)
        var[j] = (cm_real)(sum[j] / (double)N);
    cm_free(sum);
}

void cm_batchnorm_forward(cm_real *out, cm_real *stat, const cm_real *in, const cm_real *gain,
                          const cm_real *bias, size_t N, size_t P)
{
    cm_real *mean = stat, *var = mean + P, *rstd = var + P;
    column_means(mean, var, in, N, P);
    for (size_t j = 0; j < P; j++)
        rstd[j] = (cm_real)(1 / sqrt((double)var[j] + CM_BATCHNORM_EPS));
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < P; j++)
            out[i * P + j] = (in[i * P + j] - mean[j]) * rstd[j] * gain[j] + bias[j];
}

void cm_batchnorm_backward(cm_real *din, cm_real *dgain, cm_real *dbias, const cm_real *dout,
                           const cm_real *stat, const cm_real *in, const cm_real *gain, size_t N,
                           size_t P)
{
    const cm_real *mean = stat, *rstd = stat + 2 * P;
    double *sum = CM_ZNEW(2 * P, double), *product = sum + P;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < P; j++) {
            double d = (double)dout[i * P + j];
            sum[j] += d;
            product[j] += d * (double)((in[i * P + j] - mean[j]) * rstd[j]);
        }
    for (size_t j = 0; j < P; j++) {
        if (dbias)
            dbias[j] += (cm_real)sum[j];
        if (dgain)
            dgain[j] += (cm_real)product[j];
        sum[j] /= (double)N;
        product[j] /= (double)N;
    }
    for (size_t i = 0; din && i < N; i++)
        for (size_t j = 0; j < P; j++) { /* in double: the three terms cancel */
            double x = (double)((in[i * P + j] - mean[j]) * rstd[j]);
            din[i * P + j] += (cm_real)((double)gain[j] * (double)rstd[j] *
                                        ((double)dout[i * P + j] - sum[j] - x * product[j]));
        }
    cm_free(sum);
}

void cm_batchnorm_running(cm_real *mean, cm_real *var, const cm_real *stat, size_t N, size_t P,
                          double momentum)
{
    double correct = N > 1 ? (double)N / (double)(N - 1) : 1;
    for (size_t j = 0; j < P; j++) {
        mean[j] = (cm_real)((1 - momentum) * (double)mean[j] + momentum * (double)stat[j]);
        var[j] =
            (cm_real)((1 - momentum) * (double)var[j] + momentum * correct * (double)stat[P + j]);
    }
}

void cm_batchnorm_apply(cm_real *out, const cm_real *in, const cm_real *gain, const cm_real *bias,
                        const cm_real *mean, const cm_real *var, size_t N, size_t P)
{
    for (size_t j = 0; j < P; j++) {
        cm_real scale = (cm_real)((double)gain[j] / sqrt((double)var[j] + CM_BATCHNORM_EPS));
        for (size_t i = 0; i < N; i++)
            out[i * P + j] = (in[i * P + j] - mean[j]) * scale + bias[j];
    }
}
