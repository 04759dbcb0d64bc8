/* pairs/batch.c - reading two matrices, writing pairs.
 *
 * Chunks of the data pass hold exactly CM_BLOCK_ROWS cells (the last of a split fewer), whatever
 * the chunks of the input were, so that the stream depends on the cells alone.  Both slots stay as
 * they came: counts with lazy factors, in their wire types.
 */
#include "pairs/batch.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "match/groups.h"
#include "match/pairs.h"
#include "prep/split.h"
#include "prep/where.h"

enum { TRAIN, VALID, LEFT_OUT };

/* ===== memory ============================================================================= */

/* Bytes of names, joined cells and the schedule: no more than these a cell, and twice the text. */
enum { CELL = 48 };
/* Program and libraries; and copies of a block on the way from one stream to the other: compressed,
 * decompressed, as rows, as output, each in a buffer that has grown to at most twice its content.
 */
enum { PROGRAM = 12 << 20, COPIES = 10 };

static uint64_t strs_bytes(const struct cm_strs *s) { return CELL * s->n + 2 * s->used; }

static uint64_t labels_bytes(const struct cm_batcher *x)
{
    uint64_t sum = 0;
    for (size_t k = 0; k < x->nsecond; k++)
        sum += x->second_label[k].type == CM_T_STR ? strs_bytes(&x->second_label[k].s)
                                                   : 16 * x->second_label[k].n;
    return sum;
}

static void note_block(uint64_t *largest, const struct cm_block *b)
{
    uint64_t bytes = b->nnz * (cm_value_size(b->type) + (b->dense ? 0 : 4)) + 12 * b->rows;
    *largest = bytes > *largest ? bytes : *largest;
}

uint64_t cm_batcher_bound(const struct cm_batcher *x)
{
    return PROGRAM + COPIES * (x->block[0] + x->block[1]) + x->memory;
}

/* The rows of the second stream make room for what cannot go to a file; beside: of the first. */
static int keep_limit(struct cm_batcher *x, uint64_t beside)
{
    uint64_t fixed = beside + strs_bytes(&x->second_names) + labels_bytes(x);
    uint64_t max = x->o.max_memory ? x->o.max_memory : UINT64_MAX;
    int code = cm_rowstore_limit(&x->second, max > fixed ? max - fixed : 0);
    x->memory = fixed + x->second.in_memory;
    if (code || x->memory <= max)
        return code;
    return cm_fail(CM_ESYSTEM,
                   "names, labels and the schedule of the cells take %.1f MiB, --max-memory allows "
                   "%.1f",
                   (double)x->memory / 1048576, (double)max / 1048576);
}

/* ===== reading ============================================================================ */

static int check_matrix(struct cm_reader *r)
{
    const struct cm_head *h = cm_reader_head(r);
    if (h->kind != CM_MATRIX || h->nslots != 1)
        return cm_fail(CM_EINPUT, "%s: expected kind matrix with one slot, found kind %s with %zu",
                       cm_reader_path(r), cm_kind_name(h->kind), h->nslots);
    return cm_cols_unique(&h->slot[0].cols, cm_reader_path(r)); /* no model could be applied */
}

/* The conditions that make a cell a validation or a training cell; either may be absent. */
struct roles {
    struct cm_where valid, train;
    bool has_valid, has_train;
};

static int bind_roles(struct roles *r, const struct cm_batch_options *o, struct cm_reader *a)
{
    const struct cm_head *h = cm_reader_head(a);
    int code = 0;
    r->has_train = cm_head_find_label(h, CM_SPLIT_LABEL) >= 0;
    r->has_valid = o->valid || r->has_train;
    if (r->has_valid)
        code = cm_where_parse(&r->valid, o->valid ? o->valid : CM_SPLIT_LABEL "=valid");
    if (!code && r->has_valid)
        code = cm_where_bind(&r->valid, h);
    if (!code && r->has_train)
        code = cm_where_parse(&r->train, CM_SPLIT_LABEL "=" CM_SPLIT_TRAIN);
    if (!code && r->has_train)
        code = cm_where_bind(&r->train, h);
    return code == CM_EINPUT ? cm_fail_in(code, cm_reader_path(a)) : code;
}

