#!/usr/bin/env bash
# calibration.sh - do the match probabilities of real cells, never seen, mean what they say?
#
#   calibration.sh [NAME[=OPTIONS]...]      default: best;  OPTIONS go to xattn-train
#
# Data: nine folds of pbmc_multiome_2k, held out as accuracy.sh does (SEEDS='1 2 3', FOLDS='0 1 2'), and
# the libraries 09H, 09I, 09J of snare_mouse_cortex, each unseen by a model of the others, which the
# library before it validates (LIBRARIES='09H 09I 09J'; VALID=fraction: a tenth of all cells does).
# DATA=pbmc or snare: one of the two.  The cells that are scored have tuned nothing.
#
# Columns: ece, the expected calibration error of the first choice (score(1): ten bins of equal numbers)
# with --sharp and with the calibrated temperature, means of both directions; ece of the rows GEX alone;
# ece_by_chance, what probabilities that are true would come to on so few cells; log_loss and match
# probability of both; right, the share of right first choices at the calibrated temperature.
# A fold of 324 cells has 32 in a bin, and true probabilities would miss by ece_by_chance.  The last lines
# put the bins of equal rank of all folds and directions together, where chance is small: ece_pooled.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH LC_ALL=C OPENBLAS_NUM_THREADS=1
from=${CELLMATCH_DATA:-$root/../shared/data}
python=/usr/bin/python3
case ${DATA:-both} in
both) sets=(pbmc snare) ;;
pbmc | snare) sets=("$DATA") ;;
*) echo "calibration.sh: DATA is pbmc or snare" >&2 && exit 2 ;;
esac
declare -A folder=([pbmc]=pbmc_multiome_2k [snare]=snare_mouse_cortex) label=([pbmc]=none [snare]=batch)
for data in "${sets[@]}"; do
    [ -e "$from/${folder[$data]}/gex.h5ad" ] || { echo "calibration.sh: skipped: no ${folder[$data]}" >&2 && exit 0; }
