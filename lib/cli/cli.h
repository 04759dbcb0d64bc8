/* cli/cli.h - the manners that all tools share (public).
 *
 * ONE option table a tool drives parsing, ranges, --help, completion and the test of the man
 * page; one place opens inputs and outputs; one function, cm_out_close, decides the exit status.
 * Everything here may end the program; nothing below cli/ does.  Every path that is written must
 * have come from an option of an output type.  Rejected: a setup file per tool.
 *
 *     static struct { int64_t k; } o;
 *     static const struct cm_opt options[] = {
 *         CM_OPT_INT("top", 'k', &o.k, "1000", 1, 1e9, "N", "entries kept a row"),
 *         CM_OPT_END,
 *     };
 *     static const struct cm_tool tool = {"knn-match", "E.cms T.cms", "match cells ...", options,
 *                                         2, 2, CM_TOOL_DEFAULT};
 *     int main(int argc, char **argv)
 *     {
 *         char **in = cm_start(&tool, argc, argv);
 *         struct cm_reader *r = cm_in_open(in[0]);
 *         struct cm_writer *w = cm_out_open(&head);
 *         ...
 *         return cm_finish();
 *     }
 */
#ifndef CM_CLI_CLI_H
#define CM_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef CM_VERSION
#define CM_VERSION "0.1.0"
#endif

/* ===== options ============================================================================ */

/* A row is written with one of the macros below, which checks the type of its target.
 *
 * An option that names a file says so by its type, and cm_start sees to it that no output is an
 * input or another output, and that each can be made (known.c).  FILE/MODALITY counts as FILE. */
enum cm_opt_type {
    CM_O_FLAG,
    CM_O_INT,
    CM_O_REAL,
    CM_O_SIZE,
    CM_O_STR,
    CM_O_CHOICE,
    CM_O_LIST,
    CM_O_INPUT,   /* a file that the tool reads */
    CM_O_STATE,   /* the same, and an output of type SAVE may take its place: --resume */
    CM_O_OUTPUT,  /* a file that it writes */
    CM_O_SAVE,    /* the same, in place of a STATE or not: --checkpoint */
    CM_O_WORD,    /* a word, or file:F, and F is read */
    CM_O_OUTPUTS, /* TYPE=OUT, repeatable: what stands behind the last = is written */
    CM_O_GROUP    /* no option: a heading of --help */
};

struct cm_list {
    size_t n;
    const char **v;
};

struct cm_opt {
    const char *name; /* long, without dashes; the table ends with a zero row */
    int letter;       /* short, 0 = none */
    enum cm_opt_type type;
    void *to;
    const char *def; /* default as the user would type it; NULL = unset (NULL, 0, false) */
    double min, max; /* INT, REAL, SIZE: allowed range, both ends; min == max == 0: any */
    const char *metavar;
    const char *help; /* one line, no final stop */
};

/* `to` if it is a pointer to `type`, otherwise an error of the compiler. */
#if defined(__cplusplus) || defined(__cppcheck__) /* which does not read _Generic there */
#define CM_OPT_TO(type, to) (1 ? (to) : (type *)0)
#else
#define CM_OPT_TO(type, to) _Generic((to), type * : (to))
#endif

/* Rows of a table; the comment names the type of the target. */
/* clang-format off */
#define CM_OPT_FLAG(name, letter, to, help) /* bool */                                             \
    {name, letter, CM_O_FLAG, CM_OPT_TO(bool, to), NULL, 0, 0, NULL, help}
#define CM_OPT_INT(name, letter, to, def, min, max, metavar, help) /* int64_t */                   \
    {name, letter, CM_O_INT, CM_OPT_TO(int64_t, to), def, min, max, metavar, help}
#define CM_OPT_REAL(name, letter, to, def, min, max, metavar, help) /* double */                   \
    {name, letter, CM_O_REAL, CM_OPT_TO(double, to), def, min, max, metavar, help}
#define CM_OPT_SIZE(name, letter, to, def, min, max, metavar, help) /* uint64_t; K, M, G, T */     \
    {name, letter, CM_O_SIZE, CM_OPT_TO(uint64_t, to), def, min, max, metavar, help}
