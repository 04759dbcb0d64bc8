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
# shellcheck source=pipelines/rivals.bash
. "$pipelines/rivals.bash"

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
