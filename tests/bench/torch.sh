#!/usr/bin/env bash
# tests/bench/torch.sh [CASE:P...] - the network beside PyTorch: training and embedding.
#
# PyTorch at its best settings, as far as we found them: each of SETTINGS (batch:threads) with large
# blocks of memory kept by malloc, the fastest counts.  OPENBLAS_OPENMP=DIRECTORY holds the OpenMP
# build of OpenBLAS (Debian: libopenblas0-openmp), with which two threads do not fight each other.
# Ours and PyTorch's alternate; medians of ROUNDS.  On a machine with other work compare the columns
# of processor time: cells a second of one core.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
ours=build/${MODE:-release}/tests/bench/network
python=${PYTHON:-/usr/bin/python3}
[ $# -gt 0 ] || set -- train:64 cross:64 train:128 cross:128 embed:64 embed:128
rounds=${ROUNDS:-5} settings=${SETTINGS:-64:1 64:2 256:1} cells=${CELLS:-1024}
"$python" -c "import torch" 2>/dev/null ||
    { echo "torch.sh: $python has no PyTorch: nothing to compare with" && exit 0; }
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
peer() { # CASE P BATCH THREADS CELLS
    env MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864 \
        OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS="$4" OMP_NUM_THREADS="$4" \
        LD_LIBRARY_PATH="${OPENBLAS_OPENMP:-}" "$python" tests/bench/torch_peer.py "$@"
}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
printf '%s\t' case ours torch ratio ours/core torch/core ratio 'of sgemm 512' 'ours MiB' 'torch MiB'
echo setting
while read -r case p; do
    best=0 setting=
    for s in $settings; do # which setting, tried once
        rate=$(peer "$case" "$p" "${s%:*}" "${s#*:}" $((cells / 2)) | cut -f 1)
        if awk "BEGIN { exit !(${rate:-0} > $best) }"; then best=$rate setting=$s; fi
    done
    rm -f "$out"/*
    for ((i = 0; i < rounds; i++)); do
        "$ours" "$case" "$p" "$cells" >>"$out/ours"
        peer "$case" "$p" "${setting%:*}" "${setting#*:}" "$cells" >>"$out/torch"
    done
    column() { cut -f "$2" "$out/$1" | median; }
    a=$(column ours 1) b=$(column torch 1) c=$(column ours 2) d=$(column torch 2)
    share=$(awk '{ print $2 * $3 / (($4 + $5) / 2) }' "$out/ours" | median)
    awk -v OFS='\t' -v case="$case p=$p" -v a="$a" -v b="$b" -v c="$c" -v d="$d" -v share="$share" \
        -v m="$(column ours 6)" -v n="$(column torch 3)" -v s="$setting" 'BEGIN {
            print case, a, b, sprintf("%.2f", a / b), c, d, sprintf("%.2f", c / d),
                sprintf("%.2f", share), m, n, s }'
done < <(printf '%s\n' "${@/:/ }")
