/* matrix/dense.c - making and freeing row-major dense matrices.
 *
 * There is nothing more: a dense matrix is an open struct, its products are in blas.c, and every
 * loop over it is written where its meaning is known.  Sizes are checked by the allocator.
 */
#include "matrix/matrix.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

struct cm_dense cm_dense_make(size_t rows, size_t cols)
{
    size_t n;
    if (cm_mul(rows, cols, &n))
        cm_panic(4, "out of memory: a matrix of %zu x %zu asked for", rows, cols);
    return (struct cm_dense){.rows = rows, .cols = cols, .ld = cols, .v = CM_ZNEW(float, n)};
}

void cm_dense_free(struct cm_dense *m)
{
    cm_free(m->v);
    memset(m, 0, sizeof *m);
}
