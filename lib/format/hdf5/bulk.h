/* format/hdf5/bulk.h - many numbers of HDF5 datasets, unpacked on all processors.
 *
 * libhdf5 inflates and converts on one thread, and takes twice the time that is needed.  A batch
 * gathers ranges of datasets; the packed chunks are read through libhdf5 (the page cache has them),
 * and unpacking, unshuffling, conversion to one of three item types and the facts about the values
 * are found chunk by chunk by several threads, while the caller writes what it had before.  What is
 * not chunked, or is packed in another way than by gzip and shuffle, is read by libhdf5 and only
 * converted here.  Rejected: reading at file addresses behind libhdf5's back (it would have to be
 * right about user blocks and drivers), and cm_parallel, which cannot run beside its caller.
 *
 * The result does not depend on the number of threads.  All calls belong to the thread that uses
 * HDF5.
 */
#ifndef CM_FORMAT_HDF5_BULK_H
#define CM_FORMAT_HDF5_BULK_H

#include "format/hdf5/convert.h"
#include "format/hdf5/read.h"
#include "stream/cms.h"

#define CM_H5_BATCHES 2 /* that may be at work together */

struct cm_h5job;
struct cm_h5job *cm_h5job_new(void);
void cm_h5job_free(struct cm_h5job *j); /* waits until started batches are done; NULL allowed */

/* The item type in which a dataset of numbers is read: u32 for whole numbers and booleans, f32 or
 * f64 for floats. */
enum cm_value cm_h5bulk_type(const struct cm_h5set *s);
/* Adds rows first .. first + n - 1 (n * cols items) of s, which must stay open as long as the job
 * is there, to the batch in the making, to be put to `out` as cm_h5bulk_type says, and `facts`; both
 * must stay until it is done.  Reads the packed bytes now.  0 or CM_EINPUT. */
int cm_h5job_add(struct cm_h5job *j, const struct cm_h5set *s, uint64_t first, uint64_t n,
                 void *out, struct cm_h5facts *facts);
/* Hands the batch in the making to the other threads, and begins a new one; at most CM_H5_BATCHES
 * are at work.  cm_h5job_finish helps them, and returns when the oldest is done: 0 or CM_EINPUT (a
 * damaged chunk).  Only one job is at work at a time. */
void cm_h5job_start(struct cm_h5job *j);
int cm_h5job_finish(struct cm_h5job *j);
/* Empties the batch in the making. */
void cm_h5job_drop(struct cm_h5job *j);

/* Reads one range and waits for it; no batch may be at work. */
int cm_h5bulk_read(struct cm_h5job *j, const struct cm_h5set *s, uint64_t first, uint64_t n,
                   void *out, struct cm_h5facts *facts);

#endif
