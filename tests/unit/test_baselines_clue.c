/* The cross-linked autoencoder in float against PyTorch (tests/ref/make_baselines.py): codes and
 * every term of the loss to 1e-5, every gradient to 1e-4 relative; threads change no bit; applied,
 * the encoder class gives what running statistics say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/pool.h"
#include "baselines/clue.h"
#include "preset.h"
#include "ref.h"

#define REF "tests/ref/baselines_clue.txt"

static struct cm_clue c;
static struct cm_clue_batch b;
static float *w, *grad;
static struct cm_clue_work work;
static struct cm_clue_terms terms;

static bool untrained(const char *name)
{
    size_t n = strlen(name);
    return (n > 5 && strcmp(name + n - 5, ".mean") == 0) ||
           (n > 4 && strcmp(name + n - 4, ".var") == 0) ||
           (n > 6 && strcmp(name + n - 6, ".scale") == 0);
}

/* Rows of counts: zeros are not stored. */
static void counts(size_t m, size_t d)
{
    char name[8];
    snprintf(name, sizeof name, "x%zu", m);
    float *x = ref_floats(REF, name, b.B * d), *kept = CM_NEW(b.B * d, float);
    uint32_t *column = CM_NEW(b.B * d, uint32_t);
    const uint32_t **idx = CM_NEW(b.B, const uint32_t *);
    const float **count = CM_NEW(b.B, const float *);
    size_t *n = CM_ZNEW(b.B, size_t);
    for (size_t i = 0; i < b.B; i++) {
        idx[i] = column + i * d;
        count[i] = kept + i * d;
        for (uint32_t j = 0; j < d; j++)
            if (x[i * d + j] != 0) {
                column[i * d + n[i]] = j;
                kept[i * d + n[i]++] = x[i * d + j];
            }
    }
    b.idx[m] = idx;
    b.count[m] = count;
    b.n[m] = n;
    cm_free(x);
}

static void run(void)
{
    float *other = CM_ZNEW(c.table.size, float);
    memset(grad, 0, c.table.size * sizeof *grad);
    cm_clue_work_make(&c, &work, b.B);
    cm_clue_encode(&c, w, &b, &work);
    double discriminator = cm_clue_discriminator(&c, w, grad, &b, &work);
    cm_clue_generate(&c, w, grad, other, &b, &work, &terms);
    assert_true(discriminator == terms.discriminator);
    for (size_t i = 0; i < c.table.size; i++)
        grad[i] += other[i];
    cm_free(other);
}

static int make(void **state)
{
    (void)state;
    struct ref size = ref_load(REF, "sizes"), weight = ref_load(REF, "weights");
    const double *v = size.v;
    struct cm_clue_config o = preset_of(CM_PRESET_CLUE).net.clue;
    o.latent = (int64_t)v[2];
    o.hidden = (int64_t)v[3];
    o.depth = (int64_t)v[4];
    o.decoder = (int64_t)v[5];
    o.discriminator = (int64_t)v[6];
    o.data = weight.v[0];
    o.cross = weight.v[1];
    o.kl = weight.v[2];
    o.cosine = weight.v[3];
    o.mse = weight.v[4];
    o.adversary = weight.v[5];
    const char *const slot[2] = {"GEX", "ATAC"};
    size_t d[2] = {(size_t)v[7], (size_t)v[8]}, k = (size_t)v[1];
    cm_clue_make(&c, &o, slot, k, d, (size_t)v[9]);
    w = CM_ZNEW(c.table.size, float);
    grad = CM_ZNEW(c.table.size, float);
    for (size_t t = 0; t < c.table.n; t++) {
        const struct cm_param *p = &c.table.p[t];
        size_t n = strlen(p->name);
        if (untrained(p->name) && strcmp(p->name + n - 6, ".scale") != 0) {
            cm_init_constant(w + p->offset, p->n, p->name[n - 1] == 'r' ? 1 : 0);
            continue;
        }
        float *from = ref_floats(REF, p->name, p->n);
        memcpy(w + p->offset, from, p->n * sizeof *w);
        cm_free(from);
    }
    b.B = (size_t)v[0];
    b.z[0] = ref_floats(REF, "z0", b.B * k);
    b.z[1] = ref_floats(REF, "z1", b.B * k);
    b.eps[0] = ref_floats(REF, "eps0", b.B * c.q);
    b.eps[1] = ref_floats(REF, "eps1", b.B * c.q);
    struct ref label = ref_load(REF, "label");
    uint32_t *codes = CM_NEW(b.B, uint32_t);
    for (size_t i = 0; i < b.B; i++)
        codes[i] = (uint32_t)label.v[i];
    b.label = codes;
    cm_free(label.v);
    counts(0, d[0]);
    counts(1, d[1]);
    cm_free(size.v);
    cm_free(weight.v);
    run();
    return 0;
}

