/* nn/gemm.h - matrix products of small shapes.  In float a row of the result does not depend on how
 * many rows there are. */
#ifndef CM_NN_GEMM_H
#define CM_NN_GEMM_H

#include "nn/machine.h"
#include "nn/nn.h"

/* c (m x n, ld ldc) = alpha op(a) op(b) [+ c] [+ bias in every row], below 0 cut to 0 with relu;
 * op(a) m x k, op(b) k x n, ld of the stored matrix.  c overlaps neither. */
struct cm_gemm {
    size_t m, n, k;
    const cm_real *a;
    size_t lda;
    const cm_real *b;
    size_t ldb;
    cm_real *c;
    size_t ldc;
    cm_real alpha;
    bool ta, tb, add, relu;
    const cm_real *bias; /* n, or NULL */
};
void cm_gemm(const struct cm_gemm *g);

/* c = alpha op(a) op(b) + beta c, beta 0 or 1. */
static inline void cm_product(bool ta, bool tb, size_t m, size_t n, size_t k, cm_real alpha,
                              const cm_real *a, size_t lda, const cm_real *b, size_t ldb, int beta,
                              cm_real *c, size_t ldc)
{
    cm_gemm(
        &(struct cm_gemm){m, n, k, a, lda, b, ldb, c, ldc, alpha, ta, tb, beta != 0, false, NULL});
}

#ifndef CM_REAL_DOUBLE
/* The same by one set of kernels, for tests. */
void cm_gemm_by(enum cm_machine which, const struct cm_gemm *g);
#endif

#endif
