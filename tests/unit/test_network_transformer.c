/* The whole encoder `tokens` against central differences, in double, for each preset; its windows,
 * regions and first values.
 *
 * Layers and encoder are those built in double (Makefile, UNIT_DOUBLE).  The objective is
 * the inner product of outputs AND tokens with fixed random numbers, so that both ways into the
 * encoder are differentiated; gradients start from random numbers, so that "adds to" is tested too.
 */
#define CM_REAL_DOUBLE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

#include "network/encoder.h"
#include "preset.h"

#define TOLERANCE 1e-6
#define STEP      1e-5
#define CELLS     3
#define FEATURES  64

/* ===== simulated cells ====================================================================== */

static struct cm_slot slot;
static struct cm_linear linear;
static struct cm_cell cells[CELLS];

static double draw(uint32_t a, uint32_t b, uint64_t i)
{
    struct cm_rng g = cm_rng_make(3, CM_RNG_TEST, a, b);
    g.index = i;
    return cm_rng_normal(&g);
}

/* 64 features on chromosomes of 20, 7, 29 and on none (8), columns of the last two mixed. */
static void make_slot(const char *name)
{
    cm_cols_free(&slot.cols);
    slot.name = (char *)(uintptr_t)name;
    char text[32];
    for (int j = 0; j < FEATURES; j++) {
        snprintf(text, sizeof text, "f%d", j);
        cm_strs_add(&slot.cols.names, text);
    }
    struct cm_vec *chrom = cm_cols_vec(&slot.cols, "chrom", CM_T_STR);
    cm_strs_clear(&chrom->s);
    for (int j = 0; j < FEATURES; j++)
        cm_strs_add(&chrom->s, j < 20 ? "chr1" : j < 27 ? "chr2" : j % 5 == 3 ? "" : "chrX");
    chrom->n = FEATURES;
    struct cm_vec *start = cm_cols_vec(&slot.cols, "start", CM_T_I64);
    for (int j = 0; j < FEATURES; j++)
        start->i[j] = 1000 + 100 * j;
    struct cm_vec *end = cm_cols_vec(&slot.cols, "end", CM_T_I64);
    for (int j = 0; j < FEATURES; j++)
        end->i[j] = 1050 + 100 * j;
}

static void make_cells(void)
{
    enum { K = 8 };
    static uint32_t idx[CELLS][FEATURES];
    static float val[CELLS][FEATURES], v[FEATURES * K], mean[FEATURES];
    static double s[K];
    for (uint32_t c = 0; c < CELLS; c++) {
        size_t n = 0;
        for (uint32_t j = 0; j < FEATURES; j++)
            if (draw(1, c, j) > -.4) {
                idx[c][n] = j;
                val[c][n++] = (float)draw(2, c, j);
            }
        cells[c] = (struct cm_cell){idx[c], val[c], n, NULL};
    }
    for (int i = 0; i < FEATURES * K; i++)
        v[i] = (float)(.1 * draw(3, 0, (uint64_t)i));
    for (int i = 0; i < FEATURES; i++)
        mean[i] = (float)draw(4, 0, (uint64_t)i);
    for (int i = 0; i < K; i++)
        s[i] = 30 - 2 * i;
    linear = (struct cm_linear){
        .k = K, .q = 5, .cells = 50, .side = {{.d = FEATURES, .mean = mean, .v = v, .s = s}}};
}

static int setup(void **state)
{
    (void)state;
    make_slot("GEX");
    make_cells();
    return 0;
}

/* ===== an encoder and its arenas ============================================================ */

static struct {
    struct cm_encoder e;
    struct cm_params table;
    struct cm_param tensor[64];
    double *params, *cache, *scratch, *out, *weight, *token_weight;
    size_t tokens;
    const struct cm_dropout *drop;
} net;

static int make(struct cm_encoder *e, const struct cm_transformer_config *o,
                const struct cm_linear *start, struct cm_params *t)
{
    struct cm_net_config c = {.encoder = CM_ENCODER_TOKENS, .tokens_of = {*o}};
    return cm_encoder_tokens.make(e, &c, &slot, start, 0, t, "GEX.r");
}

