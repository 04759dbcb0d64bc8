/* The training loop against PyTorch (tests/ref/make_fit.py), and that what it keeps in memory, the
 * number of threads, and a stop change no bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "train/fit.h"
#include "ref.h"

#define REF "tests/ref/model_fit.txt"

struct fixture {
    size_t n, k, q, hidden, steps;
    struct cm_model m;
    struct cm_csr x[2], none[2];
    float *z[2];
    struct cm_picks picks;
    struct cm_fit_data data;
    double loss[8];
    size_t seen, stop_at;
};

static struct ref get(const char *format, size_t side)
{
    char name[200];
    snprintf(name, sizeof name, "%s%zu", format, side);
    return ref_load(REF, name);
}

static void fill(struct fixture *f, const char *tensor, size_t side)
{
    char block[160], name[160];
    snprintf(block, sizeof block, "%s.", tensor);
    snprintf(name, sizeof name, "%s.%s%s", side ? "ATAC" : "GEX",
             tensor[0] == 'w' || strlen(tensor) == 2 ? "r." : "", tensor);
    struct ref r = get(block, side);
    const struct cm_param *p = cm_params_find(&f->m.net.table, name);
    assert_non_null(p);
    assert_int_equal(p->n, r.rows * r.cols);
    for (size_t i = 0; i < p->n; i++)
        f->m.net.w[p->offset + i] = (float)r.v[i];
    cm_free(r.v);
}

static const char *const tensors[] = {"p", "b", "w1", "b1", "w2", "b2"};

static void load(struct fixture *f, const char *loss, double dropout)
{
    memset(f, 0, sizeof *f);
    struct ref sizes = ref_load(REF, "sizes");
    f->n = (size_t)sizes.v[0];
    f->k = (size_t)sizes.v[1];
    f->q = (size_t)sizes.v[2];
    f->hidden = (size_t)sizes.v[3];
    f->steps = (size_t)sizes.v[4];
    cm_free(sizes.v);
    struct cm_kv *kv = &f->m.head.kv;
    f->m.head.kind = CM_MODEL;
    f->m.linear.k = f->k;
    f->m.linear.q = f->q;
    for (size_t side = 0; side < 2; side++) {
        cm_strs_add(&cm_head_add_slot(&f->m.head, side ? "ATAC" : "GEX")->cols.names, "feature");
        struct cm_linear_side *l = &f->m.linear.side[side];
        struct ref z = get("z", side), s = get("s", side);
        f->z[side] = CM_NEW(f->n * f->k, float);
        for (size_t i = 0; i < f->n * f->k; i++)
            f->z[side][i] = (float)z.v[i];
        l->d = 1;
        l->mean = CM_ZNEW(1, float);
        l->v = CM_ZNEW(f->k, float);
        l->p = CM_ZNEW(f->k * f->q, float);
        l->s = s.v;
        l->bias = CM_ZNEW(f->k, float);
        cm_free(z.v);
        f->x[side] = cm_csr_make(1);
        f->none[side] = cm_csr_make(1);
        for (size_t i = 0; i < f->n; i++)
            cm_csr_append(&f->x[side], 1, (uint64_t[]){0, 0}, NULL, NULL);
    }
    cm_kv_set(kv, "hp.encoder", "mlp");
    bool semihard = strcmp(loss, "semihard") == 0;
    cm_kv_set(kv, "hp.loss", semihard ? "triplet" : loss);
    cm_kv_set(kv, "hp.negatives", semihard ? "semihard" : "hardest");
    cm_kv_set(kv, "hp.schedule", "cosine");
    const struct {
        const char *key;
        double value;
    } hp[] = {{"hp.residual", 1},
              {"hp.k", (double)f->k},
              {"hp.q", (double)f->q},
              {"hp.mlp.hidden", (double)f->hidden},
              {"hp.mlp.dropout.in", dropout},
              {"hp.mlp.dropout", dropout},
              {"hp.mlp.init", .1},
              {"hp.ridge", .03},
              {"hp.margin", .2},
              {"hp.scale", 20},
              {"hp.scale.max", 200},
              {"hp.lr", .01},
              {"hp.lr.linear", .002},
              {"hp.lr.scale", .05},
              {"hp.weight.decay", .1},
              {"hp.beta1", .9},
              {"hp.beta2", .98},
              {"hp.warmup", 2},
              {"hp.average", .98},
              {"hp.valid.every", 1},
              {"hp.patience", 0},
              {"hp.seed", 9}};
    for (size_t i = 0; i < sizeof hp / sizeof *hp; i++)
        cm_kv_setf(kv, hp[i].key, hp[i].value);
    f->m.linear.cells = f->n;
    assert_int_equal(cm_config_read(&f->m.config, &f->m.head, CM_CONFIG_TRAIN), 0);
    assert_int_equal(cm_net_make(&f->m.net, &f->m.config.net, &f->m.head, &f->m.linear), 0);
    f->m.has_net = true;
    cm_net_init(&f->m.net, &f->m.linear, 20, 9);
    for (size_t side = 0; side < 2; side++)
        for (size_t t = 0; t < sizeof tensors / sizeof *tensors; t++)
            fill(f, tensors[t], side);

    struct cm_picks *p = &f->picks;
    p->begin = CM_ZNEW(f->steps + 1, uint64_t);
    p->step = CM_NEW(f->steps, uint64_t);
    p->epoch = CM_NEW(f->steps, uint32_t);
    p->row = CM_NEW(f->steps * f->n, uint32_t);
    for (p->n = 0; p->n < f->steps; p->n++) {
        struct ref rows = get("rows", p->n);
        p->step[p->n] = p->n;
        p->epoch[p->n] = (uint32_t)p->n + 1;
        p->begin[p->n + 1] = p->begin[p->n] + rows.cols;
        for (size_t i = 0; i < rows.cols; i++)
            p->row[p->begin[p->n] + i] = (uint32_t)rows.v[i];
        cm_free(rows.v);
    }
    f->data = (struct cm_fit_data){.x = {&f->x[0], &f->x[1]},
                                   .z = {f->z[0], f->z[1]},
                                   .picks = p,
                                   .valid = {&f->none[0], &f->none[1]},
                                   .keep = CM_FIT_KEEP};
}

static void release(struct fixture *f)
{
    cm_model_free(&f->m);
    for (size_t side = 0; side < 2; side++) {
        cm_csr_free(&f->x[side]);
        cm_csr_free(&f->none[side]);
        cm_free(f->z[side]);
    }
    cm_free(f->picks.begin);
    cm_free(f->picks.step);
    cm_free(f->picks.epoch);
    cm_free(f->picks.row);
}

static void on_step(void *arg, const struct cm_fit_report *r)
{
    struct fixture *f = arg;
    f->loss[f->seen++] = r->loss;
}

static bool on_stop(void *arg)
{
    const struct fixture *f = arg;
    return f->stop_at && f->seen == f->stop_at;
}

static void run(struct fixture *f, struct cm_fit_state *s, bool *stopped)
{
    struct cm_fit_callbacks callbacks = {.report = on_step, .stop = on_stop, .arg = f};
    int code = cm_fit(&f->m, &f->data, s, &callbacks, stopped);
    if (code)
        fail_msg("%s", cm_error_message());
}

static void torch_steps(const char *loss)
{
    struct fixture f;
    struct cm_fit_state s = {0};
    bool stopped;
    char name[160];
    load(&f, loss, 0);
    run(&f, &s, &stopped);
    snprintf(name, sizeof name, "%s.loss", loss);
    struct ref want = ref_load(REF, name);
    for (size_t t = 0; t < f.steps; t++)
        if (!(fabs(f.loss[t] - want.v[t]) <= 1e-5 * fabs(want.v[t])))
            fail_msg("%s, step %zu: loss %.9g, PyTorch has %.9g", loss, t, f.loss[t], want.v[t]);
    cm_free(want.v);
    for (size_t t = 0; t < f.m.net.table.n; t++) {
        const struct cm_param *p = &f.m.net.table.p[t];
        const char *last = strrchr(p->name, '.');
        snprintf(name, sizeof name, "%s.%s", loss, last ? last + 1 : p->name);
        want = last ? get(strcat(name, "."), p->name[0] == 'A') : ref_load(REF, name);
        double moved = 0;
        for (size_t i = 0; i < p->n; i++) {
            double got = (double)f.m.net.w[p->offset + i];
            moved = fmax(moved, fabs(got));
            if (!(fabs(got - want.v[i]) <= 1e-5 * fmax(1, fabs(want.v[i]))))
                fail_msg("%s, %s[%zu]: %.9g, PyTorch has %.9g", loss, p->name, i, got, want.v[i]);
        }
        assert_true(moved > 0);
        cm_free(want.v);
    }
    cm_fit_state_free(&s);
    release(&f);
}

static void infonce_as_torch(void **state) { (void)state, torch_steps("nce"); }
static void triplet_as_torch(void **state) { (void)state, torch_steps("triplet"); }
static void semihard_as_torch(void **state) { (void)state, torch_steps("semihard"); }

/* 3 groups a side with dropout: everything kept; nothing kept; 4 threads; stopped and gone on. */
static void same_bits(void **state)
{
    (void)state;
    float *want = NULL;
    for (size_t way = 0; way < 4; way++) {
        struct fixture f;
        struct cm_fit_state s = {0};
        bool stopped;
        load(&f, "nce", .4);
        f.data.keep = way == 1 ? 0 : CM_FIT_KEEP;
        f.stop_at = way == 3 ? 2 : 0;
        cm_pool_set_threads(way == 2 ? 4 : 1);
        run(&f, &s, &stopped);
        assert_true(stopped == (way == 3));
        if (stopped) {
            assert_int_equal(s.step, 2);
            f.stop_at = 0;
            run(&f, &s, &stopped);
        }
        size_t bytes = f.m.net.table.size * sizeof *want;
        if (!want) {
            want = cm_alloc(1, bytes);
            memcpy(want, f.m.net.w, bytes);
        }
        assert_memory_equal(want, f.m.net.w, bytes);
        cm_fit_state_free(&s);
        release(&f);
    }
    cm_free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(infonce_as_torch),
        cmocka_unit_test(triplet_as_torch),
        cmocka_unit_test(semihard_as_torch),
        cmocka_unit_test(same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
