/* svd - cells on the leading singular vectors: latent semantic indexing, PCA.
 *
 * In: one matrix slot in any state but svd, sparse or dense.  Out: a dense matrix of the same cells
 * and slot, columns PC1.., state svd, with the loadings in front so that --like applies them to
 * other cells.  Y = X V, or (X - 1 mean') V with --center (prep/project.h; V from matrix/svd.h).
 * Two passes: the cells of the fit are held in memory for the first, the second needs one block.
 */
#include "cli/cli.h"
#include "cli/conditions.h"
#include "prep/project.h"

static struct {
    int64_t k;
    bool drop_first, zscore, center;
    double tolerance;
    const char *fit, *like;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INT("components", 'k', &o.k, "50", 1, 10000, "K", "columns written"),
    CM_OPT_FLAG("drop-first", 0, &o.drop_first, "fit one component more and leave the first out"),
    CM_OPT_FLAG("zscore", 'z', &o.zscore, "standardise each cell over its components"),
    CM_OPT_FLAG("center", 'c', &o.center, "subtract the column means first: PCA"),
    CM_OPT_REAL("tolerance", 0, &o.tolerance, "1e-4", 1e-12, 0.1, "T",
                "largest relative residual of a component"),
    CM_OPT_STR("fit", 0, &o.fit, NULL, "LABEL=VALUE[,VALUE...]",
               "fit the components on these cells only"),
    CM_OPT_INPUT("like", 0, &o.like, "FILE", "take components and choices from this output of svd"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "svd", "[IN.cms]",  "reduce a matrix to its leading singular vectors", options, 0,
    1,     CM_TOOL_SEED};

/* Options that were given and differ from the fit of --like. */
static void contradict(const struct cm_projection *p)
{
    if (cm_given("components") && (size_t)o.k != p->k)
        cm_usage_error("-k %lld contradicts %s, which was fitted with %zu", (long long)o.k, o.like,
                       p->k);
    if ((o.drop_first && !p->drop_first) || (o.zscore && !p->zscore) || (o.center && !p->centre))
        cm_usage_error("--%s contradicts %s, which was fitted without",
                       o.drop_first && !p->drop_first ? "drop-first"
                       : o.zscore && !p->zscore       ? "zscore"
                                                      : "center",
                       o.like);
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    if (o.like && (o.fit || cm_given("tolerance") || cm_given("seed")))
        cm_usage_error("--like applies a fit; --fit, --tolerance and --seed make one");
    if (!o.like && o.zscore && o.k < 2)
        cm_usage_error("--zscore needs two components (-k): one alone becomes 0 in every cell");
    struct cm_where rows = {0};
    if (o.fit)
        cm_try(cm_where_parse(&rows, o.fit));
    struct cm_projection p = {
        .k = (size_t)o.k, .centre = o.center, .drop_first = o.drop_first, .zscore = o.zscore};

    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_MATRIX);
    const struct cm_head *h = cm_reader_head(r);
    if (h->nslots != 1)
        cm_die(3, "%s: expected one slot, found %zu", cm_reader_path(r), h->nslots);
    if (h->slot[0].state == CM_S_SVD)
        cm_die(3, "%s: state is svd already", cm_reader_path(r));
    if (o.like) {
        struct cm_reader *like = cm_in_open(o.like);
        cm_try(cm_projection_load(&p, like, &h->slot[0]));
        contradict(&p);
    } else {
        cm_try(cm_reader_keep(r));
        cm_try(cm_projection_fit(&p, r, o.fit ? &rows : NULL, cm_seed(), o.tolerance));
        if (o.fit)
            cm_warn_missing(&rows, cm_reader_path(r), "fit");
        cm_info("%zu components of %llu cells and %zu columns in %zu iterations", p.fitted,
                (unsigned long long)p.cells, p.cols, p.iterations);
    }

    struct cm_head out = {0};
    cm_head_copy(&out, h);
    cm_projection_slot(&p, &h->slot[0], &out.slot[0]);
    struct cm_writer *w = cm_out_open(&out);
    cm_try(cm_projection_save(&p, &h->slot[0].cols.names, w));
    struct cm_chunk c = {0}, part = {0};
    while (cm_next(r, &c)) {
        for (size_t at = 0; at < c.rows; at += CM_SLICE_ROWS) {
            size_t left = c.rows - at;
            bool whole = c.rows <= CM_SLICE_ROWS;
            if (!whole)
                cm_chunk_slice(&part, &c, at, left < CM_SLICE_ROWS ? left : CM_SLICE_ROWS);
            struct cm_chunk *some = whole ? &c : &part;
            cm_try(cm_fail_in(cm_projection_apply(&p, &h->slot[0], some), cm_reader_path(r)));
            cm_try(cm_writer_chunk(w, some, h));
            cm_progress(p.rows, h->slot[0].rows, "cells");
        }
    }
    if (p.empty)
        cm_warn("%llu of %llu cells have no entries; their rows are zero",
                (unsigned long long)p.empty, (unsigned long long)p.rows);
    cm_chunk_free(&c);
    cm_chunk_free(&part);
    cm_head_free(&out);
    cm_projection_free(&p);
    cm_where_free(&rows);
    return cm_finish();
}