/* First pass: names, roles, values of `within` as text. */
static int scan_first(struct cm_batcher *x, struct cm_strs *names, struct cm_strs *within)
{
    struct roles roles = {0};
    const struct cm_head *h = cm_reader_head(x->a);
    struct cm_chunk c = {0};
    size_t cap = 0;
    int label = x->o.within ? cm_head_find_label(h, x->o.within) : -1;
    int code = bind_roles(&roles, &x->o, x->a);
    while (!code) {
        code = cm_reader_next(x->a, &c);
        if (code <= 0)
            break;
        CM_GROW(x->role, cap, names->n + c.rows);
        note_block(&x->block[0], &c.block[0]);
        for (size_t i = 0; i < c.rows; i++) {
            uint8_t role = TRAIN;
            if (roles.has_valid && cm_where_row(&roles.valid, h, &c, i))
                role = VALID;
            else if (roles.has_train && !cm_where_row(&roles.train, h, &c, i))
                role = LEFT_OUT;
            x->role[names->n] = role;
            cm_strs_add(names, cm_strs_get(&c.names, i));
        }
        if (label >= 0)
            cm_vec_text(&c.label[label], &h->label[label].dict, within);
        code = 0;
    }
    x->rows_a = names->n;
    if (!code && x->o.valid && x->rows_a)
        cm_where_missing(&roles.valid, &x->no_valid);
    cm_chunk_free(&c);
    cm_where_free(&roles.valid);
    cm_where_free(&roles.train);
    return code;
}

/* The second stream: blocks, names, and the labels that the first lacks.  names: the first's. */
static int load_second(struct cm_batcher *x, const struct cm_strs *names, struct cm_strs *within)
{
    uint64_t beside = strs_bytes(names);
    const struct cm_head *h = cm_reader_head(x->b), *first = cm_reader_head(x->a);
    int label = x->o.within && cm_head_find_label(first, x->o.within) < 0
                    ? cm_head_find_label(h, x->o.within)
                    : -1;
    if (x->o.within && label < 0 && cm_head_find_label(first, x->o.within) < 0)
        return cm_fail_in(cm_fail_in(cm_head_no_label(first, x->o.within), cm_reader_path(x->a)),
                          "--within");
    x->second_label = CM_ZNEW(h->nlabels, struct cm_vec);
    for (size_t k = 0; k < h->nlabels; k++)
        if (cm_head_find_label(first, h->label[k].name) < 0)
            cm_vec_reset(&x->second_label[x->nsecond++], h->label[k].name, h->label[k].type, 0);
    struct cm_chunk c = {0};
    int code = keep_limit(x, beside + strs_bytes(within));
    while (!code && (code = cm_reader_next(x->b, &c)) > 0) {
        cm_rowstore_append(&x->second, &c.block[0]);
        note_block(&x->block[1], &c.block[0]);
        for (size_t i = 0; i < c.rows; i++)
            cm_strs_add(&x->second_names, cm_strs_get(&c.names, i));
        for (size_t k = 0; k < x->nsecond; k++)
            cm_vec_append(&x->second_label[k],
                          &c.label[cm_head_find_label(h, x->second_label[k].name)]);
        if (label >= 0)
            cm_vec_text(&c.label[label], &h->label[label].dict, within);
        code = keep_limit(x, beside + strs_bytes(within));
    }
    cm_chunk_free(&c);
    x->rows_b = x->second_names.n;
    return code;
}

/* ===== joining ============================================================================= */

static int join(struct cm_batcher *x, const struct cm_strs *names)
{
    const char *a = cm_reader_path(x->a), *b = cm_reader_path(x->b);
    x->partner = CM_NEW(names->n, uint64_t);
    if (x->o.by_position)
        return cm_pair_by_position(names, &x->second_names, a, b, x->partner, &x->pairs);
    if (x->o.pairs)
        return cm_pair_by_file(x->o.pairs, names, &x->second_names, x->partner, &x->pairs,
                               &x->elsewhere);
    x->numbers = cm_names_are_numbers(names) && cm_names_are_numbers(&x->second_names);
    return cm_pair_by_name(names, &x->second_names, a, b, x->partner, &x->pairs);
}

