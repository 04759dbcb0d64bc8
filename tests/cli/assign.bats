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

@test "from a model: the calibrated temperature, unless it is to be sharp" {
    prepared model.cms
    calibrated=$(info model.cms rule.calibrated) sharp=$(info model.cms rule.temperature)
    [ -n "$calibrated" ] && [ "$calibrated" != "$sharp" ]
    assign --model model.cms s.cms -o p.cms
    [ "$(info p.cms rule.method)" = "$(info model.cms rule.method)" ]
    [ "$(info p.cms rule.temperature)" = "$calibrated" ]
    [ "$(info p.cms rule.values)" = calibrated ]
    assign --model model.cms --calibrated s.cms | cms-diff --tolerance 0 - p.cms
    assign --model model.cms --temperature "$calibrated" s.cms -o same.cms
    [ "$(cms-text --triplets same.cms)" = "$(cms-text --triplets p.cms)" ]
    [ -z "$(info same.cms rule.values)" ]
    knn-match --model model.cms "$e" "$t" | cms-diff --tolerance 1e-6 - p.cms
    assign --model model.cms --sharp s.cms -o b.cms
    [ "$(info b.cms rule.temperature)" = "$sharp" ]
    [ "$(info b.cms rule.values)" = sharp ]
    assign --model model.cms --temperature "$sharp" s.cms -o same.cms
    [ "$(cms-text --triplets same.cms)" = "$(cms-text --triplets b.cms)" ]
    knn-match --model model.cms --sharp "$e" "$t" | cms-diff --tolerance 1e-6 - b.cms
    # a decision is that of the sharp rule, and an ensemble's sum needs a lower temperature
    assign --hard b.cms -o h.cms
    [ "$(cms-text --triplets h.cms)" = "$(assign --hard --model model.cms s.cms | cms-text --triplets)" ]
    assign --model model.cms --sum -o twice.cms s.cms s.cms
    close_to "$(info twice.cms rule.temperature)" "$(awk -v t="$calibrated" 'BEGIN { print t / 2 }')" 1e-4
    fails 2 assign --calibrated s.cms -o x.cms
    fails 2 assign --sharp s.cms -o x.cms
    says '--sharp needs --model'
    fails 2 assign --model model.cms --sharp --calibrated s.cms -o x.cms
    fails 2 assign --model model.cms --sharp --temperature 3 s.cms -o x.cms
    fails 2 assign --model model.cms --calibrated --temperature 3 s.cms -o x.cms
    fails 2 assign --model model.cms --method dual s.cms -o x.cms
    assign --model model.cms --temperature 3 s.cms -o p.cms
    [ "$(info p.cms rule.temperature)" = 3 ]
    fails 3 assign --model s.cms s.cms -o x.cms
    says 'expected a stream of kind model'
}

@test "a model without a calibrated temperature" {
    prepared model.cms
    cms-text model.cms | grep -v rule.calibrated | cms-text --from -o old.cms
    fails 3 assign --model old.cms --calibrated s.cms -o x.cms
    says rule.calibrated
    assign --model old.cms s.cms -o p.cms 2>err
    grep -q 'warning: .*old.cms has no calibrated temperature' err
    [ "$(info p.cms rule.temperature)" = "$(info model.cms rule.temperature)" ]
    [ "$(info p.cms rule.values)" = sharp ]
    assign --model old.cms --sharp s.cms -o p.cms 2>err
    [ ! -s err ]
}

@test "what is no probability says so" {
    named() { cms-text --pairs "$1" | head -n 1 | cut -f 3; }
    assign --method exact s.cms -o x.cms
    assign --method snn s.cms -o w.cms
    assign --method dual --hard s.cms -o h.cms
    assign --method dual s.cms -o p.cms
    assign --hard p.cms -o g.cms
    for f in x h g; do
        [ "$(info $f.cms rule.values)" = decision ]
        [ "$(named $f.cms)" = decision ]
    done
    [ "$(info w.cms rule.values)" = weight ]
    [ "$(named w.cms)" = weight ]
    [ "$(named p.cms)" = probability ]
    [ "$(named s.cms)" = similarity ]
}

@test "within a label, from the match alone" {
    assign --within batch s.cms -o p.cms 2>err
    grep -q '1 of 60 cells have no candidate' err
    cms-text --triplets p.cms | awk -F '\t' 'substr($1, 5) % 3 != substr($2, 5) % 3 { exit 1 }'
    fails 3 assign --within donor s.cms -o x.cms
    says 'no label "donor"; labels here: batch, cell_type'
}

