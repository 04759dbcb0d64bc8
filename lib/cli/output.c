/* cli/output.c - outputs that appear whole or not at all.
 *
 * -o FILE is written as .NAME.tmp.RANDOM beside the target and renamed by cm_out_close, after END,
 * flush and fsync have succeeded for ALL outputs of the tool; one result decides message and
 * status. What is no regular file (/dev/null, a FIFO, /dev/fd/N) is written in place.  A symbolic
 * link stays and its target is replaced; the mode of a replaced file is kept.
 *
 * An output that is also an input is refused (status 2), though the rename would make it safe: the
 * usual reason is a slip, and what it would destroy is the only copy of the counts.
 */
#include "cli/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

struct output {
    char *name;   /* as the user gave it */
    char *target; /* resolved; NULL = written in place */
    char *temp;   /* beside the target */
    int handle;   /* of the temporary's entry in temp.c */
    int fd;       /* -1 once closed, and for a path given away */
    struct cm_writer *w;
    FILE *text;
    struct sink *sink; /* of text */
    bool ended;
};

/* Where a text stream writes to, and the errno of the first write that failed: stdio notices in
 * the middle of a long text, and says so at its end, when errno is another. */
struct sink {
    int fd, error;
};

enum { OUTPUTS_MAX = CM_TEMP_MAX };
static struct output outputs[OUTPUTS_MAX];
static size_t noutputs;

/* ===== where an output goes ================================================================ */

/* Dies with the message of `cannot create 'NAME': strerror(errno)`. */
static _Noreturn void cannot_create(const char *path)
{
    cm_fail_errno(CM_ESYSTEM, "cannot create '%s'", path);
    cm_die_code(CM_ESYSTEM);
}

static struct output *new_output(const char *name)
{
    CM_ASSERT(noutputs < OUTPUTS_MAX);
    struct output *o = &outputs[noutputs++];
    *o = (struct output){.name = cm_strdup(name), .handle = -1, .fd = -1};
    return o;
}

/* Creates the temporary file beside `path`; o->fd is open for writing. */
static void open_temporary(struct output *o, const char *path, const struct stat *old)
{
    char *name, *dir = cm_files_resolve(path, &name);
    if (!dir)
        cm_die_code(CM_ESYSTEM);
    char text[2 * PATH_MAX];
    snprintf(text, sizeof text, "%s%s%s", dir, strcmp(dir, "/") ? "/" : "", name);
    o->target = cm_strdup(text);
    o->fd = cm_temp_make(dir, name, false, &o->temp, &o->handle);
    if (o->fd < 0)
        cannot_create(path);
    free(dir);
    cm_free(name);
    if (old && fchmod(o->fd, old->st_mode & 0777)) { /* best effort: we may not own it */
    }
}

/* path NULL = standard output. */
static struct output *open_output(const char *path, bool binary)
{
    struct stat s;
    if (path && !strcmp(path, "-"))
        path = NULL;
    CM_ASSERT(!path || cm_files_declared(path)); /* else nobody has looked whether it is an input */
    struct output *o = new_output(path ? path : "stdout");
    int fd = path ? cm_files_descriptor(path) : 1;
    if (fd >= 0) {
        o->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (o->fd < 0)
            cannot_create(o->name);
    } else {
        bool exists = !stat(path, &s);
        if (exists && S_ISDIR(s.st_mode)) {
            errno = EISDIR;
            cannot_create(path);
        }
        if (exists && access(path, W_OK)) /* the rename would replace a read-only file */
            cannot_create(path);
        if (!exists || S_ISREG(s.st_mode)) {
            if (exists)
                cm_files_refuse_input(path, &s);
            open_temporary(o, path, exists ? &s : NULL);
            return o;
        }
        o->fd = open(path, O_WRONLY | O_CLOEXEC);
        if (o->fd < 0)
            cannot_create(path);
    }
    if (binary && isatty(o->fd)) {
        close(o->fd);
        o->fd = -1;
        cm_usage_error("%s is a terminal and the output is binary; use a pipe or -o FILE", o->name);
    }
    if (!fstat(o->fd, &s) && S_ISREG(s.st_mode))
        cm_files_refuse_input(o->name, &s);
    if (S_ISFIFO(s.st_mode))
        (void)fcntl(o->fd, F_SETPIPE_SZ,
                    1 << 20); /* fewer switches between stages; may be denied */
    return o;
}

/* ===== opening ============================================================================= */

struct cm_writer *cm_out_open_file(const char *path, const struct cm_head *h)
{
    struct output *o = open_output(path, true);
    o->w = cm_writer_make(o->fd, o->name, (int)cm_common.level);
    if (!cm_common.no_provenance) {
        char seed[24];
        snprintf(seed, sizeof seed, "%llu", (unsigned long long)cm_seed());
        cm_writer_stage(o->w, cm_tool->name, CM_VERSION, cm_options_args(),
                        cm_tool->flags & CM_TOOL_SEED ? seed : NULL);
        struct cm_reader **in;
        size_t n = cm_inputs(&in);
        for (size_t k = 0; k < n; k++)
            cm_writer_parent(o->w, in[k]);
    }
    cm_try(cm_writer_head(o->w, h));
    return o->w;
}

struct cm_writer *cm_out_open(const struct cm_head *h) { return cm_out_open_file(cm_output(), h); }

static ssize_t sink_write(void *cookie, const char *p, size_t n)
{
    struct sink *s = cookie;
    for (size_t at = 0; at < n;) {
        ssize_t done = write(s->fd, p + at, n - at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            s->error = s->error ? s->error : errno;
            return 0;
        }
        at += (size_t)done;
    }
    return (ssize_t)n;
}

