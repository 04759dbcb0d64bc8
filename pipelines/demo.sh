#!/usr/bin/env bash
# demo.sh - the whole way on made-up cells, beside the best possible matcher and chance
#
#   demo.sh [DIR]
# Generates paired cells, trains, matches the cells of a batch that training has not seen, scores.
# DIR keeps the files.
# shellcheck source=pipelines/common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

case $#${1:-} in
1-h | 1--help) echo "usage: $me [DIR]" && exit ;;
1-* | [2-9]*) usage '[DIR]' ;;
esac
dir=${1:-$tmp/demo}
mkdir -p "$dir"
say() { printf '%3ds  %-9s %s\n' $SECONDS "$1" "$2"; }

say generate '2,000 paired cells, 8 types, 4 batches; 2,500 genes, 5,000 peaks'
cms-gen --gex "$dir/gex.cms" --atac "$dir/atac.cms" --oracle "$dir/oracle.cms" >/dev/null
say train 'preset linear on two batches, a third one tunes the temperature'
"$pipelines/train.sh" --preset linear "$dir/gex.cms" "$dir/atac.cms" "$dir/model.cms"
say match 'the cells of the fourth batch, RNA against ATAC'
cms-cat --where split=test -o "$dir/gex.test.cms" "$dir/gex.cms"
cms-cat --where split=test -o "$dir/atac.test.cms" "$dir/atac.cms"
"$pipelines/match.sh" "$dir/model.cms" "$dir/gex.test.cms" "$dir/atac.test.cms" "$dir/match.cms"
score "$dir/match.cms" >"$dir/score.tsv"
score "$dir/oracle.cms" >"$dir/oracle.tsv"
[ $# = 0 ] || say files "$dir"

awk -F '\t' '
    FNR == 1 { side++; next }
    { v[side, $1] = $2 }
    function row(name, a, b, c) { printf "%-26s %18s %12s %12s\n", name, a, b, c }
    function number(side, key) { return sprintf("%.4f", v[side, key]) }
    function line(name, side) {
        row(name, number(side, "match_probability"), number(side, "top1"), number(side, "top5"))
    }
    END {
        n = v[1, "cells"]
        printf "\n%d unseen cells\n", n
        row("", "match probability", "top 1", "top 5")
        line("cellmatch (linear)", 1)
        line("best possible matcher", 2)
        row("chance", number(1, "chance"), number(1, "chance"), sprintf("%.4f", 5 / n))
    }' "$dir/score.tsv" "$dir/oracle.tsv"