@test "the same bytes for any number of threads, from a file and from a pipe" {
    assign -t 1 s.cms -o a.cms
    assign -t 2 s.cms -o b.cms
    cmp a.cms b.cms
    [ "$(digest a.cms)" = "$(digest <(assign <s.cms))" ]
    [ "$(digest a.cms)" = "$(digest <(cat s.cms | assign -))" ]
}

pairs() { cms-text --pairs "$1" | awk -F '\t' 'NR > 1 { print $1, $2 }'; }

@test "exact: one-to-one, and no rule does better in sum" {
    sum() { # FILE: the similarities of its pairs
        awk -F '\t' 'NR == FNR { s[$1, $2] = $3; next } { t += s[$1, $2] } END { printf "%.6f\n", t }' \
            <(cms-text --triplets s.cms) <(cms-text --triplets "$1")
    }
    assign --method exact s.cms -o x.cms
    [ "$(info x.cms slot.0.nnz)" = 60 ]
    [ "$(info x.cms rule.method)" = exact ]
    [ -z "$(info x.cms rule.temperature)" ]
    [ "$(pairs x.cms | awk '{ print $2 }' | sort -u | wc -l)" = 60 ]
    assign --method dual --hard s.cms -o d.cms
    # more columns than rows, and more rows than columns, are mirror images
    cms-cat --rows 0:40 "$e" >few.cms
    knn-match few.cms "$t" | assign --method exact -o wide.cms
    [ "$(info wide.cms slot.0.nnz)" = 40 ]
    knn-match "$t" few.cms | assign --method exact -o tall.cms 2>err
    grep -q '20 of 60 cells have no partner' err
    diff <(pairs wide.cms | sort) <(pairs tall.cms | awk 'NF == 2 { print $2, $1 }' | sort)
    # candidates cut to the best 20 still hold the best assignment here
    knn-match -k 20 "$e" "$t" | assign --method exact -o k.cms
    [ "$(sum k.cms)" = "$(sum x.cms)" ]
}

@test "exact, sinkhorn and snn within a label are those of each group alone" {
    for m in exact 'sinkhorn --iterations 5 --temperature 9' 'sinkhorn --iterations 5 --epsilon .05' snn 'csls --neighbours 3'; do
        assign --within batch --method $m s.cms -o w.cms 2>/dev/null
        for b in b0 b1 b2; do
            knn-match <(cms-cat --where batch=$b "$e") <(cms-cat --where batch=$b "$t") | assign --method $m -o g.cms
            diff <(cms-cat --where batch=$b w.cms | cms-text --triplets | awk -F '\t' '{ printf "%s %s %.5f\n", $1, $2, $3 }') \
                <(cms-text --triplets g.cms | awk -F '\t' '{ printf "%s %s %.5f\n", $1, $2, $3 }')
        done
    done
}

@test "knn-match's csls and snn are assign's on all similarities" {
    for within in '' '--within batch'; do
        for m in csls 'csls --neighbours 4 --temperature 9' snn 'snn --neighbours 5' 'snn --hard'; do
            knn-match $within --method $m "$e" "$t" -o a.cms 2>/dev/null
            assign $within --method $m s.cms -o b.cms 2>/dev/null
            cms-diff --tolerance 1e-6 a.cms b.cms
        done
    done
    knn-match -k 3 --method snn --neighbours 5 "$e" "$t" -o a.cms
    [ "$(cms-text --triplets a.cms | awk -F '\t' '{ n[$1]++ } END { for (r in n) if (n[r] > m) m = n[r]; print m }')" = 3 ]
    [ "$(info a.cms rule.neighbours)" = 5 ]
    for m in sinkhorn exact; do
        fails 2 knn-match --method $m "$e" "$t" -o x.cms
        says 'needs all candidates at once'
    done
}

@test "sinkhorn brings the columns' sums together" {
    spread() { # the largest column sum
        cms-text --triplets "$1" | awk -F '\t' '{ s[$2] += $3 } END { for (c in s) if (s[c] > m) m = s[c]; print m }'
    }
    assign --method softmax s.cms -o a.cms
    assign --method sinkhorn --iterations 300 s.cms -o b.cms
    awk -v a="$(spread a.cms)" -v b="$(spread b.cms)" 'BEGIN { exit !(a > 1.5 && b < 1.1) }'
    [ "$(info b.cms rule.iterations)" = 300 ]
    assign --method sinkhorn --epsilon .05 s.cms -o c.cms
    [ "$(info c.cms rule.epsilon)" = 0.05 ]
    [ -z "$(info c.cms rule.temperature)" ]
}

