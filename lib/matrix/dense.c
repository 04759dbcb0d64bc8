/* matrix/dense.c - row-major dense matrices: made, freed, transposed. */
#include "matrix/matrix.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

struct cm_dense cm_dense_make(size_t rows, size_t cols)
{
    size_t n;
    if (cm_mul(rows, cols, &n))
        cm_panic(4, "out of memory: a matrix of %zu x %zu asked for", rows, cols);
    return (struct cm_dense){.rows = rows, .cols = cols, .ld = cols, .v = CM_ZNEW(n, float)};
}

void cm_dense_free(struct cm_dense *m)
{
    cm_free(m->v);
    memset(m, 0, sizeof *m);
}

void cm_dense_transpose(size_t rows, size_t cols, const float *in, size_t ld, float *out)
{
    enum { TILE = 32 }; /* both sides of a tile stay in the first-level cache */
    for (size_t i0 = 0; i0 < rows; i0 += TILE)
        for (size_t j0 = 0; j0 < cols; j0 += TILE)
            for (size_t i = i0; i < rows && i < i0 + TILE; i++)
                for (size_t j = j0; j < cols && j < j0 + TILE; j++)
                    out[j * rows + i] = in[i * ld + j];
}
