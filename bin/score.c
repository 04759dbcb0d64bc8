/* score - how good is a match?
 *
 * In:  kind match (rows and columns are cells of two modalities), and the truth: a table of pairs,
 *      or equal names on both sides.  Labels (batch, cell_type) from the match itself or --labels,
 *      embeddings for the metrics that need all similarities.
 * Out: text: metric, value, standard error, a line each (--json: one object).
 *
 * Match probability is computed exactly as the competition's code does: negatives to 0, rows
 * divided by their sum, mean of the partner's share; one row without mass makes it NaN.  See
 * score(1) for every definition.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/cli.h"
#include "match/labels.h"
#include "match/metrics.h"
#include "match/pairs.h"
#include "match/reliability.h"
#include "match/rules.h"

static struct {
    const char *pairs, *embedding, *labels, *reliability;
    bool json;
    struct cm_list min;
    int64_t chunk;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INPUT("pairs", 0, &o.pairs, "FILE.tsv",
                 "the truth: a header and two columns (default: equal names)"),
    CM_OPT_INPUT("embeddings", 0, &o.embedding, "E.cms T.cms",
                 "two embeddings, for foscttm and the chunks; T.cms is an operand"),
    CM_OPT_INPUT("labels", 0, &o.labels, "LABELS.cms",
                 "a stream whose rows' labels batch and cell_type are used"),
    CM_OPT_FLAG("json", 0, &o.json, "print one JSON object"),
    CM_OPT_LIST("min", 0, &o.min, "NAME=VALUE", "exit 1 if this metric is lower (repeatable)"),
    CM_OPT_OUTPUT("reliability", 0, &o.reliability, "FILE.tsv",
                  "what the first choices claim and how often they are right, in ten bins"),
    CM_OPT_INT("chunk", 0, &o.chunk, "100", 1, 1e9, "N",
               "cells in a chunk of the network authors' protocol"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "score", "[T.cms] [MATCH.cms]", "score a match whose partners are known", options, 0,
    2,       CM_TOOL_TEXT};

/* ===== the list of metrics ================================================================ */

struct metric {
    const char *name;
    double value, error; /* error NAN = none */
};
static const char *const all_metrics[] = {"cells",
                                          "batches",
                                          "chance",
                                          "match_probability",
                                          "empty_rows",
                                          "match_probability_filled",
                                          "match_probability_hard",
                                          "top1",
                                          "top5",
                                          "top10",
                                          "top1_reverse",
                                          "top5_reverse",
                                          "top10_reverse",
                                          "median_rank",
                                          "median_rank_reverse",
                                          "ece",
                                          "ece_by_chance",
                                          "brier",
                                          "log_loss",
                                          "aupr",
                                          "auroc",
                                          "celltype_match",
                                          "official_format",
                                          "paper_format",
                                          "foscttm",
                                          "chunk_probability",
                                          "chunk_chance"};
enum { METRICS = sizeof all_metrics / sizeof *all_metrics };
static struct metric metric[METRICS];
static size_t nmetrics;

static void add(const char *name, double value, double error)
{
    metric[nmetrics++] = (struct metric){name, value, error};
}

/* A mean of n values in 0..1: their standard error is at most that of n draws of 0 or 1. */
static void add_share(const char *name, double value, size_t n)
{
    add(name, value, isnan(value) ? NAN : sqrt(fmax(0, value * (1 - value)) / (double)n));
}

static void print_tsv(FILE *f)
{
    char a[CM_NUMBER_MAX], b[CM_NUMBER_MAX];
    fputs("metric\tvalue\tstderr\n", f);
    for (size_t k = 0; k < nmetrics; k++)
        fprintf(f, "%s\t%s\t%s\n", metric[k].name, cm_format_f64(metric[k].value, a),
                isnan(metric[k].error) ? "-" : cm_format_f64(metric[k].error, b));
}

