/* prep/clr.c - the catalogue of centred log-ratios.
 *
 * Three formulas share the name, with two axes each, and a bare axis number means opposite things
 * in R and in Python: so the names say both (letters in norm.h; g() is a geometric mean, over the
 * columns of a cell or over the cells of a column, zeros and all):
 *
 *   seurat      ln(1 + x / exp(sum_{x>0} ln(1+x) / n))   Seurat CLR, muon's default; zeros stay 0
 *   stoeckius   ln((x+1) / g(x+1))                       muon; dense
 *   plain       ln(x / g(x))                             muon flavour clr; dense, no zeros allowed
 *
 * n counts all columns (cells), also those with zeros, and exp(...) of seurat is g(x+1).  -cells is
 * Seurat's margin 2, -features its margin 1 and muon's axis 0.  There is no option for a
 * pseudo-count: stoeckius with another one is no published method.
 */
#include "prep/norm.h"

#include <math.h>

/* 1 / g of a column from its sum of logarithms. */
static double per_gmean(double n, double c, double d)
{
    (void)d;
    return n > 0 ? exp(-c / n) : 1;
}

#define CLR         .state = CM_S_CLR, .from = CM_SCALE_NONE
#define OF_CELLS    .row = CM_ROW_GMEAN
#define OF_FEATURES .row = CM_ROW_ONE, .fitted = true, .logs = true, .col = per_gmean

const struct cm_norm_method cm_clr_methods[] = {
    {.name = "seurat-cells", .aliases = "", CLR, .f = CM_LAZY_LOG1P, .shift = 1, OF_CELLS},
    {.name = "seurat-features", .aliases = "", CLR, .f = CM_LAZY_LOG1P, .shift = 1, OF_FEATURES},
    {.name = "stoeckius-cells", .aliases = "", CLR, .dense = true, .shift = 1, OF_CELLS},
    {.name = "stoeckius-features", .aliases = "", CLR, .dense = true, .shift = 1, OF_FEATURES},
    {.name = "plain-cells", .aliases = "", CLR, .dense = true, .positive = true, OF_CELLS},
    {.name = "plain-features", .aliases = "", CLR, .dense = true, .positive = true, OF_FEATURES},
    {0}};
