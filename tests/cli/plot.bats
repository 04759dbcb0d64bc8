#!/usr/bin/env bats
# plot: the numbers behind figures are scikit-learn's; pictures are well-formed, the same each time,
# and nothing is left out in silence.
load ../helper

setup() {
    scratch
    need plot cms-text
}
truth_is_known() { cms-text --from -o known.cms "$REF/plot.match.txt"; }
# near WANT GOT [TOLERANCE]: two tables of numbers with as many lines.
near() {
    cat "$1" >near.1
    cat "$2" >near.2
    [ "$(wc -l <near.1)" = "$(wc -l <near.2)" ]
    paste near.1 near.2 | awk -v t="${3:-1e-6}" '
        NF % 2 { bad = 1 }
        { for (k = 1; k <= NF / 2; k++) { d = $k - $(k + NF / 2); if (d > t || d < -t) { print; bad = 1 } } }
        END { exit bad || !NR }'
}
sound() { # SVG...: XML, no script, nothing from elsewhere, no long decimals
    local f
    for f in "$@"; do
        if command -v xmllint >/dev/null; then xmllint --noout "$f"; fi
        head -n 1 "$f" | grep -q '^<svg xmlns="http://www.w3.org/2000/svg" '
        [ "$(tail -n 1 "$f")" = '</svg>' ]
        if sed 's/base64,[^"]*//' "$f" |
            grep -E '<script|href="[^d]|url\(|[xyr12]="[0-9]*\.[0-9]{3}|[ "](nan|inf)'; then return 1; fi
    done
}

@test "precision and recall are scikit-learn's, at every value" {
    truth_is_known
    plot pr --tsv pr.tsv -o pr.svg known.cms 2>err
    # Drawn through some of the 1600 points; those are right.
    grep -q 'warning: The curve is drawn through [0-9]* of its 1600 points' err
    grep -q 'is drawn through [0-9]* of its 1600 points' pr.svg
    sed 1d pr.tsv | awk -F '\t' '{ print $2 }' >at
    [ "$(wc -l <at)" -gt 200 ]
    [ "$(tail -n 1 at)" = 1600 ]
    awk 'NR == FNR { line[FNR] = $0; next } { print line[$1] }' "$REF/plot.pr.want" at >want
    near want <(sed 1d pr.tsv | cut -f 3,4)
    sound pr.svg
}

@test "a short curve has every point; pairs that are not stored follow in random order" {
    truth_is_known
    cms-text known.cms | awk -F '\t' -v OFS='\t' '/^#/ { if ($2 == "slot.0.state") $3 = "similarity"; print; next }
        { row = $1; for (k = 2; k <= NF; k++) { split($k, e, ":"); if (e[2] > 0.08) row = row OFS $k } print row }' |
        cms-text --from -o some.cms
    plot pr --tsv pr.tsv -o pr.svg some.cms 2>err
    n=$(sed 1d pr.tsv | wc -l)
    [ "$n" -lt 400 ]
    [ ! -s err ]
    near <(head -n "$n" "$REF/plot.pr.want") <(sed 1d pr.tsv | cut -f 3,4)
    grep -q 'the others, in random order' pr.svg
}

@test "recall at k and chance are scikit-learn's; places count every cell once" {
    truth_is_known
    plot ranks --tsv ranks.tsv -o ranks.svg known.cms
    near "$REF/plot.recall.want" <(awk -F '\t' '$1 == "recall" && $3 <= 10' ranks.tsv | cut -f 3-)
    [ "$(awk -F '\t' '$1 == "places" { n += $4 } END { print n }' ranks.tsv)" = 40 ]
    [ "$(awk -F '\t' '$1 == "places" && $3 <= 2 { n += $4 } END { print n }' ranks.tsv)" = \
        "$(awk '$1 == 2 { print $2 * 40 }' "$REF/plot.recall.want")" ]
    sound ranks.svg
}

