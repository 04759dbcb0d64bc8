#!/usr/bin/env bash
# tests/bench/stages.sh [SIZE...] - seconds, processor time and peak memory of every stage from file to score.
#
# SIZE is `pbmc`, the real cells of ../shared/data (2,500 genes, 5,000 peaks), or a number of generated cells of
# the competition's width (13,431 genes, 116,490 peaks; 69249 is all of it); default pbmc 8000 20000 69249.
# Files are gzipped .h5ad, as people have them; a quarter of the cells is matched.  PRESETS (linear)
# names what is trained; the last of them matches.  Each stage runs alone, on all processors, and
# reports its own costs (option -v).  Then for each stage the exponent of its processor time between two
# sizes: 1 grows as the cells, and what grows faster is marked.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
data=${CELLMATCH_DATA:-$root/../shared/data}/pbmc_multiome_2k
export PATH=$root/bin:$PATH LC_ALL=C OPENBLAS_NUM_THREADS=1 CM_THREADS=${CM_THREADS:-0}
[ $# -gt 0 ] || set -- pbmc 8000 20000 69249
read -ra presets <<<"${PRESETS:-linear}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

stage() { # NAME COMMAND...: a line NAME, seconds, processor seconds, MiB in $work/costs
    local name=$1 status=0
    shift
    "$1" -v "${@:2}" 2>"$work/err" || status=$?
    [ $status = 0 ] || { cat "$work/err" >&2 && exit 1; }
    sed -nE 's/^[a-z0-9-]*: ([0-9.]*) seconds, ([0-9.]*) of processor time, ([0-9.]*) (MiB|GiB).*/\1\t\2\t\3\t\4/p' "$work/err" |
        tail -n 1 | awk -F '\t' -v OFS='\t' -v name="$name" '{ print name, $1, $2, $4 == "GiB" ? $3 * 1024 : $3 }' >>"$work/costs"
}
train() { # PRESET CELLS
    local gex atac schedule
    { read -r gex && read -r atac && read -r schedule; } < <(xattn-train --preset "$1" --show | awk -F '\t' -v cells="$2" '
        { v[$1] = $2 }
        END {
            print v["prepare.gex"]; print v["prepare.atac"]
            size = cells >= v["schedule.huge.above"] ? "schedule.huge" : cells >= v["schedule.large.above"] ? "schedule.large" : "schedule"
            print v[size] (size == "schedule" ? "" : " --within batch")
        }')
    # shellcheck disable=SC2086 # options
    {
        stage 'lognorm' lognorm $gex --fit split=train -o g.cms gex.cms
        stage 'tfidf' tfidf $atac --fit split=train -o a.cms atac.cms
        for s in g a; do cms-cat --except split=test -o train.$s.cms $s.cms; done
        stage "batch $1" batch $schedule -o pairs.cms train.g.cms train.a.cms
    }
    stage "xattn-train $1" xattn-train --preset "$1" -o model.cms pairs.cms
    rm -f pairs.cms train.?.cms
}
whole() { # SIZE: everything from file to score, in an empty directory
    local n=$1 gex=$data/gex.h5ad atac=$data/atac.h5ad s
    if [ "$n" != pbmc ]; then
        cms-gen --scale bmmc --cells "$n" --gex gex.cms --atac atac.cms
        for s in gex atac; do h5-write -o $s.h5ad $s.cms; done
        rm -f gex.cms atac.cms
        gex=gex.h5ad atac=atac.h5ad
    fi
    : >"$work/costs"
    stage 'h5-read GEX' h5-read -o gex.cms "$gex"
    stage 'h5-read ATAC' h5-read -o atac.cms "$atac"
    if [ "$n" = pbmc ]; then # no label split there
        for s in gex atac; do
            holdout --fraction .25 $s.cms | holdout --fraction .1 --name valid -o split.$s.cms
            mv split.$s.cms $s.cms
        done
    fi
    cells=$(cms-info gex.cms | awk -F '\t' '$1 == "rows" { print $2 }')
    known=$(cms-cat -q --except split=test gex.cms | cms-text --labels | awk 'END { print NR - 1 }')
    for s in "${presets[@]}"; do train "$s" "$known"; done
    for s in g a; do cms-cat --where split=test -o test.$s.cms $s.cms; done
    stage 'embed GEX' embed --model model.cms -o e.cms test.g.cms
    stage 'embed ATAC' embed --model model.cms -o t.cms test.a.cms
    stage 'knn-match' knn-match --similarities -o s.cms e.cms t.cms
    stage 'assign' assign --model model.cms -o m.cms s.cms
    stage 'score' score -o scores.tsv m.cms
    awk -F '\t' -v OFS='\t' -v size="$n" -v cells="$cells" '{ print size, cells, $0 }' "$work/costs" >>"$work/all"
    awk -F '\t' -v cells="$cells" -v size="$n" '
        { name[NR] = $1; wall[NR] = $2; cpu[NR] = $3; mib[NR] = $4; w += $2; c += $3; if ($4 > max) max = $4 }
        END {
            printf "---- %s: %d cells\n%-20s %9s %9s %9s %7s\n", size, cells, "stage", "wall s", "cpu s", "peak MiB", "share"
            for (k = 1; k <= NR; k++)
                printf "%-20s %9.2f %9.2f %9.1f %6.0f%%\n", name[k], wall[k], cpu[k], mib[k], c ? 100 * cpu[k] / c : 0
            printf "%-20s %9.2f %9.2f %9.1f\n", "all", w, c, max
        }' "$work/costs"
    awk -F '\t' '$1 ~ /^(match_probability|match_probability_hard|top5)$/ { printf "%s %.4f  ", $1, $2 } END { print "" }' scores.tsv
}

for size; do
    mkdir "$work/$size" && cd "$work/$size"
    whole "$size"
    cd "$work" && rm -rf "${work:?}/$size"
done
# Exponents between generated sizes, which share their width; below .05 s a stage says nothing.
awk -F '\t' '
    $1 == "pbmc" { next }
    !($1 in seen) { seen[$1]; cells[++sizes] = $2; label[sizes] = $1 }
    !($3 in order) { order[$3] = ++stages; name[stages] = $3 }
    { cpu[sizes, $3] = $5 }
    END {
        if (sizes < 2) exit
        printf "---- exponent of processor time between sizes\n%-20s", "stage"
        for (k = 2; k <= sizes; k++) printf " %16s", label[k - 1] "-" label[k]
        print ""
        for (s = 1; s <= stages; s++) {
            printf "%-20s", name[s]
            faster = 0
            for (k = 2; k <= sizes; k++) {
                a = cpu[k - 1, name[s]]; b = cpu[k, name[s]]
                e = a >= .05 && b > 0 ? log(b / a) / log(cells[k] / cells[k - 1]) : "-"
                printf " %16s", (e == "-" ? e : sprintf("%.2f", e))
                if (e != "-" && e > 1.1) faster = 1
            }
            print (faster ? "  grows faster than the cells" : "")
        }
    }' "$work/all"
