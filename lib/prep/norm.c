/* prep/norm.c - the rules, rows and fits of every normalisation; see norm.h.
 *
 * All passes work row by row: a row's counts are widened once into a small buffer of doubles (and
 * checked there: finite, not negative), then every formula is a loop over that buffer.  Counts of a
 * byte, which is nearly all of them, skip the buffer where totals are all that is asked for.  Sums
 * run in the order of the stream in double, and sums of whole numbers are exact in any order, so
 * results do not depend on threads or on how the stream was cut into chunks.  The work is serial on
 * purpose: it costs a nanosecond an entry, less than the decompression that feeds it.  Rejected:
 * summing in float (a peak's total exceeds 2^24 in large data), and kernels for each wire type of
 * each formula.
 */
#include "prep/norm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "prep/internal.h"

/* ===== the catalogue ====================================================================== */

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = words; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == n && !strncmp(at, word, n))
            return true;
    return false;
}

const struct cm_norm_method *cm_norm_find(const struct cm_norm_method *table, const char *name)
{
    for (const struct cm_norm_method *m = table; m->name; m++)
        if (!strcmp(m->name, name) || (*name && has_word(m->aliases, name)))
            return m;
    return NULL;
}

static const char *option_of_scale(const struct cm_norm *n)
{
    return n->table == cm_lognorm_methods ? "target" : "scale";
}

int cm_norm_check(const struct cm_norm *n)
{
    const struct cm_norm_method *m = n->method;
    if (!isnan(n->scale) && m->from != CM_SCALE_FIXED && m->from != CM_SCALE_MEDIAN)
        return cm_fail(CM_EUSAGE, "method %s has no --%s", m->name, option_of_scale(n));
    if (n->median_all && (m->from != CM_SCALE_MEDIAN || !isnan(n->scale)))
        return cm_fail(CM_EUSAGE, "--median-all is for a method whose target is the median");
    if (n->label && m->label == CM_LABEL_NEVER)
        return cm_fail(CM_EUSAGE, "method %s takes no --size-factors", m->name);
    if (!n->label && m->label == CM_LABEL_MUST)
        return cm_fail(CM_EUSAGE, "method %s needs --size-factors LABEL", m->name);
    if (n->param && (!m->param || strcmp(n->param, m->param) != 0))
        return cm_fail(CM_EUSAGE, "method %s has no --%s", m->name, n->param);
    if (n->sublinear && (m->f != CM_LAZY_IDENTITY || m->row != CM_ROW_ONE))
        return cm_fail(CM_EUSAGE, "method %s takes no --sublinear", m->name);
    return 0;
}

int cm_norm_accepts(const struct cm_head *h, bool binary)
{
    if (h->kind != CM_MATRIX || h->nslots != 1)
        return cm_fail(CM_EINPUT, "expected a matrix stream of one slot, found kind %s with %zu",
                       cm_kind_name(h->kind), h->nslots);
    const struct cm_slot *s = &h->slot[0];
    switch (s->state) {
    case CM_S_COUNTS:
        if (s->lazy == CM_LAZY_NO)
            return 0;
        return cm_fail(CM_EINPUT, "slot %s is called counts but carries factors", s->name);
    case CM_S_BINARY:
        if (binary && s->lazy == CM_LAZY_NO)
            return 0;
        return cm_fail(CM_EINPUT, "expected counts, found state binary");
    case CM_S_LOGNORM:
    case CM_S_SQRT:
    case CM_S_TFIDF:
    case CM_S_CLR:
    case CM_S_SCALED:
        return cm_fail(CM_EINPUT, "already normalised (state %s)", cm_state_name(s->state));
    case CM_S_UNKNOWN:
        return cm_fail(CM_EINPUT,
                       "expected counts, found state unknown, as h5-read says of fractions (counts "
                       "corrected to fractions, by SoupX say: h5-read --state counts, then "
                       "--fractional; counts in a layer: h5-read --layer NAME)");
    case CM_S_SVD:
    case CM_S_EMBEDDING:
    case CM_S_SIMILARITY:
    case CM_S_PROBABILITY:
        break;
    }
    return cm_fail(CM_EINPUT, "expected counts, found state %s", cm_state_name(s->state));
}

