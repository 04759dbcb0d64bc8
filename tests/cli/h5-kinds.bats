# What real .h5ad, .h5mu and .loom files hold beside the usual: reserved names, other names, other
# encodings, notes that are no longer true, proteins in obsm, labels of a whole MuData file.
load ../helper

setup() {
    scratch
    edit=$BUILD/tests/faults/h5edit
    printf '%s\n' $'#cms\t1' $'#head\tkind\tmatrix' $'#head\tslots\t1' $'#head\tslot.0.name\tGEX' \
        $'#head\tslot.0.encoding\tcsr' $'#head\tslot.0.value\tauto' $'#head\tslot.0.cols\t3' \
        $'#head\tslot.0.state\tcounts' $'#head\tlabels\t1' $'#head\tlabel.0.name\tkind' \
        $'#head\tlabel.0.type\tstr' $'#cols\t0\tname' $'#cols\t0\tg1' $'#cols\t0\tg2' $'#cols\t0\tg3' \
        $'#name\tkind' $'c1\tB\tg1:5\tg2:1' $'c2\tT\tg2:2\tg3:8' $'c3\tB\tg1:3' '#end' >small.txt
    if ! cms-text --from -o small.cms small.txt; then cat small.txt; return 1; fi
    h5-write -o a.h5ad small.cms
}

state() { h5-read -q "$@" | cms-info - | awk -F '\t' '$1 == "slot.0.state" { print $2 }'; }
triplets() { h5-read -q "$@" | cms-text --triplets | tr '\t\n' '  '; }

@test "h5-write: offsets and columns of X are of one type, 32 bits where the entries fit" {
    [ "$("$edit" a.h5ad type X/indices -- type X/indptr | paste -sd ' ')" = "i32 5 i32 4" ]
}

@test "h5-read --layer raw: /raw where there is one, else the layer; layers/NAME always the layer" {
    "$edit" a.h5ad copy X layers/raw -- scale layers/raw/data 7
    [ "$(triplets --layer raw a.h5ad)" = "c1 g1 35 c1 g2 7 c2 g2 14 c2 g3 56 c3 g1 21 " ]
    h5-read --list a.h5ad | grep -qP '^layer\traw\t'
    "$edit" a.h5ad copy X raw/X -- copy var raw/var
    [[ "$(triplets --layer raw a.h5ad)" = "c1 g1 5 "* ]]
    [[ "$(triplets --layer layers/raw a.h5ad)" = "c1 g1 35 "* ]]
    [ "$(h5-read --list a.h5ad | awk -F '\t' '$1 == "layer" { print $2 }' | paste -sd ' ')" = "layers/raw raw" ]
}

@test "h5-read: layers called X or with a slash, and one that is missing" {
    "$edit" a.h5ad copy X layers/X -- scale layers/X/data 2 -- copy X layers/a/b -- copy X layers/layers/c
    [[ "$(triplets a.h5ad)" = "c1 g1 5 "* ]]
    [[ "$(triplets --layer layers/X a.h5ad)" = "c1 g1 10 "* ]]
    [[ "$(triplets --layer a/b a.h5ad)" = "c1 g1 5 "* ]]
    local name
    h5-read --list a.h5ad | awk -F '\t' '$1 == "layer" { print $2 }' >names
    [ "$(paste -sd ' ' names)" = "layers/X a/b layers/layers/c" ]
    while read -r name; do h5-read -q --layer "$name" -o x.cms a.h5ad; done <names
    fails 3 h5-read --layer d -o y.cms a.h5ad
    says "has no layer d (found: layers/X, a/b, layers/layers/c)"
}

