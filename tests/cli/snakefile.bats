# Snakefile, Snakefile.files: the results of train.sh, match.sh and workflow.mk, also after a kill; what is the user's stays.
load ../helper

setup() {
    scratch
    need snakemake lognorm tfidf batch xattn-train
    mkdir tmp home
    export TMPDIR=$PWD/tmp HOME=$PWD/home PRESET=linear
    [ -e "$BATS_FILE_TMPDIR/match.cms" ] || {
        cd "$BATS_FILE_TMPDIR" || return 1
        cms-gen --gex gex.cms --atac atac.cms --cells 60 --genes 40 --peaks 60 --nnz-gex 20 --nnz-atac 30
        train.sh -q -p linear gex.cms atac.cms model.cms
        for m in gex atac; do cms-cat --where split=test -o $m.test.cms $m.cms; done
        match.sh -q model.cms gex.test.cms atac.test.cms match.cms
        cd "$BATS_TEST_TMPDIR" || return 1
    }
    cp "$BATS_FILE_TMPDIR"/*.cms .
}
flow() { # FILE KEY=VALUE...
    snakemake -q -c2 -s "$ROOT/pipelines/$1" --config gex=gex.cms atac=atac.cms test=test "${@:2}"
}
same() { # DIR: as train.sh and match.sh made them
    [ "$(digest "$1/model.cms")" = "$(digest model.cms)" ] && [ "$(digest "$1/match.cms")" = "$(digest match.cms)" ]
    score match.cms | diff - "$1/score.tsv"
    whole "$1"
}
whole() { # DIR: every stream that is there is whole
    for f in "$1"/*.cms; do [ ! -e "$f" ] || cms-info --check "$f" >/dev/null || return 1; done
}
soon() { # COMMAND...: within a minute
    for _ in $(seq 600); do ! "$@" || return 0; sleep 0.1; done
    return 1
}

@test "a label that no cell has is refused before anything is trained" {
    for f in Snakefile Snakefile.files; do
        run flow $f out=n test=nosuch
        [ "$status" = 1 ] && [[ $output == *"TEST: no cell of 'n/gex.cms' has the label split=nosuch; found: test, train, valid"* ]]
        [ ! -e n/model.cms ] && rm -rf n
    done
}

@test "a rule a pipeline, and a file a stage: the same model, match and score as train.sh and match.sh give" {
    flow Snakefile out=s >table
    same s
    diff table s/score.tsv
    [ "$(ls -A s | tr '\n' ' ')" = '.workflow atac.cms gex.cms match.cms model.cms score.tsv ' ]
    flow Snakefile.files out=f >/dev/null
    same f
    [ "$(ls -A f | wc -l)" = 12 ]
    [ -z "$(ls -A tmp)" ]
}

@test "only what a change reaches is made again: a setting, an input" {
    need_long
    flow Snakefile out=s >/dev/null
    plan() { snakemake -n -c2 -s "$ROOT/pipelines/Snakefile" --config gex=gex.cms atac=atac.cms out=s test=test "$@" 2>&1 | sed -n 's/^rule \(.*\):$/\1/p' | paste -sd ' '; }
    [ "$(plan)" = '' ]
    [ "$(plan assign='assign --hard')" = 'match score' ]
    [ "$(plan preset=closed)" = 'model match score' ]
    cms-cat --rows 1: -o less.cms atac.cms && mv less.cms atac.cms # of small files Snakemake compares the contents
    touch -d tomorrow atac.cms
    [ "$(plan)" = 'atac model match score' ]
}

@test "config.yaml stands for --config; a variable of the environment for a key that is not given" {
    need_long
    printf 'gex: gex.cms\natac: atac.cms\nout: s\ntest: test\n' >config.yaml
    printf '#!/bin/sh\necho called >>called\nexec knn-match "$@"\n' >mine && chmod +x mine
    KNN_MATCH=./mine snakemake -q -c1 -s "$ROOT/pipelines/Snakefile" --configfile config.yaml >/dev/null
    same s
    [ -s called ]
    # every key of the commented example is known, and its values are the defaults
    grep -oE '^#?[a-z_]+:' "$ROOT/pipelines/config.yaml" | tr -d '#:' | sort >keys
    make -s -f "$ROOT/pipelines/workflow.mk" help | sed -n 's/^  \([A-Z_]*\) .*/\1/p' | tr A-Z a-z | sort | diff keys -
    sed -E 's/^#([a-z_]+:)/\1/' "$ROOT/pipelines/config.yaml" >all.yaml
    env -u PRESET snakemake -n -q -s "$ROOT/pipelines/Snakefile" --configfile all.yaml --config gex=gex.cms atac=atac.cms
}

