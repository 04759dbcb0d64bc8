# peak-links: every number of the table is the oracle's; nothing is found where nothing is.
load ../helper

HEADER='gene	chrom	tss	peak	start	end	distance	correlation	z	p	q	weight'

# The cells of tests/ref/make_peak_links.py, and models of them as it says.
given() {
    cms-text --from -o gex.cms "$REF/peak_links.gex.txt"
    cms-text --from -o atac.cms "$REF/peak_links.atac.txt"
}
fit() { # OUT PRESET WINDOW OPTIONS OF BATCH...
    local out=$1 preset=$2 wide=$3
    shift 3
    # shellcheck disable=SC2086
    batch --size 0 --epochs 1 "$@" gex.cms atac.cms |
        xattn-train -q --preset "$preset" -k 6 --q 4 --cis-components 3 --cis-window 30000 $wide -o "$out"
}

# near WANT GOT: the same pairs of gene and peak; p and q to 5 digits, also where they are small.
near() {
    awk -F '\t' -v header="$HEADER" '
        function log_of(t, e) { e = index(t, "e"); return e ? log(substr(t, 1, e - 1)) + substr(t, e + 1) * log(10) : log(t) }
        function off(a, b, most) { return a - b > most || b - a > most }
        NR == FNR { if (FNR > 1) { want[$1, $4] = $0; n++ }; next }
        FNR == 1 { if ($0 != header) { print "header: " $0; bad = 1 }; next }
        {
            if (split(want[$1, $4], w, "\t") != 11 || seen[$1, $4]++) { print "not expected: " $0; bad = 1; next }
            for (k = 1; k <= 7; k++) if ($k != w[k]) wrong = 1
            if (wrong || off($8, w[8], 1e-6) || off($9, w[9], 2e-5) || off(log_of($10), log_of(w[10]), 1e-4) ||
                off(log_of($11), log_of(w[11]), 1e-4)) { print "expected " want[$1, $4]; print "found " $0; bad = 1 }
            m++
        }
        END { if (n != m || n < 100) { print n " expected, " m " found"; bad = 1 }; exit bad }' "$1" "$2"
}

@test "all candidates: places, correlation, z, p and q are NumPy's and mpmath's" {
    given
    fit near.cms linear ''
    fit within.cms linear '' --within batch
    fit wide.cms closed '--links-window 90000'
    for m in near within wide; do
        peak-links --model $m.cms --all >$m.tsv
        near "$REF/peak_links.$m.want" $m.tsv || { echo "$m" && false; }
    done
    # The oracle's three tables are not one.
    if near "$REF/peak_links.within.want" near.tsv >/dev/null; then false; fi
    # A linear model: the weight is the correlation beyond 2/sqrt(160), else 0.
    awk -F '\t' 'NR > 1 {
        limit = 2 / sqrt(160); c = $8 < 0 ? -$8 : $8
        w = c > limit ? (c - limit) * ($8 < 0 ? -1 : 1) : 0
        d = $12 - w; if (d > 1e-7 || d < -1e-7) { print; exit 1 }
        used += w != 0 } END { exit !(used >= 5) }' near.tsv
    # A learned one: those of the model, in its order of pairs.
    cms-text wide.cms | awk -F '\t' '$1 == "cis.pair.c" { for (k = 4; k <= NF; k++) if ($k != 0) print $k }' | sort >want
    diff want <(awk -F '\t' 'NR > 1 && $12 != 0 { print $12 }' wide.tsv | sort)
    [ "$(wc -l <want)" -ge 250 ]
}

