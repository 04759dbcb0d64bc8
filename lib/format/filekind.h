/* format/filekind.h - what a file is that is not what was asked for.
 *
 * People give a reader what they have: packed files, R objects, spreadsheets, a page that a server
 * sent in place of the file.  The message then says what it is and which tool takes it.
 */
#ifndef CM_FORMAT_FILEKIND_H
#define CM_FORMAT_FILEKIND_H

#include <stddef.h>

/* p: the first n bytes of the file, n up to a few thousand; name: of the file, whose ending is used
 * where bytes do not tell.  A static text without a full stop, such as "it is gzip-compressed
 * (gunzip it first)"; NULL if the kind is not known. */
const char *cm_file_kind(const unsigned char *p, size_t n, const char *name);

/* The same of a folder: a text to append, beginning with ": ", or "". */
const char *cm_folder_kind(const char *path);

#endif
