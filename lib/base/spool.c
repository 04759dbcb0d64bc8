/* base/spool.c - temporary files without a name, and arrays in them; see spool.h.
 *
 * O_TMPFILE never gives a file one.  Where a file system does not know that, it has a name for a
 * moment, in which no signal may end us.
 */
#include "base/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/signals.h"

const char *cm_spool_dir(void)
{
    const char *dir = getenv("TMPDIR");
    return dir && *dir ? dir : "/tmp";
}

int cm_spool_open(void)
{
    const char *dir = cm_spool_dir();
    sigset_t all, old;
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

/* ===== arrays ============================================================================= */

#define STEP ((size_t)8 << 20) /* arrays grow by this, or an eighth of their size */

/* The arrays there are, and the thread that gives their pages back. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    struct cm_spool **all;
    size_t n, cap;
    size_t before; /* resident bytes of files when there was no array yet: the program's own */
    bool quit;
} keeper = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

/* Resident bytes of mapped files; SIZE_MAX if the system does not say. */
static size_t resident(void)
{
    char text[128];
    size_t size, all, files;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    bool known = sscanf(text, "%zu %zu %zu", &size, &all, &files) == 3;
    return known ? files * (size_t)sysconf(_SC_PAGESIZE) : SIZE_MAX;
}

static void give_back(void) /* called with the lock held */
{
    size_t now = resident();
    if (now != SIZE_MAX && now <= keeper.before + CM_SPOOL_WINDOW)
        return;
    for (size_t i = 0; i < keeper.n; i++) /* the file keeps what was written */
        madvise(keeper.all[i]->p, keeper.all[i]->bytes, MADV_DONTNEED);
}

bool cm_spool_active(void) { return __atomic_load_n(&keeper.n, __ATOMIC_RELAXED) > 0; }

void cm_spool_check(void)
{
    if (!cm_spool_active())
        return;
    pthread_mutex_lock(&keeper.lock); /* who comes while another gives back, waits */
    give_back();
    pthread_mutex_unlock(&keeper.lock);
}

static void *keep(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&keeper.lock);
    while (!keeper.quit) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&keeper.wake, &keeper.lock, &until);
        give_back();
    }
    pthread_mutex_unlock(&keeper.lock);
    return unused;
}

static int start_keeper(void)
{
    sigset_t blocked, old;
    keeper.before = resident();
    keeper.quit = false;
    cm_signals_of_workers(&blocked);
    pthread_sigmask(SIG_BLOCK, &blocked, &old);
    errno = pthread_create(&keeper.thread, NULL, keep, NULL);
    int code = errno ? cm_fail_errno(CM_ESYSTEM, "cannot start a thread") : 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return code;
}

/* The first array: its file, and the thread if it is the first of all. */
static int begin(struct cm_spool *s)
{
    int fd = cm_spool_open();
    if (fd < 0)
        return fd;
    int code = keeper.n ? 0 : start_keeper();
    if (code) {
        close(fd);
        return code;
    }
    pthread_mutex_lock(&keeper.lock);
    CM_GROW(keeper.all, keeper.cap, keeper.n + 1);
    keeper.all[keeper.n] = s;
    __atomic_store_n(&keeper.n, keeper.n + 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&keeper.lock);
    s->fd = fd;
    return 0;
}

int cm_spool_reserve(struct cm_spool *s, size_t bytes)
{
    if (bytes <= s->bytes)
        return 0;
    size_t more = s->bytes / 8 > STEP ? s->bytes / 8 : STEP, size = s->bytes + more;
    size = ((size > bytes ? size : bytes) + STEP - 1) / STEP * STEP;
    int code = s->p ? 0 : begin(s);
    if (code)
        return code;
    do
        errno = posix_fallocate(s->fd, (off_t)s->bytes, (off_t)(size - s->bytes));
    while (errno == EINTR);
    if (!errno) {
        pthread_mutex_lock(&keeper.lock);
        void *p = s->p ? mremap(s->p, s->bytes, size, MREMAP_MAYMOVE)
                       : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
        if (p != MAP_FAILED) {
            s->p = p;
            s->bytes = size;
        }
        pthread_mutex_unlock(&keeper.lock);
        if (p != MAP_FAILED)
            return 0;
    }
    code = cm_fail_errno(CM_ESYSTEM, "a temporary file of %zu MiB in TMPDIR (%s)", size >> 20,
                         cm_spool_dir());
    if (!s->p)
        cm_spool_close(s);
    return code;
}

void cm_spool_close(struct cm_spool *s)
{
    size_t at = 0;
    pthread_mutex_lock(&keeper.lock);
    while (at < keeper.n && keeper.all[at] != s)
        at++;
    bool known = at < keeper.n;
    if (known) {
        keeper.all[at] = keeper.all[keeper.n - 1];
        __atomic_store_n(&keeper.n, keeper.n - 1, __ATOMIC_RELAXED);
    }
    bool last = known && !keeper.n;
    keeper.quit = last;
    pthread_cond_signal(&keeper.wake);
    pthread_mutex_unlock(&keeper.lock);
    if (last)
        pthread_join(keeper.thread, NULL);
    if (last) {
        cm_free(keeper.all);
        keeper.all = NULL;
        keeper.cap = 0;
    }
    if (s->p)
        munmap(s->p, s->bytes);
    if (known)
        close(s->fd);
    *s = (struct cm_spool){0};
}
