/* cli/options.c - one table drives parsing, ranges, --help, --complete and the man page's test.
 *
 * The parser is written by hand.  getopt_long was rejected because it accepts any unambiguous
 * prefix of a long option, so that adding an option breaks somebody's script, and because it
 * follows POSIXLY_CORRECT and prints its own messages.  What it does is what getopt_long users
 * expect: --name=value and --name value, -k5 and -k 5, bundled flags (-qv), options after operands,
 * `--` as the end of options, `-` as an operand.
 *
 * While it parses it keeps the command line for the provenance record, without the options that
 * cannot change a result: equal results then have equal bytes whatever -t or -o was.
 */
#include "cli/internal.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/text.h"

enum { OPTIONS_MAX = 96, HELP_COLUMN = 28, HELP_WIDTH = 80 };

struct cm_common cm_common;
const struct cm_tool *cm_tool;
char **cm_operands;

static const struct cm_opt opt_output =
    CM_OPT_OUTPUT("output", 'o', &cm_common.output, "FILE",
                  "write there instead of to standard output; appears whole or not at all");
static const struct cm_opt opt_threads =
    CM_OPT_INT("threads", 't', &cm_common.threads, "0", 0, CM_THREADS_MAX, "N",
               "threads, 0 for all processors; results do not depend on it [env CM_THREADS]");
static const struct cm_opt opt_seed =
    CM_OPT_INT("seed", 0, &cm_common.seed, "42", 0, 9e18, "N", "seed of the random numbers");
static const struct cm_opt opt_level = CM_OPT_INT("level", 0, &cm_common.level, "1", -7, 19, "N",
                                                  "zstd level of the output [env CM_LEVEL]");
static const struct cm_opt opt_quiet =
    CM_OPT_FLAG("quiet", 'q', &cm_common.quiet, "no warnings, no progress");
static const struct cm_opt opt_verbose = CM_OPT_FLAG(
    "verbose", 'v', &cm_common.verbose, "say more, and at the end the seconds and the peak memory");
static const struct cm_opt opt_progress =
    CM_OPT_CHOICE("progress", 0, &cm_common.progress, "auto", "auto|always|never",
                  "progress on standard error; auto: on a terminal, in the last stage");
static const struct cm_opt opt_provenance =
    CM_OPT_FLAG("no-provenance", 0, &cm_common.no_provenance,
                "do not record this stage in the output [env CM_PROVENANCE=0]");
static const struct cm_opt opt_help =
    CM_OPT_FLAG("help", 'h', &cm_common.help, "show this and exit");
static const struct cm_opt opt_version =
    CM_OPT_FLAG("version", 0, &cm_common.version, "show the version and exit");
/* For shell completion, and for tests, which want to know what names a file; not in --help. */
static const struct cm_opt opt_complete = CM_OPT_FLAG("complete", 0, &cm_common.complete, "");
static const struct cm_opt opt_types = CM_OPT_FLAG("complete-types", 0, &cm_common.types, "");

/* The tool's own options first, so that they win over a common one of the same letter. */
static const struct cm_opt *table[OPTIONS_MAX];
static const char *heading[OPTIONS_MAX]; /* that --help prints above a row, or NULL */
static bool given[OPTIONS_MAX];
static size_t options;
static struct cm_buf args;

static void add(const struct cm_opt *o)
{
    CM_ASSERT(options < OPTIONS_MAX);
    given[options] = false;
    table[options++] = o;
}

static void start_group(const char *name)
{
    CM_ASSERT(options < OPTIONS_MAX);
    heading[options] = name;
}

