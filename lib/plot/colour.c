/* plot/colour.c - the tables of colours.  See colour.h. */
#include "plot/colour.h"

#include <math.h>

enum { STEPS = 32 };

/* Colours 0, 8, 16, 24 ... 255 of the 256 of viridis. */
static const unsigned viridis[STEPS + 1] = {
    0x440154, 0x470d60, 0x48186a, 0x482374, 0x472d7b, 0x453781, 0x424086, 0x3e4989, 0x3b528b,
    0x375b8d, 0x33638d, 0x2f6b8e, 0x2c728e, 0x297a8e, 0x26828e, 0x23898e, 0x21918c, 0x1f978b,
    0x1f9f88, 0x21a685, 0x27ad81, 0x31b57b, 0x3dbc74, 0x4cc26c, 0x5cc863, 0x6ece58, 0x81d34d,
    0x95d840, 0xaadc32, 0xc0df25, 0xd5e21a, 0xeae51a, 0xfde725,
};

static double part(unsigned from, unsigned to, unsigned shift, double share)
{
    double a = from >> shift & 255, b = to >> shift & 255;
    return a + (b - a) * share;
}

struct cm_rgb cm_viridis(double share)
{
    if (isnan(share))
        return (struct cm_rgb){128, 128, 128};
    double at = fmin(1, fmax(0, share)) * STEPS;
    unsigned k = at < STEPS ? (unsigned)at : STEPS - 1;
    double f = at - k;
    return (struct cm_rgb){(unsigned char)lrint(part(viridis[k], viridis[k + 1], 16, f)),
                           (unsigned char)lrint(part(viridis[k], viridis[k + 1], 8, f)),
                           (unsigned char)lrint(part(viridis[k], viridis[k + 1], 0, f))};
}

struct cm_rgb cm_okabe_ito(size_t k)
{
    static const struct cm_rgb colour[CM_COLOURS] = {
        {0x00, 0x72, 0xB2}, {0xE6, 0x9F, 0x00}, {0x00, 0x9E, 0x73}, {0xD5, 0x5E, 0x00},
        {0x56, 0xB4, 0xE9}, {0xCC, 0x79, 0xA7}, {0x80, 0x80, 0x80}, {0xF0, 0xE4, 0x42}};
    return colour[k % CM_COLOURS];
}
