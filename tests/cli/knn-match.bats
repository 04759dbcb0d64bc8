#!/usr/bin/env bats
# knn-match against NumPy (tests/ref/make_match.py), and its manners.
load ../helper

expected() { awk -F '\t' -v n="$1" '$1 == n { print $2 }' "$REF/match_expected.tsv"; }

setup() {
    scratch
    e=$REF/match_e.cms t=$REF/match_t.cms
}

# entry FILE ROW COLUMN: a stored value by position.
entry() {
    local name
    name=$(cms-text --cols "$1" | awk -v j="$3" 'NR == j + 2 { print $1 }')
    cms-text --triplets "$1" | awk -F '\t' -v r="cell$2" -v c="$name" '$1 == r && $2 == c { print $3 }'
}

# entries FILE KIND: every expected entry of that kind is there.
entries() {
    local kind i j v n=0
    while read -r kind i j v; do
        [ "$kind" = "$2" ] && [[ $i == [0-9]* ]] || continue
        close_to "$(entry "$1" "$i" "$j")" "$v" 1e-6
        n=$((n + 1))
    done < <(tr '\t' ' ' <"$REF/match_expected.tsv")
    [ $n = 3 ]
}

@test "similarities are NumPy's inner products" {
    knn-match "$e" "$t" -o m.cms
    [ "$(cms-info m.cms | awk -F '\t' '$1 == "slot.0.state" { print $2 }')" = similarity ]
    [ "$(cms-info m.cms | awk -F '\t' '$1 == "slot.0.nnz" { print $2 }')" = 3600 ]
    entries m.cms similarity
    knn-match --similarities "$e" "$t" -o n.cms
    [ "$(digest m.cms)" = "$(digest n.cms)" ]
}

@test "softmax and dual are SciPy's" {
    for m in softmax dual; do
        knn-match --method $m --temperature 10 "$e" "$t" -o $m.cms
        [ "$(cms-info $m.cms | awk -F '\t' '$1 == "slot.0.state" { print $2 }')" = probability ]
        entries $m.cms $m
    done
}

@test "-k keeps the best, and dual still sees all similarities" {
    knn-match -k 5 "$e" "$t" -o five.cms
    [ "$(cms-info five.cms | awk -F '\t' '$1 == "slot.0.nnz" { print $2 }')" = 300 ]
    close_to "$(entry five.cms 0 9)" "$(expected 'similarity 0 9')" 1e-6
    knn-match -k 5 --method dual --temperature 10 "$e" "$t" -o a.cms
    knn-match "$e" "$t" | assign -k 5 --method dual --temperature 10 -o b.cms
    cms-diff --tolerance 1e-6 a.cms b.cms
    # what assign makes of a truncated match is another thing: its columns lack what was cut off
    ! cms-diff --tolerance 1e-6 a.cms <(assign --method dual --temperature 10 five.cms)
}

@test "assign on all similarities agrees with knn-match, within batches too" {
    for within in '' '--within batch'; do
        for m in softmax dual; do
            knn-match $within --method $m --temperature 10 "$e" "$t" -o a.cms
            knn-match "$e" "$t" | assign $within --method $m --temperature 10 -o b.cms
            cms-diff --tolerance 1e-6 a.cms b.cms
            knn-match $within --hard --method $m --temperature 10 "$e" "$t" -o a.cms
            knn-match "$e" "$t" | assign $within --hard --method $m --temperature 10 -o b.cms
            cms-diff a.cms b.cms
        done
    done
}

@test "the same bytes for any number of threads and any cut of the inputs" {
    for o in '' '--method dual' '--method dual --within batch' '-k 7'; do
        knn-match -t 1 $o "$e" "$t" -o a.cms
        knn-match -t 2 $o "$e" "$t" -o b.cms
        cmp a.cms b.cms
        cms-cat "$e" >e.cms # 16 rows a chunk there, all of them here
        knn-match $o e.cms "$t" -o b.cms
        [ "$(digest a.cms)" = "$(digest b.cms)" ]
    done
    knn-match --method dual - "$t" <"$e" | cmp - <(knn-match --method dual - "$t" <"$e")
}

@test "labels of both sides travel in the match" {
    knn-match "$e" "$t" -o m.cms
    [ "$(cms-text --cols m.cms | head -n 1)" = "$(printf 'name\tbatch:str\tcell_type:str')" ]
    [ "$(cms-info m.cms | awk -F '\t' '$1 == "labels" { print $2 }')" = batch,cell_type ]
    diff <(cms-text --cols m.cms | awk -F '\t' 'NR > 1 { print $1, $2, $3 }') \
        <(cms-text "$t" | awk -F '\t' '!/^#/ && $1 ~ /^cell/ { print $1, $2, $3 }')
}

@test "within a label: only equal values, an unknown value has no candidate" {
    knn-match --within batch "$e" "$t" -o m.cms 2>err
    grep -q 'warning: 1 of 60 cells have no candidate' err
    cms-text --triplets m.cms | awk -F '\t' '{ print substr($1, 5) % 3, substr($2, 5) % 3 }' |
        awk '$1 != $2 { exit 1 } END { exit NR == 0 }'
    ! cms-text --triplets m.cms | grep -q '^cell7	'
    fails 3 knn-match --within donor "$e" "$t" -o x.cms
    says 'no label "donor"; labels here: batch, cell_type'
    [ ! -e x.cms ]
}

@test "two sides of different models are refused" {
    zstd -dcq "$t" | sed 's/cis 4 6/cis 5 6/' | zstd -cq --check >other.cms
    fails 3 knn-match "$e" other.cms -o x.cms # the digest breaks, or the parts differ: both are 3
    says 'expected the same parts'
    cms-gen --gex gex.cms --atac atac.cms --cells 20 --genes 20 --peaks 20
    fails 3 knn-match gex.cms "$t" -o x.cms
    says 'expected a stream of kind embedding'
    [ ! -e x.cms ]
}

@test "contradicting options" {
    fails 2 knn-match --similarities --method dual "$e" "$t" -o x.cms
    fails 2 knn-match --similarities --hard "$e" "$t" -o x.cms
    fails 2 knn-match -k 0 "$e" "$t" -o x.cms
    fails 2 knn-match --method nearest "$e" "$t" -o x.cms
    fails 2 knn-match --temperature 0 "$e" "$t" -o x.cms
    fails 2 knn-match "$e" -o x.cms
}

@test "no cells on a side give an empty match" {
    cms-cat --rows 0:0 "$e" >none.cms
    knn-match --method dual none.cms "$t" -o m.cms
    [ "$(cms-info m.cms | awk -F '\t' '$1 == "rows" { print $2 }')" = 0 ]
    knn-match "$e" none.cms -o m.cms
    [ "$(cms-info m.cms | awk -F '\t' '$1 == "slot.0.nnz" { print $2 }')" = 0 ]
}