static void gather(const struct cm_tool *tool)
{
    options = 0;
    memset(heading, 0, sizeof heading);
    start_group("Options");
    for (const struct cm_opt *o = tool->options; o && o->name; o++)
        if (o->type == CM_O_GROUP)
            start_group(o->help);
        else
            add(o);
    start_group("Common options");
    if (!(tool->flags & CM_TOOL_NO_OUTPUT))
        add(&opt_output);
    add(&opt_threads);
    if (tool->flags & CM_TOOL_SEED)
        add(&opt_seed);
    if (!(tool->flags & (CM_TOOL_TEXT | CM_TOOL_OWN_OUTPUT))) {
        add(&opt_level);
        add(&opt_provenance);
    }
    add(&opt_quiet);
    add(&opt_verbose);
    add(&opt_progress);
    add(&opt_help);
    add(&opt_version);
    add(&opt_complete);
    add(&opt_types);
}

static bool hidden(const struct cm_opt *o) { return o == &opt_complete || o == &opt_types; }

/* ===== values ============================================================================= */

/* " from 1 to 10", " of at least 1", or "" where the table gives no range. */
static const char *range(const struct cm_opt *o, char *out, size_t n)
{
    out[0] = 0;
    if (o->min == 0 && o->max == 0)
        return out;
    if (o->max >= 9e18)
        snprintf(out, n, " of at least %.15g", o->min);
    else if (o->min <= -9e18)
        snprintf(out, n, " of at most %.15g", o->max);
    else
        snprintf(out, n, " from %.15g to %.15g", o->min, o->max);
    return out;
}

static bool in_range(const struct cm_opt *o, double v)
{
    return !isnan(v) && ((o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max));
}

/* Position of text among "a|b|c", or -1. */
static int choice(const char *names, const char *text)
{
    size_t n = strlen(text);
    for (int k = 0;; k++) {
        size_t len = strcspn(names, "|");
        if (len == n && !memcmp(names, text, n))
            return k;
        if (!names[len])
            return -1;
        names += len + 1;
    }
}

/* `where` says where the text stands: "option --top", "environment CM_LEVEL". */
static int set(const struct cm_opt *o, const char *text, const char *where)
{
    char r[96];
    switch (o->type) {
    case CM_O_FLAG:
        *(bool *)o->to = true;
        return 0;
    case CM_O_INT: {
        int64_t v;
        if (!cm_parse_i64(text, &v) || !in_range(o, (double)v))
            return cm_fail(CM_EUSAGE, "%s: expected a whole number%s, found '%s'", where,
                           range(o, r, sizeof r), text);
        *(int64_t *)o->to = v;
        return 0;
    }
    case CM_O_REAL: {
        double v;
        if (!cm_parse_f64(text, &v) || !in_range(o, v))
            return cm_fail(CM_EUSAGE, "%s: expected a number%s, found '%s'", where,
                           range(o, r, sizeof r), text);
        *(double *)o->to = v;
        return 0;
    }
    case CM_O_SIZE: {
        uint64_t v;
        if (!cm_parse_size(text, &v) || !in_range(o, (double)v))
            return cm_fail(CM_EUSAGE,
                           "%s: expected a size in bytes, or with K, M, G or T,%s found '%s'",
                           where, range(o, r, sizeof r), text);
        *(uint64_t *)o->to = v;
        return 0;
    }
    case CM_O_STR:
    case CM_O_INPUT:
    case CM_O_STATE:
    case CM_O_OUTPUT:
    case CM_O_SAVE:
    case CM_O_WORD:
        *(const char **)o->to = text;
        return 0;
    case CM_O_CHOICE: {
        int k = choice(o->metavar, text);
        if (k < 0)
            return cm_fail(CM_EUSAGE, "%s: expected one of %s, found '%s'", where, o->metavar,
                           text);
        *(int *)o->to = k;
        return 0;
    }
    case CM_O_LIST:
    case CM_O_OUTPUTS: {
        struct cm_list *l = o->to;
        l->v = cm_realloc(l->v, l->n + 1, sizeof *l->v);
        l->v[l->n++] = text;
        return 0;
    }
    case CM_O_GROUP:
        break;
    }
    return cm_fail(CM_EBUG, "%s: unknown option type", where);
}