@test "equals share their places; chance is within batches; partners that are not stored are counted" {
    prepared e.cms t.cms
    knn-match -q -k 3 --within batch --similarities e.cms t.cms | assign -q --method softmax -o match.cms
    plot ranks --tsv ranks.tsv -o ranks.svg match.cms 2>err
    score -o score.tsv match.cms
    of() { awk -F '\t' -v m="$1" '$1 == m { print $2 }' score.tsv; }
    at() { awk -F '\t' -v k="$1" -v c="$2" '$1 == "recall" && $3 == k { print $c }' ranks.tsv; }
    for k in 1 5 10; do close_to "$(at $k 4)" "$(of top$k)" 1e-9; done
    close_to "$(at 1 5)" "$(of chance)" 1e-9
    none=$(awk -F '\t' '$1 == "places" && $2 == "-" { print $4 }' ranks.tsv)
    [ "$none" -gt 0 ]
    grep -q "warning: Of $none cells the partner is not among the stored candidates" err
}

@test "the reliability diagram is scikit-learn's calibration curve, and score's bins" {
    truth_is_known
    plot reliability --tsv bins.tsv -o bins.svg known.cms
    near "$REF/plot.bins.want" <(sed 1d bins.tsv | cut -f 3,4)
    score --reliability of-score.tsv -o /dev/null known.cms
    cmp bins.tsv of-score.tsv
    sound bins.svg
    fails 3 plot reliability --pairs /dev/null known.cms
}

@test "confusion: shares of the rows' probability, of the match's labels or another stream's" {
    prepared match.cms gex.cms
    plot heatmap --by cell_type --tsv own.tsv -o own.svg match.cms
    plot heatmap --by cell_type --labels gex.cms --tsv other.tsv -o other.svg match.cms
    cmp own.tsv other.tsv
    sound own.svg
    cms-text --labels gex.cms | awk -F '\t' -v OFS='\t' '
        NR == 1 { for (k = 1; k <= NF; k++) if ($k == "cell_type") c = k; next }
        { print $1, $c }' >types
    cms-text match.cms | awk -F '\t' -v OFS='\t' '
        NR == FNR { type[$1] = $2; next }
        /^#/ { next }
        {
            for (k = 2; k <= NF; k++)
                if (split($k, e, ":") == 2 && e[1] in type) {
                    sum[type[$1]] += e[2]
                    v[type[$1], type[e[1]]] += e[2]
                }
        }
        END { for (a in sum) for (b in sum) printf "%s\t%s\t%.9f\n", a, b, v[a, b] / sum[a] }' \
        types - | sort -k 1,2 >want
    sed 1d own.tsv | sort -k 1,2 >got
    near <(cut -f 3 want) <(cut -f 3 got)
    diff <(cut -f 1,2 want) <(cut -f 1,2 got)
}

@test "a map of attention: borders between chromosomes, values as they are, pixels as PNG" {
    prepared tokens.cms gex.log.cms
    xattn-map --model tokens.cms --gex gex.log.cms -o map.cms
    plot heatmap --tsv map.tsv -o map.svg map.cms
    sound map.svg
    chroms=$(cms-text --cols map.cms | cut -f 3 | sed 1d | uniq | wc -l)
    [ "$(grep -c 'class="edge"' map.svg)" = $((2 * (chroms - 1))) ]
    near <(cms-text --bare map.cms | cut -f 5-) <(sed 1d map.tsv | cut -f 2-)
    plot heatmap -o map.png map.cms
    [ "$(head -c 4 map.png | od -An -c | tr -d ' ')" = '211PNG' ]
    plot heatmap --format svg -o other.png map.cms
    cmp other.png map.svg
    plot heatmap --scale log map.cms | grep -q 'mean attention'
}

