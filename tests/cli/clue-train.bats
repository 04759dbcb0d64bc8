#!/usr/bin/env bats
# clue-train: from pairs to a match, the same bits for any number of threads, what is refused.

load ../helper

setup() {
    scratch
    cms-gen --gex g.cms --atac a.cms --cells 300 --genes 120 --peaks 200
    lognorm --fit split=train -o gn.cms g.cms
    tfidf --method glue --fit split=train -o an.cms a.cms
    batch --epochs 8 --size 64 -o p.cms gn.cms an.cms
    small=(-k 20 --latent 6 --hidden 24 --decoder 16 --judge 8)
}

key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }

@test "cells to a match, better than chance; every option is in the model" {
    clue-train "${small[@]}" --kl 0.2 --patience 0 --log log.tsv -o m.cms p.cms 2>err
    [ ! -s err ]
    [ "$(key m.cms hp.preset)" = clue ]
    [ "$(key m.cms hp.encoder)" = clue ]
    [ "$(key m.cms hp.k)" = 20 ]
    [ "$(key m.cms hp.clue.latent)" = 6 ]
    [ "$(key m.cms hp.clue.hidden)" = 24 ]
    close_to "$(key m.cms hp.clue.weight.kl)" 0.2 1e-12
    [ "$(key m.cms hp.batch)" = 64 ]
    [ "$(key m.cms hp.seed)" = 42 ]
    [ "$(key m.cms train.steps)" = "$(($(wc -l <log.tsv) - 1))" ]
    [ "$(awk -F '\t' 'NR > 1 && $10 != ""' log.tsv | wc -l)" = 8 ]
    cms-cat --where split=test gn.cms | embed --model m.cms -o e.cms
    cms-cat --where split=test an.cms | embed --model m.cms -o t.cms
    [ "$(cms-info e.cms | awk -F '\t' '$1 == "slot.0.cols" { print $2 }')" = 12 ]
    knn-match --model m.cms e.cms t.cms | score >s
    awk -F '\t' '{ v[$1] = $2 } END { if (!(v["match_probability"] > 2 * v["chance"])) { print v["match_probability"], v["chance"]; exit 1 } }' s
    cms-text --bare e.cms | awk '{ s = 0; for (k = NF - 11; k <= NF; k++) s += $k * $k
        if (s < .9999 || s > 1.0001) exit 1; n++ } END { exit !n }'
}

@test "the loss falls, and its terms add up" {
    clue-train "${small[@]}" --patience 0 --log log.tsv -o m.cms p.cms
    awk -F '\t' 'NR > 1 {
            d = $3 - ($4 + $5 + .3 * $6 + .02 * $7 + .02 * $8 - .02 * $9)
            if (d < -1e-6 || d > 1e-6) { print "step " $1 ": " d; exit 1 }
            if (NR <= 4) first += $3
            last = $3
        } END { exit !(last < first / 3) }' log.tsv
}

@test "the same model for any thread count, path and run; another for another seed or option" {
    clue-train "${small[@]}" -t 1 -o m.cms p.cms
    clue-train "${small[@]}" -t 2 <p.cms >n.cms
    [ "$(digest m.cms)" = "$(digest n.cms)" ]
    clue-train "${small[@]}" --seed 7 -o o.cms p.cms
    [ "$(digest m.cms)" != "$(digest o.cms)" ]
    clue-train "${small[@]}" --adversary 0 -o o.cms p.cms
    [ "$(digest m.cms)" != "$(digest o.cms)" ]
}

@test "batches are a covariate where batch --within names them" {
    batch --epochs 2 --size 64 --within batch gn.cms an.cms | clue-train "${small[@]}" -o m.cms
    [ "$(key m.cms hp.within)" = batch ]
    cms-cat --where split=test gn.cms | embed --model m.cms | cms-info --check -
}

@test "counts as they are; values without counts are refused, and so is a model that others made of it" {
    batch --epochs 1 --size 64 g.cms a.cms | clue-train "${small[@]}" -o m.cms
    [ "$(key m.cms slot.0.state)" = counts ]
    lognorm --materialize g.cms | batch --epochs 1 - an.cms -o q.cms
    fails 3 clue-train "${small[@]}" -o x.cms q.cms
    says 'carries no counts'
    clue-train "${small[@]}" -o m.cms p.cms
    cms-text m.cms | sed 's/hp.preset\tclue/hp.preset\tbest/' | cms-text --from >bad.cms
    fails 3 embed --model bad.cms -o e.cms gn.cms
    says "preset 'best'"
}

@test "without validation cells the last weights stay, and a warning says that nothing was tuned" {
    batch --epochs 1 --size 64 --valid split=none gn.cms an.cms | clue-train "${small[@]}" -o m.cms 2>err
    grep -q 'no validation cells' err
    [ -z "$(key m.cms train.best.epoch)" ]
}

@test "a signal ends it with the best model so far" {
    batch --epochs 3000 --size 64 -o long.cms gn.cms an.cms
    clue-train "${small[@]}" -v --patience 0 -o m.cms long.cms 2>err &
    pid=$!
    for _ in $(seq 1000); do grep -q 'epoch 1 of' err && break || sleep 0.05; done
    kill -TERM $pid
    wait $pid
    grep -q 'stopped by a signal' err
    [ "$(key m.cms train.stopped)" = 1 ]
    cms-info --check m.cms
}
