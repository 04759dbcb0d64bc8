#!/usr/bin/env bats
# cca-train: CCA is the linear preset without a detour; ridge and Procrustes match better than chance.

load ../helper

setup() {
    scratch
    cms-gen --gex g.cms --atac a.cms --cells 300 --genes 120 --peaks 200
    lognorm --method sqrt --fit split=train -o gn.cms g.cms
    tfidf --method logtfidf --fit split=train -o an.cms a.cms
    batch --epochs 1 --size 64 -o p.cms gn.cms an.cms
}

key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }

@test "cca with the term is xattn-train's linear preset, and without it its --no-cis" {
    as_linear() { cms-text "$1" | sed 's/^\(#head\thp.preset\t\)cca$/\1linear/' | cms-text --from; }
    cca-train --cis -o m.cms p.cms
    xattn-train --preset linear -o want.cms p.cms
    as_linear m.cms | cms-diff --tolerance 0 want.cms -
    cca-train -o m.cms p.cms
    xattn-train --preset linear --no-cis -o bare.cms p.cms
    as_linear m.cms | cms-diff --tolerance 0 bare.cms -
    if as_linear m.cms | cms-diff --tolerance 0 want.cms - >/dev/null; then false; fi
    [ "$(key m.cms hp.preset)" = cca ]
    [ "$(key m.cms hp.cis)" = 0 ]
    cca-train --cis --lsi-scale 0.6 -o m.cms p.cms
    xattn-train --preset linear --lsi-scale 0.6 -o scaled.cms p.cms
    as_linear m.cms | cms-diff --tolerance 0 scaled.cms -
    if cms-diff --tolerance 0 want.cms scaled.cms >/dev/null; then false; fi
}

@test "every method: cells to a match, better than chance, and the options in the model" {
    for method in cca ridge procrustes; do
        cca-train --method $method -k 30 --seed 5 -o m.cms p.cms 2>err
        [ ! -s err ]
        [ "$(key m.cms hp.preset)" = $method ]
        [ "$(key m.cms hp.k)" = 30 ]
        [ "$(key m.cms hp.seed)" = 5 ]
        [ "$(key m.cms hp.q)" = 30 ]
        cms-cat --where split=test gn.cms | embed --model m.cms -o e.cms
        cms-cat --where split=test an.cms | embed --model m.cms -o t.cms
        knn-match --model m.cms e.cms t.cms | score >s
        awk -F '\t' -v m=$method '{ v[$1] = $2 }
            END { if (!(v["match_probability"] > 3 * v["chance"])) { print m, v["match_probability"], v["chance"]; exit 1 } }' s
        cms-info --check m.cms
    done
}

@test "the same model for any thread count, path and run; another for another option" {
    for method in cca ridge procrustes; do
        cca-train --method $method -t 1 -o m.cms p.cms
        cca-train --method $method -t 2 <p.cms >n.cms
        [ "$(digest m.cms)" = "$(digest n.cms)" ]
        cca-train --method $method -k 20 -q -o o.cms p.cms
        [ "$(digest m.cms)" != "$(digest o.cms)" ]
    done
}

@test "ridge needs no schedule; without validation cells the rule is the default, with a warning" {
    batch --epochs 0 --valid split=none gn.cms an.cms | cca-train --method ridge -o m.cms 2>err
    grep -q 'no validation cells' err
    [ "$(key m.cms rule.method)" = dual ]
    [ "$(key m.cms valid.cells)" = 0 ]
}

@test "--log has a line a step; -v says memory and scores; --max-memory refuses" {
    cca-train -v --log log.tsv -o m.cms p.cms 2>err
    [ "$(head -n 1 log.tsv)" = "$(printf 'step\tseconds')" ]
    [ "$(wc -l <log.tsv)" = 4 ]
    grep -q 'memory:' err
    grep -q 'soft' err
    fails 4 cca-train --max-memory 100K -o x.cms p.cms
    says 'allows 0.1'
    [ ! -e x.cms ]
}

@test "proteins: dense cells in another state" {
    svd -k 12 --center -o gd.cms gn.cms
    cms-text an.cms | sed 's/slot.0.name\tATAC/slot.0.name\tADT/' | cms-text --from -o ad.cms
    batch --epochs 0 gd.cms ad.cms | cca-train --method ridge -k 10 -o m.cms
    [ "$(key m.cms slot.0.state)" = svd ]
    [ "$(key m.cms slot.1.name)" = ADT ]
    cms-cat --where split=test gd.cms | embed --model m.cms | cms-info --check -
}
