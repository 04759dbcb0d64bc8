/* prep/project.c - fitting, saving and applying the projection of prep/project.h.
 *
 * The fit needs all its cells in memory, but the projection does not: after the fit the cells are
 * read again, block by block, and only those of the fit were ever held.  A dense block becomes its
 * non-zero entries first, so that the same numbers give the same bits in either form.
 */
#include "prep/project.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "matrix/svd.h"

enum { ITERATIONS = 1000 };

/* ===== fitting ============================================================================ */

/* Appends row i of the chunk's block 0, whatever its form. */
static int append_row(struct cm_csr *x, const struct cm_chunk *c, const float *v, size_t i)
{
    const struct cm_block *b = &c->block[0];
    if (b->dense)
        cm_csr_append_dense(x, 1, v + i * b->cols, b->cols);
    else
        cm_csr_append(x, 1, b->ptr + i, b->idx, v);
    for (size_t e = x->ptr[x->rows - 1]; e < x->ptr[x->rows]; e++)
        if (!isfinite(x->val[e]))
            return cm_fail(CM_EINPUT, "row %llu (%s), column %u: expected a finite value",
                           (unsigned long long)(c->first + i + 1), cm_strs_get(&c->names, i),
                           x->idx[e] + 1);
    return 0;
}

static int gather(struct cm_reader *r, struct cm_where *where, struct cm_csr *x, uint64_t *rows)
{
    const struct cm_head *h = cm_reader_head(r);
    struct cm_chunk c = {0};
    int rc = 0, code = where ? cm_where_bind(where, h) : 0;
    while (!code && (rc = cm_reader_next(r, &c)) > 0) {
        if (c.is_tensor)
            continue;
        *rows += c.rows;
        const float *v = cm_block_f32(&c.block[0], &h->slot[0]);
        for (size_t i = 0; i < c.rows && !code; i++)
            if (!where || cm_where_row(where, h, &c, i))
                code = append_row(x, &c, v, i);
    }
    cm_chunk_free(&c);
    return code ? cm_fail_in(code, cm_reader_path(r)) : rc;
}

static void make_bias(struct cm_projection *p)
{
    if (!p->mean)
        return;
    p->bias = CM_NEW(p->fitted, float);
    cm_csr_bias(p->mean, p->v, p->cols, p->fitted, p->bias);
}

int cm_projection_fit(struct cm_projection *p, struct cm_reader *r, struct cm_where *where,
                      uint64_t seed, double tolerance)
{
    const struct cm_head *h = cm_reader_head(r);
    size_t need = p->k + p->drop_first;
    p->cols = h->slot[0].cols.names.n;
    struct cm_csr x = cm_csr_make(p->cols);
    uint64_t rows = 0;
    int code = gather(r, where, &x, &rows);
    if (!code && rows && (x.rows < need || x.cols < need))
        code = cm_fail(CM_EINPUT,
                       "%s: expected at least %zu cells and columns to fit %zu components, found "
                       "%zu cells and %zu columns",
                       cm_reader_path(r), need, need, x.rows, x.cols);
    if (!code && rows && !x.ptr[x.rows])
        code = cm_fail(CM_ENUMERIC, "%s: the %zu cells fitted on have no values: no components",
                       cm_reader_path(r), x.rows);
    if (!code && rows) {
        p->fitted = need;
        p->cells = x.rows;
        p->mean = p->centre ? CM_NEW(p->cols, float) : NULL;
        if (p->mean)
            cm_csr_column_means(&x, p->mean);
        size_t size;
        if (cm_mul(p->cols, need, &size))
            cm_panic(4, "out of memory: %zu loadings of %zu columns", need, p->cols);
        p->v = CM_NEW(size, float);
        p->s = CM_NEW(need, double);
        code = cm_svd_truncated(&x, p->mean, NULL, need, seed, tolerance, ITERATIONS, p->v, p->s,
                                &p->iterations);
        if (!code && p->iterations > ITERATIONS)
            code = cm_fail(CM_ENUMERIC, "the singular vectors did not settle in %d iterations",
                           ITERATIONS);
        if (!code)
            make_bias(p);
    }
    cm_csr_free(&x);
    return code ? code : cm_reader_rewind(r);
}

/* ===== carrying =========================================================================== */

