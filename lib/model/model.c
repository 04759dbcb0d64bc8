/* model/model.c - the model file, its checks, and the map from cells to embeddings.
 *
 * Reading trusts nothing: shapes must fit the column tables, indices their ranges, divisors must be
 * positive; a model is a file like any other.  Writing goes through one table of tensors a side, so
 * that the two cannot drift apart.
 */
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "links/apply.h"

#define NOWHERE UINT32_MAX

/* ===== writing ============================================================================ */

static int put(struct cm_writer *w, const char *front, const char *name, enum cm_value type,
               uint64_t rows, uint64_t cols, const void *data)
{
    char full[CM_MAX_NAME];
    uint64_t shape[2] = {rows, cols};
    snprintf(full, sizeof full, "%s.%s", front, name);
    return cm_writer_tensor(w, full, type, cols ? 2 : 1, shape, data);
}

static int put_links_side(struct cm_writer *w, const char *front, const struct cm_links_side *s,
                          size_t r)
{
    int code = put(w, front, "feature", CM_V_U32, s->n, 0, s->feature);
    if (!code)
        code = put(w, front, "h", CM_V_F32, s->n, r, s->h);
    if (!code)
        code = put(w, front, "off", CM_V_F32, s->n, 0, s->off);
    return code ? code : put(w, front, "sd", CM_V_F32, s->n, 0, s->sd);
}

static int put_links(struct cm_writer *w, const struct cm_links *c)
{
    uint32_t *gene = CM_NEW(uint32_t, c->n);
    for (size_t g = 0; g < c->gene.n; g++)
        for (uint64_t k = c->ptr[g]; k < c->ptr[g + 1]; k++)
            gene[k] = (uint32_t)g;
    int code = put_links_side(w, "cis.gene", &c->gene, c->r);
    if (!code)
        code = put_links_side(w, "cis.peak", &c->peak, c->r);
    if (!code)
        code = put(w, "cis.pair", "gene", CM_V_U32, c->n, 0, gene);
    if (!code)
        code = put(w, "cis.pair", "peak", CM_V_U32, c->n, 0, c->peak_of);
    if (!code)
        code = put(w, "cis.pair", "c", CM_V_F32, c->n, 0, c->c);
    if (!code)
        code = put(w, "cis", "mu", CM_V_F64, 1, 0, &c->mu);
    cm_free(gene);
    return code;
}

int cm_model_write(const struct cm_model *m, struct cm_writer *w)
{
    int code = 0;
    size_t k = m->linear.k, q = m->linear.q;
    for (size_t s = 0; !code && k > 0 && s < 2; s++) {
        const struct cm_linear_side *l = &m->linear.side[s];
        const char *name = m->head.slot[s].name;
        code = put(w, name, "mean", CM_V_F32, l->d, 0, l->mean);
        if (!code)
            code = put(w, name, "v", CM_V_F32, l->d, k, l->v);
        if (!code)
            code = put(w, name, "s", CM_V_F64, k, 0, l->s);
        if (!code && !(m->has_net && m->net.residual)) /* else the net's, below */
            code = put(w, name, "p", CM_V_F32, k, q, l->p);
    }
    if (!code && k > 0)
        code = put(w, "cca", "corr", CM_V_F64, q, 0, m->linear.corr);
    if (!code && m->has_net)
        code = cm_net_put(&m->net, "", m->net.w, w);
    return !code && m->has_links ? put_links(w, &m->links) : code;
}

/* ===== reading ============================================================================ */

/* Takes the data of tensor front.name into *out (owned).  rows or cols 0 = any, told back; cols
 * NULL = a vector.  Finite values are a promise of the reader. */
