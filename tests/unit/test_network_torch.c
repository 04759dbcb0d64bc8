/* The encoder `tokens` by preset, the cross-attention module and its mined loss, in float, against
 * PyTorch (tests/ref/make_tokens.py): forward to 1e-5, gradients to 1e-4 relative.
 *
 * "Relative" is to the number itself, or to a hundredth of the largest of its tensor where it is
 * smaller: a gradient that nearly cancels has no digits of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "network/cross.h"
#include "network/mining.h"

#define FIXTURE "tests/ref/tokens"
#include "preset.h"
#include "torch.h"

static void gradient_of(const char *group, const char *name, const float *got, size_t n)
{
    char full[128];
    snprintf(full, sizeof full, "d.%s", name);
    gradient_is(group, full, got, n);
}

/* Every tensor of a table, "prefix.name" there and "name" in the fixture. */
static void take_params(const char *group, const struct cm_params *t, size_t prefix, float *params)
{
    for (size_t i = 0; i < t->n; i++)
        memcpy(params + t->p[i].offset, ref(group, t->p[i].name + prefix, t->p[i].n),
               t->p[i].n * sizeof *params);
}

static void params_are(const char *group, const struct cm_params *t, size_t prefix, const float *dp)
{
    for (size_t i = 0; i < t->n; i++)
        gradient_of(group, t->p[i].name + prefix, dp + t->p[i].offset, t->p[i].n);
}

/* ===== encoders ============================================================================= */

enum { CELLS = 3, FEATURES = 64 };

static void encoder(const char *group, const char *name, const struct cm_transformer_config *o,
                    const struct cm_linear *linear)
{
    static const char *const chrom[] = {"chr1", "chr2", "chr3", "chrX"};
    struct cm_slot slot = {.name = (char *)(uintptr_t)name};
    for (int j = 0; j < FEATURES; j++) {
        char text[16];
        snprintf(text, sizeof text, "f%d", j);
        cm_strs_add(&slot.cols.names, text);
    }
    struct cm_vec *v = cm_cols_vec(&slot.cols, "chrom", CM_T_STR);
    cm_strs_clear(&v->s);
    for (int j = 0; j < FEATURES; j++)
        cm_strs_add(&v->s, chrom[(j >= 20) + (j >= 27) + (j >= 57)]);

    const float *dense = ref("cells", "", CELLS * FEATURES);
    uint32_t idx[CELLS][FEATURES];
    float val[CELLS][FEATURES];
    struct cm_cell cell[CELLS];
    for (size_t c = 0; c < CELLS; c++) {
        size_t n = 0;
        for (uint32_t j = 0; j < FEATURES; j++)
            if (dense[c * FEATURES + j] != 0) {
                idx[c][n] = j;
                val[c][n++] = dense[c * FEATURES + j];
            }
        cell[c] = (struct cm_cell){idx[c], val[c], n, NULL};
    }

    struct cm_net_config c = {.encoder = CM_ENCODER_TOKENS, .tokens_of = {*o}};
    struct cm_param tensor[40];
    struct cm_params t = {.p = tensor, .capacity = 40};
    struct cm_encoder e;
    if (cm_encoder_tokens.make(&e, &c, &slot, linear, 0, &t, "r"))
        fail_msg("%s", cm_error_message());
    float *params = CM_ZNEW(t.size, float), *dp = CM_ZNEW(t.size, float);
    float *cache = CM_NEW(cm_encoder_tokens.cache(&e, CELLS), float);
    float *scratch = CM_NEW(cm_encoder_tokens.scratch(&e, CELLS), float);
    float *out = CM_NEW(CELLS * e.q, float);
    take_params(group, &t, 2, params);
    const struct cm_pass pass = {
        .cell = cell, .B = CELLS, .params = params, .cache = cache, .scratch = scratch};
    cm_encoder_tokens.forward(&e, out, &pass);
    forward_is(group, "tokens", cache + cm_encoder_tokens.tokens_at(&e, CELLS), CELLS * e.L * e.P);
    forward_is(group, "out", out, CELLS * e.q);
    cm_encoder_tokens.backward(&e, dp, ref(group, "dout", CELLS * e.q), NULL, &pass);
    params_are(group, &t, 2, dp);

    cm_encoder_tokens.free(&e);
    cm_cols_free(&slot.cols);
    cm_free(params);
    cm_free(dp);
    cm_free(cache);
    cm_free(scratch);
    cm_free(out);
}

static void attn(void **state)
{
    (void)state;
    struct cm_transformer_config o = tokens_of(CM_PRESET_ATTN, "GEX");
    o.kernel = 9;
    o.out = 5;
    const float *s = ref("attn", "s", 8);
    double sd[8];
    for (int i = 0; i < 8; i++)
        sd[i] = (double)s[i];
    struct cm_linear linear = {.k = 8,
                               .q = 5,
                               .cells = 50,
                               .side = {{.d = FEATURES,
                                         .v = (float *)(uintptr_t)ref("attn", "v", FEATURES * 8),
                                         .mean = (float *)(uintptr_t)ref("attn", "mean", FEATURES),
                                         .s = sd}}};
    encoder("attn", "GEX", &o, &linear);
}

