# mtx-read: every layout against what SciPy finds; orientation, types, order, memory, damage.
load ../helper

setup() {
    scratch
    zstd -dqc "$REF/mtx.tar.zst" | tar -xf -
}
# matrix HEADER LINES...: directory d of two features and three cells.
matrix() {
    mkdir -p d
    printf '%%%%MatrixMarket matrix coordinate %s general\n' "$1" >d/matrix.mtx
    shift
    printf '%s\n' "$@" >>d/matrix.mtx
    printf 'g1\ng2\n' >d/genes.tsv
    printf 'a\nb\nc\n' >d/barcodes.tsv
}
rows() { cms-text --bare "$1" | tr '\t' ' '; }
info() { cms-info "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }

@test "mtx-read: every layout holds what SciPy finds in it" {
    local f case args n=0
    for f in *.want.tsv; do
        case=${f%.want.tsv}
        args=$(cat "$case.args")
        case $args in
        /*) mtx-read --no-provenance -o x.cms "$case$args" ;;
        *) mtx-read --no-provenance $args -o x.cms "$case" ;; # several words
        esac
        cms-text --triplets x.cms >got
        diff "$case.want.tsv" got || { echo "$case"; return 1; }
        n=$((n + 1))
    done
    [ $n = 16 ]
}

@test "mtx-read: the same stream within any memory, for any threads, from a pipe" {
    local d
    for d in odd cr3 kb; do
        mtx-read --no-provenance -o a.cms $d
        mtx-read --no-provenance --max-memory 4K -t 2 -o b.cms $d
        cmp a.cms b.cms
    done
    mtx-read --no-provenance -o a.cms cr3
    mtx-read --no-provenance --features cr3/features.tsv.gz --barcodes cr3/barcodes.tsv.gz -o b.cms - <cr3/matrix.mtx.gz
    cmp a.cms b.cms
    mtx-read --no-provenance --features cr3/features.tsv.gz --barcodes cr3/barcodes.tsv.gz -o c.cms <(zcat cr3/matrix.mtx.gz)
    cmp a.cms c.cms
    fails 2 mtx-read -o x.cms - <cr3/matrix.mtx.gz
}

@test "mtx-read: slots, states, columns and places" {
    mtx-read -o x.cms cr2
    [ "$(info x.cms slot.0.name) $(info x.cms slot.0.state) $(info x.cms slot.0.columns)" = "GEX counts name,feature_name" ]
    mtx-read -o x.cms cr3
    [ "$(info x.cms slot.0.name) $(info x.cms slot.0.columns)" = "GEX name,feature_name,feature_types" ]
    mtx-read -o x.cms atac
    [ "$(info x.cms slot.0.name)" = ATAC ]
    [ "$(cms-text --cols x.cms | sed -n 2p)" = $'chr1:9-20\tchr1\t9\t20' ]
    mtx-read -o x.cms --type ATAC arc
    [ "$(cms-text --cols x.cms | sed -n 5p)" = $'chrUn_K1:0-3\tchrUn_K1:0-3\tPeaks\t0\t3\tchrUn_K1' ]
    mtx-read -o x.cms --type GEX arc
    [ "$(cms-text --cols x.cms | tail -n 1)" = $'ENSG00009\tENSG00009\tGene Expression\t\t\t' ]
    [ "$(info <(mtx-read alevin) slot.0.state)" = unknown ]
    [ "$(info <(mtx-read --state lognorm alevin) slot.0.state)" = lognorm ]
    [ "$(info <(mtx-read pattern) slot.0.state)" = binary ]
    [ "$(info <(mtx-read odd) slot.0.state)" = unknown ]
    [ "$(info <(mtx-read velo/spliced.mtx) slot.0.name)" = X ]
    [ "$(info <(mtx-read --type ADT velo/spliced.mtx) slot.0.name)" = ADT ]
    fails 3 mtx-read --type ATAC cr2
    says "holds GEX, not ATAC"
}

@test "mtx-read: several types leave in one pass as they do one by one" {
    fails 2 mtx-read -o x.cms arc
    says "Gene Expression (10), Peaks (4); choose with --type or --to"
    mtx-read --no-provenance --to GEX=g.cms --to Peaks=p.cms arc
    mtx-read --no-provenance --type "Gene Expression" -o g1.cms arc
    mtx-read --no-provenance --type atac -o p1.cms arc
    cmp g.cms g1.cms
    cmp p.cms p1.cms
    fails 3 mtx-read --to GEX=x.cms --to ADT=y.cms arc
    says "no features of type ADT (found: Gene Expression, Peaks)"
    [ ! -e x.cms ] && [ ! -e y.cms ]
    fails 2 mtx-read --to GEX arc
    fails 2 mtx-read --to GEX=x.cms -o y.cms arc
}

@test "mtx-read: which way round" {
    fails 2 mtx-read -o x.cms symmetric
    says "9 x 9 fits both ways; say --cells-are columns"
    matrix integer '3 2 2' '1 2 5' '3 1 7'
    [ "$(rows <(mtx-read d))" = "a g2:5
b
c g1:7" ]
    mtx-read --cells-are rows d | cms-info --check - >/dev/null
    fails 3 mtx-read --cells-are columns d
    says "is 3 x 2, but there are 2 features (d/genes.tsv) and 3 barcodes (d/barcodes.tsv)"
    printf 'id\ng1\ng2\n' >d/genes.tsv
    fails 3 mtx-read d
    says "3 features"
    says "a header line?"
}

@test "mtx-read: states follow the values; counts are not negative" {
    matrix real '2 3 2' '1 1 2.0' '2 3 3e0'
    [ "$(info <(mtx-read d) slot.0.state)" = counts ]
    matrix integer '2 3 2' '1 1 -2' '2 3 3'
    [ "$(info <(mtx-read d) slot.0.state)" = unknown ]
    fails 3 mtx-read --state counts -o x.cms d
    says "cell a, feature g1: the value is -2, but counts are not negative"
    [ ! -e x.cms ]
    matrix integer '2 3 3' '1 1 4294967297' '2 1 70000' '2 3 9007199254740991'
    [ "$(rows <(mtx-read d))" = "a g1:4294967297 g2:70000
b
c g2:9007199254740991" ]
}

@test "mtx-read: repeated entries are added up, or taken once of a pattern, with a warning" {
    matrix integer '2 3 4' '1 1 2' '2 2 1' '1 1 3' '1 1 0'
    mtx-read -o x.cms d 2>err
    [ "$(rows x.cms | head -n 1)" = "a g1:5" ]
    grep -q 'd/matrix.mtx: 2 entries repeated a row and column and were added up' err
    matrix pattern '2 3 3' '1 1' '2 2' '1 1'
    mtx-read -o x.cms d 2>err
    [ "$(rows x.cms | head -n 1)" = "a g1:1" ]
    grep -q 'taken once' err
}

@test "mtx-read: a mistake is reported with file, line, expected and found" {
    bad() { # MESSAGE HEADER LINES...
        local text=$1
        shift
        matrix "$@"
        fails 3 mtx-read -o x.cms d
        says "d/matrix.mtx: $text"
        [ ! -e x.cms ]
    }
    bad 'line 4: expected a row from 1 to 2, found 3' integer '2 3 2' '1 1 1' '3 1 1'
    bad 'line 4: expected a row from 1 to 2, found 0' integer '2 3 2' '1 1 1' '0 1 1'
    bad 'line 4: expected a column from 1 to 3, found 4' integer '2 3 2' '1 1 1' '1 4 1'
    bad 'line 4: expected row, column, whole number, found "1 x 1"' integer '2 3 2' '1 1 1' '1 x 1'
    bad 'line 4: expected row, column, whole number, found "1 1"' integer '2 3 2' '1 1 1' '1 1'
    bad 'line 4: expected row, column, number, found "1 1 2 3"' real '2 3 2' '1 1 1' '1 1 2 3'
    bad 'line 4: expected row, column, number, found "-1 1 2"' real '2 3 2' '1 1 1' '-1 1 2'
    bad 'line 4: expected row, column, found "1 1 2"' pattern '2 3 2' '1 1' '1 1 2'
    bad 'line 3: expected a whole number up to 2^53 (the banner says integer), found "1 1 2.5"' integer '2 3 1' '1 1 2.5'
    bad 'line 3: expected a whole number up to 2^53 (the banner says integer), found "1 1 9007199254740994"' integer '2 3 1' '1 1 9007199254740994'
    bad 'line 3: expected a finite value, found "1 1 NaN"' real '2 3 1' '1 1 NaN'
    bad 'line 3: expected a finite value, found "1 1 -inf"' real '2 3 1' '1 1 -inf'
    bad 'line 3: expected a finite value, found "1 1 1e999"' real '2 3 1' '1 1 1e999'
    bad 'line 4: more than the 1 entries of the line of sizes' integer '2 3 1' '1 1 1' '1 2 1'
    bad 'ends after 1 of the 2 entries of the line of sizes: is it cut?' integer '2 3 2' '1 1 1'
    bad 'line 2: expected three whole numbers: rows, columns, entries, found "2 3"' integer '2 3'
    bad 'line 2: expected three whole numbers: rows, columns, entries, found "2 -3 1"' integer '2 -3 1'
    bad 'line 1: expected integer, real or pattern, found "complex"' complex '2 3 1' '1 1 1 1'
    bad 'ends before the line of sizes' integer '% a comment'
    printf '%%%%MatrixMarket matrix array real general\n2 3\n1\n' >d/matrix.mtx
    fails 3 mtx-read d
    says 'line 1: expected the sparse format, coordinate, found "array"'
    printf '1 1 1\n' >d/matrix.mtx
    fails 3 mtx-read d
    says 'line 1: expected %%MatrixMarket matrix coordinate ..., found "1 1 1"'
    : >d/matrix.mtx
    fails 3 mtx-read d
    says 'd/matrix.mtx: is empty'
    printf '%%%%MatrixMarket matrix coordinate integer general\n2 3 2\n1 1 1\n1 \0 2\n' >d/matrix.mtx
    fails 3 mtx-read d
    says 'line 4: expected'
}

@test "mtx-read: the line is right in the middle of a large file" {
    mkdir d
    seq 1000 | sed 's/^/g/' >d/genes.tsv
    seq 2000 | sed 's/^/c/' >d/barcodes.tsv
    { printf '%%%%MatrixMarket matrix coordinate integer general\n1000 2000 1000000\n'
      awk 'BEGIN { for (c = 1; c <= 2000; c++) for (g = 1; g <= 500; g++) print g, c, (c + g) % 300 }'; } >d/matrix.mtx
    mtx-read --no-provenance -o x.cms d
    [ "$(cms-text --triplets x.cms | awk '{ c = substr($1, 2); g = substr($2, 2); bad += $3 != (c + g) % 300 } END { print NR, bad + 0 }')" = "1000000 0" ]
    # the same in another order
    { head -n 2 d/matrix.mtx; sed 1,2d d/matrix.mtx | sort -k1,1n -k2,2nr; } | gzip -1 >d/other.mtx.gz
    mtx-read --no-provenance -o y.cms d/other.mtx.gz
    cmp x.cms y.cms
    mtx-read --no-provenance --max-memory 1M -o y.cms d/other.mtx.gz
    cmp x.cms y.cms
    rm d/other.mtx.gz
    sed -i '777777s/.*/12 13 x/' d/matrix.mtx
    fails 3 mtx-read d
    says 'line 777777: expected row, column, whole number, found "12 13 x"'
}

@test "mtx-read: damaged gzip, names and directories" {
    zcat cr3/matrix.mtx.gz >plain
    local size
    size=$(wc -c <cr3/matrix.mtx.gz)
    for n in 1 5 30 $((size / 2)) $((size - 1)); do
        head -c "$n" <(gzip -nc plain) >cr3/matrix.mtx.gz
        fails 3 mtx-read -o x.cms cr3
    done
    says "cut: its gzip data ends too early"
    { gzip -nc plain; echo tail; } >cr3/matrix.mtx.gz
    fails 3 mtx-read -o x.cms cr3
    says "what follows its gzip data is no gzip"
    gzip -nc plain >cr3/matrix.mtx.gz
    printf '\252\125' | dd of=cr3/matrix.mtx.gz bs=1 seek=$((size / 2)) conv=notrunc status=none
    fails 3 mtx-read -o x.cms cr3
    gzip -nc plain >cr3/matrix.mtx.gz
    printf 'a\n\nb\n' | gzip >cr3/barcodes.tsv.gz
    fails 3 mtx-read -o x.cms cr3
    says 'barcodes.tsv.gz: line 2: expected a barcode'
    rm cr3/barcodes.tsv.gz
    fails 3 mtx-read -o x.cms cr3
    says 'no file of barcodes beside it; --barcodes names one; looked for (also .gz): barcodes.tsv'
    fails 3 mtx-read -o x.cms geo
    says 'holds several matrices; name one, or use --prefix: '
    rm cr2/matrix.mtx
    fails 3 mtx-read -o x.cms cr2
    says 'cr2: holds no *.mtx or *.mtx.gz'
    fails 4 mtx-read -o x.cms nowhere
    printf 'chr1\tx\t3\n' >atac/peaks.bed
    fails 3 mtx-read -o x.cms atac
    says 'peaks.bed: line 1: expected chrom, start, end'
    [ ! -e x.cms ]
    fails 2 mtx-read -o kb/cells_x_genes.mtx kb
    fails 2 mtx-read -o kb/cells_x_genes.genes.txt kb
}

@test "mtx-read --labels: a table by cell name, TSV or CSV, types from the values" {
    matrix integer '2 3 1' '1 1 1'
    printf 'cell\tbatch\tage\tscore\nc\tx\t3\t0.5\na\ty\t\tNA\nz\tq\t1\t1\n' >l.tsv
    mtx-read --labels l.tsv -o x.cms d 2>err
    grep -q 'l.tsv: 1 of 3 cells are not in it' err
    cms-text --labels x.cms >got
    printf '#name\tbatch\tage\tscore\na\ty\t\t\nb\t\t\t\nc\tx\t3\t0.5\n' | sed 1d >want
    sed 1d got | diff want -
    printf '"","kind"\n"a","T, ""x"""\n"b","B"\n"c","B"\n' >l.csv
    mtx-read --labels l.csv d | cms-text --labels - | sed -n 2p | grep -qxP 'a\tT, "x"'
    printf 'cell\tbatch\na\tx\ty\n' >l.tsv
    fails 3 mtx-read --labels l.tsv d
    says 'l.tsv: line 2: expected 2 columns, found more'
    printf 'cell\tbatch\na\tx\na\ty\n' >l.tsv
    fails 3 mtx-read --labels l.tsv d
    says 'line 3: cell "a" stands already in line 2'
    printf 'cell\tbatch\nA\tx\n' >l.tsv
    fails 3 mtx-read --labels l.tsv d
    says 'has none of the 3 cells'
}

# The real directory, against what an independent reader finds in the same matrix.
@test "mtx-read: the real directory holds what MANIFEST.tsv says" {
    need_data formats/MANIFEST.tsv formats/mtx_cr3
    local file matrix cells features stored sum encoding first_cell last_cell first_feature last_feature n=0
    # A line of its own for the directory if there is one, else that of the .h5 file of the same run.
    grep -q '^mtx_cr3' "$DATA/formats/MANIFEST.tsv" && want=mtx_cr3 || want=cr3_gex.h5
    while IFS=$'\t' read -r file matrix cells features stored sum encoding first_cell last_cell first_feature last_feature; do
        [[ $file == "$want"* ]] || continue
        n=$((n + 1))
        mtx-read --type "$matrix" -o x.cms "$DATA/formats/mtx_cr3"
        [ "$(info x.cms rows) $(info x.cms slot.0.cols) $(info x.cms slot.0.nnz)" = "$cells $features $stored" ]
        [ "$(cms-text --triplets x.cms | awk -F '\t' '{ s += $3 } END { print s }')" = "$sum" ]
        [ "$(cms-text --labels x.cms | sed 1d | cut -f 1 | sed -n '1p;$p' | paste -sd ' ')" = "$first_cell $last_cell" ]
        [ "$(cms-text --cols x.cms | sed 1d | cut -f 1 | sed -n '1p;$p' | paste -sd ' ')" = "$first_feature $last_feature" ]
    done <"$DATA/formats/MANIFEST.tsv"
    [ $n = 1 ]
    need h5-read
    h5-read --type GEX -o h.cms "$DATA/formats/cr3_gex.h5"
    cms-text --triplets h.cms >h
    cms-text --triplets x.cms | cmp h -
}

@test "mtx-read: features by id or by symbol" {
    mkdir -p d
    printf '%%%%MatrixMarket matrix coordinate integer general\n4 2 4\n1 1 1\n2 1 2\n3 2 3\n4 2 4\n' >d/matrix.mtx
    printf 'g1\tMT-ND1\tGene Expression\ng2\tTBCE\tGene Expression\ng3\tTBCE\tGene Expression\ng4\t\tGene Expression\n' >d/features.tsv
    printf 'a\nb\n' >d/barcodes.tsv
    names() { cms-text --cols "$1" | tail -n +2 | cut -f 1 | paste -sd,; }
    for name in "" "--feature-names id"; do
        mtx-read -o x.cms $name d # several words
        [ "$(names x.cms)" = g1,g2,g3,g4 ]
    done
    mtx-read -o x.cms --feature-names name d 2>err
    [ "$(names x.cms)" = MT-ND1,TBCE,TBCE,g4 ]
    grep -q '1 names of features occurred before; --make-unique' err
    mtx-read -q -o x.cms --feature-names feature_name --make-unique d
    [ "$(names x.cms)" = MT-ND1,TBCE,TBCE-1,g4 ]
    [[ "$(info x.cms slot.0.columns)" = *gene_ids* ]]
    cms-text --cols x.cms | grep -qP '^TBCE-1\t.*g3'
    fails 3 mtx-read -o y.cms --feature-names symbol d
    says "features.tsv: --feature-names: the features have no text 'symbol'"
    [ ! -e y.cms ]
}
