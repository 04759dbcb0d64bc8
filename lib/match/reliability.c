/* match/reliability.c - calibration of a match's first choices.  See match/reliability.h. */
#include "match/reliability.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pool.h"
#include "match/rules.h"

enum { SHARDS = 64, BINS = CM_RELIABILITY_BINS };

/* One row; claim NaN without mass. */
struct row {
    double claim, right, brier, loss;
};

struct job {
    const struct cm_csr *m;
    const struct cm_pairs *truth;
    struct row *row; /* of every row; unpaired ones are not written */
};

static struct row read_row(const float *v, const uint32_t *idx, size_t n, uint32_t partner)
{
    double sum = 0, square = 0, own = 0;
    float max = 0;
    size_t equals = 0;
    for (size_t k = 0; k < n; k++) {
        if (!(v[k] > 0))
            continue;
        double p = (double)v[k];
        sum += p;
        square += p * p;
        own = idx[k] == partner ? p : own;
        equals = v[k] > max ? 1 : equals + (v[k] == max);
        max = v[k] > max ? v[k] : max;
    }
    if (!(sum > 0))
        return (struct row){NAN, 0, 1, -log(CM_RULE_PROBABLE)};
    double share = own / sum;
    return (struct row){(double)max / sum, own > 0 && own >= (double)max ? 1 / (double)equals : 0,
                        square / (sum * sum) - 2 * share + 1, -log(fmax(share, CM_RULE_PROBABLE))};
}

static int read_rows(void *arg, size_t shard)
{
    const struct job *x = arg;
    const struct cm_csr *m = x->m;
    size_t to = cm_shard_begin(m->rows, SHARDS, shard + 1);
    for (size_t i = cm_shard_begin(m->rows, SHARDS, shard); i < to; i++)
        if (x->truth->col_of_row[i] != CM_UNPAIRED)
            x->row[i] = read_row(m->val + m->ptr[i], m->idx + m->ptr[i],
                                 (size_t)(m->ptr[i + 1] - m->ptr[i]), x->truth->col_of_row[i]);
    return 0;
}

static int by_claim(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->claim != y->claim)
        return x->claim < y->claim ? -1 : 1;
    return (x->right > y->right) - (x->right < y->right); /* an order, so that sums are the same */
}

/* Rows of equal claims are right by their mean. */
static void level(struct row *row, size_t n)
{
    for (size_t i = 0, k; i < n; i = k) {
        double sum = 0;
        for (k = i; k < n && row[k].claim == row[i].claim; k++)
            sum += row[k].right;
        for (size_t j = i; j < k; j++)
            row[j].right = sum / (double)(k - i);
    }
}

static void fill_bins(struct cm_reliability *out, const struct row *row, size_t n)
{
    double variance = 0;
    out->ece = out->ece_by_chance = n ? 0 : NAN;
    for (size_t b = 0; b < BINS; b++) {
        size_t from = b * n / BINS, to = (b + 1) * n / BINS, cells = to - from;
        double claimed = 0, right = 0, spread = 0;
        for (size_t i = from; i < to; i++) {
            claimed += row[i].claim;
            right += row[i].right;
            spread += row[i].claim * (1 - row[i].claim);
        }
        double r = right / (double)cells;
        out->bin[b] = (struct cm_reliability_bin){cells, claimed / (double)cells, r,
                                                  sqrt(fmax(0, r * (1 - r)) / (double)cells)};
        if (cells == 0)
            continue;
        out->ece += fabs(claimed - right) / (double)n;
        out->ece_by_chance += sqrt(2 / 3.14159265358979323846 * spread) / (double)n;
        variance += (double)cells * r * (1 - r);
    }
    out->ece_error = n ? sqrt(fmax(0, variance)) / (double)n : NAN;
}

static void mean_of(const struct row *row, size_t n, double (*of)(const struct row *), double *mean,
                    double *error)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        sum += of(&row[i]);
    *mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (of(&row[i]) - *mean) * (of(&row[i]) - *mean);
    *error = n > 1 ? sqrt(square / (double)(n - 1) / (double)n) : NAN;
}

static double brier_of(const struct row *r) { return r->brier; }
static double loss_of(const struct row *r) { return r->loss; }

void cm_match_reliability(const struct cm_csr *m, const struct cm_pairs *truth,
                          struct cm_reliability *out)
{
    struct row *row = CM_NEW(m->rows + 1, struct row);
    struct job job = {m, truth, row};
    size_t n = 0, claims = 0;
    cm_parallel(SHARDS, read_rows, &job);
    for (size_t i = 0; i < m->rows; i++)
        if (truth->col_of_row[i] != CM_UNPAIRED)
            row[n++] = row[i];
    mean_of(row, n, brier_of, &out->brier, &out->brier_error);
    mean_of(row, n, loss_of, &out->log_loss, &out->log_loss_error);
    for (size_t i = 0; i < n; i++)
        if (!isnan(row[i].claim))
            row[claims++] = row[i];
    qsort(row, claims, sizeof *row, by_claim);
    level(row, claims);
    out->cells = claims;
    fill_bins(out, row, claims);
    cm_free(row);
}