double cm_norm_param(const struct cm_norm *n)
{
    return n->param ? n->value : n->method->param ? n->method->def : 0;
}

enum cm_norm_unit cm_norm_unit(const struct cm_norm *n)
{
    enum cm_norm_unit own = n->method->norm ? n->method->norm : CM_UNIT_NONE;
    return n->norm ? n->norm : own;
}

bool cm_norm_lazy(const struct cm_norm *n)
{
    bool late = cm_norm_unit(n) != CM_UNIT_NONE || n->method->second;
    return !n->method->dense && !(late && n->method->f != CM_LAZY_IDENTITY);
}

/* Does the fit need the sizes of the cells? */
static bool wants_sizes(const struct cm_norm *n)
{
    enum cm_norm_scale from = n->method->from;
    return from == CM_SCALE_MEAN || from == CM_SCALE_GMEAN ||
           (from == CM_SCALE_MEDIAN && isnan(n->scale));
}

unsigned cm_norm_passes(const struct cm_norm *n)
{
    const struct cm_norm_method *m = n->method;
    return (m->fitted || wants_sizes(n)) + (unsigned)(m->low || m->second);
}

/* ===== one row ============================================================================ */

#define WIDEN(type)                                                                                \
    for (size_t k = 0; k < len; k++)                                                               \
    out[k] = (double)((const type *)b->raw)[from + k]

/* The counts of one row as doubles in n->row (0 or 1 if binarised). */
static int take_row(struct cm_norm *n, const struct cm_head *h, const struct cm_chunk *c, size_t i,
                    uint64_t from, size_t len)
{
    const struct cm_block *b = &c->block[0];
    CM_GROW(n->row, n->row_cap, len + 1);
    double *out = n->row;
    switch (b->type) {
    case CM_V_ONE:
        for (size_t k = 0; k < len; k++)
            out[k] = 1;
        break;
    case CM_V_U8:
        WIDEN(uint8_t);
        break;
    case CM_V_U16:
        WIDEN(uint16_t);
        break;
    case CM_V_U32:
        WIDEN(uint32_t);
        break;
    case CM_V_F32:
        WIDEN(float);
        break;
    case CM_V_F64:
        WIDEN(double);
        break;
    }
    if (b->type >= CM_V_F32)
        for (size_t k = 0; k < len; k++)
            if (!(out[k] >= 0 && out[k] <= 1e300))
                return cm_fail(CM_EINPUT, "row \"%s\", column \"%s\": expected a count, found %g",
                               cm_strs_get(&c->names, i),
                               cm_strs_get(&h->slot[0].cols.names, b->dense ? k : b->idx[from + k]),
                               out[k]);
    if (b->type >= CM_V_F32 && !n->fractional)
        for (size_t k = 0; k < len; k++)
            if (out[k] != floor(out[k]))
                return cm_fail(
                    CM_EINPUT,
                    "row \"%s\", column \"%s\": the state is counts, but %g is not a whole "
                    "number: normalised already? (--fractional takes fractions)",
                    cm_strs_get(&c->names, i),
                    cm_strs_get(&h->slot[0].cols.names, b->dense ? k : b->idx[from + k]), out[k]);
    if (n->binarize)
        for (size_t k = 0; k < len; k++)
            out[k] = out[k] > 0;
    return 0;
}

static double total(const double *x, size_t len)
{
    double sum = 0;
    for (size_t k = 0; k < len; k++)
        sum += x[k];
    return sum;
}

/* Is the row's total all that the method asks of its counts?  Then bytes need no widening. */
static bool totals_only(const struct cm_norm *n, const struct cm_block *b)
{
    const struct cm_norm_method *m = n->method;
    return b->type <= CM_V_U8 && !n->binarize && m->row == CM_ROW_SIZE && !n->use && !m->low &&
           !m->second && cm_norm_unit(n) == CM_UNIT_NONE;
}

static double byte_total(const struct cm_block *b, uint64_t from, size_t len)
{
    uint64_t sum = 0;
    if (b->type == CM_V_ONE)
        return (double)len;
    const uint8_t *x = (const uint8_t *)b->raw + from;
    for (size_t k = 0; k < len;) { /* pieces whose sum fits 32 bits, which vectors add faster */
        size_t stop = len - k < 4096 ? len : k + 4096;
        uint32_t part = 0;
        for (; k < stop; k++)
            part += x[k];
        sum += part;
    }
    return (double)sum;
}