@test "h5-read --list: what cannot be read is said so, and the rest listed" {
    "$edit" a.h5ad copy X layers/good -- copy X layers/bad -- del layers/bad/indptr \
        -- group raw/X -- copy var raw/var -- copy X obsm/odd -- attr obsm/odd encoding-type awkward-array
    h5-read --list a.h5ad >list 2>err
    grep -qP '^layer\tgood\tcsr f32\t3\t3\t5$' list
    grep -qP '^layer\tbad\tunreadable\t' list
    grep -qP '^layer\traw\tunreadable\t' list
    grep -qP '^obsm\todd\tunreadable\t' list
    grep -q 'warning: a.h5ad: /layers/bad/indptr is missing' err
    "$edit" a.h5ad del X/indptr
    h5-read -q --list a.h5ad | grep -P '^(matrix|label|layer)' >list
    [ "$(head -n 1 list)" = $'matrix\tX\tunreadable\t.\t.\t.' ]
    grep -qP '^label\tkind' list
    fails 3 h5-read -o x.cms a.h5ad
}

@test "h5-read: names of loom files" {
    "$edit" l.loom dense matrix 3 1 2 3 4 5 6 -- group layers -- text row_attrs/symbol g1 g2 \
        -- i64 row_attrs/length 5 6 -- text col_attrs/cell a b c -- text col_attrs/kind x y x
    fails 3 h5-read -o x.cms l.loom
    says "/col_attrs: which attribute names its members? Choose with --cell-names (found: cell, kind)"
    fails 3 h5-read --cell-names id -o x.cms l.loom
    says "/col_attrs: has no attribute id (found: cell, kind)"
    [ "$(triplets --cell-names cell l.loom | cut -d ' ' -f 1-6)" = "a g1 1 a g2 4" ]
    h5-read --cell-names cell l.loom 2>err | cms-text --labels | grep -qP '^b\ty$'
    grep -q 'warning: l.loom: /row_attrs: named by its only attribute of text, symbol' err
    [[ "$(triplets --cell-names cell --feature-names length l.loom)" = "a 5 1 a 6 4 "* ]]
    "$edit" l.loom del row_attrs/symbol -- text row_attrs/symbol g g
    fails 3 h5-read --cell-names cell -o x.cms l.loom
    says "/row_attrs: which attribute names its members?"
    fails 3 h5-read --cell-names kind -o x.cms a.h5ad
    [ ! -e x.cms ]
}

@test "h5-read: entities of loom files are characters; those of others stay" {
    "$edit" l.loom dense matrix 1 1 2 3 4 -- group layers -- text col_attrs/CellID a \
        -- text row_attrs/Gene 'TNF&#945;' '&#x3b2;&amp;b' '&#0;&no;&' '&#1114112;'
    h5-read -q l.loom | cms-text --triplets | cut -f 2 | paste -sd ' ' >got
    [ "$(cat got)" = 'TNFα β&b &#0;&no;& &#1114112;' ]
    "$edit" a.h5ad move var/_index var/old -- text var/_index '&amp;1' g2 g3
    [[ "$(triplets a.h5ad)" = "c1 &amp;1 5 "* ]]
}

@test "h5-read: text that is not UTF-8 is refused, or converted where that is asked for" {
    local place
    cp a.h5ad b.h5ad
    "$edit" b.h5ad del obs/_index -- text obs/_index $'caf\351' b c
    fails 3 h5-read -o x.cms b.h5ad
    says "/obs/_index: row 0: text that is not UTF-8 (byte 3 is 0xE9); --encoding latin1 converts it"
    [[ "$(triplets --encoding latin1 b.h5ad)" = "café g1 5 "* ]]
    h5-read --encoding latin1 b.h5ad | h5-write -o c.h5ad
    [[ "$(triplets c.h5ad)" = "café g1 5 "* ]]
    for place in var/_index obs/kind uns/cellmatch/slot; do
        cp a.h5ad b.h5ad
        if [ $place = uns/cellmatch/slot ]; then
            "$edit" b.h5ad del $place -- word $place $'\265'
        else
            "$edit" b.h5ad del $place -- text $place $'\265' b c
        fi
        fails 3 h5-read -o x.cms b.h5ad
        says "/$place: row 0: text that is not UTF-8"
        h5-read -q --encoding latin1 -o y.cms b.h5ad
    done
    cp a.h5ad b.h5ad
    "$edit" b.h5ad copy obs/kind obs/$'\344' -- attrs obs column-order $'\344'
    fails 3 h5-read -o x.cms b.h5ad
    says "attribute column-order: text that is not UTF-8"
    cp a.h5ad b.h5ad
    "$edit" b.h5ad del obs/_index -- fixed obs/_index 4 'a\0b' b c
    fails 3 h5-read -o x.cms b.h5ad
    says "/obs/_index: row 0: a text with a NUL byte inside"
    [ ! -e x.cms ]
}

