/* cli/temp.c - names of temporary files that nobody else has.
 *
 * Two writers of one target may have the same process number (containers, machines that share a
 * file system), and a name left by a killed tool may be met again; so a name ends in 50 random bits
 * and is taken only if it is free.  A file that we have not made is never removed.
 */
#include "cli/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"

enum { TRIES = 100 };

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
