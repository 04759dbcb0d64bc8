/* match/nearest.h - the N nearest rows of every column, collected while the rows stream by.
 *
 * csls wants the mean similarity of a column's nearest rows, snn wants these rows by number, and
 * the matrix is never in memory as a whole.  N entries a column, sorted by insertion: N is 1 or 10,
 * and after the first rows nearly every entry fails at one comparison (a heap would pay from N =
 * 100 on).  Among equals the earlier row stays.
 */
#ifndef CM_MATCH_NEAREST_H
#define CM_MATCH_NEAREST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Column j has n[j] <= max rows at s, row [j * max ..], similarities descending. */
struct cm_nearest {
    size_t cols, max;
    uint32_t *n;
    float *s;
    uint64_t *row;
};
void cm_nearest_make(struct cm_nearest *x, size_t cols, size_t max); /* max >= 1 */
void cm_nearest_free(struct cm_nearest *x);

/* Row `row` has n similarities s at columns idx.  Rows come in ascending order; columns may be
 * served by different threads. */
void cm_nearest_add(struct cm_nearest *x, uint64_t row, size_t n, const uint32_t *idx,
                    const float *s);

/* offset (cols) = factor times the mean similarity of the column's nearest, 0 where there is none.
 */
void cm_nearest_offsets(const struct cm_nearest *x, double factor, double *offset);

/* The other way round: the columns that have row i among their nearest are col[ptr[i]] ..
 * col[ptr[i + 1] - 1], ascending.  The caller frees both arrays (ptr: rows + 1). */
void cm_nearest_by_row(const struct cm_nearest *x, size_t rows, uint64_t **ptr, uint32_t **col);

#ifdef __cplusplus
}
#endif
#endif
