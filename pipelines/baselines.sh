#!/usr/bin/env bash
# baselines.sh - published methods and our presets on one split, as a table
#
# GEX, ATAC as in train.sh, with the label split: training cells are those not marked `valid` or `test`
# (without `valid` a tenth is held out), `test` cells are matched and scored.  Preparation is fitted on
# training cells; rules and early stopping see validation cells.  DIR keeps NAME.model.cms, NAME.e.cms,
# NAME.t.cms, NAME.match.cms.  EPOCHS_NAME in the environment replaces a schedule's length.  Columns: mean
# probability of the partner, hard choice, top 5, FOSCTTM, area under precision-recall, seconds and MiB of
# the training.  See baselines.sh(1).
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"
# shellcheck source=pipelines/inputs.bash
. "$pipelines/inputs.bash"
# shellcheck source=pipelines/baselines.bash
. "$pipelines/baselines.bash"

about='compare published methods and our presets on one split, as a table' operands='DIR GEX ATAC'
read -ra known < <(presets)
ours=("${known[@]}") theirs=(cca cca-scaled ridge procrustes small novel matchclot clue)
options="rivals|NAMES|only these methods, separated by blanks or commas [env RIVALS]|${ours[*]} ${theirs[*]}
within,w|LABEL|candidates only where this label is equal; auto (default), none [env WITHIN]"
[ -z "${SEED:-}" ] || opt[seed]=$SEED
[ -z "${THREADS:-}" ] || opt[threads]=$THREADS
parse "$@" && expect 3
dir=${operand[0]} within=${opt[within]-${WITHIN:-auto}} RIVALS=${opt[rivals]-${RIVALS:-}} fixed=(--seed "${opt[seed]-42}")
RIVALS=${RIVALS//,/ }
fixtures=(random constant semi-solution solution)
for name in $RIVALS; do one_of method "$name" "${ours[@]}" "${theirs[@]}" "${fixtures[@]}"; done
for name in "${ours[@]}" "${theirs[@]}"; do
    epochs=EPOCHS_${name//-/_}
    [[ ${!epochs-0} =~ ^[0-9]+$ ]] || misused "$epochs: expected a whole number, found '${!epochs}'"
    for kind in model e t match; do
        wanted "$name" && refuse_input "$dir/$name.$kind.cms" "${operand[@]:1}"
    done
done
may_print && refuse_input - "${operand[@]:1}"
SECOND=${SECOND:-ATAC}
make_dir() { mkdir -p -- "$dir" 2>/dev/null || die 4 "cannot create the directory '$dir'"; }
there=$([ ! -e "$dir" ] || echo yes)
make_dir && check_directory "$dir" "$dir/x"
[ "$there" ] || rmdir -- "$dir" # until the inputs are known to be in order

read_inputs "${operand[@]:1}"
require_label split "${operand[1]}" "$gex" && require_label split "${operand[2]}" "$atac"
case $within in auto | none) ;; *) require_label "$within" "${operand[1]}" "$gex" && require_label "$within" "${operand[2]}" "$atac" ;; esac
values "$gex" split "$tmp/split"
grep -qx test "$tmp/split" || die 3 "'${operand[1]}': no cell has the label split=test"
hold=(cms-cat)
grep -qx valid "$tmp/split" || hold=(holdout --fraction 0.1 --name valid "${fixed[@]}")
for side in train test; do called "$tmp/gex.$side.cms" "${operand[1]}" && called "$tmp/atac.$side.cms" "${operand[2]}"; done
called "$tmp/now.gex" "${operand[1]}" && called "$tmp/now.atac" "${operand[2]}"
require_partners "${operand[1]}" "$gex" "${operand[2]}" "$atac"
split_one() { # NAME STREAM
    step cms-cat --where split=test -o "$tmp/$1.test.cms" "$2"
    step cms-cat --except split=test "$2" | step "${hold[@]}" | step feature-sort >"$tmp/$1.train.cms"
}
start split_one gex "$gex" && start split_one atac "$atac" && finish
make_dir
join=()
case $within in
none) ;;
auto) ! can_join batch "$gex" "$atac" || join=(--within batch) ;;
*) join=(--within "$within") ;;
esac

printf 'method\tsoft\thard\ttop5\tfoscttm\taupr\tseconds\tmib\n' >"$tmp/line" && show "$tmp/line"
preset_of best && scaled=("${setting[prepare.gex]-}" "${setting[prepare.atac]-}") glue=('--method seurat' '--method glue')
preset_of linear && plain=("${setting[prepare.gex]-}" "${setting[prepare.atac]-}")
for name in "${known[@]}"; do
    preset_of "$name"
    [[ ${setting[schedule]-} =~ --epochs\ ([0-9]+)(\ --size\ ([0-9]+))?$ ]] && epochs=${BASH_REMATCH[1]} size=${BASH_REMATCH[3]}
    [ "${size:-0}" != 0 ] || [ "$epochs" = 0 ] || size=${BATCH:-0}
    baseline "$name" "${setting[prepare.gex]-}" "${setting[prepare.atac]-}" "${size:-0}" "$epochs" "xattn-train --preset $name"
done
baseline cca "${plain[@]}" 0 0 cca-train
baseline cca-scaled "${scaled[@]}" 0 0 'cca-train --lsi-scale 0.6' # the preparation of best, and none of its locality
baseline ridge "${plain[@]}" 0 0 'cca-train --method ridge'
baseline procrustes "${plain[@]}" 0 0 'cca-train --method procrustes'
baseline small "${plain[@]}" "${BATCH:-0}" 60 'mlp-train --preset small'
baseline novel "${glue[@]}" 16384 1000 'mlp-train --preset novel' '--quantile 0.99 --method exact'
baseline matchclot "${glue[@]}" 16384 1000 'mlp-train --preset matchclot' '--epsilon 0.01 --method sinkhorn'
baseline clue "${glue[@]}" 128 120 clue-train '--method snn'
fixture() { stage fixture.sh "$pipelines/fixture.sh" --seed "${opt[seed]-42}" "$1" "$tmp/gex.test.cms" "$tmp/atac.test.cms" >"$tmp/fixture"; }
for kind in "${fixtures[@]}"; do
    wanted "$kind" || continue
    run fixture "$kind"
    line "$kind" "$tmp/fixture" - -
done
