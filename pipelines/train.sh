#!/usr/bin/env bash
# train.sh - a model from two files of cells measured both ways
#
# GEX, ATAC: .h5ad, .h5mu[/MODALITY], 10x .h5, MTX directory or matrix (the same twice where it holds
# both), .cms, - or a pipe; the same cells by name.  Label split: `valid` cells choose the temperature
# alone (without any, a tenth is held out), `test` cells are left out.  LOGNORM, TFIDF (`$LOGNORM <in
# >out`) and TRAIN (`$TRAIN <pairs >model`) in the environment replace a stage.  See train.sh(1).
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"
# shellcheck source=pipelines/inputs.bash
. "$pipelines/inputs.bash"

about='train a model from two files of cells measured both ways' operands='GEX ATAC MODEL.cms'
options='preset,p|PRESET|linear, best, attn, paper or authors (default best)
annotation|FILE|coordinates of the genes: .gtf, .gff3 or .bed'
parse "$@" && expect 3
preset=${opt[preset]-best} annotation=(${opt[annotation]+--annotation "${opt[annotation]}"})
one_of preset "$preset" linear best attn paper authors
[ ${#annotation[@]} = 0 ] || [ -r "${annotation[1]}" ] || die 4 "cannot open '${annotation[1]}'"
check_output "${operand[2]}" "${operand[@]:0:2}" "${annotation[@]:1}"

# Preparation and mini-batches; best, attn: all training cells at once, or below 2,048 of one batch.
case $preset in
linear) rna='lognorm --method sqrt' peaks='tfidf --method logtfidf' schedule=(--epochs 0) ;;
best | attn) rna='lognorm --method sqrt' peaks='tfidf --method logtfidf --scale 300' schedule=(--epochs 60 --size 0) ;;
*) rna='lognorm --method seurat' peaks='tfidf --method signac1 --binarize' schedule=(--epochs 20 --size 128) ;;
esac
[ "$preset" != authors ] || schedule=(--epochs 15 --size 100)
progress=$([ ! -t 2 ] || [ "${opt[quiet]:-}" ] || echo --progress always)
LOGNORM=${LOGNORM:-$rna --fit split=train ${noise[*]}} TFIDF=${TFIDF:-$peaks --fit split=train ${noise[*]}}
TRAIN=${TRAIN:-xattn-train --preset $preset ${seed[*]} ${noise[*]} $progress}

read_inputs "${operand[@]:0:2}"

# The validation cells: those of the label, else a tenth, drawn by name: the same on both sides.
split=(cms-cat) drawn='label split=valid'
has_label "$gex" split && values "$gex" split "$tmp/split" || : >"$tmp/split"
[ -s "$tmp/split" ] || ! has_label "$atac" split || die 3 "'${operand[1]}' has the label split, '${operand[0]}' has not"
[ ! -s "$tmp/split" ] || has_label "$atac" split || die 3 "'${operand[0]}' has the label split, '${operand[1]}' has not"
grep -qx valid "$tmp/split" || split=(holdout --fraction 0.1 --name valid "${seed[@]}") drawn='a tenth, drawn by name'
prepare() { # STREAM VARIABLE
    stage split "${split[@]}" "${noise[@]}" "$1" | stage cms-cat cms-cat "${noise[@]}" --except split=test |
        stage feature-sort feature-sort "${noise[@]}" "${annotation[@]}" | stage "$2" ${!2}
}
prepare_gex() { prepare "$gex" LOGNORM >"$tmp/gex.cms"; }
prepare_atac() { prepare "$atac" TFIDF >"$tmp/atac.cms"; }
start prepare_gex && start prepare_atac
finish LOGNORM "$tmp/gex.cms" matrix TFIDF "$tmp/atac.cms" matrix

if [[ $preset =~ ^(best|attn)$ ]] && [ "$(cms-text --labels "$tmp/gex.cms" | wc -l)" -gt 4096 ]; then
    schedule=(--epochs 60 --size 2048)
    ! can_join batch "$tmp/gex.cms" "$tmp/atac.cms" || schedule+=(--within batch)
fi
train() { stage batch batch "${schedule[@]}" "${seed[@]}" "${noise[@]}" "$tmp/gex.cms" "$tmp/atac.cms" | stage TRAIN $TRAIN >"$tmp/model.cms"; }
start train && finish TRAIN "$tmp/model.cms" model
deliver "$tmp/model.cms"
head_of "$tmp/model.cms"
tell "$(key train.cells) cells trained the model, $(key valid.cells) validated it ($drawn)"
tell "validation: match probability $(short valid.soft), right in first place $(short valid.dual), chance $(short valid.chance); $SECONDS seconds"
