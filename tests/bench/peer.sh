#!/usr/bin/env bash
# tests/bench/peer.sh [CELLS] [RUNS] - the whole way from two gzipped .h5ad to the match of a quarter of the cells,
# against one Python process that does the usual: anndata, log-normalisation and TF-IDF in place, TruncatedSVD,
# CCA (scikit-learn's PLSCanonical is slow: here by SVD of the whitened product), dual softmax.
#
# Ours is train.sh --preset linear and match.sh, with peak-gene links, which the other has not; both from
# start to end, with imports, alternated.  Printed: medians, ratio, peak memory, and the share of cells whose
# partner comes first, so that nobody compares two answers of different worth.
set -euo pipefail
cells=${1:-8000} runs=${2:-3}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$root/pipelines:$PATH LC_ALL=C OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2
python=${PYTHON:-/usr/bin/python3}
row() { [ -z "${CM_BENCH_ROWS:-}" ] || printf '%s\t%s\t%s\t%s\t-\t%s\t%s\t%s\n' "$@" >>"$CM_BENCH_ROWS"; }
"$python" -c 'import anndata, sklearn' 2>/dev/null || { echo "peer: skipped: no anndata or scikit-learn"; row peer - - anndata - - 'no anndata or scikit-learn'; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cms-gen --scale bmmc --cells "$cells" --gex g.cms --atac a.cms
for s in g a; do
    h5-write -o $s.h5ad $s.cms
    cms-cat --where split=test $s.cms | h5-write -o new.$s.h5ad
done
rm -f g.cms a.cms
cat >peer.py <<'PY'
import anndata, numpy as np, scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD

K, N = 50, 50
read = anndata.read_h5ad
g, a, ng, na = (read(f) for f in ("g.h5ad", "a.h5ad", "new.g.h5ad", "new.a.h5ad"))
g = g[g.obs["split"] != "test"].copy()
a = a[g.obs_names].copy()  # the same cells, in the order of g

def scale_rows(x, to):
    total = np.asarray(x.sum(axis=1)).ravel()
    x.data = x.data * np.repeat(np.divide(to, total, out=np.zeros_like(total), where=total > 0), np.diff(x.indptr)).astype(np.float32)
    return x

matrix = lambda d: sp.csr_matrix(d.X, dtype=np.float32)
G, NG = (scale_rows(matrix(d), 1e4) for d in (g, ng))
for x in (G, NG):
    np.log1p(x.data, out=x.data)
A, NA = matrix(a), matrix(na)
peak = np.asarray(A.sum(axis=0)).ravel()
weight = np.divide(A.shape[0], peak, out=np.zeros_like(peak), where=peak > 0).astype(np.float32)
A, NA = (scale_rows(x, 1e4) for x in (A, NA))
for x in (A, NA):
    x.data *= weight[x.indices]
    np.log1p(x.data, out=x.data)

def lsi(x, new):
    svd = TruncatedSVD(K, random_state=0).fit(x)
    z, nz = svd.transform(x), svd.transform(new)
    mean, sd = z.mean(axis=0), z.std(axis=0)
    return (z - mean) / sd, (nz - mean) / sd

zg, nzg = lsi(G, NG)
za, nza = lsi(A, NA)

def whiten(z):
    w, v = np.linalg.eigh(z.T @ z / len(z) + 1e-3 * np.eye(z.shape[1]))
    return v / np.sqrt(w) @ v.T

wg, wa = whiten(zg), whiten(za)
u, s, vt = np.linalg.svd(wg @ (zg.T @ za / len(zg)) @ wa)
eg, ea = nzg @ wg @ u[:, :N] * s[:N], nza @ wa @ vt.T[:, :N] * s[:N]
for e in (eg, ea):
    e /= np.linalg.norm(e, axis=1, keepdims=True)
S = 40 * (eg @ ea.T)
soft = lambda x, axis: np.exp(x - x.max(axis=axis, keepdims=True))
P = soft(S, 1) / soft(S, 1).sum(axis=1, keepdims=True) * soft(S, 0) / soft(S, 0).sum(axis=0, keepdims=True)
P /= P.sum(axis=1, keepdims=True)
partner = {name: k for k, name in enumerate(na.obs_names)}
truth = np.array([partner[name] for name in ng.obs_names])
np.save("match.npy", np.argsort(-P, axis=1)[:, :1000])
print(f"{np.mean(P.argmax(axis=1) == truth):.4f}")
PY
cat >ours.sh <<'SH'
train.sh -q -t 0 --preset linear g.h5ad a.h5ad model.cms
match.sh -q -t 0 --within none model.cms new.g.h5ad new.a.h5ad match.cms
SH
cat >clock.py <<'PY'
import os, re, statistics, subprocess, sys, threading, time
runs = int(sys.argv[1])

def family(pid):
    """Resident MiB of a process and its descendants."""
    total, todo = 0, [pid]
    while todo:
        p = todo.pop()
        try:
            total += int(open(f"/proc/{p}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            todo += map(int, open(f"/proc/{p}/task/{p}/children").read().split())
        except OSError:
            pass
    return total / 2**20

def run(argv):
    t, peak = time.perf_counter(), 0
    p = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    while p.poll() is None:
        peak = max(peak, family(p.pid))
        time.sleep(.02)
    assert p.returncode == 0, argv
    return time.perf_counter() - t, peak, p.stdout.read().strip()

ours, theirs = [], []
for k in range(runs):
    ours.append(run(["bash", "-e", "ours.sh"]))
    theirs.append(run([sys.executable, "-W", "ignore", "peer.py"]))
    print(f"peer: run {k + 1}: ours {ours[-1][0]:.1f} s, Python {theirs[-1][0]:.1f} s", file=sys.stderr, flush=True)
score = subprocess.run(["score", "match.cms"], check=True, capture_output=True, text=True).stdout
first = re.search(r"^top1\t([0-9.]+)", score, re.M)[1]
a, b = ([statistics.median(c) for c in list(zip(*x))[:2]] for x in (ours, theirs))
print(f"{a[0]:.2f}\t{b[0]:.2f}\t{a[1]:.0f}\t{b[1]:.0f}\t{float(first):.3f}\t{float(theirs[-1][2]):.3f}")
PY
IFS=$'\t' read -r a b ram its first its_first < <("$python" clock.py "$runs")
printf 'peer\t%s cells\tours %s s, %s MiB, first %s\tPython %s s, %s MiB, first %s\n' "$cells" "$a" "$ram" "$first" "$b" "$its" "$its_first"
row peer "$a" "$b" 'anndata, TruncatedSVD, CCA' "$ram" "$its" "$cells cells; right first choice $first against $its_first"
