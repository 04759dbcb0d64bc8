/* stream/wire.c - HEAD as text, string lists, and the history of a stream.
 *
 * HEAD is "key TAB value" lines, so that awk can read it, %-escaped; unknown keys stay in the free
 * part of the head and are written again.  Rejected: a binary head (no script could look at it).
 */
#include "stream/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

const char *const cm_wire_type[CM_WIRE_TYPES] = {"cat", "bool", "i64", "f64", "str"};
static const char *const lazy_name[] = {"no", "identity", "log1p", "sqrt"};

int cm_wire_find(const char *const *list, size_t n, const char *name)
{
    for (size_t k = 0; k < n; k++)
        if (!strcmp(list[k], name))
            return (int)k;
    return -1;
}

/* ===== text =============================================================================== */

void cm_escape(struct cm_buf *b, const char *text)
{
    for (const char *s = text;; s++) {
        const char *from = s;
        while (*s && *s != '\t' && *s != '\n' && *s != '\r' && *s != '%')
            s++;
        cm_buf_put(b, from, (size_t)(s - from));
        if (!*s)
            return;
        cm_buf_printf(b, "%%%02X", (unsigned)(unsigned char)*s);
    }
}

/* The value of a hexadecimal digit, or -1. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 'a' ^ 'A';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void cm_unescape(char *text)
{
    char *out = strchr(text, '%');
    if (!out)
        return;
    for (const char *s = out; *s; s++) {
        int high = *s == '%' ? hex_digit(s[1]) : -1, low = high < 0 ? -1 : hex_digit(s[2]);
        if (low >= 0 && high + low > 0) {
            *out++ = (char)(16 * high + low);
            s += 2;
        } else {
            *out++ = *s;
        }
    }
    if (out)
        *out = 0;
}

void cm_put_lines(struct cm_buf *to, const char *front, const char *text, size_t n)
{
    for (size_t at = 0, size; at < n; at += size + 1) {
        const char *stop = memchr(text + at, '\n', n - at);
        size = stop ? (size_t)(stop - text) - at : n - at;
        cm_buf_puts(to, front);
        cm_buf_put(to, text + at, size);
        cm_buf_puts(to, "\n");
    }
}

/* A line "front key TAB value"; front is ours and needs no escapes. */
static void put_pair(struct cm_buf *b, const char *value, const char *front, const char *key)
{
    cm_buf_puts(b, front);
    cm_escape(b, key);
    cm_buf_puts(b, "\t");
    cm_escape(b, value);
    cm_buf_puts(b, "\n");
}

static void put_count(struct cm_buf *b, uint64_t value, const char *front, const char *key)
{
    char text[CM_NUMBER_MAX];
    snprintf(text, sizeof text, "%" PRIu64, value);
    put_pair(b, text, front, key);
}

/* ===== HEAD =============================================================================== */

void cm_wire_put_head(struct cm_buf *b, const struct cm_head *h)
{
    char front[32];
    put_pair(b, cm_kind_name(h->kind), "", "kind");
    put_count(b, h->nslots, "", "slots");
    for (size_t k = 0; k < h->nslots; k++) {
        const struct cm_slot *s = &h->slot[k];
        snprintf(front, sizeof front, "slot.%zu.", k);
        put_pair(b, s->name, front, "name");
        put_pair(b, s->dense ? "dense" : "csr", front, "encoding");
        put_pair(b, s->wide ? "f64" : "auto", front, "value");
        put_count(b, s->cols.names.n, front, "cols");
        if (s->rows)
            put_count(b, s->rows, front, "rows");
        put_pair(b, cm_state_name(s->state), front, "state");
        if (s->lazy != CM_LAZY_NO)
            put_pair(b, lazy_name[s->lazy], front, "lazy");
        for (size_t f = 0; f < s->fit.key.n; f++)
            put_pair(b, cm_strs_get(&s->fit.value, f), front, cm_strs_get(&s->fit.key, f));
    }
    put_count(b, h->nlabels, "", "labels");
    for (size_t k = 0; k < h->nlabels; k++) {
        snprintf(front, sizeof front, "label.%zu.", k);
        put_pair(b, h->label[k].name, front, "name");
        put_pair(b, cm_wire_type[h->label[k].type], front, "type");
        if (h->label[k].slot >= 0)
            put_count(b, (uint64_t)h->label[k].slot, front, "slot");
    }
    for (size_t k = 0; k < h->kv.key.n; k++)
        put_pair(b, cm_strs_get(&h->kv.value, k), "", cm_strs_get(&h->kv.key, k));
}

/* Takes key from the list and hands out its value, or NULL. */
static const char *take(const struct cm_kv *kv, const char *key, size_t k, const char *rest)
{
    char name[128];
    snprintf(name, sizeof name, "%s.%zu.%s", key, k, rest);
    return cm_kv_get(kv, name);
}

