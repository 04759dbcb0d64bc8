#!/usr/bin/env bats
# xattn-train --preset best: training, its record, stopping and going on.

load ../helper

setup() {
    scratch
    need cms-gen cms-text cms-info lognorm tfidf
    cms-gen --gex g.cms --atac a.cms --cells 300 --genes 120 --peaks 200
    lognorm --method sqrt --fit split=train -o gn.cms g.cms
    tfidf --method logtfidf --fit split=train -o an.cms a.cms
    batch --epochs 6 --size 40 -o p.cms gn.cms an.cms
}

key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }

@test "best is the default; every hyper-parameter is recorded, and what was asked for wins" {
    xattn-train -o m.cms p.cms 2>err
    [ ! -s err ]
    [ "$(key m.cms hp.preset)" = best ]
    [ "$(key m.cms hp.loss)" = nce ]
    [ "$(key m.cms hp.lr)" = 0.001 ]
    [ "$(key m.cms hp.lr.linear)" = 0 ]
    [ "$(key m.cms hp.mlp.hidden)" = 256 ]
    [ "$(key m.cms hp.batch)" = 40 ]
    [ "$(key m.cms train.steps)" = 30 ]
    cms-text --head m.cms | grep -q '^train.best.epoch'
    cms-info --check m.cms
    xattn-train --preset best --loss triplet --negatives semihard --mlp-hidden 8 --lr 0.01 -o n.cms p.cms
    [ "$(key n.cms hp.loss)" = triplet ]
    [ "$(key n.cms hp.negatives)" = semihard ]
    [ "$(key n.cms hp.mlp.hidden)" = 8 ]
    [ "$(key n.cms hp.lr)" = 0.01 ]
    # said or not said: the same
    xattn-train --preset best --lr 1e-3 --mlp-dropout .5 --seed 42 -o o.cms p.cms
    [ "$(digest m.cms)" = "$(digest o.cms)" ]
}

@test "the same model for any thread count; each option that matters changes it" {
    xattn-train -t 1 -o m.cms p.cms
    xattn-train -t 3 -o n.cms p.cms
    [ "$(digest m.cms)" = "$(digest n.cms)" ]
    for option in '--loss triplet' '--mlp-dropout 0' '--weight-decay 1' '--average 0' '--warmup 0' \
        '--schedule constant' '--lr-linear 1e-4' '--lr-scale 0' '--valid-every 0' '--seed 1' '--scale 5'; do
        # shellcheck disable=SC2086
        xattn-train $option -o x.cms p.cms
        [ "$(digest m.cms)" != "$(digest x.cms)" ] || { echo "$option changes nothing" && false; }
    done
}

@test "stopped anywhere and gone on with: the same model, for -t 1 and -t 2" {
    xattn-train -t 1 -o m.cms p.cms
    for every in 1 7 16 29; do # the last checkpoint is that of step 30, 28, 16, 29
        xattn-train -t 2 --checkpoint c.cms --every $every -o x.cms p.cms
        [ "$(digest m.cms)" = "$(digest x.cms)" ]
        [ "$(key c.cms checkpoint.step)" = $((30 / every * every)) ]
        for t in 1 2; do
            xattn-train -t $t --resume c.cms -o y.cms p.cms
            [ "$(digest m.cms)" = "$(digest y.cms)" ]
        done
    done
    # the producer may leave out what is done, and a checkpoint may be written over itself
    batch --start-step 29 --epochs 6 --size 40 gn.cms an.cms |
        xattn-train --resume c.cms --checkpoint c.cms -o y.cms
    [ "$(digest m.cms)" = "$(digest y.cms)" ]
}

