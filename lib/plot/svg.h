/* plot/svg.h - writes the elements of an SVG picture into a buffer, always in the same bytes.
 *
 * Numbers have at most two decimals, text and attributes are escaped, colours are classes that the
 * style of plot/figure.h defines.  Coordinates are in user units, y grows downwards.
 */
#ifndef CM_PLOT_SVG_H
#define CM_PLOT_SVG_H

#include <stddef.h>

#include "base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* At most two decimals, no trailing zeros, no "-0".  What is not finite becomes 0. */
void cm_svg_number(struct cm_buf *b, double v);
/* Text for XML and HTML, also inside quotes: & < > " ' are escaped; control characters, which XML
 * does not allow, become U+FFFD. */
void cm_svg_escape(struct cm_buf *b, const char *text);

void cm_svg_line(struct cm_buf *b, const char *class, double x1, double y1, double x2, double y2);
void cm_svg_rect(struct cm_buf *b, const char *class, double x, double y, double w, double h);
void cm_svg_circle(struct cm_buf *b, const char *class, double x, double y, double r);

/* Where x, y is in a text. */
enum cm_svg_anchor { CM_SVG_START, CM_SVG_CENTRE, CM_SVG_END };
void cm_svg_text(struct cm_buf *b, const char *class, enum cm_svg_anchor anchor, double x, double y,
                 const char *text);
/* The same, rotated about x, y by so many degrees, clockwise. */
void cm_svg_text_rotated(struct cm_buf *b, const char *class, enum cm_svg_anchor anchor, double x,
                         double y, double degrees, const char *text);

/* A path: begin, then move, line, cubic, close in any number, then end. */
void cm_svg_path_begin(struct cm_buf *b, const char *class);
void cm_svg_move(struct cm_buf *b, double x, double y);
void cm_svg_line_to(struct cm_buf *b, double x, double y);
void cm_svg_cubic_to(struct cm_buf *b, double x1, double y1, double x2, double y2, double x,
                     double y);
void cm_svg_close(struct cm_buf *b);
/* width: of the stroke; 0 leaves it to the class. */
void cm_svg_path_end(struct cm_buf *b, double width);

/* A PNG inside the picture; class "pixels" draws its pixels sharp. */
void cm_svg_image(struct cm_buf *b, const char *class, double x, double y, double w, double h,
                  const struct cm_buf *png);

#ifdef __cplusplus
}
#endif
#endif
