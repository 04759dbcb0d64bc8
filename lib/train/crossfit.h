/* train/crossfit.h - the calibrated temperature when validation cells are few.
 *
 * The calibrated temperature maximises the likelihood on unseen cells (match/rules.h).  From n
 * cells its logarithm has a standard error of about 1.1 / sqrt n, too much below
 * CM_CALIBRATION_ENOUGH cells.  Then training cells help: CM_CALIBRATION_FOLDS models, of the
 * closed form alone, are each fitted without one fold of the training cells and evaluated on it;
 * one of them from CM_LINEAR_REFIT_CELLS cells on, since what decides the error is how many cells
 * are evaluated.
 * Fitted on fewer cells, they have another temperature; the validation cells, which meet both, show
 * how much it differs:
 *
 *   T = T(folds, fold models) T(validation cells, model) / T(validation cells, fold models)
 *
 * The last two share their cells, so most of their error cancels.
 */
#ifndef CM_TRAIN_CROSSFIT_H
#define CM_TRAIN_CROSSFIT_H

#include "match/rules.h"
#include "pairs/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_CALIBRATION_ENOUGH   512 /* validation cells that are enough by themselves */
#define CM_CALIBRATION_FOLDS    4
#define CM_CALIBRATION_FEWEST   16   /* cells in a fold, below which nothing is fitted */
#define CM_CALIBRATION_MAX      4096 /* cells that models are evaluated on */
#define CM_CALIBRATION_FOLD_MAX 2048 /* of one fold */
#define CM_CALIBRATION_PAIRED   32   /* validation cells below which their quotient is not taken */

/* Fits a model to `fold` (its part 0, training cells rows[0], rows[1], ...; part 1 is empty) and
 * writes the similarities of the cells x (n x n, row-major) for each of two sets of cells; those of
 * an empty set are left alone.  0 or CM_E.... */
typedef int cm_fold_fit(void *arg, const struct cm_train_data *fold, const uint64_t *rows,
                        const struct cm_csr *const held[2], float *s_held,
                        const struct cm_csr *const valid[2], float *s_valid);

struct cm_crossfit {
    const struct cm_train_data *data;
    enum cm_rule_method method;
    uint64_t seed;
    const struct cm_csr *valid[2]; /* rows may be 0 */
    const uint32_t *group;         /* of the validation cells, or NULL */
    double on_valid;               /* the model's own temperature there */
    cm_fold_fit *fit;
    void *arg;
};

/* *temperature as above; `on_valid` if there are too few cells for folds, 0 without validation
 * cells.  *cells: how many contributed. */
int cm_crossfit(const struct cm_crossfit *x, double *temperature, size_t *cells);

/* Upper bound of the bytes taken, beside those of a fit. */
uint64_t cm_crossfit_bytes(const struct cm_train_data *d);

#ifdef __cplusplus
}
#endif
#endif