@test "thinning by quantiles leaves few, and at least each row's best" {
    assign --quantile .9 --method softmax --temperature 5 s.cms -o q.cms
    n=$(info q.cms slot.0.nnz)
    [ "$n" -ge 360 ] && [ "$n" -le 720 ]
    [ "$(info q.cms rule.quantile)" = 0.9 ]
    diff <(pairs q.cms) <(assign --method softmax s.cms -o p.cms && pairs p.cms)
    assign --quantile .9 --method exact s.cms -o x.cms 2>/dev/null
    diff <(pairs x.cms | awk 'NF == 2') <(assign --quantile .9 --method exact - <s.cms 2>/dev/null | cms-text --pairs | awk -F '\t' 'NR > 1 && $2 != "" { print $1, $2 }')
}

@test "tuning: what it prints is what the rule scores" {
    assign --tune "$REF/match_truth.tsv" s.cms -o tune.tsv
    [ "$(head -n 1 tune.tsv)" = "$(printf 'method\ttemperature\tsoft\thard\tlog_loss')" ]
    [ "$(wc -l <tune.tsv)" = 37 ] # header, four rules at eight temperatures, two without, two choices
    for m in softmax csls sinkhorn; do
        want=$(assign --method $m --temperature 20 s.cms | score --pairs "$REF/match_truth.tsv" | awk -F '\t' '$1 == "match_probability" { print $2 }')
        close_to "$(awk -F '\t' -v m=$m '$1 == m && $2 == 20 { print $3 }' tune.tsv)" "$want" 2e-6
    done
    want=$(assign --method exact s.cms | score --pairs "$REF/match_truth.tsv" | awk -F '\t' '$1 == "match_probability" { print $2 }')
    close_to "$(awk -F '\t' '$1 == "exact" { print $4 }' tune.tsv)" "$want" 2e-6
    # the choice is near the best soft score; with --hard it is the best hard one
    awk -F '\t' 'NR > 1 && $1 != "choice" && $1 != "calibrated" && $3 > m { m = $3 } $1 == "choice" { exit !($4 >= .98 * m) }' tune.tsv
    assign --hard --tune "$REF/match_truth.tsv" s.cms |
        awk -F '\t' 'NR > 1 && $1 != "choice" && $1 != "calibrated" && $4 > m { m = $4 } $1 == "choice" { exit !($5 == m) }'
    [ "$(assign --tune "$REF/match_truth.tsv" --method dual --temperature 7 s.cms | wc -l)" = 3 ]
    # the calibrated one has the least loss, which is that of the rule, at no temperature of the grid
    read -r method temperature loss < <(awk '$1 == "calibrated" { print $2, $3, $6 }' tune.tsv)
    want=$(assign --method "$method" --temperature "$temperature" s.cms |
        score --pairs "$REF/match_truth.tsv" | awk -F '\t' '$1 == "log_loss" { print $2 }')
    close_to "$loss" "$want" 1e-5
    awk -F '\t' -v l="$loss" 'NR > 1 && $5 != "" && $1 != "calibrated" && $1 != "choice" && $5 < l { exit 1 }' tune.tsv
    fails 4 assign --tune absent.tsv s.cms -o x
    [ ! -e x ]
}

@test "options that a rule does not have" {
    fails 2 assign --method exact --temperature 3 s.cms -o x.cms
    says '--temperature is an option of'
    fails 2 assign --method dual --neighbours 3 s.cms -o x.cms
    fails 2 assign --method dual --iterations 3 s.cms -o x.cms
    fails 2 assign --method csls --epsilon .1 s.cms -o x.cms
    fails 2 assign --method sinkhorn --epsilon .1 --temperature 3 s.cms -o x.cms
    fails 2 assign --quantile 1 s.cms -o x.cms
    fails 2 knn-match --method dual --neighbours 3 "$e" "$t" -o x.cms
    [ ! -e x.cms ]
}

@test "one cell, no cells, rows without candidates, for every rule" {
    cms-cat --rows 0:1 "$e" >one.cms
    cms-cat --rows 0:0 "$e" >none.cms
    for m in softmax dual csls sinkhorn snn exact; do
        [ "$(knn-match one.cms one.cms | assign --method $m | cms-text --triplets)" = "$(printf 'cell0\tcell0\t1')" ]
        [ "$(knn-match none.cms "$t" | assign --method $m | cms-text --triplets | wc -l)" = 0 ]
        [ "$(knn-match "$e" none.cms | assign --method $m 2>/dev/null | cms-text --triplets | wc -l)" = 0 ]
        # a batch on one side only
        knn-match "$e" <(cms-cat --except batch=b1 "$t") | assign --within batch --method $m -o w.cms 2>/dev/null
        cms-text --triplets w.cms | awk -F '\t' 'substr($1, 5) % 3 == 1 { exit 1 } END { exit NR == 0 }'
        knn-match "$e" <(cms-cat --except batch=b1 "$t") | assign -t 2 --within batch --method $m -o v.cms 2>/dev/null
        cmp w.cms v.cms
    done
}
