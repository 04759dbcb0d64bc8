#!/usr/bin/python3
"""Makes tests/ref/prep_norm.txt: what lognorm, tfidf and clr must give, by NumPy, SciPy, scikit-learn.

The formulas are written here from the papers' and packages' definitions on dense arrays, without any
row or column factors, so that they share nothing with lib/prep.  Blocks are "name rows cols" and values.
Name of a result: TOOL.METHOD.VARIANT; variant `all` is fitted on all cells, `train` on the cells with
train = 1, `bin` is `all` of x > 0.
"""
import os
import numpy as np
from scipy.stats import gmean
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

rng = np.random.default_rng(7)
cells, peaks = 16, 13
depth = rng.gamma(2, 1, (cells, 1)) * rng.gamma(.6, 1, (1, peaks))
x = rng.poisson(2 * depth).astype(float)
x[5] = 0                                  # an empty cell
x[11] = 0; x[11, 3] = 1                   # one count
train = (rng.random(cells) < .6).astype(float)
x[:, 8] = 0                               # a peak never seen at all
x[train == 1, 2] = 0                      # and one seen in other cells only
x[train == 0, 2] += 1; x[5] = 0
x[2, 4] = 300                             # more than a byte holds
factor = np.round(rng.uniform(.3, 3, cells), 3)


def div(a, b):
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=np.broadcast_to(b, np.broadcast(a, b).shape) != 0)


def lognorm(method, x, fit):
    R = x.sum(1, keepdims=True)
    totals = R[fit, 0]
    if method == 'seurat':
        return np.log(1 + 1e4 * div(x, R))
    if method == 'scanpy':
        return np.log1p(div(x, R) * np.median(totals[totals > 0]))
    if method == 'scanpy-median-all':
        return np.log1p(div(x, R) * np.median(totals))
    if method == 'scran':
        f = R / totals[totals > 0].mean()
        return np.log2(div(x, f) + 1)
    if method == 'scran-label':
        f = factor[:, None] / factor[fit][totals > 0].mean()
        return np.log2(div(x, f) + 1)
    if method == 'size-factors':
        return np.log(1 + x / factor[:, None])
    if method == 'cpm':
        return 1e6 * div(x, R)
    if method == 'exclude-high':  # max_fraction .5
        low = ~((x > .5 * R) & fit[:, None]).any(0)
        S = (x * low).sum(1, keepdims=True)
        return np.log1p(div(x, S) * np.median(S[fit][S[fit] > 0]))
    if method.startswith('shifted-log'):  # overdispersion .05 or .2
        a = .2 if method.endswith('2') else .05
        f = R / gmean(totals[totals > 0])
        return np.log(div(x, f) * 4 * a + 1) / np.sqrt(a)
    if method == 'pflog':
        y = np.log1p(div(x, R) * totals[totals > 0].mean())
        S = y.sum(1, keepdims=True)
        return div(y, S) * S[fit][totals > 0].mean()
    if method == 'sqrt':
        return np.sqrt(np.median(totals[totals > 0]) * div(x, R))