static void set_default(const struct cm_opt *o)
{
    switch (o->type) {
    case CM_O_FLAG:
        *(bool *)o->to = false;
        return;
    case CM_O_INT:
        *(int64_t *)o->to = 0;
        break;
    case CM_O_REAL:
        *(double *)o->to = 0;
        break;
    case CM_O_SIZE:
        *(uint64_t *)o->to = 0;
        break;
    case CM_O_STR:
    case CM_O_INPUT:
    case CM_O_STATE:
    case CM_O_OUTPUT:
    case CM_O_SAVE:
    case CM_O_WORD:
        *(const char **)o->to = NULL;
        break;
    case CM_O_CHOICE:
        *(int *)o->to = 0;
        break;
    case CM_O_LIST:
    case CM_O_OUTPUTS:
        *(struct cm_list *)o->to = (struct cm_list){0};
        break;
    case CM_O_GROUP:
        break;
    }
    if (o->def && set(o, o->def, o->name))
        cm_panic(70, "internal error: default of --%s: %s", o->name, cm_error_message());
}

/* A variable of the environment gives the default of a common option. */
static int from_environment(const struct cm_opt *o, const char *variable)
{
    const char *text = getenv(variable);
    char where[64];
    snprintf(where, sizeof where, "environment variable %s", variable);
    return text && *text ? set(o, text, where) : 0;
}

/* ===== the command line ==================================================================== */

static size_t find_long(const char *name, size_t n)
{
    for (size_t k = 0; k < options; k++)
        if (strlen(table[k]->name) == n && !memcmp(table[k]->name, name, n))
            return k;
    return CM_ABSENT;
}

static size_t find_letter(int letter)
{
    for (size_t k = 0; k < options; k++)
        if (table[k]->letter == letter)
            return k;
    return CM_ABSENT;
}

