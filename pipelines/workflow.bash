#!/usr/bin/env bash
# workflow.bash - the recipes of workflow.mk and of the Snakefiles, which call it in place of a shell:
# `workflow.bash -c RECIPE`
#
# A file appears whole or not at all, whatever is killed; a stage that fails is reported as in train.sh.  OUT
# is marked with .workflow, and in a directory without it no file is replaced; it holds what each file was made
# with, NAME TAB WORDS, of which the last line of a name counts.  Variables are those of workflow.mk(7); ME is the
# name that messages begin with.
export OPENBLAS_NUM_THREADS=1 # Snakemake sets it to the threads of a rule
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"
# shellcheck source=pipelines/inputs.bash
. "$pipelines/inputs.bash"
me=${ME:-workflow.mk} second=${SECOND:=ATAC} OUT=${OUT:-cellmatch-out} GEX=${GEX-} ATAC=${ATAC-} TEST=${TEST:-valid}
# The stages that are not set are those of train.sh and match.sh, with the words of the preset.
own=tfidf trainer=${TRAIN:-} && [ "$SECOND" != ADT ] || own=clr
LOGNORM=${LOGNORM:-lognorm} TFIDF=${TFIDF:-$own} BATCH=${BATCH:-preset} TRAIN=${TRAIN:-xattn-train ${PRESET:+--preset $PRESET}}
[ "$LOGNORM" != lognorm ] || LOGNORM_FIT=${LOGNORM_FIT-preset}
[ "$TFIDF" != "$own" ] || TFIDF_FIT=${TFIDF_FIT-preset}
EMBED=${EMBED:-embed --by-name} KNN_MATCH=${KNN_MATCH:-knn-match} XATTN_SCORE=${XATTN_SCORE:-xattn-score --by-name}
ASSIGN=${ASSIGN:-assign} FEATURE_SORT=${FEATURE_SORT:-feature-sort} SCORE=${SCORE:-score} WITHIN=${WITHIN:-auto}
if [[ " ${LOGNORM_FIT:=} ${TFIDF_FIT:=} $BATCH " = *' preset '* ]]; then
    preset_of "${PRESET:-}"
    [ "$LOGNORM_FIT" != preset ] || LOGNORM_FIT="${setting[prepare.gex]-} --fit split=train"
    side=atac && [ "$own" = tfidf ] || side=adt
    [ "$TFIDF_FIT" != preset ] || TFIDF_FIT="${setting[prepare.$side]-} --fit split=train"
fi

misused() { die 2 "$1 (see $me(7))"; } # MESSAGE
# NAME|HELP, for `make help` and the configuration of the Snakefiles; in brackets what stands for one that is not set.
variables='GEX|RNA: .h5ad, .h5mu or .h5mu/MODALITY, 10x .h5, MTX directory, .cms
ATAC|peaks, in a file of the same kinds; proteins with SECOND=ADT
OUT|the directory of what is made [cellmatch-out]
TEST|the value of the label split that is matched and scored [valid]
PRESET|the model, its preparation and mini-batches: as train.sh --preset [best]
SECOND|the slot of the second file [ATAC]
WITHIN|candidates within this label; auto, none, or a label [auto]
LOGNORM|prepares RNA [lognorm]
LOGNORM_FIT|its further words in training [lognorm: of the preset]
TFIDF|prepares the second file [tfidf, for ADT clr]
TFIDF_FIT|its further words in training [tfidf and clr: of the preset]
FEATURE_SORT|brings features in order [feature-sort]
BATCH|pairs cells in mini-batches [batch, with the words of the preset]
TRAIN|makes a model of them [xattn-train]
EMBED|makes vectors of cells [embed --by-name]
KNN_MATCH|finds candidates [knn-match]
XATTN_SCORE|scores them again [xattn-score --by-name]
ASSIGN|makes probabilities of scores [assign]
SCORE|scores a match [score]'
usage() { # of workflow.mk
    printf 'usage: make -f workflow.mk GEX=FILE ATAC=FILE [OUT=DIR] [VARIABLE=VALUE ...] [-j N] [clean | help]\n'
    printf 'train, match and score as files that make keeps up to date\n\nVariables:\n'
    awk -F '|' '{ printf "  %-13s %s\n", $1, $2 }' <<<"$variables"
}

