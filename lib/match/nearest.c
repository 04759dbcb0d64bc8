/* match/nearest.c - sorted entries for the nearest rows.  See match/nearest.h. */
#include "match/nearest.h"

#include <math.h>

#include "base/error.h"
#include "base/mem.h"

void cm_nearest_make(struct cm_nearest *x, size_t cols, size_t max)
{
    size_t size;
    CM_ASSERT(max >= 1 && cm_mul(cols, max, &size) == 0);
    *x = (struct cm_nearest){cols, max, CM_ZNEW(cols, uint32_t), CM_NEW(size, float),
                             CM_NEW(size, uint64_t)};
}

void cm_nearest_free(struct cm_nearest *x)
{
    cm_free(x->n);
    cm_free(x->s);
    cm_free(x->row);
    *x = (struct cm_nearest){0};
}

void cm_nearest_add(struct cm_nearest *x, uint64_t row, size_t n, const uint32_t *idx,
                    const float *s)
{
    for (size_t k = 0; k < n; k++) {
        uint32_t *count = &x->n[idx[k]];
        float *best = x->s + (size_t)idx[k] * x->max;
        uint64_t *who = x->row + (size_t)idx[k] * x->max;
        size_t at = *count;
        if (at == x->max) {
            if (!(s[k] > best[at - 1]))
                continue;
            at--;
        } else {
            ++*count;
        }
        for (; at > 0 && s[k] > best[at - 1]; at--) {
            best[at] = best[at - 1];
            who[at] = who[at - 1];
        }
        best[at] = s[k];
        who[at] = row;
    }
}

void cm_nearest_offsets(const struct cm_nearest *x, double factor, double *offset)
{
    for (size_t j = 0; j < x->cols; j++) {
        double sum = 0;
        for (size_t k = 0; k < x->n[j]; k++)
            sum += (double)x->s[j * x->max + k];
        offset[j] = x->n[j] ? factor * sum / (double)x->n[j] : 0;
    }
}

void cm_nearest_by_row(const struct cm_nearest *x, size_t rows, uint64_t **ptr, uint32_t **col)
{
    uint64_t *p = CM_ZNEW(rows + 1, uint64_t);
    for (size_t j = 0; j < x->cols; j++)
        for (size_t k = 0; k < x->n[j]; k++)
            p[x->row[j * x->max + k] + 1]++;
    for (size_t i = 0; i < rows; i++)
        p[i + 1] += p[i];
    uint64_t *next = CM_NEW(rows, uint64_t);
    for (size_t i = 0; i < rows; i++)
        next[i] = p[i];
    *col = CM_NEW(p[rows], uint32_t);
    for (size_t j = 0; j < x->cols; j++)
        for (size_t k = 0; k < x->n[j]; k++)
            (*col)[next[x->row[j * x->max + k]]++] = (uint32_t)j;
    cm_free(next);
    *ptr = p;
}
