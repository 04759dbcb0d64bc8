/* plot/html.h - a page: sections, paragraphs, tables and figures in one file, without scripts.
 *
 * The page is HTML5 that is also well-formed XML.  All text that is given is escaped.
 */
#ifndef CM_PLOT_HTML_H
#define CM_PLOT_HTML_H

#include "base/bytes.h"
#include "base/strs.h"
#include "plot/figure.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise; cm_page_free. */
struct cm_page {
    struct cm_buf body;
    struct cm_strs warnings; /* stand at the top of the page */
    size_t figures;
    bool section;        /* one is open */
    const char *columns; /* of the table that is open */
};
void cm_page_free(struct cm_page *p);

void cm_page_section(struct cm_page *p, const char *title); /* ends the one before */
void cm_page_text(struct cm_page *p, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
void cm_page_warn(struct cm_page *p, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* Figures side by side where there is space. */
void cm_page_figures_begin(struct cm_page *p);
void cm_page_figure(struct cm_page *p, const struct cm_figure *f);
void cm_page_figures_end(struct cm_page *p);

/* A table: columns has a letter for each, l for text and r for numbers, which are set to the right;
 * then the header's cells, and rows of as many. */
void cm_page_table_begin(struct cm_page *p, const char *columns, const char *const *header);
void cm_page_row(struct cm_page *p, const char *const *cell);
void cm_page_table_end(struct cm_page *p);

/* A numbered list of commands, each with a remark. */
void cm_page_commands_begin(struct cm_page *p);
void cm_page_command(struct cm_page *p, const char *command, const char *remark);
void cm_page_commands_end(struct cm_page *p);

/* The whole page; footer: the last line. */
void cm_page_html(struct cm_page *p, const char *title, const char *footer, struct cm_buf *out);

#ifdef __cplusplus
}
#endif
#endif
