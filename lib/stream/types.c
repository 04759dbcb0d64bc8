/* stream/types.c - what a head is made of: typed vectors, column tables, keys and values, slots.
 *
 * Each structure has one deep copy and one free, and selections carry every vector along, so that
 * a tool cannot lose one by accident.  Keys and categories have an index, as a file may hold any
 * number of them.  Rejected: a tree of generic values (it would move the checks into the tools).
 */
#include "stream/cms.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"

/* ===== names of enumerations ============================================================== */

const char *cm_kind_name(enum cm_kind k)
{
    static const char *const name[] = {"matrix", "embedding", "pairs", "match", "model", "table"};
    return name[k];
}

size_t cm_value_size(enum cm_value v)
{
    static const size_t size[] = {0, 1, 2, 4, 4, 8};
    return size[v];
}

const char *cm_value_name(enum cm_value v)
{
    static const char *const name[] = {"one", "u8", "u16", "u32", "f32", "f64"};
    return name[v];
}

static const char *const state_name[] = {"unknown", "counts",    "binary",     "lognorm",
                                         "sqrt",    "tfidf",     "clr",        "scaled",
                                         "svd",     "embedding", "similarity", "probability"};

const char *cm_state_name(enum cm_state s) { return state_name[s]; }

const char *cm_match_numbers(const struct cm_head *h)
{
    enum cm_state s = h->slot[0].state;
    const char *values = s == CM_S_PROBABILITY ? cm_kv_get(&h->kv, "rule.values") : NULL;
    if (values && (strcmp(values, "decision") == 0 || strcmp(values, "weight") == 0))
        return values;
    return s == CM_S_PROBABILITY || s == CM_S_SIMILARITY ? cm_state_name(s) : "value";
}

bool cm_state_parse(const char *name, enum cm_state *s)
{
    for (size_t i = 0; i < sizeof state_name / sizeof *state_name; i++)
        if (!strcmp(name, state_name[i])) {
            *s = (enum cm_state)i;
            return true;
        }
    return false;
}

/* ===== typed vectors ====================================================================== */

void cm_vec_free(struct cm_vec *v)
{
    cm_free(v->name);
    cm_free(v->cat);
    cm_free(v->b);
    cm_free(v->i);
    cm_free(v->f);
    cm_strs_free(&v->s);
    *v = (struct cm_vec){0};
}

/* Room for n items in the array of the vector's type. */
static void vec_capacity(struct cm_vec *v, size_t n)
{
    switch (v->type) {
    case CM_T_CAT:
        CM_GROW(v->cat, v->cap, n);
        break;
    case CM_T_BOOL:
        CM_GROW(v->b, v->cap, n);
        break;
    case CM_T_I64:
        CM_GROW(v->i, v->cap, n);
        break;
    case CM_T_F64:
        CM_GROW(v->f, v->cap, n);
        break;
    case CM_T_STR:
        break;
    }
}

static void vec_missing(struct cm_vec *v, size_t from, size_t to)
{
    for (size_t k = from; k < to; k++)
        switch (v->type) {
        case CM_T_CAT:
            v->cat[k] = CM_CAT_MISSING;
            break;
        case CM_T_BOOL:
            v->b[k] = CM_BOOL_MISSING;
            break;
        case CM_T_I64:
            v->i[k] = CM_I64_MISSING;
            break;
        case CM_T_F64:
            v->f[k] = NAN;
            break;
        case CM_T_STR:
            cm_strs_add(&v->s, "");
            break;
        }
}

void cm_vec_reset(struct cm_vec *v, const char *name, enum cm_type type, size_t n)
{
    if (v->type != type) { /* another array: the old one would keep a wrong `cap` */
        cm_vec_free(v);
        v->type = type;
    }
    if (!v->name || strcmp(v->name, name)) {
        char *copy = cm_strdup(name);
        cm_free(v->name);
        v->name = copy;
    }
    cm_strs_clear(&v->s);
    vec_capacity(v, n);
    v->n = n;
    vec_missing(v, 0, n);
}

