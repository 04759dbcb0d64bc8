/* baselines/deep.h - perceptrons of any depth on a cell's LSI components, from random weights:
 * rivals.
 *
 * Problem: the second and third of the competition matched cells by perceptrons on LSI, trained by
 * the symmetric cross-entropy of cosines; they are to run on the same cells as our presets, with
 * the same loop, decision and scores.  Choice: one more encoder class for the loop of fit.h, with
 * no residual.  Modalities differ in width and depth.  Rejected: a loop of its own, which would
 * differ in more than the model.
 */
#ifndef CM_BASELINES_DEEP_H
#define CM_BASELINES_DEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pairs/dataset.h"
#include "model/model.h"
#include "train/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers of one modality from "IN:WIDTHS:RATES".  CM_EUSAGE says what was expected. */
int cm_deep_side_parse(struct cm_deep_side *side, const char *text);

/* Trains m (linear part and head are there) on d by the settings m->config, which are written to
 * the head; o has the checkpoint to go on from, if any.  z: training components.  Errors as cm_fit.
 * */
int cm_deep_fit(struct cm_model *m, const struct cm_train_data *d, const struct cm_train_options *o,
                float *const z[2], const struct cm_train_callbacks *callbacks);

#ifdef __cplusplus
}
#endif
#endif
