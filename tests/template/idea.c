/* prep/@name@.c - DECIDE: the formula in one line.  See prep/@name@.h. */
#include "prep/@name@.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* Adds row i of a block of counts to the sums. */
static void add_row(double *sum, const struct cm_block *b, size_t i)
{
    size_t from = b->dense ? i * b->cols : b->ptr[i];
    size_t n = b->dense ? b->cols : b->ptr[i + 1] - from;
    for (size_t k = 0; k < n; k++)
        sum[b->dense ? k : b->idx[from + k]] += cm_block_x(b, from + k);
}

int cm_@name@_fit(struct cm_@name@ *f, struct cm_reader *r, struct cm_where *where)
{
    const struct cm_head *h = cm_reader_head(r);
    int code = where ? cm_where_bind(where, h) : 0;
    if (code)
        return code;
    f->cols = h->slot[0].cols.names.n;
    f->mean = CM_ZNEW(f->cols, double);
    struct cm_chunk c = {0};
    uint64_t rows = 0;
    while ((code = cm_reader_next(r, &c)) > 0)
        for (size_t i = 0; i < c.rows; i++, rows++)
            if (!where || cm_where_row(where, h, &c, i)) {
                add_row(f->mean, &c.block[0], i);
                f->cells++;
            }
    cm_chunk_free(&c);
    if (!code && rows > 0 && f->cells == 0)
        return cm_fail(CM_EINPUT, "none of %" PRIu64 " rows meets the condition on \"%s\"", rows,
                       where->label);
    for (size_t j = 0; j < f->cols && f->cells; j++)
        f->mean[j] /= (double)f->cells;
    return code ? code : cm_reader_rewind(r);
}

static int load_means(struct cm_@name@ *f, const struct cm_slot *s, const struct cm_vec *mean,
                      const char *path, const struct cm_slot *in)
{
    struct cm_index x;
    int code = cm_cols_unique(&s->cols, path);
    cm_index_make(&x, &s->cols.names);
    for (size_t j = 0; j < f->cols && !code; j++) {
        const char *name = cm_strs_get(&in->cols.names, j);
        size_t at = cm_index_find(&x, name);
        if (at == CM_ABSENT)
            code = cm_fail(CM_EINPUT, "column \"%s\" of the input is missing in %s", name, path);
        else if (!isfinite(f->mean[j] = mean->f[at]))
            code = cm_fail(CM_EINPUT, "%s: column \"%s\" has no fitted value", path, name);
    }
    cm_index_free(&x);
    return code;
}

int cm_@name@_load(struct cm_@name@ *f, const struct cm_head *like, const char *path,
                   const struct cm_slot *in)
{
    int at = cm_head_find_slot(like, in->name);
    if (at < 0)
        return cm_fail(CM_EINPUT, "%s: no slot %s", path, in->name);
    const struct cm_slot *s = &like->slot[at];
    const char *tool = cm_kv_get(&s->fit, "fit.tool");
    const struct cm_vec *mean = cm_cols_find(&s->cols, "fit.mean");
    int64_t cells;
    if (!tool || strcmp(tool, "@tool@") || !mean || mean->type != CM_T_F64)
        return cm_fail(CM_EINPUT, "%s: slot %s carries no fit of @tool@", path, s->name);
    int code = cm_kv_i64(&s->fit, "fit.cells", &cells);
    if (code)
        return cm_fail_in(code, path);
    f->cells = (uint64_t)cells;
    f->cols = in->cols.names.n;
    f->mean = CM_ZNEW(f->cols, double);
    return load_means(f, s, mean, path, in);
}

void cm_@name@_save(const struct cm_@name@ *f, struct cm_slot *slot)
{
    cm_kv_drop(&slot->fit, "fit.");
    cm_kv_set(&slot->fit, "fit.tool", "@tool@");
    cm_kv_seti(&slot->fit, "fit.cells", (int64_t)f->cells);
    struct cm_vec *mean = cm_cols_vec(&slot->cols, "fit.mean", CM_T_F64);
    if (f->cols)
        memcpy(mean->f, f->mean, f->cols * sizeof *f->mean);
    /* DECIDE: the state that the values are in; see "Which state to claim" in
     * cellmatch-new-stage(7). */
    slot->state = CM_S_UNKNOWN;
    slot->lazy = CM_LAZY_NO;
}

void cm_@name@_apply(const struct cm_@name@ *f, struct cm_block *b, const struct cm_slot *in)
{
    float *v = cm_block_plain(b, in);
    for (uint64_t k = 0; k < b->nnz; k++) {
        double mean = f->mean[b->dense ? k % b->cols : b->idx[k]];
        v[k] = (float)(mean > 0 ? v[k] / mean : 0);
    }
}

void cm_@name@_free(struct cm_@name@ *f)
{
    cm_free(f->mean);
    *f = (struct cm_@name@){0};
}
