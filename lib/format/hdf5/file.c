/* format/hdf5/file.c - HDF5 files: opening, failures, objects and groups.
 *
 * Locking is off (network file systems refuse it, and a file that a writer holds open could not be
 * read); a user's HDF5_USE_FILE_LOCKING still wins inside HDF5.  A pipe becomes a file image of the
 * core driver, which needs no extra library.
 */
#include "format/hdf5/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/filekind.h"
#include "format/hdf5/filters.h"
#include "stream/cms.h"

#define MEMBERS ((uint64_t)1 << 20) /* of one group */

/* ===== the library ======================================================================== */

static bool watched;
static unsigned watch_seconds;
static timer_t watch_timer;

void cm_h5_watch(unsigned seconds)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
    watch_seconds = seconds;
    watched = !timer_create(CLOCK_THREAD_CPUTIME_ID, &e, &watch_timer);
}

/* Before every call that gives libhdf5 something to chew on. */
void cm_h5_step(void)
{
    if (watched) {
        struct itimerspec t = {.it_value = {.tv_sec = (time_t)watch_seconds}};
        timer_settime(watch_timer, 0, &t, NULL);
    }
}

void cm_h5_setup(bool plugins)
{
    static bool done;
    if (!done) {
        H5dont_atexit(); /* at exit it would walk what a damaged file left */
        if (H5open() < 0)
            cm_panic(4, "libhdf5 cannot be started: out of memory?");
        H5Lunregister(H5L_TYPE_EXTERNAL); /* a link into another file leads nowhere */
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
        H5PLset_loading_state(plugins ? H5PL_ALL_PLUGIN : 0);
        cm_h5_filters_register();
        done = true;
    }
}

static char reason[400];
static int reason_errno;

static herr_t take_reason(unsigned n, const H5E_error2_t *e, void *unused)
{
    (void)unused;
    const char *number = e->desc ? strstr(e->desc, "errno = ") : NULL;
    if (n == 0 && e->desc)
        snprintf(reason, sizeof reason, "%s", e->desc);
    if (number && !reason_errno)
        reason_errno = atoi(number + strlen("errno = "));
    return 0;
}

const char *cm_h5_reason(void)
{
    reason[0] = 0;
    reason_errno = 0;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, NULL);
    /* The text of a failed system call holds time and addresses; errno is enough. */
    if (reason_errno)
        snprintf(reason, sizeof reason, "%s", strerror(reason_errno));
    for (char *p = reason; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    return reason;
}

int cm_h5_failed(int code, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    const char *why = cm_h5_reason();
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return cm_fail(reason_errno ? CM_ESYSTEM : code, "%s%s%s", text, *why ? ": " : "", why);
}

int cm_h5_trouble(const struct cm_h5 *h)
{
    if (!h->trouble || !h->trouble->code)
        return 0;
    return cm_fail(h->trouble->code, "%s", h->trouble->message);
}

bool cm_h5_forgive(struct cm_h5 *h)
{
    if (!h->trouble || h->trouble->code != CM_EINPUT)
        return false;
    cm_h5_warn(h, "%s", h->trouble->message);
    h->trouble->code = 0;
    return true;
}

/* A failed lookup: it is not known whether the object is there.  The first one is kept. */
static enum cm_h5_object lookup_failed(const struct cm_h5 *h, const char *path)
{
    int code = cm_h5_failed(CM_EINPUT, "%s: %s: cannot be looked up", h->name, path);
    if (h->trouble && !h->trouble->code) {
        h->trouble->code = code;
        snprintf(h->trouble->message, sizeof h->trouble->message, "%s", cm_error_message());
    }
    return CM_H5_ERROR;
}

void cm_h5_warn(struct cm_h5 *h, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    cm_strs_add(&h->warnings, text);
}

/* ===== files ============================================================================== */

static int slurp(int fd, const char *name, struct cm_buf *b)
{
    for (;;) {
        size_t capacity = (size_t)1 << 20, before = b->n;
        unsigned char *to = cm_buf_extend(b, capacity);
        ssize_t got;
        do
            got = read(fd, to, capacity);
        while (got < 0 && errno == EINTR);
        b->n = before + (got > 0 ? (size_t)got : 0);
        if (got < 0)
            return cm_fail_errno(CM_ESYSTEM, "%s: cannot read", name);
        if (got == 0)
            return 0;
    }
}

/* n bytes at an offset, fewer at the end of the file; < 0 with errno. */
static ssize_t read_at(int fd, const struct cm_buf *image, uint64_t at, unsigned char *to, size_t n)
{
    size_t got = 0;
    if (image) {
        got = at >= image->n ? 0 : image->n - at < n ? (size_t)(image->n - at) : n;
        memcpy(to, image->p + (got ? at : 0), got);
        return (ssize_t)got;
    }
    while (got < n) {
        ssize_t some = pread(fd, to + got, n - got, (off_t)(at + got));
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            return -1;
        if (some == 0)
            break;
        got += (size_t)some;
    }
    return (ssize_t)got;
}

