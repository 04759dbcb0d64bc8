# What one row of rivals.sh is; sourced by it, never run.
#
# Uses its variables: dir, seed, threads, within, and the streams $tmp/{gex,atac}.{train,test}.cms.  A
# preparation is fitted once for all methods that want it, and is kept under the name of its options.
# shellcheck shell=bash disable=SC2154

wanted() { [ -z "${RIVALS:-}" ] || [[ " $RIVALS " = *" $1 "* ]]; }
line() { # NAME MATCH SECONDS MIB [--embeddings E T]: a row of the table
    score "${@:5}" "$2" >"$tmp/score" 2>"$tmp/err" || { cat "$tmp/err" >&2 && return 1; }
    awk -F '\t' -v OFS='\t' -v name="$1" -v s="$3" -v mib="$4" '{ v[$1] = $2 } function f(k) { return k in v ? sprintf("%.4f", v[k]) : "-" }
        END { print name, f("match_probability_filled"), f("match_probability_hard"), f("top5"), f("foscttm"), f("aupr"), s, mib }' "$tmp/score"
}
rival() { # NAME RNA ATAC BATCH EPOCHS TRAINER [PUBLISHED-RULE]
    local name=$1 epochs=EPOCHS_${1//-/_} m=$dir/$1 prep=${2// /_}+${3// /_} ref
    wanted "$name" || return 0
    if [ ! -e "$tmp/$prep.gex" ]; then
        lognorm $2 --fit split=train -o "$tmp/$prep.gex" "$tmp/gex.train.cms"
        tfidf $3 --fit split=train -o "$tmp/$prep.atac" "$tmp/atac.train.cms"
    fi
    batch -q --seed "$seed" --size "$4" --epochs "${!epochs:-$5}" "${within[@]}" "$tmp/$prep.gex" "$tmp/$prep.atac" |
        $6 -v --seed "$seed" $threads -o "$m.model.cms" 2>"$tmp/said" || {
        [ $? = 3 ] || die 4 "$name: $(tail -n 1 "$tmp/said")"
        echo "rivals.sh: $name: $(grep -m 1 error: "$tmp/said")" >&2 # cannot take such data: dashes
        printf "$name\t-\t-\t-\t-\t-\t-\t-\n"
        return 0
    }
    lognorm --like "$m.model.cms" -o "$tmp/now.gex" "$tmp/gex.test.cms"
    tfidf --like "$m.model.cms" -o "$tmp/now.atac" "$tmp/atac.test.cms"
    embed --by-name --model "$m.model.cms" -o "$m.e.cms" "$tmp/now.gex"
    embed --by-name --model "$m.model.cms" -o "$m.t.cms" "$tmp/now.atac"
    knn-match "${within[@]}" --similarities "$m.e.cms" "$m.t.cms" |
        xattn-score --by-name --model "$m.model.cms" --gex "$tmp/now.gex" --atac "$tmp/now.atac" -o "$tmp/similar"
    assign "${within[@]}" --sharp --model "$m.model.cms" -o "$m.match.cms" "$tmp/similar"
    ref=$(awk '/of processor time/ { s = $2; for (k = 1; k <= NF; k++) if ($k == "MiB") mib = $(k - 1) } END { printf "%.1f\t%.0f", s, mib }' "$tmp/said")
    line "$name" "$m.match.cms" "${ref%$'\t'*}" "${ref#*$'\t'}" --embeddings "$m.e.cms" "$m.t.cms"
    [ -n "${7:-}" ] || return 0
    assign "${within[@]}" $7 -o "$tmp/published" "$tmp/similar"
    line "$name+${7##* }" "$tmp/published" - - # the rule that was published with it
}
