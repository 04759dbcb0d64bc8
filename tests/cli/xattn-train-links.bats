#!/usr/bin/env bats
# xattn-train --links: learned weights of peak-gene pairs.

load ../helper

setup() {
    scratch
    need cms-gen cms-text lognorm tfidf batch embed knn-match score
    cms-gen --gex g.cms --atac a.cms --cells 600 --genes 250 --peaks 500
    lognorm --method sqrt --fit split=train -o gn.cms g.cms
    tfidf --method logtfidf --fit split=train -o an.cms a.cms
    batch --epochs 1 --size 0 -o p.cms gn.cms an.cms
}

key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }

@test "what was learned is recorded, and the validation cells are matched better" {
    xattn-train --preset linear --links yes -o y.cms p.cms 2>err
    [ ! -s err ]
    [ "$(key y.cms hp.links)" = 1 ]
    [ "$(key y.cms hp.links.window)" = 500000 ]
    [ "$(key y.cms hp.links.folds)" = 4 ]
    [ "$(key y.cms hp.links.hidden)" = 16 ]
    [ "$(key y.cms hp.links.steps)" = 50 ]
    [ "$(key y.cms hp.links.lr)" = 0.01 ]
    [ "$(key y.cms links.step)" -gt 0 ]
    awk "BEGIN { exit !($(key y.cms links.loss.best) < $(key y.cms links.loss.first)) }"
    xattn-train --preset linear -o n.cms p.cms
    [ "$(key n.cms hp.links)" = 0 ]
    [ "$(key y.cms cis.pairs)" -gt "$(key n.cms cis.pairs)" ]
    embed --model y.cms gn.cms >e.cms
    embed --model y.cms an.cms >t.cms
    knn-match --model y.cms e.cms t.cms | score | grep -q '^match_probability'
}

@test "best and attn learn them, linear does not, unless an option says otherwise" {
    xattn-train --preset best -o b.cms p.cms
    [ "$(key b.cms hp.links)" = 1 ]
    xattn-train --preset best --links no -o c.cms p.cms
    [ "$(key c.cms hp.links)" = 0 ]
    [ -z "$(key c.cms hp.links.steps)" ]
    xattn-train --preset attn --links-steps 1 -o d.cms p.cms
    [ "$(key d.cms hp.links.steps)" = 1 ]
}

@test "the same bits for any number of threads; every option that matters changes them" {
    xattn-train -t 1 --preset linear --links yes --links-steps 20 -o m.cms p.cms
    xattn-train -t 3 --preset linear --links yes --links-steps 20 -o n.cms p.cms
    [ "$(digest m.cms)" = "$(digest n.cms)" ]
    for option in '--links-window 150000' '--links-folds 3' '--links-hidden 5' '--links-lr 0.02' '--seed 2'; do
        # shellcheck disable=SC2086
        xattn-train --preset linear --links yes --links-steps 20 $option -o x.cms p.cms
        [ "$(digest m.cms)" != "$(digest x.cms)" ] || { echo "$option changes nothing" && false; }
    done
}

@test "too few cells, or no step: the term stays, and the model says why" {
    xattn-train --preset linear --links yes --links-folds 30 -o m.cms p.cms
    [[ "$(key m.cms links.note)" == *'too few'* ]]
    xattn-train --preset linear --links yes -k 250 --cis-components 200 --links-folds 2 -o m.cms p.cms
    [[ "$(key m.cms links.note)" == *'too few'* ]]
    xattn-train --preset linear --links yes --links-steps 0 -o z.cms p.cms
    [[ "$(key z.cms links.note)" == *'no weights'* ]]
    xattn-train --preset linear -o n.cms p.cms
    [ "$(key z.cms cis.pairs)" = "$(key n.cms cis.pairs)" ]
    [ "$(key z.cms valid.soft)" = "$(key n.cms valid.soft)" ]
}

@test "a training that goes on, or begins from a model, keeps the weights that were learned" {
    batch --epochs 4 --size 60 -o s.cms gn.cms an.cms
    xattn-train --checkpoint c.cms --every 3 -o m.cms s.cms
    xattn-train --resume c.cms -o r.cms s.cms
    [ "$(digest m.cms)" = "$(digest r.cms)" ]
    fails 2 xattn-train --resume c.cms --links no -o x.cms s.cms
    says 'hp.links is 1'
    xattn-train --preset linear --links yes -o l.cms p.cms
    xattn-train --preset best --init l.cms -o i.cms s.cms
    [ "$(key i.cms cis.pairs)" = "$(key l.cms cis.pairs)" ]
    [ "$(key i.cms hp.links)" = 1 ]
}
