/* base/spool.h - a temporary file without a name. */
#ifndef CM_BASE_SPOOL_H
#define CM_BASE_SPOOL_H

#ifdef __cplusplus
extern "C" {
#endif

/* A file in TMPDIR (/tmp) for reading and writing that goes when its descriptor is closed, however
 * the program ends.  The descriptor, or CM_ESYSTEM with a message. */
int cm_spool_open(void);

#ifdef __cplusplus
}
#endif
#endif
