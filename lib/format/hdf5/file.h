/* format/hdf5/file.h - HDF5 files: opening, failures, objects and groups.
 *
 * HDF5's C interface is wide, prints stacks of internal errors, locks files and fails late.  Here
 * every failure is one line "FILE: /path: ...", with HDF5's innermost reason.
 *
 * A file is not trusted: links and storage in other files and virtual datasets are refused, and an
 * extent must bear a relation to the bytes that are stored.  What libhdf5 does with a damaged file
 * before it says so is beyond us; hence cm_h5_watch here and cm_guard_start in cli/.
 *
 * HDF5 is not thread-safe: everything here belongs to one thread.
 */
#ifndef CM_FORMAT_HDF5_FILE_H
#define CM_FORMAT_HDF5_FILE_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/strs.h"

/* A lookup that failed; kept until the end, so that it is not mistaken for an absence. */
struct cm_h5_trouble {
    int code; /* 0 = none */
    char message[1024];
};

/* An open file.  `warnings` collects what was tolerated; the tool prints it. */
struct cm_h5 {
    hid_t id;
    char *name;     /* as the user typed it, "stdin" for "-" */
    uint64_t image; /* bytes held in memory of what came through a pipe, else 0 */
    int fd;         /* of the file on disk, beside libhdf5's own, for cm_h5_unchanged; -1 = none */
    struct stat seen;
    struct cm_strs warnings;
    struct cm_h5_trouble *trouble; /* NULL = not kept */
    bool entities; /* texts of datasets are read as HTML: &#233; and &amp; stand for characters */
    bool latin1;   /* text that is not UTF-8 is taken for Latin-1 and converted; else an error */
};

/* Items that an extent may claim without further checks: any type of so many is affordable. */
#define CM_H5_FREE_ITEMS ((uint64_t)1 << 24)

/* Opens a file for reading, without locks.  "-" and anything that cannot seek (a pipe) is read
 * whole into memory first.  plugins: let HDF5 load filter plugins from HDF5_PLUGIN_PATH (code!).
 * 0, CM_ESYSTEM (cannot be opened or read), CM_EINPUT (no HDF5 file, cut). */
int cm_h5_open(struct cm_h5 *h, const char *path, bool plugins);
/* A matrix is read in several passes, and a table in many pieces: CM_EINPUT if somebody has written
 * to the file since it was opened.  To be asked when all has been read. */
int cm_h5_unchanged(const struct cm_h5 *h);
void cm_h5_close(struct cm_h5 *h); /* {0} or closed before: nothing */
/* Switches the error stack and plugins off and registers our filters; once, by open and create. */
void cm_h5_setup(bool plugins);
/* From now on a call that keeps libhdf5 busy for so many seconds of the thread's processor time
 * ends the process with SIGPROF: some files send it into an endless loop. */
void cm_h5_watch(unsigned seconds);
/* Restarts that clock; before every call that gives libhdf5 work. */
void cm_h5_step(void);
/* HDF5's innermost reason for the call that failed last, "" if none; a static buffer. */
const char *cm_h5_reason(void);
/* Fails because a call to HDF5 failed, with its reason appended: CM_ESYSTEM if the system refused
 * something (the error stack then has an errno), `code` otherwise.  Call it at once: the next call
 * to HDF5 clears the stack. */
int cm_h5_failed(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* 0, or the first lookup of this file that failed, with its message: answers about objects since
 * then may be wrong.  Every function here that opens something ends with it. */
int cm_h5_trouble(const struct cm_h5 *h);
/* Turns such a lookup into a warning unless the system failed; false if there was none. */
bool cm_h5_forgive(struct cm_h5 *h);
void cm_h5_warn(struct cm_h5 *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* BROKEN: a link that leads nowhere (dangling, a cycle); OUTSIDE: one into another file; ERROR:
 * the lookup failed (see cm_h5_trouble). */
enum cm_h5_object {
    CM_H5_ABSENT,
    CM_H5_GROUP,
    CM_H5_DATASET,
    CM_H5_OTHER,
    CM_H5_BROKEN,
    CM_H5_OUTSIDE,
    CM_H5_ERROR
};
/* What is at an absolute path. */
enum cm_h5_object cm_h5_what(const struct cm_h5 *h, const char *path);
/* CM_EINPUT: what is there is not what was expected. */
int cm_h5_unexpected(const struct cm_h5 *h, const char *path, const char *expected);
/* "a/b" joined into a string that the caller frees (cm_free). */
char *cm_h5_join(const char *group, const char *name);
bool cm_h5_there(const struct cm_h5 *h, const char *group, const char *name);
/* Names of a group's members, ascending by bytes.  0 or CM_EINPUT. */
int cm_h5_members(const struct cm_h5 *h, const char *path, struct cm_strs *names);

#endif