static int take(const struct cm_tensors *ts, const char *front, const char *name,
                enum cm_value type, uint64_t *rows, uint64_t *cols, void *out)
{
    char full[CM_MAX_NAME];
    uint64_t shape[2] = {*rows, cols ? *cols : 0};
    snprintf(full, sizeof full, "%s.%s", front, name);
    const struct cm_tensor *t = cm_tensors_get(ts, full, type, cols ? 2 : 1, shape);
    if (!t)
        return CM_EINPUT;
    for (uint64_t i = 0; i < t->n; i++)
        if ((type == CM_V_F32 && !isfinite(((const float *)t->data)[i])) ||
            (type == CM_V_F64 && !isfinite(((const double *)t->data)[i])))
            return cm_fail(CM_EINPUT, "tensor %s, item %" PRIu64 ": not finite", full, i);
    *rows = t->shape[0];
    if (cols)
        *cols = t->shape[1];
    void *copy = cm_alloc(t->n, cm_value_size(type));
    if (t->n)
        memcpy(copy, t->data, t->n * cm_value_size(type));
    *(void **)out = copy;
    return 0;
}

static int take_linear(struct cm_model *m, const struct cm_tensors *ts)
{
    uint64_t k = 0, q = 0;
    int code = 0;
    for (size_t s = 0; !code && s < 2; s++) {
        struct cm_linear_side *l = &m->linear.side[s];
        const char *name = m->head.slot[s].name;
        uint64_t d = l->d = m->head.slot[s].cols.names.n;
        code = take(ts, name, "mean", CM_V_F32, &d, NULL, &l->mean);
        if (!code)
            code = take(ts, name, "v", CM_V_F32, &d, &k, &l->v);
        if (!code)
            code = take(ts, name, "s", CM_V_F64, &k, NULL, &l->s);
        if (!code)
            code = take(ts, name, "p", CM_V_F32, &k, &q, &l->p);
        if (!code && (d != l->d || k == 0 || q == 0 || q > k))
            code = cm_fail(CM_EINPUT, "the tensors of slot %s do not fit its columns", name);
    }
    if (!code)
        code = take(ts, "cca", "corr", CM_V_F64, &q, NULL, &m->linear.corr);
    m->linear.k = k;
    m->linear.q = q;
    m->config.linear.k = (int64_t)k;
    m->config.linear.q = (int64_t)q;
    const struct cm_kv *kv = &m->head.kv;
    const char *key = cm_kv_get(kv, "linear.cells") ? "linear.cells" : "train.cells";
    int64_t cells = 0;
    if (!code && cm_kv_get(kv, key))
        code = cm_kv_i64(kv, key, &cells);
    if (!code && cells < 0)
        code = cm_fail(CM_EINPUT, "%s is negative", key);
    m->linear.cells = (size_t)cells;
    return code;
}

static int take_links_side(struct cm_links_side *s, const struct cm_tensors *ts, const char *front,
                           size_t features, uint64_t *r)
{
    uint64_t n = 0;
    int code = take(ts, front, "feature", CM_V_U32, &n, NULL, &s->feature);
    s->n = n;
    s->features = features;
    if (!code)
        code = take(ts, front, "h", CM_V_F32, &n, r, &s->h);
    if (!code)
        code = take(ts, front, "off", CM_V_F32, &n, NULL, &s->off);
    if (!code)
        code = take(ts, front, "sd", CM_V_F32, &n, NULL, &s->sd);
    for (size_t i = 0; !code && i < s->n; i++)
        if (s->feature[i] >= features || (i && s->feature[i] <= s->feature[i - 1]) ||
            !(s->sd[i] > 0))
            code = cm_fail(CM_EINPUT, "%s: item %zu is out of range", front, i);
    if (!code && n == 0)
        code = cm_fail(CM_EINPUT, "%s: no features", front);
    return code;
}