static void open_net(const struct cm_transformer_config *o)
{
    memset(&net, 0, sizeof net);
    net.table = (struct cm_params){.p = net.tensor, .capacity = 64};
    int code = make(&net.e, o, &linear, &net.table);
    if (code)
        fail_msg("%s", cm_error_message());
    assert_true(net.table.n <= 64);
    net.tokens = CELLS * net.e.L * net.e.P;
    net.params = CM_ZNEW(net.table.size, double);
    net.cache = CM_NEW(cm_encoder_tokens.cache(&net.e, CELLS), double);
    net.scratch = CM_NEW(cm_encoder_tokens.scratch(&net.e, CELLS), double);
    net.out = CM_NEW(CELLS * net.e.q, double);
    net.weight = CM_NEW(CELLS * net.e.q, double);
    net.token_weight = CM_NEW(net.tokens, double);
    cm_encoder_tokens.init(&net.e, net.params, &linear.side[0], 5, 0);
    /* away from the first values, of which many are 0 */
    for (size_t t = 0; t < net.table.n; t++)
        for (size_t i = 0; i < net.tensor[t].n; i++)
            net.params[net.tensor[t].offset + i] += .2 * draw(5, (uint32_t)t, i);
    for (size_t i = 0; i < CELLS * net.e.q; i++)
        net.weight[i] = draw(6, 0, i);
    for (size_t i = 0; i < net.tokens; i++)
        net.token_weight[i] = .1 * draw(7, 0, i);
}

static void close_net(void)
{
    cm_encoder_tokens.free(&net.e);
    cm_free(net.params);
    cm_free(net.cache);
    cm_free(net.scratch);
    cm_free(net.out);
    cm_free(net.weight);
    cm_free(net.token_weight);
}

static struct cm_pass whole(void)
{
    return (struct cm_pass){cells, CELLS, net.params, net.drop, net.cache, net.scratch};
}

static double objective(void)
{
    double s = 0;
    memset(net.cache, 0x7f, cm_encoder_tokens.cache(&net.e, CELLS) * sizeof *net.cache);
    memset(net.scratch, 0x7f, cm_encoder_tokens.scratch(&net.e, CELLS) * sizeof *net.scratch);
    struct cm_pass pass = whole();
    cm_encoder_tokens.forward(&net.e, net.out, &pass);
    const double *tokens = net.cache + cm_encoder_tokens.tokens_at(&net.e, CELLS);
    for (size_t i = 0; i < CELLS * net.e.q; i++)
        s += net.out[i] * net.weight[i];
    for (size_t i = 0; i < net.tokens; i++)
        s += tokens[i] * net.token_weight[i];
    return s;
}

static void differences(const struct cm_transformer_config *o, bool training)
{
    struct cm_dropout drop = {.seed = 9, .step = 4, .row = 11};
    open_net(o);
    net.drop = training ? &drop : NULL;
    size_t n = net.table.size;
    double *got = CM_NEW(n, double), *before = CM_NEW(n, double);
    for (size_t i = 0; i < n; i++)
        got[i] = before[i] = draw(8, 0, i);
    objective();
    memset(net.scratch, 0x7f, cm_encoder_tokens.scratch(&net.e, CELLS) * sizeof *net.scratch);
    struct cm_pass pass = whole();
    cm_encoder_tokens.backward(&net.e, got, net.weight, net.token_weight, &pass);
    for (size_t t = 0; t < net.table.n; t++) {
        const struct cm_param *p = &net.tensor[t];
        double largest = 0;
        for (size_t i = p->offset; i < p->offset + p->n; i++) {
            double keep = net.params[i];
            net.params[i] = keep + STEP;
            double up = objective();
            net.params[i] = keep - STEP;
            double down = objective(), want = (up - down) / (2 * STEP);
            net.params[i] = keep;
            largest = fmax(largest, fabs(want));
            if (!(fabs(got[i] - before[i] - want) <= TOLERANCE * fmax(1, fabs(want))))
                fail_msg("%s[%zu]: gradient %.12g, differences say %.12g", p->name, i - p->offset,
                         got[i] - before[i], want);
        }
        if (largest == 0)
            fail_msg("%s: all differences are 0, nothing was tested", p->name);
    }
    /* the two ways in, each alone, add up to both */
    double *one = CM_ZNEW(n, double);
    objective();
    cm_encoder_tokens.backward(&net.e, one, net.weight, NULL, &pass);
    cm_encoder_tokens.backward(&net.e, one, NULL, net.token_weight, &pass);
    for (size_t i = 0; i < n; i++)
        assert_true(fabs(one[i] - (got[i] - before[i])) <= 1e-9 * fmax(1, fabs(one[i])));
    cm_free(one);
    cm_free(got);
    cm_free(before);
    close_net();
}