#define CM_OPT_STR(name, letter, to, def, metavar, help) /* const char * */                        \
    {name, letter, CM_O_STR, CM_OPT_TO(const char *, to), def, 0, 0, metavar, help}
#define CM_OPT_CHOICE(name, letter, to, def, words, help) /* int: the position in "a|b|c" */       \
    {name, letter, CM_O_CHOICE, CM_OPT_TO(int, to), def, 0, 0, words, help}
#define CM_OPT_LIST(name, letter, to, metavar, help) /* struct cm_list; repeatable */              \
    {name, letter, CM_O_LIST, CM_OPT_TO(struct cm_list, to), NULL, 0, 0, metavar, help}
#define CM_OPT_FILE(type, name, letter, to, def, metavar, help)                                    \
    {name, letter, type, CM_OPT_TO(const char *, to), def, 0, 0, metavar, help}
#define CM_OPT_INPUT(name, letter, to, metavar, help) /* const char *, as all of these */          \
    CM_OPT_FILE(CM_O_INPUT, name, letter, to, NULL, metavar, help)
#define CM_OPT_STATE(name, letter, to, metavar, help)                                              \
    CM_OPT_FILE(CM_O_STATE, name, letter, to, NULL, metavar, help)
#define CM_OPT_OUTPUT(name, letter, to, metavar, help)                                             \
    CM_OPT_FILE(CM_O_OUTPUT, name, letter, to, NULL, metavar, help)
#define CM_OPT_SAVE(name, letter, to, metavar, help)                                               \
    CM_OPT_FILE(CM_O_SAVE, name, letter, to, NULL, metavar, help)
#define CM_OPT_WORD(name, letter, to, def, metavar, help)                                          \
    CM_OPT_FILE(CM_O_WORD, name, letter, to, def, metavar, help)
#define CM_OPT_OUTPUTS(name, letter, to, metavar, help) /* struct cm_list */                       \
    {name, letter, CM_O_OUTPUTS, CM_OPT_TO(struct cm_list, to), NULL, 0, 0, metavar, help}
/* --help prints the rows that follow below this heading; those before any are "Options". */
#define CM_OPT_GROUP(heading) {"", 0, CM_O_GROUP, NULL, NULL, 0, 0, NULL, heading}
#define CM_OPT_END            {NULL, 0, CM_O_FLAG, NULL, NULL, 0, 0, NULL, NULL}
/* clang-format on */

enum {
    CM_TOOL_DEFAULT = 0,
    CM_TOOL_SEED = 1,       /* has --seed */
    CM_TOOL_NO_OUTPUT = 2,  /* no -o (h5-read --to, cms-gen, ... have their own outputs) */
    CM_TOOL_TEXT = 4,       /* writes text: no --level, no --no-provenance */
    CM_TOOL_OWN_OUTPUT = 8, /* -o is required and is not a CMS stream (h5-write) */
    CM_TOOL_FOLDER = 16     /* and it is a directory (mtx-write) */
};

struct cm_tool {
    const char *name;
    const char *operands; /* as in SYNOPSIS: "[IN.cms]", "GEX.cms ATAC.cms" */
    const char *about;    /* one line, = the man page's .Nd */
    const struct cm_opt *options;
    int min_operands, max_operands; /* max -1 = any number */
    unsigned flags;
};

/* Parses; serves --help and --version; installs signal handlers and the panic hook; sets threads;
 * refuses an output that is an input, that goes where another goes, or that cannot be made.
 * Returns the operands, NULL-terminated; when none is given and max_operands is 1 or -1 with
 * min_operands 0 they are {"-", NULL}.  "-" may occur once.  Ends with status 2 on misuse. */
char **cm_start(const struct cm_tool *tool, int argc, char **argv);
bool cm_given(const char *option); /* was this long option on the command line? */
uint64_t cm_seed(void);
bool cm_quiet(void);
bool cm_verbose(void);
const char *cm_output(void); /* operand of -o, NULL = stdout */

