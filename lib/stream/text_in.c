/* stream/text_in.c - text as a stream: the way back from text_out.c, which shows the form. */
#include "stream/tsv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/sniff.h"
#include "base/text.h"
#include "base/utf8.h"
#include "stream/text_lines.h"
#include "stream/wire.h"

/* The block under way of one slot. */
struct cells {
    size_t rows, n;
    uint64_t *ptr;
    uint32_t *idx;
    double *val;
    size_t ptr_cap, idx_cap, val_cap;
};

struct cm_tsv_in {
    struct cm_text_lines text;
    struct cm_head head;
    bool number[CM_MAX_SLOTS];
    struct cm_index index[CM_MAX_SLOTS];
    bool ended, blocked; /* blocked: a #block line has been seen */
    uint64_t rows;
    enum cm_value type[CM_MAX_SLOTS];
    struct cm_batch batch;
    bool has_batch;
    struct cm_strs *label; /* texts of the labels of the block under way */
    struct cells cell[CM_MAX_SLOTS];
};

static int take_dict(struct cm_tsv_in *in, char *rest)
{
    char *name = cm_next_field(&rest), *order = cm_next_field(&rest);
    cm_unescape(name);
    int at = cm_head_find_label(&in->head, name);
    if (at < 0 || in->head.label[at].type != CM_T_CAT || !order)
        return cm_text_fail(&in->text, "#dict: expected a categorical label, found '%.60s'", name);
    struct cm_dict *d = &in->head.label[at].dict;
    d->ordered = !strcmp(order, "ordered");
    for (char *f; (f = cm_next_field(&rest));) {
        cm_unescape(f);
        cm_dict_code(d, f);
    }
    return 0;
}

/* #cols and #numbers; 1 if the line was one of them, 0 if not, < 0 an error. */
static int take_columns(struct cm_tsv_in *in, struct cm_buf *cols)
{
    char *rest = cm_text_behind(in->text.line, "#cols");
    bool table = rest != NULL;
    if (!rest && !(rest = cm_text_behind(in->text.line, "#numbers")))
        return 0;
    uint64_t slot = 0;
    char *number = cm_next_field(&rest);
    if (!cm_parse_u64(number, &slot) || slot >= in->head.nslots)
        return cm_text_fail(&in->text, "expected the number of a slot, found '%.40s'", number);
    if (table)
        cm_buf_printf(&cols[slot], "%s\n", rest ? rest : "");
    else
        in->number[slot] = true;
    return 1;
}

static int set_columns(struct cm_tsv_in *in, struct cm_buf *cols, const uint64_t *width)
{
    for (size_t k = 0; k < in->head.nslots; k++) {
        struct cm_cols *c = &in->head.slot[k].cols;
        size_t lines = 0;
        for (size_t i = 0; i < cols[k].n; i++)
            lines += cols[k].p[i] == '\n';
        cm_buf_put(&cols[k], "", 1);
        if (lines != width[k] + 1)
            return cm_fail(CM_EINPUT, "%s: slot %zu: expected %" PRIu64 " columns, found %zu",
                           in->text.name, k, width[k], lines ? lines - 1 : 0);
        int rc = cm_wire_get_cols((char *)cols[k].p, width[k], c);
        if (rc)
            return cm_fail_in(rc, in->text.name);
        cm_index_make(&in->index[k], &c->names);
        if (in->index[k].duplicate != CM_ABSENT && !in->number[k])
            return cm_fail(CM_EINPUT, "%s: column name '%s' occurs twice and no line is '#numbers'",
                           in->text.name, cm_strs_get(&c->names, in->index[k].duplicate));
    }
    return 0;
}

