# lognorm: what the library's fixtures do not show: the command line, streams of no and one cell,
# empty cells, dense input, --like, and the stage in Python.
load ../helper
load tiny

@test "seurat by hand: ln(1 + 1e4 x/R), one warning for empty cells" {
    tiny counts 'a x 1 A:1 B:3' 'b y 2' 'c y 1 C:2' >in.cms
    lognorm in.cms >out.cms 2>err
    [ "$(cat err)" = "lognorm: warning: 1 of 3 cells have no counts; their rows stay zero" ]
    rows out.cms >got
    awk 'BEGIN { printf "a x 1 %.4f %.4f\nb y 2\nc y 1 %.4f\n", log(1 + 1e4 / 4), log(1 + 3e4 / 4), log(1 + 1e4) }' >want
    sed -E 's/[A-C]://g' got | awk '{ for (k = 4; k <= NF; k++) $k = sprintf("%.4f", $k) } 1' | diff - want
    [ "$(cms-text --head out.cms | grep -c $'^slot.0.state\tlognorm$')" = 1 ]
    [ "$(cms-text --head out.cms | grep -c $'^slot.0.lazy\tlog1p$')" = 1 ]
    [ "$(lognorm -q in.cms 2>&1 >/dev/null)" = "" ]
}

@test "dense input gives the same values" {
    tiny counts 'a x 1 A:1 B:3' 'c y 1 C:2' >in.cms
    DENSE=1 tiny counts 'a x 1 1 3 0' 'c y 1 0 0 2' >dense.cms
    for m in seurat scanpy scran cpm sqrt; do
        lognorm --method $m in.cms | cms-text --triplets - >want
        lognorm --method $m dense.cms | cms-text --triplets - | awk -F '\t' '$3 != 0' | diff - want
    done
}

@test "no cells, one cell, one cell without counts" {
    for m in seurat scanpy scran cpm sqrt; do
        tiny counts | lognorm --method $m -o out.cms
        [ -z "$(rows out.cms)" ]
        cms-info --check out.cms >/dev/null
        tiny counts 'a x 1 B:5' | lognorm --method $m -o out.cms
        [ "$(rows out.cms | grep -c '^a x 1 B:')" = 1 ]
        tiny counts 'a x 1' | lognorm -q --method $m -o out.cms
        [ "$(rows out.cms)" = "a x 1" ]
    done
}

@test "median of the cells with counts, of some cells, of all cells, or given" {
    tiny counts 'a x 1 A:1' 'b x 1 A:3' 'c y 1 A:10' 'd y 1' >in.cms
    scale() { lognorm -q --method scanpy "$@" in.cms | cms-text --head - | awk '$1 == "slot.0.fit.scale" { print $2 }'; }
    [ "$(scale)" = 3 ]
    [ "$(scale --median-all)" = 2 ]
    [ "$(scale --fit batch=x)" = 2 ]
    [ "$(scale --fit batch=x,y)" = 3 ]
    [ "$(scale --target 50)" = 50 ]
    [ "$(scale --fit batch=y)" = 10 ]
}

@test "size factors: formula, default method, and what is refused" {
    tiny counts 'a x 2 A:6' 'b y 0.5 B:1' >in.cms
    lognorm --size-factors factor in.cms >out.cms
    awk 'BEGIN { printf "a x 2 A:%.4f\nb y 0.5 B:%.4f\n", log(4), log(3) }' >want
    rows out.cms | awk -F: '{ printf "%s:%.4f\n", $1, $2 }' | diff - want
    lognorm --method size-factors --size-factors factor in.cms | cms-diff out.cms -
    for bad in 0 -1 nan ''; do
        tiny counts 'a x 2 A:6' "b y $bad B:1" >bad.cms
        fails 3 lognorm --size-factors factor bad.cms
        says '"b"'
    done
}

@test "a negative count is named by row and column" {
    tiny counts 'a x 1 A:1 C:-2' >in.cms
    for m in seurat sqrt; do
        fails 3 lognorm --method $m -o out.cms in.cms
        says 'row "a", column "C"'
        [ ! -e out.cms ]
    done
}

@test "what is normalised is refused, and says so" {
    for s in lognorm sqrt tfidf clr scaled; do
        tiny $s 'a x 1 A:1' >in.cms
        fails 3 lognorm in.cms
        says "already normalised (state $s)"
    done
    for s in unknown binary svd; do
        tiny $s 'a x 1 A:1' >in.cms
        fails 3 lognorm in.cms
        says "expected counts, found state $s"
    done
}

@test "--like gives the same values, whatever the order and number of columns" {
    prepared gex.cms
    for m in seurat scanpy scran sqrt; do
        lognorm --method $m --fit split=train -o fit.cms gex.cms
        lognorm --like fit.cms -o again.cms gex.cms
        cms-diff fit.cms again.cms
        [ "$(digest fit.cms)" = "$(digest again.cms)" ]
        lognorm --like fit.cms --method $m gex.cms | cms-diff fit.cms -
    done
    cms-text --cols gex.cms | awk -F '\t' 'NR > 1 && NR < 100 { print $1 }' >some
    lognorm --method sqrt -o all.cms gex.cms
    cms-cat --columns some all.cms >few.cms # normalised, then selected: totals are of all genes
    lognorm --like few.cms gex.cms | cms-diff all.cms -
    fails 3 lognorm --like all.cms <(cms-cat --columns some gex.cms)
    says 'is missing in the input'
}

