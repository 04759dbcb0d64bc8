#!/usr/bin/python3
"""Makes tests/ref/peak_links.{gex,atac}.txt, prepared cells as text, peak_links.{near,within,wide}.want:
the table that peak-links --all must print for three models of them, without the weights; and
significance.txt, p and q of given numbers.

By NumPy on dense arrays: LSI by numpy.linalg.svd, residuals of a ridge regression by
numpy.linalg.solve, correlations as means of products; p by mpmath at 60 digits, q by the definition
of Benjamini and Hochberg, whose sets at some rates are those of sklearn's SelectFdr (significance.txt).
near: window 30000; within: the same, correlated within batches; wide: window 90000, features
divided by sd^.6 before LSI (preset closed).
"""
import os
import mpmath
import numpy as np
from sklearn.feature_selection import SelectFdr

here = os.path.dirname(os.path.abspath(__file__))
mpmath.mp.dps = 60
g = np.random.default_rng(8)
cells, genes, peaks, K, R, CLIP = 160, 24, 48, 6, 3, 3.0
batch = g.integers(0, 2, cells)

# Places: gene j on chromosome j % 3, by tss or by start alone; names of chromosomes with and without chr.
chrom = np.arange(genes) % 3 + 1
tss = 100000 + 20000 * (np.arange(genes) // 3) + g.integers(0, 9000, genes)
pchrom = np.arange(peaks) % 3 + 1
start = 95000 + 10000 * (np.arange(peaks) // 3) + g.integers(0, 9000, peaks)
end = start + g.integers(300, 901, peaks)
placed = np.ones(genes, bool); placed[5] = False
has_tss = np.ones(genes, bool); has_tss[[2, 7]] = False    # then the start
has_end = np.ones(peaks, bool); has_end[10] = False        # then the place is the start

# Two programs of cells, batches, and for some pairs of gene and peak a signal of their own.
program = g.gamma(1, 1, (cells, 2))
level = g.gamma(1, .6, (2, genes)); plevel = g.gamma(1, .4, (2, peaks))
own = g.gamma(.6, 1.5, (cells, genes))
x = program @ level + .8 * own + .7 * batch[:, None] * (np.arange(genes) % 4 == 0)
y = program @ plevel + .5 * batch[:, None] * (np.arange(peaks) % 5 == 0)
for j in range(0, genes, 2):
    near = np.flatnonzero((pchrom == chrom[j]) & (abs(start - tss[j]) < 30000))
    if len(near):
        y[:, near[0]] += .8 * own[:, j]
x = np.round(np.log1p(g.poisson(x)) * 8) / 8
y = np.round(np.log1p(g.poisson(y * .7)) * 4) / 4
x[:, 11] = 0                                               # never seen
y[:, 20] = 0; y[3, 20] = 1                                 # seen once


def stream(path, slot, v, columns, rows):
    with open(path, 'w') as f:
        print('#cms\t1\n#head\tkind\tmatrix\n#head\tslots\t1', file=f)
        for k, w in ('name', slot), ('encoding', 'csr'), ('value', 'f32'), ('cols', v.shape[1]), ('state', 'unknown'):
            print(f'#head\tslot.0.{k}\t{w}', file=f)
        print('#head\tlabels\t1\n#head\tlabel.0.name\tbatch\n#head\tlabel.0.type\tstr', file=f)
        print('#cols\t0\tname', *columns, sep='\t', file=f)
        for r in rows:
            print('#cols\t0', *r, sep='\t', file=f)
        for i in range(cells):
            print(f'c{i}', 'ab'[batch[i]], *(f'{rows[j][0]}:{v[i, j]:g}' for j in np.flatnonzero(v[i])), sep='\t', file=f)
        print('#end', file=f)


gname = [f'G{j}' for j in range(genes)]
pname = [f'p{j}' for j in range(peaks)]
stream(f'{here}/peak_links.gex.txt', 'GEX', x, ['chrom:str', 'start:i64', 'tss:i64'],
       [(gname[j], f'chr{chrom[j]}' if placed[j] else '', tss[j] if not has_tss[j] else tss[j] - 50,
         tss[j] if has_tss[j] else '') for j in range(genes)])
stream(f'{here}/peak_links.atac.txt', 'ATAC', y, ['chrom:str', 'start:i64', 'end:i64'],
       [(pname[j], pchrom[j], start[j], end[j] if has_end[j] else '') for j in range(peaks)])
centre = np.where(has_end, (start + end) / 2, start)


def residuals(v, scale):
    v = v - v.mean(0)
    sd = v.std(0)
    d = np.where(sd > 0, np.where(sd > 0, sd, 1.0) ** -scale, 0)
    loadings = d[:, None] * np.linalg.svd(v * d, full_matrices=False)[2][:K].T
    z = np.hstack([(v @ loadings)[:, :R], np.ones((cells, 1))])
    r = v - z @ np.linalg.solve(z.T @ z + 1e-4 * np.eye(R + 1), z.T @ v)
    s = r.std(0)
    return r / np.where(s > 1e-9, s, 1)


def log_p(z):
    return mpmath.log(mpmath.erfc(abs(mpmath.mpf(float(z))) / mpmath.sqrt(2)))


def log_q(lp):
    order = sorted(range(len(lp)), key=lambda i: lp[i])
    q, least = [None] * len(lp), mpmath.mpf(0)
    for rank in range(len(lp), 0, -1):
        least = min(least, lp[order[rank - 1]] + mpmath.log(mpmath.mpf(len(lp)) / rank))
        q[order[rank - 1]] = least
    return q


def text(v):
    return mpmath.nstr(mpmath.exp(v), 9, min_fixed=-3, max_fixed=3)


for name, window, scale, within in ('near', 30000, 0, False), ('within', 30000, 0, True), ('wide', 90000, .6, False):
    u, w = np.clip(residuals(x, scale), -CLIP, CLIP), residuals(y, scale)
    if within:
        for b in 0, 1:
            u[batch == b] -= u[batch == b].mean(0)
            w[batch == b] -= w[batch == b].mean(0)
    c = u.T @ w / cells
    pairs = [(j, k) for j in range(genes) for k in range(peaks)
             if placed[j] and chrom[j] == pchrom[k] and abs(centre[k] - tss[j]) < window]
    z = [c[j, k] * np.sqrt(cells) for j, k in pairs]
    lp = [log_p(v) for v in z]
    lq = log_q(lp)
    with open(f'{here}/peak_links.{name}.want', 'w') as f:
        print('gene chrom tss peak start end distance correlation z p q'.replace(' ', '\t'), file=f)
        for i, (j, k) in enumerate(pairs):
            print(gname[j], f'chr{chrom[j]}', tss[j], pname[k], start[k], end[k] if has_end[k] else start[k],
                  f'{centre[k] - tss[j]:g}' if abs(centre[k] - tss[j]) < 1e5 else centre[k] - tss[j],
                  f'{c[j, k]:.9f}', f'{z[i]:.8f}', text(lp[i]), text(lq[i]), sep='\t', file=f)

with open(f'{here}/significance.txt', 'w') as f:
    def block(name, rows):
        print(name, len(rows), len(rows[0]), file=f)
        for r in rows:
            print(*(repr(float(v)) for v in r), file=f)

    zs = [0, 1e-9, .1, -.7, 1, 1.96, -3, 5, 8.3, 20, 28.2, 28.3, -28.4, 37, 38.4, 38.6, -52.7, 300, 4000]
    block('log_p', [(z, log_p(z)) for z in zs])
    p = np.concatenate([g.random(40), g.random(20) ** 6, [.03, .03, .03, 1, 1]])
    lp = [mpmath.log(mpmath.mpf(float(v))) for v in p]
    block('log_q', list(zip(lp, log_q(lp))))
    rates = [.01, .05, .1, .2, .5]
    chosen = [SelectFdr(lambda X, y: (X[0], X[0]), alpha=a).fit(np.vstack([p, p]), [0, 1]).get_support() for a in rates]
    block('rates', [rates])
    block('chosen', [c.astype(int) for c in chosen])
    # Below any double: digits and exponent of exp(v).
    vs = [-1e-12, -.5, -11.25, -689.9, -690.1, -745.3, -1000, -34567.5, -8000004.125]
    block('exponents', [(v, int(mpmath.floor(mpmath.mpf(v) / mpmath.log(10))),
                         mpmath.power(10, mpmath.mpf(v) / mpmath.log(10) - mpmath.floor(mpmath.mpf(v) / mpmath.log(10)))) for v in vs])