/* Item `at` of `from` behind the last of `to` (types equal, room made). */
static void vec_push(struct cm_vec *to, const struct cm_vec *from, size_t at)
{
    switch (to->type) {
    case CM_T_CAT:
        to->cat[to->n] = from->cat[at];
        break;
    case CM_T_BOOL:
        to->b[to->n] = from->b[at];
        break;
    case CM_T_I64:
        to->i[to->n] = from->i[at];
        break;
    case CM_T_F64:
        to->f[to->n] = from->f[at];
        break;
    case CM_T_STR:
        cm_strs_add(&to->s, cm_strs_get(&from->s, at));
        break;
    }
    to->n++;
}

void cm_vec_take(struct cm_vec *to, const struct cm_vec *from, const uint64_t *at, size_t n)
{
    struct cm_vec v = {0};
    cm_vec_reset(&v, from->name, from->type, 0);
    vec_capacity(&v, n);
    for (size_t k = 0; k < n; k++)
        vec_push(&v, from, at[k]);
    cm_vec_free(to);
    *to = v;
}

double cm_vec_number(const struct cm_vec *v, size_t i)
{
    double x;
    if (!v)
        return NAN;
    if (v->type == CM_T_STR)
        return cm_parse_f64(cm_strs_get(&v->s, i), &x) ? x : NAN;
    if (v->type == CM_T_I64)
        return v->i[i] == CM_I64_MISSING ? NAN : (double)v->i[i];
    return v->type == CM_T_F64 ? v->f[i] : NAN;
}

void cm_vec_append(struct cm_vec *to, const struct cm_vec *from)
{
    CM_ASSERT(to->type == from->type);
    size_t n = from->n;
    vec_capacity(to, to->n + n);
    switch (n ? to->type : CM_T_STR) {
    case CM_T_CAT:
        memcpy(to->cat + to->n, from->cat, n * sizeof *to->cat);
        break;
    case CM_T_BOOL:
        memcpy(to->b + to->n, from->b, n * sizeof *to->b);
        break;
    case CM_T_I64:
        memcpy(to->i + to->n, from->i, n * sizeof *to->i);
        break;
    case CM_T_F64:
        memcpy(to->f + to->n, from->f, n * sizeof *to->f);
        break;
    case CM_T_STR:
        for (size_t k = 0; k < n; k++)
            cm_strs_add(&to->s, cm_strs_get(&from->s, k));
        break;
    }
    to->n += n;
}

void cm_vec_copy(struct cm_vec *to, const struct cm_vec *from)
{
    if (to == from)
        return;
    cm_vec_reset(to, from->name ? from->name : "", from->type, 0);
    if (from->type == CM_T_STR && from->s.n == from->n) {
        cm_strs_copy(&to->s, &from->s);
        to->n = from->n;
    } else {
        cm_vec_append(to, from);
    }
}

/* ===== column tables ====================================================================== */

struct cm_vec *cm_cols_find(const struct cm_cols *c, const char *name)
{
    for (size_t k = 0; k < c->nvec; k++)
        if (!strcmp(c->vec[k].name, name))
            return &c->vec[k];
    return NULL;
}

struct cm_vec *cm_cols_vec(struct cm_cols *c, const char *name, enum cm_type type)
{
    CM_ASSERT(type != CM_T_CAT);
    struct cm_vec *v = cm_cols_find(c, name);
    if (v && v->type == type)
        return v;
    if (!v) {
        c->vec = cm_realloc(c->vec, c->nvec + 1, sizeof *c->vec);
        v = &c->vec[c->nvec++];
        *v = (struct cm_vec){0};
        cm_vec_reset(v, name, type, c->names.n);
    } else {
        char *keep = cm_strdup(name); /* `name` may be v->name itself */
        cm_vec_reset(v, keep, type, c->names.n);
        cm_free(keep);
    }
    return v;
}