chosen=$BATCH # `schedule` replaces it
targets=({gex,atac}{,.train,.test,.e}.cms {model,match}.cms score.tsv)
stages+=(LOGNORM_FIT TFIDF_FIT BATCH FEATURE_SORT WITHIN SCORE)
replaceable() { # may the targets be written?  All are looked at: the mark lets each be replaced, and `make clean` remove it
    local f
    for f in "${targets[@]/#/$OUT/}"; do
        refuse_input "$f" "$GEX" "$ATAC"
        [ ! -L "$f" ] || die 2 "'$f' is a link; what it leads to would be lost"
        # asked again: the recipe beside this one may have marked OUT and written
        [ -e "$OUT/.workflow" ] || [ ! -e "$f" ] || [ -e "$OUT/.workflow" ] || die 2 "'$f' was not made by $me and would be lost"
    done
}
claim() { # TARGET
    replaceable
    mkdir -p -- "$OUT" 2>/dev/null || die 4 "cannot create the directory '$OUT'"
    check_output "$1" "$GEX" "$ATAC"
    : >>"$OUT/.workflow"
    [ "${settings-}" ] || settings_of "${1##*/}" # before it is read: what changes meanwhile is read again
}

identity() { # FILE: its path, size and time, and those of the files of an MTX directory
    local f=$1
    [[ -e $f || $f != *.h5mu/* ]] || f=${f%.h5mu/*}.h5mu
    [ -e "$f" ] || return 0
    printf '%s ' "${1##*/}" "$(readlink -f -- "$f")"
    [ -d "$f" ] || stat -L -c '%s %.Y' -- "$f"
    [[ $f != *.mtx && $f != *.mtx.gz ]] || f=$(dirname -- "$f")
    [ ! -d "$f" ] || stat -L -c '%n %s %.Y' -- "$f"/*{barcodes,features,genes,matrix,peaks}* 2>/dev/null || :
}
settings_of() { # NAME: sets $settings, all but the files of OUT that decide what is in this one, on one line
    case $1 in
    gex.cms) settings=$(identity "$GEX") ;;
    atac.cms) settings="$SECOND $(identity "$ATAC")" ;;
    gex.train.cms) settings="$LOGNORM|$LOGNORM_FIT|$FEATURE_SORT" ;;
    atac.train.cms) settings="$TFIDF|$TFIDF_FIT|$FEATURE_SORT" ;;
    model.cms) settings="${PRESET:-best}|$chosen|$trainer" ;;
    gex.test.cms) settings="$TEST|$LOGNORM" ;;
    atac.test.cms) settings="$TEST|$TFIDF" ;;
    *.e.cms) settings=$EMBED ;;
    match.cms) settings="$TEST|$WITHIN|$KNN_MATCH|$XATTN_SCORE|$ASSIGN" ;;
    score.tsv) settings=$SCORE ;;
    esac
    printf -v settings %q "$settings"
}
remember() { # NAME SETTINGS; added by one write, since two recipes may do so at a time
    printf '%s\t%s\n' "$1" "$2" 2>/dev/null >>"$OUT/.workflow" || die 4 "cannot write '$OUT/.workflow'"
}
into() { # TARGET KIND FUNCTION WORD...: what the function writes; KIND *.tsv: no stream
    local kind=$2 name=${1##*/}
    claim "$1"
    work() { "$@" >"$tmp/out"; }
    shift 2
    if declare -F "$1" >/dev/null; then start work "$@"; else start work step "$@"; fi
    if [[ $kind = *.tsv ]]; then finish; else finish "$stage" "$tmp/out" "$kind"; fi
    remember "$name" ''
    deliver "$tmp/out"
    remember "$name" "$settings"
}
require_test() { # STREAM: has it cells to be matched?
    values "$1" split "$tmp/split"
    grep -qxF -e "$TEST" "$tmp/split" || die 3 "TEST: no cell of '$1' has the label split=$TEST; found: $(uniq "$tmp/split" | sed 's/^$/(none)/' | head -n 8 | paste -sd , | sed 's/,/, /g')"
}

