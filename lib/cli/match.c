/* cli/match.c - choosing a decision rule, and the label that restricts candidates.  See match.h. */
#include "cli/match.h"

#include <inttypes.h>

#include "base/mem.h"

/* An option given on the command line that the rule has no use for. */
static void refuse(const char *option, bool given, const char *rules, bool useful)
{
    if (given && !useful)
        cm_usage_error("--%s is an option of %s", option, rules);
}

static void check_options(const struct cm_rule_options *o, enum cm_rule_method m)
{
    bool any = o->tune && !cm_given("method"); /* all rules are tried */
    bool sinkhorn = m == CM_RULE_SINKHORN || any;
    bool near = m == CM_RULE_CSLS || m == CM_RULE_SNN || any;
    bool tempered = cm_rule_tempered(m) || any;
    /* knn-match has no such options and leaves zeros here: cm_given must not ask for them */
    bool iterations = o->iterations > 0 && cm_given("iterations");
    refuse("temperature", cm_given("temperature"), "softmax, dual, csls and sinkhorn", tempered);
    refuse("neighbours", o->neighbours > 0, "csls and snn", near);
    refuse("iterations", iterations, "sinkhorn", sinkhorn);
    refuse("epsilon", o->epsilon > 0, "sinkhorn", sinkhorn);
    if (o->epsilon > 0 && cm_given("temperature"))
        cm_usage_error("--epsilon and --temperature contradict each other");
}

static void check_temperatures(const struct cm_rule_options *o)
{
    const char *name = o->sharp ? "sharp" : "calibrated";
    if (o->calibrated && o->sharp)
        cm_usage_error("--calibrated and --sharp contradict each other");
    if (!o->calibrated && !o->sharp)
        return;
    if (!o->model)
        cm_usage_error("--%s needs --model", name);
    if (cm_given("temperature"))
        cm_usage_error("--%s and --temperature contradict each other", name);
}

/* Rule and temperature from the model; see cm_rule_values of the meaning of its numbers. */
static void take_model(const struct cm_rule_options *o, size_t inputs, struct cm_rule *rule,
                       struct cm_rule_more *more)
{
    struct cm_reader *m = cm_in_open(o->model);
    cm_require_kind(m, CM_MODEL);
    const struct cm_kv *kv = &cm_reader_head(m)->kv;
    cm_try(cm_fail_in(cm_rule_read(kv, rule), o->model));
    bool sharp = o->sharp || (o->hard && !o->calibrated); /* a decision needs no honesty */
    more->values = CM_RULE_SHARP;
    if (cm_given("temperature")) {
        rule->temperature = o->temperature;
        more->values = CM_RULE_GIVEN;
    } else if (o->calibrated || (!sharp && cm_kv_get(kv, "rule.calibrated"))) {
        cm_try(cm_fail_in(cm_rule_calibrated(kv, rule), o->model));
        rule->temperature /= (double)(inputs ? inputs : 1);
        more->values = CM_RULE_CALIBRATED;
    } else if (!sharp) {
        cm_warn("%s has no calibrated temperature: probabilities at temperature %g, that of the "
                "highest match probability, claim more than they know (--sharp: no warning)",
                o->model, rule->temperature);
    }
    cm_try(cm_reader_drain(m));
}

bool cm_rule_choose(const struct cm_rule_options *o, size_t inputs, struct cm_rule *rule,
                    struct cm_rule_more *more)
{
    *rule = (struct cm_rule){(enum cm_rule_method)o->method, o->temperature, o->hard};
    *more = (struct cm_rule_more){.neighbours = (size_t)o->neighbours,
                                  .iterations = (size_t)o->iterations,
                                  .epsilon = o->epsilon,
                                  .quantile = o->quantile};
    if (o->model && o->tune)
        cm_usage_error("--model and --tune contradict each other");
    check_temperatures(o);
    if (o->model && cm_given("method"))
        cm_usage_error("--model and --method contradict each other");
    if (o->model)
        take_model(o, inputs, rule, more);
    if (o->hard || rule->method == CM_RULE_EXACT)
        more->values = CM_RULE_DECISION;
    else if (rule->method == CM_RULE_SNN)
        more->values = CM_RULE_WEIGHT;
    check_options(o, rule->method);
    return o->model || o->quantile > 0 || cm_given("method") || cm_given("temperature");
}

