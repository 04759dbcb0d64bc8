/* links/folds.h - links of a part of the training cells, and cells matched among themselves. */
#ifndef CM_LINKS_FOLDS_H
#define CM_LINKS_FOLDS_H

#include "links/contrast.h"
#include "links/learn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_LINKS_CELLS 512 /* of a fold matched among themselves in one step, at most */

/* Links whose c are plain correlations, and their facts. */
struct cm_links_table {
    struct cm_links_facts p;
    float *x, *first, *c;
    double mu;
};

/* A fold: what was fitted on the other cells, and the cells of its own. */
struct cm_links_fold {
    struct cm_linear linear;
    struct cm_links links;
    struct cm_links_table table;
    uint64_t *at; /* its cells */
    size_t n;
    struct cm_links_cells cells; /* when all of them are matched in every step */
};

/* The cells of x as the fit of links takes them, under a linear fit of the same cells. */
struct cm_links_data cm_links_data_of(const struct cm_links_learn_data *d,
                                      const struct cm_linear *linear,
                                      const struct cm_csr *const x[2], const float *const z[2],
                                      const uint32_t *group);

/* Links for all pairs in the wide window, with plain correlations, and their facts: 1, 0 or < 0. */
int cm_links_fit_all(struct cm_links *links, struct cm_links_table *t,
                     const struct cm_links_config *c, const struct cm_links_data *d,
                     double *const seen[2]);
void cm_links_table_free(struct cm_links_table *t);

/* Cells at[0..n-1] of x under a fit. */
void cm_links_cells_make(struct cm_links_cells *s, const struct cm_links *links,
                         const struct cm_linear *linear, const size_t side[2],
                         const struct cm_csr *const x[2], const uint64_t *at, size_t n,
                         const uint32_t *group, double mu);
void cm_links_cells_free(struct cm_links_cells *s);

/* order: all cells, shuffled; the fold is order[from..to-1]. */
int cm_links_fold_make(struct cm_links_fold *f, const struct cm_links_config *c,
                       const struct cm_links_learn_data *d, double *const seen[2],
                       const uint64_t *order, size_t from, size_t to);
void cm_links_fold_free(struct cm_links_fold *f);

#ifdef __cplusplus
}
#endif
#endif
