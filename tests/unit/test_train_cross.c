/* The training loop with token encoders and the cross-attention module.
 *
 * Two steps of `paper` and of `authors`, small, against PyTorch (tests/ref/make_tokens.py, as in
 * test_train_steps.c, there in double and without the loop).  The loop is in float, and the first
 * steps of Adam divide a gradient by its own size: a gradient that is 0 but for rounding moves its
 * parameter by chance, by at most the learning rate.  So nearly all parameters must agree to 1e-5,
 * and no more than 1 in 50 may be such a case; a loss must agree to 1e-5.
 *
 * And laws: memory, threads, and a stop change no bit; learning rate 0 leaves a tensor as it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "train/train.h"
#include "preset.h"

enum { B = 6, FEATURES = 64, STEPS = 6 };

#define FIXTURE "tests/ref/tokens"
#include "torch.h"

/* ===== a training ========================================================================= */

struct training {
    struct cm_model m;
    struct cm_csr x[2], none[2];
    struct cm_picks picks;
    struct cm_fit_data data;
    double loss[STEPS], cross[STEPS];
    size_t seen, stop_at;
};

static void make_cells(struct training *t, size_t side)
{
    static const char *const chrom[] = {"chr1", "chr2", "chr3", "chrX"};
    const float *dense = ref("steps", side ? "cells1" : "cells0", B * FEATURES);
    t->x[side] = cm_csr_make(FEATURES);
    t->none[side] = cm_csr_make(FEATURES);
    for (size_t c = 0; c < B; c++) {
        uint32_t idx[FEATURES];
        float val[FEATURES];
        uint64_t ptr[2] = {0, 0};
        for (uint32_t j = 0; j < FEATURES; j++)
            if (dense[c * FEATURES + j] != 0) {
                idx[ptr[1]] = j;
                val[ptr[1]++] = dense[c * FEATURES + j];
            }
        cm_csr_append(&t->x[side], 1, ptr, idx, val);
    }
    struct cm_slot *slot = cm_head_add_slot(&t->m.head, side ? "ATAC" : "GEX");
    for (int j = 0; j < FEATURES; j++) {
        char text[16];
        snprintf(text, sizeof text, "f%d", j);
        cm_strs_add(&slot->cols.names, text);
    }
    struct cm_vec *v = cm_cols_vec(&slot->cols, "chrom", CM_T_STR);
    cm_strs_clear(&v->s);
    for (int j = 0; j < FEATURES; j++)
        cm_strs_add(&v->s, chrom[(j >= 20) + (j >= 27) + (j >= 57)]);
}

static void small_tokens(struct cm_net_config *c, enum cm_preset preset)
{
    struct cm_transformer_config *o = c->tokens_of;
    if (preset == CM_PRESET_PAPER) {
        o[0].kernel = 8, o[1].kernel = 9;
        o[0].width = o[1].width = 6;
        o[0].p = o[1].p = 8;
    } else {
        o[0].kernel = 6, o[0].stride = 2, o[0].width = 8, o[0].out = 7;
        o[1].kernel = 4, o[1].stride = 1, o[1].width = 3, o[1].pool = 3, o[1].kernel2 = 3;
        o[1].stride2 = 1, o[1].width2 = 8, o[1].out = 7;
    }
    c->own[0] = c->own[1] = UINT64_MAX;
}

/* more: keys and values over the preset's, NULL at the end */
static void begin(struct training *t, enum cm_preset preset, size_t steps, const char *const *more)
{
    static const char *const slot[2] = {"GEX", "ATAC"};
    memset(t, 0, sizeof *t);
    struct cm_kv *kv = &t->m.head.kv;
    t->m.head.kind = CM_MODEL;
    for (size_t side = 0; side < 2; side++)
        make_cells(t, side);
    struct cm_config c = preset_of(preset);
    small_tokens(&c.net, preset);
    c.net.cross.mined = 3;
    c.seed = 5;
    cm_config_write_fit(&c, kv);
    cm_config_write_net(&c, slot, kv);
    for (; more && *more; more += 2)
        cm_kv_set(kv, more[0], more[1]);
    if (cm_config_read(&t->m.config, &t->m.head, CM_CONFIG_TRAIN) ||
        cm_net_make(&t->m.net, &t->m.config.net, &t->m.head, &t->m.linear))
        fail_msg("%s", cm_error_message());
    t->m.has_net = true;
    cm_net_init(&t->m.net, &t->m.linear, 20, 5);
    struct cm_picks *p = &t->picks;
    p->begin = CM_ZNEW(steps + 1, uint64_t);
    p->step = CM_NEW(steps, uint64_t);
    p->epoch = CM_NEW(steps, uint32_t);
    p->row = CM_NEW(steps * B, uint32_t);
    for (p->n = 0; p->n < steps; p->n++) {
        p->step[p->n] = p->n;
        p->epoch[p->n] = (uint32_t)p->n + 1;
        p->begin[p->n + 1] = p->begin[p->n] + B;
        for (uint32_t i = 0; i < B; i++)
            p->row[p->begin[p->n] + i] = i;
    }
    t->data = (struct cm_fit_data){.x = {&t->x[0], &t->x[1]},
                                   .picks = p,
                                   .valid = {&t->none[0], &t->none[1]},
                                   .keep = CM_FIT_KEEP};
}

