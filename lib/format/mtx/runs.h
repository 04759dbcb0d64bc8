/* format/mtx/runs.h - entries in any order, and the rows that they make.
 *
 * Cell Ranger writes cell after cell, R and scipy often feature after feature, some programs in
 * no order; and the head of a stream states what only the last value reveals.  Every parsed piece
 * of text becomes a run: its entries sorted by cell, in a compact form.  Runs stay in memory up to
 * a bound and go to a temporary file beyond it.  Rows are gathered from all runs, each of which is
 * read once from front to end.  Rejected: reading the text twice (inflating takes most of the
 * time).
 */
#ifndef CM_FORMAT_MTX_RUNS_H
#define CM_FORMAT_MTX_RUNS_H

#include "format/mtx/parse.h"

/* One run: entries of cell[k] are end[k-1] .. end[k]-1.  All arrays lie in one piece of memory. */
struct cm_mtx_run {
    size_t n, cells, bytes;
    const void *value; /* of `size` bytes each: 1, 2, 4 whole numbers, 8 doubles, 0 = all 1 */
    unsigned size;
    const uint32_t *feature, *cell, *end;
    void *own;       /* the memory; NULL once spilled */
    uint64_t offset; /* in the temporary file */
    size_t next;     /* the first of cell[] not yet gathered */
};

struct cm_mtx_runs {
    uint64_t cells, features, max_memory;
    struct cm_mtx_run *run;
    size_t n, cap;
    uint64_t held, spilled, entries; /* bytes in memory and in the file */
    uint64_t *count;                 /* entries of each cell */
    int fd;                          /* -1 = no temporary file yet */
    unsigned char *map;
    /* gathered rows */
    uint64_t *ptr;
    size_t ptr_cap, idx_cap;
    uint32_t *idx;
    double *val;
    uint64_t repeated; /* entries that repeated a row and column so far */
    bool pattern;      /* then 1 and 1 make 1 */
    bool bytes;        /* all values of the gathered rows are whole and fit a byte */
};

void cm_mtx_runs_init(struct cm_mtx_runs *r, uint64_t cells, uint64_t features,
                      uint64_t max_memory);
void cm_mtx_runs_free(struct cm_mtx_runs *r);
/* Makes a run of a piece; safe in several threads at once, each with its own run. */
void cm_mtx_run_make(struct cm_mtx_run *run, struct cm_mtx_piece *p, bool pattern);
/* Takes the run over (in the order of the text); CM_ESYSTEM: no temporary file, disk full. */
int cm_mtx_runs_add(struct cm_mtx_runs *r, struct cm_mtx_run *run);
/* After the last run, before the first gather. */
int cm_mtx_runs_seal(struct cm_mtx_runs *r);
/* How many of at most `max` cells from `first` on have 4 million entries together (at least 1). */
size_t cm_mtx_runs_step(const struct cm_mtx_runs *r, uint64_t first, size_t max);
/* Rows first .. first + n - 1 into ptr, idx, val: columns rising, repeated entries added up in
 * order of the text.  Calls go through the cells in order, once. */
void cm_mtx_runs_gather(struct cm_mtx_runs *r, uint64_t first, size_t n);

#endif
