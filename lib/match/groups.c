/* match/groups.c - labels as text, and codes for equal texts.  See groups.h. */
#include "match/groups.h"

#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

void cm_vec_text(const struct cm_vec *v, const struct cm_dict *dict, struct cm_strs *out)
{
    char buf[CM_NUMBER_MAX];
    for (size_t i = 0; i < v->n; i++) {
        const char *text = "";
        switch (v->type) {
        case CM_T_CAT:
            if (v->cat[i] != CM_CAT_MISSING && dict && v->cat[i] < dict->names.n)
                text = cm_strs_get(&dict->names, v->cat[i]);
            break;
        case CM_T_BOOL:
            if (v->b[i] != CM_BOOL_MISSING)
                text = v->b[i] ? "true" : "false";
            break;
        case CM_T_I64:
            if (v->i[i] != CM_I64_MISSING) {
                snprintf(buf, sizeof buf, "%lld", (long long)v->i[i]);
                text = buf;
            }
            break;
        case CM_T_F64:
            if (!isnan(v->f[i]))
                text = cm_format_f64(v->f[i], buf);
            break;
        case CM_T_STR:
            text = cm_strs_get(&v->s, i);
            break;
        }
        cm_strs_add(out, text);
    }
}

void cm_groups_make(struct cm_groups *g, const struct cm_strs *text)
{
    *g = (struct cm_groups){0};
    cm_strs_copy(&g->text, text);
    cm_index_make(&g->at, &g->text);
    g->code = CM_NEW(text->n, uint32_t);
    for (size_t i = 0; i < text->n; i++) {
        const char *s = cm_strs_get(&g->text, i);
        size_t first = cm_index_find(&g->at, s);
        if (!*s)
            g->code[i] = CM_GROUP_NONE;
        else
            g->code[i] = first == i ? (uint32_t)g->n++ : g->code[first];
    }
}

void cm_groups_codes(const struct cm_groups *g, const struct cm_strs *text, uint32_t *out)
{
    for (size_t i = 0; i < text->n; i++) {
        size_t at = cm_index_find(&g->at, cm_strs_get(text, i));
        out[i] = at == CM_ABSENT ? CM_GROUP_NONE : g->code[at];
    }
}

void cm_groups_free(struct cm_groups *g)
{
    cm_strs_free(&g->text);
    cm_index_free(&g->at);
    cm_free(g->code);
    *g = (struct cm_groups){0};
}

void cm_labels_to_columns(const struct cm_table *t, struct cm_cols *cols)
{
    CM_ASSERT(cols->names.n == t->names.n);
    for (size_t l = 0; l < t->head.nlabels; l++) {
        const struct cm_label *label = &t->head.label[l];
        cm_cols_drop(cols, label->name);
        enum cm_type type = label->type == CM_T_CAT ? CM_T_STR : label->type;
        struct cm_vec *to = cm_cols_vec(cols, label->name, type);
        if (label->type != CM_T_CAT) {
            cm_vec_copy(to, &t->label[l]);
            continue;
        }
        cm_strs_clear(&to->s);
        cm_vec_text(&t->label[l], &label->dict, &to->s);
    }
}