@test "the links of the model, the strongest first; --top and --fdr" {
    given
    fit near.cms linear ''
    peak-links --model near.cms --all >all
    peak-links -m near.cms >links
    diff links <(awk -F '\t' 'NR == 1 || $12 != 0' all)
    size() { awk -F '\t' 'NR > 1 { v = $'"$2"'; print v < 0 ? -v : v }' "$1"; }
    size links 12 | sort -grc
    size all 12 | sort -grc
    # among those that are not used, by |z|
    awk -F '\t' 'NR > 1 && $12 == 0 { print $9 < 0 ? -$9 : $9 }' all | sort -grc
    diff <(head -n 5 links) <(peak-links -m near.cms --top 4)
    diff links <(peak-links -m near.cms --top 1000000)
    # --all --top: the largest |z|, in the order of the whole
    sed 1d all | awk -F '\t' '{ print ($9 < 0 ? -$9 : $9) "\t" $1 "\t" $4 }' | sort -gr | head -n 9 | cut -f 2,3 | sort >want
    [ "$(wc -l <want)" = 9 ]
    peak-links -m near.cms --all --top 9 | sed 1d >got
    diff want <(cut -f 1,4 got | sort)
    diff got <(grep -Fxf got all)
    for q in 0.001 0.005 0.05 0.6 1; do
        diff <(awk -F '\t' -v q=$q 'NR == 1 || $11 <= q' all) <(peak-links -m near.cms --all --fdr $q)
        diff <(awk -F '\t' -v q=$q 'NR == 1 || $11 <= q' links) <(peak-links -m near.cms --fdr $q)
    done
    [ "$(peak-links -m near.cms --all --fdr 0.005 | wc -l)" = 3 ]
    [ "$(peak-links -m near.cms --all --fdr 0.05 --top 2 | wc -l)" = 3 ]
    [ "$(peak-links -m near.cms --fdr 1e-200 2>err)" = "$HEADER" ]
    # none passed: how many there were, and the smallest q
    [ "$(wc -l <err)" = 1 ]
    grep -q "warning: near.cms: none of $(sed 1d links | wc -l) links of the model has a q of at most 1e-200; the smallest is $(sed 1d links | cut -f 11 | sort -g | head -n 1)\$" err
    peak-links -m near.cms --all --fdr 1e-200 2>&1 >/dev/null | grep -q "none of $(sed 1d all | wc -l) candidates has"
    [ -z "$(peak-links -m near.cms --fdr .05 2>&1 >/dev/null)" ]
}

@test "BEDPE: whole numbers, one chromosome, and plot arcs draws it and the table alike" {
    given
    fit near.cms linear ''
    peak-links -m near.cms >links.tsv
    peak-links -m near.cms --format bedpe -o links.bedpe
    [ "$(head -n 1 links.bedpe | cut -f 1-10 | tr '\t' ' ')" = '#chrom1 start1 end1 chrom2 start2 end2 name score strand1 strand2' ]
    awk -F '\t' 'NR > 1 {
        if (NF != 16 || $1 != $4 || $1 !~ /^chr[123]$/ || $3 != $2 + 1 || $6 <= $5 || $9 != "." || $10 != ".") { print; exit 1 }
        for (k = 2; k < 7; k++) if (k != 4 && $k !~ /^[0-9]+$/) { print; exit 1 } }' links.bedpe
    diff <(sed 1d links.tsv | cut -f 1,3-5,7-12) \
        <(sed 1d links.bedpe | awk -F '\t' -v OFS='\t' '{ print $7, $2, $11, $5, $12, $13, $14, $15, $16, $8 }')
    plot arcs -q --region chr1:0-900000 --tsv a links.tsv >/dev/null
    plot arcs -q --region chr1:0-900000 --tsv b links.bedpe >/dev/null
    [ "$(wc -l <a)" -gt 3 ]
    diff <(sed 1d a | cut -f 1-3,5-7) <(sed 1d b | cut -f 1-3,5-7)
}

@test "cells that are paired at random, and peaks moved to another chromosome: nothing is found" {
    cms-gen --gex g.cms --atac a.cms --cells 1000 --genes 600 --peaks 1500 --cis 0.8
    lognorm -o gex.cms g.cms
    tfidf -o atac.cms a.cms
    fit_all() { batch --size 0 --epochs 1 "$@" | xattn-train -q --preset linear -o m.cms; }
    found() { peak-links -m m.cms --all --fdr "$1" | sed 1d | wc -l; }
    fit_all gex.cms atac.cms
    [ "$(found .05)" -gt 150 ]
    names() { cms-text --labels "$1" | sed 1d | cut -f 1; }
    for seed in 1 2 3; do
        { printf 'gex\tatac\n'; paste <(names gex.cms) <(names atac.cms | shuf --random-source=<(yes $seed)); } >pairs.tsv
        fit_all --pairs pairs.tsv gex.cms atac.cms
        [ "$(found .05)" = 0 ]
        [ "$(found 1)" -gt 2000 ]
    done
    cms-text atac.cms >atac.txt
    for by in 1 2 3; do # every peak on another chromosome of the ten
        awk -F '\t' -v OFS='\t' -v by=$by '/^#cols\t0\t/ && k++ { $4 = "chr" (substr($4, 4) - 1 + by) % 10 + 1 } 1' atac.txt |
            cms-text --from -o moved.cms
        fit_all gex.cms moved.cms
        [ "$(found .05)" = 0 ]
        [ "$(found 1)" -gt 1000 ]
    done
}

