/* prep/norm.h - every normalisation of the toolkit as one small machine.
 *
 * Log-normalisations, TF-IDFs and log-ratios come in dozens of named variants that users mix up,
 * are fitted on some cells and applied to others, and must not make a float of each byte of counts.
 * Nearly all of them have the form
 *
 *     value_ij = post_j * f(row_i * col_j * x_ij),      f = identity, log1p or sqrt,
 *
 * which the stream carries lazily (cms(5)).  So a method is a line in a table: f, how row_i follows
 * from the cell, how col_j and post_j follow from (N, C_j, d_j).  Fitting gathers N, C_j, d_j and
 * the median or mean total; applying only sets row factors.  What needs more (rows brought to unit
 * length behind a logarithm, log-ratios of zeros) is computed here and travels as plain f32.
 *
 * Letters, as in the sources: x_ij count of cell i in column j (0 or 1 with `binarize`),
 * R_i = sum_j x_ij, C_j = sum_i x_ij, d_j = number of i with x_ij > 0, N cells (all of them, empty
 * ones too), s the scale; ln is natural.  C, d, N and the median are taken over the cells that the
 * constants are fitted on.
 *
 * What a fit leaves in a slot, and what `--like` reads:
 *   HEAD  fit.tool      lognorm, tfidf or clr
 *         fit.method    the method's first name (no alias)
 *         fit.scale     s as used: --scale, --target, the median or mean total (where there is one)
 *         fit.median    the median total, where s is that
 *         fit.mean      the mean size (geometric for shifted-log), where s is that
 *         fit.second    the second total of pflog
 *         fit.max_fraction, fit.overdispersion   of the methods that have one
 *         fit.cells     N, when a pass over the cells was made
 *         fit.binarize, fit.sublinear   1, when counts were changed so first
 *         fit.norm      none, l1 or l2, where that is not the method's own
 *         fit.label     the label that holds the size factors
 *   COLS  fit.col, fit.post, fit.use   f64; absent where they are 1 for every column
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

/* How the row factor follows from the cell.  Its "size" is R_i (over the columns in use), or its
 * size factor where the method takes one.  A cell without counts has row factor 0. */
enum cm_norm_row {
    CM_ROW_ONE,    /* 1 */
    CM_ROW_SIZE,   /* gain s / (size_i + shift) */
    CM_ROW_SHARES, /* s / sum_j col_j x_ij: shares of the weighted counts */
    CM_ROW_GMEAN   /* 1 / geometric mean over ALL columns of (x_ij + shift) */
};

/* What the values of a row are divided by at the end. */
enum cm_norm_unit {
    CM_UNIT_OWN, /* (a wish) whatever the method has */
    CM_UNIT_NONE,
    CM_UNIT_L1, /* the sum of their magnitudes */
    CM_UNIT_L2  /* the root of the sum of their squares */
};

/* Where the scale comes from unless the user gives it. */
enum cm_norm_scale {
    CM_SCALE_NONE,   /* the formula has none */
    CM_SCALE_FIXED,  /* the method's default */
    CM_SCALE_MEDIAN, /* median size over fitted cells with counts */
    CM_SCALE_MEAN,   /* mean size over fitted cells with counts */
    CM_SCALE_GMEAN   /* geometric mean of the same */
};

enum cm_norm_label { CM_LABEL_NEVER, CM_LABEL_MAY, CM_LABEL_MUST }; /* size factors */

struct cm_norm_method {
    const char *name;    /* as --method takes it and fit.method records it */
    const char *aliases; /* other names, blank-separated; "" = none */
    enum cm_lazy f;
    enum cm_state state; /* of the result */
    enum cm_norm_row row;
    enum cm_norm_unit norm; /* CM_UNIT_OWN (0) = none */
    enum cm_norm_scale from;
    double scale; /* default for CM_SCALE_FIXED */
    double shift;
    enum cm_norm_label label;
    bool fitted;    /* col or post depend on (N, C_j, d_j) */
    bool logs;      /* C_j is the sum of ln(x_ij + shift) */
    bool positive;  /* every count must be above 0 */
    bool dense;     /* value = ln((x + shift) row col), zeros too; needs `logs` or CM_ROW_GMEAN */
    bool flat_even; /* col = 1 everywhere when all d_j are equal (snapatac2) */
    bool second;    /* rows are brought to the mean sum of fitted rows at the end (pflog) */
    bool low;       /* columns above param of some cell's total do not count in sizes */
    const char *param;            /* name of the method's parameter as an option, NULL = none */
    double def;                   /* its default */
    double (*gain)(double param); /* NULL = 1 */
    /* NULL = 1.  Must be finite for every N, C, d >= 0. */
    double (*col)(double n, double c, double d);
    double (*post)(double n, double c, double d);
    double (*constant)(double param); /* post, where it depends on the parameter alone */
};

/* The catalogues, each ended by a row without a name. */
extern const struct cm_norm_method cm_lognorm_methods[];
extern const struct cm_norm_method cm_tfidf_methods[];
extern const struct cm_norm_method cm_clr_methods[];

