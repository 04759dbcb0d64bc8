/* stream/recode.c - category codes of one head as those of another. */
#include "stream/recode.h"

#include <string.h>

#include "base/mem.h"

void cm_recode_extend(struct cm_recode *x, struct cm_head *h, size_t k,
                      const struct cm_head *origin)
{
    struct cm_dict *ours = &h->label[k].dict;
    int at = cm_head_match_label(origin, &h->label[k], k);
    static const struct cm_dict none; /* an origin without this label: all values are missing */
    const struct cm_dict *theirs = at >= 0 ? &origin->label[at].dict : &none;
    if (x->origin != origin || theirs->names.n < x->known)
        x->known = x->same = 0;
    x->origin = origin;
    CM_GROW(x->map, x->map_cap, theirs->names.n + 1);
    for (; x->known < theirs->names.n; x->known++) {
        const char *name = cm_strs_get(&theirs->names, x->known);
        uint32_t code =
            x->known < ours->names.n && !strcmp(cm_strs_get(&ours->names, x->known), name)
                ? (uint32_t)x->known
                : cm_dict_code(ours, name);
        x->map[x->known] = code;
        x->same += code == x->known && x->same == x->known;
    }
}

void cm_recode_put(struct cm_buf *b, const uint32_t *code, size_t n, const struct cm_recode *x)
{
    if (x->same == x->known) {
        cm_buf_le(b, code, n, 4);
        return;
    }
    for (size_t i = 0; i < n; i++) /* the caller's codes stay as they are */
        cm_buf_u32(b, code[i] == CM_CAT_MISSING ? code[i] : x->map[code[i]]);
}