int cm_norm_bind(struct cm_norm *n, const struct cm_head *h)
{
    n->label_at = cm_head_find_label(h, n->label);
    if (n->label_at < 0)
        return cm_fail_in(cm_head_no_label(h, n->label), "size factors");
    enum cm_type t = h->label[n->label_at].type;
    if (t != CM_T_F64 && t != CM_T_I64)
        return cm_fail(CM_EINPUT, "label \"%s\" is not numeric: no size factors", n->label);
    return 0;
}

/* The size factor of a cell. */
static int labelled_size(const struct cm_norm *n, const struct cm_chunk *c, size_t i, double *size)
{
    const struct cm_vec *v = &c->label[n->label_at];
    bool missing = v->type == CM_T_I64 && v->i[i] == CM_I64_MISSING;
    *size = v->type == CM_T_F64 ? v->f[i] : (double)v->i[i];
    if (missing || isnan(*size))
        return cm_fail(CM_EINPUT, "row \"%s\": size factor \"%s\" is missing",
                       cm_strs_get(&c->names, i), n->label);
    if (!(*size > 0 && isfinite(*size)))
        return cm_fail(CM_EINPUT, "row \"%s\": size factor \"%s\" must be above 0, found %g",
                       cm_strs_get(&c->names, i), n->label, *size);
    return 0;
}

/* Every count of the row must be above 0, the unstored ones too. */
static int check_positive(const struct cm_norm *n, const struct cm_head *h,
                          const struct cm_chunk *c, size_t i, const struct cm_norm_cell *cell)
{
    size_t j = 0;
    for (size_t k = 0; k < cell->len; k++)
        if (cell->x[k] > 0 && (cell->idx ? cell->idx[k] : k) == j)
            j++;
        else
            break;
    if (j == n->cols)
        return 0;
    return cm_fail(CM_EINPUT,
                   "row \"%s\", column \"%s\": expected a count above 0, found 0: its logarithm "
                   "does not exist (method stoeckius adds 1)",
                   cm_strs_get(&c->names, i), cm_strs_get(&h->slot[0].cols.names, j));
}

int cm_norm_row(struct cm_norm *n, const struct cm_head *h, const struct cm_chunk *c, size_t i,
                struct cm_norm_cell *out)
{
    const struct cm_block *b = &c->block[0];
    uint64_t from = b->dense ? (uint64_t)i * b->cols : b->ptr[i];
    size_t len = b->dense ? b->cols : (size_t)(b->ptr[i + 1] - from);
    *out = (struct cm_norm_cell){.idx = b->dense ? NULL : b->idx + from, .len = len};
    if (totals_only(n, b)) {
        out->sum = out->size = byte_total(b, from, len);
        return n->label ? labelled_size(n, c, i, &out->size) : 0;
    }
    int code = take_row(n, h, c, i, from, len);
    if (code)
        return code;
    out->x = n->row;
    out->sum = out->size = total(n->row, len);
    if (n->method->positive && (code = check_positive(n, h, c, i, out)))
        return code;
    if (n->label)
        return labelled_size(n, c, i, &out->size);
    if (n->use) {
        out->size = 0;
        for (size_t k = 0; k < len; k++)
            out->size += n->row[k] * n->use[out->idx ? out->idx[k] : k];
    }
    return 0;
}

double cm_norm_factor(const struct cm_norm *n, const struct cm_norm_cell *cell)
{
    const struct cm_norm_method *m = n->method;
    double s = m->from == CM_SCALE_NONE ? 1 : n->scale, sum = 0;
    if (cell->sum == 0 || cell->size == 0)
        return m->row == CM_ROW_GMEAN || m->dense ? 1 : 0;
    switch (m->row) {
    case CM_ROW_ONE:
        return 1;
    case CM_ROW_SIZE:
        return (m->gain ? m->gain(cm_norm_param(n)) : 1) * s / (cell->size + m->shift);
    case CM_ROW_SHARES:
        for (size_t k = 0; k < cell->len; k++)
            sum += cell->x[k] * n->col[cell->idx ? cell->idx[k] : k];
        return sum > 0 ? s / sum : 0;
    case CM_ROW_GMEAN:
        for (size_t k = 0; k < cell->len; k++)
            sum += log(cell->x[k] + m->shift);
        return n->cols ? exp(-sum / (double)(n->cols + n->missing)) : 1; /* ln(0 + shift) is 0 */
    }
    return 0;
}

