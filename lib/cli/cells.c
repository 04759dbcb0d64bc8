/* cli/cells.c - a model, and the cells of one of its sides.  See cells.h.
 *
 * The checks are those of `embed` (model/model.h); what differs is that all cells are kept, as CSR
 * whatever the file has, and found by name.
 */
#include "cli/cells.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void cm_model_open(struct cm_model *m, const char *path, char digest[20])
{
    struct cm_reader *r = cm_in_open(path);
    cm_require_kind(r, CM_MODEL);
    cm_try(cm_model_read(m, r));
    snprintf(digest, 20, "%016" PRIx64, cm_reader_digest(r));
}

static int by_column(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Columns through map (UINT32_MAX: left out), ascending again. */
static void renumber(struct cm_csr *x, const uint32_t *map, size_t cols)
{
    struct cm_csr out = cm_csr_make(cols);
    uint64_t *key = NULL; /* column, and where its value stands */
    uint32_t *idx = NULL;
    float *val = NULL;
    size_t cap = 0;
    for (size_t i = 0; i < x->rows; i++) {
        uint64_t from = x->ptr[i], ptr[2] = {0, 0};
        if (x->ptr[i + 1] - from > cap) {
            cap = x->ptr[i + 1] - from;
            cm_free(key), cm_free(idx), cm_free(val);
            key = CM_NEW(cap, uint64_t), idx = CM_NEW(cap, uint32_t), val = CM_NEW(cap, float);
        }
        for (uint64_t e = from; e < x->ptr[i + 1]; e++)
            if (map[x->idx[e]] != UINT32_MAX)
                key[ptr[1]++] = (uint64_t)map[x->idx[e]] << 32 | (e - from);
        if (ptr[1] > 1)
            qsort(key, ptr[1], sizeof *key, by_column);
        for (uint64_t k = 0; k < ptr[1]; k++) {
            idx[k] = (uint32_t)(key[k] >> 32);
            val[k] = x->val[from + (uint32_t)key[k]];
        }
        cm_csr_append(&out, 1, ptr, idx, val);
    }
    cm_free(key);
    cm_free(idx);
    cm_free(val);
    cm_csr_free(x);
    *x = out;
}

struct cm_reader *cm_cells_open(const char *path)
{
    struct cm_reader *r = cm_in_open(path);
    cm_require_kind(r, CM_MATRIX);
    if (cm_reader_head(r)->nslots != 1)
        cm_die(3, "%s: expected one slot, found %zu", cm_reader_path(r), cm_reader_head(r)->nslots);
    return r;
}

uint32_t *cm_cells_columns(const struct cm_model *m, size_t side, struct cm_reader *r, bool by_name)
{
    uint32_t *map;
    struct cm_column_gaps gaps;
    const char *path = cm_reader_path(r), *slot = m->head.slot[side].name;
    cm_try(cm_model_columns(m, side, &cm_reader_head(r)->slot[0].cols, by_name, path, &map, &gaps));
    if (gaps.missing)
        cm_warn("%s: %zu of the model's %zu %s features are missing ('%s' is one); they count as 0",
                path, gaps.missing, m->head.slot[side].cols.names.n, slot, gaps.example);
    if (gaps.extra)
        cm_warn("%s: %zu columns are not in the model and are left out", path, gaps.extra);
    return map;
}

void cm_cells_load(struct cm_cells *c, const struct cm_model *m, const char *model_path,
                   size_t side, const char *path, bool by_name)
{
    struct cm_reader *r = cm_cells_open(path);
    const struct cm_head *h = cm_reader_head(r);
    cm_try(cm_model_accepts(m, side, &h->slot[0], cm_reader_path(r), model_path));
    uint32_t *map = cm_cells_columns(m, side, r, by_name);
    cm_try(cm_table_load(r, &c->table));
    if (c->table.dense) {
        c->x = cm_csr_make(c->table.full.cols);
        cm_csr_append_dense(&c->x, c->table.full.rows, c->table.full.v, c->table.full.ld);
    } else {
        c->x = c->table.csr;
        memset(&c->table.csr, 0, sizeof c->table.csr);
    }
    if (map)
        renumber(&c->x, map, m->head.slot[side].cols.names.n);
    cm_free(map);
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
