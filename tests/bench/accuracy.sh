#!/usr/bin/env bash
# accuracy.sh - how well each preset matches real cells that it has never seen: presets x folds.
#
#   accuracy.sh [NAME=OPTIONS...]      default: linear best
# OPTIONS go to xattn-train, --preset NAME where they name none: `wide='--preset best --mlp-hidden 512'`.
# Folds: of pbmc_multiome_2k, 324 cells are held out by NumPy's permutation of seed 1000 SEED + FOLD, as
# the independent program of the linear preset draws them; SEEDS='1 2 3', FOLDS='0 1 2'.  Of the rest, a
# tenth is cut away by name for validation: preparation is fitted and models are trained on the others,
# early stopping and the rule look at validation cells only.  BATCH replaces the schedule of the trained
# presets.
#
# A fold's row, means of both directions: soft, the partner's probability under softmax at the best of
# the temperatures 5 .. 240 (an upper bound that is the same for all presets); dual, the share of cells
# whose partner is first after the model's own rule; top5; foscttm.  Then mean, standard deviation, and
# the difference to the first preset, fold by fold, with its standard error.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH LC_ALL=C OPENBLAS_NUM_THREADS=1
data=${CELLMATCH_DATA:-$root/../shared/data}/pbmc_multiome_2k
python=/usr/bin/python3
[ -e "$data/gex.h5ad" ] || { echo "accuracy.sh: skipped: $data is absent" >&2; exit 0; }
"$python" -c 'import numpy' 2>/dev/null || { echo "accuracy.sh: skipped: no NumPy" >&2; exit 0; }
[ $# -gt 0 ] || set -- linear best
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

h5-read --labels none -o gex.cms "$data/gex.h5ad"
h5-read --labels none -o atac.cms "$data/atac.h5ad"
cms-text --bare gex.cms | cut -f 1 >names

fold() { # SEED FOLD: the names held out, in `held`; the others in `rest`
    "$python" -c 'import sys, numpy as np
names = open("names").read().split()
n = len(names)
order = np.random.default_rng(1000 * int(sys.argv[1]) + int(sys.argv[2])).permutation(n)
print("\n".join(names[i] for i in np.sort(order[:min(324, n // 5)])))' "$1" "$2" >held
    grep -vxFf held names >rest
}

value() { awk -F '\t' -v m="$1" '$1 == m { print $2 }' "$2"; }
mean_of() { awk -v a="$1" -v b="$2" 'BEGIN { print (a + b) / 2 }'; }

judge() { # MODEL: soft dual top5 foscttm
    local T best=0 now
    cms-cat --names held gex.cms | lognorm --like "$1" | embed --model "$1" -o e.cms
    cms-cat --names held atac.cms | tfidf --like "$1" | embed --model "$1" -o t.cms
    for T in 5 10 20 40 80 120 160 240; do
        knn-match -k 1000 --method softmax --temperature $T e.cms t.cms | score >one
        knn-match -k 1000 --method softmax --temperature $T t.cms e.cms | score >two
        now=$(mean_of "$(value match_probability one)" "$(value match_probability two)")
        best=$(awk -v a="$best" -v b="$now" 'BEGIN { print (a > b ? a : b) }')
    done
    knn-match -k 1000 --model "$1" e.cms t.cms | score --embeddings e.cms t.cms >one
    knn-match -k 1000 --model "$1" t.cms e.cms | score >two
    echo "$best" "$(mean_of "$(value match_probability_hard one)" "$(value match_probability_hard two)")" \
        "$(mean_of "$(value top5 one)" "$(value top5_reverse one)")" "$(value foscttm one)"
}

echo 'preset	seed	fold	soft	dual	top5	foscttm' | tee table
for seed in ${SEEDS:-1 2 3}; do
    for fold in ${FOLDS:-0 1 2}; do
        fold "$seed" "$fold"
        for m in gex atac; do
            cms-cat --names rest $m.cms | holdout --fraction 0.1 --name valid --seed "$seed" -o $m.rest.cms
        done
        lognorm --method sqrt --fit split=train -o gex.train.cms gex.rest.cms
        tfidf --method logtfidf --fit split=train -o atac.train.cms atac.rest.cms
        for p in "$@"; do
            name=${p%%=*} options=
            [ "$p" = "$name" ] || options=${p#*=}
            case " $options" in *' --preset '*) ;; *) options="--preset $name $options" ;; esac
            # shellcheck disable=SC2086
            batch ${BATCH:---size 0 --epochs 60} --seed "$seed" gex.train.cms atac.train.cms |
                xattn-train -q --seed "$seed" $options -o model.cms
            judge model.cms >scores
            read -r soft dual top5 foscttm <scores
            printf '%s\t%s\t%s\t%.4f\t%.4f\t%.4f\t%.4f\n' "$name" "$seed" "$fold" "$soft" "$dual" \
                "$top5" "$foscttm" | tee -a table
        done
    done
done

awk -F '\t' -v OFS='\t' '
    NR == 1 { for (k = 4; k <= NF; k++) column[k] = $k; next }
    !($1 in folds) { name[++presets] = $1 }
    { f = ++folds[$1]; for (k = 4; k <= NF; k++) x[$1, f, k] = $k }
    function summary(p, against, k,   f, d, n, s, ss) {
        n = folds[p]
        for (f = 1; f <= n; f++) {
            d = x[p, f, k] - (against == "" ? 0 : x[against, f, k])
            s += d
            ss += d * d
        }
        average = s / n
        deviation = n > 1 ? sqrt((ss - s * s / n > 0 ? ss - s * s / n : 0) / (n - 1)) : 0
    }
    END {
        print ""
        print "preset", "score", "mean", "sd", "difference", "stderr"
        for (i = 1; i <= presets; i++) for (k = 4; k <= 7; k++) {
            p = name[i]
            summary(p, "", k)
            line = sprintf("%s\t%s\t%.4f\t%.4f", p, column[k], average, deviation)
            summary(p, name[1], k)
            if (i > 1) line = line sprintf("\t%+.4f\t%.4f", average, deviation / sqrt(folds[p]))
            print line
        }
    }' table
