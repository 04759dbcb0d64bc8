/* cli/match.c - choosing a decision rule, and the label that restricts candidates.  See match.h. */
#include "cli/match.h"

#include "base/mem.h"

bool cm_rule_choose(const struct cm_rule_options *o, struct cm_rule *rule)
{
    *rule = (struct cm_rule){(enum cm_rule_method)o->method, o->temperature, o->hard};
    if (o->model) {
        if (cm_given("method"))
            cm_usage_error("--model and --method contradict each other");
        struct cm_reader *m = cm_in_open(o->model);
        cm_require_kind(m, CM_MODEL);
        cm_try(cm_fail_in(cm_rule_read(&cm_reader_head(m)->kv, rule), o->model));
        cm_try(cm_reader_drain(m));
        if (cm_given("temperature"))
            rule->temperature = o->temperature;
    }
    return o->model || cm_given("method") || cm_given("temperature");
}

static _Noreturn void no_label(const struct cm_reader *r, const char *side, const char *name)
{
    cm_die(3, "%s: --within: the %s have no label '%s'", cm_reader_path(r), side, name);
}

void cm_within_make(struct cm_within *x, const struct cm_rule_options *o,
                    const struct cm_reader *rows, const struct cm_reader *of,
                    const struct cm_table *cols)
{
    if (!o->within)
        return;
    struct cm_strs text = {0};
    if (cols) {
        int at = cm_head_find_label(&cols->head, o->within);
        if (at < 0)
            no_label(of, "cells", o->within);
        cm_vec_text(&cols->label[at], &cols->head.label[at].dict, &text);
    } else {
        const struct cm_vec *v = cm_cols_find(&cm_reader_head(rows)->slot[0].cols, o->within);
        if (!v)
            no_label(rows, "columns", o->within);
        cm_vec_text(v, NULL, &text);
    }
    int at = cm_head_find_label(cm_reader_head(rows), o->within);
    if (at < 0)
        no_label(rows, cols ? "cells" : "rows", o->within);
    x->rows = rows;
    x->label = (size_t)at;
    cm_groups_make(&x->groups, &text);
    x->col = x->groups.code;
    cm_strs_free(&text);
}

void cm_within_rows(struct cm_within *x, const struct cm_vec *labels)
{
    if (!x->rows)
        return;
    const struct cm_vec *v = &labels[x->label];
    struct cm_strs text = {0};
    cm_vec_text(v, &cm_reader_head(x->rows)->label[x->label].dict, &text);
    x->row = cm_realloc(x->row, v->n, sizeof *x->row);
    cm_groups_codes(&x->groups, &text, x->row);
    cm_strs_free(&text);
}

void cm_within_free(struct cm_within *x)
{
    cm_groups_free(&x->groups);
    cm_free(x->row);
    *x = (struct cm_within){0};
}
