/* base/spool.c - a temporary file without a name; see spool.h.
 *
 * O_TMPFILE never gives it one.  Where a file system does not know that, it has a name for a
 * moment, in which no signal may end us.
 */
#include "base/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"

int cm_spool_open(void)
{
    const char *dir = getenv("TMPDIR");
    sigset_t all, old;
    dir = dir && *dir ? dir : "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    struct cm_buf path = {0};
    cm_buf_printf(&path, "%s/cellmatch.XXXXXX", dir);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    fd = mkostemp((char *)path.p, O_CLOEXEC);
    if (fd < 0)
        fd = cm_fail_errno(CM_ESYSTEM, "%s: cannot make a temporary file", (char *)path.p);
    else
        unlink((char *)path.p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    cm_buf_free(&path);
    return fd;
}
