/* match/pairs.h - which row cell and which column cell are the same cell: the truth of `score`.
 *
 * Partners come from a table of names, from a table of row numbers (a competition's pairing), or
 * from equal names; a wrong guess gives a plausible wrong score.  So the words of the table's
 * header line decide (`row1 row2`: 0-based numbers, anything else: names), a cell is in at most one
 * pair, and equal names count only where names are names: not mere numbers, and nearly all rows
 * have a namesake.  There is no falling back from one reading to the other.
 */
#ifndef CM_MATCH_PAIRS_H
#define CM_MATCH_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strs.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_UNPAIRED UINT32_MAX

/* A pairing of `rows` cells with `cols` cells: n pairs. */
struct cm_pairs {
    size_t rows, cols, n;
    uint32_t *col_of_row; /* CM_UNPAIRED where a cell has no partner */
    uint32_t *row_of_col;
    size_t elsewhere; /* pairs of the file that name a cell which is on neither side, left out */
};
void cm_pairs_free(struct cm_pairs *p);

/* Reads a table: a header line, then lines of two fields separated by tabs (further fields are
 * ignored). Pairs of names of which one or both are absent here are counted in `elsewhere`; no pair
 * left, a number out of range, a cell in two pairs, or a name that is not unique here are CM_EINPUT
 * with file and line.  rows, cols: the cells' names. */
int cm_pairs_read(struct cm_pairs *p, const char *path, const struct cm_strs *rows,
                  const struct cm_strs *cols);

/* Are most of these names mere numbers?  Equal ones need not be the same cell then. */
bool cm_names_are_numbers(const struct cm_strs *names);

/* Pairs cells of equal names.  CM_EINPUT where most names of a side are mere numbers, a name is not
 * unique, or fewer than 9 in 10 rows have a namesake. */
int cm_pairs_by_name(struct cm_pairs *p, const struct cm_strs *rows, const struct cm_strs *cols);

#ifdef __cplusplus
}
#endif
#endif
