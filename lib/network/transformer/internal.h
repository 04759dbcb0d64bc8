/* network/transformer/internal.h - the plan of a token encoder, shared by the files of the room. */
#ifndef CM_NETWORK_TRANSFORMER_INTERNAL_H
#define CM_NETWORK_TRANSFORMER_INTERNAL_H

#include "network/transformer.h"

/* ===== the plan ============================================================================ */

/* Tokens of each chromosome behind a step: chromosome c has from[c]..from[c+1]-1. */
struct segment {
    size_t *from; /* chroms + 1 */
};

/* One step over tokens, by chromosome: kernel 0 = absent. */
struct step {
    size_t K, S, Z;
    struct segment in, out; /* equal when absent */
};

struct tokens {
    struct cm_transformer_config o;
    size_t chroms;
    struct cm_windows windows;
    struct cm_window *window;
    uint32_t *first, *position; /* position NULL: columns are in order */
    struct step pool, conv2, pool2;
    struct segment conv1;
    size_t L1, L1p, L2, L;     /* tokens after conv, pool, conv2, pool2 */
    size_t F1, F2, P;          /* F2 = F1 without a second convolution */
    size_t readout, q;         /* inputs and outputs of the last map */
    cm_real *base, *base_bias; /* loadings: rows x F1 and L1 x F1, else NULL */
    bool trained;              /* conv1 has parameters */
    bool below;                /* anything below the tokens is trained */
    struct cm_unit unit;
    uint32_t site;
    size_t filter, bias, filter2, bias2, fc, fc_bias, at, gain, norm_bias, w, b; /* offsets */
    size_t widest; /* features a cell can have */
};

enum { SITE_FEATURES, SITE_READOUT, SITE_UNIT, SITES = 16 };

static inline const struct tokens *self_of(const struct cm_encoder *e) { return e->self; }

static inline size_t last(const struct segment *s, size_t chroms) { return s->from[chroms]; }

/* Numbers kept, B cells each: behind conv1, pool, conv2 and pool2 (an absent step is the place of
 * the one before), the pools' choices, tokens, unit and its output, last norm, read-out. */
struct offsets {
    size_t conv1, which1, pool1, conv2, which2, pool2, tokens, unit, u, stat, v, read, size;
};

struct offsets cm_tokens_offsets(const struct tokens *k, size_t B);

/* Fills k, whose options are set, for a slot and the linear start of its side.  0 or CM_EINPUT. */
int cm_tokens_plan(struct tokens *k, const struct cm_slot *slot, const struct cm_linear *linear,
                   size_t side);
void cm_tokens_plan_free(struct tokens *k);
/* Declares the tensors as "prefix.*". */
void cm_tokens_declare(struct tokens *k, struct cm_params *t, const char *prefix);
/* Numbers of scratch for B cells, both directions. */
size_t cm_tokens_scratch(const struct tokens *k, size_t B);

/* Windows of the slot's columns.  0, or CM_EINPUT when they do not fit. */
int cm_tokens_lay_windows(struct tokens *k, const struct cm_cols *cols);
/* Kernel K (0 = absent) at stride S (0 = K) over the chromosomes' tokens; returns all tokens. */
size_t cm_tokens_lay_step(struct step *s, const struct segment *in, size_t chroms, int64_t K,
                          int64_t S, int64_t Z);

void cm_tokens_forward(const struct cm_encoder *e, cm_real *out, cm_real *cache,
                       const struct cm_cell *cell, size_t B, const cm_real *params,
                       const struct cm_dropout *drop, cm_real *scratch);
/* One of the encoder's dropouts for cell b of the group. */
struct cm_dropout cm_tokens_drop(const struct tokens *k, const struct cm_dropout *drop, double rate,
                                 uint32_t site, size_t b);
/* A cell's values under feature dropout; `work` holds them when any is dropped. */
const float *cm_tokens_values(const struct tokens *k, const struct cm_cell *c,
                              const struct cm_dropout *drop, size_t b, cm_real *work);

/* The choices (n) that a pool made in cell b, in the place `at` of a cache. */
static inline uint32_t *choices(const cm_real *cache, size_t at, size_t n, size_t b)
{
    return (uint32_t *)(uintptr_t)(const void *)(cache + at) + n * b;
}

#endif
