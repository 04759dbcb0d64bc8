/* base/rng.c - distributions over Philox4x32-10.
 *
 * Key words: the two halves of the seed; counter words: index low, a, b, purpose with the index's
 * high half folded in.  So one (seed, purpose, a, b) has 2^64 blocks of four words.  Every draw
 * uses whole blocks (wasteful by design: a draw's cost is nothing beside what it feeds, and
 * positions stay easy to reason about).  The Gaussian takes one of Box-Muller's two values, so that
 * a normal is also a pure function of its position.
 */
#include "base/rng.h"

#include <Random123/philox.h>
#include <math.h>
#include <string.h>

#include "base/clones.h"

struct cm_rng cm_rng_make(uint64_t seed, enum cm_purpose purpose, uint32_t a, uint32_t b)
{
    return (struct cm_rng){.seed = seed, .purpose = (uint32_t)purpose, .a = a, .b = b};
}

void cm_rng_words(const struct cm_rng *g, uint64_t index, uint32_t out[4])
{
    philox4x32_key_t key = {{(uint32_t)g->seed, (uint32_t)(g->seed >> 32)}};
    philox4x32_ctr_t ctr = {
        {(uint32_t)index, g->a, g->b, g->purpose ^ ((uint32_t)(index >> 32) << 8)}};
    philox4x32_ctr_t r = philox4x32(ctr, key);
    for (int i = 0; i < 4; i++)
        out[i] = r.v[i];
}

/* Blocks side by side, in loops of constant length that the compiler makes vectors of.  Constants
 * and the round: Salmon, Moraes, Dror and Shaw (SC 2011), as in Random123. */
enum { SIDE = 16, ROUNDS = 10 };

CM_FAST_CLONES static void side_by_side(const struct cm_rng *g, uint64_t index, uint32_t *out)
{
    uint32_t c0[SIDE], c1[SIDE], c2[SIDE], c3[SIDE];
    uint32_t k0 = (uint32_t)g->seed, k1 = (uint32_t)(g->seed >> 32);
    for (uint32_t i = 0; i < SIDE; i++) {
        c0[i] = (uint32_t)(index + i);
        c1[i] = g->a;
        c2[i] = g->b;
        c3[i] = g->purpose ^ ((uint32_t)((index + i) >> 32) << 8);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < SIDE; i++) {
            uint64_t p = (uint64_t)0xd2511f53u * c0[i], q = (uint64_t)0xcd9e8d57u * c2[i];
            c0[i] = (uint32_t)(q >> 32) ^ c1[i] ^ k0;
            c2[i] = (uint32_t)(p >> 32) ^ c3[i] ^ k1;
            c1[i] = (uint32_t)q;
            c3[i] = (uint32_t)p;
        }
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    for (int i = 0; i < SIDE; i++) {
        out[4 * i] = c0[i];
        out[4 * i + 1] = c1[i];
        out[4 * i + 2] = c2[i];
        out[4 * i + 3] = c3[i];
    }
}

void cm_rng_blocks(const struct cm_rng *g, uint64_t index, size_t n, uint32_t *out)
{
    size_t i = 0;
    for (; i + SIDE <= n; i += SIDE)
        side_by_side(g, index + i, out + 4 * i);
    if (i < n) {
        uint32_t rest[4 * SIDE];
        side_by_side(g, index + i, rest);
        memcpy(out + 4 * i, rest, 4 * (n - i) * sizeof *out);
    }
}

uint64_t cm_rng_u64(struct cm_rng *g)
{
    uint32_t w[4];
    cm_rng_words(g, g->index++, w);
    return (uint64_t)w[1] << 32 | w[0];
}

double cm_rng_uniform(struct cm_rng *g) { return (double)(cm_rng_u64(g) >> 11) * 0x1p-53; }

double cm_rng_normal(struct cm_rng *g)
{
    uint32_t w[4];
    cm_rng_words(g, g->index++, w);
    double u = ((double)(((uint64_t)w[1] << 32 | w[0]) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    double v = (double)(((uint64_t)w[3] << 32 | w[2]) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

uint64_t cm_rng_below(struct cm_rng *g, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n; /* reject the ragged end: no modulo bias */
    uint64_t v;
    do
        v = cm_rng_u64(g);
    while (v >= limit);
    return v % n;
}

double cm_rng_gamma(struct cm_rng *g, double shape)
{
    if (shape < 1) { /* Gamma(a) = Gamma(a + 1) U^(1/a) */
        double u = cm_rng_uniform(g);
        return cm_rng_gamma(g, shape + 1) * pow(u > 0 ? u : 0x1p-54, 1 / shape);
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = cm_rng_normal(g), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        double u = cm_rng_uniform(g);
        if (u > 0 && log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

void cm_rng_shuffle(struct cm_rng *g, uint64_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)cm_rng_below(g, i);
        uint64_t t = items[i - 1];
        items[i - 1] = items[j];
        items[j] = t;
    }
}
