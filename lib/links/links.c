/* links/links.c - what is derived from links, and their memory. */
#include "links/links.h"

#include <string.h>

#include "base/mem.h"
#include "links/factored.h"

void cm_links_side_free(struct cm_links_side *s)
{
    cm_free(s->feature);
    cm_free(s->h);
    cm_free(s->off);
    cm_free(s->sd);
    cm_free(s->at);
    cm_free(s->ht);
    cm_free(s->right);
    memset(s, 0, sizeof *s);
}

void cm_links_side_index(struct cm_links_side *s, size_t r)
{
    cm_free(s->at);
    cm_free(s->ht);
    cm_free(s->right);
    s->at = CM_NEW(s->features, uint32_t);
    memset(s->at, 0xFF, s->features * sizeof *s->at);
    s->ht = CM_NEW(r * s->n, float);
    for (size_t i = 0; i < s->n; i++) {
        s->at[s->feature[i]] = (uint32_t)i;
        for (size_t q = 0; q < r; q++)
            s->ht[q * s->n + i] = s->h[i * r + q];
    }
    size_t rank = cm_factored_rank(r + 1);
    s->right = CM_ZNEW(s->n * rank, float);
    for (size_t i = 0; i < s->n; i++) {
        for (size_t q = 0; q < r; q++)
            s->right[i * rank + q] = -s->h[i * r + q] / s->sd[i];
        s->right[i * rank + r] = -s->off[i] / s->sd[i];
    }
}

void cm_links_by_peak(size_t genes, size_t peaks, const uint64_t *ptr, const uint32_t *peak_of,
                      uint64_t *near, uint32_t *gene, uint64_t *pair)
{
    memset(near, 0, (peaks + 1) * sizeof *near);
    for (uint64_t k = 0; k < ptr[genes]; k++)
        near[peak_of[k] + 1]++;
    for (size_t p = 0; p < peaks; p++)
        near[p + 1] += near[p];
    uint64_t *put = CM_NEW(peaks, uint64_t);
    memcpy(put, near, peaks * sizeof *put);
    for (size_t g = 0; g < genes; g++)
        for (uint64_t k = ptr[g]; k < ptr[g + 1]; k++) {
            uint64_t at = put[peak_of[k]]++;
            gene[at] = (uint32_t)g;
            pair[at] = k;
        }
    cm_free(put);
}

static void free_derived(struct cm_links *links)
{
    cm_free(links->mptr);
    cm_free(links->mgene);
    cm_free(links->mval);
    cm_free(links->slope);
    cm_free(links->base);
}

void cm_links_finish(struct cm_links *links)
{
    size_t G = links->gene.n, P = links->peak.n, r = links->r;
    free_derived(links);
    cm_links_side_index(&links->gene, r);
    cm_links_side_index(&links->peak, r);
    links->mptr = CM_NEW(P + 1, uint64_t);
    links->mgene = CM_NEW(links->n, uint32_t);
    links->mval = CM_NEW(links->n, float);
    links->slope = CM_NEW(r * G, float);
    links->base = CM_NEW(G, float);
    uint64_t *pair = CM_NEW(links->n, uint64_t);
    cm_links_by_peak(G, P, links->ptr, links->peak_of, links->mptr, links->mgene, pair);
    for (size_t p = 0; p < P; p++)
        for (uint64_t k = links->mptr[p]; k < links->mptr[p + 1]; k++)
            links->mval[k] =
                (float)(links->mu * (double)links->c[pair[k]] / (double)links->peak.sd[p]);
    double *slope = CM_NEW(r, double);
    for (size_t g = 0; g < G; g++) {
        double base = 0;
        memset(slope, 0, r * sizeof *slope);
        for (uint64_t k = links->ptr[g]; k < links->ptr[g + 1]; k++) {
            size_t p = links->peak_of[k];
            double v = links->mu * (double)links->c[k] / (double)links->peak.sd[p];
            base -= v * (double)links->peak.off[p];
            for (size_t q = 0; q < r; q++)
                slope[q] -= v * (double)links->peak.h[p * r + q];
        }
        links->base[g] = (float)base;
        for (size_t q = 0; q < r; q++)
            links->slope[q * G + g] = (float)slope[q];
    }
    cm_free(slope);
    cm_free(pair);
}

void cm_links_free(struct cm_links *links)
{
    free_derived(links);
    cm_links_side_free(&links->gene);
    cm_links_side_free(&links->peak);
    cm_free(links->ptr);
    cm_free(links->peak_of);
    cm_free(links->c);
    cm_free(links->correlation);
    memset(links, 0, sizeof *links);
}
