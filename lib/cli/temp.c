/* cli/temp.c - temporary files: names that nobody else has, and a list of what must go.
 *
 * The list is static, so that a signal handler can walk it: unlink is async-signal-safe.
 *
 * Two writers of one target may have the same process number (containers, machines that share a
 * file system), and a name left by a killed tool may be met again; so a name ends in 50 random bits
 * and is taken only if it is free.  A file that we have not made is never removed.
 */
#include "cli/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"

enum { TRIES = 100 };

/* ===== the list =========================================================================== */

static struct temps {
    char path[CM_TEMP_MAX][PATH_MAX];
    volatile sig_atomic_t live[CM_TEMP_MAX];
} own_temps, *temps = &own_temps;

int cm_temp_add(const char *path)
{
    for (int k = 0; k < CM_TEMP_MAX; k++)
        if (!temps->live[k]) {
            if (strlen(path) >= sizeof temps->path[k]) {
                errno = ENAMETOOLONG;
                return -1;
            }
            strcpy(temps->path[k], path);
            temps->live[k] = 1;
            return k;
        }
    errno = EMFILE;
    return -1;
}

int cm_temp_share(void)
{
    void *p = mmap(NULL, sizeof *temps, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -1;
    temps = p;
    return 0;
}

void cm_temp_forget(int handle) { temps->live[handle] = 0; }

bool cm_temp_unlink_all(void)
{
    bool any = false;
    for (int k = CM_TEMP_MAX; k-- > 0;) /* backwards: files before the directory they are in */
        if (temps->live[k]) {
            if (unlink(temps->path[k]))
                rmdir(temps->path[k]);
            any = true;
        }
    return any;
}

void cm_temp_remove_all(int status, const char *message)
{
    (void)status, (void)message;
    cm_temp_unlink_all();
    for (int k = 0; k < CM_TEMP_MAX; k++)
        temps->live[k] = 0;
}

/* ===== names ============================================================================== */

static uint64_t from_system(void)
{
    uint64_t v;
    if (getrandom(&v, sizeof v, 0) == (ssize_t)sizeof v)
        return v;
    static uint64_t calls;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    const uint64_t seed[4] = {(uint64_t)t.tv_sec, (uint64_t)t.tv_nsec, (uint64_t)getpid(), ++calls};
    return cm_hash64(seed, sizeof seed, 0);
}

uint64_t (*cm_temp_random)(void) = from_system;

static char *name_beside(const char *dir, const char *name)
{
    static const char digit[] = "0123456789abcdefghijklmnopqrstuv";
    char tail[11] = "";
    uint64_t v = cm_temp_random();
    for (int k = 0; k < 10; k++, v >>= 5)
        tail[k] = digit[v & 31];
    struct cm_buf b = {0};
    cm_buf_printf(&b, "%s/.%.100s.tmp.%s", dir, name, tail);
    return (char *)b.p;
}

int cm_temp_make(const char *dir, const char *name, bool folder, char **path, int *handle)
{
    sigset_t all, old;
    int fd = -1, why = EEXIST;
    sigfillset(&all);
    *handle = -1;
    for (int k = 0; k < TRIES && fd < 0 && why == EEXIST; k++) {
        *path = name_beside(dir, name);
        /* No signal may come between the making of a file and its entry in the list. */
        pthread_sigmask(SIG_BLOCK, &all, &old);
        fd = folder ? mkdir(*path, 0777)
                    : open(*path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        why = errno;
        if (fd >= 0 && (*handle = cm_temp_add(*path)) < 0) {
            why = errno;
            if (folder)
                rmdir(*path);
            else
                unlink(*path), close(fd);
            fd = -1;
        }
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (fd < 0) {
            cm_free(*path);
            *path = NULL;
        }
    }
    errno = why;
    return fd;
}
