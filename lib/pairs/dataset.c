/* pairs/dataset.c - reading the data pass.
 *
 * Any script may have written the stream, so assumptions are checked: the order (training before
 * validation, blocks before picks), the row counts of the head, finite values.  Dense slots
 * (proteins, an SVD) become CSR of their non-zero entries, the one form of matrix that is fitted.
 */
#include "pairs/dataset.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "match/groups.h"

/* ===== spooled entries ==================================================================== */

/* Room for n entries of a slot in the files. */
static int reserve(struct cm_train_part *p, size_t s, bool counts, size_t n)
{
    struct cm_spool *file = p->file[s];
    for (size_t k = 0; k < (counts ? 3U : 2U); k++) {
        int code = cm_spool_reserve(&file[k], 4 * n);
        if (code)
            return code;
    }
    p->x[s].idx = file[0].p;
    p->x[s].val = file[1].p;
    p->x[s].capacity = cm_size_min(file[0].bytes, file[1].bytes) / 4;
    if (counts) {
        p->count[s] = file[2].p;
        p->count_cap[s] = file[2].bytes / 4;
    }
    return 0;
}

/* Closes the files; arrays that are in memory yet stay. */
static void forget(struct cm_train_part *p, size_t s)
{
    if (p->file[s][0].p == p->x[s].idx)
        p->x[s].capacity = 0;
    if (p->file[s][2].p == p->count[s])
        p->count[s] = NULL;
    for (size_t k = 0; k < 3; k++)
        cm_spool_close(&p->file[s][k]);
}

static void move(void *to, void *from, size_t n)
{
    if (n)
        memcpy(to, from, 4 * n);
    cm_free(from);
}

int cm_train_data_spool(struct cm_train_data *d)
{
    if (d->spooled)
        return 0;
    for (size_t k = 0; k < 4; k++) {
        struct cm_train_part *p = &d->part[k / 2];
        size_t s = k % 2, n = p->x[s].ptr[p->x[s].rows];
        uint32_t *idx = p->x[s].idx;
        float *val = p->x[s].val, *count = p->count[s];
        int code = reserve(p, s, count != NULL, n + 1);
        d->spooled = true;
        if (code)
            return code;
        move(p->x[s].idx, idx, n);
        move(p->x[s].val, val, n);
        if (count)
            move(p->count[s], count, n);
    }
    return 0;
}

/* ===== reading ============================================================================ */

static int append_block(struct cm_csr *m, struct cm_block *b, const struct cm_slot *slot,
                        const struct cm_strs *names)
{
    const float *v = cm_block_f32(b, slot);
    for (size_t i = 0; i < b->rows; i++) {
        uint64_t from = b->dense ? i * b->cols : b->ptr[i],
                 to = b->dense ? from + b->cols : b->ptr[i + 1];
        for (uint64_t e = from; e < to; e++)
            if (!isfinite(v[e]))
                return cm_fail(CM_EINPUT, "cell '%s', slot %s, column '%s': value %g is not finite",
                               cm_strs_get(names, i), slot->name,
                               cm_strs_get(&slot->cols.names, b->dense ? e - from : b->idx[e]),
                               (double)v[e]);
    }
    if (b->dense)
        cm_csr_append_dense(m, b->rows, v, b->cols);
    else
        cm_csr_append(m, b->rows, b->ptr, b->idx, v);
    return 0;
}

static int append_counts(struct cm_train_part *p, size_t s, const struct cm_block *b,
                         const struct cm_slot *slot, const struct cm_strs *names)
{
    uint64_t have = p->x[s].ptr[p->x[s].rows] - b->nnz; /* the block was appended */
    CM_GROW(p->count[s], p->count_cap[s], have + b->nnz + 1);
    for (size_t i = 0; i < b->rows; i++)
        for (uint64_t e = b->ptr[i]; e < b->ptr[i + 1]; e++) {
            double x = cm_block_x(b, e);
            if (!(x >= 0 && isfinite(x)))
                return cm_fail(CM_EINPUT, "cell '%s', slot %s, column '%s': %g is no count",
                               cm_strs_get(names, i), slot->name,
                               cm_strs_get(&slot->cols.names, b->idx[e]), x);
            p->count[s][have + e] = (float)x;
        }
    return 0;
}