@test "scatter: sides, labels and lines; what has no colour or no line is said" {
    prepared e.cms t.cms
    plot scatter --lines 50 --tsv points.tsv -o s.svg e.cms t.cms 2>err
    sound s.svg
    [ "$(grep -c 'class="faint"' s.svg)" = 50 ]
    grep -q 'warning: Lines join 50 of the 300 true pairs' err
    [ "$(sed 1d points.tsv | cut -f 2 | sort | uniq -c | awk '{ print $1 }' | tr '\n' ' ')" = '300 300 ' ]
    diff <(sed 1d points.tsv | awk -F '\t' '$2 == 1 { print $1, $5 }' | sort) \
        <(sed 1d points.tsv | awk -F '\t' '$2 == 2 { print $1, $5 }' | sort)
    plot scatter -q e.cms t.cms | grep -c 'class="faint"' | grep -qx 200
    plot scatter --lines 0 e.cms t.cms 2>err >/dev/null
    [ ! -s err ]
    fails 3 plot scatter --by nonsense e.cms
    says 'nonsense'
}

@test "scatter: more than 5,000 cells are pixels, more than eight values are reported" {
    need cms-gen svd
    cms-gen --gex g.cms --atac a.cms --cells 5200 --genes 40 --peaks 40 --types 11 --nnz-gex 10 --nnz-atac 10
    lognorm -q g.cms | svd -q -k 4 -o s.cms
    plot scatter -o s.svg s.cms 2>err
    sound s.svg
    [ "$(grep -c '<image ' s.svg)" = 1 ]
    grep -q 'warning: Only the 7 most frequent values have a colour; [0-9]* cells of others are grey' err
    [ "$(grep -c '<circle' s.svg)" -lt 20 ]
    plot scatter -q -o s.png s.cms
    head -c 4 s.png | od -An -c | tr -d ' ' | grep -qx '211PNG'
}

@test "curve: losses and validation of several logs, by step" {
    printf 'step\tepoch\tloss\tvalidation\n0\t1\t5\t\n1\t1\t4\t0.1\n2\t2\t3\t\n3\t2\t2.5\t0.2\n' >a.tsv
    awk 'BEGIN { print "step\tloss"; for (k = 0; k < 1000; k++) print k "\t" 1000 - k }' >b.tsv
    plot curve --tsv a.points -o a.svg a.tsv
    sound a.svg
    [ "$(grep -c validation a.points)" = 2 ]
    [ "$(grep -c '	loss	' a.points)" = 4 ]
    plot curve --columns loss --tsv ab.points -o ab.svg a.tsv b.tsv 2>err
    grep -q 'warning: loss of b.tsv: means of 3 consecutive ones of 1000 values' err
    [ "$(awk -F '\t' '$1 == "b.tsv"' ab.points | head -n 1 | cut -f 3,4)" = '1	999' ]
    plot curve <a.tsv | cmp - a.svg
    printf 'step\tloss\n1\t1e308\n2\t-1e308\n' >far.tsv
    plot curve -o far.svg far.tsv
    sound far.svg
    fails 3 plot curve --columns nonsense a.tsv
    says "no column 'nonsense'; columns here: step, epoch, loss, validation"
}

@test "arcs: links of a segment, from a table or BEDPE; those that leave it are counted" {
    {
        printf 'gene\tchrom\ttss\tpeak\tstart\tend\tdistance\tcorrelation\tz\tp\tq\tweight\n'
        printf 'G1\tchr1\t10000\tp1\t14000\t14500\t4250\t.3\t9\t0\t0\t2\n'
        printf 'G1\tchr1\t10000\tp2\t6000\t6500\t-3750\t-.2\t9\t0\t0\t-1\n'
        printf 'G<2>\tchr1\t12000\tp3\t40000\t40500\t28250\t.2\t9\t0\t0\t1\n'
        printf 'G3\tchr2\t12000\tp4\t13000\t13500\t1250\t.2\t9\t0\t0\t1\n'
    } >links.tsv
    plot arcs --tsv drawn.tsv -o a.svg links.tsv 2>err
    sound a.svg
    diff <(printf 'p1\np2\n') <(sed 1d drawn.tsv | cut -f 4)
    grep -q 'warning: 1 links have one end outside' err
    plot arcs --region chr1:0-50000 --tsv all.tsv links.tsv >b.svg
    sound b.svg
    grep -q 'G&lt;2&gt;' b.svg
    [ "$(sed 1d all.tsv | wc -l)" = 3 ]
    sed 1d links.tsv | awk -F '\t' -v OFS='\t' '{ print $2, $5, $6, $2, $3, $3 + 1, $1, $12 }' >links.bedpe
    plot arcs --region chr1:0-50000 --tsv bedpe.tsv links.bedpe >/dev/null
    diff <(sed 1d all.tsv | cut -f 1-3,5-7) <(sed 1d bedpe.tsv | cut -f 1-3,5-7)
    fails 2 plot arcs --region chr1:9-3 links.tsv
    says 'expected CHROM:START-END'
    # another chromosome is an error, a place without links is not
    fails 3 plot arcs --region NOSUCH:1-2000 links.tsv
    says "links.tsv: no link is on chromosome 'NOSUCH'; links are on chr1, chr2"
    plot arcs --region chr2:500000-600000 --tsv none.tsv -o n.svg links.tsv 2>err
    sound n.svg
    grep -q 'warning: No link lies on this segment' err
    [ "$(wc -l <none.tsv)" = 1 ]
    # a header alone
    head -n 1 links.tsv >empty.tsv
    for how in '' '--gene G1' '--region chr1:1-2000'; do
        # shellcheck disable=SC2086
        fails 3 plot arcs $how empty.tsv
        says 'empty.tsv: expected links, found a header alone: peak-links found none'
    done
}

