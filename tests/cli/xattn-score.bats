#!/usr/bin/env bats
# xattn-score: S of a pair depends on its two cells and nothing else; by a model without the module
# candidates pass through.

load ../helper

setup() {
    scratch
    need cms-gen cms-text cms-cat lognorm tfidf batch xattn-train embed knn-match
    cms-gen --gex g.cms --atac a.cms --cells 80 --genes 60 --peaks 90
    lognorm --method sqrt -o gn.cms g.cms
    tfidf --method logtfidf -o an.cms a.cms
    batch --epochs 0 gn.cms an.cms | xattn-train --preset linear -q -o linear.cms
    "$ROOT/tests/token-model" linear.cms m.cms
    embed --model m.cms -o e.cms gn.cms
    embed --model m.cms -o t.cms an.cms
    knn-match -k 12 --similarities -o s.cms e.cms t.cms
}

run_score() { xattn-score --model m.cms --gex gn.cms --atac an.cms "$@"; }
pairs() { cms-text --triplets "$1" | sort; }

@test "a match comes back: rows, labels, columns, the best K by S0" {
    run_score -k 5 -o o.cms s.cms
    cmp <(cms-text --labels s.cms) <(cms-text --labels o.cms)
    cmp <(cms-text --cols s.cms) <(cms-text --cols o.cms)
    [ "$(cms-text --head o.cms | awk -F '\t' '$1 == "slot.0.state" { print $2 }')" = similarity ]
    [ "$(cms-text --head o.cms | awk -F '\t' '$1 == "xattn.model" { print $2 }')" = "$(digest m.cms)" ]
    # the five largest S0 of each row
    cms-text --triplets s.cms | sort -t "$(printf '\t')" -k1,1 -k3,3gr | awk -F '\t' 'n[$1]++ < 5 { print $1, $2 }' | sort >want
    pairs o.cms | awk -F '\t' '{ print $1, $2 }' | sort | cmp want -
    # S - S0 = alpha S1: within alpha, and different from pair to pair
    join -t "$(printf '\t')" <(pairs s.cms | sed 's/\t/ /') <(pairs o.cms | sed 's/\t/ /') |
        awk -F '\t' '{ d = $3 - $2; if (d > 0.50001 || d < -0.50001) exit 1; s += d; q += d * d; n++ }
            END { if (n != 400 || q / n - (s / n) ^ 2 < 1e-6) exit 1 }'
    # the model's own K
    run_score -o p.cms s.cms
    [ "$(pairs p.cms | wc -l)" = 960 ]
}

@test "neither threads, cache, order nor other candidates change a score" {
    run_score -t 1 -o o.cms s.cms
    run_score -t 3 --cache 1 - <s.cms >p.cms
    [ "$(digest o.cms)" = "$(digest p.cms)" ]
    # fewer candidates: the same numbers
    run_score -k 3 -o few.cms s.cms
    comm -23 <(pairs few.cms) <(pairs o.cms) >lost
    [ ! -s lost ]
    # both matrices in another order
    cms-cat --shuffle -o gs.cms gn.cms
    cms-cat --shuffle -o as.cms an.cms
    xattn-score --model m.cms --gex gs.cms --atac as.cms -o q.cms s.cms
    [ "$(digest o.cms)" = "$(digest q.cms)" ]
}

@test "columns in another order: refused, or taken by name" {
    run_score -o o.cms s.cms
    for m in gn an; do
        cms-text --cols $m.cms | sed 1d | cut -f 1 | sort -R --random-source="$ROOT/README.md" >columns
        cms-cat --columns columns -o $m.mixed.cms $m.cms
    done
    mixed=(xattn-score --model m.cms --gex gn.mixed.cms --atac an.mixed.cms)
    fails 3 "${mixed[@]}" -o x.cms s.cms
    says '--by-name'
    "${mixed[@]}" --by-name -o x.cms s.cms
    [ "$(digest o.cms)" = "$(digest x.cms)" ]
    cms-cat --columns <(sed 1d columns) -o an.mixed.cms an.cms
    "${mixed[@]}" --by-name -o y.cms s.cms 2>err
    grep -q "warning: an.mixed.cms: 1 of the model's [0-9]* ATAC features are missing" err
    [ "$(digest o.cms)" != "$(digest y.cms)" ]
}

