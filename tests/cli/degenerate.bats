# Fits that have nothing to go by, and states that the values contradict: an error or a warning that
# counts, never zeros in silence.
load ../helper

setup() {
    scratch
    mkdir -p d
    printf '%%%%MatrixMarket matrix coordinate integer general\n3 5 6\n1 1 3\n2 1 1\n3 2 1\n2 2 5\n3 3 4\n1 5 1\n' >d/matrix.mtx
    printf 'g1\ng2\ng3\n' >d/genes.tsv
    printf 'c%s\n' 1 2 3 4 5 >d/barcodes.tsv
    printf 'cell\tk\nc1\tfull\nc2\tfull\nc3\tone\nc4\tnone\nc5\tother\n' >l.tsv
    mtx-read --labels l.tsv -o x.cms d
}
state() { cms-info "$1" | awk -F '\t' '$1 == "slot.0.state" { print $2 }'; }

@test "cells of a fit that have no counts are status 6, in every tool that fits" {
    local tool
    while read -r tool; do
        # shellcheck disable=SC2086 # several words
        fails 6 $tool --fit k=none -o y.cms x.cms
        [[ $message == *"no counts: nothing to fit"* || $message == *"have no values"* ]] ||
            { echo "$tool: $message"; return 1; }
        [ ! -e y.cms ]
    done <<'END'
lognorm --method scanpy
lognorm --method scran
lognorm --method sqrt
lognorm --method exclude-high --max-fraction 1
lognorm --method shifted-log
lognorm --method pflog
tfidf
tfidf --method signac2
tfidf --method signac3
tfidf --method signac4
tfidf --method archr3
tfidf --method sklearn
tfidf --method glue
tfidf --method allcools
tfidf --method snapatac2
tfidf --method logtfidf
clr --margin features
svd -k 1
feature-select --top 2
feature-select --min-cells 1
END
    cms-cat --where k=none -o zero.cms x.cms
    fails 6 svd -k 1 -o y.cms zero.cms
    lognorm --method scanpy -o y.cms zero.cms 2>err # a matrix without counts is no mistake
    grep -q '1 of 1 cells have no counts' err
    fails 6 lognorm --method scanpy --median-all -o y.cms <(cms-cat zero.cms zero.cms x.cms <(cms-cat --where k=none zero.cms) zero.cms zero.cms zero.cms zero.cms)
    says 'the median total is 0'
}

@test "exclude-high that leaves nothing to total is status 6; cells that lose their counts are counted" {
    fails 6 lognorm --method exclude-high -o y.cms x.cms
    says '3 of 3 columns are above 0.05 of the counts of some cell'
    tfidf --fit k=one -o y.cms x.cms 2>err
    grep -q '2 of 5 cells became zero though they have counts' err || { cat err; return 1; }
    lognorm --method exclude-high --max-fraction 0.7 --fit k=full -o y.cms x.cms 2>err
    grep -q 'became zero though they have counts' err || { cat err; return 1; }
    tfidf --fit k=one -o f.cms x.cms 2>/dev/null
    tfidf --like f.cms -o y.cms x.cms 2>err
    grep -q '2 of 5 cells became zero though they have counts' err
}

@test "choices that leave nothing are reported" {
    feature-select --min-cells 99 -o y.cms x.cms 2>err
    grep -q 'none of 3 features is kept' err
    fails 2 svd -k 1 --zscore -o y.cms x.cms
    says 'two components'
    holdout --fraction 0.01 -o y.cms x.cms 2>err
    grep -q 'no cell is held out' err
    fails 3 batch --valid k=full,one,none,other -o y.cms x.cms <(mtx-read --type ATAC d)
}

@test "state counts with fractions is refused by every normalisation, with row, column and value" {
    cms-text x.cms | sed 's/:3/:3.5/' | cms-text --from -o frac.cms
    [ "$(state frac.cms)" = counts ]
    local tool
    for tool in lognorm 'lognorm --method scanpy' tfidf 'tfidf --binarize' clr; do
        # shellcheck disable=SC2086 # several words
        fails 3 $tool -o y.cms frac.cms
        says 'row "c1", column "g1": the state is counts, but 3.5 is not a whole number'
        # shellcheck disable=SC2086
        $tool --fractional -o y.cms frac.cms 2>/dev/null
    done
    lognorm -o n.cms x.cms 2>/dev/null
    fails 3 lognorm -o y.cms n.cms
    says 'already normalised (state lognorm)'
}

@test "mtx-read: the values decide where they contradict a note, and --state decides over both" {
    mtx-write -o w x.cms
    gunzip w/*.gz
    sed -i 's/ integer / real /; s/^1 1 3$/1 1 3.5/' w/matrix.mtx
    mtx-read -o y.cms w 2>err
    grep -q "the file's note says counts, but some values are fractions or negative: state unknown" err
    [ "$(state y.cms)" = unknown ]
    fails 3 lognorm -o z.cms y.cms
    mtx-read --state counts -o y.cms w 2>err
    [ ! -s err ]
    sed -i 's/^1 1 3.5$/1 1 3/; s/state counts/state lognorm/' w/matrix.mtx
    mtx-read -o y.cms w 2>err
    grep -q "note says normalised, but all values are whole numbers: state counts" err
    [ "$(state y.cms)" = counts ]
    sed -i 's/ integer / real /; s/^1 1 3$/1 1 -3/' d/matrix.mtx
    mtx-read -o y.cms d 2>err
    grep -q 'some values are fractions or negative, so they are no counts: state unknown' err
    lognorm -o n.cms x.cms 2>/dev/null
    mtx-write -o v n.cms
    mtx-read -o y.cms v 2>err
    [ "$(state y.cms)" = lognorm ]
    [ ! -s err ]
}
