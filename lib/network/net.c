/* network/net.c - layout, first values and use of a model's trained part.
 *
 * The loop in fit.c and the model file see arenas and names; which class is an encoder is known
 * here alone.  A slot's name is the front of its tensors' names, as in the linear part.
 */
#include "network/net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "nn/gemm.h"

#define NAME_MAX_SLOT 24 /* so that "SLOT.r.NAME" fits CM_PARAM_NAME */

static const struct cm_encoder_class *const classes[] = {
    [CM_ENCODER_MLP] = &cm_encoder_mlp,
    [CM_ENCODER_TOKENS] = &cm_encoder_tokens,
    [CM_ENCODER_CLUE] = &cm_encoder_clue,
    [CM_ENCODER_DEEP] = &cm_encoder_deep,
};

/* ===== layout ============================================================================= */

static int make_side(struct cm_net *n, size_t side, const struct cm_net_config *c,
                     const struct cm_head *head, const struct cm_linear *linear)
{
    const struct cm_encoder_class *class = classes[c->encoder];
    const struct cm_slot *slot = &head->slot[side];
    char front[CM_PARAM_NAME];
    if (strlen(slot->name) > NAME_MAX_SLOT)
        return cm_fail(CM_EINPUT, "the slot name '%.40s...' is longer than %d bytes", slot->name,
                       NAME_MAX_SLOT);
    if (n->residual) {
        n->table.group = CM_GROUP_LINEAR;
        n->p[side] = cm_params_add(&n->table, slot->name, "p", n->k, n->q, 0);
        n->b[side] = cm_params_add(&n->table, slot->name, "b", n->q, 0, 0);
    }
    struct cm_encoder *e = &n->encoder[side];
    n->table.group = CM_GROUP_ENCODER;
    snprintf(front, sizeof front, "%s.r", slot->name);
    e->q = n->q;
    int code = class->make(e, c, slot, linear, side, &n->table, front);
    if (code)
        return code;
    e->of = class;
    CM_ASSERT(e->group >= 1);
    if (!n->residual && side == 0)
        n->q = e->q; /* nothing else sets the width */
    if (e->q != n->q)
        return cm_fail(CM_EINPUT, "the encoder of slot %s gives %zu numbers, expected %zu",
                       slot->name, e->q, n->q);
    return 0;
}

static int lay_out(struct cm_net *n, const struct cm_net_config *c, const struct cm_head *head,
                   const struct cm_linear *linear)
{
    memset(n, 0, sizeof *n);
    CM_ASSERT(c->encoder != CM_ENCODER_NONE);
    n->residual = c->residual;
    int code = n->residual && linear->k == 0
                   ? cm_fail(CM_EINPUT, "a residual encoder needs a linear part")
                   : 0;
    n->k = linear->k;
    n->q = linear->q;
    n->table.p = CM_ZNEW(CM_NET_TENSORS, struct cm_param);
    n->table.capacity = CM_NET_TENSORS;
    for (size_t side = 0; !code && side < 2; side++)
        code = make_side(n, side, c, head, linear);
    if (code) {
        cm_net_free(n);
        return code;
    }
    n->table.group = CM_GROUP_SCALE;
    n->scale = cm_params_add(&n->table, "", "scale", 1, 0, 0);
    if (c->cross.on) {
        const struct cm_encoder *const e[2] = {&n->encoder[0], &n->encoder[1]};
        n->table.group = CM_GROUP_CROSS;
        code = e[0]->L ? cm_cross_open(&n->cross, &c->cross, e, &n->table, "cross")
                       : cm_fail(CM_EINPUT, "cross-attention needs encoder tokens, found %s",
                                 e[0]->of->name);
        if (code) {
            cm_net_free(n);
            return code;
        }
        n->has_cross = true;
    }
    CM_ASSERT(n->table.n <= n->table.capacity);
    return 0;
}

int cm_net_make(struct cm_net *n, const struct cm_net_config *c, const struct cm_head *head,
                const struct cm_linear *linear)
{
    int code = lay_out(n, c, head, linear);
    if (!code)
        n->w = memset(CM_NEW_HOT(n->table.size, cm_real), 0, n->table.size * sizeof *n->w);
    return code;
}

