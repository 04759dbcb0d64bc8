/* network/scorer.c - candidates through the cross module.
 *
 * A row: the cells that the cache lacks are made in parallel, then its pairs are scored in
 * parallel; between the two nothing is evicted, because the cache holds at least a whole row.  The
 * cache is an array of places, a doubly linked list in order of use through it, and a table from
 * cell to place. Rejected: a hash table (cells are
 * numbered already).
 */
#include "network/scorer.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

#define NONE UINT32_MAX

struct cm_scorer {
    const struct cm_net *net;
    const cm_real *w;
    const struct cm_csr *x[2];
    size_t row_side, max, slots;
    size_t one[2];           /* numbers of a cell of a side */
    cm_real *row;            /* the row's cell */
    cm_real *cell;           /* places x one */
    uint32_t *place;         /* of each column cell, or NONE */
    uint32_t *owner;         /* of each place, or NONE */
    uint32_t *newer, *older; /* places + 1: the list, its ends at [places] */
    /* of the row at hand */
    uint64_t at;
    const uint32_t *col;
    size_t n, shards;
    uint32_t *missing;
    size_t nmissing;
    float *score;
};

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Room for the tokens of a cell, then for what the module needs. */
static size_t scratch_of(const struct cm_net *net)
{
    return larger(cm_net_tokens_scratch(net, 0), cm_net_tokens_scratch(net, 1)) +
           cm_cross_scratch(&net->cross);
}

uint64_t cm_scorer_cell_bytes(const struct cm_net *net, size_t side)
{
    return (uint64_t)cm_cross_cell(&net->cross, side) * sizeof(cm_real) + 16;
}

uint64_t cm_scorer_thread_bytes(const struct cm_net *net)
{
    return (uint64_t)scratch_of(net) * sizeof(cm_real);
}

static void make_cell(const struct cm_scorer *s, size_t side, uint64_t row, cm_real *cell,
                      cm_real *scratch)
{
    const struct cm_net *net = s->net;
    const cm_real *tokens = cm_net_tokens(net, side, s->w, cm_cell_at(s->x[side], row), scratch);
    cm_cross_cell_make(&net->cross, side, cell, tokens, s->w + net->cross.begin,
                       scratch + scratch_of(net) - cm_cross_scratch(&net->cross));
}

/* ===== the cache =========================================================================== */

static void unlink_place(struct cm_scorer *s, uint32_t p)
{
    s->older[s->newer[p]] = s->older[p];
    s->newer[s->older[p]] = s->newer[p];
}

/* Makes p the most recently used: the one behind the list's end. */
static void push_place(struct cm_scorer *s, uint32_t p)
{
    uint32_t end = (uint32_t)s->slots;
    s->older[p] = s->older[end];
    s->newer[p] = end;
    s->newer[s->older[end]] = p;
    s->older[end] = p;
}

struct cm_scorer *cm_scorer_make(const struct cm_net *net, const cm_real *w,
                                 const struct cm_csr *const x[2], size_t row_side, size_t max,
                                 uint64_t bytes)
{
    CM_ASSERT(net->has_cross && row_side < 2);
    struct cm_scorer *s = CM_ZNEW(1, struct cm_scorer);
    size_t side = 1 - row_side, cells = x[side]->rows;
    *s =
        (struct cm_scorer){.net = net, .w = w, .x = {x[0], x[1]}, .row_side = row_side, .max = max};
    for (size_t i = 0; i < 2; i++)
        s->one[i] = cm_cross_cell(&net->cross, i);
    uint64_t slots = bytes / cm_scorer_cell_bytes(net, side);
    s->slots = slots > cells ? cells : (size_t)slots;
    s->slots = larger(s->slots, max);
    CM_ASSERT(cells < NONE && s->slots < NONE);
    s->row = CM_NEW(s->one[row_side], cm_real);
    s->cell = CM_NEW(s->slots * s->one[side], cm_real);
    s->place = CM_NEW(cells, uint32_t);
    s->owner = CM_NEW(s->slots, uint32_t);
    s->newer = CM_NEW(s->slots + 1, uint32_t);
    s->older = CM_NEW(s->slots + 1, uint32_t);
    s->missing = CM_NEW(max, uint32_t);
    for (size_t i = 0; i < cells; i++)
        s->place[i] = NONE;
    s->newer[s->slots] = s->older[s->slots] = (uint32_t)s->slots;
    for (uint32_t p = 0; p < s->slots; p++) {
        s->owner[p] = NONE;
        push_place(s, p);
    }
    return s;
}

