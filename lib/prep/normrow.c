/* prep/normrow.c - the rules and rows of every normalisation; see norm.h.
 *
 * All passes work row by row: a row's counts are widened once into a small buffer of doubles (and
 * checked there: finite, not negative), then every formula is a loop over that buffer.  Counts of a
 * byte, which is nearly all of them, skip the buffer where totals are all that is asked for.  Sums
 * run in the order of the stream in double, and sums of whole numbers are exact in any order, so
 * results do not depend on threads or on how the stream was cut into chunks.  The work is serial on
 * purpose: it costs a nanosecond an entry, less than the decompression that feeds it.
 */
#include "prep/norm.h"

#include <math.h>
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

bool cm_norm_wants_sizes(const struct cm_norm *n)
{
    enum cm_norm_scale from = n->method->from;
    return from == CM_SCALE_MEAN || from == CM_SCALE_GMEAN ||
           (from == CM_SCALE_MEDIAN && isnan(n->scale));
}

unsigned cm_norm_passes(const struct cm_norm *n)
{
    const struct cm_norm_method *m = n->method;
    return (m->fitted || cm_norm_wants_sizes(n)) + (unsigned)(m->low || m->second);
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

double cm_norm_total(const double *x, size_t len)
{
    double sum = 0;
    for (size_t k = 0; k < len; k++)
        sum += x[k];
    return sum;
}

/* Is the row's total all that the method asks of its counts?  Then bytes need no widening. */
static bool totals_only(const struct cm_norm *n)
{
    const struct cm_norm_method *m = n->method;
    return !n->binarize && m->row == CM_ROW_SIZE && !n->use && !m->low && !m->second &&
           cm_norm_unit(n) == CM_UNIT_NONE;
}

bool cm_norm_by_column(const struct cm_norm *n)
{
    return !n->on_all || n->weightless || n->sublinear || !cm_norm_lazy(n) || !totals_only(n);
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
    if (b->type <= CM_V_U8 && totals_only(n)) {
        out->sum = out->size = byte_total(b, from, len);
        return n->label ? labelled_size(n, c, i, &out->size) : 0;
    }
    int code = take_row(n, h, c, i, from, len);
    if (code)
        return code;
    out->x = n->row;
    out->sum = out->size = cm_norm_total(n->row, len);
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
