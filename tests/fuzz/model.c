/* model.c - fuzz target: the inner bytes of a model or a checkpoint, through what embed,
 * xattn-score, peak-links and --resume do with one before they look at cells, and with a few cells.
 *
 * Promise: a model that is accepted maps any cells without a crash; its numbers may overflow.
 */
#include "fuzz.h"

#include "links/rows_text.h"
#include "match/rules.h"
#include "train/fit.h"
#include "model/model.h"
#include "network/map.h"
#include "network/scorer.h"

enum { CELLS = 3, COLS_MAX = 5000, WORK_MAX = 1 << 24 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate(data, size, max, seed);
}

/* Cell i has every (i + 1)th feature. */
static struct cm_csr make_cells(size_t cols)
{
    struct cm_csr x = cm_csr_make(cols);
    uint32_t *idx = CM_NEW(cols, uint32_t);
    float *val = CM_NEW(cols, float);
    for (size_t i = 0; i < CELLS; i++) {
        uint64_t ptr[2] = {0, 0};
        for (size_t j = i; j < cols; j += i + 1) {
            idx[ptr[1]] = (uint32_t)j;
            val[ptr[1]++] = (float)(1 + j % 3);
        }
        cm_csr_append(&x, 1, ptr, idx, val);
    }
    cm_free(idx);
    cm_free(val);
    return x;
}

static bool small(const struct cm_model *m)
{
    size_t cols = m->head.slot[0].cols.names.n + m->head.slot[1].cols.names.n;
    size_t work = CELLS * cm_model_width(m);
    for (size_t s = 0; m->has_net && s < 2; s++)
        work += cm_net_cache(&m->net, s, 1) + cm_net_scratch(&m->net, s, 1);
    return cols <= COLS_MAX && work <= WORK_MAX && (!m->has_net || m->net.table.size <= WORK_MAX);
}

static void score(const struct cm_model *m, const struct cm_csr *const x[2])
{
    const uint32_t col[CELLS] = {0, 1, 2};
    float s[CELLS] = {0};
    if (cm_scorer_thread_bytes(&m->net) > WORK_MAX || cm_scorer_cell_bytes(&m->net, 1) > WORK_MAX)
        return;
    struct cm_scorer *scorer = cm_scorer_make(&m->net, m->net.w, x, 0, CELLS, 1 << 20);
    for (uint64_t i = 0; i < CELLS; i++)
        cm_scorer_row(scorer, i, col, CELLS, s);
    cm_scorer_free(scorer);
}

static void apply(const struct cm_model *m)
{
    struct cm_csr x[2] = {make_cells(m->head.slot[0].cols.names.n),
                          make_cells(m->head.slot[1].cols.names.n)};
    const struct cm_csr *const both[2] = {&x[0], &x[1]};
    float *out = CM_NEW(CELLS * cm_model_width(m), float);
    struct cm_head head = {0};
    for (size_t s = 0; s < 2; s++) {
        cm_model_embed(m, s, &x[s], out);
        cm_model_embed_head(m, s, &m->head, true, &head);
        cm_head_free(&head);
    }
    if (m->has_net && m->net.has_cross)
        score(m, both);
    cm_free(out);
    cm_csr_free(&x[0]);
    cm_csr_free(&x[1]);
}

static void print_links(const struct cm_model *m)
{
    struct cm_link_rows rows;
    struct cm_link_side gene, peak;
    struct cm_buf b = {0};
    gene = cm_link_side_make(&m->head.slot[cm_head_find_slot(&m->head, "GEX")].cols, true);
    peak = cm_link_side_make(&m->head.slot[cm_head_find_slot(&m->head, "ATAC")].cols, false);
    if (!cm_link_rows_make(&rows, &m->links, gene.cols, peak.cols)) {
        cm_link_rows_choose(&rows, &(struct cm_link_choice){true, .5, 3});
        for (size_t k = 0; k < rows.n; k++) {
            cm_link_put_tsv(&b, &gene, &peak, &rows.row[k]);
            cm_link_put_bedpe(&b, &gene, &peak, &rows.row[k]);
        }
    }
    cm_buf_free(&b);
    cm_free(rows.row);
    cm_link_side_free(&gene);
    cm_link_side_free(&peak);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH];
    struct cm_reader *r;
    struct cm_model m;
    cm_panic_hook(fuzz_panic);
    if (size < 1 + FUZZ_PREFIX)
        return 0;
    int fd = fuzz_stream(data, size, path);
    if (!cm_reader_open(&r, path)) {
        if (!cm_model_read(&m, r)) {
            struct cm_rule rule;
            cm_rule_read(&m.head.kv, &rule);
            cm_rule_calibrated(&m.head.kv, &rule);
            if (small(&m))
                apply(&m);
            if (m.has_links)
                print_links(&m);
            if (!cm_reader_rewind(r)) {
                struct cm_fit_state state;
                struct cm_model again;
                cm_checkpoint_read(&again, &state, r);
                cm_fit_state_free(&state);
                cm_model_free(&again);
            }
        }
        cm_model_free(&m);
        cm_reader_close(r);
    }
    close(fd);
    return 0;
}
