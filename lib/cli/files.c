/* cli/files.c - inputs, and outputs that appear whole or not at all.
 *
 * Problem: every tool opens streams, must not destroy what it reads, nor leave half a file, and
 * must notice a write error that comes only at the end.  Choice: -o FILE is written as
 * .NAME.tmp.PID beside the target and renamed by cm_out_close, after END, flush and fsync have
 * succeeded for ALL outputs of the tool; one result decides message and status.  What is no regular
 * file (/dev/null, a FIFO, /dev/fd/N) is written in place.  A symbolic link stays and its target is
 * replaced; the mode of a replaced file is kept.
 *
 * An output that is also an input is refused (status 2), though the rename would make it safe: the
 * usual reason is a slip, and what it would destroy is the only copy of the counts.
 */
#include "cli/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
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
    int handle;   /* of the temporary's entry in signals.c */
    int fd;       /* -1 once closed, and for a path given away */
    struct cm_writer *w;
    FILE *text;
    bool ended;
};

enum { OUTPUTS_MAX = CM_TEMP_MAX };
static struct output outputs[OUTPUTS_MAX];
static size_t noutputs;

static struct input {
    struct cm_reader *r;
    bool regular;
    dev_t device;
    ino_t inode;
} * inputs;
static size_t ninputs, inputs_cap;
static bool stdin_taken;

/* ===== inputs ============================================================================== */

static void input_is_output(const char *input, const char *output)
{
    cm_usage_error("output '%s' is also an input ('%s'), which would be lost", output, input);
}

struct cm_reader *cm_in_open(const char *path)
{
    bool dash = !strcmp(path, "-");
    if (dash && stdin_taken)
        cm_usage_error("standard input ('-') can be read only once");
    stdin_taken = stdin_taken || dash;
    CM_GROW(inputs, inputs_cap, ninputs + 1);
    struct input *in = &inputs[ninputs];
    *in = (struct input){0};
    struct stat s;
    if (!(dash ? fstat(0, &s) : stat(path, &s)) && S_ISREG(s.st_mode)) {
        in->regular = true;
        in->device = s.st_dev;
        in->inode = s.st_ino;
        struct stat o;
        for (size_t k = 0; k < noutputs; k++)
            if (outputs[k].target && !stat(outputs[k].target, &o) && o.st_dev == s.st_dev &&
                o.st_ino == s.st_ino)
                input_is_output(path, outputs[k].name);
    }
    cm_try(cm_reader_open(&in->r, path));
    ninputs++;
    return in->r;
}

bool cm_next(struct cm_reader *r, struct cm_chunk *c)
{
    int code = cm_reader_next(r, c);
    cm_try(code);
    return code > 0;
}

void cm_require_kind(struct cm_reader *r, enum cm_kind kind)
{
    enum cm_kind found = cm_reader_head(r)->kind;
    if (found != kind)
        cm_die(3, "%s: expected a stream of kind %s, found kind %s", cm_reader_path(r),
               cm_kind_name(kind), cm_kind_name(found));
}

void cm_require_state(struct cm_reader *r, size_t slot, const int *states, const char *hint)
{
    const struct cm_head *h = cm_reader_head(r);
    if (slot >= h->nslots)
        cm_die(3, "%s: expected %zu slots or more, found %zu", cm_reader_path(r), slot + 1,
               h->nslots);
    char list[256] = "";
    size_t n = 0;
    for (const int *s = states; *s >= 0; s++) {
        if ((int)h->slot[slot].state == *s)
            return;
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? " or " : "",
                              cm_state_name((enum cm_state) * s));
    }
    cm_die(3, "%s: slot %s: expected state %s, found state %s%s%s", cm_reader_path(r),
           h->slot[slot].name, list, cm_state_name(h->slot[slot].state), hint ? "; " : "",
           hint ? hint : "");
}

/* ===== where an output goes ================================================================ */

