/* base/sniff.h - if a file is not what was expected, what is it? */
#ifndef CM_BASE_SNIFF_H
#define CM_BASE_SNIFF_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the first n bytes of a file look like, for messages: "a zip archive (unzip it first)".  Has
 * a bracket where the kind is known and is not text. */
const char *cm_sniff(const void *p, size_t n);

#ifdef __cplusplus
}
#endif
#endif
