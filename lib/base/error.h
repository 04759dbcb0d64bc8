/* base/error.h - error codes and messages of the library.
 *
 * Problem: a stage in a pipe must end with one clear line and an exit status that a script can act
 * on, but library code must neither print nor exit.  Choice: every fallible function returns 0 (or
 * a count) on success and a negative CM_E... code on failure, leaving ONE message for the thread;
 * the code is minus the exit status of cellmatch(7) (2 usage, 3 input, 4 system, ...), so that the
 * status and the message are decided at the same place.  Rejected: errno (carries no text), and
 * returning allocated error objects (every caller would have to free them).
 */
#ifndef CM_BASE_ERROR_H
#define CM_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cm_error {
    CM_OK = 0,
    CM_EUSAGE = -2,   /* the call is wrong: options, operands */
    CM_EINPUT = -3,   /* bad input: not CMS, cut, checksum, wrong kind or state, malformed file */
    CM_ESYSTEM = -4,  /* open, read, write, memory */
    CM_EABORT = -5,   /* a stage upstream said ABORT */
    CM_ENUMERIC = -6, /* NaN, no convergence, singular */
    CM_EBUG = -70     /* our own fault */
};

#define CM_MESSAGE_MAX 1024 /* longest message, with its NUL */

#if defined(__GNUC__)
#define CM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define CM_PRINTF(f, a)
#endif

/* Leaves the message for this thread and returns `code`, so that `return cm_fail(CM_EINPUT, ...)`
 * is the whole of a failure.  The text has no program name, no newline. */
int cm_fail(int code, const char *format, ...) CM_PRINTF(2, 3);
#ifdef CM_ANALYZE /* static analysis sees one file at a time: this says what cm_fail returns */
#define cm_fail(code, ...) (cm_fail(code, __VA_ARGS__), (code))
#endif

/* The same with ": strerror(errno)" appended. */
int cm_fail_errno(int code, const char *format, ...) CM_PRINTF(2, 3);

/* Puts "what: " in front of the thread's message (to add a file's name on the way up) and returns
 * `code` unchanged; with code >= 0 it does nothing. */
int cm_fail_in(int code, const char *what);

/* The thread's last message, "" if none.  Owned by the library. */
const char *cm_error_message(void);

/* A broken invariant or exhausted memory: calls the hook (cli/ removes temporary files there and
 * says ABORT downstream), writes one line to stderr, ends the program with `status`. */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 2, 3)))
#endif
void cm_panic(int status, const char *format, ...);

/* The thread that ends the program asks for the word: true for the first one, and all others sleep
 * until the process is gone, so that there is one line and one cleaning up.  False: this thread has
 * it already, and has failed while it cleaned up. */
bool cm_last_words(void);

/* Called by cm_panic with status and message before the program ends; NULL takes it away. */
void cm_panic_hook(void (*hook)(int status, const char *message));

#define CM_ASSERT(x)                                                                               \
    ((x) ? (void)0 : cm_panic(70, "internal error: %s:%d: %s", __FILE__, __LINE__, #x))

#ifdef __cplusplus
}
#endif
#endif
