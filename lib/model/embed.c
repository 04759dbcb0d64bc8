/* model/embed.c - from the cells of a stream to embeddings: checks, and the map. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "links/apply.h"
#include "model/model.h"

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
    struct cm_index at = {0};
    const char *differs = NULL;
    bool same = cm_strs_equal(&a->names, &b->names); /* as they mostly are: no index is built */
    for (size_t v = 0; !differs && v < a->nvec; v++) {
        const struct cm_vec *x = &a->vec[v], *y = cm_cols_find(b, x->name);
        if (strncmp(x->name, "fit.", 4) != 0 || !y || x->type != CM_T_F64 || y->type != CM_T_F64)
            continue;
        if (!same)
            cm_index_extend(&at, &b->names);
        for (size_t j = 0; !differs && j < a->names.n; j++) {
            *column = cm_strs_get(&a->names, j);
            size_t i = same ? j : cm_index_find(&at, *column);
            if (i != CM_ABSENT && !close_enough(x->f[j], y->f[i]))
                differs = x->name;
        }
    }
    cm_index_free(&at);
    return differs;
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
    *map = CM_NEW(have->n, uint32_t);
    memset(*map, 0xFF, have->n * sizeof **map);
    size_t found = 0, first = 0; /* the first that is missing */
    for (size_t j = 0; !code && j < want->n; j++) {
        size_t i = cm_index_find(&at, cm_strs_get(want, j));
        if (i != CM_ABSENT)
            (*map)[i] = (uint32_t)j, found++;
        else if (found == j)
            first = j;
    }
    if (!code && found == 0 && want->n)
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
    float *z = k ? CM_NEW(x->rows * k, float) : NULL;
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

size_t cm_model_width_e(const struct cm_model *m) { return width_e(m); }

void cm_model_embed_e(const struct cm_model *m, size_t side, const struct cm_csr *x, float *out)
{
    embed(m, side, x, out, width_e(m));
}

/* s (rows x cols) += y (cols x rows), transposed */
static void add_transposed(float *s, const float *y, size_t rows, size_t cols)
{
    enum { TILE = 32 };
    for (size_t i0 = 0; i0 < rows; i0 += TILE)
        for (size_t j0 = 0; j0 < cols; j0 += TILE)
            for (size_t i = i0; i < rows && i < i0 + TILE; i++)
                for (size_t j = j0; j < cols && j < j0 + TILE; j++)
                    s[i * cols + j] += y[j * rows + i];
}

void cm_model_add_links(const struct cm_model *m, const struct cm_csr *const x[2],
                        const float *const z[2], const uint64_t *const at[2], const size_t n[2],
                        float *s)
{
    size_t gene = cm_head_find_slot(&m->head, "GEX") == 0 ? 0 : 1, k = m->linear.k;
    const struct cm_links_cells cells[2] = {{x[gene], z[gene], k}, {x[!gene], z[!gene], k}};
    const uint64_t *const of[2] = {at[gene], at[!gene]};
    const size_t size[2] = {n[gene], n[!gene]};
    float *y = gene ? CM_ZNEW(n[0] * n[1], float) : s;
    cm_links_similarities(&m->links, m->links.c, cells, of, size, y);
    if (gene) {
        add_transposed(s, y, n[0], n[1]);
        cm_free(y);
    }
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
    float *out = CM_NEW(rows * width, float);
    if (b->dense) {
        x = cm_csr_make(b->cols);
        cm_csr_append_dense(&x, rows, v, b->cols);
    } else {
        x.val = CM_NEW(b->nnz, float);
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