static void finish(struct training *t)
{
    cm_model_free(&t->m);
    for (size_t side = 0; side < 2; side++) {
        cm_csr_free(&t->x[side]);
        cm_csr_free(&t->none[side]);
    }
    cm_free(t->picks.begin);
    cm_free(t->picks.step);
    cm_free(t->picks.epoch);
    cm_free(t->picks.row);
}

static void on_step(void *arg, const struct cm_fit_report *r)
{
    struct training *t = arg;
    t->cross[t->seen] = r->cross;
    t->loss[t->seen++] = r->loss;
}

static bool on_stop(void *arg)
{
    const struct training *t = arg;
    return t->stop_at && t->seen == t->stop_at;
}

static bool run(struct training *t, struct cm_fit_state *s)
{
    struct cm_fit_callbacks callbacks = {.report = on_step, .stop = on_stop, .arg = t};
    bool stopped;
    if (cm_fit(&t->m, &t->data, s, &callbacks, &stopped))
        fail_msg("%s", cm_error_message());
    return stopped;
}

/* ===== PyTorch ============================================================================ */

static void torch_steps(const char *group, enum cm_preset preset, const char *const *more)
{
    struct training t;
    struct cm_fit_state s = {0};
    char name[160];
    begin(&t, preset, 2, more);
    const struct cm_params *table = &t.m.net.table;
    for (size_t k = 0; k < table->n; k++) {
        const struct cm_param *p = &table->p[k];
        if (p->offset == t.m.net.scale)
            continue;
        snprintf(name, sizeof name, "0.%.63s", p->name);
        memcpy(t.m.net.w + p->offset, ref(group, name, p->n), p->n * sizeof *t.m.net.w);
    }
    assert_false(run(&t, &s));
    const float *loss = ref(group, "loss", 2);
    for (size_t k = 0; k < 2; k++)
        if (!(fabs(t.loss[k] - (double)loss[k]) < 1e-5) || t.loss[k] != t.cross[k])
            fail_msg("%s, step %zu: loss %.9g, of S %.9g, PyTorch %.9g", group, k, t.loss[k],
                     t.cross[k], (double)loss[k]);
    size_t all = 0, off = 0, moved = 0;
    for (size_t k = 0; k < table->n; k++) {
        const struct cm_param *p = &table->p[k];
        if (p->offset == t.m.net.scale)
            continue;
        snprintf(name, sizeof name, "2.%.63s", p->name);
        const float *want = ref(group, name, p->n);
        snprintf(name, sizeof name, "0.%.63s", p->name);
        const float *before = ref(group, name, p->n);
        for (size_t i = 0; i < p->n; i++) {
            off += !(fabsf(t.m.net.w[p->offset + i] - want[i]) <= 1e-5F);
            moved += want[i] != before[i];
        }
        all += p->n;
    }
    print_message("# %s: %zu of %zu parameters moved; %zu differ by more than 1e-5\n", group, moved,
                  all, off);
    assert_true(moved > all / 2);
    assert_true(off < all / 50);
    cm_fit_state_free(&s);
    finish(&t);
}

static void paper_as_torch(void **state)
{
    (void)state;
    torch_steps("steps.paper", CM_PRESET_PAPER,
                (const char *const[]){"hp.cross.margin", "0.4", NULL});
}

static void authors_as_torch(void **state)
{
    (void)state;
    torch_steps("steps.authors", CM_PRESET_AUTHORS,
                (const char *const[]){"hp.cross.margin", "0.9", "hp.cross.negatives", "semihard",
                                      "hp.lr", "0.002", "hp.lr.cross", "0.002", NULL});
}

/* ===== laws =============================================================================== */

static const char *const dropout[] = {"hp.tokens.GEX.feature-dropout",
                                      "0.3",
                                      "hp.tokens.ATAC.dropout",
                                      "0.2",
                                      "hp.cross.dropout",
                                      "0.2",
                                      "hp.average",
                                      "0.9",
                                      "hp.weight.decay",
                                      "0.1",
                                      "hp.cross.negatives",
                                      "random-semihard",
                                      NULL};
