/* plot/report.c - what is said of a match itself: summary, certainty, labels.  See report.h. */
#include "plot/report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "match/groups.h"
#include "match/metrics.h"
#include "match/rules.h"
#include "match/transfer.h"
#include "plot/svg.h"

/* ===== numbers ============================================================================ */

/* Of one row: the probability of the first choice, the share of it that is right (equals share),
 * and the partner's probability.  All NaN without candidates, the last two without a partner. */
struct row {
    double claimed, right, own;
};

static struct row read_row(const struct cm_report *r, size_t i)
{
    const struct cm_csr *m = &r->match->csr;
    uint32_t partner = r->truth->col_of_row[i];
    double sum = 0, max = 0, own = 0;
    size_t equals = 0;
    for (uint64_t k = m->ptr[i]; k < m->ptr[i + 1]; k++) {
        double v = (double)m->val[k];
        if (!(v > 0))
            continue;
        sum += v;
        equals = v > max ? 1 : equals + !(v < max);
        max = fmax(max, v);
        own = m->idx[k] == partner ? v : own;
    }
    if (!(sum > 0))
        return (struct row){NAN, NAN, NAN};
    bool first = own > 0 && !(own < max);
    if (partner == CM_UNPAIRED)
        return (struct row){max / sum, NAN, NAN};
    return (struct row){max / sum, first ? 1 / (double)equals : 0, own / sum};
}

static void count_truth(const struct cm_report *r, struct cm_report_numbers *n)
{
    const struct cm_csr *m = &r->match->csr;
    struct cm_codes batch = cm_match_codes(r->match, r->truth, r->extra, "batch");
    struct cm_ranks forward, reverse;
    n->chance = cm_match_chance(r->truth, batch.row, batch.col);
    cm_codes_free(&batch);
    cm_match_ranks(m, r->truth, &forward, &reverse);
    n->top1 = forward.top[0];
    n->top5 = forward.top[1];
    n->top10 = forward.top[2];
    n->median_rank = forward.median;
    if (r->match->head.slot[0].state == CM_S_PROBABILITY) {
        struct cm_probability p;
        cm_match_probability(m, r->truth, &p);
        n->soft = p.filled;
    }
    if (n->probable) {
        struct cm_reliability rel;
        cm_match_reliability(m, r->truth, &rel);
        n->ece = rel.ece;
        n->ece_by_chance = rel.ece_by_chance;
    }
}

void cm_report_count(const struct cm_report *r, struct cm_report_numbers *n)
{
    const struct cm_csr *m = &r->match->csr;
    const struct cm_head *h = &r->match->head;
    *n = (struct cm_report_numbers){.rows = m->rows,
                                    .cols = m->cols,
                                    .paired = r->truth->n,
                                    .per_row = (double)m->ptr[m->rows] / (double)m->rows,
                                    .claimed = NAN,
                                    .chance = NAN,
                                    .soft = NAN,
                                    .top1 = NAN,
                                    .top5 = NAN,
                                    .top10 = NAN,
                                    .median_rank = NAN,
                                    .ece = NAN,
                                    .ece_by_chance = NAN};
    n->probable =
        h->slot[0].state == CM_S_PROBABILITY && cm_rule_values_probable(cm_rule_values(&h->kv));
    double claimed = 0;
    for (size_t i = 0; i < m->rows; i++) {
        struct row x = read_row(r, i);
        n->empty += isnan(x.claimed);
        claimed += isnan(x.claimed) ? 0 : x.claimed;
    }
    if (n->probable && n->empty < n->rows)
        n->claimed = claimed / (double)(n->rows - n->empty);
    if (n->paired)
        count_truth(r, n);
}

/* ===== sections =========================================================================== */

static const char *key(const struct cm_report *r, const char *name, const char *absent)
{
    const char *v = cm_kv_get(&r->match->head.kv, name);
    return v ? v : absent;
}