@test "SIGTERM and SIGUSR1 save the state and end well; the rest gives the same model" {
    batch --epochs 3000 --size 40 -o long.cms gn.cms an.cms
    for signal in TERM USR1; do
        rm -f c.cms
        xattn-train --patience 0 --checkpoint c.cms --every 20 -o part.cms long.cms 2>err &
        pid=$!
        for _ in $(seq 1000); do [ -e c.cms ] && break || sleep 0.05; done
        kill -$signal $pid
        wait $pid
        grep -q 'stopped by a signal' err
        [ "$(key part.cms train.stopped)" = 1 ]
        [ "$(key part.cms train.steps)" = "$(key c.cms checkpoint.step)" ]
        [ "$(key c.cms checkpoint.step)" -lt 15000 ]
        ls -A | grep tmp && false
        embed --model part.cms gn.cms -o e.cms
        embed --model c.cms gn.cms -o e2.cms # a checkpoint is a model, too
    done
    # what was saved by force of a signal is like any checkpoint: a short schedule shows the law
    xattn-train --checkpoint s.cms --every 1000000 -o m.cms p.cms &
    pid=$!
    sleep 0.1
    kill -USR1 $pid || true
    if wait $pid && [ -e s.cms ]; then
        xattn-train --resume s.cms -o y.cms p.cms
        xattn-train -o m.cms p.cms
        [ "$(digest m.cms)" = "$(digest y.cms)" ]
    fi
}

@test "kill -9 leaves the last checkpoint whole" {
    batch --epochs 3000 --size 40 -o long.cms gn.cms an.cms
    xattn-train --patience 0 --checkpoint c.cms --every 20 -o part.cms long.cms &
    pid=$!
    for _ in $(seq 1000); do [ -e c.cms ] && break || sleep 0.05; done
    sleep 0.2
    kill -9 $pid
    wait $pid || true
    cms-info --check c.cms
    [ ! -e part.cms ]
}

@test "a checkpoint is refused for other cells, another schedule, other options" {
    xattn-train --checkpoint c.cms --every 20 -o m.cms p.cms
    batch --epochs 7 --size 40 -o q.cms gn.cms an.cms
    fails 3 xattn-train --resume c.cms -o x.cms q.cms
    says '35 steps'
    batch --start-step 25 --epochs 6 --size 40 -o q.cms gn.cms an.cms
    fails 3 xattn-train --resume c.cms -o x.cms q.cms
    says 'begins at step 25'
    cms-cat --shuffle gn.cms 2>/dev/null | batch --epochs 6 --size 40 -o q.cms - an.cms || skip "no shuffle"
    fails 3 xattn-train --resume c.cms -o x.cms q.cms
    says 'other cells'
    fails 2 xattn-train --resume c.cms --lr 0.5 -o x.cms p.cms
    says 'hp.lr'
    fails 3 xattn-train --resume m.cms -o x.cms p.cms
    says 'not a checkpoint'
}

@test "--init begins from a model: of the linear one it gives what best gives alone" {
    xattn-train --valid-every 0 -o m.cms p.cms
    xattn-train --preset linear --links yes --lsi-scale 0.6 --lsi-tolerance 1e-4 -o l.cms p.cms
    xattn-train --valid-every 0 --init l.cms -o n.cms p.cms
    [ "$(digest m.cms)" = "$(digest n.cms)" ]
    xattn-train --valid-every 0 --init m.cms -o o.cms p.cms
    [ "$(digest m.cms)" != "$(digest o.cms)" ]
    lognorm g.cms | batch --epochs 6 --size 40 - an.cms -o other.cms
    fails 3 xattn-train --init l.cms -o x.cms other.cms
    says 'state lognorm'
    fails 2 xattn-train --init l.cms --k 20 -o x.cms p.cms
    fails 2 xattn-train --init l.cms --lsi-scale 0.5 -o x.cms p.cms
    says 'hp.lsi.scale is 0.6'
    xattn-train --init l.cms --lsi-scale 0.6 -o x.cms p.cms
}