@test "h5-write: text that is not UTF-8 and labels that cannot stand together are refused" {
    local change
    for change in $'s/^c2/caf\351/' $'s/g2/\265/' $'s/T/\265/'; do
        if LC_ALL=C sed "$change" small.txt | cms-text --from -o b.cms 2>err; then
            fails 3 h5-write -o x.h5ad b.cms
            says "not UTF-8"
        else
            grep -q 'error: ' err # the stream itself is refused
        fi
    done
    sed -e 's/labels\t1/labels\t2/' -e $'/label.0.type/a #head\\tlabel.1.name\\tkind/b\\n#head\\tlabel.1.type\\tstr' \
        -e 's/^#name\tkind/&\tkind\/b/' -e 's/^\(c[0-9]\t[BT]\)/\1\tx/' small.txt >two.txt
    cms-text --from -o b.cms two.txt
    fails 3 h5-write -o x.h5ad b.cms
    says "cannot hold the labels kind and kind/b together"
    if sed 's/kind\/b/kind/' two.txt | cms-text --from -o b.cms 2>err; then
        fails 3 h5-write -o x.h5ad b.cms
        says "two labels are named kind"
    else
        grep -q 'error: ' err
    fi
    [ ! -e x.h5ad ]
}

@test "h5-read: a note of h5-write holds for the values that it was written for" {
    lognorm -q small.cms | h5-write -o log.h5ad
    [ "$(state a.h5ad)" = counts ] && [ "$(state log.h5ad)" = lognorm ]
    cp a.h5ad b.h5ad && "$edit" b.h5ad scale X/data .9
    [ "$(state b.h5ad)" = unknown ]
    h5-read b.h5ad 2>&1 >x.cms | grep -q 'note that its values are counts is out of date: some are not whole numbers'
    cp a.h5ad b.h5ad && "$edit" b.h5ad scale X/data -1
    [ "$(state b.h5ad)" = unknown ]
    cp a.h5ad b.h5ad && "$edit" b.h5ad scale X/data 2 # still counts, in silence
    [ "$(h5-read -o x.cms b.h5ad 2>&1)" = "" ] && [ "$(state b.h5ad)" = counts ]
    cp log.h5ad b.h5ad && "$edit" b.h5ad del X/data -- copy X/indices X/data
    "$edit" b.h5ad del X/data -- f32 X/data 5 1 2 8 3
    [ "$(state b.h5ad)" = counts ]
    h5-read b.h5ad 2>&1 >x.cms | grep -q 'lognorm is out of date: all are whole numbers'
    cp log.h5ad b.h5ad && "$edit" b.h5ad scale X/data 1.5 # may be lognorm of another kind
    [ "$(state b.h5ad)" = lognorm ]
    h5-read b.h5ad 2>&1 >x.cms | grep -q 'has changed since its values were noted as lognorm'
    [ "$(state --state tfidf b.h5ad)" = tfidf ]
    cp log.h5ad b.h5ad && "$edit" b.h5ad scale X/data -1
    [ "$(state b.h5ad)" = unknown ]
    "$edit" a.h5ad del uns/cellmatch/values -- scale X/data .5 # of a version that noted no values
    [ "$(state a.h5ad)" = unknown ]
}

