/* cli/conditions.h - what tools say about conditions on labels (prep/where.h) and about names. */
#ifndef CM_CLI_CONDITIONS_H
#define CM_CLI_CONDITIONS_H

#include "prep/where.h"

#ifdef __cplusplus
extern "C" {
#endif

/* After all rows: a warning that names the values that no row has.  path: of the stream. */
void cm_warn_missing(const struct cm_where *w, const char *path, const char *option);
/* The same for values that the caller has collected; nothing where `values` is empty. */
void cm_warn_values(const char *path, const char *option, const char *label,
                    const struct cm_buf *values);

/* What readers say about repeated names of features: how many got numbers, and how many still
 * repeat others. */
void cm_warn_repeats(const char *path, size_t renamed, size_t repeated);

#ifdef __cplusplus
}
#endif
#endif
