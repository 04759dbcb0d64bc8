/* plot/html.c - a page of text, tables and figures.  See html.h. */
#include "plot/html.h"

#include <stdarg.h>
#include <stdio.h>

#include "plot/svg.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c1f24;--soft:#51565e;--page:#fff;--line:#dfe3e8;"
    "--band:#f5f6f8;--note:#fff6e0;--edge:#e0a100}\n"
    "@media screen and (prefers-color-scheme:dark){:root{--ink:#e9ebee;--soft:#aab0b9;"
    "--page:#15181d;--line:#343a43;--band:#1d2127;--note:#2d2716;--edge:#b98a1a}}\n"
    "body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--page);color:var(--ink);"
    "font:15px/1.5 system-ui,\"Segoe UI\",Roboto,\"DejaVu Sans\",Arial,sans-serif}\n"
    "h1{font-size:1.6rem;line-height:1.25;margin:.6rem 0}"
    "h2{font-size:1.2rem;margin:2rem 0 .6rem;border-bottom:1px solid var(--line)}"
    "p{max-width:46rem;margin:.5rem 0}footer,.r{color:var(--soft);font-size:.85rem}\n"
    ".wide{overflow-x:auto;margin:.8rem 0}table{border-collapse:collapse}"
    "th,td{padding:.28rem 1.2rem .28rem 0;text-align:left;border-bottom:1px solid var(--line);"
    "vertical-align:top}th{font-weight:600}.n{text-align:right;font-variant-numeric:tabular-nums;"
    "white-space:nowrap}\n"
    ".figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));"
    "gap:1rem;margin:.8rem 0}.figures svg{width:100%;max-width:35rem;height:auto}\n"
    "code{font-family:ui-monospace,\"DejaVu Sans Mono\",monospace;font-size:.82rem;"
    "overflow-wrap:anywhere}li{margin:.25rem 0}ol{padding-left:2rem}\n"
    ".warn{background:var(--note);border-left:4px solid var(--edge);padding:.5rem .9rem;"
    "margin:.5rem 0}\n"
    "@media (max-width:32rem){body{padding:.7rem;font-size:14px}th,td{padding-right:.7rem}}\n"
    "@media print{body{font-size:10pt;max-width:none;padding:0}.figures{display:block}"
    ".figures "
    "svg{max-width:11cm;break-inside:avoid}tr,li{break-inside:avoid}h2{break-after:avoid}}\n";

void cm_page_free(struct cm_page *p)
{
    cm_buf_free(&p->body);
    cm_strs_free(&p->warnings);
    *p = (struct cm_page){0};
}

static void element(struct cm_buf *b, const char *name, const char *text)
{
    cm_buf_printf(b, "<%s>", name);
    cm_svg_escape(b, text);
    cm_buf_printf(b, "</%s>\n", name);
}

void cm_page_section(struct cm_page *p, const char *title)
{
    cm_buf_puts(&p->body, p->section ? "</section>\n<section>\n" : "<section>\n");
    element(&p->body, "h2", title);
    p->section = true;
}

void cm_page_text(struct cm_page *p, const char *format, ...)
{
    char line[2000];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    element(&p->body, "p", line);
}

void cm_page_warn(struct cm_page *p, const char *format, ...)
{
    char line[2000];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    cm_strs_add(&p->warnings, line);
}

void cm_page_figures_begin(struct cm_page *p)
{
    cm_buf_puts(&p->body, "<div class=\"figures\">\n");
}

void cm_page_figure(struct cm_page *p, const struct cm_figure *f)
{
    char id[32];
    snprintf(id, sizeof id, "figure%zu", ++p->figures);
    cm_figure_svg(f, id, &p->body);
}

void cm_page_figures_end(struct cm_page *p) { cm_buf_puts(&p->body, "</div>\n"); }

/* ===== tables and lists =================================================================== */

static void put_row(struct cm_page *p, const char *name, const char *const *cell)
{
    cm_buf_puts(&p->body, "<tr>");
    for (size_t k = 0; p->columns[k]; k++) {
        cm_buf_printf(&p->body, "<%s%s>", name, p->columns[k] == 'r' ? " class=\"n\"" : "");
        cm_svg_escape(&p->body, cell[k]);
        cm_buf_printf(&p->body, "</%s>", name);
    }
    cm_buf_puts(&p->body, "</tr>\n");
}

void cm_page_table_begin(struct cm_page *p, const char *columns, const char *const *header)
{
    p->columns = columns;
    cm_buf_puts(&p->body, "<div class=\"wide\"><table><thead>");
    put_row(p, "th", header);
    cm_buf_puts(&p->body, "</thead><tbody>\n");
}

void cm_page_row(struct cm_page *p, const char *const *cell) { put_row(p, "td", cell); }

void cm_page_table_end(struct cm_page *p) { cm_buf_puts(&p->body, "</tbody></table></div>\n"); }

void cm_page_commands_begin(struct cm_page *p) { cm_buf_puts(&p->body, "<ol>\n"); }

void cm_page_command(struct cm_page *p, const char *command, const char *remark)
{
    cm_buf_puts(&p->body, "<li><code>");
    cm_svg_escape(&p->body, command);
    cm_buf_puts(&p->body, "</code> <span class=\"r\">");
    cm_svg_escape(&p->body, remark);
    cm_buf_puts(&p->body, "</span></li>\n");
}

void cm_page_commands_end(struct cm_page *p) { cm_buf_puts(&p->body, "</ol>\n"); }

/* ===== the page =========================================================================== */

void cm_page_html(struct cm_page *p, const char *title, const char *footer, struct cm_buf *out)
{
    cm_buf_puts(out, "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n"
                     "<head>\n<meta charset=\"utf-8\" />\n<meta name=\"viewport\" "
                     "content=\"width=device-width, initial-scale=1\" />\n");
    element(out, "title", title);
    cm_buf_printf(out, "<style>\n%s</style>\n</head>\n<body>\n", style);
    element(out, "h1", title);
    for (size_t k = 0; k < p->warnings.n; k++) {
        cm_buf_puts(out, "<div class=\"warn\" role=\"note\">");
        cm_svg_escape(out, cm_strs_get(&p->warnings, k));
        cm_buf_puts(out, "</div>\n");
    }
    cm_buf_put(out, p->body.p, p->body.n);
    if (p->section)
        cm_buf_puts(out, "</section>\n");
    element(out, "footer", footer);
    cm_buf_puts(out, "</body>\n</html>\n");
}
