#!/usr/bin/env bash
# train.sh - a model from two files of cells measured both ways
#
# GEX, ATAC: .h5ad, .h5mu[/MODALITY], 10x .h5, MTX directory or matrix (the same twice where it holds
# both), .cms, - or a pipe; the same cells by name; proteins (ADT) may stand for ATAC.  Label split: `valid` cells choose the temperature
# alone (without any, a tenth is held out), `test` cells are left out.  LOGNORM, TFIDF (`$LOGNORM <in
# >out`) and TRAIN (`$TRAIN <pairs >model`) in the environment replace a stage.  See train.sh(1).
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"
# shellcheck source=pipelines/inputs.bash
. "$pipelines/inputs.bash"

about='train a model from two files of cells measured both ways' operands='GEX ATAC MODEL.cms'
read -ra known < <(presets)
printf -v words '%s, ' "${known[@]:0:${#known[@]}-1}"
options="preset,p|PRESET|${words%, } or ${known[*]: -1} (default best)|${known[*]}
annotation|FILE|coordinates of the genes: .gtf, .gff3 or .bed
max-memory|SIZE|memory of the training (K, M, G, T); beyond, cells lie in TMPDIR"
parse "$@" && expect 3
annotation=(${opt[annotation]+--annotation "${opt[annotation]}"})
[ -z "${opt[preset]+given}" ] || one_of preset "${opt[preset]}" "${known[@]}"
preset_of "${opt[preset]-}"
# The trainer's; batch, which ends when the trainer has read, gets a quarter, and the 4 KiB that it asks for at least.
memory=() share=()
if [ "${opt[max-memory]+given}" ]; then
    size=${opt[max-memory]}
    [[ $size =~ ^[1-9]([0-9]{0,14}|[0-9]{0,5}[KMGTkmgt])$ ]] || misused "--max-memory: expected a size such as 900M or 2G, found '$size'"
    memory=(--max-memory "$size") share=(--max-memory $(($(numfmt --from=iec "${size^^}") / 4 + 4096)))
fi
[ ${#annotation[@]} = 0 ] || [ -r "${annotation[1]}" ] || die 4 "cannot open '${annotation[1]}'"
check_output "${operand[2]}" "${operand[@]:0:2}" "${annotation[@]:1}"

with_rows=1
read_inputs "${operand[@]:0:2}"
called "$tmp/gex.cms" "${operand[0]}" && called "$tmp/atac.cms" "${operand[1]}"
called "$gex" "${operand[0]}" && called "$atac" "${operand[1]}"
require_counts LOGNORM "${operand[0]}" "$gex" && require_counts TFIDF "${operand[1]}" "$atac"

# Preparation and mini-batches; proteins are prepared by clr, of which no preset says more.
peaks="tfidf ${setting[prepare.atac]-}"
[ "$second" != ADT ] || peaks="clr ${setting[prepare.adt]-}"
progress=$([ ! -t 2 ] || [ "${opt[quiet]:-}" ] || echo --progress always)
LOGNORM=${LOGNORM:-lognorm ${setting[prepare.gex]-} --fit split=train ${noise[*]}} TFIDF=${TFIDF:-$peaks --fit split=train ${noise[*]}}
TRAIN=${TRAIN:-xattn-train --preset $preset ${memory[*]} ${seed[*]} ${noise[*]} $progress}

# The validation cells: those of the label, else a tenth, drawn by name: the same on both sides.
split=() drawn='label split=valid'
check_split() { # FILE STREAM OUT
    local odd
    has_label "$2" split && values "$2" split "$3" || : >"$3"
    odd=$(awk '!/^(train|valid|test)?$/ { if (!n[$0]++) value[++values] = $0 }
        END { for (k = 1; k <= values && k <= 5; k++) printf "%s%s (%d)", (k > 1 ? ", " : ""), value[k], n[value[k]] }' "$3")
    [ -z "$odd" ] || die 3 "'$1': the label split may be train, valid or test; found: $odd"
}
check_split "${operand[0]}" "$gex" "$tmp/split.gex" && check_split "${operand[1]}" "$atac" "$tmp/split.atac"
[ -s "$tmp/split.gex" ] || [ ! -s "$tmp/split.atac" ] || die 3 "'${operand[1]}' has the label split, '${operand[0]}' has not"
[ ! -s "$tmp/split.gex" ] || [ -s "$tmp/split.atac" ] || die 3 "'${operand[0]}' has the label split, '${operand[1]}' has not"
grep -qx valid "$tmp/split.gex" || split=(holdout --fraction 0.1 --name valid "${seed[@]}") drawn='a tenth, drawn by name'
require_partners "${operand[0]}" "$gex" "${operand[1]}" "$atac"
cells() { # SIDE FILE: those to train and to validate on; nobody asks for it where that is all of them
    if [ ${#split[@]} = 0 ]; then stage cms-cat cms-cat "${noise[@]}" --except split=test "$2"
    elif [ ! -s "$tmp/test.$1" ]; then stage split "${split[@]}" "${noise[@]}" "$2"
    else stage split "${split[@]}" "${noise[@]}" "$2" | stage cms-cat cms-cat "${noise[@]}" --except split=test; fi
}
prepare() { # SIDE STREAM VARIABLE
    local sort=(stage feature-sort feature-sort "${noise[@]}" "${annotation[@]}")
    grep -x test "$tmp/split.$1" >"$tmp/test.$1" || :
    if [ ${#split[@]} = 0 ] && [ ! -s "$tmp/test.$1" ]; then "${sort[@]}" "$2"; else cells "$1" "$2" | "${sort[@]}"; fi | stage "$3" ${!3}
}
prepare_gex() { subject=${operand[0]} && prepare gex "$gex" LOGNORM >"$tmp/gex.cms"; }
prepare_atac() { subject=${operand[1]} && prepare atac "$atac" TFIDF >"$tmp/atac.cms"; }
start prepare_gex && start prepare_atac
finish LOGNORM "$tmp/gex.cms" matrix TFIDF "$tmp/atac.cms" matrix

learnt=$(($(wc -l <"${tables[$gex]}") - 1 - $(wc -l <"$tmp/test.gex"))) # cells
schedule_for "${rows[$tmp/gex.cms]-$learnt}" "$tmp/gex.cms" "$tmp/atac.cms"
train() { stage batch batch $schedule "${share[@]}" "${seed[@]}" "${noise[@]}" "$tmp/gex.cms" "$tmp/atac.cms" | stage TRAIN $TRAIN >"$tmp/model.cms"; }
start train && finish TRAIN "$tmp/model.cms" model
deliver "$tmp/model.cms"
head_of "$tmp/model.cms"
if [ "${head[valid.cells]:-0}" = 0 ]; then
    report "${head[train.cells]-} cells trained the model, no cell validated it ($drawn); $SECONDS seconds"
else
    report "${head[train.cells]-} cells trained the model, ${head[valid.cells]-} validated it ($drawn)"
    report "validation: match probability $(short valid.soft), right in first place $(short valid.dual), chance $(short valid.chance); $SECONDS seconds"
fi
