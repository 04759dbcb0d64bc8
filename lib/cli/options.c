/* cli/options.c - one table drives parsing, ranges, --help, --complete and the man page's test.
 *
 * The parser is written by hand.  getopt_long was rejected because it accepts any unambiguous
 * prefix of a long option, so that adding an option breaks somebody's script, and because it
 * follows POSIXLY_CORRECT and prints its own messages.  What it does is what getopt_long users
 * expect: --name=value and --name value, -k5 and -k 5, bundled flags (-qv), options after operands,
 * `--` as the end of options, `-` as an operand.
 *
 * While it parses it keeps the command line for the provenance record (args.c), without the options
 * that cannot change a result: equal results then have equal bytes whatever -t or -o was.
 */
#include "cli/internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/text.h"

enum { OPTIONS_MAX = 96 };

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

/* A variable of the environment gives the default of a common option. */
static int from_environment(const struct cm_opt *o, const char *variable)
{
    const char *text = getenv(variable);
    char where[64];
    snprintf(where, sizeof where, "environment variable %s", variable);
    return text && *text ? cm_opt_set(o, text, where) : 0;
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
        if (cm_options_hidden(table[k]))
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

static void keep_option(const struct cm_opt *o, const char *value)
{
    if (!changes_results(o))
        return;
    char name[80];
    snprintf(name, sizeof name, "--%s", o->name);
    cm_args_add(name);
    if (value)
        cm_args_add(value);
}

static int take(size_t k, const char *value)
{
    char where[80];
    snprintf(where, sizeof where, "option --%s", table[k]->name);
    given[k] = true;
    keep_option(table[k], table[k]->type == CM_O_FLAG ? NULL : value);
    return cm_opt_set(table[k], value, where);
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
    cm_args_clear();
    for (size_t k = 0; k < options; k++)
        cm_opt_default(table[k]);
    cm_common.seed = CM_SEED_DEFAULT;
    cm_common.level = 1;
    if (tool->flags & CM_TOOL_NO_OUTPUT)
        cm_common.output = NULL;

    static char **v; /* lives as long as the program: the operands are used to its end */
    cm_free(v);
    v = CM_NEW((size_t)(argc > 1 ? argc : 1) + 1, char *);
    int n = 0, code = 0;
    bool ended = false;
    for (int i = 1; i < argc && !code; i++) {
        const char *word = argv[i];
        if (ended || word[0] != '-' || !word[1]) {
            cm_args_add(word);
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

size_t cm_options_count(void) { return options; }

const struct cm_opt *cm_options_row(size_t k, const char **group)
{
    *group = heading[k];
    return table[k];
}

bool cm_options_hidden(const struct cm_opt *o) { return o == &opt_complete || o == &opt_types; }