int cm_cols_rename(struct cm_cols *c, const char *name, const char *ids)
{
    const struct cm_vec *v = cm_cols_find(c, name);
    if (!v || v->type != CM_T_STR)
        return cm_fail(CM_EINPUT, "the features have no text '%s'", name);
    struct cm_strs names = {0}, had = {0};
    for (size_t j = 0; j < c->names.n; j++)
        cm_strs_add(&names, cm_strs_get(*cm_strs_get(&v->s, j) ? &v->s : &c->names, j));
    cm_strs_copy(&had, &c->names);
    cm_strs_copy(&c->names, &names);
    cm_strs_copy(&cm_cols_vec(c, ids, CM_T_STR)->s, &had);
    cm_strs_free(&names);
    cm_strs_free(&had);
    return 0;
}

void cm_cols_drop(struct cm_cols *c, const char *name)
{
    struct cm_vec *v = cm_cols_find(c, name);
    if (!v)
        return;
    size_t k = (size_t)(v - c->vec);
    cm_vec_free(v);
    memmove(v, v + 1, (c->nvec - k - 1) * sizeof *v);
    c->nvec--;
}

int cm_cols_unique(const struct cm_cols *c, const char *path)
{
    struct cm_index x;
    size_t repeated = 0;
    int code = 0;
    cm_index_make(&x, &c->names);
    size_t again = x.duplicate;
    for (size_t j = 0; again != CM_ABSENT && j < c->names.n; j++)
        repeated += cm_index_find(&x, cm_strs_get(&c->names, j)) != j;
    if (again != CM_ABSENT)
        code = cm_fail(CM_EINPUT,
                       "%s: the column name '%s' occurs twice, in columns %zu and %zu (%zu names "
                       "repeat others); h5-read and mtx-read --make-unique tell them apart",
                       path, cm_strs_get(&c->names, again),
                       cm_index_find(&x, cm_strs_get(&c->names, again)) + 1, again + 1, repeated);
    cm_index_free(&x);
    return code;
}

void cm_cols_free(struct cm_cols *c)
{
    cm_strs_free(&c->names);
    for (size_t k = 0; k < c->nvec; k++)
        cm_vec_free(&c->vec[k]);
    cm_free(c->vec);
    *c = (struct cm_cols){0};
}

void cm_cols_copy(struct cm_cols *to, const struct cm_cols *from)
{
    if (to == from)
        return;
    cm_cols_free(to);
    cm_strs_copy(&to->names, &from->names);
    to->nvec = from->nvec;
    to->vec = CM_ZNEW(from->nvec, struct cm_vec);
    for (size_t k = 0; k < from->nvec; k++)
        cm_vec_copy(&to->vec[k], &from->vec[k]);
}

void cm_cols_select(struct cm_cols *c, const uint64_t *at, size_t n)
{
    struct cm_strs names = {0};
    for (size_t k = 0; k < n; k++)
        cm_strs_add(&names, cm_strs_get(&c->names, at[k]));
    cm_strs_free(&c->names);
    c->names = names;
    for (size_t k = 0; k < c->nvec; k++)
        cm_vec_take(&c->vec[k], &c->vec[k], at, n);
}

uint64_t cm_cols_hash(const struct cm_cols *c)
{
    struct cm_hash *h = cm_hash_new();
    for (size_t k = 0; k < c->names.n; k++) {
        const char *s = cm_strs_get(&c->names, k);
        cm_hash_update(h, s, strlen(s) + 1);
    }
    uint64_t v = cm_hash_value(h);
    cm_hash_free(h);
    return v;
}

/* ===== keys and values ==================================================================== */

static size_t kv_find(const struct cm_kv *kv, const char *key)
{
    return kv->key.n ? cm_index_find_in(&kv->index, &kv->key, key) : CM_ABSENT;
}

const char *cm_kv_get(const struct cm_kv *kv, const char *key)
{
    size_t k = kv_find(kv, key);
    return k == CM_ABSENT ? NULL : cm_strs_get(&kv->value, k);
}

