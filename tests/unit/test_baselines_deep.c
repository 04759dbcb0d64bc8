/* The encoder class deep in double: against PyTorch (tests/ref/make_baselines.py) without dropout,
 * against central differences with it; what it refuses. */
#define CM_REAL_DOUBLE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/presets.h"
#include "network/encoder.h"
#include "ref.h"

#define REF "tests/ref/baselines.txt"

enum { B = 5, K = 6, Q = 3 };
static struct cm_net_config hp;
static struct cm_slot slot = {.name = (char[]){"GEX"}};
static struct cm_linear linear;
static struct cm_param capacity[16];
static struct cm_params table;
static struct cm_encoder e;
static struct cm_cell cell[B];
static double *w, *dw, *before, *cache, *scratch, out[B * Q], *dout;

static int make(void **state)
{
    (void)state;
    struct ref z = ref_load(REF, "deep.z");
    static float components[B * K];
    linear = (struct cm_linear){.k = K, .q = K, .cells = 40};
    linear.side[0].s = ref_load(REF, "deep.s").v;
    dout = ref_load(REF, "deep.dout").v;
    for (size_t i = 0; i < B * K; i++)
        components[i] = (float)z.v[i];
    for (size_t i = 0; i < B; i++)
        cell[i].z = components + i * K;
    cm_free(z.v);
    hp.deep = (struct cm_deep_config){
        .q = Q, .dropout_in = .2, .side = {{4, {2, {7, 5}}, {2, {.3, .4}}}}};
    return 0;
}

static struct cm_pass pass_of(const struct cm_dropout *drop)
{
    return (struct cm_pass){cell, B, w, drop, cache, scratch};
}

static void open_encoder(const char *act, const char *input)
{
    hp.deep.act = strcmp(act, "gelu") == 0 ? CM_DEEP_GELU : CM_DEEP_ELU;
    hp.deep.input = strcmp(input, "zscore") == 0 ? CM_DEEP_ZSCORE : CM_DEEP_STANDARD;
    table = (struct cm_params){.p = capacity, .capacity = 16};
    assert_int_equal(cm_encoder_deep.make(&e, &hp, &slot, &linear, 0, &table, "GEX.r"), 0);
    assert_int_equal(table.n, 6);
    assert_int_equal(e.q, Q);
    w = CM_ZNEW(table.size, double);
    dw = CM_ZNEW(table.size, double);
    before = CM_ZNEW(table.size, double);
    cache = CM_NEW(cm_encoder_deep.cache(&e, B), double);
    scratch = CM_NEW(cm_encoder_deep.scratch(&e, B), double);
    for (size_t t = 0; t < table.n; t++) {
        char name[80];
        snprintf(name, sizeof name, "deep.%s", capacity[t].name + strlen("GEX.r."));
        struct ref v = ref_load(REF, name);
        assert_int_equal(v.rows * v.cols, capacity[t].n);
        memcpy(w + capacity[t].offset, v.v, capacity[t].n * sizeof *w);
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
        struct cm_pass pass = pass_of(NULL);
        cm_encoder_deep.forward(&e, out, &pass);
        equal(act[k], "out", out, B * Q);
        cm_encoder_deep.backward(&e, dw, dout, NULL, &pass);
        for (size_t t = 0; t < table.n; t++) {
            char name[80];
            snprintf(name, sizeof name, "d%s", capacity[t].name + strlen("GEX.r."));
            equal(act[k], name, dw + capacity[t].offset, capacity[t].n);
        }
        close_encoder();
    }
}