void cm_projection_slot(const struct cm_projection *p, const struct cm_slot *in,
                        struct cm_slot *out)
{
    cm_slot_copy(out, in);
    out->dense = true;
    out->wide = false;
    out->state = CM_S_SVD;
    out->lazy = CM_LAZY_NO;
    cm_cols_free(&out->cols);
    cm_kv_drop(&out->fit, "");
    for (size_t e = 0; e < p->k; e++) {
        char name[32];
        snprintf(name, sizeof name, "PC%zu", e + 1 + p->drop_first);
        cm_strs_add(&out->cols.names, name);
    }
    if (!p->fitted)
        return;
    struct cm_vec *s = cm_cols_vec(&out->cols, "fit.s", CM_T_F64);
    for (size_t e = 0; e < p->k; e++)
        s->f[e] = p->s[e + p->drop_first];
    cm_kv_set(&out->fit, "fit.tool", "svd");
    cm_kv_seti(&out->fit, "fit.k", (int64_t)p->k);
    cm_kv_seti(&out->fit, "fit.cells", (int64_t)p->cells);
    cm_kv_seti(&out->fit, "fit.center", p->centre);
    cm_kv_seti(&out->fit, "fit.drop_first", p->drop_first);
    cm_kv_seti(&out->fit, "fit.zscore", p->zscore);
}

int cm_projection_save(const struct cm_projection *p, const struct cm_strs *names,
                       struct cm_writer *w)
{
    if (!p->fitted)
        return 0;
    struct cm_buf text = {0};
    for (size_t j = 0; j < names->n; j++) {
        const char *name = cm_strs_get(names, j);
        cm_buf_put(&text, name, strlen(name) + 1);
    }
    const uint64_t bytes[1] = {text.n}, shape[2] = {p->cols, p->fitted};
    int code = cm_writer_tensor(w, "svd.features", CM_V_U8, 1, bytes, text.p);
    cm_buf_free(&text);
    if (!code && p->mean)
        code = cm_writer_tensor(w, "svd.mean", CM_V_F32, 1, shape, p->mean);
    if (!code)
        code = cm_writer_tensor(w, "svd.s", CM_V_F64, 1, shape + 1, p->s);
    return code ? code : cm_writer_tensor(w, "svd.v", CM_V_F32, 2, shape, p->v);
}

/* NUL-terminated names, one behind the other. */
static int unpack_names(const struct cm_tensor *t, size_t n, struct cm_strs *names)
{
    const char *at = t->data, *end = at + t->n;
    for (; at < end; at += strlen(at) + 1) {
        if (!memchr(at, 0, (size_t)(end - at)))
            break;
        cm_strs_add(names, at);
    }
    if (at != end || names->n != n)
        return cm_fail(CM_EINPUT, "tensor svd.features: expected %zu names", n);
    return 0;
}

/* Loadings in the order of the input's columns. */
static int reorder(struct cm_projection *p, const struct cm_strs *have, const float *mean,
                   const float *v, const struct cm_strs *want, const char *path)
{
    struct cm_index at;
    cm_index_make(&at, have);
    int code = 0;
    if (at.duplicate != CM_ABSENT)
        code = cm_fail(CM_EINPUT, "%s: column \"%s\" was fitted twice", path,
                       cm_strs_get(have, at.duplicate));
    for (size_t j = 0; j < want->n && !code; j++) {
        size_t from = cm_index_find(&at, cm_strs_get(want, j));
        if (from == CM_ABSENT) {
            code =
                cm_fail(CM_EINPUT, "%s: no loadings of column \"%s\"", path, cm_strs_get(want, j));
            break;
        }
        memcpy(p->v + j * p->fitted, v + from * p->fitted, p->fitted * sizeof *v);
        if (mean)
            p->mean[j] = mean[from];
    }
    cm_index_free(&at);
    if (code)
        return code;
    cm_index_make(&at, want);
    if (at.duplicate != CM_ABSENT)
        code = cm_fail(CM_EINPUT,
                       "column \"%s\" is there twice (h5-read and mtx-read --make-unique tell such "
                       "features apart)",
                       cm_strs_get(want, at.duplicate));
    for (size_t j = 0; j < have->n && !code; j++)
        if (cm_index_find(&at, cm_strs_get(have, j)) == CM_ABSENT)
            code = cm_fail(CM_EINPUT, "column \"%s\" of %s is missing", cm_strs_get(have, j), path);
    cm_index_free(&at);
    return code;
}

static int flag(const struct cm_kv *kv, const char *key, bool *out)
{
    int64_t v = 0;
    int code = cm_kv_i64(kv, key, &v);
    *out = v != 0;
    return code;
}

