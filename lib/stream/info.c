/* stream/info.c - what a stream is, as lines of key and value. */
#include "stream/info.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stream/wire.h"

enum { CATEGORIES_SHOWN = 40 };

static void put_pair(struct cm_buf *to, const char *key, const char *value)
{
    cm_escape(to, key);
    cm_buf_puts(to, "\t");
    cm_escape(to, value);
    cm_buf_puts(to, "\n");
}

static void put_slot(const struct cm_reader *r, size_t k, bool rows, struct cm_buf *to)
{
    static const char *const lazy[] = {
        [CM_LAZY_LOG1P] = "log1p", [CM_LAZY_SQRT] = "sqrt", [CM_LAZY_IDENTITY] = "identity"};
    const struct cm_slot *s = &cm_reader_head(r)->slot[k];
    cm_buf_printf(to, "slot.%zu.name\t", k);
    cm_escape(to, s->name);
    cm_buf_printf(to, "\nslot.%zu.encoding\t%s\nslot.%zu.cols\t%zu\n", k,
                  s->dense ? "dense" : "csr", k, s->cols.names.n);
    if (rows)
        cm_buf_printf(to, "slot.%zu.rows\t%" PRIu64 "\nslot.%zu.nnz\t%" PRIu64 "\n", k,
                      cm_reader_rows(r, k), k, cm_reader_nnz(r, k));
    cm_buf_printf(to, "slot.%zu.state\t%s\nslot.%zu.columns\tname", k, cm_state_name(s->state), k);
    for (size_t v = 0; v < s->cols.nvec; v++) {
        cm_buf_puts(to, ",");
        cm_escape(to, s->cols.vec[v].name);
    }
    cm_buf_printf(to, "\nslot.%zu.columns_hash\t%016" PRIx64 "\n", k, cm_cols_hash(&s->cols));
    if (s->lazy != CM_LAZY_NO)
        cm_buf_printf(to, "slot.%zu.lazy\t%s\n", k, lazy[s->lazy]);
    for (size_t f = 0; f < s->fit.key.n; f++) {
        cm_buf_printf(to, "slot.%zu.", k);
        put_pair(to, cm_strs_get(&s->fit.key, f), cm_strs_get(&s->fit.value, f));
    }
}

static void put_label(const struct cm_label *l, size_t k, struct cm_buf *to)
{
    static const char *const type[] = {"cat", "bool", "i64", "f64", "str"};
    const struct cm_strs *names = &l->dict.names;
    cm_buf_printf(to, "label.%zu.name\t", k);
    cm_escape(to, l->name);
    cm_buf_printf(to, "\nlabel.%zu.type\t%s\n", k, type[l->type]);
    if (l->type != CM_T_CAT)
        return;
    cm_buf_printf(to, "label.%zu.categories\t%zu\nlabel.%zu.values\t", k, names->n, k);
    for (size_t v = 0; v < names->n && v < CATEGORIES_SHOWN; v++) {
        cm_buf_puts(to, v ? "," : "");
        cm_escape(to, cm_strs_get(names, v));
    }
    cm_buf_puts(to, names->n > CATEGORIES_SHOWN ? ",...\n" : "\n");
}

static void put_history(const struct cm_reader *r, struct cm_buf *to)
{
    size_t n;
    const struct cm_history *past = cm_reader_history_list(r, &n);
    for (size_t k = 0, stage = 0; k < n; k++) {
        bool prov = !strcmp(past[k].tag, "prov");
        if (!prov && strcmp(past[k].tag, "note"))
            continue; /* of a later version; need not be text */
        char front[64];
        snprintf(front, sizeof front, prov ? "provenance.%zu." : "note.", stage);
        cm_put_lines(to, front, (const char *)past[k].payload.p, past[k].payload.n);
        stage += prov;
    }
}

void cm_info_stream(const struct cm_reader *r, struct cm_buf *to)
{
    const struct cm_head *h = cm_reader_head(r);
    bool rows = h->kind != CM_MODEL && h->nslots;
    cm_buf_printf(to, "kind\t%s\n", cm_kind_name(h->kind));
    if (rows)
        cm_buf_printf(to, "rows\t%" PRIu64 "\n", cm_reader_rows(r, 0));
    cm_buf_printf(to, "slots\t%zu\n", h->nslots);
    for (size_t k = 0; k < h->nslots; k++)
        put_slot(r, k, rows, to);
    cm_buf_puts(to, "labels\t");
    for (size_t k = 0; k < h->nlabels; k++) {
        cm_buf_puts(to, k ? "," : "");
        cm_escape(to, h->label[k].name);
    }
    cm_buf_puts(to, "\n");
    for (size_t k = 0; k < h->nlabels; k++)
        put_label(&h->label[k], k, to);
    for (size_t k = 0; k < h->kv.key.n; k++)
        put_pair(to, cm_strs_get(&h->kv.key, k), cm_strs_get(&h->kv.value, k));
    cm_buf_printf(to, "digest\t%016" PRIx64 "\n", cm_reader_digest(r));
    put_history(r, to);
}

void cm_info_tensor(const struct cm_tensor *t, struct cm_buf *to)
{
    cm_buf_puts(to, "tensor.");
    cm_escape(to, t->name);
    cm_buf_printf(to, "\t%s", cm_value_name(t->type));
    for (unsigned k = 0; k < t->ndim; k++)
        cm_buf_printf(to, "%c%" PRIu64, k ? 'x' : ' ', t->shape[k]);
    cm_buf_puts(to, "\n");
}
