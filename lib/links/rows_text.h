/* links/rows_text.h - rows of links as lines of a table, or of BEDPE. */
#ifndef CM_LINKS_ROWS_TEXT_H
#define CM_LINKS_ROWS_TEXT_H

#include "base/bytes.h"
#include "links/rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A feature table, and where its features are. */
struct cm_link_side {
    const struct cm_cols *cols;
    const struct cm_vec *chrom, *start, *end; /* NULL: none */
    double *position;                         /* links/sites.h; owned */
};
struct cm_link_side cm_link_side_make(const struct cm_cols *cols, bool genes);
void cm_link_side_free(struct cm_link_side *s);

const char *cm_link_side_chrom(const struct cm_link_side *s, size_t i);
double cm_link_side_start(const struct cm_link_side *s, size_t i);
double cm_link_side_end(const struct cm_link_side *s, size_t i); /* its start where it has none */

/* v bases in digits, never as 1e+08. */
void cm_link_put_bases(struct cm_buf *b, double v);

/* Both with their newline. */
extern const char cm_link_tsv_header[], cm_link_bedpe_header[];
/* A line; empty fields for numbers that the model does not have. */
void cm_link_put_tsv(struct cm_buf *b, const struct cm_link_side *gene,
                     const struct cm_link_side *peak, const struct cm_link_row *row);
/* Whole numbers, both ends on the gene's name of the chromosome, '.' for what is not there. */
void cm_link_put_bedpe(struct cm_buf *b, const struct cm_link_side *gene,
                       const struct cm_link_side *peak, const struct cm_link_row *row);

#ifdef __cplusplus
}
#endif
#endif