@test "a network that does not improve on the linear start is left out, and the model says so" {
    xattn-train -v --lr 50 -o m.cms p.cms 2>err
    grep -q 'the network does not improve on the linear start' err
    [ "$(key m.cms train.network)" = 0 ]
    [ "$(key m.cms train.best.epoch)" = 0 ]
    [ "$(key m.cms hp.encoder)" = none ]
    [ "$(key m.cms hp.mlp.hidden)" = 256 ] # of the training
    [ "$(key m.cms train.score.best)" = "$(key m.cms train.score.start)" ]
    xattn-train --preset closed -o l.cms p.cms
    [ "$(key m.cms valid.soft)" = "$(key l.cms valid.soft)" ]
    for x in gn an; do
        cmp <(embed --model m.cms $x.cms | cms-text --bare) <(embed --model l.cms $x.cms | cms-text --bare)
    done
    xattn-train --init m.cms --lr 50 -o n.cms p.cms
    [ "$(key n.cms valid.soft)" = "$(key l.cms valid.soft)" ]
    # without validation the network stays, and so it does where it is better, or one to begin from
    xattn-train -v --valid-every 0 --lr 50 -o n.cms p.cms 2>err
    [ "$(key n.cms hp.encoder)" = mlp ]
    [ -z "$(key n.cms train.network)" ]
    xattn-train --init n.cms --lr 50 -o o.cms p.cms
    [ "$(key o.cms hp.encoder)" = mlp ]
}

@test "--lsi-scale is part of the linear presets' start, and of no other" {
    xattn-train --preset linear -o l.cms p.cms
    [ "$(key l.cms hp.lsi.scale)" = 0 ]
    xattn-train --preset linear --lsi-scale 0 -o m.cms p.cms
    [ "$(digest l.cms)" = "$(digest m.cms)" ]
    xattn-train --preset linear --lsi-scale 0.6 -t 1 -o m.cms p.cms
    xattn-train --preset linear --lsi-scale 0.6 -t 3 -o n.cms p.cms
    [ "$(digest m.cms)" = "$(digest n.cms)" ]
    [ "$(digest l.cms)" != "$(digest m.cms)" ]
    fails 2 xattn-train --preset paper --lsi-scale 0.6 -o x.cms p.cms
    # proteins are few: no scaling, unless it is asked for
    cms-text an.cms | sed 's/slot.0.name\tATAC/slot.0.name\tADT/' | cms-text --from -o ad.cms
    batch --epochs 1 --size 40 -o d.cms gn.cms ad.cms
    xattn-train -q -o m.cms d.cms 2>/dev/null
    [ "$(key m.cms hp.lsi.scale)" = 0 ]
    xattn-train -q --lsi-scale 0.6 -o m.cms d.cms 2>/dev/null
    [ "$(key m.cms hp.lsi.scale)" = 0.6 ]
    fails 2 xattn-train --lsi-scale -1 -o x.cms p.cms
}

@test "early stopping; and not stopping where the score still rises" {
    xattn-train --valid-every 1 --patience 2 --lr 0.1 -o m.cms p.cms
    best=$(key m.cms train.best.epoch)
    [ "$(key m.cms train.steps)" = $((best + 2 < 6 ? (best + 2) * 5 : 30)) ]
}

@test "what cannot be trained on is refused in one line" {
    batch --epochs 0 -o none.cms gn.cms an.cms
    fails 3 xattn-train -o x.cms none.cms
    says 'no mini-batches'
    batch --start-step 3 --epochs 6 --size 40 -o late.cms gn.cms an.cms
    fails 3 xattn-train -o x.cms late.cms
    says 'begins at step 3'
    fails 6 xattn-train --lr 1e30 -o x.cms p.cms
    says 'step 1 (epoch 1)'
    says GEX
    [ ! -e x.cms ]
    fails 4 xattn-train --max-memory 100K -o x.cms p.cms
    says '--max-memory'
}

