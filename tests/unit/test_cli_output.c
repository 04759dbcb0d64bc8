/* Outputs appear whole or not at all, and a killed tool leaves nothing.
 *
 * Each case runs as a child process, because failing means ending the program; the parent looks at
 * the status, at the message and at the directory that is left.  Text output takes the same
 * way as a stream (output.c), so nothing here depends on the stream's format.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/pool.h"
#include "cli/internal.h"

static const char *more;
static const struct cm_opt options[] = {
    CM_OPT_FILE(CM_O_OUTPUT, "more", 0, &more, "more", "FILE", "a second output"),
    CM_OPT_END,
};
static const struct cm_tool text_tool = {"foo", "[IN]", "foos", options, 0, 1, CM_TOOL_TEXT};
static const struct cm_tool folder_tool = {
    "foo", "[IN]", "foos", options, 0, 1, CM_TOOL_OWN_OUTPUT | CM_TOOL_FOLDER};
static const struct cm_tool *tool = &text_tool;
static char message[4096];

/* Runs body(arg) as the tool `foo -o OUT`; returns the wait status, stderr in `message`. */
static int run(void (*body)(void), const char *out)
{
    int err = open("stderr.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(err >= 0);
    pid_t child = fork();
    if (child == 0) {
        char name[] = "foo", o[] = "-o", path[256];
        char *argv[] = {name, o, path, NULL};
        strcpy(path, out);
        dup2(err, 2);
        cm_start(tool, out[0] ? 3 : 1, argv);
        body();
        _exit(99);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    ssize_t n = pread(err, message, sizeof message - 1, 0);
    message[n < 0 ? 0 : n] = 0;
    close(err);
    unlink("stderr.txt");
    return status;
}

static int files_here(void)
{
    int n = 0;
    DIR *d = opendir(".");
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n;
}

static void content(const char *path, char out[64])
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, out, 63);
    out[n < 0 ? 0 : n] = 0;
    close(fd);
}

static void write_well(void)
{
    fputs("well\n", cm_out_text());
    _exit(cm_finish());
}

static void write_and_fail(void)
{
    fputs("half", cm_out_text());
    cm_die(3, "%s: line 2\nis \033[31mbad", "in");
}

static void write_and_panic(void)
{
    fputs("half", cm_out_text());
    cm_panic(4, "out of memory");
}

static void write_and_be_killed(void)
{
    FILE *f = cm_out_text();
    fputs("half", f);
    fflush(f);
    raise(SIGTERM);
}

static void write_to_closed_pipe(void)
{
    int fd[2];
    if (pipe(fd) || dup2(fd[1], 1) < 0)
        _exit(98);
    close(fd[0]);
    close(fd[1]);
    fputs("text", cm_out_text());
    cm_finish();
}

static void write_to_closed_pipe_for_success(void)
{
    cm_pipe_closed_is_success();
    write_to_closed_pipe();
}

static void die_politely(void)
{
    cm_signals_polite();
    raise(SIGTERM);
    if (cm_signal_seen() != SIGTERM)
        _exit(97);
    write_well();
}

static int number; /* of a signal */

/* Text in part written to two files, and to one of a folder. */
static void open_all(void)
{
    static const char *const known[] = {"in", NULL};
    FILE *f = tool == &text_tool ? cm_out_text() : cm_out_text_file(more);
    fputs("half", f);
    fflush(f);
    if (tool == &text_tool) {
        fputs("half", cm_out_text_file(more));
    } else {
        cm_out_folder(cm_output(), known);
        if (write(cm_out_folder_file("in"), "half", 4) != 4)
            _exit(98);
    }
}

static void write_much_and_be_killed(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    open_all();
    raise(number);
}

static int panic_together(void *barrier, size_t shard)
{
    pthread_barrier_wait(barrier);
    cm_panic(4, "out of memory: shard %zu", shard);
}

static void write_and_panic_together(void)
{
    enum { N = 4 };
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, N);
    open_all();
    cm_pool_set_threads(N);
    cm_parallel(N, panic_together, &barrier);
}

static void write_over_nobody(void)
{
    FILE *f = cm_out_text();
    fputs("a line", f);
    cm_out_flush(f);
    _exit(96); /* the disk was full */
}

