/* plot/sources.c - tables beside the match, and where everything came from.  See report.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/text.h"
#include "plot/report.h"
#include "stream/info.h"

/* ===== scores ============================================================================= */

static int score_cell(const struct cm_text_table *t, const char *metric, size_t column,
                      char text[64])
{
    strcpy(text, "-");
    for (size_t i = 0; i < t->rows; i++) {
        double v;
        if (strcmp(cm_text_table_get(t, i, 0), metric) != 0)
            continue;
        if (cm_text_table_number(t, i, column, &v))
            return CM_EINPUT;
        if (!isnan(v))
            snprintf(text, 64, v >= 1 ? "%.6g" : "%.4f", v);
    }
    return 0;
}

int cm_report_scores(struct cm_page *p, const struct cm_text_table *score,
                     const struct cm_strs *name)
{
    static const char *const metric[][2] = {{"match_probability", "match probability"},
                                            {"top1", "top 1"},
                                            {"top5", "top 5"},
                                            {"top10", "top 10"},
                                            {"median_rank", "median rank"},
                                            {"chance", "chance"},
                                            {"cells", "cells"}};
    enum { METRICS = sizeof metric / sizeof *metric };
    const char *header[METRICS + 1] = {"match"};
    int code = 0;
    for (size_t k = 0; k < METRICS; k++)
        header[k + 1] = metric[k][1];
    cm_page_section(p, "Compared with other matches");
    cm_page_text(p, "From the tables of score(1), whose matches may have another temperature than "
                    "the one reported here.");
    cm_page_table_begin(p, "lrrrrrrr", header);
    for (size_t s = 0; s < name->n && !code; s++) {
        char text[METRICS][64];
        const char *cell[METRICS + 1] = {cm_strs_get(name, s)};
        size_t column;
        code = cm_text_table_need(&score[s], "value", &column);
        for (size_t k = 0; k < METRICS && !code; k++) {
            code = score_cell(&score[s], metric[k][0], column, text[k]);
            cell[k + 1] = text[k];
        }
        if (!code)
            cm_page_row(p, cell);
    }
    cm_page_table_end(p);
    return code;
}

/* ===== sources ============================================================================ */

static const char *value_of(const struct cm_lines *l, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < l->n; i++)
        if (!strncmp(l->line[i], key, n) && l->line[i][n] == '\t')
            return l->line[i] + n + 1;
    return "";
}

/* One stage of the history: its tool, arguments, version, seed, and the digests of its inputs. */
struct stage {
    struct cm_buf command, remark, id;
};

static void end_stage(struct cm_sources *s, struct stage *x)
{
    if (!x->command.n)
        return;
    cm_buf_u8(&x->command, 0);
    cm_buf_u8(&x->remark, 0);
    cm_buf_u8(&x->id, 0);
    size_t k = 0;
    while (k < s->id.n && strcmp(cm_strs_get(&s->id, k), (char *)x->id.p) != 0)
        k++;
    if (k == s->id.n) {
        cm_strs_add(&s->command, (char *)x->command.p);
        cm_strs_add(&s->remark, (char *)x->remark.p);
        cm_strs_add(&s->id, (char *)x->id.p);
    }
    x->command.n = x->remark.n = x->id.n = 0;
}

/* A line "provenance.N.KEY TAB VALUE"; a stage begins with its tool. */
static void read_stage(struct cm_sources *s, struct stage *x, char *line)
{
    char *value = strchr(line, '\t'), *key;
    if (!value)
        return;
    *value++ = 0;
    key = strrchr(line, '.') + 1;
    if (!strcmp(key, "tool")) {
        end_stage(s, x);
        cm_buf_puts(&x->command, value);
    } else if (!strcmp(key, "args")) {
        cm_buf_printf(&x->command, "%s%s", *value ? " " : "", value);
    } else if (!strcmp(key, "version")) {
        cm_buf_printf(&x->remark, "version %s", value);
    } else if (!strcmp(key, "seed")) {
        cm_buf_printf(&x->remark, ", seed %s", value);
    } else if (!strcmp(key, "input")) {
        cm_buf_printf(&x->remark, ", input %s", value);
    }
    cm_buf_printf(&x->id, "%s=%s ", key, value);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

void cm_sources_add(struct cm_sources *s, const char *path, const struct cm_reader *r)
{
    struct cm_lines l = {0};
    struct stage x = {{0}, {0}, {0}};
    char size[100];
    cm_info_stream(r, &l.text);
    if (cm_lines_cut(&l, path)) /* only a text of several megabytes in one line */
        return;
    const char *rows = value_of(&l, "rows");
    snprintf(size, sizeof size, "%.30s%s%.30s", rows, *rows ? " x " : "",
             value_of(&l, "slot.0.cols"));
    cm_strs_add(&s->file, base_name(path));
    cm_strs_add(&s->kind, cm_kind_name(cm_reader_head(r)->kind));
    cm_strs_add(&s->size, size);
    cm_strs_add(&s->digest, value_of(&l, "digest"));
    for (size_t i = 0; i < l.n; i++)
        if (!strncmp(l.line[i], "provenance.", 11))
            read_stage(s, &x, l.line[i]);
    end_stage(s, &x);
    cm_buf_free(&x.command);
    cm_buf_free(&x.remark);
    cm_buf_free(&x.id);
    cm_lines_free(&l);
}

void cm_sources_add_table(struct cm_sources *s, const char *path, size_t rows)
{
    char size[64];
    snprintf(size, sizeof size, "%zu lines", rows);
    cm_strs_add(&s->file, base_name(path));
    cm_strs_add(&s->kind, "text");
    cm_strs_add(&s->size, size);
    cm_strs_add(&s->digest, "");
}

void cm_report_sources(struct cm_page *p, const struct cm_sources *s)
{
    cm_page_section(p, "Where it came from");
    cm_page_table_begin(p, "llrl", (const char *const[]){"file", "kind", "size", "digest"});
    for (size_t k = 0; k < s->file.n; k++)
        cm_page_row(p, (const char *const[]){cm_strs_get(&s->file, k), cm_strs_get(&s->kind, k),
                                             cm_strs_get(&s->size, k), cm_strs_get(&s->digest, k)});
    cm_page_table_end(p);
    if (s->command.n == 0) {
        cm_page_text(p, "The streams carry no history.");
        return;
    }
    cm_page_text(p, "The commands that made these streams, as they recorded them, each once:");
    cm_page_commands_begin(p);
    for (size_t k = 0; k < s->command.n; k++)
        cm_page_command(p, cm_strs_get(&s->command, k), cm_strs_get(&s->remark, k));
    cm_page_commands_end(p);
}

void cm_sources_free(struct cm_sources *s)
{
    cm_strs_free(&s->file);
    cm_strs_free(&s->kind);
    cm_strs_free(&s->size);
    cm_strs_free(&s->digest);
    cm_strs_free(&s->command);
    cm_strs_free(&s->remark);
    cm_strs_free(&s->id);
}