static int append_chunk(struct cm_train_data *d, struct cm_reader *r, struct cm_chunk *c,
                        int within, bool counts)
{
    const struct cm_head *h = cm_reader_head(r);
    struct cm_train_part *p = &d->part[c->batch.split];
    for (size_t s = 0; s < 2; s++) {
        const struct cm_block *b = &c->block[s];
        uint64_t more = b->dense ? (uint64_t)b->rows * b->cols : b->nnz;
        int code = d->spooled ? reserve(p, s, counts, p->x[s].ptr[p->x[s].rows] + more + 1) : 0;
        if (code < 0)
            return code;
        code = append_block(&p->x[s], &c->block[s], &h->slot[s], &c->names);
        if (!code && counts)
            code = append_counts(p, s, &c->block[s], &h->slot[s], &c->names);
        if (code < 0)
            return cm_fail_in(code, cm_reader_path(r));
    }
    if (within >= 0) {
        struct cm_strs text = {0}; /* a missing label is a batch of its own, "" */
        cm_vec_text(&c->label[within], &h->label[within].dict, &text);
        CM_GROW(p->group, p->group_cap, p->names.n + c->rows);
        for (size_t i = 0; i < c->rows; i++)
            p->group[p->names.n + i] = cm_dict_code(&d->group_names, cm_strs_get(&text, i));
        cm_strs_free(&text);
    }
    for (size_t i = 0; i < c->rows; i++)
        cm_strs_add(&p->names, cm_strs_get(&c->names, i));
    return 0;
}

static int check_rows(const struct cm_train_data *d, const char *key, size_t found,
                      const char *path)
{
    int64_t expected;
    if (!cm_kv_get(&d->head.kv, key))
        return 0;
    int code = cm_kv_i64(&d->head.kv, key, &expected);
    if (code < 0)
        return cm_fail_in(code, path);
    if (expected != (int64_t)found)
        return cm_fail(CM_EINPUT, "%s: the head says %s %lld, the data pass has %zu", path, key,
                       (long long)expected, found);
    return 0;
}

static int check_parts(const struct cm_train_data *d, const char *path)
{
    int code = check_rows(d, "train_rows", d->part[0].names.n, path);
    return code ? code : check_rows(d, "valid_rows", d->part[1].names.n, path);
}

static int append_pick(struct cm_train_data *d, const struct cm_chunk *c, const char *path)
{
    struct cm_picks *p = &d->picks;
    size_t n = p->n ? p->begin[p->n] : 0, rows = c->batch.rows;
    if (rows == 0)
        return cm_fail(CM_EINPUT, "%s: the mini-batch of step %llu is empty", path,
                       (unsigned long long)c->batch.step);
    if (p->n && c->batch.step <= p->step[p->n - 1])
        return cm_fail(CM_EINPUT, "%s: the mini-batch of step %llu comes behind that of step %llu",
                       path, (unsigned long long)c->batch.step,
                       (unsigned long long)p->step[p->n - 1]);
    CM_GROW(p->begin, p->begin_cap, p->n + 2);
    CM_GROW(p->step, p->step_cap, p->n + 1);
    CM_GROW(p->epoch, p->epoch_cap, p->n + 1);
    CM_GROW(p->row, p->row_cap, n + rows);
    for (size_t i = 0; i < rows; i++) {
        if (c->pick[i] >= d->part[0].names.n || c->pick[i] > UINT32_MAX)
            return cm_fail(CM_EINPUT, "%s: the mini-batch of step %llu names row %llu of %zu", path,
                           (unsigned long long)c->batch.step, (unsigned long long)c->pick[i],
                           d->part[0].names.n);
        p->row[n + i] = (uint32_t)c->pick[i];
    }
    p->begin[p->n] = n;
    p->begin[p->n + 1] = n + rows;
    p->step[p->n] = c->batch.step;
    p->epoch[p->n++] = c->batch.epoch;
    return 0;
}

static int check_head(const struct cm_train_data *d, bool counts, const char *path)
{
    if (d->head.kind != CM_PAIRS || d->head.nslots != 2)
        return cm_fail(CM_EINPUT, "%s: expected kind pairs with two slots, found kind %s with %zu",
                       path, cm_kind_name(d->head.kind), d->head.nslots);
    for (size_t s = 0; s < 2; s++) {
        int code = cm_cols_unique(&d->head.slot[s].cols, path);
        if (code)
            return code;
    }
    for (size_t s = 0; counts && s < 2; s++) {
        const struct cm_slot *slot = &d->head.slot[s];
        if (slot->dense || (slot->lazy == CM_LAZY_NO && slot->state != CM_S_COUNTS))
            return cm_fail(CM_EINPUT,
                           "%s: slot %s (state %s) carries no counts: expected sparse counts, or "
                           "values that lognorm or tfidf left lazy (without --materialize)",
                           path, slot->name, cm_state_name(slot->state));
    }
    return 0;
}

/* Rows of the data pass as the head has them, 0: it does not say. */
static uint64_t rows_expected(const struct cm_kv *kv)
{
    static const char *const keys[] = {"train_rows", "valid_rows"};
    uint64_t total = 0;
    for (size_t p = 0; p < 2; p++) {
        int64_t rows;
        if (cm_kv_get(kv, keys[p]) && !cm_kv_i64(kv, keys[p], &rows))
            total += rows > 0 ? (uint64_t)rows : 0;
    }
    return total;
}

/* What a load needs beside the data. */
struct load {
    struct cm_reader *r;
    int label; /* of the batches, or -1 */
    bool counts, schedule;
    uint64_t total, max; /* max: bytes, 0 = no limit */
    void (*progress)(uint64_t done, uint64_t total);
};

