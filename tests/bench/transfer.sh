#!/usr/bin/env bash
# transfer.sh - cell types and expression carried to ATAC cells that no step has seen.
#
#   DATA=pbmc (default)  FOLDS='1 2 3' draws of a fifth of pbmc_multiome_2k (`holdout --seed`)
#   DATA=snare           the library 09J of snare_mouse_cortex; validated on 09I
#   PRESET=closed        pbmc; best for snare, which has no places of genes
#
# The label or the profile of an ATAC cell comes from RNA cells: of the held-out part itself (`unseen`,
# its own partner among them), or of the training cells (`training`, as from an annotated reference).
#   transfer  votes, or means, by the calibrated probabilities of knn-match
#   knn       the 15 most similar RNA cells of the joint embedding, one vote each
#   chance    a cell at random: the sum of squared shares of the types; `most`: the most frequent type
#   ridge     scikit-learn: ridge regression of expression on 50 LSI components of the same TF-IDF
#             values, its penalty chosen on the validation cells
# Accuracy is the share of cells that get the type of their annotation; expression the mean over genes of
# Pearson's correlation over cells, for genes that a twentieth of the held-out cells have.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PATH=$root/bin:$PATH LC_ALL=C OPENBLAS_NUM_THREADS=1
case ${DATA:-pbmc} in
pbmc) data=pbmc_multiome_2k preset=${PRESET:-closed} folds=${FOLDS:-1 2 3} schedule=--size\ 0 ;;
snare) data=snare_mouse_cortex preset=${PRESET:-best} folds=1 schedule='--size 2048 --within batch' ;;
*) echo "transfer.sh: DATA is pbmc or snare" >&2 && exit 2 ;;
esac
data=${CELLMATCH_DATA:-$root/../shared/data}/$data
python=/usr/bin/python3
[ -e "$data/gex.h5ad" ] || { echo "transfer.sh: skipped: $data is absent" >&2; exit 0; }
"$python" -c 'import anndata, sklearn' 2>/dev/null || { echo "transfer.sh: skipped: no anndata or scikit-learn" >&2; exit 0; }
[ "$preset" != closed ] && epochs=60 || epochs=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
for m in gex atac; do h5-read "$data/$m.h5ad" | feature-sort -o $m.cms; done

split() { # SEED: gex.s.cms and atac.s.cms, test, valid and train
    for m in gex atac; do
        if [ "${DATA:-pbmc}" = snare ]; then
            holdout --fresh --by batch=09J $m.cms | holdout --by batch=09I --name valid -o $m.s.cms
        else
            holdout --fresh --fraction .2 --seed "$1" $m.cms |
                holdout --fraction .1 --seed "$1" --name valid -o $m.s.cms
        fi
    done
}
prepare() {
    lognorm --method sqrt --fit split=train -o g.cms gex.s.cms
    tfidf --method logtfidf --scale 300 --fit split=train -o a.cms atac.s.cms
    for m in g a; do
        cms-cat --except split=test -o known.$m.cms $m.cms
        for s in test train; do cms-cat --where split=$s -o $s.$m.cms $m.cms; done
    done
}
right() { # TABLE: the share of cells whose type is that of their annotation
    awk -F '\t' 'FNR == 1 { for (k = 1; k <= NF; k++) if ($k == "cell_type") at = k; file++; next }
        file == 1 { type[$1] = $at; next }
        { n++; hits += $at == type[$1] } END { if (!n) exit 1; printf "%.4f", hits / n }' truth.tsv "$1"
}
chance() { # a cell at random, and the most frequent type
    awk -F '\t' 'NR == 1 { for (k = 1; k <= NF; k++) if ($k == "cell_type") at = k; next } { n++; c[$at]++ }
        END { for (t in c) { p += (c[t] / n) ^ 2; if (c[t] > most) most = c[t] }
            printf "labels\tchance\t-\t%.4f\nlabels\tmost\t-\t%.4f\n", p, most / n }' truth.tsv
}
carried() { # UNSEEN|TRAINING FROM.cms EMBEDDING.cms
    knn-match --model model.cms test.t.cms "$3" -o match.cms
    transfer --labels cell_type -o types.tsv match.cms "$2"
    printf 'labels\ttransfer\t%s\t%s\n' "$1" "$(right types.tsv)"
    # Probabilities of a temperature near 0 are all equal: every candidate has one vote.
    knn-match -k 15 test.t.cms "$3" | assign --method softmax --temperature .001 |
        transfer --labels cell_type - "$2" >types.tsv
    printf 'labels\tknn\t%s\t%s\n' "$1" "$(right types.tsv)"
    transfer --values match.cms "$2" | h5-write -o expected.h5ad
    printf 'expression\ttransfer\t%s\t' "$1"
    "$python" "$root/tests/bench/transfer_peer.py" compare test.h5ad expected.h5ad
}
fold() { # SEED: lines WHAT, METHOD, FROM, VALUE
    split "$1"
    prepare
    # shellcheck disable=SC2086 # options
    batch --epochs $epochs $schedule known.g.cms known.a.cms | xattn-train -q --preset "$preset" -o model.cms
    embed --model model.cms -o test.t.cms test.a.cms
    for s in test train; do embed --model model.cms -o $s.e.cms $s.g.cms; done
    cms-text --labels -o truth.tsv test.a.cms
    for m in g a; do
        for s in known test; do h5-write -o $s.$m.h5ad $s.$m.cms; done
    done
    mv test.g.h5ad test.h5ad
    carried unseen test.g.cms test.e.cms
    carried training train.g.cms train.e.cms
    chance
    printf 'expression\tridge\ttraining\t'
    "$python" "$root/tests/bench/transfer_peer.py" ridge known.g.h5ad known.a.h5ad test.a.h5ad test.h5ad
}

for f in $folds; do fold "$f" | sed "s/^/$f\t/"; done >all
awk -F '\t' '
    { key = $2 "\t" $3 "\t" $4; if (!(key in n)) order[++keys] = key; n[key]++; sum[key] += $5; square[key] += $5 ^ 2 }
    END {
        printf "%-12s %-10s %-10s %8s %8s %s\n", "what", "method", "from", "mean", "sd", "folds"
        for (k = 1; k <= keys; k++) {
            key = order[k]; split(key, w, "\t"); m = sum[key] / n[key]; var = square[key] / n[key] - m ^ 2
            printf "%-12s %-10s %-10s %8.4f %8.4f %d\n", w[1], w[2], w[3], m, (var > 0 ? sqrt(var) : 0), n[key]
        }
    }' all
