/* base/spool.h - temporary files without a name, and arrays that lie in one.
 *
 * A spooled array is read and written like memory, whoever reads it; of all of them together about
 * CM_SPOOL_WINDOW bytes are resident.  When it is more, pages are given back: they stay in the
 * system's cache of files as long as that has room, so that reading on costs a fault for 64 KiB,
 * and no transfer.  Looked at by a thread every millisecond, whatever loop is running; and by those
 * who read, since a thread of its own may have to wait for a processor while they go on: between
 * two shards of cm_parallel, and where one shard reads through all cells, by cm_spool_check.
 */
#ifndef CM_BASE_SPOOL_H
#define CM_BASE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Beyond so many resident bytes pages are given back; twice as many are to be reckoned with, since
 * threads read on meanwhile. */
#define CM_SPOOL_WINDOW ((size_t)64 << 20)

const char *cm_spool_dir(void); /* TMPDIR, or /tmp where that is unset or empty */

/* A file in that directory for reading and writing that goes when its descriptor is closed, however
 * the program ends.  The descriptor, or CM_ESYSTEM with a message. */
int cm_spool_open(void);

/* Zero-initialise; not to be moved while it has an array. */
struct cm_spool {
    void *p; /* the array, page-aligned; moves when it grows */
    size_t bytes;
    int fd; /* valid if p is not NULL */
};

/* Makes s->bytes at least `bytes`: space on the disk is taken now, so that no write into the array
 * can fail.  What stands in it stays; new bytes are 0.  0, or CM_ESYSTEM with a message: s is as it
 * was. */
int cm_spool_reserve(struct cm_spool *s, size_t bytes);
void cm_spool_close(struct cm_spool *s);

bool cm_spool_active(void); /* are there arrays? */

/* Gives pages back if more than the window is resident.  Costs nothing without arrays, else
 * microseconds: for a loop, once in some MiB. */
void cm_spool_check(void);

#ifdef __cplusplus
}
#endif
#endif
