/* match/search.h - what the two searches of match/topk.h share: columns and rows in the order of
 * their groups, and products of the two (private to this directory). */
#ifndef CM_MATCH_SEARCH_H
#define CM_MATCH_SEARCH_H

#include "match/topk.h"

enum { SAMPLE = 1024 };

struct cm_search {
    size_t m, d, ld;
    const float *t;  /* columns in order of `order` */
    float *own;      /* t if it is a copy */
    uint32_t *order; /* original column of a position; NULL = identity */
    size_t groups;
    size_t *begin;        /* groups + 1: the positions of group g are begin[g]..begin[g+1]-1 */
    float *sample;        /* SAMPLE x d of each group that is large enough, one after the other */
    size_t *sample_group; /* where: SAMPLE * d * sample_group[g]; SIZE_MAX = none */
    double norm;          /* of the longest column */
};

/* The original column of position `at`. */
static inline uint32_t cm_search_column(const struct cm_search *x, size_t at)
{
    return x->order ? x->order[at] : (uint32_t)at;
}

/* Position in its group of sampled column number `at`. */
static inline size_t cm_search_sampled(size_t size, size_t at)
{
    return size / SAMPLE * at + size % SAMPLE / 2;
}

/* A portion of rows. */
struct cm_portion {
    const struct cm_search *x;
    const float *e;
    float *own;
    size_t lde, rows;
    uint32_t *order; /* original row of a position, or NULL */
    size_t *begin;   /* as in cm_search */
};
void cm_portion_make(struct cm_portion *p, const struct cm_search *x, const float *e, size_t lde,
                     size_t rows, const uint32_t *group);
void cm_portion_free(struct cm_portion *p);

/* Work units: pieces of at most `size` positions of each group's range, in order. */
struct cm_unit {
    size_t group, from, to;
};
/* *n units, to be freed. */
struct cm_unit *cm_units_cut(const size_t *begin, size_t groups, size_t size, size_t *n);

/* tile (rows x cols, ld cols) = e rows of the portion times t columns. */
void cm_search_product(const struct cm_portion *p, size_t row, size_t rows, size_t col, size_t cols,
                       float *tile);

#endif
