/* plot/axis.h - scales, and numbers on them that people would have chosen. */
#ifndef CM_PLOT_AXIS_H
#define CM_PLOT_AXIS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CM_TICKS_MAX 24
#define CM_TICK_TEXT 32

/* Values from .. to; of a log axis both are positive.  A bare one has no ticks. */
struct cm_axis {
    double from, to;
    bool log;
    const char *label;
    bool bare;
};

struct cm_ticks {
    size_t n;
    double at[CM_TICKS_MAX];
    char text[CM_TICKS_MAX][CM_TICK_TEXT];
};

/* Multiples of 1, 2 or 5 times a power of ten inside the axis, about `about` of them (2 to 10); of
 * a log axis powers of ten, and 2 and 5 times these where there are few.  An axis without extent
 * has one tick.  Thousands are parted by thin spaces. */
void cm_ticks_make(struct cm_ticks *t, const struct cm_axis *a, size_t about);

/* The smallest axis that begins and ends at such a multiple and holds low .. high; where these are
 * equal, or not finite, one with some extent. */
struct cm_axis cm_axis_around(double low, double high, const char *label);

/* Place of v on the axis, 0 at `from` and 1 at `to`. */
double cm_axis_share(const struct cm_axis *a, double v);

/* n with a thin space between thousands. */
void cm_thousands(double n, int decimals, char text[CM_TICK_TEXT]);

#ifdef __cplusplus
}
#endif
#endif