@test "h5-read: 10x files are counts unless their values are not" {
    "$edit" x.h5 text matrix/barcodes A B -- text matrix/features/id g1 g2 \
        -- f32 matrix/data 1 2 -- i64 matrix/indices 0 1 -- i64 matrix/indptr 0 1 2 -- i64 matrix/shape 2 2
    [ "$(state x.h5)" = counts ]
    "$edit" x.h5 scale matrix/data .5
    [ "$(state x.h5)" = unknown ]
    h5-read x.h5 2>&1 >x.cms | grep -q 'no counts as in other 10x files'
}

@test "h5-read: features of a 10x file by id or by symbol" {
    "$edit" x.h5 text matrix/barcodes A B -- text matrix/features/id g1 g2 g3 \
        -- text matrix/features/name MT-ND1 TBCE TBCE -- i64 matrix/data 1 2 3 \
        -- i64 matrix/indices 0 1 2 -- i64 matrix/indptr 0 1 3 -- i64 matrix/shape 3 2
    [ "$(triplets x.h5)" = "A g1 1 B g2 2 B g3 3 " ]
    [ "$(triplets --feature-names id x.h5)" = "A g1 1 B g2 2 B g3 3 " ]
    for name in name feature_name; do
        h5-read --feature-names $name -o x.cms x.h5 2>err
        grep -q '1 names of features occurred before; --make-unique' err
        [ "$(triplets --feature-names $name --make-unique x.h5)" = "A MT-ND1 1 B TBCE 2 B TBCE-1 3 " ]
    done
    h5-read -q --feature-names name --make-unique x.h5 | cms-text --cols >cols
    [ "$(cut -f 1 cols | paste -sd,)" = name,MT-ND1,TBCE,TBCE-1 ]
    grep -qP 'gene_ids' cols
    grep -qP '^TBCE-1\t.*g3' cols
    fails 3 h5-read --feature-names symbol -o y.cms x.h5
    says "x.h5: --feature-names: the features have no text 'symbol'"
    fails 3 h5-read --feature-names name -o y.cms a.h5ad
    says 'is for 10x and loom files and --obsm'
    [ ! -e y.cms ]
    # the older layout
    "$edit" old.h5 text hg19/barcodes A B -- text hg19/genes g1 g2 -- text hg19/gene_names S1 S2 \
        -- i64 hg19/data 1 2 -- i64 hg19/indices 0 1 -- i64 hg19/indptr 0 1 2 -- i64 hg19/shape 2 2
    [ "$(triplets --feature-names name old.h5)" = "A S1 1 B S2 2 " ]
}

@test "h5-read: X without counts names the layer that has some" {
    "$edit" a.h5ad copy X layers/counts -- del uns/cellmatch -- scale X/data -.5
    h5-read -o x.cms a.h5ad 2>err
    grep -q 'a.h5ad: /X holds no counts (values below zero); --layer counts does (h5-read --layer counts FILE >x.cms)' err
    "$edit" a.h5ad move layers/counts raw/X -- copy var raw/var
    h5-read -o x.cms a.h5ad 2>err
    grep -q 'holds no counts (values below zero); --layer raw does' err
    [ "$(h5-read --state scaled -o x.cms a.h5ad 2>&1)" = "" ]
}

