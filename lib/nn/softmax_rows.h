/* nn/softmax_rows.h - softmax over rows of floats, included once for each processor: no guard.
 *
 * The includer defines NAME(x), TARGET, V and W (vectors of floats and of int32), MUL_ADD(a, b, c)
 * (a b + c), PUT_CUT as in tile.h, GET_OR(p, n, rest), SUM_16 and MAX_16 (of as many vectors as
 * make 16 numbers).  There are 16 sums for all widths, added by halves, and halves of these.
 */
#define LANES  (sizeof(V) / sizeof(float))
#define PARTS  (16 / LANES)
#define GET(p) (*(const V *)(p))
#define AT(p)  (*(V *)(p))

/* exp(x), x <= 0: see wide.h; what would be subnormal is 0, NaN stays. */
__attribute__((always_inline)) static inline TARGET void NAME(exp_below)(V *p)
{
    const V magic = (V){0} + 0x1.8p23f, one = (V){0} + 1.f;
    V x = *p, shifted = MUL_ADD(x, ((V){0} + 1.44269504088896341f), magic);
    V whole = shifted - magic, r = MUL_ADD(whole, ((V){0} - 0.693359375f), x), q;
    r = MUL_ADD(whole, ((V){0} + 2.12194440e-4f), r);
    q = MUL_ADD(r, ((V){0} + 1.9875691500e-4f), ((V){0} + 1.3981999507e-3f));
    q = MUL_ADD(q, r, ((V){0} + 8.3334519073e-3f));
    q = MUL_ADD(q, r, ((V){0} + 4.1665795894e-2f));
    q = MUL_ADD(q, r, ((V){0} + 1.6666665459e-1f));
    q = MUL_ADD(q, r, ((V){0} + 5.0000001201e-1f));
    V y = MUL_ADD(q, (r * r), (r + one));
    W n = (W)shifted - 0x4b400000, under = x < (V){0} - 87.f;
    *p = (V)(~under & (W)(y * (V)((n + 127) << 23)));
}

static TARGET void NAME(softmax)(float *x, size_t rows, size_t C)
{
    size_t whole = C / LANES * LANES, cut = C - whole;
    const V low = (V){0} - INFINITY;
    for (size_t i = 0; i < rows; i++, x += C) {
        V most[PARTS], sum[PARTS], tail = cut ? GET_OR(x + whole, cut, low) : low;
        most[0] = tail;
        for (size_t p = 1; p < PARTS; p++)
            most[p] = low;
        for (size_t j = 0, p = 0; j < whole; j += LANES, p = (p + 1) % PARTS) {
            V v = GET(x + j);
            W more = v > most[p];
            most[p] = (V)((more & (W)v) | (~more & (W)most[p]));
        }
        float max = MAX_16(most);
        if (!(max > -INFINITY)) { /* nothing may be attended to, unless something is no number */
            bool number = true;
            for (size_t j = 0; j < C; j++)
                number = number && x[j] == x[j];
            for (size_t j = 0; j < C; j++)
                x[j] = number ? 0 : NAN;
            continue;
        }
        size_t p = 0;
        for (size_t q = 0; q < PARTS; q++)
            sum[q] = (V){0};
        for (size_t j = 0; j < whole; j += LANES, p = (p + 1) % PARTS) {
            V v = GET(x + j) - max;
            NAME(exp_below)(&v);
            sum[p] += v;
            AT(x + j) = v;
        }
        tail -= max;
        NAME(exp_below)(&tail);
        sum[p] += tail;
        float scale = 1 / SUM_16(sum);
        for (size_t j = 0; j < whole; j += LANES)
            AT(x + j) = GET(x + j) * scale;
        tail *= scale;
        if (cut)
            PUT_CUT(x + whole, cut, tail);
    }
}

#undef LANES
#undef PARTS
#undef GET
#undef AT
#undef NAME
#undef TARGET
#undef V
#undef W
#undef MUL_ADD
#undef PUT_CUT
#undef GET_OR
#undef SUM_16
#undef MAX_16