void cm_scorer_free(struct cm_scorer *s)
{
    if (!s)
        return;
    cm_free(s->row);
    cm_free(s->cell);
    cm_free(s->place);
    cm_free(s->owner);
    cm_free(s->newer);
    cm_free(s->older);
    cm_free(s->missing);
    cm_free(s);
}

/* ===== a row =============================================================================== */

static int make_shard(void *arg, size_t shard)
{
    struct cm_scorer *s = arg;
    size_t side = 1 - s->row_side;
    cm_real *scratch = CM_NEW_HOT(scratch_of(s->net), cm_real);
    /* item 0 is the row's own cell */
    for (size_t i = cm_shard_begin(s->nmissing + 1, s->shards, shard),
                to = cm_shard_begin(s->nmissing + 1, s->shards, shard + 1);
         i < to; i++)
        if (i == 0)
            make_cell(s, s->row_side, s->at, s->row, scratch);
        else
            make_cell(s, side, s->missing[i - 1],
                      s->cell + s->place[s->missing[i - 1]] * s->one[side], scratch);
    cm_free(scratch);
    return 0;
}

static int score_shard(void *arg, size_t shard)
{
    struct cm_scorer *s = arg;
    const struct cm_cross *c = &s->net->cross;
    const cm_real *w = s->w + c->begin;
    size_t side = 1 - s->row_side;
    cm_real *scratch = CM_NEW_HOT(cm_cross_scratch(c), cm_real);
    int code = 0;
    for (size_t i = cm_shard_begin(s->n, s->shards, shard),
                to = cm_shard_begin(s->n, s->shards, shard + 1);
         i < to; i++) {
        const cm_real *cell = s->cell + s->place[s->col[i]] * s->one[side];
        double s1 = side ? cm_cross_pair(c, s->row, cell, w, scratch)
                         : cm_cross_pair(c, cell, s->row, w, scratch);
        s->score[i] = (float)((double)s->score[i] + c->o.alpha * s1);
        if (!isfinite(s->score[i]) && !code)
            code = cm_fail(CM_ENUMERIC, "the similarity of a pair is not finite");
    }
    cm_free(scratch);
    return code;
}

int cm_scorer_row(struct cm_scorer *s, uint64_t row, const uint32_t *col, size_t n, float *score)
{
    CM_ASSERT(n <= s->max);
    if (n == 0)
        return 0;
    s->at = row;
    s->col = col;
    s->n = n;
    s->score = score;
    s->nmissing = 0;
    for (size_t i = 0; i < n; i++) /* those that are there become the newest, none of them goes */
        if (s->place[col[i]] != NONE) {
            unlink_place(s, s->place[col[i]]);
            push_place(s, s->place[col[i]]);
        }
    for (size_t i = 0; i < n; i++)
        if (s->place[col[i]] == NONE) {
            uint32_t p = s->newer[s->slots]; /* the oldest */
            if (s->owner[p] != NONE)
                s->place[s->owner[p]] = NONE;
            s->owner[p] = col[i];
            s->place[col[i]] = p;
            unlink_place(s, p);
            push_place(s, p);
            s->missing[s->nmissing++] = col[i];
        }
    s->shards = cm_shards(s->nmissing + 1, 1, 64);
    cm_parallel(s->shards, make_shard, s);
    s->shards = cm_shards(n, 1, 64);
    return cm_parallel(s->shards, score_shard, s);
}

