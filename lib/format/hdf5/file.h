/* format/hdf5/file.h - the little of HDF5 that the converters need, with clear failures.
 *
 * Problem: HDF5's C interface is wide, prints stacks of internal errors, locks files, fails late
 * when a filter is missing, and every writer stores strings and booleans in its own way.  Choice:
 * a file and a dataset as two small structs; a dataset is opened once, its class, extent and
 * filters are checked then, and it is read in ranges of items (rows), converted by HDF5 to one
 * memory type.  Every failure is one line "FILE: /path: ...".  Rejected: high-level libraries
 * (they slurp), and showing HDF5's stack (its innermost reason alone is appended).
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

/* A lookup that failed; kept until the end, so that it cannot pass for an absence. */
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
 * ends the process with SIGPROF: there are files with which it never comes to an end. */
void cm_h5_watch(unsigned seconds);
/* HDF5's innermost reason for the call that failed last, "" if none; a static buffer. */
const char *cm_h5_reason(void);
/* Fails because a call to HDF5 failed, with its reason appended: CM_ESYSTEM if the system refused
 * something (the error stack then has an errno), `code` otherwise.  Call it at once: the next call
 * to HDF5 clears the stack. */
int cm_h5_failed(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* 0, or the first lookup of this file that failed, with its message: what was said about objects
 * since then may be wrong.  Every function here that opens something ends with it. */
int cm_h5_trouble(const struct cm_h5 *h);
/* Turns such a lookup into a warning unless the system failed; false if there was none. */
bool cm_h5_forgive(struct cm_h5 *h);
void cm_h5_warn(struct cm_h5 *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* BROKEN: a link that leads nowhere (dangling, a cycle); OUTSIDE: one into another file; ERROR: it
 * could not be found out (see cm_h5_trouble), which is no absence. */
enum cm_h5_object {
    CM_H5_ABSENT,
    CM_H5_GROUP,
    CM_H5_DATASET,
    CM_H5_OTHER,
    CM_H5_BROKEN,
    CM_H5_OUTSIDE,
    CM_H5_ERROR
};
/* What stands at an absolute path. */
enum cm_h5_object cm_h5_what(const struct cm_h5 *h, const char *path);
/* Fails with what is there in place of what was expected. */
int cm_h5_unexpected(const struct cm_h5 *h, const char *path, const char *expected);
/* "a/b" joined into a string that the caller frees (cm_free). */
char *cm_h5_join(const char *group, const char *name);
/* Names of a group's members, ascending by bytes.  0 or CM_EINPUT. */
int cm_h5_members(const struct cm_h5 *h, const char *path, struct cm_strs *names);

/* Attributes of the object at `path`.  1: found, 0: absent (or a null dataspace), < 0: CM_EINPUT or
 * CM_ESYSTEM.
 * text: the first string of the attribute, freed by the caller.  strs: all of them, replacing what
 * `out` holds; an attribute of another class counts as an empty list when it has no items.
 * i64s: exactly n numbers, else CM_EINPUT.  flag: a boolean of any spelling. */
int cm_h5_attr_text(const struct cm_h5 *h, const char *path, const char *name, char **out);
int cm_h5_attr_strs(const struct cm_h5 *h, const char *path, const char *name, struct cm_strs *out);
int cm_h5_attr_i64s(const struct cm_h5 *h, const char *path, const char *name, int64_t *v,
                    size_t n);
int cm_h5_attr_flag(const struct cm_h5 *h, const char *path, const char *name, bool *v);

enum cm_h5_class { CM_H5_INT, CM_H5_FLOAT, CM_H5_BOOL, CM_H5_STRING, CM_H5_COMPOUND, CM_H5_NONE };

/* An open dataset (or one member of a compound dataset) of rank 0, 1 or 2.  Zero = closed. */
struct cm_h5set {
    bool open, latin1, entities;
    hid_t id, type; /* type: of the items, or of the member */
    char *member;   /* NULL = the whole item */
    char *path;     /* for messages */
    char *file;
    unsigned rank;
    uint64_t rows, cols; /* rank 0: 1 x 1, rank 1: rows x 1; a null dataspace: 0 rows */
    enum cm_h5_class cls;
    size_t size; /* bytes of an item in the file */
    bool is_signed;
    bool fixed;             /* string of fixed length */
    uint64_t chunk_bytes;   /* of a chunk, unpacked; 0 = not chunked, or not known */
    uint64_t *verified;     /* gzip: first row and end of the chunks that were checked; else NULL */
    struct cm_h5bulk *bulk; /* of bulk.c */
};
void cm_h5bulk_free(struct cm_h5bulk *b); /* NULL allowed */
/* Fails if a gzip chunk of these rows unpacks to less than a chunk: libhdf5 1.10 would read beyond
 * its end.  For what libhdf5 is to read; each chunk is looked at once. */
int cm_h5bulk_check(const struct cm_h5set *s, uint64_t first, uint64_t n);

/* Opens `path`; member = NULL or the name of a compound's member.  cache: bytes that may be spent
 * on keeping decoded chunks (0 = a default of some MB).  0 or CM_EINPUT: absent, no dataset, rank
 * above 2, a filter that is not available. */
int cm_h5set_open(struct cm_h5set *s, const struct cm_h5 *h, const char *path, const char *member,
                  uint64_t cache);
/* The dataset that an object-reference attribute points at.  1, 0 (no such one), CM_EINPUT. */
int cm_h5set_open_ref(struct cm_h5set *s, const struct cm_h5 *h, const char *path,
                      const char *attribute, bool *ordered);
void cm_h5set_close(struct cm_h5set *s);

/* Rows first .. first + n - 1 (n * cols items) as a native type.  The range must lie inside. */
int cm_h5set_read(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t native, void *out);
/* The same of columns first .. first + n - 1 of a dataset of rank 2: rows x n items. */
int cm_h5set_read_cols(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t native,
                       void *out);
int cm_h5set_i64(const struct cm_h5set *s, uint64_t first, uint64_t n, int64_t *out);
int cm_h5set_f64(const struct cm_h5set *s, uint64_t first, uint64_t n, double *out);
/* The same as text, appended to `out`: strings of every kind, and numbers and booleans in decimal
 * ("True", "False").  Always UTF-8 (see latin1 above); longer than CM_MAX_NAME, or with a NUL byte
 * inside, is CM_EINPUT. */
int cm_h5set_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out);

/* Prefix of a failure in this dataset: cm_fail(CM_EINPUT, "%s: %s: ...", s->file, s->path, ...). */
#define CM_H5_AT(s) (s)->file, (s)->path

#endif
