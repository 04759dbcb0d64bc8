/* cli/known.c - every file that a tool reads or writes, in one list.
 *
 * An input must never be lost by a slip on the command line, and a file can be named in many ways:
 * as an operand, by an option, behind `<` or `>`, through links of any kind, as /dev/fd/N.  So the
 * option table says which options name files (CM_O_INPUT, CM_O_OUTPUT ...), cm_start puts all of
 * them into this list with their device and inode, and descriptor 0, too; what a tool finds by
 * itself (the files of an MTX directory) it adds with cm_in_note.  Whatever is both is refused,
 * before any work and before anything is opened, and so are two outputs that go to one file.
 *
 * Then each output is tried as far as can be done without making it, so that a job of hours does
 * not fail at its end: is the directory there, can a file be made in it, may the old one go?
 */
#include "cli/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/mem.h"

struct known {
    char *name;
    struct stat s;
    bool there;      /* s is filled */
    bool state;      /* input: a checkpoint; output: what may replace it */
    bool sure;       /* output: it will be written; a tool without -o may print, or not */
    bool descriptor; /* output: open already */
    char *target;    /* output: absolute, links followed; NULL = no file to be made */
};
static struct list {
    struct known *v;
    size_t n, cap;
} inputs, outputs;
static bool listed; /* outputs are given as TYPE=OUT, and nothing goes to standard output */

static struct known *add(struct list *l, const char *name)
{
    CM_GROW(l->v, l->cap, l->n + 1);
    l->v[l->n] = (struct known){.name = cm_strdup(name)};
    return &l->v[l->n++];
}

static void clear(struct list *l)
{
    for (size_t k = 0; k < l->n; k++) {
        cm_free(l->v[k].name);
        cm_free(l->v[k].target);
    }
    l->n = 0;
}

/* A terminal or /dev/null may be both, and a pipe has two ends. */
static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && !S_ISCHR(a->st_mode);
}

/* ===== names =============================================================================== */

