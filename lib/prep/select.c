/* prep/select.c - scores of features and the choice of the best; see select.h for the formulas.
 *
 * The bins of the dispersion are those of pandas.cut, which Scanpy calls: equal width between the
 * lowest and the highest ln(1 + m), closed on the right, the lowest edge moved down by a thousandth
 * of the range, so that the lowest feature is inside.
 */
#include "prep/select.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { BINS = 20 };

void cm_select_free(struct cm_select *s)
{
    cm_free(s->cells);
    cm_free(s->mean);
    cm_free(s->variance);
    cm_free(s->dispersion);
    cm_free(s->score);
    *s = (struct cm_select){0};
}

/* One entry of column j: Welford over the entries seen (their number is in `seen`). */
static void take(struct cm_select *s, uint64_t *seen, size_t j, double x)
{
    double step = x - s->mean[j];
    s->cells[j] += x != 0;
    s->mean[j] += step / (double)++seen[j];
    s->variance[j] += step * (x - s->mean[j]); /* the sum of squared deviations, for now */
}

int cm_select_fit(struct cm_select *s, struct cm_reader *r, struct cm_where *where)
{
    const struct cm_head *h = cm_reader_head(r);
    const struct cm_slot *slot = &h->slot[0];
    bool back = slot->state == CM_S_LOGNORM;
    struct cm_chunk c = {0};
    size_t d = slot->cols.names.n;
    *s = (struct cm_select){.cols = d};
    s->cells = CM_ZNEW(d + 1, uint64_t);
    s->mean = CM_ZNEW(d + 1, double);
    s->variance = CM_ZNEW(d + 1, double);
    s->dispersion = CM_ZNEW(d + 1, double);
    s->score = CM_ZNEW(d + 1, double);
    uint64_t *seen = CM_ZNEW(d + 1, uint64_t);
    int code = where ? cm_where_bind(where, h) : 0;
    while (!code && (code = cm_reader_next(r, &c)) > 0) {
        code = 0;
        if (c.is_tensor)
            continue;
        struct cm_block *b = &c.block[0];
        const double *v = cm_block_f64(b, slot);
        for (size_t i = 0; i < c.rows; i++) {
            if (where && !cm_where_row(where, h, &c, i))
                continue;
            s->rows++;
            uint64_t from = b->dense ? i * d : b->ptr[i], to = b->dense ? from + d : b->ptr[i + 1];
            for (uint64_t e = from; e < to; e++)
                take(s, seen, b->dense ? (size_t)(e - from) : b->idx[e], back ? expm1(v[e]) : v[e]);
        }
    }
    cm_chunk_free(&c);
    double n = (double)s->rows;
    for (size_t j = 0; j < d; j++) { /* the zeros, all at once */
        double k = (double)seen[j], zeros = n - k;
        if (zeros > 0) {
            s->variance[j] += s->mean[j] * s->mean[j] * k * zeros / n;
            s->mean[j] *= k / n;
        }
        s->variance[j] = n > 1 ? s->variance[j] / (n - 1) : 0;
    }
    cm_free(seen);
    return code ? code : cm_reader_rewind(r);
}

/* The bin of x between the edges, as pandas.cut has it. */
static size_t bin_of(const double edge[BINS + 1], double x)
{
    size_t k = 0;
    while (k + 1 < BINS && x > edge[k + 1])
        k++;
    return k;
}

static void score_dispersion(struct cm_select *s)
{
    double low = INFINITY, high = -INFINITY, edge[BINS + 1];
    double sum[BINS] = {0}, square[BINS] = {0}, count[BINS] = {0};
    for (size_t j = 0; j < s->cols; j++) {
        double x = log1p(s->mean[j] > 0 ? s->mean[j] : 1e-12);
        low = fmin(low, x);
        high = fmax(high, x);
        s->dispersion[j] =
            s->mean[j] > 0 && s->variance[j] > 0 ? log(s->variance[j]) - log(s->mean[j]) : NAN;
    }
    double wide = high - low;
    if (wide == 0) {
        low -= low != 0 ? .001 * fabs(low) : .001;
        high += high != 0 ? .001 * fabs(high) : .001;
        wide = 0;
    }
    for (size_t k = 0; k <= BINS; k++)
        edge[k] = low + (double)k * ((high - low) / BINS);
    edge[0] -= .001 * wide;
    for (int pass = 0; pass < 3; pass++)
        for (size_t j = 0; j < s->cols; j++) {
            double x = log1p(s->mean[j] > 0 ? s->mean[j] : 1e-12), v = s->dispersion[j];
            size_t k = bin_of(edge, x);
            if (isnan(v))
                s->score[j] = NAN;
            else if (pass == 0)
                sum[k] += v, count[k]++;
            else if (pass == 1)
                square[k] += (v - sum[k] / count[k]) * (v - sum[k] / count[k]);
            else if (count[k] == 1) /* alone: deviation itself, so 1 */
                s->score[j] = v / v;
            else
                s->score[j] = (v - sum[k] / count[k]) / sqrt(square[k] / (count[k] - 1));
        }
}

int cm_select_score(struct cm_select *s, enum cm_select_by by)
{
    if (!s->rows)
        return cm_fail(CM_EINPUT, "no cells to choose features by");
    bool any = !s->cols;
    for (size_t j = 0; j < s->cols; j++)
        any = any || s->cells[j];
    if (!any)
        return cm_fail(CM_ENUMERIC, "the %llu cells have no values: nothing to choose features by",
                       (unsigned long long)s->rows);
    if (by == CM_BY_DISPERSION)
        score_dispersion(s);
    else
        for (size_t j = 0; j < s->cols; j++)
            s->score[j] = by == CM_BY_CELLS ? (double)s->cells[j] : s->variance[j];
    return 0;
}

struct ranked {
    double score;
    uint64_t at;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static int by_place(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

size_t cm_select_top(const struct cm_select *s, size_t top, uint64_t min_cells, uint64_t *keep)
{
    struct ranked *r = CM_NEW(s->cols + 1, struct ranked);
    size_t n = 0;
    for (size_t j = 0; j < s->cols; j++)
        if (s->cells[j] >= min_cells)
            r[n++] = (struct ranked){isnan(s->score[j]) ? -INFINITY : s->score[j], j};
    if (top && top < n) {
        qsort(r, n, sizeof *r, by_score);
        n = top;
    }
    for (size_t k = 0; k < n; k++)
        keep[k] = r[k].at;
    qsort(keep, n, sizeof *keep, by_place);
    cm_free(r);
    return n;
}

int cm_select_like(const struct cm_cols *like, const char *path, const struct cm_cols *in,
                   uint64_t *keep)
{
    struct cm_index x;
    int code = cm_cols_unique(in, "the input");
    cm_index_make(&x, &in->names);
    for (size_t k = 0; k < like->names.n && !code; k++) {
        const char *name = cm_strs_get(&like->names, k);
        size_t at = cm_index_find(&x, name);
        keep[k] = at;
        if (at == CM_ABSENT)
            code = cm_fail(CM_EINPUT, "the input has no column \"%s\", which %s has", name, path);
    }
    cm_index_free(&x);
    return code;
}
