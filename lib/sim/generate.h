/* sim/generate.h - simulated paired cells with a known structure.
 *
 * A hierarchical count model.  Every random number is a function of (seed, purpose, cell, feature),
 * so that any cell can be drawn at any time: chunks need no memory of earlier ones, and the oracle
 * draws its cells again.
 *
 * The model.  Cell i has a type t_i, shared factors f_i ~ N(0, I_8), for every gene d with linked
 * peaks a locus state l_id = -1 or +1 (closed, open), factors of one modality alone p_i ~ N(0,
 * I_2), a library size s_i (log-normal) per modality, and a batch b_i.  The rate of feature j is
 *   s_i exp(base_j + type_jt + batch_jb + load_j . (f_i, p_i)) (1 + l_id tanh c_j),  d = locus of j
 * and counts are Poisson (peaks) or negative binomial (genes).  Types, shared factors and loci are
 * seen by both modalities; libraries, private factors and batches are not.  signal scales all
 * shared effects; local is the share of their variance that a locus carries.
 */
#ifndef CM_SIM_GENERATE_H
#define CM_SIM_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_GEN_SHARED  8                                /* factors that both modalities see */
#define CM_GEN_PRIVATE 2                                /* factors of one modality alone */
#define CM_GEN_FACTORS (CM_GEN_SHARED + CM_GEN_PRIVATE) /* loadings a feature */
#define CM_GEN_NOWHERE UINT32_MAX                       /* a feature of no locus */

enum { CM_GEN_GEX, CM_GEN_ATAC }; /* sides */
enum cm_gen_split { CM_GEN_TRAIN, CM_GEN_VALID, CM_GEN_TEST };

struct cm_gen_options {
    size_t cells, types, batches;
    size_t unseen;  /* the last `unseen` batches are test, the one before valid; 0: drawn by cell */
    size_t cols[2]; /* genes, peaks */
    double nnz[2];  /* target of the mean non-zeros a cell, at most 9 in 10 columns */
    double signal, local;
    bool aligned; /* ATAC rows in the order of the GEX rows, otherwise shuffled within the batch */
    uint64_t seed;
};

/* The parameters of one modality; arrays over its `cols` features. */
struct cm_gen_side {
    size_t cols;
    float *base;       /* log mean, with the scale that gives the non-zeros asked for */
    float *type;       /* types x cols, log */
    float *batch;      /* batches x cols, log */
    float *load;       /* cols x CM_GEN_FACTORS: shared factors, then private */
    uint32_t *locus;   /* gene whose locus it belongs to, or CM_GEN_NOWHERE */
    float *local;      /* tanh c, in [0, 1); 0 without a locus */
    double dispersion; /* negative binomial: variance = mean + dispersion mean^2; 0 = Poisson */
    uint32_t *chrom;   /* 0-based number of the chromosome */
    int64_t *start, *end, *tss; /* half-open, 0-based; tss NULL for peaks */
};

struct cm_gen {
    struct cm_gen_options o;
    double *type_share;  /* types, sums to 1 */
    size_t *batch_begin; /* batches + 1 */
    uint64_t *order;     /* cells: the cell in ATAC row r; NULL when aligned */
    struct cm_gen_side side[2];
};

/* What is drawn for one cell. */
struct cm_gen_cell {
    size_t type, batch;
    enum cm_gen_split split;
    double factor[2][CM_GEN_FACTORS]; /* by side: shared (equal), then private */
    double library[2];                /* s_i, median 1 */
};

/* Draws all parameters.  0, or CM_EUSAGE for contradicting options (more unseen batches than
 * batches, more batches than cells, ...).  *g is freed by cm_gen_free. */
int cm_gen_make(struct cm_gen **g, const struct cm_gen_options *o);
void cm_gen_free(struct cm_gen *g);

struct cm_gen_cell cm_gen_cell(const struct cm_gen *g, size_t cell);
#define CM_GEN_NAME_MAX 48
/* A name like a barcode, unique, the same in both modalities: 16 bases, '-', number of the
 * batch. */
void cm_gen_name(const struct cm_gen *g, size_t cell, char name[CM_GEN_NAME_MAX]);
/* The cell in row `row` of a side. */
size_t cm_gen_at(const struct cm_gen *g, int side, size_t row);
/* Counts of one cell: columns ascend; arrays grow by CM_GROW; returns their number. */
size_t cm_gen_counts(const struct cm_gen *g, int side, size_t cell, uint32_t **idx,
                     uint32_t **count, size_t *cap);

/* The head of a side: one slot in state counts with its column table (chrom, start, end and, for
 * genes, tss), labels batch, cell_type and split with all categories. */
void cm_gen_head(const struct cm_gen *g, int side, struct cm_head *h);
/* Adds the labels batch, cell_type and split to a head; makes room for them in a chunk without
 * labels; fills those of one of its rows. */
void cm_gen_add_labels(const struct cm_gen *g, struct cm_head *h);
void cm_gen_reset_labels(struct cm_chunk *c, size_t rows);
void cm_gen_set_labels(const struct cm_gen *g, size_t cell, struct cm_chunk *c, size_t row);
/* Rows first .. first + rows - 1 of a side as a chunk for that head.  Runs on the pool; the bits do
 * not depend on the threads. */
int cm_gen_chunk(const struct cm_gen *g, int side, size_t first, size_t rows, struct cm_chunk *c);

#ifdef __cplusplus
}
#endif
#endif