static int get_count(const struct cm_kv *kv, const char *key, uint64_t max, uint64_t *out)
{
    const char *v = cm_kv_get(kv, key);
    if (!v)
        return cm_fail(CM_EINPUT, "HEAD: key %s is missing", key);
    if (!cm_parse_u64(v, out) || *out > max)
        return cm_fail(CM_EINPUT, "HEAD: %s: expected a number up to %" PRIu64 ", found \"%s\"",
                       key, max, v);
    return 0;
}

static int get_slot(const struct cm_kv *kv, size_t k, struct cm_slot *s, uint64_t *cols)
{
    char key[64];
    snprintf(key, sizeof key, "slot.%zu.cols", k);
    int rc = get_count(kv, key, CM_MAX_ROWS, cols);
    if (rc)
        return rc;
    const char *v = take(kv, "slot", k, "encoding");
    if (!v || (strcmp(v, "csr") && strcmp(v, "dense")))
        return cm_fail(CM_EINPUT, "HEAD: slot %zu: expected encoding csr or dense, found \"%s\"", k,
                       v ? v : "");
    s->dense = !strcmp(v, "dense");
    v = take(kv, "slot", k, "value");
    s->wide = v && !strcmp(v, "f64");
    v = take(kv, "slot", k, "state");
    if (v && !cm_state_parse(v, &s->state))
        s->state = CM_S_UNKNOWN; /* a state of a newer minor version */
    v = take(kv, "slot", k, "lazy");
    int lazy = v ? cm_wire_find(lazy_name, 4, v) : 0;
    if (lazy < 0)
        return cm_fail(CM_EINPUT, "HEAD: slot %zu: unknown lazy transform \"%s\"", k, v);
    s->lazy = (enum cm_lazy)lazy;
    if (take(kv, "slot", k, "rows")) {
        snprintf(key, sizeof key, "slot.%zu.rows", k);
        rc = get_count(kv, key, CM_MAX_ROWS, &s->rows);
        if (rc)
            return rc;
    }
    snprintf(key, sizeof key, "slot.%zu.fit.", k);
    size_t prefix = strlen(key) - strlen("fit.");
    for (size_t i = 0; i < kv->key.n; i++)
        if (!strncmp(cm_strs_get(&kv->key, i), key, strlen(key)))
            cm_kv_add(&s->fit, cm_strs_get(&kv->key, i) + prefix, cm_strs_get(&kv->value, i));
    return 0;
}

/* Pairs have labels of one name on both sides; within a side a name is one label. */
static int check_labels(const struct cm_head *h)
{
    struct cm_strs names = {0};
    struct cm_index x;
    struct cm_buf b = {0};
    for (size_t k = 0; k < h->nlabels; k++) {
        b.n = 0;
        cm_buf_printf(&b, "%d.%s", h->label[k].slot, h->label[k].name);
        cm_strs_addn(&names, (const char *)b.p, b.n);
    }
    cm_index_make(&x, &names);
    int rc = x.duplicate == CM_ABSENT ? 0
                                      : cm_fail(CM_EINPUT, "HEAD: the label %.60s occurs twice",
                                                h->label[x.duplicate].name);
    cm_index_free(&x);
    cm_strs_free(&names);
    cm_buf_free(&b);
    return rc;
}

static int get_labels(const struct cm_kv *kv, struct cm_head *h)
{
    uint64_t n = 0;
    int rc = cm_kv_get(kv, "labels") ? get_count(kv, "labels", CM_WIRE_NAMED, &n) : 0;
    for (size_t k = 0; !rc && k < n; k++) {
        const char *name = take(kv, "label", k, "name"), *type = take(kv, "label", k, "type");
        const char *slot = take(kv, "label", k, "slot");
        int t = type ? cm_wire_find(cm_wire_type, CM_WIRE_TYPES, type) : -1;
        uint64_t of = 0;
        if (!name || t < 0 || (slot && (!cm_parse_u64(slot, &of) || of >= h->nslots)))
            return cm_fail(CM_EINPUT, "HEAD: label %zu: name, type or slot is missing or wrong", k);
        cm_head_add_label(h, name, (enum cm_type)t, slot ? (int)of : -1);
    }
    return rc ? rc : check_labels(h);
}

/* The lines of HEAD.  What is said twice would be two things to two readers. */
static int get_pairs(char *text, struct cm_kv *kv)
{
    for (char *line = text, *next; *line; line = next) {
        next = strchr(line, '\n');
        if (!next)
            return cm_fail(CM_EINPUT, "HEAD: the last line has no newline");
        *next++ = 0;
        char *tab = strchr(line, '\t');
        if (!tab)
            return cm_fail(CM_EINPUT, "HEAD: expected \"key TAB value\", found \"%.40s\"", line);
        *tab = 0;
        cm_unescape(line);
        cm_unescape(tab + 1);
        if (!cm_wire_is_utf8(line) || !cm_wire_is_utf8(tab + 1))
            return cm_fail(CM_EINPUT, "HEAD: key \"%.40s\": its text is not UTF-8", line);
        if (cm_kv_get(kv, line))
            return cm_fail(CM_EINPUT, "HEAD: the key %.60s occurs twice", line);
        cm_kv_add(kv, line, tab + 1);
    }
    return 0;
}