static int take(struct cm_projection *p, const struct cm_tensors *ts, const struct cm_slot *fit,
                const struct cm_slot *in, const char *path)
{
    int64_t k = 0, cells = 0;
    int code = cm_kv_i64(&fit->fit, "fit.k", &k);
    code = code ? code : cm_kv_i64(&fit->fit, "fit.cells", &cells);
    code = code ? code : flag(&fit->fit, "fit.center", &p->centre);
    code = code ? code : flag(&fit->fit, "fit.drop_first", &p->drop_first);
    code = code ? code : flag(&fit->fit, "fit.zscore", &p->zscore);
    if (code)
        return code;
    if (k < 1 || k > UINT32_MAX || cells < 1)
        return cm_fail(CM_EINPUT, "fit.k is %lld, fit.cells %lld", (long long)k, (long long)cells);
    p->k = (size_t)k;
    p->cells = (uint64_t)cells;
    p->fitted = p->k + p->drop_first;
    p->cols = in->cols.names.n;
    const struct cm_tensor *v =
        cm_tensors_get(ts, "svd.v", CM_V_F32, 2, (uint64_t[]){0, p->fitted});
    if (!v)
        return CM_EINPUT;
    const struct cm_tensor *s = cm_tensors_get(ts, "svd.s", CM_V_F64, 1, &v->shape[1]);
    const struct cm_tensor *f = cm_tensors_get(ts, "svd.features", CM_V_U8, 1, (uint64_t[]){0});
    const struct cm_tensor *mean =
        p->centre ? cm_tensors_get(ts, "svd.mean", CM_V_F32, 1, v->shape) : NULL;
    if (!s || !f || (p->centre && !mean))
        return CM_EINPUT;
    struct cm_strs have = {0};
    code = unpack_names(f, (size_t)v->shape[0], &have);
    p->v = CM_NEW(p->cols * p->fitted, float);
    p->mean = mean ? CM_NEW(p->cols, float) : NULL;
    p->s = CM_NEW(p->fitted, double);
    memcpy(p->s, s->data, p->fitted * sizeof *p->s);
    if (!code)
        code = reorder(p, &have, mean ? mean->data : NULL, v->data, &in->cols.names, path);
    cm_strs_free(&have);
    if (!code)
        make_bias(p);
    return code;
}

int cm_projection_load(struct cm_projection *p, struct cm_reader *like, const struct cm_slot *in)
{
    const struct cm_head *h = cm_reader_head(like);
    const char *path = cm_reader_path(like);
    int at = cm_head_find_slot(h, in->name);
    if (at < 0)
        return cm_fail(CM_EINPUT, "%s: no slot %s", path, in->name);
    const char *tool = cm_kv_get(&h->slot[at].fit, "fit.tool");
    if (!tool || strcmp(tool, "svd"))
        return cm_fail(CM_EINPUT, "%s: slot %s carries no fit of svd (state %s)", path, in->name,
                       cm_state_name(h->slot[at].state));
    struct cm_tensors ts;
    int code = cm_tensors_load(like, &ts);
    if (code)
        return code;
    code = take(p, &ts, &h->slot[at], in, path);
    cm_tensors_free(&ts);
    return code;
}

/* ===== applying =========================================================================== */

int cm_projection_apply(struct cm_projection *p, const struct cm_slot *in, struct cm_chunk *c)
{
    struct cm_block *b = &c->block[0];
    CM_ASSERT(p->fitted && b->cols == p->cols);
    const float *v = cm_block_f32(b, in);
    size_t kk = p->fitted;
    if (!p->x.ptr)
        p->x = cm_csr_make(p->cols);
    p->x.rows = 0;
    for (size_t i = 0; i < c->rows; i++) {
        int code = append_row(&p->x, c, v, i);
        if (code)
            return code;
    }
    CM_GROW(p->y, p->y_cap, c->rows * kk + 1);
    cm_csr_times(&p->x, p->v, kk, p->bias, p->y, kk);
    cm_block_shape(b, true, c->rows, p->k, 0, CM_V_F32);
    float *out = b->raw;
    for (size_t i = 0; i < c->rows; i++) {
        float *y = p->y + i * kk;
        bool empty = p->x.ptr[i] == p->x.ptr[i + 1];
        p->empty += empty;
        if (empty)
            memset(y, 0, kk * sizeof *y);
        if (p->zscore && !empty) {
            double mean = 0, sum = 0;
            for (size_t e = 0; e < kk; e++)
                mean += (double)y[e] / (double)kk;
            for (size_t e = 0; e < kk; e++)
                sum += ((double)y[e] - mean) * ((double)y[e] - mean);
            double sd = kk > 1 ? sqrt(sum / (double)(kk - 1)) : 0;
            for (size_t e = 0; e < kk; e++)
                y[e] = sd > 0 ? (float)(((double)y[e] - mean) / sd) : 0;
        }
        memcpy(out + i * p->k, y + p->drop_first, p->k * sizeof *y);
    }
    p->rows += c->rows;
    return 0;
}

void cm_projection_free(struct cm_projection *p)
{
    cm_free(p->v);
    cm_free(p->mean);
    cm_free(p->bias);
    cm_free(p->s);
    cm_free(p->y);
    cm_csr_free(&p->x);
    memset(p, 0, sizeof *p);
}