static uint64_t twice_zero_then_one(void)
{
    static int calls;
    return ++calls > 2;
}

static void write_where_names_are_taken(void)
{
    cm_temp_random = twice_zero_then_one;
    write_well();
}

static void write_where_all_names_are_taken(void)
{
    static uint64_t (*same)(void);
    same = twice_zero_then_one;
    same(), same(), same();
    cm_temp_random = same; /* always 1 */
    write_well();
}

static void replaces(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run(write_well, "x"), 0);
    content("x", text);
    assert_string_equal(text, "well\n");
    assert_int_equal(chmod("x", 0640), 0);
    assert_int_equal(run(write_well, "x"), 0);
    struct stat s;
    assert_int_equal(stat("x", &s), 0);
    assert_int_equal(s.st_mode & 0777, 0640);
    assert_int_equal(files_here(), 1);
    assert_int_equal(unlink("x"), 0);
}

static void follows_links(void **state)
{
    (void)state;
    struct stat s;
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(symlink("d/target", "link"), 0); /* dangling */
    for (int k = 0; k < 2; k++) {
        assert_int_equal(run(write_well, "link"), 0);
        assert_int_equal(lstat("link", &s), 0);
        assert_true(S_ISLNK(s.st_mode));
        assert_int_equal(lstat("d/target", &s), 0);
        assert_true(S_ISREG(s.st_mode));
    }
    assert_int_equal(files_here(), 2);
    unlink("d/target");
    rmdir("d");
    unlink("link");
}

static void failure_leaves_nothing(void **state)
{
    (void)state;
    int status = run(write_and_fail, "x");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_string_equal(message, "foo: error: in: line 2 is ?[31mbad\n"); /* one line, masked */
    assert_int_equal(files_here(), 0);

    status = run(write_and_panic, "x");
    assert_int_equal(WEXITSTATUS(status), 4);
    assert_string_equal(message, "foo: error: out of memory\n");
    assert_int_equal(files_here(), 0);
}

static void failure_keeps_the_old_file(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run(write_well, "x"), 0);
    assert_int_equal(WEXITSTATUS(run(write_and_fail, "x")), 3);
    content("x", text);
    assert_string_equal(text, "well\n");
    assert_int_equal(files_here(), 1);
    unlink("x");
}

static void killed_leaves_nothing(void **state)
{
    (void)state;
    int status = run(write_and_be_killed, "x");
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    assert_string_equal(message, "");
    assert_int_equal(files_here(), 0);
}

/* Every signal that ends a process, and crashes: two files, or a file and a folder. */
static void any_end_leaves_nothing(void **state)
{
    (void)state;
    static const int numbers[] = {
        SIGINT,
        SIGTERM,
        SIGHUP,
        SIGQUIT,
        SIGXCPU,
        SIGUSR1,
        SIGUSR2,
        SIGALRM,
        SIGIO,
        SIGPWR,
        SIGPIPE,
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        SIGSEGV,
        SIGBUS,
        SIGFPE,
        SIGILL,
        SIGABRT,
        SIGTRAP,
        SIGSYS,
#endif
        SIGVTALRM
    };
    const struct cm_tool *both[] = {&text_tool, &folder_tool};
    for (size_t t = 0; t < 2; t++)
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            tool = both[t];
            number = numbers[k];
            int status = run(write_much_and_be_killed, "x");
            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), number);
            assert_string_equal(message, "");
            assert_int_equal(files_here(), 0);
        }
    tool = &text_tool;
}

static void one_last_word(void **state)
{
    (void)state;
    for (int k = 0; k < 20; k++) {
        int status = run(write_and_panic_together, "x");
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 4);
        assert_int_equal(strncmp(message, "foo: error: out of memory: shard ", 33), 0);
        assert_string_equal(strchr(message, '\n'), "\n");
        assert_int_equal(files_here(), 0);
    }
}

static void full_disk_is_reported_at_once(void **state)
{
    (void)state;
    assert_int_equal(WEXITSTATUS(run(write_over_nobody, "/dev/full")), 4);
    assert_non_null(strstr(message, "No space left on device"));
}