static void paper(void **state)
{
    (void)state;
    struct cm_transformer_config o = tokens_of(CM_PRESET_PAPER, "GEX");
    o.kernel = 8;
    o.width = 6;
    o.p = 8;
    encoder("paper", "GEX", &o, &(struct cm_linear){0});
}

static void authors(void **state)
{
    (void)state;
    struct cm_transformer_config o = tokens_of(CM_PRESET_AUTHORS, "GEX");
    o.kernel = 6, o.stride = 2, o.width = 4, o.out = 7;
    encoder("authors.gex", "GEX", &o, &(struct cm_linear){0});
    o = tokens_of(CM_PRESET_AUTHORS, "ATAC");
    o.kernel = 4, o.stride = 1, o.width = 3, o.pool = 3, o.kernel2 = 3, o.stride2 = 1;
    o.width2 = 8, o.out = 7;
    encoder("authors.atac", "ATAC", &o, &(struct cm_linear){0});
}

/* ===== cross-attention ====================================================================== */

enum { P = 8, LG = 5, LA = 7 };

static const size_t L[2] = {LG, LA};

static void pairs(const char *group, const struct cm_cross_config *o)
{
    enum { B = 3 };
    struct cm_param tensor[16];
    struct cm_params t = {.p = tensor, .capacity = 16};
    struct cm_cross c;
    assert_int_equal(cm_cross_make(&c, o, L, P, &t, "cross"), 0);
    float *params = CM_ZNEW(t.size, float), *dp = CM_ZNEW(t.size, float);
    float *cache = CM_NEW(cm_cross_cache(&c), float),
          *scratch = CM_NEW(cm_cross_scratch(&c), float);
    float *a = CM_NEW(cm_cross_cell(&c, 0), float), *b = CM_NEW(cm_cross_cell(&c, 1), float);
    const float *x0 = ref(group, "g", B * LG * P), *x1 = ref(group, "a", B * LA * P);
    const float *weight = ref(group, "dout", B * B);
    float d0[B * LG * P] = {0}, d1[B * LA * P] = {0}, s[B * B], fast[B * B];
    take_params(group, &t, 6, params);
    for (size_t i = 0; i < B; i++)
        for (size_t j = 0; j < B; j++) {
            const float *g = x0 + i * LG * P, *h = x1 + j * LA * P;
            const float *const x[2] = {g, h};
            float *const dx[2] = {d0 + i * LG * P, d1 + j * LA * P};
            s[i * B + j] = (float)cm_cross_forward(&c, cache, x, params, NULL, scratch);
            cm_cross_backward(&c, dp, dx, (double)weight[i * B + j], cache, params, NULL, scratch);
            cm_cross_cell_make(&c, 0, a, g, params, scratch);
            cm_cross_cell_make(&c, 1, b, h, params, scratch);
            fast[i * B + j] = (float)cm_cross_pair(&c, a, b, params, scratch);
            assert_true(fabs((double)(fast[i * B + j] - s[i * B + j])) < 1e-6);
        }
    forward_is(group, "out", s, B * B);
    forward_is(group, "out", fast, B * B);
    gradient_of(group, "g", d0, B * LG * P);
    gradient_of(group, "a", d1, B * LA * P);
    params_are(group, &t, 6, dp);
    cm_free(params);
    cm_free(dp);
    cm_free(cache);
    cm_free(scratch);
    cm_free(a);
    cm_free(b);
}

static void cross(void **state)
{
    (void)state;
    struct cm_cross_config o = preset_of(CM_PRESET_PAPER).net.cross;
    pairs("cross.post", &o);
    o = preset_of(CM_PRESET_ATTN).net.cross;
    o.heads = 2;
    pairs("cross.pre", &o);
}

static void mined(void **state)
{
    (void)state;
    enum { B = 8 };
    struct cm_cross_config o = preset_of(CM_PRESET_PAPER).net.cross;
    o.mined = 3;
    o.margin = .6;
    struct cm_param tensor[16];
    struct cm_params t = {.p = tensor, .capacity = 16};
    struct cm_cross c;
    assert_int_equal(cm_cross_make(&c, &o, L, P, &t, "cross"), 0);
    float *params = CM_ZNEW(t.size, float), *dp = CM_ZNEW(t.size, float);
    take_params("mined", &t, 6, params);
    struct cm_cross_batch batch = {
        .B = B,
        .x = {ref("mined", "g", B * LG * P), ref("mined", "a", B * LA * P)},
        .s0 = ref("mined", "s0", B * B)};
    static float d0[B * LG * P], d1[B * LA * P], ds0[B * B];
    float *const dx[2] = {d0, d1};
    struct cm_cross_report r;
    float loss = (float)cm_cross_loss(&c, ds0, dx, dp, &batch, params, &r);
    forward_is("mined", "loss", &loss, 1);
    assert_true(r.back < r.mined);
    gradient_of("mined", "g", d0, B * LG * P);
    gradient_of("mined", "a", d1, B * LA * P);
    gradient_of("mined", "s0", ds0, B * B);
    params_are("mined", &t, 6, dp);
    cm_free(params);
    cm_free(dp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attn),  cmocka_unit_test(paper), cmocka_unit_test(authors),
        cmocka_unit_test(cross), cmocka_unit_test(mined),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
