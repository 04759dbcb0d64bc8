/* format/hdf5/file.c - files, attributes and datasets of HDF5, as hdf.h promises.
 *
 * Notes on the choices.  Locking is off (network file systems refuse it, and a file that a writer
 * holds open could not be read); a user's HDF5_USE_FILE_LOCKING still wins inside HDF5.  A pipe
 * becomes a file image of the core driver, which needs no extra library.  A dataset's chunk cache
 * is sized when it is opened, because the default of 1 MB would decode a larger chunk again for
 * every block of rows.  Strings go through one function whatever their storage is, in batches, so
 * that HDF5's many small allocations for variable-length text live briefly.
 */
#include "format/hdf5/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "format/filekind.h"
#include "format/hdf5/filters.h"
#include "stream/cms.h"

#define CACHE_DEFAULT ((uint64_t)16 << 20)
#define BATCH         ((uint64_t)4096) /* strings read at once */

/* What a file may claim without holding anything: beyond FREE_ITEMS the bytes that are stored must
 * bear a relation to what they are said to unpack to (gzip makes at most 1032 of one; a constant
 * matrix in zstd more).  FREE_ITEMS of anything are bearable. */
#define FREE_ITEMS ((uint64_t)1 << 24)
#define MAX_RATIO  ((uint64_t)1 << 15)
#define ATTR_BYTES ((uint64_t)1 << 28) /* of one attribute */
#define MEMBERS    ((uint64_t)1 << 20) /* of one group */

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
static void step(void)
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
        H5dont_atexit(); /* its tidying up at exit walks what a damaged file has left behind */
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
    /* A failed system call tells time, addresses and more; what the system said is enough. */
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

/* A lookup that failed: neither there nor absent.  The first one is kept. */
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

/* All n bytes at an offset, or what there is of them; < 0 with errno. */
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

