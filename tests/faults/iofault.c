/* iofault - preloaded into a tool (LD_PRELOAD), lets one of its system calls fail.
 *
 * IOFAULT="CALL N ERRNO": call N (from 1) of that sort fails with this errno; ERRNO 0: it transfers
 * one byte only, which is no failure.  CALL: read (also pread), write (also pwrite; standard error
 * does not count), open, close (it fails after the file was closed), fsync.  IOFAULT_MARK: a file
 * that is made when it happens, so that a test knows when there is no call N any more.
 *
 * The count goes on in a forked child; of several threads the order is theirs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char call[16], mark[1024];
static long at, seen;
static int error_number;

__attribute__((constructor)) static void set_up(void)
{
    const char *how = getenv("IOFAULT"), *file = getenv("IOFAULT_MARK");
    if (!how || sscanf(how, "%15s %ld %d", call, &at, &error_number) != 3)
        call[0] = 0;
    if (file)
        snprintf(mark, sizeof mark, "%s", file);
}

static bool now(const char *name)
{
    if (strcmp(call, name) || __atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST) != at)
        return false;
    long fd = *mark ? syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT, 0666) : -1;
    if (fd >= 0)
        syscall(SYS_close, fd);
    errno = error_number;
    return true;
}

#define TRANSFER(name, number, group, type)                                                        \
    ssize_t name(int fd, type p, size_t n, off_t to);                                              \
    ssize_t name(int fd, type p, size_t n, off_t to)                                               \
    {                                                                                              \
        if (now(group)) {                                                                          \
            if (error_number)                                                                      \
                return -1;                                                                         \
            n = n ? 1 : 0;                                                                         \
        }                                                                                          \
        return syscall(number, fd, p, n, to);                                                      \
    }
TRANSFER(pread, SYS_pread64, "read", void *)
TRANSFER(pread64, SYS_pread64, "read", void *)
TRANSFER(pwrite, SYS_pwrite64, "write", const void *)
TRANSFER(pwrite64, SYS_pwrite64, "write", const void *)

ssize_t read(int fd, void *p, size_t n)
{
    if (now("read")) {
        if (error_number)
            return -1;
        n = n ? 1 : 0;
    }
    return syscall(SYS_read, fd, p, n);
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (fd != 2 && now("write")) {
        if (error_number)
            return -1;
        n = n ? 1 : 0;
    }
    return syscall(SYS_write, fd, p, n);
}

int close(int fd)
{
    int code = (int)syscall(SYS_close, fd);
    return now("close") && error_number ? -1 : code;
}

int fsync(int fd)
{
    int code = (int)syscall(SYS_fsync, fd);
    return now("fsync") && error_number ? -1 : code;
}

static int open_it(const char *path, int flags, va_list ap)
{
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;
    if (now("open") && error_number)
        return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        int fd = open_it(path, flags, ap);                                                         \
        va_end(ap);                                                                                \
        return fd;                                                                                 \
    }
OPEN(open)
OPEN(open64)
