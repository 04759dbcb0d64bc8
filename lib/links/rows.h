/* links/rows.h - the links of a model as rows of a table, with what speaks for each. */
#ifndef CM_LINKS_ROWS_H
#define CM_LINKS_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "links/links.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* z = c sqrt(cells).  log_p, log_q: natural logarithms, links/significance.h.  c, z and both are
 * NaN where the model does not have the correlations of its candidates. */
struct cm_link_row {
    uint32_t gene, peak; /* columns of the two tables */
    bool used;           /* is it a link of the model? */
    float c, weight;     /* weight 0 if not */
    double z, log_p, log_q;
};

/* Zero-initialise; cm_free(rows.row). */
struct cm_link_rows {
    size_t n;
    struct cm_link_row *row;
    bool tested; /* every candidate is there, with p, and q over all of them */
};

/* All candidates, or the links alone where their correlations are all that the model has; gene by
 * gene.  CM_EINPUT when the tables do not give the candidates that the model counts. */
int cm_link_rows_make(struct cm_link_rows *rows, const struct cm_links *links,
                      const struct cm_cols *genes, const struct cm_cols *peaks);

struct cm_link_choice {
    bool all;   /* those that the model does not use, too */
    double fdr; /* q at most; NaN: any */
    size_t top; /* so many: largest |weight|, with `all` largest |z|; 0: any number */
};
/* Keeps the chosen ones and sorts them by falling |weight|, then falling |z|, then as they were. */
void cm_link_rows_choose(struct cm_link_rows *rows, const struct cm_link_choice *choice);

#ifdef __cplusplus
}
#endif
#endif
