/* links/apply.h - the columns that links add to embeddings. */
#ifndef CM_LINKS_APPLY_H
#define CM_LINKS_APPLY_H

#include <stddef.h>
#include <stdint.h>

#include "links/links.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out (rows x peak.n, ld ldo) = w, the peaks' residuals. */
void cm_links_peak_residuals(const struct cm_links *links, const struct cm_csr *x, const float *z,
                             size_t ldz, float *out, size_t ldo);

/* Columns of the gene side, out (rows x gene.n, ld ldo) = u; of the peak side, mu C'w (the same
 * shape): their inner product is mu L. */
void cm_links_gene_columns(const struct cm_links *links, const struct cm_csr *x, const float *z,
                           size_t ldz, float *out, size_t ldo);
void cm_links_peak_columns(const struct cm_links *links, const struct cm_csr *x, const float *z,
                           size_t ldz, float *out, size_t ldo);

#ifdef __cplusplus
}
#endif
#endif
