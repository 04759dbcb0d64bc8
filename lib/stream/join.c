/* stream/join.c - heads that fit, labels by name, rows gathered; see join.h.
 *
 * Fitted vectors are compared bit by bit: two fits that differ in the last digit are two fits.
 * Coordinates and other column columns of later inputs are not compared: an annotation that was
 * added to one library only does not make its counts another kind.
 */
#include "stream/join.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* ===== heads ============================================================================== */

static int differ(const char *what, const char *first, const char *of, const char *expected,
                  const char *found)
{
    return cm_fail(CM_EINPUT, "%s does not fit to %s: %s: expected %s, found %s", what, first, of,
                   expected, found);
}

static bool same_vec(const struct cm_vec *a, const struct cm_vec *b)
{
    if (a->type != b->type || a->n != b->n)
        return false;
    switch (a->type) {
    case CM_T_F64:
        return !memcmp(a->f, b->f, a->n * sizeof *a->f);
    case CM_T_I64:
        return !memcmp(a->i, b->i, a->n * sizeof *a->i);
    case CM_T_BOOL:
        return !memcmp(a->b, b->b, a->n);
    case CM_T_STR:
        return cm_strs_equal(&a->s, &b->s);
    case CM_T_CAT:
        break;
    }
    return true;
}

static bool is_fit(const char *name) { return !strncmp(name, "fit.", 4); }

/* The fitted scalars and vectors of a that b lacks or has otherwise. */
static int same_fit(const struct cm_slot *a, const struct cm_slot *b, const char *first,
                    const char *what, bool swapped)
{
    for (size_t k = 0; k < a->fit.key.n; k++) {
        const char *key = cm_strs_get(&a->fit.key, k), *x = cm_strs_get(&a->fit.value, k);
        const char *y = cm_kv_get(&b->fit, key);
        if (!y || strcmp(x, y))
            return differ(what, first, key, swapped ? (y ? y : "none") : x,
                          swapped ? x : (y ? y : "none"));
    }
    for (size_t k = 0; k < a->cols.nvec; k++) {
        const struct cm_vec *x = &a->cols.vec[k], *y = cm_cols_find(&b->cols, x->name);
        if (is_fit(x->name) && (!y || !same_vec(x, y)))
            return differ(what, first, x->name,
                          "the same fitted values (apply one fit with --like)",
                          y ? "others" : "none");
    }
    return 0;
}

static int same_columns(const struct cm_slot *a, const struct cm_slot *b, const char *first,
                        const char *what)
{
    const struct cm_strs *x = &a->cols.names, *y = &b->cols.names;
    if (x->n != y->n)
        return cm_fail(CM_EINPUT, "%s does not fit to %s: slot %s: expected %zu columns, found %zu",
                       what, first, a->name, x->n, y->n);
    for (size_t j = 0; j < x->n; j++)
        if (strcmp(cm_strs_get(x, j), cm_strs_get(y, j)))
            return cm_fail(CM_EINPUT,
                           "%s does not fit to %s: slot %s, column %zu: expected %s, found %s",
                           what, first, a->name, j, cm_strs_get(x, j), cm_strs_get(y, j));
    return 0;
}

static int same_slot(const struct cm_slot *a, const struct cm_slot *b, const char *first,
                     const char *what)
{
    static const char *const lazy[] = {"plain values", "lazy identity", "lazy log1p", "lazy sqrt"};
    if (strcmp(a->name, b->name))
        return differ(what, first, "slot", a->name, b->name);
    if (a->state != b->state)
        return differ(what, first, "state", cm_state_name(a->state), cm_state_name(b->state));
    if (a->dense != b->dense)
        return differ(what, first, "encoding", a->dense ? "dense" : "csr",
                      b->dense ? "dense" : "csr");
    if (a->lazy != b->lazy)
        return differ(what, first, "values", lazy[a->lazy], lazy[b->lazy]);
    int rc = same_columns(a, b, first, what);
    rc = rc ? rc : same_fit(a, b, first, what, false);
    return rc ? rc : same_fit(b, a, first, what, true);
}

