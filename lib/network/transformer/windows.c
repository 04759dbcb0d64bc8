/* network/transformer/windows.c - the windows of the genome, and the steps over tokens behind them.
 */
#include "network/transformer/internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

#define WINDOWS_MAX ((size_t)1 << 22) /* before pooling */
#define OVERLAP_MAX 256               /* windows that one feature may lie in, on the mean */

/* Chromosomes of the slot's columns: bounds (chroms + 1, owned), and the place of each column when
 * the columns of a chromosome do not stand together. */
static size_t *lay_chromosomes(const struct cm_cols *cols, size_t *chroms, uint32_t **position)
{
    size_t d = cols->names.n;
    const struct cm_vec *v = cm_cols_find(cols, "chrom");
    *position = NULL;
    if (!v || v->type != CM_T_STR) {
        size_t *from = CM_NEW(2, size_t);
        from[0] = 0;
        from[1] = d;
        *chroms = 1;
        return from;
    }
    struct cm_dict dict = {0};
    uint32_t *code = CM_NEW(d, uint32_t);
    bool sorted = true;
    for (size_t j = 0; j < d; j++) {
        code[j] = cm_dict_code(&dict, cm_strs_get(&v->s, j));
        sorted =
            sorted && (j == 0 || code[j] >= code[j - 1]); /* codes come in order of first use */
    }
    size_t n = dict.names.n, *from = CM_ZNEW(n + 1, size_t);
    for (size_t j = 0; j < d; j++)
        from[code[j] + 1]++;
    for (size_t c = 0; c < n; c++)
        from[c + 1] += from[c];
    if (!sorted) {
        size_t *next = CM_NEW(n, size_t);
        *position = CM_NEW(d, uint32_t);
        memcpy(next, from, n * sizeof *next);
        for (size_t j = 0; j < d; j++)
            (*position)[j] = (uint32_t)next[code[j]]++;
        cm_free(next);
    }
    cm_dict_free(&dict);
    cm_free(code);
    *chroms = n;
    return from;
}

int cm_tokens_lay_windows(struct tokens *k, const struct cm_cols *cols)
{
    struct cm_transformer_config *o = &k->o;
    size_t d = cols->names.n, *chrom = lay_chromosomes(cols, &k->chroms, &k->position);
    size_t aim = o->windows ? (size_t)o->windows : d < 10000 ? 25 : 100;
    size_t kernel = o->kernel ? (size_t)o->kernel : cm_windows_kernel(chrom, k->chroms, aim);
    struct cm_window_rule rule = {.kernel = kernel,
                                  .stride = o->stride ? (size_t)o->stride : kernel,
                                  .padding =
                                      (size_t)o->padding < kernel ? (size_t)o->padding : kernel - 1,
                                  .partial = o->partial,
                                  .untied = o->filters != CM_FILTERS_TIED};
    size_t L = 0, taps = 0; /* counted before they are laid: a kernel may be 2^24, padded */
    for (size_t c = 0; c < k->chroms && L <= WINDOWS_MAX; c++) {
        size_t n = chrom[c + 1] - chrom[c], here = cm_windows_of(n, &rule);
        L += here;
        taps += here * (n < kernel ? n : kernel);
    }
    if (L > WINDOWS_MAX || (rule.untied && taps / OVERLAP_MAX > d)) {
        cm_free(chrom);
        return cm_fail(CM_EINPUT,
                       "%zu features on %zu chromosomes are too few for windows of %zu every %zu "
                       "(hp.tokens)",
                       d, k->chroms, kernel, rule.stride);
    }
    k->conv1.from = CM_NEW(k->chroms + 1, size_t);
    cm_windows_lay(&k->windows, NULL, NULL, NULL, &rule, chrom, k->chroms, d, k->position);
    k->window = CM_NEW(k->windows.L, struct cm_window);
    k->first = CM_NEW(d, uint32_t);
    cm_windows_lay(&k->windows, k->window, k->first, k->conv1.from, &rule, chrom, k->chroms, d,
                   k->position);
    k->L1 = k->windows.L;
    cm_free(chrom);
    return 0;
}

/* Kernel K (0 = absent) at stride S (0 = K) over the chromosomes' tokens; returns all tokens. */
size_t cm_tokens_lay_step(struct step *s, const struct segment *in, size_t chroms, int64_t K,
                          int64_t S, int64_t Z)
{
    *s = (struct step){(size_t)K, S ? (size_t)S : (size_t)K, (size_t)Z, *in, *in};
    if (!K)
        return last(in, chroms);
    struct cm_window_rule rule = {.kernel = s->K, .stride = s->S, .padding = s->Z};
    s->out.from = CM_ZNEW(chroms + 1, size_t);
    for (size_t c = 0; c < chroms; c++)
        s->out.from[c + 1] = s->out.from[c] + cm_windows_of(in->from[c + 1] - in->from[c], &rule);
    return last(&s->out, chroms);
}

/* Tokens from..to-1 of a step's output see tokens *from..*to-1 of its input. */
static void receptive(const struct step *s, size_t chroms, size_t *from, size_t *to)
{
    if (!s->K)
        return;
    size_t c = 0;
    while (c + 1 < chroms && s->out.from[c + 1] <= *from)
        c++;
    size_t low = s->in.from[c], high = s->in.from[c + 1], base = s->out.from[c];
    size_t a = (*from - base) * s->S, b = (*to - 1 - base) * s->S + s->K;
    *from = low + (a > s->Z ? a - s->Z : 0);
    *to = low + (b > s->Z ? b - s->Z : 0);
    if (*to > high)
        *to = high;
}

void cm_tokens_region(const struct cm_encoder *e, const struct cm_cols *cols, size_t t,
                      struct cm_buf *text)
{
    const struct tokens *k = self_of(e);
    size_t from = t, to = t + 1;
    receptive(&k->pool2, k->chroms, &from, &to);
    receptive(&k->conv2, k->chroms, &from, &to);
    receptive(&k->pool, k->chroms, &from, &to);
    size_t begin = k->window[from].begin, end = k->window[to - 1].end;
    const struct cm_vec *chrom = cm_cols_find(cols, "chrom"), *start = cm_cols_find(cols, "start"),
                        *stop = cm_cols_find(cols, "end");
    double low = INFINITY, high = -INFINITY;
    size_t first = SIZE_MAX, final = 0, at_first = SIZE_MAX, at_final = 0;
    for (size_t j = 0; j < cols->names.n; j++) {
        size_t x = k->position ? k->position[j] : j;
        double v;
        if (x < begin || x >= end)
            continue;
        if (first == SIZE_MAX || x < at_first)
            first = j, at_first = x;
        if (x >= at_final)
            final = j, at_final = x;
        v = cm_vec_number(start, j);
        if (isfinite(v)) {
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        v = cm_vec_number(stop, j);
        if (isfinite(v))
            high = v > high ? v : high;
    }
    const char *name = chrom && chrom->type == CM_T_STR ? cm_strs_get(&chrom->s, first) : "";
    if (*name && low <= high)
        cm_buf_printf(text, "%s:%.0f-%.0f", name, low, high);
    else
        cm_buf_printf(text, "%s..%s", cm_strs_get(&cols->names, first),
                      cm_strs_get(&cols->names, final));
}
