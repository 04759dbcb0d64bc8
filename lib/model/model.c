/* model/model.c - the model file, written and read.
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
    uint32_t *gene = CM_NEW(c->n, uint32_t);
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
    if (!code && c->correlation)
        code = put(w, "cis.candidate", "c", CM_V_F32, c->candidates, 0, c->correlation);
    if (!code && c->correlation)
        code = put(w, "cis.candidate", "cells", CM_V_F64, 1, 0, &c->cells);
    if (!code && c->correlation)
        code = put(w, "cis.candidate", "window", CM_V_F64, 1, 0, &c->window);
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
        if (!code && q && !(m->has_net && m->net.residual)) /* else the net's, below */
            code = put(w, name, "p", CM_V_F32, k, q, l->p);
    }
    if (!code && q > 0)
        code = put(w, "cca", "corr", CM_V_F64, q, 0, m->linear.corr);
    if (!code && m->has_net)
        code = cm_net_put(&m->net, "", m->net.w, w);
    return !code && m->has_links ? put_links(w, &m->links) : code;
}

/* ===== reading ============================================================================ */

/* The data of t, which is handed over: models are large. */
static void *take_data(const struct cm_tensors *ts, const struct cm_tensor *t)
{
    size_t k = 0;
    while (ts->t[k] != t)
        k++;
    void *data = ts->t[k]->data;
    ts->t[k]->data = NULL;
    ts->t[k]->n = 0;
    return data;
}

/* Takes the data of tensor front.name into *out (owned).  rows or cols 0 = any, and set; cols
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
    if (t->n == 0) /* its sizes would mean any size to the tensors that follow */
        return cm_fail(CM_EINPUT, "tensor %s is empty", full);
    *rows = t->shape[0];
    if (cols)
        *cols = t->shape[1];
    size_t bytes = t->n * cm_value_size(type);
    bool again = strcmp(name, "p") == 0; /* the net may ask for P, too */
    *(void **)out = again ? memcpy(cm_alloc(bytes, 1), t->data, bytes) : take_data(ts, t);
    return 0;
}

static int take_linear(struct cm_model *m, const struct cm_tensors *ts)
{
    bool cca = cm_config_has_cca(&m->config); /* older models have one that they do not use */
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
        if (!code && cca)
            code = take(ts, name, "p", CM_V_F32, &k, &q, &l->p);
        if (!code && (d != l->d || k == 0 || (cca && q == 0) || q > k))
            code = cm_fail(CM_EINPUT, "the tensors of slot %s do not fit its columns", name);
    }
    if (!code && cca)
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
    return code;
}

/* Residuals of single precision of a feature that the leading components nearly explain: a gene and
 * a peak that are alike correlate at 1.00002. */
#define CORRELATION_SLACK .01

/* Correlations of all candidates, which earlier models do not have. */
static int take_candidates(struct cm_links *c, const struct cm_tensors *ts)
{
    uint64_t n = c->candidates, one = 1;
    double *cells = NULL, *window = NULL;
    size_t k = 0;
    while (k < ts->n && strcmp(ts->t[k]->name, "cis.candidate.c") != 0)
        k++;
    if (k == ts->n)
        return 0;
    int code = take(ts, "cis.candidate", "c", CM_V_F32, &n, NULL, &c->correlation);
    if (!code && n != c->candidates)
        code = cm_fail(CM_EINPUT, "cis.candidate.c: cis.candidates is 0");
    if (!code)
        code = take(ts, "cis.candidate", "cells", CM_V_F64, &one, NULL, &cells);
    if (!code)
        code = take(ts, "cis.candidate", "window", CM_V_F64, &one, NULL, &window);
    for (uint64_t i = 0; !code && i < n; i++)
        if (fabs((double)c->correlation[i]) > 1 + CORRELATION_SLACK)
            code = cm_fail(CM_EINPUT,
                           "cis.candidate.c, item %" PRIu64
                           ": expected a correlation from -1 to 1, found %.9g",
                           i, (double)c->correlation[i]);
    if (!code && !(*cells >= 2 && *cells <= 0x1p53 && *cells == floor(*cells)))
        code =
            cm_fail(CM_EINPUT,
                    "cis.candidate.cells: expected a whole number from 2 on, found %.17g", *cells);
    if (!code && !(*window > 0 && *window <= 1e12))
        code = cm_fail(CM_EINPUT,
                       "cis.candidate.window: expected bases above 0, at most 1e12, found %.17g",
                       *window);
    if (!code) {
        c->cells = *cells;
        c->window = *window;
    }
    cm_free(cells);
    cm_free(window);
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
        c->ptr = CM_ZNEW(c->gene.n + 1, uint64_t);
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
    return code ? code : take_candidates(c, ts);
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