/* The '#' lines of the head; the first other line stays held. */
static int read_head(struct cm_tsv_in *in, struct cm_buf *head, struct cm_buf *cols)
{
    uint64_t width[CM_MAX_SLOTS] = {0};
    bool parsed = false;
    int rc = cm_text_line(&in->text);
    char *rest = rc > 0 ? cm_text_behind(in->text.line, "#cms") : NULL;
    if (rc < 0)
        return rc;
    if (!rest)
        return cm_text_fail(&in->text, "expected '#cms' (the text form of cms-text), found '%.40s'",
                            rc ? in->text.line : "nothing");
    if (strcmp(rest, "1"))
        return cm_text_fail(&in->text, "version '%.20s' of the text form, this program reads 1",
                            rest);
    while ((rc = cm_text_line(&in->text)) > 0) {
        if (!parsed && (rest = cm_text_behind(in->text.line, "#head"))) {
            cm_buf_printf(head, "%s\n", rest);
            continue;
        }
        if (!parsed) {
            cm_buf_put(head, "", 1);
            rc = cm_wire_get_head((char *)head->p, &in->head, width);
            if (rc)
                return cm_fail_in(rc, in->text.name);
            for (size_t k = 0; k < in->head.nslots; k++) {
                in->head.slot[k].rows = 0; /* the text may have been filtered */
                if (in->head.slot[k].lazy != CM_LAZY_NO)
                    return cm_text_fail(
                        &in->text, "slot.%zu.lazy: the text form holds the values themselves", k);
            }
            parsed = true;
        }
        rc = take_columns(in, cols);
        if (rc < 0)
            return rc;
        if (rc > 0 || cm_text_behind(in->text.line, "#name"))
            continue;
        rest = cm_text_behind(in->text.line, "#dict");
        if (!rest)
            break;
        rc = take_dict(in, rest);
        if (rc)
            return rc;
    }
    if (rc < 0)
        return rc;
    in->text.held = true;
    if (!parsed || feof(in->text.file))
        return cm_text_fail(&in->text, "the text ends in its head");
    return set_columns(in, cols, width);
}

int cm_tsv_open(struct cm_tsv_in **out, FILE *file, const char *what)
{
    struct cm_tsv_in *in = CM_ZNEW(1, struct cm_tsv_in);
    struct cm_buf head = {0}, cols[CM_MAX_SLOTS] = {{0}};
    *out = in;
    in->text.file = file;
    in->text.name = cm_strdup(what);
    int rc = read_head(in, &head, cols);
    in->label = CM_ZNEW(in->head.nlabels + 1, struct cm_strs);
    cm_buf_free(&head);
    for (size_t k = 0; k < CM_MAX_SLOTS; k++) {
        cm_buf_free(&cols[k]);
        in->type[k] = CM_V_F64;
    }
    return rc;
}

const struct cm_head *cm_tsv_in_head(const struct cm_tsv_in *in) { return &in->head; }

void cm_tsv_close(struct cm_tsv_in *in)
{
    if (!in)
        return;
    for (size_t k = 0; k < CM_MAX_SLOTS; k++) {
        if (in->index[k].slot)
            cm_index_free(&in->index[k]);
        cm_free(in->cell[k].ptr);
        cm_free(in->cell[k].idx);
        cm_free(in->cell[k].val);
    }
    for (size_t k = 0; k < in->head.nlabels; k++)
        cm_strs_free(&in->label[k]);
    cm_free(in->label);
    cm_head_free(&in->head);
    cm_text_free(&in->text);
    cm_free(in);
}

/* ----- rows ------------------------------------------------------------------------------- */

static int take_entry(struct cm_tsv_in *in, size_t slot, char *field)
{
    struct cells *c = &in->cell[slot];
    const struct cm_strs *names = &in->head.slot[slot].cols.names;
    char *colon = strrchr(field, ':');
    if (!colon)
        return cm_text_fail(&in->text, "expected column:value, found '%.60s'", field);
    *colon = 0;
    uint64_t at = 0;
    if (in->number[slot]) {
        if (!cm_parse_u64(field, &at) || at >= names->n)
            return cm_text_fail(&in->text,
                                "expected the number of a column below %zu, found '%.40s'",
                                names->n, field);
    } else {
        cm_unescape(field);
        at = cm_index_find(&in->index[slot], field);
        if (at == CM_ABSENT)
            return cm_text_fail(&in->text, "no column is called '%.60s'", field);
    }
    CM_GROW(c->idx, c->idx_cap, c->n + 1);
    CM_GROW(c->val, c->val_cap, c->n + 1);
    c->idx[c->n] = (uint32_t)at;
    return cm_text_value(&in->text, in->type[slot], colon + 1, &c->val[c->n++]);
}