@test "lazy and materialised values are the same, a stream and a pipe too" {
    prepared gex.cms
    for m in seurat sqrt scran; do
        lognorm --method $m -o lazy.cms gex.cms
        lognorm --method $m --materialize -o plain.cms gex.cms
        cms-text --triplets lazy.cms | diff - <(cms-text --triplets plain.cms)
        [ "$(cms-text --head plain.cms | grep -c slot.0.lazy)" = 0 ]
        cat gex.cms | lognorm --method $m | cms-diff --tolerance 0 lazy.cms -
        [ "$(lognorm -t 1 --method $m gex.cms | cms-info - | awk -F '\t' '$1 == "digest" { print $2 }')" = "$(digest lazy.cms)" ]
    done
}

@test "the stage in Python equals the tool" {
    need python3
    prepared gex.cms
    py=$ROOT/pipelines/custom/lognorm.py
    for m in seurat sqrt; do
        for fit in "" "--fit split=train" "--fit cell_type=type1,type2"; do
            # shellcheck disable=SC2086
            lognorm --method $m $fit -o c.cms gex.cms
            # shellcheck disable=SC2086
            $py --method $m $fit <gex.cms >py.cms
            cms-diff --tolerance 0 c.cms py.cms
            diff <(cms-text --head c.cms) <(cms-text --head py.cms)
            $py --like c.cms <gex.cms | cms-diff --tolerance 0 c.cms -
            lognorm --like py.cms gex.cms | cms-diff --tolerance 0 c.cms -
        done
    done
    $py <gex.cms | cms-diff --tolerance 0 <(lognorm gex.cms) -
    DENSE=1 tiny counts 'a x 1 1 3 0' 'b y 1 0 0 0' >dense.cms
    $py <dense.cms 2>err | cms-diff <(lognorm -q dense.cms) -
    grep -q '1 of 2 cells' err
    fails 3 $py <c.cms
    says 'already normalised (state sqrt)'
    fails 2 $py --like c.cms --method seurat <gex.cms
    fails 3 $py --method sqrt --fit split=nobody <gex.cms
    run bash -c "head -c 5000 gex.cms | $py | cms-info --check -"
    [ "$status" != 0 ]
}

@test "real cells: the training median of the model" {
    need_data pbmc_multiome_2k/gex.h5ad
    need h5-read
    h5-read -o gex.cms "$DATA/pbmc_multiome_2k/gex.h5ad"
    lognorm --method sqrt --fit split=train gex.cms | cms-text --head - >head
    grep -q $'^slot.0.fit.median\t656$' head
    grep -q $'^slot.0.fit.cells\t1415$' head
}

@test "exclude-high: a gene above its share of one cell counts in no total" {
    tiny counts 'a x 1 A:1 B:3 C:16' 'b y 1 A:2 B:2 C:1' 'c y 1 C:5' >in.cms # totals without C: 4 4 0
    lognorm -q --method exclude-high --max-fraction 0.7 in.cms >out.cms
    awk 'BEGIN { printf "a x 1 %.4f %.4f %.4f\nb y 1 %.4f %.4f %.4f\nc y 1 0.0000\n", log(2), log(4), log(17), log(3), log(3), log(2) }' >want
    rows out.cms | sed -E 's/[A-C]://g' | awk '{ for (k = 4; k <= NF; k++) $k = sprintf("%.4f", $k) } 1' | diff - want
    cms-text --cols out.cms | awk -F '\t' '{ print $NF }' | tr '\n' ' ' | grep -qx 'fit.use:f64 1 1 0 \|fit.use 1 1 0 '
    lognorm -q --like out.cms in.cms | cms-diff --tolerance 0 out.cms -
    fails 2 lognorm --like out.cms --max-fraction 0.5 in.cms
    fails 2 lognorm --method seurat --max-fraction 0.5 in.cms
    fails 2 lognorm --method exclude-high --overdispersion 0.5 in.cms
    fails 2 lognorm --method exclude-high --max-fraction 0.5 --overdispersion 0.5 in.cms
}

@test "pflog: every cell's values have the same sum; three reads of a pipe" {
    prepared gex.cms
    lognorm --method pflog --fit split=train -o out.cms gex.cms
    cms-text --triplets out.cms | awk -F '\t' '/^#/ { next } { s[$1] += $3 } END { for (c in s) { n++; if (!m) m = s[c]; d = s[c] / m - 1; if (d < -1e-5 || d > 1e-5) exit 1 } exit n < 100 }'
    cat gex.cms | lognorm --method pflog --fit split=train | cms-diff --tolerance 0 out.cms -
    cat gex.cms | lognorm --like out.cms | cms-diff --tolerance 0 out.cms -
    lognorm --method shifted-log --fit split=train -o out.cms gex.cms
    cat gex.cms | lognorm --like out.cms | cms-diff --tolerance 0 out.cms -
    fails 2 lognorm --method pflog --target 5 gex.cms
}
