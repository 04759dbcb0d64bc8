/* model/resolve.c - what follows from the settings, and settings that contradict each other. */
#include <string.h>

#include "base/error.h"
#include "model/field.h"

bool cm_config_may_link(const struct cm_config *c)
{
    return c->linear.on && (c->net.encoder == CM_ENCODER_NONE || c->net.residual);
}

void cm_config_resolve(struct cm_config *c)
{
    struct cm_net_config *n = &c->net;
    for (const struct cm_field *f = cm_fields; f->key; f++)
        for (int s = 0; f->section == CM_SECTION_TOKENS && s < 2; s++)
            if (!cm_field_own(f, c, s))
                memcpy((char *)c + cm_field_place(f, s), cm_field_value(f, c, -1),
                       cm_field_size(f));
    c->linear.on = n->encoder != CM_ENCODER_TOKENS || n->residual ||
                   n->tokens_of[0].filters == CM_FILTERS_LOADINGS ||
                   n->tokens_of[1].filters == CM_FILTERS_LOADINGS;
    c->links.on = c->links.on && cm_config_may_link(c);
}

int cm_config_check(const struct cm_config *c)
{
    const struct cm_loop_config *l = &c->loop;
    bool cross = c->net.cross.on;
    if (!cm_section_present(CM_SECTION_TRAINING, c))
        return 0;
    if (c->loss.kind == CM_LOSS_NONE && !cross)
        return cm_fail(CM_EUSAGE, "--loss none needs --cross");
    if (!(l->lr > 0) && !(c->net.residual && l->lr_linear > 0) && !(cross && l->lr_cross > 0))
        return cm_fail(CM_EUSAGE, "--lr 0: nothing would be learnt");
    return 0;
}
