/* prep/normfit.c - fitting the constants of a normalisation; see norm.h. */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "prep/internal.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    if (n == 0)
        return 0;
    qsort(v, n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double geometric_mean(const double *v, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += log(v[k]);
    return n ? exp(sum / (double)n) : 0;
}

/* What a pass looks for. */
enum pass { PASS_CONSTANTS, PASS_HIGH, PASS_SECOND };

/* Small counts of a block: sum and number in one word a column, which halves the memory touched.
 * A block may have TALLY_ROWS rows before either half overflows. */
enum { TALLY_ROWS = 4095, TALLY_SHIFT = 20 };

static void tally(struct cm_norm *n, const struct cm_block *b, uint64_t from, uint64_t to)
{
    const uint8_t *x = b->raw;
    if (b->type == CM_V_ONE)
        for (uint64_t e = from; e < to; e++)
            n->tally[b->idx[e]] += 1u << TALLY_SHIFT | 1;
    else
        for (uint64_t e = from; e < to; e++)
            n->tally[b->idx[e]] += (uint32_t)(x[e] > 0) << TALLY_SHIFT | x[e];
}

static void tally_end(struct cm_norm *n)
{
    for (size_t j = 0; j < n->cols; j++) {
        n->sum[j] += n->tally[j] & ((1u << TALLY_SHIFT) - 1);
        n->seen[j] += n->tally[j] >> TALLY_SHIFT;
        n->tally[j] = 0;
    }
}

static void add_columns(struct cm_norm *n, const struct cm_norm_cell *cell)
{
    const struct cm_norm_method *m = n->method;
    for (size_t k = 0; k < cell->len; k++) {
        size_t j = cell->idx ? cell->idx[k] : k;
        n->sum[j] += m->logs ? log(cell->x[k] + m->shift) : cell->x[k];
        n->seen[j] += cell->x[k] > 0;
    }
}

static void mark_high(struct cm_norm *n, const struct cm_norm_cell *cell)
{
    double max = cm_norm_param(n) * cell->sum;
    for (size_t k = 0; k < cell->len; k++)
        if (cell->x[k] > max)
            n->use[cell->idx ? cell->idx[k] : k] = 0;
}

static void add_second(struct cm_norm *n, const struct cm_norm_cell *cell)
{
    double row = cm_norm_factor(n, cell), sum = 0;
    for (size_t k = 0; k < cell->len; k++)
        sum += cm_norm_f(n->method->f, row * cell->x[k]);
    n->sum_second += sum;
    n->n_second += sum > 0;
}

static int gather(struct cm_norm *n, const struct cm_head *h, const struct cm_chunk *c,
                  const struct cm_where *where, enum pass pass)
{
    const struct cm_block *b = &c->block[0];
    bool sizes = pass == PASS_CONSTANTS && cm_norm_wants_sizes(n);
    bool columns = pass == PASS_CONSTANTS && n->sum != NULL;
    bool small = columns && !n->method->logs && !n->binarize && !b->dense && b->type <= CM_V_U8 &&
                 c->rows <= TALLY_ROWS;
    if (small && !n->tally)
        n->tally = CM_ZNEW(n->cols, uint32_t);
    for (size_t i = 0; i < c->rows; i++) {
        if (where && !cm_where_row(where, h, c, i))
            continue;
        n->cells++;
        if (small)
            tally(n, b, b->ptr[i], b->ptr[i + 1]);
        if (small && !sizes)
            continue;
        struct cm_norm_cell cell;
        int code = cm_norm_row(n, h, c, i, &cell);
        if (code)
            return code;
        if (pass == PASS_HIGH)
            mark_high(n, &cell);
        if (pass == PASS_SECOND)
            add_second(n, &cell);
        if (columns && !small)
            add_columns(n, &cell);
        if (sizes && ((cell.sum > 0 && cell.size > 0) || n->median_all)) {
            CM_GROW(n->size, n->size_cap, n->nsize + 1);
            n->size[n->nsize++] = cell.size;
        }
    }
    if (small)
        tally_end(n);
    return 0;
}

void cm_norm_settle(struct cm_norm *n)
{
    const struct cm_norm_method *m = n->method;
    bool even = m->flat_even;
    for (size_t j = 1; even && j < n->cols; j++)
        even = n->seen[j] == n->seen[0];
    double cells = isnan(n->cells) ? 0 : n->cells;
    n->col = m->col ? CM_NEW(n->cols, double) : NULL;
    n->post = m->post || m->constant ? CM_NEW(n->cols, double) : NULL;
    n->unseen = n->excluded = 0;
    n->weightless = false;
    for (size_t j = 0; j < n->cols; j++) {
        double sum = n->sum ? n->sum[j] : 0, seen = n->seen ? n->seen[j] : 0;
        if (m->col)
            n->col[j] = even ? 1 : m->col(cells, sum, seen);
        if (m->post)
            n->post[j] = m->post(cells, sum, seen);
        if (m->constant)
            n->post[j] = m->constant(cm_norm_param(n));
        n->unseen += n->seen && seen == 0;
        n->weightless |= seen > 0 && ((n->col && n->col[j] == 0) || (n->post && n->post[j] == 0));
        n->excluded += n->use && n->use[j] == 0;
    }
}

/* One pass over the cells.  Our own failures get the stream's name; the reader's have it. */
static int pass_over(struct cm_norm *n, struct cm_reader *r, const struct cm_where *where,
                     enum pass pass)
{
    struct cm_chunk c = {0};
    uint64_t rows = 0;
    int code, ours = 0;
    n->cells = 0;
    while ((code = cm_reader_next(r, &c)) > 0 && !ours) {
        rows += c.rows;
        ours = gather(n, cm_reader_head(r), &c, where, pass);
    }
    cm_chunk_free(&c);
    if (ours)
        return cm_fail_in(ours, cm_reader_path(r));
    if (code < 0)
        return code;
    if (rows > 0 && n->cells == 0)
        return cm_fail(CM_EINPUT, "%s: none of %llu rows meets the condition on \"%s\"",
                       cm_reader_path(r), (unsigned long long)rows, where->label);
    return cm_reader_rewind(r);
}

static void settle_scale(struct cm_norm *n)
{
    double mean = n->nsize ? cm_norm_total(n->size, n->nsize) / (double)n->nsize : 0;
    switch (n->method->from) {
    case CM_SCALE_NONE:
        break;
    case CM_SCALE_FIXED:
        n->scale = isnan(n->scale) ? n->method->scale : n->scale;
        break;
    case CM_SCALE_MEDIAN:
        n->scale = isnan(n->scale) ? median(n->size, n->nsize) : n->scale;
        break;
    case CM_SCALE_MEAN:
        n->scale = mean;
        break;
    case CM_SCALE_GMEAN:
        n->scale = geometric_mean(n->size, n->nsize);
        break;
    }
}

/* A fit must have something to go by; a matrix that holds no counts at all is no mistake. */
static int check_fit(const struct cm_norm *n, const struct cm_reader *r,
                     const struct cm_where *where)
{
    size_t high = 0;
    bool sizes = n->nsize > 0, seen = n->seen && cm_norm_total(n->seen, n->cols) > 0;
    for (size_t j = 0; n->use && j < n->cols; j++)
        high += n->use[j] == 0;
    if (!(n->cells > 0)) /* NAN: no pass was made */
        return 0;
    if (n->use && cm_norm_wants_sizes(n) && !sizes && high)
        return cm_fail(
            CM_ENUMERIC,
            "%s: %zu of %zu columns are above %g of the counts of some cell, and no cell "
            "has counts in others: nothing is left to total (--max-fraction)",
            cm_reader_path(r), high, n->cols, cm_norm_param(n));
    if (where && (n->seen || cm_norm_wants_sizes(n)) && !seen && !sizes)
        return cm_fail(CM_ENUMERIC,
                       "%s: the %.0f cells that meet the condition on \"%s\" have no "
                       "counts: nothing to fit",
                       cm_reader_path(r), n->cells, where->label);
    return 0;
}

int cm_norm_fit(struct cm_norm *n, struct cm_reader *r, struct cm_where *where)
{
    const struct cm_head *h = cm_reader_head(r);
    const struct cm_norm_method *m = n->method;
    n->cols = h->slot[0].cols.names.n;
    n->cells = NAN;
    int code = n->label ? cm_norm_bind(n, h) : 0;
    if (!code && where)
        code = cm_where_bind(where, h);
    if (code)
        return cm_fail_in(code, cm_reader_path(r));
    if (m->low) {
        n->use = CM_NEW(n->cols, double);
        for (size_t j = 0; j < n->cols; j++)
            n->use[j] = 1;
        code = pass_over(n, r, where, PASS_HIGH);
    }
    if (m->fitted) {
        n->sum = CM_ZNEW(n->cols, double);
        n->seen = CM_ZNEW(n->cols, double);
    }
    if (!code && (m->fitted || cm_norm_wants_sizes(n)))
        code = pass_over(n, r, where, PASS_CONSTANTS);
    if (code)
        return code;
    code = check_fit(n, r, where);
    if (code)
        return code;
    n->measured = cm_norm_wants_sizes(n);
    settle_scale(n);
    if (n->measured && n->scale == 0 && n->nsize && n->size[n->nsize - 1] > 0)
        return cm_fail(CM_ENUMERIC, "%s: the median total is 0, because most cells have no counts",
                       cm_reader_path(r));
    if (m->second && !(code = pass_over(n, r, where, PASS_SECOND)))
        n->second = n->n_second > 0 ? n->sum_second / n->n_second : 0;
    cm_norm_settle(n);
    n->on_all = m->fitted && !where;
    double *done[] = {n->sum, n->seen, n->size};
    for (size_t k = 0; k < 3; k++)
        cm_free(done[k]);
    cm_free(n->tally);
    n->sum = n->seen = n->size = NULL;
    n->tally = NULL;
    return code;
}