static void print_choice(FILE *to, const char *front, const struct cm_choice *x)
{
    fprintf(to, "%s%s\t", front, cm_rule_name(x->rule.method));
    if (cm_rule_tempered(x->rule.method))
        fprintf(to, "%g", x->rule.temperature);
    fprintf(to, "\t%.6f\t%.6f", x->soft, x->hard);
    if (cm_rule_tempered(x->rule.method))
        fprintf(to, "\t%.6f\n", x->loss);
    else
        fputs("\t\n", to);
}

void cm_print_choices(FILE *to, const struct cm_choice *c, size_t n, size_t best,
                      const struct cm_choice *calibrated)
{
    fprintf(to, "method\ttemperature\tsoft\thard\tlog_loss\n");
    for (size_t k = 0; k < n; k++)
        print_choice(to, "", &c[k]);
    if (calibrated)
        print_choice(to, "calibrated\t", calibrated);
    print_choice(to, "choice\t", &c[best]);
}

static _Noreturn void no_label(const struct cm_reader *r, const struct cm_head *h, const char *side,
                               const char *name)
{
    char what[64];
    snprintf(what, sizeof what, "--within: the %s", side);
    cm_fail_in(cm_fail_in(cm_head_no_label(h, name), what), cm_reader_path(r));
    cm_die_code(CM_EINPUT);
}

/* The same of the columns of a match, whose labels are columns of its table. */
static _Noreturn void no_column_label(const struct cm_reader *r, const char *name)
{
    const struct cm_cols *c = &cm_reader_head(r)->slot[0].cols;
    struct cm_head h = {0};
    for (size_t k = 0; k < c->nvec; k++)
        cm_head_add_label(&h, c->vec[k].name, CM_T_STR, -1);
    no_label(r, &h, "columns", name);
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
            no_label(of, &cols->head, "cells", o->within);
        cm_vec_text(&cols->label[at], &cols->head.label[at].dict, &text);
    } else {
        const struct cm_vec *v = cm_cols_find(&cm_reader_head(rows)->slot[0].cols, o->within);
        if (!v)
            no_column_label(rows, o->within);
        cm_vec_text(v, NULL, &text);
    }
    int at = cm_head_find_label(cm_reader_head(rows), o->within);
    if (at < 0)
        no_label(rows, cm_reader_head(rows), cols ? "cells" : "rows", o->within);
    x->rows = rows;
    x->label = (size_t)at;
    cm_groups_make(&x->groups, &text);
    x->col = x->groups.code;
    x->name = o->within;
    x->cols_path = cm_reader_path(cols ? of : rows);
    x->ncols = text.n;
    for (size_t j = 0; j < text.n; j++)
        x->cols_missing += !*cm_strs_get(&text, j);
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
    x->nrows += text.n;
    for (size_t i = 0; i < text.n; i++) {
        bool missing = !*cm_strs_get(&text, i);
        x->rows_missing += missing;
        x->rows_foreign += !missing && x->row[i] == CM_GROUP_NONE;
    }
    cm_strs_free(&text);
}

void cm_within_again(struct cm_within *x) { x->nrows = x->rows_missing = x->rows_foreign = 0; }

void cm_within_free(struct cm_within *x)
{
    if (x->rows_missing)
        cm_warn("%s: --within: %" PRIu64 " of %" PRIu64
                " rows have no value of label \"%s\" and so no candidate",
                cm_reader_path(x->rows), x->rows_missing, x->nrows, x->name);
    if (x->rows_foreign)
        cm_warn("%s: --within: %" PRIu64 " of %" PRIu64
                " rows have a value of label \"%s\" that no column has, and so no candidate",
                cm_reader_path(x->rows), x->rows_foreign, x->nrows, x->name);
    if (x->cols_missing)
        cm_warn("%s: --within: %" PRIu64 " of %" PRIu64
                " columns have no value of label \"%s\" and are no candidates",
                x->cols_path, x->cols_missing, x->ncols, x->name);
    cm_groups_free(&x->groups);
    cm_free(x->row);
    *x = (struct cm_within){0};
}
