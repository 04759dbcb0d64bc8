/* Self-attention units on one thread, as a share of sgemm 512 measured in the same run.
 *
 * For widths p = 64 and 128, 105 tokens, 4 heads, feed-forward 4p, groups of 1, 4 and 8 cells:
 * GFLOP/s of the matrix products of forward, and of forward and backward, over the time of the
 * whole unit; and the sparse first layer in nanoseconds a non-zero.  Processor time, not wall
 * clock: one thread does nothing but compute.  Medians of 5 blocks, sgemm alternating with ours,
 * because a shared machine's speed wanders.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "nn/nn.h"

enum { BLOCKS = 5 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, BLOCKS, sizeof *v, by_value);
    return v[BLOCKS / 2];
}

static float *random_array(size_t n, double sd)
{
    static uint32_t salt;
    float *v = CM_NEW(n, float);
    cm_init_normal(v, n, sd, cm_rng_make(1, CM_RNG_TEST, 0, salt++));
    return v;
}

static double sgemm_512(void)
{
    static float *a, *b, *c;
    enum { N = 512, TIMES = 40 };
    if (!a)
        a = random_array(N * N, 1), b = random_array(N * N, 1), c = random_array(N * N, 1);
    double start = now();
    for (int i = 0; i < TIMES; i++)
        cm_sgemm(false, false, N, N, N, 1, a, N, b, N, 0, c, N);
    return 2. * N * N * N * TIMES / (now() - start) * 1e-9;
}

static void bench_unit(size_t P, size_t B)
{
    enum { L = 105, H = 4, CELLS = 64 };
    struct cm_unit u = {.mha = {.L = L, .P = P, .H = H}, .F = 4 * P, .act = CM_ACT_RELU};
    struct cm_params t = {0};
    cm_unit_declare(&u, &t, "");
    size_t n = B * L * P;
    float *params = random_array(t.size, .05), *dparams = CM_ZNEW(t.size, float);
    float *in = random_array(n, 1), *out = CM_NEW(n, float), *dout = random_array(n, 1);
    float *din = CM_ZNEW(n, float), *cache = CM_NEW(cm_unit_cache(&u, B), float);
    float *scratch = CM_NEW(cm_unit_scratch(&u, B), float);
    double flop = 2. * L * P * (4 * P + 2 * u.F) + 4. * L * L * P;
    double limit[BLOCKS], forward[BLOCKS], both[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        limit[i] = sgemm_512();
        double start = now();
        for (size_t c = 0; c < CELLS; c += B)
            cm_unit_forward(out, cache, in, params, &u, B, NULL, scratch);
        forward[i] = flop * CELLS / (now() - start) * 1e-9;
        start = now();
        for (size_t c = 0; c < CELLS; c += B) {
            cm_unit_forward(out, cache, in, params, &u, B, NULL, scratch);
            cm_unit_backward(din, dparams, dout, cache, in, params, &u, B, NULL, scratch);
        }
        both[i] = 3 * flop * CELLS / (now() - start) * 1e-9;
    }
    double top = median(limit), f = median(forward), fb = median(both);
    printf("unit p=%zu L=105 B=%zu: forward %.1f GFLOP/s (%.2f of sgemm 512, %.1f), "
           "with backward %.1f (%.2f), %.0f cells/s\n",
           P, B, f, f / top, top, fb, fb / top, fb * 1e9 / (3 * flop));
    cm_free(params), cm_free(dparams), cm_free(in), cm_free(out), cm_free(dout), cm_free(din);
    cm_free(cache), cm_free(scratch);
}

/* Peaks of the competition's size: 116,490 of them, 3,586 in a cell, about 114 tokens. */
static void bench_sparse(size_t F)
{
    enum { FEATURES = 116490, ENTRIES = 3586, CHROMS = 23, CELLS = 200 };
    size_t chrom[CHROMS + 1];
    for (size_t c = 0; c <= CHROMS; c++)
        chrom[c] = c * FEATURES / CHROMS;
    size_t kernel = cm_windows_kernel(chrom, CHROMS, 114);
    struct cm_window_rule rule = {.kernel = kernel, .stride = kernel, .partial = true};
    struct cm_windows w;
    cm_windows_lay(&w, NULL, NULL, NULL, &rule, chrom, CHROMS, FEATURES, NULL);
    struct cm_window *window = CM_NEW(w.L, struct cm_window);
    uint32_t *first = CM_NEW(FEATURES, uint32_t), *idx = CM_NEW(ENTRIES * CELLS, uint32_t);
    cm_windows_lay(&w, window, first, NULL, &rule, chrom, CHROMS, FEATURES, NULL);
    float *val = random_array(ENTRIES, 1), *filter = random_array(w.rows * F, .1);
    float *out = CM_NEW(w.L * F, float), *dfilter = CM_ZNEW(w.rows * F, float);
    struct cm_rng g = cm_rng_make(1, CM_RNG_TEST, 1, 0);
    for (size_t i = 0; i < ENTRIES * CELLS; i++) { /* ascending, about evenly spread */
        size_t e = i % ENTRIES, from = e * FEATURES / ENTRIES;
        idx[i] = (uint32_t)(from + cm_rng_below(&g, FEATURES / ENTRIES));
    }
    double forward[BLOCKS], backward[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        double start = now();
        for (size_t c = 0; c < CELLS; c++)
            cm_sparse_conv_forward(out, idx + c * ENTRIES, val, ENTRIES, filter, NULL, false, &w,
                                   F);
        forward[i] = (now() - start) * 1e9 / ENTRIES / CELLS;
        start = now();
        for (size_t c = 0; c < CELLS; c++)
            cm_sparse_conv_backward(dfilter, NULL, out, idx + c * ENTRIES, val, ENTRIES, false, &w,
                                    F);
        backward[i] = (now() - start) * 1e9 / ENTRIES / CELLS;
    }
    printf("sparse convolution F=%zu L=%zu kernel %zu: forward %.2f ns a non-zero, backward %.2f\n",
           F, w.L, kernel, median(forward), median(backward));
    cm_free(window), cm_free(first), cm_free(idx), cm_free(val), cm_free(filter), cm_free(out);
    cm_free(dfilter);
}

int main(void)
{
    const size_t groups[] = {1, 4, 8};
    for (size_t P = 64; P <= 128; P *= 2)
        for (size_t i = 0; i < 3; i++)
            bench_unit(P, groups[i]);
    bench_sparse(32);
    bench_sparse(64);
    return 0;
}