int cm_wire_get_head(char *text, struct cm_head *h, uint64_t *cols)
{
    struct cm_kv kv = {0};
    int rc = get_pairs(text, &kv);
    const char *kind = rc ? NULL : cm_kv_get(&kv, "kind");
    if (!rc) {
        rc = cm_fail(CM_EINPUT, "HEAD: unknown kind \"%s\"", kind ? kind : "");
        for (int k = CM_MATRIX; kind && k <= CM_TABLE; k++)
            if (!strcmp(kind, cm_kind_name((enum cm_kind)k))) {
                h->kind = (enum cm_kind)k;
                rc = 0;
            }
    }
    uint64_t n = 0;
    if (!rc)
        rc = get_count(&kv, "slots", CM_MAX_SLOTS, &n);
    for (size_t k = 0; !rc && k < n; k++) {
        const char *name = take(&kv, "slot", k, "name");
        struct cm_slot *s = cm_head_add_slot(h, name ? name : "");
        rc = get_slot(&kv, k, s, &cols[k]);
    }
    if (!rc)
        rc = get_labels(&kv, h);
    for (size_t i = 0; !rc && i < kv.key.n; i++) {
        const char *key = cm_strs_get(&kv.key, i);
        if (strcmp(key, "kind") && strcmp(key, "slots") && strcmp(key, "labels") &&
            strncmp(key, "slot.", 5) && strncmp(key, "label.", 6))
            cm_kv_add(&h->kv, key, cm_strs_get(&kv.value, i));
    }
    cm_kv_free(&kv);
    return rc;
}

/* ===== string lists ======================================================================= */

void cm_wire_put_strs(struct cm_buf *b, const struct cm_strs *s, size_t from, size_t n)
{
    size_t start = b->n;
    uint64_t bytes = 0;
    for (size_t k = from; k < from + n; k++)
        bytes += strlen(cm_strs_get(s, k));
    cm_buf_u64(b, bytes);
    for (size_t k = from; k < from + n; k++)
        cm_buf_u32(b, (uint32_t)strlen(cm_strs_get(s, k)));
    for (size_t k = from; k < from + n; k++)
        cm_buf_puts(b, cm_strs_get(s, k));
    cm_buf_pad8(b, start);
}

bool cm_wire_get_strs(struct cm_cursor *c, size_t n, struct cm_strs *out)
{
    size_t start = c->at;
    uint64_t bytes = cm_cursor_u64(c), sum = 0;
    const unsigned char *len = cm_cursor_items(c, n, 4);
    const char *text = cm_cursor_items(c, bytes, 1);
    if (c->bad)
        return false;
    for (size_t k = 0; k < n; k++) {
        uint32_t l;
        cm_le_copy(&l, len + 4 * k, 1, 4);
        if (l > CM_MAX_NAME || l > bytes - sum || memchr(text + sum, 0, l))
            return false;
        cm_strs_addn(out, text + sum, l);
        sum += l;
    }
    cm_cursor_take(c, (8 - (c->at - start) % 8) % 8);
    return !c->bad && sum == bytes;
}

/* ===== history ============================================================================ */

void cm_past_add(struct cm_past *past, const char *tag, const void *p, size_t size)
{
    struct cm_history x = {0};
    snprintf(x.tag, sizeof x.tag, "%.8s", tag);
    uint64_t id = cm_hash64(p, size, cm_hash64(x.tag, strlen(x.tag), 0));
    snprintf(x.id, sizeof x.id, "%016" PRIx64, id);
    cm_index_extend(&past->index, &past->ids);
    if (cm_index_find(&past->index, x.id) != CM_ABSENT)
        return; /* two parents with one ancestor */
    x.payload = (struct cm_buf){CM_NEW(size + 1, unsigned char), size, size + 1};
    if (size)
        memcpy(x.payload.p, p, size);
    x.payload.p[size] = 0;
    cm_strs_add(&past->ids, x.id);
    CM_GROW(past->list, past->cap, past->n + 1);
    past->list[past->n++] = x;
}

void cm_past_free(struct cm_past *past)
{
    for (size_t k = 0; k < past->n; k++)
        cm_buf_free(&past->list[k].payload);
    cm_free(past->list);
    cm_strs_free(&past->ids);
    cm_index_free(&past->index);
    *past = (struct cm_past){0};
}
