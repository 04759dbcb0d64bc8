#!/usr/bin/env bash
# tests/bench/prep.sh [CELLS] [RUNS] - tfidf and lognorm as filters against NumPy in place.
#
# Generated cells at the competition's size (20,000 by default) are written twice: as CMS and as the
# .npz that Python reads fastest (float32 CSR, not compressed).  Then, alternated in one run, each
# reads its own file from the page cache, transforms and writes a file of its own kind to the same
# folder: `tfidf <atac.cms >out.cms` (method signac1, two passes) and `lognorm <gex.cms >out.cms`
# (method seurat) against a Python process that loads, computes on x.data in place (np.repeat and
# fancy indexing, log1p) and saves.  Both with start-up and imports.  Printed: seconds, the ratio of
# the medians, peak memory, and the largest difference of the values, relative.
set -euo pipefail
cells=${1:-20000} runs=${2:-5}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH OPENBLAS_NUM_THREADS=2
python=${PYTHON:-/usr/bin/python3}
row() { [ -z "${CM_BENCH_ROWS:-}" ] || printf '%s\t-\t-\t%s\t-\t-\t-\t%s\n' "$@" >>"$CM_BENCH_ROWS"; } # ROW OTHER WHY
"$python" -c 'import scipy, h5py' 2>/dev/null || {
    echo "prep: skipped: no SciPy or h5py"
    for k in tfidf lognorm; do row $k NumPy 'no SciPy or h5py'; done
    exit 0
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cms-gen --scale bmmc --cells "$cells" --gex gex.cms --atac atac.cms
for k in gex atac; do h5-write --compression none -o $k.h5ad $k.cms; done
cat >inplace.py <<'PY'
import sys
import numpy as np, scipy.sparse as sp
what, source, to = sys.argv[1:]
x = sp.load_npz(source)
total = np.asarray(x.sum(axis=1)).ravel()
per_row = np.divide(1e4, total, out=np.zeros_like(total), where=total > 0).astype(np.float32)
if what == "tfidf":
    peak = np.asarray(x.sum(axis=0)).ravel()
    weight = np.divide(x.shape[0], peak, out=np.zeros_like(peak), where=peak > 0).astype(np.float32)
    x.data *= weight[x.indices]
x.data *= np.repeat(per_row, np.diff(x.indptr))
np.log1p(x.data, out=x.data)
sp.save_npz(to, x, compressed=False)
PY
"$python" - <<'PY'
import h5py, numpy as np, os, scipy.sparse as sp
for kind in ("gex", "atac"):
    with h5py.File(kind + ".h5ad") as f:
        g = f["X"]
        x = sp.csr_matrix((g["data"][:].astype(np.float32), g["indices"][:].astype(np.int32), g["indptr"][:]), shape=g.attrs["shape"])
    sp.save_npz(kind + ".npz", x, compressed=False)
    os.remove(kind + ".h5ad")
PY
# The clock is a process without NumPy, whose memory would count as that of its children.
cat >clock.py <<'PY'
import os, statistics, subprocess, sys, time
tool, kind, cells, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def run(argv, source=None, to=None):
    t = time.perf_counter()
    p = subprocess.Popen(argv, stdin=source and open(source), stdout=to and open(to, "w"))
    status, usage = os.wait4(p.pid, 0)[1:]
    assert status == 0, argv
    return time.perf_counter() - t, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

ours, theirs = [], []
for k in range(runs):
    ours.append(run([tool, "-q"], kind + ".cms", "out.cms"))
    theirs.append(run([sys.executable, "inplace.py", tool, kind + ".npz", "out.npz"]))
    print(f"prep: {tool} run {k + 1}: ours {ours[-1][0]:.2f} s (CPU {ours[-1][1]:.2f}), NumPy {theirs[-1][0]:.2f} s (CPU {theirs[-1][1]:.2f})", flush=True)
a, b = ([statistics.median(c) for c in zip(*x)] for x in (ours, theirs))
print(f"{tool}\t{cells} cells\tours {a[0]:.2f} s\tNumPy {b[0]:.2f} s\tratio {b[0] / a[0]:.2f}\tgoal 4\tof CPU {b[1] / a[1]:.2f}")
print(f"{tool}\tpeak memory\tours {a[2]:.0f} MiB\tNumPy {b[2]:.0f} MiB\tratio {b[2] / a[2]:.1f}\tgoal 5, and 64 MB")
if os.environ.get("CM_BENCH_ROWS"):
    with open(os.environ["CM_BENCH_ROWS"], "a") as rows:
        rows.write(f"{tool}\t{a[0]:.2f}\t{b[0]:.2f}\tNumPy\t-\t{a[2]:.0f}\t{b[2]:.0f}\t{cells} cells\n")
PY
for run in "tfidf atac" "lognorm gex"; do
    read -r tool kind <<<"$run"
    "$python" clock.py "$tool" "$kind" "$cells" "$runs"
    cms-cat --materialize --rows 0:512 out.cms | h5-write --compression none -o some.h5ad
    "$python" - "$tool" <<'PY'
import sys
import h5py, numpy as np, scipy.sparse as sp
x = sp.load_npz("out.npz")
with h5py.File("some.h5ad") as f:
    y, columns = f["X/data"][:], f["X/indices"][:]
assert (x.indices[:len(y)] == columns).all()
print(f"{sys.argv[1]}\tlargest relative difference of {len(y)} values\t{np.max(np.abs(x.data[:len(y)] / y - 1)):.1e}")
PY
done
