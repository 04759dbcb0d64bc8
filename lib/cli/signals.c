/* cli/signals.c - what a killed tool leaves behind: nothing.
 *
 * A job that is cancelled must not leave half a file, and must die BY the signal, so that the
 * shell, make and the batch system see what happened.  The handler unlinks the temporary files
 * (temp.c), restores the default action and raises the signal again.  A crash takes the same way.
 * Nothing is written to the stream: a stream without END is an error for every reader, which is all
 * that ABORT would say.
 *
 * SIGPIPE takes the same way even if our parent ignores it, so that `tool | head` ends with 141 and
 * not with a write error.  SIGXFSZ is ignored: write() then reports EFBIG, as on a full disk.
 */
#include "cli/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t seen, pipe_is_success;

/* SA_RESETHAND has restored the default action when this runs. */
static void on_fatal(int number)
{
    bool promised = cm_temp_unlink_all();
    if (number == SIGPIPE && pipe_is_success && !promised)
        _exit(0);
    raise(number);
}

/* The first one is a request; a second SIGTERM kills. */
static void on_polite(int number)
{
    seen = number;
    if (number == SIGTERM) {
        struct sigaction a = {.sa_handler = on_fatal, .sa_flags = SA_RESETHAND | SA_NODEFER};
        sigemptyset(&a.sa_mask);
        sigaction(SIGTERM, &a, NULL);
    }
}

/* A signal that the parent ignores (nohup, a background job) stays ignored, SIGPIPE excepted. */
static void install(int number, void (*handler)(int), int flags)
{
    struct sigaction a = {.sa_handler = handler, .sa_flags = flags}, old;
    sigemptyset(&a.sa_mask);
    if (!sigaction(number, NULL, &old) && old.sa_handler == SIG_IGN && number != SIGPIPE)
        return;
    sigaction(number, &a, NULL);
}

/* Put aside for the end: when memory is gone, ABORT can still be written. */
static void *reserve;

static void on_panic(int status, const char *message)
{
    free(reserve);
    reserve = NULL;
    cm_die(status, "%s", message);
}

/* A crash leaves no file either.  A sanitizer has handlers of its own, which say more. */
static void crash_start(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    static char stack[1 << 16]; /* ours may be what has run out */
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&other, NULL);
    for (size_t k = 0; k < sizeof crashes / sizeof *crashes; k++)
        install(crashes[k], on_fatal, (int)(SA_RESETHAND | SA_NODEFER | SA_ONSTACK));
#endif
}

void cm_signals_start(void)
{
    /* A closed descriptor 0, 1 or 2 would be taken by the first file we open, and data would go
     * there.  /dev/null opened the wrong way round takes its place: using it is an error. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
                _exit(4);

    static const int fatal[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGXCPU,   SIGUSR1,
                                SIGUSR2, SIGPIPE, SIGALRM, SIGIO,   SIGVTALRM, SIGPWR};
    sigset_t pipe_set;
    for (size_t k = 0; k < sizeof fatal / sizeof *fatal; k++)
        install(fatal[k], on_fatal, (int)(SA_RESETHAND | SA_NODEFER));
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigprocmask(SIG_UNBLOCK, &pipe_set, NULL);
    signal(SIGXFSZ, SIG_IGN);
    crash_start();

    reserve = malloc((size_t)1 << 18);
    cm_panic_hook(on_panic);
}

void cm_signals_polite(void)
{
    install(SIGTERM, on_polite, SA_RESTART);
    install(SIGUSR1, on_polite, SA_RESTART);
}

int cm_signal_seen(void) { return seen; }
void cm_pipe_closed_is_success(void) { pipe_is_success = 1; }
