/* match/solver.h - the state of an assignment that is being solved (private to match/exact.h).
 *
 * Costs are c_ij = top - s_ij >= 0.  Prices v_j <= 0 of the columns are kept, a free column's is
 * 0; a row's price is the smallest c_ij - v_j.  Staying alone is a private column of cost `alone`
 * at price 0, which nobody else can want: so it is an end of any path that reaches its row, and a
 * row that took it is done with.  Since alone > pairs * range, one more pair always pays.
 */
#ifndef CM_MATCH_SOLVER_H
#define CM_MATCH_SOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOBODY UINT32_MAX

/* Four columns at a time. */
typedef float four_f __attribute__((vector_size(16), aligned(4), may_alias));
typedef double four __attribute__((vector_size(32), aligned(8), may_alias));
typedef int64_t four_bits __attribute__((vector_size(32)));
#define PICK(mask, a, b) ((four)(((mask) & (four_bits)(a)) | (~(mask) & (four_bits)(b))))

/* A column on the heap of paths: its distance. */
struct cm_step {
    double d;
    uint32_t j;
};

struct cm_solver {
    size_t n, m; /* n <= m */
    const uint64_t *ptr;
    const uint32_t *idx; /* NULL: all pairs, row i at s + i * m */
    const float *s;
    double top, alone;
    double *v;        /* m */
    uint32_t *row_of; /* m, or NOBODY */
    double *paid;     /* m: cost of the column's pair */
    uint32_t *col_of; /* n, or NOBODY */
    /* of one path */
    double *d;      /* m: length of the shortest path so far; INFINITY when unknown or settled */
    uint32_t *from; /* m: the row before */
    uint32_t *settled;
    double *settled_d;
    struct cm_step *heap;
    size_t heap_n, heap_cap;
    bool *done; /* m: settled (sparse) */
    uint32_t *touched;
    double *open_v; /* m: v, -INFINITY where settled (dense) */
};

/* n rows, m columns, nobody assigned. */
struct cm_solver cm_solver_make(size_t n, size_t m);
void cm_solver_free(struct cm_solver *x);
/* Assigns; top and alone are set. */
void cm_solver_run(struct cm_solver *x);

/* Where a path ends: a free column, or a row that stays alone instead. */
struct cm_path_end {
    double length;
    uint32_t j, alone; /* one of them is NOBODY */
    size_t settled;
};
/* The shortest path from a free row, over stored pairs or over all pairs. */
struct cm_path_end cm_path_sparse(struct cm_solver *x, uint32_t start);
struct cm_path_end cm_path_dense(struct cm_solver *x, uint32_t start);

#endif