static void print_json(FILE *f)
{
    char a[CM_NUMBER_MAX], b[CM_NUMBER_MAX];
    fputs("{", f);
    for (size_t k = 0; k < nmetrics; k++)
        fprintf(f, "%s\n  \"%s\": {\"value\": %s, \"stderr\": %s}", k ? "," : "", metric[k].name,
                isnan(metric[k].value) ? "null" : cm_format_f64(metric[k].value, a),
                isnan(metric[k].error) ? "null" : cm_format_f64(metric[k].error, b));
    fputs("\n}\n", f);
}

/* --min NAME=VALUE, checked before any work: the value, or exit. */
static double parse_min(const char *text, char name[64])
{
    const char *sign = strchr(text, '=');
    double v;
    if (!sign || sign - text >= 64 || !cm_parse_f64(sign + 1, &v) || isnan(v))
        cm_usage_error("--min: expected NAME=VALUE, found '%s'", text);
    memcpy(name, text, (size_t)(sign - text));
    name[sign - text] = 0;
    for (size_t k = 0; k < METRICS; k++)
        if (!strcmp(all_metrics[k], name))
            return v;
    cm_usage_error("--min: there is no metric '%s'", name);
}

/* 1 if a demand is not met. */
static int check_demands(void)
{
    int status = 0;
    for (size_t d = 0; d < o.min.n; d++) {
        char name[64];
        double v = parse_min(o.min.v[d], name);
        size_t k = 0;
        while (k < nmetrics && strcmp(metric[k].name, name))
            k++;
        if (k == nmetrics)
            cm_die(3, "--min: %s cannot be computed from these inputs", name);
        if (!(metric[k].value >= v)) {
            cm_warn("%s is %g, below the demanded %g", name, metric[k].value, v);
            status = 1;
        }
    }
    return status;
}

/* ===== inputs ============================================================================= */

static struct cm_table match;
static struct cm_pairs truth;
static struct cm_labels labels; /* of --labels */

static void load_labels(const char *path)
{
    cm_try(cm_labels_load(&labels, cm_in_open(path)));
    if (cm_head_find_label(&labels.head, "batch") < 0 &&
        cm_head_find_label(&labels.head, "cell_type") < 0) {
        cm_head_no_label(&labels.head, "batch\" or \"cell_type");
        cm_try(cm_fail_in(CM_EINPUT, path));
    }
    size_t found = cm_labels_found(&labels, &match.names);
    if (found == 0)
        cm_die(3, "%s: none of its cells is a row of the match", path);
    if (found < match.names.n)
        cm_warn("%s: has %zu of the match's %zu rows", path, found, match.names.n);
}

/* An embedding in the order of the match's cells. */
static struct cm_dense embedding_of(struct cm_reader *r, const struct cm_strs *names)
{
    struct cm_table t;
    struct cm_dense out;
    cm_require_kind(r, CM_EMBEDDING);
    cm_try(cm_table_load(r, &t));
    if (!t.dense)
        cm_die(3, "%s: expected a dense embedding", cm_reader_path(r));
    cm_try(cm_fail_in(cm_rows_by_name(&t, names, &out), cm_reader_path(r)));
    cm_table_free(&t);
    return out;
}

/* `score --embeddings E T MATCH`: T is an operand; which of the two it is, its kind tells. */
static void open_operands(char **in, struct cm_reader **m, struct cm_reader **t)
{
    const char *path[2] = {"-", "-"}; /* no operand for the match: stdin */
    size_t n = 0, max = o.embedding ? 2 : 1;
    while (in[n])
        n++;
    if (n > max)
        cm_usage_error("expected one match, found %zu operands", n);
    if (n + 1 < max)
        cm_usage_error("--embeddings needs two: E.cms T.cms");
    for (size_t k = 0; k < n; k++)
        path[k] = in[k];
    *t = o.embedding ? cm_in_open(path[0]) : NULL;
    *m = cm_in_open(path[max - 1]);
    if (*t && cm_reader_head(*t)->kind == CM_MATCH) {
        struct cm_reader *swap = *m;
        *m = *t;
        *t = swap;
    }
    cm_require_kind(*m, CM_MATCH);
}