@test "h5-read --obsm: an array, a sparse one, a table; their names and their type" {
    "$edit" a.h5ad dense obsm/protein 2 1 2 3 4 5 6 -- copy X obsm/sparse \
        -- i64 obsm/table/CD3 7 8 9 -- f32 obsm/table/CD4 .5 0 1 -- text obsm/table/lot x y z \
        -- copy obs/_index obsm/table/_index -- attr obsm/table encoding-type dataframe \
        -- attr obsm/table _index _index -- attrs obsm/table column-order CD4 CD3 lot
    [ "$(triplets --obsm protein a.h5ad)" = "c1 protein_0 1 c1 protein_1 2 c2 protein_0 3 c2 protein_1 4 c3 protein_0 5 c3 protein_1 6 " ]
    [ "$(triplets --obsm sparse a.h5ad | cut -d ' ' -f 1-6)" = "c1 sparse_0 5 c1 sparse_1 1" ]
    h5-read --obsm table -o t.cms a.h5ad 2>err
    grep -q '/obsm/table/lot: is no column of numbers; left out' err
    [ "$(cms-text --triplets t.cms | tr '\t\n' '  ')" = "c1 CD4 0.5 c1 CD3 7 c2 CD4 0 c2 CD3 8 c3 CD4 1 c3 CD3 9 " ]
    h5-read --obsm protein --type ADT -o p.cms a.h5ad
    [ "$(cms-info p.cms | awk -F '\t' '$1 == "slot.0.name" || $1 == "slot.0.state" { print $2 }' | paste -sd ' ')" = "ADT counts" ]
    cms-text --labels p.cms | grep -qP '^c2\tT$'
    [ "$(h5-read -q --list a.h5ad | awk -F '\t' '$1 == "obsm" { print $2 ":" $3 ":" $5 }' | paste -sd ' ')" = "protein:dense f32:2 sparse:csr f32:3 table:table f64:2" ]
    "$edit" a.h5ad text uns/protein_names CD3 CD4 -- text uns/panel x y
    h5-read --obsm protein -o p.cms a.h5ad 2>err
    grep -q 'obsm/protein are named by /uns/protein_names' err
    [ "$(cms-text --cols p.cms | tail -n +2 | paste -sd ' ')" = "CD3 CD4" ]
    [[ "$(triplets --obsm protein --feature-names uns/panel a.h5ad)" = "c1 x 1 c1 y 2 "* ]]
    fails 3 h5-read --obsm protein --feature-names uns/none -o x.cms a.h5ad
    fails 3 h5-read --obsm prot -o x.cms a.h5ad
    says "obsm has no prot (found: protein, sparse, table)"
    fails 2 h5-read --obsm protein --layer raw -o x.cms a.h5ad
    "$edit" a.h5ad del obsm/table/_index -- text obsm/table/_index c1 c3 c2
    fails 3 h5-read --obsm table -o x.cms a.h5ad
    says "row 1 is of cell c3, but that of obs is c2"
    [ ! -e x.cms ]
}

# A MuData file of two modalities; /obs in another order than rna, with a cell that rna lacks.
mudata() {
    rm -f m.h5mu
    local m k
    set -- attr / encoding-type MuData
    for m in rna prot; do
        for k in X obs var obsm uns; do
            [ $k = obsm ] || set -- "$@" -- from a.h5ad $k mod/$m/$k
        done
    done
    "$edit" m.h5mu "$@" -- text obs/_index c3 d c1 c2 -- attr obs encoding-type dataframe \
        -- attr obs _index _index -- attrs obs column-order site rna:kind kind rna:only \
        -- text obs/site s3 s4 s1 s2 -- text obs/rna:kind B - B T -- text obs/kind B - B T \
        -- i64 obs/rna:only 3 4 1 2 -- text obs/unused a b c d -- i64 obsmap/rna 3 0 1 2 -- i64 obsmap/prot 3 0 1 2
}

@test "h5-read: labels of a whole MuData file come to the cells of a modality" {
    mudata
    h5-read -o x.cms m.h5mu/rna 2>err
    [ ! -s err ]
    [ "$(cms-text --labels x.cms | tr '\t\n' ',;')" = "name,kind,site,rna:only;c1,B,s1,1;c2,T,s2,2;c3,B,s3,3;" ]
    [ "$(triplets --where site=s2 m.h5mu/rna)" = "c2 g2 2 c2 g3 8 " ]
    [ "$(h5-read --labels site m.h5mu/rna | cms-text --labels | tail -n 1)" = $'c3\ts3' ]
    h5-read --list m.h5mu | grep -qP '^label\trna/site\tstr'
}

