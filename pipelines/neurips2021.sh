#!/usr/bin/env bash
# neurips2021.sh - the file contract of the NeurIPS 2021 competition's task "match modality"
#
#   neurips2021.sh TRAIN_MOD1 TRAIN_MOD2 TRAIN_SOL TEST_MOD1 TEST_MOD2 PREDICTION.h5ad
# Modalities are GEX and ATAC or GEX and ADT, in either order; training pairs are TRAIN_SOL's pairing_ix.
# PREDICTION: X sparse, rows the cells of TEST_MOD1, columns those of TEST_MOD2, at most 1000 a row, rows
# sum to 1; uns dataset_id (of TEST_MOD1) and method_id.  Counts are the layer `counts`, else X.
# PRESET (best) and ANNOTATION go to train.sh; the variables of train.sh and match.sh replace stages:
# ASSIGN='assign --hard' bets everything on one partner, as suits the competition's metric.
# shellcheck source=pipelines/common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

[ $# = 6 ] || usage 'TRAIN_MOD1 TRAIN_MOD2 TRAIN_SOL TEST_MOD1 TEST_MOD2 PREDICTION.h5ad'
preset=${PRESET:-best} annotation=(${ANNOTATION:+--annotation "$ANNOTATION"})

counts() { # FILE NAME: a stream of the file's counts
    local layer=()
    h5-read --list "$1" >"$tmp/list"
    ! grep -q "^layer$(printf '\t')counts$(printf '\t')" "$tmp/list" || layer=(--layer counts)
    h5-read "${layer[@]}" --state counts -o "$tmp/$2.cms" "$1"
}
key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }
names() { cms-text --labels "$1" | awk -F '\t' 'NR > 1 { print $1 }'; }
counts "$1" train1
counts "$2" train2
counts "$4" test1
counts "$5" test2
mod1=$(key "$tmp/train1.cms" slot.0.name) mod2=$(key "$tmp/train2.cms" slot.0.name)
case $mod1+$mod2 in
GEX+ATAC | ATAC+GEX) export SECOND=ATAC ;;
GEX+ADT | ADT+GEX) export SECOND=ADT TFIDF=${TFIDF:-clr} ;;
*) die 3 "$1 and $2 are $mod1 and $mod2, expected GEX with ATAC or ADT" ;;
esac

# The cells of the second file take the names of their partners in the first.
h5-read --pairs -o "$tmp/pairs" "$3"
names "$tmp/train1.cms" >"$tmp/names1"
names "$tmp/train2.cms" >"$tmp/names2"
awk -F '\t' -v OFS='\t' '
    FILENAME == ARGV[1] { one[++n] = $1; next }
    FILENAME == ARGV[2] { two[++m] = $1; next }
    FNR > 1 { if ($1 >= n || $2 >= m) exit 1; print two[$2 + 1], one[$1 + 1] }' \
    "$tmp/names1" "$tmp/names2" "$tmp/pairs" >"$tmp/rename" || die 3 "$3 pairs rows that $1 and $2 do not have"
cms-cat --rename "$tmp/rename" -o "$tmp/paired.cms" "$tmp/train2.cms"

train=("$tmp/train1.cms" "$tmp/paired.cms") test=("$tmp/test1.cms" "$tmp/test2.cms") reverse=()
if [ "$mod2" = GEX ]; then
    train=("${train[1]}" "${train[0]}") test=("${test[1]}" "${test[0]}") reverse=(--reverse)
fi
"$pipelines/train.sh" --preset "$preset" "${annotation[@]}" "${train[@]}" "$tmp/model.cms"
ASSIGN=${ASSIGN:-assign --sharp} "$pipelines/match.sh" "${reverse[@]}" "$tmp/model.cms" "${test[@]}" "$tmp/match.cms"
dataset=$(key "$tmp/test1.cms" h5.dataset_id)
h5-write ${dataset:+--dataset-id "$dataset"} --method-id "cellmatch_$preset" -o "$6" "$tmp/match.cms"