static void load_truth(struct cm_reader *m)
{
    const struct cm_strs *cols = &match.head.slot[0].cols.names;
    int code = o.pairs ? cm_pairs_read(&truth, o.pairs, &match.names, cols)
                       : cm_pairs_by_name(&truth, &match.names, cols);
    cm_try(o.pairs ? code : cm_fail_in(code, cm_reader_path(m)));
    if (truth.elsewhere)
        cm_warn("%s: %zu pairs have a cell that is not in the match, they are left out", o.pairs,
                truth.elsewhere);
    if (truth.n < match.names.n)
        cm_warn("%zu of %zu rows have no partner in the truth, they are left out",
                match.names.n - truth.n, match.names.n);
}

/* ===== probabilities ====================================================================== */

static void write_reliability(const struct cm_reliability *r)
{
    FILE *f = fopen(cm_out_path(o.reliability), "w");
    char a[CM_NUMBER_MAX], b[CM_NUMBER_MAX], c[CM_NUMBER_MAX];
    if (!f)
        cm_die_code(cm_fail_errno(CM_ESYSTEM, "cannot create '%s'", o.reliability));
    fputs("bin\tcells\tclaimed\tright\tstderr\n", f);
    for (size_t k = 0; k < CM_RELIABILITY_BINS; k++)
        fprintf(f, "%zu\t%zu\t%s\t%s\t%s\n", k + 1, r->bin[k].cells,
                cm_format_f64(r->bin[k].claimed, a), cm_format_f64(r->bin[k].right, b),
                cm_format_f64(r->bin[k].error, c));
    bool bad = ferror(f);
    if (fclose(f) || bad)
        cm_try(cm_fail_errno(CM_ESYSTEM, "%s: cannot write", o.reliability));
}

/* Are the match's numbers probabilities?  Says what they are otherwise. */
static bool probable(void)
{
    enum cm_rule_values values = cm_rule_values(&match.head.kv);
    if (match.head.slot[0].state == CM_S_SIMILARITY) {
        cm_warn("these are similarities, not probabilities: match_probability takes them for some, "
                "as the competition's code would; for probabilities: knn-match --model MODEL E T "
                "| score, or knn-match E T | assign --model MODEL | score");
        return false;
    }
    if (!cm_rule_values_probable(values))
        cm_warn("the match's numbers are %s, not probabilities: ece, brier and log_loss are nan",
                values == CM_RULE_DECISION ? "decisions (one partner a row)"
                                           : "the weights of snn");
    return cm_rule_values_probable(values);
}

static void score_reliability(void)
{
    struct cm_reliability r = {.ece = NAN,
                               .ece_error = NAN,
                               .ece_by_chance = NAN,
                               .brier = NAN,
                               .brier_error = NAN,
                               .log_loss = NAN,
                               .log_loss_error = NAN};
    bool can = probable();
    if (can)
        cm_match_reliability(&match.csr, &truth, &r);
    if (o.reliability && !can)
        cm_die(3, "--reliability: the match does not hold probabilities");
    add("ece", r.ece, r.ece_error);
    add("ece_by_chance", r.ece_by_chance, NAN);
    add("brier", r.brier, r.brier_error);
    add("log_loss", r.log_loss, r.log_loss_error);
    if (o.reliability)
        write_reliability(&r);
}

/* ===== scoring ============================================================================ */

