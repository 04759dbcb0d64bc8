/* nn/window.c - windows of the genome, and the convolution of a sparse cell with filters over them.
 *
 * The paper's first layer reads a vector of 116,000 peaks of which a cell has 3 %; as a
 * dense convolution it would be the most expensive layer of the network.  Each non-zero
 * adds its value times one row of the filters to the tokens whose windows hold it; no dense vector
 * exists anywhere, and columns may come in any order (`position` takes them to the genome's).  Tied
 * and untied filters differ only in the row at which a window begins, so one loop serves both.
 * Where stride < kernel a feature lies in several windows; these are neighbours, because windows
 * ascend, and `first` names the first of them.  Neighbouring entries that lie in the same windows
 * are taken together, the token's numbers in registers.  Rejected: sorting each cell by position,
 * and a list of windows per feature (an array more to read per non-zero).
 */
#include <string.h>

#include "base/error.h"
#include "nn/vec.h"

/* ===== the table =========================================================================== */

size_t cm_windows_of(size_t n, const struct cm_window_rule *rule)
{
    size_t K = rule->kernel, S = rule->stride, Z = rule->padding;
    if (!n)
        return 0;
    if (n + 2 * Z < K)
        return rule->partial;
    size_t over = n + 2 * Z - K;
    size_t L = over / S + 1;
    if (rule->partial && over % S && L * S < n + Z)
        L++;
    return L;
}

size_t cm_windows_kernel(const size_t *chrom, size_t chroms, size_t tokens)
{
    size_t low = 1, high = 1;
    for (size_t c = 0; c < chroms; c++)
        if (chrom[c + 1] - chrom[c] > high)
            high = chrom[c + 1] - chrom[c]; /* one window each: the fewest there can be */
    while (low < high) {
        size_t kernel = low + (high - low) / 2, L = 0;
        for (size_t c = 0; c < chroms; c++)
            L += (chrom[c + 1] - chrom[c] + kernel - 1) / kernel;
        if (L <= tokens)
            high = kernel;
        else
            low = kernel + 1;
    }
    return low;
}

void cm_windows_lay(struct cm_windows *w, struct cm_window *window, uint32_t *first, size_t *tokens,
                    const struct cm_window_rule *rule, const size_t *chrom, size_t chroms,
                    size_t features, const uint32_t *position)
{
    CM_ASSERT(rule->kernel >= 1 && rule->stride >= 1 && rule->padding < rule->kernel);
    CM_ASSERT(features <= UINT32_MAX);
    *w = (struct cm_windows){.features = features,
                             .rows = rule->untied ? 0 : rule->kernel,
                             .untied = rule->untied,
                             .window = window,
                             .position = position,
                             .first = first};
    for (size_t c = 0; c < chroms; c++) {
        CM_ASSERT(chrom[c] <= chrom[c + 1] && chrom[c + 1] <= features);
        size_t n = chrom[c + 1] - chrom[c], L = cm_windows_of(n, rule);
        if (tokens)
            tokens[c] = w->L;
        for (size_t t = 0; t < L; t++) {
            /* [from, to) on an axis where the chromosome begins at `padding` */
            size_t from = t * rule->stride, to = from + rule->kernel, Z = rule->padding;
            size_t cut = from < Z ? Z - from : 0; /* taps that fall before the chromosome */
            size_t begin = from + cut - Z, end = to < Z ? 0 : to - Z;
            if (end > n)
                end = n;
            if (begin > end)
                begin = end;
            if (window)
                window[w->L + t] =
                    (struct cm_window){.begin = (uint32_t)(chrom[c] + begin),
                                       .end = (uint32_t)(chrom[c] + end),
                                       .row = (uint32_t)(rule->untied ? w->rows : cut)};
            if (rule->untied)
                w->rows += end - begin;
        }
        w->L += L;
    }
    CM_ASSERT(w->rows <= UINT32_MAX && w->L <= UINT32_MAX);
    if (tokens)
        tokens[chroms] = w->L;
    if (window && first)
        for (size_t x = 0, t = 0; x < features; x++) {
            while (t < w->L && window[t].end <= x)
                t++;
            first[x] = (uint32_t)t;
        }
}

/* ===== the convolution ====================================================================== */

/* Entries from..to-1 lie in the same windows, t0..t1-1 (none where they are equal): between the
 * bounds of windows, features differ only in their filter row.  Cells sorted by position have runs
 * of dozens, during which a token's sums, or its gradient, stay in registers. */
struct run {
    size_t from, to, t0, t1;
};

CM_INLINE uint32_t place(const uint32_t *position, uint32_t column)
{
    return position ? position[column] : column;
}

CM_INLINE struct run run_at(const struct cm_windows *w, const uint32_t *idx, size_t n, size_t from)
{
    const struct cm_window *window = w->window;
    const uint32_t *position = w->position;
    uint32_t x = place(position, idx[from]);
    struct run r = {.from = from, .to = from + 1, .t0 = w->first[x]};
    r.t1 = r.t0;
    while (r.t1 < w->L && window[r.t1].begin <= x)
        r.t1++;
    if (r.t0 == r.t1)
        return r;
    uint32_t low = window[r.t1 - 1].begin, high = window[r.t0].end;
    if (r.t0 > 0 && window[r.t0 - 1].end > low)
        low = window[r.t0 - 1].end;
    if (r.t1 < w->L && window[r.t1].begin < high)
        high = window[r.t1].begin;
    for (; r.to < n; r.to++) {
        x = place(position, idx[r.to]);
        if (x < low || x >= high)
            break;
    }
    return r;
}

enum { AHEAD = 8 }; /* entries whose filter row is asked for early */

