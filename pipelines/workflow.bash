#!/usr/bin/env bash
# workflow.bash - the recipes of workflow.mk: make calls it in place of a shell, `workflow.bash -c RECIPE`
#
# A file appears whole or not at all, whatever is killed; a stage that fails is reported as in train.sh.  OUT
# is marked with .workflow, and in a directory without it no file is replaced.
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"
# shellcheck source=pipelines/inputs.bash
. "$pipelines/inputs.bash"
me=workflow.mk second=${SECOND:-ATAC}
if [[ " ${LOGNORM_FIT:-} ${TFIDF_FIT:-} ${BATCH:-} " = *' preset '* ]]; then
    preset_of ''
    [ "${LOGNORM_FIT:-}" != preset ] || LOGNORM_FIT="${setting[prepare.gex]-} --fit split=train"
    [ "${TFIDF_FIT:-}" != preset ] || TFIDF_FIT="${setting[prepare.atac]-} --fit split=train"
    [ "${BATCH:-}" != preset ] || BATCH="batch ${setting[schedule]-}"
fi

targets=({gex,atac}{,.train,.test,.e}.cms {model,match}.cms score.tsv)
stages+=(LOGNORM_FIT TFIDF_FIT BATCH FEATURE_SORT WITHIN)
claim() { # TARGET: may it be written?  All are looked at: the mark lets each be replaced, and `make clean` remove it
    local f
    for f in "${targets[@]/#/$OUT/}"; do
        refuse_input "$f" "$GEX" "$ATAC"
        [ ! -L "$f" ] || die 2 "'$f' is a link; what it leads to would be lost"
        # asked again: the recipe beside this one may have marked OUT and written
        [ -e "$OUT/.workflow" ] || [ ! -e "$f" ] || [ -e "$OUT/.workflow" ] || die 2 "'$f' was not made by $me and would be lost"
    done
    mkdir -p -- "$OUT" 2>/dev/null || die 4 "cannot create the directory '$OUT'"
    check_output "$1" "$GEX" "$ATAC"
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
    [[ $2 != -?* ]] || set -- "$1" "./$2" "$3"
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
clean_up() { [ ! -e "$OUT/.workflow" ] || (cd -- "$OUT" && rm -f -- "${targets[@]}" .workflow); }
look() { # which inputs are newer than what was read from them; `name` where make cannot take that of OUT
    [[ $OUT != -* && $OUT != *[][:space:]:\;\|\&\$\#%=*?[~\\\'\"\`\(\)\<\>!]* && $OUT ]] || echo name
    [ -e "$GEX" ] && [ -e "$OUT/gex.cms" ] && [ ! "$GEX" -nt "$OUT/gex.cms" ] || echo GEX
    [ -e "$ATAC" ] && [ -e "$OUT/atac.cms" ] && [ ! "$ATAC" -nt "$OUT/atac.cms" ] || echo ATAC
}

[ "$1" = -c ] || die 2 'it is a shell for workflow.mk alone'
eval "$2"