@test "p below any double is printed, not 0; a model of every preset; any number of threads" {
    cms-gen --gex g.cms --atac a.cms --cells 500 --genes 100 --peaks 200
    lognorm -o gex.cms g.cms
    tfidf -o atac.cms a.cms
    batch --size 100 --epochs 2 -o p.cms gex.cms atac.cms
    for p in linear closed best attn; do
        xattn-train -q --preset $p -o $p.cms p.cms
        peak-links --all -m $p.cms >$p.tsv
        [ "$(wc -l <$p.tsv)" = "$(($(cms-text --head $p.cms | awk -F '\t' '$1 == "cis.candidates" { print $2 }') + 1))" ]
        peak-links --all -t 3 -m $p.cms | cmp - $p.tsv
        peak-links --all -m - <$p.cms | cmp - $p.tsv
        # the model's own links, whose number it states
        [ "$(peak-links -m $p.cms | sed 1d | wc -l)" = "$(cms-text --head $p.cms | awk -F '\t' '$1 == "cis.pairs" { print $2 }')" ]
    done
    # The same correlations as if there were a million times the cells.
    cms-text linear.cms | awk -F '\t' -v OFS='\t' '$1 == "cis.candidate.cells" { $4 *= 1000000 } 1' | cms-text --from -o many.cms
    peak-links -m many.cms >many
    awk -F '\t' 'NR > 1 && $10 !~ /^[1-9](\.[0-9]+)?e-[0-9][0-9][0-9][0-9]+$/ { print; exit 1 } END { exit NR < 5 }' many
    awk -F '\t' 'NR > 1 && $11 !~ /^[1-9](\.[0-9]+)?e-[0-9][0-9][0-9][0-9]+$/ { print; exit 1 }' many
    [ "$(awk -F '\t' 'NR > 1 { print $10 }' many | sort -u | wc -l)" -gt 3 ]
    # ln P(|Z| > z) is -z^2/2 - ln(z sqrt(pi/2)) but for 1/z^2
    awk -F '\t' 'NR > 1 { split($10, p, "e"); d = log(p[1]) + p[2] * log(10) + $9 * $9 / 2 + log(($9 < 0 ? -$9 : $9) * sqrt(atan2(0, -1) / 2))
        # z has 6 digits
        if (d > 1e-5 * $9 * $9 + 1e-3 || d < -1e-5 * $9 * $9 - 1e-3) { print; exit 1 } }' many
}

@test "models of an earlier version load, embed to the same bits, and give their links" {
    prepared model.cms gex.log.cms atac.tfidf.cms
    cms-text model.cms | sed '/^cis.candidate./d' | cms-text --from -o old.cms
    for x in gex.log.cms atac.tfidf.cms; do
        for m in old model; do
            embed --model $m.cms $x | cms-text | grep -v '^#head' >$m.txt
        done
        cmp old.txt model.txt
        [ "$(wc -l <old.txt)" -gt 300 ]
    done
    peak-links -m model.cms >now.tsv
    peak-links -m old.cms >old.tsv 2>err
    [ "$(wc -l <err)" = 1 ]
    grep -q 'warning: old.cms: a model of an earlier version' err
    diff <(cut -f 1-7,12 now.tsv | sort) <(cut -f 1-7,12 old.tsv | sort)
    awk -F '\t' 'NR > 1 && $8 $9 $10 $11 != "" { exit 1 } END { exit NR < 5 }' old.tsv
    peak-links -q -m old.cms --format bedpe | awk -F '\t' 'NR > 1 && $13 $14 $15 $16 != "...." { print; exit 1 }'
    plot arcs -q old.tsv | grep -q '</svg>'
    fails 3 peak-links -m old.cms --all
    says 'earlier version'
    says '--all needs a model trained by this one'
    fails 3 peak-links -m old.cms --fdr .1 -o out
    says '--fdr needs'
    [ ! -e out ]
    zstd -dqc "$REF/models.tar.zst" | tar -xf -
    for name in linear best attn cross; do
        zstd -qc $name.cms >x && mv x $name.cms
        peak-links -q -m $name.cms | awk -F '\t' 'NF != 12 { exit 1 } END { exit NR < 2 }'
    done
    zstd -qc paper.cms >none.cms
    fails 3 peak-links -m none.cms
    says 'no peak-gene links: the model was trained without (preset paper); train with preset linear'
}

