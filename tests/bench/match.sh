#!/usr/bin/env bash
# tests/bench/match.sh [CELLS] [RUNS] [PART...] - knn-match, score and assign against other programs.
#
# knn     top-1000 of CELLS x CELLS x 256 against faiss IndexFlatIP, 2 threads each
# score   all metrics of that match (20 M entries) against scikit-learn's average_precision_score alone
# assign  exact assignment of CELLS/2, dense and on the top 100, against SciPy's two solvers
#
# Ours is a process from its start to the file it leaves: start-up, decompression, work, compression.
# The other is one function call on arrays that are in memory already, imports and index apart.  They
# alternate; medians are compared.  Results are compared too: the same partners, the same total.
set -euo pipefail
cells=${1:-20000} runs=${2:-5}
[ $# -lt 2 ] && shift $# || shift 2
parts=${*:-knn score assign}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH PYTHONDONTWRITEBYTECODE=1
python=${PYTHON:-/usr/bin/python3}
row() { [ -z "${CM_BENCH_ROWS:-}" ] || printf '%s\t-\t-\t%s\t-\t-\t-\t%s\n' "$@" >>"$CM_BENCH_ROWS"; } # ROW OTHER WHY
"$python" -c 'import numpy, scipy' 2>/dev/null || {
    echo "match: skipped: no NumPy or SciPy"
    for r in knn score; do row $r - 'no NumPy or SciPy'; done
    exit 0
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >bench.py <<'PY'
import importlib.util, os, resource, struct, subprocess, sys, time
import numpy as np

root, cells, runs, parts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
sys.path.insert(0, root + "/pipelines/custom")
import cms

rng = np.random.default_rng(7)
D, K = 256, 1000


def embedding(path, x):
    """A stream of kind embedding, written from the specification alone."""
    w = cms.Writer.__new__(cms.Writer)
    w.zstd = subprocess.Popen(["zstd", "-cq", "-1", "--check"], stdin=subprocess.PIPE, stdout=open(path, "wb"))
    w.slots, w.rows = 0, {}
    w.zstd.stdin.write(cms.MAGIC + struct.pack("<HHI", 1, 0, 0))
    n, d = x.shape
    w.put("HEAD", cms.put_head({"kind": "embedding", "slots": "1", "slot.0.name": "GEX", "slot.0.encoding": "dense",
                                "slot.0.value": "auto", "slot.0.cols": str(d), "slot.0.rows": str(n),
                                "slot.0.state": "embedding", "labels": "0", "part.0": f"e 0 {d}"}))
    w.put("COLS", struct.pack("<Q", 0) + ("name\n" + "".join(f"e{k}\n" for k in range(d))).encode())
    for a in range(0, n, 512):
        b = min(n, a + 512)
        w.put("ROWS", cms.put_rows(a, [f"c{k}" for k in range(a, b)], [], []))
        w.put("BLOCK", struct.pack("<IIIIQQ", 0, 4, b - a, 1, a, (b - a) * d) + cms.pad(x[a:b].tobytes()))
    w.end()


def unit(x):
    return np.ascontiguousarray((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))


def ours(*command):
    """Wall and processor seconds of a command of two threads."""
    before, t = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([command[0], "-q", "-t", "2", *command[1:]], check=True)
    t, after = time.perf_counter() - t, resource.getrusage(resource.RUSAGE_CHILDREN)
    return t, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(*fields):
    """A line of the table of tests/bench/run."""
    if os.environ.get("CM_BENCH_ROWS"):
        with open(os.environ["CM_BENCH_ROWS"], "a") as rows:
            rows.write("\t".join(map(str, fields)) + "\n")


def peak_of(*command):
    """Peak MiB, by time(1): of a child of this process the kernel would count our arrays."""
    subprocess.run(["/usr/bin/time", "-f", "%M", "-o", "peak", command[0], "-q", "-t", "2", *command[1:]], check=True)
    with open("peak") as f:
        return int(f.read()) / 1024


def theirs(call):
    before, t = time.process_time(), time.perf_counter()
    result = call()
    return (time.perf_counter() - t, time.process_time() - before), result


def compare(name, command, call, other, goal, n=runs, table=None):
    a, b = [], []
    for _ in range(n):
        a.append(ours(*command))
        t, result = theirs(call)
        b.append(t)
    (wall, cpu), (wall2, cpu2) = np.median(a, 0), np.median(b, 0)
    print(f"match\t{name}\tours {wall:.2f} s (cpu {cpu:.2f})\t{other} {wall2:.2f} s (cpu {cpu2:.2f})"
          f"\tratio {wall2 / wall:.2f}\t{goal}", flush=True)
    if table:
        its = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # with both sides in memory
        row(table, f"{wall:.2f}", f"{wall2:.2f}", other, "-", f"{peak_of(*command):.0f}", f"{its:.0f}", f"{cells} cells")
    return result


def text(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def triplets(path):
    """A match as CSR, through the text form."""
    import scipy.sparse as sp
    rows = [line.split("\t") for line in text("cms-text", "--triplets", path).splitlines()]
    n = lambda k: np.array([int(r[k][1:]) for r in rows])
    return sp.csr_matrix((np.array([float(r[2]) for r in rows], np.float32), (n(0), n(1))), shape=(cells, cells))


# Two noisy views of clustered cells in 20 dimensions, turned into D: about a tenth of the partners are nearest.
z = 2 * rng.normal(size=(40, 20))[rng.integers(0, 40, cells)] + rng.normal(size=(cells, 20))
turn = np.linalg.qr(rng.normal(size=(D, 20)))[0].T
E, T = (unit((z + rng.normal(size=(cells, 20))) @ turn + .01 * rng.normal(size=(cells, D))) for _ in range(2))
del z
embedding("e.cms", E), embedding("t.cms", T)
K = min(K, cells)

if "knn" in parts:
    try:
        import faiss
    except ImportError:
        print("match\tknn: skipped: no faiss")
        row("knn", "-", "-", "faiss", "-", "-", "-", "no faiss")
    else:
        faiss.omp_set_num_threads(2)
        index = faiss.IndexFlatIP(D)
        index.add(T)
        S, I = compare(f"top {K} of {cells} x {cells} x {D}", ["knn-match", "-k", str(K), "-o", "m.cms", "e.cms", "t.cms"],
                       lambda: index.search(E, K), "faiss", "goal 1.5, then 2", table="knn")
        a = set()
        for line in text("sh", "-c", "cms-cat --rows 0:20 m.cms | cms-text --triplets").splitlines():
            r, c, _ = line.split("\t")
            a.add((int(r[1:]), int(c[1:])))
        same = len(a & {(i, int(j)) for i in range(20) for j in I[i]})
        print(f"match\tsame partners in 20 rows\t{same} of {20 * K} (equals at the edge may differ)")
        compare("the same with rule dual (faiss: similarities alone)",
                ["knn-match", "-k", str(K), "--method", "dual", "-o", "d.cms", "e.cms", "t.cms"],
                lambda: index.search(E, K), "faiss", "", max(1, runs // 2))
        del S, I, index

if "score" in parts:
    try:
        from sklearn.metrics import average_precision_score
    except ImportError:
        print("match\tscore: skipped: no scikit-learn")
        row("score", "-", "-", "scikit-learn", "-", "-", "-", "no scikit-learn")
    else:
        if not os.path.exists("m.cms"):
            ours("knn-match", "-k", str(K), "-o", "m.cms", "e.cms", "t.cms")
        S = E @ T.T
        keep = np.argpartition(-S, K - 1, axis=1)[:, :K]
        y = (keep == np.arange(cells)[:, None]).ravel()
        v = np.take_along_axis(S, keep, 1).ravel()
        del S
        with open("pairs.tsv", "w") as f:
            f.write("row1\trow2\n" + "".join(f"{k}\t{k}\n" for k in range(cells)))
        ap = compare(f"score, all metrics, {v.size} entries", ["score", "--pairs", "pairs.tsv", "-o", "score.tsv", "m.cms"],
                     lambda: average_precision_score(y, v), "average_precision_score", "goal 10, then 20",
                     table="score")
        found = y.sum() / cells                         # scikit-learn knows nothing of partners that are not stored
        got = [line.split("\t")[1] for line in open("score.tsv") if line.startswith("aupr\t")][0]
        print(f"match\taupr {got} (trapezoid, all pairs)\taverage precision x recall {ap * found:.6f}")
        del y, v, keep

if "assign" in parts:
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching
    n = cells // 2
    embedding("e2.cms", E[:n]), embedding("t2.cms", T[:n])
    for k, name in ((100, "sparse, top 100"), (n, "dense")):
        ours("knn-match", "-k", str(k), "-o", "a.cms", "e2.cms", "t2.cms")
        command = ["assign", "-k", "1", "--method", "exact", "-o", "x.cms", "a.cms"]
        if k == n:
            S = (E[:n] @ T[:n].T).astype(float)
            i, j = compare(f"exact assignment {n} x {n}, {name}", command, lambda: linear_sum_assignment(S, maximize=True),
                           "SciPy", "", min(runs, 3))
        else:
            A = triplets("a.cms")[:n, :n]
            A.data = 2 - A.data
            A = A.astype(float)
            try:
                i, j = compare(f"exact assignment {n} x {n}, {name}", command,
                               lambda: min_weight_full_bipartite_matching(A), "SciPy", "", runs)
            except ValueError as error:                 # a graph without a full matching is beyond it
                i, j = [], []
                print(f"match\texact assignment, {name}: SciPy refuses: {error}\tours {ours(*command)[0]:.2f} s")
        X = triplets("x.cms")[:n, :n].tocoo()
        total = lambda i, j: float((E[i].astype(float) * T[j]).sum())
        print(f"match\t{X.nnz} pairs, total similarity {total(X.row, X.col):.6f}\tSciPy {len(i)} pairs, {total(i, j):.6f}")
PY
# faiss and NumPy at their best: both cores, the pthread OpenBLAS.
OPENBLAS_NUM_THREADS=2 OMP_NUM_THREADS=2 "$python" bench.py "$root" "$cells" "$runs" $parts
