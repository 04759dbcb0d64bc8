#!/usr/bin/python3
"""Makes what figures are compared with: tests/ref/plot.txt (principal axes by NumPy's SVD, colours
by Matplotlib's viridis), and for a match, plot.match.txt, its points by scikit-learn: plot.pr.want
(precision_recall_curve), plot.recall.want (top_k_accuracy_score), plot.bins.want
(calibration_curve, bins of equal numbers).

All values of the match are different, so that no order of equals plays a part.
"""
import os
import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, top_k_accuracy_score

here = os.path.dirname(os.path.abspath(__file__))
g = np.random.default_rng(5)


def block(f, name, a):
    a = np.atleast_2d(np.asarray(a, dtype=float))
    f.write(f'{name} {a.shape[0]} {a.shape[1]}\n')
    for row in a:
        f.write(' '.join(f'{v:.9g}' for v in row) + '\n')


x = (g.normal(size=(60, 7)) * [5, 3, 1, .5, .4, .3, .2] @ g.normal(size=(7, 7))).astype('f4')
y = x.astype(float) - x.astype(float).mean(0)
u, s, vt = np.linalg.svd(y, full_matrices=False)
sign = np.array([v[np.argmax(np.abs(v))] for v in vt])
axes = vt * np.sign(sign)[:, None]
with open(f'{here}/plot.txt', 'w') as f:
    block(f, 'x', x)
    block(f, 'plane', y @ axes[:2].T)
    block(f, 'share', (s ** 2 / (s ** 2).sum())[:2])
    try:
        from matplotlib import colormaps
        viridis = colormaps['viridis']
    except ImportError:
        from matplotlib.cm import get_cmap
        viridis = get_cmap('viridis')
    block(f, 'viridis', [np.round(255 * np.array(viridis(k)[:3])) for k in range(256)])

n = 40
p = np.zeros((n, n))
while len(np.unique(p)) < n * n:
    similar = g.normal(size=(n, n)) + 2.2 * np.eye(n)
    p = np.exp(similar - similar.max(1, keepdims=True))
    p = (p / p.sum(1, keepdims=True)).astype('f4')


def short(v):
    return np.format_float_positional(np.float32(v), trim='-')


with open(f'{here}/plot.match.txt', 'w') as f:
    out = ['#cms\t1', '#head\tkind\tmatch', '#head\tslots\t1', '#head\tslot.0.name\tmatch',
           '#head\tslot.0.encoding\tcsr', '#head\tslot.0.value\tf32', f'#head\tslot.0.cols\t{n}',
           '#head\tslot.0.state\tprobability', '#head\tlabels\t0', '#head\tmatch.rows\tGEX',
           '#head\tmatch.cols\tATAC', '#cols\t0\tname'] + [f'#cols\t0\tc{j:02}' for j in range(n)]
    for i in range(n):
        out.append('\t'.join([f'c{i:02}'] + [f'c{j:02}:{short(p[i, j])}' for j in range(n)]))
    f.write('\n'.join(out + ['#end']) + '\n')

q = p.astype(float)
precision, recall, threshold = precision_recall_curve(np.eye(n).ravel(), q.ravel())
with open(f'{here}/plot.pr.want', 'w') as f:
    for k in range(len(threshold))[::-1]:
        f.write(f'{recall[k]:.9g}\t{precision[k]:.9g}\n')
with open(f'{here}/plot.recall.want', 'w') as f:
    for k in range(1, 11):
        f.write(f'{k}\t{top_k_accuracy_score(np.arange(n), q, k=k):.9g}\t{k / n:.9g}\n')
q /= q.sum(1, keepdims=True)
claim, right = q.max(1), q.argmax(1) == np.arange(n)
share, mean = calibration_curve(right, claim, n_bins=10, strategy='quantile')
assert len(share) == 10
with open(f'{here}/plot.bins.want', 'w') as f:
    for a, b in zip(mean, share):
        f.write(f'{a:.9g}\t{b:.9g}\n')
