# Values of labels in options: one rule for every tool, commas inside values, and values or labels
# that are not there.
load ../helper

setup() {
    scratch
    mkdir -p d
    printf '%%%%MatrixMarket matrix coordinate integer general\n3 6 7\n1 1 1\n2 1 1\n2 2 2\n3 3 3\n1 4 4\n2 5 5\n3 6 6\n' >d/matrix.mtx
    printf 'g1\ng2\ng3\n' >d/genes.tsv
    printf 'c%s\n' 0 1 2 3 4 5 >d/barcodes.tsv
    {
        printf 'cell\tkind\tn\tdonor=a\ton\n'
        printf 'c0\tplain B\t1\tx\ttrue\nc1\tCD8, gamma T\t2\tx\tfalse\nc2\tCD4, gamma T\t3\ty\ttrue\n'
        printf 'c3\tplain B\t1\ty\tfalse\nc4\tCD8, gamma T\t2\tx\ttrue\nc5\tCD4, gamma T\t3\tx\ttrue\n'
    } >labels.tsv
    mtx-read --labels labels.tsv -o x.cms d
}
cells() { cms-text --bare "$1" | cut -f 1 | paste -sd ' '; }

@test "a value may hold commas, alone and in a list, in every tool" {
    h5-write -o x.h5ad x.cms
    local want
    while IFS='|' read -r value want; do
        [ "$(cells <(cms-cat --where "kind=$value" x.cms))" = "$want" ]
        [ "$(cells <(h5-read --where "kind=$value" x.h5ad))" = "$want" ]
        holdout --by "kind=$value" x.cms 2>err | cms-cat --where split=test - >y.cms
        [ "$(cells y.cms)" = "$want" ]
        [ ! -s err ]
        cms-cat --except "kind=$value" x.cms >rest.cms 2>err
        [ ! -s err ]
        [ $(($(cells rest.cms | wc -w) + $(echo "$want" | wc -w))) = 6 ]
        lognorm --method scanpy --fit "kind=$value" -o f.cms x.cms 2>err
        tfidf --fit "kind=$value" -o f.cms x.cms 2>>err
        feature-select --top 2 --fit "kind=$value" -o f.cms x.cms 2>>err
        ! grep 'no row has' err
    done <<'END'
CD8, gamma T|c1 c4
CD8\, gamma T|c1 c4
plain B,CD8, gamma T|c0 c1 c3 c4
CD4, gamma T,CD8, gamma T|c1 c2 c4 c5
plain B|c0 c3
END
}

@test "numbers, booleans, and a label whose name holds an equals sign" {
    h5-write -o x.h5ad x.cms
    local f
    for f in cms-cat\ %\ x.cms h5-read\ %\ x.h5ad; do
        [ "$(cells <(${f/\%/--where n=1,3.0}))" = "c0 c2 c3 c5" ]
        [ "$(cells <(${f/\%/--where on=true}))" = "c0 c2 c4 c5" ]
        [ "$(cells <(${f/\%/--where donor=a=y}))" = "c2 c3" ]
    done
}

