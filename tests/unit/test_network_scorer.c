/* Candidates through the cross module, and attention maps: the scorer against single pairs,
 * whatever its cache, threads and order; maps of networks whose attention is planted.
 *
 * The nets have no linear start: the paper's encoder, small, and the cross module between them.
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

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "network/map.h"
#include "network/scorer.h"
#include "preset.h"

enum { CELLS = 12, GENES = 24, PEAKS = 40, WIDTH = 8 };

static struct cm_head head;
static struct cm_linear linear;
static struct cm_net net;
static struct cm_csr x[2];

static double draw(uint32_t a, uint32_t b, uint64_t i)
{
    struct cm_rng g = cm_rng_make(6, CM_RNG_TEST, a, b);
    g.index = i;
    return cm_rng_normal(&g);
}

static void add_slot(const char *name, size_t features)
{
    struct cm_slot *s = cm_head_add_slot(&head, name);
    char text[24];
    for (size_t j = 0; j < features; j++) {
        snprintf(text, sizeof text, "%s%zu", name, j);
        cm_strs_add(&s->cols.names, text);
    }
}

/* A net without a linear start: tokens of 6 features a window, heads as said, and the cross
 * module. */
static struct cm_net_config settings;

static void open_net(int heads)
{
    head = (struct cm_head){.kind = CM_MODEL};
    add_slot("GEX", GENES);
    add_slot("ATAC", PEAKS);
    settings = preset_of(CM_PRESET_PAPER).net;
    for (size_t s = 0; s < 2; s++) {
        struct cm_transformer_config *o = &settings.tokens_of[s];
        o->kernel = s ? 8 : 6;
        o->width = WIDTH;
        o->p = 0;
        o->act = CM_ACT_NONE;
        o->heads = heads;
    }
    settings.cross.heads = heads;
    linear = (struct cm_linear){.k = 3, .q = 2}; /* not used: the encoders set the width */
    if (cm_net_make(&net, &settings, &head, &linear))
        fail_msg("%s", cm_error_message());
    assert_true(net.has_cross);
    assert_int_equal(net.q, WIDTH);
    cm_net_init(&net, &linear, 20, 3);
}

static void close_net(void)
{
    cm_net_free(&net);
    cm_head_free(&head);
}

static void make_cells(void)
{
    size_t features[2] = {GENES, PEAKS};
    for (uint32_t s = 0; s < 2; s++) {
        x[s] = cm_csr_make(features[s]);
        for (uint32_t c = 0; c < CELLS; c++) {
            uint64_t ptr[2] = {0, 0};
            uint32_t idx[PEAKS];
            float val[PEAKS];
            for (uint32_t j = 0; j < features[s]; j++)
                if (draw(s, c, j) > 0) {
                    idx[ptr[1]] = j;
                    val[ptr[1]++] = (float)draw(s + 2, c, j);
                }
            cm_csr_append(&x[s], 1, ptr, idx, val);
        }
    }
}

static void free_cells(void)
{
    cm_csr_free(&x[0]);
    cm_csr_free(&x[1]);
}

/* S1 by the whole stack. */
static double stack(size_t i, size_t j)
{
    const cm_real *token[2];
    cm_real *kept[2];
    for (size_t k = 0; k < 2; k++) {
        kept[k] = CM_NEW(cm_net_tokens_scratch(&net, k), cm_real);
        struct cm_cell cell = cm_cell_at(&x[k], k ? j : i);
        token[k] = cm_net_tokens(&net, k, net.w, cell, kept[k]);
    }
    cm_real *cache = CM_NEW(cm_cross_cache(&net.cross), cm_real),
            *scratch = CM_NEW(cm_cross_scratch(&net.cross), cm_real);
    double s1 = cm_cross_forward(&net.cross, cache, token, net.w + net.cross.begin, NULL, scratch);
    cm_free(cache);
    cm_free(scratch);
    cm_free(kept[0]);
    cm_free(kept[1]);
    return s1;
}

