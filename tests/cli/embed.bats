#!/usr/bin/env bats
# embed: inner products are the model's S0; what was prepared otherwise is refused.

load ../helper

setup() {
    scratch
    need cms-gen cms-text cms-info lognorm tfidf
    cms-gen --gex g.cms --atac a.cms --cells 300 --genes 120 --peaks 200
    lognorm --method sqrt --fit split=train -o gn.cms g.cms
    tfidf --method logtfidf --fit split=train -o an.cms a.cms
    batch --epochs 0 gn.cms an.cms | xattn-train --preset linear -o m.cms
}

key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }
edit() { cms-text "$1" | awk -F '\t' -v OFS='\t' "$3" | cms-text --from -o "$2"; }

@test "names, labels and parts" {
    embed --model m.cms -o e.cms gn.cms
    embed --model m.cms -o t.cms an.cms
    [ "$(key e.cms kind)" = embedding ]
    [ "$(key e.cms part.0)" = 'e 0 48' ]
    [ "$(key e.cms part.1)" = "cis 48 $((48 + $(key m.cms cis.genes)))" ]
    [ "$(key e.cms part.1)" = "$(key t.cms part.1)" ]
    [ "$(key e.cms embed.model)" = "$(digest m.cms)" ]
    cmp <(cms-text --bare e.cms | cut -f 1-4) <(cms-text --bare g.cms | cut -f 1-4)
    cmp <(cms-text --cols e.cms) <(cms-text --cols t.cms)
    # part e has length 1
    cms-text --bare e.cms | awk -F '\t' '{ s = 0; for (k = 5; k < 53; k++) s += $k * $k
        if (s < 0.99999 || s > 1.00001) exit 1 }'
    embed --model m.cms --parts e -o f.cms gn.cms
    [ -z "$(key f.cms part.1)" ]
    cmp <(cms-text --bare e.cms | cut -f 1-52) <(cms-text --bare f.cms)
}

@test "the embedding finds partners of cells that were not trained on" {
    embed --model m.cms gn.cms | cms-text --bare - | awk -F '\t' '$4 == "test"' | sort >e
    embed --model m.cms an.cms | cms-text --bare - | awk -F '\t' '$4 == "test"' | sort >t
    awk -F '\t' 'NR == FNR { n++; for (k = 5; k <= NF; k++) e[n, k] = $k; next }
        { m++; for (k = 5; k <= NF; k++) t[m, k] = $k; w = NF }
        END { for (i = 1; i <= n; i++) { better = 0
                  for (j = 1; j <= m; j++) { s = 0; for (k = 5; k <= w; k++) s += e[i, k] * t[j, k]; S[j] = s }
                  for (j = 1; j <= m; j++) better += S[j] > S[i]
                  sum += better / (n - 1) }
              print sum / n; exit !(sum / n < 0.25) }' e t
}

@test "a cell's row does not depend on its neighbours, on -t, or on the path" {
    embed --model m.cms -t 1 -o e.cms gn.cms
    embed --model m.cms -t 3 - <gn.cms >f.cms
    [ "$(digest e.cms)" = "$(digest f.cms)" ]
    edit gn.cms some.cms '/^#/ || ++n % 3 == 0'
    embed --model m.cms some.cms | cms-text --bare - >got
    cms-text --bare e.cms | awk 'NR % 3 == 0' | cmp got -
}

@test "cells that were prepared otherwise are refused, with the command that helps" {
    fails 3 embed --model m.cms -o x.cms g.cms
    says 'state counts'
    says 'lognorm --like m.cms'
    fails 3 embed --model m.cms -o x.cms a.cms
    says 'tfidf --like m.cms'
    lognorm -o ln.cms g.cms
    fails 3 embed --model m.cms -o x.cms ln.cms
    tfidf --method signac1 -o s1.cms a.cms
    fails 3 embed --model m.cms -o x.cms s1.cms
    says fit.method
    # the same method, fitted on other cells
    tfidf --method logtfidf --fit split=test -o s2.cms a.cms
    fails 3 embed --model m.cms -o x.cms s2.cms
    says 'fitted on other cells'
    [ ! -e x.cms ]
    tfidf --like m.cms a.cms | embed --model m.cms -o t.cms
    embed --model m.cms -o u.cms an.cms
    [ "$(digest t.cms)" = "$(digest u.cms)" ]
}

@test "columns in another order, missing, or too many" {
    n=$(cms-text --cols gn.cms | awk 'END { print NR - 1 }')
    # columns 3 and 4 change places, names and all
    cms-text gn.cms | awk -F '\t' -v OFS='\t' '/^#cols\t/ { n++; if (n == 4) { held = $0; next } print; if (n == 5) print held; next } 1' |
        cms-text --from -o swap.cms
    fails 3 embed --model m.cms -o x.cms swap.cms
    says "column 3 is 'Gene00004', the model has 'Gene00003' there"
    embed --model m.cms --by-name -o e.cms swap.cms
    embed --model m.cms -o f.cms gn.cms
    cmp <(cms-text --bare e.cms) <(cms-text --bare f.cms)
    cms-text gn.cms | awk -F '\t' -v OFS='\t' '/^#cols\t/ && $3 == "Gene00007" { $3 = "Other" } { gsub(/\tGene00007:/, "\tOther:") } 1' |
        cms-text --from -o lack.cms
    # one of ours is missing: counted, named, and the same as a column without entries
    embed --model m.cms --by-name -o x.cms lack.cms 2>said
    grep -q "1 of the model's $n GEX features are missing ('Gene00007' is one)" said
    grep -q '1 columns are not in the model' said
    cms-text gn.cms | sed -E 's/\tGene00007:[^\t]*//' | cms-text --from -o none.cms
    embed --model m.cms -o y.cms none.cms
    cmp <(cms-text --bare x.cms) <(cms-text --bare y.cms)
    # none of ours is there: both sides are named
    cms-text gn.cms | sed 's/Gene00/ENSG00/g' | cms-text --from -o other.cms
    fails 3 embed --model m.cms --by-name -o z.cms other.cms
    says "the model has $n GEX features; 0 of them are in it (model: 'Gene00001', file: 'ENSG00001')"
    [ ! -e z.cms ]
}

@test "--type names the side; a slot that the model has not is refused" {
    edit gn.cms free.cms '{ gsub(/slot.0.name\tGEX/, "slot.0.name\tnuclei") } 1'
    fails 3 embed --model m.cms -o x.cms free.cms
    says nuclei
    embed --model m.cms --type GEX -o e.cms free.cms
    embed --model m.cms -o f.cms gn.cms
    cmp <(cms-text --bare e.cms) <(cms-text --bare f.cms)
    fails 2 embed -o x.cms gn.cms
    says --model
    fails 3 embed --model gn.cms -o x.cms gn.cms
    says 'kind model'
}

@test "empty cells are embedded and counted; no cells give no rows" {
    edit gn.cms empty.cms '!/^#/ && ++n == 2 { NF = 4 } 1'
    embed --model m.cms -o e.cms empty.cms 2>err
    grep -q '1 of 300 cells have no entries' err
    [ "$(cms-text --bare e.cms | wc -l)" = 300 ]
    edit gn.cms none.cms '/^#/'
    embed --model m.cms -o e.cms none.cms
    [ "$(cms-text --bare e.cms | wc -l)" = 0 ]
}