/* The k-th largest of v (n > k), and how many equal to it belong to the k; heap: k places. */
static float threshold(const float *v, size_t n, size_t k, float *heap, size_t *equal)
{
    size_t held = 0;
    for (size_t i = 0; i < n; i++) { /* the least of the k largest stands in front */
        size_t at = 0;
        if (held < k) {
            for (at = held++; at > 0 && heap[(at - 1) / 2] > v[i]; at = (at - 1) / 2)
                heap[at] = heap[(at - 1) / 2];
        } else if (v[i] > heap[0]) {
            for (size_t child; (child = 2 * at + 1) < held; at = child) {
                child += child + 1 < held && heap[child + 1] < heap[child];
                if (!(heap[child] < v[i]))
                    break;
                heap[at] = heap[child];
            }
        } else {
            continue;
        }
        heap[at] = v[i];
    }
    size_t above = 0;
    for (size_t i = 0; i < n; i++)
        above += v[i] > heap[0];
    *equal = k - above;
    return heap[0];
}

void cm_scorer_keep(size_t n, uint64_t *ptr, uint32_t *idx, float *val, size_t k)
{
    float *heap = CM_NEW(k, float);
    uint64_t to = 0, from = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t end = ptr[i + 1];
        size_t equal = 0;
        float min = -INFINITY;
        if (end - from > k && k > 0)
            min = threshold(val + from, (size_t)(end - from), k, heap, &equal);
        for (bool all = end - from <= k; from < end; from++) {
            bool tie = !all && val[from] == min && equal > 0;
            if (k == 0 || !(all || val[from] > min || tie))
                continue;
            equal -= tie;
            idx[to] = idx[from];
            val[to++] = val[from];
        }
        ptr[i + 1] = to;
    }
    cm_free(heap);
}

/* ===== all cells of a sample ============================================================== */

#define ALL_CACHE ((uint64_t)256 << 20)

/* Marks the `top` largest of v[0], v[step] ... among the members of the group of `self`; list: top
 * numbers. */
static void mark_list(const float *v, size_t step, size_t n, const uint32_t *group, size_t self,
                      size_t top, uint32_t *list, unsigned char *mark)
{
    size_t held = 0;
    for (size_t j = 0; j < n; j++) {
        if (group && group[j] != group[self])
            continue;
        if (held == top && !(v[j * step] > v[list[held - 1] * step]))
            continue;
        size_t at = held < top ? held++ : held - 1;
        for (; at > 0 && v[j * step] > v[list[at - 1] * step]; at--)
            list[at] = list[at - 1];
        list[at] = (uint32_t)j;
    }
    for (size_t k = 0; k < held; k++)
        mark[list[k] * step] = 1;
}

int cm_scorer_all(const struct cm_net *net, const cm_real *w, const struct cm_csr *const x[2],
                  const uint32_t *group, size_t top, float *s)
{
    size_t n = x[0]->rows;
    if (n == 0)
        return 0;
    top = top < n ? top : n;
    unsigned char *mark = CM_ZNEW(n * n, unsigned char);
    uint32_t *list = CM_NEW(n, uint32_t);
    float *score = CM_NEW(top, float);
    for (size_t i = 0; i < n; i++) {
        mark_list(s + i * n, 1, n, group, i, top, list, mark + i * n);
        mark_list(s + i, n, n, group, i, top, list, mark + i);
    }
    struct cm_scorer *scorer = cm_scorer_make(net, w, x, 0, top, ALL_CACHE);
    int code = 0;
    for (size_t i = 0; !code && i < n; i++)
        for (size_t j = 0; !code && j < n;) { /* a row's pairs, `top` at a time */
            size_t held = 0;
            for (; j < n && held < top; j++)
                if (!mark[i * n + j]) {
                    s[i * n + j] = CM_SCORER_OUT;
                } else {
                    score[held] = s[i * n + j];
                    list[held++] = (uint32_t)j;
                }
            code = cm_scorer_row(scorer, i, list, held, score);
            for (size_t k = 0; k < held; k++)
                s[i * n + list[k]] = score[k];
        }
    cm_scorer_free(scorer);
    cm_free(mark);
    cm_free(list);
    cm_free(score);
    return code;
}

uint64_t cm_scorer_all_bytes(const struct cm_net *net, size_t n, size_t top)
{
    uint64_t one = cm_scorer_cell_bytes(net, 1), cells = ALL_CACHE / one;
    cells = cells > n ? n : larger((size_t)cells, top);
    return one * (cells + 1) + (uint64_t)n * n + 24 * n +
           (uint64_t)cm_pool_threads() * cm_scorer_thread_bytes(net);
}
