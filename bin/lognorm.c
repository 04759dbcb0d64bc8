/* lognorm - log-normalise counts, one row at a time.
 *
 * In: one matrix slot, state counts.  Out: the same counts with a row factor each (lazy values),
 * state lognorm (sqrt, scaled), the constants in HEAD as fit.*.  Value = post f(row_i x_ij); the
 * formulas are prep/lognorm.c, their fitting and applying prep/norm.c.  Methods with a fitted
 * total read the cells twice (a pipe is spooled), the others once.  Memory: one block, and 8
 * bytes a cell for a median.
 */
#include <math.h>

#include "cli/cli.h"
#include "prep/norm.h"

static struct {
    const char *method, *label, *fit, *like;
    double target;
    bool median_all, materialize;
} o;

static const struct cm_opt options[] = {
    {"method", 'm', CM_O_STR, &o.method, "seurat", 0, 0,
     "seurat|scanpy|scran|size-factors|cpm|sqrt", "the formula"},
    {"target", 0, CM_O_REAL, &o.target, NULL, 1e-6, 1e12, "TOTAL",
     "total that every cell is scaled to (seurat 1e4, cpm 1e6; scanpy, sqrt: the median total)"},
    {"size-factors", 0, CM_O_STR, &o.label, NULL, 0, 0, "LABEL",
     "divide by this label (size-factors, scran)"},
    {"median-all", 0, CM_O_FLAG, &o.median_all, NULL, 0, 0, NULL,
     "empty cells take part in the median (scanpy before 2026)"},
    {"fit", 0, CM_O_STR, &o.fit, NULL, 0, 0, "LABEL=VALUE[,VALUE...]",
     "fit the constants on these cells only"},
    {"like", 0, CM_O_STR, &o.like, NULL, 0, 0, "FILE",
     "take method and constants from this stream or model"},
    {"materialize", 0, CM_O_FLAG, &o.materialize, NULL, 0, 0, NULL,
     "write plain numbers in place of counts and factors"},
    {0}};

static const struct cm_tool tool = {
    "lognorm", "[IN.cms]", "log-normalise the counts of cells", options, 0, 1, CM_TOOL_DEFAULT};

/* The method that the command line asks for; NULL leaves it to --like. */
static const struct cm_norm_method *chosen(void)
{
    if (o.like && !cm_given("method"))
        return NULL;
    const char *name = o.label && !cm_given("method") ? "size-factors" : o.method;
    const struct cm_norm_method *m = cm_norm_find(cm_lognorm_methods, name);
    if (!m)
        cm_usage_error("--method: expected one of %s, found '%s'", options[0].metavar, name);
    return m;
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_norm n = {.tool = "lognorm",
                        .table = cm_lognorm_methods,
                        .method = chosen(),
                        .scale = cm_given("target") ? o.target : NAN,
                        .median_all = o.median_all,
                        .label = o.label};
    struct cm_where rows = {0};
    if (o.like && (o.fit || o.median_all))
        cm_usage_error("--like applies a fit, --%s makes one", o.fit ? "fit" : "median-all");
    if (o.fit)
        cm_try(cm_where_parse(&rows, o.fit));
    if (!o.like)
        cm_try(cm_norm_check(&n));

    struct cm_reader *r = cm_in_open(in[0]);
    const struct cm_head *h = cm_reader_head(r);
    cm_try(cm_fail_in(cm_norm_accepts(h, false), cm_reader_path(r)));
    if (o.like) {
        struct cm_reader *like = cm_in_open(o.like);
        cm_try(cm_norm_load(&n, cm_reader_head(like), cm_reader_path(like), &h->slot[0]));
        cm_try(cm_reader_drain(like));
    } else {
        if (cm_norm_needs_pass(&n))
            cm_try(cm_reader_keep(r));
        cm_try(cm_norm_fit(&n, r, o.fit ? &rows : NULL));
    }

    struct cm_head out = {0};
    cm_head_copy(&out, h);
    cm_norm_save(&n, &out.slot[0]);
    struct cm_head lazy = {0}; /* how the values come about, where `out` will not say it */
    if (o.materialize) {
        cm_head_copy(&lazy, &out);
        out.slot[0].lazy = CM_LAZY_NO;
    }
    struct cm_writer *w = cm_out_open(&out);
    struct cm_chunk c = {0};
    while (cm_next(r, &c)) {
        cm_try(cm_fail_in(cm_norm_apply(&n, h, &c), cm_reader_path(r)));
        if (o.materialize)
            cm_block_materialize(&c.block[0], &lazy.slot[0]);
        cm_try(cm_writer_chunk(w, &c, h));
        cm_progress(n.rows, h->slot[0].rows, "cells");
    }
    if (n.empty)
        cm_warn("%llu of %llu cells have no counts; their rows stay zero",
                (unsigned long long)n.empty, (unsigned long long)n.rows);
    cm_chunk_free(&c);
    cm_head_free(&out);
    cm_head_free(&lazy);
    cm_where_free(&rows);
    cm_norm_free(&n);
    return cm_finish();
}
