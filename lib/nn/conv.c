/* nn/conv.c - convolution and max-pooling over the tokens of a cell.
 *
 * The authors' network has a second convolution, over tokens.  Tokens are rows, so
 * the numbers under a kernel are K C consecutive ones, and the window at stride S begins S C
 * further on: the layer is a matrix product whose left side is the input itself, read with a
 * leading dimension of S C.  Where stride < kernel those rows would overlap, which BLAS forbids; so
 * every m-th window, m = ceil(K / S), makes one product, and there are m.  Only the gradient of the
 * input needs the windows apart, and padding needs a copy with zero rows.  Rejected: an unfolded
 * copy of the input (im2col), K / S times as large.
 */
#include <string.h>

#include "base/error.h"
#include "nn/gemm.h"
#include "nn/vec.h"

static size_t conv_tokens(size_t L, size_t K, size_t S, size_t Z)
{
    struct cm_window_rule rule = {.kernel = K, .stride = S, .padding = Z};
    return cm_windows_of(L, &rule);
}

size_t cm_conv_scratch(size_t L, size_t C, size_t K, size_t S, size_t Z)
{
    size_t padded = Z ? (L + 2 * Z) * C : 0;
    return padded + conv_tokens(L, K, S, Z) * K * C;
}

/* Windows i, i + m, i + 2m, ... do not overlap. */
static size_t conv_phases(size_t K, size_t S) { return (K + S - 1) / S; }

/* The input with Z zero rows on both sides, in scratch, or the input itself. */
static const cm_real *conv_padded(const cm_real *in, size_t L, size_t C, size_t Z, cm_real *scratch)
{
    if (!Z)
        return in;
    memset(scratch, 0, Z * C * sizeof *scratch);
    memcpy(scratch + Z * C, in, L * C * sizeof *scratch);
    memset(scratch + (Z + L) * C, 0, Z * C * sizeof *scratch);
    return scratch;
}

void cm_conv_forward(cm_real *out, const cm_real *in, const cm_real *filter, const cm_real *bias,
                     size_t L, size_t C, size_t F, size_t K, size_t S, size_t Z, cm_real *scratch)
{
    size_t T = conv_tokens(L, K, S, Z);
    const cm_real *x = conv_padded(in, L, C, Z, scratch);
    for (size_t t = 0; bias && t < T; t++)
        memcpy(out + t * F, bias, F * sizeof *out);
    for (size_t i = 0, m = conv_phases(K, S); i < m && i < T; i++)
        cm_product(false, false, (T - i + m - 1) / m, F, K * C, 1, x + i * S * C, m * S * C, filter,
                   F, bias ? 1 : 0, out + i * F, m * F);
}

void cm_conv_backward(cm_real *din, cm_real *dfilter, cm_real *dbias, const cm_real *dout,
                      const cm_real *in, const cm_real *filter, size_t L, size_t C, size_t F,
                      size_t K, size_t S, size_t Z, cm_real *scratch)
{
    size_t T = conv_tokens(L, K, S, Z), width = K * C;
    if (dbias)
        cm_column_sums(dbias, dout, T, F);
    if (dfilter && T) {
        const cm_real *x = conv_padded(in, L, C, Z, scratch);
        for (size_t i = 0, m = conv_phases(K, S); i < m && i < T; i++)
            cm_product(true, false, width, F, (T - i + m - 1) / m, 1, x + i * S * C, m * S * C,
                       dout + i * F, m * F, 1, dfilter, F);
    }
    if (!din || !T)
        return;
    cm_real *dx = scratch + (Z ? (L + 2 * Z) * C : 0); /* T x width: the windows apart */
    cm_product(false, true, T, width, F, 1, dout, F, filter, F, 0, dx, width);
    for (size_t t = 0; t < T; t++) {
        size_t from = t * S, to = from + K; /* tokens, the first real one is Z */
        size_t a = from < Z ? Z : from, b = to > L + Z ? L + Z : to;
        if (a < b)
            cm_accumulate(din + (a - Z) * C, dx + t * width + (a - from) * C, (b - a) * C);
    }
}

void cm_maxpool_forward(cm_real *out, uint32_t *which, const cm_real *in, size_t L, size_t C,
                        size_t K, size_t S)
{
    size_t T = conv_tokens(L, K, S, 0);
    CM_ASSERT(L <= UINT32_MAX);
    for (size_t t = 0; t < T; t++)
        for (size_t c = 0; c < C; c++) {
            size_t best = t * S;
            for (size_t i = best + 1; i < t * S + K; i++)
                if (in[i * C + c] > in[best * C + c] || in[i * C + c] != in[i * C + c])
                    best = i;
            out[t * C + c] = in[best * C + c];
            which[t * C + c] = (uint32_t)best;
        }
}

void cm_maxpool_backward(cm_real *din, const cm_real *dout, const uint32_t *which,
                         size_t out_tokens, size_t C)
{
    for (size_t t = 0; t < out_tokens; t++)
        for (size_t c = 0; c < C; c++)
            din[(size_t)which[t * C + c] * C + c] += dout[t * C + c];
}
