/* plot/png.h - pictures of pixels, as PNG bytes. */
#ifndef CM_PLOT_PNG_H
#define CM_PLOT_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "plot/colour.h"

#ifdef __cplusplus
extern "C" {
#endif

/* w x h pixels of red, green, blue, opacity, 8 bits each, row by row from above.  Zero bytes, as
 * cm_raster_make leaves them, are transparent.  Release with cm_raster_free. */
struct cm_raster {
    size_t w, h;
    unsigned char *rgba;
};
struct cm_raster cm_raster_make(size_t w, size_t h);
void cm_raster_free(struct cm_raster *r);
void cm_raster_set(struct cm_raster *r, size_t x, size_t y, struct cm_rgb c);
/* A filled disc about x, y (in pixels, pixel (0, 0) reaches from 0 to 1) or, if `triangle`, a
 * triangle that stands on its base.  Edges are smooth; `opacity` 0 to 1 is laid over what is there.
 */
void cm_raster_mark(struct cm_raster *r, double x, double y, double radius, int triangle,
                    struct cm_rgb c, double opacity);

/* Appends the picture as PNG, without time or text: the same bytes for the same pixels.  0, or
 * CM_EBUG with libpng's message. */
int cm_png_encode(struct cm_buf *out, const struct cm_raster *r);

void cm_base64(struct cm_buf *out, const unsigned char *p, size_t n);

#ifdef __cplusplus
}
#endif
#endif