FILE *cm_out_text(void) { return cm_out_text_file(cm_output()); }

FILE *cm_out_text_file(const char *path)
{
    struct output *o = open_output(path, false);
    o->sink = CM_ZNEW(1, struct sink);
    o->sink->fd = o->fd;
    o->text = fopencookie(o->sink, "w", (cookie_io_functions_t){.write = sink_write});
    if (!o->text)
        cannot_create(o->name);
    setvbuf(o->text, NULL, _IOFBF, (size_t)1 << 16);
    return o->text;
}

/* Writes what stdio holds; CM_ESYSTEM with the reason of the first failure. */
static int flush_text(struct output *o)
{
    bool bad = ferror(o->text);
    if (!fflush(o->text) && !bad)
        return 0;
    errno = o->sink->error ? o->sink->error : errno;
    return cm_fail_errno(CM_ESYSTEM, "%s: cannot write", o->name);
}

void cm_out_flush(FILE *text)
{
    size_t k = 0;
    while (k < noutputs && outputs[k].text != text)
        k++;
    CM_ASSERT(k < noutputs);
    if (flush_text(&outputs[k]))
        cm_die_code(CM_ESYSTEM);
}

const char *cm_out_path(const char *path)
{
    struct stat s;
    bool exists = !stat(path, &s);
    CM_ASSERT(cm_files_declared(path));
    struct output *o = new_output(path);
    if (exists && !S_ISREG(s.st_mode))
        return o->name; /* in place: whether that can work is the writing library's matter */
    if (exists)
        cm_files_refuse_input(path, &s);
    open_temporary(o, path, exists ? &s : NULL);
    close(o->fd);
    o->fd = -1;
    return o->temp;
}

/* ===== closing ============================================================================= */

static int sync_and_close(struct output *o)
{
    if (o->fd < 0 && !o->temp)
        return 0;
    int fd = o->fd >= 0 ? o->fd : open(o->temp, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cm_fail_errno(CM_ESYSTEM, "%s: cannot open the finished file", o->name);
    struct stat s;
    int code = 0;
    if (!fstat(fd, &s) && S_ISREG(s.st_mode) && fsync(fd) && errno != EINVAL && errno != EROFS &&
        errno != ENOTSUP && errno != ENOSYS && errno != EBADF)
        code = cm_fail_errno(CM_ESYSTEM, "%s: cannot write to the disk", o->name);
    o->fd = -1;
    if (close(fd) && !code && errno != EINTR)
        code = cm_fail_errno(CM_ESYSTEM, "%s: cannot write", o->name);
    return code;
}

static int end_output(struct output *o)
{
    int code = 0;
    if (o->w) {
        code = cm_writer_end(o->w);
    } else if (o->text) {
        code = flush_text(o);
        fclose(o->text); /* the descriptor is synced and closed below */
        o->text = NULL;
    }
    if (!code)
        code = sync_and_close(o);
    o->ended = !code;
    return code;
}

static int put_in_place(struct output *o)
{
    if (!o->temp)
        return 0;
    if (rename(o->temp, o->target))
        return cm_fail_errno(CM_ESYSTEM, "cannot create '%s'", o->name);
    cm_temp_forget(o->handle);
    return 0;
}

static void release_output(struct output *o)
{
    cm_writer_free(o->w);
    cm_free(o->sink);
    if (o->fd >= 0)
        close(o->fd);
    cm_free(o->name);
    cm_free(o->target);
    cm_free(o->temp);
}

int cm_out_close(void)
{
    int code = 0;
    cm_progress_end();
    for (size_t k = 0; k < noutputs && !code; k++)
        code = end_output(&outputs[k]);
    code = code ? code : cm_folder_close();
    for (size_t k = 0; k < noutputs && !code; k++)
        code = put_in_place(&outputs[k]);
    if (code)
        cm_die_code(code);
    for (size_t k = 0; k < noutputs; k++)
        release_output(&outputs[k]);
    noutputs = 0;
    return 0;
}

void cm_out_now(struct cm_writer *w)
{
    size_t k = 0;
    while (k < noutputs && outputs[k].w != w)
        k++;
    CM_ASSERT(k < noutputs);
    struct output *o = &outputs[k];
    int code = end_output(o);
    code = code ? code : put_in_place(o);
    if (code)
        cm_die_code(code);
    release_output(o);
    outputs[k] = outputs[--noutputs];
}

/* ABORT into what has begun.  Temporary files are gone by now: to write takes memory, which may be
 * what we have not. */
static void abort_outputs(int status, const char *message)
{
    const char *tool = cm_tool_name();
    struct cm_reader **in;
    size_t n = cm_inputs(&in);
    /* An ABORT from upstream goes on with its own origin, so that the last stage can name it. */
    for (size_t k = 0; status == -CM_EABORT && k < n; k++) {
        int origin = 0;
        const char *who = NULL, *what = NULL;
        cm_reader_abort_info(in[k], &origin, &who, &what);
        if (who && *who) {
            status = origin;
            tool = who;
            message = what ? what : "";
            break;
        }
    }
    signal(SIGPIPE, SIG_IGN); /* the status is decided; a reader that left changes nothing */
    for (size_t k = 0; k < noutputs; k++)
        if (outputs[k].w && !outputs[k].target && !outputs[k].ended)
            cm_writer_abort(outputs[k].w, status, tool, message);
}

void cm_outputs_start(void) { cm_exit_push(abort_outputs); }

int cm_finish_with(int status)
{
    int failed = cm_out_close();
    cm_inputs_close();
    cm_say_costs();
    return failed ? failed : status;
}

int cm_finish(void) { return cm_finish_with(0); }
