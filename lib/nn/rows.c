/* nn/rows.c - layers that treat every row alike: linear, layer norm, unit norm, pooling, positions.
 *
 * These surround the matrix products of a Transformer unit and, written carelessly, cost
 * as much as they do.  Weights are stored as I x O, so that forward is the plain product in x w,
 * which adds the bias while its sums are in registers; rows are summed in vectors of eight in a
 * fixed order.  Layer norm keeps two numbers a row (mean, 1 / sd) and
 * takes the mean first, then the squares about it: the one-pass formula loses digits where |mean|
 * >> sd.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/gemm.h"
#include "nn/vec.h"

/* ===== linear =============================================================================== */

CM_CLONES void cm_accumulate(cm_real *y, const cm_real *x, size_t n) { cm_add_to(y, x, n); }

CM_CLONES void cm_column_sums(cm_real *sum, const cm_real *x, size_t N, size_t n)
{
    for (size_t i = 0; i < N; i++)
        cm_add_to(sum, x + i * n, n);
}

void cm_linear_forward(cm_real *out, const cm_real *in, const cm_real *w, const cm_real *bias,
                       size_t N, size_t I, size_t O)
{
    cm_gemm(&(struct cm_gemm){.m = N,
                              .n = O,
                              .k = I,
                              .a = in,
                              .lda = I,
                              .b = w,
                              .ldb = O,
                              .c = out,
                              .ldc = O,
                              .alpha = 1,
                              .bias = bias});
}

void cm_linear_din(cm_real *din, int beta, const cm_real *dout, const cm_real *w, size_t N,
                   size_t I, size_t O)
{
    cm_product(false, true, N, I, O, 1, dout, O, w, O, beta, din, I);
}

void cm_linear_backward(cm_real *din, cm_real *dw, cm_real *dbias, const cm_real *dout,
                        const cm_real *in, const cm_real *w, size_t N, size_t I, size_t O)
{
    if (din)
        cm_linear_din(din, 1, dout, w, N, I, O);
    if (dw)
        cm_product(true, false, I, O, N, 1, in, I, dout, O, 1, dw, O);
    if (dbias)
        cm_column_sums(dbias, dout, N, O);
}

/* ===== layer norm =========================================================================== */

CM_CLONES
void cm_layernorm_forward(cm_real *out, cm_real *stat, const cm_real *in, const cm_real *gain,
                          const cm_real *bias, size_t N, size_t P)
{
    size_t whole = P / CM_LANES * CM_LANES;
    for (size_t i = 0; i < N; i++, in += P, out += P) {
        cm_vec sum = {0}, square = {0};
        for (size_t j = 0; j < whole; j += CM_LANES)
            sum += CM_CVEC(in + j);
        cm_real mean = cm_lanes_sum(&sum), var = 0;
        for (size_t j = whole; j < P; j++)
            mean += in[j];
        mean /= (cm_real)P;
        for (size_t j = 0; j < whole; j += CM_LANES) {
            cm_vec c = CM_CVEC(in + j) - mean;
            square += c * c;
        }
        var = cm_lanes_sum(&square);
        for (size_t j = whole; j < P; j++)
            var += (in[j] - mean) * (in[j] - mean);
        var /= (cm_real)P;
        cm_real rstd = (cm_real)(1 / sqrt((double)var + CM_LAYERNORM_EPS));
        stat[2 * i] = mean;
        stat[2 * i + 1] = rstd;
        for (size_t j = 0; j < whole; j += CM_LANES)
            CM_VEC(out + j) =
                (CM_CVEC(in + j) - mean) * rstd * CM_CVEC(gain + j) + CM_CVEC(bias + j);
        for (size_t j = whole; j < P; j++)
            out[j] = (in[j] - mean) * rstd * gain[j] + bias[j];
    }
}

