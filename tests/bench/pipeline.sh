#!/usr/bin/env bash
# tests/bench/pipeline.sh [GEX ATAC] - seconds and peak memory of every stage from file to score.
#
# Without operands: the PBMC cells of the real data where they are, else generated ones.  Each stage
# runs alone and reports its own costs (option -v); the last column is its share of all processor
# time, the ratio to look at on a shared machine.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
data=${CELLMATCH_DATA:-$root/../shared/data}/pbmc_multiome_2k
export PATH=$root/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ $# = 2 ]; then gex=$1 atac=$2
elif [ -e "$data/gex.h5ad" ]; then gex=$data/gex.h5ad atac=$data/atac.h5ad
else
    cms-gen --gex "$work/g.cms" --atac "$work/a.cms"
    gex=$work/g.cms atac=$work/a.cms
fi
cd "$work"
stage() { # NAME COMMAND...
    local name=$1
    shift
    "$1" -v "${@:2}" 2>err || { cat err >&2; exit 1; }
    sed -n 's/^[a-z0-9-]*: \([0-9.]*\) seconds, \([0-9.]*\) of processor time, \([0-9.]*\) MiB.*/\1\t\2\t\3/p' err |
        tail -n 1 | sed "s/^/$name\t/" >>costs
}
read_it() { # OPTIONS... FILE
    case ${!#} in *.cms) cms-cat "$@" ;; *) h5-read "$@" ;; esac
}
stage "read GEX" read_it -o gex.cms "$gex"
stage "read ATAC" read_it -o atac.cms "$atac"
stage 'lognorm' lognorm --method sqrt --fit split=train -o g.cms gex.cms
stage 'tfidf' tfidf --method logtfidf --fit split=train -o a.cms atac.cms
stage 'batch' batch --size 0 --epochs 0 -o pairs.cms g.cms a.cms
stage 'xattn-train linear' xattn-train --preset linear -o model.cms pairs.cms
for s in g a; do cms-cat --where split=valid -o v$s.cms $s.cms; done
stage 'embed GEX' embed --model model.cms -o e.cms vg.cms
stage 'embed ATAC' embed --model model.cms -o t.cms va.cms
stage 'knn-match' knn-match --similarities -o s.cms e.cms t.cms
stage 'assign' assign --model model.cms -o m.cms s.cms
stage 'score' score -o scores.tsv m.cms
awk -F '\t' '
    { name[NR] = $1; wall[NR] = $2; cpu[NR] = $3; mib[NR] = $4; w += $2; c += $3; if ($4 > top) top = $4 }
    END {
        printf "%-20s %9s %9s %9s %7s\n", "stage", "wall s", "cpu s", "peak MiB", "share"
        for (k = 1; k <= NR; k++)
            printf "%-20s %9.2f %9.2f %9.1f %6.0f%%\n", name[k], wall[k], cpu[k], mib[k], c ? 100 * cpu[k] / c : 0
        printf "%-20s %9.2f %9.2f %9.1f\n", "all", w, c, top
    }' costs
grep -E '^(cells|chance|match_probability|match_probability_hard|top5|aupr)	' scores.tsv
