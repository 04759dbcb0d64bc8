#!/usr/bin/env bats
# xattn-train --preset linear: what the model says of itself, and what is refused.

load ../helper

setup() {
    scratch
    need cms-gen cms-text cms-info lognorm tfidf
    cms-gen --gex g.cms --atac a.cms --cells 300 --genes 120 --peaks 200
    lognorm --method sqrt --fit split=train -o gn.cms g.cms
    tfidf --method logtfidf --fit split=train -o an.cms a.cms
    batch --epochs 1 --size 64 -o p.cms gn.cms an.cms
}

key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }

@test "a model says how it was made, and is better than chance on the validation cells" {
    xattn-train --preset linear -o m.cms p.cms 2>err
    [ ! -s err ]
    [ "$(key m.cms kind)" = model ]
    [ "$(key m.cms hp.preset)" = linear ]
    [ "$(key m.cms hp.k)" = 50 ]
    [ "$(key m.cms hp.q)" = 48 ]
    [ "$(key m.cms hp.cis.window)" = 100000 ]
    [ "$(key m.cms hp.seed)" = 42 ]
    [ "$(key m.cms train.cells)" = "$(key p.cms train_rows)" ]
    [ "$(key m.cms valid.cells)" = "$(key p.cms valid_rows)" ]
    [ "$(key m.cms slot.0.state)" = sqrt ]
    [ "$(key m.cms slot.1.fit.method)" = logtfidf ]
    cms-text --cols m.cms | grep -q fit.col
    [ "$(key m.cms cis.pairs)" -gt 0 ]
    awk -v s="$(key m.cms valid.soft)" -v c="$(key m.cms valid.chance)" 'BEGIN { exit !(s > 3 * c) }'
    case $(key m.cms rule.method) in dual | softmax) ;; *) false ;; esac
    cms-info --check m.cms
}

@test "the same model for any thread count, path and run; another for another seed or option" {
    xattn-train --preset linear -t 1 -o m.cms p.cms
    mkdir other
    cp p.cms other/q.cms
    cat other/q.cms | xattn-train --preset linear -t 4 >other/m.cms
    [ "$(digest m.cms)" = "$(digest other/m.cms)" ]
    xattn-train --preset linear --cis-threshold 3 -o x.cms p.cms
    [ "$(digest m.cms)" != "$(digest x.cms)" ]
    # the schedule changes nothing for a closed form
    batch --epochs 3 --size 7 gn.cms an.cms | xattn-train --preset linear -o y.cms
    [ "$(digest m.cms)" = "$(digest y.cms)" ]
}

@test "without coordinates there is no peak-gene term, and a warning" {
    cms-text g.cms | awk -F '\t' -v OFS='\t' '/^#cols/ { NF = 3 } 1' >bare.txt
    cms-text --from -o bare.cms bare.txt
    lognorm --method sqrt bare.cms | batch --epochs 0 - an.cms | xattn-train --preset linear -o m.cms 2>err
    grep -q 'no peak-gene term: the genes have no coordinates' err
    [ "$(key m.cms cis.pairs)" = 0 ]
    xattn-train --preset linear --no-cis -o n.cms p.cms 2>err
    [ ! -s err ]
    [ "$(key n.cms hp.cis)" = 0 ]
}

@test "without validation cells the rule is the default, with a warning" {
    batch --epochs 0 --valid split=none gn.cms an.cms | xattn-train --preset linear -o m.cms 2>err
    grep -q 'no validation cells' err
    [ "$(key m.cms rule.method)" = dual ]
    [ "$(key m.cms rule.temperature)" = 40 ]
    [ "$(key m.cms valid.cells)" = 0 ]
}

@test "fewer cells than components lower k, with a warning; none and one are refused" {
    few() { cms-text gn.cms | awk -v n="$1" '/^#/ || ++k <= n' | cms-text --from; }
    few 12 | batch --epochs 0 - an.cms | xattn-train --preset linear -o m.cms 2>err
    grep -q '12 components in place of 50' err
    [ "$(key m.cms hp.k)" = 12 ]
    few 1 >one.cms
    batch --epochs 0 one.cms an.cms -o one.p.cms 2>/dev/null
    fails 3 xattn-train --preset linear -o x.cms one.p.cms
    says 'at least 2 cells'
    [ ! -e x.cms ]
}

@test "--within is recorded and used" {
    batch --epochs 0 --within batch gn.cms an.cms | xattn-train --preset linear -o m.cms
    [ "$(key m.cms hp.within)" = batch ]
    xattn-train --preset linear -o n.cms p.cms
    [ "$(key m.cms cis.candidates)" = "$(key n.cms cis.candidates)" ]
    [ "$(digest m.cms)" != "$(digest n.cms)" ]
}

