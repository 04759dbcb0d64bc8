/* plot/arcs.c - peak-gene links as arcs over genes and peaks.  See plots.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "links/rows_text.h"
#include "plot/plots.h"
#include "plot/svg.h"
#include "stream/wire.h"

/* ===== reading ============================================================================ */

/* A finite number; an empty field is none. */
static int need_number(const struct cm_text_table *t, size_t row, size_t column, double *out)
{
    int code = cm_text_table_number(t, row, column, out);
    if (code || isfinite(*out))
        return code;
    return cm_fail(CM_EINPUT, "%s:%zu: column %s: expected a finite number, found '%s'", t->path,
                   row + 2, cm_strs_get(&t->name, column), cm_text_table_get(t, row, column));
}

static int from_columns(struct cm_plot_links *l, const struct cm_text_table *t)
{
    static const char *const need[] = {"gene", "chrom", "tss", "peak", "start", "end"};
    size_t at[6], value = cm_text_table_find(t, "weight");
    l->value_name = "weight";
    if (value == CM_ABSENT) {
        l->value_name = "correlation";
        if (cm_text_table_need(t, l->value_name, &value))
            return CM_EINPUT;
    }
    for (size_t k = 0; k < 6; k++)
        if (cm_text_table_need(t, need[k], &at[k]))
            return CM_EINPUT;
    l->link = CM_NEW(t->rows + 1, struct cm_plot_link);
    for (size_t i = 0; i < t->rows; i++) {
        struct cm_plot_link *x = &l->link[i];
        x->gene = cm_text_table_get(t, i, at[0]);
        x->chrom = cm_text_table_get(t, i, at[1]);
        x->peak = cm_text_table_get(t, i, at[3]);
        if (need_number(t, i, at[2], &x->tss) || need_number(t, i, at[4], &x->start) ||
            need_number(t, i, at[5], &x->end) || need_number(t, i, value, &x->value))
            return CM_EINPUT;
    }
    l->n = t->rows;
    return 0;
}

/* A line of BEDPE: chrom1 start1 end1 chrom2 start2 end2 name score; the narrower of both ends is
 * the gene's, the first one if they are alike. */
static int bedpe_line(struct cm_plot_link *x, const struct cm_text_table *t,
                      const struct cm_strs *s, size_t from, size_t line)
{
    static const char *const column[] = {"start1", "end1", "start2", "end2"};
    double v[2][2];
    for (size_t e = 0; e < 2; e++)
        for (size_t k = 0; k < 2; k++) {
            const char *text = cm_strs_get(s, from + 3 * e + 1 + k);
            if (!cm_parse_f64(text, &v[e][k]) || !isfinite(v[e][k]))
                return cm_fail(CM_EINPUT, "%s:%zu: %s: expected a position, found '%s'", t->path,
                               line, column[2 * e + k], text);
        }
    bool second = v[1][1] - v[1][0] < v[0][1] - v[0][0];
    *x = (struct cm_plot_link){cm_strs_get(s, from + 6),
                               "",
                               cm_strs_get(s, from + (second ? 3 : 0)),
                               v[second][0],
                               v[!second][0],
                               v[!second][1],
                               0};
    const char *score = cm_strs_get(s, from + 7);
    if (!cm_parse_f64(score, &x->value) || !isfinite(x->value))
        return cm_fail(CM_EINPUT, "%s:%zu: score: expected a finite number, found '%s'", t->path,
                       line, score);
    return 0;
}

static int from_bedpe(struct cm_plot_links *l, const struct cm_text_table *t)
{
    const char *first = cm_strs_get(&t->name, 0);
    bool header = *first == '#';
    l->value_name = "score";
    l->link = CM_NEW(t->rows + 1, struct cm_plot_link);
    for (size_t i = 0; i < t->rows + !header; i++) {
        bool top = !header && i == 0;
        size_t row = i - !header;
        if (bedpe_line(&l->link[l->n++], t, top ? &t->name : &t->field, top ? 0 : row * t->columns,
                       i + 1 + header))
            return CM_EINPUT;
    }
    return 0;
}