static const struct cm_tensor *find(const struct cm_tensors *ts, const char *front,
                                    const struct cm_param *p)
{
    uint64_t shape[3] = {p->shape[0], p->shape[1], p->shape[2]};
    char name[2 * CM_PARAM_NAME];
    snprintf(name, sizeof name, "%s%s", front, p->name);
    const struct cm_tensor *found = cm_tensors_get(ts, name, CM_V_F32, (unsigned)p->dims, shape);
    if (found && found->n != p->n) /* a size of 0 is no size that fits */
        cm_fail(CM_EINPUT, "tensor %s has another shape than expected", name);
    return found && found->n == p->n ? found : NULL;
}

int cm_net_open(struct cm_net *n, const struct cm_net_config *c, const struct cm_head *head,
                const struct cm_linear *linear, const struct cm_tensors *ts)
{
    int code = lay_out(n, c, head, linear);
    for (size_t t = 0; !code && t < n->table.n; t++)
        code = find(ts, "", &n->table.p[t]) ? 0 : CM_EINPUT;
    if (!code) {
        n->w = memset(CM_NEW_HOT(n->table.size, cm_real), 0, n->table.size * sizeof *n->w);
        code = cm_net_take(n, "", n->w, ts);
    }
    if (code)
        cm_net_free(n);
    return code;
}

bool cm_net_same(const struct cm_net *a, const struct cm_net *b)
{
    bool same = a->table.n == b->table.n && a->table.size == b->table.size;
    for (size_t t = 0; same && t < a->table.n; t++) {
        const struct cm_param *p = &a->table.p[t], *q = &b->table.p[t];
        same = strcmp(p->name, q->name) == 0 && p->offset == q->offset && p->n == q->n &&
               memcmp(p->shape, q->shape, sizeof p->shape) == 0;
    }
    return same;
}

void cm_net_init(struct cm_net *n, const struct cm_linear *linear, double scale, uint64_t seed)
{
    for (size_t side = 0; side < 2; side++) {
        const struct cm_encoder *e = &n->encoder[side];
        const struct cm_linear_side *l = &linear->side[side];
        for (size_t i = 0; n->residual && i < n->k * n->q; i++)
            n->w[n->p[side] + i] = (cm_real)l->p[i];
        e->of->init(e, n->w, linear->k ? l : NULL, seed, (uint32_t)side);
    }
    n->w[n->scale] = (cm_real)log(scale);
    if (n->has_cross)
        cm_cross_init(&n->cross, n->w + n->cross.begin, seed);
}

void cm_net_free(struct cm_net *n)
{
    for (size_t side = 0; side < 2; side++)
        if (n->encoder[side].of)
            n->encoder[side].of->free(&n->encoder[side]);
    cm_free(n->table.p);
    cm_free(n->w);
    memset(n, 0, sizeof *n);
}

/* ===== forward and backward =============================================================== */

size_t cm_net_cache(const struct cm_net *n, size_t side, size_t B)
{
    return n->encoder[side].of->cache(&n->encoder[side], B);
}

size_t cm_net_scratch(const struct cm_net *n, size_t side, size_t B)
{
    return n->encoder[side].of->scratch(&n->encoder[side], B) + B * n->k;
}

/* The components of a group as the matrix that z P wants. */
static const cm_real *gather_z(const struct cm_net *n, const struct cm_cell *cell, size_t B,
                               cm_real *to)
{
    for (size_t i = 0; i < B; i++)
        for (size_t c = 0; c < n->k; c++)
            to[i * n->k + c] = (cm_real)cell[i].z[c];
    return to;
}

void cm_net_forward(const struct cm_net *n, size_t side, cm_real *raw, const struct cm_pass *p)
{
    const struct cm_encoder *e = &n->encoder[side];
    struct cm_pass inner = *p;
    inner.scratch += p->B * n->k;
    e->of->forward(e, raw, &inner);
    if (!n->residual)
        return;
    const cm_real *z = gather_z(n, p->cell, p->B, p->scratch), *b = p->params + n->b[side];
    for (size_t i = 0; i < p->B; i++)
        for (size_t c = 0; c < n->q; c++)
            raw[i * n->q + c] += b[c];
    cm_product(false, false, p->B, n->q, n->k, 1, z, n->k, p->params + n->p[side], n->q, 1, raw,
               n->q);
}

