/* match/feed.c - portions of a stream.  See feed.h. */
#include "match/feed.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

int cm_feed_make(struct cm_feed *f, struct cm_reader *r)
{
    const struct cm_head *h = cm_reader_head(r);
    *f = (struct cm_feed){.r = r};
    if (h->nslots != 1)
        return cm_fail(CM_EINPUT, "%s: expected a stream of one slot, found %zu", cm_reader_path(r),
                       h->nslots);
    f->cols = h->slot[0].cols.names.n;
    f->nlabels = h->nlabels;
    f->label = CM_ZNEW(f->nlabels, struct cm_vec);
    return 0;
}

static void start_portion(struct cm_feed *f)
{
    const struct cm_head *h = cm_reader_head(f->r);
    f->first += f->rows;
    f->rows = 0;
    cm_strs_clear(&f->names);
    for (size_t l = 0; l < f->nlabels; l++)
        cm_vec_reset(&f->label[l], h->label[l].name, h->label[l].type, 0);
    CM_GROW(f->ptr, f->ptr_cap, 1);
    f->ptr[0] = 0;
}

/* Moves up to n rows from the chunk to the portion. */
static void eat(struct cm_feed *f, size_t n)
{
    const struct cm_slot *slot = &cm_reader_head(f->r)->slot[0];
    struct cm_block *b = &f->in.block[0];
    const float *v = cm_block_f32(b, slot);
    size_t from = f->at, to = f->at + n;
    uint64_t *at = CM_NEW(n, uint64_t);
    for (size_t i = from; i < to; i++) {
        at[i - from] = i;
        cm_strs_add(&f->names, cm_strs_get(&f->in.names, i));
    }
    for (size_t l = 0; l < f->nlabels; l++) {
        struct cm_vec some = {0};
        cm_vec_take(&some, &f->in.label[l], at, n);
        cm_vec_append(&f->label[l], &some);
        cm_vec_free(&some);
    }
    cm_free(at);
    if (slot->dense) {
        CM_GROW(f->val, f->val_cap, (f->rows + n) * f->cols);
        if (n > 0 && f->cols > 0)
            memcpy(f->val + f->rows * f->cols, v + from * f->cols, n * f->cols * sizeof *v);
    } else {
        uint64_t have = f->ptr[f->rows], more = b->ptr[to] - b->ptr[from];
        CM_GROW(f->ptr, f->ptr_cap, f->rows + n + 1);
        CM_GROW(f->idx, f->idx_cap, have + more);
        CM_GROW(f->val, f->val_cap, have + more);
        for (size_t i = 0; i < n; i++)
            f->ptr[f->rows + i + 1] = have + b->ptr[from + i + 1] - b->ptr[from];
        if (more) {
            memcpy(f->idx + have, b->idx + b->ptr[from], more * sizeof *f->idx);
            memcpy(f->val + have, v + b->ptr[from], more * sizeof *f->val);
        }
    }
    f->rows += n;
    f->at = to;
}

void cm_feed_keep_cells(struct cm_feed *f)
{
    const struct cm_head *h = cm_reader_head(f->r);
    f->keeps = true;
    f->all_label = CM_ZNEW(f->nlabels, struct cm_vec);
    for (size_t l = 0; l < f->nlabels; l++)
        cm_vec_reset(&f->all_label[l], h->label[l].name, h->label[l].type, 0);
}

void cm_feed_recall(struct cm_feed *f)
{
    CM_ASSERT(f->keeps && f->at == f->in.rows);
    f->recalls = true;
    f->first = 0;
    f->rows = 0;
}

static void keep_portion(struct cm_feed *f)
{
    for (size_t i = 0; i < f->rows; i++)
        cm_strs_add(&f->all_names, cm_strs_get(&f->names, i));
    for (size_t l = 0; l < f->nlabels; l++)
        cm_vec_append(&f->all_label[l], &f->label[l]);
    f->kept += f->rows;
}

static int recall_portion(struct cm_feed *f, size_t rows)
{
    uint64_t left = f->kept - f->first;
    f->rows = left < rows ? (size_t)left : rows;
    uint64_t *at = CM_NEW(f->rows, uint64_t);
    CM_GROW(f->ptr, f->ptr_cap, f->rows + 1);
    for (size_t i = 0; i < f->rows; i++) {
        at[i] = f->first + i;
        f->ptr[i + 1] = 0;
        cm_strs_add(&f->names, cm_strs_get(&f->all_names, f->first + i));
    }
    for (size_t l = 0; l < f->nlabels; l++)
        cm_vec_take(&f->label[l], &f->all_label[l], at, f->rows);
    cm_free(at);
    return f->rows > 0;
}

static int read_portion(struct cm_feed *f, size_t rows);

int cm_feed_next(struct cm_feed *f, size_t rows)
{
    start_portion(f);
    if (f->recalls)
        return recall_portion(f, rows);
    int more = read_portion(f, rows);
    if (more > 0 && f->keeps)
        keep_portion(f);
    return more;
}

static int read_portion(struct cm_feed *f, size_t rows)
{
    while (f->rows < rows) {
        if (f->at == f->in.rows) {
            int code = cm_reader_next(f->r, &f->in);
            f->at = 0;
            if (code <= 0)
                f->in.rows = 0;
            if (code < 0)
                return code;
            if (code == 0)
                return f->rows > 0;
        }
        size_t left = f->in.rows - f->at;
        eat(f, left < rows - f->rows ? left : rows - f->rows);
    }
    return 1;
}

int cm_feed_rewind(struct cm_feed *f)
{
    f->first = 0;
    f->rows = f->at = f->in.rows = 0;
    return cm_reader_rewind(f->r);
}

struct cm_rows cm_feed_rows(struct cm_feed *f)
{
    return (struct cm_rows){f->rows, f->ptr, f->idx, f->val};
}

struct cm_chunk cm_feed_chunk(struct cm_feed *f, const struct cm_rows *rows, size_t cols)
{
    CM_ASSERT(rows->n == f->rows);
    struct cm_chunk c = {.first = f->first,
                         .rows = f->rows,
                         .names = f->names,
                         .label = f->label,
                         .nlabels = f->nlabels};
    c.block[0] = (struct cm_block){.rows = rows->n,
                                   .cols = cols,
                                   .borrowed = true,
                                   .nnz = rows->ptr[rows->n],
                                   .ptr = rows->ptr,
                                   .idx = rows->idx,
                                   .type = CM_V_F32,
                                   .raw = rows->val};
    return c;
}

void cm_feed_free(struct cm_feed *f)
{
    cm_chunk_free(&f->in);
    cm_strs_free(&f->names);
    for (size_t l = 0; l < f->nlabels; l++)
        cm_vec_free(&f->label[l]);
    cm_free(f->label);
    cm_strs_free(&f->all_names);
    for (size_t l = 0; f->all_label && l < f->nlabels; l++)
        cm_vec_free(&f->all_label[l]);
    cm_free(f->all_label);
    cm_free(f->ptr);
    cm_free(f->idx);
    cm_free(f->val);
    *f = (struct cm_feed){0};
}