@test "h5-read: labels of a MuData file that contradict, or whose map is stale" {
    mudata
    "$edit" m.h5mu del obs/kind -- text obs/kind B - T T
    h5-read -o x.cms m.h5mu/rna 2>err
    grep -q 'label kind: /obs and /mod/rna/obs differ for 1 cells; those of the modality are taken' err
    cms-text --labels x.cms | grep -qP '^c1\tB\ts1'
    mudata
    "$edit" m.h5mu del obsmap/rna -- i64 obsmap/rna 1 2 3 0
    h5-read -o x.cms m.h5mu/rna 2>err
    grep -q '/obsmap/rna does not fit the cells of /mod/rna; labels of /obs are joined by name' err
    cms-text --labels x.cms | grep -qP '^c1\tB\ts1\t1$'
    "$edit" m.h5mu del obsmap
    h5-read -o y.cms m.h5mu/rna 2>err
    [ ! -s err ]
    cms-diff x.cms y.cms
    "$edit" m.h5mu del obs/_index -- text obs/_index c3 d d d # two cells have no row
    h5-read -o x.cms m.h5mu/rna 2>err
    grep -q '/obs has a name twice; its labels are left out' err
}

@test "h5-read: a file of another kind is called by its name" {
    local f
    gzip -c a.h5ad >a.h5ad.gz
    printf 'PK\003\004junk' >a.zip
    printf 'PK\003\004..............................[Content_Types].xml' >a.xlsx
    printf 'X\n\000\000\000\003' | gzip >a.rds
    printf 'PAR1junkjunk' >a.parquet
    printf '%%%%MatrixMarket matrix coordinate integer general\n1 1 0\n' >a.mtx
    gzip -c a.mtx >a.mtx.gz
    printf '<!DOCTYPE html><html>403</html>' >page.h5ad
    printf 'version https://git-lfs.github.com/spec/v1\n' >lfs.h5ad
    printf 'gene,c1\nx,1\n' >a.csv
    : >empty.h5ad
    cms-gen --cells 600 --genes 500 --peaks 10 --gex big.cms # a first block beyond one page
    while IFS=: read -r f text; do
        fails 3 h5-read -o x.cms "$f"
        says "$f: not an HDF5 file: it is $text"
        fails 3 h5-read -o x.cms - <"$f"
        [[ $f = *.csv || $f = *.rds ]] || says "it is $text"
    done <<'T'
a.h5ad.gz:a gzip-compressed HDF5 file (gunzip it first)
a.zip:a zip archive (unzip it first)
a.xlsx:an Excel workbook
a.rds:an R object
a.parquet:a Parquet table
a.mtx:a Matrix Market file (read it with mtx-read)
a.mtx.gz:a gzip-compressed MatrixMarket file (mtx-read reads it)
small.cms:a CMS stream already
big.cms:a CMS stream already
small.txt:a stream as text (cms-text --from reads it)
page.h5ad:an HTML page
lfs.h5ad:a Git LFS pointer
a.csv:text
empty.h5ad:empty
T
    mkdir store d
    : >store/.zgroup
    cp a.mtx d/matrix.mtx
    fails 4 h5-read -o x.cms store
    says "it is a Zarr store"
    fails 4 h5-read -o x.cms d
    says "mtx-read reads it"
    "$edit" s.h5seurat group assays/RNA -- text cell.names a
    fails 3 h5-read -o x.cms s.h5seurat
    says "an h5Seurat file"
    [ ! -e x.cms ]
}

@test "h5-read: whole numbers beyond 32 bits arrive exactly, of signed and unsigned types" {
    "$edit" a.h5ad del X/data -- u32 X/data 4294967295 1 2147483648 8 3
    [ "$(triplets a.h5ad)" = "c1 g1 4294967295 c1 g2 1 c2 g2 2147483648 c2 g3 8 c3 g1 3 " ]
    "$edit" a.h5ad del X/data -- i64 X/data 9007199254740991 1 2 8 3
    [[ "$(triplets a.h5ad)" = "c1 g1 9007199254740991 "* ]]
    h5-read -q a.h5ad | h5-write -o b.h5ad
    [[ "$(triplets b.h5ad)" = "c1 g1 9007199254740991 "* ]]
    "$edit" a.h5ad del X/data -- i64 X/data 9007199254740994 1 2 8 3
    fails 3 h5-read -o x.cms a.h5ad
    says "beyond 2^53"
}

