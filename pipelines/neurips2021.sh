#!/usr/bin/env bash
# neurips2021.sh - the file contract of the NeurIPS 2021 competition's task "match modality"
#
# Modalities are GEX and ATAC or GEX and ADT, in either order; training pairs are TRAIN_SOL's pairing_ix.
# PREDICTION: X sparse, rows the cells of TEST_MOD1, columns those of TEST_MOD2, at most 1000 a row, rows
# sum to 1; uns dataset_id (of TEST_MOD1) and method_id.  Counts are the layer `counts`, else X.
# The variables of train.sh and match.sh replace stages: ASSIGN='assign --hard' bets everything on one
# partner, as suits the competition's metric.  See neurips2021.sh(1).
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"
# shellcheck source=pipelines/inputs.bash
. "$pipelines/inputs.bash"

about='train, match and write a prediction as the competition of 2021 asks'
operands='TRAIN_MOD1 TRAIN_MOD2 TRAIN_SOL TEST_MOD1 TEST_MOD2 PREDICTION.h5ad'
read -ra known < <(presets)
options="preset,p|PRESET|of train.sh (default best) [env PRESET]|${known[*]}
annotation|FILE|coordinates of the genes [env ANNOTATION]
sharp||the temperature of the highest match probability (the default)
calibrated||the temperature whose probabilities can be believed"
parse "$@" && expect 6
preset=${opt[preset]-${PRESET:-}} annotation=${opt[annotation]-${ANNOTATION:-}} patience=200
[ -z "${opt[preset]+given}$preset" ] || one_of preset "$preset" "${known[@]}"
preset_of "$preset"
[ -z "$annotation" ] || [ -r "$annotation" ] || die 4 "cannot open '$annotation'"
sure=--sharp && [ -z "${opt[calibrated]:-}" ] || sure=--calibrated
[ -z "${ASSIGN:-}" ] || sure=
[ "${operand[5]}" != - ] || misused 'PREDICTION.h5ad is a file'
check_output "${operand[5]}" "${operand[@]:0:5}" "$annotation"
for f in "${operand[@]:0:5}"; do [ -r "$f" ] || die 4 "cannot open '$f'"; done

k=0
for name in train1 train2 pairs test1 test2; do
    called "$tmp/$name.cms" "${operand[k]}" && k=$((k + 1))
done
called "$tmp/paired.cms" "${operand[1]}"
counts() { # FILE NAME: a stream of the file's counts
    local layer=()
    step h5-read --list "$1" >"$tmp/$2.list"
    ! grep -q "^layer$(printf '\t')counts$(printf '\t')" "$tmp/$2.list" || layer=(--layer counts)
    step h5-read "${noise[@]}" "${layer[@]}" --state counts -o "$tmp/$2.cms" "$1"
    step cms-text --labels "$tmp/$2.cms" | awk -F '\t' 'NR > 1 { print $1 }' >"$tmp/$2.names"
}
pairs() { step h5-read --pairs -o "$tmp/pairs" "$1"; }
start counts "${operand[0]}" train1 && start counts "${operand[1]}" train2 && start pairs "${operand[2]}" && finish
start counts "${operand[3]}" test1 && start counts "${operand[4]}" test2 && finish
mod1=$(slot_of "$tmp/train1.cms") mod2=$(slot_of "$tmp/train2.cms")
case $mod1+$mod2 in
GEX+ATAC | ATAC+GEX) export SECOND=ATAC ;;
GEX+ADT | ADT+GEX) export SECOND=ADT TFIDF=${TFIDF:-clr} ;;
*) die 3 "${operand[0]} and ${operand[1]} are $mod1 and $mod2, expected GEX with ATAC or ADT" ;;
esac
for k in 1 2; do
    mod=mod$k found=$(slot_of "$tmp/test$k.cms")
    [ "$found" = "${!mod}" ] || die 3 "TEST_MOD$k: '${operand[2 + k]}' holds $found, TRAIN_MOD$k holds ${!mod}"
done

# The cells of the second file take the names of their partners in the first.
awk -F '\t' -v OFS='\t' '
    FILENAME == ARGV[1] { one[++n] = $1; next }
    FILENAME == ARGV[2] { two[++m] = $1; next }
    FNR > 1 { if ($1 >= n || $2 >= m) exit 1; print two[$2 + 1], one[$1 + 1] }' "$tmp/train1.names" "$tmp/train2.names" \
    "$tmp/pairs" >"$tmp/rename" || die 3 "${operand[2]} pairs rows that ${operand[0]} and ${operand[1]} do not have"
rename() { step cms-cat "${noise[@]}" --rename "$tmp/rename" -o "$tmp/paired.cms" "$tmp/train2.cms"; }
run rename

train=("$tmp/train1.cms" "$tmp/paired.cms") test=("$tmp/test1.cms" "$tmp/test2.cms") reverse=()
if [ "$mod2" = GEX ]; then
    train=("${train[1]}" "${train[0]}") test=("${test[1]}" "${test[0]}") reverse=(--reverse)
fi
learn() { stage train.sh "$pipelines/train.sh" "${noise[@]}" "${seed[@]}" --preset "$preset" ${annotation:+--annotation "$annotation"} "${train[@]}" "$tmp/model.cms"; }
match() { stage match.sh "$pipelines/match.sh" "${noise[@]}" $sure "${reverse[@]}" "$tmp/model.cms" "${test[@]}" "$tmp/match.cms"; }
run learn && run match
head_of "$tmp/test1.cms" && dataset=${head[h5.dataset_id]-}
write() { step h5-write "${noise[@]}" ${dataset:+--dataset-id "$dataset"} --method-id "cellmatch_$preset" -o "$target" "$tmp/match.cms"; }
run write