read_side() { # TYPE FILE TARGET
    local stream hold=(cms-cat)
    claim "$3"
    [[ $2 != -?* ]] || set -- "$1" "./$2" "$3"
    given_one "$1" "$2" && stream=$input
    called "$stream" "$2"
    with_rows=1
    open_one "$1" "$stream" && finish
    called "$stream" "$2"
    check_side "$1" "$2" "$stream" "$([ "$1" = GEX ] && echo 'the variable GEX' || echo 'the variable ATAC')"
    { has_label "$stream" split && values "$stream" split "$tmp/split" && grep -qx valid "$tmp/split"; } ||
        hold=(holdout --fraction 0.1 --name valid)
    stage=${hold[0]}
    into "$3" matrix "${hold[@]}" "$stream"
}
prepare() { # VARIABLE FIT-VARIABLE STREAM
    step cms-cat -q --except split=test "$3" | stage FEATURE_SORT $FEATURE_SORT | stage "$1" ${!1} ${!2}
}
train_side() { require_test "$2" && stage=$1 && into "$3" matrix prepare "$1" "$1_FIT" "$2"; } # VARIABLE STREAM TARGET
labels_where() { step cms-cat -q "$1" "$2" "$3" | step cms-text --labels - >"$4"; }
tables_where() { # --where|--except CONDITION STREAM...: the labels of these rows
    local f
    for f in "${@:3}"; do
        tables[$f]=$tmp/table.${#tables[@]}
        start labels_where "$1" "$2" "$f" "${tables[$f]}"
    done
    finish
}
schedule() { # GEX ATAC: sets $BATCH
    [ "$BATCH" = preset ] || return 0
    tables_where --except split=test "$@"
    schedule_for "$(awk 'END { print NR - 1 }' "${tables[$1]}")" "$@"
    BATCH="batch $schedule"
}
learn() { stage BATCH $BATCH "$@" | stage TRAIN $TRAIN; }
train() { schedule "$1" "$2" && stage=TRAIN && into "$3" model learn "$1" "$2"; } # GEX ATAC TARGET
# In training the words of LOGNORM may fit; to new cells the model's fit is applied.
like() { local now=${!1/--fit split=train/} && step cms-cat --where "split=$2" "$3" | stage "$1" $now --like "$4"; }
test_side() { require_test "$3" && stage=$1 && into "$5" matrix like "${@:1:4}"; } # VARIABLE VALUE STREAM MODEL TARGET
embed_one() { stage EMBED $EMBED --model "$2" --type "$1"; } # TYPE MODEL
embed_file() { embed_one "$1" "$2" <"$3"; }
embed_side() { stage=EMBED && into "$4" embedding embed_file "$1" "$3" "$2"; } # TYPE STREAM MODEL TARGET
candidates() { # GEX ATAC: sets $join, the words that restrict them, as match.sh does
    join=()
    case $WITHIN in
    none) ;;
    auto) tables_where --where "split=$TEST" "$@" && { ! can_join batch "$@" || join=(--within batch); } ;;
    --within[\ =]*) read -ra join <<<"$WITHIN" ;;
    *) require_label "$WITHIN" "$1" "$1" && require_label "$WITHIN" "$2" "$2" && join=(--within "$WITHIN") ;;
    esac
}
find_pairs() { stage KNN_MATCH $KNN_MATCH "${join[@]}" "$@"; } # E T
score_pairs() { stage XATTN_SCORE $XATTN_SCORE --model "$1" --gex "$2" --atac "$3"; } # MODEL GEX ATAC
choose_pairs() { stage ASSIGN $ASSIGN --model "$1" "${join[@]}"; } # MODEL
pairs() { find_pairs "$4" "$5" | score_pairs "${@:1:3}" | choose_pairs "$1"; }
match() { candidates "$2" "$3" && stage=ASSIGN && into "$6" match pairs "${@:1:5}"; } # MODEL GEX ATAC E T TARGET
score_one() { stage SCORE $SCORE "$1"; }
score_match() { into "$2" score.tsv score_one "$1"; } # MATCH TARGET
clean_up() { [ ! -e "$OUT/.workflow" ] || (cd -- "$OUT" && rm -f -- "${targets[@]}" .workflow); }
named_well() { [[ $OUT && $OUT != -* && $OUT != *[[:space:]]* && $OUT != *[\;\|\&\$\#%=*?~\\\'\"\`\(\)\<\>\!{}:]* && $OUT != *[\[\]]* ]]; }
ready() { # for the Snakefiles, before any rule
    named_well || die 2 "out: Snakemake cannot take a directory with blanks, a leading dash, quotes, braces or characters that mean something to a shell in its name: '$OUT'"
    replaceable
}
refuse_inputs() { # OUTPUTS that are inputs, on standard output
    local f err=1
    stages=()
    for f in "${targets[@]}"; do refuse_input "$OUT/$f" "$GEX" "$ATAC"; done
}
look() { # the names of what is to be made again; `name` where make cannot take that of OUT, `refused WHY`
    local f why settings
    local -A made=()
    named_well || { echo name && return; }
    why=$(refuse_inputs) || { echo "refused ${why#*: error: }" && return; }
    [ ! -f "$OUT/.workflow" ] || read_tsv "$OUT/.workflow" made
    for f in "${targets[@]}"; do
        settings_of "$f"
        [ "${made[$f]-}" = "$settings" ] || echo "$f"
    done
}

[ "$1" = -c ] || die 2 'it is a shell for workflow.mk and the Snakefiles alone'
eval "$2"