static int take_links(struct cm_model *m, const struct cm_tensors *ts, size_t genes, size_t peaks)
{
    struct cm_links *c = &m->links;
    uint64_t r = 0, n = 0, one = 1;
    uint32_t *gene = NULL;
    double *mu = NULL;
    int code = take_links_side(&c->gene, ts, "cis.gene", m->head.slot[genes].cols.names.n, &r);
    if (!code)
        code = take_links_side(&c->peak, ts, "cis.peak", m->head.slot[peaks].cols.names.n, &r);
    if (!code && (r == 0 || r > m->linear.k))
        code = cm_fail(CM_EINPUT, "cis.gene.h: %" PRIu64 " components of %zu", r, m->linear.k);
    if (!code)
        code = take(ts, "cis.pair", "gene", CM_V_U32, &n, NULL, &gene);
    if (!code)
        code = take(ts, "cis.pair", "peak", CM_V_U32, &n, NULL, &c->peak_of);
    if (!code)
        code = take(ts, "cis.pair", "c", CM_V_F32, &n, NULL, &c->c);
    if (!code)
        code = take(ts, "cis", "mu", CM_V_F64, &one, NULL, &mu);
    if (!code && !m->config.links.on)
        code = cm_fail(CM_EINPUT, "the peak-gene term of a model whose settings have none");
    c->clip = m->config.links.fit.clip;
    int64_t candidates = 0;
    if (!code && cm_kv_get(&m->head.kv, "cis.candidates"))
        code = cm_kv_i64(&m->head.kv, "cis.candidates", &candidates);
    if (!code) {
        c->candidates = (uint64_t)candidates;
        c->mu = *mu;
        c->r = r;
        c->n = n;
        c->ptr = CM_ZNEW(uint64_t, c->gene.n + 1);
    }
    for (size_t k = 0; !code && k < n; k++) {
        if (gene[k] >= c->gene.n || c->peak_of[k] >= c->peak.n || (k && gene[k] < gene[k - 1]))
            code = cm_fail(CM_EINPUT, "cis.pair: pair %zu is out of range", k);
        else
            c->ptr[gene[k] + 1] = k + 1;
    }
    for (size_t g = 0; !code && g < c->gene.n; g++) /* a gene without pairs begins where it ends */
        if (c->ptr[g + 1] < c->ptr[g])
            c->ptr[g + 1] = c->ptr[g];
    cm_free(gene);
    cm_free(mu);
    return code;
}

static int take_model(struct cm_model *m, const struct cm_tensors *ts)
{
    if (m->head.kind != CM_MODEL || m->head.nslots != 2)
        return cm_fail(CM_EINPUT, "expected kind model with two slots, found kind %s with %zu",
                       cm_kind_name(m->head.kind), m->head.nslots);
    struct cm_config *c = &m->config;
    int code = cm_config_read(c, &m->head, CM_CONFIG_APPLY);
    bool linear = c->linear.on, trained = c->net.encoder != CM_ENCODER_NONE;
    if (!code && !linear && !trained)
        code = cm_fail(CM_EINPUT, "a model without a linear part and without encoders");
    if (!code && linear)
        code = take_linear(m, ts);
    if (!code && linear)
        code = cm_config_check_sizes(&m->head.kv, m->linear.k, m->linear.q);
    if (code)
        return code;
    if (linear)
        cm_linear_finish(&m->linear);
    if (trained) {
        code = cm_net_open(&m->net, &c->net, &m->head, &m->linear, ts);
        m->has_net = code == 0;
        if (code)
            return code;
    }
    const char *pairs = linear ? cm_kv_get(&m->head.kv, "cis.pairs") : NULL;
    int genes = cm_head_find_slot(&m->head, "GEX"), peaks = cm_head_find_slot(&m->head, "ATAC");
    if (!pairs || strcmp(pairs, "0") == 0)
        return 0;
    if (genes < 0 || peaks < 0)
        return cm_fail(CM_EINPUT, "a peak-gene term without the slots GEX and ATAC");
    code = take_links(m, ts, (size_t)genes, (size_t)peaks);
    if (code)
        return code;
    cm_links_finish(&m->links);
    m->has_links = true;
    return 0;
}

int cm_model_from(struct cm_model *m, const struct cm_head *head, const struct cm_tensors *ts)
{
    memset(m, 0, sizeof *m);
    cm_head_copy(&m->head, head);
    return take_model(m, ts);
}

