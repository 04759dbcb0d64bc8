#!/usr/bin/env bats
# mlp-train: from pairs to a match, options in the model, the same bits for any number of threads and
# after a stop.

load ../helper

setup() {
    scratch
    cms-gen --gex g.cms --atac a.cms --cells 300 --genes 120 --peaks 200
    lognorm --method sqrt --fit split=train -o gn.cms g.cms
    tfidf --method logtfidf --fit split=train -o an.cms a.cms
    batch --epochs 6 --size 40 -o p.cms gn.cms an.cms
    small=(--layers GEX=20:32:0.1 --layers ATAC=20:32:0.1 -k 20 --q 12)
}

key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }

@test "cells to a match, better than chance; every option is in the model" {
    batch --size 0 --epochs 60 gn.cms an.cms | mlp-train -k 20 --q 12 --lr 2e-3 --log log.tsv -o m.cms 2>err
    [ ! -s err ]
    [ "$(key m.cms hp.preset)" = small ]
    [ "$(key m.cms hp.encoder)" = deep ]
    [ "$(key m.cms hp.k)" = 20 ]
    [ "$(key m.cms hp.deep.q)" = 12 ]
    [ "$(key m.cms hp.deep.GEX.hidden)" = 512 ]
    close_to "$(key m.cms hp.lr)" 0.002 1e-12
    [ "$(key m.cms hp.seed)" = 42 ]
    [ "$(wc -l <log.tsv)" = 61 ]
    awk -F '\t' 'NR == 2 { first = $3 } { last = $3 } END { exit !(last < first) }' log.tsv
    cms-cat --where split=test gn.cms | embed --model m.cms -o e.cms
    cms-cat --where split=test an.cms | embed --model m.cms -o t.cms
    [ "$(cms-info e.cms | awk -F '\t' '$1 == "slot.0.cols" { print $2 }')" = 12 ]
    knn-match --model m.cms e.cms t.cms | score >s
    awk -F '\t' '{ v[$1] = $2 } END { if (!(v["match_probability"] > 3 * v["chance"])) { print v["match_probability"], v["chance"]; exit 1 } }' s
}

@test "the published presets run on few cells and columns, with as many components as there are" {
    for preset in novel matchclot; do
        batch --size 0 --epochs 1 gn.cms an.cms | mlp-train --preset $preset -o m.cms 2>err
        [ ! -s err ]
        [ "$(key m.cms hp.preset)" = $preset ]
        [ "$(key m.cms hp.k)" = 120 ]
        [ "$(key m.cms hp.deep.act)" = elu ]
        [ "$(key m.cms hp.deep.input)" = zscore ]
        cms-cat --where split=test an.cms | embed --model m.cms | cms-info --check -
    done
    [ "$(key m.cms hp.deep.ATAC.in)" = 256 ]
    [ "$(key m.cms hp.deep.GEX.dropout)" = 0.34,0.47 ]
}

@test "the same model for any thread count, path and run; another for another seed or option" {
    mlp-train "${small[@]}" -t 1 -o m.cms p.cms
    mlp-train "${small[@]}" -t 2 <p.cms >n.cms
    [ "$(digest m.cms)" = "$(digest n.cms)" ]
    mlp-train "${small[@]}" --seed 7 -o o.cms p.cms
    [ "$(digest m.cms)" != "$(digest o.cms)" ]
    mlp-train "${small[@]}" --input zscore -o o.cms p.cms
    [ "$(digest m.cms)" != "$(digest o.cms)" ]
}

@test "a checkpoint goes on to the same model, to the bit; other cells and options are refused" {
    mlp-train "${small[@]}" -o m.cms p.cms
    mlp-train "${small[@]}" --checkpoint c.cms --every 7 -o x.cms p.cms
    [ "$(digest m.cms)" = "$(digest x.cms)" ]
    [ "$(key c.cms checkpoint.step)" -gt 0 ]
    mlp-train --resume c.cms -t 2 -o y.cms p.cms
    [ "$(digest m.cms)" = "$(digest y.cms)" ]
    fails 2 mlp-train --resume c.cms --seed 9 -o y.cms p.cms
    cms-cat --rows 10:300 gn.cms | batch --epochs 6 --size 40 - an.cms -o q.cms
    fails 3 mlp-train --resume c.cms -o z.cms q.cms
    says 'other cells'
    [ ! -e z.cms ]
}

@test "a signal saves the state and ends well; the rest gives the same model" {
    batch --epochs 3000 --size 40 -o long.cms gn.cms an.cms
    mlp-train "${small[@]}" --checkpoint c.cms --every 20 -o part.cms long.cms 2>err &
    pid=$!
    for _ in $(seq 1000); do [ -e c.cms ] && break || sleep 0.05; done
    kill -TERM $pid
    wait $pid
    grep -q 'stopped by a signal' err
    [ "$(key part.cms train.stopped)" = 1 ]
    cms-info --check part.cms
}

@test "proteins beside genes: a slot of another name takes the numbers of peaks" {
    cms-text an.cms | sed 's/slot.0.name\tATAC/slot.0.name\tADT/' | cms-text --from -o ad.cms
    batch --size 0 --epochs 2 gn.cms ad.cms | mlp-train -k 10 -o m.cms
    [ "$(key m.cms hp.deep.ADT.hidden)" = 512 ]
    cms-cat --where split=test ad.cms | embed --model m.cms | cms-info --check -
}
