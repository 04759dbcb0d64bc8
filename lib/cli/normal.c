/* cli/normal.c - a normalisation as a program.  See normal.h.
 *
 * Read once where the formula allows, else as often as cm_norm_passes says (a pipe is then spooled,
 * still compressed).  What is no longer needed is freed before the blocks come: the heads of wide
 * matrices are most of what these filters hold.
 */
#include "cli/normal.h"

#include "base/mem.h"
#include "cli/conditions.h"
#include "prep/where.h"

const struct cm_norm_method *cm_normal_method(const struct cm_norm *n, const struct cm_normal *o,
                                              bool given, const char *name, const char *known)
{
    if (o->like && !given)
        return NULL;
    const struct cm_norm_method *m = cm_norm_find(n->table, name);
    if (!m)
        cm_usage_error("--method: expected one of %s, found '%s'", known, name);
    return m;
}

/* rows: those to fit on, if o->fit says which; freed here only if a pass has read them. */
static void fit(struct cm_norm *n, const struct cm_normal *o, struct cm_reader *r,
                struct cm_where *rows)
{
    if (o->fit)
        cm_try(cm_where_parse(rows, o->fit));
    bool reads = cm_norm_passes(n) > 0; /* fitting sets the scale, which changes the answer */
    if (reads)
        cm_try(cm_reader_keep(r));
    cm_try(cm_norm_fit(n, r, o->fit ? rows : NULL));
    if (o->fit && reads) {
        cm_warn_missing(rows, cm_reader_path(r), "fit");
        cm_where_free(rows);
        *rows = (struct cm_where){0};
    }
    if (n->unseen)
        cm_info("%zu of %zu columns have no counts in the cells fitted on", n->unseen, n->cols);
    if (n->excluded)
        cm_info("%zu of %zu columns are left out of the totals", n->excluded, n->cols);
}

/* Constants from --like, whose head is not kept. */
static void load(struct cm_norm *n, const struct cm_normal *o, const struct cm_slot *slot)
{
    struct cm_reader *like = cm_in_open(o->like);
    cm_try(cm_norm_load(n, cm_reader_head(like), cm_reader_path(like), slot));
    if (n->missing)
        cm_warn("%zu of %zu features of %s are missing in the input ('%s' is one); they count as 0",
                n->missing, n->fit_cols, cm_reader_path(like), n->example);
    cm_try(cm_reader_drain(like));
}

/* A formula that fits nothing still wants its cells to be there: counts those of a chunk. */
static uint64_t count_fitted(const struct cm_where *rows, const struct cm_head *h,
                             const struct cm_chunk *c)
{
    uint64_t n = 0;
    for (size_t i = 0; rows->label && i < c->rows; i++)
        n += cm_where_row(rows, h, c, i);
    return n;
}

/* After all rows, where no pass has asked. */
static void check_fitted(struct cm_where *rows, uint64_t fitted, uint64_t all, const char *path)
{
    if (!rows->label)
        return;
    if (all > 0 && fitted == 0)
        cm_die(3, "%s: none of %llu rows meets the condition on \"%s\"", path,
               (unsigned long long)all, rows->label);
    cm_warn_missing(rows, path, "fit");
    cm_where_free(rows);
}

int cm_normal_run(struct cm_norm *n, const struct cm_normal *o, const char *input)
{
    if (o->like && (o->fit || n->median_all))
        cm_usage_error("--like applies a fit, --%s makes one", o->fit ? "fit" : "median-all");
    if (cm_given("missing") && !o->like)
        cm_usage_error("--missing goes with --like");
    if (o->fit) { /* before anything is read: a slip of the pen is status 2 */
        struct cm_where rows = {0};
        cm_try(cm_where_parse(&rows, o->fit));
        cm_where_free(&rows);
    }
    if (!o->like)
        cm_try(cm_norm_check(n));
    n->fractional = o->fractional;
    n->missing_zero = o->missing == 1;
    cm_mem_lean();
    struct cm_where unread = {0};
    uint64_t fitted = 0;
    struct cm_reader *r = cm_in_open(input);
    const struct cm_head *h = cm_reader_head(r);
    cm_try(cm_fail_in(cm_norm_accepts(h, o->binary), cm_reader_path(r)));
    if (o->like)
        load(n, o, &h->slot[0]);
    else
        fit(n, o, r, &unread);

    struct cm_head out = {0};
    cm_head_copy(&out, h);
    cm_norm_save(n, &out.slot[0]);
    enum cm_lazy lazy = out.slot[0].lazy;
    bool plain = o->materialize && lazy != CM_LAZY_NO;
    out.slot[0].lazy = plain ? CM_LAZY_NO : lazy;
    struct cm_writer *w = cm_out_open(&out);
    out.slot[0].lazy = lazy; /* how the values come about, which the stream will not say */
    if (!plain)
        cm_head_free(&out);
    bool same = cm_norm_lazy(n) && !plain && !n->binarize && !n->sublinear; /* counts go through */
    struct cm_chunk c = {0};
    if (same && !cm_norm_by_column(n))
        cm_reader_spare(r);
    while (cm_next(r, &c)) {
        fitted += count_fitted(&unread, h, &c);
        cm_try(cm_fail_in(cm_norm_apply(n, h, &c), cm_reader_path(r)));
        if (plain)
            cm_block_materialize(&c.block[0], &out.slot[0]);
        if (same)
            cm_writer_reuse(w, r);
        cm_try(cm_writer_chunk(w, &c, h));
        cm_progress(n->rows, h->slot[0].rows, "cells");
    }
    check_fitted(&unread, fitted, n->rows, cm_reader_path(r));
    if (n->empty)
        cm_warn("%llu of %llu cells have no counts%s", (unsigned long long)n->empty,
                (unsigned long long)n->rows, n->method->dense ? "" : "; their rows stay zero");
    if (n->lost)
        cm_warn("%llu of %llu cells became zero though they have counts: the cells fitted on give "
                "their columns no weight",
                (unsigned long long)n->lost, (unsigned long long)n->rows);
    cm_chunk_free(&c);
    cm_head_free(&out);
    cm_norm_free(n);
    return cm_finish();
}
