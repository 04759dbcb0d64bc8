/* report - one HTML page about a match: what was matched, how sure, by label, from where.
 *
 * In:  a match, and what belongs to it, in any order: embeddings, maps of attention, models and
 *      other streams; scores, logs and links as the tools print them.  Each is known by its kind or
 *      its header.
 * Out: HTML that needs no other file, no script and no network.  --multiqc: custom content.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "match/labels.h"
#include "match/pairs.h"
#include "plot/report.h"

static struct {
    const char *title, *by, *pairs, *multiqc;
    int64_t top;
} o;

static const struct cm_opt options[] = {
    CM_OPT_STR("title", 0, &o.title, NULL, "TEXT", "the page's title"),
    CM_OPT_STR("by", 0, &o.by, NULL, "LABEL",
               "the label to report by (default cell_type where it is)"),
    CM_OPT_INPUT("pairs", 0, &o.pairs, "FILE.tsv",
                 "the truth: a header and two columns (default: equal names)"),
    CM_OPT_INT("top", 0, &o.top, "20", 0, 1e6, "N", "links in the table of links"),
    CM_OPT_OUTPUT("multiqc", 0, &o.multiqc, "FILE.json",
                  "also a table for MultiQC, as custom content"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "report", "FILE ...", "one HTML page about a match", options, 1, -1, CM_TOOL_TEXT};

/* ===== what the files are ================================================================= */

/* Everything that was given; what is there twice and may be is kept in the order of the files. */
static struct {
    bool has_match, has_extra;
    struct cm_table match;
    struct cm_labels extra; /* of a sparse matrix */
    struct cm_table embedding[2];
    size_t embeddings;
    struct cm_table map;
    size_t maps;
    struct cm_text_table *score, *log, links;
    size_t scores, logs, link_tables;
    struct cm_model model; /* the first that has links */
    const char *model_path;
    struct cm_strs score_name;
    struct cm_sources sources;
    const char *match_path;
} given;

