#!/usr/bin/env bash
# tests/bench/h5-read.sh [CELLS] [RUNS] - h5-read against anndata.read_h5ad, end to end.
#
# Both modalities of generated cells at the size of the competition's data (20,000 cells by default),
# written by anndata with gzip, as its users do.  Ours reads a file and writes a stream, anndata
# reads it into memory; both with start-up, alternating in one run.  Printed: medians and their
# ratio for -o FILE, -o /dev/null and a pipe; processor seconds, because wall clocks of busy machines
# lie; peak memory, also for csr of 5,000 cells and of 69,249 cells (LONG=1: some minutes) and for
# a matrix stored by columns within --max-memory.
set -euo pipefail
cells=${1:-20000} runs=${2:-5}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH OPENBLAS_NUM_THREADS=1
python=${PYTHON:-/usr/bin/python3}
row() { [ -z "${CM_BENCH_ROWS:-}" ] || printf '%s\t-\t-\t%s\t-\t-\t-\t%s\n' "$@" >>"$CM_BENCH_ROWS"; } # ROW OTHER WHY
"$python" -W ignore -c 'import anndata' 2>/dev/null || {
    echo "h5-read: skipped: no anndata"
    for m in gex atac; do row h5$m anndata 'no anndata'; done
    exit 0
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

# file CELLS NAME [csc]: NAME.h5ad, of ATAC and for 20,000 cells also of GEX, written by anndata.
file() {
    cms-gen -q --scale bmmc --cells "$1" --gex "$2-gex.cms" --atac "$2-atac.cms"
    local m
    for m in gex atac; do
        h5-write -q --compression none -o plain.h5ad "$2-$m.cms"
        rm "$2-$m.cms"
        "$python" -W ignore -c '
import sys, anndata, scipy.sparse as sp
a = anndata.read_h5ad("plain.h5ad")
if len(sys.argv) > 2:
    a.X = sp.csc_matrix(a.X)
a.write_h5ad(sys.argv[1], compression="gzip")' "$2-$m.h5ad" ${3:+"$3"}
        rm plain.h5ad
    done
}
peak() { # WHAT COMMAND...
    local what=$1
    shift
    "$python" - "$what" "$@" <<'P'
import resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL)
print(f"h5-read\tpeak memory, {sys.argv[1]}\t{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB", flush=True)
P
}

file "$cells" a
for m in gex atac; do
    "$python" - "$m" "$runs" <<'P'
import os, resource, statistics, subprocess, sys, time
m, runs = sys.argv[1], int(sys.argv[2])
f = f"a-{m}.h5ad"
ways = {
    "-o FILE": ["h5-read", "-q", "-t", "0", "-o", "x.cms", f],
    "-o /dev/null": ["h5-read", "-q", "-t", "0", "-o", "/dev/null", f],
    "| cat": ["sh", "-c", f"h5-read -q -t 0 {f} | cat >/dev/null"],
    "-t 1": ["h5-read", "-q", "-t", "1", "-o", "/dev/null", f],
    "anndata": [sys.executable, "-W", "ignore", "-c", f"import anndata; anndata.read_h5ad('{f}')"],
}
wall, cpu = {w: [] for w in ways}, {w: [] for w in ways}
for k in range(runs):
    for w, command in ways.items():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        t = time.perf_counter()
        subprocess.run(command, check=True)
        wall[w].append(time.perf_counter() - t)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu[w].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
theirs, work = statistics.median(wall["anndata"]), statistics.median(cpu["anndata"])
for w in ways:
    a, b = statistics.median(wall[w]), statistics.median(cpu[w])
    print(f"h5-read\t{m} {os.path.getsize(f) / 1e6:.0f} MB\t{w}\t{a:.2f} s\tratio {theirs / a:.2f}\t"
          f"processor {b:.2f} s\tratio {work / b:.2f}\tgoal 3", flush=True)
if os.environ.get("CM_BENCH_ROWS"):
    def peak(command):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        return os.wait4(child.pid, 0)[2].ru_maxrss / 1024
    with open(os.environ["CM_BENCH_ROWS"], "a") as rows:
        rows.write(f"h5{m}\t{statistics.median(wall['-o FILE']):.2f}\t{theirs:.2f}\tanndata\t-\t"
                   f"{peak(ways['-o FILE']):.0f}\t{peak(ways['anndata']):.0f}\tto a file\n")
P
    peak "$m, $cells cells, csr" h5-read -q -o /dev/null "a-$m.h5ad"
done
rm -f a-*
file 5000 b
peak "atac, 5,000 cells, csr" h5-read -q -o /dev/null b-atac.h5ad
file 5000 c csc
for memory in 64M 1G; do
    peak "atac, 5,000 cells, csc, --max-memory $memory" h5-read -q --max-memory $memory -o /dev/null c-atac.h5ad
done
if [ -n "${LONG:-}" ]; then
    rm -f ./*.h5ad
    file 69249 d
    peak "atac, 69,249 cells, csr (goal: at most 300 MiB)" h5-read -q -o /dev/null d-atac.h5ad
fi