/* HDF5's signature stands at byte 0, 512, 1024, 2048, ... (a user block may come first).  0, or
 * what the file is instead. */
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
    unsigned char *head = CM_NEW(unsigned char, CM_FILE_KIND_BYTES);
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
    h->trouble = CM_ZNEW(struct cm_h5_trouble, 1);
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
    step();
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
static enum cm_h5_object look(const struct cm_h5 *h, const char *path)
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
    step();
    for (char *p = part + 1; what == CM_H5_GROUP && *part && p[-1]; p++) {
        if ((*p && *p != '/') || p == part + 1)
            continue;
        char was = *p;
        *p = 0;
        what = look(h, part);
        if (what == CM_H5_OTHER)
            what = kind_of(h, part);
        if (was && (what == CM_H5_DATASET || what == CM_H5_OTHER))
            what = CM_H5_ABSENT; /* nothing stands beneath what is no group */
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
    step();
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

/* ===== strings of every storage =========================================================== */

/* Length of a fixed-length string: to its first NUL, without trailing blanks if space-padded.
 * Something behind that NUL (SIZE_MAX) is no text; where the NUL is a terminator it means nothing.
 * */
static size_t fixed_length(const char *p, size_t size, H5T_str_t pad)
{
    size_t n = strnlen(p, size);
    for (size_t k = n; pad != H5T_STR_NULLTERM && k < size; k++)
        if (p[k])
            return SIZE_MAX;
    while (pad == H5T_STR_SPACEPAD && n && p[n - 1] == ' ')
        n--;
    return n;
}

/* Adds a text as UTF-8.  where: what it is, for the message. */
static int add_utf8(bool latin1, const char *p, size_t n, struct cm_strs *out, const char *where)
{
    if (n == SIZE_MAX)
        return cm_fail(CM_EINPUT, "%s: a text with a NUL byte inside", where);
    size_t bad = cm_utf8_bad(p, n);
    if (bad == n) {
        cm_strs_addn(out, p, n);
    } else if (!latin1) {
        return cm_fail(CM_EINPUT,
                       "%s: text that is not UTF-8 (byte %u is 0x%02X); --encoding latin1 converts "
                       "it",
                       where, (unsigned)bad, (unsigned char)p[bad]);
    } else {
        char *u = CM_NEW(char, 2 * n);
        size_t length = cm_utf8_from_latin1(p, n, u);
        if (length <= CM_MAX_NAME)
            cm_strs_addn(out, u, length);
        cm_free(u);
        if (length > CM_MAX_NAME)
            return cm_fail(CM_EINPUT, "%s: text of %zu bytes as UTF-8, at most %zu", where, length,
                           CM_MAX_NAME);
    }
    return 0;
}

/* ===== attributes ========================================================================= */

static int attr_failed(const struct cm_h5 *h, const char *path, const char *name)
{
    return cm_h5_failed(CM_EINPUT, "%s: %s: attribute %s cannot be read", h->name, path, name);
}

/* 1: open, and not of a null dataspace; 0: absent; < 0: CM_EINPUT, CM_ESYSTEM. */
static int attr_open(const struct cm_h5 *h, const char *path, const char *name, hid_t *a,
                     hid_t *type, uint64_t *items)
{
    step();
    htri_t there = H5Aexists_by_name(h->id, path, name, H5P_DEFAULT);
    if (there == 0)
        return 0;
    if (there < 0 || (*a = H5Aopen_by_name(h->id, path, name, H5P_DEFAULT, H5P_DEFAULT)) < 0)
        return attr_failed(h, path, name);
    hid_t space = H5Aget_space(*a);
    hssize_t n = H5Sget_simple_extent_npoints(space);
    bool null = H5Sget_simple_extent_type(space) == H5S_NULL;
    H5Sclose(space);
    *type = H5Aget_type(*a);
    bool fits = n >= 0 && (uint64_t)n <= FREE_ITEMS && H5Aget_storage_size(*a) <= ATTR_BYTES &&
                *type >= 0 && H5Tget_size(*type) <= ATTR_BYTES;
    if (*type >= 0 && fits && !null) {
        *items = (uint64_t)n;
        return 1;
    }
    int code = null ? 0 : attr_failed(h, path, name);
    if (*type >= 0)
        H5Tclose(*type);
    H5Aclose(*a);
    return code;
}

/* 1 or an error. */
static int add_attr(const struct cm_h5 *h, const char *path, const char *name, const char *p,
                    size_t n, struct cm_strs *out)
{
    char where[512];
    snprintf(where, sizeof where, "%s: %s: attribute %s", h->name, path, name);
    int code = add_utf8(h->latin1, p, n, out, where);
    return code ? code : 1;
}

int cm_h5_attr_strs(const struct cm_h5 *h, const char *path, const char *name, struct cm_strs *out)
{
    hid_t a, type;
    uint64_t n;
    cm_strs_clear(out);
    int code = attr_open(h, path, name, &a, &type, &n);
    if (code <= 0)
        return code;
    if (n && H5Tget_class(type) != H5T_STRING) {
        code = cm_fail(CM_EINPUT, "%s: %s: attribute %s is not text", h->name, path, name);
    } else if (n && H5Tis_variable_str(type) > 0) {
        char **v = CM_ZNEW(char *, n);
        hid_t space = H5Aget_space(a), mem = H5Tcopy(H5T_C_S1);
        H5Tset_size(mem, H5T_VARIABLE);
        H5Tset_cset(mem, H5Tget_cset(type));
        if (H5Aread(a, mem, v) < 0)
            code = attr_failed(h, path, name);
        bool got = code > 0;
        for (uint64_t i = 0; code > 0 && i < n; i++)
            code = add_attr(h, path, name, v[i] ? v[i] : "", v[i] ? strlen(v[i]) : 0, out);
        if (got)
            H5Dvlen_reclaim(mem, space, H5P_DEFAULT, v);
        H5Tclose(mem);
        H5Sclose(space);
        cm_free(v);
    } else if (n) {
        size_t size = H5Tget_size(type);
        char *v = n <= ATTR_BYTES / size ? cm_zalloc(n, size) : NULL;
        if (!v || H5Aread(a, type, v) < 0)
            code = attr_failed(h, path, name);
        for (uint64_t i = 0; code > 0 && i < n; i++)
            code = add_attr(h, path, name, v + i * size,
                            fixed_length(v + i * size, size, H5Tget_strpad(type)), out);
        cm_free(v);
    }
    H5Tclose(type);
    H5Aclose(a);
    return code;
}

int cm_h5_attr_text(const struct cm_h5 *h, const char *path, const char *name, char **out)
{
    struct cm_strs s = {0};
    int code = cm_h5_attr_strs(h, path, name, &s);
    *out = NULL;
    if (code > 0 && s.n)
        *out = cm_strdup(cm_strs_get(&s, 0));
    if (code > 0 && !s.n)
        code = 0;
    cm_strs_free(&s);
    return code;
}

int cm_h5_attr_i64s(const struct cm_h5 *h, const char *path, const char *name, int64_t *v, size_t n)
{
    hid_t a, type;
    uint64_t items;
    int code = attr_open(h, path, name, &a, &type, &items);
    if (code <= 0)
        return code;
    if (items != n || H5Tget_class(type) != H5T_INTEGER)
        code = cm_fail(CM_EINPUT, "%s: %s: attribute %s: expected %zu whole numbers", h->name, path,
                       name, n);
    else if (H5Aread(a, H5T_NATIVE_INT64, v) < 0)
        code = attr_failed(h, path, name);
    H5Tclose(type);
    H5Aclose(a);
    return code;
}

int cm_h5_attr_flag(const struct cm_h5 *h, const char *path, const char *name, bool *v)
{
    hid_t a, type;
    uint64_t items;
    int code = attr_open(h, path, name, &a, &type, &items);
    if (code <= 0)
        return code;
    H5T_class_t c = H5Tget_class(type);
    int8_t one = 0;
    if (items != 1 || (c != H5T_INTEGER && c != H5T_ENUM))
        code =
            cm_fail(CM_EINPUT, "%s: %s: attribute %s: expected one boolean", h->name, path, name);
    else if (H5Aread(a, H5T_NATIVE_INT8, &one) < 0)
        code = attr_failed(h, path, name);
    *v = one != 0;
    H5Tclose(type);
    H5Aclose(a);
    return code;
}

/* ===== datasets =========================================================================== */

static enum cm_h5_class class_of(hid_t type)
{
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        return CM_H5_INT;
    case H5T_FLOAT:
        return CM_H5_FLOAT;
    case H5T_STRING:
        return CM_H5_STRING;
    case H5T_COMPOUND:
        return CM_H5_COMPOUND;
    case H5T_ENUM: {
        char *m = H5Tget_nmembers(type) == 2 ? H5Tget_member_name(type, 0) : NULL;
        bool yes = m && (!strcasecmp(m, "FALSE") || !strcasecmp(m, "TRUE"));
        H5free_memory(m);
        return yes ? CM_H5_BOOL : CM_H5_INT;
    }
    default:
        return CM_H5_NONE;
    }
}

