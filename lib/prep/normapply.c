/* prep/normapply.c - the values of prep/norm.h: row factors where the stream can say the rest,
 * plain numbers where it cannot.
 *
 * Most methods change nothing but a factor a row, and counts should stay counts on the wire; some
 * divide by a sum behind the logarithm, or give a value to a zero.  So there is one loop over rows
 * with two endings.  Plain values for all would be six times the bytes, and every reader in every
 * language would have to know a richer lazy form.
 */
#include "prep/norm.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "prep/internal.h"

/* x as the formula takes it. */
static double restated(const struct cm_norm *n, double x)
{
    if (n->binarize)
        x = x > 0;
    return n->sublinear ? (x > 0 ? 1 + log(x) : 0) : x;
}

/* The block's counts by restated(); stored zeros go, and ones need no bytes. */
static void restate(const struct cm_norm *n, struct cm_block *b)
{
    struct cm_block to = {0};
    enum cm_value type = n->sublinear ? CM_V_F64 : b->dense ? CM_V_F32 : CM_V_ONE;
    cm_block_shape(&to, b->dense, b->rows, b->cols, b->nnz, type);
    uint64_t at = 0;
    for (size_t i = 0; i < b->rows; i++) {
        uint64_t e = b->dense ? i * b->cols : b->ptr[i];
        uint64_t end = b->dense ? e + b->cols : b->ptr[i + 1];
        for (; e < end; e++) {
            double x = restated(n, cm_block_x(b, e));
            if (!b->dense && cm_block_x(b, e) == 0)
                continue;
            if (type == CM_V_F64)
                ((double *)to.raw)[at] = x;
            else if (type == CM_V_F32)
                ((float *)to.raw)[at] = (float)x;
            if (!b->dense)
                to.idx[at] = b->idx[e];
            at++;
        }
        if (!b->dense)
            to.ptr[i + 1] = at;
    }
    to.nnz = at;
    cm_block_free(b);
    *b = to;
}

/* post f(row col x) of entry k of a cell. */
static double value(const struct cm_norm *n, const struct cm_norm_cell *cell, size_t k, double row)
{
    size_t j = cell->idx ? cell->idx[k] : k;
    double x = n->sublinear ? restated(n, cell->x[k]) : cell->x[k];
    double y = cm_norm_f(n->method->f, row * (n->col ? n->col[j] : 1) * x);
    return n->post ? n->post[j] * y : y;
}

/* What the values of a cell are divided by at the end; 0 for a cell without values. */
static double length(const struct cm_norm *n, const struct cm_norm_cell *cell, double row)
{
    enum cm_norm_unit unit = n->method->second ? CM_UNIT_L1 : cm_norm_unit(n);
    double sum = 0;
    if (unit == CM_UNIT_NONE)
        return 1;
    for (size_t k = 0; k < cell->len; k++) {
        double y = value(n, cell, k, row);
        sum += unit == CM_UNIT_L1 ? fabs(y) : y * y;
    }
    sum = unit == CM_UNIT_L1 ? sum : sqrt(sum);
    return n->method->second && n->second > 0 ? sum / n->second : sum;
}

/* Row i of a dense result: logarithms, of the zeros too. */
static void put_dense(const struct cm_norm *n, const struct cm_norm_cell *cell, double row,
                      float *out)
{
    double shift = n->method->shift;
    size_t k = 0;
    for (size_t j = 0; j < n->cols; j++) {
        while (k < cell->len && (cell->idx ? cell->idx[k] : k) < j)
            k++;
        bool stored = k < cell->len && (cell->idx ? cell->idx[k] : k) == j;
        double x = stored ? cell->x[k] : 0;
        out[j] = (float)log((x + shift) * row * (n->col ? n->col[j] : 1));
    }
}