static void scores(void **state)
{
    (void)state;
    open_net(4);
    make_cells();
    const struct cm_csr *const both[2] = {&x[0], &x[1]};
    float first[2][CELLS][5];
    for (size_t run = 0; run < 6; run++) {
        size_t side = run % 2;
        cm_pool_set_threads(run < 4 ? 1 : 3);
        /* a cache of one row only, then of all */
        struct cm_scorer *s =
            cm_scorer_make(&net, net.w, both, side, 5, run < 2 ? 1 : (uint64_t)1 << 30);
        for (size_t k = 0; k < CELLS; k++) {
            size_t row = run == 2 ? CELLS - 1 - k : k;
            uint32_t col[5];
            float score[5];
            for (uint32_t c = 0; c < 5; c++) {
                col[c] = ((uint32_t)row * 5 + c * 7) % CELLS;
                score[c] = .125f * (float)c;
            }
            assert_int_equal(cm_scorer_row(s, row, col, 5, score), 0);
            for (size_t c = 0; c < 5; c++) {
                double s1 = side ? stack(col[c], row) : stack(row, col[c]);
                assert_true(fabs((double)score[c] - (.125 * (double)c + .8 * s1)) < 1e-6);
                if (run < 2)
                    first[side][row][c] = score[c];
                else
                    assert_true(score[c] == first[side][row][c]);
            }
        }
        assert_int_equal(cm_scorer_row(s, 0, NULL, 0, NULL), 0);
        cm_scorer_free(s);
    }
    cm_pool_set_threads(1);
    free_cells();
    close_net();
}

/* The k largest of each row, against sorting by hand; many ties. */
static void keeping(void **state)
{
    (void)state;
    for (size_t k = 0; k <= 12; k++) {
        uint64_t ptr[8] = {0}, was[8];
        uint32_t idx[70], old_idx[70];
        float val[70], old[70];
        for (size_t i = 0; i < 7; i++) {
            ptr[i + 1] = ptr[i] + (i * 5) % 11;
            for (uint64_t e = ptr[i]; e < ptr[i + 1]; e++) {
                idx[e] = (uint32_t)(3 * (e - ptr[i]));
                val[e] = (float)round(2 * draw(9, (uint32_t)k, e));
            }
        }
        memcpy(was, ptr, sizeof was);
        memcpy(old, val, sizeof old);
        memcpy(old_idx, idx, sizeof idx);
        cm_scorer_keep(7, ptr, idx, val, k);
        uint64_t at = 0;
        for (size_t i = 0; i < 7; i++) {
            for (uint64_t e = was[i]; e < was[i + 1]; e++) {
                size_t before = 0;
                for (uint64_t f = was[i]; f < was[i + 1]; f++)
                    before += old[f] > old[e] || (old[f] == old[e] && f < e);
                if (before >= k)
                    continue;
                assert_int_equal(idx[at], old_idx[e]);
                assert_true(val[at] == old[e]);
                at++;
            }
            assert_int_equal(ptr[i + 1], at);
        }
    }
}

/* ===== maps ================================================================================= */

static cm_real *tensor(const char *name)
{
    const struct cm_param *p = cm_params_find(&net.table, name);
    if (!p)
        fail_msg("no tensor %s", name);
    memset(net.w + p->offset, 0, p->n * sizeof *net.w);
    return net.w + p->offset;
}

/* Each feature adds to channel 0 of its window's token; keys read channel 0, and every query asks
 * for it: all regions look at the one that is open.  Even cells have region 1 of the genes and 3 of
 * the peaks open, odd cells 2 and 0. */
