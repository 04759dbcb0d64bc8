/* prep/internal.h - what the files behind prep/norm.h share with each other (private to this
 * directory).
 *
 * normrow.c has the rules and rows, normfit.c the fits, normlike.c carries a fit through a stream,
 * normapply.c makes the values.  They meet in one row of counts, widened to doubles and checked,
 * and in the settling of constants.
 */
#ifndef CM_PREP_INTERNAL_H
#define CM_PREP_INTERNAL_H

#include "prep/norm.h"

/* One row of a chunk as cm_norm_row reads it. */
struct cm_norm_cell {
    const uint32_t *idx; /* columns of x, NULL = 0, 1, ... */
    size_t len;
    const double *x; /* counts, 0 or 1 if binarised; valid until the next row */
    double sum;      /* of x */
    double size;     /* what the row is divided by: sum, the sum in use, or the size factor */
};

/* Row i of block 0, counts checked (finite, not negative, above 0 where the method says so).
 * 0, or CM_EINPUT naming row and column. */
int cm_norm_row(struct cm_norm *n, const struct cm_head *h, const struct cm_chunk *c, size_t i,
                struct cm_norm_cell *out);

/* Finds the label with the size factors.  0 or CM_EINPUT. */
int cm_norm_bind(struct cm_norm *n, const struct cm_head *h);

/* Does the fit need the sizes of the cells? */
bool cm_norm_wants_sizes(const struct cm_norm *n);

double cm_norm_total(const double *x, size_t len);

/* The row factor of a cell. */
double cm_norm_factor(const struct cm_norm *n, const struct cm_norm_cell *cell);

/* Column factors from N, C and d; the parameter's default. */
void cm_norm_settle(struct cm_norm *n);

/* The parameter as set or by default; 0 where the method has none. */
double cm_norm_param(const struct cm_norm *n);

/* What rows are divided by at the end: never CM_UNIT_OWN. */
enum cm_norm_unit cm_norm_unit(const struct cm_norm *n);

/* f as the stream defines it. */
double cm_norm_f(enum cm_lazy f, double t);

#endif