static int add_labels(struct cm_head *out, const struct cm_head *in, const char *what)
{
    static const char *const type[] = {"cat", "bool", "i64", "f64", "str"};
    for (size_t k = 0; k < in->nlabels; k++) {
        const struct cm_label *l = &in->label[k];
        int at = cm_head_match_label(out, l, k);
        if (at < 0) {
            struct cm_label *n = cm_head_add_label(out, l->name, l->type, l->slot);
            cm_strs_copy(&n->dict.names, &l->dict.names);
            n->dict.ordered = l->dict.ordered;
        } else if (out->label[at].type != l->type) {
            return cm_fail(CM_EINPUT,
                           "%s: label %s: expected type %s as in the inputs before, found %s", what,
                           l->name, type[out->label[at].type], type[l->type]);
        }
    }
    return 0;
}

int cm_join_heads(struct cm_head *out, const struct cm_head *const *in, const char *const *what,
                  size_t n)
{
    const struct cm_head *a = in[0];
    cm_head_copy(out, a);
    for (size_t i = 1; i < n; i++) {
        const struct cm_head *b = in[i];
        int rc = 0;
        if (a->kind != b->kind)
            return differ(what[i], what[0], "kind", cm_kind_name(a->kind), cm_kind_name(b->kind));
        if (a->nslots != b->nslots)
            return cm_fail(CM_EINPUT, "%s does not fit to %s: expected %zu slots, found %zu",
                           what[i], what[0], a->nslots, b->nslots);
        for (size_t k = 0; !rc && k < a->nslots; k++) {
            rc = same_slot(&a->slot[k], &b->slot[k], what[0], what[i]);
            out->slot[k].wide |= b->slot[k].wide;
            out->slot[k].rows =
                out->slot[k].rows && b->slot[k].rows ? out->slot[k].rows + b->slot[k].rows : 0;
        }
        for (size_t k = 0; !rc && k < a->kv.key.n; k++) {
            const char *key = cm_strs_get(&a->kv.key, k), *x = cm_strs_get(&a->kv.value, k);
            const char *y = cm_kv_get(&b->kv, key);
            if (!strncmp(key, "part.", 5) && (!y || strcmp(x, y)))
                rc = differ(what[i], what[0], key, x, y ? y : "none");
        }
        rc = rc ? rc : add_labels(out, b, what[i]);
        if (rc)
            return rc;
    }
    return 0;
}

/* ===== rows =============================================================================== */

void cm_join_labels(struct cm_chunk *c, const struct cm_head *in, const struct cm_head *out)
{
    bool same = in->nlabels == out->nlabels;
    for (size_t k = 0; same && k < out->nlabels; k++)
        same = in->label[k].slot == out->label[k].slot &&
               !strcmp(in->label[k].name, out->label[k].name);
    if (same)
        return;
    struct cm_vec *old = c->label;
    size_t nold = c->nlabels;
    c->label = NULL;
    c->nlabels = 0;
    cm_chunk_labels(c, out);
    for (size_t k = 0; k < nold; k++) {
        int at = cm_head_match_label(out, &in->label[k], k);
        cm_vec_free(&c->label[at]);
        c->label[at] = old[k];
    }
    cm_free(old);
}

/* The narrowest type that holds the values of both. */
static enum cm_value both(enum cm_value a, enum cm_value b)
{
    enum cm_value max = a > b ? a : b, min = a < b ? a : b;
    return max == CM_V_F32 && min == CM_V_U32 ? CM_V_F64 : max;
}

/* Writes the values of b as type `to` at entry `at` of raw. */
static void convert(void *raw, uint64_t at, enum cm_value to, const struct cm_block *b)
{
    size_t size = cm_value_size(to);
    if (b->type == to) {
        if (b->nnz && size)
            memcpy((char *)raw + at * size, b->raw, (size_t)b->nnz * size);
        return;
    }
    for (uint64_t e = 0; e < b->nnz; e++) {
        double x = cm_block_x(b, e);
        switch (to) {
        case CM_V_ONE:
            break;
        case CM_V_U8:
            ((uint8_t *)raw)[at + e] = (uint8_t)x;
            break;
        case CM_V_U16:
            ((uint16_t *)raw)[at + e] = (uint16_t)x;
            break;
        case CM_V_U32:
            ((uint32_t *)raw)[at + e] = (uint32_t)x;
            break;
        case CM_V_F32:
            ((float *)raw)[at + e] = (float)x;
            break;
        case CM_V_F64:
            ((double *)raw)[at + e] = x;
            break;
        }
    }
}

