# tfidf: what the library's fixtures do not show: the command line, streams of no and one cell,
# dense input, --like and --fit, laws.
load ../helper
load tiny

methods='signac1 signac2 signac3 signac4 archr3 sklearn glue allcools snapatac2 logtfidf'

@test "signac1 by hand: ln(1 + 1e4 (x/R)(N/C)), one warning for empty cells" {
    tiny counts 'a x 1 A:1 B:3' 'b y 2' 'c y 1 B:2' >in.cms
    tfidf in.cms >out.cms 2>err
    [ "$(cat err)" = "tfidf: warning: 1 of 3 cells have no counts; their rows stay zero" ]
    awk 'BEGIN { printf "a x 1 A:%.4f B:%.4f\nb y 2\nc y 1 B:%.4f\n", log(1 + 1e4 / 4 * 3), log(1 + 3e4 / 4 * 3 / 5), log(1 + 1e4 * 3 / 5) }' >want
    rows out.cms | awk '{ for (k = 4; k <= NF; k++) { split($k, p, ":"); $k = sprintf("%s:%.4f", p[1], p[2]) } } 1' | diff - want
    [ "$(cms-text --head out.cms | grep -c $'^slot.0.state\ttfidf$')" = 1 ]
}

@test "dense and sparse, lazy and materialised, file and pipe: the same values" {
    prepared atac.cms
    DENSE=1 tiny counts 'a x 1 1 3 0' 'b y 1 0 0 0' 'c y 1 0 2 2' >dense.cms
    tiny counts 'a x 1 A:1 B:3' 'b y 1' 'c y 1 B:2 C:2' >in.cms
    for m in $methods; do
        tfidf -q --method $m in.cms | cms-text --triplets - >want
        tfidf -q --method $m dense.cms | cms-text --triplets - | awk -F '\t' '$3 != 0' | diff - want
        tfidf -q -b --method $m dense.cms | cms-text --triplets - | awk -F '\t' '$3 != 0' |
            diff - <(tfidf -q -b --method $m in.cms | cms-text --triplets -)
        tfidf --method $m -o lazy.cms atac.cms
        tfidf --method $m --materialize atac.cms | cms-text --triplets - | diff - <(cms-text --triplets lazy.cms)
        cat atac.cms | tfidf --method $m | cms-diff --tolerance 0 lazy.cms -
    done
}

@test "no cells, one cell, one cell without counts" {
    for m in $methods; do
        tiny counts | tfidf --method $m -o out.cms
        [ -z "$(rows out.cms)" ]
        tiny counts 'a x 1 B:5' | tfidf --method $m -o out.cms
        [ "$(rows out.cms | grep -c '^a x 1 B:')" = 1 ]
        tiny counts 'a x 1' | tfidf -q --method $m -o out.cms
        [ "$(rows out.cms)" = "a x 1" ]
    done
}

@test "--binarize equals tfidf of what is binary" {
    prepared atac.cms
    cms-text atac.cms | sed -E '/^#/!s/:[0-9]+(\t|$)/:1\1/g; s/^(#head\tslot.0.state\t)counts/\1binary/' |
        cms-text --from >binary.cms
    for m in $methods; do
        tfidf --binarize --method $m -o a.cms atac.cms
        tfidf --method $m binary.cms | cms-text --triplets - | diff - <(cms-text --triplets a.cms)
    done
    tfidf --method 10x --binarize atac.cms | cms-text --head - | grep -q $'^slot.0.fit.binarize\t1$'
}

@test "--fit on some cells is fitting on a stream of them; --like applies it to any" {
    prepared atac.cms
    cms-cat --where split=train -o train.cms atac.cms
    cms-cat --except split=train -o rest.cms atac.cms
    for m in $methods; do
        tfidf --method $m -o fit.cms train.cms
        tfidf --method $m --fit split=train -o all.cms atac.cms
        tfidf --like fit.cms atac.cms | cms-diff --tolerance 0 all.cms -
        tfidf --like all.cms train.cms | cms-diff --tolerance 0 fit.cms -
        tfidf --like fit.cms rest.cms | cms-diff --tolerance 0 <(cms-cat --except split=train all.cms) -
        [ "$(tfidf --like fit.cms train.cms | cms-info - | awk -F '\t' '$1 == "digest" { print $2 }')" = "$(digest fit.cms)" ]
        tfidf --like fit.cms --method $m train.cms | cms-diff fit.cms -
    done
}

@test "--like matches columns by name" {
    prepared atac.cms
    cms-text --cols atac.cms | awk -F '\t' 'NR > 1 { print $1 }' | sort -r >turned
    cms-cat --columns turned -o turned.cms atac.cms
    tfidf --method glue -o fit.cms atac.cms
    tfidf --like fit.cms turned.cms | cms-text --triplets - | sort >a
    cms-text --triplets fit.cms | sort | diff - a
    sed 1d turned >fewer
    cms-cat --columns fewer -o fewer.cms atac.cms
    fails 3 tfidf --like fit.cms fewer.cms
    says "\"$(sed -n 1p turned)\" of fit.cms is missing in the input"
    tfidf -o small.cms fewer.cms
    fails 3 tfidf --like small.cms atac.cms
    says "\"$(sed -n 1p turned)\" of the input is missing in small.cms"
}