def tfidf(method, x, fit):
    R = x.sum(1, keepdims=True)
    N, C, d = fit.sum(), x[fit].sum(0), (x[fit] > 0).sum(0)
    tf, idf = div(x, R), div(np.full(C.shape, float(N)), C)
    if method == 'signac1':
        return np.log1p(1e4 * tf * idf)
    if method == 'signac2':
        return tf * np.log1p(idf)
    if method == 'signac3':
        return np.log1p(1e4 * tf) * np.log1p(idf)
    if method == 'signac4':
        return x * idf
    if method == 'archr3':
        return np.log1p(tf) * np.log1p(idf)
    if method == 'sklearn':
        return TfidfTransformer().fit(x[fit]).transform(x).toarray()
    if method.startswith('sklearn-'):
        options = {'sublinear': {'sublinear_tf': True}, 'l1': {'norm': 'l1'}, 'none': {'norm': None},
                   'no-smooth': {'smooth_idf': False}}[method[8:]]
        if method == 'sklearn-no-smooth':  # its weight of a peak that no cell has is infinite, ours 0
            x = x * (d > 0)
            with np.errstate(divide='ignore'):
                return np.nan_to_num(TfidfTransformer(**options).fit(x[fit]).transform(x).toarray())
        return TfidfTransformer(**options).fit(x[fit]).transform(x).toarray()
    if method == 'signac1-l2':
        return normalize(tfidf('signac1', x, fit))
    if method == 'signac3-l1':
        return normalize(tfidf('signac3', x, fit), norm='l1')
    if method == 'signac2-l2':
        return normalize(tfidf('signac2', x, fit))
    if method in ('log-tf', 'log-idf', 'plain'):  # muon's flags; both logarithms are signac3
        return (np.log1p(1e4 * tf) if method == 'log-tf' else 1e4 * tf) * (np.log1p(idf) if method == 'log-idf' else idf)
    if method == 'glue':
        t = tf * idf
        return np.log1p(1e4 * div(t, t.sum(1, keepdims=True)))
    if method == 'allcools':
        return np.log1p(1e5 * x / (R + 1e-5)) * np.log1p(N / (C + 1e-5))
    if method == 'snapatac2':
        e = np.where(d == 0, 1, np.where(d == N, N - 1, d))
        t = x * np.log(N / e)
        return div(t, np.sqrt((t * t).sum(1, keepdims=True)))
    if method == 'logtfidf':
        return np.log1p(1e4 * tf * np.log1p(N / (1 + d)))


def clr(method, x, fit):
    flavour, margin = method.split('-')
    axis = 1 if margin == 'cells' else 0
    rows = x if margin == 'cells' else x[fit]
    if flavour == 'seurat':
        return np.log1p(x / np.exp(np.log1p(rows).sum(axis, keepdims=True) / rows.shape[axis]))
    x, rows = (x + 1, rows + 1) if flavour == 'stoeckius' else (x, rows)
    return np.log(x / gmean(rows, axis=axis).reshape((-1, 1) if axis else (1, -1)))


def put(f, name, a):
    a = np.atleast_2d(a)
    f.write(f'{name} {a.shape[0]} {a.shape[1]}\n')
    for row in a:
        f.write(' '.join('%.10g' % v for v in row) + '\n')


everyone, some = np.ones(cells, bool), train == 1
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'prep_norm.txt'), 'w') as f:
    put(f, 'counts', x)
    put(f, 'train', train)
    put(f, 'factor', factor)
    for m in 'seurat scanpy scanpy-median-all scran scran-label size-factors cpm sqrt exclude-high shifted-log shifted-log2 pflog'.split():
        put(f, f'lognorm.{m}.all', lognorm(m, x, everyone))
        put(f, f'lognorm.{m}.train', lognorm(m, x, some))
    for m in 'signac1 signac2 signac3 signac4 archr3 sklearn glue allcools snapatac2 logtfidf sklearn-no-smooth sklearn-sublinear sklearn-l1 sklearn-none signac1-l2 signac3-l1 signac2-l2 log-tf log-idf plain'.split():
        put(f, f'tfidf.{m}.all', tfidf(m, x, everyone))
        put(f, f'tfidf.{m}.train', tfidf(m, x, some))
        put(f, f'tfidf.{m}.bin', tfidf(m, (x > 0).astype(float), everyone))
    put(f, 'ones-more', x + 1)
    for m in 'seurat stoeckius plain'.split():
        for margin in ('cells', 'features'):
            put(f, f'clr.{m}-{margin}.all', clr(f'{m}-{margin}', x + (m == 'plain'), everyone))
            put(f, f'clr.{m}-{margin}.train', clr(f'{m}-{margin}', x + (m == 'plain'), some))
