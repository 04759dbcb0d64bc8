#!/usr/bin/env bats
# xattn-map: mean attention, region x region; attention that is planted in a model is found.

load ../helper

setup() {
    scratch
    need cms-gen cms-text cms-cat lognorm tfidf batch xattn-train
    cms-gen --gex g.cms --atac a.cms --cells 80 --genes 60 --peaks 90
    lognorm --method sqrt -o gn.cms g.cms
    tfidf --method logtfidf -o an.cms a.cms
    batch --epochs 0 gn.cms an.cms | xattn-train --preset linear -q -o linear.cms
    "$ROOT/tests/token-model" linear.cms m.cms
}

rows() { cms-text --bare "$1"; }

@test "regions are named by place; rows sum to 1" {
    xattn-map --model m.cms --gex gn.cms -o gex.cms
    xattn-map --model m.cms --atac an.cms --module self-atac -o atac.cms
    xattn-map --model m.cms --gex gn.cms --atac an.cms --module cross -o cross.cms
    for f in gex atac cross; do
        cms-text --cols $f.cms | awk -F '\t' 'NR > 1 { print $1 }' >names.$f
        cmp names.$f <(rows $f.cms | cut -f 1)
        grep -qvE '^chr[0-9]+:[0-9]+-[0-9]+$' names.$f && false
        rows $f.cms | awk -F '\t' -v L="$(wc -l <names.$f)" '{ s = 0; for (k = 5; k <= NF; k++) { s += $k; if ($k < 0) exit 1 }
            if (NF != L + 4 || s < 0.99999 || s > 1.00001 || $4 != 80) exit 1 }'
    done
    cat names.gex names.atac | cmp - names.cross
    [ "$(rows cross.cms | cut -f 3 | uniq | tr '\n' ' ')" = 'GEX ATAC ' ]
    # the first region: the features of its chromosome
    chrom=$(head -n 1 names.gex | cut -d : -f 1)
    want=$(cms-text --cols gn.cms | awk -F '\t' -v c="$chrom" 'NR > 1 && $2 == c {
        if (!n++ || $3 < low) low = $3; if ($4 > high) high = $4 } END { print c ":" low "-" high }')
    [ "$(head -n 1 names.gex)" = "$want" ]
}

@test "planted attention is found: one head looks at region 4, the others everywhere alike" {
    cms-text m.cms | awk -F '\t' -v OFS='\t' '
        $1 == "GEX.r.position" { split($3, d, "x"); L = d[1]; P = d[2]; $(4 + 3 * P) = 1000 }
        $1 == "GEX.r.unit.wqkv" { for (k = 4; k <= NF; k++) $k = 0; $(4 + P) = 1 }
        $1 == "GEX.r.unit.bqkv" { $4 = 10 }
        { print }' | cms-text --from -o planted.cms
    xattn-map --model planted.cms --gex gn.cms -o map.cms
    rows map.cms | awk -F '\t' '{ L = NF - 4; for (k = 5; k <= NF; k++) {
            want = ((k == 8) + 3 / L) / 4; d = $k - want; if (d > 0.01 || d < -0.01) { print k, $k, want; exit 1 } } }'
}

@test "--by: a map for each value, whose mean is the whole" {
    xattn-map --model m.cms --gex gn.cms --atac an.cms --module cross -o all.cms
    xattn-map --model m.cms --gex gn.cms --atac an.cms --module cross --by split -o by.cms
    [ "$(rows by.cms | cut -f 5 | sort -u | tr '\n' ' ')" = 'test train valid ' ]
    rows by.cms | head -n 1 | grep -q '^train|chr'
    for v in train valid test; do
        cms-cat --where split=$v -o some.cms gn.cms
        xattn-map --model m.cms --gex some.cms --atac an.cms --module cross -q -o one.cms
        cmp <(rows one.cms | cut -f 2-) <(rows by.cms | awk -F '\t' -v OFS='\t' -v v=$v '$5 == v' | cut -f 2-4,6-)
    done
    { rows by.cms | sed 's/^/B\t/'; rows all.cms | sed 's/^/A\t/'; } | awk -F '\t' '
        $1 == "B" { for (k = 7; k <= NF; k++) s[$3, $4, k - 6] += $5 * $k; next }
        { for (k = 6; k <= NF; k++) { d = s[$3, $4, k - 5] / 80 - $k; if (d > 1e-6 || d < -1e-6) exit 1; n++ } }
        END { exit n == 0 }'
}

@test "threads and the order of cells do not matter; cells without a namesake are left out" {
    xattn-map -t 1 --model m.cms --gex gn.cms --atac an.cms --module cross -o a1.cms
    xattn-map -t 3 --model m.cms --gex gn.cms --atac an.cms --module cross -o a3.cms
    [ "$(digest a1.cms)" = "$(digest a3.cms)" ]
    cms-cat --shuffle -o mixed.cms an.cms
    xattn-map --model m.cms --gex gn.cms --atac mixed.cms --module cross -o b.cms
    [ "$(digest a1.cms)" = "$(digest b.cms)" ]
    cms-cat --where split=valid -o few.cms an.cms
    xattn-map --model m.cms --gex gn.cms --atac few.cms --module cross -o c.cms 2>err
    n=$(cms-text --bare few.cms | wc -l)
    grep -q "$((80 - n)) of 80 cells have no namesake" err
    [ "$(rows c.cms | head -n 1 | cut -f 4)" = "$n" ]
}

@test "models without the module, other cells, missing options" {
    fails 3 xattn-map --model linear.cms --gex gn.cms -o x.cms
    says "no attention"
    CROSS=0 "$ROOT/tests/token-model" linear.cms self.cms
    xattn-map --model self.cms --gex gn.cms -o y.cms
    fails 3 xattn-map --model self.cms --gex gn.cms --atac an.cms --module cross -o x.cms
    says "no cross-attention module"
    fails 3 xattn-map --model m.cms --gex g.cms -o x.cms
    says 'lognorm --like m.cms'
    fails 3 xattn-map --model m.cms --gex gn.cms --by nothing -o x.cms
    says 'no label "nothing"; labels here: batch, cell_type, split'
    fails 2 xattn-map --model m.cms --gex gn.cms --module cross -o x.cms
    says --atac
    fails 2 xattn-map --model m.cms --gex gn.cms --by cells -o x.cms
    cms-text gn.cms | grep '^#' | cms-text --from -o none.cms
    fails 3 xattn-map --model m.cms --gex none.cms -o x.cms
    says 'no cells'
    [ ! -e x.cms ]
}

@test "--by-name: columns from whatever place, as embed and xattn-score take them" {
    cms-text --cols gn.cms | awk -F '\t' 'NR > 1 { print $1 }' | LC_ALL=C sort -r >names
    cms-cat --columns names -o turned.cms gn.cms
    fails 3 xattn-map --model m.cms --gex turned.cms -o x.cms
    says '--by-name'
    xattn-map --model m.cms --gex gn.cms -o want.cms
    xattn-map --model m.cms --gex turned.cms --by-name -o got.cms
    cms-diff want.cms got.cms
}

@test "coordinates that came as text are coordinates" {
    xattn-map --model m.cms --gex gn.cms -o want.cms
    cms-text m.cms | sed '/^#cols/s/\t\(start\|end\):i64/\t\1:str/g' | cms-text --from -o text.cms
    cms-text --cols text.cms | grep -q 'start:str.*end:str'
    xattn-map --model text.cms --gex gn.cms -o got.cms
    cmp <(rows want.cms) <(rows got.cms)
}
