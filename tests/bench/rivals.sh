#!/usr/bin/env bash
# rivals.sh - pipelines/rivals.sh on real cells: the folds of accuracy.sh, and an unseen library.
#
#   rivals.sh [pbmc] [snare]          default: both
# pbmc: SEEDS='1 2 3', FOLDS='0 1 2'; 324 cells held out by NumPy's permutation of seed 1000 SEED + FOLD,
# a tenth of the rest for validation.  snare: library 09J of snare_mouse_cortex is matched, another whole
# library chooses rules and epochs, 09I for seed 1, 09H for 2 and so on.  RIVALS and EPOCHS_NAME as in
# pipelines/rivals.sh.
#
# Besides its table, for each method with a model: best_soft, the partner's probability under softmax at
# the best of the temperatures 5 .. 240, mean of both directions (an upper bound that is the same for
# all, as in accuracy.sh), and dual, the share of cells whose partner is first after the model's own
# rule, mean of both directions.  At the end mean and standard deviation over folds.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH LC_ALL=C OPENBLAS_NUM_THREADS=1
data=${CELLMATCH_DATA:-$root/../shared/data}
python=/usr/bin/python3
[ $# -gt 0 ] || set -- pbmc snare
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

value() { awk -F '\t' -v m="$1" '$1 == m { print $2 }' "$2"; }
mean_of() { awk -v a="$1" -v b="$2" 'BEGIN { print (a + b) / 2 }'; }

both_ways() { # NAME: best_soft and dual
    local m=out/$1 T best=0 now
    for T in 5 10 20 40 80 120 160 240; do
        knn-match -k 1000 --method softmax --temperature $T "$m.e.cms" "$m.t.cms" | score >one
        knn-match -k 1000 --method softmax --temperature $T "$m.t.cms" "$m.e.cms" | score >two
        now=$(mean_of "$(value match_probability one)" "$(value match_probability two)")
        best=$(awk -v a="$best" -v b="$now" 'BEGIN { print (a > b ? a : b) }')
    done
    knn-match -k 1000 --sharp --model "$m.model.cms" "$m.e.cms" "$m.t.cms" | score >one
    knn-match -k 1000 --sharp --model "$m.model.cms" "$m.t.cms" "$m.e.cms" | score >two
    printf '%.4f\t%.4f' "$best" \
        "$(mean_of "$(value match_probability_hard one)" "$(value match_probability_hard two)")"
}

run() { # WHAT SEED GEX ATAC: rows of the table, with WHAT in front
    local line name
    rm -rf out
    SEED=$2 "$root/pipelines/rivals.sh" out "$3" "$4" >rows
    while IFS= read -r line; do
        name=${line%%$'\t'*}
        [ "$name" != method ] || continue
        if [ -e "out/$name.model.cms" ]; then line+=$'\t'$(both_ways "$name"); else line+=$'\t-\t-'; fi
        printf '%s\t%s\n' "$1" "$line" | tee -a table
    done <rows
}

mark() { # IN OUT SEED: label split, `test` for the names in `held`, `valid` for a tenth of the others
    holdout --fraction 0.1 --name valid --seed "$3" "$1" | cms-text | awk -F '\t' -v OFS='\t' '
        NR == FNR { held[$1]; next }
        /^#dict\tsplit\t/ { print $0, "test"; next }
        !/^#/ && $1 in held { $2 = "test" }
        { print }' held - | cms-text --from -o "$2"
}

header='data	method	soft	hard	top5	foscttm	aupr	seconds	mib	best_soft	dual'
echo "$header"
: >table
for what; do
    case $what in
    pbmc)
        d=$data/pbmc_multiome_2k
        [ -e "$d/gex.h5ad" ] || { echo "rivals.sh: skipped: $d is absent" >&2; continue; }
        "$python" -c 'import numpy' 2>/dev/null || { echo 'rivals.sh: skipped: no NumPy' >&2; continue; }
        for m in gex atac; do h5-read --labels none -o $m.cms "$d/$m.h5ad"; done
        cms-text --bare gex.cms | cut -f 1 >names
        for seed in ${SEEDS:-1 2 3}; do
            for fold in ${FOLDS:-0 1 2}; do
                "$python" -c 'import sys, numpy as np
names = open("names").read().split()
n = len(names)
order = np.random.default_rng(1000 * int(sys.argv[1]) + int(sys.argv[2])).permutation(n)
print("\n".join(names[i] for i in np.sort(order[:min(324, n // 5)])))' "$seed" "$fold" >held
                for m in gex atac; do mark $m.cms $m.split.cms "$seed"; done
                run "pbmc.$seed.$fold" "$seed" gex.split.cms atac.split.cms
            done
        done
        ;;
    snare)
        d=$data/snare_mouse_cortex
        [ -e "$d/gex.h5ad" ] || { echo "rivals.sh: skipped: $d is absent" >&2; continue; }
        libraries=IHGFEDCBA
        for seed in ${SEEDS:-1 2 3}; do
            for m in gex atac; do
                h5-read --labels batch "$d/$m.h5ad" | holdout --by batch=09J --name test |
                    holdout --by "batch=09${libraries:(seed - 1) % 9:1}" --name valid -o $m.cms
            done
            BATCH=2048 run "snare.$seed" "$seed" gex.cms atac.cms
        done
        ;;
    *) echo "usage: rivals.sh [pbmc] [snare]" >&2 && exit 2 ;;
    esac
done

awk -F '\t' -v OFS='\t' -v header="$header" '
    { what = $1; sub(/[.].*/, "", what); key = what OFS $2; if (!(key in n)) name[++names] = key; n[key]++ }
    { for (k = 3; k <= NF; k++) { x[key, k] += $k; xx[key, k] += $k * $k; if ($k == "-") none[key, k] } }
    END {
        print "\nmean (sd)"
        print header
        for (i = 1; i <= names; i++) {
            key = name[i]
            line = key
            for (k = 3; k <= 11; k++) {
                m = x[key, k] / n[key]
                v = n[key] > 1 ? (xx[key, k] - n[key] * m * m) / (n[key] - 1) : 0
                line = line OFS ((key, k) in none ? "-" : sprintf("%.4f (%.4f)", m, sqrt(v > 0 ? v : 0)))
            }
            print line
        }
    }' table
