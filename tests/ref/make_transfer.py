#!/usr/bin/python3
"""Makes tests/ref/transfer.{match,from}.txt, streams as text, and transfer.{labels,values}.want: what
`transfer` must give, by NumPy on dense arrays (votes by np.add.at, values by a matrix product).

Some cells have no label, one row has no candidate, one candidate has probability 0, one row ties.
"""
import os
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
g = np.random.default_rng(11)
rows, cols, genes = 40, 30, 12
p = np.where(g.random((rows, cols)) < .25, g.gamma(.5, 1, (rows, cols)), 0)
p[7] = 0                                      # no candidate
p[9] = 0; p[9, [4, 5]] = .5                   # a tie of two types
p /= np.where(p.sum(1, keepdims=True) > 0, p.sum(1, keepdims=True), 1)
p = p.astype('f4')
stored = p > 0
stored[11, 3] = p[11].any() and True          # stored, and 0
x = np.where(g.random((cols, genes)) < .4, np.round(g.gamma(2, 1, (cols, genes)), 3), 0).astype('f4')
kinds = np.array(['B cell', 'T cell, CD4', 'mono', ''])
kind = kinds[g.integers(0, 4, cols)]
kind[[4, 5]] = ['mono', 'B cell']
flag = g.random(cols) < .3
order = g.permutation(cols)                   # the stream FROM has another order than the match


def short(v):
    return np.format_float_positional(np.float32(v), trim='-')


def head(kind, slot, state, ncols, labels, extra=()):
    out = ['#cms\t1', f'#head\tkind\t{kind}', '#head\tslots\t1', f'#head\tslot.0.name\t{slot}',
           '#head\tslot.0.encoding\tcsr', '#head\tslot.0.value\tf32', f'#head\tslot.0.cols\t{ncols}',
           f'#head\tslot.0.state\t{state}', f'#head\tlabels\t{len(labels)}']
    for k, (name, type) in enumerate(labels):
        out += [f'#head\tlabel.{k}.name\t{name}', f'#head\tlabel.{k}.type\t{type}']
    return out + list(extra)


with open(f'{here}/transfer.match.txt', 'w') as f:
    out = head('match', 'match', 'probability', cols, [], ['#head\tmatch.rows\tATAC', '#head\tmatch.cols\tGEX'])
    out += ['#cols\t0\tname'] + [f'#cols\t0\tg{j}' for j in range(cols)]
    for i in range(rows):
        out.append('\t'.join([f'a{i}'] + [f'g{j}:{short(p[i, j])}' for j in range(cols) if stored[i, j]]))
    f.write('\n'.join(out + ['#end']) + '\n')
with open(f'{here}/transfer.from.txt', 'w') as f:
    out = head('matrix', 'GEX', 'lognorm', genes, [('kind', 'str'), ('flag', 'bool'), ('depth', 'f64')])
    out += ['#cols\t0\tname'] + [f'#cols\t0\tgene{j}' for j in range(genes)]
    for j in order:
        out.append('\t'.join([f'g{j}', kind[j], 'true' if flag[j] else 'false', '1.5'] +
                             [f'gene{k}:{short(x[j, k])}' for k in range(genes) if x[j, k]]))
    f.write('\n'.join(out + ['#end']) + '\n')

q = p.astype('f8')
with open(f'{here}/transfer.labels.want', 'w') as f:
    f.write('cell\tkind\tkind_confidence\tkind_second\tkind_second_confidence'
            '\tflag\tflag_confidence\tflag_second\tflag_second_confidence\n')
    for i in range(rows):
        line = [f'a{i}']
        for values in (kind, np.where(flag, 'true', 'false')):
            names = sorted(set(values) - {''})
            share = np.zeros(len(names))
            for j in range(cols):
                if values[j]:
                    np.add.at(share, names.index(values[j]), q[i, j])
            best = np.argsort(-share, kind='stable')[:2]
            line += [t for b in best for t in ((names[b] if share[b] > 0 else ''), f'{share[b]:.9g}')]
        f.write('\t'.join(line) + '\n')
np.savetxt(f'{here}/transfer.values.want', q @ x.astype('f8'), fmt='%.9g', delimiter='\t')
