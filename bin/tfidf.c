/* tfidf - weigh peaks by how rare they are, within each cell's total.
 *
 * In: one matrix slot, state counts or binary.  Out: the same counts with a factor a row and a
 * factor a column (lazy values), state tfidf, the constants in HEAD and COLS as fit.*.  Value =
 * post_j f(row_i col_j x_ij); the formulas are prep/tfidf.c, their fitting and applying
 * prep/norm.c.  The weight of a peak needs all cells, so the input is read twice (a pipe is
 * spooled), or once with --like.  Memory: one block, and 32 bytes a column.
 */
#include <math.h>

#include "cli/cli.h"
#include "prep/norm.h"

static struct {
    const char *method, *fit, *like;
    double scale;
    bool binarize, materialize;
} o;

static const struct cm_opt options[] = {
    {"method", 'm', CM_O_STR, &o.method, "signac1", 0, 0,
     "signac1|signac2|signac3|signac4|archr3|sklearn|glue|allcools|snapatac2|logtfidf",
     "the formula"},
    {"scale", 's', CM_O_REAL, &o.scale, NULL, 1e-6, 1e12, "S",
     "the scale s of the formula (allcools 1e5, others that have one 1e4)"},
    {"binarize", 'b', CM_O_FLAG, &o.binarize, NULL, 0, 0, NULL,
     "make every count above 0 a 1 before anything else"},
    {"fit", 0, CM_O_STR, &o.fit, NULL, 0, 0, "LABEL=VALUE[,VALUE...]",
     "fit the constants on these cells only"},
    {"like", 0, CM_O_STR, &o.like, NULL, 0, 0, "FILE",
     "take method and constants from this stream or model"},
    {"materialize", 0, CM_O_FLAG, &o.materialize, NULL, 0, 0, NULL,
     "write plain numbers in place of counts and factors"},
    {0}};

static const struct cm_tool tool = {
    "tfidf", "[IN.cms]", "weigh accessibility counts by TF-IDF", options, 0, 1, CM_TOOL_DEFAULT};

/* The method that the command line asks for; NULL leaves it to --like. */
static const struct cm_norm_method *chosen(void)
{
    if (o.like && !cm_given("method"))
        return NULL;
    const struct cm_norm_method *m = cm_norm_find(cm_tfidf_methods, o.method);
    if (!m)
        cm_usage_error("--method: expected one of %s, found '%s'", options[0].metavar, o.method);
    return m;
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_norm n = {.tool = "tfidf",
                        .table = cm_tfidf_methods,
                        .method = chosen(),
                        .scale = cm_given("scale") ? o.scale : NAN,
                        .binarize = o.binarize};
    struct cm_where rows = {0};
    if (o.like && o.fit)
        cm_usage_error("--like applies a fit, --fit makes one");
    if (o.fit)
        cm_try(cm_where_parse(&rows, o.fit));
    if (!o.like)
        cm_try(cm_norm_check(&n));

    struct cm_reader *r = cm_in_open(in[0]);
    const struct cm_head *h = cm_reader_head(r);
    cm_try(cm_fail_in(cm_norm_accepts(h, true), cm_reader_path(r)));
    if (o.like) {
        struct cm_reader *like = cm_in_open(o.like);
        cm_try(cm_norm_load(&n, cm_reader_head(like), cm_reader_path(like), &h->slot[0]));
        cm_try(cm_reader_drain(like));
    } else {
        cm_try(cm_reader_keep(r));
        cm_try(cm_norm_fit(&n, r, o.fit ? &rows : NULL));
        if (n.unseen)
            cm_info("%zu of %zu columns have no counts in the cells fitted on", n.unseen, n.cols);
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
