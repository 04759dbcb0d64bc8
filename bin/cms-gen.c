/* cms-gen - simulated paired cells whose best possible matching is known.
 *
 * In:  nothing but a seed.
 * Out: two matrices in state counts, slots GEX and ATAC, cells named alike, with the labels batch,
 *      cell_type and split, and features with coordinates; with --oracle a match in state
 *      probability for the cells of split=test, and its score on standard output.
 * The model is in sim/generate.h, the posterior in sim/oracle.h.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "sim/oracle.h"

static struct {
    const char *gex, *atac, *oracle;
    int64_t cells, genes, peaks, types, batches, unseen;
    double nnz_gex, nnz_atac, signal, local;
    bool aligned;
    int scale;
} o;

static const struct cm_opt options[] = {
    CM_OPT_OUTPUT("gex", 0, &o.gex, "OUT.cms", "write the RNA counts there"),
    CM_OPT_OUTPUT("atac", 0, &o.atac, "OUT.cms", "write the ATAC counts there"),
    CM_OPT_OUTPUT("oracle", 0, &o.oracle, "MATCH.cms",
                  "write the posterior of the best possible matcher there, print its score"),
    CM_OPT_INT("cells", 0, &o.cells, "2000", 1, 4294967295., "N", "cells"),
    CM_OPT_INT("genes", 0, &o.genes, "2500", 1, 1e7, "N", "genes"),
    CM_OPT_INT("peaks", 0, &o.peaks, "5000", 1, 1e7, "N", "peaks"),
    CM_OPT_INT("types", 0, &o.types, "8", 1, 1000, "N", "cell types"),
    CM_OPT_INT("batches", 0, &o.batches, "4", 1, 10000, "N", "batches"),
    CM_OPT_REAL("nnz-gex", 0, &o.nnz_gex, "180", 1e-3, 1e7, "N", "mean non-zero genes a cell"),
    CM_OPT_REAL("nnz-atac", 0, &o.nnz_atac, "570", 1e-3, 1e7, "N", "mean non-zero peaks a cell"),
    CM_OPT_REAL("signal", 0, &o.signal, "1", 0, 100, "S", "strength of what both modalities share"),
    CM_OPT_REAL("cis", 0, &o.local, "0.3", 0, 1, "F", "share of the signal that is local"),
    CM_OPT_INT("unseen-batches", 0, &o.unseen, "1", 0, 10000, "K",
               "test batches of which no cell is in training; 0: split drawn by cell"),
    CM_OPT_FLAG("aligned", 0, &o.aligned, "ATAC rows in the order of the GEX rows, not shuffled"),
    CM_OPT_CHOICE("scale", 0, &o.scale, "default", "default|bmmc",
                  "bmmc: the sizes of the NeurIPS 2021 data, where not given otherwise"),
    CM_OPT_END,
};

static const struct cm_tool tool = {"cms-gen",
                                    "",
                                    "generate paired cells with planted structure",
                                    options,
                                    0,
                                    0,
                                    CM_TOOL_SEED | CM_TOOL_NO_OUTPUT};

/* The options as the library takes them. */
static struct cm_gen_options wanted(void)
{
    if (o.scale == 1) {
        static const struct {
            const char *name;
            int64_t *whole;
            double *real;
            double value;
        } bmmc[] = {{"cells", &o.cells, NULL, 69249},     {"genes", &o.genes, NULL, 13431},
                    {"peaks", &o.peaks, NULL, 116490},    {"types", &o.types, NULL, 22},
                    {"batches", &o.batches, NULL, 13},    {"nnz-gex", NULL, &o.nnz_gex, 1112},
                    {"nnz-atac", NULL, &o.nnz_atac, 3586}};
        for (size_t k = 0; k < sizeof bmmc / sizeof *bmmc; k++)
            if (!cm_given(bmmc[k].name) && bmmc[k].whole)
                *bmmc[k].whole = (int64_t)bmmc[k].value;
            else if (!cm_given(bmmc[k].name))
                *bmmc[k].real = bmmc[k].value;
    }
    if (!cm_given("unseen-batches") && o.batches < 3)
        o.unseen = 0;
    return (struct cm_gen_options){.cells = (size_t)o.cells,
                                   .types = (size_t)o.types,
                                   .batches = (size_t)o.batches,
                                   .unseen = (size_t)o.unseen,
                                   .cols = {(size_t)o.genes, (size_t)o.peaks},
                                   .nnz = {o.nnz_gex, o.nnz_atac},
                                   .signal = o.signal,
                                   .local = o.local,
                                   .aligned = o.aligned,
                                   .seed = cm_seed()};
}