@test "a peak that no training cell has stays finite" {
    tiny counts 'a x 1 A:1 B:3' 'b x 1 A:2' 'c y 1 B:1 C:2' >in.cms
    for m in $methods; do
        tfidf --method $m --fit batch=x -v -o out.cms in.cms 2>err
        grep -q '1 of 3 columns have no counts in the cells fitted on' err
        [ "$(cms-text --triplets out.cms | grep -cE 'inf|nan')" = 0 ]
    done
}

@test "a model gives the weights of the input's modality" {
    prepared model.cms atac.cms gex.cms atac.tfidf.cms gex.log.cms
    tfidf --like model.cms atac.cms | cms-diff atac.tfidf.cms -
    lognorm --like model.cms gex.cms | cms-diff gex.log.cms -
    fails 3 tfidf --like model.cms gex.cms
    says 'fitted by lognorm'
}

@test "a negative count is named by row and column; options that contradict --like are refused" {
    tiny counts 'a x 1 A:1' 'b x 1 C:-2' >in.cms
    fails 3 tfidf -o out.cms in.cms
    says 'row "b", column "C"'
    [ ! -e out.cms ]
    tiny counts 'a x 1 A:1' >in.cms
    tfidf -o fit.cms in.cms
    for bad in '--method glue' '--scale 5' --binarize '--fit batch=x'; do
        # shellcheck disable=SC2086
        fails 2 tfidf --like fit.cms $bad in.cms
    done
    tfidf --like fit.cms --method stuart --scale 1e4 in.cms | cms-diff fit.cms -
}

@test "muon's flags name methods" {
    prepared atac.cms
    tfidf --log-tf --log-idf atac.cms | cms-diff --tolerance 0 <(tfidf --method muon atac.cms) -
    tfidf --log-tfidf atac.cms | cms-diff --tolerance 0 <(tfidf atac.cms) -
    tiny counts 'a x 1 A:1 B:3' 'b x 1 A:2' >in.cms # R 4 and 2, C 3 and 3, N 2
    first() { tfidf "$@" in.cms | cms-text --triplets - | awk -F '\t' '$1 == "a" && $2 == "A" { print $3 }'; }
    close_to "$(first --log-tf)" "$(awk 'BEGIN { print log(1 + 1e4 / 4) * 2 / 3 }')" 1e-4
    close_to "$(first --log-idf --scale 8)" "$(awk 'BEGIN { print 8 / 4 * log(1 + 2 / 3) }')" 1e-5
    close_to "$(first --method plain --scale 8)" "$(awk 'BEGIN { print 8 / 4 * 2 / 3 }')" 1e-5
    for bad in '--log-tf --log-tfidf' '--log-idf --method glue' '--no-smooth' '--no-smooth --method glue' \
        '--sublinear' '--sublinear --method muon' '--norm l3'; do
        # shellcheck disable=SC2086
        fails 2 tfidf $bad in.cms
    done
}

@test "row lengths: 1 for every cell with counts; a logarithm before makes values plain" {
    prepared atac.cms
    for m in signac1 signac2 sklearn glue; do
        for norm in l1 l2; do
            tfidf --method $m --norm $norm -o out.cms atac.cms
            cms-text --triplets out.cms | awk -F '\t' -v l2=$([ $norm = l2 ] && echo 1 || echo 0) '
                /^#/ { next } { s[$1] += l2 ? $3 * $3 : $3 } END { for (c in s) { n++; if (s[c] < 1 - 1e-5 || s[c] > 1 + 1e-5) exit 1 } exit n < 100 }'
            tfidf --like out.cms atac.cms | cms-diff --tolerance 0 out.cms -
        done
        fails 2 tfidf --like out.cms --norm none atac.cms
        says contradicts
    done
    tfidf --method signac1 --norm l2 atac.cms | cms-text --head - >head
    [ "$(grep -c slot.0.lazy head)" = 0 ]
    grep -q $'^slot.0.fit.norm\tl2$' head
    tfidf --method sklearn --norm l2 atac.cms | cms-text --head - >head
    grep -q $'^slot.0.lazy\tidentity$' head
    [ "$(grep -c fit.norm head)" = 0 ]
}

@test "columns and counts pass through compressed as they came, and mean the same" {
    cms-gen --cells 600 --peaks 4000 --nnz-atac 500 --gex gex.cms --atac atac.cms
    tfidf --no-provenance atac.cms >passed.cms
    tfidf --no-provenance --level 3 atac.cms >anew.cms
    cmp <(zstd -dcq passed.cms) <(zstd -dcq anew.cms)
    cat atac.cms | tfidf --no-provenance | cmp - passed.cms
    # a stream that was compressed harder stays so, but not where values are written anew
    cms-cat --level 12 -o hard.cms atac.cms
    tfidf --no-provenance hard.cms >hard.passed.cms
    [ "$(wc -c <hard.passed.cms)" -lt "$(wc -c <passed.cms)" ]
    cmp <(zstd -dcq hard.passed.cms) <(zstd -dcq passed.cms)
    tfidf --no-provenance --binarize hard.cms | cmp - <(tfidf --no-provenance --binarize atac.cms)
    tfidf --no-provenance --materialize hard.cms | cmp - <(tfidf --no-provenance --materialize atac.cms)
    lognorm --no-provenance hard.cms | cms-info --check - >/dev/null
    # one frame for all, as a script writes it
    zstd -dcq atac.cms | zstd -q | tfidf --no-provenance | cmp <(zstd -dcq) <(zstd -dcq passed.cms)
}
