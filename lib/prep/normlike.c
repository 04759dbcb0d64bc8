/* prep/normlike.c - a fit of prep/norm.h in the head of a stream: written, and read for --like.
 *
 * Constants must reach the next stage, the model and the cells of next year, and must not be
 * mistaken for those of another method or modality.  Scalars are keys of the slot; vectors are
 * columns of its column table, where selecting and sorting carries them along; reading matches
 * columns by name and compares every option with what stands there.
 */
#include "prep/norm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "prep/internal.h"

/* ===== a fit in a slot ==================================================================== */

static const char *const unit_name[] = {"", "none", "l1", "l2"};

static void put_vector(struct cm_slot *slot, const char *name, const double *v, size_t cols)
{
    cm_cols_drop(&slot->cols, name);
    if (v && cols)
        memcpy(cm_cols_vec(&slot->cols, name, CM_T_F64)->f, v, cols * sizeof *v);
    else if (v)
        cm_cols_vec(&slot->cols, name, CM_T_F64);
}

/* The key of a method's parameter: "max-fraction" becomes fit.max_fraction. */
static void param_key(const struct cm_norm_method *m, char key[64])
{
    snprintf(key, 64, "fit.%s", m->param);
    for (char *s = key; *s; s++)
        *s = *s == '-' ? '_' : *s;
}

