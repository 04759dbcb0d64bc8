/* train/checkpoint.c - the state of a training in a file: write and read. */
#include "train/fit.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "match/rules.h"

void cm_checkpoint_head(const struct cm_model *m, const struct cm_fit_state *s,
                        struct cm_head *head)
{
    cm_head_copy(head, &m->head);
    struct cm_kv *kv = &head->kv;
    cm_kv_seti(kv, "checkpoint.step", (int64_t)s->step);
    cm_kv_seti(kv, "checkpoint.steps", (int64_t)s->total);
    cm_kv_seti(kv, "checkpoint.cells", (int64_t)s->cells);
    cm_kv_setf(kv, "checkpoint.best", s->best_score);
    cm_kv_setf(kv, "checkpoint.start", s->start_score);
    cm_kv_seti(kv, "checkpoint.best.epoch", s->best_epoch);
    cm_kv_seti(kv, "checkpoint.stale", (int64_t)s->stale);
    cm_kv_setf(kv, "checkpoint.loss", s->loss);
    struct cm_rule rule = {CM_RULE_DUAL, CM_RULE_TEMPERATURE, false};
    cm_rule_write(kv, &rule); /* a checkpoint can be used as a model, with the rule not yet tuned */
}

int cm_checkpoint_write(const struct cm_model *m, const struct cm_fit_state *s, struct cm_writer *w)
{
    int code = cm_model_write(m, w);
    const struct {
        const char *front;
        const cm_real *from;
    } part[] = {{"weights.", s->w},
                {"adam.m.", s->m},
                {"adam.v.", s->v},
                {"average.", s->average},
                {"best.", s->best}};
    for (size_t i = 0; !code && i < sizeof part / sizeof *part; i++)
        code = cm_net_put(&m->net, part[i].front, part[i].from, w);
    return code;
}

static int take_state(const struct cm_model *m, struct cm_fit_state *s, const struct cm_tensors *ts)
{
    const struct cm_kv *kv = &m->head.kv;
    if (!m->has_net || !cm_kv_get(kv, "checkpoint.step"))
        return cm_fail(CM_EINPUT, "this is a model, not a checkpoint of a training");
    int64_t v[5];
    const char *const keys[] = {"checkpoint.step", "checkpoint.steps", "checkpoint.cells",
                                "checkpoint.best.epoch", "checkpoint.stale"};
    int code = cm_kv_f64(kv, "checkpoint.best", &s->best_score);
    if (!code)
        code = cm_kv_f64(kv, "checkpoint.loss", &s->loss);
    s->start_score = -1;
    if (!code && cm_kv_get(kv, "checkpoint.start")) /* not in older ones */
        code = cm_kv_f64(kv, "checkpoint.start", &s->start_score);
    for (size_t i = 0; !code && i < 5; i++) {
        code = cm_kv_i64(kv, keys[i], &v[i]);
        if (!code && v[i] < 0)
            code = cm_fail(CM_EINPUT, "%s is negative", keys[i]);
    }
    if (!code && !(isfinite(s->best_score) && isfinite(s->start_score) && isfinite(s->loss)))
        code = cm_fail(CM_EINPUT,
                       "checkpoint.best, checkpoint.start or checkpoint.loss is not finite");
    if (code)
        return code;
    s->step = (uint64_t)v[0];
    s->total = (uint64_t)v[1];
    s->cells = (uint64_t)v[2];
    s->best_epoch = (uint32_t)v[3];
    s->stale = (uint64_t)v[4];
    const struct {
        const char *front;
        cm_real **to;
    } part[] = {{"weights.", &s->w},
                {"adam.m.", &s->m},
                {"adam.v.", &s->v},
                {"average.", &s->average},
                {"best.", &s->best}};
    for (size_t i = 0; !code && i < sizeof part / sizeof *part; i++) {
        *part[i].to = CM_ZNEW(m->net.table.size, cm_real);
        code = cm_net_take(&m->net, part[i].front, *part[i].to, ts);
    }
    return code;
}

int cm_checkpoint_read(struct cm_model *m, struct cm_fit_state *s, struct cm_reader *r)
{
    struct cm_tensors ts = {0};
    memset(s, 0, sizeof *s);
    memset(m, 0, sizeof *m);
    int code = cm_tensors_load(r, &ts);
    if (!code)
        code = cm_fail_in(cm_model_from(m, cm_reader_head(r), &ts), cm_reader_path(r));
    if (!code)
        code = cm_fail_in(take_state(m, s, &ts), cm_reader_path(r));
    cm_tensors_free(&ts);
    return code;
}