double cm_norm_f(enum cm_lazy f, double t)
{
    return f == CM_LAZY_LOG1P ? log1p(t) : f == CM_LAZY_SQRT ? sqrt(t) : t;
}

/* ===== fitting ============================================================================ */

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
    bool sizes = pass == PASS_CONSTANTS && wants_sizes(n);
    bool columns = pass == PASS_CONSTANTS && n->sum != NULL;
    bool small = columns && !n->method->logs && !n->binarize && !b->dense && b->type <= CM_V_U8 &&
                 c->rows <= TALLY_ROWS;
    if (small && !n->tally)
        n->tally = CM_ZNEW(uint32_t, n->cols);
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
    n->col = m->col ? CM_NEW(double, n->cols) : NULL;
    n->post = m->post || m->constant ? CM_NEW(double, n->cols) : NULL;
    n->unseen = n->excluded = 0;
    for (size_t j = 0; j < n->cols; j++) {
        double sum = n->sum ? n->sum[j] : 0, seen = n->seen ? n->seen[j] : 0;
        if (m->col)
            n->col[j] = even ? 1 : m->col(cells, sum, seen);
        if (m->post)
            n->post[j] = m->post(cells, sum, seen);
        if (m->constant)
            n->post[j] = m->constant(cm_norm_param(n));
        n->unseen += n->seen && seen == 0;
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
    double mean = n->nsize ? total(n->size, n->nsize) / (double)n->nsize : 0;
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
    bool sizes = n->nsize > 0, seen = n->seen && total(n->seen, n->cols) > 0;
    for (size_t j = 0; n->use && j < n->cols; j++)
        high += n->use[j] == 0;
    if (!(n->cells > 0)) /* NAN: no pass was made */
        return 0;
    if (n->use && wants_sizes(n) && !sizes && high)
        return cm_fail(
            CM_ENUMERIC,
            "%s: %zu of %zu columns are above %g of the counts of some cell, and no cell "
            "has counts in others: nothing is left to total (--max-fraction)",
            cm_reader_path(r), high, n->cols, cm_norm_param(n));
    if (where && (n->seen || wants_sizes(n)) && !seen && !sizes)
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
        n->use = CM_NEW(double, n->cols);
        for (size_t j = 0; j < n->cols; j++)
            n->use[j] = 1;
        code = pass_over(n, r, where, PASS_HIGH);
    }
    if (m->fitted) {
        n->sum = CM_ZNEW(double, n->cols);
        n->seen = CM_ZNEW(double, n->cols);
    }
    if (!code && (m->fitted || wants_sizes(n)))
        code = pass_over(n, r, where, PASS_CONSTANTS);
    if (code)
        return code;
    code = check_fit(n, r, where);
    if (code)
        return code;
    n->measured = wants_sizes(n);
    settle_scale(n);
    if (n->measured && n->scale == 0 && n->nsize && n->size[n->nsize - 1] > 0)
        return cm_fail(CM_ENUMERIC, "%s: the median total is 0, because most cells have no counts",
                       cm_reader_path(r));
    if (m->second && !(code = pass_over(n, r, where, PASS_SECOND)))
        n->second = n->n_second > 0 ? n->sum_second / n->n_second : 0;
    cm_norm_settle(n);
    double *done[] = {n->sum, n->seen, n->size};
    for (size_t k = 0; k < 3; k++)
        cm_free(done[k]);
    cm_free(n->tally);
    n->sum = n->seen = n->size = NULL;
    n->tally = NULL;
    return code;
}

void cm_norm_free(struct cm_norm *n)
{
    double *all[] = {n->col, n->post, n->use, n->sum, n->seen, n->size, n->row};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        cm_free(all[k]);
    cm_free(n->own_label);
    cm_free(n->example);
    cm_free(n->tally);
    n->col = n->post = n->use = n->sum = n->seen = n->size = n->row = NULL;
    n->own_label = NULL;
    n->tally = NULL;
}
