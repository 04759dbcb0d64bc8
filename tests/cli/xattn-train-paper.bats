#!/usr/bin/env bats
# xattn-train --preset paper and authors, and attn --cross: pairs scored by cross-attention, in
# training, validation and the rule; stopping and going on; what goes wrong.

load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || exit 1
    cms-gen --gex g.cms --atac a.cms --cells 160 --genes 120 --peaks 200 --signal 2
    feature-sort g.cms | lognorm --fit split=train -o gn.cms
    feature-sort a.cms | tfidf --binarize --fit split=train -o an.cms
    batch --epochs 6 --size 40 -o p.cms gn.cms an.cms
    lognorm --method sqrt --fit split=train -o gb.cms g.cms
    tfidf --method logtfidf --fit split=train -o ab.cms a.cms
    batch --epochs 6 --size 40 -o pb.cms gb.cms ab.cms
}

setup() {
    scratch
    ln -s "$BATS_FILE_TMPDIR"/*.cms .
    # small networks: the laws are those of the large ones
    paper=(--preset paper -q --tokens windows=10 --tokens width=8 --tokens p=16 --tokens ff=1 --cross-ff 1
        --cross-mined 4 --cross-top 10)
    authors=(--preset authors -q --tokens GEX.kernel=6 --tokens GEX.stride=3 --tokens width=8 --tokens ff=1
        --tokens ATAC.kernel=6 --tokens ATAC.stride=2 --tokens ATAC.pool=2 --tokens ATAC.kernel2=2
        --tokens ATAC.stride2=1 --tokens ATAC.width2=8 --tokens GEX.heads=1 --tokens ATAC.heads=2
        --tokens out=20 --cross-heads 2 --cross-ff 1 --cross-mined 4 --cross-top 10)
    attn=(--preset attn --cross -q --tokens windows=8 --tokens width=12 --tokens heads=2 --cross-mined 4
        --cross-top 10)
}

key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }

whole_way() { # MODEL GEX ATAC: embed, candidates, re-ranking, probabilities, scores
    embed --model "$1" -o e.cms "$2"
    embed --model "$1" -o t.cms "$3"
    knn-match -k 30 --similarities -o s.cms e.cms t.cms
    xattn-score --model "$1" --gex "$2" --atac "$3" -o x.cms s.cms
    [ "$(cms-text --triplets x.cms | wc -l)" = $((10 * 160)) ]
    assign --model "$1" -o match.cms x.cms
    score match.cms >score.tsv
    awk -F '\t' '$1 == "cells" { n = $2 } $1 == "match_probability" { p = $2 } END { exit !(n == 160 && p > 0) }' score.tsv
}

@test "paper: from pairs to scores; no linear part, no peak-gene term; all options recorded" {
    xattn-train "${paper[@]}" -o m.cms p.cms 2>err
    [ ! -s err ]
    for kv in preset=paper linear=0 residual=0 cis=0 loss=none lr=0.001 lr.cross=0.001 weight.decay=0 \
        beta1=0.9 beta2=0.999 average=0 warmup=0 schedule=constant valid.every=1 batch=40 encoder=tokens \
        tokens.filters=tied tokens.act=relu tokens.norm=post tokens.readout=mean tokens.windows=10 \
        cross=1 cross.alpha=0.8 cross.margin=0.2 cross.negatives=hardest cross.loss=triplet \
        cross.mined=4 cross.top=10 cross.gradient=all cross.norm=post; do
        [ "$(key m.cms "hp.${kv%%=*}")" = "${kv#*=}" ] || { echo "hp.$kv" && false; }
        cms-info m.cms | grep -q "^hp.${kv%%=*}	"
    done
    [ -z "$(key m.cms hp.k)" ]
    [ "$(key m.cms cis.pairs)" = 0 ]
    cms-info --check m.cms
    ! cms-text m.cms | grep -q '^GEX\.v\|^cca\|^GEX\.p	'
    whole_way m.cms gn.cms an.cms
    # the embedding is the encoder's alone, as wide as a token
    [ "$(cms-text --cols e.cms | wc -l)" = $((16 + 1)) ]
}

@test "authors: from pairs to scores, with the options of each side" {
    xattn-train "${authors[@]}" -o m.cms p.cms 2>err
    [ ! -s err ]
    for kv in preset=authors residual=0 loss=none lr=2e-05 lr.cross=2e-05 margin=0.5 \
        negatives=random-semihard cross.margin=0.5 cross.negatives=random-semihard \
        tokens.GEX.kernel=6 tokens.ATAC.kernel=6 tokens.GEX.stride=3 tokens.act=leaky tokens.readout=linear \
        tokens.GEX.pool=2 tokens.GEX.kernel2=0 tokens.ATAC.kernel2=2 tokens.GEX.width=8 tokens.out=20; do
        [ "$(key m.cms "hp.${kv%%=*}")" = "${kv#*=}" ] || { echo "hp.$kv: $(key m.cms "hp.${kv%%=*}")" && false; }
    done
    whole_way m.cms gn.cms an.cms
    [ "$(cms-text --cols e.cms | wc -l)" = $((20 + 1)) ]
}

@test "attn --cross: the linear start and the module; without --cross there is none" {
    xattn-train "${attn[@]}" -o m.cms pb.cms 2>err
    [ ! -s err ]
    for kv in linear=1 loss=nce lsi.scale=0.6 lr.cross=0.002 cross.gradient=tokens cross.norm=pre cross.alpha=0.8; do
        [ "$(key m.cms "hp.${kv%%=*}")" = "${kv#*=}" ] || { echo "hp.$kv" && false; }
    done
    [ "$(key m.cms cis.pairs)" -gt 0 ]
    whole_way m.cms gb.cms ab.cms
    xattn-train --preset attn -q --tokens windows=8 --tokens width=12 --tokens heads=2 -o n.cms pb.cms
    [ -z "$(key n.cms hp.cross)" ]
    fails 2 xattn-train --preset attn --cross-alpha 1 -o x.cms pb.cms
    fails 2 xattn-train --preset attn --loss none -o x.cms pb.cms
    fails 2 xattn-train --preset best --cross -o x.cms pb.cms
    fails 2 xattn-train --preset linear --cross -o x.cms pb.cms
}

@test "6 epochs at once, and stopped after any step and gone on with: one model, -t 1 and -t 2" {
    for with in paper authors attn; do
        declare -n args=$with
        pairs=p.cms
        [ $with != attn ] || pairs=pb.cms
        xattn-train "${args[@]}" -t 1 -o m.cms $pairs
        for every in 7 11; do
            xattn-train "${args[@]}" -t 2 --checkpoint c.cms --every $every -o n.cms $pairs
            [ "$(digest m.cms)" = "$(digest n.cms)" ]
            for t in 1 2; do
                xattn-train -q --resume c.cms -t $t -o n.cms $pairs
                [ "$(digest m.cms)" = "$(digest n.cms)" ]
            done
        done
        fails 2 xattn-train --resume c.cms --lr-cross 7 -o x.cms $pairs
        says hp.lr.cross
    done
}

@test "SIGTERM in the midst of it, and gone on with: the same model" {
    batch --epochs 400 --size 40 -o long.cms gn.cms an.cms
    for t in 1 2; do
        rm -f c.cms
        xattn-train "${paper[@]}" --valid-every 0 -t $t --checkpoint c.cms --every 5 -o part.cms long.cms 2>err &
        pid=$!
        for _ in $(seq 1000); do [ -e c.cms ] && break || sleep 0.02; done
        kill -TERM $pid
        wait $pid
        [ "$(key part.cms train.stopped)" = 1 ]
        at=$(key c.cms checkpoint.step)
        [ "$at" -lt 1000 ]
        # the rest, up to 10 steps more, and the same number of steps at once
        epochs=$((at / 3 + 3))
        batch --epochs $epochs --size 40 -o short.cms gn.cms an.cms
        cms-text c.cms | awk -F '\t' -v OFS='\t' -v n=$((epochs * $(key short.cms batch.steps_per_epoch))) '
            $1 == "#head" && $2 == "checkpoint.steps" { $3 = n } 1' | cms-text --from -o c2.cms
        xattn-train -q --resume c2.cms -t $((3 - t)) -o n.cms short.cms
        xattn-train "${paper[@]}" --valid-every 0 -t 1 -o m.cms short.cms
        [ "$(digest m.cms)" = "$(digest n.cms)" ]
    done
}

@test "kill -9 loses what came after the last checkpoint, nothing else" {
    batch --epochs 100 --size 40 -o long.cms gn.cms an.cms
    for with in paper attn; do
        declare -n args=$with
        [ $with = paper ] || batch --epochs 100 --size 40 -o long.cms gb.cms ab.cms
        rm -f c.cms part.cms
        xattn-train "${args[@]}" --valid-every 10 --checkpoint c.cms --every 5 -o part.cms long.cms &
        pid=$!
        for _ in $(seq 1000); do [ -e c.cms ] && break || sleep 0.02; done
        sleep 0.1
        kill -9 $pid
        wait $pid || true
        [ ! -e part.cms ]
        cms-info --check c.cms
        [ $(($(key c.cms checkpoint.step) % 5)) = 0 ]
        xattn-train -q --resume c.cms -o n.cms long.cms
        xattn-train "${args[@]}" --valid-every 10 -o m.cms long.cms
        [ "$(digest m.cms)" = "$(digest n.cms)" ]
    done
}

@test "neither memory nor threads change a bit, and the bound on memory holds" {
    batch --epochs 1 --size 0 -o q.cms gn.cms an.cms
    for size in 400 120; do # all activations kept, and none
        xattn-train --preset paper --tokens windows=40 -t 2 -v --max-memory ${size}M -o n$size.cms q.cms 2>err
        awk -v limit=$size '
            /memory: at most .* while training/ { bound = $5 }
            /MiB of memory at the peak/ { peak = $(NF - 6) }
            END { print bound, peak; exit !(bound > 0 && peak > 0 && bound <= limit && (san || peak <= bound)) }' \
            san="$([ "$MODE" = release ] || echo 1)" err
        awk '/MiB of memory at the peak/ { print $(NF - 6) }' err >>peaks
    done
    # a sanitizer's memory is its own
    [ "$MODE" != release ] || awk 'NR == 1 { all = $1 } NR == 2 { exit !($1 < all - 10) }' peaks
    xattn-train -q --preset paper --tokens windows=40 -t 1 -o m.cms q.cms
    for n in n400 n120; do [ "$(digest m.cms)" = "$(digest $n.cms)" ]; done
    fails 4 xattn-train --preset paper --max-memory 10M -o x.cms q.cms
}

@test "the loss of S falls on planted data, and S of unseen partners rises above the others'" {
    batch --epochs 25 --size 40 -o q.cms gn.cms an.cms
    xattn-train "${paper[@]}" --negatives semihard --valid-every 5 --log l.tsv -o m.cms q.cms
    [ "$(key m.cms hp.cross.negatives)" = semihard ]
    xattn-train "${attn[@]}" --cross-loss listwise --log k.tsv -o n.cms pb.cms
    for log in l.tsv k.tsv; do
        awk -F '\t' 'NR > 1 { x[NR] = $7; n = NR }
            END { for (i = 2; i < 7; i++) { a += x[i]; b += x[n - i + 2] } print a, b; exit !(b < 0.95 * a) }' $log
    done
    awk -F '\t' 'NR > 1 && ($3 < $7 - 1e-6 || $8 <= 0) { exit 1 }' k.tsv # the whole loss holds that of S
    awk -v s="$(key n.cms valid.soft)" -v c="$(key n.cms valid.chance)" 'BEGIN { exit !(s > 2 * c) }'
}

@test "the collapse of the hardest negatives is said, once" {
    batch --epochs 12 --size 40 -o q.cms gn.cms an.cms
    args=("${paper[@]/#-q/--progress=never}")
    xattn-train "${args[@]}" --lr 0.02 -o m.cms --log l.tsv q.cms 2>err
    [ "$(grep -c 'warning: collapse: at step' err)" = 1 ]
    grep -q semihard err
    awk -F '\t' 'NR > 1 && $8 < 1e-3 { n++ } END { exit !n }' l.tsv
}

@test "not finite: status 6, step and tensor; the checkpoint before it is good" {
    batch --epochs 40 --size 40 -o q.cms gn.cms an.cms
    fails 6 xattn-train "${paper[@]}" --lr 1e30 -o x.cms q.cms
    says 'step 1 (epoch 1)'
    says 'the tokens of encoder tokens of slot GEX'
    [ ! -e x.cms ]
    # a module that blows up on its own: named as such
    fails 6 xattn-train "${paper[@]}" --lr 0 --lr-cross 1e30 --checkpoint c.cms --every 1 -o x.cms q.cms
    says 'step 1 (epoch 1)'
    [ "$(key c.cms checkpoint.step)" = 1 ]
    cms-info --check c.cms
    [ ! -e x.cms ]
    ls -A | grep tmp && false
    true
}

@test "--lr 0 --lr-cross: the module alone, beginning from a model whose rest stays as it is" {
    self=(--preset attn -q --tokens windows=8 --tokens width=12 --tokens heads=2)
    xattn-train "${self[@]}" -o s.cms pb.cms
    xattn-train "${attn[@]}" --init s.cms --lr 0 --lr-cross 2e-3 --cross-loss listwise -o m.cms pb.cms
    [ "$(key m.cms hp.lr)" = 0 ]
    tensors() { cms-text "$1" | grep -v '^#' | grep -v "$2" | cut -c 1-4000; }
    cmp <(tensors s.cms '^scale') <(tensors m.cms '^scale\|^cross')
    [ "$(cms-text m.cms | grep -c '^cross')" -gt 5 ]
    # a tensor of another shape is said to begin anew
    xattn-train --preset attn --tokens windows=8 --tokens width=8 --tokens heads=2 --init s.cms -o n.cms pb.cms 2>err
    grep -q 'tensor GEX.r.position has another shape' err
    fails 2 xattn-train "${attn[@]}" --lr 0 -o x.cms pb.cms
    says 'nothing would be learnt'
}

@test "validation and rule are those of the re-ranked candidates" {
    xattn-train "${attn[@]}" --cross-alpha 50 --lr-cross 0 -o m.cms pb.cms # S is noise within the candidates
    xattn-train "${attn[@]}" --cross-alpha 0 -o n.cms pb.cms
    awk -v a="$(key m.cms valid.top5)" -v b="$(key n.cms valid.top5)" 'BEGIN { exit !(a < b) }'
    # all candidates: the model's score is what the tools give, at the best temperature
    xattn-train "${attn[@]}" --cross-top 1000 -o n.cms pb.cms
    embed --model n.cms gb.cms | cms-cat --where split=valid -o e.cms
    embed --model n.cms ab.cms | cms-cat --where split=valid -o t.cms
    for T in 5 10 20 40 80 120 160 240; do
        for sides in 'e.cms t.cms' 't.cms e.cms'; do
            # shellcheck disable=SC2086
            knn-match --similarities $sides | xattn-score --model n.cms --gex gb.cms --atac ab.cms |
                assign --method softmax --temperature $T | score |
                awk -F '\t' '$1 == "match_probability" { print $2 }'
        done | awk '{ s += $1 / 2 } END { print s }'
    done | sort -g | tail -n 1 >best
    close_to "$(cat best)" "$(key n.cms valid.soft)" 1e-5
}

@test "options that mean nothing with a preset are refused" {
    for option in '--k 20' '--q 20' '--ridge 1' '--no-cis' '--cis-window 5' '--mlp-hidden 8' '--tokens nonsense=1'; do
        # shellcheck disable=SC2086
        fails 2 xattn-train --preset paper $option -o x.cms p.cms
    done
    fails 2 xattn-train --preset paper --tokens ADT.windows=8 -o x.cms p.cms
    says 'slots GEX and ATAC'
    fails 2 xattn-train --preset linear --tokens windows=8 -o x.cms p.cms
    # filters from loadings bring the linear part, not the peak-gene term
    xattn-train "${paper[@]}" --tokens filters=loadings --k 20 -o m.cms p.cms
    [ "$(key m.cms hp.linear)" = 1 ]
    [ "$(key m.cms hp.k)" = 20 ]
    [ "$(key m.cms cis.pairs)" = 0 ]
    embed --model m.cms -o e.cms gn.cms
    # a model without the linear part is no beginning for one that needs it
    xattn-train "${paper[@]}" -o n.cms p.cms
    fails 3 xattn-train --init n.cms -o x.cms p.cms
    says 'no linear part'
}

@test "progress: loss, validation, rate, time left" {
    # to a file a line a second at most: there must be some seconds of it
    batch --epochs 30 --size 40 -o long.cms gn.cms an.cms
    xattn-train --preset paper --tokens windows=10 --cross-top 10 --progress always -o m.cms long.cms 2>err
    tr '\r' '\n' <err | grep -q 'loss [0-9.]*, best score [0-9.]*'
    tr '\r' '\n' <err | grep -q 'cells/s\|/s'
    tr '\r' '\n' <err | grep -q 'left'
}
