#!/usr/bin/python3
"""Numbers for tests/unit/test_match_*.c and streams for tests/cli: rules, ranks, curves, from NumPy, SciPy, scikit-learn.

Run from the project's root: /usr/bin/python3 tests/ref/make_match.py
Needs NumPy, SciPy, scikit-learn and POT (python3-pot).
Writes tests/ref/match.txt and match_rules.txt (blocks "name rows cols" and the values), the embeddings tests/ref/match_e.cms and
match_t.cms, the pairs match_truth.tsv, and match_expected.tsv: what knn-match, assign and score make of them.
Metrics are transcribed here from their definitions on dense matrices, with loops where our side has formulas: areas
under curves walk along the ranking entry by entry, ties are resolved by enumerating every order that differs.
"""
import itertools, struct, subprocess, sys
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, roc_auc_score

sys.path.insert(0, 'pipelines/custom')
sys.dont_write_bytecode = True
import cms

rng = np.random.default_rng(20211202)
f32 = lambda x: np.asarray(x, np.float32).astype(float)
out = open('tests/ref/match.txt', 'w')


def write(name, a, digits=17):
    a = np.atleast_2d(np.asarray(a, float))
    out.write(f'{name} {a.shape[0]} {a.shape[1]}\n')
    for row in a:
        out.write(' '.join(f'%.{digits}g' % v for v in row) + '\n')


# ---- rules -----------------------------------------------------------------------------------------------------
GRID = (5, 10, 20, 40, 80, 120, 160, 240)


def rule(S, method, T):
    """Probabilities of a dense S where -inf is `not stored`; rows without entries become zeros."""
    with np.errstate(invalid='ignore', divide='ignore'):
        r = np.nan_to_num(softmax(T * S, axis=1))
        if method == 'dual':
            r = r * np.nan_to_num(softmax(T * S, axis=0))
            r = np.nan_to_num(r / r.sum(1, keepdims=True))
    return r


def measures(S, group):
    """soft (row, dual) and hard (argmax, dual) by temperature, means of both directions."""
    S = np.where(group[:, None] == group[None], S, -np.inf)
    i, rows = np.arange(len(S)), []
    for T in GRID:
        line = []
        for m in ('softmax', 'dual'):
            line.append((rule(S, m, T)[i, i].mean() + rule(S.T, m, T)[i, i].mean()) / 2)
        line.append(((S.argmax(1) == i).mean() + (S.argmax(0) == i).mean()) / 2)
        a, b = rule(S, 'dual', T).argmax(1), rule(S.T, 'dual', T).argmax(1)
        rows.append(line + [((a == i).mean() + (b == i).mean()) / 2])
    return rows


def calibrated(S, group):
    """Temperature and mean -log probability of the partner (both directions) where that is least: softmax, dual."""
    S = np.where(group[:, None] == group[None], S, -np.inf)
    i = np.arange(len(S))
    out = []
    for m in ('softmax', 'dual'):
        f = lambda x: -(np.log(rule(S, m, np.exp(x))[i, i]).mean() + np.log(rule(S.T, m, np.exp(x))[i, i]).mean()) / 2
        best = minimize_scalar(f, bounds=(np.log(.5), np.log(200)), method='bounded', options=dict(xatol=1e-7))
        out.append((np.exp(best.x), best.fun))
    return out


n = 40
base = rng.normal(size=(n, 6))
unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
e, t = unit(base + .6 * rng.normal(size=(n, 6))), unit(base + .6 * rng.normal(size=(n, 6)))
S = f32(e @ t.T)
group = np.arange(n) % 3
write('tune.s', S, 9), write('tune.group', group)
write('tune.all', measures(S, 0 * group)), write('tune.within', measures(S, group))
write('tune.all.calibrated', calibrated(S, 0 * group)), write('tune.within.calibrated', calibrated(S, group))

# ---- metrics ---------------------------------------------------------------------------------------------------
STEPS = 10000


def trapezoid(points, n, wrong):
    """Areas under (tp, ranked) points: precision over recall, and recall over false positives."""
    tp, ranked = np.array(points, float).T
    with np.errstate(invalid='ignore'):
        precision = np.where(ranked > 0, tp / ranked, 1)
    fp = ranked - tp
    pr = ((precision[1:] + precision[:-1]) / 2 * np.diff(tp)).sum() / n
    roc = ((tp[1:] + tp[:-1]) / 2 * np.diff(fp)).sum() / n / wrong
    return pr, roc