struct entry {
    uint32_t idx;
    double val;
};

static int by_column(const void *a, const void *b)
{
    uint32_t x = ((const struct entry *)a)->idx, y = ((const struct entry *)b)->idx;
    return (x > y) - (x < y);
}

/* Entries of the row just read into ascending order (an edited row may have any). */
static int order_row(struct cm_tsv_in *in, size_t slot, size_t begin)
{
    struct cells *c = &in->cell[slot];
    size_t n = c->n - begin, k = 1;
    while (k < n && c->idx[begin + k - 1] < c->idx[begin + k])
        k++;
    if (k >= n)
        return 0;
    struct entry *row = CM_NEW(n, struct entry);
    for (size_t i = 0; i < n; i++)
        row[i] = (struct entry){c->idx[begin + i], c->val[begin + i]};
    qsort(row, n, sizeof *row, by_column);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        if (i && row[i].idx == row[i - 1].idx)
            rc = cm_text_fail(&in->text, "column '%.60s' occurs twice in the row",
                              cm_strs_get(&in->head.slot[slot].cols.names, row[i].idx));
        c->idx[begin + i] = row[i].idx;
        c->val[begin + i] = row[i].val;
    }
    cm_free(row);
    return rc;
}

static int take_slot(struct cm_tsv_in *in, size_t slot, char **rest)
{
    const struct cm_slot *s = &in->head.slot[slot];
    struct cells *c = &in->cell[slot];
    size_t begin = c->n, width = s->cols.names.n;
    if (in->head.nslots > 1) {
        char *mark = cm_next_field(rest);
        if (!mark || *mark != '|')
            return cm_text_fail(&in->text, "expected '|%s' before the values of that slot",
                                s->name);
    }
    int rc = 0;
    while (!rc && *rest && **rest != '|') {
        char *field = cm_next_field(rest);
        if (s->dense) {
            CM_GROW(c->val, c->val_cap, c->n + 1);
            rc = cm_text_value(&in->text, in->type[slot], field, &c->val[c->n++]);
        } else {
            rc = take_entry(in, slot, field);
        }
    }
    if (rc)
        return rc;
    if (s->dense && c->n - begin != width)
        return cm_text_fail(&in->text, "expected %zu values of slot %s, found %zu", width, s->name,
                            c->n - begin);
    CM_GROW(c->ptr, c->ptr_cap, c->rows + 2);
    c->ptr[0] = 0;
    c->ptr[++c->rows] = c->n;
    return s->dense ? 0 : order_row(in, slot, begin);
}

static int take_row(struct cm_tsv_in *in, struct cm_chunk *c)
{
    char *rest = in->text.line, *field = cm_next_field(&rest);
    if (!in->head.nslots)
        return cm_text_fail(&in->text, "a row in a stream without slots");
    cm_unescape(field);
    if (strlen(field) > CM_MAX_NAME)
        return cm_text_fail(&in->text, "a name longer than 64 KiB");
    cm_strs_add(&c->names, field);
    for (size_t k = 0; k < in->head.nlabels; k++) {
        field = cm_next_field(&rest);
        if (!field)
            return cm_text_fail(&in->text, "expected %zu labels, found %zu", in->head.nlabels, k);
        cm_strs_add(&in->label[k], field);
    }
    int rc = 0;
    for (size_t k = 0; !rc && k < in->head.nslots; k++)
        rc = take_slot(in, k, &rest);
    if (!rc && rest)
        rc = cm_text_fail(&in->text, "more fields than labels and slots: '%.40s'", rest);
    c->rows += rc == 0;
    return rc;
}

