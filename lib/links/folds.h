/* links/folds.h - what is fitted without a fold of the training cells, and cells drawn from it. */
#ifndef CM_LINKS_FOLDS_H
#define CM_LINKS_FOLDS_H

#include "links/contrast.h"
#include "links/fit.h"
#include "links/weights.h"
#include "linear/cca.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_LINKS_CELLS 512 /* of a fold matched among themselves in one step, at most */

/* Prepared cells x (training) and v (validation, rows may be 0) of
 * genes (side 0) and peaks (side 1), column tables, the full linear fit of those two sides and the
 * training cells' components (ld k), and batch labels or NULL. */
struct cm_links_learn_data {
    const struct cm_csr *x[2], *v[2];
    const struct cm_cols *table[2];
    const struct cm_linear *linear;
    size_t side[2]; /* which side of `linear` genes and peaks are */
    const float *z[2];
    const uint32_t *group, *valid_group;
    size_t groups;
    struct cm_linear_config fit; /* of LSI and CCA; k and q are those of `linear` */
    uint64_t seed;
};

/* Facts of links whose c are plain correlations, and mu of the first weights. */
struct cm_links_table {
    struct cm_links_facts facts;
    float *x, *first, *c;
    double mu;
};

/* Cells under a fit: links (their c does not matter), CCA, components. */
struct cm_links_view {
    struct cm_links links; /* borrows what it holds */
    const struct cm_linear *linear;
    size_t side[2];                /* which side of `linear` genes and peaks are */
    struct cm_links_cells cell[2]; /* with the components that residuals are taken of, */
    const float *z[2];             /* and those of `linear` */
    const uint32_t *group;         /* of all cells, or NULL */
    double mu;
};

/* A fold: what was fitted on the other cells, and the cells of its own. */
struct cm_links_fold {
    struct cm_linear linear;
    float *z[2];                  /* components of all cells under it */
    struct cm_links_side side[2]; /* regressions of its own, or empty */
    struct cm_links_view view;
    struct cm_links_table table;
    uint64_t *at; /* its cells */
    size_t n;
    struct cm_links_batch batch; /* when all of them are matched in every step */
};

/* Where folds share what all training cells gave: links of all pairs, their sums of correlations,
 * how often features are seen, and distances. */
struct cm_links_whole {
    const struct cm_links_learn_data *data;
    const struct cm_links_config *config;
    struct cm_links links; /* c: plain correlations */
    struct cm_links_table table;
    double *seen[2], *distance;
};

/* All pairs in the wide window: 1; 0 if there are none; < 0. */
int cm_links_whole_make(struct cm_links_whole *w, const struct cm_links_config *c,
                        const struct cm_links_learn_data *d);
void cm_links_whole_free(struct cm_links_whole *w);
struct cm_links_view cm_links_whole_view(const struct cm_links_whole *w);

/* order: all cells, shuffled; fold k of `folds` is a range of it.  0 or < 0. */
int cm_links_folds_make(struct cm_links_fold *fold, size_t folds, const struct cm_links_whole *w,
                        const uint64_t *order);
void cm_links_fold_free(struct cm_links_fold *f);

/* Cells at[0..n-1], to be matched among themselves. */
void cm_links_batch_make(struct cm_links_batch *b, const struct cm_links_view *v,
                         const uint64_t *at, size_t n);

#ifdef __cplusplus
}
#endif
#endif
