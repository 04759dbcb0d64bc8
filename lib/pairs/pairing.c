/* pairs/pairing.c - the join of two lists of cells, and the shuffled schedule.
 *
 * The join is a hash index over the second list (base/strs.h) and one pass over the first.  The
 * schedule shuffles each group with its own random numbers (seed, epoch, group + 1), cuts it, and
 * then shuffles the batches (seed, epoch, 0), so that one batch effect does not dominate a run of
 * training.  With one group the batches are already in random order and are left alone.
 */
#include "pairs/pairing.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "match/pairs.h"

/* ===== join =============================================================================== */

static int index_unique(struct cm_index *x, const struct cm_strs *names, const char *what)
{
    cm_index_make(x, names);
    if (x->duplicate == CM_ABSENT)
        return 0;
    size_t again = x->duplicate;
    const char *name = cm_strs_get(names, again);
    int code = cm_fail(
        CM_EINPUT,
        "%s: the cell name '%s' occurs twice, in rows %zu and %zu; such cells are joined by "
        "--by-position or --pairs with row numbers (row1, row2)",
        what, name, cm_index_find(x, name) + 1, again + 1);
    cm_index_free(x);
    return code;
}

int cm_pair_by_name(const struct cm_strs *a, const struct cm_strs *b, const char *what_a,
                    const char *what_b, uint64_t *partner, uint64_t *pairs)
{
    struct cm_index xa, xb;
    if (index_unique(&xa, a, what_a) < 0)
        return CM_EINPUT;
    cm_index_free(&xa);
    if (index_unique(&xb, b, what_b) < 0)
        return CM_EINPUT;
    *pairs = 0;
    for (size_t i = 0; i < a->n; i++) {
        size_t j = cm_index_find(&xb, cm_strs_get(a, i));
        partner[i] = j == CM_ABSENT ? CM_ALONE : j;
        *pairs += j != CM_ABSENT;
    }
    cm_index_free(&xb);
    if (*pairs == 0 && a->n && b->n)
        return cm_fail(CM_EINPUT,
                       "no cell of %s has a namesake in %s (the first are '%s' and '%s'); "
                       "--pairs and --by-position join cells in other ways",
                       what_a, what_b, cm_strs_get(a, 0), cm_strs_get(b, 0));
    if (*pairs == 0)
        return cm_fail(CM_EINPUT, "%s has no cells", a->n ? what_b : what_a);
    return 0;
}

int cm_pair_by_position(const struct cm_strs *a, const struct cm_strs *b, const char *what_a,
                        const char *what_b, uint64_t *partner, uint64_t *pairs)
{
    if (a->n != b->n)
        return cm_fail(CM_EINPUT,
                       "%s has %zu cells and %s has %zu: they cannot be paired by "
                       "position",
                       what_a, a->n, what_b, b->n);
    if (a->n == 0)
        return cm_fail(CM_EINPUT, "%s has no cells", what_a);
    for (size_t i = 0; i < a->n; i++)
        partner[i] = i;
    *pairs = a->n;
    return 0;
}

int cm_pair_by_file(const char *path, const struct cm_strs *a, const struct cm_strs *b,
                    uint64_t *partner, uint64_t *pairs, uint64_t *elsewhere)
{
    struct cm_pairs p;
    int code = cm_pairs_read(&p, path, a, b);
    if (code < 0)
        return code;
    for (size_t i = 0; i < a->n; i++)
        partner[i] = p.col_of_row[i] == CM_UNPAIRED ? CM_ALONE : p.col_of_row[i];
    *pairs = p.n;
    *elsewhere = p.elsewhere;
    cm_pairs_free(&p);
    return 0;
}

/* ===== schedule =========================================================================== */

void cm_schedule_make(struct cm_schedule *s, size_t n, const uint32_t *group, size_t groups,
                      size_t size, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->n = n;
    s->size = size ? size : n;
    s->groups = group ? groups : 1;
    s->seed = seed;
    s->row = CM_NEW(n, uint64_t);
    s->begin = CM_ZNEW(s->groups + 1, uint64_t);
    for (size_t i = 0; i < n; i++)
        s->begin[(group ? group[i] : 0) + 1]++;
    for (size_t g = 0; g < s->groups; g++) {
        uint64_t count = s->begin[g + 1];
        s->steps += s->size ? (count + s->size - 1) / s->size : 0;
        s->begin[g + 1] += s->begin[g];
    }
    uint64_t *put = CM_NEW(s->groups, uint64_t);
    memcpy(put, s->begin, s->groups * sizeof *put);
    for (size_t i = 0; i < n; i++)
        s->row[put[group ? group[i] : 0]++] = i;
    cm_free(put);
}

/* Puts the batches row[begin[b]..] into the order of `order`. */
static void reorder(const struct cm_schedule *s, const uint64_t *order, uint64_t *row,
                    uint64_t *begin)
{
    uint64_t *old_row = CM_NEW(s->n, uint64_t), *old = CM_NEW(s->steps + 1, uint64_t), put = 0;
    memcpy(old_row, row, s->n * sizeof *row);
    memcpy(old, begin, (s->steps + 1) * sizeof *begin);
    for (uint64_t b = 0; b < s->steps; b++) {
        uint64_t from = old[order[b]], count = old[order[b] + 1] - from;
        memcpy(row + put, old_row + from, count * sizeof *row);
        begin[b] = put;
        put += count;
    }
    cm_free(old_row);
    cm_free(old);
}

void cm_schedule_epoch(const struct cm_schedule *s, uint32_t epoch, uint64_t *row, uint64_t *begin)
{
    if (s->n)
        memcpy(row, s->row, s->n * sizeof *row);
    uint64_t b = 0;
    for (size_t g = 0; g < s->groups; g++) {
        uint64_t from = s->begin[g], to = s->begin[g + 1];
        struct cm_rng rng = cm_rng_make(s->seed, CM_RNG_SHUFFLE, epoch, (uint32_t)g + 1);
        cm_rng_shuffle(&rng, row + from, to - from);
        for (; from < to; from += s->size)
            begin[b++] = from;
    }
    begin[b] = s->n;
    CM_ASSERT(b == s->steps);
    if (s->groups < 2)
        return;
    uint64_t *order = CM_NEW(s->steps, uint64_t);
    for (b = 0; b < s->steps; b++)
        order[b] = b;
    struct cm_rng rng = cm_rng_make(s->seed, CM_RNG_SHUFFLE, epoch, 0);
    cm_rng_shuffle(&rng, order, s->steps);
    reorder(s, order, row, begin);
    cm_free(order);
}

void cm_schedule_free(struct cm_schedule *s)
{
    cm_free(s->row);
    cm_free(s->begin);
    memset(s, 0, sizeof *s);
}
