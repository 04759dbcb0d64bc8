#!/usr/bin/env bash
# match.sh - which ATAC cell belongs to which RNA cell, by a trained model
#
#   match.sh [--reverse] MODEL.cms GEX ATAC MATCH.cms
# Rows are the cells of GEX (with --reverse of ATAC), values match probabilities; inputs as in
# train.sh.  WITHIN=auto: candidates only within the label `batch`, if both sides have it and every
# value of the rows is among those of the columns; WITHIN=none; WITHIN=LABEL.  LOGNORM, TFIDF (called
# `$LOGNORM --like MODEL <in >out`), EMBED, KNN_MATCH (`$KNN_MATCH [--within LABEL] E T >out`),
# XATTN_SCORE and ASSIGN in the environment replace a stage; SECOND names another slot than ATAC.
# shellcheck source=pipelines/common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

synopsis='[--reverse] MODEL.cms GEX ATAC MATCH.cms'
reverse=
while [ $# -gt 0 ]; do
    case $1 in
    --reverse) reverse=1 && shift ;;
    -h | --help) echo "usage: $me $synopsis" && exit ;;
    --) shift && break ;;
    -*) usage "$synopsis" ;;
    *) break ;;
    esac
done
[ $# = 4 ] || usage "$synopsis"
model=$1
LOGNORM=${LOGNORM:-lognorm} TFIDF=${TFIDF:-tfidf} EMBED=${EMBED:-embed --by-name}
KNN_MATCH=${KNN_MATCH:-knn-match} ASSIGN=${ASSIGN:-assign}

read_inputs "$2" "$3"
embed_gex() { $LOGNORM --like "$model" <"$gex" | tee "$tmp/gex.cms" | $EMBED --model "$model" --type GEX >"$tmp/e.cms"; }
embed_atac() { $TFIDF --like "$model" <"$atac" | tee "$tmp/atac.cms" | $EMBED --model "$model" --type "${SECOND:-ATAC}" >"$tmp/t.cms"; }
both embed_gex embed_atac

sides=("$tmp/e.cms" "$tmp/t.cms") within=()
[ -z "$reverse" ] || sides=("$tmp/t.cms" "$tmp/e.cms")
shared() { # LABEL
    has_label "$tmp/e.cms" "$1" && has_label "$tmp/t.cms" "$1" || return 1
    values "${sides[0]}" "$1" >"$tmp/rows" && values "${sides[1]}" "$1" >"$tmp/columns"
    [ -s "$tmp/rows" ] && [ -z "$(LC_ALL=C comm -23 "$tmp/rows" "$tmp/columns")" ]
}
case ${WITHIN:-auto} in
none) ;;
auto) if shared batch; then within=(--within batch); fi ;;
*) within=(--within "$WITHIN") ;;
esac
rerank() { cat; }
if [ -n "${XATTN_SCORE:-}" ] || command -v xattn-score >/dev/null; then
    rerank() { ${XATTN_SCORE:-xattn-score --by-name} --model "$model" --gex "$tmp/gex.cms" --atac "$tmp/atac.cms"; }
fi
$KNN_MATCH "${within[@]}" "${sides[@]}" | rerank | $ASSIGN --model "$model" "${within[@]}" >"$tmp/match.cms"
deliver "$tmp/match.cms" "$4"
