/* base/rng.h - counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).
 *
 * A number is a pure function of (seed, purpose, a, b, index), the same for any thread count, any
 * order of work, and after --resume; there is no state to save or share.  Key = seed xor'ed with
 * the purpose; counter = (index low, index high folded with b, ...), see rng.c.  From Random123,
 * whose known answers are checked in tests/unit.  Rejected: a seeded state per thread, which makes
 * results depend on -t.
 */
#ifndef CM_BASE_RNG_H
#define CM_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CM_SEED_DEFAULT 42u

/* What a number is for: two purposes never share numbers.  Append, never renumber. */
enum cm_purpose {
    CM_RNG_TEST = 0,
    CM_RNG_SHUFFLE = 1,  /* order of cells in an epoch */
    CM_RNG_SVD = 2,      /* the random sketch of the truncated SVD */
    CM_RNG_SPLIT = 3,    /* hold-out */
    CM_RNG_GENERATE = 4, /* cms-gen: structure */
    CM_RNG_COUNTS = 5,   /* cms-gen: counts */
    CM_RNG_INIT = 6,     /* parameters */
    CM_RNG_DROPOUT = 7,
    CM_RNG_SAMPLE = 8, /* sub-sampling of cells or pairs */
    CM_RNG_NEGATIVES = 9,
    CM_RNG_LATENT = 10, /* draws from a variational posterior */
    CM_RNG_FOLDS = 11   /* training cells held out in turn, and which of them meet in a step */
};

/* A generator position: (seed, purpose, a, b) fixed, `index` advanced by the cm_rng_next calls.
 * a < 2^32 (an epoch, say), b < 2^32 (a step or row). */
struct cm_rng {
    uint64_t seed;
    uint32_t purpose, a, b;
    uint64_t index;
};

struct cm_rng cm_rng_make(uint64_t seed, enum cm_purpose purpose, uint32_t a, uint32_t b);

/* The four 32-bit words at `index`: the pure function. */
void cm_rng_words(const struct cm_rng *g, uint64_t index, uint32_t out[4]);
/* The same for the n blocks from `index` on: out gets 4 n words.  Several times as fast. */
void cm_rng_blocks(const struct cm_rng *g, uint64_t index, size_t n, uint32_t *out);

uint64_t cm_rng_u64(struct cm_rng *g);
double cm_rng_uniform(struct cm_rng *g);             /* in [0, 1), 53 bits */
double cm_rng_normal(struct cm_rng *g);              /* mean 0, sd 1 (Box-Muller) */
uint64_t cm_rng_below(struct cm_rng *g, uint64_t n); /* uniform in 0..n-1, n >= 1, unbiased */
double cm_rng_gamma(struct cm_rng *g, double shape); /* scale 1, shape > 0 (Marsaglia-Tsang) */
void cm_rng_shuffle(struct cm_rng *g, uint64_t *items, size_t n); /* Fisher-Yates */

#ifdef __cplusplus
}
#endif
#endif
