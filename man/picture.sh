#!/usr/bin/env bash
# picture.sh - the figure of README.md: unseen cells of both sides in one plane, made by `plot`.
#
# picture.sh OUT.svg.  Generated cells, so that everybody gets the same: the model has never seen the batch that is
# drawn.  Lines join partners.
set -euo pipefail
out=${1:?picture.sh OUT.svg}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH=$root/bin:$root/pipelines:$PATH
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cms-gen -q --gex "$tmp/gex.cms" --atac "$tmp/atac.cms"
train.sh -q --preset linear "$tmp/gex.cms" "$tmp/atac.cms" "$tmp/model.cms"
embedded() { # PREPARATION SIDE OUT
    cms-cat --where split=test "$tmp/$2.cms" | "$1" -q --like "$tmp/model.cms" | embed --by-name --model "$tmp/model.cms" -o "$tmp/$3.cms"
}
embedded lognorm gex e
embedded tfidf atac t
plot -q scatter --lines 60 --title 'RNA and ATAC profiles of 334 unseen cells, lines between partners' -o "$out" "$tmp/e.cms" "$tmp/t.cms"