static void append_block(struct cm_block *all, const struct cm_block *b)
{
    if (!all->rows) {
        cm_block_copy(all, b);
        return;
    }
    size_t rows = all->rows + b->rows;
    uint64_t nnz = all->nnz + b->nnz;
    enum cm_value type = both(all->type, b->type);
    size_t size = cm_value_size(type);
    if (type != all->type) {
        void *raw = cm_alloc((size_t)nnz + 1, size ? size : 1);
        convert(raw, 0, type, all);
        cm_free(all->raw);
        all->raw = raw;
        all->raw_cap = ((size_t)nnz + 1) * (size ? size : 1);
        all->type = type;
    }
    char *bytes = all->raw;
    CM_GROW(bytes, all->raw_cap, (size_t)nnz * size + 1);
    all->raw = bytes;
    convert(all->raw, all->nnz, type, b);
    if (!all->dense) {
        CM_GROW(all->ptr, all->ptr_cap, rows + 1);
        CM_GROW(all->idx, all->idx_cap, (size_t)nnz + 1);
        for (size_t i = 0; i <= b->rows; i++)
            all->ptr[all->rows + i] = all->nnz + b->ptr[i];
        if (b->nnz)
            memcpy(all->idx + all->nnz, b->idx, (size_t)b->nnz * sizeof *b->idx);
    }
    if (all->rowf || b->rowf) {
        cm_block_rowf(all);
        CM_GROW(all->rowf, all->rowf_cap, rows);
        for (size_t i = 0; i < b->rows; i++)
            all->rowf[all->rows + i] = b->rowf ? b->rowf[i] : 1;
    }
    all->rows = rows;
    all->nnz = nnz;
}

void cm_join_codes_free(struct cm_join_codes *x)
{
    for (size_t k = 0; k < x->n; k++)
        cm_free(x->label[k].to);
    cm_free(x->label);
    *x = (struct cm_join_codes){0};
}

void cm_join_append(struct cm_chunk *all, const struct cm_chunk *c, const struct cm_head *in,
                    struct cm_head *out, struct cm_join_codes *codes)
{
    if (!codes->label) {
        codes->label = CM_ZNEW(out->nlabels, struct cm_code_map);
        codes->n = out->nlabels;
    }
    if (!all->rows) {
        all->rows = 0;
        cm_chunk_labels(all, out);
    }
    for (size_t i = 0; i < c->rows; i++)
        cm_strs_add(&all->names, cm_strs_get(&c->names, i));
    for (size_t k = 0; k < out->nlabels; k++) {
        size_t from = all->label[k].n;
        cm_vec_append(&all->label[k], &c->label[k]);
        int at = cm_head_match_label(in, &out->label[k], k);
        if (out->label[k].type != CM_T_CAT || at < 0)
            continue;
        const struct cm_strs *names = &in->label[at].dict.names;
        struct cm_code_map *m = &codes->label[k];
        uint32_t *code = all->label[k].cat;
        CM_GROW(m->to, m->cap, names->n + 1);
        for (; m->n < names->n; m->n++)
            m->to[m->n] = cm_dict_code(&out->label[k].dict, cm_strs_get(names, m->n));
        for (size_t i = from; i < from + c->rows; i++)
            code[i] = code[i] == CM_CAT_MISSING ? code[i] : m->to[code[i]];
    }
    for (size_t k = 0; k < out->nslots; k++)
        append_block(&all->block[k], &c->block[k]);
    all->rows += c->rows;
}

void cm_join_take(struct cm_chunk *to, const struct cm_chunk *all, const struct cm_head *out,
                  const uint64_t *at, size_t n)
{
    to->rows = n;
    to->first = 0;
    cm_strs_clear(&to->names);
    for (size_t i = 0; i < n; i++)
        cm_strs_add(&to->names, cm_strs_get(&all->names, at[i]));
    cm_chunk_labels(to, out);
    for (size_t k = 0; k < out->nlabels; k++)
        cm_vec_take(&to->label[k], &all->label[k], at, n);
    for (size_t k = 0; k < out->nslots; k++)
        cm_block_take(&to->block[k], &all->block[k], at, n);
}
