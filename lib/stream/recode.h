/* stream/recode.h - category codes of one head as those of another (private to stream/). */
#ifndef CM_STREAM_RECODE_H
#define CM_STREAM_RECODE_H

#include "base/bytes.h"
#include "stream/cms.h"

/* How the codes of one label of an origin become ours. */
struct cm_recode {
    const struct cm_head *origin;
    size_t same;  /* so many first categories are equal on both sides */
    size_t known; /* categories of the origin looked at */
    uint32_t *map;
    size_t map_cap;
};
/* Brings the map of label k of h up to date with its origin; h learns categories that are new. */
void cm_recode_extend(struct cm_recode *x, struct cm_head *h, size_t k,
                      const struct cm_head *origin);
/* Appends n codes of the origin as ours. */
void cm_recode_put(struct cm_buf *b, const uint32_t *code, size_t n, const struct cm_recode *x);

#endif