/* Is it text?  Streams begin with a magic number, and what is no file cannot be looked at. */
static bool is_text(const char *path)
{
    struct stat s;
    unsigned char first[4] = {0};
    if (!strcmp(path, "-") || stat(path, &s) || !S_ISREG(s.st_mode))
        return false;
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(first, 1, 4, f) : 0;
    if (f)
        fclose(f);
    for (size_t k = 0; k < n; k++)
        if (first[k] < ' ' || first[k] > '~')
            return false;
    return n > 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* The name of a file without its ending, as the name of what is in it. */
static void add_stem(struct cm_strs *to, const char *path)
{
    const char *base = base_name(path), *dot = strrchr(base, '.');
    cm_strs_addn(to, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
}

static struct cm_text_table *one_more(struct cm_text_table **list, size_t *n)
{
    *list = cm_realloc(*list, *n + 1, sizeof **list);
    return &(*list)[(*n)++];
}

static bool is_links(const struct cm_text_table *t)
{
    return cm_text_table_find(t, "tss") != CM_ABSENT ||
           (cm_text_table_find(t, "#chrom1") != CM_ABSENT && cm_plot_links_bedpe(t));
}

/* The names of the first columns, for an error. */
static const char *found_columns(const struct cm_text_table *t)
{
    static char names[400];
    size_t at = 0;
    for (size_t k = 0; k < t->columns && k < 6; k++)
        at += (size_t)snprintf(names + at, 60, "%s%.40s", k ? ", " : "", cm_strs_get(&t->name, k));
    if (t->columns > 6)
        snprintf(names + at, 10, ", ...");
    return names;
}

static void take_table(const char *path)
{
    struct cm_text_table t;
    cm_try(cm_text_table_read(&t, path));
    cm_sources_add_table(&given.sources, path, t.rows);
    if (cm_text_table_find(&t, "metric") != CM_ABSENT) {
        *one_more(&given.score, &given.scores) = t;
        add_stem(&given.score_name, path);
    } else if (cm_text_table_find(&t, "loss") != CM_ABSENT) {
        *one_more(&given.log, &given.logs) = t;
    } else if (is_links(&t)) {
        if (given.link_tables++)
            cm_die(3, "%s: a second table of links", path);
        given.links = t;
    } else {
        cm_die(3,
               "%s:1: expected a header with column metric (score), loss (log), tss (links) or "
               "#chrom1 (links as BEDPE), found %s",
               path, found_columns(&t));
    }
}

static void take_dense(struct cm_reader *r, const char *path, enum cm_kind kind)
{
    bool embedding = kind == CM_EMBEDDING;
    if (embedding ? given.embeddings == 2 : given.maps == 1)
        cm_die(3, "%s: %s", path, embedding ? "a third embedding" : "a second dense matrix");
    struct cm_table *t = embedding ? &given.embedding[given.embeddings++] : &given.map;
    given.maps += !embedding;
    cm_try(cm_table_load(r, t));
    if (!t->dense)
        cm_die(3, "%s: expected a dense embedding", path);
}

static void take_match(struct cm_reader *r, const char *path)
{
    if (given.has_match)
        cm_die(3, "%s: a second match; others are shown beside it by their scores", path);
    given.has_match = true;
    given.match_path = path;
    cm_try(cm_table_load(r, &given.match));
    if (given.match.dense)
        cm_die(3, "%s: expected a sparse match, found a dense one", path);
}

static void take_stream(const char *path)
{
    struct cm_reader *r = cm_in_open(path);
    const struct cm_head *h = cm_reader_head(r);
    if (h->kind == CM_MATCH) {
        take_match(r, path);
    } else if (h->kind == CM_EMBEDDING || (h->kind == CM_MATRIX && h->slot[0].dense)) {
        take_dense(r, path, h->kind);
    } else if (h->kind == CM_MATRIX && !given.has_extra) {
        given.has_extra = true;
        cm_try(cm_labels_load(&given.extra, r));
    } else if (h->kind == CM_MODEL && !given.model_path) {
        cm_try(cm_model_read(&given.model, r));
        if (given.model.has_links)
            given.model_path = path;
        else
            cm_model_free(&given.model);
    } else {
        cm_try(cm_reader_drain(r));
    }
    cm_sources_add(&given.sources, path, r);
}

/* ===== the page =========================================================================== */

/* The pairing; where it is not known an empty one, and why. */
static void find_truth(struct cm_pairs *truth, struct cm_page *p)
{
    const struct cm_strs *rows = &given.match.names, *cols = &given.match.head.slot[0].cols.names;
    if (o.pairs)
        cm_try(cm_pairs_read(truth, o.pairs, rows, cols));
    else if (cm_pairs_by_name(truth, rows, cols))
        cm_page_warn(p, "The partners are not known: %s.", cm_error_message());
    if (truth->n)
        return;
    cm_pairs_free(truth);
    *truth = (struct cm_pairs){.rows = rows->n,
                               .cols = cols->n,
                               .col_of_row = CM_NEW(rows->n + 1, uint32_t),
                               .row_of_col = CM_NEW(cols->n + 1, uint32_t)};
    for (size_t i = 0; i < rows->n; i++)
        truth->col_of_row[i] = CM_UNPAIRED;
    for (size_t j = 0; j < cols->n; j++)
        truth->row_of_col[j] = CM_UNPAIRED;
}

static const char *choose_label(void)
{
    const char *label = o.by ? o.by : "cell_type";
    bool own = cm_head_find_label(&given.match.head, label) >= 0;
    bool other = given.has_extra && cm_head_find_label(&given.extra.head, label) >= 0;
    if (!own && !other && o.by)
        cm_try(cm_fail_in(cm_head_no_label(&given.match.head, o.by), given.match_path));
    return own || other ? label : NULL;
}

static void add_figure(struct cm_page *p, struct cm_figure *f, int code, const char *path)
{
    cm_try(cm_fail_in(code, path));
    cm_page_figure(p, f);
    cm_figure_free(f);
}

static void put_embeddings(struct cm_page *p)
{
    struct cm_figure f = {0};
    struct cm_pairs pairs = {0};
    const struct cm_table *e = given.embedding;
    const char *label = o.by ? o.by : "cell_type";
    if (!given.embeddings)
        return;
    if (given.embeddings == 2 && cm_pairs_by_name(&pairs, &e[0].names, &e[1].names))
        cm_pairs_free(&pairs);
    struct cm_scatter s = {.side = {&e[0], given.embeddings == 2 ? &e[1] : NULL},
                           .pairs = pairs.n ? &pairs : NULL,
                           .label = cm_head_find_label(&e[0].head, label) < 0 ? NULL : label,
                           .lines = 200};
    cm_page_section(p, "Both sides in one plane");
    cm_page_figures_begin(p);
    add_figure(p, &f, cm_plot_scatter(&f, &s), "embeddings");
    cm_page_figures_end(p);
    cm_pairs_free(&pairs);
}

static void put_model(struct cm_page *p)
{
    struct cm_figure curve = {0}, map = {0};
    struct cm_strs columns = {0};
    if (!given.logs && !given.maps)
        return;
    cm_strs_add(&columns, "loss");
    for (size_t k = 0; k < given.logs && columns.n == 1; k++)
        if (cm_text_table_filled(&given.log[k], "validation"))
            cm_strs_add(&columns, "validation");
    cm_page_section(p, "The model");
    cm_page_figures_begin(p);
    if (given.logs)
        add_figure(p, &curve, cm_plot_curves(&curve, given.log, given.logs, &columns),
                   given.log[0].path);
    if (given.maps)
        add_figure(p, &map, cm_plot_matrix(&map, &given.map, false), "map");
    cm_page_figures_end(p);
    cm_strs_free(&columns);
}

static void write_text(const struct cm_buf *b, FILE *f) { fwrite(b->p, 1, b->n, f); }

static void write_page(struct cm_page *p, const struct cm_report_numbers *n)
{
    struct cm_buf html = {0}, json = {0};
    struct cm_strs stem = {0};
    add_stem(&stem, given.match_path);
    const char *title = o.title ? o.title : "Cells matched between modalities";
    cm_page_html(p, title, "Made by report of cellmatch " CM_VERSION ".", &html);
    write_text(&html, cm_out_text());
    if (o.multiqc) {
        cm_report_multiqc(n, o.title ? o.title : cm_strs_get(&stem, 0), &json);
        write_text(&json, cm_out_text_file(o.multiqc));
    }
    for (size_t k = 0; k < p->warnings.n; k++)
        cm_warn("%s", cm_strs_get(&p->warnings, k));
    cm_buf_free(&html);
    cm_buf_free(&json);
    cm_strs_free(&stem);
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_page page = {0};
    struct cm_pairs truth = {0};
    struct cm_report_numbers numbers;
    for (size_t k = 0; in[k]; k++)
        (is_text(in[k]) ? take_table : take_stream)(in[k]);
    if (!given.has_match)
        cm_die(3, "none of the files is a match");
    if (given.match.csr.rows == 0)
        cm_die(3, "%s: the match has no cells", given.match_path);
    find_truth(&truth, &page);
    struct cm_report r = {&given.match, &truth, given.has_extra ? &given.extra : NULL,
                          choose_label()};
    cm_report_count(&r, &numbers);
    cm_report_summary(&page, &r, &numbers);
    if (given.scores)
        cm_try(cm_report_scores(&page, given.score, &given.score_name));
    cm_report_certainty(&page, &r, &numbers);
    cm_report_by_label(&page, &r, &numbers);
    put_embeddings(&page);
    put_model(&page);
    if (given.link_tables)
        cm_try(cm_report_links(&page, &given.links, (size_t)o.top));
    else if (given.model_path)
        cm_try(cm_report_model_links(&page, &given.model, given.model_path, (size_t)o.top));
    cm_report_sources(&page, &given.sources);
    write_page(&page, &numbers);
    cm_page_free(&page);
    cm_pairs_free(&truth);
    cm_sources_free(&given.sources);
    return cm_finish();
}