static void plant(void)
{
    open_net(1);
    static const char *const slots[2] = {"GEX", "ATAC"};
    for (size_t s = 0; s < 2; s++) {
        char name[64];
        snprintf(name, sizeof name, "%s.r.conv.filter", slots[s]);
        cm_real *filter = tensor(name);
        for (size_t k = 0; k < (s ? 8u : 6u); k++)
            filter[k * WIDTH] = 1;
        snprintf(name, sizeof name, "%s.r.conv.bias", slots[s]);
        tensor(name);
    }
    static const char *const units[3] = {"GEX.r.unit", "ATAC.r.unit", "cross"};
    for (size_t u = 0; u < 3; u++) {
        char name[64];
        snprintf(name, sizeof name, "%s.wqkv", units[u]);
        tensor(name)[WIDTH] = 1; /* row 0, first key column */
        snprintf(name, sizeof name, "%s.bqkv", units[u]);
        tensor(name)[0] = 10;
    }
    x[0] = cm_csr_make(GENES);
    x[1] = cm_csr_make(PEAKS);
    for (uint32_t c = 0; c < CELLS; c++) {
        const uint64_t ptr[2] = {0, 2};
        const float val[2] = {2, 3};
        const uint32_t gene = c % 2 ? 12 : 6, peak = c % 2 ? 0 : 24;
        const uint32_t g[2] = {gene + 1, gene + 4}, p[2] = {peak, peak + 7};
        cm_csr_append(&x[0], 1, ptr, g, val);
        cm_csr_append(&x[1], 1, ptr, p, val);
    }
}

static void maps(void **state)
{
    (void)state;
    plant();
    const struct cm_csr *const both[2] = {&x[0], &x[1]};
    uint64_t place[CELLS], count[3];
    uint32_t group[CELLS];
    for (uint32_t c = 0; c < CELLS; c++) {
        place[c] = c;
        group[c] = c == 5 ? UINT32_MAX : c % 2; /* cell 5 is in no group, group 2 is empty */
    }
    const uint64_t *const at[2] = {place, place};
    const struct cm_map_cells grouped = {both, at, CELLS, group, 3},
                              together = {both, at, CELLS, NULL, 1};
    const size_t size[3] = {4, 5, 9};
    const size_t open[3][2][2] = {{{1, 1}, {2, 2}}, {{3, 3}, {0, 0}}, {{1, 4 + 3}, {2, 4 + 0}}};
    for (int module = CM_MAP_SELF_0; module <= CM_MAP_CROSS; module++) {
        size_t L = cm_map_size(&net, (enum cm_map_module)module);
        assert_int_equal(L, size[module]);
        double out[3 * 81], all[81], again[3 * 81];
        cm_attention_map(&net, (enum cm_map_module)module, &grouped, out, count);
        assert_int_equal(count[0], 6);
        assert_int_equal(count[1], 5);
        assert_int_equal(count[2], 0);
        for (size_t g = 0; g < 2; g++)
            for (size_t i = 0; i < L; i++) {
                double sum = 0;
                for (size_t j = 0; j < L; j++) {
                    bool attended = j == open[module][g][0] || j == open[module][g][1];
                    double want = !attended ? 0 : module == CM_MAP_CROSS ? .5 : 1;
                    assert_true(fabs(out[(g * L + i) * L + j] - want) < 1e-5);
                    sum += out[(g * L + i) * L + j];
                }
                assert_true(fabs(sum - 1) < 1e-6);
            }
        for (size_t i = 0; i < L * L; i++)
            assert_true(out[2 * L * L + i] == 0);
        cm_attention_map(&net, (enum cm_map_module)module, &together, all, count);
        assert_int_equal(count[0], CELLS);
        cm_pool_set_threads(3);
        cm_attention_map(&net, (enum cm_map_module)module, &grouped, again, count);
        cm_pool_set_threads(1);
        assert_memory_equal(out, again, 3 * L * L * sizeof *out);
        for (size_t i = 0; i < L * L; i++)
            assert_true(fabs(all[i] - (out[i] + out[L * L + i]) / 2) < 1e-6);
    }
    free_cells();
    close_net();
}

/* The cross module of a model whose sides have tokens of two widths is refused. */
static void widths(void **state)
{
    (void)state;
    open_net(4);
    cm_net_free(&net);
    settings.tokens_of[1].width = 12;
    settings.tokens_of[1].out = 8;
    assert_int_equal(cm_net_make(&net, &settings, &head, &linear), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "one width"));
    settings.encoder = CM_ENCODER_MLP;
    assert_int_equal(cm_net_make(&net, &settings, &head, &linear), CM_EINPUT);
    cm_head_free(&head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores),
        cmocka_unit_test(keeping),
        cmocka_unit_test(maps),
        cmocka_unit_test(widths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
