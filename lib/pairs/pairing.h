/* pairs/pairing.h - which cell of one modality is which cell of the other, and in what order pairs
 * are shown to a trainer.
 *
 * Two files of one study often hold the same cells in different orders, and not quite the same
 * cells.  Cells are joined by NAME unless the caller asks otherwise, duplicated names are refused,
 * and cells without a partner are counted.  The schedule (mini-batches of every epoch) is a pure
 * function of seed and epoch.
 */
#ifndef CM_PAIRS_PAIRING_H
#define CM_PAIRS_PAIRING_H

#include <stddef.h>
#include <stdint.h>

#include "base/strs.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_ALONE UINT64_MAX /* a cell without partner */

/* partner[i] = row of b that is row i of a, or CM_ALONE; *pairs gets the number of pairs.
 * `what_a`, `what_b` (file names) stand in messages.  0, or CM_EINPUT: a duplicated name, or no
 * pair at all. */
int cm_pair_by_name(const struct cm_strs *a, const struct cm_strs *b, const char *what_a,
                    const char *what_b, uint64_t *partner, uint64_t *pairs);

/* Row i is row i; CM_EINPUT when the numbers of rows differ. */
int cm_pair_by_position(const struct cm_strs *a, const struct cm_strs *b, const char *what_a,
                        const char *what_b, uint64_t *partner, uint64_t *pairs);

/* The pairs of a file as match/pairs.h reads them (and `score`): a header line, `row1 row2` means
 * 0-based row numbers, anything else names.  *elsewhere: its pairs of which a cell is in neither
 * stream, left out. */
int cm_pair_by_file(const char *path, const struct cm_strs *a, const struct cm_strs *b,
                    uint64_t *partner, uint64_t *pairs, uint64_t *elsewhere);

/* The mini-batches of an epoch: n training rows, at most `size` each (0 = no limit), and where
 * groups are given, each batch inside one group. */
struct cm_schedule {
    size_t n, size, groups;
    uint64_t seed, steps; /* steps = batches an epoch */
    uint64_t *row;        /* training rows sorted by group */
    uint64_t *begin;      /* groups + 1 */
};

/* group: n numbers below `groups`, or NULL (one group). */
void cm_schedule_make(struct cm_schedule *s, size_t n, const uint32_t *group, size_t groups,
                      size_t size, uint64_t seed);
/* The batches of `epoch` (from 1): batch b is row[begin[b] .. begin[b+1]-1].  row: n places, begin:
 * steps + 1.  Every training row occurs exactly once.  Only the last batch of a group is smaller
 * than `size`. */
void cm_schedule_epoch(const struct cm_schedule *s, uint32_t epoch, uint64_t *row, uint64_t *begin);
void cm_schedule_free(struct cm_schedule *s);

#ifdef __cplusplus
}
#endif
#endif