/* HDF5's signature is at byte 0, 512, 1024, 2048, ... (a user block may come first).  0, or an
 * error that says what the file is instead. */
static int need_signature(const struct cm_h5 *h, int fd, const struct cm_buf *image)
{
    static const unsigned char want[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    unsigned char first[8];
    ssize_t n = 8;
    for (uint64_t at = 0; at <= (uint64_t)1 << 40 && n == 8; at = at ? at * 2 : 512) {
        n = read_at(fd, image, at, first, 8);
        if (n == 8 && !memcmp(first, want, 8))
            return 0;
    }
    unsigned char *head = CM_NEW(CM_FILE_KIND_BYTES, unsigned char);
    if (n >= 0)
        n = read_at(fd, image, 0, head, CM_FILE_KIND_BYTES);
    const char *kind = n >= 0 ? cm_file_kind(head, (size_t)n, h->name) : NULL;
    int code = n < 0 ? cm_fail_errno(CM_ESYSTEM, "%s: cannot read", h->name)
                     : cm_fail(CM_EINPUT, "%s: not an HDF5 file%s%s", h->name,
                               kind ? ": it is " : "", kind ? kind : "");
    cm_free(head);
    return code;
}

static int open_image(struct cm_h5 *h, hid_t fapl, struct cm_buf *image)
{
    int code = need_signature(h, -1, image);
    if (code)
        return code;
    if (image->n > (size_t)1 << 30)
        cm_h5_warn(h, "%s: holds %zu MB in memory, because HDF5 cannot be read from a pipe",
                   h->name, image->n >> 20);
    H5Pset_fapl_core(fapl, (size_t)1 << 20, false);
    if (H5Pset_file_image(fapl, image->p, image->n) < 0)
        return cm_fail(CM_ESYSTEM, "%s: cannot be held in memory (%zu bytes)", h->name, image->n);
    h->image = image->n;
    h->id = H5Fopen("stdin.h5", H5F_ACC_RDONLY, fapl);
    if (h->id < 0)
        return cm_h5_failed(CM_EINPUT, "%s: damaged or cut HDF5 file", h->name);
    return 0;
}

int cm_h5_open(struct cm_h5 *h, const char *path, bool plugins)
{
    bool in = !strcmp(path, "-");
    *h = (struct cm_h5){.id = -1, .fd = -1};
    h->name = cm_strdup(in ? "stdin" : path);
    h->trouble = CM_ZNEW(1, struct cm_h5_trouble);
    int fd = in ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC), refused = 0;
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        refused = cm_fail_errno(CM_ESYSTEM, "%s", h->name);
    else if (S_ISDIR(st.st_mode))
        refused = cm_fail(CM_ESYSTEM, "%s: a directory, not an HDF5 file%s", h->name,
                          cm_folder_kind(path));
    else if (isatty(fd))
        refused = cm_fail(CM_EUSAGE, "%s: HDF5 is not read from a terminal", h->name);
    if (refused) {
        if (fd >= 0)
            close(fd);
        cm_h5_close(h);
        return refused;
    }
    cm_h5_setup(plugins);
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(fapl, false, true);
    int code = 0;
    cm_h5_step();
    if (!S_ISREG(st.st_mode) || in) {
        struct cm_buf image = {0};
        code = slurp(fd, h->name, &image);
        if (!code)
            code = open_image(h, fapl, &image);
        cm_buf_free(&image);
    } else if (!(code = need_signature(h, fd, NULL))) {
        h->id = H5Fopen(path, H5F_ACC_RDONLY, fapl);
        if (h->id < 0)
            code = cm_h5_failed(CM_EINPUT, "%s: cannot be opened, damaged or cut", h->name);
    }
    H5Pclose(fapl);
    if (!code && !h->image) {
        h->fd = fd;
        h->seen = st;
        code = cm_h5_unchanged(h);
    } else {
        close(fd);
    }
    if (code)
        cm_h5_close(h);
    return code;
}

int cm_h5_unchanged(const struct cm_h5 *h)
{
    struct stat now;
    if (h->fd < 0)
        return 0;
    if (fstat(h->fd, &now))
        return cm_fail_errno(CM_ESYSTEM, "%s", h->name);
    if (now.st_size != h->seen.st_size || now.st_mtim.tv_sec != h->seen.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != h->seen.st_mtim.tv_nsec)
        return cm_fail(CM_EINPUT, "%s: changed while it was read", h->name);
    return 0;
}

void cm_h5_close(struct cm_h5 *h)
{
    if (h->name && h->id >= 0)
        H5Fclose(h->id);
    if (h->name && h->fd >= 0)
        close(h->fd);
    cm_free(h->name);
    cm_free(h->trouble);
    cm_strs_free(&h->warnings);
    *h = (struct cm_h5){.id = -1, .fd = -1};
}

/* ===== objects ============================================================================ */

