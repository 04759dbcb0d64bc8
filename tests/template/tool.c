/* @tool@ - DECIDE: what it does to cells, in one line.
 *
 * In: one matrix slot, state counts.  Out: state unknown, plain values, the fit in HEAD and COLS.
 * The formula is prep/@name@.c.  The fit needs all cells, so the input is read twice (a pipe is
 * spooled), or once with --like.  Memory: one block, and 8 bytes a feature.
 */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/conditions.h"
#include "prep/@name@.h"

static struct {
    const char *fit, *like;
} o;

/* DECIDE: a variant of the formula is an option, a new technique is a new tool. */
static const struct cm_opt options[] = {
    CM_OPT_STR("fit", 0, &o.fit, NULL, "LABEL=VALUE[,VALUE...]", "fit on these cells only"),
    CM_OPT_INPUT("like", 0, &o.like, "FILE", "take the fit from this stream or model"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "@tool@", "[IN.cms]", "DECIDE: what it does to cells", options, 0, 1, CM_TOOL_DEFAULT};

static void fit(struct cm_@name@ *f, struct cm_reader *r)
{
    struct cm_where rows = {0};
    if (o.fit)
        cm_try(cm_where_parse(&rows, o.fit));
    cm_try(cm_reader_keep(r));
    cm_try(cm_fail_in(cm_@name@_fit(f, r, o.fit ? &rows : NULL), cm_reader_path(r)));
    if (o.fit)
        cm_warn_missing(&rows, cm_reader_path(r), "fit");
    cm_where_free(&rows);
}

static void load(struct cm_@name@ *f, const struct cm_slot *in)
{
    struct cm_reader *like = cm_in_open(o.like);
    cm_try(cm_@name@_load(f, cm_reader_head(like), cm_reader_path(like), in));
    cm_try(cm_reader_drain(like));
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    if (o.like && o.fit)
        cm_usage_error("--like applies a fit, --fit makes one");
    struct cm_reader *r = cm_in_open(in[0]);
    const struct cm_head *h = cm_reader_head(r);
    /* DECIDE: which states are welcome (cms(5)). */
    static const int welcome[] = {CM_S_COUNTS, -1};
    cm_require_kind(r, CM_MATRIX);
    if (h->nslots != 1)
        cm_die(3, "%s: expected one slot, found %zu", cm_reader_path(r), h->nslots);
    cm_require_state(r, 0, welcome, NULL);
    struct cm_@name@ f = {0};
    if (o.like)
        load(&f, &h->slot[0]);
    else
        fit(&f, r);

    struct cm_head out = {0};
    cm_head_copy(&out, h);
    cm_@name@_save(&f, &out.slot[0]);
    struct cm_writer *w = cm_out_open(&out);
    struct cm_chunk c = {0};
    while (cm_next(r, &c)) {
        cm_@name@_apply(&f, &c.block[0], &h->slot[0]);
        cm_try(cm_writer_chunk(w, &c, h));
        cm_progress(c.first + c.rows, h->slot[0].rows, "cells");
    }
    cm_chunk_free(&c);
    cm_head_free(&out);
    cm_@name@_free(&f);
    return cm_finish();
}
