/* match/best.c - one line a cell.  See match/best.h. */
#include "match/best.h"

#include "base/text.h"
#include "stream/wire.h"

void cm_best_head(const struct cm_head *h, struct cm_buf *to)
{
    cm_buf_printf(to, "cell\tpartner\t%s\tmargin\n", cm_match_numbers(h));
}

static void put_row(struct cm_buf *to, const struct cm_slot *slot, size_t n, const uint32_t *idx,
                    const float *v)
{
    char text[CM_NUMBER_MAX];
    size_t best = 0;
    if (n == 0) {
        cm_buf_puts(to, "\t\t\t\n");
        return;
    }
    for (size_t k = 1; k < n; k++)
        if (v[k] > v[best])
            best = k;
    bool second = slot->state == CM_S_PROBABILITY; /* 0, at least */
    double next = 0;
    for (size_t k = 0; k < n; k++)
        if (k != best && (!second || (double)v[k] > next)) {
            next = (double)v[k];
            second = true;
        }
    cm_buf_puts(to, "\t");
    cm_escape(to, cm_strs_get(&slot->cols.names, idx ? idx[best] : best));
    cm_buf_printf(to, "\t%s\t", cm_format_f32(v[best], text));
    if (second)
        cm_buf_puts(to, cm_format_f32((float)((double)v[best] - next), text));
    cm_buf_puts(to, "\n");
}

void cm_best_rows(const struct cm_head *h, struct cm_chunk *c, struct cm_buf *to)
{
    const struct cm_slot *slot = &h->slot[0];
    const struct cm_block *b = &c->block[0];
    const float *v = cm_block_f32(&c->block[0], slot);
    for (size_t i = 0; i < c->rows; i++) {
        uint64_t at = b->dense ? (uint64_t)i * b->cols : b->ptr[i];
        uint64_t n = b->dense ? b->cols : b->ptr[i + 1] - at;
        cm_escape(to, cm_strs_get(&c->names, i));
        put_row(to, slot, (size_t)n, b->dense ? NULL : b->idx + at, v + at);
    }
}
