/* nn/point.c - element-wise layers: activations and dropout.
 *
 * Dropout needs the same mask in forward, in backward, after --resume and for any number of
 * threads, without storing it.  A mask bit is one 32-bit word of Philox at (seed, step,
 * row, site, element); backward draws it again.  Four elements share a block.  GELU is the exact
 * form, which published networks mean; its error function stands in wide.h.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/wide.h"

/* GELU and its derivative Phi(x) + x phi(x); d NULL: y (n) = x Phi(x), else y = or += d times the
 * derivative. */
CM_FAST_CLONES
static void gelu(cm_real *y, const cm_real *d, const cm_real *x, size_t n, bool add)
{
    for (size_t i = 0; i < n; i += CM_WIDE) {
        size_t m = n - i < CM_WIDE ? n - i : CM_WIDE;
        cm_wide v = {0}, old = {0}, slope = {0}, phi, density;
        memcpy(&v, x + i, m * sizeof *x);
        cm_normal_lanes(&phi, &density, &v);
        cm_wide out = v * phi;
        if (d) {
            memcpy(&slope, d + i, m * sizeof *d);
            out = slope * (phi + v * density);
        }
        if (add) {
            memcpy(&old, y + i, m * sizeof *y);
            out += old;
        }
        memcpy(y + i, &out, m * sizeof *y);
    }
}

/* d NULL: y (n) = ELU(x), else y = or += d times its derivative. */
static void elu(cm_real *y, const cm_real *d, const cm_real *x, size_t n, bool add)
{
    for (size_t i = 0; i < n; i++) {
        cm_real negative = (cm_real)expm1((double)(x[i] < 0 ? x[i] : 0));
        cm_real v = d ? d[i] * (negative + 1) : x[i] > 0 ? x[i] : negative;
        y[i] = add ? y[i] + v : v;
    }
}

CM_CLONES
void cm_act_forward(cm_real *out, const cm_real *in, size_t n, enum cm_activation kind,
                    double slope)
{
    cm_real a = kind == CM_ACT_LEAKY ? (cm_real)slope : 0;
    switch (kind) {
    case CM_ACT_NONE:
        if (out != in)
            memcpy(out, in, n * sizeof *out);
        break;
    case CM_ACT_RELU:
    case CM_ACT_LEAKY: {
        size_t i = 0;
        for (; i + CM_LANES <= n; i += CM_LANES) {
            cm_vec x = CM_CVEC(in + i), y = a * x;
            __typeof__(x > 0) positive = x > 0;
            CM_VEC(out + i) = (cm_vec)((positive & (__typeof__(positive))x) |
                                       (~positive & (__typeof__(positive))y));
        }
        for (; i < n; i++)
            out[i] = in[i] > 0 ? in[i] : a * in[i];
        break;
    }
    case CM_ACT_GELU:
        gelu(out, NULL, in, n, false);
        break;
    case CM_ACT_ELU:
        elu(out, NULL, in, n, false);
        break;
    }
}

/* f'(x) of vectors and single numbers: the two functions below differ in what they do with it. */
#define ACT_LOOP(STORE_VEC, STORE)                                                                 \
    cm_real a = kind == CM_ACT_LEAKY ? (cm_real)slope : kind == CM_ACT_NONE ? 1 : 0;               \
    size_t i = 0;                                                                                  \
    for (; i + CM_LANES <= n; i += CM_LANES) {                                                     \
        cm_vec one = CM_CVEC(d + i), y = a * one;                                                  \
        __typeof__(one > 0) positive = CM_CVEC(in + i) > 0;                                        \
        y = (cm_vec)((positive & (__typeof__(positive))one) |                                      \
                     (~positive & (__typeof__(positive))y));                                       \
        STORE_VEC;                                                                                 \
    }                                                                                              \
    for (; i < n; i++) {                                                                           \
        cm_real y = in[i] > 0 ? d[i] : a * d[i];                                                   \
        STORE;                                                                                     \
    }

CM_CLONES
void cm_act_backward(cm_real *din, const cm_real *d, const cm_real *in, size_t n,
                     enum cm_activation kind, double slope)
{
    if (kind == CM_ACT_GELU) {
        gelu(din, d, in, n, true);
        return;
    }
    if (kind == CM_ACT_ELU) {
        elu(din, d, in, n, true);
        return;
    }
    ACT_LOOP(CM_VEC(din + i) += y, din[i] += y)
}