bool cm_plot_links_bedpe(const struct cm_text_table *t)
{
    double v;
    return t->columns >= 8 &&
           (*cm_strs_get(&t->name, 0) == '#' || cm_parse_f64(cm_strs_get(&t->name, 1), &v));
}

int cm_plot_links_make(struct cm_plot_links *l, const struct cm_text_table *t)
{
    *l = (struct cm_plot_links){0};
    int code = cm_plot_links_bedpe(t) ? from_bedpe(l, t) : from_columns(l, t);
    if (code)
        cm_plot_links_free(l);
    return code;
}

void cm_plot_links_free(struct cm_plot_links *l)
{
    cm_free(l->link);
    *l = (struct cm_plot_links){0};
}

/* ===== the segment ======================================================================== */

struct segment {
    char chrom[128];
    double from, to;
};

static double centre(const struct cm_plot_link *x) { return (x->start + x->end) / 2; }

static int parse_region(struct segment *s, const char *text)
{
    const char *colon = strrchr(text, ':'), *dash = colon ? strchr(colon, '-') : NULL;
    char number[64];
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (!dash || n == 0 || n >= sizeof s->chrom || dash - colon > 60)
        return cm_fail(CM_EUSAGE, "expected CHROM:START-END, found '%s'", text);
    memcpy(s->chrom, text, n);
    s->chrom[n] = 0;
    snprintf(number, sizeof number, "%.*s", (int)(dash - colon - 1), colon + 1);
    if (!cm_parse_f64(number, &s->from) || !cm_parse_f64(dash + 1, &s->to) || !(s->from >= 0) ||
        !(s->to > s->from) || !(s->to < 1e12))
        return cm_fail(CM_EUSAGE, "expected CHROM:START-END, found '%s'", text);
    return 0;
}

/* Around the links of that gene, with a twentieth of margin on both sides. */
static int around_gene(struct segment *s, const struct cm_plot_links *l, const char *gene)
{
    bool found = false;
    for (size_t i = 0; i < l->n; i++) {
        const struct cm_plot_link *x = &l->link[i];
        if (strcmp(x->gene, gene) != 0 || (found && strcmp(x->chrom, s->chrom) != 0))
            continue;
        double low = fmin(x->tss, x->start), high = fmax(x->tss, x->end);
        s->from = found ? fmin(s->from, low) : low;
        s->to = found ? fmax(s->to, high) : high;
        snprintf(s->chrom, sizeof s->chrom, "%s", x->chrom);
        found = true;
    }
    if (!found)
        return cm_fail(CM_EINPUT, "no link of gene '%s'", gene);
    double margin = fmax(500, (s->to - s->from) / 20);
    s->from = fmax(0, s->from - margin);
    s->to += margin;
    return 0;
}

/* CM_EINPUT where no link is on the chromosome; names some of those that have links. */
static int known_chrom(const struct segment *s, const struct cm_plot_links *l)
{
    enum { SOME = 5 };
    const char *chrom[SOME];
    char names[SOME * 70] = "";
    size_t n = 0, at = 0;
    bool more = false;
    for (size_t i = 0; i < l->n; i++) {
        size_t k = 0;
        if (!strcmp(l->link[i].chrom, s->chrom))
            return 0;
        while (k < n && strcmp(chrom[k], l->link[i].chrom) != 0)
            k++;
        more = more || (k == n && n == SOME);
        if (k == n && n < SOME)
            chrom[n++] = l->link[i].chrom;
    }
    for (size_t k = 0; k < n; k++)
        at += (size_t)snprintf(names + at, 70, "%s%.60s", k ? ", " : "", chrom[k]);
    return cm_fail(CM_EINPUT, "no link is on chromosome '%s'; links are on %s%s", s->chrom, names,
                   more ? ", ..." : "");
}

static const char *strongest_gene(const struct cm_plot_links *l)
{
    size_t top = 0;
    for (size_t i = 1; i < l->n; i++)
        if (fabs(l->link[i].value) > fabs(l->link[top].value))
            top = i;
    return l->link[top].gene;
}