static int take_chunk(struct cm_train_data *d, struct load *l, struct cm_chunk *c)
{
    const char *path = cm_reader_path(l->r);
    int code = 0;
    if (c->is_pick || c->batch.epoch > 0) {
        if (!l->schedule)
            code = check_parts(d, path);
        l->schedule = true;
        d->blocks = d->blocks || !c->is_pick;
        return !code && c->is_pick ? append_pick(d, c, path) : code;
    }
    if (l->schedule || c->batch.split > 1 || (c->batch.split == 0 && d->part[1].names.n))
        return cm_fail(CM_EINPUT,
                       "%s: cells out of order: training cells come first, then validation "
                       "cells, then the schedule",
                       path);
    code = append_chunk(d, l->r, c, l->label, l->counts);
    if (!code && l->max && cm_train_data_entries(d) > l->max)
        code = cm_train_data_spool(d);
    if (!code && l->progress)
        l->progress(d->part[0].names.n + d->part[1].names.n, l->total);
    return code;
}

static int load(struct cm_reader *r, struct cm_train_data *d, uint64_t max,
                void (*progress)(uint64_t done, uint64_t total), bool counts)
{
    const char *path = cm_reader_path(r);
    memset(d, 0, sizeof *d);
    cm_head_copy(&d->head, cm_reader_head(r));
    int code = check_head(d, counts, path);
    if (code)
        return code;
    for (size_t p = 0; p < 2; p++)
        for (size_t s = 0; s < 2; s++)
            d->part[p].x[s] = cm_csr_make(d->head.slot[s].cols.names.n);
    const char *within = cm_kv_get(&d->head.kv, "batch.within");
    struct load l = {.r = r,
                     .label = within ? cm_head_find_label(&d->head, within) : -1,
                     .counts = counts,
                     .max = max,
                     .total = rows_expected(&d->head.kv),
                     .progress = progress};
    if (within && l.label < 0)
        return cm_fail(CM_EINPUT, "%s: batch.within names the label '%s', which is not there", path,
                       within);
    struct cm_chunk c = {0};
    while ((code = cm_reader_next(r, &c)) > 0)
        if ((code = take_chunk(d, &l, &c)) < 0)
            break;
    cm_chunk_free(&c);
    if (!code)
        code = check_parts(d, path);
    if (!code && d->part[0].names.n == 0)
        code = cm_fail(CM_EINPUT, "%s: there are no training cells", path);
    if (code < 0)
        return code;
    cm_head_copy(&d->head, cm_reader_head(r));
    d->groups = d->group_names.names.n;
    return 0;
}

int cm_train_data_load(struct cm_reader *r, struct cm_train_data *d, uint64_t max,
                       void (*progress)(uint64_t done, uint64_t total))
{
    return load(r, d, max, progress, false);
}

int cm_train_data_load_counts(struct cm_reader *r, struct cm_train_data *d, uint64_t max,
                              void (*progress)(uint64_t done, uint64_t total))
{
    return load(r, d, max, progress, true);
}

size_t cm_picks_largest(const struct cm_picks *p)
{
    size_t max = 0;
    for (size_t i = 0; i < p->n; i++)
        max = p->begin[i + 1] - p->begin[i] > max ? p->begin[i + 1] - p->begin[i] : max;
    return max;
}

uint64_t cm_train_data_entries(const struct cm_train_data *d)
{
    uint64_t sum = 0;
    for (size_t p = 0; p < 2; p++)
        for (size_t s = 0; s < 2; s++)
            sum += (d->part[p].count[s] ? 12 : 8) *
                   (uint64_t)d->part[p].x[s].ptr[d->part[p].x[s].rows];
    return sum;
}

uint64_t cm_train_data_bytes(const struct cm_train_data *d)
{
    uint64_t sum = cm_train_data_entries(d);
    if (d->spooled)
        sum = cm_size_min(sum, 2 * CM_SPOOL_WINDOW);
    for (size_t p = 0; p < 2; p++) {
        sum += d->part[p].names.used + 8 * d->part[p].names.n;
        for (size_t s = 0; s < 2; s++)
            sum += 8 * (d->part[p].x[s].rows + 1);
    }
    if (d->picks.n)
        sum += 20 * d->picks.n + 4 * d->picks.begin[d->picks.n];
    return sum;
}

void cm_train_data_free(struct cm_train_data *d)
{
    for (size_t p = 0; p < 2; p++) {
        for (size_t s = 0; s < 2; s++) {
            if (d->spooled)
                forget(&d->part[p], s);
            cm_csr_free(&d->part[p].x[s]);
            cm_free(d->part[p].count[s]);
        }
        cm_strs_free(&d->part[p].names);
        cm_free(d->part[p].group);
    }
    cm_free(d->picks.begin);
    cm_free(d->picks.step);
    cm_free(d->picks.epoch);
    cm_free(d->picks.row);
    cm_dict_free(&d->group_names);
    cm_head_free(&d->head);
    memset(d, 0, sizeof *d);
}
