# mtx-write: there and back is the same; other readers find the same; a directory is whole or not there.
load ../helper
load tiny

@test "mtx-write | mtx-read is the same: counts, lazy values, labels, tables, fits" {
    prepared gex.cms atac.cms gex.log.cms atac.tfidf.cms
    local f
    for f in gex atac gex.log atac.tfidf; do
        mtx-write -o "$f" $f.cms
        mtx-read "$f" | cms-diff --tolerance 0 $f.cms -
        mtx-write --layout starsolo -o "$f.plain" $f.cms
        mtx-read -o x.cms "$f.plain"
        cms-diff --tolerance 0 $f.cms x.cms
    done
    [ "$(ls gex | paste -sd ' ')" = "barcodes.tsv.gz features.tsv.gz labels.tsv.gz matrix.mtx.gz" ]
    zcat gex/matrix.mtx.gz | cmp - gex.plain/matrix.mtx
}

@test "mtx-write | mtx-read is the same: every type of label and column, missing values, dense rows" {
    {
        printf '#cms\t1\n#head\tkind\tmatrix\n#head\tslots\t1\n#head\tslot.0.name\tOdd slot\n#head\tslot.0.encoding\tcsr\n'
        printf '#head\tslot.0.value\twide\n#head\tslot.0.cols\t3\n#head\tslot.0.state\tunknown\n#head\th5.organism\ta\\tb\n#head\tlabels\t5\n'
        printf '#head\tlabel.0.name\tc\n#head\tlabel.0.type\tcat\n#head\tlabel.1.name\tb\n#head\tlabel.1.type\tbool\n'
        printf '#head\tlabel.2.name\ti\n#head\tlabel.2.type\ti64\n#head\tlabel.3.name\tf\n#head\tlabel.3.type\tf64\n'
        printf '#head\tlabel.4.name\ts\n#head\tlabel.4.type\tstr\n'
        printf '#cols\t0\tname\tfit.idf:f64\tchrom:str\tok:bool\n#cols\t0\tA\t0.1\tchr1\ttrue\n#cols\t0\tB\t\t\t\n#cols\t0\tC\t3\tx y\tfalse\n#dict\tc\tplain\tu\tv w\n'
        printf '#name\tc\tb\ti\tf\ts\tcolumn:value ...\n'
        printf 'one\tu\ttrue\t1\t0.1\tsome text\tA:0.1\tB:-2\n'
        printf 'two\tv w\tfalse\t\t1e300\t\tC:1e-300\n'
        printf 'three\t\t\t-5\t\tNA\n#end\n'
    } | cms-text --from -o x.cms
    mtx-write -o d x.cms
    mtx-read d | cms-diff --tolerance 0 x.cms -
    h5-write -o x.h5ad x.cms
    DENSE=1 tiny scaled 'p x 1 0.5 0 -3' 'q y  0 0 0' 'r x 2 1e-7 12345678 0.1' >dense.cms
    mtx-write -o e dense.cms
    mtx-read e | cms-diff --tolerance 0 dense.cms -
}

@test "h5ad -> mtx -> h5ad is the same" {
    need h5-read h5-write
    prepared gex.h5ad atac.h5ad
    local m
    for m in gex atac; do
        h5-read $m.h5ad | mtx-write -o $m.d
        mtx-read $m.d | h5-write -o back.h5ad
        h5-read -o a.cms $m.h5ad
        h5-read back.h5ad | cms-diff --tolerance 0 a.cms -
    done
}

@test "real cells come back: .h5ad, and a 10x file of two types" {
    need_data pbmc_multiome_2k/pbmc_arc_layout.h5 snare_mouse_cortex/atac.h5ad
    h5-read -o a.cms "$DATA/snare_mouse_cortex/atac.h5ad"
    mtx-write -o a a.cms
    mtx-read a | cms-diff --tolerance 0 a.cms -
    h5-read --to GEX=g.cms --to ATAC=p.cms "$DATA/pbmc_multiome_2k/pbmc_arc_layout.h5"
    for m in g p; do
        mtx-write -o $m.d $m.cms
        mtx-read $m.d | cms-diff --tolerance 0 $m.cms -
    done
}

