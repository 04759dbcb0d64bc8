#!/usr/bin/env bash
# workflow.bash - the recipes of workflow.mk: make calls it in place of a shell, `workflow.bash -c RECIPE`
#
# A file appears whole or not at all, whatever is killed; a stage that fails is told as in train.sh.  OUT
# is marked with .workflow, and in a directory without it no file is replaced.
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"
# shellcheck source=pipelines/inputs.bash
. "$pipelines/inputs.bash"
me=workflow.mk second=$SECOND
if [[ " $LOGNORM_FIT $TFIDF_FIT $BATCH " = *' preset '* ]]; then
    preset_of ''
    [ "$LOGNORM_FIT" != preset ] || LOGNORM_FIT="$(setting prepare.gex) --fit split=train"
    [ "$TFIDF_FIT" != preset ] || TFIDF_FIT="$(setting prepare.atac) --fit split=train"
    [ "$BATCH" != preset ] || BATCH="batch $(setting schedule)"
fi

claim() { # TARGET: may it be written?
    local f
    for f in "$OUT"/{gex,atac}{,.train,.test,.e}.cms "$OUT"/{model,match}.cms "$OUT/score.tsv"; do
        refuse_input "$f" "$GEX" "$ATAC" # of all of them: `make clean` removes them
    done
    [ -e "$OUT/.workflow" ] || [ ! -e "$1" ] || die 2 "'$1' was not made by $me and would be lost"
    mkdir -p -- "$OUT" 2>/dev/null || die 4 "cannot create the directory '$OUT'"
    check_output "$1" "$GEX" "$ATAC"
    [ ! -L "$1" ] || die 2 "'$1' is a link; what it leads to would be lost"
    : >"$OUT/.workflow"
}
into() { # TARGET KIND FUNCTION WORD...: what the function writes; KIND *.tsv: no stream
    local kind=$2
    claim "$1"
    work() { "$@" >"$tmp/out"; }
    shift 2
    if declare -F "$1" >/dev/null; then start work "$@"; else start work step "$@"; fi
    if [[ $kind = *.tsv ]]; then finish; else finish "$stage" "$tmp/out" "$kind"; fi
    deliver "$tmp/out"
}

read_side() { # TYPE FILE TARGET
    local stream hold=(cms-cat)
    claim "$3"
    given_one "$1" "$2" && stream=$input
    [ -z "$(reader_of "$stream")" ] || { run read_one "$1" "$stream" && stream=$tmp/$1.read.cms; }
    called "$stream" "$2"
    check_side "$1" "$2" "$stream" "$([ "$1" = GEX ] && echo 'the variable GEX' || echo 'the variable ATAC')"
    { has_label "$stream" split && values "$stream" split "$tmp/split" && grep -qx valid "$tmp/split"; } ||
        hold=(holdout --fraction 0.1 --name valid)
    stage=${hold[0]}
    into "$3" matrix "${hold[@]}" "$stream"
}
prepare() { # VARIABLE FIT-VARIABLE STREAM
    step cms-cat --except split=test "$3" | stage FEATURE_SORT $FEATURE_SORT | stage "$1" ${!1} ${!2}
}
train_side() { stage=$1 && into "$3" matrix prepare "$1" "$1_FIT" "$2"; } # VARIABLE STREAM TARGET
learn() { stage BATCH $BATCH "$@" | stage TRAIN $TRAIN; }
train() { stage=TRAIN && into "$3" model learn "$1" "$2"; } # GEX ATAC TARGET
# In training the words of LOGNORM may fit; to new cells the model's fit is applied.
like() { local now=${!1/--fit split=train/} && step cms-cat --where "split=$2" "$3" | stage "$1" $now --like "$4"; }
test_side() { stage=$1 && into "$5" matrix like "${@:1:4}"; } # VARIABLE VALUE STREAM MODEL TARGET
embed_one() { stage EMBED $EMBED --model "$3" --type "$1" <"$2"; }
embed_side() { stage=EMBED && into "$4" embedding embed_one "${@:1:3}"; } # TYPE STREAM MODEL TARGET
pairs() { stage KNN_MATCH $KNN_MATCH $WITHIN "$4" "$5" | stage XATTN_SCORE $XATTN_SCORE --model "$1" --gex "$2" --atac "$3" | stage ASSIGN $ASSIGN --model "$1" $WITHIN; }
match() { stage=ASSIGN && into "$6" match pairs "${@:1:5}"; } # MODEL GEX ATAC E T TARGET
clean_up() { # NAME...
    [ ! -e "$OUT/.workflow" ] || (cd -- "$OUT" && rm -f -- "$@" .workflow)
}

[ "$1" = -c ] || die 2 'it is a shell for workflow.mk alone'
eval "$2"
