# Names: repeated, quoted, in other encodings, under header lines; and the tables that hold them.
load ../helper

setup() { scratch; }
# matrix DIR ENTRIES...: three features and two cells.
matrix() {
    mkdir -p "$1"
    printf '%%%%MatrixMarket matrix coordinate integer general\n3 2 3\n1 1 3\n2 2 2\n3 2 1\n' >"$1/matrix.mtx"
    printf 'E1\tA\nE2\tB\nE3\tC\n' >"$1/features.tsv"
    printf 'AAAC\nAAAG\n' >"$1/barcodes.tsv"
}
rows() { cms-text --bare "$1" | tr '\t' ' '; }
info() { cms-info "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }
cols() { cms-text --cols "$1" | cut -f 1 | sed 1d | paste -sd ' '; }

@test "repeated names of features: the readers tell, --make-unique numbers them as anndata does" {
    matrix d
    printf '%s\n' a a-1 a >d/features.tsv
    mtx-read -o x.cms d 2>err
    grep -q 'd/features.tsv: 1 names of features occurred before; --make-unique' err
    [ "$(cols x.cms)" = "a a-1 a" ]
    mtx-read --make-unique -o y.cms d 2>err
    grep -q '1 names of features occurred before and got a number' err
    [ "$(cols y.cms)" = "a a-1 a-2" ]
    h5-write -o x.h5ad x.cms
    h5-read -o x2.cms x.h5ad 2>err
    grep -q 'x.h5ad: 1 names of features occurred before; --make-unique' err
    h5-read --make-unique -o y2.cms x.h5ad 2>/dev/null
    cms-diff y.cms y2.cms
    /usr/bin/python3 -W ignore -c 'import anndata' 2>/dev/null || return 0
    [ "$(/usr/bin/python3 -W ignore -c '
import anndata
a = anndata.read_h5ad("x.h5ad")
a.var_names_make_unique()
print(*a.var_names)')" = "a a-1 a-2" ]
}

@test "repeated names of features are refused by all that finds features by name, before any training" {
    matrix d
    mtx-read -o fine.cms d
    printf 'E1\nE1\nE3\n' >d/features.tsv
    mtx-read -o g.cms d 2>/dev/null
    matrix p
    mv p/features.tsv p/peaks.tsv
    mtx-read --features p/peaks.tsv --type ATAC -o a.cms p
    [ "$(info a.cms slot.0.name)" = ATAC ]
    mtx-read --type GEX --features d/features.tsv -o g.cms d 2>/dev/null
    local tool
    fails 3 batch -o p.cms g.cms a.cms
    says "g.cms: the column name 'E1' occurs twice, in columns 1 and 2"
    says "--make-unique"
    fails 3 batch -o p.cms a.cms g.cms
    says "g.cms: the column name 'E1' occurs twice"
    [ ! -e p.cms ]
    # pairs that somebody else made: the trainers refuse them themselves
    matrix q
    mtx-read --type GEX -o u.cms q
    batch --size 2 --epochs 1 -o u.pairs a.cms u.cms
    zstd -dqc u.pairs | sed 's/^E2/E1/' | zstd -qc >e.pairs
    for tool in 'xattn-train --preset linear' mlp-train cca-train clue-train; do
        # shellcheck disable=SC2086 # several words
        fails 3 $tool -o m.cms e.pairs
        says "e.pairs: the column name 'E1' occurs twice, in columns 1 and 2"
        [ ! -e m.cms ]
    done
    fails 3 cms-cat --columns <(echo E1) -o x.cms g.cms
    says "the column name 'E1' occurs twice"
    fails 3 feature-select --like fine.cms -o x.cms g.cms
    lognorm --method scanpy -o l.cms fine.cms
    fails 3 tfidf --like <(tfidf fine.cms) -o x.cms g.cms
}

@test "repeated names of cells: joining by name refuses and says what joins them" {
    matrix d
    printf 'AAAC\nAAAC\n' >d/barcodes.tsv
    mtx-read --type GEX -o g.cms d
    mtx-read --type ATAC -o a.cms d
    fails 3 batch -o p.cms g.cms a.cms
    says "the cell name 'AAAC' occurs twice, in rows 1 and 2"
    says '--by-position'
    batch --by-position --size 2 --epochs 1 -o p.cms g.cms a.cms
    printf 'row1\trow2\n0\t1\n1\t0\n' >t.tsv
    batch --pairs t.tsv --size 2 --epochs 1 -o p.cms g.cms a.cms
    printf 'cell\tbatch\nAAAC\tx\n' >l.tsv
    fails 3 mtx-read --labels l.tsv d
    says '"AAAC" occurs twice among the cells (rows 1 and 2)'
}

@test "quotes around a whole field go, in tables between tabs as between commas, and come back" {
    matrix d
    printf '"AAAC"\n"AA""G"\n' >d/barcodes.tsv
    printf '"E1"\t"A"\t"Gene Expression"\n"E2"\t"a ""b"""\t"Gene Expression"\n"E3"\tC"c\t"Gene Expression"\n' >d/features.tsv
    printf '"cell"\t"kind"\n"AAAC"\t"T, x"\n"AA""G"\t"B"\n' >l.tsv
    mtx-read --labels l.tsv -o x.cms d
    [ "$(info x.cms slot.0.name)" = GEX ]
    [ "$(rows x.cms)" = 'AAAC T, x E1:3
AA"G B E2:2 E3:1' ]
    [ "$(cms-text --cols x.cms | sed 1d | cut -f 2 | paste -sd '|')" = 'A|a "b"|C"c' ]
    tr '\t' ',' <l.tsv >l.csv
    mtx-read --no-provenance --labels l.csv -o y.cms d
    cms-diff x.cms y.cms
    # names that begin with a quote or end in a blank survive the way out and back
    cms-text x.cms | sed 's/^AAAC/"AAAC"/; s/^AA"G/AAG /; s/\tE2/\t"E2/g' | cms-text --from >odd.cms
    mtx-write -o out odd.cms
    mtx-read -o back.cms out
    cms-diff odd.cms back.cms
}

@test "text that is not UTF-8 is refused with file and line, wherever it enters" {
    local bad=$'caf\xe9' f
    matrix d
    printf 'cell\tx\nAAAC\ta\nAAAG\tb\n' >l.tsv
    mtx-read --labels l.tsv -o x.cms d
    for f in barcodes features; do
        matrix d
        sed -i "2s/.*/$bad/" d/$f.tsv
        fails 3 mtx-read -o y.cms d
        says "d/$f.tsv: line 2: byte 4 (0xe9) is not UTF-8"
        gzip d/$f.tsv
        fails 3 mtx-read -o y.cms d
        says "d/$f.tsv.gz: line 2: byte 4"
        rm d/$f.tsv.gz
    done
    matrix d
    sed "3s/b/$bad/" l.tsv >bad.tsv
    fails 3 mtx-read --labels bad.tsv -o y.cms d
    says 'bad.tsv: line 3'
    printf 'AAAG\n%s\n' "$bad" >list
    fails 3 cms-cat --names list -o y.cms x.cms
    says 'list: line 2'
    fails 3 cms-cat --columns list -o y.cms x.cms
    fails 3 cms-cat --rename list -o y.cms x.cms
    printf 'chr1\t0\t9\tE1\nchr1\t3\t4\t%s\n' "$bad" >g.bed
    fails 3 feature-sort --annotation g.bed -o y.cms x.cms
    says 'g.bed: line 2: byte 13 (0xe9) is not UTF-8'
    printf 'chr1\n%s\n' "$bad" >order
    printf 'chr1\t0\t9\tE1\n' >g.bed
    fails 3 feature-sort --annotation g.bed --order file:order -o y.cms x.cms
    says 'order: line 2'
    fails 3 cms-text --from -o y.cms <(cms-text x.cms | sed "s/^AAAC/$bad/")
    says 'is not UTF-8'
    fails 3 cms-text --from -o y.cms <(cms-text x.cms | sed "s/^AAAC/caf%E9/")
    says 'the name'
    # streams that hold such text already: a row, a category, a column, the head
    zstd -dqc x.cms >plain
    for f in AAAC:AAA$'\xe9' 'E1:E\xe9' X:$'\xe9'; do
        LC_ALL=C sed "s/${f%%:*}/${f#*:}/" plain | zstd -qc >z.cms
        fails 3 cms-text -o y z.cms
        says 'is not UTF-8'
        [ "$(cms-info --check z.cms >/dev/null 2>err; echo $?)" != 0 ]
    done
    [ ! -e y.cms ]
    # names of files are in any encoding; the history is not
    cp x.cms "$bad.cms"
    cms-cat -o y.cms "$bad.cms"
    cms-info --check y.cms >/dev/null
    cms-info y.cms | iconv -f UTF-8 -t UTF-8 >/dev/null
}

@test "header lines, byte order marks, line ends, blank ends and blank last lines" {
    matrix d
    mtx-read --no-provenance -o want.cms d
    printf '\xef\xbb\xbfbarcode\r\nAAAC  \r\nAAAG\r\n\r\n' >d/barcodes.tsv
    printf '\xef\xbb\xbfgene_id\tgene_name\r\nE1\tA\r\nE2\tB \r\nE3\tC\r\n  \r\n' >d/features.tsv
    mtx-read --no-provenance -o x.cms d 2>err
    cms-diff want.cms x.cms
    [ "$(grep -c 'is taken for a header line' err)" = 2 ]
    printf 'AAAA\nAAAC\nAAAG\n' >d/barcodes.tsv # one too many, but no header
    fails 3 mtx-read -o x.cms d
    says '3 barcodes (d/barcodes.tsv); a header line?'
    printf 'AAAC\n\nAAAG\n' >d/barcodes.tsv
    fails 3 mtx-read -o x.cms d
    says 'barcodes.tsv: line 2: expected a barcode, found ""'
    printf 'AAAC\nAA\0G\n' >d/barcodes.tsv
    fails 3 mtx-read -o x.cms d
    says 'barcodes.tsv: line 2: holds a zero byte'
    matrix d
    printf 'E1\tA\nE2\tB\tx\nE3\tC\n' >d/features.tsv
    fails 3 mtx-read -o x.cms d
    says 'features.tsv: line 2: expected 2 columns as in line 1, found more'
    printf '"E1"\t"A\tx"\nE2\tB\nE3\tC\n' >d/features.tsv
    mtx-read -o x.cms d
    cms-text --cols x.cms | grep -q 'A%09x'
}

@test "lists of names and pairs are forgiving about ends, strict about the rest" {
    matrix d
    mtx-read --type GEX -o x.cms d
    mtx-read --type ATAC -o a.cms d
    printf '\xef\xbb\xbf"AAAG"\r\nAAAG\r\n\r\n' >list
    cms-cat --names list -o y.cms x.cms 2>err
    [ ! -s err ]
    [ "$(rows y.cms)" = "AAAG E2:2 E3:1" ]
    : >empty
    cms-cat --names empty -o y.cms x.cms 2>err
    grep -q 'none of 2 rows is kept' err
    printf '"E3"\r\nE1\r\n\r\n' >list
    [ "$(cols <(cms-cat --columns list x.cms))" = "E3 E1" ]
    printf '\xef\xbb\xbf"AAAG"\t"new name"\r\n' >list
    [ "$(cms-text --bare <(cms-cat --rename list x.cms) | cut -f 1 | paste -sd '|')" = "AAAC|new name" ]
    printf 'nobody\tnew\n' >list
    cms-cat --rename list -o y.cms x.cms 2>err
    grep -q "1 of 1 names in list are not among the rows (the first: 'nobody')" err
    pairs() { batch --size 2 --epochs 1 --pairs t.tsv -o p.cms x.cms a.cms; }
    printf '\xef\xbb\xbfrow1\trow2\r\n0\t1\r\n1\t0\r\n\r\n' >t.tsv
    pairs
    printf 'a\tb\n"AAAC"\t"AAAC"\n"AAAG"\tAAAG\n' >t.tsv
    pairs
    printf 'AAAC\tAAAC\nAAAG\tAAAG\n' >t.tsv
    fails 3 pairs
    says "t.tsv: line 1: expected a header line, found the pair 'AAAC' and 'AAAC'"
    printf '0\t0\n1\t1\n' >t.tsv
    fails 3 pairs
    says 'row numbers need the header line row1 TAB row2'
    printf 'a\tb\nAAAC\tAAAC\nAAAC\tAAAC\n' >t.tsv
    fails 3 pairs
    says "t.tsv: line 3: the pair 'AAAC', 'AAAC' stands in a line before"
    printf 'a,b\nAAAC,AAAC\n' >t.tsv
    fails 3 pairs
    says 't.tsv: line 1: expected two fields separated by a tab'
    gzip -k t.tsv
    fails 3 batch --pairs t.tsv.gz -o p.cms x.cms a.cms
    says 'found a gzip file (gunzip it first)'
}

@test "a third column that holds no types makes no slots" {
    matrix d
    printf 'E1\tA\tprotein_coding\nE2\tB\tlncRNA\nE3\tC\tprotein_coding\n' >d/features.tsv
    mtx-read -o x.cms d 2>err
    grep -q 'column 3 holds no types of features (protein_coding (2), lncRNA (1))' err
    [ "$(info x.cms slot.0.name) $(info x.cms slot.0.cols) $(info x.cms slot.0.columns)" = "GEX 3 name,feature_class,feature_name" ]
    [ "$(info <(mtx-read --type GEX d 2>/dev/null) slot.0.name)" = GEX ]
    [ "$(info <(mtx-read --type ADT d 2>/dev/null) slot.0.name)" = ADT ]
    fails 3 mtx-read --type lncRNA -o y.cms d
    says 'lncRNA is no type of features but a value of column 3'
    printf 'E1\tA\t1\t100\t200\t+\nE2\tB\t1\t300\t400\t-\nE3\tC\tX\t5\t9\t+\n' >d/features.tsv
    mtx-read -o x.cms d
    [ "$(cms-text --cols x.cms | tail -n 1)" = $'E3\tC\t5\t9\tX' ]
    [ "$(info x.cms slot.0.name)" = GEX ]
    printf 'E1\tA\tGene Expression\nE2\tB\tCustom\nE3\tC\tGene Expression\n' >d/features.tsv
    fails 2 mtx-read -o y.cms d
    says 'Gene Expression (2), Custom (1)'
}

@test "the side files of kb, EBI and Parse are found" {
    mkdir kb ebi parse
    matrix d
    sed '2s/.*/2 3 3/; s/^\([123]\) \([12]\) \(.\)$/\2 \1 \3/' d/matrix.mtx >kb/cells_x_genes.mtx
    cut -f 1 d/features.tsv >kb/cells_x_genes.genes.txt
    cut -f 2 d/features.tsv >kb/cells_x_genes.genes.names.txt
    cp d/barcodes.tsv kb/cells_x_genes.barcodes.txt
    mtx-read --no-provenance -o kb.cms kb
    mtx-read --no-provenance --type GEX -o want.cms d
    cms-diff want.cms kb.cms
    fails 2 mtx-read -o kb/cells_x_genes.genes.names.txt kb
    echo D >>kb/cells_x_genes.genes.names.txt
    fails 3 mtx-read kb
    says 'expected 3 names as in kb/cells_x_genes.genes.txt, found 4'
    cp d/matrix.mtx ebi/E-1.aggregated_filtered_counts.mtx
    cp d/features.tsv ebi/E-1.aggregated_filtered_counts.mtx_rows
    gzip -c d/barcodes.tsv >ebi/E-1.aggregated_filtered_counts.mtx_cols.gz
    mtx-read --no-provenance -o ebi.cms ebi
    cms-diff want.cms ebi.cms
    cp kb/cells_x_genes.mtx parse/DGE.mtx
    { echo gene_id,gene_name,genome; sed 's/\t/,/; s/$/,hg38/' d/features.tsv; } >parse/all_genes.csv
    { echo bc_wells,sample; sed 's/$/,s 1/' d/barcodes.tsv; } >parse/cell_metadata.csv
    mtx-read -o parse.cms parse 2>err
    [ ! -s err ]
    [ "$(rows parse.cms)" = "$(rows want.cms | sed 's/ / s 1 /')" ]
    [ "$(info parse.cms slot.0.name) $(info parse.cms slot.0.columns) $(info parse.cms labels)" = "GEX name,feature_name,genome sample" ]
}

@test "what is no MTX, no HDF5 and no stream is named with the tool that reads it" {
    matrix d
    mtx-read -o x.cms d
    h5-write -o x.h5ad x.cms
    tar cf d.tar d
    gzip -k d.tar
    printf 'PK\3\4............' >d.zip
    printf 'gene,c1,c2\ng1,1,2\n' >dense.csv
    mkdir empty outs outs/filtered
    cp d/* outs/filtered
    local file text
    while IFS='|' read -r file text; do
        fails 3 mtx-read -o y.cms "$file"
        says "$text"
    done <<'END'
x.h5ad|found an HDF5 file (read it with h5-read)
d.tar|found a tar archive (unpack it first
d.tar.gz|found a tar archive (unpack it first
d.zip|found a zip archive (unzip it first)
x.cms|found a zstd file
dense.csv|found "gene,c1,c2" (a table with all its zeros?
empty|holds no *.mtx or *.mtx.gz
outs|there is filtered/matrix.mtx
END
    fails 3 h5-read -o y.cms d/matrix.mtx
    says '(read it with mtx-read)'
    fails 3 h5-read -o y.cms d.zip
    says 'a zip archive (unzip it first)'
    fails 4 h5-read -o y.cms d
    says 'it holds matrix.mtx (mtx-read reads it)'
    fails 2 cms-info d
    says 'mtx-read reads MTX directories'
    fails 3 cms-info d/matrix.mtx
    says 'read it with mtx-read'
    fails 3 cms-info d.zip
    says 'unzip it first'
    fails 3 cms-text --from d.zip
    says 'unzip it first'
    rm d/features.tsv
    fails 3 mtx-read -o y.cms d
    says 'no file of features beside it; --features names one'
    says '; there is barcodes.tsv'
}