void cm_norm_save(const struct cm_norm *n, struct cm_slot *slot)
{
    const struct cm_norm_method *m = n->method;
    cm_kv_drop(&slot->fit, "fit.");
    cm_kv_set(&slot->fit, "fit.tool", n->tool);
    cm_kv_set(&slot->fit, "fit.method", m->name);
    if (m->from != CM_SCALE_NONE)
        cm_kv_setf(&slot->fit, "fit.scale", n->scale);
    if (m->param) {
        char key[64];
        param_key(m, key);
        cm_kv_setf(&slot->fit, key, cm_norm_param(n));
    }
    if (n->measured)
        cm_kv_setf(&slot->fit, m->from == CM_SCALE_MEDIAN ? "fit.median" : "fit.mean", n->scale);
    if (m->second)
        cm_kv_setf(&slot->fit, "fit.second", n->second);
    if (!isnan(n->cells))
        cm_kv_seti(&slot->fit, "fit.cells", (int64_t)n->cells);
    if (n->binarize)
        cm_kv_seti(&slot->fit, "fit.binarize", 1);
    if (n->sublinear)
        cm_kv_seti(&slot->fit, "fit.sublinear", 1);
    if (n->norm && n->norm != (m->norm ? m->norm : CM_UNIT_NONE))
        cm_kv_set(&slot->fit, "fit.norm", unit_name[n->norm]);
    if (n->label)
        cm_kv_set(&slot->fit, "fit.label", n->label);
    put_vector(slot, "fit.col", n->col, n->cols);
    put_vector(slot, "fit.post", n->post, n->cols);
    put_vector(slot, "fit.use", n->use, n->cols);
    slot->state = m->state;
    slot->lazy = cm_norm_lazy(n) ? m->f : CM_LAZY_NO;
    if (m->dense) {
        slot->dense = true;
        slot->wide = false;
    }
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
        code =
            cm_fail(CM_EINPUT,
                    "column \"%s\" occurs twice in %s: cannot match by name (h5-read and mtx-read "
                    "--make-unique tell such features apart)",
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
    *out = CM_NEW(cols, double);
    for (size_t j = 0; j < cols; j++) {
        (*out)[j] = v->f[at[j]];
        if (!isfinite((*out)[j]))
            return cm_fail(CM_EINPUT, "%s: column \"%s\" has no fitted value", path,
                           cm_strs_get(&s->cols.names, at[j]));
    }
    return 0;
}

/* Features of the fit that the input lacks: refused, or counted in n. */
static int check_missing(struct cm_norm *n, const struct cm_strs *theirs,
                         const struct cm_strs *ours, const size_t *back, const char *path)
{
    size_t missing = 0, first = 0;
    for (size_t j = 0; j < theirs->n; j++)
        if (back[j] == CM_ABSENT && missing++ == 0)
            first = j;
    const char *name = missing ? cm_strs_get(theirs, first) : NULL;
    n->fit_cols = theirs->n;
    if (!missing)
        return 0;
    if (missing == theirs->n)
        return cm_fail(CM_EINPUT,
                       "none of the %zu features of %s is in the input (%s: '%s', input: '%s')",
                       missing, path, path, name, ours->n ? cm_strs_get(ours, 0) : "");
    if (!n->missing_zero)
        return cm_fail(CM_EINPUT,
                       "column \"%s\" of %s is missing in the input (%zu of %zu features are; "
                       "--missing zero counts them as 0)",
                       name, path, missing, theirs->n);
    if (n->method->positive)
        return cm_fail(CM_EINPUT,
                       "column \"%s\" of %s is missing in the input (%zu of %zu features are), and "
                       "%s takes no zeros",
                       name, path, missing, theirs->n, n->method->name);
    n->missing = missing;
    n->example = cm_strdup(name);
    return 0;
}

static int load_columns(struct cm_norm *n, const struct cm_slot *s, const char *path,
                        const struct cm_slot *in)
{
    const struct cm_strs *ours = &in->cols.names, *theirs = &s->cols.names;
    size_t *at = CM_NEW(ours->n + theirs->n, size_t), *back = at + ours->n;
    const struct cm_norm_method *m = n->method;
    bool fitted = m->fitted || m->low;
    int code = match_names(theirs, ours, fitted ? "the input" : NULL, back);
    if (!code)
        code = check_missing(n, theirs, ours, back, path);
    if (!code && fitted) {
        code = match_names(ours, theirs, path, at);
        for (size_t j = 0; !code && j < ours->n; j++)
            if (at[j] == CM_ABSENT)
                code = cm_fail(CM_EINPUT, "column \"%s\" of the input is missing in %s",
                               cm_strs_get(ours, j), path);
        if (!code && m->col)
            code = load_vector(s, "fit.col", path, at, ours->n, &n->col);
        if (!code && m->post)
            code = load_vector(s, "fit.post", path, at, ours->n, &n->post);
        if (!code && m->low)
            code = load_vector(s, "fit.use", path, at, ours->n, &n->use);
    } else if (!code) {
        cm_norm_settle(n);
    }
    cm_free(at);
    return code;
}

/* A flag or word that was asked for on the command line must be what the file was fitted with. */
static int contradicts(const char *option, const char *path, const char *with)
{
    return cm_fail(CM_EUSAGE, "--%s contradicts %s, which was fitted with %s", option, path, with);
}

static int load_scale(struct cm_norm *n, const struct cm_slot *s, const char *path)
{
    const struct cm_norm_method *m = n->method;
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
    n->measured = cm_kv_get(&s->fit, "fit.median") || cm_kv_get(&s->fit, "fit.mean");
    if (m->second && (code = cm_kv_f64(&s->fit, "fit.second", &n->second)))
        return cm_fail_in(code, path);
    return 0;
}

static int load_param(struct cm_norm *n, const struct cm_slot *s, const char *path)
{
    const struct cm_norm_method *m = n->method;
    double v;
    char key[64];
    int code;
    if (n->param && (!m->param || strcmp(n->param, m->param) != 0))
        return contradicts(n->param, path, m->name);
    if (!m->param)
        return 0;
    param_key(m, key);
    if ((code = cm_kv_f64(&s->fit, key, &v)))
        return cm_fail_in(code, path);
    if (n->param && n->value != v)
        return cm_fail(CM_EUSAGE, "--%s %g contradicts %s, which was fitted with %g", n->param,
                       n->value, path, v);
    n->param = m->param;
    n->value = v;
    return 0;
}

/* What is done to counts first and to rows last. */
static int load_flags(struct cm_norm *n, const struct cm_slot *s, const char *path)
{
    const char *binarize = cm_kv_get(&s->fit, "fit.binarize");
    const char *sublinear = cm_kv_get(&s->fit, "fit.sublinear");
    const char *word = cm_kv_get(&s->fit, "fit.norm");
    if (n->binarize && !binarize)
        return cm_fail(CM_EUSAGE, "--binarize contradicts %s, which was fitted without", path);
    if (n->sublinear && !sublinear)
        return cm_fail(CM_EUSAGE, "--sublinear contradicts %s, which was fitted without", path);
    n->binarize = binarize != NULL;
    n->sublinear = sublinear != NULL;
    enum cm_norm_unit unit = n->method->norm ? n->method->norm : CM_UNIT_NONE;
    for (int u = CM_UNIT_NONE; word && u <= CM_UNIT_L2; u++)
        if (!strcmp(word, unit_name[u]))
            unit = (enum cm_norm_unit)u;
    if (word && strcmp(word, unit_name[unit]) != 0)
        return cm_fail(CM_EINPUT, "%s: fit.norm is \"%s\"", path, word);
    if (n->norm && n->norm != unit)
        return contradicts("norm", path, unit_name[unit]);
    n->norm = unit;
    return 0;
}

static int load_label(struct cm_norm *n, const struct cm_slot *s, const char *path)
{
    const char *label = cm_kv_get(&s->fit, "fit.label");
    if (n->label && (!label || strcmp(label, n->label)))
        return cm_fail(CM_EUSAGE, "--size-factors %s contradicts %s, which was fitted with %s",
                       n->label, path, label ? label : "none");
    if (label)
        n->label = n->own_label = cm_strdup(label);
    if (!label && n->method->label == CM_LABEL_MUST)
        return cm_fail(CM_EINPUT, "%s: key fit.label is missing", path);
    n->label_at = -1;
    return 0;
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
    int code = load_scale(n, s, path);
    if (!code)
        code = load_param(n, s, path);
    if (!code)
        code = load_flags(n, s, path);
    if (!code)
        code = load_label(n, s, path);
    n->cols = in->cols.names.n;
    n->cells = NAN;
    if (!code && cm_kv_get(&s->fit, "fit.cells") &&
        (code = cm_kv_f64(&s->fit, "fit.cells", &n->cells)))
        code = cm_fail_in(code, path);
    return code ? code : load_columns(n, s, path, in);
}
