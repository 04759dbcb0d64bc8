#!/usr/bin/env bash
# match.sh - which ATAC cell belongs to which RNA cell, by a trained model
#
# Rows are the cells of GEX (with --reverse of ATAC), values match probabilities; inputs as in
# train.sh; slots and preparation are the model's.  WITHIN=auto: candidates only within the label `batch`, if all cells have one and every
# value of the rows is among those of the columns; WITHIN=none; WITHIN=LABEL.  LOGNORM, TFIDF (called
# `$LOGNORM --like MODEL <in >out`), EMBED, KNN_MATCH (`$KNN_MATCH [--within LABEL] E T >out`),
# XATTN_SCORE and ASSIGN in the environment replace a stage; SECOND names another slot than ATAC.
# See match.sh(1).
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"
# shellcheck source=pipelines/inputs.bash
. "$pipelines/inputs.bash"

about='match cells of two files by a trained model' operands='MODEL.cms GEX ATAC MATCH.cms'
options='reverse||rows are the cells of ATAC, columns those of GEX
within,w|LABEL|candidates only where this label is equal; auto (default), none [env WITHIN]
sharp||the temperature of the highest match probability
calibrated||the temperature whose probabilities can be believed (the default)'
parse "$@" && expect 4
within=${opt[within]-${WITHIN:-auto}}
[ -z "${opt[sharp]:-}" ] || [ -z "${opt[calibrated]:-}" ] || misused '--sharp and --calibrated exclude each other'
[ -z "${opt[sharp]:-}${opt[calibrated]:-}" ] || [ -z "${ASSIGN:-}" ] || misused "--sharp and --calibrated are for assign; ASSIGN is '$ASSIGN'"
check_output "${operand[3]}" "${operand[@]:0:3}"
[ -e "${operand[0]}" ] || die 4 "cannot open '${operand[0]}': there is no such file"
[ -r "${operand[0]}" ] || die 4 "cannot open '${operand[0]}': it may not be read"
model=${operand[0]}
[ -p "$model" ] || [ "$(reader_of "$model")" = '' ] || misused "MODEL.cms comes first; '$model' is no stream"
head_of "$model"
[ "${head[kind]-}" = model ] || misused "MODEL.cms comes first; '$model' is a stream of kind ${head[kind]-}, expected a model"
# The slots, and what prepared them: ours is used again, for anything else our default stands.
rna=0 other=1
[ "${head[slot.1.name]-}" != GEX ] || rna=1 other=0
SECOND=${SECOND:-${head[slot.$other.name]-}}
own_rna=${head[slot.$rna.fit.tool]-} own_other=${head[slot.$other.fit.tool]-}
[[ $own_rna =~ ^(lognorm|tfidf|clr)$ ]] || own_rna=lognorm
[[ $own_other =~ ^(lognorm|tfidf|clr)$ ]] || own_other=tfidf
EMBED=${EMBED:-embed --by-name ${noise[*]}}
KNN_MATCH=${KNN_MATCH:-knn-match ${noise[*]}} XATTN_SCORE=${XATTN_SCORE:-xattn-score --by-name ${noise[*]}}
ASSIGN=${ASSIGN:-assign ${opt[calibrated]:+--calibrated} ${opt[sharp]:+--sharp} ${noise[*]}}

