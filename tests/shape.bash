# The shape of a source tree: lengths, parameters, circles.  Sourced by tests/size and tests/figures.
#
# Every function takes the directory of a tree and prints one finding a line, fields separated by tabs.

shape=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

files_of() { (cd "$1" && find lib -name '*.[ch]' | LC_ALL=C sort); }
file_lengths() { files_of "$1" | (cd "$1" && xargs awk 'FNR == 1 && f { print f "\t" n } { f = FILENAME; n = FNR } END { if (f) print f "\t" n }'); }
# FILE LINE NAME LINES PARAMETERS
functions_of() { files_of "$1" | (cd "$1" && xargs awk -f "$shape/functions.awk"); }

# FROM TO: lib/a/x.[ch] includes the header of lib/b/y.  The two files of one name are one unit.
include_edges() {
    (cd "$1" && grep -rE '^[ \t]*#[ \t]*include[ \t]*"' lib --include='*.[ch]') | awk -v OFS='\t' '{
        from = $0
        sub(/\.[ch]:.*/, "", from)
        to = $0
        sub(/^[^"]*"/, "", to)
        sub(/\.h".*/, "", to)
        if (from != "lib/" to) print from, "lib/" to }' | LC_ALL=C sort -u
}
# FROM TO: an object of DIR calls what another one defines.  DIR holds lib/.../x.o; TREE holds lib/.../x.c.
call_edges() { # TREE DIR
    local objects
    objects=$(cd "$2" && find lib -name '*.o' | LC_ALL=C sort | while read -r o; do
        [ ! -e "$1/${o%.o}.c" ] || echo "$o"
    done)
    [ -n "$objects" ] || return 0
    # shellcheck disable=SC2086 # one word a file
    (cd "$2" && nm -A -P $objects) | awk -v OFS='\t' '
        { sub(/\.o:$/, "", $1) }
        $3 ~ /^[TDBRVW]$/ { home[$2] = $1 }
        $3 == "U" { from[++n] = $1; symbol[n] = $2 }
        END { for (k = 1; k <= n; k++) if (symbol[k] in home && home[symbol[k]] != from[k]) print from[k], home[symbol[k]] }' |
        LC_ALL=C sort -u
}
# Reads FROM TO, prints the members of every circle, separated by blanks: what reaches one another.
circles() {
    awk -F '\t' '
        function visit(v,   k, w, line) { # Tarjan
            number[v] = low[v] = ++count
            stack[++height] = v
            on[v] = 1
            for (k = 1; k <= degree[v]; k++) {
                w = next_of[v, k]
                if (!(w in number)) {
                    visit(w)
                    if (low[w] < low[v]) low[v] = low[w]
                } else if (on[w] && number[w] < low[v]) low[v] = number[w]
            }
            if (low[v] != number[v]) return
            line = ""
            do {
                w = stack[height--]
                on[w] = 0
                line = w (line == "" ? "" : " ") line
            } while (w != v)
            if (line ~ / /) print line
        }
        { next_of[$1, ++degree[$1]] = $2; name[++n] = $1 }
        END { for (i = 1; i <= n; i++) if (!(name[i] in number)) visit(name[i]) }' | while read -r line; do
        tr ' ' '\n' <<<"$line" | LC_ALL=C sort | paste -sd ' '
    done | LC_ALL=C sort
}
