/* plot/figure.h - a figure: title, panels with axes, legend, caption, and the numbers behind it.
 *
 * Figures are 480 units wide and as high as they need to be, with text that can be read at 400
 * pixels; their colours follow the reader's choice of a light or dark page (prefers-color-scheme).
 * What a figure leaves out or draws a sample of is said twice: in its caption, and in a list that
 * the tool gives to its user.
 */
#ifndef CM_PLOT_FIGURE_H
#define CM_PLOT_FIGURE_H

#include "base/bytes.h"
#include "base/strs.h"
#include "plot/axis.h"
#include "plot/png.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_FIGURE_WIDTH 480.0

/* Zero-initialise; a title that is set then is kept.  Release with cm_figure_free. */
struct cm_figure {
    char *title;
    struct cm_buf body;      /* elements drawn so far */
    struct cm_buf tsv;       /* the numbers behind the figure: a header line, then lines */
    struct cm_strs caption;  /* sentences */
    struct cm_strs omitted;  /* those of them that say what was left out or sampled */
    double y;                /* where the next panel may begin */
    struct cm_raster pixels; /* of a figure that is a picture of pixels */
};
void cm_figure_free(struct cm_figure *f);

/* Begins with the title; a long one is broken into lines. */
void cm_figure_begin(struct cm_figure *f, const char *title);
/* A sentence of the caption. */
void cm_figure_note(struct cm_figure *f, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* The same, of what is not drawn. */
void cm_figure_omit(struct cm_figure *f, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* A rectangle in which data are drawn. */
struct cm_panel {
    double x, y, w, h;
    struct cm_axis across, up;
};
/* A panel of height h below what there is, as wide as the figure, with space for the axes and the
 * label of each; draws them. */
struct cm_panel cm_panel_make(struct cm_figure *f, double h, struct cm_axis across,
                              struct cm_axis up);
double cm_panel_x(const struct cm_panel *p, double v);
double cm_panel_y(const struct cm_panel *p, double v);

/* Entries of a legend, in lines as long as the figure is wide. */
struct cm_legend {
    struct cm_figure *f;
    double x;
};
enum cm_key { CM_KEY_DISC, CM_KEY_TRIANGLE, CM_KEY_LINE, CM_KEY_DASHES };
struct cm_legend cm_legend_begin(struct cm_figure *f);
/* colour: the number of a colour (colour.h), CM_KEY_GREY for that of text. */
#define CM_KEY_GREY 99
void cm_legend_add(struct cm_legend *l, enum cm_key key, size_t colour, const char *text);
void cm_legend_end(struct cm_legend *l);

/* The bar of viridis with its numbers, below what there is. */
void cm_colour_bar(struct cm_figure *f, const struct cm_axis *a);

/* A marker as a path of class "fN"; radius of the disc, or of the triangle's corners. */
void cm_mark(struct cm_buf *b, double x, double y, double radius, enum cm_key key, size_t colour);

/* How wide a text of that size is, about: fonts differ. */
double cm_text_width(const char *text, double size);
/* The text, or its beginning and an ellipsis if it is wider than that; appended to b with a NUL. */
void cm_text_fit(struct cm_buf *b, const char *text, double size, double width);

/* The whole picture: an SVG element with style, title and description.  id: unique in the page that
 * it will be part of, letters and digits. */
void cm_figure_svg(const struct cm_figure *f, const char *id, struct cm_buf *out);

#ifdef __cplusplus
}
#endif
#endif
