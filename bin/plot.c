/* plot - figures of matches, embeddings, attention, training and links.
 *
 * In:  a word that says which figure, and what it is drawn of: see plot(1).
 * Out: SVG; with --format png, or -o FILE.png, the pixels of a heat map or a large scatter.
 *      --tsv: the numbers behind the figure.
 */
#include <string.h>

#include "base/mem.h"
#include "base/values.h"
#include "cli/cli.h"
#include "match/labels.h"
#include "match/pairs.h"
#include "match/rules.h"
#include "plot/plots.h"

enum format { BY_NAME, SVG, PNG };

static struct {
    const char *by, *pairs, *labels, *columns, *region, *gene, *title, *tsv;
    int64_t lines;
    int scale, format;
} o;

static const struct cm_opt options[] = {
    CM_OPT_STR("by", 0, &o.by, NULL, "LABEL",
               "heatmap of a match, scatter: this label (default cell_type where it is)"),
    CM_OPT_INPUT("labels", 0, &o.labels, "LABELS.cms",
                 "heatmap of a match: a stream with the label of both sides' cells"),
    CM_OPT_INPUT("pairs", 0, &o.pairs, "FILE.tsv",
                 "scatter, ranks, pr, reliability: the truth (default: equal names)"),
    CM_OPT_INT("lines", 0, &o.lines, "200", 0, 1e6, "N",
               "scatter: at most so many lines between true pairs"),
    CM_OPT_CHOICE("scale", 0, &o.scale, "linear", "linear|log",
                  "heatmap of a matrix: colours by value or by its logarithm"),
    CM_OPT_STR("columns", 0, &o.columns, NULL, "A,B",
               "curve: columns of the logs (default loss, and validation where it is)"),
    CM_OPT_STR("gene", 0, &o.gene, NULL, "NAME", "arcs: around the links of this gene"),
    CM_OPT_STR("region", 0, &o.region, NULL, "REGION", "arcs: CHROM:START-END"),
    CM_OPT_STR("title", 0, &o.title, NULL, "TEXT", "another title"),
    CM_OPT_CHOICE("format", 0, &o.format, "auto", "auto|svg|png",
                  "auto: png where the output's name ends so, else svg"),
    CM_OPT_OUTPUT("tsv", 0, &o.tsv, "FILE.tsv", "the numbers behind the figure"),
    CM_OPT_END,
};

static const struct cm_tool tool = {"plot",
                                    "heatmap|scatter|curve|ranks|pr|reliability|arcs [FILE ...]",
                                    "figures of matches, embeddings, attention, training and links",
                                    options,
                                    1,
                                    -1,
                                    CM_TOOL_TEXT};

/* Ends the program where there are more files than `max`; "-" where there is none. */
static const char *only(char **files)
{
    if (files[0] && files[1])
        cm_usage_error("expected one file, found '%s' too", files[1]);
    return files[0] ? files[0] : "-";
}

/* ===== a match and its truth ============================================================== */

struct known_match {
    struct cm_table match;
    struct cm_pairs truth;
};

static void load_match(struct known_match *x, char **files)
{
    struct cm_reader *r = cm_in_open(only(files));
    cm_require_kind(r, CM_MATCH);
    cm_try(cm_table_load(r, &x->match));
    const struct cm_strs *cols = &x->match.head.slot[0].cols.names;
    if (x->match.dense)
        cm_die(3, "%s: expected a sparse match, found a dense one", cm_reader_path(r));
    if (o.pairs)
        cm_try(cm_pairs_read(&x->truth, o.pairs, &x->match.names, cols));
    else
        cm_try(cm_fail_in(cm_pairs_by_name(&x->truth, &x->match.names, cols), cm_reader_path(r)));
    if (x->truth.n == 0)
        cm_die(3, "%s: no cell has a known partner", cm_reader_path(r));
}

static void free_known(struct known_match *x)
{
    cm_table_free(&x->match);
    cm_pairs_free(&x->truth);
}

static void ranks(struct cm_figure *f, char **files)
{
    struct known_match x = {0};
    load_match(&x, files);
    struct cm_codes batch = cm_match_codes(&x.match, &x.truth, NULL, "batch");
    cm_plot_ranks(f, &x.match.csr, &x.truth, batch.row, batch.col);
    cm_codes_free(&batch);
    free_known(&x);
}

