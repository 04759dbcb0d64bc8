/* cli/cells.h - the cells of one modality, whole, for a tool that applies a model to pairs.
 *
 * xattn-score and xattn-map read the same two files beside a model; one function checks that they
 * are what the model was trained on and brings them into the form that network/scorer.h wants.
 */
#ifndef CM_CLI_CELLS_H
#define CM_CLI_CELLS_H

#include "cli/cli.h"
#include "model/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise; cm_cells_free. */
struct cm_cells {
    struct cm_table table; /* head, names and labels; its values are moved to x */
    struct cm_csr x;
    struct cm_index at; /* of the names */
};

/* The model of a file; the digest of what it holds as 16 hex digits. */
void cm_model_open(struct cm_model *m, const char *path, char digest[20]);
/* Opens a stream of one matrix slot; another is status 3. */
struct cm_reader *cm_cells_open(const char *path);
/* The columns of the open input by which side `side` of the model is applied, as cm_model_columns;
 * warns of those that only one of them has. */
uint32_t *cm_cells_columns(const struct cm_model *m, size_t side, struct cm_reader *r,
                           bool by_name);
/* Reads `path`, one matrix slot, as side `side` of the model.  Another kind, state, fit or column,
 * a name twice: status 3.  by_name: columns are taken by their names, wherever they stand. */
void cm_cells_load(struct cm_cells *c, const struct cm_model *m, const char *model_path,
                   size_t side, const char *path, bool by_name);
void cm_cells_free(struct cm_cells *c);

#ifdef __cplusplus
}
#endif
#endif
