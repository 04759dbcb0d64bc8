/* format/note.h - a short text by which a matrix is known again.
 *
 * h5-write notes the state of X in the file, and people change X afterwards.  The text is the
 * number of values and a hash of the first and last of them: what changes the scale of a matrix
 * changes those, and reading them costs nothing.
 */
#ifndef CM_FORMAT_NOTE_H
#define CM_FORMAT_NOTE_H

#include <stdint.h>

#define CM_NOTE_SIZE 48

/* Rows first .. first + n - 1 of the values as doubles; 0 or an error. */
typedef int cm_note_read(void *of, uint64_t first, uint64_t n, double *out);

/* rows x cols values (of a sparse matrix: its stored entries x 1). */
int cm_note_values(cm_note_read *read, void *of, uint64_t rows, uint64_t cols,
                   char out[CM_NOTE_SIZE]);

#endif