/* With n = (x - mean) / sd and g = dout gain:  dx = (g - mean(g) - n mean(g n)) / sd. */
CM_CLONES
void cm_layernorm_backward(cm_real *din, cm_real *dgain, cm_real *dbias, const cm_real *dout,
                           const cm_real *stat, const cm_real *in, const cm_real *gain, size_t N,
                           size_t P)
{
    size_t whole = P / CM_LANES * CM_LANES;
    for (size_t i = 0; i < N; i++, in += P, dout += P) {
        cm_real mean = stat[2 * i], rstd = stat[2 * i + 1];
        cm_vec sum = {0}, dot = {0};
        for (size_t j = 0; j < whole; j += CM_LANES) {
            cm_vec d = CM_CVEC(dout + j), g = d * CM_CVEC(gain + j);
            cm_vec normal = (CM_CVEC(in + j) - mean) * rstd;
            sum += g;
            dot += g * normal;
            if (dgain)
                CM_VEC(dgain + j) += d * normal;
            if (dbias)
                CM_VEC(dbias + j) += d;
        }
        cm_real s = cm_lanes_sum(&sum), t = cm_lanes_sum(&dot);
        for (size_t j = whole; j < P; j++) {
            cm_real g = dout[j] * gain[j], normal = (in[j] - mean) * rstd;
            s += g;
            t += g * normal;
            if (dgain)
                dgain[j] += dout[j] * normal;
            if (dbias)
                dbias[j] += dout[j];
        }
        if (!din)
            continue;
        s /= (cm_real)P;
        t /= (cm_real)P;
        cm_real *dx = din + i * P;
        for (size_t j = 0; j < whole; j += CM_LANES) {
            cm_vec normal = (CM_CVEC(in + j) - mean) * rstd;
            CM_VEC(dx + j) += (CM_CVEC(dout + j) * CM_CVEC(gain + j) - s - normal * t) * rstd;
        }
        for (size_t j = whole; j < P; j++)
            dx[j] += (dout[j] * gain[j] - s - (in[j] - mean) * rstd * t) * rstd;
    }
}

/* ===== unit norm ============================================================================ */

#define UNITNORM_EPS 1e-12

void cm_unitnorm_forward(cm_real *out, cm_real *norm, const cm_real *in, size_t N, size_t P)
{
    for (size_t i = 0; i < N; i++, in += P, out += P) {
        double s = 0;
        for (size_t j = 0; j < P; j++)
            s += (double)in[j] * (double)in[j];
        s = sqrt(s);
        cm_real scale = s < UNITNORM_EPS ? 0 : (cm_real)(1 / s);
        norm[i] = (cm_real)s;
        for (size_t j = 0; j < P; j++)
            out[j] = in[j] * scale;
    }
}

/* With y = x / |x|:  dx = (dy - y (y . dy)) / |x|. */
void cm_unitnorm_backward(cm_real *din, const cm_real *dout, const cm_real *norm,
                          const cm_real *out, size_t N, size_t P)
{
    for (size_t i = 0; i < N; i++, din += P, dout += P, out += P) {
        if ((double)norm[i] < UNITNORM_EPS)
            continue;
        double dot = 0;
        for (size_t j = 0; j < P; j++)
            dot += (double)out[j] * (double)dout[j];
        cm_real scale = 1 / norm[i], along = (cm_real)dot;
        for (size_t j = 0; j < P; j++)
            din[j] += (dout[j] - out[j] * along) * scale;
    }
}

/* ===== pooling and positions ================================================================ */

CM_CLONES
void cm_pool_forward(cm_real *out, const cm_real *in, enum cm_pool kind, size_t B, size_t L,
                     size_t P, size_t from, size_t to)
{
    CM_ASSERT(from <= to && to <= L);
    cm_real a = kind == CM_POOL_MEAN && to > from ? 1 / (cm_real)(to - from) : 1;
    memset(out, 0, B * P * sizeof *out);
    for (size_t b = 0; b < B; b++) {
        for (size_t t = from; t < to; t++)
            cm_add_to(out + b * P, in + (b * L + t) * P, P);
        for (size_t j = 0; j < P; j++)
            out[b * P + j] *= a;
    }
}

CM_CLONES
void cm_pool_backward(cm_real *din, const cm_real *dout, enum cm_pool kind, size_t B, size_t L,
                      size_t P, size_t from, size_t to)
{
    CM_ASSERT(from <= to && to <= L);
    cm_real a = kind == CM_POOL_MEAN && to > from ? 1 / (cm_real)(to - from) : 1;
    for (size_t b = 0; b < B; b++)
        for (size_t t = from; t < to; t++)
            cm_axpy(din + (b * L + t) * P, a, dout + b * P, P);
}

void cm_position_forward(cm_real *out, const cm_real *in, const cm_real *position, size_t B,
                         size_t L, size_t P)
{
    if (out != in)
        memcpy(out, in, B * L * P * sizeof *out);
    for (size_t b = 0; b < B; b++)
        cm_accumulate(out + b * L * P, position, L * P);
}

void cm_position_backward(cm_real *din, cm_real *dposition, const cm_real *dout, size_t B, size_t L,
                          size_t P)
{
    if (din)
        cm_accumulate(din, dout, B * L * P);
    for (size_t b = 0; dposition && b < B; b++)
        cm_accumulate(dposition, dout + b * L * P, L * P);
}