static int count_roles(struct cm_batcher *x)
{
    for (size_t i = 0; i < x->rows_a; i++) {
        if (x->partner[i] == CM_ALONE)
            continue;
        x->train += x->role[i] == TRAIN;
        x->valid += x->role[i] == VALID;
        x->left_out += x->role[i] == LEFT_OUT;
    }
    if (x->train)
        return 0;
    return cm_fail(CM_EINPUT,
                   "%s: no training cells: of %llu cells with a partner %llu are validation cells "
                   "and %llu have another value of '%s' than '%s'",
                   cm_reader_path(x->a), (unsigned long long)x->pairs, (unsigned long long)x->valid,
                   (unsigned long long)x->left_out, CM_SPLIT_LABEL, CM_SPLIT_TRAIN);
}

/* The schedule over training rows of the data pass; `within` has a text for each row of the first
 * stream, or of the second. */
static void make_schedule(struct cm_batcher *x, const struct cm_strs *within)
{
    uint32_t *group = NULL;
    if (x->o.within) {
        struct cm_groups g;
        cm_groups_make(&g, within);
        bool own =
            within->n == x->rows_a && cm_head_find_label(cm_reader_head(x->a), x->o.within) >= 0;
        group = CM_NEW(x->train, uint32_t);
        size_t n = 0;
        for (size_t i = 0; i < x->rows_a; i++) {
            if (x->partner[i] == CM_ALONE || x->role[i] != TRAIN)
                continue;
            uint32_t code = g.code[own ? i : x->partner[i]];
            x->unlabelled += code == CM_GROUP_NONE;
            group[n++] = code == CM_GROUP_NONE ? (uint32_t)g.n : code; /* those without: a batch */
        }
        x->groups = g.n + (x->unlabelled > 0);
        cm_schedule_make(&x->schedule, n, group, g.n + 1, x->o.size, x->o.seed);
        cm_groups_free(&g);
    } else {
        cm_schedule_make(&x->schedule, x->train, NULL, 1, x->o.size, x->o.seed);
    }
    cm_free(group);
}

/* ===== head =============================================================================== */

static void copy_label(struct cm_head *out, const struct cm_label *l, int slot)
{
    struct cm_label *to = cm_head_add_label(out, l->name, l->type, slot);
    cm_strs_copy(&to->dict.names, &l->dict.names);
    to->dict.ordered = l->dict.ordered;
}

static int make_head(struct cm_batcher *x)
{
    const struct cm_head *in[2] = {cm_reader_head(x->a), cm_reader_head(x->b)};
    struct cm_head *h = &x->head;
    h->kind = CM_PAIRS;
    if (strcmp(cm_slot_alias(in[0]->slot[0].name), cm_slot_alias(in[1]->slot[0].name)) == 0)
        return cm_fail(CM_EINPUT, "%s and %s both hold slot %s: two modalities are needed",
                       cm_reader_path(x->a), cm_reader_path(x->b), in[0]->slot[0].name);
    for (size_t s = 0; s < 2; s++) {
        struct cm_slot *slot = cm_head_add_slot(h, in[s]->slot[0].name);
        cm_slot_copy(slot, &in[s]->slot[0]);
        slot->rows = x->train + x->valid;
        for (size_t k = 0; k < in[s]->kv.key.n; k++)
            if (!cm_kv_get(&h->kv, cm_strs_get(&in[s]->kv.key, k)))
                cm_kv_set(&h->kv, cm_strs_get(&in[s]->kv.key, k), cm_strs_get(&in[s]->kv.value, k));
    }
    for (size_t k = 0; k < in[0]->nlabels; k++)
        copy_label(h, &in[0]->label[k], 0);
    for (size_t k = 0; k < x->nsecond; k++)
        copy_label(h, &in[1]->label[cm_head_find_label(in[1], x->second_label[k].name)], 1);
    cm_kv_drop(&h->kv, "batch.");
    cm_kv_seti(&h->kv, "train_rows", (int64_t)x->train);
    cm_kv_seti(&h->kv, "valid_rows", (int64_t)x->valid);
    cm_kv_seti(&h->kv, "batch.size", (int64_t)x->o.size);
    cm_kv_seti(&h->kv, "batch.epochs", (int64_t)x->o.epochs);
    cm_kv_seti(&h->kv, "batch.steps_per_epoch", (int64_t)x->schedule.steps);
    if (x->o.within)
        cm_kv_set(&h->kv, "batch.within", x->o.within);
    cm_kv_seti(&h->kv, "batch.seed", (int64_t)x->o.seed);
    return 0;
}

