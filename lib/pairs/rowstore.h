/* pairs/rowstore.h - one slot of a stream in memory, in the width in which it came.
 *
 * `batch` needs any row of the second modality in the order of the first.  Blocks stay as they were
 * read (column numbers as u32, values in their wire type, mostly u8 counts with lazy factors), and
 * rows are gathered on demand.  Rejected: f32 values (8 bytes a non-zero), an indexed file (seeks
 * cost more than the counts weigh), and compressing rows one by one.
 */
#ifndef CM_PAIRS_ROWSTORE_H
#define CM_PAIRS_ROWSTORE_H

#include <stddef.h>
#include <stdint.h>

#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise ({0}); release with cm_rowstore_free. */
struct cm_rowstore {
    size_t rows;
    struct cm_block *block;
    uint64_t *first; /* row number of each block's first row */
    size_t nblocks, block_cap, first_cap;
};

/* Copies the rows of a block behind those already there.  All blocks of one store have the same
 * number of columns and are all CSR or all dense. */
void cm_rowstore_append(struct cm_rowstore *p, const struct cm_block *b);

/* to = rows at[0..n-1], in that order.  The value type is the narrowest that holds the types of the
 * rows taken without rounding; row factors are there when any of the rows has them. */
void cm_rowstore_take(struct cm_block *to, const struct cm_rowstore *p, const uint64_t *at,
                      size_t n);

/* Bytes held: CSR non-zeros x (4 + value size) + rows x 12; dense rows x columns x value size. */
uint64_t cm_rowstore_bytes(const struct cm_rowstore *p);

void cm_rowstore_free(struct cm_rowstore *p);

#ifdef __cplusplus
}
#endif
#endif