void cm_kv_add(struct cm_kv *kv, const char *key, const char *value)
{
    cm_strs_add(&kv->key, key);
    cm_strs_add(&kv->value, value);
    cm_index_extend(&kv->index, &kv->key);
}

void cm_kv_set(struct cm_kv *kv, const char *key, const char *value)
{
    size_t at = kv_find(kv, key);
    if (at == CM_ABSENT) {
        cm_kv_add(kv, key, value);
        return;
    }
    struct cm_strs values = {0}; /* packed lists cannot change one string in place */
    for (size_t k = 0; k < kv->value.n; k++)
        cm_strs_add(&values, k == at ? value : cm_strs_get(&kv->value, k));
    cm_strs_free(&kv->value);
    kv->value = values;
}

void cm_kv_setf(struct cm_kv *kv, const char *key, double value)
{
    char text[CM_NUMBER_MAX];
    cm_kv_set(kv, key, cm_format_f64(value, text));
}

void cm_kv_seti(struct cm_kv *kv, const char *key, int64_t value)
{
    char text[CM_NUMBER_MAX];
    snprintf(text, sizeof text, "%lld", (long long)value);
    cm_kv_set(kv, key, text);
}

int cm_kv_f64(const struct cm_kv *kv, const char *key, double *out)
{
    const char *v = cm_kv_get(kv, key);
    if (!v)
        return cm_fail(CM_EINPUT, "key %s is missing", key);
    if (!cm_parse_f64(v, out))
        return cm_fail(CM_EINPUT, "key %s: expected a number, found \"%s\"", key, v);
    return 0;
}

int cm_kv_i64(const struct cm_kv *kv, const char *key, int64_t *out)
{
    const char *v = cm_kv_get(kv, key);
    if (!v)
        return cm_fail(CM_EINPUT, "key %s is missing", key);
    if (!cm_parse_i64(v, out))
        return cm_fail(CM_EINPUT, "key %s: expected a whole number, found \"%s\"", key, v);
    return 0;
}

void cm_kv_drop(struct cm_kv *kv, const char *prefix)
{
    struct cm_kv left = {0};
    for (size_t k = 0; k < kv->key.n; k++)
        if (strncmp(cm_strs_get(&kv->key, k), prefix, strlen(prefix)))
            cm_kv_add(&left, cm_strs_get(&kv->key, k), cm_strs_get(&kv->value, k));
    cm_kv_free(kv);
    *kv = left;
}

void cm_kv_free(struct cm_kv *kv)
{
    cm_strs_free(&kv->key);
    cm_strs_free(&kv->value);
    cm_index_free(&kv->index);
}

static void kv_copy(struct cm_kv *to, const struct cm_kv *from)
{
    cm_strs_copy(&to->key, &from->key);
    cm_strs_copy(&to->value, &from->value);
    cm_index_extend(&to->index, &to->key);
}

/* ===== heads ============================================================================== */

static void slot_free(struct cm_slot *s)
{
    cm_free(s->name);
    cm_cols_free(&s->cols);
    cm_kv_free(&s->fit);
    *s = (struct cm_slot){0};
}

void cm_head_free(struct cm_head *h)
{
    for (size_t k = 0; k < h->nslots; k++)
        slot_free(&h->slot[k]);
    for (size_t k = 0; k < h->nlabels; k++) {
        cm_free(h->label[k].name);
        cm_dict_free(&h->label[k].dict);
    }
    cm_free(h->label);
    cm_kv_free(&h->kv);
    memset(h, 0, sizeof *h);
}

void cm_slot_copy(struct cm_slot *to, const struct cm_slot *from)
{
    if (to == from)
        return;
    slot_free(to);
    *to = *from; /* scalars; what follows replaces every pointer */
    to->name = cm_strdup(from->name);
    to->cols = (struct cm_cols){0};
    to->fit = (struct cm_kv){0};
    cm_cols_copy(&to->cols, &from->cols);
    kv_copy(&to->fit, &from->fit);
}