/* The method of that name or alias, or NULL. */
const struct cm_norm_method *cm_norm_find(const struct cm_norm_method *table, const char *name);

/* A chosen method with its constants.  Set the first group, then cm_norm_fit or cm_norm_load, then
 * cm_norm_save once and cm_norm_apply for each chunk.  cm_norm_free at the end. */
struct cm_norm {
    const char *tool;                    /* "lognorm", "tfidf", "clr" */
    const struct cm_norm_method *table;  /* the tool's catalogue */
    const struct cm_norm_method *method; /* NULL: not chosen yet (--like chooses) */
    double scale;                        /* NAN: not given */
    bool binarize;
    bool fractional;        /* counts need not be whole */
    bool sublinear;         /* x becomes 1 + ln x, behind all sums */
    enum cm_norm_unit norm; /* 0: not given */
    const char *param;      /* the parameter that was given, NULL = none */
    double value;           /* its value */
    bool median_all;        /* the median counts empty cells too (scanpy before 2026, CSR) */
    const char *label;      /* size factors, NULL = none; borrowed until loaded */
    bool missing_zero;      /* cm_norm_load: features that the input lacks count as 0 */

    /* The constants. */
    double *col, *post, *use; /* NULL = 1; one a column of the input */
    size_t cols;
    bool weightless; /* some column that cells may have counts in has factor 0 */
    bool on_all;     /* fitted on all cells: columns without counts have none to lose */
    bool measured;   /* the scale is a median or mean of the cells fitted on */
    double second;   /* total of the second scaling */
    double cells;    /* N; NAN when no pass was made */

    /* Counted by cm_norm_apply: rows, rows without counts, and rows that have counts but whose
     * values are all zero (their columns or their size have no weight in this fit). */
    uint64_t rows, empty, lost;
    /* Columns never seen in the cells fitted on, counted by cm_norm_fit. */
    size_t unseen;
    /* Columns that --method exclude-high leaves out of the sizes. */
    size_t excluded;
    /* By cm_norm_load: features of the fit, how many of them the input lacks, one of these. */
    size_t fit_cols, missing;
    char *example;

    /* Of the fit and of the row at hand. */
    char *own_label;
    int label_at;       /* position of the label in the input, bound by fit or by the first apply */
    double *sum, *seen; /* C_j and d_j */
    uint32_t *tally;    /* C_j and d_j of one block of small counts, in one word */
    double *size;       /* sizes > 0 (or all) */
    size_t nsize, size_cap;
    double sum_second, n_second;
    double *row; /* counts of one row */
    size_t row_cap;
};

/* Options that do not go together: CM_EUSAGE, else 0.  For a chosen method. */
int cm_norm_check(const struct cm_norm *n);

/* CM_EINPUT unless the stream is one matrix slot that holds counts (or 0 and 1, where `binary` is
 * allowed); the message tells a normalised stream from a merely unsuitable one. */
int cm_norm_accepts(const struct cm_head *h, bool binary);

/* How often must the cells be read before the first can be written? */
unsigned cm_norm_passes(const struct cm_norm *n);

/* Does the result travel as counts and factors, or (false) as plain values? */
bool cm_norm_lazy(const struct cm_norm *n);

/* Reads r to its end once or twice, fits the constants on the rows that meet `where` (NULL = all)
 * and rewinds.  cm_reader_keep must have been called.  Without need for a pass it only sets
 * constants.  CM_ENUMERIC where the cells give nothing to fit: those that meet `where` have no
 * counts, or the total that all are scaled to is 0.  Memory: 36 bytes a column, and 8 bytes a cell
 * where the scale is a median or mean. */
int cm_norm_fit(struct cm_norm *n, struct cm_reader *r, struct cm_where *where);

/* Takes method and constants from the slot of `like` that has the input slot's name.  Options set
 * before must agree (CM_EUSAGE).  Columns are matched by name: every fitted column must be in the
 * input, and where the method has fitted vectors every column of the input must be fitted
 * (CM_EINPUT with the first missing name and their number).  With n->missing_zero a column that the
 * input lacks counts as 0 in every cell instead and n->missing counts them, unless the input lacks
 * them all or the method takes no zeros.  `path` names the file in messages. */
int cm_norm_load(struct cm_norm *n, const struct cm_head *like, const char *path,
                 const struct cm_slot *in);

/* Writes the fit into an output slot: state, lazy, encoding, scalars and vectors. */
void cm_norm_save(const struct cm_norm *n, struct cm_slot *slot);

/* Does cm_norm_apply look at the columns of entries that are bytes?  After the fit. */
bool cm_norm_by_column(const struct cm_norm *n);

/* Checks the counts of a chunk (head h is the input's) and gives its block 0 the row factors, or
 * plain values (cm_norm_lazy); binarises first where asked.  CM_EINPUT names row and column. */
int cm_norm_apply(struct cm_norm *n, const struct cm_head *h, struct cm_chunk *c);

void cm_norm_free(struct cm_norm *n);

#ifdef __cplusplus
}
#endif
#endif
