/* cli/guard.c - a tool that reads foreign binary files with a foreign library runs in a child.
 *
 * libhdf5 may crash, loop or take all memory on a damaged or malicious file, and a stage of a
 * pipeline must end with one line and a status even then. main forks before it does anything; the
 * child IS the tool and has the descriptors, options and threads, so nothing is copied or slower;
 * the parent sleeps until the child ends and ends in the same way, except that death by a crash,
 * or by a limit that the child set on itself, becomes one line and status 3. Rejected: a reader
 * process that pipes decoded blocks (costs a copy, and two processes must agree on errors), and
 * handlers for SIGSEGV (nothing is safe after it).
 *
 * Temporary files are listed in a shared table (temp.c), so that the parent can remove what a dead
 * child left.  A signal sent to the parent is passed on; one from the terminal reaches both anyway.
 */
#include "cli/internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Under a sanitizer address space is spent by the terabyte and means nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIMITS false
#else
#define LIMITS true
#endif

static struct shared {
    volatile sig_atomic_t reading; /* a crash from now on is the file's doing */
    unsigned long long memory;     /* what was allowed, 0 = no limit */
    char file[512];
} * shared;

static volatile pid_t child;
static volatile sig_atomic_t cancelled; /* the signal that was passed on */
static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGXCPU};
enum { NPASSED = sizeof passed_on / sizeof *passed_on };

static void pass_on(int number, siginfo_t *info, void *unused)
{
    (void)unused;
    cancelled = number;
    if (child > 0 && info->si_code <= 0) /* a user's kill, not the terminal's */
        kill(child, number);
}

static _Noreturn void die_by(int number)
{
    struct rlimit none = {0, 0};
    sigset_t all;
    setrlimit(RLIMIT_CORE, &none);
    signal(number, SIG_DFL);
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    raise(number);
    cm_leave(128 + number);
}

static _Noreturn void crashed(int number)
{
    if (number == SIGPROF)
        cm_die(3, "%s: damaged or malicious: libhdf5 does not come to an end with it",
               shared->file);
    cm_die(3, "%s: damaged or malicious: libhdf5 crashed on it (%s)", shared->file,
           strsignal(number));
}

static _Noreturn void supervise(const char *tool)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            cm_leave(4);
    child = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        cm_leave(0);
    cm_temp_unlink_all(); /* also behind an exit that a library or a sanitizer took upon itself */
    /* A job that is cancelled whole loses its pipes too: the child may notice that first. */
    if (cancelled)
        die_by(cancelled);
    static struct cm_tool named;
    named.name = tool;
    cm_tool = &named;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 255) /* no status of ours: libhdf5's exit(-1) */
        cm_die(shared->memory ? 3 : 4, "%s%slibhdf5 ended the program: out of memory?",
               shared->file, *shared->file ? ": " : "");
    if (WIFEXITED(status))
        cm_leave(WEXITSTATUS(status));
    int number = WTERMSIG(status);
    bool crash = number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL ||
                 number == SIGABRT || number == SIGTRAP || number == SIGPROF;
    if (!crash || !shared->reading)
        die_by(number);
    crashed(number);
}

void cm_guard_start(const char *tool)
{
    sigset_t set, old;
    struct rlimit core = {0, 0};
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || cm_temp_share())
        cm_panic(4, "cannot share memory: %s", strerror(errno));
    sigemptyset(&set);
    for (int k = 0; k < NPASSED; k++)
        sigaddset(&set, passed_on[k]);
    sigprocmask(SIG_BLOCK, &set, &old); /* nothing gets lost before somebody listens */
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        cm_panic(4, "cannot start a process: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(4);
        setrlimit(RLIMIT_CORE, &core);
        sigprocmask(SIG_SETMASK, &old, NULL);
        return;
    }
    child = pid;
    close(0); /* the ends of pipes are the child's */
    close(1);
    for (int k = 0; k < NPASSED; k++) {
        struct sigaction a = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};
        sigemptyset(&a.sa_mask);
        sigaction(passed_on[k], &a, NULL);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    supervise(tool);
}

/* Memory that runs out under the limit is the file's doing too. */
static void on_panic(int status, const char *message)
{
    if (status != 4 || strncmp(message, "out of memory", 13))
        cm_die(status, "%s", message);
    struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(RLIMIT_DATA, &r);
    r.rlim_cur = r.rlim_max; /* the line itself needs some */
    setrlimit(RLIMIT_DATA, &r);
    cm_die(3, "%s: needs more than the %llu MiB of memory that are allowed for it (%s)",
           shared->file, shared->memory >> 20, message);
}

void cm_guard_file(const char *name, uint64_t memory)
{
    CM_ASSERT(shared);
    snprintf(shared->file, sizeof shared->file, "%s", name);
    shared->reading = 1;
    struct rlimit r;
    if (!LIMITS || getrlimit(RLIMIT_DATA, &r) || memory >= r.rlim_cur)
        return;
    r.rlim_cur = (rlim_t)memory;
    shared->memory = memory;
    if (!setrlimit(RLIMIT_DATA, &r))
        cm_panic_hook(on_panic);
}

void cm_guard_done(void) { shared->reading = 0; }