int cm_batcher_open(struct cm_batcher *x, const struct cm_batch_options *o, struct cm_reader *a,
                    struct cm_reader *b)
{
    *x = (struct cm_batcher){.o = *o, .a = a, .b = b};
    struct cm_strs names = {0}, within = {0};
    int code = check_matrix(a);
    if (!code)
        code = check_matrix(b);
    if (!code)
        code = cm_reader_keep(a);
    if (!code)
        code = scan_first(x, &names, &within);
    if (!code)
        code = load_second(x, &names, &within);
    if (!code)
        code = join(x, &names);
    if (!code)
        code = count_roles(x);
    if (!code) {
        make_schedule(x, &within);
        code = make_head(x);
    }
    cm_strs_free(&names);
    cm_strs_free(&within);
    return code;
}

/* ===== writing ============================================================================ */

/* Cells gathered for the next chunk of the output. */
struct pending {
    struct cm_rowstore first;
    struct cm_strs names;
    struct cm_vec *label; /* those of the first stream */
    size_t nlabels;
    uint64_t partner[CM_BLOCK_ROWS];
    size_t n;
};

static void clear(struct pending *p)
{
    cm_rowstore_free(&p->first);
    cm_strs_clear(&p->names);
    for (size_t k = 0; k < p->nlabels; k++) {
        char *name = cm_strdup(p->label[k].name);
        cm_vec_reset(&p->label[k], name, p->label[k].type, 0);
        cm_free(name);
    }
    p->n = 0;
}

static int emit(struct cm_batcher *x, struct pending *p, struct cm_batch *batch,
                struct cm_writer *w)
{
    struct cm_chunk c = {.has_batch = true, .rows = p->n};
    uint64_t at[CM_BLOCK_ROWS];
    for (size_t i = 0; i < p->n; i++)
        at[i] = i;
    batch->rows = (uint32_t)p->n;
    c.batch = *batch;
    cm_strs_copy(&c.names, &p->names);
    cm_chunk_labels(&c, &x->head);
    for (size_t k = 0; k < p->nlabels; k++)
        cm_vec_copy(&c.label[k], &p->label[k]);
    for (size_t k = 0; k < x->nsecond; k++)
        cm_vec_take(&c.label[p->nlabels + k], &x->second_label[k], p->partner, p->n);
    int code = cm_rowstore_take(&c.block[0], &p->first, at, p->n);
    code = code ? code : cm_rowstore_take(&c.block[1], &x->second, p->partner, p->n);
    code = code ? code : cm_writer_chunk(w, &c, NULL);
    cm_chunk_free(&c);
    batch->step++;
    clear(p);
    return code;
}

/* Puts rows at[0..n-1] of c behind the pending ones. */
static void add_rows(const struct cm_batcher *x, struct pending *p, const struct cm_chunk *c,
                     const uint64_t *at, size_t n)
{
    struct cm_block b = {0};
    cm_block_take(&b, &c->block[0], at, n);
    cm_rowstore_append(&p->first, &b);
    cm_block_free(&b);
    for (size_t k = 0; k < p->nlabels; k++) {
        struct cm_vec v = {0};
        cm_vec_take(&v, &c->label[k], at, n);
        cm_vec_append(&p->label[k], &v);
        cm_vec_free(&v);
    }
    for (size_t i = 0; i < n; i++) {
        cm_strs_add(&p->names, cm_strs_get(&c->names, at[i]));
        p->partner[p->n++] = x->partner[c->first + at[i]];
    }
}

