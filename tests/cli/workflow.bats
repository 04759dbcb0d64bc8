# workflow.mk: what is the user's own stays, whatever its name; make's own ways are shut out.
load ../helper

setup() {
    scratch
    need lognorm tfidf batch xattn-train
    export TMPDIR=$PWD/tmp TRAIN='xattn-train --preset linear'
    mkdir tmp
    [ -e "$BATS_FILE_TMPDIR/gex.cms" ] ||
        cms-gen --gex "$BATS_FILE_TMPDIR/gex.cms" --atac "$BATS_FILE_TMPDIR/atac.cms" --cells 60 --genes 40 --peaks 60 --nnz-gex 20 --nnz-atac 30
    cp "$BATS_FILE_TMPDIR"/*.cms .
}
teardown() { umount small 2>/dev/null || true; }
flow() { make -s -f "$ROOT/pipelines/workflow.mk" ATAC=atac.cms "$@"; }

@test "rules that make knows never make an input" {
    for s in sh c m y; do echo 'echo lost' >gex.cms.$s && touch -d tomorrow gex.cms.$s; done
    before=$(md5sum gex.cms)
    flow GEX=gex.cms OUT=w w/gex.cms
    [ "$before" = "$(md5sum gex.cms)" ]
    cms-info --check w/gex.cms
}

@test "any name of an input; it is read again when it is newer, and only then" {
    k=0
    for n in $'a\tb|;$(x)$$:& c.cms' -d.cms $'new\nli\'ne\\.cms' 'x=%#*?"`.cms' clean all score; do
        cp gex.cms "./$n" && touch -d yesterday "./$n"
        k=$((k + 1))
        case $n in *.cms) ;; *) mv "./$n" "./$n.cms" && ln -s "$n.cms" "./$n" ;; esac
        flow "GEX=$n" OUT=w$k w$k/gex.cms
        flow -q "GEX=$n" OUT=w$k w$k/gex.cms
        touch -d tomorrow "./$n"
        run flow -q "GEX=$n" OUT=w$k w$k/gex.cms
        [ "$status" = 1 ]
    done
    run flow GEX=absent.cms OUT=w w/gex.cms
    [ "$status" = 2 ] && [[ $output == *"workflow.mk: error: cannot open 'absent.cms'"* ]]
    for out in 'a b' 'a;b' 'a:b' 'a$$b' -w '*'; do
        run flow GEX=gex.cms "OUT=$out"
        [ "$status" = 2 ] && [[ $output == *"OUT: make cannot take a directory with blanks, a leading dash or one of"* ]]
    done
}

@test "in a directory that is not marked, no file of any target's name is replaced or removed" {
    for f in model.cms match.cms score.tsv gex.e.cms atac.test.cms; do
        mkdir -p r && echo precious >r/$f && touch -d 2020-01-01 r/$f
        run flow GEX=gex.cms OUT=r r/gex.cms
        [ "$status" = 2 ] && [[ $output == *"'r/$f' was not made by workflow.mk and would be lost"* ]]
        flow OUT=r clean
        [ "$(cat r/$f)" = precious ] && [ "$(ls -A r)" = $f ]
        rm -r r
    done
    : >precious && mkdir r && ln -s ../precious r/match.cms
    run flow GEX=gex.cms OUT=r r/gex.cms
    [ "$status" = 2 ] && [[ $output == *"is a link"* ]]
}

@test "an input that an option of a stage names is no output" {
    mkdir r && cp gex.cms r/gex.e.cms && : >r/.workflow
    before=$(md5sum r/gex.e.cms)
    for set in LOGNORM_FIT=--like=r/gex.e.cms 'BATCH=batch --x=A=r/gex.e.cms' 'FEATURE_SORT=feature-sort -qxr/gex.e.cms' 'WITHIN=r/gex.e.cms'; do
        run flow GEX=gex.cms OUT=r r/gex.cms "$set"
        [ "$status" = 2 ] && [[ $output == *"would be lost"* ]]
        [ "$before" = "$(md5sum r/gex.e.cms)" ]
    done
    cp gex.cms like.cms && before=$(md5sum like.cms)
    for words in 'lognorm --like=like.cms' 'lognorm --like like.cms' 'lognorm -mlike.cms' 'lognorm -qmlike.cms'; do
        LOGNORM=$words fails 2 train.sh -q --preset linear gex.cms atac.cms like.cms
        says 'would be lost'
        LOGNORM=$words fails 2 match.sh -q model.cms gex.cms atac.cms like.cms
        says 'would be lost'
    done
    [ "$before" = "$(md5sum like.cms)" ]
}

# A stage that stops half way through its output until there is a file `go`; it goes on after that, or does all at once.
halting() { # TOOL
    printf '#!/bin/bash\n[ ! -e go ] || exec %s "$@"\n%s "$@" >whole.$$\nhead -c 3000 whole.$$\necho $$ $PPID >>begun\nwhile [ ! -e go ]; do sleep 0.1; done\ntail -c +3001 whole.$$\n' "$1" "$1" >halting
    chmod +x halting
}
soon() { # COMMAND...: within a minute
    for _ in $(seq 600); do ! "$@" || return 0; sleep 0.1; done
    return 1
}
whole() { # DIR: every stream that is there is whole
    for f in "$1"/*.cms; do [ ! -e "$f" ] || cms-info --check "$f" >/dev/null || return 1; done
}
same() { # DIR: as train.sh and match.sh made them
    [ "$(digest "$1/model.cms")" = "$(digest model.cms)" ] && [ "$(digest "$1/match.cms")" = "$(digest match.cms)" ]
    whole "$1" && [ -s "$1/score.tsv" ]
}
reference() {
    train.sh -q gex.cms atac.cms model.cms
    for m in gex atac; do cms-cat --where split=valid -o $m.valid.cms $m.cms; done
    match.sh -q model.cms gex.valid.cms atac.valid.cms match.cms
}

@test "killed in the middle of a stage and run again, it ends as train.sh and match.sh do" {
    reference
    for stage in 'LOGNORM lognorm --method sqrt --fit split=train' 'TRAIN xattn-train --preset linear' 'ASSIGN assign'; do
        halting "$(cut -d ' ' -f 2 <<<"$stage")"
        export "${stage%% *}=./halting $(cut -s -d ' ' -f 3- <<<"$stage")"
        for how in TERM KILL group; do
            case ${CM_TEST_LONG:-}$stage$how in 1* | LOG*KILL | TRAIN*TERM | ASS*group) ;; *) continue ;; esac
            rm -rf w go begun
            set -m
            flow -j2 GEX=gex.cms OUT=w >/dev/null 2>&1 &
            pid=$!
            set +m
            soon test -s begun
            case $how in group) kill -KILL -- -$pid ;; *) kill -$how $pid ;; esac
            wait $pid && return 1
            whole w && [ ! -e w/score.tsv ]
            touch go # what is left of the first run ends beside the second
            flow -j2 GEX=gex.cms OUT=w >/dev/null
            same w
        done
        unset "${stage%% *}"
        export TRAIN='xattn-train --preset linear'
    done
}

@test "killed at any time and run again, it ends as train.sh and match.sh do" {
    reference
    for delay in 0.4 ${CM_TEST_LONG:+0.1 0.2 0.3 0.5 0.6 0.8}; do
        rm -rf w
        set -m
        flow -j2 GEX=gex.cms OUT=w >/dev/null 2>&1 &
        pid=$!
        set +m
        sleep $delay
        kill -KILL $pid 2>/dev/null || true # what it started goes on
        wait $pid || true
        [ ! -d w ] || whole w
        flow -j2 GEX=gex.cms OUT=w >/dev/null
        same w
    done
}

@test "proteins, and candidates within a label: what train.sh and match.sh do" {
    unset TRAIN
    cms-text gex.cms | sed 's/^\(#head\tslot.0.name\t\).*/\1ADT/; s/Gene0/CD0/g' | cms-text --from -o adt.cms
    train.sh -q -p linear gex.cms adt.cms model.cms
    for m in gex adt atac; do cms-cat --where split=train -o $m.train.cms $m.cms; done # two batches
    match.sh -q model.cms gex.train.cms adt.train.cms match.cms
    flow GEX=gex.cms ATAC=adt.cms SECOND=ADT PRESET=linear TEST=train OUT=p >/dev/null
    same p
    train.sh -q -p linear gex.cms atac.cms model.cms
    for within in auto none batch; do
        match.sh -q --within $within model.cms gex.train.cms atac.train.cms match.cms
        flow GEX=gex.cms PRESET=linear TEST=train WITHIN=$within OUT=w >/dev/null
        same w
        mv w/match.cms match.$within.cms && rm w/score.tsv
    done
    [ "$(digest match.auto.cms)" = "$(digest match.batch.cms)" ] && [ "$(digest match.auto.cms)" != "$(digest match.none.cms)" ]
    run flow GEX=gex.cms ATAC=adt.cms SECOND=ADT PRESET=linear WITHIN=nolabel OUT=w
    [ "$status" = 2 ] && [[ $output == *"'w/gex.test.cms' has no label 'nolabel'; it has: batch, cell_type, split"* ]]
    run flow GEX=gex.cms PRESET=nosuch OUT=v
    [ "$status" = 2 ] && [[ $output == *nosuch* ]]
}

