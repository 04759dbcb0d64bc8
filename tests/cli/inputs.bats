# What train.sh and match.sh read: every format gives the model and the match of the streams.
load ../helper

setup() {
    scratch
    need lognorm tfidf batch xattn-train embed knn-match assign h5-write mtx-write
    prepared gex.cms atac.cms
    export TMPDIR=$PWD/tmp TRAIN='xattn-train --preset linear'
    mkdir tmp
    [ -e "$BATS_FILE_TMPDIR/match.cms" ] || {
        train.sh gex.cms atac.cms model.cms
        match.sh model.cms gex.cms atac.cms match.cms
        mv model.cms match.cms "$BATS_FILE_TMPDIR"
    }
    ln -s "$BATS_FILE_TMPDIR"/*.cms .
}
# same GEX ATAC [DIFF OPTION]: the same model and match from these inputs; nothing left behind.
same() {
    train.sh "$1" "$2" m.cms
    cms-diff --tolerance 0 $3 model.cms m.cms
    match.sh model.cms "$1" "$2" x.cms
    cms-diff --tolerance 0 $3 match.cms x.cms
    [ -z "$(ls -A tmp)" ]
}
unnamed() { cms-text "$1" | sed 's/^\(#head\tslot.0.name\t\).*/\1X/' | cms-text --from -o "$2"; } # slot X

@test ".h5ad" {
    h5-write -o g.h5ad gex.cms
    h5-write -o a.h5ad atac.cms
    same g.h5ad a.h5ad
}

@test "MTX directories and matrices, in any layout" {
    mtx-write -o g gex.cms
    mtx-write -o a --layout starsolo atac.cms
    same g a/matrix.mtx
}

@test "files that do not say what they hold are what they stand for" {
    unnamed gex.cms gx.cms
    unnamed atac.cms ax.cms
    h5-write -o g.h5ad gx.cms
    mtx-write -o a ax.cms
    rm a/labels.tsv.gz # what other programs would not have written
    zcat a/matrix.mtx.gz | sed /^%cellmatch/d >a/matrix.mtx
    cut -f 1 <(zcat a/features.tsv.gz) >a/features.tsv
    rm a/*matrix.mtx.gz a/features.tsv.gz
    [ "$(cms-info <(mtx-read a) | awk '$1 == "slot.0.name" { print $2 }')" = X ]
    match.sh model.cms g.h5ad a x.cms
    WITHIN=none match.sh model.cms gex.cms atac.cms want.cms
    cms-diff --ignore-names --tolerance 0 want.cms x.cms
}

@test "one MTX directory of both types, given twice" {
    mtx-write --layout starsolo -o g gex.cms
    mtx-write --layout starsolo -o a atac.cms
    mkdir both
    cat g/features.tsv a/features.tsv | cut -f 1-6 >both/features.tsv
    cp g/barcodes.tsv both
    # the cells of atac in the order of gex
    n=$(wc -l <g/features.tsv)
    awk -v n="$n" '
        FILENAME == ARGV[1] { gex[$1] = FNR; next }
        FILENAME == ARGV[2] { to[FNR] = gex[$1]; next }
        /^%/ { next }
        { file[FILENAME]++ }
        file[FILENAME] == 1 { rows += $1; cols = $2; next }
        FILENAME == ARGV[3] { line[++k] = $0; next }
        { line[++k] = $1 + n " " to[$2] " " $3 }
        END { print "%%MatrixMarket matrix coordinate integer general"; print rows, cols, k; for (i = 1; i <= k; i++) print line[i] }
    ' g/barcodes.tsv a/barcodes.tsv g/matrix.mtx a/matrix.mtx >both/matrix.mtx
    mtx-read --type ATAC both | cms-text --triplets - | sort >got
    cms-text --triplets atac.cms | sort | cmp - got
    match.sh model.cms both both x.cms
    WITHIN=none match.sh model.cms gex.cms atac.cms want.cms
    paste <(cms-text --triplets x.cms | sort) <(cms-text --triplets want.cms | sort) | awk -F '\t' '
        { d = $3 - $6; if ($1 FS $2 != $4 FS $5 || d > 1e-5 || d < -1e-5) { print; exit 1 } }
        END { exit NR < 300 }'
    train.sh both both m.cms # no label: a tenth is held out
    cms-info --check m.cms >/dev/null
    [ -z "$(ls -A tmp)" ]
}

@test "SECOND names the second type: genes and proteins of one directory, given once or twice" {
    zstd -dqc "$REF/mtx.tar.zst" | tar -xf - ./arc
    zcat arc/features.tsv.gz | sed 's/\tPeaks\t/\tAntibody Capture\t/' >arc/features.tsv
    rm arc/features.tsv.gz
    export SECOND=ADT TFIDF=clr
    mtx-read --type GEX -o g.cms arc
    mtx-read --type ADT -o p.cms arc
    names() { cms-text --cols "$1" | cut -f 1 | grep -vE '^(name|#slot)$'; }
    train.sh -q --preset linear arc arc one.cms
    train.sh -q --preset linear g.cms arc two.cms
    [ "$(digest one.cms)" = "$(digest two.cms)" ]
    [ "$(cms-info one.cms | awk -F '\t' '/^slot.[01].name/ { print $2 }' | paste -sd ' ')" = 'GEX ADT' ]
    diff <(names one.cms | sort) <({ names g.cms && names p.cms; } | sort)
    [ -z "$(ls -A tmp)" ]
}

@test "a stream by any name" {
    cp gex.cms g
    cp atac.cms a.stream
    same g a.stream
}

@test "real files: .h5mu with and without its modality, a 10x file twice" {
    need_data formats/muon_pbmc_multiome_1000.h5mu formats/arc_layout_pbmc_1000x219.h5
    mu=$DATA/formats/muon_pbmc_multiome_1000.h5mu
    arc=$DATA/formats/arc_layout_pbmc_1000x219.h5
    train.sh "$mu/rna" "$mu/atac" a.cms
    train.sh "$mu" "$mu" b.cms
    cms-diff --tolerance 0 a.cms b.cms
    train.sh "$mu" "$mu/mod/atac" c.cms
    cms-diff --tolerance 0 a.cms c.cms
    train.sh "$arc" "$arc" d.cms
    train.sh "$mu" "$arc" e.cms
    cms-info --check d.cms e.cms >/dev/null
    h5-read --to GEX=g.cms --to ATAC=p.cms "$arc"
    train.sh g.cms p.cms f.cms
    cms-diff --tolerance 0 d.cms f.cms
}

@test "the wrong way round, damaged, absent: the status and the line of the reader, nothing left" {
    h5-write -o g.h5ad gex.cms
    mtx-write -o a atac.cms
    run train.sh gex.cms gex.cms out.cms
    [ "$status" = 3 ] && [ ! -e out.cms ]
    echo junk >j.h5
    run train.sh j.h5 a out.cms
    [ "$status" = 3 ] && [[ $output == *"h5-read: error: "* ]] && [ ! -e out.cms ]
    run train.sh g.h5ad nowhere out.cms
    [ "$status" = 4 ] && [ ! -e out.cms ]
    zcat a/matrix.mtx.gz | head -n -1 | gzip >m.gz
    mv m.gz a/matrix.mtx.gz
    run match.sh model.cms g.h5ad a out.cms
    [ "$status" = 3 ] && [[ $output == *"mtx-read: error: a/matrix.mtx.gz: ends after "* ]] && [ ! -e out.cms ]
    [ -z "$(ls -A tmp)" ]
}
