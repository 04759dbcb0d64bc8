/* format/note.c - the text of note.h. */
#include "format/note.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"

#define PIECE ((uint64_t)65536) /* values from either end */

int cm_note_values(cm_note_read *read, void *of, uint64_t rows, uint64_t cols,
                   char out[CM_NOTE_SIZE])
{
    uint64_t n = cols ? PIECE / cols : 0, hash = 0;
    n = n ? n : 1;
    n = n < rows ? n : rows;
    double *v = CM_NEW((size_t)(n * cols) + 1, double);
    int code = cols && rows ? read(of, 0, n, v) : 0;
    for (uint64_t i = 0; i < n * cols; i++)
        v[i] = v[i] == 0 ? 0 : v[i]; /* one zero */
    if (!code && cols && rows)
        hash = cm_hash64(v, (size_t)(n * cols) * sizeof *v, 0);
    code = code ? code : cols && rows ? read(of, rows - n, n, v) : 0;
    for (uint64_t i = 0; i < n * cols; i++)
        v[i] = v[i] == 0 ? 0 : v[i];
    if (!code && cols && rows)
        hash = cm_hash64(v, (size_t)(n * cols) * sizeof *v, hash);
    cm_free(v);
    snprintf(out, CM_NOTE_SIZE, "%" PRIu64 " %016" PRIx64, rows * cols, hash);
    return code;
}
