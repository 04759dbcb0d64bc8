/* The settings of a preset for the slots GEX and ATAC. */
#include "model/presets.h"

static inline struct cm_config preset_of(enum cm_preset preset)
{
    static const char *const slot[2] = {"GEX", "ATAC"};
    struct cm_config c;
    cm_preset_config(preset, slot, &c);
    return c;
}

static inline struct cm_transformer_config tokens_of(enum cm_preset preset, const char *slot)
{
    return preset_of(preset).net.tokens_of[strcmp(slot, "GEX") != 0];
}
