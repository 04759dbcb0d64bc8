# The name of the input that is nearest to `word`, at most a third of its letters away: "did you mean".
# Letters that differ are counted as by Levenshtein; - and _ and . are ignored.
function plain(s) { gsub(/[-_.]/, "", s); return tolower(s) }
function min(a, b) { return a < b ? a : b }
function distance(a, b,    i, j, d) {
    for (j = 0; j <= length(b); j++) d[0, j] = j
    for (i = 1; i <= length(a); i++) {
        d[i, 0] = i
        for (j = 1; j <= length(b); j++)
            d[i, j] = min(min(d[i - 1, j], d[i, j - 1]) + 1, d[i - 1, j - 1] + (substr(a, i, 1) != substr(b, j, 1)))
    }
    return d[length(a), length(b)]
}
{
    n = distance(plain(word), plain($0))
    if (n <= length(word) / 3 && (!found || n < best)) { best = n; name = $0; found = 1 }
}
END { if (found) print name }
