/* prep/@name@.h - DECIDE: the formula in one line, and where it comes from.
 *
 * Letters: x_ij count of cell i and feature j, N the cells fitted on, m_j the mean of feature j
 * over them (cells without an entry count as 0).
 *     value_ij = x_ij / m_j;    0 where m_j = 0
 * The fit stands in HEAD as fit.tool and fit.cells (N), in COLS as fit.mean.
 */
#ifndef CM_PREP_@NAME@_H
#define CM_PREP_@NAME@_H

#include "prep/where.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise; cm_@name@_free. */
struct cm_@name@ {
    size_t cols;
    uint64_t cells; /* N */
    double *mean;   /* cols of them */
};

/* Reads r to its end, fits on the rows that meet `where` (NULL = all), and rewinds.  cm_reader_keep
 * must have been called.  CM_EINPUT: no such label. */
int cm_@name@_fit(struct cm_@name@ *f, struct cm_reader *r, struct cm_where *where);
/* Takes the fit from the slot of `like` that has the input slot's name; features are matched by
 * name.  `path` names the file in messages.  CM_EINPUT: no fit of this tool, or a feature of the
 * input without one. */
int cm_@name@_load(struct cm_@name@ *f, const struct cm_head *like, const char *path,
                   const struct cm_slot *in);
/* Writes the fit, the state and the form of the values into an output slot. */
void cm_@name@_save(const struct cm_@name@ *f, struct cm_slot *slot);
/* Makes the values of a block of the input slot. */
void cm_@name@_apply(const struct cm_@name@ *f, struct cm_block *b, const struct cm_slot *in);
void cm_@name@_free(struct cm_@name@ *f);

#ifdef __cplusplus
}
#endif
#endif
