/* cli/help.c - what --help, --complete and --complete-types print of the table of options. */
#include "cli/internal.h"

#include <string.h>

enum { HELP_COLUMN = 28, HELP_WIDTH = 80 };

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
    const char *span = o->type == CM_O_CHOICE ? "" : cm_opt_range(o, r, sizeof r);
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
    for (size_t k = 0; k < cm_options_count(); k++) {
        const char *group;
        const struct cm_opt *o = cm_options_row(k, &group);
        if (group)
            fprintf(to, "\n%s:\n", group);
        if (!cm_options_hidden(o))
            help_option(to, o);
    }
    fprintf(to, "\nMore: %s(1), cellmatch(7)\n", cm_tool->name);
}

void cm_options_types(FILE *to)
{
    static const char *const names[] = {"flag",   "int",  "real",   "size",  "str",
                                        "choice", "list", "input",  "state", "output",
                                        "save",   "word", "outputs"};
    for (size_t k = 0; k < cm_options_count(); k++) {
        const char *group;
        const struct cm_opt *o = cm_options_row(k, &group);
        if (!cm_options_hidden(o))
            fprintf(to, "--%s\t%s\t%s\n", o->name, names[o->type], o->metavar ? o->metavar : "");
    }
}

void cm_options_names(FILE *to)
{
    for (size_t k = 0; k < cm_options_count(); k++) {
        const char *group;
        const struct cm_opt *o = cm_options_row(k, &group);
        if (!cm_options_hidden(o))
            fprintf(to, "--%s\n", o->name);
    }
}
