/* Two whole training steps of `paper` and `authors`, small: both encoders, unit norm, S0, the mined
 * cross-attention loss, backward through everything, Adam; all parameters equal PyTorch's to 1e-5
 * (tests/ref/make_tokens.py).
 *
 * In double, as PyTorch did them: the first steps of Adam divide a gradient by its own size, so
 * that one which is 0 but for rounding (the bias of keys) would move a parameter by chance in
 * float.
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

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"

#include "network/cross.h"
#include "network/mining.h"
#include "preset.h"

enum { B = 6, FEATURES = 64, MAX_TENSORS = 64 };

#define FIXTURE "tests/ref/tokens"
#include "torch.h"

/* ===== cells ================================================================================ */

static struct cm_slot slot[2];
static struct cm_cell cell[2][B];

static void make_cells(void)
{
    static uint32_t idx[2][B][FEATURES];
    static float val[2][B][FEATURES];
    static const char *const chrom[] = {"chr1", "chr2", "chr3", "chrX"};
    for (size_t s = 0; s < 2; s++) {
        const float *dense = ref("steps", s ? "cells1" : "cells0", B * FEATURES);
        for (size_t c = 0; c < B; c++) {
            size_t n = 0;
            for (uint32_t j = 0; j < FEATURES; j++)
                if (dense[c * FEATURES + j] != 0) {
                    idx[s][c][n] = j;
                    val[s][c][n++] = dense[c * FEATURES + j];
                }
            cell[s][c] = (struct cm_cell){idx[s][c], val[s][c], n, NULL};
        }
        memset(&slot[s], 0, sizeof slot[s]);
        slot[s].name = (char *)(uintptr_t)(s ? "ATAC" : "GEX");
        for (int j = 0; j < FEATURES; j++) {
            char text[16];
            snprintf(text, sizeof text, "f%d", j);
            cm_strs_add(&slot[s].cols.names, text);
        }
        struct cm_vec *v = cm_cols_vec(&slot[s].cols, "chrom", CM_T_STR);
        cm_strs_clear(&v->s);
        for (int j = 0; j < FEATURES; j++)
            cm_strs_add(&v->s, chrom[(j >= 20) + (j >= 27) + (j >= 57)]);
    }
}

/* ===== the steps ============================================================================ */

static struct cm_encoder encoder[2];
static struct cm_cross cross;
static struct cm_params table;
static struct cm_param tensor[MAX_TENSORS];

static double *numbers(size_t n) { return CM_ZNEW(n, double); }

/* Loss and gradients under parameters w. */
static double gradient(const double *w, double *dw)
{
    double *cache[2], *scratch[2], *raw[2], *e[2], *de[2], *draw[2], *dx[2], norm[2][B];
    size_t q = encoder[0].q;
    struct cm_pass pass[2];
    for (size_t s = 0; s < 2; s++) {
        cache[s] = numbers(encoder[s].of->cache(&encoder[s], B));
        scratch[s] = numbers(encoder[s].of->scratch(&encoder[s], B));
        raw[s] = numbers(B * q), e[s] = numbers(B * q);
        de[s] = numbers(B * q), draw[s] = numbers(B * q);
        dx[s] = numbers(B * cross.L[s] * cross.P);
        pass[s] = (struct cm_pass){
            .cell = cell[s], .B = B, .params = w, .cache = cache[s], .scratch = scratch[s]};
        encoder[s].of->forward(&encoder[s], raw[s], &pass[s]);
        cm_unitnorm_forward(e[s], norm[s], raw[s], B, q);
    }
    double s0[B * B], ds0[B * B] = {0};
    cm_dgemm(false, true, B, B, q, 1, e[0], q, e[1], q, 0, s0, B);
    struct cm_cross_batch batch = {.B = B, .s0 = s0};
    for (size_t s = 0; s < 2; s++)
        batch.x[s] = cache[s] + encoder[s].of->tokens_at(&encoder[s], B);
    double loss = cm_cross_loss(&cross, ds0, dx, dw + cross.begin, &batch, w + cross.begin, NULL);
    cm_dgemm(false, false, B, q, B, 1, ds0, B, e[1], q, 0, de[0], q);
    cm_dgemm(true, false, B, q, B, 1, ds0, B, e[0], q, 0, de[1], q);
    for (size_t s = 0; s < 2; s++) {
        cm_unitnorm_backward(draw[s], de[s], norm[s], e[s], B, q);
        encoder[s].of->backward(&encoder[s], dw, draw[s], dx[s], &pass[s]);
        cm_free(cache[s]);
        cm_free(scratch[s]);
        cm_free(raw[s]);
        cm_free(e[s]);
        cm_free(de[s]);
        cm_free(draw[s]);
        cm_free(dx[s]);
    }
    return loss;
}