@test "cells in a mini-batch of its own are refused; linear, which takes none, reads over them" {
    cms-text p.cms | awk -F '\t' -v OFS='\t' '
        /^#block/ && !block { block = $0 }
        !/^#/ && !row { row = $0 }
        /^#pick/ && !done++ { print "#batch", 1, 0, 0; print block; print row; next } 1' |
        cms-text --from -o full.cms
    fails 3 xattn-train -o x.cms full.cms
    says 'a mini-batch has cells of its own'
    xattn-train --preset linear -o x.cms full.cms
}

@test "--log has a row a step, with the validations" {
    xattn-train --log l.tsv -o m.cms p.cms
    [ "$(head -n 1 l.tsv)" = "$(printf 'step\tepoch\tloss\tlr\tscale\tvalidation\tcross\tsd')" ]
    [ "$(wc -l <l.tsv)" = 31 ]
    [ "$(awk -F '\t' 'NF != 8 { exit 1 } $6 != "" { n++ } END { print n - 1 }' l.tsv)" = 2 ]
}

@test "embeddings of a trained model do not depend on how cells travel" {
    xattn-train -o m.cms p.cms
    embed --model m.cms -o e.cms gn.cms
    cms-cat --rows 17:19 gn.cms | embed --model m.cms -o two.cms
    cms-text --bare e.cms | sed -n '18,19p' >want
    cms-text --bare two.cms >got
    cmp want got
    embed --model m.cms -t 1 -o one.cms gn.cms
    [ "$(digest e.cms)" = "$(digest one.cms)" ]
    xattn-train --preset linear -o l.cms p.cms
    embed --model l.cms -o le.cms gn.cms
    [ "$(digest e.cms)" != "$(digest le.cms)" ]
}

@test "a checkpoint whose network other coordinates would lay out differently is refused" {
    small=(--preset attn -q --tokens windows=4 --tokens width=6 --tokens heads=2)
    xattn-train "${small[@]}" --checkpoint c.cms --every 16 -o m.cms p.cms
    # The same names on three chromosomes: windows end where a chromosome does.
    cms-text p.cms | awk -F '\t' -v OFS='\t' '
        $1 == "#cols" && $3 == "name" { for (at = 4; at <= NF && $at != "chrom:str"; at++); if (at > NF) $at = "chrom:str"; print; next }
        $1 == "#cols" { $at = "chr" (1 + n++ % 3) } { print }' | cms-text --from -o q.cms
    fails 3 xattn-train --resume c.cms -o x.cms q.cms
    says 'other tensors'
    [ ! -e x.cms ]
}

@test "attn: self-attention in place of the perceptron; the same for any number of threads, and resumed" {
    small=(--preset attn -q --tokens windows=8 --tokens width=12 --tokens heads=2)
    xattn-train "${small[@]}" -t 1 --checkpoint c.cms --every 16 -o m.cms p.cms
    [ "$(key m.cms hp.preset)" = attn ]
    [ "$(key m.cms hp.loss)" = nce ]
    [ "$(key m.cms hp.lr)" = 0.002 ]
    [ "$(key m.cms hp.tokens.windows)" = 8 ]
    [ "$(key m.cms hp.tokens.heads)" = 2 ]
    xattn-train --resume c.cms -t 2 -o n.cms p.cms
    [ "$(digest m.cms)" = "$(digest n.cms)" ]
    fails 2 xattn-train --resume c.cms --tokens windows=9 -o x.cms p.cms
    says windows
    embed --model m.cms -o e.cms gn.cms
    awk -v s="$(key m.cms valid.soft)" -v c="$(key m.cms valid.chance)" 'BEGIN { exit !(s > 3 * c) }'
    fails 2 xattn-train --tokens windows=8 -o x.cms p.cms
    fails 2 xattn-train --preset attn --tokens nonsense=8 -o x.cms p.cms
    fails 2 xattn-train --preset attn --mlp-hidden 8 -o x.cms p.cms
    fails 2 xattn-train --preset attn --tokens heads=many -o x.cms p.cms
}
