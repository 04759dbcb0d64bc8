/* cli/folder.c - an output that is a directory, whole or not at all.
 *
 * An MTX matrix is three files, and a reader must never find two of them, or files of two runs.
 * They are written into .NAME.tmp.RANDOM beside the target, synced, and the directory is renamed
 * as one; one that is already there is exchanged in the same step and its files are removed
 * afterwards, provided that it holds no file of another name: a slip must not cost a home
 * directory.  Rejected: writing into the directory in place.
 *
 * One folder a tool; see cli/cli.h for what a tool calls.
 */
#include "cli/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { FILES_MAX = 8 };

static struct {
    char *name, *target, *temp;
    bool replace;
    int handle, file[FILES_MAX], fd[FILES_MAX];
    size_t n;
} folder;

static _Noreturn void cannot_create(const char *what)
{
    cm_fail_errno(CM_ESYSTEM, "cannot create '%s'", what);
    cm_die_code(CM_ESYSTEM);
}

/* Ends the program unless all that is in the directory may be replaced. */
static void check_old(const char *path, const char *const *known)
{
    struct stat s;
    DIR *d = opendir(path);
    if (!d)
        cannot_create(path);
    for (struct dirent *e; (e = readdir(d));) {
        size_t k = 0;
        while (known[k] && strcmp(known[k], e->d_name))
            k++;
        if (!known[k] && strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
            char name[64];
            snprintf(name, sizeof name, "%.60s", e->d_name);
            closedir(d);
            cm_die(4, "cannot create '%s': it is there and holds another file, %s", path, name);
        }
        if (known[k] && !fstatat(dirfd(d), e->d_name, &s, 0))
            cm_files_refuse_input(path, &s);
    }
    closedir(d);
}

void cm_out_folder(const char *path, const char *const *known)
{
    struct stat s;
    CM_ASSERT(!folder.name && cm_files_declared(path));
    folder.name = cm_strdup(path);
    folder.replace = !stat(path, &s);
    if (folder.replace && !S_ISDIR(s.st_mode))
        cm_die(4, "cannot create '%s': it is there and is no directory", path);
    if (folder.replace)
        check_old(path, known);
    char *name, *dir = cm_files_resolve(path, &name);
    if (!dir)
        cm_die_code(CM_ESYSTEM);
    char text[2 * PATH_MAX];
    snprintf(text, sizeof text, "%s%s%s", dir, strcmp(dir, "/") ? "/" : "", name);
    folder.target = cm_strdup(text);
    if (cm_temp_make(dir, name, true, &folder.temp, &folder.handle) < 0)
        cannot_create(path);
    free(dir);
    cm_free(name);
}

int cm_out_folder_file(const char *name)
{
    CM_ASSERT(folder.temp && folder.n < FILES_MAX);
    char text[2 * PATH_MAX];
    snprintf(text, sizeof text, "%s/%s", folder.temp, name);
    int handle = cm_temp_add(text);
    if (handle < 0)
        cannot_create(folder.name);
    int fd = open(text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        cannot_create(folder.name);
    folder.file[folder.n] = handle;
    folder.fd[folder.n++] = fd;
    return fd;
}

static bool sync_matters(void)
{
    return errno != EINVAL && errno != EROFS && errno != ENOTSUP && errno != ENOSYS;
}

/* What the exchange has put in the temporary's place. */
static void remove_old(const char *path)
{
    DIR *d = opendir(path);
    char text[2 * PATH_MAX];
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(text, sizeof text, "%s/%s", path, e->d_name);
        unlink(text);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

int cm_folder_close(void)
{
    int code = 0;
    if (!folder.name)
        return 0;
    for (size_t k = 0; k < folder.n; k++) {
        if (!code && fsync(folder.fd[k]) && sync_matters())
            code = cm_fail_errno(CM_ESYSTEM, "%s: cannot write to the disk", folder.name);
        if (close(folder.fd[k]) && !code && errno != EINTR)
            code = cm_fail_errno(CM_ESYSTEM, "%s: cannot write", folder.name);
    }
    if (code)
        return code;
    if (folder.replace ? renameat2(AT_FDCWD, folder.temp, AT_FDCWD, folder.target, RENAME_EXCHANGE)
                       : rename(folder.temp, folder.target))
        return cm_fail_errno(CM_ESYSTEM, "cannot create '%s'", folder.name);
    for (size_t k = 0; k < folder.n; k++)
        cm_temp_forget(folder.file[k]);
    cm_temp_forget(folder.handle);
    if (folder.replace)
        remove_old(folder.temp);
    cm_free(folder.name);
    cm_free(folder.target);
    cm_free(folder.temp);
    memset(&folder, 0, sizeof folder);
    return 0;
}