@test "the same bytes for any threads, any blocks, from a pipe, and over an older run" {
    prepared gex.cms
    mtx-write -t 1 -o a gex.cms
    mtx-write -t 3 -o b gex.cms
    diff -r a b
    cms-cat <(cms-cat --rows 0:7 gex.cms) <(cms-cat --rows 7:300 gex.cms) | mtx-write -o c
    diff -r a c
    mtx-write --layout cellranger2 -o c gex.cms 2>/dev/null
    [ "$(ls c | paste -sd ' ')" = "barcodes.tsv genes.tsv matrix.mtx" ]
    mtx-write -o c gex.cms
    diff -r a c
    mkdir empty
    mtx-write -o empty gex.cms
    diff -r a empty
    [ -z "$(ls -A | grep -F .tmp.)" ]
}

@test "a directory that holds something else is not touched; nor is a file" {
    prepared gex.cms
    mkdir d
    echo mine >d/notes.txt
    fails 4 mtx-write -o d gex.cms
    says "it is there and holds another file, notes.txt"
    [ "$(ls d)" = notes.txt ]
    echo mine >f
    fails 4 mtx-write -o f gex.cms
    says "is no directory"
    [ "$(cat f)" = mine ]
    [ -z "$(ls -A | grep -F .tmp.)" ]
}

@test "what stood there before survives a failure, and nothing new is left" {
    prepared gex.cms
    mtx-write -o d gex.cms
    cp -r d before
    head -c 20000 gex.cms >cut.cms
    fails 3 mtx-write -o d cut.cms
    fails 3 mtx-write -o new cut.cms
    diff -r before d
    [ ! -e new ]
    printf '#cms\t1\n#head\tkind\tmatrix\n#head\tslots\t1\n#head\tslot.0.name\tX\n#head\tslot.0.encoding\tcsr\n#head\tslot.0.value\tauto\n#head\tslot.0.cols\t1\n#head\tslot.0.state\tcounts\n#head\tlabels\t0\n#cols\t0\tname\n#cols\t0\ta%%09b\n#name\tcolumn:value ...\nc\n#end\n' | cms-text --from -o tab.cms
    fails 3 mtx-write -o new tab.cms
    says 'holds a tab or a line end'
    [ ! -e new ]
    [ -z "$(ls -A | grep -F .tmp.)" ]
}

@test "killed while it writes: nothing is left" {
    prepared gex.cms
    mkfifo pipe
    exec 9<>pipe
    (ulimit -f 8 2>/dev/null; exec mtx-write -o d gex.cms) 9>&- 2>err && false # a full disk, in the middle of a file
    grep -q 'error: matrix.mtx.gz: cannot write: File too large' err
    mtx-write -o d pipe 9>&- &
    pid=$!
    head -c 30000 gex.cms >&9
    for _ in $(seq 100); do ls -A | grep -qF .d.tmp. && break; sleep 0.05; done
    kill -TERM $pid
    exec 9>&-
    status=0
    wait $pid || status=$?
    [ "$status" = 143 ]
    [ ! -e d ] && [ -z "$(ls -A | grep -F .tmp.)" ]
}

@test "SciPy and a reader like Scanpy's find the same matrix and names" {
    local python=${PYTHON:-/usr/bin/python3}
    "$python" -c 'import scipy, pandas' 2>/dev/null || skip "no scipy or pandas"
    prepared gex.cms atac.tfidf.cms
    local f
    for f in gex.cms atac.tfidf.cms; do
        mtx-write -o d $f
        cms-text --triplets $f >want
        "$python" - >got <<'PY'
import numpy as np, pandas as pd, scipy.io
m = scipy.io.mmread("d/matrix.mtx.gz").T.tocsr().astype(np.float32)   # as scanpy.read_10x_mtx does
cells = pd.read_csv("d/barcodes.tsv.gz", header=None)[0].values
genes = pd.read_csv("d/features.tsv.gz", header=None, sep="\t")
assert set(genes[2]) == {"Gene Expression"} or set(genes[2]) == {"Peaks"}
assert m.shape == (len(cells), len(genes)) and m.has_sorted_indices
for i, cell in enumerate(cells):
    for e in range(m.indptr[i], m.indptr[i + 1]):
        print(cell, genes[0][m.indices[e]], repr(float(m.data[e])), sep="\t")
PY
        awk -F '\t' 'NR == FNR { v[NR] = $3; k[NR] = $1 FS $2; next }
            { d = $3 - v[FNR]; if (k[FNR] != $1 FS $2 || d > 1e-6 * v[FNR] || -d > 1e-6 * v[FNR]) { print FNR, $0, v[FNR]; exit 1 } n++ }
            END { exit n < 1000 }' want got
        [ "$(wc -l <want)" = "$(wc -l <got)" ]
    done
}
