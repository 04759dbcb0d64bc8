/* prep/norm.h - every normalisation of the toolkit as one small machine.
 *
 * Problem: log-normalisations and TF-IDFs come in a dozen named variants that users mix up, must
 * be fitted on some cells and applied to others, and must not turn a byte a count into a float a
 * count.  Choice: nearly all of them have the form
 *
 *     value_ij = post_j * f(row_i * col_j * x_ij),      f = identity, log1p or sqrt,
 *
 * which the stream carries lazily (cms(5)).  So a method is a line in a table: f, how row_i follows
 * from the cell, how col_j and post_j follow from (N, C_j, d_j).  Fitting gathers N, C_j, d_j and
 * the median or mean total; applying only sets row factors.  Rejected: one function a method over
 * the values (twelve places for the same mistakes, and six times the bytes on the pipe).
 *
 * Letters, as in the sources: x_ij count of cell i in column j (0 or 1 with `binarize`),
 * R_i = sum_j x_ij, C_j = sum_i x_ij, d_j = number of i with x_ij > 0, N cells (all of them, empty
 * ones too), s the scale; ln is natural.  C, d, N and the median are taken over the cells that the
 * constants are fitted on.
 *
 * What a fit leaves in a slot, and what `--like` reads:
 *   HEAD  fit.tool      lognorm or tfidf
 *         fit.method    the method's first name (no alias)
 *         fit.scale     s as used: --scale, --target, the median or mean total (where there is one)
 *         fit.median    the median total, where s is that
 *         fit.mean      the mean size, where s is that
 *         fit.cells     N, when a pass over the cells was made
 *         fit.binarize  1, when counts were made 0 and 1 first
 *         fit.label     the label that holds the size factors
 *   COLS  fit.col, fit.post   f64; absent where they are 1 for every column
 */
#ifndef CM_PREP_NORM_H
#define CM_PREP_NORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prep/where.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How the row factor follows from the cell.  Its "size" is R_i, or its size factor where the method
 * takes one.  A cell without counts has row factor 0. */
enum cm_norm_row {
    CM_ROW_ONE,    /* 1 */
    CM_ROW_SIZE,   /* s / (size_i + shift) */
    CM_ROW_SHARES, /* s / sum_j col_j x_ij: shares of the weighted counts */
    CM_ROW_UNIT    /* 1 / sqrt(sum_j (col_j x_ij)^2): unit length */
};

/* Where the scale comes from unless the user gives it. */
enum cm_norm_scale {
    CM_SCALE_NONE,   /* the formula has none */
    CM_SCALE_FIXED,  /* the method's default */
    CM_SCALE_MEDIAN, /* median size over fitted cells with counts */
    CM_SCALE_MEAN    /* mean size over fitted cells with counts */
};

enum cm_norm_label { CM_LABEL_NEVER, CM_LABEL_MAY, CM_LABEL_MUST }; /* size factors */

struct cm_norm_method {
    const char *name;    /* as --method takes it and fit.method records it */
    const char *aliases; /* other names, blank-separated; "" = none */
    enum cm_lazy f;
    enum cm_state state; /* of the result */
    enum cm_norm_row row;
    enum cm_norm_scale from;
    double scale; /* default for CM_SCALE_FIXED */
    double shift;
    enum cm_norm_label label;
    bool fitted;    /* col or post depend on (N, C_j, d_j) */
    bool flat_even; /* col = 1 everywhere when all d_j are equal (snapatac2) */
    /* NULL = 1.  Must be finite for every N, C, d >= 0. */
    double (*col)(double n, double c, double d);
    double (*post)(double n, double c, double d);
};

/* The catalogues, each ended by a row without a name. */
extern const struct cm_norm_method cm_lognorm_methods[];
extern const struct cm_norm_method cm_tfidf_methods[];

/* The method of that name or alias, or NULL. */
const struct cm_norm_method *cm_norm_find(const struct cm_norm_method *table, const char *name);

/* A chosen method with its constants.  Set the first group, then cm_norm_fit or cm_norm_load, then
 * cm_norm_save once and cm_norm_apply for each chunk.  cm_norm_free at the end. */
struct cm_norm {
    const char *tool;                    /* "lognorm", "tfidf" */
    const struct cm_norm_method *table;  /* the tool's catalogue */
    const struct cm_norm_method *method; /* NULL: not chosen yet (--like chooses) */
    double scale;                        /* NAN: not given */
    bool binarize;
    bool median_all;   /* the median counts empty cells too (scanpy before 2026, CSR) */
    const char *label; /* size factors, NULL = none; borrowed until loaded */

    /* The constants. */
    double *col, *post; /* NULL = 1; one a column of the input */
    size_t cols;
    double cells; /* N; NAN when no pass was made */

    /* Counted by cm_norm_apply: rows, and rows without counts. */
    uint64_t rows, empty;
    /* Columns with a zero factor, counted by cm_norm_fit: never seen in the cells fitted on. */
    size_t unseen;

    char *own_label;
    int label_at;       /* position of the label in the input, bound by fit or by the first apply */
    double *sum, *seen; /* C_j and d_j during the fit */
    double *size;       /* sizes > 0 (or all) during the fit */
    size_t nsize, size_cap;
    double *row; /* values of one row */
    size_t row_cap;
};

/* Options that do not go together: CM_EUSAGE, else 0.  For a chosen method. */
int cm_norm_check(const struct cm_norm *n);

/* CM_EINPUT unless the stream is one matrix slot that holds counts (or 0 and 1, where `binary` is
 * allowed); a normalised one is told from a merely unsuitable one. */
int cm_norm_accepts(const struct cm_head *h, bool binary);

/* Must the cells be read once before the first can be written? */
bool cm_norm_needs_pass(const struct cm_norm *n);

/* Reads r to its end, fits the constants on the rows that meet `where` (NULL = all) and rewinds.
 * cm_reader_keep must have been called.  Without need for a pass it only sets constants.  Memory:
 * 32 bytes a column, and 8 bytes a cell where the scale is a median. */
int cm_norm_fit(struct cm_norm *n, struct cm_reader *r, struct cm_where *where);

/* Takes method and constants from the slot of `like` that has the input slot's name.  Options set
 * before must agree (CM_EUSAGE).  Columns are matched by name: every fitted column must be in the
 * input, and where the method has fitted vectors every column of the input must be fitted
 * (CM_EINPUT with the first missing name).  `path` names the file in messages. */
int cm_norm_load(struct cm_norm *n, const struct cm_head *like, const char *path,
                 const struct cm_slot *in);

/* Writes the fit into an output slot: state, lazy, scalars and vectors. */
void cm_norm_save(const struct cm_norm *n, struct cm_slot *slot);

/* Checks the counts of a chunk (head h is the input's) and gives its block 0 the row factors;
 * binarises first where asked.  CM_EINPUT names row and column. */
int cm_norm_apply(struct cm_norm *n, const struct cm_head *h, struct cm_chunk *c);

void cm_norm_free(struct cm_norm *n);

#ifdef __cplusplus
}
#endif
#endif
