#!/usr/bin/env bats
# score against NumPy (tests/ref/make_match.py), the competition's own results, and its manners.
load ../helper

setup() {
    scratch
    e=$REF/match_e.cms t=$REF/match_t.cms
}

value() { awk -F '\t' -v n="$2" '$1 == n { print $2 }' "$1"; }

# every expected metric whose line begins with KIND
compare() { # KIND SCORES
    local kind name v n=0
    while read -r kind name v; do
        [ "$kind" = "$1" ] || continue
        case $name in [0-9]*) continue ;; esac
        close_to "$(value "$2" "$name")" "$v" 1e-6
        n=$((n + 1))
    done < <(tr '\t' ' ' <"$REF/match_expected.tsv")
    [ $n -ge 12 ]
}

@test "all metrics of soft matches are NumPy's" {
    for m in softmax dual; do
        knn-match --method $m --temperature 10 "$e" "$t" | score -o $m.tsv
        compare $m $m.tsv
        [ "$(value $m.tsv official_format)" = 1 ]
        [ "$(value $m.tsv paper_format)" = 1 ]
        [ "$(value $m.tsv match_probability)" = "$(value $m.tsv match_probability_filled)" ]
    done
    [ "$(head -n 1 dual.tsv)" = "$(printf 'metric\tvalue\tstderr')" ]
}

@test "an empty row makes match_probability NaN, as the official code does, and says so" {
    knn-match --within batch --method dual --temperature 10 "$e" "$t" 2>/dev/null | score -o w.tsv 2>err
    compare within w.tsv
    [ "$(value w.tsv match_probability)" = nan ]
    [ "$(value w.tsv empty_rows)" = 1 ]
    grep -q 'warning: 1 rows have no probability' err
    [ "$(value w.tsv official_format)" = 0 ]
    grep -q "warning: paper's format: 1 rows do not sum to 1" err
    run score --min match_probability=0 <(knn-match --within batch --hard "$e" "$t")
    [ "$status" = 1 ]
}

@test "calibration: bins, and matches that claim nothing" {
    knn-match --method dual --temperature 10 "$e" "$t" -o p.cms
    score --reliability bins.tsv -o a.tsv p.cms
    [ "$(head -n 1 bins.tsv)" = "$(printf 'bin\tcells\tclaimed\tright\tstderr')" ]
    [ "$(awk -F '\t' 'NR > 1 { n += $2 } END { print NR - 1, n }' bins.tsv)" = '10 60' ]
    # ece is what the bins say
    close_to "$(value a.tsv ece)" \
        "$(awk -F '\t' 'NR > 1 { d = $3 - $4; e += $2 * (d < 0 ? -d : d) / 60 } END { print e }' bins.tsv)" 1e-6
    awk -F '\t' 'NR > 2 && $3 < last { exit 1 } { last = $3 }' bins.tsv
    for threads in 1 3; do
        score -t $threads --reliability $threads.tsv p.cms | cmp - a.tsv
        cmp bins.tsv $threads.tsv
    done
    # the order of the rows is nothing to it
    cms-cat --shuffle p.cms | score | grep -E '^(ece|brier|log_loss)' | cut -f 1,2 >b
    while read -r name v; do close_to "$(value a.tsv "$name")" "$v" 1e-12; done <b
    [ "$(wc -l <b)" = 4 ]
    for rule in '--method snn' --hard --similarities; do
        # shellcheck disable=SC2086
        knn-match $rule -o m.cms "$e" "$t"
        score -o x.tsv m.cms 2>err
        [ "$(grep -cP '^(ece|ece_by_chance|brier|log_loss)\tnan\t-$' x.tsv)" = 4 ]
        [ -s err ]
        fails 3 score --reliability no.tsv m.cms
        [ ! -e no.tsv ]
    done
    grep -q 'knn-match --model MODEL E T | score' err
}

@test "foscttm and chunks from embeddings, the operands in any order" {
    knn-match --method dual "$e" "$t" -o m.cms
    score --embeddings "$e" "$t" m.cms -o a.tsv
    close_to "$(value a.tsv foscttm)" "$(awk -F '\t' '$1 == "foscttm" { print $2 }' "$REF/match_expected.tsv")" 1e-9
    score m.cms --embeddings "$e" "$t" | cmp - a.tsv
    score --embeddings "$e" "$t" <m.cms | cmp - a.tsv
    score --chunk 7 --embeddings "$e" "$t" m.cms -o b.tsv
    close_to "$(value b.tsv chunk_chance)" .15 1e-12 # 8 chunks of 7, one of 4: 9 / 60
    fails 2 score --chunk 7 m.cms
    fails 2 score --embeddings "$e" <m.cms # T.cms is missing
}