/* Says at once what HDF5 would say in the middle of the data: a filter that nobody has. */
static int check_filters(const struct cm_h5set *s, hid_t dcpl)
{
    int n = H5Pget_nfilters(dcpl);
    for (int k = 0; k < n; k++) {
        unsigned flags, cd[8];
        size_t ncd = 8;
        char name[64] = "";
        H5Z_filter_t id = H5Pget_filter2(dcpl, (unsigned)k, &flags, &ncd, cd, sizeof name, name, 0);
        if (id >= 0 && H5Zfilter_avail(id) > 0)
            continue;
        char where[512] = "";
        H5PLget(0, where, sizeof where);
        unsigned loading = 0;
        H5PLget_loading_state(&loading);
        return cm_fail(CM_EINPUT,
                       "%s: %s: needs HDF5 filter %d (%s), not available; install its plugin, "
                       "%sset HDF5_PLUGIN_PATH (searched: %s)",
                       CM_H5_AT(s), (int)id, cm_h5_filter_name(id),
                       loading ? "or " : "give --plugins, or ", where);
    }
    return 0;
}

static bool has_filter(hid_t dcpl, int filters, H5Z_filter_t wanted)
{
    for (int k = 0; k < filters; k++) {
        unsigned flags, cd[8], info;
        size_t ncd = 8;
        char name[8];
        if (H5Pget_filter2(dcpl, (unsigned)k, &flags, &ncd, cd, sizeof name, name, &info) == wanted)
            return true;
    }
    return false;
}

static int shape_of(struct cm_h5set *s)
{
    hid_t space = H5Dget_space(s->id);
    H5S_class_t kind = H5Sget_simple_extent_type(space);
    hsize_t d[H5S_MAX_RANK] = {1, 1};
    int rank = H5Sget_simple_extent_ndims(space);
    int code = 0;
    if (kind == H5S_NULL) {
        rank = 1;
        d[0] = 0;
    } else if (rank < 0 || rank > 2) {
        code =
            cm_fail(CM_EINPUT, "%s: %s: has %d dimensions, expected at most 2", CM_H5_AT(s), rank);
    } else {
        H5Sget_simple_extent_dims(space, d, NULL);
    }
    s->rank = rank < 0 ? 0 : (unsigned)rank;
    s->rows = d[0];
    s->cols = rank == 2 ? d[1] : 1;
    H5Sclose(space);
    return code;
}

