/* links/sites.c - places of genes and peaks on the genome, and which lie near each other. */
#include "links/sites.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct site {
    const char *chrom; /* without a leading "chr" */
    double at;
    uint32_t feature;
};

/* UCSC and Ensembl differ in the prefix alone: chr1 and 1 are one place. */
static const char *chrom_at(const struct cm_vec *v, size_t i)
{
    const char *s = v->type == CM_T_STR ? cm_strs_get(&v->s, i) : "";
    return strncmp(s, "chr", 3) == 0 ? s + 3 : s;
}

/* The placed features of a table: genes at tss (or start), peaks at the middle of start and end. */
static struct site *find_sites(const struct cm_cols *table, bool genes, size_t *n)
{
    const struct cm_vec *chrom = cm_cols_find(table, "chrom"),
                        *start = cm_cols_find(table, "start"), *end = cm_cols_find(table, "end"),
                        *tss = cm_cols_find(table, "tss");
    *n = 0;
    if (!chrom || (!start && !(genes && tss)))
        return NULL;
    struct site *s = CM_NEW(table->names.n, struct site);
    for (size_t i = 0; i < table->names.n; i++) {
        double at = cm_vec_number(start, i), other = cm_vec_number(genes ? tss : end, i);
        if (isfinite(other))
            at = genes ? other : (at + other) / 2;
        const char *c = chrom_at(chrom, i);
        if (*c && isfinite(at))
            s[(*n)++] = (struct site){c, at, (uint32_t)i};
    }
    return s;
}

static int by_place(const void *pa, const void *pb)
{
    const struct site *a = pa, *b = pb;
    int c = strcmp(a->chrom, b->chrom);
    if (c)
        return c;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->feature < b->feature ? -1 : a->feature > b->feature;
}

static int by_number(const void *pa, const void *pb)
{
    uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return a < b ? -1 : a > b;
}

/* Position of the first peak that is not before (chrom, at). */
static size_t lower_bound(const struct site *peaks, size_t n, const char *chrom, double at)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(peaks[mid].chrom, chrom);
        if (c < 0 || (c == 0 && peaks[mid].at < at))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct cm_links_candidates cm_links_candidates_find(const struct cm_cols *gene_table,
                                                    const struct cm_cols *peak_table, double window,
                                                    size_t max, size_t placed[2])
{
    struct cm_links_candidates c = {CM_ZNEW(gene_table->names.n + 1, uint64_t), NULL, 0};
    struct site *genes = find_sites(gene_table, true, &placed[0]),
                *peaks = find_sites(peak_table, false, &placed[1]);
    size_t cap = 0, next = 0;
    if (placed[1])
        qsort(peaks, placed[1], sizeof *peaks, by_place);
    for (size_t g = 0; g < gene_table->names.n && c.n <= max; g++) {
        if (next < placed[0] && genes[next].feature == g) {
            const struct site *s = &genes[next++];
            size_t from = c.n;
            for (size_t i = lower_bound(peaks, placed[1], s->chrom, s->at - window);
                 i < placed[1] && c.n <= max && strcmp(peaks[i].chrom, s->chrom) == 0 &&
                 peaks[i].at < s->at + window;
                 i++) {
                if (fabs(peaks[i].at - s->at) >= window)
                    continue; /* the window is open at both ends */
                CM_GROW(c.peak, cap, c.n + 1);
                c.peak[c.n++] = peaks[i].feature;
            }
            if (c.n > from)
                qsort(c.peak + from, c.n - from, sizeof *c.peak, by_number);
        }
        c.ptr[g + 1] = c.n;
    }
    cm_free(genes);
    cm_free(peaks);
    return c;
}

void cm_links_candidates_free(struct cm_links_candidates *c)
{
    cm_free(c->ptr);
    cm_free(c->peak);
    memset(c, 0, sizeof *c);
}

double *cm_links_positions(const struct cm_cols *table, bool genes)
{
    size_t n, all = table->names.n;
    struct site *site = find_sites(table, genes, &n);
    double *at = CM_NEW(all, double);
    for (size_t i = 0; i < all; i++)
        at[i] = NAN;
    for (size_t i = 0; site && i < n; i++)
        at[site[i].feature] = site[i].at;
    cm_free(site);
    return at;
}

void cm_links_distances(const struct cm_links *links, const struct cm_cols *gene_table,
                        const struct cm_cols *peak_table, double *out)
{
    double *at[2] = {cm_links_positions(gene_table, true), cm_links_positions(peak_table, false)};
    for (size_t g = 0; g < links->gene.n; g++)
        for (uint64_t k = links->ptr[g]; k < links->ptr[g + 1]; k++)
            out[k] =
                fabs(at[0][links->gene.feature[g]] - at[1][links->peak.feature[links->peak_of[k]]]);
    cm_free(at[0]);
    cm_free(at[1]);
}