@test "a value that no row has is named" {
    local tool
    h5-write -o x.h5ad x.cms
    h5-read --where 'kind=plain B,zzz, q' -o y.cms x.h5ad 2>err
    [ "$(cat err)" = 'h5-read: warning: x.h5ad: --where: no row has kind "zzz, q"' ]
    cms-cat --where 'kind=plain B,zzz' -o y.cms x.cms 2>err
    [ "$(cat err)" = 'cms-cat: warning: x.cms: --where: no row has kind "zzz"' ]
    cms-cat --except 'kind=zzz' -o y.cms x.cms 2>err
    [ "$(cat err)" = 'cms-cat: warning: x.cms: --except: no row has kind "zzz"' ]
    cms-cat --where 'kind=zzz' -o y.cms x.cms 2>err
    grep -q 'none of 6 rows is kept' err
    # of several inputs one is enough
    cms-cat --where kind=plain\ B -o a.cms x.cms
    cms-cat --except kind=plain\ B -o b.cms x.cms
    cms-cat --where 'kind=plain B' -o y.cms a.cms b.cms 2>err
    [ ! -s err ]
    for tool in 'lognorm --method scanpy' tfidf 'svd -k 1' 'feature-select --top 1'; do
        $tool --fit 'kind=plain B,zzz' -o y.cms x.cms 2>err
        grep -q "warning: x.cms: --fit: no row has kind \"zzz\"" err || { echo "$tool"; cat err; return 1; }
    done
    printf 'a\nb\nc\n' >d/peaks.txt
    mtx-read --features d/peaks.txt --labels labels.tsv --type ATAC -o a.cms d
    mtx-read --type GEX --labels labels.tsv -o g.cms d
    batch --epochs 1 --valid 'kind=CD4, gamma T,zzz' -o p.cms g.cms a.cms 2>err
    grep -q 'g.cms: --valid kind=CD4, gamma T,zzz: no row has "zzz"' err
    [ "$(cms-info p.cms | awk -F '\t' '$1 == "valid_rows" { print $2 }')" = 2 ]
}

@test "a label that is not there is status 3 and names those that are" {
    h5-write -o x.h5ad x.cms
    local command
    while read -r command; do
        # shellcheck disable=SC2086 # several words
        fails 3 $command
        says 'no label "sort"; labels here: kind, n, donor=a, on'
    done <<'END'
cms-cat --where sort=a -o y.cms x.cms
cms-cat --except sort=a -o y.cms x.cms
holdout --by sort=a -o y.cms x.cms
lognorm --method scanpy --fit sort=a -o y.cms x.cms
lognorm --size-factors sort -o y.cms x.cms
tfidf --fit sort=a -o y.cms x.cms
svd -k 1 --fit sort=a -o y.cms x.cms
feature-select --top 1 --fit sort=a -o y.cms x.cms
END
    fails 3 h5-read --where sort=a -o y.cms x.h5ad
    says 'has no label sort (found: kind, n, donor=a, on)'
    fails 3 h5-read --labels kind,sort -o y.cms x.h5ad
    says 'has no label sort'
    h5-read --labels n,kind -o y.cms x.h5ad
    [ "$(cms-info y.cms | awk -F '\t' '$1 == "labels" { print $2 }')" = n,kind ]
}

@test "cells without the label of --within are counted and named, in batch, knn-match and assign" {
    prepared gex.cms atac.cms
    cms-text gex.cms | awk -F '\t' -v OFS='\t' '/^#name/ { on = 1; for (k = 1; k <= NF; k++) if ($k == "batch") col = k
        print; next } on && !/^#/ && ++n <= 5 { $col = "" } { print }' | cms-text --from -o g.cms
    mlp=$(batch --size 64 --epochs 1 g.cms atac.cms 2>/dev/null | xattn-train --preset linear -q -o m.cms - && echo made)
    [ "$mlp" = made ]
    embed --model m.cms -o e.cms g.cms
    embed --model m.cms -o t.cms atac.cms
    local n
    n=$(cms-info g.cms | awk -F '\t' '$1 == "rows" { print $2 }')
    knn-match --within batch -o s.cms e.cms t.cms 2>err
    grep -qF "e.cms: --within: 5 of $n rows have no value of label \"batch\" and so no candidate" err
    knn-match --method csls --within batch -o s.cms e.cms t.cms 2>err # two passes
    grep -qF "5 of $n rows have no value of label \"batch\"" err
    knn-match --within batch -o s.cms t.cms e.cms 2>err
    grep -qF "e.cms: --within: 5 of $n columns have no value of label \"batch\" and are no candidates" err
    knn-match --similarities -o s.cms e.cms t.cms
    assign --within batch -o p.cms s.cms 2>err
    grep -qF "s.cms: --within: 5 of $n rows have no value of label \"batch\" and so no candidate" err
}