/* N of /dev/fd/N, /proc/self/fd/N, /dev/stdout, /dev/stderr; otherwise -1. */
static int descriptor_of(const char *path)
{
    static const char *const front[] = {"/dev/fd/", "/proc/self/fd/"};
    if (!strcmp(path, "/dev/stdout"))
        return 1;
    if (!strcmp(path, "/dev/stderr"))
        return 2;
    for (size_t k = 0; k < 2; k++)
        if (!strncmp(path, front[k], strlen(front[k]))) {
            char *end;
            long fd = strtol(path + strlen(front[k]), &end, 10);
            if (!*end && fd >= 0 && fd <= INT_MAX)
                return (int)fd;
        }
    return -1;
}

/* Follows symbolic links of the last component, also to a file that does not exist yet. */
static char *follow_links(const char *path)
{
    char *at = cm_strdup(path);
    for (int steps = 0; steps < 40; steps++) {
        char link[PATH_MAX];
        ssize_t n = readlink(at, link, sizeof link - 1);
        if (n < 0)
            break;
        link[n] = 0;
        char joined[2 * PATH_MAX];
        if (link[0] == '/') {
            snprintf(joined, sizeof joined, "%s", link);
        } else {
            char *copy = cm_strdup(at);
            snprintf(joined, sizeof joined, "%s/%s", dirname(copy), link);
            cm_free(copy);
        }
        cm_free(at);
        at = cm_strdup(joined);
    }
    return at;
}

/* Directory (absolute) and name of a file to be; NULL with a message when the directory is bad. */
char *cm_files_resolve(const char *path, char **name)
{
    char *target = follow_links(path), *for_dir = cm_strdup(target), *for_base = cm_strdup(target);
    const char *dir = dirname(for_dir);
    char *real = realpath(dir, NULL);
    *name = NULL;
    if (!real)
        cm_fail_errno(CM_ESYSTEM, "cannot create '%s': directory '%s'", path, dir);
    else
        *name = cm_strdup(basename(for_base));
    cm_free(target);
    cm_free(for_dir);
    cm_free(for_base);
    return real;
}

/* Dies with the message of `cannot create 'NAME': strerror(errno)`. */
static _Noreturn void cannot_create(const char *path)
{
    cm_fail_errno(CM_ESYSTEM, "cannot create '%s'", path);
    cm_die_code(CM_ESYSTEM);
}

void cm_files_check_output(void)
{
    const char *path = cm_output();
    struct stat s;
    if (!path || descriptor_of(path) >= 0)
        return;
    if (!stat(path, &s)) {
        if (S_ISDIR(s.st_mode) && !(cm_tool->flags & CM_TOOL_OWN_OUTPUT))
            cm_die(4, "cannot create '%s': it is a directory", path);
        if (!S_ISREG(s.st_mode))
            return;
        if (access(path, W_OK))
            cannot_create(path);
    }
    char *name, *dir = cm_files_resolve(path, &name);
    if (!dir)
        cm_die_code(CM_ESYSTEM);
    if (access(dir, W_OK)) {
        cm_fail_errno(CM_ESYSTEM, "cannot create '%s': directory '%s'", path, dir);
        cm_die_code(CM_ESYSTEM);
    }
    free(dir);
    cm_free(name);
}

static void refuse_input(const char *path, const struct stat *s)
{
    /* Operands too, which a converter reads in its own way. */
    struct stat in;
    for (char **p = cm_operands; p && *p; p++)
        if (!stat(*p, &in) && in.st_dev == s->st_dev && in.st_ino == s->st_ino)
            input_is_output(*p, path);
    for (size_t k = 0; k < ninputs; k++)
        if (inputs[k].regular && inputs[k].device == s->st_dev && inputs[k].inode == s->st_ino)
            input_is_output(cm_reader_path(inputs[k].r), path);
}

