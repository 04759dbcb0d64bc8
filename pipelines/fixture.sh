#!/usr/bin/env bash
# fixture.sh - matches whose scores are known beforehand, to test `score` and to frame a table
#
# ROWS, COLUMNS: any streams with the cells of the two sides, true partners of equal name.  random: up to
# 1000 random columns a row, random weights; constant: the first 1000 columns, equal weights.  The other
# two READ THE TRUTH, as nothing else but score may: solution: the partner, 1; semi-solution: the partner
# and 10 random columns, all with random weights.  See fixture.sh(1).
# shellcheck source=pipelines/common.bash
. "$(dirname -- "${BASH_SOURCE[0]}")/common.bash"
# shellcheck source=pipelines/inputs.bash
. "$pipelines/inputs.bash"

about='make a match whose score is known beforehand' options=
operands='random|constant|semi-solution|solution ROWS.cms COLUMNS.cms'
parse "$@" && expect 3
one_of kind "${operand[0]}" random constant semi-solution solution
check_output - "${operand[@]:1}"
for f in "${operand[@]:1}"; do [ -r "$f" ] || die 4 "cannot open '$f'"; done
tables() { table_of "${operand[1]}" "$tmp/1" && table_of "${operand[2]}" "$tmp/2"; }
run tables
names() { awk -F '\t' 'NR > 1 { print $1 }' "$1"; }
names "$tmp/1" >"$tmp/rows"
names "$tmp/2" >"$tmp/columns"
make() { awk -v kind="${operand[0]}" -v seed="${opt[seed]-${SEED:-42}}" '
    function weigh(j) { if (!(j in w)) { at[++k] = j; w[j] = 0 } w[j] += 1 - rand(); }
    BEGIN { srand(seed); OFS = "\t" }
    FILENAME == ARGV[1] { rows[++n] = $0; next }
    { columns[++m] = $0; place[$0] = m }
    END {
        print "#cms", 1 "\n#head", "kind", "match\n#head", "slots", "1\n#head", "slot.0.name", "match"
        print "#head", "slot.0.encoding", "csr\n#head", "slot.0.value", "f32\n#head", "slot.0.state", "probability"
        print "#head", "slot.0.cols", m "\n#head", "match.rows", "GEX\n#head", "match.cols", "ATAC\n#cols", 0, "name"
        for (j = 1; j <= m; j++) print "#cols", 0, columns[j]
        max = m < 1000 ? m : 1000
        for (i = 1; i <= n; i++) {
            split("", w); split("", at); k = 0
            if (kind ~ /solution/ && rows[i] in place) weigh(place[rows[i]])
            if (kind == "constant") for (j = 1; j <= max; j++) { at[++k] = j; w[j] = 1 }
            if (kind == "random") { # a start and a step: distinct columns
                start = int(rand() * m)
                for (j = 0; j < max; j++) weigh((start + j) % m + 1)
            }
            if (kind == "semi-solution") while (k < 11 && k < m) weigh(int(rand() * m) + 1)
            sum = 0
            for (j = 1; j <= k; j++) sum += w[at[j]]
            printf "%s", rows[i]
            for (j = 1; j <= k; j++) printf "\t%s:%.9g", columns[at[j]], w[at[j]] / sum
            print ""
        }
        print "#end"
    }' "$tmp/rows" "$tmp/columns" | stage output cms-text --from; }
run make