void cm_report_summary(struct cm_page *p, const struct cm_report *r,
                       const struct cm_report_numbers *n)
{
    char rows[CM_TICK_TEXT], cols[CM_TICK_TEXT], rule[200] = "";
    const char *method = cm_kv_get(&r->match->head.kv, "rule.method");
    double temperature;
    cm_thousands((double)n->rows, 0, rows);
    cm_thousands((double)n->cols, 0, cols);
    if (method)
        snprintf(rule, sizeof rule, ", rule %.100s", method);
    if (method && cm_kv_get(&r->match->head.kv, "rule.temperature") &&
        !cm_kv_f64(&r->match->head.kv, "rule.temperature", &temperature))
        snprintf(rule, sizeof rule, ", rule %.100s at temperature %.4g", method, temperature);
    cm_page_section(p, "What was matched");
    cm_page_text(p,
                 "%s cells of %s (rows) with %s cells of %s (columns). Stored values: %s; "
                 "%.4g candidates a cell%s.",
                 rows, key(r, "match.rows", "one side"), cols, key(r, "match.cols", "the other"),
                 cm_match_numbers(&r->match->head), n->per_row, rule);
    if (!isnan(n->claimed))
        cm_page_text(
            p,
            "By its own probabilities the match expects %.0f of %s first choices (%.1f %%) "
            "to be right.",
            n->claimed * (double)(n->rows - n->empty), rows,
            100 * n->claimed * (double)(n->rows - n->empty) / (double)n->rows);
    if (n->paired)
        cm_page_text(p,
                     "The true partners of %zu cells are known: %.1f %% of the first choices are "
                     "right, by chance %.2f %% would be.",
                     n->paired, 100 * n->top1, 100 * n->chance);
    else
        cm_page_text(p, "The true partners are not known, so nothing here says how many choices "
                        "are right in fact.");
    if (n->empty)
        cm_page_warn(p, "%zu of %s cells have no candidate at all.", n->empty, rows);
    if (!n->probable)
        cm_page_warn(p, "The numbers of this match are no probabilities; assign(1) makes them of "
                        "similarities, with the temperature that a model was given.");
    if (cm_rule_values(&r->match->head.kv) == CM_RULE_SHARP)
        cm_page_warn(p, "The temperature is that of the highest match probability; the "
                        "probabilities claim more than they know.");
}

static void put_number(struct cm_page *p, const char *name, double v, int decimals,
                       const char *meaning)
{
    char text[64];
    if (isnan(v))
        return;
    snprintf(text, sizeof text, "%.*f", decimals, v);
    cm_page_row(p, (const char *const[]){name, text, meaning});
}

static void put_numbers(struct cm_page *p, const struct cm_report_numbers *n)
{
    cm_page_table_begin(p, "lrl", (const char *const[]){"measure", "value", "meaning"});
    put_number(p, "match probability", n->soft, 4, "mean probability of the true partner");
    put_number(p, "chance", n->chance, 4, "the same of a matcher that knows nothing");
    put_number(p, "top 1", n->top1, 4, "share of cells whose partner is the first choice");
    put_number(p, "top 5", n->top5, 4, "among the first five");
    put_number(p, "top 10", n->top10, 4, "among the first ten");
    put_number(p, "median rank", n->median_rank, 1, "of the partner among all candidates");
    put_number(p, "calibration error", n->ece, 4, "mean distance of claimed and right, ten bins");
    put_number(p, "the same by chance", n->ece_by_chance, 4,
               "what true probabilities would show on so many cells");
    cm_page_table_end(p);
}

void cm_report_certainty(struct cm_page *p, const struct cm_report *r,
                         const struct cm_report_numbers *n)
{
    if (!n->paired)
        return;
    struct cm_figure reliability = {0}, ranks = {0}, pr = {0};
    struct cm_codes batch = cm_match_codes(r->match, r->truth, r->extra, "batch");
    cm_page_section(p, "How sure");
    put_numbers(p, n);
    cm_page_figures_begin(p);
    if (n->probable) {
        cm_plot_reliability(&reliability, &r->match->csr, r->truth);
        cm_page_figure(p, &reliability);
    }
    cm_plot_ranks(&ranks, &r->match->csr, r->truth, batch.row, batch.col);
    cm_page_figure(p, &ranks);
    cm_plot_pr(&pr, &r->match->csr, r->truth);
    cm_page_figure(p, &pr);
    cm_page_figures_end(p);
    cm_codes_free(&batch);
    cm_figure_free(&reliability);
    cm_figure_free(&ranks);
    cm_figure_free(&pr);
}

/* ===== by label =========================================================================== */

/* The label of each row, "" where it is not known; false where nobody has it. */
static bool row_texts(const struct cm_report *r, struct cm_strs *text)
{
    int own = cm_head_find_label(&r->match->head, r->label);
    int other = r->extra ? cm_head_find_label(&r->extra->head, r->label) : -1;
    if (own >= 0) {
        cm_vec_text(&r->match->label[own], &r->match->head.label[own].dict, text);
        return true;
    }
    if (other < 0)
        return false;
    struct cm_strs all = {0};
    cm_vec_text(&r->extra->label[other], &r->extra->head.label[other].dict, &all);
    for (size_t i = 0; i < r->match->names.n; i++) {
        size_t at = cm_index_find(&r->extra->at, cm_strs_get(&r->match->names, i));
        cm_strs_add(text, at == CM_ABSENT ? "" : cm_strs_get(&all, at));
    }
    cm_strs_free(&all);
    return true;
}

struct group {
    size_t cells, choosing, paired;
    double claimed, right, own;
};