static void steps(const char *group, const struct cm_net_config *c, double lr)
{
    const struct cm_linear none = {0};
    table = (struct cm_params){.p = tensor, .capacity = MAX_TENSORS};
    make_cells();
    for (size_t s = 0; s < 2; s++)
        if (cm_encoder_tokens.make(&encoder[s], c, &slot[s], &none, s, &table,
                                   s ? "ATAC.r" : "GEX.r"))
            fail_msg("%s", cm_error_message());
    const struct cm_encoder *const both[2] = {&encoder[0], &encoder[1]};
    assert_int_equal(cm_cross_open(&cross, &c->cross, both, &table, "cross"), 0);
    double *w = numbers(table.size), *m = numbers(table.size), *v = numbers(table.size);
    char name[160];
    for (size_t t = 0; t < table.n; t++) {
        snprintf(name, sizeof name, "0.%.63s", tensor[t].name);
        const float *from = ref(group, name, tensor[t].n);
        for (size_t i = 0; i < tensor[t].n; i++)
            w[tensor[t].offset + i] = (double)from[i];
    }
    const float *loss = ref(group, "loss", 2);
    struct cm_adam adam = CM_ADAM_DEFAULT;
    adam.lr = lr;
    for (uint64_t step = 0; step < 2; step++) {
        double *dw = numbers(table.size), got = gradient(w, dw);
        if (!(fabs(got - (double)loss[step]) < 1e-5))
            fail_msg("%s: loss %.9g, PyTorch %.9g", group, got, (double)loss[step]);
        cm_adam_step(w, m, v, dw, table.size, step + 1, &adam);
        cm_free(dw);
    }
    double moved = 0;
    for (size_t t = 0; t < table.n; t++) {
        snprintf(name, sizeof name, "2.%.63s", tensor[t].name);
        const float *want = ref(group, name, tensor[t].n);
        snprintf(name, sizeof name, "0.%.63s", tensor[t].name);
        const float *before = ref(group, name, tensor[t].n);
        for (size_t i = 0; i < tensor[t].n; i++) {
            double d = fabs(w[tensor[t].offset + i] - (double)want[i]);
            moved = fmax(moved, fabs((double)want[i] - (double)before[i]));
            if (!(d <= 1e-5))
                fail_msg("%s: %s[%zu] is %.9g, PyTorch %.9g", group, tensor[t].name, i,
                         w[tensor[t].offset + i], (double)want[i]);
        }
    }
    assert_true(moved > lr);
    for (size_t s = 0; s < 2; s++) {
        cm_encoder_tokens.free(&encoder[s]);
        cm_cols_free(&slot[s].cols);
    }
    cm_free(w);
    cm_free(m);
    cm_free(v);
}

static struct cm_net_config settings(enum cm_preset preset, double margin,
                                     enum cm_negatives negatives)
{
    struct cm_net_config c = preset_of(preset).net;
    c.cross.margin = margin;
    c.cross.negatives = negatives;
    c.cross.mined = 3;
    return c;
}

static void paper(void **state)
{
    (void)state;
    struct cm_net_config c = settings(CM_PRESET_PAPER, .4, CM_NEG_HARDEST);
    struct cm_transformer_config *o = c.tokens_of;
    for (size_t s = 0; s < 2; s++)
        o[s].kernel = s ? 9 : 8, o[s].width = 6, o[s].p = 8;
    steps("steps.paper", &c, 1e-3);
}

static void authors(void **state)
{
    (void)state;
    struct cm_net_config c = settings(CM_PRESET_AUTHORS, .9, CM_NEG_SEMIHARD);
    struct cm_transformer_config *o = c.tokens_of;
    o[0].kernel = 6, o[0].stride = 2, o[0].width = 8, o[0].out = 7;
    o[1].kernel = 4, o[1].stride = 1, o[1].width = 3, o[1].pool = 3, o[1].kernel2 = 3;
    o[1].stride2 = 1, o[1].width2 = 8, o[1].out = 7;
    steps("steps.authors", &c, 2e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paper),
        cmocka_unit_test(authors),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
