/* Option tables: every type, every way to write an option, every refusal.
 *
 * cm_options_parse neither prints nor exits, so the whole command line grammar is tested in one
 * process; what it says is part of the contract (one line that names option, range and finding),
 * so messages are compared, not only codes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cli/internal.h"

static struct {
    int64_t top;
    double scale;
    uint64_t memory;
    const char *name;
    int method;
    struct cm_list where;
    bool hard;
} o;

static const struct cm_opt table[] = {
    CM_OPT_INT("top", 'k', &o.top, "1000", 1, 1e9, "N", "entries kept a row"),
    CM_OPT_REAL("scale", 's', &o.scale, "1e4", 0, 1e300, "S", "scale"),
    CM_OPT_SIZE("max-memory", 0, &o.memory, "1G", 0, 0, "SIZE", "memory"),
    CM_OPT_STR("name", 0, &o.name, NULL, "NAME", "a name"),
    CM_OPT_CHOICE("method", 0, &o.method, "dual", "softmax|dual|csls", "a rule"),
    CM_OPT_LIST("where", 0, &o.where, "LABEL=VALUE", "rows"),
    CM_OPT_GROUP("Research options"),
    CM_OPT_FLAG("hard", 'H', &o.hard, "one partner a row"),
    CM_OPT_END,
};
static const struct cm_tool filter = {"foo", "[IN.cms]", "foos", table, 0, 1, CM_TOOL_SEED};
static const struct cm_tool pair = {"bar", "A.cms B.cms", "bars", NULL, 2, 2, CM_TOOL_DEFAULT};
static const struct cm_tool writer = {"baz", "", "bazzes", NULL, 0, 0, CM_TOOL_OWN_OUTPUT};

static char **operands;

/* Words separated by blanks. */
static int parse(const struct cm_tool *t, const char *line)
{
    static char text[512];
    char *argv[32] = {text};
    int argc = 1;
    strcpy(text, line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    free((void *)o.where.v);
    o.where = (struct cm_list){0};
    return cm_options_parse(t, argc, argv, &operands);
}

static void refuses(const struct cm_tool *t, const char *line, const char *message)
{
    assert_int_equal(parse(t, line), CM_EUSAGE);
    assert_string_equal(cm_error_message(), message);
}

static void defaults(void **state)
{
    (void)state;
    assert_int_equal(parse(&filter, ""), 0);
    assert_int_equal(o.top, 1000);
    assert_true(o.scale == 1e4);
    assert_int_equal(o.memory, (uint64_t)1 << 30);
    assert_null(o.name);
    assert_int_equal(o.method, 1);
    assert_int_equal(o.where.n, 0);
    assert_false(o.hard);
    assert_int_equal(cm_seed(), CM_SEED_DEFAULT);
    assert_int_equal(cm_common.level, 1);
    assert_string_equal(operands[0], "-");
    assert_null(operands[1]);
    assert_false(cm_given("top"));
}

static void every_spelling(void **state)
{
    (void)state;
    assert_int_equal(parse(&filter, "--top 7 --scale=2.5 in.cms --max-memory 3M --name x "
                                    "--method csls --where a=1 --where=b=2,3 -H"),
                     0);
    assert_int_equal(o.top, 7);
    assert_true(o.scale == 2.5);
    assert_int_equal(o.memory, 3u << 20);
    assert_string_equal(o.name, "x");
    assert_int_equal(o.method, 2);
    assert_int_equal(o.where.n, 2);
    assert_string_equal(o.where.v[0], "a=1");
    assert_string_equal(o.where.v[1], "b=2,3");
    assert_true(o.hard);
    assert_string_equal(operands[0], "in.cms");
    assert_true(cm_given("top") && cm_given("hard") && !cm_given("seed"));

    assert_int_equal(parse(&filter, "-k5 -qHv -s 3 --seed 9 --level -7"), 0);
    assert_int_equal(o.top, 5);
    assert_true(o.hard && cm_quiet() && cm_verbose());
    assert_true(o.scale == 3);
    assert_int_equal(cm_seed(), 9);
    assert_int_equal(cm_common.level, -7);

    assert_int_equal(parse(&filter, "-Hk8 --top 9"), 0); /* the last one counts */
    assert_int_equal(o.top, 9);
    assert_int_equal(parse(&filter, "-- --top"), 0);
    assert_string_equal(operands[0], "--top");
    assert_int_equal(parse(&filter, "-o x.cms"), 0);
    assert_string_equal(cm_output(), "x.cms");
    assert_int_equal(parse(&filter, "-o -"), 0);
    assert_null(cm_output());
}

static void refusals(void **state)
{
    (void)state;
    refuses(&filter, "--to 3", "unknown option '--to', did you mean '--top'?"); /* a prefix */
    refuses(&filter, "--tpo 3", "unknown option '--tpo', did you mean '--top'?");
    refuses(&filter, "--entirely-else", "unknown option '--entirely-else'");
    refuses(&filter, "-Z", "unknown option '-Z'");
    refuses(&filter, "--top", "option --top needs a value: N");
    refuses(&filter, "-k", "option -k needs a value: N");
    refuses(&filter, "--hard=1", "option --hard takes no value");
    refuses(&filter, "--top 1.5",
            "option --top: expected a whole number from 1 to 1000000000, found '1.5'");
    refuses(&filter, "--top 0",
            "option --top: expected a whole number from 1 to 1000000000, found '0'");
    refuses(&filter, "--scale -1", "option --scale: expected a number of at least 0, found '-1'");
    refuses(&filter, "--scale nan", "option --scale: expected a number of at least 0, found 'nan'");
    refuses(&filter, "--max-memory 3x",
            "option --max-memory: expected a size in bytes, or with K, M, G or T, found '3x'");
    refuses(&filter, "--method mean",
            "option --method: expected one of softmax|dual|csls, found 'mean'");
    refuses(&filter, "--method soft",
            "option --method: expected one of softmax|dual|csls, found 'soft'");
    refuses(&filter, "--level 20",
            "option --level: expected a whole number from -7 to 19, found '20'");
    refuses(&filter, "a.cms b.cms", "extra operand 'b.cms', expected [IN.cms]");
    refuses(&pair, "a.cms", "missing operand after 'a.cms', expected A.cms B.cms");
    refuses(&pair, "", "missing operand, expected A.cms B.cms");
    refuses(&pair, "- -", "standard input ('-') can be read only once");
    refuses(&pair, "a b --seed 1", "unknown option '--seed'");
    refuses(&writer, "", "option -o is missing, expected -o FILE");
    refuses(&writer, "-o x y", "extra operand 'y', expected none");
}

static void environment(void **state)
{
    (void)state;
    setenv("CM_THREADS", "3", 1);
    setenv("CM_LEVEL", "5", 1);
    setenv("CM_PROVENANCE", "0", 1);
    assert_int_equal(parse(&filter, ""), 0);
    assert_int_equal(cm_common.threads, 3);
    assert_int_equal(cm_common.level, 5);
    assert_true(cm_common.no_provenance);
    assert_int_equal(parse(&filter, "-t 2 --level 1"), 0); /* the command line wins */
    assert_int_equal(cm_common.threads, 2);
    assert_int_equal(cm_common.level, 1);
    setenv("CM_LEVEL", "high", 1);
    refuses(&filter, "",
            "environment variable CM_LEVEL: expected a whole number from -7 to 19, found 'high'");
    unsetenv("CM_LEVEL");
    setenv("CM_PROVENANCE", "yes", 1);
    refuses(&filter, "", "environment variable CM_PROVENANCE: expected 0 or 1, found 'yes'");
    unsetenv("CM_PROVENANCE");
    unsetenv("CM_THREADS");
    assert_int_equal(parse(&filter, ""), 0);
    assert_false(cm_common.no_provenance);
}

/* What cannot change a result is not kept: equal results have equal provenance. */
static void kept_arguments(void **state)
{
    (void)state;
    assert_int_equal(parse(&filter, "-t2 -k 5 -o out.cms -qv --level=3 --no-provenance in.cms"), 0);
    assert_string_equal(cm_options_args(), "--top 5 in.cms");
    assert_int_equal(parse(&filter, "--name it's -H --seed 3 a*b"), 0);
    assert_string_equal(cm_options_args(), "--name 'it'\\''s' --hard --seed 3 'a*b'");
}

static void help_text(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_int_equal(parse(&filter, ""), 0);
    cm_options_help(f);
    fclose(f);
    static const char top[] = "usage: foo [options] [IN.cms]\nfoos\n\nOptions:\n";
    assert_memory_equal(text, top, sizeof top - 1);
    assert_non_null(strstr(text, "  -k, --top N               entries kept a row (from 1 to "
                                 "1000000000; default\n                            1000)\n"));
    assert_non_null(strstr(text, "      --method softmax|dual|csls\n"));
    assert_null(strstr(text, "--complete"));
    static const char group[] =
        "\n\nResearch options:\n  -H, --hard                one partner a row\n\nCommon options:\n";
    assert_non_null(strstr(text, group));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 80);
    free(text);
}

/* A heading is no option: nothing on the command line means it, nor does it stand without rows. */
static void groups(void **state)
{
    (void)state;
    refuses(&filter, "--=x", "unknown option '--'");
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_int_equal(parse(&pair, "a b"), 0);
    cm_options_help(f);
    fclose(f);
    assert_null(strstr(text, "\nOptions:\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),       cmocka_unit_test(every_spelling),
        cmocka_unit_test(refusals),       cmocka_unit_test(environment),
        cmocka_unit_test(kept_arguments), cmocka_unit_test(help_text),
        cmocka_unit_test(groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