@test "pairs by name and by number" {
    knn-match --method dual "$e" "$t" -o m.cms
    score m.cms -o a.tsv
    score --pairs "$REF/match_truth.tsv" m.cms | cmp - a.tsv
    cms-text --cols m.cms | awk 'BEGIN { print "row1\trow2" } NR > 1 { print substr($1, 5) "\t" NR - 2 }' >numbers.tsv
    score --pairs numbers.tsv m.cms | cmp - a.tsv
    head -n 21 numbers.tsv >some.tsv
    score --pairs some.tsv m.cms -o b.tsv 2>err
    [ "$(value b.tsv cells)" = 20 ]
    grep -q 'warning: 40 of 60 rows have no partner' err
    fails 3 score --pairs <(printf 'row1\trow2\n0\t60\n') m.cms
    says 'outside the match of 60 rows and 60 columns'
    fails 3 score --pairs <(printf 'a\tb\nnobody\tnobody\n') m.cms
    says 'none of its 1 pairs is in the match'
    fails 4 score --pairs missing.tsv m.cms
}

@test "labels of another stream" {
    knn-match --method dual "$e" "$t" -o m.cms
    score --labels "$e" m.cms | cmp - <(score m.cms)
    cms-gen --gex gex.cms --atac atac.cms --cells 20 --genes 20 --peaks 20
    fails 3 score --labels gex.cms m.cms
    says 'none of its cells is a row of the match'
    cms-text "$e" | sed 's/\tbatch/\tdonor/; s/\tcell_type/\tkind/' | cms-text --from -o other.cms
    fails 3 score --labels other.cms m.cms
    says 'no label "batch" or "cell_type"; labels here: donor, kind'
}

@test "demands and JSON" {
    knn-match --method dual --temperature 10 "$e" "$t" -o m.cms
    score --min match_probability=.2 --min top10=.8 m.cms
    run score --min match_probability=.2 --min top1=.5 m.cms
    [ "$status" = 1 ]
    [[ $output == *'top1 is 0.166667, below the demanded 0.5'* ]]
    fails 2 score --min nonsense=1 m.cms
    fails 2 score --min top1 m.cms
    fails 3 score --min foscttm=.1 m.cms
    need python3
    score --json m.cms | python3 -c '
import json, sys
m = json.load(sys.stdin)
assert m["cells"] == {"value": 60, "stderr": None} and abs(m["match_probability"]["value"] - 0.20128444) < 1e-6'
}

@test "similarities are scored as the official code would, with a warning" {
    knn-match "$e" "$t" | score -o s.tsv 2>err
    grep -q 'warning: these are similarities' err
    knn-match --method softmax --temperature 10 "$e" "$t" | score -o p.tsv
    for k in top1 top5 top10 median_rank; do [ "$(value s.tsv $k)" = "$(value p.tsv $k)" ]; done
}

@test "refused: no cells, mere numbers, duplicate names" {
    knn-match --method dual "$e" "$t" -o m.cms
    fails 3 score <(cms-cat --rows 0:0 m.cms)
    says 'no cells to score'
    cms-cat m.cms m.cms >twice.cms 2>/dev/null || skip 'cms-cat refuses equal names'
    fails 3 score twice.cms
    says "occurs twice"
}

@test "the competition's own scores" {
    need h5-read
    need_data bmmc_cite_starter bmmc_multiome_starter
    local k=bmmc_cite_starter
    score --pairs <(h5-read --pairs "$DATA"/$k/*.test_sol.h5ad) <(h5-read --match "$DATA"/$k/*.prediction.h5ad) -o a.tsv
    close_to "$(value a.tsv match_probability)" 0.0325490195533 1e-9
    close_to "$(value a.tsv auroc)" .60114 5e-4
    close_to "$(value a.tsv aupr)" .011516 5e-5
    [ "$(value a.tsv official_format)" = 1 ]
    fails 3 score <(h5-read --match "$DATA"/$k/*.prediction.h5ad)
    says 'mere numbers'
    k=bmmc_multiome_starter
    score --pairs <(h5-read --pairs "$DATA"/$k/*.test_sol.h5ad) <(h5-read --match "$DATA"/$k/*.prediction.h5ad) -o b.tsv
    close_to "$(value b.tsv match_probability)" 0.00412186380556 1e-8
}