int cm_model_read(struct cm_model *m, struct cm_reader *r)
{
    struct cm_tensors ts = {0};
    memset(m, 0, sizeof *m);
    int code = cm_tensors_load(r, &ts);
    if (code < 0)
        return code;
    code = cm_fail_in(cm_model_from(m, cm_reader_head(r), &ts), cm_reader_path(r));
    cm_tensors_free(&ts);
    return code;
}

void cm_model_free(struct cm_model *m)
{
    cm_net_free(&m->net);
    cm_linear_free(&m->linear);
    cm_links_free(&m->links);
    cm_head_free(&m->head);
    memset(m, 0, sizeof *m);
}

/* ===== may these cells be given to this model? ============================================ */

int cm_model_side(const struct cm_model *m, const char *name)
{
    int side = cm_head_find_slot(&m->head, name);
    if (side >= 0)
        return side;
    return cm_fail(CM_EINPUT, "the model has the slots %s and %s, not '%s'; --type names one",
                   m->head.slot[0].name, m->head.slot[1].name, name);
}

static const char *fit_of(const struct cm_slot *s, const char *key)
{
    const char *v = cm_kv_get(&s->fit, key);
    return v ? v : "";
}

/* "run lognorm --like M" or what else leads to the model's state. */
static const char *advice(const struct cm_slot *trained, const char *model_path, char *text,
                          size_t capacity)
{
    const char *tool = fit_of(trained, "fit.tool");
    if (!*tool)
        tool = trained->state == CM_S_TFIDF                                    ? "tfidf"
               : trained->state == CM_S_LOGNORM || trained->state == CM_S_SQRT ? "lognorm"
               : trained->state == CM_S_CLR                                    ? "clr"
                                                                               : "";
    if (*tool)
        snprintf(text, capacity, "; prepare the counts with: %s --like %s", tool, model_path);
    else
        snprintf(text, capacity, "; prepare the cells as the training cells were");
    return text;
}

static bool close_enough(double a, double b) { return fabs(a - b) <= 1e-6 * (fabs(a) + fabs(b)); }

/* The first fitted column vector (fit.*) that differs, by name of column; NULL if none does.  What
 * only one side carries is not compared: another tool may have done the work without leaving it. */
static const char *fit_difference(const struct cm_cols *a, const struct cm_cols *b,
                                  const char **column)
{
    for (size_t v = 0; v < a->nvec; v++) {
        const struct cm_vec *x = &a->vec[v], *y = cm_cols_find(b, x->name);
        if (strncmp(x->name, "fit.", 4) != 0 || !y || x->type != CM_T_F64 || y->type != CM_T_F64)
            continue;
        struct cm_index at;
        cm_index_make(&at, &b->names);
        for (size_t j = 0; j < a->names.n; j++) {
            const char *name = cm_strs_get(&a->names, j);
            size_t i = cm_index_find(&at, name);
            if (i != CM_ABSENT && !close_enough(x->f[j], y->f[i])) {
                cm_index_free(&at);
                *column = name;
                return x->name;
            }
        }
        cm_index_free(&at);
    }
    return NULL;
}

int cm_model_accepts(const struct cm_model *m, size_t side, const struct cm_slot *in,
                     const char *path, const char *model_path)
{
    const struct cm_slot *trained = &m->head.slot[side];
    char how[512];
    advice(trained, model_path, how, sizeof how);
    if (in->state != trained->state)
        return cm_fail(CM_EINPUT, "%s: slot %s is in state %s, the model was trained on state %s%s",
                       path, in->name, cm_state_name(in->state), cm_state_name(trained->state),
                       how);
    const char *words[] = {"fit.tool", "fit.method", "fit.norm"};
    for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
        const char *have = fit_of(in, words[k]), *want = fit_of(trained, words[k]);
        if (*have && *want && strcmp(have, want) != 0)
            return cm_fail(CM_EINPUT, "%s: slot %s has %s %s, the model was trained on %s%s", path,
                           in->name, words[k], have, want, how);
    }
    const char *numbers[] = {"fit.scale", "fit.binarize", "fit.second", "fit.overdispersion"};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        double have, want;
        if (cm_parse_f64(fit_of(in, numbers[k]), &have) &&
            cm_parse_f64(fit_of(trained, numbers[k]), &want) && !close_enough(have, want))
            return cm_fail(CM_EINPUT,
                           "%s: slot %s was fitted on other cells than the model's (%s %g, the "
                           "model has %g)%s",
                           path, in->name, numbers[k], have, want, how);
    }
    const char *column, *vector = fit_difference(&trained->cols, &in->cols, &column);
    if (vector)
        return cm_fail(CM_EINPUT,
                       "%s: slot %s was fitted on other cells than the model's (%s of '%s' "
                       "differs)%s",
                       path, in->name, vector, column, how);
    return 0;
}

