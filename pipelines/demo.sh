#!/usr/bin/env bash
# demo.sh - the whole pipeline on simulated cells, beside the best possible matcher and chance
#
# Generates paired cells, trains, matches the cells of a batch that training has not seen, scores.
# DIR keeps the files; files of that name which no demonstration made are not replaced.  See demo.sh(1).
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"

about='generate cells, train, match, and score beside the best possible matcher' operands='[DIR]' options=
parse "$@" && [ ${#operand[@]} = 0 ] && operand=("$tmp/demo") kept= || kept=1
expect 1 && may_print
dir=${operand[0]} patience=200
if [ -e "$dir" ] || [ -L "$dir" ]; then
    [ -d "$dir" ] || die 4 "'$dir' is no directory"
    for f in "$dir"/{gex,atac,oracle,model,gex.test,atac.test,match}.cms "$dir"/{score,oracle}.tsv; do
        [ ! -L "$f" ] || misused "'$f' is a link; what it leads to would be lost"
        [ -e "$dir/.demo" ] || [ ! -e "$f" ] || misused "'$f' was not made by $me and would be lost"
    done
else
    mkdir -p -- "$dir" 2>/dev/null || die 4 "cannot create the directory '$dir'"
fi
check_directory "$dir" "$dir/.demo"
: >"$dir/.demo"
say() { [ "${opt[quiet]:-}" ] || { printf '%3ds  %-9s %s\n' $SECONDS "$1" "$2" >"$tmp/line" && show "$tmp/line"; }; }

say generate '2,000 paired cells, 8 types, 4 batches; 2,500 genes, 5,000 peaks'
generate() { step cms-gen "${seed[@]}" "${noise[@]}" --gex "$dir/gex.cms" --atac "$dir/atac.cms" --oracle "$dir/oracle.cms" >/dev/null; }
run generate
say train 'preset linear on two batches, a third one tunes the temperature'
learn() { stage train.sh "$pipelines/train.sh" "${noise[@]:--q}" "${seed[@]}" --preset linear "$dir/gex.cms" "$dir/atac.cms" "$dir/model.cms"; }
run learn
say match 'the cells of the fourth batch, RNA against ATAC'
match() {
    step cms-cat --where split=test -o "$dir/gex.test.cms" "$dir/gex.cms"
    step cms-cat --where split=test -o "$dir/atac.test.cms" "$dir/atac.cms"
    stage match.sh "$pipelines/match.sh" "${noise[@]:--q}" "$dir/model.cms" "$dir/gex.test.cms" "$dir/atac.test.cms" "$dir/match.cms"
    step score -o "$dir/score.tsv" "$dir/match.cms"
    step score -o "$dir/oracle.tsv" "$dir/oracle.cms"
}
run match
[ -z "$kept" ] || say files "$dir"

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
    }' "$dir/score.tsv" "$dir/oracle.tsv" >"$tmp/table"
show "$tmp/table"
