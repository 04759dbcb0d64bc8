/* links/apply.h - the columns that links add to embeddings. */
#ifndef CM_LINKS_APPLY_H
#define CM_LINKS_APPLY_H

#include <stddef.h>
#include <stdint.h>

#include "links/links.h"
#include "links/residuals.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Columns of the gene side, out (rows x gene.n, ld ldo) = u; of the peak side, mu C'w (the same
 * shape): their inner product is mu L. */
void cm_links_gene_columns(const struct cm_links *links, const struct cm_csr *x, const float *z,
                           size_t ldz, float *out, size_t ldo);
void cm_links_peak_columns(const struct cm_links *links, const struct cm_csr *x, const float *z,
                           size_t ldz, float *out, size_t ldo);

struct cm_links_index cm_links_index(const struct cm_links *links);

/* out (n[0] x n[1]) += mu L of cells at[0] of the genes' side and at[1] of the peaks' (NULL: the
 * first ones), with weights
 * c (links->c, or others in that order).  The same numbers as the columns' inner products up to
 * rounding, in time and memory of the non-zeros; the same bits for any number of threads. */
void cm_links_similarities(const struct cm_links *links, const float *c,
                           const struct cm_links_cells cells[2], const uint64_t *const at[2],
                           const size_t n[2], float *out);

/* Upper bound of the bytes of that beside out, for two sets of at most n cells, of which all have
 * `entries` stored values. */
uint64_t cm_links_similarities_bytes(uint64_t n, uint64_t entries, uint64_t genes, uint64_t peaks);

#ifdef __cplusplus
}
#endif
#endif
