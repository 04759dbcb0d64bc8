/* feature-sort - put the columns into genome order, and write down where they lie.
 *
 * In: one matrix slot, any state.  Out: the same cells with columns permuted, and chrom, start,
 * end, tss in the column table.  Positions come from an annotation file, else from the column
 * table, else from names like chr1:5-9 (prep/genome.h).  Fitted vectors and lazy factors move with
 * their columns.  Memory: one block and 40 bytes a column, and the genes of the annotation.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "prep/annotation.h"
#include "prep/genome.h"

enum unplaced { LAST, DROP, ERROR };

static struct {
    const char *annotation, *order, *table;
    int unplaced, by, style;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INPUT("annotation", 'a', &o.annotation, "FILE",
                 "positions of genes: .bed, .gtf or .gff3, also .gz"),
    CM_OPT_WORD("order", 0, &o.order, "natural", "natural|lexicographic|file:F|input",
                "order of the chromosomes"),
    CM_OPT_CHOICE("by", 0, &o.by, "start", "start|mid|tss", "order within a chromosome"),
    CM_OPT_CHOICE("unplaced", 0, &o.unplaced, "last", "last|drop|error",
                  "what to do with features that have no position"),
    CM_OPT_CHOICE("chr-style", 0, &o.style, "auto", "keep|ucsc|ensembl|auto",
                  "call chromosomes chr1, chrM (ucsc) or 1, MT (ensembl)"),
    CM_OPT_OUTPUT("table", 0, &o.table, "FILE", "write the new order to FILE as TSV"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "feature-sort", "[IN.cms]", "sort columns by genome position", options, 0, 1, CM_TOOL_DEFAULT};

static enum cm_genome_order order_of(const char *text, struct cm_strs *listed)
{
    if (!strcmp(text, "natural"))
        return CM_ORDER_NATURAL;
    if (!strcmp(text, "lexicographic"))
        return CM_ORDER_LEXICOGRAPHIC;
    if (!strcmp(text, "input"))
        return CM_ORDER_INPUT;
    if (strncmp(text, "file:", 5) || !text[5])
        cm_usage_error("--order: expected one of %s, found '%s'", options[1].metavar, text);
    cm_try(cm_chrom_list_read(text + 5, listed));
    return CM_ORDER_FILE;
}

static void find_offsets(struct cm_genome *g, const struct cm_cols *cols)
{
    cm_genome_init(g, cols->names.n);
    if (o.annotation) {
        struct cm_annotation *a;
        size_t hits;
        cm_try(cm_annotation_read(&a, o.annotation));
        cm_try(cm_genome_from_annotation(g, cols, a, &hits));
        cm_info("%s: %zu genes, %zu of %zu features found", o.annotation, cm_annotation_genes(a),
                hits, g->n);
        cm_annotation_free(a);
    }
    cm_genome_from_columns(g, cols);
    cm_genome_from_names(g, &cols->names);
    cm_genome_style(g, (enum cm_chrom_style)o.style);
}

/* Applies --unplaced to `ranked` of g->n features in order; the number that is written. */
static size_t settle(const struct cm_genome *g, const struct cm_strs *names, const uint64_t *order,
                     size_t ranked)
{
    size_t rest = g->n - ranked;
    if (rest && o.unplaced == ERROR)
        cm_die(3, "feature \"%s\" has no position on the genome (and %zu more)",
               cm_strs_get(names, order[ranked]), rest - 1);
    if (g->n && !g->placed)
        cm_warn("no feature has a position on the genome: the order stays");
    else if (g->n && !ranked)
        cm_die(3, "no feature lies on a chromosome listed in %s (chr1 or 1?)", o.order + 5);
    else if (2 * rest > g->n)
        cm_warn("%zu of %zu features have no position on the genome: %s", rest, g->n,
                o.unplaced == DROP ? "dropped" : "at the end");
    else if (rest)
        cm_info("%zu of %zu features have no position: %s", rest, g->n,
                o.unplaced == DROP ? "dropped" : "at the end");
    return ranked && o.unplaced == DROP ? ranked : g->n;
}

static void write_table(const struct cm_genome *g, const struct cm_strs *names,
                        const uint64_t *order, size_t n)
{
    FILE *f = cm_out_text_file(o.table);
    fputs("new\told\tname\tchrom\tstart\tend\n", f);
    for (size_t k = 0; k < n; k++) {
        const struct cm_place *p = &g->at[order[k]];
        fprintf(f, "%zu\t%" PRIu64 "\t%s\t", k, order[k], cm_strs_get(names, order[k]));
        if (p->chrom != CM_NOWHERE)
            fprintf(f, "%s\t%" PRId64, cm_strs_get(&g->chrom, p->chrom), p->start);
        else
            fputs("\t", f);
        if (p->chrom != CM_NOWHERE && p->end != CM_NO_POSITION)
            fprintf(f, "\t%" PRId64 "\n", p->end);
        else
            fputs("\t\n", f);
    }
    cm_out_flush(f);
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_strs listed = {0};
    enum cm_genome_order by = order_of(o.order, &listed);

    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_MATRIX);
    const struct cm_head *h = cm_reader_head(r);
    if (h->nslots != 1)
        cm_die(3, "%s: expected one slot, found %zu", cm_reader_path(r), h->nslots);
    const struct cm_cols *cols = &h->slot[0].cols;
    struct cm_genome g = {0};
    find_offsets(&g, cols);
    uint64_t *order = CM_NEW(g.n, uint64_t);
    size_t ranked = cm_genome_sort(&g, by, &listed, (enum cm_genome_key)o.by, order);
    size_t keep = settle(&g, &cols->names, order, ranked);
    if (o.table)
        write_table(&g, &cols->names, order, keep);
    uint32_t *map = CM_NEW(g.n, uint32_t);
    bool moved = keep < g.n;
    for (size_t k = 0; k < g.n; k++) {
        map[order[k]] = k < keep ? (uint32_t)k : UINT32_MAX;
        moved = moved || order[k] != k;
    }

    struct cm_head out = {0};
    cm_head_copy(&out, h);
    if (g.placed)
        cm_genome_to_columns(&g, &out.slot[0].cols);
    cm_cols_select(&out.slot[0].cols, order, keep);
    struct cm_writer *w = cm_out_open(&out);
    struct cm_chunk c = {0};
    while (cm_next(r, &c)) {
        if (moved)
            cm_block_map_columns(&c.block[0], map, keep);
        else
            cm_writer_reuse(w, r);
        cm_try(cm_writer_chunk(w, &c, h));
        cm_progress(c.first + c.rows, h->slot[0].rows, "cells");
    }
    cm_chunk_free(&c);
    cm_head_free(&out);
    cm_genome_free(&g);
    cm_strs_free(&listed);
    cm_free(order);
    cm_free(map);
    return cm_finish();
}