static double objective(const struct cm_dropout *drop)
{
    double s = 0;
    struct cm_pass pass = pass_of(drop);
    cm_encoder_deep.forward(&e, out, &pass);
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
    struct cm_pass pass = pass_of(&drop);
    cm_encoder_deep.backward(&e, dw, dout, NULL, &pass);
    for (size_t t = 0; t < table.n; t++)
        for (size_t i = capacity[t].offset; i < capacity[t].offset + capacity[t].n; i++) {
            double keep = w[i], step = 1e-5;
            w[i] = keep + step;
            double up = objective(&drop);
            w[i] = keep - step;
            double want = (up - objective(&drop)) / (2 * step), got = dw[i] - before[i];
            w[i] = keep;
            if (!(fabs(got - want) <= 1e-6 * fmax(1, fabs(want))))
                fail_msg("%s[%zu]: gradient %.12g, differences say %.12g", capacity[t].name,
                         i - capacity[t].offset, got, want);
        }
    close_encoder();
}

static void first_values(void **state)
{
    (void)state;
    open_encoder("gelu", "standard");
    cm_encoder_deep.init(&e, w, &linear.side[0], 7, 0);
    cm_encoder_deep.init(&e, before, &linear.side[0], 7, 1);
    for (size_t t = 0; t < table.n; t++) {
        const struct cm_param *p = &capacity[t];
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

static void refused(void **state)
{
    (void)state;
    struct cm_net_config keep = hp;
    struct cm_linear none = {0}, no_cells = linear;
    no_cells.cells = 0;
    table = (struct cm_params){.p = capacity, .capacity = 16};
    hp.deep.side[0].dropout.n = 1;
    assert_int_equal(cm_encoder_deep.make(&e, &hp, &slot, &linear, 0, &table, "x"), CM_EINPUT);
    hp = keep;
    assert_int_equal(cm_encoder_deep.make(&e, &hp, &slot, &none, 0, &table, "x"), CM_EINPUT);
    assert_int_equal(cm_encoder_deep.make(&e, &hp, &slot, &no_cells, 0, &table, "x"), CM_EINPUT);
}

static void sides_as_text(void **state)
{
    (void)state;
    struct cm_deep_side side;
    assert_int_equal(cm_deep_side_parse(&side, "12:1024,64:0.5,.25"), 0);
    assert_true(side.in == 12 && side.hidden.n == 2 && side.dropout.n == 2);
    assert_true(side.hidden.v[1] == 64 && side.dropout.v[1] == .25);
    static const char *const bad[] = {
        "",       "12",     "12:7",     "12:7:.1:3",      "12:7,5:.1",
        "a:7:.1", "0:7:.1", "12:0:.1",  "12:7:1",         "12:7.5:.1",
        "12::.1", "12:7:x", "4,4:7:.1", "2:1,1,1,1,1:.1", "2:7:.1,.1,.1,.1,.1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (cm_deep_side_parse(&side, bad[i]) != CM_EUSAGE)
            fail_msg("%s was accepted", bad[i]);
}

static void presets_make_encoders(void **state)
{
    (void)state;
    const char *const names[] = {"GEX", "ADT"};
    for (int p = CM_PRESET_SMALL; p <= CM_PRESET_MATCHCLOT; p++) {
        struct cm_config c;
        cm_preset_config((enum cm_preset)p, names, &c);
        size_t k = (size_t)c.linear.k;
        struct cm_linear start = {.k = k, .q = k, .cells = 100};
        double *sd = CM_NEW(k, double);
        for (size_t i = 0; i < k; i++)
            sd[i] = 1;
        for (size_t s = 0; s < 2; s++) {
            struct cm_slot named = {.name = (char *)(uintptr_t)names[s]};
            start.side[s].s = sd;
            table = (struct cm_params){.p = capacity, .capacity = 16};
            assert_int_equal(cm_encoder_deep.make(&e, &c.net, &named, &start, s, &table, "x"), 0);
            assert_int_equal(e.q, c.net.deep.q);
            cm_encoder_deep.free(&e);
        }
        cm_free(sd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch),         cmocka_unit_test(differences),
        cmocka_unit_test(first_values),  cmocka_unit_test(refused),
        cmocka_unit_test(sides_as_text), cmocka_unit_test(presets_make_encoders)};
    return cmocka_run_group_tests(tests, make, NULL);
}
