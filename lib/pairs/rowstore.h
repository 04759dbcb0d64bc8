/* pairs/rowstore.h - rows of one slot in any order, in the width in which they came.
 *
 * `batch` needs any row of the second modality in the order of the first.  Blocks stay as they were
 * read (column numbers as u32, values in their wire type, mostly u8 counts with lazy factors), and
 * rows are gathered on demand; beyond a limit they are in a file without a name.  Rejected: f32
 * values (8 bytes a non-zero), and compressing rows one by one.
 */
#ifndef CM_PAIRS_ROWSTORE_H
#define CM_PAIRS_ROWSTORE_H

#include <stdbool.h>
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
    uint64_t *first;  /* row number of each block's first row */
    uint64_t *offset; /* where its rows begin in the file, CM_ROWSTORE_HERE = they are in memory */
    size_t nblocks, block_cap, first_cap, offset_cap;
    uint64_t in_memory, in_file; /* bytes */
    bool has_file;
    int file;
};
#define CM_ROWSTORE_HERE UINT64_MAX

/* Copies the rows of a block behind those already there.  All blocks of one store have the same
 * number of columns and are all CSR or all dense. */
void cm_rowstore_append(struct cm_rowstore *p, const struct cm_block *b);

/* Moves blocks, the last ones first, to a file in TMPDIR until p->in_memory is at most `max`, or
 * only 12 bytes a row are left.  0 or CM_ESYSTEM. */
int cm_rowstore_limit(struct cm_rowstore *p, uint64_t max);

/* to = rows at[0..n-1], in that order.  The value type is the narrowest that holds the types of the
 * rows taken without rounding; row factors are there when any of the rows has them.  0, or
 * CM_ESYSTEM where the file cannot be read. */
int cm_rowstore_take(struct cm_block *to, const struct cm_rowstore *p, const uint64_t *at,
                     size_t n);

void cm_rowstore_free(struct cm_rowstore *p);

#ifdef __cplusplus
}
#endif
#endif