/* W vectors of a token += sum over the run of val times the filter's row; filter points at the row
 * of position 0 and at the right columns. */
CM_INLINE void run_gather(cm_real *out, const struct run *r, const uint32_t *idx, const float *val,
                          const uint32_t *position, const cm_real *filter, const int W,
                          size_t shift, size_t F)
{
    cm_vec s[8];
#pragma GCC unroll 8
    for (int v = 0; v < W; v++)
        s[v] = CM_CVEC(out + v * CM_LANES);
    for (size_t e = r->from; e < r->to; e++) {
        size_t soon = e + AHEAD < r->to ? e + AHEAD : e;
        const cm_real *next = filter + (place(position, idx[soon]) + shift) * F;
        const cm_real *row = filter + (place(position, idx[e]) + shift) * F;
        cm_real a = (cm_real)val[e];
#pragma GCC unroll 8
        for (int v = 0; v < W; v += 2)
            __builtin_prefetch(next + v * CM_LANES);
#pragma GCC unroll 8
        for (int v = 0; v < W; v++)
            s[v] += a * CM_CVEC(row + v * CM_LANES);
    }
#pragma GCC unroll 8
    for (int v = 0; v < W; v++)
        CM_VEC(out + v * CM_LANES) = s[v];
}

/* The filter's rows of the run += val times W vectors of a token's gradient. */
CM_INLINE void run_scatter(cm_real *dfilter, const struct run *r, const uint32_t *idx,
                           const float *val, const uint32_t *position, const cm_real *dout,
                           const int W, size_t shift, size_t F)
{
    cm_vec s[8];
#pragma GCC unroll 8
    for (int v = 0; v < W; v++)
        s[v] = CM_CVEC(dout + v * CM_LANES);
    for (size_t e = r->from; e < r->to; e++) {
        size_t soon = e + AHEAD < r->to ? e + AHEAD : e;
        cm_real *next = dfilter + (place(position, idx[soon]) + shift) * F;
        cm_real *row = dfilter + (place(position, idx[e]) + shift) * F;
        cm_real a = (cm_real)val[e];
#pragma GCC unroll 8
        for (int v = 0; v < W; v += 2)
            __builtin_prefetch(next + v * CM_LANES, 1);
#pragma GCC unroll 8
        for (int v = 0; v < W; v++)
            CM_VEC(row + v * CM_LANES) += a * s[v];
    }
}

CM_CLONES
void cm_sparse_conv_forward(cm_real *out, const uint32_t *idx, const float *val, size_t n,
                            const cm_real *filter, const cm_real *bias, bool bias_per_window,
                            const struct cm_windows *w, size_t F)
{
    if (!bias)
        memset(out, 0, w->L * F * sizeof *out);
    else if (bias_per_window)
        memcpy(out, bias, w->L * F * sizeof *out);
    else
        for (size_t t = 0; t < w->L; t++)
            memcpy(out + t * F, bias, F * sizeof *out);
    const uint32_t *position = w->position;
    struct run r;
    for (size_t from = 0; from < n; from = r.to) {
        r = run_at(w, idx, n, from);
        for (size_t t = r.t0; t < r.t1; t++) {
            cm_real *y = out + t * F;
            /* wraps below zero and back: position + shift is the row */
            size_t shift = (size_t)w->window[t].row - w->window[t].begin, f = 0;
            for (; f + 8 * CM_LANES <= F; f += 8 * CM_LANES)
                run_gather(y + f, &r, idx, val, position, filter + f, 8, shift, F);
            if (f + 4 * CM_LANES <= F) {
                run_gather(y + f, &r, idx, val, position, filter + f, 4, shift, F);
                f += 4 * CM_LANES;
            }
            for (; f + CM_LANES <= F; f += CM_LANES)
                run_gather(y + f, &r, idx, val, position, filter + f, 1, shift, F);
            for (size_t e = r.from; f < F && e < r.to; e++) {
                const cm_real *row = filter + (place(position, idx[e]) + shift) * F;
                for (size_t g = f; g < F; g++)
                    y[g] += (cm_real)val[e] * row[g];
            }
        }
    }
}

CM_CLONES
void cm_sparse_conv_backward(cm_real *dfilter, cm_real *dbias, const cm_real *dout,
                             const uint32_t *idx, const float *val, size_t n, bool bias_per_window,
                             const struct cm_windows *w, size_t F)
{
    if (dbias) {
        if (bias_per_window)
            cm_add_to(dbias, dout, w->L * F);
        else
            for (size_t t = 0; t < w->L; t++)
                cm_add_to(dbias, dout + t * F, F);
    }
    const uint32_t *position = w->position;
    struct run r;
    for (size_t from = 0; dfilter && from < n; from = r.to) {
        r = run_at(w, idx, n, from);
        for (size_t t = r.t0; t < r.t1; t++) {
            const cm_real *dy = dout + t * F;
            size_t shift = (size_t)w->window[t].row - w->window[t].begin, f = 0;
            for (; f + 8 * CM_LANES <= F; f += 8 * CM_LANES)
                run_scatter(dfilter + f, &r, idx, val, position, dy + f, 8, shift, F);
            if (f + 4 * CM_LANES <= F) {
                run_scatter(dfilter + f, &r, idx, val, position, dy + f, 4, shift, F);
                f += 4 * CM_LANES;
            }
            for (; f + CM_LANES <= F; f += CM_LANES)
                run_scatter(dfilter + f, &r, idx, val, position, dy + f, 1, shift, F);
            for (size_t e = r.from; f < F && e < r.to; e++) {
                cm_real *row = dfilter + (place(position, idx[e]) + shift) * F;
                for (size_t g = f; g < F; g++)
                    row[g] += (cm_real)val[e] * dy[g];
            }
        }
    }
}