/* Letters that differ between two names (Levenshtein), for "did you mean". */
static unsigned distance(const char *a, size_t n, const char *b)
{
    unsigned row[64];
    size_t m = strlen(b);
    if (m + 1 > sizeof row / sizeof *row)
        return UINT_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

static int unknown(const char *name, size_t n)
{
    size_t best = CM_ABSENT;
    unsigned min = 3; /* two letters wrong are a slip, three are another word */
    for (size_t k = 0; k < options; k++) {
        const char *o = table[k]->name;
        if (hidden(table[k]))
            continue;
        unsigned d = n >= 2 && !strncmp(o, name, n) ? 1 : distance(name, n, o);
        if (d < min) {
            min = d;
            best = k;
        }
    }
    if (best == CM_ABSENT)
        return cm_fail(CM_EUSAGE, "unknown option '--%.*s'", (int)n, name);
    return cm_fail(CM_EUSAGE, "unknown option '--%.*s', did you mean '--%s'?", (int)n, name,
                   table[best]->name);
}

static bool changes_results(const struct cm_opt *o)
{
    return o != &opt_output && o != &opt_threads && o != &opt_level && o != &opt_quiet &&
           o != &opt_verbose && o != &opt_progress && o != &opt_provenance;
}

/* Where a file of a pipeline's own begins in a word, PATH or KEY=PATH; otherwise NULL. A pipeline
 * works in a directory TMPDIR=.../cellmatch.XXXXXX, whose name differs every time. */
static const char *temporary_in(const char *word)
{
    const char *dir = getenv("TMPDIR"), *last = dir ? strrchr(dir, '/') : NULL;
    if (!last || strncmp(last, "/cellmatch.", 11) != 0)
        return NULL;
    size_t n = strlen(dir);
    const char *value = strchr(word, '=');
    if (!strncmp(word, dir, n) && word[n] == '/')
        return word;
    return value && !strncmp(value + 1, dir, n) && value[1 + n] == '/' ? value + 1 : NULL;
}

/* Quoted so that a shell reads it back. */
static void keep_word(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_@%+=:,./-";
    if (args.n)
        cm_buf_puts(&args, " ");
    if (*word && strspn(word, plain) == strlen(word)) {
        cm_buf_puts(&args, word);
        return;
    }
    cm_buf_puts(&args, "'");
    for (; *word; word++) {
        if (*word == '\'')
            cm_buf_puts(&args, "'\\''");
        else
            cm_buf_put(&args, word, 1);
    }
    cm_buf_puts(&args, "'");
}

/* Appends a word to the kept command line. A pipeline's own file stands there by the last part of
 * its name, so that the same work leaves the same history. */
static void keep(const char *word)
{
    const char *path = temporary_in(word);
    if (!path) {
        keep_word(word);
        return;
    }
    struct cm_buf text = {0};
    cm_buf_put(&text, word, (size_t)(path - word));
    cm_buf_puts(&text, strrchr(path, '/') + 1);
    cm_buf_put(&text, "", 1);
    keep_word((const char *)text.p);
    cm_buf_free(&text);
}

static void keep_option(const struct cm_opt *o, const char *value)
{
    if (!changes_results(o))
        return;
    char name[80];
    snprintf(name, sizeof name, "--%s", o->name);
    keep(name);
    if (value)
        keep(value);
}

static int take(size_t k, const char *value)
{
    char where[80];
    snprintf(where, sizeof where, "option --%s", table[k]->name);
    given[k] = true;
    keep_option(table[k], table[k]->type == CM_O_FLAG ? NULL : value);
    return set(table[k], value, where);
}

/* "--name", "--name=value", "--name value"; *i moves on when the value is the next word. */
static int take_long(const char *word, int *i, int argc, char **argv)
{
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name), k = find_long(name, n);
    if (k == CM_ABSENT)
        return unknown(name, n);
    if (table[k]->type == CM_O_FLAG)
        return equals ? cm_fail(CM_EUSAGE, "option --%s takes no value", table[k]->name)
                      : take(k, NULL);
    if (equals)
        return take(k, equals + 1);
    if (*i + 1 >= argc)
        return cm_fail(CM_EUSAGE, "option --%s needs a value: %s", table[k]->name,
                       table[k]->metavar);
    return take(k, argv[++*i]);
}

/* "-qv", "-k5", "-k 5". */
static int take_letters(const char *word, int *i, int argc, char **argv)
{
    for (const char *c = word + 1; *c; c++) {
        size_t k = find_letter((unsigned char)*c);
        if (k == CM_ABSENT)
            return cm_fail(CM_EUSAGE, "unknown option '-%c'", *c);
        if (table[k]->type == CM_O_FLAG) {
            take(k, NULL);
            continue;
        }
        if (c[1])
            return take(k, c + 1);
        if (*i + 1 >= argc)
            return cm_fail(CM_EUSAGE, "option -%c needs a value: %s", *c, table[k]->metavar);
        return take(k, argv[++*i]);
    }
    return 0;
}

/* All operands there, none too many, standard input once. */
static int check_operands(const struct cm_tool *tool, char **v, int n)
{
    if (n < tool->min_operands)
        return n ? cm_fail(CM_EUSAGE, "missing operand after '%s', expected %s", v[n - 1],
                           tool->operands)
                 : cm_fail(CM_EUSAGE, "missing operand, expected %s", tool->operands);
    if (tool->max_operands >= 0 && n > tool->max_operands)
        return cm_fail(CM_EUSAGE, "extra operand '%s', expected %s", v[tool->max_operands],
                       *tool->operands ? tool->operands : "none");
    int dashes = 0;
    for (int k = 0; k < n; k++)
        dashes += !strcmp(v[k], "-");
    if (dashes > 1)
        return cm_fail(CM_EUSAGE, "standard input ('-') can be read only once");
    return 0;
}

