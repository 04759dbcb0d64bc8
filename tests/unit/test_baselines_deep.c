/* The encoder class deep in double: against PyTorch (tests/ref/make_rivals.py) without dropout,
 * against central differences with it; what its keys may not say. */
#define CM_REAL_DOUBLE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "nn/attention.c"
#include "nn/conv.c"
#include "nn/loss.c"
#include "nn/optim.c"
#include "nn/params.c"
#include "nn/point.c"
#include "nn/rows.c"
#include "nn/softmax.c"
#include "nn/unit.c"
#include "nn/window.c"

/* The loop is not wanted here: it is compiled for float. */
#define cm_fit       unused_fit
#define cm_fit_bytes unused_fit_bytes
#define cm_net_make  unused_net_make
#define cm_net_init  unused_net_init
#include "baselines/deep.c"
#include "ref.h"

int cm_fit(struct cm_model *m, const struct cm_fit_data *d, struct cm_fit_state *s,
           const struct cm_fit_voice *v, bool *stopped)
{
    return (void)m, (void)d, (void)s, (void)v, (void)stopped, -70;
}
uint64_t cm_fit_bytes(const struct cm_model *m, const struct cm_fit_data *d)
{
    return (void)m, (void)d, 0;
}
int cm_net_make(struct cm_net *n, const struct cm_head *h, const struct cm_linear *l)
{
    return (void)n, (void)h, (void)l, -70;
}
void cm_net_init(struct cm_net *n, const struct cm_linear *l, double scale, uint64_t seed)
{
    (void)n, (void)l, (void)scale, (void)seed;
}

#define REF "tests/ref/rivals.txt"

enum { B = 5, K = 6, Q = 3 };
static struct cm_kv hp;
static struct cm_slot slot = {.name = (char[]){"GEX"}};
static struct cm_linear_side linear;
static struct cm_param room[16];
static struct cm_params table;
static struct cm_encoder e;
static struct cm_cell cell[B];
static double *w, *dw, *before, *cache, *scratch, out[B * Q], *dout;

static int make(void **state)
{
    (void)state;
    struct ref z = ref_load(REF, "deep.z");
    static float components[B * K];
    linear.s = ref_load(REF, "deep.s").v;
    dout = ref_load(REF, "deep.dout").v;
    for (size_t i = 0; i < B * K; i++)
        components[i] = (float)z.v[i];
    for (size_t i = 0; i < B; i++)
        cell[i].z = components + i * K;
    cm_free(z.v);
    cm_kv_seti(&hp, "hp.k", K);
    cm_kv_seti(&hp, "linear.cells", 40);
    cm_kv_seti(&hp, "hp.deep.q", Q);
    cm_kv_set(&hp, "hp.deep.act", "elu");
    cm_kv_set(&hp, "hp.deep.input", "zscore");
    cm_kv_set(&hp, "hp.deep.dropout.in", "0.2");
    cm_kv_set(&hp, "hp.deep.GEX.in", "4");
    cm_kv_set(&hp, "hp.deep.GEX.hidden", "7,5");
    cm_kv_set(&hp, "hp.deep.GEX.dropout", "0.3,0.4");
    return 0;
}

static void open_encoder(const char *act, const char *input)
{
    cm_kv_set(&hp, "hp.deep.act", act);
    cm_kv_set(&hp, "hp.deep.input", input);
    table = (struct cm_params){.p = room, .room = 16};
    assert_int_equal(cm_encoder_deep.make(&e, &hp, &slot, &linear, &table, "GEX.r"), 0);
    assert_int_equal(table.n, 6);
    assert_int_equal(e.q, Q);
    w = CM_ZNEW(double, table.size);
    dw = CM_ZNEW(double, table.size);
    before = CM_ZNEW(double, table.size);
    cache = CM_NEW(double, cm_encoder_deep.cache(&e, B));
    scratch = CM_NEW(double, cm_encoder_deep.scratch(&e, B));
    for (size_t t = 0; t < table.n; t++) {
        char name[80];
        snprintf(name, sizeof name, "deep.%s", room[t].name + strlen("GEX.r."));
        struct ref v = ref_load(REF, name);
        assert_int_equal(v.rows * v.cols, room[t].n);
        memcpy(w + room[t].offset, v.v, room[t].n * sizeof *w);
        cm_free(v.v);
    }
}

static void close_encoder(void)
{
    double *const all[] = {w, dw, before, cache, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cm_free(all[i]);
    cm_encoder_deep.free(&e);
}

static void equal(const char *act, const char *what, const double *got, size_t n)
{
    char name[80];
    snprintf(name, sizeof name, "deep.%s.%s", act, what);
    struct ref want = ref_load(REF, name);
    assert_int_equal(want.rows * want.cols, n);
    for (size_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want.v[i]) <= 1e-6 * fmax(1, fabs(want.v[i]))))
            fail_msg("%s[%zu]: %.12g, PyTorch %.12g", name, i, got[i], want.v[i]);
    cm_free(want.v);
}

static void torch(void **state)
{
    (void)state;
    const char *const act[] = {"elu", "gelu"}, *const input[] = {"zscore", "standard"};
    for (size_t k = 0; k < 2; k++) {
        open_encoder(act[k], input[k]);
        cm_encoder_deep.forward(&e, out, cache, cell, B, w, NULL, scratch);
        equal(act[k], "out", out, B * Q);
        cm_encoder_deep.backward(&e, dw, dout, cache, cell, B, w, NULL, scratch);
        for (size_t t = 0; t < table.n; t++) {
            char name[80];
            snprintf(name, sizeof name, "d%s", room[t].name + strlen("GEX.r."));
            equal(act[k], name, dw + room[t].offset, room[t].n);
        }
        close_encoder();
    }
}

