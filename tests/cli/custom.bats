# pipelines/custom: each stage in Python, R and awk has the values of the tool that it replaces, alone and in a pipeline.
load ../helper
load tiny

C=$ROOT/pipelines/custom
# The interpreter that has NumPy may not be the first on PATH.
numpy() {
    for python in python3 /usr/bin/python3; do "$python" -c 'import numpy' 2>/dev/null && return; done
    skip "no NumPy"
}
# The heads are equal but for lazy values and for a number of rows that is promised.
heads() { diff <(cms-text --head "$1" | grep -vE '^slot.0.(lazy|rows)') <(cms-text --head "$2" | grep -v '^slot.0.rows'); }

lognorm_as() { # STAGE: all that lognorm-awk.sh and lognorm.R share
    prepared gex.cms
    for words in '' '--method seurat' '--method sqrt' '--method sqrt --fit split=train' '--method sqrt --fit cell_type=type1,type2'; do
        # shellcheck disable=SC2086 # words
        lognorm $words -o want.cms gex.cms
        # shellcheck disable=SC2086 # words
        "$1" $words <gex.cms >got.cms
        cms-diff --tolerance 1e-6 want.cms got.cms
        heads want.cms got.cms
    done
    # a fit of either is applied by both
    "$1" --like want.cms <gex.cms | cms-diff --tolerance 1e-6 want.cms -
    lognorm --like got.cms gex.cms | cms-diff --tolerance 0 want.cms -
    # cells without counts, dense cells, none at all, features with colons in their names
    tiny counts 'a x 1 A:1 B:3' 'b y 2' >small.cms
    "$1" <small.cms 2>said | cms-diff --tolerance 1e-6 <(lognorm -q small.cms) -
    grep -q '1 of 2 cells have no counts' said
    DENSE=1 tiny counts 'a x 1 1 3 0' 'b y 1 0 0 0' >dense.cms
    "$1" <dense.cms 2>/dev/null | cms-diff --tolerance 1e-6 <(lognorm -q dense.cms) -
    tiny counts | "$1" | cms-info --check -
    cms-text small.cms | sed 's/\bA\b/chr1:5-9/' | cms-text --from -o colon.cms
    "$1" <colon.cms 2>/dev/null | cms-diff --tolerance 1e-6 <(lognorm -q colon.cms) -
}
refuses() { # STAGE
    prepared gex.cms gex.log.cms
    fails 3 "$1" <gex.log.cms
    says 'already normalised (state lognorm)'
    fails 2 "$1" --methd sqrt <gex.cms
    fails 2 "$1" --method scran <gex.cms
    fails 2 "$1" --like gex.log.cms --method sqrt <gex.cms
    says 'contradicts'
    fails 2 "$1" --like gex.log.cms --fit split=train <gex.cms
    fails 3 "$1" --like gex.cms <gex.cms
    fails 3 "$1" --method sqrt --fit split=nobody <gex.cms
    fails 3 "$1" --method sqrt --fit nolabel=x <gex.cms
    tiny counts 'a x 1 A:1 C:-2' >negative.cms
    fails 3 "$1" <negative.cms
    says 'a negative count'
    head -c 5000 gex.cms >cut.cms
    fails 3 "$1" <cut.cms
    for how in noend abort; do
        "$BUILD/tests/faults/cmsbreak" $how gex.cms broken.cms
        fails $([ $how = abort ] && echo 5 || echo 3) "$1" <broken.cms
        [ ! -s fails.out ]
    done
    run bash -c "head -c 5000 gex.cms | $1 2>/dev/null | cms-info --check -"
    [ "$status" != 0 ]
}

@test "lognorm in awk: the tool's values, head and fit" { lognorm_as "$C/lognorm-awk.sh"; }
@test "lognorm in awk: bad use and bad input are one line, and no stream" { refuses "$C/lognorm-awk.sh"; }
@test "lognorm in R: the tool's values, head and fit" {
    need Rscript
    lognorm_as "$C/lognorm.R"
}
@test "lognorm in R: bad use and bad input are one line, and no stream" {
    need Rscript
    refuses "$C/lognorm.R"
}