/* For something that ends the program well, without any work. */
static bool asked(void)
{
    return cm_common.help || cm_common.version || cm_common.complete || cm_common.types;
}

int cm_options_parse(const struct cm_tool *tool, int argc, char **argv, char ***operands)
{
    cm_tool = tool;
    gather(tool);
    cm_buf_free(&args);
    args = (struct cm_buf){0};
    for (size_t k = 0; k < options; k++)
        set_default(table[k]);
    cm_common.seed = CM_SEED_DEFAULT;
    cm_common.level = 1;
    if (tool->flags & CM_TOOL_NO_OUTPUT)
        cm_common.output = NULL;

    static char **v; /* lives as long as the program: the operands are used to its end */
    cm_free(v);
    v = CM_NEW(char *, (size_t)(argc > 1 ? argc : 1) + 1);
    int n = 0, code = 0;
    bool ended = false;
    for (int i = 1; i < argc && !code; i++) {
        const char *word = argv[i];
        if (ended || word[0] != '-' || !word[1]) {
            keep(word);
            v[n++] = argv[i];
        } else if (!strcmp(word, "--")) {
            ended = true;
        } else if (word[1] == '-') {
            code = take_long(word, &i, argc, argv);
        } else {
            code = take_letters(word, &i, argc, argv);
        }
        if (asked())
            break; /* what follows does not matter: somebody is looking for help */
    }
    v[n] = NULL;
    *operands = v;
    if (code || asked())
        return code;

    if (!cm_given("threads") && (code = from_environment(&opt_threads, "CM_THREADS")))
        return code;
    if (!(tool->flags & (CM_TOOL_TEXT | CM_TOOL_OWN_OUTPUT))) {
        const char *p = getenv("CM_PROVENANCE");
        if (p && !strcmp(p, "0"))
            cm_common.no_provenance = true;
        else if (p && *p && strcmp(p, "1"))
            return cm_fail(CM_EUSAGE,
                           "environment variable CM_PROVENANCE: expected 0 or 1, found '%s'", p);
        if (!cm_given("level") && (code = from_environment(&opt_level, "CM_LEVEL")))
            return code;
    }
    if ((tool->flags & CM_TOOL_OWN_OUTPUT) && !cm_common.output)
        return cm_fail(CM_EUSAGE, "option -o is missing, expected -o FILE");
    if ((code = check_operands(tool, v, n)))
        return code;
    if (n == 0 && tool->min_operands == 0 && tool->max_operands != 0) {
        static char dash[] = "-";
        v[0] = dash;
        v[1] = NULL;
    }
    return 0;
}

const char *cm_options_args(void)
{
    static char *text;
    cm_free(text);
    text = CM_NEW(char, args.n + 1);
    if (args.n)
        memcpy(text, args.p, args.n);
    text[args.n] = 0;
    return text;
}

void cm_options_files(void (*use)(const struct cm_opt *o, const char *value))
{
    for (size_t k = 0; k < options; k++) {
        const struct cm_opt *o = table[k];
        if (o->type == CM_O_OUTPUTS) {
            const struct cm_list *l = o->to;
            for (size_t i = 0; i < l->n; i++)
                use(o, l->v[i]);
        } else if (o->type >= CM_O_INPUT && *(const char *const *)o->to) {
            use(o, *(const char *const *)o->to);
        }
    }
}

bool cm_given(const char *option)
{
    size_t k = find_long(option, strlen(option));
    CM_ASSERT(k != CM_ABSENT); /* a tool asks for an option that it does not have */
    return given[k];
}

uint64_t cm_seed(void) { return (uint64_t)cm_common.seed; }
bool cm_quiet(void) { return cm_common.quiet; }
bool cm_verbose(void) { return cm_common.verbose; }

/* `-o -` is standard output, too. */
const char *cm_output(void)
{
    return cm_common.output && strcmp(cm_common.output, "-") ? cm_common.output : NULL;
}

