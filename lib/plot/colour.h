/* plot/colour.h - colours that people with any colour vision can tell apart. */
#ifndef CM_PLOT_COLOUR_H
#define CM_PLOT_COLOUR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cm_rgb {
    unsigned char r, g, b;
};

/* viridis by Smith and van der Walt (2015, CC0): 33 of its 256 colours, straight lines between
 * them, which miss it by at most 2 of 255.  share: 0 to 1, what is outside counts as
 * its end; NaN is grey. */
struct cm_rgb cm_viridis(double share);

/* The eight colours of Okabe and Ito, "Color Universal Design" (2008), blue first, and grey in
 * place of their black, which would be lost on a dark page.  They repeat after eight. */
#define CM_COLOURS 8
struct cm_rgb cm_okabe_ito(size_t k);

#ifdef __cplusplus
}
#endif
#endif
