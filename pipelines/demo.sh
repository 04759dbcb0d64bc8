#!/usr/bin/env bash
# demo.sh - the whole pipeline on simulated cells, to a report; beside baselines and the best matcher
#
# Generates paired cells, trains, matches the cells of a batch that training has not seen, scores, reports.
# DIR keeps the files; files of that name which no demonstration made are not replaced.  EPOCHS_paper in the
# environment: epochs of the paper's network, 5 of its 20 by default.  See demo.sh(1).
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"

about='generate cells, train, match and report, beside baselines, the best possible matcher and chance'
operands='[DIR]' options='quick||preset linear, no baselines: seconds'
parse "$@" && [ ${#operand[@]} = 0 ] && operand=("$tmp/demo") kept= || kept=1
expect 1 && may_print
dir=${operand[0]} patience=200 preset=best ours=best
[ -z "${opt[quick]:-}" ] || preset=linear ours=score
if [ -e "$dir" ] || [ -L "$dir" ]; then
    [ -d "$dir" ] || die 4 "'$dir' is no directory"
    for f in "$dir"/{gex,atac,oracle,model,gex.test,atac.test,match,e,t}.cms "$dir"/{score,oracle,best,paper,cca}.tsv \
        "$dir"/{paper,cca}.{model,e,t,match}.cms "$dir/report.html"; do
        [ ! -L "$f" ] || misused "'$f' is a link; what it leads to would be lost"
        [ -e "$dir/.demo" ] || [ ! -e "$f" ] || misused "'$f' was not made by $me and would be lost"
    done
else
    mkdir -p -- "$dir" 2>/dev/null || die 4 "cannot create the directory '$dir'"
fi
check_directory "$dir" "$dir/.demo"
: >"$dir/.demo"
say() { [ "${opt[quiet]:-}" ] || { printf '%3ds  %-9s %s\n' $SECONDS "$1" "$2" >"$tmp/line" && show "$tmp/line"; }; }
pipe() { stage "$1" "$pipelines/$1" "${noise[@]:--q}" "${@:2}"; }

say generate '2,000 paired cells, 8 types, 4 batches; 2,500 genes, 5,000 peaks'
generate() { step cms-gen "${seed[@]}" "${noise[@]}" --gex "$dir/gex.cms" --atac "$dir/atac.cms" --oracle "$dir/oracle.cms" >/dev/null; }
run generate
say train "preset $preset on two batches, a third one tunes the temperature"
learn() { pipe train.sh "${seed[@]}" --preset $preset "$dir/gex.cms" "$dir/atac.cms" "$dir/model.cms"; }
run learn
say match 'the cells of the fourth batch, RNA against ATAC'
embed_side() { # PREPARATION SIDE OUT
    step "$1" -q --missing zero --like "$dir/model.cms" "$dir/$2.test.cms" | step embed --by-name --model "$dir/model.cms" -o "$dir/$3.cms"
}
match() {
    step cms-cat --where split=test -o "$dir/gex.test.cms" "$dir/gex.cms"
    step cms-cat --where split=test -o "$dir/atac.test.cms" "$dir/atac.cms"
    pipe match.sh "$dir/model.cms" "$dir/gex.test.cms" "$dir/atac.test.cms" "$dir/match.cms"
    step score -o "$dir/score.tsv" "$dir/match.cms"
    step score -o "$dir/oracle.tsv" "$dir/oracle.cms"
    embed_side lognorm gex e && embed_side tfidf atac t
}
run match
compare() { # all of them with the temperature of the highest match probability
    pipe match.sh --sharp "$dir/model.cms" "$dir/gex.test.cms" "$dir/atac.test.cms" "$tmp/sharp.cms"
    step score -q -o "$dir/best.tsv" "$tmp/sharp.cms"
    EPOCHS_paper=${EPOCHS_paper:-5} pipe rivals.sh "${seed[@]}" --rivals 'paper cca' "$dir" "$dir/gex.cms" "$dir/atac.cms" >/dev/null
    for name in paper cca; do step score -q -o "$dir/$name.tsv" "$dir/$name.match.cms"; done
}
others=()
if [ $ours = best ]; then
    say compare "the paper's network (${EPOCHS_paper:-5} of 20 epochs) and CCA on the same cells"
    run compare
    others=("$dir"/{best,paper,cca}.tsv)
fi
write_report() { # the tool: common.bash has a function of that name
    stage report command report -q --title 'A demonstration: simulated cells' -o "$dir/report.html" "$dir/match.cms" "$dir"/{e,t}.cms \
        "$dir/model.cms" "${others[@]:-$dir/score.tsv}" "$dir/oracle.tsv"
}
run write_report
[ -z "$kept" ] || say report "$dir/report.html"

awk -F '\t' -v preset="$preset" '
    FNR == 1 { file = FILENAME; sub(/.*\//, "", file); next }
    { v[file, $1] = $2 }
    function row(name, a, b, c) { printf "%-26s %18s %12s %12s\n", name, a, b, c }
    function number(file, key) { return sprintf("%.4f", v[file, key]) }
    function line(name, file) {
        if ((file, "top1") in v) row(name, number(file, "match_probability"), number(file, "top1"), number(file, "top5"))
    }
    END {
        n = v["oracle.tsv", "cells"]
        printf "\n%d unseen cells\n", n
        row("", "match probability", "top 1", "top 5")
        line("cellmatch (" preset ")", preset == "best" ? "best.tsv" : "score.tsv")
        line("the paper'\''s network", "paper.tsv")
        line("CCA", "cca.tsv")
        line("best possible matcher", "oracle.tsv")
        row("chance", number("oracle.tsv", "chance"), number("oracle.tsv", "chance"), sprintf("%.4f", 5 / n))
    }' "${others[@]:-$dir/score.tsv}" "$dir/oracle.tsv" >"$tmp/table"
show "$tmp/table"