@test "h5-write: what people do next with its files works in anndata" {
    /usr/bin/python3 -W ignore -c 'import anndata' 2>/dev/null || skip "no anndata"
    prepared gex.cms e.cms match.cms
    h5-write -o matrix.h5ad gex.cms
    cms-cat --rows 0:100 gex.cms | lognorm -q | h5-write -o log.h5ad
    h5-write -o embedding.h5ad e.cms
    h5-write -o match.h5ad match.cms
    h5-write --dataset-id d --method-id m -o prediction.h5ad match.cms
    h5-write --into matrix.h5ad --key X_m -o into-e.h5ad e.cms
    h5-write --into into-e.h5ad --key m -o into-m.h5ad match.cms
    /usr/bin/python3 -W ignore - <<'P'
import anndata as ad, numpy as np, scipy.sparse as sp
full = lambda x: x.toarray() if sp.issparse(x) else np.asarray(x)
for f in 'matrix log embedding match prediction into-e into-m'.split():
    a = ad.read_h5ad(f + '.h5ad')
    n, m = a.shape
    x, rows, cols = full(a.X), np.arange(n) % 2 == 0, np.arange(m) % 2 == 1
    if sp.issparse(a.X):
        assert a.X.indices.dtype == a.X.indptr.dtype == 'i4', f
    names = list(a.obs_names[[5, 1, 3]])
    assert (full(a[names].X) == x[[5, 1, 3]]).all(), f
    assert (full(a[rows].X) == x[rows]).all() and (full(a[:, cols].X) == x[:, cols]).all(), f
    assert (full(a[:, list(a.var_names[[2, 0]])].X) == x[:, [2, 0]]).all(), f
    assert (full(a[rows, cols].copy().X) == x[rows][:, cols]).all(), f
    both = ad.concat([a[rows], a[~rows]])
    assert (full(both[a.obs_names].X) == x).all(), f
    for k in a.obsm:
        assert (a[names].obsm[k] == a.obsm[k][[5, 1, 3]]).all() and k in both.obsm, f
    assert a.T.shape == (m, n), f
    a[rows].copy().write_h5ad('part.h5ad')
    assert (full(ad.read_h5ad('part.h5ad').X) == x[rows]).all(), f
    a.write_h5ad('again.h5ad', compression='gzip')
    b = ad.read_h5ad('again.h5ad', backed='r+')
    assert (full(b[names].to_memory().X) == x[[5, 1, 3]]).all() and (full(b[rows].to_memory().X) == x[rows]).all(), f
    b.file.close()
P
    [ "$(state again.h5ad)" = counts ]
    [ "$(h5-read -q part.h5ad | cms-info - | awk -F '\t' '$1 == "rows" { print $2 }')" = 150 ]
}

@test "chunks that go through gzip twice, or after a filter that packs, are refused by name" {
    /usr/bin/python3 -c 'import h5py' 2>/dev/null || skip "no h5py"
    prepared gex.h5ad
    /usr/bin/python3 - <<'P'
import h5py, shutil
for kind in ("packed", "twice"):
    shutil.copy("gex.h5ad", kind + ".h5ad")
    with h5py.File(kind + ".h5ad", "r+") as f:
        d = f["X/indptr"][:]
        del f["X/indptr"]
        if kind == "packed":
            f.create_dataset("X/indptr", data=d, compression="gzip", scaleoffset=0)
        else:
            p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            p.set_chunk(d.shape)
            p.set_deflate(4)
            p.set_deflate(4)
            new = h5py.h5d.create(f["X"].id, b"indptr", h5py.h5t.py_create(d.dtype),
                                  h5py.h5s.create_simple(d.shape), p)
            new.write(h5py.h5s.ALL, h5py.h5s.ALL, d)
P
    fails 3 h5-read packed.h5ad
    says "/X/indptr: chunks go through gzip after filter scaleoffset, which is not supported"
    fails 3 h5-read twice.h5ad
    says "/X/indptr: chunks go through gzip twice, which is not supported"
}