static struct cm_writer *open_side(const struct cm_gen *g, int side, const char *path)
{
    struct cm_head head = {0};
    cm_gen_head(g, side, &head);
    struct cm_writer *w = cm_out_open_file(path, &head);
    cm_head_free(&head);
    return w;
}

/* Both modalities, a block of each in turn. */
static void write_cells(const struct cm_gen *g)
{
    const char *path[2] = {o.gex, o.atac};
    struct cm_writer *w[2] = {NULL, NULL};
    struct cm_chunk c = {0};
    for (int side = 0; side < 2; side++)
        w[side] = path[side] ? open_side(g, side, path[side]) : NULL;
    for (size_t at = 0; at < g->o.cells; at += CM_BLOCK_ROWS) {
        size_t left = g->o.cells - at, rows = left < CM_BLOCK_ROWS ? left : CM_BLOCK_ROWS;
        for (int side = 0; side < 2; side++)
            if (w[side]) {
                cm_try(cm_gen_chunk(g, side, at, rows, &c));
                cm_try(cm_writer_chunk(w[side], &c, NULL));
            }
        cm_progress(at + rows, g->o.cells, "cells");
    }
    cm_chunk_free(&c);
}

static void write_oracle(const struct cm_gen *g, bool print)
{
    struct cm_oracle *best;
    struct cm_chunk c = {0};
    struct cm_head head = {0};
    cm_try(cm_oracle_make(&best, g, 1000));
    cm_oracle_head(best, &head);
    struct cm_writer *w = cm_out_open_file(o.oracle, &head);
    for (size_t at = 0; at < best->n; at += CM_BLOCK_ROWS) {
        size_t left = best->n - at;
        cm_oracle_chunk(best, at, left < CM_BLOCK_ROWS ? left : CM_BLOCK_ROWS, &c);
        cm_try(cm_writer_chunk(w, &c, NULL));
    }
    if (print)
        fprintf(cm_out_text(),
                "metric\tvalue\ncells\t%zu\nchance\t%.6g\nmatch_probability\t%.6g\n"
                "match_probability_expected\t%.6g\nmatch_probability_hard\t%.6g\n",
                best->n, best->chance, best->soft, best->expected, best->hard);
    cm_chunk_free(&c);
    cm_head_free(&head);
    cm_oracle_free(best);
}

static bool is_stdout(const char *path)
{
    return path && (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"));
}

int main(int argc, char **argv)
{
    cm_start(&tool, argc, argv);
    int to_stdout = is_stdout(o.gex) + is_stdout(o.atac) + is_stdout(o.oracle);
    if (!o.gex && !o.atac && !o.oracle)
        cm_usage_error("give --gex OUT.cms, --atac OUT.cms or both (or --oracle)");
    if (to_stdout > 1)
        cm_usage_error("only one output can go to standard output");
    struct cm_gen_options wish = wanted();
    struct cm_gen *g;
    cm_try(cm_gen_make(&g, &wish));
    if (o.gex || o.atac)
        write_cells(g);
    if (o.oracle)
        write_oracle(g, !to_stdout);
    cm_gen_free(g);
    return cm_finish();
}
