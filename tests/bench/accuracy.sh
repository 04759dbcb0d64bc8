#!/usr/bin/env bash
# accuracy.sh - how well each preset matches real cells that it has never seen: models x folds.
#
#   accuracy.sh [NAME[=[PREFIX:]OPTIONS]...]      default: linear closed best;  all: the whole table
# OPTIONS go to xattn-train, --preset NAME where they name none: `wide='--preset best --mlp-hidden 512'`.
# PREFIX  top=10,50:  further rows NAME@10 and NAME@50, the same model's candidates re-ranked by
#                     cross-attention (xattn-score --top K); the row NAME is S0
#         seeds=3:    the sum of the similarities of models of 3 seeds (assign --sum)
#
# DATA=pbmc (default)  folds of pbmc_multiome_2k: 324 cells are held out by NumPy's permutation of seed
#   1000 SEED + FOLD, as the independent program of the linear preset draws them; SEEDS='1 2 3',
#   FOLDS='0 1 2'.
# DATA=snare  the library 09J of snare_mouse_cortex, models trained on 09A to 09I, mini-batches within
#   a library; SEEDS='1 2 3'.
# Of the other cells some are cut away for validation: a tenth by name, of snare one whole library, 09I
# for seed 1, 09H for 2 and so on, since cells of a library that a model knows say little about one
# that it does not.  Preparation is fitted and models are trained on the rest, early stopping and the
# rule look at validation cells only.  Preparation and mini-batches are those of pipelines/train.sh;
# BATCH replaces the schedule of all trained presets.
#
# A row's scores, means of both directions: soft, the partner's probability under softmax at the best
# of the temperatures 5 .. 240 (an upper bound that is the same for all); dual, the share of cells
# whose partner is first after the model's own rule; top5; foscttm, of embeddings alone; and the seconds
# that training and matching took.  Then mean, standard deviation, and the difference to the first
# row, fold by fold, with its standard error.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH LC_ALL=C OPENBLAS_NUM_THREADS=1
case ${DATA:-pbmc} in
pbmc) data=pbmc_multiome_2k label=none size=0 folds=${FOLDS:-0 1 2} ;;
snare) data=snare_mouse_cortex label=batch size='2048 --within batch' folds=09J ;;
*) echo "accuracy.sh: DATA is pbmc or snare" >&2 && exit 2 ;;
esac
data=${CELLMATCH_DATA:-$root/../shared/data}/$data
python=/usr/bin/python3
[ -e "$data/gex.h5ad" ] || { echo "accuracy.sh: skipped: $data is absent" >&2; exit 0; }
"$python" -c 'import numpy' 2>/dev/null || { echo "accuracy.sh: skipped: no NumPy" >&2; exit 0; }
[ $# -gt 0 ] || set -- linear closed best
[ "$*" != all ] || set -- linear closed best attn 'cross=top=10,20,50: --preset attn --cross' \
    'best3=seeds=3: --preset best' 'paper=top=50:' 'semihard=top=50: --preset paper --negatives semihard' \
    'authors=top=50:'
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

for m in gex atac; do h5-read --labels "$label" "$data/$m.h5ad" | feature-sort -o $m.cms; done
cms-text --bare gex.cms | cut -f 1 >names

fold() { # SEED FOLD: the names held out, in `held`; the others in `rest`
    if [ "$2" = 09J ]; then
        cms-cat --where batch=09J gex.cms | cms-text --bare | cut -f 1 >held
    else
        "$python" -c 'import sys, numpy as np
names = open("names").read().split()
n = len(names)
order = np.random.default_rng(1000 * int(sys.argv[1]) + int(sys.argv[2])).permutation(n)
print("\n".join(names[i] for i in np.sort(order[:min(324, n // 5)])))' "$1" "$2" >held
    fi
    grep -vxFf held names >rest
}

prepare() { # SEED: gex.STYLE.cms and atac.STYLE.cms of all styles of preparation
    local valid=(--fraction 0.1 --seed "$1") libraries=IHGFEDCBA
    [ "$label" = none ] || valid=(--by "batch=09${libraries:($1 - 1) % 9:1}")
    for m in gex atac; do
        cms-cat --names rest $m.cms | holdout "${valid[@]}" --name valid -o $m.rest.cms
    done
    lognorm --method sqrt --fit split=train -o gex.sqrt.cms gex.rest.cms
    tfidf --method logtfidf --fit split=train -o atac.sqrt.cms atac.rest.cms
    ln -f gex.sqrt.cms gex.ours.cms
    tfidf --method logtfidf --scale 300 --fit split=train -o atac.ours.cms atac.rest.cms
    lognorm --fit split=train -o gex.log.cms gex.rest.cms
    tfidf --binarize --fit split=train -o atac.log.cms atac.rest.cms
}

train() { # SEED MODEL OPTIONS
    local style=ours schedule=(--epochs 60 --size "$size")
    case " $3 " in
    *' --preset closed '*) schedule=(--epochs 0) ;;
    *' --preset linear '*)
        schedule=(--epochs 0)
        [[ $3 = *--lsi-scale* ]] || style=sqrt
        ;;
    *' --preset paper '*) style=log schedule=(--epochs 20 --size 128) ;;
    *' --preset authors '*) style=log schedule=(--epochs 15 --size 100) ;;
    esac
    # shellcheck disable=SC2048,SC2086 # options are words
    batch ${BATCH:-${schedule[*]}} --seed "$1" gex.$style.cms atac.$style.cms |
        xattn-train -q --seed "$1" -o "$2" $3
}

candidates() { # N MODEL: N.e.cms, N.t.cms, and all similarities both ways, N.et.cms and N.te.cms
    cms-cat --names held gex.cms | lognorm --like "$2" -o "$1.gex.cms"
    cms-cat --names held atac.cms | tfidf --like "$2" -o "$1.atac.cms"
    embed --model "$2" -o "$1.e.cms" "$1.gex.cms"
    embed --model "$2" -o "$1.t.cms" "$1.atac.cms"
    knn-match -k 1000 --similarities -o "$1.et.cms" "$1.e.cms" "$1.t.cms"
    knn-match -k 1000 --similarities -o "$1.te.cms" "$1.t.cms" "$1.e.cms"
}
rerank() { # N MODEL K: N@K.et.cms and N@K.te.cms
    for way in et te; do
        xattn-score --model "$2" --gex "$1.gex.cms" --atac "$1.atac.cms" --top "$3" -o "$1@$3.$way.cms" "$1.$way.cms"
    done
}

key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }
value() { awk -F '\t' -v m="$1" '$1 == m { print $2 }' "$2"; }
mean_of() { awk -v a="$1" -v b="$2" 'BEGIN { print (a + b) / 2 }'; }
both() { # METHOD TEMPERATURE FILE...: scores of the rule on the sum of the files, in `one` and `two`
    local rule=(--method "$1" --temperature "$(awk -v t="$2" -v n=$(($# - 2)) 'BEGIN { print t / n }')")
    shift 2
    [ $# = 1 ] || rule+=(--sum)
    assign "${rule[@]}" "${@/%/.et.cms}" | score >one
    assign "${rule[@]}" "${@/%/.te.cms}" | score >two
}

score_row() { # ROW MODEL SECONDS FILE...: a line of the table; the files' similarities are summed
    local T row=$1 model=$2 seconds=$3 best=0 foscttm=-
    shift 3
    for T in 5 10 20 40 80 120 160 240; do
        both softmax $T "$@"
        best=$(awk -v a="$best" -v b="$(mean_of "$(value match_probability one)" "$(value match_probability two)")" \
            'BEGIN { print (a > b ? a : b) }')
    done
    both "$(key "$model" rule.method)" "$(key "$model" rule.temperature)" "$@"
    if [ -e "$1.e.cms" ] && [ $# = 1 ]; then
        foscttm=$(knn-match -k 1000 "$1.e.cms" "$1.t.cms" | score -q --embeddings "$1.e.cms" "$1.t.cms" |
            awk -F '\t' '$1 == "foscttm" { printf "%.4f", $2 }')
    fi
    printf '%s\t%s\t%s\t%.4f\t%.4f\t%.4f\t%s\t%d\n' "$row" "$seed" "$fold" "$best" \
        "$(mean_of "$(value match_probability_hard one)" "$(value match_probability_hard two)")" \
        "$(mean_of "$(value top5 one)" "$(value top5_reverse one)")" "$foscttm" "$seconds" | tee -a table
}

rows() { # SPEC: trains, and scores every row of it
    local name=${1%%=*} options='' tops='' seeds=1 k started=$SECONDS files=()
    [ "$1" = "$name" ] || options=${1#*=}
    case $options in
    top=*:*) tops=${options%%:*} options=${options#*:} ;;
    seeds=*:*) seeds=${options%%:*} seeds=${seeds#seeds=} options=${options#*:} ;;
    esac
    case " $options" in *' --preset '*) ;; *) options="--preset $name $options" ;; esac
    for ((k = 0; k < seeds; k++)); do # a model's first seed is the fold's, so that one is as before
        train $((seed + 100 * k)) "$name.$k.cms" "$options"
        candidates "$name.$k" "$name.$k.cms"
        files+=("$name.$k")
    done
    score_row "$name" "$name.0.cms" $((SECONDS - started)) "${files[@]}"
    for k in $(tr , ' ' <<<"${tops#top=}"); do
        started=$SECONDS
        rerank "$name.0" "$name.0.cms" "$k"
        score_row "$name@$k" "$name.0.cms" $((SECONDS - started)) "$name.0@$k"
    done
    rm -f "$name".[0-9]*
}

echo 'model	seed	fold	soft	dual	top5	foscttm	seconds' | tee table
for seed in ${SEEDS:-1 2 3}; do
    for fold in $folds; do
        fold "$seed" "$fold"
        prepare "$seed"
        for spec in "$@"; do rows "$spec"; done
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
        print "model", "score", "mean", "sd", "difference", "stderr"
        for (i = 1; i <= presets; i++) for (k = 4; k <= NF; k++) {
            p = name[i]
            if (x[p, 1, k] == "-") continue
            summary(p, "", k)
            line = sprintf("%s\t%s\t%.4f\t%.4f", p, column[k], average, deviation)
            summary(p, name[1], k)
            if (i > 1) line = line sprintf("\t%+.4f\t%.4f", average, deviation / sqrt(folds[p]))
            print line
        }
    }' table
