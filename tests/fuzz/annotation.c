/* annotation.c - fuzz target: BED, GTF and GFF3 (also gzipped), names that hold coordinates, and
 * lists of chromosomes, through what feature-sort does with them.
 *
 * The first byte chooses the kind and the order.  Promise: what is sorted is a permutation.
 */
#include "fuzz.h"

#include "prep/annotation.h"
#include "prep/genome.h"

/* A name of its own for the bytes of fd, because the kind of an annotation follows from it. */
static void read_annotation(struct cm_genome *g, const struct cm_cols *c, int fd, const char *kind)
{
    struct cm_annotation *a;
    char path[FUZZ_PATH], target[FUZZ_PATH];
    size_t hits;
    snprintf(path, sizeof path, "/tmp/cm-fuzz-%d.%s", (int)getpid(), kind);
    snprintf(target, sizeof target, "/proc/self/fd/%d", fd);
    unlink(path);
    if (symlink(target, path))
        abort();
    if (!cm_annotation_read(&a, path)) {
        FUZZ_PROMISE(cm_annotation_genes(a) > 0);
        cm_genome_from_annotation(g, c, a, &hits);
        FUZZ_PROMISE(hits <= g->n);
        cm_annotation_free(a);
    }
    unlink(path);
}

/* Words of the text as names of features. */
static void take_names(struct cm_strs *names, const uint8_t *data, size_t size)
{
    static const char split[] = "\t\n\"; =";
    for (size_t k = 0, from = 0; k <= size && names->n < 64; k++)
        if (k == size || !data[k] || strchr(split, data[k])) {
            if (k > from)
                cm_strs_addn(names, (const char *)data + from, k - from);
            from = k + 1;
        }
}

static void sort(struct cm_genome *g, enum cm_genome_order by, const struct cm_strs *listed)
{
    uint64_t *at = CM_NEW(g->n, uint64_t);
    bool *seen = CM_ZNEW(g->n, bool);
    cm_genome_style(g, CM_CHROM_AUTO);
    size_t n = cm_genome_sort(g, by, listed, CM_KEY_MID, at);
    for (size_t k = 0; k < n; k++) {
        FUZZ_PROMISE(at[k] < g->n && !seen[at[k]]);
        seen[at[k]] = true;
    }
    cm_free(at);
    cm_free(seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kind[] = {"bed", "gtf", "gff3", "gtf.gz"};
    struct cm_cols cols = {0};
    struct cm_strs listed = {0};
    struct cm_genome g = {0};
    char path[FUZZ_PATH];
    cm_panic_hook(fuzz_panic);
    if (!size)
        return 0;
    int what = data[0] & 7, order = data[0] >> 3 & 3;
    int fd = fuzz_file(data + 1, size - 1, path);
    take_names(&cols.names, data + 1, size - 1);
    cm_genome_init(&g, cols.names.n);
    cm_genome_from_names(&g, &cols.names);
    if (what < 4)
        read_annotation(&g, &cols, fd, kind[what]);
    if (!cm_chrom_list_read(path, &listed))
        sort(&g, CM_ORDER_FILE, &listed);
    if ((enum cm_genome_order)order != CM_ORDER_FILE)
        sort(&g, (enum cm_genome_order)order, NULL);
    cm_genome_to_columns(&g, &cols);
    cm_genome_free(&g);
    cm_cols_free(&cols);
    cm_strs_free(&listed);
    close(fd);
    return 0;
}
