/* prep/split.c - drawing and writing the label `split`; see split.h.
 *
 * The sample is Philox at the position given by the XXH64 of the name: no state, no order.  Names
 * that occur twice (barcodes of two libraries) share a sample and so stay together; the number held
 * out can then exceed round(F n) by the repetitions of the last name.  An existing label of any
 * type is read as text, so that a numeric `split` of a foreign file survives as categories.
 */
#include "prep/split.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"

uint64_t cm_split_sample(uint64_t seed, const char *name)
{
    struct cm_rng g = cm_rng_make(seed, CM_RNG_SPLIT, 0, 0);
    uint32_t w[4];
    cm_rng_words(&g, cm_hash64(name, strlen(name), 0), w);
    return (uint64_t)w[1] << 32 | w[0];
}

/* The text of row i's existing label, "train" where it is missing. */
static const char *present(const struct cm_vec *v, const struct cm_strs *dict, size_t i,
                           char buf[CM_NUMBER_MAX])
{
    const char *text = "";
    switch (v->type) {
    case CM_T_CAT:
        text = v->cat[i] < dict->n ? cm_strs_get(dict, v->cat[i]) : "";
        break;
    case CM_T_STR:
        text = cm_strs_get(&v->s, i);
        break;
    case CM_T_BOOL:
        text = v->b[i] == CM_BOOL_MISSING ? "" : v->b[i] ? "true" : "false";
        break;
    case CM_T_I64:
        if (v->i[i] != CM_I64_MISSING) {
            snprintf(buf, CM_NUMBER_MAX, "%lld", (long long)v->i[i]);
            text = buf;
        }
        break;
    case CM_T_F64:
        text = isnan(v->f[i]) ? "" : cm_format_f64(v->f[i], buf);
        break;
    }
    return *text ? text : CM_SPLIT_TRAIN;
}

static const char *row_value(const struct cm_split *s, const struct cm_head *h,
                             const struct cm_chunk *c, size_t i, char buf[CM_NUMBER_MAX])
{
    if (s->fresh || !s->had)
        return CM_SPLIT_TRAIN;
    return present(&c->label[s->at], &h->label[s->at].dict.names, i, buf);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int cm_split_prepare(struct cm_split *s, struct cm_reader *r)
{
    const struct cm_head *h = cm_reader_head(r);
    int at = cm_head_find_label(h, CM_SPLIT_LABEL);
    s->had = at >= 0;
    s->at = s->had ? at : (int)h->nlabels;
    if (s->where.label)
        return cm_fail_in(cm_where_bind(&s->where, h), cm_reader_path(r));
    uint64_t *sample = NULL;
    size_t n = 0, cap = 0;
    struct cm_chunk c = {0};
    int code;
    while ((code = cm_reader_next(r, &c)) > 0)
        for (size_t i = 0; i < c.rows; i++) {
            char buf[CM_NUMBER_MAX];
            if (strcmp(row_value(s, h, &c, i, buf), CM_SPLIT_TRAIN))
                continue;
            CM_GROW(sample, cap, n + 1);
            sample[n++] = cm_split_sample(s->seed, cm_strs_get(&c.names, i));
        }
    cm_chunk_free(&c);
    if (code == 0) {
        size_t k = (size_t)floor(s->fraction * (double)n + 0.5);
        s->any = k > 0;
        if (n)
            qsort(sample, n, sizeof *sample, by_size);
        if (s->any)
            s->last = sample[k - 1];
        code = cm_reader_rewind(r);
    }
    cm_free(sample);
    return code;
}

void cm_split_head(struct cm_split *s, const struct cm_head *in, struct cm_head *out)
{
    cm_head_copy(out, in);
    if (!s->had)
        cm_head_add_label(out, CM_SPLIT_LABEL, CM_T_CAT, -1);
    struct cm_label *l = &out->label[s->at];
    if (s->fresh || l->type != CM_T_CAT)
        cm_strs_clear(&l->dict.names);
    l->type = CM_T_CAT;
    l->slot = -1;
    l->dict.ordered = false;
    cm_dict_code(&l->dict, CM_SPLIT_TRAIN);
    cm_dict_code(&l->dict, s->name);
}

void cm_split_apply(struct cm_split *s, const struct cm_head *in, struct cm_head *out,
                    struct cm_chunk *c)
{
    for (size_t k = 0; k < in->nlabels; k++) /* dictionaries grow while the stream is read */
        if ((int)k != s->at && in->label[k].dict.names.n != out->label[k].dict.names.n)
            cm_strs_copy(&out->label[k].dict.names, &in->label[k].dict.names);
    struct cm_dict *dict = &out->label[s->at].dict;
    struct cm_vec split = {0};
    cm_vec_reset(&split, CM_SPLIT_LABEL, CM_T_CAT, c->rows);
    uint32_t held = cm_dict_code(dict, s->name), train = cm_dict_code(dict, CM_SPLIT_TRAIN);
    for (size_t i = 0; i < c->rows; i++) {
        char buf[CM_NUMBER_MAX];
        const char *value = row_value(s, in, c, i, buf);
        bool out_now = s->where.label
                           ? cm_where_row(&s->where, in, c, i)
                           : !strcmp(value, CM_SPLIT_TRAIN) && s->any &&
                                 cm_split_sample(s->seed, cm_strs_get(&c->names, i)) <= s->last;
        split.cat[i] = out_now ? held : cm_dict_code(dict, value);
        s->held += out_now;
        s->trained += split.cat[i] == train;
    }
    s->rows += c->rows;
    if (s->had) {
        cm_vec_free(&c->label[s->at]);
    } else {
        c->label = cm_realloc(c->label, c->nlabels + 1, sizeof *c->label);
        c->nlabels++;
    }
    c->label[s->at] = split;
}
