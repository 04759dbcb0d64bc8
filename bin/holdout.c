/* holdout - mark the cells that are held out of training: the row label `split`.
 *
 * In: a matrix or embedding, any state.  Out: the same with the label `split` added or replaced.
 * --by takes the cells that meet a condition, one pass; --fraction takes exactly that share of the
 * cells still in training, by a random number of (seed, name), two passes and 8 bytes a cell.  See
 * prep/split.h for why names and not rows.
 */
#include "cli/cli.h"
#include "cli/conditions.h"
#include "prep/split.h"

#include <string.h>

static struct {
    const char *by, *name;
    double fraction;
    bool fresh;
} o;

static const struct cm_opt options[] = {
    CM_OPT_STR("by", 0, &o.by, NULL, "LABEL=VALUE[,VALUE...]", "hold out these cells"),
    CM_OPT_REAL("fraction", 'f', &o.fraction, NULL, 1e-9, 1, "F",
                "hold out this share of the training cells"),
    CM_OPT_STR("name", 'n', &o.name, "test", "NAME", "what they are called in the label split"),
    CM_OPT_FLAG("fresh", 0, &o.fresh, "forget an existing label split: all cells are in training"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "holdout", "[IN.cms]", "hold cells out of training", options, 0, 1, CM_TOOL_SEED};

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_split s = {
        .name = o.name, .fraction = o.fraction, .seed = cm_seed(), .fresh = o.fresh};
    if (!o.by == !cm_given("fraction"))
        cm_usage_error("give one of --by LABEL=VALUE and --fraction F");
    if (o.by)
        cm_try(cm_where_parse(&s.where, o.by));
    else if (o.fraction >= 1)
        cm_usage_error("--fraction must be below 1: nothing would be left to train on");
    if (!*o.name || !strcmp(o.name, CM_SPLIT_TRAIN))
        cm_usage_error("--name '%s': cells held out need a name other than train", o.name);

    struct cm_reader *r = cm_in_open(in[0]);
    const struct cm_head *h = cm_reader_head(r);
    if (h->kind != CM_EMBEDDING)
        cm_require_kind(r, CM_MATRIX);
    if (!o.by)
        cm_try(cm_reader_keep(r));
    cm_try(cm_split_prepare(&s, r));

    struct cm_head out = {0};
    cm_split_head(&s, h, &out);
    struct cm_writer *w = cm_out_open(&out);
    struct cm_chunk c = {0};
    while (cm_next(r, &c)) {
        cm_split_apply(&s, h, &out, &c);
        if (h->nslots == 1)
            cm_writer_reuse(w, r);
        cm_try(cm_writer_chunk(w, &c, &out));
        cm_progress(s.rows, h->slot[0].rows, "cells");
    }
    cm_info("%llu of %llu cells are %s now, %llu train", (unsigned long long)s.held,
            (unsigned long long)s.rows, o.name, (unsigned long long)s.trained);
    if (o.by && s.rows)
        cm_warn_missing(&s.where, cm_reader_path(r), "by");
    if (s.rows && !s.held)
        cm_warn("no cell is held out");
    else if (s.rows && !s.trained)
        cm_warn("no cell is left in training");
    cm_chunk_free(&c);
    cm_head_free(&out);
    cm_where_free(&s.where);
    return cm_finish();
}