void cm_net_backward(const struct cm_net *n, size_t side, cm_real *dw, bool linear,
                     const cm_real *draw, const cm_real *dtokens, const struct cm_pass *p)
{
    const struct cm_encoder *e = &n->encoder[side];
    struct cm_pass inner = *p;
    inner.scratch += p->B * n->k;
    if (n->residual && linear)
        cm_linear_backward(NULL, dw + n->p[side], dw + n->b[side], draw,
                           gather_z(n, p->cell, p->B, p->scratch), p->params + n->p[side], p->B,
                           n->k, n->q);
    e->of->backward(e, dw, draw, dtokens, &inner);
}

/* ===== tokens of one cell ================================================================= */

struct cm_cell cm_cell_at(const struct cm_csr *x, uint64_t row)
{
    uint64_t from = x->ptr[row];
    return (struct cm_cell){x->idx + from, x->val + from, x->ptr[row + 1] - from, NULL};
}

size_t cm_net_tokens_scratch(const struct cm_net *n, size_t side)
{
    const struct cm_encoder *e = &n->encoder[side];
    return e->of->cache(e, 1) + e->of->scratch(e, 1);
}

const cm_real *cm_net_tokens(const struct cm_net *n, size_t side, const cm_real *w,
                             struct cm_cell cell, cm_real *scratch)
{
    const struct cm_encoder *e = &n->encoder[side];
    struct cm_pass p = {.cell = &cell,
                        .B = 1,
                        .params = w,
                        .cache = scratch,
                        .scratch = scratch + e->of->cache(e, 1)};
    e->of->forward_tokens(e, &p);
    return scratch + e->of->tokens_at(e, 1);
}

/* ===== applying =========================================================================== */

struct apply {
    const struct cm_net *net;
    size_t side, shards, ldo;
    const cm_real *w;
    const struct cm_csr *x;
    const float *z;
    float *out;
};

static int apply_shard(void *arg, size_t shard)
{
    const struct apply *a = arg;
    const struct cm_net *n = a->net;
    size_t q = n->q, to = cm_shard_begin(a->x->rows, a->shards, shard + 1);
    size_t kept = (cm_net_cache(n, a->side, 1) + 15) / 16 * 16; /* whole cache lines */
    cm_real *cache = CM_NEW_HOT(kept + cm_net_scratch(n, a->side, 1), cm_real),
            *scratch = cache + kept, *raw = CM_NEW(2 * q, cm_real), norm;
    for (size_t i = cm_shard_begin(a->x->rows, a->shards, shard); i < to; i++) {
        struct cm_cell cell = cm_cell_at(a->x, i);
        cell.z = a->z ? a->z + i * n->k : NULL;
        struct cm_pass p = {
            .cell = &cell, .B = 1, .params = a->w, .cache = cache, .scratch = scratch};
        cm_net_forward(n, a->side, raw, &p);
        cm_unitnorm_forward(raw + q, &norm, raw, 1, q);
        for (size_t c = 0; c < q; c++)
            a->out[i * a->ldo + c] = (float)raw[q + c];
    }
    cm_free(cache);
    cm_free(raw);
    return 0;
}

void cm_net_apply(const struct cm_net *n, size_t side, const cm_real *w, const struct cm_csr *x,
                  const float *z, float *out, size_t ldo)
{
    struct apply a = {n, side, cm_shards(x->rows, 32, 64), ldo, w, x, z, out};
    cm_parallel(a.shards, apply_shard, &a);
}

/* ===== files ============================================================================== */

int cm_net_put(const struct cm_net *n, const char *front, const cm_real *w, struct cm_writer *to)
{
    int code = 0;
    for (size_t t = 0; !code && t < n->table.n; t++) {
        const struct cm_param *p = &n->table.p[t];
        uint64_t shape[3] = {p->shape[0], p->shape[1], p->shape[2]};
        char name[2 * CM_PARAM_NAME];
        snprintf(name, sizeof name, "%s%s", front, p->name);
        code = cm_writer_tensor(to, name, CM_V_F32, (unsigned)p->dims, shape, w + p->offset);
    }
    return code;
}

int cm_net_take(const struct cm_net *n, const char *front, cm_real *w, const struct cm_tensors *ts)
{
    for (size_t t = 0; t < n->table.n; t++) {
        const struct cm_param *p = &n->table.p[t];
        const struct cm_tensor *found = find(ts, front, p);
        if (!found)
            return CM_EINPUT;
        if (!cm_all_finite(found->data, p->n))
            return cm_fail(CM_EINPUT, "tensor %s: not finite", found->name);
        memcpy(w + p->offset, found->data, p->n * sizeof *w);
    }
    return 0;
}
