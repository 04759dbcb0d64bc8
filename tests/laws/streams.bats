load ../helper

# Laws of streams: identities that hold for any data.  Equality of content is equality of digests.

same_content() { # A B
    local a b
    a=$(digest "$1") b=$(digest "$2")
    [ -n "$a" ] && [ "$a" = "$b" ] || {
        echo "digests differ: $1 $a, $2 $b" >&2
        cms-diff "$1" "$2" >&2
        return 1
    }
}

@test "law: cat of halves = whole" {
    prepared gex.cms atac.tfidf.cms
    for f in gex atac.tfidf; do
        cms-cat --rows 0:140 -o a.cms $f.cms
        cms-cat --rows 140:300 -o b.cms $f.cms
        cms-cat -o whole.cms a.cms b.cms
        cms-diff --tolerance 0 whole.cms $f.cms
        ! cms-diff --tolerance 0 a.cms $f.cms 2>/dev/null || false
    done
}

@test "law: shards are a partition" {
    prepared gex.cms
    for i in 1 2 3; do cms-cat --shard $i/3 -o s$i.cms gex.cms; done
    cms-cat -o whole.cms s1.cms s2.cms s3.cms
    cms-diff --tolerance 0 whole.cms gex.cms
}

@test "law: to text and back" {
    prepared gex.cms e.cms match.cms
    for f in gex e match; do
        cms-text $f.cms | cms-text --from -o back.cms
        cms-diff --tolerance 0 back.cms $f.cms
    done
}

@test "law: to .h5ad and back" {
    prepared gex.cms
    h5-write -o x.h5ad gex.cms
    h5-read --type GEX -o back.cms x.h5ad
    cms-diff --tolerance 0 back.cms gex.cms
}

@test "law: neither paths, levels nor threads change the content" {
    prepared gex.cms atac.cms
    mkdir -p else/where
    cp gex.cms else/where/g.cms
    cp atac.cms else/where/a.cms
    lognorm gex.cms >g1.cms
    tfidf -t 1 atac.cms >a1.cms
    batch g1.cms a1.cms | xattn-train --preset linear -t 1 -o m1.cms
    (
        cd else/where
        cat g.cms | lognorm --level 7 | cat >g2.cms
        tfidf -t 2 --no-provenance a.cms | cat >a2.cms
        batch --level 3 g2.cms a2.cms | xattn-train --preset linear -t 2 -o m2.cms
    )
    same_content g1.cms else/where/g2.cms
    same_content a1.cms else/where/a2.cms
    same_content m1.cms else/where/m2.cms
}

@test "law: a normalisation a row commutes with selecting rows" {
    prepared gex.cms
    lognorm gex.cms | cms-cat --rows 10:60 -o a.cms -
    cms-cat --rows 10:60 gex.cms | lognorm -o b.cms
    cms-diff --tolerance 0 a.cms b.cms
}

@test "law: a fit travels: the rest normalised like the part = the whole normalised like the part" {
    prepared atac.cms
    cms-cat --rows 0:200 atac.cms | tfidf -o part.cms
    cms-cat --rows 200:300 atac.cms | tfidf --like part.cms -o rest.cms
    tfidf --like part.cms -o whole.cms atac.cms
    cms-cat -o both.cms part.cms rest.cms
    cms-diff --tolerance 0 both.cms whole.cms
}

@test "law: neither order nor names of cells say who belongs to whom" {
    prepared e.cms t.cms match.cms
    score match.cms >straight.tsv
    # Other names that sort otherwise, another order; the truth goes separately.
    cms-cat --shuffle --seed 5 -o t2.cms t.cms
    knn-match -k 50 --method dual -o match2.cms e.cms t2.cms
    score match2.cms >shuffled.tsv
    for m in match_probability match_probability_hard top5 median_rank; do
        a=$(awk -F '\t' -v m=$m '$1 == m { print $2 }' straight.tsv)
        b=$(awk -F '\t' -v m=$m '$1 == m { print $2 }' shuffled.tsv)
        [ -n "$a" ]
        close_to "$a" "$b" 1e-6
    done
}

@test "law: history grows by one stage a stage, and copies nothing twice" {
    prepared gex.cms
    lognorm gex.cms | cms-cat - | cms-cat -o x.cms -
    [ "$(cms-info x.cms | grep -c '^provenance\..*\.tool')" = 4 ]
    cms-cat -o y.cms x.cms x.cms 2>/dev/null || cms-cat -o y.cms <(cms-cat --rows 0:9 x.cms) <(cms-cat --rows 9:20 x.cms)
    [ "$(cms-info y.cms | grep -c '^provenance\..*\.tool.*cms-gen')" = 1 ]
}

@test "law: no cells in, no cells out" {
    prepared gex.cms atac.cms
    cms-cat --rows 0:0 -o g0.cms gex.cms
    lognorm g0.cms | cms-info --check - | grep -qE '^rows	0$'
    cms-cat --rows 0:0 atac.cms | tfidf --like "$PREPARED/atac.tfidf.cms" | cms-info --check - | grep -qE '^rows	0$'
    fails 3 batch g0.cms g0.cms
}

@test "law: one cell is enough for a filter" {
    prepared gex.cms
    cms-cat --rows 7:8 gex.cms | lognorm -o one.cms
    cms-cat --rows 7:8 "$PREPARED/gex.log.cms" | cms-diff --tolerance 0 one.cms -
}