# The model's features of each side, sorted, while the inputs are read.
model_names() {
    stage cms-text cms-text --cols -- "$model" | awk -F '\t' -v GEX="$tmp/model.GEX" -v second="$SECOND" -v other="$tmp/model.other" '
        $1 == "#slot" { file = $2 == "GEX" ? GEX : $2 == second ? other : ""; head = 1; next }
        head { head = 0; next }
        file { print $1 >file }'
    LC_ALL=C sort -u -o "$tmp/model.GEX" "$tmp/model.GEX" && LC_ALL=C sort -u -o "$tmp/model.other" "$tmp/model.other"
}
: >"$tmp/model.GEX" && : >"$tmp/model.other"
start model_names
read_inputs "${operand[@]:1:2}"
missing_of() { # VARIABLE: our own preparation takes a feature that is missing as 0 in every cell
    [ "${!1:-}" ] || [ "$missing" = 0 ] || echo '--missing zero'
}
require_features() { # FILE STREAM VARIABLE NAMES TYPE: names both sides where they do not fit; sets $missing
    LC_ALL=C comm -23 "$4" "${facts[$2]}.sorted" 2>/dev/null >"$tmp/missing"
    local all text what=
    all=$(wc -l <"$4") missing=$(wc -l <"$tmp/missing")
    text="'$1' has $((all - missing)) of the $all $5 features of the model"
    [ "$all" != "$missing" ] || [ "$all" = 0 ] || die 3 "$text (model: '$(head -n 1 "$tmp/missing")', file: '$(head -n 1 "${facts[$2]}.names")')"
    [ "${!3:-}" ] || what='; they count as 0'
    [ "$missing" = 0 ] || warn "$text (missing: '$(head -n 1 "$tmp/missing")')$what"
    [ "$missing" != 0 ] || report "'$1' has all $all $5 features of the model"
}
require_counts LOGNORM "${operand[1]}" "$gex" && require_counts TFIDF "${operand[2]}" "$atac"
require_features "${operand[1]}" "$gex" LOGNORM "$tmp/model.GEX" GEX
LOGNORM=${LOGNORM:-$own_rna $(missing_of LOGNORM) ${noise[*]}}
require_features "${operand[2]}" "$atac" TFIDF "$tmp/model.other" "$second"
TFIDF=${TFIDF:-$own_other $(missing_of TFIDF) ${noise[*]}}
edits+=(-e '/: warning: .*; they count as 0$/d') # what was said above, of each stage
called "$gex" "${operand[1]}" && called "$atac" "${operand[2]}"
called "$tmp/gex.cms" "${operand[1]}" && called "$tmp/atac.cms" "${operand[2]}"
called "$tmp/e.cms" "${operand[1]}" && called "$tmp/t.cms" "${operand[2]}"
case $within in auto | none) ;; *) require_label "$within" "${operand[1]}" "$gex" && require_label "$within" "${operand[2]}" "$atac" ;; esac

embedded() { # TYPE STREAM VARIABLE PREPARED EMBEDDING
    stage "$3" ${!3} --like "$model" <"$2" >"$4" && wrote "$3" "$4" matrix &&
        stage EMBED $EMBED --model "$model" --type "$1" <"$4" >"$5" && wrote EMBED "$5" embedding
}
embed_gex() { subject=${operand[1]} && embedded GEX "$gex" LOGNORM "$tmp/gex.cms" "$tmp/e.cms"; }
embed_atac() { subject=${operand[2]} && embedded "$second" "$atac" TFIDF "$tmp/atac.cms" "$tmp/t.cms"; }
start embed_gex && start embed_atac && finish

sides=("$tmp/e.cms" "$tmp/t.cms") join=() where='all of them candidates'
[ -z "${opt[reverse]:-}" ] || sides=("$tmp/t.cms" "$tmp/e.cms")
case $within in
none) ;;
auto) ! can_join batch "${sides[@]}" || join=(--within batch) ;;
*) can_join "$within" "${sides[@]}" ' and no candidate' || : && join=(--within "$within") ;;
esac
[ ${#join[@]} = 0 ] || where="candidates within the label ${join[1]} ($(uniq "$tmp/rows" | grep -c .) values)"
find_pairs() { stage KNN_MATCH $KNN_MATCH "${join[@]}" "${sides[@]}"; }
score_pairs() { stage XATTN_SCORE $XATTN_SCORE --model "$model" --gex "$tmp/gex.cms" --atac "$tmp/atac.cms"; }
choose_pairs() { stage ASSIGN $ASSIGN --model "$model" "${join[@]}"; }
match_all() { # in one pipe where what goes through it needs no look
    if [ "${own[KNN_MATCH]-}${own[XATTN_SCORE]-}${own[ASSIGN]-}" = 111 ]; then
        find_pairs | score_pairs | choose_pairs >"$tmp/match.cms"
    else
        find_pairs >"$tmp/found.cms" && wrote KNN_MATCH "$tmp/found.cms" match &&
            score_pairs <"$tmp/found.cms" >"$tmp/scored.cms" && wrote XATTN_SCORE "$tmp/scored.cms" match &&
            choose_pairs <"$tmp/scored.cms" >"$tmp/match.cms"
    fi
}
start match_all
own[ASSIGN]= # its cells are counted
finish ASSIGN "$tmp/match.cms" match
deliver "$tmp/match.cms"
head_of "$tmp/match.cms"
report "${rows[$tmp/match.cms]-} cells of ${head[match.rows]-} against ${head[slot.0.cols]-} of ${head[match.cols]-}, $where; $SECONDS seconds"
