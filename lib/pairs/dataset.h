/* pairs/dataset.h - the data pass of a `pairs` stream, as the trainers want it.
 *
 * Training and validation cells of both slots as CSR with f32 values (lazy factors applied once, by
 * the reader's rule), names, and the batch codes that `batch --within` declared.  Rejected: keeping
 * counts in their wire type and decoding on each pass; the truncated SVD alone makes a dozen.
 * Entries lie in memory, or in temporary files that are mapped (base/spool.h): who reads x sees no
 * difference.
 */
#ifndef CM_PAIRS_DATASET_H
#define CM_PAIRS_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/spool.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_train_part { /* split 0 = training, 1 = validation */
    struct cm_csr x[2];
    float *count[2]; /* with counts: what stands below the entries of x */
    size_t count_cap[2];
    struct cm_spool file[2][3]; /* where columns, values and counts lie if the data is spooled */
    struct cm_strs names;
    uint32_t *group; /* rows: batch code of each cell, NULL without batch.within */
    size_t group_cap;
};

/* The mini-batches that the stream sent.  4 bytes a row drawn, 20 a step. */
struct cm_picks {
    size_t n;               /* mini-batches; step n ascends */
    uint64_t *begin, *step; /* begin: n + 1; step: as numbered over all epochs, from 0 */
    uint32_t *epoch, *row;  /* row: begin[n], rows of part 0 */
    size_t begin_cap, step_cap, epoch_cap, row_cap;
};

size_t cm_picks_largest(const struct cm_picks *p); /* cells of the largest mini-batch */

struct cm_train_data {
    struct cm_head head; /* the stream's; its dictionaries as of END */
    struct cm_train_part part[2];
    struct cm_picks picks;
    bool blocks;  /* mini-batches came with blocks of their own, which are not kept */
    bool spooled; /* by cm_train_data_spool, which see: not to be moved then */
    size_t groups;
    struct cm_dict group_names; /* the label's values as text, in order of first appearance */
};

/* Reads r (kind pairs, two slots) to END: the data pass and the row numbers of the schedule are
 * kept.  0, or CM_EINPUT: no training cells, a value that is not finite, numbers of rows other than
 * the head says, a chunk out of order, a mini-batch that is empty or names no training row.
 * Cells of more than `max` bytes (0: no limit) are spooled; CM_ESYSTEM if that fails.  Then *d may
 * not be moved.
 * `progress` (or NULL) gets the cells read so far and the number expected (0 = unknown). */
int cm_train_data_load(struct cm_reader *r, struct cm_train_data *d, uint64_t max,
                       void (*progress)(uint64_t done, uint64_t total));

/* The same, and keeps the counts that lazy values are computed from (or that state counts is).
 * CM_EINPUT also when a slot is dense or has values alone, and when a count is negative. */
int cm_train_data_load_counts(struct cm_reader *r, struct cm_train_data *d, uint64_t max,
                              void (*progress)(uint64_t done, uint64_t total));

/* Moves entries (and counts) into temporary files, unless they are there.  0 or CM_ESYSTEM. */
int cm_train_data_spool(struct cm_train_data *d);

/* Bytes of memory held: 8 a stored entry (12 with counts), 8 a row and slot, names, the schedule;
 * spooled entries count as twice CM_SPOOL_WINDOW at most. */
uint64_t cm_train_data_bytes(const struct cm_train_data *d);
/* Those of the entries. */
uint64_t cm_train_data_entries(const struct cm_train_data *d);

void cm_train_data_free(struct cm_train_data *d);

#ifdef __cplusplus
}
#endif
#endif