/* What has our temporary name and is not ours stays as it is. */
static void names_of_others(void **state)
{
    (void)state;
    static const char *const taken[] = {".x.tmp.0000000000", ".x.tmp.1000000000"};
    char text[64];
    FILE *f = fopen(taken[0], "w");
    fputs("theirs", f);
    fclose(f);
    assert_int_equal(run(write_where_names_are_taken, "x"), 0);
    content("x", text);
    assert_string_equal(text, "well\n");
    content(taken[0], text);
    assert_string_equal(text, "theirs");
    unlink("x");

    assert_int_equal(rename(taken[0], taken[1]), 0);
    int status = run(write_where_all_names_are_taken, "x");
    assert_int_equal(WEXITSTATUS(status), 4);
    assert_non_null(strstr(message, "cannot create 'x': File exists"));
    content(taken[1], text);
    assert_string_equal(text, "theirs");
    assert_int_equal(files_here(), 1);
    unlink(taken[1]);
}

static void closed_pipe(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as some parents do */
    int status = run(write_to_closed_pipe, "");
    signal(SIGPIPE, SIG_DFL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGPIPE);
    assert_int_equal(run(write_to_closed_pipe_for_success, ""), 0);
    assert_string_equal(message, "");
}

static void polite(void **state)
{
    (void)state;
    assert_int_equal(run(die_politely, "x"), 0);
    assert_int_equal(unlink("x"), 0);
}

static void bad_targets(void **state)
{
    (void)state;
    int status = run(write_well, "no/x");
    assert_int_equal(WEXITSTATUS(status), 4);
    assert_string_equal(
        message, "foo: error: cannot create 'no/x': directory 'no': No such file or directory\n");
    assert_int_equal(WEXITSTATUS(run(write_well, ".")), 4);
    assert_string_equal(message, "foo: error: cannot create '.': it is a directory\n");
    assert_int_equal(WEXITSTATUS(run(write_well, "/dev/full")), 4);
    assert_non_null(strstr(message, "No space left on device"));
    assert_int_equal(run(write_well, "/dev/null"), 0);
    struct stat s;
    assert_int_equal(stat("/dev/null", &s), 0);
    assert_true(S_ISCHR(s.st_mode));
    assert_int_equal(files_here(), 0);
}

/* A limit on the size of files is a full disk, not death by SIGXFSZ. */
static void write_over_limit(void)
{
    struct rlimit r = {2, 2};
    setrlimit(RLIMIT_FSIZE, &r);
    write_well();
}

static void file_size_limit(void **state)
{
    (void)state;
    struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &r);
    int status = run(write_over_limit, "x");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 4);
    assert_int_equal(files_here(), 0);
}

static void own_path(void)
{
    const char *path = cm_out_path(cm_output());
    int fd = open(path, O_WRONLY);
    if (write(fd, "well\n", 5) != 5)
        _exit(98);
    close(fd);
    if (access("x", F_OK) == 0)
        _exit(97); /* not before it is finished */
    _exit(cm_finish_with(1));
}

static void foreign_files(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(WEXITSTATUS(run(own_path, "x")), 1);
    content("x", text);
    assert_string_equal(text, "well\n");
    assert_int_equal(files_here(), 1);
    unlink("x");
}

static char scratch[] = "/tmp/cellmatch-test-XXXXXX";

static int enter(void **state)
{
    (void)state;
    return mkdtemp(scratch) && !chdir(scratch) ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    return chdir("/") || rmdir(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces),
        cmocka_unit_test(follows_links),
        cmocka_unit_test(failure_leaves_nothing),
        cmocka_unit_test(failure_keeps_the_old_file),
        cmocka_unit_test(killed_leaves_nothing),
        cmocka_unit_test(any_end_leaves_nothing),
        cmocka_unit_test(one_last_word),
        cmocka_unit_test(full_disk_is_reported_at_once),
        cmocka_unit_test(names_of_others),
        cmocka_unit_test(closed_pipe),
        cmocka_unit_test(polite),
        cmocka_unit_test(bad_targets),
        cmocka_unit_test(file_size_limit),
        cmocka_unit_test(foreign_files),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