static struct cm_transformer_config small(enum cm_preset preset, const char *name)
{
    struct cm_transformer_config o = tokens_of(preset, name);
    switch (preset) {
    case CM_PRESET_ATTN:
        o.windows = 9;
        o.width = 8;
        o.out = 5;
        break;
    case CM_PRESET_PAPER:
        o.windows = 8;
        o.width = 5;
        o.p = 8;
        o.ff = 2;
        break;
    case CM_PRESET_AUTHORS:
        o.kernel = o.kernel2 ? 4 : 6;
        o.stride = o.kernel2 ? 1 : 2;
        o.width = o.kernel2 ? 5 : 4;
        if (o.kernel2) {
            o.pool = 3;
            o.kernel2 = 3;
            o.stride2 = 1;
            o.width2 = 8;
        }
        o.ff = 2;
        o.out = 6;
        break;
    default:
        fail();
    }
    return o;
}

static void attn(void **state)
{
    (void)state;
    struct cm_transformer_config o = small(CM_PRESET_ATTN, "GEX");
    differences(&o, false);
    differences(&o, true);
    o.slow = .05;
    differences(&o, false);
    differences(&o, true);
    o.p = 12; /* an FC above frozen filters */
    o.slow = 0;
    differences(&o, true);
}

static void paper(void **state)
{
    (void)state;
    struct cm_transformer_config o = small(CM_PRESET_PAPER, "GEX");
    differences(&o, false);
    o.filters = CM_FILTERS_UNTIED;
    o.position = .3;
    o.dropout = .2;
    o.feature_dropout = .2;
    differences(&o, true);
}

static void authors(void **state)
{
    (void)state;
    struct cm_transformer_config o = small(CM_PRESET_AUTHORS, "GEX");
    differences(&o, false);
    o = small(CM_PRESET_AUTHORS, "ATAC");
    differences(&o, false);
    o.padding = 2;
    o.padding2 = 1;
    o.readout_dropout = .2;
    differences(&o, true);
}

/* ===== what needs no derivative ============================================================= */

/* With frozen loadings, tokens before positions sum to the standardised components x sqrt(L). */
static void loadings_sum_to_components(void **state)
{
    (void)state;
    struct cm_transformer_config o = small(CM_PRESET_ATTN, "GEX");
    o.position = 0;
    open_net(&o);
    objective();
    const double *tokens = net.cache + cm_encoder_tokens.tokens_at(&net.e, CELLS);
    size_t L = net.e.L, P = net.e.P;
    assert_int_equal(P, 8);
    for (size_t c = 0; c < CELLS; c++)
        for (size_t f = 0; f < P; f++) {
            double z = 0, sum = 0;
            for (size_t e = 0; e < cells[c].n; e++)
                z += (double)cells[c].val[e] * (double)linear.side[0].v[cells[c].idx[e] * 8 + f];
            for (size_t j = 0; j < FEATURES; j++)
                z -= (double)linear.side[0].mean[j] * (double)linear.side[0].v[j * 8 + f];
            for (size_t t = 0; t < L; t++)
                sum += tokens[(c * L + t) * P + f];
            assert_true(fabs(sum - z / (linear.side[0].s[f] / sqrt(50)) * sqrt((double)L)) < 1e-9);
        }
    /* without the unit: the same numbers */
    double *keep = CM_NEW(net.tokens, double);
    memcpy(keep, tokens, net.tokens * sizeof *keep);
    memset(net.cache, 0x7f, cm_encoder_tokens.cache(&net.e, CELLS) * sizeof *net.cache);
    struct cm_pass pass = whole();
    cm_encoder_tokens.forward_tokens(&net.e, &pass);
    assert_memory_equal(keep, net.cache + cm_encoder_tokens.tokens_at(&net.e, CELLS),
                        net.tokens * sizeof *keep);
    cm_free(keep);
    close_net();
}

