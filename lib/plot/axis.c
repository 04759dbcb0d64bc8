/* plot/axis.c - scales and their ticks.  See axis.h. */
#include "plot/axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void cm_thousands(double n, int decimals, char text[CM_TICK_TEXT])
{
    static const char thin[] = "\xE2\x80\x89";
    char plain[CM_TICK_TEXT];
    size_t at = 0, digits = 0;
    if (fabs(n) >= 1e12) {
        snprintf(text, CM_TICK_TEXT, "%.3g", n);
        return;
    }
    snprintf(plain, sizeof plain, "%.*f", decimals, n);
    size_t sign = plain[0] == '-';
    while (plain[sign + digits] >= '0' && plain[sign + digits] <= '9')
        digits++;
    for (size_t k = 0; plain[k] && at + 4 < CM_TICK_TEXT; k++) {
        size_t left = sign + digits - k; /* digits from here to the point */
        if (k > sign && k < sign + digits && left % 3 == 0 && digits > 4) {
            memcpy(text + at, thin, 3);
            at += 3;
        }
        text[at++] = plain[k];
    }
    text[at] = 0;
}

/* 1, 2 or 5 times a power of ten: the largest that is at most `raw`, or with `up` the smallest that
 * is at least it. */
static double nice(double raw, bool up)
{
    double power = pow(10, floor(log10(raw))), f = raw / power;
    if (up)
        return power * (f <= 1 ? 1 : f <= 2 ? 2 : f <= 5 ? 5 : 10);
    return power * (f < 2 ? 1 : f < 5 ? 2 : 5);
}

static double step_of(double extent, size_t about)
{
    return nice(extent / (double)about * (1 - 1e-9), true);
}

static void add_tick(struct cm_ticks *t, double v, const char *text)
{
    if (t->n == CM_TICKS_MAX)
        return;
    t->at[t->n] = v;
    snprintf(t->text[t->n++], CM_TICK_TEXT, "%s", text);
}

static void linear_ticks(struct cm_ticks *t, const struct cm_axis *a, size_t about)
{
    char text[CM_TICK_TEXT];
    double step = step_of(a->to - a->from, about);
    int decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    for (double k = ceil(a->from / step - 1e-9); k * step <= a->to + step * 1e-9; k++) {
        double v = k * step + 0.0;
        if (decimals > 5)
            snprintf(text, sizeof text, "%.3g", v);
        else
            cm_thousands(v, decimals, text);
        add_tick(t, v, text);
    }
}

static void log_ticks(struct cm_ticks *t, const struct cm_axis *a, size_t about)
{
    static const double part[] = {1, 2, 5};
    double low = floor(log10(a->from)), decades = log10(a->to) - log10(a->from);
    bool between = decades * 2 < (double)about;
    double every = fmax(1, ceil(decades / (double)about));
    for (double e = low; e <= ceil(log10(a->to)); e += every)
        for (size_t k = 0; k < (between ? 3 : 1); k++) {
            double v = part[k] * pow(10, e);
            char text[CM_TICK_TEXT];
            if (v < a->from * (1 - 1e-9) || v > a->to * (1 + 1e-9))
                continue;
            if (e >= 0 && e < 6)
                cm_thousands(v, 0, text);
            else if (e < 0 && e >= -4)
                snprintf(text, sizeof text, "%.*f", (int)-e, v);
            else
                snprintf(text, sizeof text, "%.0e", v);
            add_tick(t, v, text);
        }
}

void cm_ticks_make(struct cm_ticks *t, const struct cm_axis *a, size_t about)
{
    t->n = 0;
    if (a->bare)
        return;
    if (!(a->to > a->from)) {
        char text[CM_TICK_TEXT];
        snprintf(text, sizeof text, "%.4g", a->from);
        add_tick(t, a->from, text);
    } else if (a->log) {
        log_ticks(t, a, about);
    } else {
        linear_ticks(t, a, about);
    }
}

struct cm_axis cm_axis_around(double low, double high, const char *label)
{
    const double far = 1e300; /* beyond it the axis would be longer than any number */
    if (!isfinite(low) || !isfinite(high) || low > high) {
        low = 0;
        high = 1;
    }
    low = fmin(fmax(low, -far), far);
    high = fmin(fmax(high, -far), far);
    if (!(high - low > 1e-12 * fmax(fabs(low), fabs(high)))) {
        double by = low == 0 ? 1 : fabs(low) / 2;
        low -= by;
        high += by;
    }
    double step = step_of(high - low, 5);
    return (struct cm_axis){.from = step * floor(low / step + 1e-9),
                            .to = step * ceil(high / step - 1e-9),
                            .label = label};
}

double cm_axis_share(const struct cm_axis *a, double v)
{
    if (!(a->to > a->from))
        return 0.5;
    if (a->log)
        return log(v / a->from) / log(a->to / a->from);
    return (v - a->from) / (a->to - a->from);
}