const char *cm_tool_name(void) { return cm_tool ? cm_tool->name : "cellmatch"; }

/* ===== --help, --version, --complete ======================================================= */

static void wrapped(FILE *to, const char *text)
{
    size_t column = HELP_COLUMN;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + n > HELP_WIDTH) {
            fprintf(to, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", (int)n, text);
        column += n;
        text += n + (text[n] == ' ');
    }
    fputc('\n', to);
}

static void help_option(FILE *to, const struct cm_opt *o)
{
    char left[160], text[640], r[96], letter[8] = "    ";
    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    int n = snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->metavar ? " " : "",
                     o->metavar ? o->metavar : "");
    const char *span = o->type == CM_O_CHOICE ? "" : range(o, r, sizeof r);
    const char *fits = !strncmp(span, " of ", 4) ? span + 4 : *span ? span + 1 : "";
    const char *def = o->def ? o->def : "";
    snprintf(text, sizeof text, "%s%s%s%s%s%s%s", o->help, *fits || *def ? " (" : "", fits,
             *fits && *def ? "; " : "", *def ? "default " : "", def, *fits || *def ? ")" : "");
    if (n + 2 > HELP_COLUMN)
        fprintf(to, "%s\n%*s", left, HELP_COLUMN, "");
    else
        fprintf(to, "%-*s", HELP_COLUMN, left);
    wrapped(to, text);
}

void cm_options_help(FILE *to)
{
    fprintf(to, "usage: %s [options]%s%s\n%s\n", cm_tool->name, *cm_tool->operands ? " " : "",
            cm_tool->operands, cm_tool->about);
    for (size_t k = 0; k < options; k++) {
        if (heading[k])
            fprintf(to, "\n%s:\n", heading[k]);
        if (!hidden(table[k]))
            help_option(to, table[k]);
    }
    fprintf(to, "\nMore: %s(1), cellmatch(7)\n", cm_tool->name);
}

/* "--name TYPE METAVAR", tabs between. */
static void print_types(void)
{
    static const char *const names[] = {"flag",   "int",  "real",   "size",  "str",
                                        "choice", "list", "input",  "state", "output",
                                        "save",   "word", "outputs"};
    for (size_t k = 0; k < options; k++)
        if (!hidden(table[k]))
            printf("--%s\t%s\t%s\n", table[k]->name, names[table[k]->type],
                   table[k]->metavar ? table[k]->metavar : "");
}

/* Not there in a tool without matrix/blas.c, which the weak name does not link. */
extern void cm_blas_start(void) __attribute__((weak));

static _Noreturn void leave_after_text(void)
{
    if (fflush(stdout) || ferror(stdout)) {
        cm_fail_errno(CM_ESYSTEM, "cannot write to stdout");
        cm_die_code(CM_ESYSTEM);
    }
    cm_leave(0);
}

char **cm_start(const struct cm_tool *tool, int argc, char **argv)
{
    cm_tool = tool;
    cm_say_start();
    cm_signals_start();
    char **operands;
    int code = cm_options_parse(tool, argc, argv, &operands);
    if (code)
        cm_usage_error("%s", cm_error_message());
    if (cm_common.help) {
        cm_options_help(stdout);
        leave_after_text();
    }
    if (cm_common.version) {
        printf("%s (cellmatch) %s\n", tool->name, CM_VERSION);
        leave_after_text();
    }
    if (cm_common.complete) {
        for (size_t k = 0; k < options; k++)
            if (!hidden(table[k]))
                printf("--%s\n", table[k]->name);
        leave_after_text();
    }
    if (cm_common.types) {
        print_types();
        leave_after_text();
    }
    cm_operands = operands;
    cm_known_start();
    cm_pool_set_threads((size_t)cm_common.threads);
    if (cm_blas_start) /* in tools that compute with OpenBLAS */
        cm_blas_start();
    return operands;
}
