# clr: what the library's fixtures do not show: the command line, dense and empty input, zeros, --like.
load ../helper
load tiny

# values FILE: the numbers of all rows, with 5 decimals.
values() { rows "$1" | sed -E 's/[A-C]://g' | awk '{ for (k = 4; k <= NF; k++) $k = sprintf("%.5f", $k) } 1'; }
digits() { awk "BEGIN { $1 }"; }

@test "seurat by hand, within cells and within features; zeros stay" {
    tiny counts 'a x 1 A:1 B:3' 'b y 1 C:7' >in.cms
    clr in.cms >out.cms
    digits 'g = exp((log(2) + log(4)) / 3); h = exp(log(8) / 3)
        printf "a x 1 %.5f %.5f\nb y 1 %.5f\n", log(1 + 1 / g), log(1 + 3 / g), log(1 + 7 / h)' >want
    values out.cms | diff - want
    clr --margin features in.cms >out.cms
    digits 'printf "a x 1 %.5f %.5f\nb y 1 %.5f\n", log(1 + 1 / exp(log(2) / 2)), log(1 + 3 / exp(log(4) / 2)), log(1 + 7 / exp(log(8) / 2))' >want
    values out.cms | diff - want
    [ "$(cms-text --head out.cms | grep -c $'^slot.0.state\tclr$')" = 1 ]
    [ "$(cms-text --head out.cms | grep -c $'^slot.0.fit.method\tseurat-features$')" = 1 ]
}

@test "stoeckius and plain by hand: dense" {
    tiny counts 'a x 1 A:1 B:3' 'b y 1 C:7' >in.cms
    clr --method stoeckius in.cms >out.cms
    digits 'g = (log(2) + log(4)) / 3; h = log(8) / 3
        printf "a x 1 %.5f %.5f %.5f\nb y 1 %.5f %.5f %.5f\n", log(2) - g, log(4) - g, -g, -h, -h, log(8) - h' >want
    values out.cms | diff - want
    [ "$(cms-text --head out.cms | grep -c $'^slot.0.encoding\tdense$')" = 1 ]
    tiny counts 'a x 1 A:1 B:3 C:2' 'b y 1 A:2 B:5 C:7' >in.cms
    clr --method plain --margin features in.cms >out.cms
    digits 'for (r = 0; r < 2; r++) printf "%s", r ? sprintf("b y 1 %.5f %.5f %.5f\n", log(2 / sqrt(2)), log(5 / sqrt(15)), log(7 / sqrt(14))) : sprintf("a x 1 %.5f %.5f %.5f\n", log(1 / sqrt(2)), log(3 / sqrt(15)), log(2 / sqrt(14)))' >want
    values out.cms | diff - want
}

@test "a zero under plain is named" {
    tiny counts 'a x 1 A:1 B:3 C:2' 'b y 1 A:2 C:7' >in.cms
    for margin in cells features; do
        fails 3 clr --method plain --margin $margin -o out.cms in.cms
        says 'row "b", column "B"'
        [ ! -e out.cms ]
    done
}

@test "dense input, as ADT often is, gives the same values" {
    tiny counts 'a x 1 A:1 B:3' 'c y 1 C:2' >in.cms
    DENSE=1 tiny counts 'a x 1 1 3 0' 'c y 1 0 0 2' >dense.cms
    for m in seurat stoeckius; do
        for margin in cells features; do
            clr --method $m --margin $margin in.cms | cms-text --triplets - | awk -F '\t' '$3 != 0' >want
            clr --method $m --margin $margin dense.cms | cms-text --triplets - | awk -F '\t' '$3 != 0' | diff - want
        done
    done
}

@test "no cells, one cell, cells without counts" {
    for m in seurat stoeckius; do
        for margin in cells features; do
            tiny counts | clr --method $m --margin $margin -o out.cms
            [ -z "$(rows out.cms)" ]
            cms-info --check out.cms >/dev/null
            tiny counts 'a x 1' 'b x 1 A:2' | clr --method $m --margin $margin -o out.cms 2>err
            grep -q '1 of 2 cells have no counts' err
            [ "$(cms-text --triplets out.cms | grep -cE 'inf|nan')" = 0 ]
        done
    done
    tiny counts 'a x 1' | clr -q --method stoeckius | cms-text --bare - | grep -qx $'a\tx\t1\t0\t0\t0'
}

@test "--fit and --like: train's means for all cells, columns by name" {
    prepared gex.cms
    for m in seurat stoeckius; do
        clr --method $m --margin features --fit split=train -o all.cms gex.cms
        cms-cat --where split=train gex.cms | clr --method $m --margin features -o train.cms
        clr --like train.cms gex.cms | cms-diff --tolerance 0 all.cms -
        clr --like train.cms --method $m --margin features gex.cms | cms-diff all.cms -
        fails 2 clr --like train.cms --method $m --margin cells gex.cms
        says contradicts
        clr --method $m -o cells.cms gex.cms
        cat gex.cms | clr --like cells.cms | cms-diff --tolerance 0 cells.cms -
    done
    cms-text --cols gex.cms | awk -F '\t' 'NR > 2 { print $1 }' >fewer
    cms-cat --columns fewer -o fewer.cms gex.cms
    fails 3 clr --like train.cms fewer.cms
    says 'is missing in the input'
}

@test "lazy and materialised values are the same, and the same for any number of threads" {
    prepared gex.cms
    for margin in cells features; do
        clr --margin $margin -o lazy.cms gex.cms
        clr --margin $margin --materialize -o plain.cms gex.cms
        cms-text --triplets lazy.cms | diff - <(cms-text --triplets plain.cms)
        [ "$(cms-text --head plain.cms | grep -c slot.0.lazy)" = 0 ]
        [ "$(clr -t 1 --margin $margin gex.cms | cms-info - | awk -F '\t' '$1 == "digest" { print $2 }')" = "$(digest lazy.cms)" ]
    done
}

@test "what is normalised is refused" {
    prepared gex.log.cms
    fails 3 clr gex.log.cms
    says 'already normalised (state lognorm)'
    tiny counts 'a x 1 A:1' | clr -o out.cms
    fails 3 clr out.cms
    says 'already normalised (state clr)'
}
