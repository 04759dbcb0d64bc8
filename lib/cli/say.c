/* cli/say.c - messages, progress, and the end of a tool that fails.
 *
 * A message is one line `tool: error: ...`, sent with one write(2), so that lines of different
 * stages never mix; control characters from file names or contents are masked.  Progress is a line
 * that is rewritten in place, at most six times a second, and only on a terminal, in the last
 * stage of a pipe.  Rejected: stdio on stderr (several writes a line), and progress of every stage
 * at once.
 */
#include "cli/internal.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double started;
static bool line_shown; /* a progress line stands on the terminal */
static double last_shown, first_done_at;
static uint64_t first_done;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void cm_say_start(void)
{
    started = now();
    line_shown = false;
    last_shown = first_done_at = 0;
}

/* write(2) to stderr until done; there is nobody to report a failure to. */
static void put(const char *text, size_t n)
{
    while (n) {
        ssize_t k = write(2, text, n);
        if (k <= 0)
            return;
        text += k;
        n -= (size_t)k;
    }
}

void cm_say(const char *kind, const char *format, va_list ap)
{
    char line[CM_MESSAGE_MAX + 160], *end = line + sizeof line - 1, *at = line;
    if (line_shown) {
        at = stpcpy(at, "\r\033[K");
        line_shown = false;
    }
    char *text = at;
    at += snprintf(at, 128, "%s: %s", cm_tool_name(), kind);
    int n = vsnprintf(at, (size_t)(end - at), format, ap);
    at += n < 0 ? 0 : n < end - at ? n : end - at - 1;
    for (char *c = text; c < at; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = *c == '\n' || *c == '\t' ? ' ' : '?';
    *at++ = '\n';
    put(line, (size_t)(at - line));
}

static void say(const char *kind, const char *format, ...) CM_PRINTF(2, 3);
static void say(const char *kind, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    cm_say(kind, format, ap);
    va_end(ap);
}

void cm_warn(const char *format, ...)
{
    if (cm_common.quiet)
        return;
    va_list ap;
    va_start(ap, format);
    cm_say("warning: ", format, ap);
    va_end(ap);
}

void cm_info(const char *format, ...)
{
    if (!cm_common.verbose)
        return;
    va_list ap;
    va_start(ap, format);
    cm_say("", format, ap);
    va_end(ap);
}

void cm_say_costs(void)
{
    struct rusage u;
    if (!cm_common.verbose || getrusage(RUSAGE_SELF, &u))
        return;
    cm_info("%.2f seconds, %.2f of processor time, %.1f MiB of memory at the peak", now() - started,
            (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec),
            (double)u.ru_maxrss / 1024.0);
}

/* ===== failing ============================================================================= */

void cm_die(int status, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    static int first; /* the status of the failure that is reported */
    if (!cm_last_words())
        status = first ? first : status; /* from cm_panic, or a failure while one is reported */
    if (!first) {
        first = status;
        say("error: ", "%s", text);
        cm_exit_undo(status, text);
    }
    cm_leave(status);
}

void cm_die_code(int code)
{
    const char *message = cm_error_message();
    cm_die(code < 0 && code >= CM_EBUG ? -code : 70, "%s",
           *message ? message : "failed without a message");
}

void cm_usage_error(const char *format, ...)
{
    char text[CM_MESSAGE_MAX - 64];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    cm_die(2, "%s (see '%s --help')", text, cm_tool_name());
}

void cm_try(int code)
{
    if (code < 0)
        cm_die_code(code);
}

/* ===== progress ============================================================================ */

/* auto: standard error is a terminal that we may write to, and nobody reads our output in a pipe:
 * of several stages, the last one speaks. */
static bool wanted(void)
{
    static int answer = -1;
    if (answer < 0) {
        struct stat s;
        answer = cm_common.progress == CM_PROGRESS_ALWAYS ||
                 (cm_common.progress == CM_PROGRESS_AUTO && !cm_common.quiet && isatty(2) &&
                  tcgetpgrp(2) == getpgrp() && (fstat(1, &s) || !S_ISFIFO(s.st_mode)));
    }
    return answer;
}

static const char *duration(double seconds, char *out, size_t n)
{
    if (seconds > 359999)
        snprintf(out, n, "days");
    else if (seconds >= 3600)
        snprintf(out, n, "%d:%02d:%02d", (int)seconds / 3600, (int)seconds / 60 % 60,
                 (int)seconds % 60);
    else
        snprintf(out, n, "%d:%02d", (int)seconds / 60, (int)seconds % 60);
    return out;
}

void cm_progress(uint64_t done, uint64_t total, const char *unit)
{
    if (!wanted())
        return;
    double t = now();
    if (first_done_at == 0) { /* the rate counts from the first call: opening files is no work */
        first_done_at = last_shown = t;
        first_done = done;
        return;
    }
    bool terminal = isatty(2);
    if (t - last_shown < (terminal ? 1.0 / 6 : 1.0))
        return;
    last_shown = t;
    double rate = (double)(done - first_done) / (t - first_done_at);
    char line[200], left[32];
    int n = snprintf(line, sizeof line, "%s%s: %llu", terminal ? "\r" : "", cm_tool_name(),
                     (unsigned long long)done);
    if (total)
        n += snprintf(line + n, sizeof line - (size_t)n, " of %llu", (unsigned long long)total);
    n += snprintf(line + n, sizeof line - (size_t)n, " %.40s, %.3g/s", unit, rate);
    if (total && rate > 0 && done <= total)
        n += snprintf(line + n, sizeof line - (size_t)n, ", %s left",
                      duration((double)(total - done) / rate, left, sizeof left));
    n += snprintf(line + n, sizeof line - (size_t)n, "%s", terminal ? "\033[K" : "\n");
    put(line, (size_t)n);
    line_shown = terminal;
}

void cm_progress_end(void)
{
    if (line_shown)
        put("\r\033[K", 4);
    line_shown = false;
    first_done_at = 0;
}
