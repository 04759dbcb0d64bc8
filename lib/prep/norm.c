/* prep/norm.c - fitting and applying the methods of the two catalogues; see norm.h.
 *
 * Both passes work row by row on doubles: a row's counts are widened once into a small buffer (and
 * checked there: finite, not negative), then every formula is a loop over that buffer.  Sums run in
 * the order of the stream in double, so results do not depend on threads or on how the stream was
 * cut into chunks.  The work is serial on purpose: it costs a nanosecond an entry, less than the
 * decompression that feeds it.  Rejected: summing in float (a peak's total exceeds 2^24 in large
 * data), and kernels for each wire type of each formula.
 */
#include "prep/norm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

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

int cm_norm_check(const struct cm_norm *n)
{
    const struct cm_norm_method *m = n->method;
    const char *scale = n->table == cm_tfidf_methods ? "scale" : "target";
    if (!isnan(n->scale) && (m->from == CM_SCALE_NONE || m->from == CM_SCALE_MEAN))
        return cm_fail(CM_EUSAGE, "method %s has no --%s", m->name, scale);
    if (n->median_all && (m->from != CM_SCALE_MEDIAN || !isnan(n->scale)))
        return cm_fail(CM_EUSAGE, "--median-all is for a method whose target is the median");
    if (n->label && m->label == CM_LABEL_NEVER)
        return cm_fail(CM_EUSAGE, "method %s takes no --size-factors", m->name);
    if (!n->label && m->label == CM_LABEL_MUST)
        return cm_fail(CM_EUSAGE, "method %s needs --size-factors LABEL", m->name);
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
        return cm_fail(CM_EINPUT, "expected counts, found state unknown (if these are counts, "
                                  "h5-read --state counts says so)");
    case CM_S_SVD:
    case CM_S_EMBEDDING:
    case CM_S_SIMILARITY:
    case CM_S_PROBABILITY:
        break;
    }
    return cm_fail(CM_EINPUT, "expected counts, found state %s", cm_state_name(s->state));
}

bool cm_norm_needs_pass(const struct cm_norm *n)
{
    const struct cm_norm_method *m = n->method;
    return m->fitted ||
           (isnan(n->scale) && (m->from == CM_SCALE_MEDIAN || m->from == CM_SCALE_MEAN));
}

/* ===== one row ============================================================================ */

#define WIDEN(type)                                                                                \
    for (size_t k = 0; k < len; k++)                                                               \
    out[k] = (double)((const type *)b->raw)[from + k]

