/* xattn-score - the paper's similarity S of candidate pairs.
 *
 * In:  a match in state similarity (S0, as knn-match writes it), and the prepared cells of both
 *      modalities, which the candidates' names refer to.
 * Out: the same match with the K best candidates of each row and S = S0 + alpha S1 in place of S0,
 *      S1 = e1.t1 from the model's cross-attention module run on that pair; rows, columns, labels
 *      as they were.  By a model without the module the candidates pass through.
 *
 * Only names join the files; who is whose partner is not known here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cells.h"
#include "cli/cli.h"
#include "match/feed.h"
#include "network/scorer.h"

static struct {
    const char *model, *gex, *atac;
    int64_t top;
    uint64_t cache;
    bool by_name;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INPUT("model", 'm', &o.model, "MODEL.cms", "the model (required)"),
    CM_OPT_INPUT("gex", 0, &o.gex, "GEX.cms", "prepared RNA cells (required)"),
    CM_OPT_INPUT("atac", 0, &o.atac, "ATAC.cms", "prepared ATAC cells (required)"),
    CM_OPT_INT("top", 'k', &o.top, NULL, 1, 1e9, "K",
               "candidates scored in each row (default: the model's)"),
    CM_OPT_FLAG("by-name", 0, &o.by_name,
                "take the model's columns by name, in any order, among others"),
    CM_OPT_SIZE("cache", 0, &o.cache, "512M", 0, 0, "SIZE", "memory for cells met again"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "xattn-score",  "[CANDIDATES.cms]", "score candidate pairs by cross-attention", options, 0, 1,
    CM_TOOL_DEFAULT};

/* The candidates as they are: without the module S is S0. */
static void pass_through(struct cm_reader *r)
{
    struct cm_writer *w = cm_out_open(cm_reader_head(r));
    cm_writer_max_row(w, cm_reader_head(r)->slot[0].cols.names.n + 1);
    struct cm_chunk c = {0};
    while (cm_next(r, &c))
        cm_try(cm_writer_chunk(w, &c, cm_reader_head(r)));
    cm_chunk_free(&c);
}

/* The row of the cell called `name`, or the end. */
static uint64_t find_cell(const struct cm_cells *cells, const char *name, const char *path,
                          const char *candidates)
{
    size_t at = cm_index_find(&cells->at, name);
    if (at == CM_ABSENT)
        cm_die(3, "%s: the cell '%s' of %s is missing", path, name, candidates);
    return at;
}

/* The side of the match's rows: its head says it, otherwise rows are RNA. */
static size_t side_of_rows(const struct cm_model *m, struct cm_reader *r)
{
    const char *rows = cm_kv_get(&cm_reader_head(r)->kv, "match.rows");
    int side = cm_model_side(m, rows ? rows : "GEX");
    cm_try(cm_fail_in(side, cm_reader_path(r)));
    return (size_t)side;
}

static void score(const struct cm_model *m, const char *digest, struct cm_reader *r)
{
    const struct cm_head *h = cm_reader_head(r);
    const struct cm_net *net = &m->net;
    size_t rows = side_of_rows(m, r), top = o.top ? (size_t)o.top : (size_t)net->cross.o.top;
    size_t candidates = h->slot[0].cols.names.n;
    top = top < candidates ? top : candidates;
    struct cm_cells cells[2];
    memset(cells, 0, sizeof cells);
    const char *path[2];
    for (size_t s = 0; s < 2; s++) {
        path[s] = (int)s == cm_model_side(m, "GEX") ? o.gex : o.atac;
        cm_cells_load(&cells[s], m, o.model, s, path[s], o.by_name);
    }
    uint32_t *column = CM_NEW(candidates, uint32_t), *at = CM_NEW(top, uint32_t);
    for (size_t j = 0; j < candidates; j++)
        column[j] = (uint32_t)find_cell(&cells[1 - rows], cm_strs_get(&h->slot[0].cols.names, j),
                                        path[1 - rows], cm_reader_path(r));

    struct cm_head out = {0};
    cm_head_copy(&out, h);
    cm_kv_set(&out.kv, "xattn.model", digest);
    cm_kv_setf(&out.kv, "xattn.alpha", net->cross.o.alpha);
    cm_kv_seti(&out.kv, "xattn.top", (int64_t)top);
    struct cm_writer *w = cm_out_open(&out);
    cm_writer_max_row(w, top + 1);
    const struct cm_csr *const x[2] = {&cells[0].x, &cells[1].x};
    struct cm_scorer *scorer = cm_scorer_make(net, net->w, x, rows, top, o.cache);
    struct cm_feed feed;
    cm_try(cm_feed_make(&feed, r));
    uint64_t done = 0;
    int more;
    while ((more = cm_feed_next(&feed, 64)) > 0) {
        struct cm_rows part = cm_feed_rows(&feed);
        cm_scorer_keep(part.n, part.ptr, part.idx, part.val, top);
        for (size_t i = 0; i < part.n; i++) {
            size_t from = part.ptr[i], n = part.ptr[i + 1] - from;
            for (size_t k = 0; k < n; k++)
                at[k] = column[part.idx[from + k]];
            uint64_t cell =
                find_cell(&cells[rows], cm_strs_get(&feed.names, i), path[rows], cm_reader_path(r));
            cm_try(cm_scorer_row(scorer, cell, at, n, part.val + from));
            cm_progress(++done, h->slot[0].rows, "cells");
        }
        struct cm_chunk c = cm_feed_chunk(&feed, &part, candidates);
        cm_try(cm_writer_chunk(w, &c, h));
    }
    cm_try(more);
    cm_scorer_free(scorer);
    cm_feed_free(&feed);
    cm_head_free(&out);
    cm_cells_free(&cells[0]);
    cm_cells_free(&cells[1]);
    cm_free(column);
    cm_free(at);
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv), digest[20];
    if (!o.model || !o.gex || !o.atac)
        cm_usage_error("--model, --gex and --atac are required");
    struct cm_model m;
    cm_model_open(&m, o.model, digest);
    struct cm_reader *r = cm_in_open(in[0]);
    const int similarity[] = {CM_S_SIMILARITY, -1};
    cm_require_kind(r, CM_MATCH);
    cm_require_state(r, 0, similarity, "knn-match --similarities");
    if (m.has_net && m.net.has_cross) {
        score(&m, digest, r);
    } else {
        cm_info("%s has no cross-attention module: the candidates pass through", o.model);
        pass_through(r);
    }
    cm_model_free(&m);
    return cm_finish();
}
