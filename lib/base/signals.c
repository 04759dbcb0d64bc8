/* base/signals.c - see signals.h. */
#include "base/signals.h"

#include <stddef.h>

void cm_signals_of_workers(sigset_t *blocked)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigfillset(blocked);
    for (size_t k = 0; k < sizeof crashes / sizeof *crashes; k++)
        sigdelset(blocked, crashes[k]);
}