int cm_model_columns(const struct cm_model *m, size_t side, const struct cm_cols *in, bool by_name,
                     const char *path, uint32_t **map, struct cm_column_gaps *gaps)
{
    const struct cm_strs *want = &m->head.slot[side].cols.names, *have = &in->names;
    *map = NULL;
    *gaps = (struct cm_column_gaps){0};
    if (cm_cols_hash(in) == cm_cols_hash(&m->head.slot[side].cols) && have->n == want->n)
        return 0;
    if (!by_name) {
        size_t j = 0;
        while (j < have->n && j < want->n &&
               strcmp(cm_strs_get(have, j), cm_strs_get(want, j)) == 0)
            j++;
        if (j < have->n && j < want->n)
            return cm_fail(CM_EINPUT,
                           "%s: column %zu is '%s', the model has '%s' there; --by-name takes the "
                           "columns by their names",
                           path, j + 1, cm_strs_get(have, j), cm_strs_get(want, j));
        return cm_fail(CM_EINPUT,
                       "%s: %zu columns, the model has %zu (the first that only one has is '%s'); "
                       "--by-name takes the columns by their names",
                       path, have->n, want->n, cm_strs_get(j < have->n ? have : want, j));
    }
    struct cm_index at;
    cm_index_make(&at, have);
    int code = cm_cols_unique(in, path);
    *map = CM_NEW(uint32_t, have->n);
    memset(*map, 0xFF, have->n * sizeof **map);
    size_t found = 0, first = 0; /* the first that is missing */
    for (size_t j = 0; code == 0 && j < want->n; j++) {
        size_t i = cm_index_find(&at, cm_strs_get(want, j));
        if (i != CM_ABSENT)
            (*map)[i] = (uint32_t)j, found++;
        else if (found == j)
            first = j;
    }
    if (code == 0 && found == 0 && want->n)
        code = cm_fail(CM_EINPUT,
                       "%s: the model has %zu %s features; 0 of them are in it (model: '%s', file: "
                       "'%s')",
                       path, want->n, m->head.slot[side].name, cm_strs_get(want, 0),
                       have->n ? cm_strs_get(have, 0) : "");
    cm_index_free(&at);
    gaps->extra = have->n - found;
    gaps->missing = want->n - found;
    gaps->example = gaps->missing ? cm_strs_get(want, first) : NULL;
    if (code < 0) {
        cm_free(*map);
        *map = NULL;
    }
    return code;
}

/* ===== embedding ========================================================================== */

static size_t width_e(const struct cm_model *m) { return m->has_net ? m->net.q : m->linear.q; }

size_t cm_model_width(const struct cm_model *m)
{
    return width_e(m) + (m->has_links ? m->links.gene.n : 0);
}