@test "4,096 cells and more train on mini-batches within the label batch, as in train.sh" {
    need_long
    train.sh -q gex.cms atac.cms model.cms
    cms-gen --gex many.gex.cms --atac many.atac.cms --cells 5600 --genes 12 --peaks 12 --nnz-gex 4 --nnz-atac 4
    printf '#!/bin/sh\ncase "$*" in *--show*) exec xattn-train "$@" ;; esac\ncat >"$PAIRS"\nexec cat model.cms\n' >trainer && chmod +x trainer
    PAIRS=want.cms TRAIN=./trainer train.sh -q -p best many.gex.cms many.atac.cms m.cms
    PAIRS=got.cms flow GEX=many.gex.cms ATAC=many.atac.cms PRESET=best TRAIN=./trainer OUT=m m/model.cms
    cms-diff --tolerance 0 want.cms got.cms
    cms-info want.cms | grep -q 'batch.within.*batch'
}

@test "another input, by its name, size or time, makes all again; its own output as an input is refused on every run" {
    flow GEX=gex.cms OUT=w TEST=train >first
    flow -q GEX=gex.cms OUT=w TEST=train w/score.tsv
    flow -q "GEX=$PWD/gex.cms" OUT=w TEST=train w/score.tsv # the same file
    cms-cat --rows 0:30 gex.cms -o old.cms && touch -d 2020-01-01 old.cms
    flow GEX=old.cms OUT=w TEST=train >second
    ! cmp -s first second
    [ "$(cms-info w/gex.cms | awk -F '\t' '$1 == "rows" { print $2 }')" = 30 ]
    flow -q GEX=old.cms OUT=w TEST=train w/score.tsv
    cp gex.cms old.cms && touch -d 2020-01-01 old.cms
    flow GEX=old.cms OUT=w TEST=train | cmp - first
    before=$(digest w/gex.cms)
    for set in GEX=w/gex.cms "ATAC=$PWD/w/gex.cms" ATAC=w/model.cms; do
        run flow GEX=gex.cms OUT=w TEST=train "$set"
        [ "$status" = 2 ] && [ ${#lines[@]} = 1 ] && [[ $output == *"' is also an input ('${set#*=}'), which would be lost"* ]]
    done
    [ "$(digest w/gex.cms)" = "$before" ]
}

@test "a variable makes again what it reaches, and nothing else" {
    unset TRAIN
    flow GEX=gex.cms OUT=w PRESET=linear >/dev/null
    again() { # FILES VARIABLE=VALUE...: these are made, in that order
        local f found
        touch -d '1 minute ago' mark
        for f in gex atac gex.train atac.train model gex.test atac.test gex.e atac.e match; do touch -d '2 hours ago' w/$f.cms; done
        touch -d '1 hour ago' w/score.tsv
        flow GEX=gex.cms OUT=w "${@:2}" >/dev/null
        found=$(find w -name '*.*' ! -name '.*' -type f -newer mark | sed 's|w/||; s|\.cms$||' | sort | paste -sd ' ')
        [ "$found" = "$1" ] || { echo "${*:2}: expected $1; found $found"; return 1; }
        flow -q GEX=gex.cms OUT=w w/score.tsv "${@:2}"
    }
    again '' PRESET=linear
    again 'score.tsv' PRESET=linear SCORE='score -v'
    again 'match score.tsv' PRESET=linear 'ASSIGN=assign --sharp'
    again 'match score.tsv' PRESET=linear WITHIN=none
    again 'atac.e atac.test gex.e gex.test match score.tsv' PRESET=linear TEST=train
    again 'atac.e atac.test gex.e gex.test match model score.tsv' PRESET=linear 'BATCH=batch --epochs 0'
    LOGNORM='lognorm --method sqrt' again 'atac.e atac.test gex.e gex.test gex.train match model score.tsv' PRESET=linear \
        'LOGNORM_FIT=--fit split=train'
}

@test "a label that no cell has is refused before anything is trained" {
    run flow GEX=gex.cms OUT=w TEST=nosuch
    [ "$status" = 2 ] && [[ $output == *"TEST: no cell of 'w/gex.cms' has the label split=nosuch; found: "*train* ]]
    [ "$(ls w/*.cms)" = w/gex.cms ]
    flow GEX=gex.cms OUT=w >/dev/null
    run flow GEX=gex.cms OUT=w TEST=nosuch
    [ "$status" = 2 ] && [[ $output == *'has the label split=nosuch; found: '* ]]
}

@test "a model that no cell validated has no result of a validation" {
    LOGNORM='cms-cat --except split=valid' train.sh --preset best gex.cms atac.cms model.cms 2>err
    grep -q 'cells trained the model, no cell validated it' err
    ! grep -q '^train.sh: validation' err
}

@test "a TMPDIR that is full while an input is read: one line, its reason, and no directory" {
    mkdir small && mount -t tmpfs -o size=64k tmpfs small 2>/dev/null || skip 'no file system can be mounted'
    cms-gen --gex g.cms --atac a.cms --cells 150 --genes 3000 --peaks 3000 --nnz-gex 40 --nnz-atac 40
    h5-write -q -o g.h5ad g.cms && h5-write -q -o a.h5ad a.cms
    train.sh -q --preset linear g.cms a.cms model.cms
    for c in 'baselines.sh --rivals cca r g.h5ad a.h5ad' 'baselines.sh --rivals cca r g.cms a.cms' 'match.sh model.cms g.cms a.cms out.cms'; do
        TMPDIR=small fails 4 $c
        says 'No space left on device'
        [ "$(wc -l <fails.err)" = 1 ] && [ ! -e r ]
    done
}