/* Bytes of one item in the file; 0 = not known (compounds, whose size is another in memory). */
static uint64_t item_in_file(const struct cm_h5set *s, hid_t type)
{
    size_t addresses = 8, lengths = 8;
    if (H5Tget_class(type) == H5T_COMPOUND)
        return 0;
    if (H5Tget_class(type) != H5T_VLEN && H5Tis_variable_str(type) <= 0)
        return H5Tget_size(type);
    hid_t file = H5Iget_file_id(s->id), plist = file < 0 ? -1 : H5Fget_create_plist(file);
    if (plist >= 0)
        H5Pget_sizes(plist, &addresses, &lengths);
    if (plist >= 0)
        H5Pclose(plist);
    if (file >= 0)
        H5Fclose(file);
    return 8 + addresses;
}

/* Data that stand in other files are not read: a file must not be able to name them.  Nor is an
 * extent believed that nothing stands for. */
static int check_storage(const struct cm_h5set *s, hid_t dcpl)
{
    if (H5Pget_layout(dcpl) == H5D_VIRTUAL)
        return cm_fail(CM_EINPUT, "%s: %s: is a virtual dataset; those are not read", CM_H5_AT(s));
    if (H5Pget_external_count(dcpl) > 0)
        return cm_fail(CM_EINPUT, "%s: %s: stands in another file; those are not read",
                       CM_H5_AT(s));
    uint64_t items = s->cols && s->rows > UINT64_MAX / s->cols ? UINT64_MAX : s->rows * s->cols;
    bool compact = H5Pget_layout(dcpl) == H5D_COMPACT;
    if (items <= FREE_ITEMS && !compact)
        return 0;
    hid_t type = H5Dget_type(s->id);
    /* libhdf5 1.10 reads beyond the end of storage that is shorter than the extent */
    uint64_t item = compact && type >= 0 ? item_in_file(s, type) : 0;
    if (item && items > H5Dget_storage_size(s->id) / item) {
        H5Tclose(type);
        return cm_fail(CM_EINPUT, "%s: %s: claims %" PRIu64 " items, but fewer are stored",
                       CM_H5_AT(s), items);
    }
    uint64_t size = type >= 0 ? H5Tget_size(type) : 1, stored = H5Dget_storage_size(s->id);
    if (type >= 0)
        H5Tclose(type);
    if (items > FREE_ITEMS && items / MAX_RATIO > stored / (size ? size : 1))
        return cm_fail(CM_EINPUT,
                       "%s: %s: claims %" PRIu64 " items, but only %" PRIu64 " bytes are stored",
                       CM_H5_AT(s), items, stored);
    return 0;
}

/* Bytes of one band of chunks (all chunks that a block of rows touches), 0 if not chunked. */
static uint64_t chunk_band(const struct cm_h5set *s, hid_t dcpl, size_t item)
{
    hsize_t c[2] = {1, 1};
    if (H5Pget_layout(dcpl) != H5D_CHUNKED || H5Pget_chunk(dcpl, 2, c) < 1 || !c[0] || !c[1])
        return 0;
    uint64_t across = s->rank == 2 ? (s->cols + c[1] - 1) / c[1] * c[1] : 1;
    if (s->rank == 1)
        c[1] = 1;
    if (across && c[0] > UINT64_MAX / 4 / across / (item ? item : 1))
        return 0;
    return c[0] * across * item * 2; /* two bands: a block may straddle a boundary */
}

/* Of a chunk as it stands in the file, unpacked; 0 = none, or not known. */
static uint64_t chunk_bytes(const struct cm_h5set *s, hid_t dcpl)
{
    hsize_t c[2] = {1, 1};
    if (H5Pget_layout(dcpl) != H5D_CHUNKED || H5Pget_chunk(dcpl, 2, c) != (int)s->rank)
        return 0;
    hid_t type = H5Dget_type(s->id);
    uint64_t item = type < 0 ? 0 : item_in_file(s, type);
    if (type >= 0)
        H5Tclose(type);
    return c[0] && c[1] && c[1] <= UINT32_MAX / c[0] ? c[0] * c[1] * item : 0;
}