def curves(P, stored, partner):
    rows = [i for i in range(len(P)) if partner[i] >= 0]
    entries = sorted(((P[i, j], partner[i] == j) for i in rows for j in range(P.shape[1]) if stored[i, j]), key=lambda x: -x[0])
    n, universe = len(rows), len(rows) * P.shape[1]
    pr = roc = tp = ranked = 0.
    for _, block in itertools.groupby(entries, key=lambda x: x[0]):
        truths = [x[1] for x in block]
        b, p = len(truths), sum(truths)
        a = []
        for where in itertools.combinations(range(b), p):       # every order that differs, equally likely
            points = [(tp, ranked)]
            for k in range(b):
                points.append((points[-1][0] + (k in where), points[-1][1] + 1))
            a.append(trapezoid(points, n, universe - n))
        pr, roc = pr + np.mean([x[0] for x in a]), roc + np.mean([x[1] for x in a])
        tp, ranked = tp + p, ranked + b
    if ranked < universe:
        steps = np.linspace(0, 1, STEPS + 1)
        x = trapezoid(list(zip(tp + steps * (n - tp), ranked + steps * (universe - ranked))), n, universe - n)
        pr, roc = pr + x[0], roc + x[1]
    return pr, roc


def ranks(P, stored, partner):
    """Expected shares of the partner among the first 1, 5, 10 and the median place."""
    top, place = np.zeros(3), []
    n = sum(p >= 0 for p in partner)
    for i, j in enumerate(partner):
        if j < 0:
            continue
        v = P[i][stored[i]]
        if not stored[i, j]:
            place.append(len(v) + (P.shape[1] - len(v) + 1) / 2)
            continue
        greater, equal = (v > P[i, j]).sum(), (v == P[i, j]).sum()
        places = greater + 1 + np.arange(equal)                 # each as likely
        place.append(places.mean())
        top += [(places <= k).mean() for k in (1, 5, 10)]
    return list(top / n) + [np.median(place)]


def probability(P, stored, partner):
    """The competition's script, on a dense matrix with its columns in the order of the truth."""
    rows = [i for i in range(len(P)) if partner[i] >= 0]
    X = np.where(stored, P, 0)[rows]
    X[X < 0] = 0
    with np.errstate(invalid='ignore'):
        R = X / X.sum(1, keepdims=True)
    own = R[np.arange(len(rows)), [partner[i] for i in rows]]
    hard = [0 if np.isnan(r).any() else (r[partner[i]] == r.max()) / (r == r.max()).sum() for r, i in zip(R, rows)]
    return [own.mean(), np.nan_to_num(own).mean(), np.mean(hard), np.isnan(own).sum()]


def agreement(P, stored, a, b):
    X = np.where(stored, np.maximum(P, 0), 0)
    known = (a[:, None] >= 0) & (b[None] >= 0)
    return (X * known * (a[:, None] == b[None])).sum() / (X * known).sum()