static void score_match(void)
{
    size_t n = truth.n;
    const struct cm_labels *extra = o.labels ? &labels : NULL;
    struct cm_codes batch = cm_match_codes(&match, &truth, extra, "batch");
    struct cm_codes type = cm_match_codes(&match, &truth, extra, "cell_type");
    add("cells", (double)n, NAN);
    add("batches", batch.row ? (double)batch.groups : 1, NAN);
    add("chance", cm_match_chance(&truth, batch.row, batch.col), NAN);

    struct cm_probability p;
    cm_match_probability(&match.csr, &truth, &p);
    if (p.empty)
        cm_warn("%zu rows have no probability at all: match_probability is NaN, as the "
                "competition's code computes it; match_probability_filled counts them as 0",
                p.empty);
    add_share("match_probability", p.soft, n);
    add("empty_rows", (double)p.empty, NAN);
    add_share("match_probability_filled", p.filled, n);
    add_share("match_probability_hard", p.hard, n);

    struct cm_ranks forward, reverse;
    cm_match_ranks(&match.csr, &truth, &forward, &reverse);
    add_share("top1", forward.top[0], n);
    add_share("top5", forward.top[1], n);
    add_share("top10", forward.top[2], n);
    add_share("top1_reverse", reverse.top[0], n);
    add_share("top5_reverse", reverse.top[1], n);
    add_share("top10_reverse", reverse.top[2], n);
    add("median_rank", forward.median, NAN);
    add("median_rank_reverse", reverse.median, NAN);

    score_reliability();

    double aupr, auroc;
    cm_match_curves(&match.csr, &truth, &aupr, &auroc);
    add("aupr", aupr, NAN);
    add("auroc", auroc, NAN);
    if (type.row) {
        size_t rows;
        double same = cm_match_agreement(&match.csr, type.row, type.col, &rows);
        add_share("celltype_match", same, rows);
    }

    struct cm_format format;
    cm_match_format(&match.csr, &truth, &format);
    add("official_format", format.official, NAN);
    add("paper_format", format.paper, NAN);
    if (!format.official)
        cm_warn("official format: %s", format.official_why);
    if (!format.paper)
        cm_warn("paper's format: %s", format.paper_why);
    cm_codes_free(&batch);
    cm_codes_free(&type);
}

static void score_embeddings(struct cm_reader *e, struct cm_reader *t)
{
    struct cm_dense a = embedding_of(e, &match.names);
    struct cm_dense b = embedding_of(t, &match.head.slot[0].cols.names);
    if (a.cols != b.cols)
        cm_die(3, "%s has %zu columns, %s has %zu: expected embeddings by one model",
               cm_reader_path(e), a.cols, cm_reader_path(t), b.cols);
    double error, chance, v = cm_foscttm(&a, &b, &truth, &error);
    add("foscttm", v, error);
    v = cm_chunk_probability(&a, &b, &truth, (size_t)o.chunk, &chance);
    add_share("chunk_probability", v, truth.n);
    add("chunk_chance", chance, NAN);
    cm_dense_free(&a);
    cm_dense_free(&b);
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    char name[64];
    for (size_t k = 0; k < o.min.n; k++)
        parse_min(o.min.v[k], name);
    if (cm_given("chunk") && !o.embedding)
        cm_usage_error("--chunk needs --embeddings");
    struct cm_reader *m, *t, *e = o.embedding ? cm_in_open(o.embedding) : NULL;
    open_operands(in, &m, &t);
    cm_try(cm_table_load(m, &match));
    if (match.dense)
        cm_die(3, "%s: expected a sparse match, found a dense one", cm_reader_path(m));
    if (match.names.n == 0)
        cm_die(3, "%s: no cells to score", cm_reader_path(m));
    load_truth(m);
    if (o.labels)
        load_labels(o.labels);

    score_match();
    if (e)
        score_embeddings(e, t);
    FILE *out = cm_out_text();
    if (o.json)
        print_json(out);
    else
        print_tsv(out);
    int status = check_demands();

    cm_labels_free(&labels);
    cm_pairs_free(&truth);
    cm_table_free(&match);
    return cm_finish_with(status);
}