static void put_share(char text[32], double sum, size_t n)
{
    if (n)
        snprintf(text, 32, "%.3f", sum / (double)n);
    else
        strcpy(text, "-");
}

static void put_groups(struct cm_page *p, const struct cm_label_values *v, const struct group *g,
                       const char *label, const struct cm_report_numbers *n)
{
    const char *header[] = {label, "cells", "expected right", "right", "match probability"};
    cm_page_table_begin(p, n->paired ? "lrrrr" : "lrr", header);
    for (size_t k = 0; k < v->text.n; k++) {
        char cells[CM_TICK_TEXT], claimed[32], right[32], own[32];
        cm_thousands((double)g[k].cells, 0, cells);
        put_share(claimed, g[k].claimed, n->probable ? g[k].choosing : 0);
        put_share(right, g[k].right, g[k].paired);
        put_share(own, g[k].own, n->probable ? g[k].paired : 0);
        cm_page_row(p, (const char *const[]){cm_strs_get(&v->text, k), cells, claimed, right, own});
    }
    cm_page_table_end(p);
}

void cm_report_by_label(struct cm_page *p, const struct cm_report *r,
                        const struct cm_report_numbers *n)
{
    struct cm_strs text = {0};
    struct cm_label_values v = {0};
    struct cm_figure f = {0};
    char title[300];
    if (!r->label || !row_texts(r, &text))
        return;
    cm_label_values_make(&v, &text);
    struct group *g = CM_ZNEW(v.text.n + 1, struct group);
    for (size_t i = 0; i < text.n; i++) {
        struct group *x = &g[v.code[i] == CM_CAT_MISSING ? v.text.n : v.code[i]];
        struct row row = read_row(r, i);
        bool paired = r->truth->col_of_row[i] != CM_UNPAIRED;
        x->cells++;
        x->choosing += !isnan(row.claimed);
        x->claimed += isnan(row.claimed) ? 0 : row.claimed;
        x->paired += paired;
        x->right += isnan(row.right) ? 0 : row.right;
        x->own += isnan(row.own) ? 0 : row.own;
    }
    snprintf(title, sizeof title, "By %.200s", r->label);
    cm_page_section(p, title);
    put_groups(p, &v, g, r->label, n);
    if (g[v.text.n].cells)
        cm_page_text(p, "%zu cells without the label are not in this table.", g[v.text.n].cells);
    if (!cm_plot_confusion(&f, r->match, NULL, r->label) ||
        (cm_figure_free(&f), r->extra && !cm_plot_confusion(&f, r->match, r->extra, r->label))) {
        cm_page_figures_begin(p);
        cm_page_figure(p, &f);
        cm_page_figures_end(p);
    }
    cm_figure_free(&f);
    cm_free(g);
    cm_strs_free(&text);
    cm_label_values_free(&v);
}

/* ===== MultiQC ============================================================================ */

static void put_json(struct cm_buf *b, const char *name, double v, bool first)
{
    if (!isnan(v))
        cm_buf_printf(b, "%s\n      \"%s\": %.6g", first ? "" : ",", name, v);
}

void cm_report_multiqc(const struct cm_report_numbers *n, const char *sample, struct cm_buf *out)
{
    cm_buf_puts(out, "{\n  \"id\": \"cellmatch_match\",\n  \"section_name\": \"cellmatch\",\n"
                     "  \"description\": \"Cells matched between modalities\",\n"
                     "  \"plot_type\": \"table\",\n"
                     "  \"pconfig\": {\"id\": \"cellmatch_match_table\", \"title\": "
                     "\"cellmatch: match\"},\n  \"data\": {\n    \"");
    const char *end = sample + strlen(sample);
    for (const char *c = sample; *c; c++)
        if (cm_utf8_bad(c, (size_t)(end - c)) == 0)
            cm_buf_puts(out, "\\ufffd"); /* a byte that is not UTF-8 */
        else if (*c == '"' || *c == '\\')
            cm_buf_printf(out, "\\%c", *c);
        else if ((unsigned char)*c < ' ')
            cm_buf_printf(out, "\\u%04x", (unsigned char)*c);
        else
            cm_buf_put(out, c, 1);
    cm_buf_puts(out, "\": {");
    put_json(out, "cells", (double)n->rows, true);
    put_json(out, "candidates", (double)n->cols, false);
    put_json(out, "cells_without_candidate", (double)n->empty, false);
    put_json(out, "expected_right", n->claimed, false);
    put_json(out, "match_probability", n->soft, false);
    put_json(out, "chance", n->chance, false);
    put_json(out, "top1", n->top1, false);
    put_json(out, "top5", n->top5, false);
    put_json(out, "top10", n->top10, false);
    put_json(out, "median_rank", n->median_rank, false);
    put_json(out, "calibration_error", n->ece, false);
    cm_buf_puts(out, "\n    }\n  }\n}\n");
}