static void pr(struct cm_figure *f, char **files)
{
    struct known_match x = {0};
    load_match(&x, files);
    cm_plot_pr(f, &x.match.csr, &x.truth);
    free_known(&x);
}

static void reliability(struct cm_figure *f, char **files)
{
    struct known_match x = {0};
    load_match(&x, files);
    if (x.match.head.slot[0].state != CM_S_PROBABILITY ||
        !cm_rule_values_probable(cm_rule_values(&x.match.head.kv)))
        cm_die(3, "the match holds no probabilities; assign makes them of similarities");
    cm_plot_reliability(f, &x.match.csr, &x.truth);
    free_known(&x);
}

/* ===== streams ============================================================================ */

static void heatmap(struct cm_figure *f, char **files)
{
    struct cm_reader *r = cm_in_open(only(files));
    struct cm_table t;
    bool match = cm_reader_head(r)->kind == CM_MATCH;
    if (!match)
        cm_require_kind(r, CM_MATRIX);
    if (!match && (o.labels || o.by))
        cm_usage_error("--%s is for a match", o.labels ? "labels" : "by");
    cm_try(cm_table_load(r, &t));
    if (match) {
        struct cm_labels extra = {0};
        if (o.labels)
            cm_try(cm_labels_load(&extra, cm_in_open(o.labels)));
        cm_try(cm_fail_in(
            cm_plot_confusion(f, &t, o.labels ? &extra : NULL, o.by ? o.by : "cell_type"),
            o.labels ? o.labels : cm_reader_path(r)));
        cm_labels_free(&extra);
    } else {
        if (!t.dense)
            cm_die(3, "%s: expected a dense matrix, as xattn-map makes", cm_reader_path(r));
        cm_try(cm_fail_in(cm_plot_matrix(f, &t, o.scale), cm_reader_path(r)));
    }
    cm_table_free(&t);
}

static void load_dense(struct cm_table *t, const char *path)
{
    struct cm_reader *r = cm_in_open(path);
    enum cm_kind kind = cm_reader_head(r)->kind;
    if (kind != CM_EMBEDDING && kind != CM_MATRIX)
        cm_require_kind(r, CM_EMBEDDING);
    cm_try(cm_table_load(r, t));
    if (!t->dense)
        cm_die(3, "%s: expected a dense stream, as embed and svd make", cm_reader_path(r));
    if (o.by && cm_head_find_label(&t->head, o.by) < 0)
        cm_try(cm_fail_in(cm_head_no_label(&t->head, o.by), path));
}

static void scatter(struct cm_figure *f, char **files)
{
    struct cm_table t[2];
    struct cm_pairs pairs = {0};
    if (files[0] && files[1] && files[2])
        cm_usage_error("expected one or two files, found '%s' too", files[2]);
    memset(t, 0, sizeof t);
    struct cm_scatter s = {.side = {&t[0]}, .label = o.by, .lines = (size_t)o.lines};
    load_dense(&t[0], files[0] ? files[0] : "-");
    if (files[0] && files[1]) {
        s.side[1] = &t[1];
        load_dense(&t[1], files[1]);
        if (o.pairs)
            cm_try(cm_pairs_read(&pairs, o.pairs, &t[0].names, &t[1].names));
        else if (o.lines && cm_pairs_by_name(&pairs, &t[0].names, &t[1].names))
            cm_warn("no lines between true pairs: %s", cm_error_message());
        s.pairs = pairs.n ? &pairs : NULL;
    } else if (o.pairs) {
        cm_usage_error("--pairs needs two embeddings");
    }
    if (!o.by && cm_head_find_label(&t[0].head, "cell_type") >= 0)
        s.label = "cell_type";
    cm_try(cm_plot_scatter(f, &s));
    cm_pairs_free(&pairs);
    cm_table_free(&t[0]);
    if (s.side[1])
        cm_table_free(&t[1]);
}

/* ===== tables ============================================================================= */

