#!/bin/sh
# lognorm(1) as a stage in awk, by way of text.  An example to copy.
#
#   lognorm-awk.sh [--method seurat|sqrt] [--fit LABEL=VALUE[,VALUE...]] [--like FILE] <counts.cms >out.cms
#
# seurat: ln(1 + 1e4 x / R); sqrt: sqrt(median(R) x / R), the median over the fitted cells with counts.  A
# row of the text is name, labels, column:value ...; all other lines begin with a number sign (cms-text(1)).
# The text is kept in TMPDIR, since the median needs a pass of its own.  A text without its last line is an
# error of cms-text --from, so that nothing that breaks in between makes a whole stream.
set -eu
me=lognorm-awk.sh method='' fit='' like=''
die() { # STATUS MESSAGE
    printf '%s: error: %s\n' $me "$2" >&2
    exit "$1"
}
while [ $# -gt 0 ]; do
    case $1 in --method | --fit | --like) [ "${2-}" ] || die 2 "option '$1' needs a value" ;; esac
    case $1 in
    --method) method=$2 ;;
    --fit) fit=$2 ;;
    --like) like=$2 ;;
    *) die 2 "unknown option '$1'" ;;
    esac
    shift 2
done
[ -z "$like" ] || [ -z "$fit" ] || die 2 '--like applies a fit, --fit makes one'
case $method in '' | seurat | sqrt) ;; *) die 2 "unknown method '$method'; methods: seurat, sqrt" ;; esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

cms-text >"$tmp/text"
of() { awk -F '\t' -v k="$1" '$1 == "#head" && $2 == k { print $3 } !/^#/ { exit }' "$tmp/text"; } # KEY of HEAD
state=$(of slot.0.state)
[ "$(of kind)$(of slots)" = matrix1 ] || die 3 'expected a matrix of one slot'
case $state in
counts) ;;
lognorm | sqrt | tfidf | clr | scaled) die 3 "already normalised (state $state)" ;;
*) die 3 "expected counts, found state $state" ;;
esac

# One line a cell: its total, and whether it is fitted.
awk -F '\t' -v fit="$fit" '
    function bad(why) { print "lognorm-awk.sh: error: " why >"/dev/stderr"; exit 3 }
    BEGIN { at = index(fit, "="); label = substr(fit, 1, at - 1); n = split(substr(fit, at + 1), v, ","); for (k = 1; k <= n; k++) met[v[k]] }
    $1 == "#head" && $2 == "labels" { labels = $3 }
    $1 == "#head" && $2 ~ /^label\.[0-9]+\.name$/ { split($2, part, "."); if ($3 == label) column = part[2] + 2 }
    /^#/ { next }
    fit != "" && !column { bad("no label \"" label "\"") }
    {
        total = 0
        for (k = 2 + labels; k <= NF; k++) { x = $k; sub(/.*:/, "", x); if (x < 0) bad("a negative count"); total += x }
        print total "\t" (fit == "" || $column in met)
    }' "$tmp/text" >"$tmp/totals"
fitted=$(awk '$2' "$tmp/totals" | wc -l)
[ -z "$fit" ] || [ "$fitted" -gt 0 ] || die 3 "no row meets $fit"

if [ "$like" ]; then # as it was fitted for the slot of the same name
    cms-text --head "$like" >"$tmp/like"
    awk -F '\t' -v name="$(of slot.0.name)" '
        $1 ~ /^slot\.[0-9]+\./ { split($1, part, "."); sub(/^slot\.[0-9]+\./, "", $1); v[part[2], $1] = $2; if ($1 == "name" && $2 == name) n = part[2] "" }
        END { if (n == "" || v[n, "fit.tool"] != "lognorm") exit 1
              print v[n, "fit.method"]; print v[n, "fit.scale"]; print v[n, "fit.cells"] }' "$tmp/like" >"$tmp/fit" ||
        die 3 "$like: no fit of lognorm for slot $(of slot.0.name)"
    found=$(sed -n 1p "$tmp/fit") scale=$(sed -n 2p "$tmp/fit") cells=$(sed -n 3p "$tmp/fit")
    [ "${method:-$found}" = "$found" ] || die 2 "--method $method contradicts $like, which was fitted with $found"
    method=$found
    case $method in seurat | sqrt) ;; *) die 3 "$like: method $method is neither seurat nor sqrt" ;; esac
elif [ "${method:=seurat}" = seurat ]; then
    scale=10000 cells=
else
    cells=$fitted
    scale=$(awk '$2 && $1 > 0 { print $1 }' "$tmp/totals" | sort -g |
        awk '{ x[NR] = $1 } END { printf "%.17g", NR ? (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2 : 0 }')
fi

empty=$(awk '$1 == 0' "$tmp/totals" | wc -l)
[ "$empty" = 0 ] || echo "$me: warning: $empty of $(wc -l <"$tmp/totals") cells have no counts; their rows stay zero" >&2
awk -F '\t' -v OFS='\t' -v method="$method" -v scale="$scale" -v cells="$cells" '
    FILENAME == ARGV[1] { total[FNR] = $1; next }
    $1 == "#head" && $2 == "labels" { labels = $3 }
    $1 == "#head" && $2 == "slot.0.state" {
        $3 = method == "sqrt" ? "sqrt" : "lognorm"
        print
        print "#head", "slot.0.fit.tool", "lognorm\n#head", "slot.0.fit.method", method "\n#head", "slot.0.fit.scale", scale
        if (cells != "") print "#head", "slot.0.fit.median", scale "\n#head", "slot.0.fit.cells", cells
        next
    }
    $1 == "#block" { $2 = "f32" }
    !/^#/ {
        row++
        for (k = 2 + labels; k <= NF; k++) {
            match($k, /.*:/) # the value follows the last colon
            column = RSTART ? substr($k, 1, RLENGTH) : ""
            x = substr($k, length(column) + 1)
            if (x != 0) x = scale * x / total[row]
            $k = column sprintf("%.17g", method == "sqrt" ? sqrt(x) : log(1 + x))
        }
    }
    { print }' "$tmp/totals" "$tmp/text" | cms-text --from