done
"$python" -c 'import numpy' 2>/dev/null || { echo "calibration.sh: skipped: no NumPy" >&2 && exit 0; }
[ $# -gt 0 ] || set -- best
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

hold_fold() { # SEED FOLD: names in `held`
    "$python" -c 'import sys, numpy as np
names = open("names").read().split()
n = len(names)
order = np.random.default_rng(1000 * int(sys.argv[1]) + int(sys.argv[2])).permutation(n)
print("\n".join(names[i] for i in np.sort(order[:min(324, n // 5)])))' "$1" "$2" >held
}

prepare() { # SCALE HOLDOUT-OPTION...: gex.cms and atac.cms of the cells that are not held out
    local scale=$1 m
    shift
    grep -vxFf held names >rest
    for m in gex atac; do cms-cat --names rest all.$m.cms | holdout "$@" --name valid -o rest.$m.cms; done
    lognorm --method sqrt --fit split=train -o gex.cms rest.gex.cms
    # shellcheck disable=SC2086 # options are words
    tfidf --method logtfidf $scale --fit split=train -o atac.cms rest.atac.cms
}

value() { awk -F '\t' -v m="$1" '$1 == m { print $2 }' "$2"; }
mean_of() { awk -v a="$(value "$1" "$2")" -v b="$(value "$1" "$3")" 'BEGIN { printf "%.4f", (a + b) / 2 }'; }
row() { # NAME DATA FOLD
    for rule in sharp calibrated; do
        knn-match -k 100000 --$rule --model model.cms e.cms t.cms | score -q --reliability bins.1 >$rule.1
        knn-match -k 100000 --$rule --model model.cms t.cms e.cms | score -q --reliability bins.2 >$rule.2
    done
    grep -hv '^bin' bins.1 bins.2 >>"bins.$1.$2" # of the calibrated ones, which come last
    printf '%s\t%s\t%s\t%s' "$1" "$2" "$3" "$(value cells sharp.1)"
    printf '\t%s' "$(mean_of ece sharp.1 sharp.2)" "$(mean_of ece calibrated.1 calibrated.2)" \
        "$(printf %.4f "$(value ece calibrated.1)")" "$(mean_of ece_by_chance calibrated.1 calibrated.2)" \
        "$(mean_of log_loss sharp.1 sharp.2)" "$(mean_of log_loss calibrated.1 calibrated.2)" \
        "$(mean_of match_probability_filled sharp.1 sharp.2)" \
        "$(mean_of match_probability_filled calibrated.1 calibrated.2)" "$(mean_of top1 calibrated.1 calibrated.2)"
    printf '\n'
}

try() { # NAME[=OPTIONS] DATA FOLD SEED SIZE HOLDOUT-OPTION...
    local options='' name=${1%%=*} data=$2 fold=$3 seed=$4 size=$5 scale='--scale 300' schedule
    [ "$1" = "$name" ] || options=${1#*=}
    case " $options " in *' --preset '*) ;; *) options="--preset $name $options" ;; esac
    schedule="--epochs 60 --size $size"
    case " $options " in *' --lsi-scale '*) ;; *' --preset linear '*) scale='' schedule='--epochs 0' ;; esac
    shift 5
    prepare "$scale" "$@"
    # shellcheck disable=SC2086
    batch $schedule --seed "$seed" gex.cms atac.cms | xattn-train -q --seed "$seed" -o model.cms $options
    cms-cat --names held all.gex.cms | lognorm --like model.cms | embed --model model.cms -o e.cms
    cms-cat --names held all.atac.cms | tfidf --like model.cms | embed --model model.cms -o t.cms
    row "$name" "$data" "$fold" | tee -a table
}

echo 'preset	data	fold	cells	ece_sharp	ece	ece_rows	ece_by_chance	log_loss_sharp	log_loss	match_sharp	match	right' | tee table
for data in "${sets[@]}"; do
    for m in gex atac; do
        h5-read --labels "${label[$data]}" "$from/${folder[$data]}/$m.h5ad" | feature-sort -q -o all.$m.cms
    done
    cms-text --bare all.gex.cms | cut -f 1 >names
    if [ "$data" = pbmc ]; then
        for seed in ${SEEDS:-1 2 3}; do
            for fold in ${FOLDS:-0 1 2}; do
                hold_fold "$seed" "$fold"
                for spec in "$@"; do try "$spec" pbmc "$seed.$fold" "$seed" 0 --fraction 0.1 --seed "$seed"; done
            done
        done
        continue
    fi
    for library in ${LIBRARIES:-09H 09I 09J}; do
        cms-cat --where batch="$library" all.gex.cms | cms-text --bare | cut -f 1 >held
        valid=(--by "batch=$(tr B-J A-I <<<"$library")")
        [ "${VALID:-library}" = library ] || valid=(--fraction 0.1 --seed 1)
        for spec in "$@"; do try "$spec" snare "$library" 1 '2048 --within batch' "${valid[@]}"; done
    done
done

awk -F '\t' '
    NR > 1 && !(($1, $2) in n) { key[++keys] = $1 "\t" $2 }
    NR > 1 { n[$1, $2]++; for (k = 5; k <= NF; k++) sum[$1 "\t" $2, k] += $k; count[$1 "\t" $2]++; fields = NF }
    END {
        for (i = 1; i <= keys; i++) {
            printf "%s\tmean\t%d", key[i], count[key[i]]
            for (k = 5; k <= fields; k++) printf "\t%.4f", sum[key[i], k] / count[key[i]]
            print ""
        }
    }' table
for f in bins.*.*; do
    awk -F '\t' -v name="${f#bins.}" '{ cells[$1] += $2; claimed[$1] += $2 * $3; right[$1] += $2 * $4; n += $2 }
        END {
            for (k in cells) { d = (claimed[k] - right[k]); sum += d < 0 ? -d : d; q = right[k] / cells[k]; chance += cells[k] * sqrt(2 / 3.14159265 * q * (1 - q) / (cells[k] / 2)) }
            printf "%s\tece_pooled\t%.4f\tby_chance\t%.4f\tcells\t%d\n", name, sum / n, chance / n, n / 2
        }' "$f"
done