/* No window crosses a chromosome, and the regions say which features each token sees. */
static void regions(void **state)
{
    (void)state;
    struct cm_transformer_config o = small(CM_PRESET_PAPER, "GEX");
    o.kernel = 10;
    open_net(&o);
    static const char *const want[] = {"chr1:1000-1950", "chr1:2000-2950", "chr2:3000-3650",
                                       "chrX:3700-4950", "chrX:5000-6150", "chrX:6200-7250",
                                       "f28..f63"};
    assert_int_equal(net.e.L, 7);
    for (size_t t = 0; t < 7; t++) {
        struct cm_buf text = {0};
        cm_encoder_tokens.region(&net.e, &slot.cols, t, &text);
        cm_buf_u8(&text, 0);
        assert_string_equal((char *)text.p, want[t]);
        cm_buf_free(&text);
    }
    /* the same where the file has them as text */
    struct cm_buf region = {0};
    struct cm_vec *start = cm_cols_vec(&slot.cols, "start", CM_T_STR);
    cm_strs_clear(&start->s);
    for (int j = 0; j < FEATURES; j++) {
        char number[16];
        snprintf(number, sizeof number, "%d", 1000 + 100 * j);
        cm_strs_add(&start->s, number);
    }
    cm_encoder_tokens.region(&net.e, &slot.cols, 1, &region);
    cm_buf_u8(&region, 0);
    assert_string_equal((char *)region.p, want[1]);
    cm_buf_free(&region);
    make_slot("GEX");
    close_net();
    /* through pools and a second convolution: chr1 has 20 features, 17 windows of 4 at stride 1, 8
     * pools of 3 at stride 2, 6 windows of 3 at stride 1, 3 pools of 2: 12 features, 4 apart */
    o = small(CM_PRESET_AUTHORS, "ATAC");
    open_net(&o);
    static const char *const deep[] = {"chr1:1000-2150", "chr1:1400-2550", "chr1:1800-2950"};
    for (size_t t = 0; t < 3; t++) {
        struct cm_buf text = {0};
        cm_encoder_tokens.region(&net.e, &slot.cols, t, &text);
        cm_buf_u8(&text, 0);
        assert_string_equal((char *)text.p, deep[t]);
        cm_buf_free(&text);
    }
    close_net();
}

/* Options that fit no network are refused, not built. */
static void refused(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct cm_transformer_config o = small(CM_PRESET_AUTHORS, "ATAC");
        struct cm_linear start = linear;
        switch (i) {
        case 0:
            o.kernel = 40;
            break; /* no chromosome is so long */
        case 1:
            o.heads = 3;
            break; /* does not divide 8 */
        case 2:
            o.out = 0;
            break; /* readout linear */
        case 3:
            o.width2 = 0;
            break; /* second convolution to nothing */
        case 4:
            o.filters = CM_FILTERS_LOADINGS, start.k = 0;
            break;
        case 5:
            o.filters = CM_FILTERS_LOADINGS, start.cells = 0;
            break;
        }
        struct cm_encoder e;
        struct cm_params t = {0};
        assert_int_equal(make(&e, &o, &start, &t), CM_EINPUT);
        assert_null(e.self);
    }
}

/* First values: a function of seed and side; the last map of attn small but not 0. */
static void first_values(void **state)
{
    (void)state;
    struct cm_transformer_config o = small(CM_PRESET_ATTN, "GEX");
    open_net(&o);
    size_t n = net.table.size;
    double *a = CM_ZNEW(n, double), *b = CM_ZNEW(n, double), *c = CM_ZNEW(n, double);
    cm_encoder_tokens.init(&net.e, a, &linear.side[0], 5, 0);
    cm_encoder_tokens.init(&net.e, b, &linear.side[0], 5, 0);
    cm_encoder_tokens.init(&net.e, c, &linear.side[0], 5, 1);
    assert_memory_equal(a, b, n * sizeof *a);
    const struct cm_param *w = cm_params_find(&net.table, "GEX.r.out.w");
    assert_non_null(w);
    double sum = 0;
    for (size_t i = w->offset; i < w->offset + w->n; i++) {
        sum += a[i] * a[i];
        assert_true(a[i] != c[i]);
    }
    double sd = sqrt(sum / (double)w->n), want = .1 / sqrt(8);
    assert_true(sd > .5 * want && sd < 1.5 * want);
    assert_null(cm_params_find(&net.table, "GEX.r.conv.filter")); /* frozen: not a parameter */
    cm_free(a);
    cm_free(b);
    cm_free(c);
    close_net();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attn),         cmocka_unit_test(paper),
        cmocka_unit_test(authors),      cmocka_unit_test(loadings_sum_to_components),
        cmocka_unit_test(regions),      cmocka_unit_test(refused),
        cmocka_unit_test(first_values),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