/* One step of a path whose steps before exist; OTHER = an object that can be opened. */
static enum cm_h5_object link_kind(const struct cm_h5 *h, const char *path)
{
    H5L_info_t link;
    htri_t there = H5Lexists(h->id, path, H5P_DEFAULT);
    if (there == 0)
        return CM_H5_ABSENT;
    if (there < 0 || H5Lget_info(h->id, path, &link, H5P_DEFAULT) < 0)
        return lookup_failed(h, path);
    if (link.type != H5L_TYPE_HARD && link.type != H5L_TYPE_SOFT)
        return CM_H5_OUTSIDE;
    there = H5Oexists_by_name(h->id, path, H5P_DEFAULT);
    if (there < 0 && (link.type == H5L_TYPE_HARD || (cm_h5_reason(), reason_errno)))
        return lookup_failed(h, path);
    return there > 0 ? CM_H5_OTHER : CM_H5_BROKEN;
}

static enum cm_h5_object kind_of(const struct cm_h5 *h, const char *path)
{
    hid_t o = H5Oopen(h->id, path, H5P_DEFAULT);
    if (o < 0)
        return lookup_failed(h, path);
    H5I_type_t t = H5Iget_type(o);
    H5Oclose(o);
    return t == H5I_GROUP ? CM_H5_GROUP : t == H5I_DATASET ? CM_H5_DATASET : CM_H5_OTHER;
}

enum cm_h5_object cm_h5_what(const struct cm_h5 *h, const char *path)
{
    enum cm_h5_object what = CM_H5_GROUP;
    char *part = cm_strdup(path);
    cm_h5_step();
    for (char *p = part + 1; what == CM_H5_GROUP && *part && p[-1]; p++) {
        if ((*p && *p != '/') || p == part + 1)
            continue;
        char was = *p;
        *p = 0;
        what = link_kind(h, part);
        if (what == CM_H5_OTHER)
            what = kind_of(h, part);
        if (was && (what == CM_H5_DATASET || what == CM_H5_OTHER))
            what = CM_H5_ABSENT; /* only groups have members */
        *p = was;
    }
    cm_free(part);
    return what;
}

int cm_h5_unexpected(const struct cm_h5 *h, const char *path, const char *expected)
{
    enum cm_h5_object what = cm_h5_what(h, path);
    if (h->trouble && h->trouble->code)
        return cm_h5_trouble(h);
    if (what == CM_H5_ERROR)
        return cm_h5_failed(CM_EINPUT, "%s: %s: cannot be looked up", h->name, path);
    if (what == CM_H5_ABSENT)
        return cm_fail(CM_EINPUT, "%s: %s is missing", h->name, path);
    if (what == CM_H5_BROKEN)
        return cm_fail(CM_EINPUT, "%s: %s: a link that leads nowhere", h->name, path);
    if (what == CM_H5_OUTSIDE)
        return cm_fail(CM_EINPUT, "%s: %s: a link into another file, which is not followed",
                       h->name, path);
    return cm_fail(CM_EINPUT, "%s: %s: is not %s", h->name, path, expected);
}

char *cm_h5_join(const char *group, const char *name)
{
    struct cm_buf b = {0};
    cm_buf_printf(&b, "%s%s%s", group, *group && group[strlen(group) - 1] == '/' ? "" : "/", name);
    return (char *)b.p; /* printf leaves a NUL behind the end */
}

bool cm_h5_there(const struct cm_h5 *h, const char *a, const char *b)
{
    char *p = cm_h5_join(a, b);
    bool yes = cm_h5_what(h, p) != CM_H5_ABSENT;
    cm_free(p);
    return yes;
}

struct listing {
    struct cm_strs *names;
    bool many, odd;
};

static herr_t list_one(hid_t group, const char *name, const H5L_info_t *info, void *to)
{
    struct listing *l = to;
    (void)group;
    (void)info;
    size_t n = strlen(name);
    l->many = l->names->n >= MEMBERS;
    l->odd = n > CM_MAX_NAME || cm_utf8_bad(name, n) < n;
    if (l->many || l->odd)
        return -1;
    cm_strs_add(l->names, name);
    return 0;
}

int cm_h5_members(const struct cm_h5 *h, const char *path, struct cm_strs *names)
{
    struct listing l = {names, false, false};
    hsize_t at = 0;
    cm_strs_clear(names);
    cm_h5_step();
    hid_t g = H5Gopen2(h->id, path, H5P_DEFAULT);
    if (g < 0)
        return cm_h5_failed(CM_EINPUT, "%s: %s: cannot be read as a group", h->name, path);
    herr_t got = H5Literate(g, H5_INDEX_NAME, H5_ITER_INC, &at, list_one, &l);
    int code = 0;
    if (got < 0 && l.many)
        code = cm_fail(CM_EINPUT, "%s: %s: more than a million members", h->name, path);
    else if (got < 0 && l.odd)
        code = cm_fail(CM_EINPUT, "%s: %s: a member whose name is not UTF-8, or too long", h->name,
                       path);
    else if (got < 0)
        code = cm_h5_failed(CM_EINPUT, "%s: %s: damaged group", h->name, path);
    H5Gclose(g);
    return code;
}
