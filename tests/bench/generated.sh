#!/usr/bin/env bash
# generated.sh - how well presets match generated cells whose regulation is partly local, by numbers of cells
#
#   generated.sh [NAME=OPTIONS...]      default: linear closed best
# OPTIONS go to xattn-train, as in accuracy.sh (closed: the closed form of best, with learned weights of
# peak-gene pairs); preparation as in pipelines/train.sh.  CELLS='2000 8000' (how many are generated; four batches,
# two to train, one to validate, one unseen to score), SEEDS='1 2 3', GEN=options of cms-gen.  BATCH
# (--epochs 60 --size 2048) is the schedule of the trained presets.  The row `oracle` is the posterior of
# the best possible matcher (cms-gen --oracle).  Scores: means of both directions, by the model's rule.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH LC_ALL=C OPENBLAS_NUM_THREADS=1
[ $# -gt 0 ] || set -- 'linear=--preset linear' \
    'closed=--preset closed' 'best=--preset best'
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

means() { # FILE FILE: soft hard top5, means of two tables of scores
    awk -F '\t' -v OFS='\t' '{ sum[$1] += $2 / (ARGC - 1) }
        END { printf "%.4f\t%.4f\t%.4f", sum["match_probability"], sum["match_probability_hard"], sum["top5"] }' "$@"
}

echo 'cells	seed	model	soft	hard	top5	foscttm	seconds'
for n in ${CELLS:-2000 8000}; do
    for seed in ${SEEDS:-1 2 3}; do
        # shellcheck disable=SC2086 # options are words
        cms-gen --seed "$seed" --cells "$n" ${GEN:-} --gex gex --atac atac --oracle oracle >one
        lognorm --method sqrt --fit split=train -o gex.train gex
        tfidf --method logtfidf --fit split=train -o atac.plain atac
        tfidf --method logtfidf --scale 300 --fit split=train -o atac.ours atac
        for spec in "$@"; do
            started=$SECONDS
            case " ${spec#*=} " in
            *' --lsi-scale '*) ln -sf atac.ours atac.train ;;
            *' --preset linear '*) ln -sf atac.plain atac.train ;;
            *) ln -sf atac.ours atac.train ;;
            esac
            # shellcheck disable=SC2086
            batch ${BATCH:---epochs 60 --size 2048} --seed "$seed" gex.train atac.train |
                xattn-train -q --seed "$seed" ${spec#*=} -o model
            seconds=$((SECONDS - started))
            cms-cat --where split=test gex.train | embed --model model -o e
            cms-cat --where split=test atac.train | embed --model model -o t
            knn-match --sharp --model model e t | score --embeddings e t >one
            knn-match --sharp --model model t e | score >two
            printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$n" "$seed" "${spec%%=*}" "$(means one two)" \
                "$(awk -F '\t' '$1 == "foscttm" { printf "%.4f", $2 }' one)" "$seconds"
        done
        score oracle >one
        printf '%s\t%s\toracle\t%s\t-\t-\n' "$n" "$seed" "$(means one)"
    done
done