@test "a wrong key, an input that is not there, a file of the user's: one reason, and nothing is touched" {
    refused() { # TEXT KEY=VALUE...
        run flow Snakefile "${@:2}"
        [ "$status" = 1 ] && [[ $output == *"$1"* ]] || { echo "$output" && return 1; }
    }
    refused "unknown key 'presset'; keys: gex, atac, out" presset=linear
    refused "cannot open 'absent.h5ad'" atac=absent.h5ad
    refused 'config: give atac=FILE' atac=
    refused "'nosuch'" preset=nosuch
    cp gex.cms '{g}.cms'
    refused 'with braces in its name' gex='{g}.cms'
    refused "in its name: 'a b'" out='a b'
    mkdir r && echo precious >r/model.cms
    refused "'r/model.cms' was not made by Snakefile and would be lost" out=r
    [ "$(cat r/model.cms)" = precious ] && [ "$(ls -A r)" = model.cms ]
    before=$(md5sum gex.cms atac.cms)
    refused "is also an input ('gex.cms'), which would be lost" out=.
    [ "$before" = "$(md5sum gex.cms atac.cms)" ]
}

@test "a stage that fails or is cut, wherever it stands in a pipeline, is named; no output, nothing left" {
    need_long
    printf '#!/bin/sh\nlognorm "$@" | head -c 2000\n' >cut && chmod +x cut
    for set in 'tfidf=false TFIDF model' 'lognorm=./cut LOGNORM model' 'embed=false EMBED match' 'xattn_score=false XATTN_SCORE match' 'train=true TRAIN model'; do
        read -r word name target <<<"$set"
        rm -rf s
        run flow Snakefile out=s "$word"
        [ "$status" = 1 ] && [ ! -e "s/$target.cms" ]
        [ "$(grep -c '^[a-zA-Z-]*: error: ' <<<"$output")" = 1 ] || { echo "$output" && return 1; }
        [ "$name" = LOGNORM ] || grep -q "^Snakefile: error: $name ('" <<<"$output" || { echo "$output" && return 1; }
        [ -z "$(ls -A tmp)" ] && whole s
    done
}

@test "re-ranking by cross-attention reads the cells of a pipe as those of a file" {
    need_long
    TRAIN='xattn-train --preset paper --tokens windows=10 --tokens width=8 --tokens p=16 --tokens ff=1 --cross-ff 1 --cross-mined 2 --cross-top 5 --valid-every 0'
    export TRAIN PRESET=paper
    train.sh -q -p paper gex.cms atac.cms model.cms
    match.sh -q model.cms gex.test.cms atac.test.cms match.cms
    flow Snakefile out=s >/dev/null
    same s
}

@test "killed in the middle of a stage and run again, it ends as train.sh and match.sh do" {
    need_long
    printf '#!/bin/bash\nt=$1 && shift\n[ ! -e go ] || exec $t "$@"\n$t "$@" >whole.$$\nhead -c 3000 whole.$$\necho $$ >>begun\nfor _ in $(seq 600); do [ ! -e go ] || break; sleep 0.1; done\ntail -c +3001 whole.$$\n' >halting
    chmod +x halting
    for file in Snakefile Snakefile.files; do
        for set in 'lognorm=./halting lognorm --method sqrt --fit split=train' 'train=./halting xattn-train --preset linear' 'assign=./halting assign'; do
            for how in TERM KILL group; do
                rm -rf w go begun .snakemake
                set -m
                flow $file out=w "$set" >said 2>&1 &
                pid=$!
                set +m
                soon test -s begun
                # TERM: Snakemake waits for what runs, and begins nothing new
                case $how in
                group) kill -KILL -- -$pid ;;
                *) kill -$how $pid && sleep 1 ;;
                esac
                [ $how != TERM ] || touch go
                wait $pid && { echo "$file $set $how" && return 1; }
                whole w && [ ! -e w/score.tsv ]
                touch go # what is left of the first run ends beside the second
                [ $how = TERM ] || flow $file out=w "$set" --unlock
                flow $file out=w "$set" --rerun-incomplete >/dev/null
                same w
            done
        done
    done
}

@test "blanks and quotes in the name of an input, a directory as input; a model of many cells has their schedule" {
    need_long
    cp gex.cms 'g x $y "a'\''.cms'
    mtx-write -o m atac.cms
    flow Snakefile out=s gex='g x $y "a'\''.cms' atac=m >/dev/null
    train.sh -q -p linear gex.cms m m.cms
    [ "$(digest m.cms)" = "$(digest s/model.cms)" ]
    cms-gen --gex gex.cms --atac many.atac.cms --cells 5600 --genes 12 --peaks 12 --nnz-gex 4 --nnz-atac 4
    printf '#!/bin/sh\ncase "$*" in *--show*) exec xattn-train "$@" ;; esac\ncat >"$PAIRS"\nexec cat model.cms\n' >trainer && chmod +x trainer
    PAIRS=want.cms TRAIN=./trainer train.sh -q -p best gex.cms many.atac.cms m.cms
    PAIRS=got.cms TRAIN=./trainer flow Snakefile out=many atac=many.atac.cms preset=best --until model >/dev/null
    cms-diff --tolerance 0 want.cms got.cms
}