/* For tools that give foreign files to a foreign library; see guard.c.  cm_guard_start, first in
 * main: goes on in a child; the parent turns the child's crash, or its death by SIGPROF (the
 * watchdog of format/), into one line and status 3, and otherwise ends as the child does.
 * cm_guard_file: from now on a crash is that file's doing, and the process may hold `memory` bytes
 * of data; what goes beyond is status 3.  cm_guard_done: from now on it is ours. */
void cm_guard_start(const char *tool);
void cm_guard_file(const char *name, uint64_t memory);
void cm_guard_done(void);

/* ===== streams ============================================================================ */

/* Opens, or ends the program.  The reader becomes a parent of every output opened LATER, and is
 * closed by cm_finish. */
struct cm_reader *cm_in_open(const char *path);
/* A file that is read in another way, and that neither an operand nor an option names: from now on
 * it is an input.  Ends the program if an output would go there. */
void cm_in_note(const char *path);
/* The stream of -o, or stdout; writes the head.  A terminal is refused. */
struct cm_writer *cm_out_open(const struct cm_head *h);
struct cm_writer *cm_out_open_file(const char *path,
                                   const struct cm_head *h); /* a further output */
/* Text output (cms-text, score): the same atomic -o.  Then a further one (--log, --table). */
FILE *cm_out_text(void);
FILE *cm_out_text_file(const char *path);
/* What was written to it has arrived, or the end of the program: for a log that grows slowly. */
void cm_out_flush(FILE *text);
/* A path to write a foreign file to; renamed to `path` by cm_finish, removed on failure. */
const char *cm_out_path(const char *path);
/* A directory as output, put in place by cm_finish as one, removed on failure.  known: names of
 * files (ended by NULL) that one which is there already may hold and lose; any other is refused.
 * Then its files, one by one, as descriptors that cm_finish syncs and closes. */
void cm_out_folder(const char *path, const char *const *known);
int cm_out_folder_file(const char *name);
/* Ends one of them at once (END, flush, sync, close, rename), or the program: a checkpoint. */
void cm_out_now(struct cm_writer *w);
/* Ends every output: END, flush, sync, close, rename; says what failed; returns the exit status. */
int cm_out_close(void);
/* cm_out_close, then closes the inputs; `return cm_finish();` is the end of main.  `status` of
 * cm_finish_with is used when everything else went well (1 = a negative answer). */
int cm_finish(void);
int cm_finish_with(int status);

/* cm_reader_next or the end of the program. */
bool cm_next(struct cm_reader *r, struct cm_chunk *c);
/* cm_writer_chunk, cm_writer_tensor, ... : cm_try(cm_writer_chunk(w, &c, h)). */
void cm_try(int code);

/* Requirements, each ending the program with status 3 and one line that says expected and found. */
void cm_require_kind(struct cm_reader *r, enum cm_kind kind);
/* slot must be in one of the states (a list ended by -1). */
void cm_require_state(struct cm_reader *r, size_t slot, const int *states, const char *hint);

/* ===== words ============================================================================== */

/* "tool: error: ...", ABORT downstream, temporary files removed, exit. */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 2, 3)))
#endif
void cm_die(int status, const char *format, ...);
#if defined(__GNUC__)
__attribute__((noreturn))
#endif
void cm_die_code(int code); /* with the library's message */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 1, 2)))
#endif
void cm_usage_error(const char *format, ...); /* status 2, points at --help */
void cm_warn(const char *format, ...) CM_PRINTF(1, 2); /* "tool: warning: ...", not with -q */
void cm_info(const char *format, ...) CM_PRINTF(1, 2); /* only with -v */
/* At most 6 a second, on a terminal (or --progress always): rate, time left; total 0 = unknown. */
void cm_progress(uint64_t done, uint64_t total, const char *unit);
void cm_progress_end(void);
/* For tools that end cleanly on a signal (trainers): true once SIGTERM or SIGUSR1 came. */
void cm_signals_polite(void);
int cm_signal_seen(void);
/* `batch`: a reader that goes away is success. */
void cm_pipe_closed_is_success(void);

#ifdef __cplusplus
}
#endif
#endif