def reliability(P, stored, partner):
    """Claims of first choices in ten bins of equal numbers: [ece, by chance, brier, log loss, their stderr] and the bins.
    Ties are resolved by their definition: a claim shared by k columns is right by 1/k, rows of equal claims by their mean."""
    X = np.maximum(np.where(stored, P, 0), 0)
    claims, brier, loss = [], [], []
    for i, j in enumerate(partner):
        if j < 0:
            continue
        y = np.arange(P.shape[1]) == j
        r = X[i] / X[i].sum() if X[i].sum() > 0 else 0 * X[i]
        brier.append(((r - y) ** 2).sum())
        loss.append(-np.log(max(r[j], 1e-9)))
        if r.max() > 0:
            claims.append((r.max(), np.mean(y[r == r.max()])))
    brier, loss = np.array(brier), np.array(loss)
    if (X[[i for i, j in enumerate(partner) if j >= 0]].sum(1) > 0).all() and brier.size > 1:   # a second oracle
        rows = [i for i, j in enumerate(partner) if j >= 0]
        R = X[rows] / X[rows].sum(1, keepdims=True)
        gold = np.eye(P.shape[1])[[partner[i] for i in rows]]
        each = [brier_score_loss(gold[:, k], R[:, k]) for k in range(P.shape[1])]
        assert abs(sum(each) - brier.mean()) < 1e-12, (each, brier.mean())
    claims.sort()
    c = np.array([x[0] for x in claims])
    h = np.array([np.mean([y for x, y in claims if x == v]) for v in c])
    n, bins, ece, chance, var = len(c), [], 0, 0, 0
    for b in range(10):
        k = slice(b * n // 10, (b + 1) * n // 10)
        m = k.stop - k.start
        if m == 0:
            bins.append([0, np.nan, np.nan, np.nan])
            continue
        bins.append([m, c[k].mean(), h[k].mean(), np.sqrt(max(0, h[k].mean() * (1 - h[k].mean())) / m)])
        ece += m / n * abs(c[k].mean() - h[k].mean())
        chance += np.sqrt(2 / np.pi * (c[k] * (1 - c[k])).sum()) / n
        var += m * max(0, h[k].mean() * (1 - h[k].mean()))
    se = lambda x: x.std(ddof=1) / np.sqrt(len(x))
    return [n, ece, np.sqrt(var) / n, chance, brier.mean(), se(brier), loss.mean(), se(loss)], bins


def case(name, P, stored, partner):
    P = f32(P)
    write(name + '.entries', [(i, j, P[i, j]) for i in range(len(P)) for j in range(P.shape[1]) if stored[i, j]], 9)
    write(name + '.shape', P.shape), write(name + '.partner', partner)
    back = [-1] * P.shape[1]
    for i, j in enumerate(partner):
        if j >= 0:
            back[j] = i
    a, b = np.arange(len(P)) % 4 - 1, np.arange(P.shape[1]) % 3 - 1
    pr, roc = curves(P, stored, partner)
    rows = [i for i in range(len(P)) if partner[i] >= 0]
    gold = np.array([[partner[i] == j for j in range(P.shape[1])] for i in rows])
    auc = roc_auc_score(gold.ravel(), np.where(stored, P, -9)[rows].ravel())
    assert abs(auc - roc) < 1e-12, (auc, roc)                   # a second oracle: what is missing is one tie
    write(name + '.codes', np.r_[a, b])
    write(name + '.expected', probability(P, stored, partner) + ranks(P, stored, partner) + ranks(P.T, stored.T, back)
          + [pr, roc, agreement(P, stored, a, b)])
    numbers, bins = reliability(P, stored, partner)
    write(name + '.reliability', numbers), write(name + '.bins', bins)


P3 = np.array([[1, .1, .2], [.3, .9, .4], [.5, .6, .8]])
case('three', P3, P3 > 0, [0, 1, 2])                             # published: 0.5842611336032388, 1, 1
case('three_permuted', P3[:, [1, 2, 0]], P3 > 0, [2, 0, 1])
case('perfect', np.eye(6), np.eye(6) > 0, list(range(6)))
m = 12
case('plain', rng.uniform(size=(m, m)) + np.eye(m) * .4, rng.uniform(size=(m, m)) < .7, list(rng.permutation(m)))
case('negative', rng.normal(size=(m, m)), rng.uniform(size=(m, m)) < .9, list(rng.permutation(m)))
stored = rng.uniform(size=(m, m)) < .3
stored[4] = False                                                # a row without mass: NaN
case('empty_row', rng.uniform(size=(m, m)), stored, list(rng.permutation(m)))
partner = list(rng.permutation(14)[:10])
partner[3] = partner[7] = -1
case('ties', rng.integers(0, 4, size=(10, 14)) / 4, rng.uniform(size=(10, 14)) < .5, partner)
case('constant', np.full((5, 5), .2), np.ones((5, 5)) > 0, list(range(5)))

# ---- embeddings ------------------------------------------------------------------------------------------------
a, b = f32(unit(rng.normal(size=(30, 5)))), f32(unit(rng.normal(size=(33, 5))))
b[:30] += .5 * a
b = f32(b)
partner = list(rng.permutation(30))
partner[11] = -1
Z = a @ b.T
fos, chunks = [], []
pairs = [(i, j) for i, j in enumerate(partner) if j >= 0]
for i, j in pairs:
    fos.append(((Z[i] > Z[i, j]).mean() + (Z[:, j] > Z[i, j]).mean()) / 2)
for k in range(0, len(pairs), 8):
    part = pairs[k:k + 8]
    C = Z[np.ix_([i for i, _ in part], [j for _, j in part])]
    chunks += list((np.diag(softmax(C, 1)) + np.diag(softmax(C, 0))) / 2)
chance = np.mean([1 / len(pairs[k:k + 8]) for k in range(0, len(pairs), 8) for _ in pairs[k:k + 8]])
write('fos.e', a, 9), write('fos.t', b, 9), write('fos.partner', partner)
write('fos.expected', [np.mean(fos), np.std(fos, ddof=1) / np.sqrt(len(fos)), np.mean(chunks), chance])
out.close()

# ---- streams for the command line ------------------------------------------------------------------------------


def stream(path, slot, names, values, labels, parts):
    w = cms.Writer.__new__(cms.Writer)
    w.zstd = subprocess.Popen(['zstd', '-cq', '-19', '--check'], stdin=subprocess.PIPE, stdout=open(path, 'wb'))
    w.slots, w.rows = 0, {}
    w.zstd.stdin.write(cms.MAGIC + struct.pack('<HHI', 1, 0, 0))
    d = values.shape[1]
    h = {'kind': 'embedding', 'slots': '1', 'slot.0.name': slot, 'slot.0.encoding': 'dense', 'slot.0.value': 'auto',
         'slot.0.cols': str(d), 'slot.0.rows': str(len(names)), 'slot.0.state': 'embedding', 'labels': str(len(labels))}
    for k, (name, typ, _) in enumerate(labels):
        h |= {f'label.{k}.name': name, f'label.{k}.type': typ}
    h |= {f'part.{k}': p for k, p in enumerate(parts)}
    w.put('HEAD', cms.put_head(h))
    w.put('COLS', struct.pack('<Q', 0) + ('name\n' + ''.join(f'e{k}\n' for k in range(d))).encode())
    columns = []
    for k, (name, typ, v) in enumerate(labels):
        if typ == 'cat':
            cats = sorted(set(v) - {''})
            w.put('DICT', struct.pack('<III', k, 0, len(cats)) + bytes(4) + cms.put_strs(cats))
            v = [cats.index(x) if x else 0xFFFFFFFF for x in v]
        columns.append(v)
    for first in range(0, len(names), 16):
        part = slice(first, first + 16)
        rows = names[part]
        w.put('ROWS', cms.put_rows(first, rows, [c[part] for c in columns], [x[1] for x in labels]))
        w.put('BLOCK', cms.put_block(dict(slot=0, type=4, rows=len(rows), dense=1, first=first, counts=None, columns=None,
                                          rowf=None, values=[float(x) for x in values[part].ravel()])))
    w.end()


n, d = 60, 6
base = rng.normal(size=(n, d))
E, T = f32(unit(base + .7 * rng.normal(size=(n, d)))), f32(unit(base + .7 * rng.normal(size=(n, d))))
order = rng.permutation(n)
T = T[order]
names = [f'cell{k}' for k in range(n)]
batch = np.array([f'b{k % 3}' for k in range(n)])
kind = np.array(['T cell' if x > 0 else 'B cell' for x in base[:, 0]])
batch[7] = ''                                                    # missing: no candidates within batches
parts = ['e 0 4', 'cis 4 6']
stream('tests/ref/match_e.cms', 'GEX', names, E, [('batch', 'cat', list(batch)), ('cell_type', 'cat', list(kind))], parts)
stream('tests/ref/match_t.cms', 'ATAC', [names[k] for k in order], T,
       [('batch', 'str', list(batch[order])), ('cell_type', 'cat', list(kind[order]))], parts)
with open('tests/ref/match_truth.tsv', 'w') as f:
    f.write('gex\tatac\n' + ''.join(f'{x}\t{x}\n' for x in names))

S = E @ T.T
partner = list(np.argsort(order))
same = (batch[:, None] == batch[order][None]) & (batch != '')[:, None]
inside = np.where(same, S, -np.inf)
with open('tests/ref/match_expected.tsv', 'w') as f:
    def line(name, *values):
        f.write(name + ''.join('\t%.12g' % v for v in values) + '\n')
    # row, column, value of single entries
    for i, j in [(0, int(np.argmax(S[0]))), (17, 3), (59, int(np.argmin(S[59])))]:
        line(f'similarity {i} {j}', S[i, j])
        for m in ('softmax', 'dual'):
            line(f'{m} {i} {j}', rule(S, m, 10)[i, j])
    for name, P, stored in (('softmax', rule(S, 'softmax', 10), S > -9), ('dual', rule(S, 'dual', 10), S > -9),
                            ('within', rule(inside, 'dual', 10), same)):
        back = list(np.argsort(partner))
        line(f'{name} match_probability_filled', probability(P, stored, partner)[1])
        line(f'{name} match_probability_hard', probability(P, stored, partner)[2])
        r, q = ranks(P, stored, partner), ranks(P.T, stored.T, back)
        for k, x in enumerate(('top1', 'top5', 'top10')):
            line(f'{name} {x}', r[k]), line(f'{name} {x}_reverse', q[k])
        line(f'{name} median_rank', r[3])
        pr, roc = curves(P, stored, partner)
        line(f'{name} aupr', pr), line(f'{name} auroc', roc)
        a, b = (kind == 'T cell').astype(int), (kind[order] == 'T cell').astype(int)
        line(f'{name} celltype_match', agreement(P, stored, a, b))
        for k, x in zip((1, 3, 4, 6), ('ece', 'ece_by_chance', 'brier', 'log_loss')):
            line(f'{name} {x}', reliability(P, stored, partner)[0][k])
    sizes = {x: (batch == x).sum() for x in set(batch) - {''}}
    line('within chance', np.mean([1 / sizes[x] if x else 0 for x in batch]))
    fos = [((S[i] > S[i, j]).mean() + (S[:, j] > S[i, j]).mean()) / 2 for i, j in enumerate(partner)]
    line('foscttm', np.mean(fos))
    line('empty rows within', (~same).all(1).sum())

# ---- rules that look at more than a row --------------------------------------------------------------------------
import ot
from scipy.optimize import linear_sum_assignment
from sklearn.neighbors import NearestNeighbors

out = open('tests/ref/match_rules.txt', 'w')
rng = np.random.default_rng(20220317)
ABSENT = -np.inf


def entries(name, S):
    found = [(i, j, S[i, j]) for i in range(S.shape[0]) for j in range(S.shape[1]) if S[i, j] > ABSENT]
    write(name + '.shape', S.shape), write(name + '.entries', found if found else np.zeros((0, 3)), 9)


def csls(S, T, k):
    """Conneau et al. 2018, equation 3, with means over the stored candidates."""
    mean = lambda v: np.sort(v[v > ABSENT])[::-1][:k].mean() if (v > ABSENT).any() else 0
    C = 2 * S - np.array([mean(r) for r in S])[:, None] - np.array([mean(c) for c in S.T])[None]
    with np.errstate(invalid='ignore'):
        return np.nan_to_num(softmax(T * C, axis=1))


def sinkhorn(S, T, iterations):
    n, m = S.shape
    some = (S > ABSENT).any(1), (S > ABSENT).any(0)              # POT divides by zero on empty lines
    P = np.zeros((n, m))
    A = S[np.ix_(*some)]
    if A.size:
        P[np.ix_(*some)] = ot.sinkhorn(np.full(A.shape[0], 1 / A.shape[0]), np.full(A.shape[1], 1 / A.shape[1]), -A, 1 / T,
                                       numItermax=iterations, stopThr=0, warn=False)
    with np.errstate(invalid='ignore'):
        return np.nan_to_num(P / P.sum(1, keepdims=True))


def scaled(S, epsilon, group_row, iterations):
    """Per group: cost 1 - s over its largest, regularisation epsilon."""
    A = S.copy()
    for g in set(group_row):
        cost = 1 - S[group_row == g]
        A[group_row == g] = 1 - cost / cost[cost < np.inf].max()
    return sinkhorn(A, 1 / epsilon, iterations)


def snn(S, k):
    """Sets of a cell and its k nearest on the other side; the Jaccard index of two sets."""
    n, m = S.shape
    best = lambda v, name: {(name, int(j)) for j in np.argsort(-v, kind='stable')[:k] if v[j] > ABSENT}
    rows, cols = [best(S[i], 'c') | {('r', i)} for i in range(n)], [best(S[:, j], 'r') | {('c', j)} for j in range(m)]
    J = np.array([[len(a & b) / (2 * (k + 1) - len(a & b)) for b in cols] for a in rows])
    return J / np.maximum(J.sum(1, keepdims=True), 1e-300)


def clue(X, Y):
    """The competition's winner, k = 1, from neighbours within and between the modalities (scikit-learn's search)."""
    graph = lambda of, to: NearestNeighbors(n_neighbors=1).fit(to).kneighbors_graph(of).toarray()
    both = graph(X, Y) @ graph(Y, Y).T + (graph(Y, X) @ graph(X, X).T).T
    J = both / (4 - both)
    return J / J.sum(1, keepdims=True)


def thinned(S, q, group_row, group_col):
    """Entries below the quantile of their row and below that of their column are dropped, group by group."""
    A = np.full(S.shape, ABSENT)
    for g in set(group_row) & set(group_col):
        at = np.ix_(group_row == g, group_col == g)
        B = S[at]
        keep = (B >= np.quantile(B, q, axis=1, keepdims=True)) | (B >= np.quantile(B, q, axis=0, keepdims=True))
        A[at] = np.where(keep, B, ABSENT)
    return A


def lines(name, S, T):
    entries(name, S)
    for k in (1, 3):
        write(f'{name}.csls{k}', csls(S, T, k)), write(f'{name}.snn{k}', snn(S, k))
    for k in (1, 7):
        write(f'{name}.sinkhorn{k}', sinkhorn(S, T, k))


def views(n, m, d=5):
    z = rng.normal(size=(max(n, m), d))
    return f32(unit(z[:n] + .7 * rng.normal(size=(n, d)))), f32(unit(z[:m] + .7 * rng.normal(size=(m, d))))


for n, m in ((12, 12), (9, 15), (15, 9), (1, 1), (1, 6), (6, 1)):
    X, Y = views(n, m)
    S = f32(X @ Y.T)
    name = f'full{n}x{m}'
    lines(name, S, 15)
    write(name + '.clue', clue(X, Y))
    assert np.allclose(clue(X, Y), snn(S, 1))
    one = np.zeros(n, int)
    write(name + '.epsilon', scaled(S, .05, one, 7))
    A = thinned(S, .8, one, np.zeros(m, int))
    write(name + '.quantile', np.where(A > ABSENT, A, 0), 9)
X, Y = views(14, 11)
S = f32(X @ Y.T)
S[rng.uniform(size=S.shape) < .5] = ABSENT
S[4], S[:, 7] = ABSENT, ABSENT                                  # a row and a column without candidates
lines('sparse', S, 15)
X, Y = views(16, 13)
S = f32(X @ Y.T)
gr, gc = np.arange(16) % 3, np.arange(13) % 4                   # group 3 has columns alone
S = np.where(gr[:, None] == gc[None], S, ABSENT)
lines('groups', S, 15)
write('groups.row', gr), write('groups.col', gc), write('groups.epsilon', scaled(S, .05, gr, 7))
A = thinned(S, .6, gr, gc)
write('groups.quantile', np.where(A > ABSENT, A, 0), 9)

# Assignments: SciPy's solver, where a pair that is not allowed costs more than all others together.
for k in range(50):
    n, m = (int(x) for x in rng.integers(1, 15, 2))
    if k % 3 == 0:
        m = n
    S = f32(rng.normal(size=(n, m)))
    if k % 5 == 1:
        S = np.round(2 * S) / 2                                 # equal values
    if k % 2:
        S[rng.uniform(size=S.shape) < (.4, .8)[k % 4 == 3]] = ABSENT
    far = 1e6
    i, j = linear_sum_assignment(np.where(S > ABSENT, -S, far))
    keep = S[i, j] > ABSENT
    entries(f'exact{k}', S)
    write(f'exact{k}.expected', [keep.sum(), S[i, j][keep].sum()])
out.close()
