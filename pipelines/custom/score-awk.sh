#!/bin/sh
# The main metrics of score(1) in awk, by way of text.  An example to copy.
#
#   score-awk.sh MATCH.cms
#
# The truth is equal names on both sides; rows without a namesake are left out.  Prints metric, value and
# standard error as score does.  Equals are in random order: a value is the expectation over it.
set -eu
me=score-awk.sh
case ${1-} in -?*) echo "$me: error: unknown option '$1'" >&2 && exit 2 ;; esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cms-text "${1:--}" >"$tmp/text"
awk -F '\t' '
    function clamp(x) { return x < 0 ? 0 : x > 1 ? 1 : x }
    function line(name, value, share) {
        if (value == "nan") print name "\tnan\t-"
        else printf "%s\t%.9g\t%s\n", name, value, share ? sprintf("%.9g", sqrt(value * (1 - value) / n)) : "-"
    }
    function bad(why) { print "score-awk.sh: error: " why >"/dev/stderr"; failed = 1; exit 3 }
    $1 == "#head" && $2 == "kind" && $3 != "match" { bad("a stream of kind " $3 ", expected a match") }
    $1 == "#head" && $2 == "labels" { labels = $3 }
    $1 == "#head" && $2 ~ /^label\.[0-9]+\.name$/ && $3 == "batch" { split($2, part, "."); label = part[2] + 2 }
    $1 == "#numbers" { bad("the columns have no names") }
    $1 == "#cols" && !headed++ { for (k = 4; k <= NF; k++) if ($k ~ /^batch:/) typed = k; next }
    $1 == "#cols" { m++; partner[$3] = 1; batch = typed ? $typed : ""; group[$3] = batch; size[batch]++; next }
    /^#/ || !($1 in partner) { next }
    {
        n++
        b = typed ? group[$1] : ""
        if (!typed && label) bad("the rows have batches, the columns have none")
        chance += 1 / size[b]
        mass = max = mine = 0
        stored = NF - 1 - labels
        there = 0
        for (k = 2 + labels; k <= NF; k++) {
            match($k, /.*:/) # the value follows the last colon
            name = substr($k, 1, RLENGTH - 1)
            x[k] = substr($k, RLENGTH + 1) + 0
            if (name == $1) { mine = x[k]; there = 1 }
            if (x[k] > 0) mass += x[k]
            if (x[k] > max) max = x[k]
        }
        above = equal = tops = 0
        for (k = 2 + labels; k <= NF; k++) {
            if (there && x[k] > mine) above++
            if (there && x[k] == mine) equal++
            if (x[k] == max) tops++
        }
        rank[n] = there ? above + (equal + 1) / 2 : stored + (m - stored + 1) / 2
        if (there) for (t = 1; t <= 10; t++) top[t] += clamp((t - above) / equal)
        if (mass > 0) {
            probability += (mine > 0 ? mine : 0) / mass
            if (there && mine == max) hard += 1 / tops
        } else empty++
    }
    END {
        if (failed) exit 3
        if (!n) bad("no row has a namesake")
        print "metric\tvalue\tstderr"
        print "cells\t" n "\t-"
        line("chance", chance / n, 0)
        line("match_probability", empty ? "nan" : probability / n, 1)
        print "empty_rows\t" empty + 0 "\t-"
        line("match_probability_filled", probability / n, 1)
        line("match_probability_hard", hard / n, 1)
        line("top1", top[1] / n, 1)
        line("top5", top[5] / n, 1)
        line("top10", top[10] / n, 1)
        for (i = 2; i <= n; i++) { # sorted by insertion
            r = rank[i]
            for (j = i - 1; j > 0 && rank[j] > r; j--) rank[j + 1] = rank[j]
            rank[j + 1] = r
        }
        line("median_rank", (rank[int((n + 1) / 2)] + rank[int(n / 2) + 1]) / 2, 0)
    }' "$tmp/text"
