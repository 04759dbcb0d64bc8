/* stream/text_tensor.c - a tensor from a line of text. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "stream/text_lines.h"
#include "stream/wire.h"

/* "50x48" into t->shape, t->n. */
static int take_shape(struct cm_text_lines *in, char *shape, struct cm_tensor *t)
{
    t->n = 1;
    for (char *at = shape; *at; t->ndim++) {
        char *stop = at + strcspn(at, "x");
        bool more = *stop;
        *stop = 0;
        uint64_t max = t->n ? CM_MAX_PAYLOAD / t->n : CM_MAX_PAYLOAD;
        if (t->ndim == CM_TENSOR_DIMS || !cm_parse_u64(at, &t->shape[t->ndim]) ||
            t->shape[t->ndim] > max || (more && !stop[1]))
            return cm_text_fail(in, "expected a shape like 50x48, found '%.40s'", at);
        t->n *= t->shape[t->ndim];
        at = stop + more;
    }
    return 0;
}

/* Values as their type has them: a number that it has not would become another one. */
static int take_items(struct cm_text_lines *in, char *rest, struct cm_tensor *t)
{
    static const double max[] = {0, UINT8_MAX, UINT16_MAX, UINT32_MAX};
    size_t n = 0, cap = 0, size = cm_value_size(t->type);
    unsigned char *to = NULL;
    for (double v; rest && n < t->n; n++) {
        const char *field = cm_next_field(&rest);
        int rc = cm_text_value(in, t->type, field, &v);
        if (!rc && t->type < CM_V_F32 && !(v >= 0 && v <= max[t->type] && v == floor(v)))
            rc = cm_text_fail(in, "expected a whole number from 0 to %.0f (%s), found '%.40s'",
                              max[t->type], cm_value_name(t->type), field);
        CM_GROW(to, cap, (n + 1) * size);
        t->data = to;
        if (rc)
            return rc;
        if (t->type == CM_V_F64)
            ((double *)t->data)[n] = v;
        else if (t->type == CM_V_F32)
            ((float *)t->data)[n] = (float)v;
        else if (t->type == CM_V_U32)
            ((uint32_t *)t->data)[n] = (uint32_t)v;
        else if (t->type == CM_V_U16)
            ((uint16_t *)t->data)[n] = (uint16_t)v;
        else
            ((uint8_t *)t->data)[n] = (uint8_t)v;
    }
    if (n != t->n || rest)
        return cm_text_fail(in, "tensor %s: expected %" PRIu64 " values, found %s", t->name, t->n,
                            rest ? "more" : "fewer");
    if (!t->data)
        t->data = cm_alloc(1, 8);
    return 0;
}

int cm_text_tensor(struct cm_text_lines *in, char *rest, struct cm_tensor *t)
{
    char *name = cm_next_field(&rest), *type = cm_next_field(&rest);
    char *shape = cm_next_field(&rest);
    int known = -1;
    for (int k = CM_V_U8; type && k <= CM_V_F64; k++)
        known = strcmp(type, cm_value_name((enum cm_value)k)) ? known : k;
    if (known < 0 || !shape)
        return cm_text_fail(in, "expected a tensor: name, type, shape, values");
    cm_unescape(name);
    if (strlen(name) > CM_MAX_NAME)
        return cm_text_fail(in, "a name longer than 64 KiB");
    t->name = cm_strdup(name);
    t->type = (enum cm_value)known;
    int rc = take_shape(in, shape, t);
    return rc ? rc : take_items(in, rest, t);
}
