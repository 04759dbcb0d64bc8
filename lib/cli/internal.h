/* cli/internal.h - what the files of cli/ share and nobody else sees, lowest first.
 *
 * One process runs one tool, so state is global by nature; what the command line says is gathered
 * in `cm_common`, where it can be seen at a glance.
 */
#ifndef CM_CLI_INTERNAL_H
#define CM_CLI_INTERNAL_H

#include <sys/stat.h>

#include "cli/cli.h"

enum { CM_PROGRESS_AUTO, CM_PROGRESS_ALWAYS, CM_PROGRESS_NEVER };

/* common.c: the options that tools have in common, as parsed. */
struct cm_common {
    const char *output;
    int64_t threads, seed, level;
    bool quiet, verbose, no_provenance, help, version, complete, types;
    int progress;
};
extern struct cm_common cm_common;
extern const struct cm_tool *cm_tool; /* set by cm_options_parse */
const char *cm_tool_name(void);       /* "cellmatch" before cm_start */
extern char **cm_operands;            /* as cm_start returns them, NULL before */

/* exit.c: clean-ups of a tool that fails, undone last first; each is in the stack once. */
typedef void cm_cleanup(int status, const char *message);
void cm_exit_push(cm_cleanup *undo);
void cm_exit_undo(int status, const char *message);
_Noreturn void cm_leave(int status); /* _exit that keeps coverage data */

/* say.c: one line, one write(2); control characters masked; takes a progress line away first. */
void cm_say(const char *kind, const char *format, va_list ap) CM_PRINTF(2, 0);
void cm_say_costs(void); /* with -v: wall seconds and peak memory */
void cm_say_start(void); /* the clock */

/* temp.c: files to unlink if the process fails or is killed. */
enum { CM_TEMP_MAX = 64 };
int cm_temp_add(const char *path); /* a handle >= 0; -1 with errno */
void cm_temp_forget(int handle);   /* it was renamed */
bool cm_temp_unlink_all(void);     /* async-signal-safe; true if there was one */
void cm_temp_remove_all(int status, const char *message); /* the clean-up */
int cm_temp_share(void); /* the list survives us: a parent can see it.  0 or -1 */
/* Makes .NAME.tmp.RANDOM in `dir`, a file (its descriptor, for writing) or a directory (0), which
 * goes if the process is killed; *path to be freed with cm_free.  -1 with errno. */
int cm_temp_make(const char *dir, const char *name, bool folder, char **path, int *handle);
extern uint64_t (*cm_temp_random)(void); /* a test may put another in its place */

void cm_signals_start(void);

/* values.c.  Sets the target; `where` says where the text stands: "option --top".  0 or CM_EUSAGE.
 */
int cm_opt_set(const struct cm_opt *o, const char *text, const char *where);
void cm_opt_default(const struct cm_opt *o);
/* " from 1 to 10", " of at least 1", or "" where the table gives no range. */
const char *cm_opt_range(const struct cm_opt *o, char *out, size_t n);

/* args.c: the command line, shell-quoted, without what cannot change a result (-t, -o, ...). */
void cm_args_clear(void);
void cm_args_add(const char *word);
const char *cm_options_args(void);

/* options.c: parses argv[1..]; *operands is NULL-terminated and owned by the caller's process.
 * 0 or CM_EUSAGE with a message.  No output, no exit: tests call it directly. */
int cm_options_parse(const struct cm_tool *tool, int argc, char **argv, char ***operands);
/* Calls use(option, value) for every value of an option that names a file. */
void cm_options_files(void (*use)(const struct cm_opt *o, const char *value));
size_t cm_options_count(void);
/* Row k; *group: the heading above it, or NULL. */
const struct cm_opt *cm_options_row(size_t k, const char **group);
bool cm_options_hidden(const struct cm_opt *o); /* for programs, not in --help */

/* help.c */
void cm_options_help(FILE *to);
void cm_options_names(FILE *to); /* --complete: "--name" */
void cm_options_types(FILE *to); /* --complete-types: "--name TYPE METAVAR", tabs between */

/* known.c */
void cm_known_start(void);                  /* at the end of cm_start */
bool cm_files_declared(const char *output); /* did an option name it as an output? */
/* Ends the program if the file of `s`, called `name`, is an input. */
void cm_files_refuse_input(const char *name, const struct stat *s);
/* N of /dev/fd/N, /proc/self/fd/N, /dev/stdout, /dev/stderr and "-"; otherwise -1. */
int cm_files_descriptor(const char *path);
/* Directory (absolute, to be freed with free) and name of a file to be; NULL with a message. */
char *cm_files_resolve(const char *path, char **name);

/* input.c: streams that are open, which are the parents of outputs. */
size_t cm_inputs(struct cm_reader ***list);
void cm_inputs_close(void);

/* folder.c: the directory of cm_out_folder, synced and put in place; 0 without one. */
int cm_folder_close(void);

void cm_outputs_start(void); /* output.c: ABORT is sent when the tool fails */

#endif
