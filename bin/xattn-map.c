/* xattn-map - which region attends to which, on average.
 *
 * In:  a model with token encoders, and the prepared cells of the modalities that the module needs.
 * Out: a dense matrix, state unknown: row i, column j is the mean, over cells and heads, of the
 *      attention (softmax) that region i pays to region j; rows sum to 1.  With --by one block of
 *      rows for each value of a label.  Regions are the tokens of the model, named chrom:start-end;
 *      for the cross module those of both modalities, over pairs of cells of one name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cells.h"
#include "cli/cli.h"
#include "match/groups.h"
#include "network/map.h"
#include "prep/genome.h"

enum { SELF_GEX, SELF_ATAC, CROSS };

static struct {
    const char *model, *gex, *atac, *by;
    int module;
    bool by_name;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INPUT("model", 'm', &o.model, "MODEL.cms", "the model (required)"),
    CM_OPT_INPUT("gex", 0, &o.gex, "GEX.cms", "prepared RNA cells"),
    CM_OPT_INPUT("atac", 0, &o.atac, "ATAC.cms", "prepared ATAC cells"),
    CM_OPT_STR("by", 0, &o.by, NULL, "LABEL", "one map for each value of this label"),
    CM_OPT_CHOICE("module", 0, &o.module, "self-gex", "self-gex|self-atac|cross",
                  "whose attention"),
    CM_OPT_FLAG("by-name", 0, &o.by_name,
                "take the model's columns by name, in any order, among others"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "xattn-map", "", "mean attention of region to region", options, 0, 0, CM_TOOL_DEFAULT};

/* Cells that are averaged, as rows of each side's matrix, and their groups. */
struct chosen {
    size_t n, groups;
    uint64_t *at[2];
    uint32_t *group;      /* NULL: one group */
    struct cm_strs value; /* of each group */
};

static void group_cells(struct chosen *c, const struct cm_cells *cells, size_t side,
                        const char *path)
{
    const struct cm_table *t = &cells->table;
    int l = cm_head_find_label(&t->head, o.by);
    if (l < 0)
        cm_try(cm_fail_in(cm_head_no_label(&t->head, o.by), path));
    struct cm_strs text = {0}, mine = {0};
    struct cm_groups groups;
    cm_vec_text(&t->label[l], &t->head.label[l].dict, &text);
    for (size_t i = 0; i < c->n; i++)
        cm_strs_add(&mine, cm_strs_get(&text, c->at[side][i]));
    cm_groups_make(&groups, &mine);
    c->group = CM_NEW(c->n, uint32_t);
    memcpy(c->group, groups.code, c->n * sizeof *c->group);
    for (size_t i = 0; i < c->n; i++)
        if (c->group[i] == c->value.n)
            cm_strs_add(&c->value, cm_strs_get(&mine, i));
    c->groups = groups.n;
    size_t missing = 0;
    for (size_t i = 0; i < c->n; i++)
        missing += c->group[i] == CM_GROUP_NONE;
    if (missing && c->groups)
        cm_warn("%s: --by: %zu of %zu cells have no value of label \"%s\" and are left out", path,
                missing, c->n, o.by);
    if (c->groups == 0)
        cm_die(3, "%s: label '%s' has no value in any cell", path, o.by);
    cm_groups_free(&groups);
    cm_strs_free(&text);
    cm_strs_free(&mine);
}

/* All cells of side `from`, or with `both` those whose name the other side has, too. */
static struct chosen choose(const struct cm_cells cells[2], size_t from, bool both)
{
    size_t rows = cells[from].x.rows;
    struct chosen c = {.groups = 1};
    for (size_t s = 0; s < 2; s++)
        c.at[s] = CM_ZNEW(rows, uint64_t);
    for (size_t i = 0; i < rows; i++) {
        const char *name = cm_strs_get(&cells[from].table.names, i);
        size_t j = both ? cm_index_find(&cells[1 - from].at, name) : 0;
        if (j == CM_ABSENT)
            continue;
        c.at[from][c.n] = i;
        c.at[1 - from][c.n++] = j;
    }
    if (c.n == 0)
        cm_die(3, both ? "the two matrices have no cell name in common" : "there are no cells");
    if (c.n < rows)
        cm_warn("%zu of %zu cells have no namesake and are left out", rows - c.n, rows);
    return c;
}

/* Names, places and sides of the regions, as the column table of the map. */
static void make_columns(struct cm_cols *cols, const struct cm_model *m, enum cm_map_module module)
{
    struct cm_strs side = {0};
    for (size_t s = 0; s < 2; s++) {
        if (module != CM_MAP_CROSS && s != (module == CM_MAP_SELF_1))
            continue;
        for (size_t t = 0; t < m->net.encoder[s].L; t++) {
            struct cm_buf name = {0};
            m->net.encoder[s].of->region(&m->net.encoder[s], &m->head.slot[s].cols, t, &name);
            cm_strs_addn(&cols->names, (const char *)name.p, name.n);
            cm_strs_add(&side, m->head.slot[s].name);
            cm_buf_free(&name);
        }
    }
    struct cm_vec *v = cm_cols_vec(cols, "side", CM_T_STR);
    cm_strs_copy(&v->s, &side);
    cm_strs_free(&side);
    struct cm_genome offsets = {0};
    cm_genome_init(&offsets, cols->names.n);
    if (cm_genome_from_names(&offsets, &cols->names))
        cm_genome_to_columns(&offsets, cols);
    cm_genome_free(&offsets);
}

