/* stream/table.c - whole streams in memory: one slot as a matrix, and the tensors of a model.
 *
 * Values are floats with the lazy transform applied.  Memory: 8 bytes an entry and 8 a row (CSR),
 * 4 a value (dense), and the names.  Rejected: an index over compressed frames.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "stream/reader.h"

int cm_table_load(struct cm_reader *r, struct cm_table *t)
{
    const struct cm_head *h = cm_reader_head(r);
    memset(t, 0, sizeof *t);
    if (h->nslots != 1)
        return cm_fail(CM_EINPUT, "%s: expected a stream of one slot, found %zu (kind %s)",
                       cm_reader_path(r), h->nslots, cm_kind_name(h->kind));
    const struct cm_slot *s = &h->slot[0];
    size_t cols = s->cols.names.n, capacity = 0;
    t->dense = s->dense;
    t->csr = cm_csr_make(cols);
    t->full = (struct cm_dense){.cols = cols, .ld = cols};
    t->label = CM_ZNEW(h->nlabels, struct cm_vec);
    for (size_t k = 0; k < h->nlabels; k++)
        cm_vec_reset(&t->label[k], h->label[k].name, h->label[k].type, 0);
    struct cm_chunk c = {0};
    int rc;
    if (!s->dense) {
        r->into = &t->csr;
        cm_inflate_bare(&r->in.bytes);
    }
    while ((rc = cm_reader_next(r, &c)) > 0) {
        if (c.is_pick || c.is_tensor)
            continue;
        for (size_t i = 0; i < c.rows; i++)
            cm_strs_add(&t->names, cm_strs_get(&c.names, i));
        for (size_t k = 0; k < h->nlabels; k++)
            cm_vec_append(&t->label[k], &c.label[k]);
        struct cm_block *b = &c.block[0];
        const float *v = r->placed ? NULL : cm_block_f32(b, s);
        if (s->dense) {
            size_t n = t->full.rows * cols;
            CM_GROW(t->full.v, capacity, n + (size_t)b->nnz);
            if (b->nnz)
                memcpy(t->full.v + n, v, (size_t)b->nnz * sizeof *v);
            t->full.rows += b->rows;
        } else {
            cm_csr_append(&t->csr, b->rows, b->ptr, r->placed ? NULL : b->idx, v);
        }
    }
    r->into = NULL;
    cm_chunk_free(&c);
    if (rc < 0) {
        cm_table_free(t);
        return rc;
    }
    cm_head_copy(&t->head, h); /* after END: all categories are known */
    return 0;
}

void cm_table_free(struct cm_table *t)
{
    size_t labels = t->head.nlabels;
    for (size_t k = 0; t->label && k < labels; k++)
        cm_vec_free(&t->label[k]);
    cm_free(t->label);
    cm_strs_free(&t->names);
    cm_csr_free(&t->csr);
    cm_free(t->full.v);
    cm_head_free(&t->head);
    memset(t, 0, sizeof *t);
}

/* ===== tensors ============================================================================ */

int cm_tensors_load(struct cm_reader *r, struct cm_tensors *ts)
{
    *ts = (struct cm_tensors){0};
    struct cm_chunk c = {0};
    int rc;
    while ((rc = cm_reader_next(r, &c)) > 0)
        if (c.is_tensor) {
            ts->t = cm_realloc(ts->t, ts->n + 1, sizeof *ts->t);
            ts->t[ts->n++] = c.tensor;
            c.tensor = NULL;
        }
    cm_chunk_free(&c);
    if (rc < 0)
        cm_tensors_free(ts);
    return rc;
}

const struct cm_tensor *cm_tensors_get(const struct cm_tensors *ts, const char *name,
                                       enum cm_value type, unsigned ndim, const uint64_t *shape)
{
    for (size_t k = 0; k < ts->n; k++) {
        const struct cm_tensor *t = ts->t[k];
        if (strcmp(t->name, name))
            continue;
        bool fits = t->type == type && t->ndim == ndim;
        for (unsigned d = 0; fits && shape && d < ndim; d++)
            fits = !shape[d] || shape[d] == t->shape[d];
        if (fits)
            return t;
        cm_fail(CM_EINPUT, "tensor %s has another type or shape than expected", name);
        return NULL;
    }
    cm_fail(CM_EINPUT, "tensor %s is missing", name);
    return NULL;
}

void cm_tensors_free(struct cm_tensors *ts)
{
    for (size_t k = 0; k < ts->n; k++)
        cm_tensor_free(ts->t[k]);
    cm_free(ts->t);
    *ts = (struct cm_tensors){0};
}
