load ../helper

# The tours of README.md and cellmatch(7) are pasted line by line, as a reader would.

# The indented lines under the heading "A tour"; the first of them is the directory of the project.
tour() { awk '/^## / { on = $0 == "## A tour" } on && /^    / { print substr($0, 5) }' "$ROOT/README.md"; }
# The displays of one .Ss of cellmatch(7).
first_pipeline() {
    awk '/^\.S[sh] / { on = $0 == ".Ss The first pipeline" } /^\.Ed/ { inside = 0 }
        on && inside { gsub(/\\e/, "\\"); print } /^\.Bd/ { inside = 1 }' "$ROOT/man/cellmatch.7"
}
# Standard input is run as by somebody who stops at the first line that fails; what `score` says is
# kept as score.1, score.2 ...
paste_lines() {
    awk '{ print $0 (/^score [a-z.]*match[.]cms$/ ? " | tee score." ++n : "") }' >lines
    [ "$(grep -c '^score' lines)" -gt 0 ]
    bash -c 'set -eu
        trap "echo \"failed: \$BASH_COMMAND\" >&2" ERR
        . ./lines' >said 2>errors </dev/null || { cat errors; return 1; }
    ! grep ': error: ' errors || false
}
# Far above chance among cells that training has not seen.
good() { # FILE
    awk -F '\t' '{ v[$1] = $2 } END {
        print FILENAME ": " v["cells"] " cells, probability " v["match_probability"] ", first " v["top1"]
        exit !(v["cells"] == 334 && v["match_probability"] > 8 * v["chance"] && v["top1"] > 25 * v["chance"]) }' "$1"
}

@test "README: every line of the tour works, and its scores are far above chance" {
    ln -s "$BINDIR" bin
    ln -s "$ROOT/pipelines" pipelines
    [ "$(tour | wc -l)" -ge 25 ]
    tour | paste_lines
    cd tour
    [ "$(ls score.* | wc -l)" = 3 ]
    for k in 1 2 3; do good score.$k; done
    [ "$(grep -cE '^(linear|cca)' ../said)" = 2 ]

    # cellmatch(7), from the same files
    rm -f *.norm.cms model.cms e.cms t.cms *match.cms score.*
    first_pipeline | paste_lines
    good score.1
}
