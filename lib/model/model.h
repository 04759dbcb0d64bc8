/* model/model.h - a trained model: in memory, in a file, and applied to cells.
 *
 * Training, embedding and pair scoring meet in this file.  Kind `model` carries both column tables
 * (names, coordinates, fitted vectors), both states, every setting as hp.*, the decision rule, and
 * named tensors; all of it is checked before a model is applied to the first cell.
 *
 * Tensors (d features of the slot, named by its name, e.g. GEX; m genes and w peaks of the
 * peak-gene term):
 *   GEX.mean f32 [d]      GEX.v f32 [d, k]     GEX.s f64 [k]      GEX.p f32 [k, q]
 *   cca.corr f64 [q]
 *   cis.gene.feature u32 [m]   cis.gene.h f32 [m, r]   cis.gene.off f32 [m]   cis.gene.sd f32 [m]
 *   cis.peak.*                 the same for the peaks
 *   GEX.b f32 [q], GEX.r.*, scale: the trained part (net.h), where hp.encoder names one
 *   cis.pair.gene u32 [n]      cis.pair.peak u32 [n]   cis.pair.c f32 [n]     cis.mu f64 [1]
 *   cis.candidate.c f32 [cis.candidates], correlations of all pairs of the window, which the column
 *   tables give in the order of cm_links_candidates_find; cis.candidate.cells, .window f64 [1]; of
 *   these three earlier models have none
 * A model with hp.linear 0 has neither the linear part (mean, v, s, p, corr) nor the peak-gene
 * term. Keys: hp.*, features.SLOT (hash of the column names), train.cells, cis.pairs ..., valid.*,
 * rule.*
 */
#ifndef CM_MODEL_MODEL_H
#define CM_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "links/links.h"
#include "linear/cca.h"
#include "model/config.h"
#include "network/net.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_model {
    struct cm_head head;     /* kind model, two slots */
    struct cm_config config; /* as the head has it; see cm_model_from for which of it */
    struct cm_linear linear; /* k = 0: none */
    bool has_links;
    struct cm_links links; /* between the slots GEX and ATAC */
    bool has_net;
    struct cm_net net; /* what was trained; the linear part then has its P, too */
};

/* The tensors, after the model's head was written to w. */
int cm_model_write(const struct cm_model *m, struct cm_writer *w);
/* Reads r to END.  CM_EINPUT names the tensor that is missing or does not fit. */
int cm_model_read(struct cm_model *m, struct cm_reader *r);
/* The same from a head and tensors that were read, whose data it may keep (the tensor is empty
 * then); cm_fail without the file's name.  Of the settings it reads those that an embedding needs
 * (CM_CONFIG_APPLY). */
int cm_model_from(struct cm_model *m, const struct cm_head *head, const struct cm_tensors *ts);
void cm_model_free(struct cm_model *m);

/* ===== applying =========================================================================== */

/* Columns of an embedding: q, and m for the peak-gene term where the model has one. */
size_t cm_model_width(const struct cm_model *m);

/* The side of the slot called `name` (rna, peaks ... as cm_slot_alias), or CM_EINPUT naming the
 * model's slots. */
int cm_model_side(const struct cm_model *m, const char *name);

/* May this matrix slot be given to side `side`?  CM_EINPUT when the state, the method, or the
 * fitted constants are others than in training; the message names the command that prepares the
 * cells. `path` and `model_path` are for the message. */
int cm_model_accepts(const struct cm_model *m, size_t side, const struct cm_slot *in,
                     const char *path, const char *model_path);

/* Columns that only one of a model and its input has. */
struct cm_column_gaps {
    size_t extra;        /* columns of the input that the model lacks */
    size_t missing;      /* columns of the model that the input lacks */
    const char *example; /* the first of those, borrowed from the model; NULL if there is none */
};

/* Compares the columns of `in` with the model's.  Equal: *map = NULL.  Otherwise CM_EINPUT names
 * the first difference; with by_name, *map (in->names.n places, cm_free) gets the model's column of
 * each input column or UINT32_MAX, *gaps (never NULL) counts what only one side has, and it is
 * CM_EINPUT if none is common to both. */
int cm_model_columns(const struct cm_model *m, size_t side, const struct cm_cols *in, bool by_name,
                     const char *path, uint32_t **map, struct cm_column_gaps *gaps);

/* out (rows x width, ld = width) of prepared cells.  A row depends on its cell alone: same bits for
 * any cut of the stream into blocks. */
void cm_model_embed(const struct cm_model *m, size_t side, const struct cm_csr *x, float *out);

/* Its first columns alone, e without the links: ld = cm_model_width_e. */
size_t cm_model_width_e(const struct cm_model *m);
void cm_model_embed_e(const struct cm_model *m, size_t side, const struct cm_csr *x, float *out);
/* s (n[0] x n[1]) += mu L of cells at[side] (NULL: the first ones) of both sides; z: components of
 * their rows (ld k).  What the columns of links would give, without them. */
void cm_model_add_links(const struct cm_model *m, const struct cm_csr *const x[2],
                        const float *const z[2], const uint64_t *const at[2], const size_t n[2],
                        float *s);

/* The same for a block of a stream, in place: values through slot `in`'s lazy rule, columns through
 * `map` (NULL = as they are), all `width` columns or only part e; the block becomes dense. */
void cm_model_embed_block(const struct cm_model *m, size_t side, struct cm_block *b,
                          const struct cm_slot *in, const uint32_t *map, bool all_parts);

/* Head of the embedding of cells with head `in`: kind, slot, column names, part.N, labels. */
void cm_model_embed_head(const struct cm_model *m, size_t side, const struct cm_head *in,
                         bool all_parts, struct cm_head *out);

#ifdef __cplusplus
}
#endif
#endif
