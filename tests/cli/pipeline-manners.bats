# What holds for every pipeline: options, operands, inputs that stay, the first cause of a failure, signals, histories.
load ../helper

setup() {
    scratch
    need lognorm tfidf batch xattn-train embed knn-match assign score
    export TMPDIR=$PWD/tmp
    mkdir tmp
    [ -e "$BATS_FILE_TMPDIR/model.cms" ] || {
        cd "$BATS_FILE_TMPDIR" || return 1
        cms-gen --gex gex.cms --atac atac.cms --cells 240 --genes 120 --peaks 200 --nnz-gex 60 --nnz-atac 80
        h5-write -o g.h5ad gex.cms
        h5-write -o a.h5ad atac.cms
        train.sh -q -p linear gex.cms atac.cms model.cms
        cd "$BATS_TEST_TMPDIR" || return 1
    }
    cp "$BATS_FILE_TMPDIR"/* .
}
teardown() { ! mountpoint -q small || umount small; }
left() { ls -A tmp; find . -name '*.tmp.*'; [ ! -e out.cms ] || echo out.cms; }
clean() { [ -z "$(left)" ] || { echo "left: $(left)"; return 1; }; }
stage() { # NAME: a program from standard input
    cat >"$1"
    chmod +x "$1"
}
all='train.sh match.sh rivals.sh neurips2021.sh demo.sh fixture.sh'

@test "options: help, version, unknown ones named, values that are missing or wrong" {
    for p in $all; do
        $p -h | head -n 1 | grep -q "^usage: $p \[options\]"
        [ "$($p --help)" = "$($p -h)" ]
        $p --version | head -n 1 | grep -q "^$p (cellmatch) [0-9]"
        fails 2 $p --foo
        says "unknown option '--foo'"
        fails 2 $p -x
        says "unknown option '-x'"
        fails 2 $p --seed
        says "option '--seed' needs a value: N"
        fails 2 $p --threads=many
        says "option '--threads': expected a whole number from 0 to 1024, found 'many'"
        fails 2 $p --quiet=1
        says "option '--quiet' takes no value"
        fails 2 $p a b c d e f g
    done
    fails 2 train.sh --preset bset gex.cms atac.cms out.cms
    says "unknown preset 'bset'; presets: linear, closed, best, attn, paper, authors"
    fails 2 neurips2021.sh -pbset 1 2 3 4 5 out.h5ad
    says "unknown preset 'bset'"
    fails 2 rivals.sh --rivals linear,nobody out gex.cms atac.cms
    says "unknown method 'nobody'; methods: linear, closed"
    EPOCHS_best=ten fails 2 rivals.sh out gex.cms atac.cms
    fails 2 match.sh --sharp --calibrated model.cms gex.cms atac.cms out.cms
    LOGNORM='./absent -x' fails 2 train.sh gex.cms atac.cms out.cms
    says "LOGNORM ('./absent -x'): there is no program './absent'"
    [ ! -e out ] && clean
}

@test "options: threads, seed, quiet; operands before and behind them" {
    printf '#!/bin/bash\necho "$CM_THREADS" >threads\nexec lognorm --method sqrt --fit split=train\n' | stage norm
    LOGNORM=./norm train.sh gex.cms -vt2 atac.cms --preset=linear m.cms 2>said
    [ "$(cat threads)" = 2 ]
    grep -q '^xattn-train: .* seconds' said
    LOGNORM=./norm train.sh -q -p linear gex.cms atac.cms m.cms 2>said
    [ ! -s said ]
    train.sh -q -p linear --seed 7 gex.cms atac.cms m.cms
    cms-info m.cms | grep -qx "hp.seed	7"
}

@test "names with a dash in front, blanks, quotes and a newline" {
    local odd=$'-o a\'b"\n$(c)'
    mkdir -- "$odd"
    cp -- gex.cms "./$odd/-g.cms" && cp -- atac.cms "./$odd/-a.cms"
    cp -- g.h5ad "./$odd/-g.h5ad" && cp -- a.h5ad "./$odd/-a.h5ad"
    (cd -- "$odd" && train.sh -q -p linear -- -g.cms -a.cms -m.cms && match.sh -q -- -m.cms -g.h5ad -a.h5ad -k.cms)
    cms-diff --tolerance 0 model.cms "./$odd/-m.cms"
    match.sh -q -- model.cms "$odd/-g.h5ad" "$odd/-a.h5ad" "$odd/k.cms"
    cms-diff --tolerance 0 "./$odd/-k.cms" "./$odd/k.cms"
    [ "$(ls -A -- "$odd" | wc -l)" = 7 ]
    clean
}

@test "a pipe and standard input are inputs" {
    train.sh -q -p linear <(cat gex.cms) - m.cms <atac.cms
    cms-diff --tolerance 0 model.cms m.cms
    fails 2 train.sh -p linear - - m.cms <gex.cms
    train.sh -q -p linear gex.cms atac.cms m.cms <&-
}

@test "what validated, its score and the time are said; how many cells, features, and within what" {
    train.sh -p linear gex.cms atac.cms m.cms 2>said
    grep -qE '^train.sh: [0-9]+ cells trained the model, [0-9]+ validated it \(label split=valid\)$' said
    grep -qE 'match probability [0-9.]+, .* chance [0-9.]+; [0-9]+ seconds$' said
    cms-cat --except split=valid -o g.cms gex.cms
    cms-cat --except split=valid -o a.cms atac.cms
    train.sh -p linear g.cms a.cms m.cms 2>said
    grep -q 'a tenth, drawn by name' said
    match.sh model.cms gex.cms atac.cms k.cms 2>said
    grep -q "'gex.cms' has all 120 GEX features of the model" said
    grep -q '240 cells of GEX against 240 of ATAC, candidates within the label batch (4 values); ' said
    match.sh --within none model.cms gex.cms atac.cms k.cms 2>said
    grep -q 'all of them candidates' said
}

@test "a model of other features: how many of how many, with names of both sides" {
    cms-text gex.cms | sed 's/Gene00/ENSG00/g' | cms-text --from -o other.cms
    fails 3 match.sh model.cms other.cms atac.cms out.cms
    says "'other.cms' has 0 of the 120 GEX features of the model (model: 'Gene00001', file: 'ENSG00001')"
    cms-text gex.cms | sed 's/Gene00001/ENSG00001/g' | cms-text --from -o other.cms
    match.sh model.cms other.cms atac.cms out.cms 2>said || [ $? = 3 ]
    grep -q "'other.cms' has 119 of the 120 GEX features of the model (missing: 'Gene00001')" said
}

@test "files in the wrong order, or of the wrong kind, are reported" {
    fails 3 train.sh atac.cms gex.cms out.cms
    says "GEX file first: 'atac.cms' holds ATAC"
    fails 3 train.sh a.h5ad g.h5ad out.cms
    says "GEX file first: 'a.h5ad' holds ATAC"
    fails 3 train.sh gex.cms gex.cms out.cms
    says "ATAC file second: 'gex.cms' holds GEX"
    fails 3 match.sh model.cms atac.cms gex.cms out.cms
    says "'atac.cms' holds ATAC"
    fails 3 rivals.sh out atac.cms gex.cms
    says "'atac.cms' holds ATAC"
    fails 2 match.sh gex.cms gex.cms atac.cms out.cms
    says "'gex.cms' is a stream of kind matrix, expected a model"
    fails 3 train.sh gex.cms model.cms out.cms
    says "'model.cms' is a stream of kind model, expected a matrix"
    run make -s -f "$ROOT/pipelines/workflow.mk" GEX=atac.cms ATAC=gex.cms OUT=w
    [ "$status" != 0 ] && [[ $output == *"'atac.cms' holds ATAC"* ]]
    # regions that nothing says are such
    cms-text atac.cms | sed 's/^\(#head\tslot.0.name\t\)ATAC/\1X/' | cms-text --from | h5-write -o x.h5ad
    fails 3 train.sh x.h5ad a.h5ad out.cms
    says 'its features are regions'
    clean
}

@test "a feature name that occurs twice is refused before the training" {
    mtx-write -o twice gex.cms
    zcat twice/features.tsv.gz | sed 's/Gene00003\b/Gene00004/g' | gzip >f && mv f twice/features.tsv.gz
    fails 3 train.sh twice atac.cms out.cms
    says 'Gene00004'
    clean
}

@test "labels are checked before the work; auto takes no label that some cells lack" {
    fails 3 match.sh --within nolabel model.cms gex.cms atac.cms out.cms
    says "'gex.cms' has no label 'nolabel'; it has: batch, cell_type, split"
    WITHIN=nolabel fails 3 rivals.sh out gex.cms atac.cms
    says "no label 'nolabel'"
    rm -rf out
    for m in gex atac; do
        cms-text $m.cms >text
        # the first five cells of each side lose their batch
        awk -F '\t' -v OFS='\t' '/^#/ { print; next } n++ < 5 { $2 = "" } { print }' text | cms-text --from -o $m.lack.cms
    done
    match.sh model.cms gex.lack.cms atac.lack.cms k.cms 2>said
    grep -q "match.sh: warning: label 'batch': 5 of 240 cells of the rows have no value, so it restricts nothing" said
    match.sh --within batch model.cms gex.lack.cms atac.lack.cms k2.cms 2>said
    grep -q '5 of 240 cells of the rows have no value and no candidate' said
    cms-text --bare k.cms | awk -F '\t' 'NF < 50 { exit 1 }'
    [ "$(score k.cms | awk -F '\t' '$1 == "match_probability" { print ($2 > 0) }')" = 1 ]
    RIVALS=linear rivals.sh out gex.cms atac.cms >table
    cms-cat --except split=test -o g.cms gex.cms
    fails 3 rivals.sh out g.cms atac.cms
    says 'no cell has the label split=test'
}

sacred() { # FILE COMMAND...: refused with status 2, and the file is what it was
    local file=$1 before
    shift
    before=$(md5sum <"$file")
    fails 2 "$@"
    [[ $message == *"would be lost"* ]] || { echo "$message" && return 1; }
    [ "$before" = "$(md5sum <"$file")" ] || { echo "lost $file: $*" && return 1; }
}
@test "an output that is an input is refused, through links of any kind" {
    cms-text --cols gex.cms | awk -F '\t' -v OFS='\t' 'NR > 1 { print $2, $3, $4, $1 }' >a.bed
    ln -s gex.cms soft.cms && ln atac.cms hard.cms && ln -s . here
    for out in gex.cms soft.cms here/gex.cms "$PWD/gex.cms"; do sacred gex.cms train.sh -p linear gex.cms atac.cms $out; done
    sacred gex.cms train.sh -p linear soft.cms atac.cms gex.cms
    sacred atac.cms train.sh -p linear gex.cms atac.cms hard.cms
    sacred a.bed train.sh -p linear --annotation a.bed gex.cms atac.cms a.bed
    printf '#!/bin/sh\nexec lognorm\n' | stage norm
    LOGNORM=./norm sacred norm train.sh gex.cms atac.cms norm
    for out in gex.cms hard.cms model.cms; do sacred $out match.sh model.cms gex.cms atac.cms $out; done
    sacred gex.cms bash -c 'match.sh model.cms gex.cms atac.cms - >>gex.cms'
    sacred atac.cms bash -c 'train.sh -p linear gex.cms - atac.cms <atac.cms'
    mtx-write -o m gex.cms
    f=$(ls m/barcodes*)
    sacred "$f" train.sh m atac.cms "$f"
    sacred "$f" train.sh m/matrix.mtx.gz atac.cms "$f"
    mkdir r && cp gex.cms r/linear.model.cms
    sacred r/linear.model.cms rivals.sh r r/linear.model.cms atac.cms
    sacred gex.cms bash -c 'fixture.sh random gex.cms atac.cms >>gex.cms'
    sacred g.h5ad neurips2021.sh g.h5ad a.h5ad s g.h5ad a.h5ad g.h5ad
    sacred gex.cms demo.sh .
    mkdir d && : >d/.demo && ln -s ../gex.cms d/gex.cms
    sacred gex.cms demo.sh d
    for out in . here; do
        before=$(md5sum gex.cms atac.cms model.cms)
        run make -s -f "$ROOT/pipelines/workflow.mk" GEX=gex.cms ATAC=atac.cms OUT=$out
        [ "$before" = "$(md5sum gex.cms atac.cms model.cms)" ]
        run make -s -f "$ROOT/pipelines/workflow.mk" OUT=$out clean
        [ "$before" = "$(md5sum gex.cms atac.cms model.cms)" ]
    done
    clean
}

@test "an output that cannot be created is status 4 before any work" {
    printf '#!/bin/sh\n: >worked\nexec lognorm\n' | stage norm
    export LOGNORM=$PWD/norm
    fails 4 train.sh -p linear gex.cms atac.cms no/such/m.cms
    says "cannot create 'no/such/m.cms': there is no directory 'no/such'"
    fails 4 match.sh model.cms gex.cms atac.cms no/such/k.cms
    fails 4 neurips2021.sh g.h5ad a.h5ad s g.h5ad a.h5ad no/p.h5ad
    : >file
    fails 4 rivals.sh file/dir gex.cms atac.cms
    fails 4 demo.sh file/dir
    fails 4 demo.sh file
    fails 4 train.sh -p linear gex.cms atac.cms tmp
    says 'it is a directory'
    fails 4 train.sh -p linear nothing.h5ad atac.cms out.cms
    says "cannot open 'nothing.h5ad'"
    [ "$(id -u)" = 0 ] || { mkdir shut && chmod 500 shut && fails 4 train.sh -p linear gex.cms atac.cms shut/m.cms; }
    unset LOGNORM
    fails 4 train.sh -q -p linear gex.cms atac.cms /dev/full
    says "cannot write '/dev/full': No space left on device"
    fails 4 bash -c 'match.sh -q model.cms gex.cms atac.cms - >/dev/full'
    [ ! -e worked ] && clean
}

@test "a link stays a link, a mode stays; a new file has the usual one" {
    printf old >real.cms && chmod 640 real.cms && ln -s real.cms link.cms
    train.sh -q -p linear gex.cms atac.cms link.cms
    [ -L link.cms ] && [ "$(stat -c %a real.cms)" = 640 ]
    (umask 022 && train.sh -q -p linear gex.cms atac.cms new.cms)
    [ "$(stat -c %a new.cms)" = 644 ]
    cms-diff --tolerance 0 model.cms real.cms
}

@test "a stage that writes the wrong kind, nothing, or dies: one line names it, with its status" {
    ends() { # STATUS VARIABLE COMMAND TEXT SCRIPT...
        export "$2=$3"
        fails "$1" "${@:5}"
        says "$4"
        unset "$2"
        clean
    }
    train=(train.sh -p linear gex.cms atac.cms out.cms) match=(match.sh model.cms gex.cms atac.cms out.cms)
    printf '#!/bin/sh\nkill -9 $$\n' | stage killed
    printf '#!/bin/sh\ncat >/dev/null\nexit 7\n' | stage seven
    printf '#!/bin/sh\nlognorm --method sqrt "$@" | head -c 5000\n' | stage cut
    printf '#!/bin/sh\ntfidf --method logtfidf "$@" | head -c 5000\nexit 9\n' | stage cut9
    printf '#!/bin/sh\ncat >/dev/null\nexec cat model.cms\n' | stage model
    ends 3 TRAIN cat "TRAIN ('cat') wrote a stream of kind pairs, expected model" "${train[@]}"
    ends 3 TRAIN true "TRAIN ('true') wrote nothing" "${train[@]}"
    ends 3 LOGNORM true "train.sh: error: LOGNORM ('true') wrote nothing" "${train[@]}"
    ends 3 TFIDF ./model "TFIDF ('./model') wrote a stream of kind model, expected matrix" "${train[@]}"
    ends 7 TFIDF ./seven "TFIDF ('./seven') failed with status 7" "${train[@]}"
    ends 137 LOGNORM ./killed "LOGNORM ('./killed') was killed by signal 9" "${train[@]}"
    ends 3 LOGNORM ./cut "LOGNORM ('./cut') wrote no whole stream: cut" "${train[@]}"
    ends 9 TFIDF ./cut9 "TFIDF ('./cut9') failed with status 9" "${train[@]}"
    for v in LOGNORM EMBED KNN_MATCH XATTN_SCORE ASSIGN; do ends 3 $v true "match.sh: error: $v ('true') wrote nothing" "${match[@]}"; done
    ends 137 KNN_MATCH ./killed "KNN_MATCH ('./killed') was killed by signal 9" "${match[@]}"
    ends 3 EMBED 'sh -c cat' "EMBED ('sh -c cat') wrote a stream of kind matrix, expected embedding" "${match[@]}"
    # a tool's own words, once
    LOGNORM='lognorm --target x' fails 2 train.sh -p linear gex.cms atac.cms out.cms
    says 'lognorm: error: '
    head -c 5000 gex.cms >cut.cms
    fails 3 train.sh cut.cms atac.cms out.cms
    fails 3 match.sh model.cms gex.cms cut.cms out.cms
    TRAIN=./seven fails 7 demo.sh made
    [ ! -e made/model.cms ]
    clean
}

gone() { # PID...: ended, or a zombie that its new parent has not seen
    local p
    for p; do
        [ ! -e "/proc/$p/stat" ] || [ "$(awk '{ sub(/.*\) /, ""); print $1 }' "/proc/$p/stat" 2>/dev/null)" = Z ] || return 1
    done
}
soon() { # COMMAND...: becomes true
    local _
    for _ in $(seq 600); do ! "$@" || return 0; sleep 0.1; done
    return 1
}
@test "a signal to the script alone ends every process of every stage, and leaves no file" {
    # a stage with a child, both deaf to TERM, in the two background pipelines, in the foreground, and in a pipeline of a pipeline
    printf '#!/bin/bash\ntrap "" TERM\n(trap "" TERM; while :; do sleep 0.2; done) &\necho $$ $! >>pids\nwhile :; do sleep 0.2; done\n' | stage deaf
    printf '#!/bin/bash\necho $$ $$ >>pids\nexec sleep 1000\n' | stage slow
    hit() { # STATUS SIGNAL STAGES COMMAND...
        rm -f pids && touch pids
        set -m
        "${@:4}" >/dev/null 2>said &
        local script=$!
        set +m
        soon eval '[ "$(wc -l <pids)" -ge '"$3" ' ]'
        kill "-$2" $script
        local status=0
        wait $script || status=$?
        [ "$status" = "$1" ] || { echo "status $status, expected $1" && return 1; }
        # shellcheck disable=SC2046 # numbers
        soon gone $(cat pids)
        clean
    }
    LOGNORM=./slow TFIDF=./deaf hit 143 TERM 2 train.sh gex.cms atac.cms out.cms
    LOGNORM=./slow TFIDF=./slow hit 130 INT 2 match.sh model.cms gex.cms atac.cms out.cms
    TRAIN=./deaf hit 129 HUP 1 train.sh gex.cms atac.cms out.cms
    ASSIGN=./slow hit 143 TERM 1 match.sh model.cms gex.cms atac.cms out.cms
    TRAIN=./deaf hit 143 TERM 1 demo.sh
    LOGNORM=./slow hit 143 TERM 1 make -s -f "$ROOT/pipelines/workflow.mk" GEX=gex.cms ATAC=atac.cms OUT=w
}

@test "no temporary path in a history: the same bytes under another TMPDIR" {
    mkdir one "two b"
    for d in one "two b"; do
        TMPDIR=$PWD/$d train.sh -q -p linear g.h5ad a.h5ad m.cms
        TMPDIR=$PWD/$d match.sh -q m.cms g.h5ad a.h5ad k.cms
        fixture.sh solution gex.cms atac.cms | h5-write -o s.h5ad
        TMPDIR=$PWD/$d neurips2021.sh -q -p linear g.h5ad a.h5ad s.h5ad g.h5ad a.h5ad p.h5ad
        [ -z "$(ls -A "$d")" ]
        mv m.cms k.cms p.h5ad "$d"
        cp "$d/m.cms" m.cms
    done
    for f in m.cms k.cms p.h5ad; do cmp one/$f "two b/$f"; done
    cms-info one/k.cms >info
    grep -q '^provenance.*args	g.h5ad$' info # as the user gave it
    ! grep -F "$PWD" info
    ! grep -F 'cellmatch.' info
}

@test "workflow.mk: files without split, of any kind, with blanks in their names; LOGNORM when matching" {
    drop() { cms-text "$1" | sed 's/^\(#head\tlabel.2.name\t\)split/\1other/; s/^#dict\tsplit/#dict\tother/' | cms-text --from -o "$2"; }
    drop gex.cms 'g x.cms'
    drop atac.cms a.cms
    mtx-write -o m a.cms
    printf '#!/bin/sh\necho "$*" >>asked\nexec lognorm "$@"\n' | stage norm
    W="make -s -f $ROOT/pipelines/workflow.mk"
    TRAIN='xattn-train --preset linear' LOGNORM='./norm --method sqrt' $W "GEX=g x.cms" ATAC=m OUT=w >table
    grep -q '^match_probability' table
    grep -q -- '--method sqrt --like w/model.cms' asked
    # what train.sh and match.sh do
    TRAIN='xattn-train --preset linear' train.sh -q 'g x.cms' m t.cms
    cms-diff --tolerance 1e-5 t.cms w/model.cms || [ "$(cms-info w/model.cms | grep valid.cells)" = "$(cms-info t.cms | grep valid.cells)" ]
    $W OUT=w clean
    [ -z "$(ls -A w)" ]
    # killed, however hard, it leaves no half target
    printf '#!/bin/bash\nlognorm --method sqrt | head -c 3000\necho $$ >>pids\nexec sleep 1000\n' | stage stuck
    LOGNORM=./stuck $W GEX=gex.cms ATAC=atac.cms OUT=v &
    soon test -s pids
    kill -9 $!
    [ ! -e v/gex.train.cms ]
    kill $(cat pids) || true
}

slot() { cms-text "$1" | sed "s/^\(#head\tslot.0.name\t\).*/\1$2/; s/$3/$4/g" | cms-text --from -o "$5"; } # IN SLOT FROM TO OUT
@test "genes and proteins: no variable is needed, in training or in matching; those that are set win" {
    slot gex.cms ADT Gene0 CD0 adt.cms
    h5-write -o p.h5ad adt.cms
    train.sh -q -p linear gex.cms adt.cms m.cms
    [ "$(cms-text --head m.cms | awk -F '\t' '/^slot.1.(name|fit.tool)\t/ { print $2 }' | paste -sd ' ')" = 'ADT clr' ]
    train.sh -q -p linear g.h5ad p.h5ad h.cms
    cms-diff --tolerance 0 m.cms h.cms
    match.sh m.cms gex.cms adt.cms k.cms 2>said
    grep -q "'adt.cms' has all 120 ADT features of the model" said
    SECOND=ADT TFIDF='clr -q' match.sh -q m.cms g.h5ad p.h5ad x.cms
    cms-diff --tolerance 0 k.cms x.cms
    TFIDF='tfidf --fit split=train' train.sh -q -p linear gex.cms adt.cms m.cms
    cms-text --head m.cms | grep -qx 'slot.1.fit.tool	tfidf'
    match.sh -q m.cms gex.cms adt.cms x.cms
    SECOND=ATAC fails 3 train.sh -p linear gex.cms adt.cms out.cms
    says "ATAC file second: 'adt.cms' holds ADT"
    fails 3 match.sh model.cms gex.cms adt.cms out.cms
    says "ATAC file second: 'adt.cms' holds ADT"
    clean
}

@test "features that new cells lack count as 0, and one line says how many" {
    cms-text --cols gex.cms | awk -F '\t' 'NR > 6 { print $1 }' >genes
    cms-text --cols atac.cms | awk -F '\t' 'NR > 1 && NR < 200 { print $1 }' >peaks
    cms-cat --columns genes -o g.cms gex.cms
    cms-cat --columns peaks -o a.cms atac.cms
    match.sh model.cms g.cms a.cms k.cms 2>said
    [ "$(grep -c warning: said)" = 2 ]
    grep -q "^match.sh: warning: 'g.cms' has 115 of the 120 GEX features of the model (missing: 'Gene0000.'); they count as 0$" said
    grep -q "^match.sh: warning: 'a.cms' has 198 of the 200 ATAC features of the model (missing: '.*'); they count as 0$" said
    lognorm -q --missing zero --like model.cms -o gn.cms g.cms
    tfidf -q --missing zero --like model.cms -o an.cms a.cms
    printf '#!/bin/sh\ncat >/dev/null\nexec cat gn.cms\n' | stage norm
    LOGNORM=./norm match.sh -q model.cms g.cms a.cms x.cms
    cms-diff --tolerance 0 k.cms x.cms
    LOGNORM=lognorm fails 3 match.sh -q model.cms g.cms a.cms out.cms
    clean
}

@test "the label split: its words, on both sides; no warning about values that nobody wrote" {
    for m in gex atac; do
        cms-cat --except split=test -o $m.known.cms $m.cms
        cms-text $m.cms | sed 's/\ttrain\b/\tfoldA/' | cms-text --from -o $m.odd.cms
    done
    train.sh -p linear gex.known.cms atac.known.cms m.cms 2>said
    ! grep warning: said || false
    cms-diff --tolerance 0 model.cms m.cms
    fails 3 train.sh -p linear gex.odd.cms atac.odd.cms out.cms
    says "'gex.odd.cms': the label split may be train, valid or test; found: foldA ("
    fails 3 train.sh -p linear gex.cms atac.odd.cms out.cms
    says "'atac.odd.cms': the label split"
    clean
}

@test "messages of the stages name the files that were given, and no option that a script lacks" {
    cms-text --labels atac.cms | awk -F '\t' 'NR > 1 { print $1 "\t" $1 "-9" }' >all
    awk 'NR % 2' all >half
    cms-cat --rename all -o none.cms atac.cms
    cms-cat --rename half -o 'half [x]|&.cms' atac.cms
    fails 3 train.sh -p linear gex.cms none.cms out.cms
    says "no cell of 'gex.cms' has a cell of the same name in 'none.cms' ('"
    says "-1-9')"
    [[ $message != *--pairs* && $message != *$TMPDIR* ]]
    train.sh -p linear gex.cms 'half [x]|&.cms' m.cms 2>said
    grep -qE '^batch: warning: gex.cms: [0-9]+ of [0-9]+ cells have no partner' said
    grep -qF 'batch: warning: half [x]|&.cms: ' said
    ! grep -F "$TMPDIR" said || false
    # values that are prepared already
    lognorm -o n.cms gex.cms
    h5-write -o n.h5ad n.cms
    fails 3 train.sh -p linear n.h5ad atac.cms out.cms
    says "'n.h5ad' holds lognorm values, expected counts; if a layer has them: h5-read --layer counts 'n.h5ad' >counts.cms"
    fails 3 match.sh model.cms n.cms atac.cms out.cms
    says "'n.cms' holds lognorm values, expected counts"
    # a stage says stdin
    LOGNORM='lognorm --method sqrt --fit split=nobody' fails 3 train.sh -p linear gex.cms atac.cms out.cms
    says 'lognorm: error: gex.cms: '
    clean
}

@test "the model comes first; a mistyped option; a directory for temporary files that is not there" {
    fails 2 match.sh g.h5ad a.h5ad model.cms out.cms
    says "MODEL.cms comes first; 'g.h5ad' is no stream"
    fails 2 match.sh gex.cms atac.cms model.cms out.cms
    says "MODEL.cms comes first; 'gex.cms' is a stream of kind matrix"
    fails 2 train.sh --presett linear gex.cms atac.cms out.cms
    says "unknown option '--presett', did you mean '--preset'?"
    TMPDIR=/no/such fails 4 train.sh gex.cms atac.cms out.cms
    [ "$(wc -l <fails.err)" = 1 ]
    fails 2 bash -c "env PATH=/usr/bin:/bin bash '$ROOT/pipelines/train.sh' --foo"
    says "see 'cellmatch train --help'"
    [ "$MODE" != release ] || { fails 2 cellmatch help h5read && says "did you mean 'h5-read'"; }
    [ "$MODE" != release ] || { fails 2 cellmatch trainn && says "did you mean 'train'"; }
    clean
}

@test "every preset is the trainer's: its preparation, schedule and name" {
    printf '#!/bin/sh\necho "$*" >>asked\ncase "$*" in *--show*) exec xattn-train "$@" ;; esac\ncat >pairs.cms\nexec cat model.cms\n' | stage trainer
    for p in $(xattn-train --help | sed -n 's/.*--preset \([a-z|]*\).*/\1/p' | tr '|' ' '); do
        train.sh --help | grep -q "$p"
        TRAIN=./trainer train.sh -q -p $p gex.cms atac.cms m.cms
        cms-info pairs.cms >info
        xattn-train --preset $p --show >show
        for s in gex atac schedule; do
            [ $s = schedule ] && key=schedule || key=prepare.$s
            words=$(awk -F '\t' -v k=$key '$1 == k { print $2 }' show)
            [ "$words" ]
            grep -qF -- "$(tr ' ' '\t' <<<"$words")" info || grep -qF -- "$words" info || { echo "$p: $words" && cat info && return 1; }
        done
    done
}
@test "/dev/fd/N of the caller's, whatever N" {
    for n in "6 7 8" "8 9 6" "7 6 9" "10 11 12"; do
        read -r g a o <<<"$n"
        eval "train.sh -q -p linear /dev/fd/$g /dev/fd/$a /dev/fd/$o $g<gex.cms $a<atac.cms $o>fd.cms"
        cms-diff --tolerance 0 model.cms fd.cms
        eval "match.sh -q /dev/fd/$o /dev/fd/$g atac.cms k$g.cms $g<gex.cms $o<model.cms"
    done
}

@test "standard streams that are shut or full: no message is worth a result, and a result that is lost is status 4" {
    for r in '2>/dev/full' '2>&-' '>&-' '>/dev/full' '<&- >&- 2>&-'; do
        eval "train.sh -p linear gex.cms atac.cms m.cms $r"
        cms-diff --tolerance 0 model.cms m.cms
        eval "match.sh model.cms gex.cms atac.cms k.cms $r"
        rm m.cms k.cms
        status=0
        eval "train.sh -p linear nothing.cms atac.cms m.cms $r" || status=$?
        [ $status = 4 ]
    done
    for p in "match.sh -q model.cms gex.cms atac.cms -" "rivals.sh --rivals linear r gex.cms atac.cms" demo.sh \
        "train.sh --help" "match.sh --version" "fixture.sh random gex.cms atac.cms"; do
        # shellcheck disable=SC2086 # words
        fails 4 bash -c "$p >/dev/full"
        says "${p%% *}: error: cannot write standard output: No space left on device" || says 'stdout: write: No space left on device'
        # shellcheck disable=SC2086 # words
        fails 4 bash -c "$p <&- >&-"
        says "${p%% *}: error: standard output is closed"
        [ "$(wc -l <fails.err)" = 1 ]
    done
    clean
}

@test "a TMPDIR that is full is reported with its reason, status 4" {
    mkdir small && mount -t tmpfs -o size=40k tmpfs small 2>/dev/null || skip 'no file system can be mounted'
    for kib in 40 160 320; do
        mount -o remount,size=${kib}k small
        for c in 'train.sh -q -p linear gex.cms atac.cms out.cms' 'match.sh -q model.cms gex.cms atac.cms out.cms' \
            'match.sh -q model.cms g.h5ad a.h5ad out.cms' 'rivals.sh --rivals linear r gex.cms atac.cms'; do
            status=0
            TMPDIR=small $c >said.out 2>said || status=$?
            if [ $status = 0 ] && [ $kib != 40 ]; then rm -f out.cms && continue; fi
            [ $status = 4 ] && [ "$(grep -c ': error: .*No space left on device' said)" = 1 ]
            [ "$(grep -c ': error: ' said)" = 1 ] && [ -z "$(ls -A small)" ]
            clean
        done
    done
}

@test "a child that a stage leaves behind, with its standard error open, holds up nothing" {
    # ended by the test where it is in a session of its own
    printf '#!/bin/bash\nsetsid sleep 1000 &\necho $! >>pids\nexec false\n' | stage fails_early
    printf '#!/bin/bash\nsleep 1000 &\necho $! >>pids\nexec lognorm "$@"\n' | stage leaves
    touch pids
    for c in 'train.sh -q -p linear gex.cms atac.cms out.cms' 'match.sh -q model.cms gex.cms atac.cms out.cms'; do
        LOGNORM=./fails_early fails 1 $c
        says "LOGNORM ('./fails_early') failed with status 1"
        kill $(cat pids) 2>/dev/null || true # gone already where it was ended before it left the group
        rm -f pids
        LOGNORM="./leaves$([[ $c = match* ]] || echo ' --fit split=train')" $c
        [ -s out.cms ] && rm out.cms
        soon gone $(cat pids) # in the stage's group
        rm -f pids
    done
    clean
}

@test "USR1 from elsewhere is a signal like others; a method that fails in training says its error alone" {
    printf '#!/bin/bash\necho $$ >>pids\nexec sleep 1000\n' | stage slow
    LOGNORM=./slow train.sh gex.cms atac.cms out.cms 2>said &
    soon test -s pids
    kill -USR1 $!
    status=0
    wait $! || status=$?
    [ "$status" = 138 ]
    soon gone $(cat pids)
    mkdir -p r bin && printf '#!/bin/bash\ncat >/dev/null\nfor k in 1 2 3; do echo "cca-train: round $k" >&2; done\necho "cca-train: error: no memory" >&2\nexit 4\n' | stage bin/cca-train
    PATH=$PWD/bin:$PATH fails 4 rivals.sh --rivals cca r gex.cms atac.cms
    says 'cca-train: error: no memory'
    [ "$(wc -l <fails.err)" = 1 ]
    clean
}

@test "names for messages may be added while a job runs: no stage of it fails" {
    cat >many <<'EOF'
. "$(dirname -- "$(command -v match.sh)")/common.bash"
about=many options='' operands=''
parse
slow() { for k in {1..30}; do stage input sleep 0.02; done; }
start slow
for k in {1..2000}; do called "$tmp/$k" "name $k"; done
finish
EOF
    bash many
    clean
}