/* Is the link on the segment?  1 all of it, 0 an end of it, -1 no. */
static int place_of(const struct segment *s, const struct cm_plot_link *x)
{
    if (strcmp(x->chrom, s->chrom) != 0)
        return -1;
    bool gene = x->tss >= s->from && x->tss <= s->to;
    bool peak = x->end >= s->from && x->start <= s->to;
    return gene && peak && centre(x) >= s->from && centre(x) <= s->to ? 1 : gene || peak ? 0 : -1;
}

/* ===== drawing ============================================================================ */

enum { ARCS = 170, GENE_ROWS = 4 };

/* The longest and the heaviest of the links that are drawn, and how many of which sort. */
struct extent {
    double value, length;
    size_t whole, half;
};

static void put_arc(struct cm_figure *f, const struct cm_panel *p, const struct cm_plot_link *x,
                    const struct extent *e)
{
    double a = cm_panel_x(p, x->tss), b = cm_panel_x(p, centre(x)), base = p->y + p->h;
    double length = fabs(x->tss - centre(x)), up = (p->h - 8) * 4 / 3; /* a cubic rises to 3/4 */
    up *= e->length > 0 ? sqrt(length / e->length) : 0;
    cm_svg_path_begin(&f->body, x->value < 0 ? "l3" : "l0");
    cm_svg_move(&f->body, a, base);
    cm_svg_cubic_to(&f->body, a, base - up, b, base - up, b, base);
    cm_svg_path_end(&f->body, 0.6 + 2.4 * (e->value > 0 ? fabs(x->value) / e->value : 0));
}

struct gene {
    const char *name;
    double tss;
};

static int by_place(const void *a, const void *b)
{
    const struct gene *x = a, *y = b;
    return x->tss < y->tss ? -1 : x->tss > y->tss ? 1 : strcmp(x->name, y->name);
}

/* Marks of the genes' starts, and names in *rows rows where there is space; how many have none. */
static size_t put_genes(struct cm_figure *f, const struct cm_panel *p, struct gene *g, size_t n,
                        double y, size_t *rows)
{
    double end[GENE_ROWS];
    size_t unnamed = 0;
    *rows = 0;
    for (size_t r = 0; r < GENE_ROWS; r++)
        end[r] = -1;
    qsort(g, n, sizeof *g, by_place);
    for (size_t i = 0; i < n; i++) {
        double x = cm_panel_x(p, g[i].tss), w = cm_text_width(g[i].name, 10.5);
        if (i && !strcmp(g[i].name, g[i - 1].name) && !(g[i].tss > g[i - 1].tss))
            continue;
        double at = fmin(fmax(x - w / 2, p->x), CM_FIGURE_WIDTH - 2 - w);
        size_t r = 0;
        while (r < GENE_ROWS && at < end[r] + 4)
            r++;
        cm_mark(&f->body, x, y + 4, 4, CM_KEY_TRIANGLE, 2);
        if (r == GENE_ROWS) {
            unnamed++;
            continue;
        }
        end[r] = at + w;
        *rows = r + 1 > *rows ? r + 1 : *rows;
        cm_svg_text(&f->body, "s", CM_SVG_START, at, y + 19 + (double)r * 12, g[i].name);
    }
    return unnamed;
}

static void put_table(struct cm_figure *f, const struct cm_plot_link *x)
{
    char value[CM_NUMBER_MAX];
    cm_escape(&f->tsv, x->gene);
    cm_buf_puts(&f->tsv, "\t");
    cm_escape(&f->tsv, x->chrom);
    cm_buf_puts(&f->tsv, "\t");
    cm_link_put_bases(&f->tsv, x->tss);
    cm_buf_puts(&f->tsv, "\t");
    cm_escape(&f->tsv, x->peak);
    cm_buf_puts(&f->tsv, "\t");
    cm_link_put_bases(&f->tsv, x->start);
    cm_buf_puts(&f->tsv, "\t");
    cm_link_put_bases(&f->tsv, x->end);
    cm_buf_printf(&f->tsv, "\t%s\n", cm_format_f64(x->value, value));
}

static struct extent measure(const struct segment *s, const struct cm_plot_links *l)
{
    struct extent e = {0};
    for (size_t i = 0; i < l->n; i++) {
        const struct cm_plot_link *x = &l->link[i];
        int place = place_of(s, x);
        e.half += place == 0;
        e.whole += place == 1;
        e.value = place == 1 ? fmax(e.value, fabs(x->value)) : e.value;
        e.length = place == 1 ? fmax(e.length, fabs(x->tss - centre(x))) : e.length;
    }
    return e;
}