@test "arcs: coordinates in digits; numbers that are none are refused, with file, row and column" {
    {
        printf 'gene\tchrom\ttss\tpeak\tstart\tend\tdistance\tcorrelation\tz\tp\tq\tweight\n'
        printf 'G1\tchr1\t137865040\tp1\t100000000\t137865540\t250\t\t\t\t\t2\n'
        printf 'G1\tchr1\t200000000\tp2\t200001000\t200001500\t-3750\t\t\t\t\t-1\n'
    } >links.tsv
    plot arcs -q --region chr1:90000000-300000000 --tsv drawn.tsv links.tsv >/dev/null
    diff <(cut -f 3,5,6 links.tsv) <(cut -f 3,5,6 drawn.tsv)
    awk -F '\t' -v OFS='\t' 'NR > 1 { print $2, $5, $6, $2, $3, $3 + 1, $1, $12 }' links.tsv >links.bedpe
    spoil() { # FILE FIELD VALUE SAYS
        awk -F '\t' -v OFS='\t' -v k="$2" -v v="$3" 'NR == 2 { $k = v } 1' "$1" >"bad.${1#*.}"
        fails 3 plot arcs "bad.${1#*.}"
        says "bad.${1#*.}:2: $4, found '$3'"
    }
    for column in 3:tss 5:start 6:end 12:weight; do
        for v in '' nan inf -inf -; do
            spoil links.tsv "${column%:*}" "$v" "column ${column#*:}: expected a finite number"
        done
    done
    spoil links.bedpe 2 nan 'start1: expected a position'
    spoil links.bedpe 6 '' 'end2: expected a position'
    spoil links.bedpe 8 inf 'score: expected a finite number'
    spoil links.bedpe 8 . 'score: expected a finite number'
}

@test "titles are escaped, long ones broken, and the bytes are the same each time" {
    prepared match.cms
    title="a & b <i> \"c\" of $(printf 'word %.0s' {1..40})"
    plot ranks -q --title "$title" -o a.svg match.cms
    plot ranks -q --title "$title" -t 1 -o b.svg match.cms
    cmp a.svg b.svg
    sound a.svg
    [ "$(grep -c 'class="t"' a.svg)" -gt 2 ]
    # what XML has no character for
    plot ranks -q --title "$(printf 'a\xffb\xef\xbf\xbfc\x01d')" -o c.svg match.cms
    sound c.svg
    iconv -f UTF-8 -t UTF-8 c.svg >/dev/null
    grep -q "$(printf 'a\xef\xbf\xbdb\xef\xbf\xbdc\xef\xbf\xbdd')" c.svg
    fails 2 plot ranks -o c.png match.cms
    says 'svg only'
    fails 2 plot nonsense match.cms
    says "no figure 'nonsense'"
}
