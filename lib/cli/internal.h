/* cli/internal.h - what the files of cli/ share and nobody else sees.
 *
 * options.c fills `cm_common` from the command line; say.c, files.c and signals.c obey it.  One
 * process runs one tool, so this state is global by nature; it is gathered here so that it can be
 * seen at a glance.
 */
#ifndef CM_CLI_INTERNAL_H
#define CM_CLI_INTERNAL_H

#include <sys/stat.h>

#include "cli/cli.h"

enum { CM_PROGRESS_AUTO, CM_PROGRESS_ALWAYS, CM_PROGRESS_NEVER };

/* The options that tools have in common, as parsed. */
struct cm_common {
    const char *output;
    int64_t threads, seed, level;
    bool quiet, verbose, no_provenance, help, version, complete, types;
    int progress;
};
extern struct cm_common cm_common;
extern const struct cm_tool *cm_tool; /* set by cm_options_parse */
const char *cm_tool_name(void);       /* "cellmatch" before cm_start */

extern char **cm_operands; /* as cm_start returns them, NULL before */

/* options.c: parses argv[1..]; *operands is NULL-terminated and owned by the caller's process.
 * 0 or CM_EUSAGE with a message.  No output, no exit: tests call it directly. */
int cm_options_parse(const struct cm_tool *tool, int argc, char **argv, char ***operands);
void cm_options_help(FILE *to);
/* The command line, shell-quoted, without what cannot change a result (-t, -o, --level ...). */
const char *cm_options_args(void);

/* say.c: one line, one write(2); control characters masked; takes a progress line away first. */
void cm_say(const char *kind, const char *format, va_list ap) CM_PRINTF(2, 0);
void cm_say_costs(void); /* with -v: wall seconds and peak memory */
void cm_say_start(void); /* the clock */

/* Calls use(option, value) for every value of an option that names a file. */
void cm_options_files(void (*use)(const struct cm_opt *o, const char *value));

/* known.c */
void cm_known_start(void);                  /* at the end of cm_start */
bool cm_files_declared(const char *output); /* did an option name it as an output? */
/* Ends the program if the file of `s`, called `name`, is an input. */
void cm_files_refuse_input(const char *name, const struct stat *s);
/* N of /dev/fd/N, /proc/self/fd/N, /dev/stdout, /dev/stderr and "-"; otherwise -1. */
int cm_files_descriptor(const char *path);
/* Directory (absolute, to be freed with free) and name of a file to be; NULL with a message. */
char *cm_files_resolve(const char *path, char **name);

/* files.c */
/* ABORT into what has begun, temporary files gone.  Never returns an error: we are failing. */
void cm_files_discard(int status, const char *message);

/* folder.c: the directory of cm_out_folder, synced and put in place; 0 without one. */
int cm_folder_close(void);

/* temp.c: makes .NAME.tmp.RANDOM in `dir`, a file (its descriptor, for writing) or a directory (0),
 * which goes if the process is killed; *path to be freed with cm_free.  -1 with errno. */
int cm_temp_make(const char *dir, const char *name, bool folder, char **path, int *handle);
extern uint64_t (*cm_temp_random)(void); /* a test may put another in its place */

/* signals.c: files to unlink if the process is killed. */
enum { CM_TEMP_MAX = 64 };
void cm_signals_start(void);
int cm_temp_add(const char *path); /* a handle >= 0; -1 with errno */
void cm_temp_forget(int handle);   /* it was renamed */
void cm_temp_remove_all(void);
int cm_temp_share(void);             /* the list survives us: a parent can see it.  0 or -1 */
_Noreturn void cm_leave(int status); /* _exit that keeps coverage data */

#endif
