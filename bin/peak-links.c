/* peak-links - the peak-gene links of a model, with correlation, z, p, q and weight.
 *
 * In:  a model.
 * Out: text: a table, or BEDPE.
 * z = c sqrt(cells), p of a standard normal, two-sided, q by Benjamini and Hochberg over all pairs
 * inside the model's window.  See links/rows.h, links/significance.h.
 * Memory: the model, and 100 bytes a pair inside the window.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cells.h"
#include "cli/cli.h"
#include "links/rows_text.h"
#include "links/significance.h"
#include "links/sites.h"
#include "model/presets.h"

static struct {
    const char *model;
    bool all;
    int64_t top;
    double fdr;
    int bedpe;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INPUT("model", 'm', &o.model, "MODEL.cms", "the model (required)"),
    CM_OPT_FLAG("all", 0, &o.all,
                "all pairs in the window, also those that the model does not use"),
    CM_OPT_INT("top", 0, &o.top, NULL, 1, 1e9, "N",
               "so many links: largest |weight|, with --all largest |z|"),
    CM_OPT_REAL("fdr", 0, &o.fdr, NULL, 1e-300, 1, "Q", "links whose q is at most this"),
    CM_OPT_CHOICE("format", 0, &o.bedpe, "tsv", "tsv|bedpe",
                  "a table, or ends of links for browsers"),
    CM_OPT_END,
};

static const struct cm_tool tool = {"peak-links", "", "peak-gene links of a model", options, 0, 0,
                                    CM_TOOL_TEXT};

static struct cm_link_side side_of(const struct cm_model *m, const char *name)
{
    int at = cm_model_side(m, name);
    cm_try(at);
    return cm_link_side_make(&m->head.slot[at].cols, !strcmp(name, "GEX"));
}

static void write_rows(const struct cm_link_rows *rows, const struct cm_link_side *gene,
                       const struct cm_link_side *peak)
{
    FILE *out = cm_out_text();
    struct cm_buf b = {0};
    cm_buf_puts(&b, o.bedpe ? cm_link_bedpe_header : cm_link_tsv_header);
    for (size_t k = 0; k <= rows->n; k++) {
        if (k == rows->n || b.n > 1 << 16) {
            fwrite(b.p, 1, b.n, out);
            b.n = 0;
        }
        if (k < rows->n)
            (o.bedpe ? cm_link_put_bedpe : cm_link_put_tsv)(&b, gene, peak, &rows->row[k]);
    }
    cm_buf_free(&b);
}

/* The model was trained without links, by its preset or by an option. */
static void never_linked(const struct cm_model *m)
{
    const char *slot[2] = {m->head.slot[0].name, m->head.slot[1].name};
    const char *preset = cm_kv_get(&m->head.kv, "hp.preset");
    struct cm_config usual = {0};
    if (preset && !strcmp(preset, cm_preset_name(m->config.preset)))
        cm_preset_config(m->config.preset, slot, &usual);
    cm_die(3,
           "%s: no peak-gene links: the model was trained without (preset %s%s); train with "
           "preset linear, closed, best or attn%s",
           o.model, preset ? preset : "unknown", usual.links.on ? ", --no-cis" : "",
           usual.links.on ? " and without --no-cis" : "");
}

/* Why the model has none, and what gives it some; ends the program. */
static void no_links(const struct cm_model *m)
{
    const struct cm_head *h = &m->head;
    const char *none = "no peak-gene links";
    struct cm_config all; /* also what only training needs */
    const struct cm_links_fit_config *c = &all.links.fit;
    int gene = cm_head_find_slot(h, "GEX"), peak = cm_head_find_slot(h, "ATAC");
    if (!m->config.links.on)
        never_linked(m);
    if (gene < 0 || peak < 0)
        cm_die(3, "%s: %s: expected slots GEX and ATAC, found %s and %s", o.model, none,
               h->slot[0].name, h->slot[1].name);
    cm_try(cm_fail_in(cm_config_read(&all, h, CM_CONFIG_TRAIN), o.model));
    size_t placed[2];
    struct cm_links_candidates near = cm_links_candidates_find(
        &h->slot[gene].cols, &h->slot[peak].cols, (double)c->window, SIZE_MAX, placed);
    size_t pairs = near.n;
    cm_links_candidates_free(&near);
    if (!placed[0] || !placed[1])
        cm_die(3,
               "%s: %s: the %s have no coordinates (columns chrom and start); "
               "feature-sort %sgives them, before training",
               o.model, none,
               placed[0]   ? "peaks"
               : placed[1] ? "genes"
                           : "genes and the peaks",
               placed[0] ? "" : "--annotation ");
    if (!pairs)
        cm_die(3,
               "%s: %s: no peak lies within %" PRId64 " bases of a gene; is it one genome? "
               "Or train with a larger --cis-window",
               o.model, none, c->window);
    cm_die(3,
           "%s: %s: none of %zu pairs within %" PRId64 " bases has a correlation beyond "
           "%g/sqrt(cells); train with more cells, or a smaller --cis-threshold",
           o.model, none, pairs, c->window, c->threshold);
}

/* Warns where no candidate will pass --fdr: how many there are, and the smallest q. */
static void warn_none(const struct cm_link_rows *rows)
{
    char q[CM_NUMBER_MAX];
    size_t candidates = 0;
    double min = 0;
    for (size_t k = 0; k < rows->n; k++)
        if (o.all || rows->row[k].used) {
            candidates++;
            min = fmin(min, rows->row[k].log_q);
        }
    if (min > log(o.fdr))
        cm_warn("%s: none of %zu %s has a q of at most %g; the smallest is %s", o.model, candidates,
                o.all ? "candidates" : "links of the model", o.fdr, cm_format_exp(min, q));
}

static void require_links(const struct cm_model *m)
{
    if (!m->has_links)
        no_links(m);
    if (m->links.correlation)
        return;
    if (o.all || cm_given("fdr"))
        cm_die(3,
               "%s: a model of an earlier version, which keeps no correlations of all pairs; --%s "
               "needs a model trained by this one",
               o.model, o.all ? "all" : "fdr");
    cm_warn("%s: a model of an earlier version: correlation, z, p and q stay empty, and need a "
            "model trained by this one",
            o.model);
}

int main(int argc, char **argv)
{
    cm_start(&tool, argc, argv);
    char digest[20];
    struct cm_model m;
    struct cm_link_rows rows;
    if (!o.model)
        cm_usage_error("--model is required");
    cm_model_open(&m, o.model, digest);
    require_links(&m);
    struct cm_link_side gene = side_of(&m, "GEX"), peak = side_of(&m, "ATAC");
    cm_try(cm_fail_in(cm_link_rows_make(&rows, &m.links, gene.cols, peak.cols), o.model));
    struct cm_link_choice choice = {o.all, cm_given("fdr") ? o.fdr : (double)NAN, (size_t)o.top};
    if (cm_given("fdr"))
        warn_none(&rows);
    cm_link_rows_choose(&rows, &choice);
    write_rows(&rows, &gene, &peak);
    cm_free(rows.row);
    cm_link_side_free(&gene);
    cm_link_side_free(&peak);
    cm_model_free(&m);
    return cm_finish();
}
