# complete.awk - what the last word of a command line may become; the shells' completions ask it
#
# Input: the words after the name of the program, one a line behind a blank, the last one as far as it
# is typed; an empty line; what `PROGRAM --complete-types` prints; an empty line; what `PROGRAM --help` prints.
# Output: lines WORD<tab>DESCRIPTION of all that fits, after a line `:files` where a file name fits.

function offer(word, text) {
    if (word != "" && substr(word, 1, length(current)) == current) print word (text == "" ? "" : "\t" text)
}
# The words of a|b|c that are meant as they stand: FILE and LABEL=VALUE stand for something else.
function offer_words(list, before,   k, n, word) {
    n = split(list, word, "|")
    for (k = 1; k <= n; k++) if (word[k] !~ /[A-Z]/ && word[k] != "") offer(before word[k])
}
function offer_values(name, before) {
    if (type[name] ~ /^(input|state|output|save|outputs|word)$/) print ":files"
    if (metavar[name] ~ /\|/) offer_words(metavar[name], before)
    else if (metavar[name] == "TYPE") offer_words("GEX|ATAC|ADT", before)
}
# An option by its long name or its letter; a letter with its value (-k5) leaves none.
function long_name(word) {
    if (word ~ /^--/) return word in type ? word : ""
    return word ~ /^-[A-Za-z0-9]$/ && word in of_letter ? of_letter[word] : ""
}

part == 0 && $0 == "" { part = 1; next }
part == 0 { word[++words] = substr($0, 2); next }
part == 1 && $0 == "" { part = 2; next }
part == 1 {
    split($0, field, "\t")
    option[++options] = field[1]
    type[field[1]] = field[2]
    metavar[field[1]] = field[3]
    next
}
/^usage: / {
    operands = $0
    if (!sub(/^usage: .*\[options\] */, "", operands)) operands = ""
    next
}
# "  -m, --method a|b  the formula": the description may begin on the next line, and go on there.
/^  (-., |    )--/ {
    name = $0
    sub(/^ *(-., +)?/, "", name)
    sub(/ .*/, "", name)
    if ($0 ~ /^  -/) of_letter[substr($0, 3, 2)] = name
    text = $0
    sub(/^ *(-., +)?--[^ ]+( [^ ]+)? */, "", text)
    if (name in type && type[name] == "flag") { text = $0; sub(/^ *(-., +)?--[^ ]+ */, "", text) }
    about[name] = text
    next
}
/^                    / {
    text = $0
    sub(/^ */, "", text)
    if (name != "") about[name] = about[name] (about[name] == "" ? "" : " ") text
    next
}
{ name = "" }

END {
    current = word[words]
    taken = 0
    for (k = 1; k < words; k++) {
        if (only_operands || word[k] !~ /^-./) { taken++; continue }
        if (word[k] == "--") { only_operands = 1; continue }
        pending = ""
        name = long_name(word[k])
        if (name == "" || type[name] == "flag") continue
        if (++k == words) pending = name
    }
    if (pending != "") {
        offer_values(pending, "")
    } else if (!only_operands && match(current, /^--[a-z0-9-]+=/)) {
        name = substr(current, 1, RLENGTH - 1)
        if (name in type) offer_values(name, name "=")
    } else if (!only_operands && current ~ /^-/) {
        for (k = 1; k <= options; k++) offer(option[k], about[option[k]])
    } else if (operands != "") {
        n = split(operands, operand, " ")
        for (k = m = 1; k <= n; k++) if (operand[k] != "...]" && operand[k] != "...") last = operand[m++] = operand[k]
        at = taken + 1 < m ? operand[taken + 1] : operands ~ /\.\.\./ ? last : ""
        gsub(/[][]|\.\.\./, "", at)
        if (at ~ /^[a-z0-9-]+(\|[a-z0-9-]+)+$/) offer_words(at, "")
        else if (at != "") print ":files"
    }
}
