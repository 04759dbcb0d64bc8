/* base/signals.h - which signals threads leave to the main one. */
#ifndef CM_BASE_SIGNALS_H
#define CM_BASE_SIGNALS_H

#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The signals that a thread beside the main one blocks: all but those of a crash. */
void cm_signals_of_workers(sigset_t *blocked);

#ifdef __cplusplus
}
#endif
#endif