@test "a model without links: why it has none" {
    given
    none() { # SAYS OPTIONS OF TRAINING...
        local text=$1
        shift
        batch --size 0 --epochs 1 gex.cms atac.cms |
            xattn-train -q --preset linear -k 6 --q 4 --cis-components 3 --cis-window 30000 "$@" -o none.cms
        fails 3 peak-links -m none.cms
        says "none.cms: no peak-gene links: $text"
    }
    none 'the model was trained without (preset linear, --no-cis)' --no-cis
    none 'none of 127 pairs within 30000 bases has a correlation beyond 1000/sqrt(cells)' --cis-threshold 1000
    none 'no peak lies within 1 bases of a gene' --cis-window 1
    sed '/^#cols/s/\tchrom:/\tplace:/' "$REF/peak_links.atac.txt" | cms-text --from -o atac.cms
    none 'the peaks have no coordinates (columns chrom and start)'
    sed '/^#cols/s/\tchrom:/\tplace:/' "$REF/peak_links.gex.txt" | cms-text --from -o gex.cms
    none 'the genes and the peaks have no coordinates'
    cms-text --from -o atac.cms "$REF/peak_links.atac.txt"
    none 'the genes have no coordinates (columns chrom and start); feature-sort --annotation gives them'
}

@test "correlations, cells and windows that cannot be are refused" {
    prepared model.cms gex.log.cms
    spoil() { # TENSOR VALUE OF ITS FIRST ITEM, SAYS
        cms-text model.cms | awk -F '\t' -v OFS='\t' -v name="$1" -v v="$2" '$1 == name && !n++ { $4 = v } 1' |
            cms-text --from -o bad.cms
        fails 3 peak-links -m bad.cms
        says "bad.cms: $1$3$2"
        fails 3 embed --model bad.cms gex.log.cms
        says "bad.cms: $1$3"
    }
    spoil cis.candidate.c 1.5 ', item 0: expected a correlation from -1 to 1, found '
    spoil cis.candidate.c -7 ', item 0: expected a correlation from -1 to 1, found '
    spoil cis.candidate.cells 1 ': expected a whole number from 2 on, found '
    spoil cis.candidate.cells 99.5 ': expected a whole number from 2 on, found '
    spoil cis.candidate.window 2000000000000 ': expected bases above 0, at most 1e12, found '
    spoil cis.candidate.window -5 ': expected bases above 0, at most 1e12, found '
    spoil cis.candidate.c 1.015625 ', item 0: expected a correlation from -1 to 1, found '
    # Genes and peaks that are alike correlate at 1 but for rounding; such a model is none to refuse.
    cms-gen --gex g.cms --atac a.cms --cells 500 --genes 120 --peaks 120
    lognorm -o gex.cms g.cms
    cms-text gex.cms | sed 's/GEX/ATAC/g' | cms-text --from -o atac.cms
    batch --size 0 --epochs 1 gex.cms atac.cms |
        xattn-train -q --preset linear --q 4 --cis-components 40 --cis-clip 1000000 -o alike.cms
    [ "$(peak-links -m alike.cms --all | wc -l)" -gt 100 ]
}

@test "a model that contradicts itself, and names that hold tabs" {
    prepared model.cms
    cms-text model.cms | sed 's/^\(cis.candidate.window.*\)\t[0-9]*$/\1\t500/' | cms-text --from -o other.cms
    fails 3 peak-links -m other.cms
    says 'other.cms: the places of genes and peaks are not those of the fit'
    cms-text model.cms | sed 's/^\(#head\tcis.candidates\t\).*/\17/' | cms-text --from -o count.cms
    fails 3 peak-links -m count.cms
    says 'cis.candidate.c has another type or shape'
    fails 3 embed --model count.cms /dev/null
    given
    sed 's/\bG8\b/G\\t8/g' "$REF/peak_links.gex.txt" | cms-text --from -o gex.cms
    fit tab.cms linear ''
    peak-links -m tab.cms | awk -F '\t' 'NF != 12 { exit 1 } $1 == "G\\t8" { found = 1 } END { exit !found }'
}

@test "the man page's mark for what is missing in BEDPE is inside its quotes" {
    command -v mandoc >/dev/null || skip "mandoc is not here"
    mandoc -T ascii "$ROOT/man/peak-links.1" | sed 's/.\x08//g' | tr -s ' \n' ' ' | grep -qE "\(in BEDPE [^ ]\.[^ .)]\) and a warning"
}
