#!/usr/bin/python3
"""Makes tests/ref/select.{counts,lognorm}.txt, streams as text, and select.{counts,lognorm}.want: the numbers
that feature-select must give, by NumPy and pandas on dense arrays.

The dispersion is the definition of Scanpy's highly_variable_genes(flavor='seurat'), written with the
calls that it makes (pandas.cut into 20 bins, groupby, mean, std); the variance is numpy.var(ddof=1), the
same as scikit-learn's VarianceThreshold up to n / (n - 1).
"""
import os, warnings
import numpy as np
import pandas as pd

warnings.filterwarnings('ignore')
here = os.path.dirname(os.path.abspath(__file__))
g = np.random.default_rng(3)
cells, genes = 50, 70
level = g.gamma(.7, 1.5, genes)
x = g.poisson(level * g.gamma(4, .25, (cells, 1)) * g.gamma(g.uniform(.3, 9, genes), 1) / 4).astype(float)
x[:, 5] = 0                       # never seen
x[:, 9] = 3                       # the same everywhere: no variance
x[:, 17] = 400 + g.poisson(90, cells)   # alone in the highest bin
x[:, 30] = 0; x[7, 30] = 1        # seen once
x[:, 41] = x[:, 40]               # a tie
train = g.random(cells) < .6
lognorm = np.round(np.log1p(1e4 * x / x.sum(1, keepdims=True)), 5).astype('f4').astype(float)


def table(values, state):
    y = np.expm1(values) if state == 'lognorm' else values
    mean, var = y.mean(0), y.var(0, ddof=1)
    m = mean.copy(); m[m == 0] = 1e-12
    d = var / m; d[d == 0] = np.nan
    df = pd.DataFrame({'means': np.log1p(m), 'dispersions': np.log(d)})
    df['bin'] = pd.cut(df['means'], bins=20)
    group = df.groupby('bin')['dispersions']
    bin_mean, bin_std = group.mean(), group.std(ddof=1)
    alone = bin_std.isnull()
    bin_std[alone.values] = bin_mean[alone.values].values
    bin_mean[alone.values] = 0
    at = df['bin'].values
    norm = (df['dispersions'].values - bin_mean[at].values) / bin_std[at].values
    return (values != 0).sum(0), mean, var, df['dispersions'].values, norm


for state, v in ('counts', x), ('lognorm', lognorm):
    with open(f'{here}/select.{state}.txt', 'w') as f:
        for k, w in ('kind', 'matrix'), ('slots', 1), ('slot.0.name', 'GEX'), ('slot.0.encoding', 'csr'), ('slot.0.value', 'auto'), \
                ('slot.0.cols', genes), ('slot.0.state', state), ('labels', 1), ('label.0.name', 'set'), ('label.0.type', 'cat'):
            print('#head', k, w, sep='\t', file=f) if k != 'kind' else print(f'#cms\t1\n#head\t{k}\t{w}', file=f)
        print('#cols\t0\tname', *(f'#cols\t0\tg{j}' for j in range(genes)), '#dict\tset\tplain\ttrain\tother', '#name\tset\tcolumn:value ...', sep='\n', file=f)
        for i in range(cells):
            print(f'c{i}', 'train' if train[i] else 'other', *(f'g{j}:{v[i, j]:.9g}' for j in np.flatnonzero(v[i])), sep='\t', file=f)
        print('#end', file=f)
    for rows, name in (slice(None), 'all'), (train, 'train'):
        n, mean, var, disp, norm = table(v[rows], state)
        with open(f'{here}/select.{state}.{name}.want', 'w') as f:
            for j in range(genes):
                print(f'g{j}', n[j], *('%.12g' % t for t in (mean[j], var[j], disp[j], norm[j])), sep='\t', file=f)