static int take_label(struct cm_tsv_in *in, struct cm_label *l, struct cm_vec *v, size_t i,
                      const char *text)
{
    char *word = cm_strdup(text);
    bool ok = true;
    cm_unescape(word);
    if (strlen(word) > CM_MAX_NAME)
        ok = false;
    else if (v->type == CM_T_STR)
        cm_strs_add(&v->s, word);
    else if (!*text)
        ; /* stays missing */
    else if (v->type == CM_T_CAT)
        v->cat[i] = cm_dict_code(&l->dict, strcmp(text, "%") ? word : "");
    else if (v->type == CM_T_I64)
        ok = cm_parse_i64(word, &v->i[i]);
    else if (v->type == CM_T_F64)
        ok = cm_parse_f64(word, &v->f[i]);
    else if ((ok = !strcmp(word, "true") || !strcmp(word, "false")))
        v->b[i] = *word == 't';
    cm_free(word);
    return ok ? 0
              : cm_text_fail(&in->text, "or a line of its block: label %s does not take '%.40s'",
                             l->name, text);
}

/* The rows gathered so far as a chunk. */
static int finish_chunk(struct cm_tsv_in *in, struct cm_chunk *c)
{
    struct cm_head *h = &in->head;
    c->first = in->rows;
    c->has_batch = in->has_batch;
    c->batch = in->batch;
    c->batch.rows = (uint32_t)c->rows;
    in->rows += c->rows;
    in->has_batch = false;
    cm_chunk_labels(c, h);
    for (size_t k = 0; k < h->nlabels; k++) {
        if (h->label[k].type == CM_T_STR)
            cm_strs_clear(&c->label[k].s);
        for (size_t i = 0; i < c->rows; i++) {
            int rc = take_label(in, &h->label[k], &c->label[k], i, cm_strs_get(&in->label[k], i));
            if (rc)
                return rc;
        }
        cm_strs_clear(&in->label[k]);
    }
    for (size_t k = 0; k < h->nslots; k++) {
        struct cells *from = &in->cell[k];
        struct cm_block *b = &c->block[k];
        enum cm_value type = in->type[k] == CM_V_F32 ? CM_V_F32 : CM_V_F64;
        cm_block_shape(b, h->slot[k].dense, c->rows, h->slot[k].cols.names.n, from->n, type);
        if (!b->dense) {
            memcpy(b->ptr, from->ptr, (c->rows + 1) * sizeof *b->ptr);
            if (from->n)
                memcpy(b->idx, from->idx, from->n * sizeof *b->idx);
        }
        if (type == CM_V_F64 && from->n)
            memcpy(b->raw, from->val, from->n * sizeof *from->val);
        for (size_t e = 0; type == CM_V_F32 && e < from->n; e++)
            ((float *)b->raw)[e] = (float)from->val[e];
        from->rows = from->n = 0;
    }
    return 1;
}

static int take_types(struct cm_tsv_in *in, char *rest)
{
    in->blocked = true;
    for (size_t k = 0; k < in->head.nslots; k++) {
        char *name = cm_next_field(&rest);
        int type = -1;
        for (int t = 0; name && t <= CM_V_F64; t++)
            type = strcmp(name, cm_value_name((enum cm_value)t)) ? type : t;
        if (type < 0)
            return cm_text_fail(&in->text, "#block: expected a value type, found '%.20s'",
                                name ? name : "");
        in->type[k] = (enum cm_value)type;
    }
    return 0;
}

static int take_numbers(struct cm_tsv_in *in, char **rest, uint64_t *out, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        char *field = cm_next_field(rest);
        if (!field || !cm_parse_u64(field, &out[k]))
            return cm_text_fail(&in->text, "expected a whole number, found '%.20s'",
                                field ? field : "");
    }
    return 0;
}

static int check_max(const struct cm_tsv_in *in, const char *what, uint64_t v, uint64_t max)
{
    return v <= max ? 0
                    : cm_text_fail(&in->text, "expected %s up to %" PRIu64 ", found %" PRIu64, what,
                                   max, v);
}

