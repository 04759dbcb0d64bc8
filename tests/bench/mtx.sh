#!/usr/bin/env bash
# tests/bench/mtx.sh [CELLS] [RUNS] - mtx-read against scipy.io.mmread, mtx-write against mmwrite.
#
# Generated cells with the genes and the density of the competition's (13,431 genes, 1,112 entries a
# cell; 20,000 cells by default) as a gzipped MTX directory.  Ours and scipy alternate; ours is timed
# with start-up, names and writing the stream, scipy from the call with its imports done.
# Printed: medians of seconds and of processor time (what is left where others use the machine), their
# ratios, peak memory of both.  mmwrite is timed once, on a tenth
# of the cells and uncompressed (all that it can do), and compared by entries a second.
set -euo pipefail
cells=${1:-20000} runs=${2:-5}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH
python=${PYTHON:-/usr/bin/python3}
"$python" -c 'import scipy' 2>/dev/null || { echo "mtx: skipped: no scipy"; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cms-gen --cells "$cells" --genes 13431 --peaks 1000 --nnz-gex 1112 --nnz-atac 50 --gex gex.cms --atac atac.cms
cms-cat --rows "0:$((cells / 10))" -o tenth.cms gex.cms
mtx-write -o gex gex.cms
mtx-write --layout starsolo -o tenth tenth.cms
"$python" - "$runs" <<'PY'
import os, resource, subprocess, sys, time

def ours(*command):
    t = time.perf_counter()
    p = subprocess.Popen(command)
    _, status, used = os.wait4(p.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    return time.perf_counter() - t, used.ru_maxrss / 1024, used.ru_utime + used.ru_stime

def median(v):
    return sorted(v)[len(v) // 2]

runs = int(sys.argv[1])
a, b, write, cpu_a, cpu_b = [], [], [], [], []
# A child's peak begins with that of its parent, so ours is taken while the parent is small.
_, memory, _ = ours("mtx-read", "-q", "-o", "read.cms", "gex")
_, memory_write, _ = ours("mtx-write", "-q", "-o", "again", "gex.cms")
import scipy.io
for k in range(runs):
    seconds, _, cpu = ours("mtx-read", "-q", "-o", "read.cms", "gex")
    a.append(seconds)
    cpu_a.append(cpu)
    t, cpu = time.perf_counter(), time.process_time()
    m = scipy.io.mmread("gex/matrix.mtx.gz")
    b.append(time.perf_counter() - t)
    cpu_b.append(time.process_time() - cpu)
    write.append(ours("mtx-write", "-q", "-o", "again", "gex.cms")[0])
    print(f"mtx: run {k + 1}: mtx-read {a[-1]:.2f} s, mmread {b[-1]:.2f} s, mtx-write {write[-1]:.2f} s", flush=True)
    entries = m.nnz
    del m
theirs = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
x, y, w = median(a), median(b), median(write)
print(f"mtx-read\t{entries} entries\tours {x:.2f} s\tmmread {y:.2f} s\tratio {y / x:.1f}\tgoal 20")
x, y = median(cpu_a), median(cpu_b)
print(f"mtx-read\tprocessor time\tours {x:.2f} s\tmmread {y:.2f} s\tratio {y / x:.1f}")
print(f"mtx-read\tpeak memory\tours {memory:.0f} MiB\tmmread {theirs:.0f} MiB\tratio {theirs / memory:.1f}")
small = scipy.io.mmread("tenth/matrix.mtx")
t = time.perf_counter()
scipy.io.mmwrite("plain.mtx", small, field="integer")
rate = small.nnz / (time.perf_counter() - t)
print(f"mtx-write\tours {entries / w / 1e6:.1f} M entries/s gzipped, {memory_write:.0f} MiB"
      f"\tmmwrite {rate / 1e6:.2f} M entries/s plain\tratio {entries / w / rate:.1f}")
PY