/* One pass over the first stream for the cells of one role. */
static int send_split(struct cm_batcher *x, uint8_t role, struct cm_batch *batch,
                      struct cm_writer *w, void (*progress)(uint64_t done, uint64_t total))
{
    const struct cm_head *h = cm_reader_head(x->a);
    struct pending p = {.nlabels = h->nlabels, .label = CM_ZNEW(h->nlabels, struct cm_vec)};
    struct cm_chunk c = {0};
    int code = cm_reader_rewind(x->a);
    for (size_t k = 0; k < p.nlabels; k++)
        cm_vec_reset(&p.label[k], h->label[k].name, h->label[k].type, 0);
    while (!code) {
        code = cm_reader_next(x->a, &c);
        if (code <= 0)
            break;
        code = 0;
        uint64_t at[CM_BLOCK_ROWS];
        size_t n = 0;
        for (size_t i = 0; !code && i < c.rows; i++) {
            if (x->role[c.first + i] == role && x->partner[c.first + i] != CM_ALONE)
                at[n++] = i;
            if (n && (p.n + n == CM_BLOCK_ROWS || i + 1 == c.rows)) {
                add_rows(x, &p, &c, at, n);
                n = 0;
                if (p.n == CM_BLOCK_ROWS)
                    code = emit(x, &p, batch, w);
            }
        }
        if (progress)
            progress(c.first + c.rows, x->rows_a);
    }
    if (!code && p.n)
        code = emit(x, &p, batch, w);
    cm_chunk_free(&c);
    clear(&p);
    for (size_t k = 0; k < p.nlabels; k++)
        cm_vec_free(&p.label[k]);
    cm_free(p.label);
    cm_strs_free(&p.names);
    return code;
}

static int send_schedule(struct cm_batcher *x, struct cm_writer *w)
{
    const struct cm_schedule *s = &x->schedule;
    uint64_t *row = CM_NEW(s->n, uint64_t), *begin = CM_NEW(s->steps + 1, uint64_t);
    struct cm_chunk c = {.is_pick = true};
    int code = 0;
    uint64_t skip = s->steps ? x->o.start / s->steps : 0; /* whole epochs that are done */
    for (uint64_t e = skip; !code && e < x->o.epochs; e++) {
        cm_schedule_epoch(s, (uint32_t)e + 1, row, begin);
        for (uint64_t b = 0; !code && b < s->steps; b++) {
            c.batch.step = e * s->steps + b;
            if (c.batch.step < x->o.start)
                continue;
            c.batch.epoch = (uint32_t)e + 1;
            c.batch.rows = (uint32_t)(begin[b + 1] - begin[b]);
            c.pick = row + begin[b];
            code = cm_writer_chunk(w, &c, NULL);
        }
    }
    cm_free(row);
    cm_free(begin);
    return code;
}

int cm_batcher_write(struct cm_batcher *x, struct cm_writer *w,
                     void (*progress)(uint64_t done, uint64_t total))
{
    struct cm_batch batch = {0};
    int code = send_split(x, TRAIN, &batch, w, progress);
    batch.split = 1;
    if (!code && x->valid)
        code = send_split(x, VALID, &batch, w, progress);
    return code == 0 ? send_schedule(x, w) : code;
}

void cm_batcher_free(struct cm_batcher *x)
{
    cm_head_free(&x->head);
    cm_free(x->partner);
    cm_free(x->role);
    cm_rowstore_free(&x->second);
    cm_strs_free(&x->second_names);
    for (size_t k = 0; k < x->nsecond; k++)
        cm_vec_free(&x->second_label[k]);
    cm_free(x->second_label);
    cm_schedule_free(&x->schedule);
    cm_buf_free(&x->no_valid);
}
