/* feature-select - keep the features that differ most between cells.
 *
 * In: one matrix slot, any state.  Out: the same cells with fewer columns, in the order of the
 * input (with --like in that of FILE); values, fitted vectors and lazy factors unchanged.  The
 * scores (dispersion, variance, cells) and their formulas are prep/select.h.  They need all cells,
 * so the input is read twice (a pipe is spooled), or once with --like.  Memory: one block and 48
 * bytes a column.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/conditions.h"
#include "prep/select.h"

static struct {
    int64_t top, min_cells;
    int by;
    const char *like, *fit, *table;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INT("top", 'k', &o.top, NULL, 1, 4e9, "N", "keep the N features with the best score"),
    CM_OPT_CHOICE("by", 0, &o.by, "dispersion", "dispersion|variance|cells", "the score"),
    CM_OPT_INT("min-cells", 0, &o.min_cells, NULL, 1, 1e15, "N",
               "only features with a value in N cells or more"),
    CM_OPT_STR("fit", 0, &o.fit, NULL, "LABEL=VALUE[,VALUE...]", "choose by these cells only"),
    CM_OPT_INPUT("like", 0, &o.like, "FILE",
                 "keep the features of this stream or model, in its order"),
    CM_OPT_OUTPUT("table", 0, &o.table, "FILE",
                  "write the numbers of every feature to FILE as TSV"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "feature-select", "[IN.cms]", "keep the features that differ most between cells", options, 0, 1,
    CM_TOOL_DEFAULT};

static void check_options(void)
{
    bool choose = cm_given("top") || cm_given("min-cells");
    if (o.like && (choose || cm_given("by") || o.fit || o.table))
        cm_usage_error("--like takes a choice, the other options make one");
    if (!o.like && !choose)
        cm_usage_error("nothing to choose by: give --top, --min-cells or --like");
    if (cm_given("by") && !cm_given("top"))
        cm_usage_error("--by is the score for --top");
}

static size_t choose_like(const struct cm_slot *in, uint64_t **keep)
{
    struct cm_reader *r = cm_in_open(o.like);
    const struct cm_head *h = cm_reader_head(r);
    int at = cm_head_find_slot(h, in->name);
    if (at < 0)
        cm_die(3, "%s: no slot %s", cm_reader_path(r), in->name);
    const struct cm_cols *like = &h->slot[at].cols;
    *keep = CM_NEW(like->names.n + 1, uint64_t);
    cm_try(cm_select_like(like, cm_reader_path(r), &in->cols, *keep));
    size_t n = like->names.n;
    cm_try(cm_reader_drain(r));
    return n;
}

static void write_table(const struct cm_select *s, const struct cm_strs *names,
                        const uint64_t *keep, size_t n)
{
    FILE *f = cm_out_text_file(o.table);
    char a[CM_NUMBER_MAX], b[CM_NUMBER_MAX], c[CM_NUMBER_MAX], d[CM_NUMBER_MAX];
    fputs("name\tcells\tmean\tvariance\tdispersion\tscore\tkept\n", f);
    for (size_t j = 0, k = 0; j < s->cols; j++) {
        bool kept = k < n && keep[k] == j;
        k += kept;
        fprintf(f, "%s\t%" PRIu64 "\t%s\t%s\t%s\t%s\t%d\n", cm_strs_get(names, j), s->cells[j],
                cm_format_f64(s->mean[j], a), cm_format_f64(s->variance[j], b),
                cm_format_f64(s->dispersion[j], c), cm_format_f64(s->score[j], d), kept);
    }
    cm_out_flush(f);
}

static size_t choose_best(struct cm_reader *r, const struct cm_slot *in, uint64_t **keep)
{
    struct cm_select s;
    struct cm_where rows = {0};
    if (o.fit)
        cm_try(cm_where_parse(&rows, o.fit));
    cm_try(cm_reader_keep(r));
    cm_try(cm_select_fit(&s, r, o.fit ? &rows : NULL));
    if (o.fit)
        cm_warn_missing(&rows, cm_reader_path(r), "fit");
    cm_try(cm_fail_in(cm_select_score(&s, (enum cm_select_by)o.by), cm_reader_path(r)));
    *keep = CM_NEW(in->cols.names.n + 1, uint64_t);
    size_t n = cm_select_top(&s, (size_t)o.top, (uint64_t)o.min_cells, *keep);
    if (cm_given("top") && n < (size_t)o.top)
        cm_warn("%zu features are all there are to choose from, not %" PRId64, n, o.top);
    if (o.table)
        write_table(&s, &in->cols.names, *keep, n);
    cm_where_free(&rows);
    cm_select_free(&s);
    return n;
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    check_options();
    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_MATRIX);
    const struct cm_head *h = cm_reader_head(r);
    if (h->nslots != 1)
        cm_die(3, "%s: expected one slot, found %zu", cm_reader_path(r), h->nslots);
    const struct cm_slot *slot = &h->slot[0];
    uint64_t *keep;
    size_t n = o.like ? choose_like(slot, &keep) : choose_best(r, slot, &keep);
    cm_info("%zu of %zu features kept", n, slot->cols.names.n);
    if (!n && slot->cols.names.n)
        cm_warn("none of %zu features is kept", slot->cols.names.n);
    uint32_t *map = CM_NEW(slot->cols.names.n + 1, uint32_t);
    for (size_t j = 0; j < slot->cols.names.n; j++)
        map[j] = UINT32_MAX;
    for (size_t k = 0; k < n; k++)
        map[keep[k]] = (uint32_t)k;

    struct cm_head out = {0};
    cm_head_copy(&out, h);
    cm_cols_select(&out.slot[0].cols, keep, n);
    struct cm_writer *w = cm_out_open(&out);
    struct cm_chunk c = {0};
    while (cm_next(r, &c)) {
        if (!c.is_tensor)
            cm_block_map_columns(&c.block[0], map, n);
        cm_try(cm_writer_chunk(w, &c, h));
        cm_progress(c.first + c.rows, h->slot[0].rows, "cells");
    }
    cm_chunk_free(&c);
    cm_head_free(&out);
    cm_free(keep);
    cm_free(map);
    return cm_finish();
}
