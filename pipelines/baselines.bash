# One row of baselines.sh: prepare, train, match, score; sourced by it, never run.
#
# Uses its variables: dir, seed, join, noise, and the streams $tmp/{gex,atac}.{train,test}.cms.  A
# preparation is fitted once for all methods that use it, and is kept under the name of its options.
# shellcheck shell=bash disable=SC2154

wanted() { [ -z "${RIVALS:-}" ] || [[ " $RIVALS " = *" $1 "* ]]; }
score_it() { step score "${@:2}" "$1" >"$tmp/score"; }
line() { # NAME MATCH SECONDS MIB [--embeddings E T]: a row of the table
    run score_it "$2" "${@:5}"
    awk -F '\t' -v OFS='\t' -v name="$1" -v s="$3" -v mib="$4" '{ v[$1] = $2 } function f(k) { return k in v ? sprintf("%.4f", v[k]) : "-" }
        END { print name, f("match_probability_filled"), f("match_probability_hard"), f("top5"), f("foscttm"), f("aupr"), s, mib }' "$tmp/score" >"$tmp/line"
    show "$tmp/line"
}
prepare() { # RNA ATAC NAME
    step lognorm $1 --fit split=train -o "$tmp/$3.gex" "$tmp/gex.train.cms"
    step tfidf $2 --fit split=train -o "$tmp/$3.atac" "$tmp/atac.train.cms"
}
learn() { # TRAINER MODEL: status 3, data that the method cannot take, is a result
    local status=0
    $1 -v "${fixed[@]}" -o "$2" 2>"$tmp/log" || status=$?
    if [ $status = 3 ]; then grep -m 1 error: "$tmp/log" >"$tmp/cannot" && cat >/dev/null; else
        [ $status = 0 ] || { grep -E '^[^ ]*: (error|warning): ' "$tmp/log" >&2 || :; } && return $status
    fi
}
train_one() { # NAME PREPARATION BATCH EPOCHS TRAINER
    step batch -q "${fixed[@]}" --size "$3" --epochs "$4" "${join[@]}" "$tmp/$2.gex" "$tmp/$2.atac" | stage "$1" learn "$5" "$dir/$1.model.cms"
}
match_one() { # NAME
    local m=$dir/$1
    step lognorm --like "$m.model.cms" -o "$tmp/now.gex" "$tmp/gex.test.cms"
    step tfidf --like "$m.model.cms" -o "$tmp/now.atac" "$tmp/atac.test.cms"
    step embed --by-name --model "$m.model.cms" -o "$m.e.cms" "$tmp/now.gex"
    step embed --by-name --model "$m.model.cms" -o "$m.t.cms" "$tmp/now.atac"
    step knn-match "${join[@]}" --similarities "$m.e.cms" "$m.t.cms" |
        step xattn-score --by-name --model "$m.model.cms" --gex "$tmp/now.gex" --atac "$tmp/now.atac" -o "$tmp/similar"
    step assign "${join[@]}" --sharp --model "$m.model.cms" -o "$m.match.cms" "$tmp/similar"
}
published() { step assign "${join[@]}" $1 -o "$tmp/published" "$tmp/similar"; }
baseline() { # NAME RNA ATAC BATCH EPOCHS TRAINER [PUBLISHED-RULE]
    local name=$1 epochs=EPOCHS_${1//-/_} m=$dir/$1 prep=${2// /_}+${3// /_} cost
    wanted "$name" || return 0
    called "$tmp/$prep.gex" "${operand[1]}" && called "$tmp/$prep.atac" "${operand[2]}"
    [ -e "$tmp/$prep.atac" ] || run prepare "$2" "$3" "$prep"
    rm -f "$tmp/cannot"
    run train_one "$name" "$prep" "$4" "${!epochs:-$5}" "$6"
    if [ -e "$tmp/cannot" ]; then
        warn "$name: $(sed 's/: error: /: /' "$tmp/cannot")"
        printf '%s\t-\t-\t-\t-\t-\t-\t-\n' "$name" >"$tmp/line" && show "$tmp/line"
        return 0
    fi
    run match_one "$name"
    cost=$(awk '/of processor time/ { s = $2; for (k = 1; k <= NF; k++) if ($k == "MiB") mib = $(k - 1) } END { printf "%.1f\t%.0f", s, mib }' "$tmp/log")
    line "$name" "$m.match.cms" "${cost%$'\t'*}" "${cost#*$'\t'}" --embeddings "$m.e.cms" "$m.t.cms"
    [ -n "${7:-}" ] || return 0
    run published "$7"
    line "$name+${7##* }" "$tmp/published" - - # the matching rule published with it
}
