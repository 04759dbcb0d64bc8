/* links/significance.h - p and q of many correlations, as logarithms.
 *
 * Over many cells a correlation can be so sure that its p is below any double; logarithms
 * keep it, and text holds any exponent.
 */
#ifndef CM_LINKS_SIGNIFICANCE_H
#define CM_LINKS_SIGNIFICANCE_H

#include <stddef.h>

#include "base/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ln P(|Z| > |z|) of a standard normal Z. */
double cm_normal_log_p(double z);

/* log_q (n) of the logarithms log_p (n), by Benjamini and Hochberg: q of the i-th smallest p is the
 * smallest of p_j n / j over all j >= i, at most 1.  Equal p have equal q.  Both may be one
 * array. */
void cm_log_q(double *log_q, const double *log_p, size_t n);

/* exp(v), v <= 0, in 6 digits with any exponent: 0.0123, 3.2e-590.  Returns buf. */
const char *cm_format_exp(double v, char buf[CM_NUMBER_MAX]);

#ifdef __cplusplus
}
#endif
#endif