void cm_head_copy(struct cm_head *to, const struct cm_head *from)
{
    if (to == from)
        return;
    cm_head_free(to);
    to->kind = from->kind;
    to->nslots = from->nslots;
    for (size_t k = 0; k < from->nslots; k++)
        cm_slot_copy(&to->slot[k], &from->slot[k]);
    for (size_t k = 0; k < from->nlabels; k++) {
        const struct cm_label *l = &from->label[k];
        struct cm_label *n = cm_head_add_label(to, l->name, l->type, l->slot);
        cm_strs_copy(&n->dict.names, &l->dict.names);
        n->dict.ordered = l->dict.ordered;
    }
    kv_copy(&to->kv, &from->kv);
}

struct cm_slot *cm_head_add_slot(struct cm_head *h, const char *name)
{
    CM_ASSERT(h->nslots < CM_MAX_SLOTS);
    struct cm_slot *s = &h->slot[h->nslots++];
    *s = (struct cm_slot){.name = cm_strdup(name)};
    return s;
}

struct cm_label *cm_head_add_label(struct cm_head *h, const char *name, enum cm_type type, int slot)
{
    h->label = cm_realloc(h->label, h->nlabels + 1, sizeof *h->label);
    struct cm_label *l = &h->label[h->nlabels++];
    *l = (struct cm_label){.name = cm_strdup(name), .type = type, .slot = slot};
    return l;
}

const char *cm_slot_alias(const char *name)
{
    static const char *const alias[][2] = {{"Gene Expression", "GEX"},
                                           {"rna", "GEX"},
                                           {"gex", "GEX"},
                                           {"RNA", "GEX"},
                                           {"Peaks", "ATAC"},
                                           {"atac", "ATAC"},
                                           {"peaks", "ATAC"},
                                           {"Antibody Capture", "ADT"},
                                           {"adt", "ADT"},
                                           {"prot", "ADT"},
                                           {"protein", "ADT"}};
    for (size_t k = 0; k < sizeof alias / sizeof *alias; k++)
        if (!strcmp(name, alias[k][0]))
            return alias[k][1];
    return name;
}

int cm_head_find_slot(const struct cm_head *h, const char *name)
{
    for (size_t k = 0; k < h->nslots; k++)
        if (!strcmp(cm_slot_alias(h->slot[k].name), cm_slot_alias(name)))
            return (int)k;
    return -1;
}

int cm_head_find_label(const struct cm_head *h, const char *name)
{
    for (size_t k = 0; k < h->nlabels; k++)
        if (!strcmp(h->label[k].name, name))
            return (int)k;
    return -1;
}

static bool same_label(const struct cm_label *a, const struct cm_label *b)
{
    return a->slot == b->slot && !strcmp(a->name, b->name);
}

int cm_head_match_label(const struct cm_head *h, const struct cm_label *l, size_t hint)
{
    if (hint < h->nlabels && same_label(&h->label[hint], l))
        return (int)hint;
    for (size_t k = 0; k < h->nlabels; k++)
        if (same_label(&h->label[k], l))
            return (int)k;
    return cm_head_find_label(h, l->name);
}

int cm_head_no_label(const struct cm_head *h, const char *name)
{
    struct cm_buf have = {0};
    for (size_t k = 0; k < h->nlabels && have.n < 400; k++)
        cm_buf_printf(&have, "%s%.60s", k ? ", " : "", h->label[k].name);
    int code = cm_fail(CM_EINPUT, "no label \"%s\"; labels here: %s", name,
                       have.n ? (const char *)have.p : "none");
    cm_buf_free(&have);
    return code;
}

uint32_t cm_dict_code(struct cm_dict *d, const char *name)
{
    cm_index_extend(&d->index, &d->names);
    size_t at = cm_index_find(&d->index, name);
    if (at != CM_ABSENT)
        return (uint32_t)at;
    cm_strs_add(&d->names, name);
    return (uint32_t)d->names.n - 1;
}

void cm_dict_free(struct cm_dict *d)
{
    cm_strs_free(&d->names);
    cm_index_free(&d->index);
}