@test "true partners swapped in secret: the score goes with the cell, not with the partner" {
    # every cell is a candidate of every other; then two ATAC cells change names
    knn-match --similarities -o s.cms e.cms t.cms
    a=$(cms-text --labels an.cms | awk -F '\t' 'NR == 5 { print $1 }')
    b=$(cms-text --labels an.cms | awk -F '\t' 'NR == 9 { print $1 }')
    swap() { awk -F '\t' -v OFS='\t' -v c="$1" -v a="$a" -v b="$b" '$c == a { $c = b; print; next } $c == b { $c = a } 1'; }
    cms-text an.cms | swap 1 | cms-text --from -o swapped.cms
    # S0 is the candidate's own: swapped alike, so that only S1 can tell
    cms-text s.cms >s.txt
    awk -F '\t' -v OFS='\t' -v a="$a" -v b="$b" '/^#/ { print; next }
        { for (k = 2; k <= NF; k++) if (index($k, a ":") == 1) { va = substr($k, length(a) + 2); ka = k }
                               else if (index($k, b ":") == 1) { vb = substr($k, length(b) + 2); kb = k }
          $ka = a ":" vb; $kb = b ":" va; print }' s.txt | cms-text --from -o s2.cms
    run_score -k 80 -o o.cms s.cms
    xattn-score --model m.cms --gex gn.cms --atac swapped.cms -k 80 -o p.cms s2.cms
    [ "$(pairs o.cms | wc -l)" = 6400 ]
    cmp <(pairs o.cms) <(cms-text --triplets p.cms | swap 2 | sort)
    # not all is equal: the two cells do differ
    ! cmp -s <(pairs o.cms) <(pairs p.cms)
}

@test "ATAC rows: the other direction gives the same pairs the same S" {
    knn-match -k 80 --similarities -o s.cms e.cms t.cms
    knn-match -k 80 --similarities -o r.cms t.cms e.cms
    run_score -k 80 -o o.cms s.cms
    run_score -k 80 -o p.cms r.cms
    join <(pairs o.cms | awk -F '\t' '{ print $1 "|" $2, $3 }' | sort) \
        <(pairs p.cms | awk -F '\t' '{ print $2 "|" $1, $3 }' | sort) |
        awk '{ d = $2 - $3; if (d > 2e-6 || d < -2e-6) exit 1; n++ } END { exit n != 6400 }'
}

@test "without the module candidates pass through, the matrices unread" {
    xattn-score --model linear.cms --gex none.cms --atac none.cms -o o.cms s.cms
    cms-diff s.cms o.cms
    CROSS=0 "$ROOT/tests/token-model" linear.cms self.cms
    xattn-score --model self.cms --gex none.cms --atac none.cms <s.cms | cms-diff s.cms -
}

@test "missing cells, cells prepared otherwise, options that are missing" {
    name=$(cms-text --labels gn.cms | awk -F '\t' 'NR == 4 { print $1 }')
    cms-text gn.cms | awk -F '\t' -v n="$name" '$1 != n' | cms-text --from -o lack.cms
    fails 3 xattn-score --model m.cms --gex lack.cms --atac an.cms -o x.cms s.cms
    says "lack.cms: the cell '$name' of s.cms is missing"
    cms-text an.cms | awk -F '\t' -v n="$name" '$1 != n' | cms-text --from -o lack.cms
    fails 3 xattn-score --model m.cms --gex gn.cms --atac lack.cms -o x.cms s.cms
    says "the cell '$name'"
    fails 3 xattn-score --model m.cms --gex g.cms --atac an.cms -o x.cms s.cms
    says 'lognorm --like m.cms'
    fails 3 xattn-score --model m.cms --gex an.cms --atac gn.cms -o x.cms s.cms
    knn-match -k 5 --hard -o h.cms e.cms t.cms
    fails 3 run_score -o x.cms h.cms
    says similarities
    fails 2 xattn-score --model m.cms --gex gn.cms -o x.cms s.cms
    says --atac
    [ ! -e x.cms ]
}