static void codes(void **state)
{
    (void)state;
    ref_equal(REF, "mu0", work.mu[0], b.B * c.q, 1e-5, 0);
    ref_equal(REF, "mu1", work.mu[1], b.B * c.q, 1e-5, 0);
    ref_equal(REF, "sd0", work.sd[0], b.B * c.q, 1e-5, 0);
    ref_equal(REF, "sd1", work.sd[1], b.B * c.q, 1e-5, 0);
}

static void loss(void **state)
{
    (void)state;
    float got[7] = {(float)terms.loss,         (float)terms.data,   (float)terms.cross,
                    (float)terms.kl,           (float)terms.cosine, (float)terms.mse,
                    (float)terms.discriminator};
    ref_equal(REF, "terms", got, 7, 1e-5, 0);
}

static void gradients(void **state)
{
    (void)state;
    size_t compared = 0;
    for (size_t t = 0; t < c.table.n; t++) {
        const struct cm_param *p = &c.table.p[t];
        char name[2 * CM_PARAM_NAME];
        if (untrained(p->name)) {
            for (size_t i = 0; i < p->n; i++)
                assert_true(grad[p->offset + i] == 0);
            continue;
        }
        snprintf(name, sizeof name, "d.%s", p->name);
        ref_equal(REF, name, grad + p->offset, p->n, 1e-4, 1);
        compared += p->n;
    }
    assert_true(compared > 1000);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    float *before = CM_NEW(c.table.size, float);
    memcpy(before, grad, c.table.size * sizeof *grad);
    cm_pool_set_threads(3);
    cm_clue_work_free(&c, &work);
    run();
    assert_memory_equal(before, grad, c.table.size * sizeof *grad);
    cm_pool_set_threads(1);
    cm_free(before);
}

/* With running statistics equal to the batch's own, applying is training without draws. */
static void applied(void **state)
{
    (void)state;
    struct cm_encoder e;
    struct cm_net_config hp = {.clue = c.o};
    struct cm_linear linear = {.k = c.in};
    struct cm_param capacity[64];
    struct cm_params table = {.p = capacity, .capacity = 64};
    assert_int_equal(cm_encoder_clue.make(&e, &hp, NULL, &linear, 0, &table, "GEX.r"), 0);
    assert_int_equal(e.q, c.q);
    float *arena = CM_ZNEW(table.size, float), *out = CM_NEW(e.q, float),
          *scratch = CM_NEW(cm_encoder_clue.scratch(&e, 1), float), cache[1];
    for (size_t s = 0; s < 2; s++)
        for (size_t l = 0; l < (size_t)c.o.depth; l++) {
            const struct cm_clue_layer *y = &c.encoder[0].layer[s][l];
            memcpy(w + y->mean, work.stat[0][s][l], y->out * sizeof *w);
            memcpy(w + y->var, work.stat[0][s][l] + y->out, y->out * sizeof *w);
        }
    for (size_t t = 0; t < table.n; t++) {
        const struct cm_param *from = cm_params_find(&c.table, capacity[t].name);
        assert_non_null(from);
        memcpy(arena + capacity[t].offset, w + from->offset, from->n * sizeof *w);
    }
    for (size_t i = 0; i < b.B; i++) {
        struct cm_cell cell = {.z = b.z[0] + i * c.in};
        struct cm_pass pass = {&cell, 1, arena, NULL, cache, scratch};
        cm_encoder_clue.forward(&e, out, &pass);
        for (size_t k = 0; k < e.q; k++)
            assert_true(fabs((double)(out[k] - work.mu[0][i * c.q + k])) < 1e-5);
    }
    cm_encoder_clue.free(&e);
    linear.k = 0;
    assert_true(cm_encoder_clue.make(&e, &hp, NULL, &linear, 0, &table, "GEX.r") < 0);
    cm_free(arena);
    cm_free(out);
    cm_free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes), cmocka_unit_test(loss), cmocka_unit_test(gradients),
        cmocka_unit_test(threads_change_no_bit), cmocka_unit_test(applied)};
    return cmocka_run_group_tests(tests, make, NULL);
}
