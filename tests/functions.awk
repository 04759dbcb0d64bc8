# functions.awk - the functions of C files: FILE, LINE, NAME, LINES, PARAMETERS, separated by tabs.
#
# Reads clang-formatted C, in which what stands between two braces of depth 0 is a declarator.  A
# function is as long as its lines from the first of its declarator to its closing brace.

# The line without comments and without what stands in quotes.
function code(line,   out, at) {
    out = ""
    while (line != "") {
        if (comment) {
            at = index(line, "*/")
            if (!at) return out
            line = substr(line, at + 2)
            comment = 0
        }
        if (!match(line, /"|'|\/\*|\/\//)) return out line
        out = out substr(line, 1, RSTART - 1)
        at = substr(line, RSTART, RLENGTH)
        line = substr(line, RSTART)
        if (at == "//") return out
        if (at == "/*") {
            comment = 1
            line = substr(line, 3)
        } else if (at == "\"") {
            if (!match(line, /^"([^"\\]|\\.)*"/)) return out
            line = substr(line, RLENGTH + 1)
            out = out "\"\""
        } else {
            if (!match(line, /^'([^'\\]|\\.)[^']*'/)) return out
            line = substr(line, RLENGTH + 1)
            out = out "0"
        }
    }
    return out
}

# The name and the number of parameters of a declarator such as `static int *f(int a, void (*g)(int))`.
function open_function(text,   at, deep, k, c) {
    gsub(/__attribute__ *\(\(([^()]|\([^()]*\))*\)\)/, "", text)
    at = match(text, /[A-Za-z_][A-Za-z0-9_]*[ ]*\(/)
    if (!at || text ~ /=/) return 0
    name = substr(text, RSTART, RLENGTH)
    sub(/[ ]*\($/, "", name)
    text = substr(text, RSTART + RLENGTH)
    parameters = 1
    deep = 1
    for (k = 1; deep && k <= length(text); k++) {
        c = substr(text, k, 1)
        if (c == "(") deep++
        if (c == ")") deep--
        if (c == "," && deep == 1) parameters++
    }
    if (text ~ /^(void)?[ ]*\)/) parameters = 0
    return 1
}

FNR == 1 { depth = comment = macro = inside = 0; text = "" }
{
    line = code($0)
    if (macro || line ~ /^[ \t]*#/) {
        macro = $0 ~ /\\$/
        next
    }
    while (line != "") {
        if (depth) {
            if (!match(line, /[{}]/)) break
            depth += substr(line, RSTART, 1) == "{" ? 1 : -1
            line = substr(line, RSTART + 1)
            if (!depth && inside) {
                printf "%s\t%d\t%s\t%d\t%d\n", FILENAME, first, name, FNR - first + 1, parameters
                inside = 0
            }
            continue
        }
        if (text ~ /^ *$/ && line !~ /^[ ;]*$/) first = FNR
        if (!match(line, /[{};]/)) {
            text = text line " "
            break
        }
        text = text substr(line, 1, RSTART - 1)
        mark = substr(line, RSTART, 1)
        line = substr(line, RSTART + 1)
        if (mark == "{") {
            depth = 1
            inside = open_function(text)
        }
        text = ""
    }
}