static int take_batch(struct cm_tsv_in *in, char *rest)
{
    uint64_t v[3];
    int rc = take_numbers(in, &rest, v, 3);
    if (!rc && in->head.kind != CM_PAIRS)
        rc = cm_text_fail(&in->text, "#batch in a stream of kind %s", cm_kind_name(in->head.kind));
    if (!rc)
        rc = check_max(in, "an epoch", v[0], UINT32_MAX);
    if (!rc)
        rc = check_max(in, "a split", v[2], 1);
    if (rc)
        return rc;
    in->has_batch = true;
    in->batch = (struct cm_batch){.epoch = (uint32_t)v[0], .step = v[1], .split = (uint8_t)v[2]};
    return 0;
}

static int take_pick(struct cm_tsv_in *in, char *rest, struct cm_chunk *c)
{
    uint64_t v[2];
    int rc = take_numbers(in, &rest, v, 2);
    if (!rc && in->head.kind != CM_PAIRS)
        rc = cm_text_fail(&in->text, "#pick in a stream of kind %s", cm_kind_name(in->head.kind));
    if (!rc)
        rc = check_max(in, "an epoch", v[0], UINT32_MAX);
    if (rc)
        return rc;
    c->is_pick = true;
    c->batch = (struct cm_batch){.epoch = (uint32_t)v[0], .step = v[1]};
    while (!rc && rest) {
        CM_GROW(c->pick, c->pick_cap, c->batch.rows + 1u);
        uint64_t *row = &c->pick[c->batch.rows++];
        rc = take_numbers(in, &rest, row, 1);
        if (!rc && *row >= in->rows)
            rc =
                cm_text_fail(&in->text, "#pick: row %" PRIu64 " of a data pass of %" PRIu64 " rows",
                             *row, in->rows);
    }
    return rc ? rc : 1;
}

static int take_tensor(struct cm_tsv_in *in, char *rest, struct cm_chunk *c)
{
    cm_tensor_free(c->tensor);
    c->tensor = CM_ZNEW(1, struct cm_tensor);
    c->is_tensor = true;
    int rc = cm_text_tensor(&in->text, rest, c->tensor);
    return rc ? rc : 1;
}

static int finish_text(struct cm_tsv_in *in)
{
    int rc = cm_text_line(&in->text);
    if (rc > 0)
        return cm_text_fail(&in->text, "a line behind #end");
    in->ended = rc == 0;
    return rc;
}

int cm_tsv_next(struct cm_tsv_in *in, struct cm_chunk *c)
{
    c->has_batch = c->is_pick = c->is_tensor = false;
    c->rows = 0;
    cm_strs_clear(&c->names);
    if (in->ended)
        return 0;
    for (;;) {
        int rc = cm_text_line(&in->text);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return cm_text_fail(&in->text, "the text ends without #end: it was cut");
        if (*in->text.line != '#') {
            rc = in->head.kind == CM_MODEL ? take_tensor(in, in->text.line, c) : take_row(in, c);
            if (rc)
                return rc;
            if (c->rows >= (in->blocked ? (size_t)1 << 20 : CM_BLOCK_ROWS))
                return finish_chunk(in, c);
            continue;
        }
        static const char *const early[] = {"#cms", "#head", "#cols", "#numbers"};
        for (size_t k = 0; k < sizeof early / sizeof *early; k++)
            if (cm_text_behind(in->text.line, early[k]))
                return cm_text_fail(&in->text, "%s stands before the first row", early[k]);
        char *types = cm_text_behind(in->text.line, "#block"),
             *batch = cm_text_behind(in->text.line, "#batch");
        char *pick = cm_text_behind(in->text.line, "#pick"),
             *dict = cm_text_behind(in->text.line, "#dict");
        char *tensor = cm_text_behind(in->text.line, "#tensor");
        bool end = cm_text_behind(in->text.line, "#end") != NULL;
        if (c->rows && (types || batch || pick || dict || tensor || end)) {
            in->text.held = true;
            return finish_chunk(in, c);
        }
        if (end)
            return finish_text(in);
        if (pick)
            return take_pick(in, pick, c);
        if (tensor)
            return take_tensor(in, tensor, c);
        if (types)
            rc = take_types(in, types);
        if (dict)
            rc = take_dict(in, dict);
        if (batch)
            rc = take_batch(in, batch);
        if (rc < 0)
            return rc;
    }
}