int cm_files_descriptor(const char *path)
{
    static const char *const front[] = {"/dev/fd/", "/proc/self/fd/"};
    if (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"))
        return 1;
    if (!strcmp(path, "/dev/stderr"))
        return 2;
    for (size_t k = 0; k < 2; k++)
        if (!strncmp(path, front[k], strlen(front[k]))) {
            char *end;
            const char *digits = path + strlen(front[k]);
            long fd = strtol(digits, &end, 10);
            if (end != digits && !*end && fd >= 0 && fd <= INT_MAX)
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

/* stat, also of FILE/MODALITY, which stands for something inside a file. */
static bool find(const char *path, struct stat *s)
{
    char *front = cm_strdup(path), *slash;
    bool found = !stat(front, s);
    while (!found && errno == ENOTDIR && (slash = strrchr(front, '/')) && slash > front) {
        *slash = 0;
        found = !stat(front, s);
    }
    cm_free(front);
    return found;
}

/* ===== what is both ======================================================================== */

/* Our own line must not go into the input: standard error, too, may have been sent there. */
static void spare_stderr(const struct stat *s)
{
    struct stat err;
    if (fstat(2, &err) || !same_file(&err, s))
        return;
    int fd = open("/dev/tty", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || dup2(fd, 2) < 0)
        close(2);
}

static void check_pair(const struct known *in, const struct known *out)
{
    if (!in->there || !out->there || !same_file(&in->s, &out->s) || (in->state && out->state))
        return;
    spare_stderr(&in->s);
    cm_usage_error("output '%s' is also an input ('%s'), which would be lost%s", out->name,
                   in->name,
                   out->descriptor && S_ISREG(in->s.st_mode) && !in->s.st_size
                       ? "; it is empty now: a shell empties the file behind '>' first"
                       : "");
}

void cm_files_refuse_input(const char *name, const struct stat *s)
{
    struct known out = {.name = cm_strdup(name), .s = *s, .there = true};
    for (size_t k = 0; k < outputs.n; k++)
        out.state = out.state || (outputs.v[k].state && !strcmp(outputs.v[k].name, name));
    for (size_t k = 0; k < inputs.n; k++)
        check_pair(&inputs.v[k], &out);
    cm_free(out.name);
}

static void note(const char *path, bool state)
{
    struct stat s;
    if (!strcmp(path, "-") || !find(path, &s)) /* descriptor 0 is there already */
        return;
    struct known *in = add(&inputs, path);
    in->s = s;
    in->there = true;
    in->state = state;
    for (size_t k = 0; k < outputs.n; k++)
        check_pair(in, &outputs.v[k]);
}

void cm_in_note(const char *path) { note(path, false); }

bool cm_files_declared(const char *output)
{
    size_t k = 0;
    while (k < outputs.n && strcmp(outputs.v[k].name, output))
        k++;
    return k < outputs.n;
}

/* ===== where an output can go ============================================================== */

static _Noreturn void cannot_create(const char *path, const char *why)
{
    cm_die(4, "cannot create '%s': %s", path, why);
}

/* In a directory like /tmp, another's file cannot be replaced. */
static bool may_replace(const char *dir, const struct stat *old)
{
    struct stat d;
    return stat(dir, &d) || !(d.st_mode & S_ISVTX) || !geteuid() || geteuid() == d.st_uid ||
           geteuid() == old->st_uid;
}

static void check_place(const struct known *out)
{
    const char *path = out->name;
    bool folder = cm_tool->flags & CM_TOOL_FOLDER;
    size_t n = strlen(path);
    if (!n)
        cannot_create(path, strerror(ENOENT));
    if (!folder && ((out->there && S_ISDIR(out->s.st_mode)) || path[n - 1] == '/'))
        cannot_create(path, "it is a directory");
    if (out->there && !folder && !S_ISREG(out->s.st_mode))
        return;
    if (out->there && !folder && access(path, W_OK)) /* a rename would replace it all the same */
        cannot_create(path, strerror(errno));
    char *name, *dir = cm_files_resolve(path, &name);
    if (!dir)
        cm_die_code(CM_ESYSTEM);
    if (access(dir, W_OK | X_OK)) {
        cm_fail_errno(CM_ESYSTEM, "cannot create '%s': directory '%s'", path, dir);
        cm_die_code(CM_ESYSTEM);
    }
    long longest = pathconf(dir, _PC_NAME_MAX);
    if (longest > 0 && strlen(name) > (size_t)longest)
        cannot_create(path, strerror(ENAMETOOLONG));
    if (out->there && !may_replace(dir, &out->s))
        cannot_create(path, strerror(EPERM));
    free(dir);
    cm_free(name);
}

/* ===== at the start ======================================================================== */

static void add_output(const char *path, bool state, bool sure)
{
    int fd = cm_files_descriptor(path);
    struct known *out = add(&outputs, strcmp(path, "-") ? path : "stdout");
    out->descriptor = fd >= 0;
    out->state = state;
    out->sure = sure;
    out->there = !(fd < 0 ? stat(path, &out->s) : fstat(fd, &out->s));
    char *name, *dir = fd < 0 && *path ? cm_files_resolve(path, &name) : NULL;
    if (!dir)
        return; /* the reason is reported when places are checked */
    struct cm_buf b = {0};
    cm_buf_printf(&b, "%s/%s", dir, name);
    out->target = (char *)b.p;
    free(dir);
    cm_free(name);
}

static void take(const struct cm_opt *o, const char *value)
{
    const char *part;
    switch (o->type) {
    case CM_O_INPUT:
    case CM_O_STATE:
        note(value, o->type == CM_O_STATE);
        break;
    case CM_O_WORD:
        if (!strncmp(value, "file:", 5))
            note(value + 5, false);
        break;
    case CM_O_OUTPUT:
    case CM_O_SAVE:
        add_output(value, o->type == CM_O_SAVE, true);
        break;
    case CM_O_OUTPUTS:
        listed = true;
        part = strrchr(value, '=');
        if (part && part[1]) /* else the tool will complain */
            add_output(part + 1, false, true);
        break;
    default:
        break;
    }
}

/* Two names of one file, or one file to be. */
static bool same_place(const struct known *a, const struct known *b)
{
    if (a->there && b->there && same_file(&a->s, &b->s))
        return true;
    return a->target && b->target && !strcmp(a->target, b->target) &&
           !(a->there && S_ISCHR(a->s.st_mode));
}

void cm_known_start(void)
{
    struct stat s;
    clear(&inputs);
    clear(&outputs);
    listed = false;
    if (!fstat(0, &s) && S_ISREG(s.st_mode)) {
        struct known *in = add(&inputs, "stdin");
        in->s = s;
        in->there = true;
    }
    cm_options_files(take);
    if (!cm_common.output && !listed && !(cm_tool->flags & CM_TOOL_OWN_OUTPUT))
        add_output("-", false, !(cm_tool->flags & CM_TOOL_NO_OUTPUT));
    for (char **p = cm_operands; p && *p; p++)
        note(*p, false);
    for (size_t i = 0; i < inputs.n; i++)
        for (size_t k = 0; k < outputs.n; k++)
            check_pair(&inputs.v[i], &outputs.v[k]);
    for (size_t i = 0; i < outputs.n; i++)
        for (size_t k = 0; k < i; k++)
            if (outputs.v[i].sure && outputs.v[k].sure && same_place(&outputs.v[i], &outputs.v[k]))
                cm_usage_error("two outputs go to '%s'", outputs.v[i].name);
    for (size_t k = 0; k < outputs.n; k++)
        if (!outputs.v[k].descriptor)
            check_place(&outputs.v[k]);
    if (!fstat(2, &s) && S_ISREG(s.st_mode))
        cm_files_refuse_input("/dev/stderr", &s);
}
