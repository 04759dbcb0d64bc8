#!/usr/bin/env bash
# tests/bench/start.sh [RUNS] - what it costs to start: a tool that reads a stream against Python with the
# imports of such a stage (anndata).  Both read the same 20 cells; medians of alternated runs.
set -euo pipefail
runs=${1:-15}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH OPENBLAS_NUM_THREADS=1 LC_ALL=C
python=${PYTHON:-/usr/bin/python3}
row() { [ -z "${CM_BENCH_ROWS:-}" ] || printf '%s\t%s\t%s\t%s\t-\t%s\t%s\t%s\n' "$@" >>"$CM_BENCH_ROWS"; }
"$python" -c 'import anndata' 2>/dev/null || { echo "start: skipped: no anndata"; row start - - anndata - - 'no anndata'; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cms-gen --cells 20 --genes 50 --peaks 80 --nnz-gex 20 --nnz-atac 20 --gex g.cms --atac a.cms
h5-write -o g.h5ad g.cms
cat >clock.py <<'PY'
import os, statistics, subprocess, sys, time
runs = int(sys.argv[1])
ways = [["lognorm", "-q", "-o", "out.cms", "g.cms"],
        [sys.executable, "-W", "ignore", "-c", "import anndata; anndata.read_h5ad('g.h5ad')"]]
seen = [[], []]
for k in range(runs):
    for w, argv in enumerate(ways):
        t = time.perf_counter()
        p = subprocess.Popen(argv)
        status, usage = os.wait4(p.pid, 0)[1:]
        assert status == 0, argv
        seen[w].append((1e3 * (time.perf_counter() - t), usage.ru_maxrss / 1024))
a, b = ([statistics.median(c) for c in zip(*x)] for x in seen)
print(f"{a[0]:.1f}\t{b[0]:.1f}\tanndata\t{a[1]:.0f}\t{b[1]:.0f}")
PY
IFS=$'\t' read -r a b name ram its < <("$python" clock.py "$runs")
printf 'start\tours %s ms, %s MiB\t%s %s ms, %s MiB\n' "$a" "$ram" "$name" "$b" "$its"
row start "$a" "$b" "$name" "$ram" "$its" ''
