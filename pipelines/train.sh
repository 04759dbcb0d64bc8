#!/usr/bin/env bash
# train.sh - a model from two files of cells measured both ways
#
#   train.sh [--preset P] [--annotation FILE] GEX ATAC MODEL.cms
# GEX, ATAC: .h5ad, .h5mu[/MODALITY], 10x .h5, MTX directory or matrix (the same twice where it holds
# both), .cms; the same cells by name.  Label split: `valid` cells choose the temperature alone (without any, a tenth is
# held out), `test` cells are left out.  LOGNORM, TFIDF (`$LOGNORM <in >out`) and TRAIN
# (`$TRAIN <pairs >model`) in the environment replace a stage.
# shellcheck source=pipelines/common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

synopsis='[--preset P] [--annotation FILE] GEX ATAC MODEL.cms'
preset=best annotation=()
while [ $# -gt 0 ]; do
    case $1 in
    --preset) preset=${2:?"$me: error: --preset needs a name"} && shift 2 ;;
    --annotation) annotation=(--annotation "${2:?"$me: error: --annotation needs a file"}") && shift 2 ;;
    -h | --help) echo "usage: $me $synopsis" && exit ;;
    --) shift && break ;;
    -*) usage "$synopsis" ;;
    *) break ;;
    esac
done
[ $# = 3 ] || usage "$synopsis"

# Preparation and mini-batches; best, attn: all training cells at once, or below 2,048 of one batch.
case $preset in
linear) rna='lognorm --method sqrt' atac='tfidf --method logtfidf' schedule=(--epochs 0) ;;
best | attn) rna='lognorm --method sqrt' atac='tfidf --method logtfidf --scale 300' schedule=(--epochs 60 --size 0) ;;
*) rna='lognorm --method seurat' atac='tfidf --method signac1 --binarize' schedule=(--epochs 20 --size 128) ;;
esac
[ "$preset" != authors ] || schedule=(--epochs 15 --size 100)
LOGNORM=${LOGNORM:-$rna --fit split=train} TFIDF=${TFIDF:-$atac --fit split=train}
TRAIN=${TRAIN:-xattn-train --preset $preset}

read_inputs "$1" "$2"

# The validation cells: those of the label, else a tenth, drawn by name: the same on both sides.
split=(cms-cat)
if ! has_label "$gex" split; then
    split=(holdout --fraction 0.1 --name valid)
    has_label "$atac" split && die 3 "$2 has the label split, $1 has not"
elif ! has_label "$atac" split; then
    die 3 "$1 has the label split, $2 has not"
elif ! values "$gex" split | grep -x valid >/dev/null; then
    split=(holdout --fraction 0.1 --name valid)
fi
prepare() { "${split[@]}" "$1" | cms-cat --except split=test | feature-sort "${annotation[@]}"; }
prepare_gex() { prepare "$gex" | $LOGNORM >"$tmp/gex.cms"; }
prepare_atac() { prepare "$atac" | $TFIDF >"$tmp/atac.cms"; }
both prepare_gex prepare_atac

if [[ $preset =~ ^(best|attn)$ ]] && [ "$(cms-text --labels "$tmp/gex.cms" | wc -l)" -gt 4096 ]; then
    schedule=(--epochs 60 --size 2048)
    ! has_label "$tmp/gex.cms" batch || schedule+=(--within batch)
fi
batch "${schedule[@]}" "$tmp/gex.cms" "$tmp/atac.cms" | $TRAIN >"$tmp/model.cms"
deliver "$tmp/model.cms" "$3"