CM_CLONES
void cm_act_gradient(cm_real *d, const cm_real *in, size_t n, enum cm_activation kind, double slope)
{
    if (kind == CM_ACT_GELU) {
        gelu(d, d, in, n, false);
        return;
    }
    if (kind == CM_ACT_ELU) {
        elu(d, d, in, n, false);
        return;
    }
    ACT_LOOP(CM_VEC(d + i) = y, d[i] = y)
}

/* ===== dropout ============================================================================== */

/* What decides: an element is dropped when its word is below `threshold`. */
struct dropper {
    struct cm_rng g;
    uint64_t base, threshold; /* threshold 2^32 drops all */
    cm_real scale;
};

static struct dropper dropper_make(const struct cm_dropout *d, uint32_t row)
{
    CM_ASSERT(d->rate >= 0 && d->rate <= 1 && d->site < 1u << 24);
    return (struct dropper){.g = cm_rng_make(d->seed, CM_RNG_DROPOUT, d->step, row),
                            .base = (uint64_t)d->site << 32,
                            .threshold = (uint64_t)(d->rate * 0x1p32 + 0.5),
                            .scale = d->rate < 1 ? (cm_real)(1 / (1 - d->rate)) : 0};
}

enum { WORDS = 256 };

#ifndef CM_REAL_DOUBLE
typedef uint32_t words __attribute__((vector_size(32), aligned(4), may_alias));
#endif

/* out (n) = in (n) where the element's word keeps it, scaled, else 0; with add, out += . */
CM_CLONES static void masked(cm_real *out, const cm_real *in, const uint32_t *word, size_t n,
                             const struct dropper *drop, bool add)
{
    size_t i = 0;
#ifndef CM_REAL_DOUBLE
    uint32_t min = (uint32_t)drop->threshold;
    for (; i + CM_LANES <= n && drop->threshold <= UINT32_MAX; i += CM_LANES) {
        words keep = (words)(*(const words *)(word + i) >= min);
        cm_vec x = CM_CVEC(in + i) * drop->scale;
        x = (cm_vec)((words)x & keep);
        if (add)
            x += CM_CVEC(out + i);
        CM_VEC(out + i) = x;
    }
#endif
    for (; i < n; i++) {
        cm_real x = word[i] < drop->threshold ? 0 : in[i] * drop->scale;
        out[i] = add ? out[i] + x : x;
    }
}

void cm_dropout_range(cm_real *out, const cm_real *in, size_t from, size_t n,
                      const struct cm_dropout *d, uint32_t row, bool add)
{
    struct dropper drop = dropper_make(d, row);
    CM_ASSERT(from + n <= (size_t)1 << 34); /* blocks of one site: 32 bits */
    uint32_t word[WORDS];
    for (size_t i = 0; i < n;) {
        size_t block = (from + i) / 4, skip = (from + i) % 4;
        size_t some = WORDS - skip < n - i ? WORDS - skip : n - i;
        cm_rng_blocks(&drop.g, drop.base | block, (skip + some + 3) / 4, word);
        masked(out + i, in + i, word + skip, some, &drop, add);
        i += some;
    }
}

struct cm_dropout cm_dropout_at(const struct cm_dropout *d, double rate, uint32_t site)
{
    struct cm_dropout at = {0};
    if (d && rate > 0) {
        at = *d;
        at.rate = rate;
        at.site = site;
    }
    return at;
}

void cm_dropout_forward(cm_real *out, const cm_real *in, size_t B, size_t n,
                        const struct cm_dropout *d)
{
    if (!d || d->rate == 0) {
        if (out != in)
            memcpy(out, in, B * n * sizeof *out);
        return;
    }
    for (size_t b = 0; b < B; b++)
        cm_dropout_range(out + b * n, in + b * n, 0, n, d, d->row + (uint32_t)b, false);
}

void cm_dropout_backward(cm_real *din, const cm_real *dout, size_t B, size_t n,
                         const struct cm_dropout *d)
{
    if (!d || d->rate == 0) {
        cm_accumulate(din, dout, B * n);
        return;
    }
    for (size_t b = 0; b < B; b++)
        cm_dropout_range(din + b * n, dout + b * n, 0, n, d, d->row + (uint32_t)b, true);
}

void cm_dropout_sparse(float *out, const float *val, const uint32_t *idx, size_t n,
                       const struct cm_dropout *d)
{
    if (!d || d->rate == 0) {
        if (out != val)
            memcpy(out, val, n * sizeof *out);
        return;
    }
    struct dropper drop = dropper_make(d, d->row);
    for (size_t e = 0; e < n; e++) {
        uint32_t word[4];
        cm_rng_words(&drop.g, drop.base | idx[e] / 4, word);
        out[e] = word[idx[e] % 4] < drop.threshold ? 0 : val[e] * (float)drop.scale;
    }
}