static void read_table(struct cm_text_table *t, const char *path)
{
    bool dash = !strcmp(path, "-");
    cm_try(cm_text_table_read(t, dash ? "/dev/stdin" : path));
}

static void curve(struct cm_figure *f, char **files)
{
    char dash[] = "-", *none[] = {dash, NULL};
    size_t n = 0;
    files = files[0] ? files : none;
    while (files[n])
        n++;
    struct cm_text_table *t = CM_ZNEW(n, struct cm_text_table);
    struct cm_strs columns = {0};
    bool validated = false;
    for (size_t k = 0; k < n; k++) {
        read_table(&t[k], files[k]);
        validated = validated || cm_text_table_filled(&t[k], "validation");
    }
    if (o.columns) {
        struct cm_values list = {0};
        cm_values_make(&list, o.columns);
        cm_strs_copy(&columns, &list.part);
        cm_values_free(&list);
    } else {
        cm_strs_add(&columns, "loss");
        if (validated)
            cm_strs_add(&columns, "validation");
    }
    cm_try(cm_plot_curves(f, t, n, &columns));
    for (size_t k = 0; k < n; k++)
        cm_text_table_free(&t[k]);
    cm_strs_free(&columns);
    cm_free(t);
}

static void arcs(struct cm_figure *f, char **files)
{
    struct cm_text_table t;
    struct cm_plot_links l;
    if (o.gene && o.region)
        cm_usage_error("--gene contradicts --region");
    read_table(&t, only(files));
    cm_try(cm_plot_links_make(&l, &t));
    int code = cm_plot_arcs(f, &l, o.region, o.gene);
    if (code == CM_EUSAGE)
        cm_usage_error("--region: %s", cm_error_message());
    cm_try(cm_fail_in(code, t.path));
    cm_plot_links_free(&l);
    cm_text_table_free(&t);
}

/* ===== output ============================================================================= */

/* `auto|svg|png` says which; auto goes by the name of the output. */
static bool as_png(void)
{
    const char *name = cm_output();
    size_t n = name ? strlen(name) : 0;
    return o.format == PNG || (o.format == BY_NAME && n > 4 && !strcmp(name + n - 4, ".png"));
}

static void write_figure(struct cm_figure *f, bool png)
{
    struct cm_buf out = {0};
    if (png && !f->pixels.rgba)
        cm_die(2, "this figure is lines and text and can be written as svg only");
    if (png)
        cm_try(cm_png_encode(&out, &f->pixels));
    else
        cm_figure_svg(f, "figure", &out);
    fwrite(out.p, 1, out.n, cm_out_text());
    if (o.tsv)
        fwrite(f->tsv.p, 1, f->tsv.n, cm_out_text_file(o.tsv));
    for (size_t k = 0; k < f->omitted.n; k++)
        cm_warn("%s", cm_strs_get(&f->omitted, k));
    cm_buf_free(&out);
}

static const struct {
    const char *name;
    void (*draw)(struct cm_figure *f, char **files);
    const char *options; /* of its own, parted by blanks */
} figures[] = {{"heatmap", heatmap, "by labels scale"},
               {"scatter", scatter, "by pairs lines"},
               {"curve", curve, "columns"},
               {"ranks", ranks, "pairs"},
               {"pr", pr, "pairs"},
               {"reliability", reliability, "pairs"},
               {"arcs", arcs, "gene region"}};

/* An option of another figure would do nothing, in silence. */
static void check_options(size_t k)
{
    static const char *const all[] = {"by",    "labels",  "pairs", "lines",
                                      "scale", "columns", "gene",  "region"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (cm_given(all[i]) && !strstr(figures[k].options, all[i]))
            cm_usage_error("--%s is not for the figure %s", all[i], figures[k].name);
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_figure f = {0};
    size_t k = 0, n = sizeof figures / sizeof *figures;
    while (k < n && strcmp(in[0], figures[k].name))
        k++;
    if (k == n)
        cm_usage_error("there is no figure '%s'", in[0]);
    check_options(k);
    f.title = o.title ? cm_strdup(o.title) : NULL;
    figures[k].draw(&f, in + 1);
    write_figure(&f, as_png());
    cm_figure_free(&f);
    return cm_finish();
}
