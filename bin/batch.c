/* batch - pair the cells of two modalities, and draw the mini-batches of a training.
 *
 * In: two streams of kind matrix, any state, that hold the same cells in any order.  Out: kind
 * pairs: every training cell once with both its vectors, then every validation cell, then one PICK
 * of row numbers a step.  Cells are joined by name; the schedule is a function of seed and epoch
 * alone.  Memory: the second operand in its wire types and the names, as far as --max-memory goes,
 * beyond which its rows are in a file; the first is read two or three times (a pipe is spooled).
 */
#include "cli/cli.h"
#include "pairs/batch.h"

#define MIB 1048576.

static struct {
    int64_t size, epochs, start;
    const char *within, *pairs, *valid;
    uint64_t max_memory;
    bool by_position;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INT("size", 'b', &o.size, "256", 0, 1e9, "N",
               "cells a mini-batch; 0: all training cells in one"),
    CM_OPT_INT("epochs", 'e', &o.epochs, "20", 0, 1e6, "N",
               "times that every training cell is drawn; 0: no schedule"),
    CM_OPT_STR("within", 'w', &o.within, NULL, "LABEL",
               "every mini-batch holds cells of one value of this label"),
    CM_OPT_FLAG("by-position", 0, &o.by_position, "row i of one operand is row i of the other"),
    CM_OPT_INPUT("pairs", 0, &o.pairs, "FILE", "join the pairs of this table, as score takes it"),
    CM_OPT_STR("valid", 0, &o.valid, NULL, "LABEL=VALUE[,VALUE...]",
               "validation cells (default split=valid where there is a label split)"),
    CM_OPT_INT("start-step", 0, &o.start, "0", 0, 1e15, "N",
               "leave out the first N steps of the schedule, to go on with a training"),
    CM_OPT_SIZE("max-memory", 0, &o.max_memory, "1G", 4096, 0x1p50, "SIZE",
                "memory for the cells; what is beyond goes to a file in TMPDIR"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "batch", "GEX.cms ATAC.cms", "pair cells and draw mini-batches for a trainer", options, 2,
    2,       CM_TOOL_SEED};

static void progress(uint64_t done, uint64_t total) { cm_progress(done, total, "cells"); }

static void report(const struct cm_batcher *x, char **in)
{
    unsigned long long pairs = x->pairs;
    if (x->numbers)
        cm_warn("%s, %s: the cells' names are mere numbers, and equal numbers need not be the same "
                "cell; --by-position or --pairs FILE says which are",
                in[0], in[1]);
    if (x->rows_a > x->pairs)
        cm_warn("%s: %llu of %zu cells have no partner and are left out", in[0], x->rows_a - pairs,
                x->rows_a);
    if (x->rows_b > x->pairs)
        cm_warn("%s: %llu of %zu cells have no partner and are left out", in[1], x->rows_b - pairs,
                x->rows_b);
    if (x->elsewhere)
        cm_warn("%s: %llu pairs name a cell that is in neither stream", o.pairs,
                (unsigned long long)x->elsewhere);
    if (x->unlabelled)
        cm_warn("%llu training cells have no label '%s'; they make batches of their own",
                (unsigned long long)x->unlabelled, o.within);
    if (x->no_valid.n)
        cm_warn("%s: --valid %s: no row has %.400s", in[0], o.valid, (const char *)x->no_valid.p);
    if (x->left_out)
        cm_info("%llu cells are neither training nor validation cells (label split)",
                (unsigned long long)x->left_out);
    cm_info("%llu training and %llu validation cells, %llu steps an epoch",
            (unsigned long long)x->train, (unsigned long long)x->valid,
            (unsigned long long)x->schedule.steps);
    cm_info("memory: at most %.1f MiB, of which %.1f for the cells; %.1f MiB in TMPDIR",
            (double)cm_batcher_bound(x) / MIB, (double)x->memory / MIB,
            (double)x->second.in_file / MIB);
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    if (o.by_position && o.pairs)
        cm_usage_error("--by-position and --pairs are two ways to join cells");
    cm_pipe_closed_is_success(); /* a trainer may stop early */
    struct cm_batch_options how = {.size = (size_t)o.size,
                                   .epochs = (uint32_t)o.epochs,
                                   .within = o.within,
                                   .valid = o.valid,
                                   .by_position = o.by_position,
                                   .pairs = o.pairs,
                                   .seed = cm_seed(),
                                   .start = (uint64_t)o.start,
                                   .max_memory = o.max_memory};
    cm_info("memory: at most %.1f MiB for the cells", (double)o.max_memory / MIB);
    struct cm_reader *a = cm_in_open(in[0]), *b = cm_in_open(in[1]);
    struct cm_batcher x;
    cm_try(cm_batcher_open(&x, &how, a, b));
    report(&x, in);
    struct cm_writer *w = cm_out_open(&x.head);
    cm_try(cm_batcher_write(&x, w, progress));
    cm_batcher_free(&x);
    return cm_finish();
}