static struct cm_axis genome_axis(const struct segment *s, double *unit, char label[200])
{
    double span = s->to - s->from;
    *unit = span > 2e6 ? 1e6 : span > 2e3 ? 1e3 : 1;
    snprintf(label, 200, "%s (%s)", s->chrom, *unit > 1e3 ? "Mb" : *unit > 1 ? "kb" : "bp");
    return (struct cm_axis){s->from / *unit, s->to / *unit, .label = label};
}

/* Arcs, peaks and genes; the figure's captions. */
static void draw(struct cm_figure *f, const struct segment *s, const struct cm_plot_links *l,
                 struct cm_panel *p)
{
    struct extent e = measure(s, l);
    struct gene *g = CM_NEW(l->n + 1, struct gene);
    double peaks = f->y + 6, tracks = peaks + 26;
    size_t genes = 0;
    cm_buf_printf(&f->tsv, "gene\tchrom\ttss\tpeak\tstart\tend\t%s\n", l->value_name);
    for (size_t i = 0; i < l->n; i++) {
        const struct cm_plot_link *x = &l->link[i];
        if (place_of(s, x) != 1)
            continue;
        put_arc(f, p, x, &e);
        double from = cm_panel_x(p, fmax(s->from, x->start));
        double to = cm_panel_x(p, fmin(s->to, x->end));
        cm_svg_rect(&f->body, "f1", from, peaks, fmax(1.5, to - from), 9);
        g[genes++] = (struct gene){x->gene, x->tss};
        put_table(f, x);
    }
    cm_svg_text(&f->body, "m", CM_SVG_END, p->x - 6, peaks + 9, "peaks");
    cm_svg_text(&f->body, "m", CM_SVG_END, p->x - 6, tracks + 9, "genes");
    size_t rows, unnamed = put_genes(f, p, g, genes, tracks, &rows);
    f->y = tracks + 14 + 12 * (double)rows;
    cm_free(g);
    if (e.whole)
        cm_figure_note(f, "%zu links; the wider the line, the larger the %s (at most %.3g).",
                       e.whole, l->value_name, e.value);
    else
        cm_figure_omit(f, "No link lies on this segment as a whole.");
    if (e.half)
        cm_figure_omit(f, "%zu links have one end outside and are not drawn.", e.half);
    if (unnamed)
        cm_figure_omit(f, "%zu genes have no space for their names.", unnamed);
}

static void put_legend(struct cm_figure *f, const char *value)
{
    struct cm_legend l = cm_legend_begin(f);
    char word[64];
    snprintf(word, sizeof word, "%s above 0", value);
    cm_legend_add(&l, CM_KEY_LINE, 0, word);
    cm_legend_add(&l, CM_KEY_LINE, 3, "below 0");
    cm_legend_end(&l);
}

int cm_plot_arcs(struct cm_figure *f, const struct cm_plot_links *l, const char *region,
                 const char *gene)
{
    struct segment s;
    char title[300], label[200];
    double unit;
    int code = region ? parse_region(&s, region) : 0;
    if (!code && l->n == 0)
        code = cm_fail(CM_EINPUT, "expected links, found a header alone: peak-links found none");
    if (code)
        return code;
    if (!region && !gene)
        gene = strongest_gene(l);
    code = region ? known_chrom(&s, l) : around_gene(&s, l, gene);
    if (code)
        return code;
    if (region)
        snprintf(title, sizeof title, "Links on %.120s:%.0f-%.0f", s.chrom, s.from, s.to);
    else
        snprintf(title, sizeof title, "Peak-gene links around %.100s", gene);
    cm_figure_begin(f, title);
    struct cm_axis across = genome_axis(&s, &unit, label), up = {0, 1, .bare = true};
    struct cm_panel p = cm_panel_make(f, ARCS, across, up);
    p.across.from = s.from;
    p.across.to = s.to;
    draw(f, &s, l, &p);
    put_legend(f, l->value_name);
    return 0;
}
