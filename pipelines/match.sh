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

read_inputs "${operand[@]:1:2}"
missing_of() { # VARIABLE: our own preparation takes a feature that is missing as 0 in every cell
    [ "${!1:-}" ] || [ "$missing" = 0 ] || echo '--missing zero'
}
require_features() { # TYPE FILE VARIABLE: names both sides where they do not fit; sets $missing
    names_of "$model" "$1" | LC_ALL=C sort -u 2>/dev/null >"$tmp/model.names"
    LC_ALL=C sort -u "$tmp/$1.names" 2>/dev/null | LC_ALL=C comm -23 "$tmp/model.names" - 2>/dev/null >"$tmp/missing"
    local all text what=
    all=$(wc -l <"$tmp/model.names") missing=$(wc -l <"$tmp/missing")
    text="'$2' has $((all - missing)) of the $all $1 features of the model"
    [ "$all" != "$missing" ] || [ "$all" = 0 ] || die 3 "$text (model: '$(head -n 1 "$tmp/missing")', file: '$(head -n 1 "$tmp/$1.names")')"
    [ "${!3:-}" ] || what='; they count as 0'
    [ "$missing" = 0 ] || warn "$text (missing: '$(head -n 1 "$tmp/missing")')$what"
    [ "$missing" != 0 ] || report "'$2' has all $all $1 features of the model"
}
require_counts LOGNORM "${operand[1]}" "$gex" && require_counts TFIDF "${operand[2]}" "$atac"
require_features GEX "${operand[1]}" LOGNORM
LOGNORM=${LOGNORM:-$own_rna $(missing_of LOGNORM) ${noise[*]}}
require_features "$second" "${operand[2]}" TFIDF
TFIDF=${TFIDF:-$own_other $(missing_of TFIDF) ${noise[*]}}
echo '/: warning: .*; they count as 0$/d' >>"$tmp/called" # what was said above, of each stage
called "$gex" "${operand[1]}" && called "$atac" "${operand[2]}"
called "$tmp/gex.cms" "${operand[1]}" && called "$tmp/atac.cms" "${operand[2]}"
called "$tmp/e.cms" "${operand[1]}" && called "$tmp/t.cms" "${operand[2]}"
case $within in auto | none) ;; *) require_label "$within" "${operand[1]}" "$gex" && require_label "$within" "${operand[2]}" "$atac" ;; esac

prepare_gex() { subject=${operand[1]} && stage LOGNORM $LOGNORM --like "$model" <"$gex" >"$tmp/gex.cms"; }
prepare_atac() { subject=${operand[2]} && stage TFIDF $TFIDF --like "$model" <"$atac" >"$tmp/atac.cms"; }
start prepare_gex && start prepare_atac
finish LOGNORM "$tmp/gex.cms" matrix TFIDF "$tmp/atac.cms" matrix
embed_gex() { subject=${operand[1]} && stage EMBED $EMBED --model "$model" --type GEX <"$tmp/gex.cms" >"$tmp/e.cms"; }
embed_atac() { subject=${operand[2]} && stage EMBED $EMBED --model "$model" --type "$second" <"$tmp/atac.cms" >"$tmp/t.cms"; }
start embed_gex && start embed_atac
finish EMBED "$tmp/e.cms" embedding EMBED "$tmp/t.cms" embedding

sides=("$tmp/e.cms" "$tmp/t.cms") join=() where='all of them candidates'
[ -z "${opt[reverse]:-}" ] || sides=("$tmp/t.cms" "$tmp/e.cms")
case $within in
none) ;;
auto) ! can_join batch "${sides[@]}" || join=(--within batch) ;;
*) can_join "$within" "${sides[@]}" ' and no candidate' || : && join=(--within "$within") ;;
esac
[ ${#join[@]} = 0 ] || where="candidates within the label ${join[1]} ($(uniq "$tmp/rows" | grep -c .) values)"
find_pairs() { stage KNN_MATCH $KNN_MATCH "${join[@]}" "${sides[@]}" >"$tmp/found.cms"; }
score_pairs() { stage XATTN_SCORE $XATTN_SCORE --model "$model" --gex "$tmp/gex.cms" --atac "$tmp/atac.cms" <"$tmp/found.cms" >"$tmp/scored.cms"; }
choose_pairs() { stage ASSIGN $ASSIGN --model "$model" "${join[@]}" <"$tmp/scored.cms" >"$tmp/match.cms"; }
start find_pairs && finish KNN_MATCH "$tmp/found.cms" match
start score_pairs && finish XATTN_SCORE "$tmp/scored.cms" match
start choose_pairs && finish ASSIGN "$tmp/match.cms" match
deliver "$tmp/match.cms"
head_of "$tmp/match.cms"
report "${rows[$tmp/match.cms]-} cells of ${head[match.rows]-} against ${head[slot.0.cols]-} of ${head[match.cols]-}, $where; $SECONDS seconds"