@test "knn-match in Python: the tool's candidates, similarities, labels and columns" {
    numpy
    prepared e.cms t.cms gex.cms
    for words in '' '-k 5' '--within batch' '--top 7 --within cell_type --similarities'; do
        for sides in 'e.cms t.cms' 't.cms e.cms'; do
            # shellcheck disable=SC2086 # words
            knn-match $words $sides >want.cms
            # shellcheck disable=SC2086 # words
            "$python" "$C/knn-match.py" $words $sides >got.cms
            cms-diff --tolerance 1e-6 want.cms got.cms
            diff <(cms-text --head want.cms) <(cms-text --head got.cms)
            diff <(cms-text --cols want.cms) <(cms-text --cols got.cms)
            diff <(cms-text --labels want.cms) <(cms-text --labels got.cms)
        done
    done
    cms-text e.cms | awk -F '\t' -v OFS='\t' '!/^#/ && n++ < 3 { $2 = "" } { print }' | cms-text --from -o lack.cms
    "$python" "$C/knn-match.py" --within batch lack.cms t.cms | cms-diff --tolerance 1e-6 <(knn-match -q --within batch lack.cms t.cms) -
    file=$C/knn-match.py
    fails 3 "$python" "$file" gex.cms t.cms
    says 'expected an embedding'
    fails 3 "$python" "$file" --within nolabel e.cms t.cms
    fails 2 "$python" "$file" -k 0 e.cms t.cms
    fails 3 "$python" "$file" e.cms <(cms-text t.cms | sed 's/^\(#head\tembed.model\t\).*/\1other/' | cms-text --from)
    head -c 9000 t.cms >cut.cms
    fails 3 "$python" "$file" e.cms cut.cms
    "$BUILD/tests/faults/cmsbreak" abort t.cms broken.cms
    fails 5 "$python" "$file" e.cms broken.cms
    head -c 9000 e.cms >cut.cms
    run bash -c "$python $file cut.cms t.cms 2>/dev/null | cms-info --check -"
    [ "$status" != 0 ]
}

@test "score in awk: the tool's metrics, of matches with ties, without partners, with empty rows" {
    prepared match.cms similarities.cms gex.cms atac.cms
    for kind in constant random semi-solution solution; do fixture.sh -q $kind gex.cms atac.cms >$kind.cms; done
    cms-text match.cms | awk -F '\t' -v OFS='\t' '!/^#/ { if (++n % 9 == 0) NF = 4; if (n % 20 == 0) $1 = $1 "-gone" } { print }' | cms-text --from -o gaps.cms
    for f in match.cms similarities.cms constant.cms random.cms semi-solution.cms solution.cms gaps.cms; do
        score -q $f >want
        "$C/score-awk.sh" $f >got
        [ "$(wc -l <got)" = 11 ]
        awk -F '\t' -v f=$f '
            function differ(a, b) { return (a == b) ? 0 : (a == "nan" || b == "nan" || a == "-" || b == "-") ? 1 : (a - b > 1e-6 || b - a > 1e-6) }
            NR == FNR { value[$1] = $2; error[$1] = $3; next }
            !($1 in value) || differ(value[$1], $2) || differ(error[$1], $3) { print f ": " $0 " against " value[$1] " " error[$1]; bad = 1 }
            END { exit bad }' want got
    done
    fails 3 "$C/score-awk.sh" gex.cms
    says 'a stream of kind matrix, expected a match'
    head -c 9000 match.cms >cut.cms
    fails 3 "$C/score-awk.sh" cut.cms
    [ ! -s fails.out ]
    fails 3 "$C/score-awk.sh" <(cms-text match.cms | awk -F '\t' -v OFS='\t' '!/^#/ { $1 = $1 "-x" } { print }' | cms-text --from)
    says 'no row has a namesake'
}

@test "in the pipelines: LOGNORM, KNN_MATCH and SCORE take them, and the score is the same" {
    numpy
    mkdir tmp
    export TMPDIR=$PWD/tmp
    cms-gen --gex gex.cms --atac atac.cms --cells 240 --genes 120 --peaks 200 --nnz-gex 60 --nnz-atac 80
    for m in gex atac; do cms-cat --where split=test -o $m.test.cms $m.cms; done
    train.sh -q -p linear gex.cms atac.cms model.cms
    match.sh -q model.cms gex.test.cms atac.test.cms match.cms
    score match.cms >want
    fits=("$C/lognorm-awk.sh --method sqrt --fit split=train" "$C/lognorm.py --method sqrt --fit split=train")
    ! command -v Rscript >/dev/null || fits+=("$C/lognorm.R --method sqrt --fit split=train")
    for fit in "${fits[@]}"; do
        # the trainer sees float values in place of lazy ones: last bits, through a decomposition
        LOGNORM=$fit train.sh -q -p linear gex.cms atac.cms m.cms
        LOGNORM=${fit%% *} KNN_MATCH="$python $C/knn-match.py" match.sh -q m.cms gex.test.cms atac.test.cms k.cms
        score k.cms >got
        awk -F '\t' 'NR == FNR { v[$1] = $2; next } FNR > 1 && (v[$1] - $2 > 1e-4 || $2 - v[$1] > 1e-4) { print; bad = 1 } END { exit bad }' want got
        [ "$(cms-text --pairs k.cms | cut -f 1,2 | md5sum)" = "$(cms-text --pairs match.cms | cut -f 1,2 | md5sum)" ]
    done
    make -s -f "$ROOT/pipelines/workflow.mk" GEX=gex.cms ATAC=atac.cms OUT=w TEST=test PRESET=linear \
        LOGNORM="$C/lognorm-awk.sh --method sqrt --fit split=train" KNN_MATCH="$python $C/knn-match.py" SCORE="$C/score-awk.sh" >/dev/null
    awk -F '\t' 'NR == FNR { v[$1] = $2; next } FNR > 1 && (v[$1] - $2 > 1e-4 || $2 - v[$1] > 1e-4) { print; bad = 1 } END { exit bad }' want w/score.tsv
    [ -z "$(ls -A tmp)" ]
}
