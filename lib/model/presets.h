/* model/presets.h - named sets of settings, and the cells and mini-batches that each wants. */
#ifndef CM_MODEL_PRESETS_H
#define CM_MODEL_PRESETS_H

#include "model/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The settings of a preset for these slots.  GEX has numbers of its own in some; any other slot
 * takes those of ATAC.  The seed is 0. */
void cm_preset_config(enum cm_preset preset, const char *const slot[2], struct cm_config *c);

/* What a preset wants before it: arguments of lognorm, tfidf and batch. */
struct cm_preset_advice {
    const char *gex, *atac, *schedule;
    /* Schedules from CM_PRESET_LARGE and CM_PRESET_HUGE cells on; NULL: as for fewer. */
    const char *large, *huge;
};
#define CM_PRESET_LARGE 4096
#define CM_PRESET_HUGE  32768
const struct cm_preset_advice *cm_preset_advice(enum cm_preset preset);

const char *cm_preset_name(enum cm_preset preset);
/* The trainer (CM_BY_... of model/config.h). */
unsigned cm_preset_by(enum cm_preset preset);

#ifdef __cplusplus
}
#endif
#endif