static int set_types(struct cm_h5set *s, const char *member)
{
    s->type = H5Dget_type(s->id);
    if (member && s->type >= 0) {
        int k = H5Tget_class(s->type) == H5T_COMPOUND ? H5Tget_member_index(s->type, member) : -1;
        if (k < 0)
            return cm_fail(CM_EINPUT, "%s: %s: has no member %s", CM_H5_AT(s), member);
        hid_t t = H5Tget_member_type(s->type, (unsigned)k);
        H5Tclose(s->type);
        s->type = t;
        s->member = cm_strdup(member);
    }
    if (s->type < 0)
        return cm_fail(CM_EINPUT, "%s: %s: its type cannot be read", CM_H5_AT(s));
    s->cls = class_of(s->type);
    s->size = H5Tget_size(s->type);
    s->is_signed = s->cls != CM_H5_INT || H5Tget_class(s->type) != H5T_INTEGER ||
                   H5Tget_sign(s->type) != H5T_SGN_NONE;
    s->fixed = s->cls == CM_H5_STRING && H5Tis_variable_str(s->type) <= 0;
    return 0;
}

/* Takes over s->id, an open dataset. */
static int set_up(struct cm_h5set *s, const char *member)
{
    hid_t dcpl = H5Dget_create_plist(s->id);
    int code = shape_of(s);
    if (!code)
        code = check_storage(s, dcpl);
    if (!code)
        code = set_types(s, member);
    if (!code)
        code = check_filters(s, dcpl);
    s->chunk_bytes = code ? 0 : chunk_bytes(s, dcpl);
    int filters = H5Pget_nfilters(dcpl);
    if (s->chunk_bytes && filters > 0 && filters <= 3 && H5Zfilter_avail(H5Z_FILTER_DEFLATE) > 0 &&
        has_filter(dcpl, filters, H5Z_FILTER_DEFLATE))
        s->verified = CM_ZNEW(uint64_t, 2);
    H5Pclose(dcpl);
    return code;
}

int cm_h5set_open(struct cm_h5set *s, const struct cm_h5 *h, const char *path, const char *member,
                  uint64_t cache)
{
    *s = (struct cm_h5set){.id = -1,
                           .type = -1,
                           .open = true,
                           .latin1 = h->latin1,
                           .entities = h->entities,
                           .path = cm_strdup(path),
                           .file = cm_strdup(h->name)};
    step();
    int code = 0;
    if (cm_h5_what(h, path) != CM_H5_DATASET)
        code = cm_h5_unexpected(h, path, "a dataset");
    else if ((s->id = H5Dopen2(h->id, path, H5P_DEFAULT)) < 0)
        code = cm_h5_failed(CM_EINPUT, "%s: %s: cannot be opened", h->name, path);
    else
        code = set_up(s, member);
    if (!code) { /* open again with a cache that holds what a block of rows needs */
        hid_t dcpl = H5Dget_create_plist(s->id), whole = H5Dget_type(s->id);
        uint64_t max = cache ? cache : CACHE_DEFAULT;
        uint64_t band = chunk_band(s, dcpl, H5Tget_size(whole));
        H5Tclose(whole);
        H5Pclose(dcpl);
        if (band > (uint64_t)1 << 20) {
            hid_t dapl = H5Pcreate(H5P_DATASET_ACCESS);
            H5Pset_chunk_cache(dapl, 12421, (size_t)(band < max ? band : max), 1.0);
            hid_t again = H5Dopen2(h->id, path, dapl);
            H5Pclose(dapl);
            if (again >= 0) {
                H5Dclose(s->id);
                s->id = again;
            }
        }
    }
    if (code)
        cm_h5set_close(s);
    return code;
}

/* The flag that stands at the categories themselves.  1 or an error. */
static int take_ordered(const struct cm_h5set *s, bool *ordered)
{
    int8_t one = 0;
    htri_t there = H5Aexists(s->id, "ordered");
    hid_t a = there > 0 ? H5Aopen(s->id, "ordered", H5P_DEFAULT) : -1;
    if (there < 0 || (there > 0 && (a < 0 || H5Aread(a, H5T_NATIVE_INT8, &one) < 0)))
        there = cm_h5_failed(CM_EINPUT, "%s: %s: attribute ordered cannot be read", CM_H5_AT(s));
    if (a >= 0)
        H5Aclose(a);
    *ordered = one != 0;
    return there < 0 ? (int)there : 1;
}

