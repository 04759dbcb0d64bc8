/* baselines/deep.h - perceptrons of any depth on a cell's LSI components, from random weights: rivals.
 *
 * Problem: the second and third of the competition matched cells by perceptrons on LSI, trained by
 * the symmetric cross-entropy of cosines; they are to run on the same cells as our presets, with
 * the same loop, decision and scores.  Choice: one more encoder class for the loop of fit.h, with
 * hp.residual 0, and presets of its numbers.  Modalities differ in width and depth, so the keys
 * carry the slot's name.  Rejected: a loop of its own, which would differ in more than the model.
 *
 * Keys: hp.k components of the linear part; hp.deep.q width of the embedding; hp.deep.act elu|gelu;
 * hp.deep.input standard (each component by its training sd) | zscore (each cell over its
 * components); hp.deep.dropout.in; and for each slot hp.deep.SLOT.in (the leading components used),
 * .hidden (widths, "1024,1024") and .dropout (a rate behind each, ".542,.397").
 */
#ifndef CM_BASELINES_DEEP_H
#define CM_BASELINES_DEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pairs/dataset.h"
#include "train/loop.h"
#include "model/model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_DEEP_LAYERS 4 /* hidden layers at most */

enum cm_deep_preset { CM_DEEP_SMALL, CM_DEEP_NOVEL, CM_DEEP_MATCHCLOT };
#define CM_DEEP_PRESETS "small|novel|matchclot" /* in the order of the enum */

/* All hp.* of a preset, of the loop's, too.  slot: the names of both slots; GEX has numbers of its
 * own, any other slot takes those of ATAC.  *k: components that it needs. */
void cm_deep_preset_hp(enum cm_deep_preset preset, const char *const slot[2], struct cm_kv *hp,
                       size_t *k);

/* Trains m (linear part and head are there) on d with the keys of hp, which are written to the
 * head.  z: training components.  s: zeroed, or a checkpoint's; freed by the caller.  memory (or
 * NULL) is asked before the first step with the bytes that it takes (cm_fit_bytes); < 0, with a
 * message, refuses.  Errors as cm_fit, and CM_EINPUT for keys out of range. */
int cm_deep_fit(struct cm_model *m, const struct cm_train_data *d, float *const z[2],
                const struct cm_kv *hp, struct cm_fit_state *s, uint64_t keep,
                int (*memory)(uint64_t bytes), const struct cm_fit_voice *voice);

#ifdef __cplusplus
}
#endif
#endif
