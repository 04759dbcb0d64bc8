#!/usr/bin/env bats
# report: one well-formed page that needs nothing else, whose numbers are those of score.
load ../helper

setup() {
    scratch
    need report score
}
sound() { # HTML: XML, no script, nothing from elsewhere
    if command -v xmllint >/dev/null; then xmllint --noout "$1"; fi
    # the parser of the HTML standard, which lists its parse errors
    if /usr/bin/python3 -c 'import html5lib' 2>/dev/null; then
        /usr/bin/python3 -c 'import sys, html5lib
html5lib.HTMLParser(strict=True).parse(open(sys.argv[1], encoding="utf-8").read())' "$1"
    fi
    head -n 1 "$1" | grep -qx '<!DOCTYPE html>'
    [ "$(tail -n 1 "$1")" = '</html>' ]
    if sed 's/base64,[^"]*//' "$1" | grep -nE '<script|<link|<iframe|(href|src)="[^d]|url\(|@import'; then return 1; fi
    # every section, table and list is closed
    for tag in section table ol div svg; do
        [ "$(grep -o "<$tag[ >]" "$1" | wc -l)" = "$(grep -o "</$tag>" "$1" | wc -l)" ]
    done
    # no two things have one id
    [ -z "$(grep -oE ' id="[^"]*"' "$1" | sort | uniq -d)" ]
}
cell() { grep -oE "<td>$2</td><td class=\"n\">[^<]*" "$1" | sed 's/.*>//'; }

@test "the whole page: figures, score's numbers, files and the commands that made them" {
    prepared match.cms e.cms t.cms model.cms pairs.cms tokens.cms gex.log.cms
    score -q -o mine.tsv match.cms
    sed 's/^top1	[^	]*/top1	0.123456/' mine.tsv >'other <b>.tsv'
    mlp-train -q --log log.tsv -o mlp.cms pairs.cms
    xattn-map --model tokens.cms --gex gex.log.cms -o map.cms
    printf 'gene\tchrom\ttss\tpeak\tstart\tend\tdistance\tcorrelation\tz\tp\tq\tweight\n' >links.tsv
    printf 'G<1>\tchr1\t10000\tp1\t14000\t14500\t4250\t.3\t9\t0\t0\t2\n' >>links.tsv
    report -o r.html --multiqc r_mqc.json match.cms mine.tsv 'other <b>.tsv' e.cms t.cms log.tsv map.cms links.tsv model.cms 2>err
    sound r.html
    of() { awk -F '\t' -v m="$1" '$1 == m { printf "%.4f\n", $2 }' mine.tsv; }
    [ "$(cell r.html 'match probability')" = "$(of match_probability)" ]
    [ "$(cell r.html 'top 1')" = "$(of top1)" ]
    [ "$(cell r.html 'calibration error')" = "$(of ece)" ]
    [ "$(cell r.html 'chance')" = "$(of chance)" ]
    [ "$(grep -c '<svg ' r.html)" = 8 ]
    grep -q '<td>other &lt;b&gt;</td><td class="n">' r.html
    grep -q '<td>G&lt;1&gt;</td>' r.html
    # every stream's digest, and the last command of the match
    for f in match e t model map; do grep -q "$(digest $f.cms)" r.html; done
    grep -q '<code>knn-match --top 50 --method dual e.cms t.cms</code>' r.html
    [ "$(grep -c '<code>cms-gen ' r.html)" = 1 ]
    awk -F '[:,]' -v w="$(of top1)" '/"top1"/ { d = $2 - w; exit !(d < 1e-4 && d > -1e-4) }' r_mqc.json
}

@test "links: those of the model, where no table of links is given" {
    prepared match.cms model.cms
    peak-links -m model.cms >links.tsv
    report -q --top 5 -o m.html match.cms model.cms
    report -q --top 5 -o t.html match.cms links.tsv model.cms
    sound m.html
    diff m.html t.html >differ || true
    [ "$(grep -c '^[<>]' differ)" = 3 ] # the name of the file, twice, and its line among the files
    grep -q "The first 5 of $(($(wc -l <links.tsv) - 1)) links of model.cms" m.html
    sed -n 2,6p links.tsv | awk -F '\t' '{ print "<tr><td>" $1 "</td><td>" $4 "</td>" }' >rows
    [ "$(grep -cFf rows m.html)" = 5 ]
    # a model that has none, and one of an earlier version
    cms-text model.cms | sed '/^cis.candidate./d' | cms-text --from -o old.cms
    zstd -dqc "$REF/models.tar.zst" | tar -xOf - paper.cms | zstd -qc >paper.cms
    report -q --top 5 -o o.html match.cms paper.cms old.cms
    [ "$(grep -cFf rows o.html)" = 5 ]
    report -q -o p.html match.cms paper.cms
    if grep -q 'Peak-gene links' p.html; then false; fi
    # one that contradicts itself
    cms-text model.cms | sed 's/^\(cis.candidate.window.*\)\t[0-9]*$/\1\t500/' | cms-text --from -o other.cms
    fails 3 report -o q.html match.cms other.cms
    says 'other.cms: the places'
    [ ! -e q.html ]
}

@test "links as BEDPE, none at all, broken ones, and tables of something else" {
    prepared match.cms model.cms
    peak-links -m model.cms >links.tsv
    peak-links -m model.cms --format bedpe >links.bedpe
    report -q --top 5 -o t.html match.cms links.tsv
    report -q --top 5 -o b.html match.cms links.bedpe
    sound b.html
    rows() { sed -n '/<h2>Peak-gene links/,/<\/table>/p' "$1" | grep -o '<tr><td>.*'; }
    [ "$(rows t.html | wc -l)" = 5 ]
    diff <(rows t.html) <(rows b.html)
    for f in links.tsv links.bedpe; do
        head -n 1 $f >none.txt
        report -o n.html match.cms none.txt 2>err
        sound n.html
        if grep -q '<h2>Peak-gene links' n.html; then false; fi
        grep -q 'class="warn".*none.txt has no links' n.html
        grep -q 'warning: none.txt has no links' err
    done
    awk -F '\t' -v OFS='\t' 'NR == 3 { $5 = "nan" } 1' links.tsv >bad.tsv
    fails 3 report -o out match.cms bad.tsv
    says "bad.tsv:3: column start: expected a finite number, found 'nan'"
    awk -F '\t' -v OFS='\t' 'NR == 3 { $12 = "" } 1' links.tsv >bad.tsv
    fails 3 report -o out match.cms bad.tsv
    says "bad.tsv:3: column weight: expected a finite number, found ''"
    printf 'cell\tkind\nA\tB\n' >other.tsv
    fails 3 report -o out match.cms other.tsv
    says 'other.tsv:1: expected a header with column metric (score), loss (log), tss (links)'
    says 'found cell, kind'
    fails 3 report -o out match.cms links.tsv links.bedpe
    says 'links.bedpe: a second table of links'
    [ ! -e out ]
}

@test "by label: cells, expected and right add up to the whole" {
    prepared match.cms gex.cms
    report -q -o r.html match.cms
    sound r.html
    # mean of `right` over types, weighted by cells, is top1 up to the digits printed
    top1=$(cell r.html 'top 1')
    got=$(grep -oE '<tr><td>type[0-9]+</td>.*' r.html | sed 's/<[^>]*>/ /g' |
        awk '{ n += $2; s += $2 * $4 } END { print s / n, n }')
    close_to "${got% *}" "$top1" 0.001
    [ "${got#* }" = 300 ]
    # the same from a stream beside it, where the match has no such label
    cms-text match.cms | awk -F '\t' -v OFS='\t' '/^#/ { gsub(/cell_type/, "kind") } { print }' | cms-text --from -o bare.cms
    report -q -o b.html bare.cms gex.cms
    diff <(grep -oE '<tr><td>type[0-9]+</td>.*' r.html) <(grep -oE '<tr><td>type[0-9]+</td>.*' b.html)
    report -q -o n.html bare.cms
    if grep -q 'By cell_type' n.html; then false; fi
}

@test "where the partners are not known it says so, and has no share of right ones" {
    prepared match.cms
    cms-text match.cms | awk -F '\t' -v OFS='\t' '/^#/ { print; next } { $1 = "x" $1; print }' | cms-text --from -o other.cms
    report -o r.html other.cms 2>err
    sound r.html
    grep -q 'warning: The partners are not known' err
    grep -q 'class="warn".*The partners are not known' r.html
    grep -q 'expects [0-9]* of 300 first choices' r.html
    if grep -qE 'top 1|<h2>How sure' r.html; then false; fi
    # a table tells
    { printf 'a\tb\n'; cms-text --labels match.cms | awk -F '\t' 'NR > 1 { print "x" $1 "\t" $1 }'; } >truth.tsv
    report -q --pairs truth.tsv -o k.html other.cms
    grep -q '<h2>How sure' k.html
}

@test "similarities are no probabilities, and cells without candidates are counted" {
    prepared similarities.cms match.cms
    report -o r.html similarities.cms 2>err
    sound r.html
    grep -q 'warning: The numbers of this match are no probabilities' err
    if grep -qE 'calibration|first choices \(.*expect' r.html; then false; fi
    cms-text match.cms | awk -F '\t' '!/^#/ && !n++ { print $1 "\t" $2 "\t" $3 "\t" $4; next } { print }' | cms-text --from -o one.cms
    report -o e.html one.cms 2>err
    grep -q 'warning: 1 of 300 cells have no candidate at all' err
}

@test "text of any sort is escaped, in page and JSON; the bytes are the same each time" {
    prepared match.cms
    title=$(printf 'a "b" <c> & \\d \x01')
    report -q --title "$title" --multiqc a.json -o a.html match.cms
    report -q --title "$title" --multiqc b.json -t 1 -o b.html match.cms
    cmp a.html b.html
    cmp a.json b.json
    sound a.html
    grep -q '<h1>a &quot;b&quot; &lt;c&gt; &amp; \\d .*</h1>' a.html
    grep -qF '"a \"b\" <c> & \\d \u0001": {' a.json
    report -q --title "$(printf 'a\xffb')" --multiqc c.json -o c.html match.cms
    grep -q "<h1>$(printf 'a\xef\xbf\xbdb')</h1>" c.html
    grep -qF '"a\ufffdb": {' c.json
    fails 3 report --by nonsense match.cms
    says 'nonsense'
}