static double objective(const struct cm_dropout *drop)
{
    double s = 0;
    cm_encoder_deep.forward(&e, out, cache, cell, B, w, drop, scratch);
    for (size_t i = 0; i < B * Q; i++)
        s += out[i] * dout[i];
    return s;
}

static void differences(void **state)
{
    (void)state;
    const struct cm_dropout drop = {.seed = 3, .step = 2, .row = 1};
    open_encoder("elu", "zscore");
    for (size_t i = 0; i < table.size; i++)
        before[i] = dw[i] = sin((double)i);
    double plain = objective(NULL);
    assert_true(fabs(objective(&drop) - plain) > 1e-3);
    cm_encoder_deep.backward(&e, dw, dout, cache, cell, B, w, &drop, scratch);
    for (size_t t = 0; t < table.n; t++)
        for (size_t i = room[t].offset; i < room[t].offset + room[t].n; i++) {
            double keep = w[i], step = 1e-5;
            w[i] = keep + step;
            double up = objective(&drop);
            w[i] = keep - step;
            double want = (up - objective(&drop)) / (2 * step), got = dw[i] - before[i];
            w[i] = keep;
            if (!(fabs(got - want) <= 1e-6 * fmax(1, fabs(want))))
                fail_msg("%s[%zu]: gradient %.12g, differences say %.12g", room[t].name,
                         i - room[t].offset, got, want);
        }
    close_encoder();
}

static void first_values(void **state)
{
    (void)state;
    open_encoder("gelu", "standard");
    cm_encoder_deep.init(&e, w, &linear, 7, 0);
    cm_encoder_deep.init(&e, before, &linear, 7, 1);
    for (size_t t = 0; t < table.n; t++) {
        const struct cm_param *p = &room[t];
        size_t in = t < 2 ? 4 : t < 4 ? 7 : 5;
        bool differ = false;
        for (size_t i = p->offset; i < p->offset + p->n; i++) {
            assert_true(fabs(w[i]) <= 1 / sqrt((double)in));
            differ = differ || w[i] != before[i];
        }
        assert_true(differ);
    }
    close_encoder();
}

static void keys_out_of_range(void **state)
{
    (void)state;
    const char *const bad[][2] = {{"hp.deep.GEX.hidden", "7,5,4"},
                                  {"hp.deep.GEX.hidden", "7,0"},
                                  {"hp.deep.GEX.hidden", "7,x"},
                                  {"hp.deep.GEX.hidden", "7"},
                                  {"hp.deep.GEX.hidden", ""},
                                  {"hp.deep.GEX.dropout", "0.1,1"},
                                  {"hp.deep.GEX.in", "4,4"},
                                  {"hp.deep.act", "relu"},
                                  {"hp.deep.input", "raw"},
                                  {"hp.deep.dropout.in", "1"},
                                  {"hp.deep.q", "0"},
                                  {"hp.k", "0"},
                                  {"linear.cells", "0"},
                                  {"hp.deep.GEX.hidden", "1,1,1,1,1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char keep[40];
        snprintf(keep, sizeof keep, "%s", cm_kv_get(&hp, bad[i][0]));
        cm_kv_set(&hp, bad[i][0], bad[i][1]);
        table = (struct cm_params){.p = room, .room = 16};
        if (cm_encoder_deep.make(&e, &hp, &slot, &linear, &table, "GEX.r") != CM_EINPUT)
            fail_msg("%s %s was accepted", bad[i][0], bad[i][1]);
        cm_kv_set(&hp, bad[i][0], keep);
    }
    table = (struct cm_params){.p = room, .room = 16};
    assert_int_equal(cm_encoder_deep.make(&e, &hp, &slot, NULL, &table, "GEX.r"), CM_EINPUT);
}

static void presets_make_encoders(void **state)
{
    (void)state;
    const char *const names[] = {"GEX", "ADT"};
    for (int p = 0; p < 3; p++) {
        struct cm_kv kv = {0};
        size_t k;
        cm_deep_preset_hp((enum cm_deep_preset)p, names, &kv, &k);
        struct cm_linear_side side = {.s = CM_NEW(double, k)};
        for (size_t i = 0; i < k; i++)
            side.s[i] = 1;
        cm_kv_seti(&kv, "hp.k", (int64_t)k);
        cm_kv_seti(&kv, "linear.cells", 100);
        for (size_t s = 0; s < 2; s++) {
            struct cm_slot named = {0};
            char copy[8];
            snprintf(copy, sizeof copy, "%s", names[s]);
            named.name = copy;
            table = (struct cm_params){.p = room, .room = 16};
            assert_int_equal(cm_encoder_deep.make(&e, &kv, &named, &side, &table, "x"), 0);
            assert_int_equal(e.q, p == 0 ? 64 : p == 1 ? 256 : 128);
            cm_encoder_deep.free(&e);
        }
        cm_free(side.s);
        cm_kv_free(&kv);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch), cmocka_unit_test(differences), cmocka_unit_test(first_values),
        cmocka_unit_test(keys_out_of_range), cmocka_unit_test(presets_make_encoders)};
    return cmocka_run_group_tests(tests, make, NULL);
}