/* One map: a chunk of as many rows as regions. */
static void write_map(struct cm_writer *w, const struct cm_head *h, const struct chosen *c,
                      size_t group, uint64_t cells, const double *map)
{
    const struct cm_cols *cols = &h->slot[0].cols;
    size_t L = cols->names.n;
    const struct cm_vec *side = cm_cols_find(cols, "side");
    struct cm_chunk out = {.rows = L, .first = group * L};
    for (size_t i = 0; i < L; i++) {
        struct cm_buf name = {0};
        if (c->group)
            cm_buf_printf(&name, "%s|", cm_strs_get(&c->value, group));
        cm_buf_puts(&name, cm_strs_get(&cols->names, i));
        cm_strs_addn(&out.names, (const char *)name.p, name.n);
        cm_buf_free(&name);
    }
    cm_chunk_labels(&out, h);
    cm_strs_copy(&out.label[0].s, &cols->names);
    cm_strs_copy(&out.label[1].s, &side->s);
    for (size_t i = 0; i < L; i++)
        out.label[2].i[i] = (int64_t)cells;
    if (c->group) {
        cm_strs_clear(&out.label[3].s);
        for (size_t i = 0; i < L; i++)
            cm_strs_add(&out.label[3].s, cm_strs_get(&c->value, group));
    }
    cm_block_shape(&out.block[0], true, L, L, (uint64_t)L * L, CM_V_F32);
    for (size_t i = 0; i < L * L; i++)
        ((float *)out.block[0].raw)[i] = (float)map[i];
    cm_try(cm_writer_chunk(w, &out, h));
    cm_chunk_free(&out);
}

/* The module in the model's numbering of sides; ends where the model lacks it. */
static enum cm_map_module module_of(const struct cm_model *m, bool needs[2])
{
    int genes = cm_model_side(m, "GEX"), peaks = cm_model_side(m, "ATAC");
    cm_try(genes);
    cm_try(peaks);
    if (!m->has_net || m->net.encoder[0].L == 0)
        cm_die(3, "%s: the model has no attention: its encoder is not 'tokens'", o.model);
    if (o.module == CROSS && !m->net.has_cross)
        cm_die(3, "%s: the model has no cross-attention module", o.model);
    needs[genes] = o.module != SELF_ATAC;
    needs[peaks] = o.module != SELF_GEX;
    return o.module == CROSS ? CM_MAP_CROSS : needs[0] ? CM_MAP_SELF_0 : CM_MAP_SELF_1;
}

int main(int argc, char **argv)
{
    cm_start(&tool, argc, argv);
    char digest[20];
    bool needs[2];
    if (!o.model)
        cm_usage_error("--model is required");
    if (o.module != SELF_ATAC && !o.gex)
        cm_usage_error("--gex is required");
    if (o.module != SELF_GEX && !o.atac)
        cm_usage_error("--atac is required");
    if (o.by && (!strcmp(o.by, "region") || !strcmp(o.by, "side") || !strcmp(o.by, "cells")))
        cm_usage_error("--by %s: the map has a label of that name", o.by);
    struct cm_model m;
    cm_model_open(&m, o.model, digest);
    enum cm_map_module module = module_of(&m, needs);
    size_t genes = (size_t)cm_model_side(&m, "GEX"), from = needs[genes] ? genes : 1 - genes;
    struct cm_cells cells[2];
    memset(cells, 0, sizeof cells);
    for (size_t s = 0; s < 2; s++)
        if (needs[s])
            cm_cells_load(&cells[s], &m, o.model, s, s == genes ? o.gex : o.atac, o.by_name);
    struct chosen c = choose(cells, from, module == CM_MAP_CROSS);
    if (o.by)
        group_cells(&c, &cells[from], from, from == genes ? o.gex : o.atac);

    struct cm_head head = {.kind = CM_MATRIX};
    struct cm_slot *slot = cm_head_add_slot(&head, "attention");
    slot->dense = true;
    make_columns(&slot->cols, &m, module);
    size_t L = slot->cols.names.n;
    slot->rows = c.groups * L;
    cm_head_add_label(&head, "region", CM_T_STR, -1);
    cm_head_add_label(&head, "side", CM_T_STR, -1);
    cm_head_add_label(&head, "cells", CM_T_I64, -1);
    if (o.by)
        cm_head_add_label(&head, o.by, CM_T_STR, -1);
    cm_kv_set(&head.kv, "xattn.model", digest);
    cm_kv_set(&head.kv, "xattn.module",
              o.module == CROSS      ? "cross"
              : o.module == SELF_GEX ? "self-gex"
                                     : "self-atac");
    struct cm_writer *w = cm_out_open(&head);

    const struct cm_csr *const x[2] = {&cells[0].x, &cells[1].x};
    const uint64_t *const at[2] = {c.at[0], c.at[1]};
    double *map = CM_NEW(c.groups * L * L, double);
    uint64_t *count = CM_NEW(c.groups, uint64_t);
    const struct cm_map_cells chosen = {x, at, c.n, c.group, c.groups};
    cm_attention_map(&m.net, module, &chosen, map, count);
    for (size_t g = 0; g < c.groups; g++)
        write_map(w, &head, &c, g, count[g], map + g * L * L);

    cm_free(map);
    cm_free(count);
    for (size_t s = 0; s < 2; s++) {
        cm_free(c.at[s]);
        cm_cells_free(&cells[s]);
    }
    cm_free(c.group);
    cm_strs_free(&c.value);
    cm_head_free(&head);
    cm_model_free(&m);
    return cm_finish();
}