/* Memory for the plain values of a block, its entries as they are unless the result is dense. */
static struct cm_block plain_like(const struct cm_norm *n, const struct cm_block *b)
{
    struct cm_block to = {0};
    bool dense = b->dense || n->method->dense;
    cm_block_shape(&to, dense, b->rows, b->cols, b->nnz, CM_V_F32);
    if (!dense) {
        memcpy(to.ptr, b->ptr, (b->rows + 1) * sizeof *to.ptr);
        if (b->nnz)
            memcpy(to.idx, b->idx, (size_t)b->nnz * sizeof *to.idx);
    }
    return to;
}

static int check_factor(const struct cm_chunk *c, size_t i, double factor, double sum)
{
    if (isfinite((float)factor))
        return 0;
    return cm_fail(CM_EINPUT, "row \"%s\": a total of %g is too small to divide by",
                   cm_strs_get(&c->names, i), sum);
}

/* Has a cell with counts lost all its values?  row 0: its size is 0. */
static bool is_lost(const struct cm_norm *n, const struct cm_norm_cell *cell, double row)
{
    if (n->method->dense || cell->sum == 0 || n->method->second)
        return false;
    if (row == 0)
        return true;
    if (!n->weightless)
        return false;
    for (size_t k = 0; k < cell->len; k++) {
        size_t j = cell->idx ? cell->idx[k] : k;
        bool stored = !cell->x || cell->x[k] > 0;
        if (stored && (!n->col || n->col[j] != 0) && (!n->post || n->post[j] != 0))
            return false;
    }
    return true;
}

/* Are there columns whose values are all zero by the fit? */
static bool has_weightless(const struct cm_norm *n)
{
    for (size_t j = 0; j < n->cols; j++)
        if ((n->col && n->col[j] == 0) || (n->post && n->post[j] == 0))
            return true;
    return false;
}

static int make_rows(struct cm_norm *n, const struct cm_head *h, struct cm_chunk *c, float *factor,
                     struct cm_block *plain)
{
    struct cm_block *b = &c->block[0];
    float *out = plain ? plain->raw : NULL;
    for (size_t i = 0; i < c->rows; i++) {
        struct cm_norm_cell cell;
        int code = cm_norm_row(n, h, c, i, &cell);
        if (code)
            return code;
        double row = cm_norm_factor(n, &cell), by = 1;
        if (!n->method->dense) {
            by = length(n, &cell, row);
            row = plain ? row : by > 0 ? row / by : 0;
        }
        if ((code = check_factor(c, i, row, cell.sum)))
            return code;
        n->empty += cell.sum == 0;
        n->lost += is_lost(n, &cell, by > 0 ? row : 0);
        if (!plain)
            factor[i] = (float)row;
        else if (n->method->dense)
            put_dense(n, &cell, row, out + i * b->cols);
        else
            for (size_t k = 0, e = b->dense ? i * b->cols : b->ptr[i]; k < cell.len; k++)
                out[e + k] = (float)(by > 0 ? value(n, &cell, k, row) / by : 0);
    }
    return 0;
}

int cm_norm_apply(struct cm_norm *n, const struct cm_head *h, struct cm_chunk *c)
{
    struct cm_block *b = &c->block[0];
    bool lazy = cm_norm_lazy(n);
    int code;
    if (n->label && n->label_at < 0 && (code = cm_norm_bind(n, h)))
        return code;
    if (n->rows == 0 && !n->on_all)
        n->weightless = has_weightless(n);
    float *factor = CM_NEW(c->rows, float);
    struct cm_block plain = {0};
    if (!lazy)
        plain = plain_like(n, b);
    code = make_rows(n, h, c, factor, lazy ? NULL : &plain);
    if (!code) {
        n->rows += c->rows;
        bool by_row = n->method->row != CM_ROW_ONE || cm_norm_unit(n) != CM_UNIT_NONE;
        if (!lazy) {
            struct cm_block was = *b;
            *b = plain;
            plain = was;
        } else if (n->binarize || n->sublinear) {
            restate(n, b);
        }
        if (lazy && by_row && c->rows)
            memcpy(cm_block_rowf(b), factor, c->rows * sizeof *factor);
    }
    cm_block_free(&plain);
    cm_free(factor);
    return code;
}