void cm_files_refuse_input(const char *path)
{
    struct stat s;
    if (!stat(path, &s))
        refuse_input(path, &s);
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
    for (size_t k = 0; k + 1 < noutputs; k++)
        if (outputs[k].target && !strcmp(outputs[k].target, o->target))
            cm_usage_error("two outputs go to '%s'", path);
    snprintf(text, sizeof text, "%s/.%.200s.tmp.%ld", dir, name, (long)getpid());
    o->temp = cm_strdup(text);
    free(dir);
    cm_free(name);
    o->handle = cm_temp_add(o->temp);
    if (o->handle < 0)
        cannot_create(path);
    unlink(o->temp); /* left by an earlier process of our number */
    o->fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (o->fd < 0)
        cannot_create(path);
    if (old && fchmod(o->fd, old->st_mode & 0777)) { /* best effort: we may not own it */
    }
}

/* path NULL = standard output. */
static struct output *open_output(const char *path, bool binary)
{
    struct stat s;
    if (path && !strcmp(path, "-"))
        path = NULL;
    struct output *o = new_output(path ? path : "stdout");
    int fd = path ? descriptor_of(path) : 1;
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
                refuse_input(path, &s);
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
        refuse_input(o->name, &s);
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
        for (size_t k = 0; k < ninputs; k++)
            cm_writer_parent(o->w, inputs[k].r);
    }
    cm_try(cm_writer_head(o->w, h));
    return o->w;
}

struct cm_writer *cm_out_open(const struct cm_head *h) { return cm_out_open_file(cm_output(), h); }

FILE *cm_out_text(void)
{
    struct output *o = open_output(cm_output(), false);
    o->text = fdopen(o->fd, "w");
    if (!o->text)
        cannot_create(o->name);
    setvbuf(o->text, NULL, _IOFBF, (size_t)1 << 16);
    return o->text;
}

const char *cm_out_path(const char *path)
{
    struct stat s;
    bool exists = !stat(path, &s);
    struct output *o = new_output(path);
    if (exists && !S_ISREG(s.st_mode))
        return o->name; /* in place: whether that can work is the writing library's matter */
    if (exists)
        refuse_input(path, &s);
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
        errno = 0;
        bool bad = ferror(o->text);
        if (fflush(o->text) || bad)
            code = cm_fail_errno(CM_ESYSTEM, "%s: cannot write", o->name);
        /* A copy of the descriptor is synced and closed below; fclose frees the rest. */
        int copy = dup(o->fd);
        fclose(o->text);
        o->text = NULL;
        o->fd = copy;
    }
    if (!code)
        code = sync_and_close(o);
    o->ended = !code;
    return code;
}

static void release_output(struct output *o)
{
    cm_writer_free(o->w);
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
    for (size_t k = 0; k < noutputs && !code; k++) {
        struct output *o = &outputs[k];
        if (!o->temp)
            continue;
        if (rename(o->temp, o->target))
            code = cm_fail_errno(CM_ESYSTEM, "cannot create '%s'", o->name);
        else
            cm_temp_forget(o->handle);
    }
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
    if (!code && o->temp) {
        if (rename(o->temp, o->target))
            code = cm_fail_errno(CM_ESYSTEM, "cannot create '%s'", o->name);
        else
            cm_temp_forget(o->handle);
    }
    if (code)
        cm_die_code(code);
    release_output(o);
    outputs[k] = outputs[--noutputs];
}

int cm_finish_with(int status)
{
    int failed = cm_out_close();
    for (size_t k = 0; k < ninputs; k++)
        cm_reader_close(inputs[k].r);
    cm_free(inputs);
    inputs = NULL;
    ninputs = inputs_cap = 0;
    cm_say_costs();
    return failed ? failed : status;
}

int cm_finish(void) { return cm_finish_with(0); }

void cm_files_abandon(int status, const char *message)
{
    static bool once;
    const char *tool = cm_tool_name();
    if (once)
        return; /* a failure while we report one */
    once = true;
    /* An ABORT from upstream goes on with its own origin, so that the last stage can name it. */
    for (size_t k = 0; status == -CM_EABORT && k < ninputs; k++) {
        int origin = 0;
        const char *who = NULL, *what = NULL;
        cm_reader_abort_info(inputs[k].r, &origin, &who, &what);
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
    cm_temp_remove_all();
}
