load ../helper

# The tours of README.md and cellmatch(7) are pasted line by line, as a reader would.

# The indented lines under a heading of README; of the tour the first is the directory of the project.
under() { awk -v heading="## $1" '/^## / { on = $0 == heading } on && /^    / { print substr($0, 5) }' "$ROOT/README.md"; }
tour() { under "A tour"; }
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

@test "README: ten lines from two files of blood cells to types, expression, links and a report" {
    data=${CELLMATCH_DATA:-$ROOT/../shared/data}/pbmc_multiome_2k
    [ -e "$data/gex.h5ad" ] || skip "no real cells: CELLMATCH_DATA"
    [ "$MODE" = release ] || skip "a minute under a sanitizer"
    export data PATH=$ROOT/pipelines:$PATH
    [ "$(under "Your cells, in ten lines" | wc -l)" = 10 ]
    under "Your cells, in ten lines" | paste_lines
    awk -F '\t' '{ v[$1] = $2 } END { exit !(v["cells"] > 250 && v["match_probability"] > .1 && v["top5"] > .4) }' score.1
    # Types of the ATAC cells: of nine in ten they are those of their annotation.
    cms-text --labels -o truth.tsv test-atac.cms
    awk -F '\t' 'FNR == 1 { for (k = 1; k <= NF; k++) if ($k == "cell_type") at = k; file++; next }
        file == 1 { type[$1] = $at; next }
        { n++; hits += $at == type[$1] }
        END { print n " cells, " hits " types right"; exit !(n > 250 && hits > .8 * n) }' truth.tsv types.tsv
    [ "$(cms-info <(h5-read expression.h5ad) | awk -F '\t' '$1 == "rows" { print $2 }')" = "$(awk 'END { print NR - 1 }' truth.tsv)" ]
    [ "$(head -n 1 links.tsv | cut -f 1)" = gene ] && [ "$(wc -l <links.tsv)" -gt 20 ]
    grep -q '<h2>Peak-gene links' report.html
}

@test "README: its picture is what the script makes" {
    need plot
    "$ROOT/man/picture.sh" now.svg
    # Other processors round otherwise: numbers are not compared.
    for f in now.svg "$ROOT/man/picture.svg"; do sed -E 's/-?[0-9.]+/0/g' "$f" >"${f##*/}.shape"; done
    [ "$(wc -l <now.svg.shape)" -gt 300 ]
    cmp now.svg.shape picture.svg.shape
    grep -q '(man/picture.svg)' "$ROOT/README.md"
}