int cm_h5set_open_ref(struct cm_h5set *s, const struct cm_h5 *h, const char *path,
                      const char *attribute, bool *ordered)
{
    hid_t a, type;
    uint64_t items;
    *s = (struct cm_h5set){.id = -1, .type = -1};
    int code = attr_open(h, path, attribute, &a, &type, &items);
    if (code <= 0)
        return code;
    hobj_ref_t ref;
    *s = (struct cm_h5set){.id = -1,
                           .type = -1,
                           .open = true,
                           .latin1 = h->latin1,
                           .entities = h->entities,
                           .path = cm_strdup(path),
                           .file = cm_strdup(h->name)};
    bool refers =
        items == 1 && H5Tget_class(type) == H5T_REFERENCE && H5Tget_size(type) == sizeof ref;
    if (refers && (H5Aread(a, H5T_STD_REF_OBJ, &ref) < 0 ||
                   (s->id = H5Rdereference2(a, H5P_DEFAULT, H5R_OBJECT, &ref)) < 0))
        code = cm_h5_failed(CM_EINPUT, "%s: %s: attribute %s cannot be followed", h->name, path,
                            attribute);
    else if (!refers || H5Iget_type(s->id) != H5I_DATASET)
        code = cm_fail(CM_EINPUT, "%s: %s: attribute %s does not refer to a dataset", h->name, path,
                       attribute);
    H5Tclose(type);
    H5Aclose(a);
    if (code > 0) {
        int bad = set_up(s, NULL);
        code = bad ? bad : ordered ? take_ordered(s, ordered) : code;
    }
    if (code < 0)
        cm_h5set_close(s);
    return code;
}

void cm_h5set_close(struct cm_h5set *s)
{
    if (!s->open)
        return;
    if (s->type >= 0)
        H5Tclose(s->type);
    if (s->id >= 0)
        H5Oclose(s->id);
    cm_h5bulk_free(s->bulk);
    cm_free(s->verified);
    cm_free(s->member);
    cm_free(s->path);
    cm_free(s->file);
    *s = (struct cm_h5set){.id = -1, .type = -1};
}

/* The memory type of a read: the native type itself, or a compound that picks the member. */
static hid_t memory_type(const struct cm_h5set *s, hid_t native)
{
    if (!s->member)
        return H5Tcopy(native);
    hid_t t = H5Tcreate(H5T_COMPOUND, H5Tget_size(native));
    if (t >= 0)
        H5Tinsert(t, s->member, 0, native);
    return t;
}

/* Selects the rows and makes the memory space for them. */
static int select_rows(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t *file,
                       hid_t *mem)
{
    if (n > s->rows || first > s->rows - n)
        return cm_fail(CM_EINPUT, "%s: %s: holds %" PRIu64 " rows, expected at least %" PRIu64,
                       CM_H5_AT(s), s->rows, first + n);
    hsize_t start[2] = {first, 0}, count[2] = {n, s->cols};
    *file = H5Dget_space(s->id);
    if (s->rank == 0) {
        *mem = H5Scopy(*file);
        return 0;
    }
    *mem = H5Screate_simple((int)s->rank, count, NULL);
    if (*mem < 0 || H5Sselect_hyperslab(*file, H5S_SELECT_SET, start, NULL, count, NULL) < 0) {
        if (*mem >= 0)
            H5Sclose(*mem);
        H5Sclose(*file);
        return cm_fail(CM_EINPUT, "%s: %s: rows %" PRIu64 " to %" PRIu64 " cannot be selected",
                       CM_H5_AT(s), first, first + n - 1);
    }
    return 0;
}

static int read_failed(const struct cm_h5set *s, uint64_t first, uint64_t n)
{
    return cm_h5_failed(CM_EINPUT, "%s: %s: rows %" PRIu64 " to %" PRIu64 " cannot be read",
                        CM_H5_AT(s), first, first + n - 1);
}

