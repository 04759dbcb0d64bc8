/* format/filekind.h - what a file is that is not what was asked for.
 *
 * People give a reader what they have: packed files, R objects, spreadsheets, a page that a server
 * sent in place of the file.  The message then says what it is and which tool takes it.
 */
#ifndef CM_FORMAT_FILEKIND_H
#define CM_FORMAT_FILEKIND_H

#include <stddef.h>

/* Bytes from the start of a file that usually suffice: a whole block of zstd, of which nothing
 * can be unpacked before its end is there. */
#define CM_FILE_KIND_BYTES ((128 << 10) + 64)

/* p: the first n bytes of the file, CM_FILE_KIND_BYTES where it has so many; name: of the file,
 * whose ending is used where the bytes do not suffice.  A static text such as "an Excel
 * workbook (save ...)"; what base/sniff.h knows, and what only a look inside tells.  NULL if the
 * kind is not known. */
const char *cm_file_kind(const unsigned char *p, size_t n, const char *name);

/* The same of a folder: a text to append, beginning with ": ", or "". */
const char *cm_folder_kind(const char *path);

#endif
