/* cli/cells.c - a model, and the cells of one of its sides.  See cells.h.
 *
 * The checks are those of `embed` (model/model.h); what differs is that all cells are kept, as CSR
 * whatever the file has, and found by name.
 */
#include "cli/cells.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void cm_model_open(struct cm_model *m, const char *path, char digest[20])
{
    struct cm_reader *r = cm_in_open(path);
    cm_require_kind(r, CM_MODEL);
    cm_try(cm_model_read(m, r));
    snprintf(digest, 20, "%016" PRIx64, cm_reader_digest(r));
}

/* All entries of a dense matrix; zeros do no harm. */
static struct cm_csr from_dense(const struct cm_dense *d)
{
    struct cm_csr x = cm_csr_make(d->cols);
    uint32_t *idx = CM_NEW(uint32_t, d->cols);
    for (size_t j = 0; j < d->cols; j++)
        idx[j] = (uint32_t)j;
    const uint64_t ptr[2] = {0, d->cols};
    for (size_t i = 0; i < d->rows; i++)
        cm_csr_append(&x, 1, ptr, idx, d->v + i * d->ld);
    cm_free(idx);
    return x;
}

void cm_cells_load(struct cm_cells *c, const struct cm_model *m, const char *model_path,
                   size_t side, const char *path)
{
    struct cm_reader *r = cm_in_open(path);
    cm_require_kind(r, CM_MATRIX);
    const struct cm_head *h = cm_reader_head(r);
    if (h->nslots != 1)
        cm_die(3, "%s: expected one slot, found %zu", cm_reader_path(r), h->nslots);
    uint32_t *map;
    size_t dropped;
    cm_try(cm_model_accepts(m, side, &h->slot[0], cm_reader_path(r), model_path));
    cm_try(cm_model_columns(m, side, &h->slot[0].cols, false, cm_reader_path(r), &map, &dropped));
    cm_try(cm_table_load(r, &c->table));
    if (c->table.dense) {
        c->x = from_dense(&c->table.full);
    } else {
        c->x = c->table.csr;
        memset(&c->table.csr, 0, sizeof c->table.csr);
    }
    cm_index_make(&c->at, &c->table.names);
    if (c->at.duplicate != CM_ABSENT)
        cm_die(3, "%s: the cell name '%s' occurs twice", cm_reader_path(r),
               cm_strs_get(&c->table.names, c->at.duplicate));
}

void cm_cells_free(struct cm_cells *c)
{
    cm_index_free(&c->at);
    cm_csr_free(&c->x);
    cm_table_free(&c->table);
}
