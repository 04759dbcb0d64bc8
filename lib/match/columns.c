/* match/columns.c - what the rules ask of a column over all rows: normalisers, nearest rows.
 *
 * A unit is a tile of columns over all rows of the portion, so that every column is served by one
 * thread in row order.
 */
#include "base/mem.h"
#include "base/pool.h"
#include "match/search.h"

enum { STAT_ROWS = 256, STAT_COLS = 256 };

/* One of c and near is NULL. */
struct stat_job {
    struct cm_portion p;
    const struct cm_unit *unit;
    struct cm_normalisers *c;
    struct cm_nearest *near;
    uint64_t first;
};

static int stat_unit(void *arg, size_t shard)
{
    const struct stat_job *job = arg;
    const struct cm_unit u = job->unit[shard];
    const struct cm_search *x = job->p.x;
    size_t cols = u.to - u.from, from = job->p.begin[u.group], to = job->p.begin[u.group + 1];
    float *tile = CM_NEW(STAT_ROWS * STAT_COLS, float);
    uint32_t idx[STAT_COLS];
    for (size_t j = 0; j < cols; j++)
        idx[j] = cm_search_column(x, u.from + j);
    for (size_t row = from; row < to; row += STAT_ROWS) {
        size_t rows = to - row < STAT_ROWS ? to - row : STAT_ROWS;
        cm_search_product(&job->p, row, rows, u.from, cols, tile);
        if (job->c)
            cm_normalisers_add_tile(job->c, rows, cols, idx, tile);
        for (size_t i = 0; job->near && i < rows; i++) {
            size_t own = job->p.order ? job->p.order[row + i] : row + i;
            cm_nearest_add(job->near, job->first + own, cols, idx, tile + i * cols);
        }
    }
    cm_free(tile);
    return 0;
}

static void all_columns(struct stat_job *job, const struct cm_search *x, const float *e, size_t lde,
                        size_t rows, const uint32_t *group)
{
    cm_portion_make(&job->p, x, e, lde, rows, group);
    size_t units;
    struct cm_unit *unit = cm_units_cut(x->begin, x->groups, STAT_COLS, &units);
    job->unit = unit;
    cm_parallel(units, stat_unit, job);
    cm_free(unit);
    cm_portion_free(&job->p);
}

void cm_search_normalise(struct cm_search *x, const float *e, size_t lde, size_t rows,
                         const uint32_t *group, struct cm_normalisers *c)
{
    struct stat_job job = {.c = c};
    all_columns(&job, x, e, lde, rows, group);
}

void cm_search_nearest(struct cm_search *x, const float *e, size_t lde, uint64_t first, size_t rows,
                       const uint32_t *group, struct cm_nearest *n)
{
    struct stat_job job = {.near = n, .first = first};
    all_columns(&job, x, e, lde, rows, group);
}
