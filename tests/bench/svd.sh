#!/usr/bin/env bash
# tests/bench/svd.sh [CELLS] [RUNS] - svd -k 50 against scikit-learn's TruncatedSVD.
#
# Both get the same 116,490 peaks of generated cells (20,000 by default) after TF-IDF, alternate in
# one run, and are timed on the decomposition with the projection: ours with start-up, reading and
# writing on top, scikit-learn with the matrix in memory already.  Printed: seconds, the ratio of the
# medians (and of processor time, which other work on the machine disturbs less), peak memory, and the
# share of the exact squared length that the 50 components of each keep (one that stops early
# keeps less).  scikit-learn runs its default: algorithm randomized, 5 iterations.  With fewer cells the
# products of scikit-learn are cheaper by as much; say so with the ratio.
set -euo pipefail
cells=${1:-20000} runs=${2:-3}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH OPENBLAS_NUM_THREADS=2
python=${PYTHON:-/usr/bin/python3}
row() { [ -z "${CM_BENCH_ROWS:-}" ] || printf '%s\t-\t-\t%s\t-\t-\t-\t%s\n' "$@" >>"$CM_BENCH_ROWS"; } # ROW OTHER WHY
"$python" -c 'import sklearn, scipy, h5py' 2>/dev/null ||
    { echo "svd: skipped: no scikit-learn or h5py"; row svd TruncatedSVD 'no scikit-learn or h5py'; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cms-gen --cells "$cells" --genes 200 --peaks 116490 --nnz-atac 4355 --gex gex.cms --atac atac.cms
tfidf --method logtfidf --materialize -o x.cms atac.cms
h5-write -o x.h5ad x.cms
"$python" - "$cells" "$runs" <<'PY'
import os, re, resource, subprocess, sys, time
import h5py, numpy as np, scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD

cells, runs = int(sys.argv[1]), int(sys.argv[2])
with h5py.File("x.h5ad") as f:
    g = f["X"]
    x = sp.csr_matrix((g["data"][:], g["indices"][:], g["indptr"][:]), shape=g.attrs["shape"], dtype=np.float32)
ours, theirs, our_cpu, their_cpu = [], [], [], []
for k in range(runs):
    t = time.perf_counter()
    said = subprocess.run(["svd", "-v", "-t", "2", "-k", "50", "-o", "y.cms", "x.cms"], check=True, capture_output=True, text=True).stderr
    ours.append(time.perf_counter() - t)
    our_cpu.append(float(re.search(r"([0-9.]+) of processor time", said)[1]))
    t, cpu = time.perf_counter(), time.process_time()
    z = TruncatedSVD(50, random_state=k).fit_transform(x)
    theirs.append(time.perf_counter() - t)
    their_cpu.append(time.process_time() - cpu)
    print(f"svd: run {k + 1}: ours {ours[-1]:.1f} s (CPU {our_cpu[-1]:.1f}), TruncatedSVD {theirs[-1]:.1f} s (CPU {their_cpu[-1]:.1f})", flush=True)
text = subprocess.run(["cms-text", "--bare", "y.cms"], check=True, capture_output=True, text=True).stdout
y = np.array([[float(a) for a in line.split("\t")[-50:]] for line in text.splitlines()])
a, b = np.median(ours), np.median(theirs)
print(f"svd\t{cells} cells, {x.nnz} entries\tours {a:.1f} s\tTruncatedSVD {b:.1f} s\tratio {b / a:.2f}\tgoal 8\tof CPU {np.median(their_cpu) / np.median(our_cpu):.2f}")
print(f"svd\tsquared length kept\tours {np.sum(y * y):.6g}\tTruncatedSVD {np.sum(z * z, dtype=float):.6g}")
amount, unit = re.search(r"([0-9.]+) ([KMG])iB of memory", said).groups()
mib = float(amount) * {"K": 1 / 1024, "M": 1, "G": 1024}[unit]
their_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"svd\tpeak memory\tours {mib:.0f} MiB\tTruncatedSVD {their_mib:.0f} MiB")
if os.environ.get("CM_BENCH_ROWS"):
    with open(os.environ["CM_BENCH_ROWS"], "a") as rows:
        rows.write(f"svd\t{a:.2f}\t{b:.2f}\tTruncatedSVD\t-\t{mib:.0f}\t{their_mib:.0f}\t{cells} cells\n")
PY
