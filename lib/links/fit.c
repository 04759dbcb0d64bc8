/* links/fit.c - candidates, their correlations, the threshold.  See links/fit.h. */
#include "links/fit.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "links/correlate.h"
#include "links/residuals.h"
#include "links/sites.h"

/* Keeps the pairs whose correlation passes the threshold; there may be none. */
static void threshold(struct cm_links *links, const struct cm_links_side *gene,
                      const struct cm_links_side *peak, const uint64_t *ptr,
                      const uint32_t *peak_of, const double *value, double limit)
{
    bool *keep_gene = CM_ZNEW(gene->n, bool), *keep_peak = CM_ZNEW(peak->n, bool);
    for (size_t g = 0; g < gene->n; g++)
        for (uint64_t k = ptr[g]; k < ptr[g + 1]; k++)
            if (fabs(value[k]) > limit) {
                keep_gene[g] = keep_peak[peak_of[k]] = true;
                links->n++;
            }
    links->gene = cm_links_side_take(gene, keep_gene, links->r);
    links->peak = cm_links_side_take(peak, keep_peak, links->r);
    links->ptr = CM_ZNEW(links->gene.n + 1, uint64_t);
    links->peak_of = CM_NEW(links->n, uint32_t);
    links->c = CM_NEW(links->n, float);
    size_t put = 0, row = 0;
    for (size_t g = 0; g < gene->n; g++) {
        if (!keep_gene[g])
            continue;
        for (uint64_t k = ptr[g]; k < ptr[g + 1]; k++)
            if (fabs(value[k]) > limit) {
                links->peak_of[put] = links->peak.at[peak->feature[peak_of[k]]];
                links->c[put++] = (float)(value[k] > 0 ? value[k] - limit : value[k] + limit);
            }
        links->ptr[++row] = put;
    }
    cm_free(keep_gene);
    cm_free(keep_peak);
}

/* Keeps the features of both sides that occur in a pair; pairs then name their positions. */
static uint64_t *take_paired(const struct cm_links_side all[2], struct cm_links_candidates *near,
                             size_t r, struct cm_links_side *gene, struct cm_links_side *peak)
{
    size_t genes = all[0].features, peaks = all[1].features;
    bool *keep = CM_ZNEW(genes > peaks ? genes : peaks, bool);
    for (size_t g = 0; g < genes; g++)
        keep[g] = near->ptr[g + 1] > near->ptr[g];
    *gene = cm_links_side_take(&all[0], keep, r);
    memset(keep, 0, peaks * sizeof *keep);
    for (size_t k = 0; k < near->n; k++)
        keep[near->peak[k]] = true;
    *peak = cm_links_side_take(&all[1], keep, r);
    cm_free(keep);
    uint64_t *ptr = CM_ZNEW(gene->n + 1, uint64_t); /* genes without pairs are left out */
    for (size_t g = 0; g < gene->n; g++)
        ptr[g + 1] = near->ptr[gene->feature[g] + 1];
    for (size_t k = 0; k < near->n; k++)
        near->peak[k] = peak->at[near->peak[k]];
    return ptr;
}

/* Correlations of all candidates, and the links that pass the threshold. */
static void fit_pairs(struct cm_links *links, const struct cm_links_fit_config *c,
                      const struct cm_links_data *d, const struct cm_links_side all[2],
                      struct cm_links_candidates *near)
{
    struct cm_links_side gene = {0}, peak = {0};
    bool grouped = d->group && d->groups > 1;
    size_t n = d->x[0]->rows;
    uint64_t *ptr = take_paired(all, near, links->r, &gene, &peak);
    struct cm_links_pairing pairing = {
        .gene = &gene,
        .peak = &peak,
        .pairs = {gene.n, ptr, near->peak},
        .r = links->r,
        .clip = c->clip,
        .cell = {{d->x[0], d->z[0], d->ldz}, {d->x[1], d->z[1], d->ldz}},
        .group = grouped ? d->group : NULL,
        .groups = grouped ? d->groups : 1};
    struct cm_links_sums sums = cm_links_sums_make(&pairing);
    cm_links_sums_take(&sums, &pairing, NULL, n);
    double *value = CM_NEW(near->n, double);
    cm_links_correlations(value, &sums, &pairing);
    threshold(links, &gene, &peak, ptr, near->peak, value, c->threshold / sqrt((double)n));
    links->correlation = CM_NEW(near->n, float);
    for (size_t k = 0; k < near->n; k++)
        links->correlation[k] = (float)value[k];
    cm_links_sums_free(&sums);
    cm_free(value);
    cm_free(ptr);
    cm_links_side_free(&gene);
    cm_links_side_free(&peak);
}

int cm_links_fit(struct cm_links *links, const struct cm_links_fit_config *c,
                 const struct cm_links_data *d)
{
    CM_ASSERT(d->x[0]->rows == d->x[1]->rows && c->components >= 1 &&
              (size_t)c->components <= d->ldz && d->x[0]->cols == d->table[0]->names.n &&
              d->x[1]->cols == d->table[1]->names.n);
    memset(links, 0, sizeof *links);
    links->r = (size_t)c->components;
    links->clip = c->clip;
    links->mu = 1;
    size_t placed[2];
    double window = links->window = (double)c->window;
    links->cells = (double)d->x[0]->rows;
    struct cm_links_candidates near =
        cm_links_candidates_find(d->table[0], d->table[1], window, SIZE_MAX, placed);
    links->candidates = near.n;
    int code = 0;
    /* Regression for all features, then only those that occur in a pair. */
    struct cm_links_side all[2] = {{0}};
    for (size_t s = 0; near.n && !code && s < 2; s++)
        code = cm_links_regress(&all[s], d->x[s], d->z[s], d->ldz, d->mean[s], links->r, c->ridge);
    if (near.n && !code)
        fit_pairs(links, c, d, all, &near);
    cm_links_side_free(&all[0]);
    cm_links_side_free(&all[1]);
    size_t candidates = near.n, finite = 0;
    cm_links_candidates_free(&near);
    if (code < 0)
        return code;
    while (finite < candidates && isfinite(links->correlation[finite]))
        finite++;
    if (finite < candidates)
        return cm_fail(CM_ENUMERIC, "a correlation of a gene with a peak is not finite");
    if (candidates == 0)
        return placed[0] && placed[1]
                   ? cm_fail(0, "no peak lies within %.0f bases of a gene", window)
                   : cm_fail(0, "the %s have no coordinates (columns chrom and start)",
                             placed[0] ? "peaks" : "genes");
    if (links->n == 0)
        return cm_fail(0, "no peak-gene correlation exceeds %g/sqrt(cells)", c->threshold);
    code = cm_links_scale(links, c->sd, d);
    return code < 0 ? code : 1;
}