int cm_h5set_read(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t native, void *out)
{
    hid_t file, mem;
    if (!n || !s->cols)
        return 0;
    step();
    cm_h5_filters_expect(s->chunk_bytes);
    int code = s->verified ? cm_h5bulk_check(s, first, n) : 0;
    code = code ? code : select_rows(s, first, n, &file, &mem);
    if (code)
        return code;
    hid_t type = memory_type(s, native);
    if (type < 0 || H5Dread(s->id, type, mem, file, H5P_DEFAULT, out) < 0)
        code = read_failed(s, first, n);
    cm_h5_filters_expect(0);
    if (type >= 0)
        H5Tclose(type);
    H5Sclose(mem);
    H5Sclose(file);
    return code;
}

int cm_h5set_read_cols(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t native,
                       void *out)
{
    hsize_t start[2] = {0, first}, count[2] = {s->rows, n};
    if (s->rank != 2 || n > s->cols || first > s->cols - n)
        return cm_fail(CM_EINPUT, "%s: %s: holds %" PRIu64 " columns, expected at least %" PRIu64,
                       CM_H5_AT(s), s->cols, first + n);
    if (!n || !s->rows)
        return 0;
    step();
    cm_h5_filters_expect(s->chunk_bytes);
    hid_t file = H5Dget_space(s->id), mem = H5Screate_simple(2, count, NULL);
    int code = 0;
    if (file < 0 || mem < 0 ||
        H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(s->id, native, mem, file, H5P_DEFAULT, out) < 0)
        code = cm_h5_failed(CM_EINPUT, "%s: %s: columns %" PRIu64 " to %" PRIu64 " cannot be read",
                            CM_H5_AT(s), first, first + n - 1);
    cm_h5_filters_expect(0);
    if (mem >= 0)
        H5Sclose(mem);
    if (file >= 0)
        H5Sclose(file);
    return code;
}

static int need_number(const struct cm_h5set *s)
{
    if (s->cls == CM_H5_INT || s->cls == CM_H5_FLOAT || s->cls == CM_H5_BOOL)
        return 0;
    return cm_fail(CM_EINPUT, "%s: %s: expected numbers, found %s", CM_H5_AT(s),
                   s->cls == CM_H5_STRING     ? "text"
                   : s->cls == CM_H5_COMPOUND ? "a compound type"
                                              : "a type that is not supported");
}

int cm_h5set_i64(const struct cm_h5set *s, uint64_t first, uint64_t n, int64_t *out)
{
    int code = need_number(s);
    if (!code && s->cls == CM_H5_FLOAT)
        code = cm_fail(CM_EINPUT, "%s: %s: expected whole numbers, found floats", CM_H5_AT(s));
    return code ? code : cm_h5set_read(s, first, n, H5T_NATIVE_INT64, out);
}

int cm_h5set_f64(const struct cm_h5set *s, uint64_t first, uint64_t n, double *out)
{
    int code = need_number(s);
    return code ? code : cm_h5set_read(s, first, n, H5T_NATIVE_DOUBLE, out);
}

/* The character that an entity at p ("&#233;", "&#xe9;", "&amp;") stands for; *n: its bytes.  0 =
 * it is none. */
