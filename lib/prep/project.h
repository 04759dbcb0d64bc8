/* prep/project.h - cells on the leading singular vectors: LSI and PCA as a fit that travels.
 *
 * Loadings are fitted on some cells and applied to others, perhaps in another program and another
 * order of the columns, and a column table cannot hold k numbers an INPUT column.  So the fit
 * precedes the rows of its own output as TENSOR records (svd.v, svd.s, svd.mean, svd.features),
 * which every filter copies through; its choices stand in HEAD as fit.*.
 *
 * Letters: n cells, d input columns, K components fitted = k written, or k + 1 when the first is
 * dropped.
 *     Y = (X - 1 mean') V        mean absent unless centred; V d x K, the right singular vectors
 *     zscore: y_i = (y_i - average(y_i)) / sd(y_i) over the K components of cell i (sd with K - 1)
 *     then the first is dropped
 * which is the order of the runner-up of the competition and of MatchCLOT.
 */
#ifndef CM_PREP_PROJECT_H
#define CM_PREP_PROJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prep/where.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Set the first group; zero the rest; cm_projection_free. */
struct cm_projection {
    size_t k; /* components written */
    bool centre, drop_first, zscore;

    size_t cols;    /* d */
    size_t fitted;  /* K; 0 before a fit */
    float *v;       /* d x K, row-major */
    float *mean;    /* d, NULL unless centred */
    float *bias;    /* K, mean' V; NULL unless centred */
    double *s;      /* K singular values of the fitted cells */
    uint64_t cells; /* n */
    size_t iterations;

    uint64_t rows, empty; /* counted by cm_projection_apply: rows, and rows without entries */
    struct cm_csr x;      /* one chunk */
    float *y;             /* its product */
    size_t y_cap;
};

/* Fits on the rows of slot 0 that meet `where` (NULL = all), reading r to its end and rewinding;
 * cm_reader_keep must have been called.  tolerance: see cm_svd_truncated.  An input without any row
 * leaves nothing fitted and is no error.  CM_EINPUT: fewer cells or columns than components, or a
 * value that is not finite; CM_ENUMERIC: no convergence.  Memory: 8 bytes for each entry of the
 * fitted cells (12 while the array grows), and that of cm_svd_truncated. */
int cm_projection_fit(struct cm_projection *p, struct cm_reader *r, struct cm_where *where,
                      uint64_t seed, double tolerance);

/* Takes the fit from the tensors of `like` (read to its end), whose slot of `in`'s name must be an
 * output of this; columns are matched by name.  Choices made by the caller are overwritten: compare
 * them afterwards.  CM_EINPUT with the first column that one side lacks. */
int cm_projection_load(struct cm_projection *p, struct cm_reader *like, const struct cm_slot *in);

/* The output's slot: k columns PC1.. (PC2.. when the first is dropped) with their singular values
 * as fit.s, state svd, and the choices as fit.*; fits of earlier stages end here. */
void cm_projection_slot(const struct cm_projection *p, const struct cm_slot *in,
                        struct cm_slot *out);
/* The tensors, to be written before the first row.  `names`: the d input columns' names. */
int cm_projection_save(const struct cm_projection *p, const struct cm_strs *names,
                       struct cm_writer *w);

/* Replaces block 0 of the chunk (of input slot `in`) by its k columns.  A row without entries gets
 * zeros. */
int cm_projection_apply(struct cm_projection *p, const struct cm_slot *in, struct cm_chunk *c);

void cm_projection_free(struct cm_projection *p);

#ifdef __cplusplus
}
#endif
#endif
