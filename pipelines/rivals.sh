#!/usr/bin/env bash
# rivals.sh - every rival and ours on one split: one table
#
#   rivals.sh DIR GEX ATAC
# GEX, ATAC as in train.sh, with the label split: training cells are those not marked `valid` or `test`
# (without `valid` a tenth is held out), `test` cells are matched and scored.  Preparation is fitted on
# training cells; rules and early stopping see validation cells.  DIR keeps NAME.model.cms, NAME.e.cms,
# NAME.t.cms, NAME.match.cms.  RIVALS='NAME ...' picks some, SEED (42), THREADS (all), WITHIN=LABEL (or
# auto, none: as in match.sh); EPOCHS_NAME replaces a schedule's length.  Columns: mean probability of
# the partner, hard choice, top 5, FOSCTTM, area under precision-recall, seconds and MiB of the training.
# shellcheck source=pipelines/common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

[ $# = 3 ] || usage 'DIR GEX ATAC'
dir=$1 seed=${SEED:-42} threads=${THREADS:+-t $THREADS}
mkdir -p "$dir"
read_inputs "$2" "$3"
has_label "$gex" split && has_label "$atac" split || die 3 'both sides need the label split'
hold=(cms-cat)
values "$gex" split | grep -x valid >/dev/null || hold=(holdout --fraction 0.1 --name valid --seed "$seed")
split_one() { # NAME STREAM
    cms-cat --where split=test -o "$tmp/$1.test.cms" "$2"
    cms-cat --except split=test "$2" | "${hold[@]}" | feature-sort >"$tmp/$1.train.cms"
}
split_gex() { split_one gex "$gex"; }
split_atac() { split_one atac "$atac"; }
both split_gex split_atac
within=()
case ${WITHIN:-auto} in
none) ;;
auto) if has_label "$gex" batch && has_label "$atac" batch; then within=(--within batch); fi ;;
*) within=(--within "$WITHIN") ;;
esac
wanted() { [ -z "${RIVALS:-}" ] || [[ " $RIVALS " = *" $1 "* ]]; }
line() { # NAME MATCH SECONDS MIB [--embeddings E T]: a row of the table
    score "${@:5}" "$2" >"$tmp/score" 2>"$tmp/err" || { cat "$tmp/err" >&2 && return 1; }
    awk -F '\t' -v OFS='\t' -v name="$1" -v s="$3" -v mib="$4" '{ v[$1] = $2 } function f(k) { return k in v ? sprintf("%.4f", v[k]) : "-" }
        END { print name, f("match_probability_filled"), f("match_probability_hard"), f("top5"), f("foscttm"), f("aupr"), s, mib }' "$tmp/score"
}
rival() { # NAME RNA ATAC BATCH EPOCHS TRAINER [PUBLISHED-RULE]
    local name=$1 epochs=EPOCHS_${1//-/_} m=$dir/$1 prep=${2// /_}+${3// /_} ref
    wanted "$name" || return 0
    if [ ! -e "$tmp/$prep.gex" ]; then
        lognorm $2 --fit split=train -o "$tmp/$prep.gex" "$tmp/gex.train.cms"
        tfidf $3 --fit split=train -o "$tmp/$prep.atac" "$tmp/atac.train.cms"
    fi
    batch -q --seed "$seed" --size "$4" --epochs "${!epochs:-$5}" "${within[@]}" "$tmp/$prep.gex" "$tmp/$prep.atac" |
        $6 -v --seed "$seed" $threads -o "$m.model.cms" 2>"$tmp/said" || {
        [ $? = 3 ] || die 4 "$name: $(tail -n 1 "$tmp/said")"
        echo "rivals.sh: $name: $(grep -m 1 error: "$tmp/said")" >&2 # cannot take such data: dashes
        printf "$name\t-\t-\t-\t-\t-\t-\t-\n"
        return 0
    }
    lognorm --like "$m.model.cms" -o "$tmp/now.gex" "$tmp/gex.test.cms"
    tfidf --like "$m.model.cms" -o "$tmp/now.atac" "$tmp/atac.test.cms"
    embed --by-name --model "$m.model.cms" -o "$m.e.cms" "$tmp/now.gex"
    embed --by-name --model "$m.model.cms" -o "$m.t.cms" "$tmp/now.atac"
    knn-match "${within[@]}" --similarities "$m.e.cms" "$m.t.cms" |
        xattn-score --by-name --model "$m.model.cms" --gex "$tmp/now.gex" --atac "$tmp/now.atac" -o "$tmp/similar"
    assign "${within[@]}" --model "$m.model.cms" -o "$m.match.cms" "$tmp/similar"
    ref=$(awk '/of processor time/ { s = $2; for (k = 1; k <= NF; k++) if ($k == "MiB") mib = $(k - 1) } END { printf "%.1f\t%.0f", s, mib }' "$tmp/said")
    line "$name" "$m.match.cms" "${ref%$'\t'*}" "${ref#*$'\t'}" --embeddings "$m.e.cms" "$m.t.cms"
    [ -n "${7:-}" ] || return 0
    assign "${within[@]}" $7 -o "$tmp/published" "$tmp/similar"
    line "$name+${7##* }" "$tmp/published" - - # the rule that was published with it
}

printf 'method\tsoft\thard\ttop5\tfoscttm\taupr\tseconds\tmib\n'
plain=('--method sqrt' '--method logtfidf') ours=('--method sqrt' '--method logtfidf --scale 300') glue=('--method seurat' '--method glue')
rival linear "${plain[@]}" 0 0 'xattn-train --preset linear'
rival closed "${ours[@]}" 0 0 'xattn-train --preset linear --lsi-scale 0.6 --links yes'
rival best "${ours[@]}" "${BATCH:-0}" 60 'xattn-train --preset best'
rival attn "${ours[@]}" "${BATCH:-0}" 60 'xattn-train --preset attn'
rival paper '--method seurat' '--method signac1 --binarize' 128 20 'xattn-train --preset paper'
rival authors '--method seurat' '--method signac1 --binarize' 100 15 'xattn-train --preset authors'
rival cca "${plain[@]}" 0 0 cca-train
rival cca-scaled "${ours[@]}" 0 0 'cca-train --lsi-scale 0.6' # the preparation of best, and none of its locality
rival ridge "${plain[@]}" 0 0 'cca-train --method ridge'
rival procrustes "${plain[@]}" 0 0 'cca-train --method procrustes'
rival small "${plain[@]}" "${BATCH:-0}" 60 'mlp-train --preset small'
rival novel "${glue[@]}" 16384 1000 'mlp-train --preset novel' '--quantile 0.99 --method exact'
rival matchclot "${glue[@]}" 16384 1000 'mlp-train --preset matchclot' '--epsilon 0.01 --method sinkhorn'
rival clue "${glue[@]}" 128 120 clue-train '--method snn'
for kind in random constant semi-solution solution; do
    wanted $kind || continue
    "$pipelines/fixture.sh" $kind "$tmp/gex.test.cms" "$tmp/atac.test.cms" >"$tmp/fixture"
    line "$kind" "$tmp/fixture" - -
done