/* Columns ldo apart; `width` of them are written: q, or all. */
static void embed(const struct cm_model *m, size_t side, const struct cm_csr *x, float *out,
                  size_t width)
{
    size_t k = m->linear.k, q = width_e(m);
    float *z = k ? CM_NEW(float, x->rows *k) : NULL;
    if (k)
        cm_linear_z(&m->linear, side, x, z);
    if (m->has_net)
        cm_net_apply(&m->net, side, m->net.w, x, z, out, width);
    else
        cm_linear_e(&m->linear, side, z, x->rows, out, width);
    if (width > q) {
        if ((int)side == cm_head_find_slot(&m->head, "GEX"))
            cm_links_gene_columns(&m->links, x, z, k, out + q, width);
        else
            cm_links_peak_columns(&m->links, x, z, k, out + q, width);
    }
    cm_free(z);
}

void cm_model_embed(const struct cm_model *m, size_t side, const struct cm_csr *x, float *out)
{
    embed(m, side, x, out, cm_model_width(m));
}

void cm_model_embed_block(const struct cm_model *m, size_t side, struct cm_block *b,
                          const struct cm_slot *in, const uint32_t *map, bool all_parts)
{
    size_t rows = b->rows, width = all_parts ? cm_model_width(m) : width_e(m);
    cm_block_materialize(b, in);
    if (map)
        cm_block_map_columns(b, map, m->head.slot[side].cols.names.n);
    struct cm_slot plain = {0};
    const float *v = cm_block_f32(b, &plain);
    struct cm_csr x = {.rows = rows, .cols = b->cols, .ptr = b->ptr, .idx = b->idx};
    float *out = CM_NEW(float, rows *width);
    if (b->dense) {
        x = cm_csr_make(b->cols);
        cm_csr_append_dense(&x, rows, v, b->cols);
    } else {
        x.val = CM_NEW(float, b->nnz);
        if (b->nnz)
            memcpy(x.val, v, b->nnz * sizeof *x.val);
    }
    embed(m, side, &x, out, width);
    if (b->dense)
        cm_csr_free(&x);
    else
        cm_free(x.val);
    cm_block_shape(b, true, rows, width, (uint64_t)rows * width, CM_V_F32);
    if (rows && width)
        memcpy(b->raw, out, rows * width * sizeof *out);
    cm_free(out);
}

static void set_part(struct cm_head *h, size_t n, const char *name, size_t from, size_t to)
{
    char key[32], value[80];
    snprintf(key, sizeof key, "part.%zu", n);
    snprintf(value, sizeof value, "%s %zu %zu", name, from, to);
    cm_kv_set(&h->kv, key, value);
}

void cm_model_embed_head(const struct cm_model *m, size_t side, const struct cm_head *in,
                         bool all_parts, struct cm_head *out)
{
    size_t q = width_e(m), width = all_parts ? cm_model_width(m) : q;
    cm_head_copy(out, in);
    for (size_t s = 0; s < out->nslots; s++) { /* the input's matrix goes, its rows stay */
        cm_free(out->slot[s].name);
        cm_cols_free(&out->slot[s].cols);
        cm_kv_free(&out->slot[s].fit);
    }
    memset(out->slot, 0, sizeof out->slot);
    out->nslots = 0;
    out->kind = CM_EMBEDDING;
    struct cm_slot *slot = cm_head_add_slot(out, m->head.slot[side].name);
    slot->dense = true;
    slot->state = CM_S_EMBEDDING;
    slot->rows = in->nslots ? in->slot[0].rows : 0;
    char name[32];
    for (size_t c = 0; c < q; c++) {
        snprintf(name, sizeof name, "e.%zu", c + 1);
        cm_strs_add(&slot->cols.names, name);
    }
    set_part(out, 0, "e", 0, q);
    if (width == q)
        return;
    const struct cm_strs *genes = &m->head.slot[cm_head_find_slot(&m->head, "GEX")].cols.names;
    struct cm_buf text = {0};
    for (size_t g = 0; g < m->links.gene.n; g++) {
        text.n = 0;
        cm_buf_printf(&text, "cis.%s", cm_strs_get(genes, m->links.gene.feature[g]));
        cm_strs_addn(&slot->cols.names, (const char *)text.p, text.n);
    }
    cm_buf_free(&text);
    set_part(out, 1, "cis", q, width);
}