static unsigned long entity(const char *p, size_t *n)
{
    static const struct {
        const char *name;
        unsigned char c;
    } known[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (!strncmp(p, known[k].name, *n = strlen(known[k].name)))
            return known[k].c;
    bool hex = p[1] == '#' && (p[2] == 'x' || p[2] == 'X');
    const char *digits = p + (hex ? 3 : 2);
    size_t width = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
    *n = (size_t)(digits - p) + width + 1;
    if (p[1] != '#' || !width || width > 7 || digits[width] != ';')
        return 0;
    return strtoul(digits, NULL, hex ? 16 : 10);
}

static void unescape(const char *p, struct cm_strs *out)
{
    struct cm_buf b = {0};
    for (size_t n; *p; p += n) {
        char utf8[4];
        unsigned long c = *p == '&' ? entity(p, &n) : 0;
        size_t bytes = c ? cm_utf8_put(c, utf8) : 0;
        if (!bytes)
            n = 1;
        cm_buf_put(&b, bytes ? utf8 : p, bytes ? bytes : 1);
    }
    cm_strs_addn(out, (const char *)b.p, b.n);
    cm_buf_free(&b);
}

static int add_text(const struct cm_h5set *s, uint64_t row, const char *p, size_t n,
                    struct cm_strs *out)
{
    if (n != SIZE_MAX && n > CM_MAX_NAME)
        return cm_fail(CM_EINPUT, "%s: %s: row %" PRIu64 ": text of %zu bytes, at most %zu",
                       CM_H5_AT(s), row, n, CM_MAX_NAME);
    bool fits = n != SIZE_MAX && cm_utf8_bad(p, n) == n;
    if (fits && !(s->entities && memchr(p, '&', n))) {
        cm_strs_addn(out, p, n);
        return 0;
    }
    char where[512];
    snprintf(where, sizeof where, "%s: %s: row %" PRIu64, CM_H5_AT(s), row);
    if (!s->entities)
        return add_utf8(s->latin1, p, n, out, where);
    struct cm_strs one = {0};
    int code = add_utf8(s->latin1, p, n, &one, where);
    if (!code)
        unescape(cm_strs_get(&one, 0), out);
    cm_strs_free(&one);
    return code;
}

static int variable_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out)
{
    hid_t file, mem, str = H5Tcopy(H5T_C_S1);
    H5Tset_size(str, H5T_VARIABLE);
    H5Tset_cset(str, H5Tget_cset(s->type));
    char **v = CM_ZNEW(char *, n * s->cols);
    cm_h5_filters_expect(s->chunk_bytes);
    int code = s->verified ? cm_h5bulk_check(s, first, n) : 0;
    code = code ? code : select_rows(s, first, n, &file, &mem);
    if (!code) {
        hid_t type = memory_type(s, str);
        if (type < 0 || H5Dread(s->id, type, mem, file, H5P_DEFAULT, v) < 0)
            code = read_failed(s, first, n);
        cm_h5_filters_expect(0);
        for (uint64_t i = 0; !code && i < n * s->cols; i++)
            code = add_text(s, first + i / s->cols, v[i] ? v[i] : "", v[i] ? strlen(v[i]) : 0, out);
        H5Dvlen_reclaim(type, mem, H5P_DEFAULT, v);
        H5Tclose(type);
        H5Sclose(mem);
        H5Sclose(file);
    }
    cm_free(v);
    H5Tclose(str);
    return code;
}

static int fixed_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out)
{
    size_t items, bytes;
    if (cm_mul((size_t)n, (size_t)s->cols, &items) || cm_mul(items, s->size, &bytes) ||
        bytes > (size_t)1 << 31)
        return cm_fail(CM_EINPUT, "%s: %s: texts of %zu bytes each are not supported", CM_H5_AT(s),
                       s->size);
    char *v = cm_alloc(items, s->size);
    int code = cm_h5set_read(s, first, n, s->type, v);
    for (size_t i = 0; !code && i < items; i++)
        code = add_text(s, first + i / s->cols, v + i * s->size,
                        fixed_length(v + i * s->size, s->size, H5Tget_strpad(s->type)), out);
    cm_free(v);
    return code;
}

static int number_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out)
{
    int code;
    uint64_t items = n * s->cols;
    if (s->cls == CM_H5_FLOAT) {
        double *v = CM_NEW(double, items);
        char text[CM_NUMBER_MAX];
        code = cm_h5set_f64(s, first, n, v);
        for (uint64_t i = 0; !code && i < items; i++)
            cm_strs_add(out, s->size <= 4 ? cm_format_f32((float)v[i], text)
                                          : cm_format_f64(v[i], text));
        cm_free(v);
        return code;
    }
    int64_t *v = CM_NEW(int64_t, items);
    char text[CM_NUMBER_MAX];
    code = cm_h5set_i64(s, first, n, v);
    for (uint64_t i = 0; !code && i < items; i++) {
        snprintf(text, sizeof text, "%" PRId64, v[i]);
        cm_strs_add(out, s->cls == CM_H5_BOOL ? (v[i] ? "True" : "False") : text);
    }
    cm_free(v);
    return code;
}

int cm_h5set_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out)
{
    int code = s->cls == CM_H5_STRING ? 0 : need_number(s);
    if (!code && s->cols != 1)
        code = cm_fail(CM_EINPUT, "%s: %s: expected one dimension", CM_H5_AT(s));
    for (uint64_t at = 0; at < n && !code; at += BATCH) {
        step();
        uint64_t some = n - at < BATCH ? n - at : BATCH;
        code = s->cls != CM_H5_STRING ? number_texts(s, first + at, some, out)
               : s->fixed             ? fixed_texts(s, first + at, some, out)
                                      : variable_texts(s, first + at, some, out);
    }
    return code;
}
