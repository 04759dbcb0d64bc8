#!/usr/bin/env bats
# assign: rules, ensembles, models; values are compared with SciPy in knn-match.bats.
load ../helper

setup() {
    scratch
    e=$REF/match_e.cms t=$REF/match_t.cms
    knn-match "$e" "$t" -o s.cms
}

info() { cms-info "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }

@test "the rule is recorded, the state changes, rows sum to 1" {
    assign --method softmax --temperature 25 s.cms -o p.cms
    [ "$(info p.cms slot.0.state)" = probability ]
    [ "$(info p.cms rule.method)" = softmax ]
    [ "$(info p.cms rule.temperature)" = 25 ]
    cms-text --triplets p.cms | awk -F '\t' '{ s[$1] += $3 }
        END { for (r in s) { n++; if (s[r] < .99999 || s[r] > 1.00001) exit 1 }; exit n != 60 }'
    # default: dual at 40
    [ "$(digest <(assign s.cms))" = "$(digest <(assign --method dual --temperature 40 s.cms))" ]
}

@test "hard: one entry of 1, at the argmax" {
    assign --method softmax --hard s.cms -o h.cms
    [ "$(info h.cms slot.0.nnz)" = 60 ]
    diff <(cms-text --triplets h.cms | awk -F '\t' '{ print $1, $2, $3 }') \
        <(cms-text --triplets s.cms | awk -F '\t' '!($1 in v) { order[++n] = $1; v[$1] = -9 } $3 > v[$1] { v[$1] = $3; c[$1] = $2 }
            END { for (k = 1; k <= n; k++) print order[k], c[order[k]], 1 }')
    # of probabilities, by itself
    assign --method dual s.cms | assign --hard - -o g.cms
    assign --method dual --hard s.cms | cms-diff - g.cms
}

@test "a rule is never applied to probabilities" {
    assign s.cms -o p.cms
    fails 3 assign p.cms -o x.cms
    says 'expected state similarity or unknown, found state probability'
    fails 3 assign --method dual --hard p.cms -o x.cms
    [ ! -e x.cms ]
}

@test "a sum of similarities" {
    # twice the same at half the temperature is the same
    assign --sum --temperature 10 s.cms s.cms -o a.cms
    paste <(cms-text --triplets a.cms) <(assign --temperature 20 s.cms | cms-text --triplets) |
        awk -F '\t' '{ d = $3 - $6; if ($1 != $4 || $2 != $5 || d * d > 1e-12) exit 1 } END { exit NR != 3600 }'
    fails 2 assign s.cms s.cms -o x.cms
    says '--sum'
    knn-match "$t" "$e" -o r.cms
    fails 3 assign --sum s.cms r.cms -o x.cms
    says 'the columns are not the same cells'
    cms-cat --rows 0:50 "$e" | knn-match - "$t" -o part.cms
    fails 3 assign --sum s.cms part.cms -o x.cms
    says 'are not the same cells'
    fails 3 assign --sum part.cms s.cms -o x.cms
    # what one of them lacks is dropped
    knn-match -k 9 "$e" "$t" -o nine.cms
    [ "$(info <(assign --sum s.cms nine.cms) slot.0.nnz)" = 540 ]
}

@test "at most k entries a row, 1000 by default, renormalised" {
    assign -k 4 s.cms -o p.cms
    [ "$(info p.cms slot.0.nnz)" = 240 ]
    cms-text --triplets p.cms | awk -F '\t' '{ s[$1] += $3 } END { for (r in s) if (s[r] < .99999 || s[r] > 1.00001) exit 1 }'
}

@test "from a model" {
    prepared model.cms
    assign --model model.cms s.cms -o p.cms
    [ "$(info p.cms rule.method)" = "$(info model.cms rule.method)" ]
    [ "$(info p.cms rule.temperature)" = "$(info model.cms rule.temperature)" ]
    fails 2 assign --model model.cms --method dual s.cms -o x.cms
    assign --model model.cms --temperature 3 s.cms -o p.cms
    [ "$(info p.cms rule.temperature)" = 3 ]
    knn-match --model model.cms "$e" "$t" -o a.cms
    assign --model model.cms s.cms | cms-diff --tolerance 1e-6 - a.cms
    fails 3 assign --model s.cms s.cms -o x.cms
    says 'expected a stream of kind model'
}

@test "within a label, from the match alone" {
    assign --within batch s.cms -o p.cms 2>err
    grep -q '1 of 60 cells have no candidate' err
    cms-text --triplets p.cms | awk -F '\t' 'substr($1, 5) % 3 != substr($2, 5) % 3 { exit 1 }'
    fails 3 assign --within donor s.cms -o x.cms
    says "no label 'donor'"
}

@test "the same bytes for any number of threads, from a file and from a pipe" {
    assign -t 1 s.cms -o a.cms
    assign -t 2 s.cms -o b.cms
    cmp a.cms b.cms
    [ "$(digest a.cms)" = "$(digest <(assign <s.cms))" ]
    [ "$(digest a.cms)" = "$(digest <(cat s.cms | assign -))" ]
}
