#!/usr/bin/env bats
# --like for inputs that lack features of the fit: an error, or (--missing zero) zeros.
load ../helper
load tiny

info() { cms-info "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }

setup() {
    scratch
    tiny counts 'a x 1 A:1 B:2 C:4' 'b x 2 A:3 B:1 C:1' 'c y 1 A:1 B:1 C:7' >fitted.cms
    tiny counts 'd x 1 A:5 C:2' 'e y 2 A:1 C:1' 'f y 1 C:3' 'g x 3' >full.cms # B is 0 in every cell
    printf 'A\nC\n' >keep
    cms-cat --columns keep -o lacks.cms full.cms
}

# like TOOL METHOD...: a feature that is missing is one that is 0 in every cell.
like() {
    rm -f out.cms
    "$@" -o fit.cms fitted.cms
    fails 3 "$1" --like fit.cms -o out.cms lacks.cms
    says '"B" of fit.cms is missing in the input (1 of 3 features are; --missing zero counts them as 0)'
    [ ! -e out.cms ]
    fails 3 "$1" --like fit.cms --missing error -o out.cms lacks.cms
    says '1 of 3 features are'
    "$1" --like fit.cms --missing zero -o out.cms lacks.cms 2>err
    grep -qF "$1: warning: 1 of 3 features of fit.cms are missing in the input ('B' is one); they count as 0" err
    "$1" -q --like fit.cms full.cms | cms-cat --columns keep | cms-diff --tolerance 0 - out.cms
    [ "$(cms-text --cols out.cms | tail -n +2 | cut -f 1 | paste -sd,)" = A,C ]
}

@test "lognorm --missing zero: as if the column were there without counts" {
    for m in seurat scanpy scran cpm sqrt shifted-log pflog; do like lognorm --method $m; done
    like lognorm --method exclude-high --max-fraction 0.6
    like lognorm --size-factors factor
}

@test "tfidf --missing zero: as if the column were there without counts" {
    for m in signac1 signac2 signac3 signac4 archr3 sklearn glue allcools snapatac2 logtfidf plain; do
        like tfidf --method $m
    done
    like tfidf --norm l2
}

@test "clr --missing zero: as if the column were there without counts" {
    for m in seurat stoeckius; do
        for margin in cells features; do like clr --method $m --margin $margin; done
    done
    for margin in cells features; do
        clr --method plain --margin $margin -o fit.cms fitted.cms
        fails 3 clr --like fit.cms --missing zero -o out.cms lacks.cms
        says "and plain-$margin takes no zeros"
    done
}

@test "an input without any feature of the fit is refused either way" {
    cms-cat --columns keep fitted.cms | lognorm -o fit.cms
    printf 'B\n' >b
    cms-cat --columns b -o b.cms full.cms
    for missing in error zero; do
        fails 3 lognorm --like fit.cms --missing $missing -o out.cms b.cms
        says "none of the 2 features of fit.cms is in the input (fit.cms: 'A', input: 'B')"
        [ ! -e out.cms ]
    done
}

@test "nothing is missing, nothing is said; --missing without --like is a slip" {
    lognorm -o fit.cms fitted.cms
    lognorm --like fit.cms --missing zero -o out.cms full.cms 2>err
    [ "$(grep -c missing err)" = 0 ]
    for tool in lognorm tfidf clr; do
        fails 2 $tool --missing zero -o out.cms full.cms
        says '--missing goes with --like'
    done
}

@test "cells with fewer features are embedded by the model as if those were 0" {
    prepared model.cms gex.cms gex.log.cms
    cms-text --cols gex.cms | awk -F '\t' 'NR > 3 { print $1 }' >few
    cms-cat --columns few -o few.cms gex.cms
    lognorm --like model.cms --missing zero -o few.log.cms few.cms 2>err
    grep -q "warning: 2 of [0-9]* features of model.cms are missing" err
    embed --by-name --model model.cms few.log.cms -o e.cms 2>err
    grep -q "2 of the model.s [0-9]* GEX features are missing" err
    [ "$(info e.cms rows)" = "$(info gex.cms rows)" ]
}