@test "--log has a line a step; -v says memory and scores" {
    xattn-train --preset linear -v --log log.tsv -o m.cms p.cms 2>err
    [ "$(head -n 1 log.tsv)" = "$(printf 'step\tseconds')" ]
    [ "$(wc -l <log.tsv)" -ge 4 ]
    grep -q 'memory:' err
    grep -q 'peak-gene pairs kept' err
    fails 3 xattn-train --log other.tsv -o x.cms g.cms
    [ ! -e other.tsv ]
    [ ! -e x.cms ]
}

@test "a data pass that is not what its head says, or out of order, is refused" {
    cms-text p.cms | awk -F '\t' '!(/^[^#]/ && !done++)' | cms-text --from -o short.cms || true
    fails 3 xattn-train --preset linear -o x.cms short.cms
    says train_rows
    [ ! -e x.cms ]
}

@test "the calibrated temperature: on folds where validation cells are few, whatever the threads" {
    pairs() { batch --epochs 0 <(lognorm --method sqrt "$1") <(tfidf --method logtfidf "$2"); }
    cms-gen --gex g.cms --atac a.cms --cells 300 --genes 80 --peaks 120
    pairs g.cms a.cms >with.cms
    pairs <(cms-cat --except split=valid g.cms) <(cms-cat --except split=valid a.cms) >without.cms
    for t in 1 3; do xattn-train -q -t $t --preset linear -o m$t.cms with.cms; done
    cmp m1.cms m3.cms
    [ "$(key m1.cms rule.calibrated.on)" = folds ]
    [ "$(key m1.cms rule.calibrated.cells)" = $(($(key m1.cms train.cells) + $(key m1.cms valid.cells))) ]
    xattn-train -q --preset linear -o n.cms without.cms
    [ "$(key n.cms rule.calibrated.on)" = folds ]
    awk -v t="$(key n.cms rule.calibrated)" 'BEGIN { exit !(t > .5 && t < 100) }'
    # cells that were no part of it: what is claimed is what is right
    cms-gen --gex g.cms --atac a.cms --cells 1200 --genes 80 --peaks 120
    pairs g.cms a.cms | xattn-train -q --preset linear -o m.cms
    embed --model m.cms <(cms-cat --where split=test g.cms | lognorm --like m.cms) >e.cms
    embed --model m.cms <(cms-cat --where split=test a.cms | tfidf --like m.cms) >t.cms
    ece() { knn-match "$1" --model m.cms e.cms t.cms | score -q | awk -F '\t' '$1 == "ece" || $1 == "ece_by_chance" { print $2 }'; }
    read -r calibrated chance <<<"$(ece --calibrated | tr '\n' ' ')"
    read -r sharp _ <<<"$(ece --sharp | tr '\n' ' ')"
    echo "ece $calibrated (by chance $chance), sharp $sharp"
    awk -v c="$calibrated" -v b="$chance" -v s="$sharp" 'BEGIN { exit !(c < 2 * b && c < s) }'
}

@test "the calibrated temperature: enough validation cells need no folds" {
    cms-gen --gex g.cms --atac a.cms --cells 1100 --genes 40 --peaks 60
    for m in g a; do cms-cat --except split=test $m.cms | holdout --fraction 0.6 --name valid -o $m.v.cms; done
    batch --epochs 0 <(lognorm --method sqrt g.v.cms) <(tfidf --method logtfidf a.v.cms) |
        xattn-train -q --preset linear -o m.cms
    [ "$(key m.cms valid.cells)" -ge 512 ]
    [ "$(key m.cms rule.calibrated.on)" = validation ]
    [ "$(key m.cms rule.calibrated.cells)" = "$(key m.cms valid.cells)" ]
}

@test "--max-memory: cells that it does not hold lie in temporary files, and the model is the same" {
    cms-gen --gex g.cms --atac a.cms --cells 6000 --genes 2000 --peaks 3000 --nnz-gex 1500 --nnz-atac 2300
    for s in g a; do cms-cat --except split=test $s.cms | holdout --fraction .12 --name valid -o h$s.cms; done
    lognorm --method sqrt --fit split=train -o gn.cms hg.cms
    tfidf --method logtfidf --fit split=train -o an.cms ha.cms
    batch --epochs 0 -o p.cms gn.cms an.cms
    xattn-train --preset linear --no-cis -o all.cms p.cms
    mkdir spool
    TMPDIR=$PWD/spool xattn-train --preset linear --no-cis -v --max-memory 205M -o m.cms p.cms 2>err
    grep -q "MiB of cells lie in temporary files in $PWD/spool" err
    cms-diff --tolerance 0 all.cms m.cms
    [ -z "$(ls spool)" ]
    # a sanitizer's memory is its own
    [ "$MODE" != release ] ||
        awk '/MiB of memory at the peak/ { exit !($(NF - 6) < 205) }' err
    # a bound that not even that keeps, and no room for the files
    fails 4 xattn-train --preset linear --no-cis --max-memory 150M -o x.cms p.cms
    says '--max-memory allows 150.0'
    export TMPDIR=$PWD/nowhere
    fails 4 xattn-train --preset linear --no-cis --max-memory 205M -o x.cms p.cms
    says nowhere
    [ ! -e x.cms ]
}
