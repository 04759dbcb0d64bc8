# feature-select: its numbers are NumPy's and pandas', its choice follows from them.
load ../helper

names() { cms-text --cols "$1" | sed 1d | cut -f 1 | paste -sd ' '; }

# numbers STATE ROWS [OPTIONS]: the table against the oracle's.
numbers() {
    local state=$1 rows=$2
    shift 2
    cms-text --from -o in.cms "$REF/select.$state.txt"
    feature-select --top 10 "$@" --table got.tsv -o out.cms in.cms
    awk -F '\t' '
        function near(a, b) { if (a == "nan" || b == "nan") return a == b; d = a - b; if (d < 0) d = -d; m = b < 0 ? -b : b; return d <= 1e-9 * (1 + m) }
        NR == FNR { want[$1] = $0; next }
        FNR > 1 {
            split(want[$1], w, "\t")
            if ($2 != w[2] || !near($3, w[3]) || !near($4, w[4]) || !near($5, w[5]) || !near($6, w[6])) { print; print want[$1]; bad++ }
            n++
        }
        END { exit bad || n != 70 }' "$REF/select.$state.$rows.want" got.tsv
}
# best COLUMN N FILE: names of the N features with the largest number in that column, in input order.
best() { awk -F '\t' -v c="$1" '{ print ($c == "nan" ? -1e300 : $c) "\t" NR "\t" $1 }' "$3" | sort -k1,1gr -k2,2n | head -n "$2" | sort -k2,2n | cut -f 3 | paste -sd ' '; }

@test "the numbers of every feature are the oracle's: counts, log-normalised, all cells, some" {
    numbers counts all
    numbers lognorm all
    numbers counts train --fit set=train
    numbers lognorm train --fit set=train
}

@test "the choice: the best N by each score, in the order of the input" {
    local state n
    for state in counts lognorm; do
        cms-text --from -o in.cms "$REF/select.$state.txt"
        for n in 1 7 40; do
            [ "$(names <(feature-select --top $n in.cms))" = "$(best 6 $n "$REF/select.$state.all.want")" ]
            [ "$(names <(feature-select --top $n --by variance in.cms))" = "$(best 4 $n "$REF/select.$state.all.want")" ]
            [ "$(names <(feature-select -k $n --by cells in.cms))" = "$(best 2 $n "$REF/select.$state.all.want")" ]
        done
    done
    [ "$(names <(feature-select --min-cells 30 in.cms))" = "$(awk '$2 >= 30 { print $1 }' "$REF/select.lognorm.all.want" | paste -sd ' ')" ]
    awk '$2 >= 30' "$REF/select.lognorm.all.want" >enough
    [ "$(names <(feature-select --min-cells 30 --top 5 --by variance in.cms))" = "$(best 4 5 enough)" ]
    # a tie goes to the earlier feature; the table says what was kept
    feature-select --top 60 --by cells --table t.tsv -o out.cms in.cms
    [ "$(names out.cms)" = "$(awk -F '\t' '$7 == 1 { print $1 }' t.tsv | paste -sd ' ')" ]
}

@test "values, labels and column tables stay; a pipe gives the same" {
    prepared gex.cms atac.tfidf.cms
    local f
    for f in gex.cms atac.tfidf.cms; do
        feature-select --no-provenance --top 50 --by cells -o s.cms $f
        names s.cms | tr ' ' '\n' >list
        cms-cat --columns list $f | cms-diff --tolerance 0 s.cms -
        cat $f | feature-select --no-provenance --top 50 --by cells | cmp s.cms -
        cms-text --triplets s.cms >some
        cms-text --triplets $f | awk -F '\t' 'NR == FNR { k[$1]; next } $2 in k' list - | cmp some -
    done
    cms-text s.cms | cms-text --from | feature-select --top 50 --by cells | cms-diff --tolerance 0 s.cms -
}

@test "a dense slot: zeros count as zeros" {
    load tiny
    DENSE=1 tiny scaled 'p x 1 0.5 0 -3' 'q y 1 0 0 0' 'r x 2 1 2 0' >d.cms
    tiny scaled 'p x 1 A:0.5 C:-3' 'q y 1' 'r x 2 A:1 B:2' >s.cms
    feature-select --top 2 --by variance --table d.tsv -o d2.cms d.cms
    feature-select --top 2 --by variance --table s.tsv -o s2.cms s.cms
    for t in d s; do awk -F '\t' 'NR > 1 { printf "%s %d %.12g %.12g %d\n", $1, $2, $3, $4, $7 }' $t.tsv >$t.txt; done
    cmp d.txt s.txt
    [ "$(wc -l <d.txt)" = 3 ]
    cms-diff d2.cms s2.cms
    [ "$(names d2.cms)" = "B C" ]
}

@test "--like: the features of a stream or model, in its order" {
    prepared gex.cms model.cms gex.log.cms
    feature-select --top 20 --by variance -o a.cms gex.cms
    cms-text --cols a.cms | sed 1d | cut -f 1 | sort -R --random-source=gex.cms >mixed
    cms-cat --columns mixed -o mixed.cms a.cms
    feature-select --like mixed.cms -o b.cms gex.cms
    [ "$(names b.cms)" = "$(paste -sd ' ' mixed)" ]
    cms-diff --tolerance 0 b.cms <(cms-cat --columns mixed gex.cms)
    feature-select --like model.cms gex.log.cms | embed --model model.cms -o e.cms
    embed --model model.cms gex.log.cms | cms-diff --tolerance 0 e.cms -
    fails 3 feature-select --like gex.cms -o x.cms a.cms
    says 'the input has no column '
    says ', which gex.cms has'
    prepared atac.cms
    fails 3 feature-select --like atac.cms -o x.cms gex.cms
    says 'atac.cms: no slot GEX'
}

@test "fewer features than asked for: all of them, with a warning; options that contradict" {
    prepared gex.cms
    feature-select --top 500 -o x.cms gex.cms 2>err
    cms-diff gex.cms x.cms
    grep -q 'warning: 200 features are all there are to choose from, not 500' err
    fails 2 feature-select gex.cms
    says 'nothing to choose by'
    fails 2 feature-select --like gex.cms --top 5 gex.cms
    fails 2 feature-select --by cells --min-cells 3 gex.cms
    fails 3 feature-select --top 5 --fit split=nosuch -o x.cms gex.cms
    says 'no cells to choose features by'
    fails 3 feature-select --top 5 --fit nosuch=1 gex.cms
    feature-select --min-cells 100000 gex.cms | cms-info - | grep -qx "$(printf 'slot.0.cols\t0')"
}