/* The counts of one row as doubles in n->row (0 or 1 if binarised); its length, or CM_EINPUT. */
static int take_row(struct cm_norm *n, const struct cm_head *h, const struct cm_chunk *c, size_t i,
                    size_t *length)
{
    const struct cm_block *b = &c->block[0];
    uint64_t from = b->dense ? (uint64_t)i * b->cols : b->ptr[i];
    size_t len = b->dense ? b->cols : (size_t)(b->ptr[i + 1] - from);
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
    *length = len;
    if (b->type >= CM_V_F32)
        for (size_t k = 0; k < len; k++)
            if (!(out[k] >= 0 && out[k] <= 1e300))
                return cm_fail(CM_EINPUT, "row \"%s\", column \"%s\": expected a count, found %g",
                               cm_strs_get(&c->names, i),
                               cm_strs_get(&h->slot[0].cols.names, b->dense ? k : b->idx[from + k]),
                               out[k]);
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

static int bind_label(struct cm_norm *n, const struct cm_head *h)
{
    n->label_at = cm_head_find_label(h, n->label);
    if (n->label_at < 0)
        return cm_fail(CM_EINPUT, "no label \"%s\" with size factors", n->label);
    enum cm_type t = h->label[n->label_at].type;
    if (t != CM_T_F64 && t != CM_T_I64)
        return cm_fail(CM_EINPUT, "label \"%s\" is not numeric: no size factors", n->label);
    return 0;
}

/* The size of a cell: its factor where the method takes one, else its total. */
static int cell_size(const struct cm_norm *n, const struct cm_chunk *c, size_t i, double sum,
                     double *size)
{
    *size = sum;
    if (!n->label)
        return 0;
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

static int gather(struct cm_norm *n, const struct cm_head *h, const struct cm_chunk *c,
                  const struct cm_where *where)
{
    const struct cm_block *b = &c->block[0];
    bool sizes =
        isnan(n->scale) && (n->method->from == CM_SCALE_MEDIAN || n->method->from == CM_SCALE_MEAN);
    for (size_t i = 0; i < c->rows; i++) {
        if (where && !cm_where_row(where, h, c, i))
            continue;
        size_t len;
        int code = take_row(n, h, c, i, &len);
        if (code)
            return code;
        const uint32_t *idx = b->dense ? NULL : b->idx + b->ptr[i];
        if (n->sum)
            for (size_t k = 0; k < len; k++) {
                size_t j = idx ? idx[k] : k;
                n->sum[j] += n->row[k];
                n->seen[j] += n->row[k] > 0;
            }
        if (sizes) {
            double sum = total(n->row, len), size;
            if ((code = cell_size(n, c, i, sum, &size)))
                return code;
            if (sum > 0 || n->median_all) {
                CM_GROW(n->size, n->size_cap, n->nsize + 1);
                n->size[n->nsize++] = size;
            }
        }
        n->cells++;
    }
    return 0;
}

/* Column factors from N, C and d.  Each array is made only if the method has that factor. */
static void settle_columns(struct cm_norm *n)
{
    const struct cm_norm_method *m = n->method;
    bool even = m->flat_even;
    for (size_t j = 1; even && j < n->cols; j++)
        even = n->seen[j] == n->seen[0];
    double cells = isnan(n->cells) ? 0 : n->cells;
    n->col = m->col ? CM_NEW(double, n->cols) : NULL;
    n->post = m->post ? CM_NEW(double, n->cols) : NULL;
    n->unseen = 0;
    for (size_t j = 0; j < n->cols; j++) {
        double sum = n->sum ? n->sum[j] : 0, seen = n->seen ? n->seen[j] : 0;
        if (m->col)
            n->col[j] = even ? 1 : m->col(cells, sum, seen);
        if (m->post)
            n->post[j] = m->post(cells, sum, seen);
        n->unseen += n->seen && seen == 0;
    }
}

/* The pass over the cells.  Our own failures get the stream's name; the reader's have it. */
static int gather_all(struct cm_norm *n, struct cm_reader *r, const struct cm_where *where)
{
    struct cm_chunk c = {0};
    uint64_t rows = 0;
    int code, ours = 0;
    while ((code = cm_reader_next(r, &c)) > 0 && !ours) {
        rows += c.rows;
        ours = gather(n, cm_reader_head(r), &c, where);
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

int cm_norm_fit(struct cm_norm *n, struct cm_reader *r, struct cm_where *where)
{
    const struct cm_head *h = cm_reader_head(r);
    const struct cm_norm_method *m = n->method;
    n->cols = h->slot[0].cols.names.n;
    n->cells = NAN;
    int code = n->label ? bind_label(n, h) : 0;
    if (!code && where)
        code = cm_where_bind(where, h);
    if (code)
        return cm_fail_in(code, cm_reader_path(r));
    if (cm_norm_needs_pass(n)) {
        n->cells = 0;
        if (m->fitted) {
            n->sum = CM_ZNEW(double, n->cols);
            n->seen = CM_ZNEW(double, n->cols);
        }
        if ((code = gather_all(n, r, where)))
            return code;
    }
    settle_columns(n);
    if (m->from == CM_SCALE_FIXED && isnan(n->scale))
        n->scale = m->scale;
    else if (m->from == CM_SCALE_MEDIAN && isnan(n->scale))
        n->scale = median(n->size, n->nsize);
    else if (m->from == CM_SCALE_MEAN)
        n->scale = n->nsize ? total(n->size, n->nsize) / (double)n->nsize : 0;
    return 0;
}

/* ===== a fit in a slot ==================================================================== */

void cm_norm_save(const struct cm_norm *n, struct cm_slot *slot)
{
    const struct cm_norm_method *m = n->method;
    cm_kv_drop(&slot->fit, "fit.");
    cm_cols_drop(&slot->cols, "fit.col");
    cm_cols_drop(&slot->cols, "fit.post");
    cm_kv_set(&slot->fit, "fit.tool", n->tool);
    cm_kv_set(&slot->fit, "fit.method", m->name);
    if (m->from != CM_SCALE_NONE)
        cm_kv_setf(&slot->fit, "fit.scale", n->scale);
    if (!isnan(n->cells)) {
        if (m->from == CM_SCALE_MEDIAN)
            cm_kv_setf(&slot->fit, "fit.median", n->scale);
        if (m->from == CM_SCALE_MEAN)
            cm_kv_setf(&slot->fit, "fit.mean", n->scale);
        cm_kv_seti(&slot->fit, "fit.cells", (int64_t)n->cells);
    }
    if (n->binarize)
        cm_kv_seti(&slot->fit, "fit.binarize", 1);
    if (n->label)
        cm_kv_set(&slot->fit, "fit.label", n->label);
    if (n->col)
        memcpy(cm_cols_vec(&slot->cols, "fit.col", CM_T_F64)->f, n->col, n->cols * sizeof(double));
    if (n->post)
        memcpy(cm_cols_vec(&slot->cols, "fit.post", CM_T_F64)->f, n->post,
               n->cols * sizeof(double));
    slot->state = m->state;
    slot->lazy = m->f;
}

/* Position in `from` of each name of `to` (or CM_ABSENT), by name; equal lists match by position,
 * so that repeated names do no harm there.  Elsewhere a repeated name is an error, unless `what`
 * (the owner of `from` for the message) is NULL: only presence matters then. */
static int match_names(const struct cm_strs *to, const struct cm_strs *from, const char *what,
                       size_t *at)
{
    if (cm_strs_equal(to, from)) {
        for (size_t j = 0; j < to->n; j++)
            at[j] = j;
        return 0;
    }
    struct cm_index x;
    cm_index_make(&x, from);
    int code = 0;
    if (what && x.duplicate != CM_ABSENT)
        code = cm_fail(CM_EINPUT, "column \"%s\" occurs twice in %s: cannot match by name",
                       cm_strs_get(from, x.duplicate), what);
    for (size_t j = 0; !code && j < to->n; j++)
        at[j] = cm_index_find(&x, cm_strs_get(to, j));
    cm_index_free(&x);
    return code;
}

/* The fitted vector `name` in the order of the input, or NULL where the method has none. */
static int load_vector(const struct cm_slot *s, const char *name, const char *path,
                       const size_t *at, size_t cols, double **out)
{
    const struct cm_vec *v = cm_cols_find(&s->cols, name);
    if (!v || v->type != CM_T_F64)
        return cm_fail(CM_EINPUT, "%s: slot %s has lost its column vector %s", path, s->name, name);
    *out = CM_NEW(double, cols);
    for (size_t j = 0; j < cols; j++) {
        (*out)[j] = v->f[at[j]];
        if (!isfinite((*out)[j]))
            return cm_fail(CM_EINPUT, "%s: column \"%s\" has no fitted value", path,
                           cm_strs_get(&s->cols.names, at[j]));
    }
    return 0;
}

static int load_columns(struct cm_norm *n, const struct cm_slot *s, const char *path,
                        const struct cm_slot *in)
{
    const struct cm_strs *ours = &in->cols.names, *theirs = &s->cols.names;
    size_t *at = CM_NEW(size_t, ours->n + theirs->n), *back = at + ours->n;
    int code = match_names(theirs, ours, n->method->fitted ? "the input" : NULL, back);
    for (size_t j = 0; !code && j < theirs->n; j++)
        if (back[j] == CM_ABSENT)
            code = cm_fail(CM_EINPUT, "column \"%s\" of %s is missing in the input",
                           cm_strs_get(theirs, j), path);
    if (!code && n->method->fitted) {
        code = match_names(ours, theirs, path, at);
        for (size_t j = 0; !code && j < ours->n; j++)
            if (at[j] == CM_ABSENT)
                code = cm_fail(CM_EINPUT, "column \"%s\" of the input is missing in %s",
                               cm_strs_get(ours, j), path);
        if (!code && n->method->col)
            code = load_vector(s, "fit.col", path, at, ours->n, &n->col);
        if (!code && n->method->post)
            code = load_vector(s, "fit.post", path, at, ours->n, &n->post);
    } else if (!code) {
        settle_columns(n);
    }
    cm_free(at);
    return code;
}

int cm_norm_load(struct cm_norm *n, const struct cm_head *like, const char *path,
                 const struct cm_slot *in)
{
    int at = cm_head_find_slot(like, in->name);
    if (at < 0)
        return cm_fail(CM_EINPUT, "%s: no slot %s", path, in->name);
    const struct cm_slot *s = &like->slot[at];
    const char *tool = cm_kv_get(&s->fit, "fit.tool"), *name = cm_kv_get(&s->fit, "fit.method");
    if (!tool || !name)
        return cm_fail(CM_EINPUT, "%s: slot %s carries no fit of %s (state %s)", path, s->name,
                       n->tool, cm_state_name(s->state));
    if (strcmp(tool, n->tool))
        return cm_fail(CM_EINPUT, "%s: slot %s was fitted by %s, not by %s", path, s->name, tool,
                       n->tool);
    const struct cm_norm_method *m = cm_norm_find(n->table, name);
    if (!m)
        return cm_fail(CM_EINPUT, "%s: unknown method \"%s\" of %s", path, name, tool);
    if (n->method && n->method != m)
        return cm_fail(CM_EUSAGE, "--method %s contradicts %s, which was fitted with %s",
                       n->method->name, path, m->name);
    n->method = m;
    double scale = NAN;
    int code;
    if (m->from != CM_SCALE_NONE && (code = cm_kv_f64(&s->fit, "fit.scale", &scale)))
        return cm_fail_in(code, path);
    if (m->from != CM_SCALE_NONE && !(isfinite(scale) && scale >= 0))
        return cm_fail(CM_EINPUT, "%s: fit.scale is %g", path, scale);
    if (!isnan(n->scale) && m->from == CM_SCALE_NONE)
        return cm_fail(CM_EUSAGE, "%s was fitted with %s, which has no scale", path, m->name);
    if (!isnan(n->scale) && n->scale != scale)
        return cm_fail(CM_EUSAGE, "the scale %g contradicts %s, which was fitted with %g", n->scale,
                       path, scale);
    n->scale = scale;
    const char *binarize = cm_kv_get(&s->fit, "fit.binarize");
    if (n->binarize && !binarize)
        return cm_fail(CM_EUSAGE, "--binarize contradicts %s, which was fitted without", path);
    n->binarize = binarize != NULL;
    const char *label = cm_kv_get(&s->fit, "fit.label");
    if (n->label && (!label || strcmp(label, n->label)))
        return cm_fail(CM_EUSAGE, "--size-factors %s contradicts %s, which was fitted with %s",
                       n->label, path, label ? label : "none");
    if (label)
        n->label = n->own_label = cm_strdup(label);
    if (!label && m->label == CM_LABEL_MUST)
        return cm_fail(CM_EINPUT, "%s: key fit.label is missing", path);
    n->label_at = -1;
    n->cols = in->cols.names.n;
    n->cells = NAN;
    if (cm_kv_get(&s->fit, "fit.cells") && (code = cm_kv_f64(&s->fit, "fit.cells", &n->cells)))
        return cm_fail_in(code, path);
    return load_columns(n, s, path, in);
}

/* ===== applying =========================================================================== */

/* Counts become 0 and 1: stored zeros go, ones need no bytes. */
static void binarize(struct cm_block *b)
{
    struct cm_block one = {0};
    if (b->dense) {
        cm_block_shape(&one, true, b->rows, b->cols, 0, CM_V_F32);
        for (uint64_t e = 0; e < b->nnz; e++)
            ((float *)one.raw)[e] = cm_block_x(b, e) > 0;
    } else {
        cm_block_shape(&one, false, b->rows, b->cols, b->nnz, CM_V_ONE);
        uint64_t to = 0;
        for (size_t i = 0; i < b->rows; i++) {
            for (uint64_t e = b->ptr[i]; e < b->ptr[i + 1]; e++)
                if (cm_block_x(b, e) > 0)
                    one.idx[to++] = b->idx[e];
            one.ptr[i + 1] = to;
        }
        one.nnz = to;
    }
    cm_block_free(b);
    *b = one;
}

/* The row factor of a cell with counts x (len of them, columns idx, or 0.. if NULL). */
static double row_factor(const struct cm_norm *n, const double *x, const uint32_t *idx, size_t len,
                         double size)
{
    double s = n->method->from == CM_SCALE_NONE ? 1 : n->scale, sum = 0;
    enum cm_norm_row rule = n->method->row;
    if (rule == CM_ROW_ONE)
        return 1;
    if (rule == CM_ROW_SIZE)
        return s / (size + n->method->shift);
    for (size_t k = 0; k < len; k++) {
        double t = x[k] * (n->col ? n->col[idx ? idx[k] : k] : 1);
        sum += rule == CM_ROW_UNIT ? t * t : t;
    }
    if (sum == 0)
        return 0;
    return rule == CM_ROW_UNIT ? 1 / sqrt(sum) : s / sum;
}

int cm_norm_apply(struct cm_norm *n, const struct cm_head *h, struct cm_chunk *c)
{
    struct cm_block *b = &c->block[0];
    int code;
    if (n->label && n->label_at < 0 && (code = bind_label(n, h)))
        return code;
    float *factor = CM_NEW(float, c->rows);
    for (size_t i = 0; i < c->rows; i++) {
        size_t len;
        double size;
        if ((code = take_row(n, h, c, i, &len)) < 0)
            goto out;
        double sum = total(n->row, len);
        if ((code = cell_size(n, c, i, sum, &size)) < 0)
            goto out;
        const uint32_t *idx = b->dense ? NULL : b->idx + b->ptr[i];
        factor[i] = sum > 0 ? (float)row_factor(n, n->row, idx, len, size) : 0;
        if (!isfinite(factor[i])) {
            code = cm_fail(CM_EINPUT, "row \"%s\": a total of %g is too small to divide by",
                           cm_strs_get(&c->names, i), sum);
            goto out;
        }
        n->empty += sum == 0;
    }
    n->rows += c->rows;
    if (n->binarize)
        binarize(b);
    if (n->method->row != CM_ROW_ONE && c->rows)
        memcpy(cm_block_rowf(b), factor, c->rows * sizeof *factor);
    code = 0;
out:
    cm_free(factor);
    return code;
}

void cm_norm_free(struct cm_norm *n)
{
    cm_free(n->col);
    cm_free(n->post);
    cm_free(n->own_label);
    cm_free(n->sum);
    cm_free(n->seen);
    cm_free(n->size);
    cm_free(n->row);
    n->col = n->post = n->sum = n->seen = n->size = n->row = NULL;
    n->own_label = NULL;
}
