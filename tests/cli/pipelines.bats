# train.sh, match.sh, demo.sh, workflow.mk: the way through, replaced stages, failures that cannot hide.
load ../helper

setup() {
    scratch
    need lognorm tfidf batch xattn-train embed knn-match assign score
    export TMPDIR=$PWD/tmp TRAIN='xattn-train --preset linear' # the closed form: a second a training
    mkdir tmp
    [ -e "$BATS_FILE_TMPDIR/model.cms" ] || {
        cd "$BATS_FILE_TMPDIR" || return 1
        cms-gen --gex gex.cms --atac atac.cms --oracle oracle.cms --cells 900 --genes 800 --peaks 1500 --nnz-gex 100 --nnz-atac 250 >/dev/null
        for m in gex atac; do cms-cat --where split=test -o $m.test.cms $m.cms; done
        train.sh gex.cms atac.cms model.cms
        match.sh model.cms gex.test.cms atac.test.cms match.cms
        cd "$BATS_TEST_TMPDIR" || return 1
    }
    ln -s "$BATS_FILE_TMPDIR"/*.cms .
}
clean() { [ -z "$(ls -A tmp)" ] && [ ! -e out.cms ] && [ -z "$(ls -A | grep -F .tmp.)" ]; }
metric() { score "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }
stage() { # NAME: a program from standard input
    cat >"$1"
    chmod +x "$1"
}

@test "train, match, score: far above chance, below the oracle" {
    p=$(metric match.cms match_probability)
    awk -v p="$p" -v c="$(metric match.cms chance)" -v o="$(metric oracle.cms match_probability)" \
        'BEGIN { print p, c, o; exit !(p > 8 * c && p < o) }'
    cms-info match.cms >info
    grep -qx "$(printf 'kind\tmatch')" info
    grep -qx "$(printf 'slot.0.state\tprobability')" info
    [ -z "$(ls -A tmp)" ]
}

@test "paper and authors: their own preparation, mini-batches and epochs; then re-ranked" {
    cms-text --bare gex.cms | cut -f 1 | head -n 90 >names
    for m in gex atac; do cms-cat --names names -o $m.few.cms $m.cms; done
    for preset in paper authors; do
        # small networks: preparation and schedule are those of the large ones
        more='--cross-top 5 --tokens windows=10 --tokens width=8 --tokens p=16'
        [ $preset = paper ] || more='--tokens GEX.kernel=20 --tokens GEX.stride=10 --tokens ATAC.stride=2 --tokens ATAC.kernel2=2 --tokens ATAC.stride2=2 --tokens width=8 --tokens ATAC.width2=8 --tokens GEX.heads=1 --tokens ATAC.heads=2 --tokens out=20 --cross-heads 2'
        TRAIN="xattn-train --preset $preset --tokens ff=1 --cross-ff 1 --cross-mined 2 $more --valid-every 0" \
            train.sh --preset $preset gex.few.cms atac.few.cms m.cms
        cms-info m.cms >info
        for line in "hp.preset	$preset" 'slot.0.fit.method	seurat' 'slot.1.fit.method	signac1' 'slot.1.fit.binarize	1'; do
            grep -qx "$line" info
        done
        [ $preset = paper ] && grep -qx 'hp.batch	128' info || grep -qx 'hp.batch	100' info
        # a multiple of the epochs: 20 of them, 15
        n=$(awk -F '\t' '$1 == "train.steps" { print $2 }' info)
        [ $((n % ($([ $preset = paper ] && echo 20 || echo 15)))) = 0 ]
        match.sh m.cms gex.few.cms atac.few.cms few.cms
        [ "$(cms-text --triplets few.cms | awk -F '\t' '{ n[$1]++ } END { for (c in n) if (n[c] > 50) exit 1; print length(n) }')" = 90 ]
        rm few.cms
    done
}

@test "what training does not see does not matter: test cells, row order, other labels" {
    train.sh gex.cms atac.cms again.cms
    cms-diff --tolerance 0 model.cms again.cms
    cms-cat --except split=test -o g.cms gex.cms
    cms-cat --except split=test -o a.cms atac.cms
    train.sh g.cms a.cms without.cms
    cms-diff --tolerance 0 model.cms without.cms
}

@test "--max-memory is the trainer's, and a quarter of it that of batch; the model is the same" {
    unset TRAIN
    train.sh -v -p linear --max-memory 512M gex.cms atac.cms bound.cms 2>err
    train.sh -q -p linear gex.cms atac.cms plain.cms
    cms-diff --tolerance 0 plain.cms bound.cms
    grep -q 'batch: memory: at most 128.0 MiB for the cells' err
    fails 4 train.sh -p linear --max-memory 20M gex.cms atac.cms out.cms
    says '--max-memory allows 20.0'
    for size in 1.5G 0 G 1X -5M; do
        fails 2 train.sh -p linear --max-memory $size gex.cms atac.cms out.cms
        says "found '$size'"
    done
    clean
}

@test "--reverse turns rows and columns" {
    match.sh --reverse model.cms gex.test.cms atac.test.cms r.cms
    [ "$(cms-text --bare r.cms | cut -f 1 | head -n 1)" = "$(cms-text --bare atac.test.cms | cut -f 1 | head -n 1)" ]
    p=$(metric r.cms match_probability)
    awk -v p="$p" -v c="$(metric r.cms chance)" 'BEGIN { exit !(p > 8 * c) }'
}

@test "WITHIN: auto is the batch where both sides have the same ones" {
    for m in gex atac; do cms-cat --where split=test,valid -o $m.two.cms $m.cms; done
    outside() { # entries whose column is in another batch
        cms-text --triplets "$1" | awk -F '\t' '{ split($1, a, "-"); split($2, b, "-"); n += a[2] != b[2] } END { print n + 0 }'
    }
    match.sh model.cms gex.two.cms atac.two.cms auto.cms
    [ "$(outside auto.cms)" = 0 ]
    WITHIN=none match.sh model.cms gex.two.cms atac.two.cms none.cms
    [ "$(outside none.cms)" -gt 0 ]
    WITHIN=batch match.sh model.cms gex.two.cms atac.two.cms batch.cms
    cms-diff auto.cms batch.cms
    # a batch that the other side lacks: no restriction
    match.sh model.cms gex.two.cms atac.test.cms all.cms
    [ "$(cms-text --bare all.cms | awk -F '\t' 'NF < 6' | wc -l)" = 0 ]
    WITHIN=nolabel run match.sh model.cms gex.two.cms atac.two.cms out.cms
    [ "$status" = 3 ] && clean
}

@test "without the label split a tenth is held out, alike on both sides" {
    drop() { cms-text "$1" | sed 's/^\(#head\tlabel.2.name\t\)split/\1other/; s/^#dict\tsplit/#dict\tother/' | cms-text --from -o "$2"; }
    drop gex.cms g.cms
    drop atac.cms a.cms
    cms-text --bare g.cms | cut -f 1 | head -n 300 >names
    for m in g a; do cms-cat --names names --columns <(cms-text --cols $m.cms | awk -F '\t' 'NR > 1 && NR < 102 { print $1 }') -o $m.few.cms $m.cms && mv $m.few.cms $m.cms; done
    env -u TRAIN train.sh g.cms a.cms m.cms
    cms-info m.cms >info
    grep -qx "$(printf 'hp.preset\tbest')" info # what it trains when nothing is asked for
    cms-info m.cms >info
    [ "$(awk '$1 == "train.cells" { print $2 }' info)" = 270 ]
    [ "$(awk '$1 == "valid.cells" { print $2 }' info)" = 30 ]
    run train.sh gex.cms a.cms out.cms
    [ "$status" = 3 ] && [[ $output == *split* ]] && clean
}

@test ".h5ad in, and a 10x file of both types" {
    need h5-write h5-read
    h5-write -o g.h5ad gex.cms
    h5-write -o a.h5ad atac.cms
    train.sh g.h5ad a.h5ad m.cms
    cms-diff --ignore-names model.cms m.cms
    need_data pbmc_multiome_2k/pbmc_arc_layout.h5
    train.sh "$DATA/pbmc_multiome_2k/pbmc_arc_layout.h5" "$DATA/pbmc_multiome_2k/pbmc_arc_layout.h5" p.cms
    cms-info --check p.cms >/dev/null
}

@test "a stage in Python in place of ours gives the same model and match" {
    need python3
    LOGNORM="$ROOT/pipelines/custom/lognorm.py --method sqrt --fit split=train" train.sh gex.cms atac.cms m.cms
    cms-diff --tolerance 0 model.cms m.cms
    LOGNORM=$ROOT/pipelines/custom/lognorm.py match.sh model.cms gex.test.cms atac.test.cms x.cms
    cms-diff --tolerance 0 match.cms x.cms
}

@test "every stage may be replaced" {
    for s in LOGNORM TFIDF EMBED KNN_MATCH XATTN_SCORE ASSIGN TRAIN; do
        case $s in
        LOGNORM | TFIDF | EMBED | ASSIGN | TRAIN) tool=$(tr A-Z a-z <<<$s) ;;
        KNN_MATCH) tool=knn-match ;;
        XATTN_SCORE) tool="cat # " ;;
        esac
        [ $s != TRAIN ] || tool=xattn-train
        printf '#!/bin/bash\necho "$@" >>%s/called.%s\nexec %s "$@"\n' "$PWD" $s "$tool" | stage my.$s
    done
    sed -i 's/^exec embed/exec embed --by-name/' my.EMBED
    TRAIN=./my.TRAIN LOGNORM="./my.LOGNORM --method sqrt" TFIDF="./my.TFIDF --method logtfidf" train.sh gex.cms atac.cms m.cms
    export LOGNORM=./my.LOGNORM TFIDF=./my.TFIDF EMBED=./my.EMBED KNN_MATCH=./my.KNN_MATCH XATTN_SCORE=./my.XATTN_SCORE ASSIGN=./my.ASSIGN
    match.sh model.cms gex.test.cms atac.test.cms x.cms
    cms-diff match.cms x.cms
    for s in LOGNORM TFIDF EMBED KNN_MATCH XATTN_SCORE ASSIGN TRAIN; do [ -e called.$s ]; done
    [ "$(sed -n 2p called.LOGNORM)" = "--like model.cms" ]
}

@test "a stage that fails, is killed, or says nothing: no output, nothing left" {
    printf '#!/bin/bash\ncat >/dev/null\nexit 7\n' | stage fails
    printf '#!/bin/bash\nlognorm --method sqrt "$@" | head -c 9000\nkill -9 $$\n' | stage killed
    printf '#!/bin/bash\ncat >/dev/null\n' | stage silent
    printf '#!/bin/bash\nlognorm --method sqrt "$@" | head -c 9000\n' | stage cut
    cms-text --bare gex.test.cms | cut -f 1 | head -n 60 >names # what fails need not be large
    for m in gex atac; do
        cms-cat --names names -o $m.new.cms $m.test.cms
        cms-cat --names <(cms-text --bare gex.cms | cut -f 1 | head -n 300) -o $m.few.cms $m.cms
    done
    for s in fails killed silent cut; do
        for stage in LOGNORM TFIDF TRAIN; do
            run env $stage=./$s train.sh gex.few.cms atac.few.cms out.cms
            [ "$status" != 0 ] && clean || { echo "train: $stage=$s: $status"; return 1; }
        done
        for stage in LOGNORM TFIDF EMBED KNN_MATCH XATTN_SCORE ASSIGN; do
            run env $stage=./$s match.sh model.cms gex.new.cms atac.new.cms out.cms
            [ "$status" != 0 ] && clean || { echo "match: $stage=$s: $status"; return 1; }
        done
    done
}

@test "what stood there before survives a failure" {
    cp model.cms out.cms
    run env TRAIN=false train.sh gex.cms atac.cms out.cms
    [ "$status" != 0 ]
    cms-diff model.cms out.cms
}

@test "a signal: no output, nothing left" {
    printf '#!/bin/bash\ntouch begun\nsleep 5\n' | stage slow
    TRAIN=./slow train.sh gex.cms atac.cms out.cms &
    for _ in $(seq 200); do [ ! -e begun ] || break; sleep 0.1; done
    kill -TERM $!
    status=0
    wait $! || status=$?
    [ "$status" = 143 ] && clean
}

@test "bad input and bad use" {
    head -c 20000 gex.cms >cut.cms
    run train.sh cut.cms atac.cms out.cms
    [ "$status" = 3 ] && clean
    run match.sh model.cms gex.test.cms cut.cms out.cms
    [ "$status" != 0 ] && clean
    run train.sh absent.h5ad atac.cms out.cms
    [ "$status" = 4 ] && clean
    run match.sh gex.cms gex.test.cms atac.test.cms out.cms
    [ "$status" = 2 ] && clean
    run train.sh gex.cms
    [ "$status" = 2 ] && clean
    run train.sh --no-such-option gex.cms atac.cms out.cms
    [ "$status" = 2 ] && clean
    run match.sh model.cms
    [ "$status" = 2 ] && clean
    run train.sh --preset nosuch gex.cms atac.cms out.cms
    [ "$status" = 2 ] && clean
    run train.sh gex.cms atac.cms no/such/dir/out.cms
    [ "$status" != 0 ] && clean
    run train.sh --help
    [ "$status" = 0 ]
}

@test "the pipelines run by /bin/bash with a bare environment, from any directory" {
    [ "$MODE" = release ] || skip "finds its tools in bin/"
    cd /
    env -i PATH=/usr/bin:/bin /bin/bash "$ROOT/pipelines/match.sh" "$OLDPWD/model.cms" "$OLDPWD/gex.test.cms" "$OLDPWD/atac.test.cms" - >"$OLDPWD/x.cms"
    cms-diff "$OLDPWD/match.cms" "$OLDPWD/x.cms"
}

@test "workflow.mk makes what is out of date, and leaves nothing of a failed stage" {
    make -s -f "$ROOT/pipelines/workflow.mk" GEX=gex.cms ATAC=atac.cms OUT=r TEST=test >table
    grep -q "^match_probability$(printf '\t')" table
    cms-diff r/model.cms model.cms
    cms-diff r/match.cms match.cms
    make -q -f "$ROOT/pipelines/workflow.mk" GEX=gex.cms ATAC=atac.cms OUT=r TEST=test r/score.tsv
    run make -s -f "$ROOT/pipelines/workflow.mk" GEX=gex.cms ATAC=atac.cms OUT=s LOGNORM=false
    [ "$status" != 0 ] && [ ! -e s/gex.train.cms ] && [ ! -e s/score.tsv ]
}

@test "the demonstration ends with the table, and with a report whose figures are there" {
    [ "$MODE" = release ] || skip "a minute under a sanitizer"
    demo.sh --quick demo >out
    tail -n 3 out | grep -q '^cellmatch (linear) .* 0\.[0-9]* '
    tail -n 2 out | grep -q '^best possible matcher '
    tail -n 1 out | grep -q '^chance .* 0\.0030 '
    # calibrated, so that the mean probability is far below what bold guesses would reach
    awk -v p="$(metric demo/match.cms match_probability)" -v t="$(metric demo/match.cms top1)" \
        -v e="$(metric demo/match.cms ece)" 'BEGIN { exit !(p > 10 * .003 && t > .1 && e < .15) }'
    [ -z "$(ls -A tmp)" ]
    [ "$(grep -c '<svg ' demo/report.html)" = 6 ] && grep -q '<h2>Peak-gene links' demo/report.html
    grep -q "$(digest demo/match.cms)" demo/report.html
    if command -v xmllint >/dev/null; then xmllint --noout demo/report.html; fi
}

@test "the whole demonstration: best beside the paper's network, CCA, the best matcher and chance" {
    need_long
    demo.sh demo >out
    [ "$(tail -n 5 out | sed 's/  .*//' | tr '\n' ,)" = "cellmatch (best),the paper's network,CCA,best possible matcher,chance," ]
    awk '/^cellmatch/ { a = $3 } /^CCA/ { b = $2 } END { exit !(a > b && b > .01) }' out
    for name in best paper cca oracle; do grep -q "<td>$name</td>" demo/report.html; done
}