static const char *const listwise[] = {"hp.loss",
                                       "triplet",
                                       "hp.negatives",
                                       "random-semihard",
                                       "hp.cross.loss",
                                       "listwise",
                                       "hp.cross.gradient",
                                       "tokens",
                                       "hp.tokens.GEX.feature-dropout",
                                       "0.3",
                                       NULL};
static const char *const alone[] = {"hp.loss", "nce", "hp.cross.gradient", "module", NULL};
static const char *const *const ways[] = {dropout, listwise, alone};

/* Everything kept; nothing kept; 4 threads; stopped after 2 steps and gone on with. */
static void same_bits(void **state)
{
    (void)state;
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        float *want = NULL;
        for (size_t way = 0; way < 4; way++) {
            struct training t;
            struct cm_fit_state s = {0};
            begin(&t, CM_PRESET_PAPER, STEPS, ways[w]);
            t.data.keep = way == 1 ? 0 : CM_FIT_KEEP;
            t.stop_at = way == 3 ? 2 : 0;
            cm_pool_set_threads(way == 2 ? 4 : 1);
            bool stopped = run(&t, &s);
            assert_true(stopped == (way == 3));
            if (stopped) {
                t.stop_at = 0;
                run(&t, &s);
            }
            assert_true(t.cross[STEPS - 1] > 0 && isfinite(t.loss[STEPS - 1]));
            size_t bytes = t.m.net.table.size * sizeof *want;
            if (!want) {
                want = cm_alloc(1, bytes);
                memcpy(want, t.m.net.w, bytes);
            }
            assert_memory_equal(want, t.m.net.w, bytes);
            cm_fit_state_free(&s);
            finish(&t);
        }
        cm_free(want);
    }
    cm_pool_set_threads(1);
}

static bool of_cross(const struct cm_net *net, const struct cm_param *p)
{
    (void)net;
    return p->group == CM_GROUP_CROSS;
}

/* What has rate 0 keeps its bits, in the weights and in their average, decay or not; the rest
 * moves. */
static void frozen(void **state)
{
    (void)state;
    const char *const cross_only[] = {"hp.lr", "0", "hp.weight.decay", "1", "hp.average",
                                      "0.9",   NULL};
    const char *const not_cross[] = {"hp.lr.cross", "0", "hp.weight.decay", "1", "hp.average",
                                     "0.9",         NULL};
    for (int way = 0; way < 2; way++) {
        struct training t;
        struct cm_fit_state s = {0};
        begin(&t, CM_PRESET_PAPER, STEPS, way ? not_cross : cross_only);
        float *first = CM_NEW(t.m.net.table.size, float);
        memcpy(first, t.m.net.w, t.m.net.table.size * sizeof *first);
        run(&t, &s);
        for (size_t k = 0; k < t.m.net.table.n; k++) {
            const struct cm_param *p = &t.m.net.table.p[k];
            if (p->offset == t.m.net.scale)
                continue;
            bool still = of_cross(&t.m.net, p) == (way == 1);
            const float *arena[] = {s.w, s.average, t.m.net.w};
            for (size_t a = 0; a < 3; a++) {
                bool same =
                    memcmp(first + p->offset, arena[a] + p->offset, p->n * sizeof *first) == 0;
                if (same != still)
                    fail_msg("%s, arena %zu: %s", p->name, a, same ? "did not move" : "moved");
            }
        }
        cm_free(first);
        cm_fit_state_free(&s);
        finish(&t);
    }
}

/* Gradients that are kept back: with `module` and no loss on S0 the encoders get none at all, with
 * `tokens` what is behind the tokens gets none. */
static void kept_back(void **state)
{
    (void)state;
    const char *const module[] = {"hp.cross.gradient", "module", NULL};
    const char *const tokens[] = {"hp.cross.gradient", "tokens", NULL};
    for (int way = 0; way < 2; way++) {
        struct training t;
        struct cm_fit_state s = {0};
        begin(&t, CM_PRESET_PAPER, STEPS, way ? tokens : module);
        run(&t, &s);
        for (size_t k = 0; k < t.m.net.table.n; k++) {
            const struct cm_param *p = &t.m.net.table.p[k];
            bool behind = strstr(p->name, ".unit") != NULL, any = false;
            if (p->offset == t.m.net.scale)
                continue;
            for (size_t i = 0; i < p->n; i++)
                any = any || s.v[p->offset + i] != 0;
            bool want = of_cross(&t.m.net, p) || (way && !behind);
            if (any != want)
                fail_msg("%s: %s gradient", p->name, any ? "a" : "no");
        }
        cm_fit_state_free(&s);
        finish(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paper_as_torch), cmocka_unit_test(authors_as_torch),
        cmocka_unit_test(same_bits),      cmocka_unit_test(frozen),
        cmocka_unit_test(kept_back),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
