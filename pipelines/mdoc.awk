# mdoc.awk - a manual page as plain text, where neither man nor mandoc is installed
#
#   awk -f mdoc.awk [-v columns=78] man/tfidf.1
# Knows the macros that the pages of this project use; an unknown one ends it with status 1, so that
# no page shows half of what it says.  Runs in any POSIX awk.

BEGIN {
    if (!columns) columns = 78
    enclosing = " Op [ ] Pq ( ) Dq \" \" Sq ' ' Ql ' ' Aq < > "
    calls = " Fl Ar Cm Pa Ev Em Sy Xr Nm No Ns Po Pc Sx Ta Op Pq Dq Sq Ql Aq Va Li "
}

# ---- text: words gather in `line`, until flush() wraps them at the indentation of the moment ----
function put(word) {
    line = line (line == "" || glue ? "" : " ") word
    glue = 0
}
function pad(n) { return sprintf("%" n "s", "") }
function flush(   rest, width, cut) {
    rest = line
    line = ""
    glue = 0
    width = columns - indent
    while (rest != "") {
        if (blank && printed) print ""
        blank = 0
        printed = 1
        cut = length(rest)
        if (cut > width) {
            for (cut = width + 1; cut > 0 && substr(rest, cut, 1) != " "; cut--) {}
            if (!cut) cut = index(rest, " ") ? index(rest, " ") : length(rest)
        }
        print pad(indent) substr(rest, 1, substr(rest, cut, 1) == " " ? cut - 1 : cut)
        rest = substr(rest, cut + 1)
    }
}
function paragraph() { flush(); blank = 1 }
function verbatim(text) {
    if (blank && printed) print ""
    blank = 0
    printed = 1
    sub(/ +$/, "", text)
    print (text == "" ? "" : pad(indent) text)
}
function plain(text,   out, at, name) {
    out = ""
    while (at = index(text, "\\")) {
        out = out substr(text, 1, at - 1)
        text = substr(text, at + 1)
        name = substr(text, 1, 1)
        if (name == "(") {
            name = substr(text, 2, 2)
            if (!(name in glyph)) fail("escape \\(" name)
            out = out glyph[name]
            text = substr(text, 4)
            continue
        }
        if (name == "e") out = out "\\"
        else if (name == "-" || name == " ") out = out name
        else if (name != "&") fail("escape \\" name)
        text = substr(text, 2)
    }
    return out text
}
BEGIN {
    split("dq \" aq ' ti ~ ha ^ ga ` em -- en - :o o lq \" rq \"", g, " ")
    for (k = 1; k in g; k += 2) glyph[g[k]] = g[k + 1]
}
function fail(what) {
    printf "mdoc.awk: error: %s:%d: unknown %s\n", FILENAME, FNR, what >"/dev/stderr"
    failed = 1
    exit 1
}

# ---- macros ------------------------------------------------------------------------------------
# Sets word[1..words] and quoted[] from a macro line.
function cut_words(text,   at) {
    words = 0
    while (1) {
        sub(/^[ \t]+/, "", text)
        if (text == "") return
        words++
        quoted[words] = substr(text, 1, 1) == "\""
        if (quoted[words]) {
            text = substr(text, 2)
            at = index(text, "\"")
            if (!at) at = length(text) + 1
        } else {
            at = match(text, /[ \t]/) ? RSTART : length(text) + 1
        }
        word[words] = substr(text, 1, at - 1)
        text = substr(text, at + 1)
    }
}
function closing(k) { return !quoted[k] && word[k] ~ /^[].,:;?!)]$/ }
function opening(k) { return !quoted[k] && word[k] ~ /^[[(]$/ }
function callable(k) { return !quoted[k] && index(calls, " " word[k] " ") }
function argument(k) { return k <= last && !callable(k) && !closing(k) }

# The words from `k` on, of a line that begins with a macro (or, of .It and .Sh, with text).
function say(k,   last_word, ends, macro, at, pair) {
    last_word = words
    while (last_word > k && closing(last_word)) last_word--
    last = last_word
    ends = ""
    macro = ""
    for (; k <= last; k++) {
        if (!callable(k)) {
            if (closing(k)) glue = 1
            put((macro == "Fl" && !closing(k) && !opening(k) ? "-" : "") plain(word[k]))
            if (opening(k)) glue = 1
            continue
        }
        macro = word[k]
        at = index(enclosing, " " macro " ")
        if (at) {
            split(substr(enclosing, at + 1), pair, " ")
            put(pair[2])
            glue = 1
            ends = pair[3] ends
        } else if (macro == "Xr") {
            put(word[k + 1] "(" word[k + 2] ")")
            k += 2
        } else if (macro == "Ns") {
            glue = 1
        } else if (macro == "Po") {
            put("(")
            glue = 1
        } else if (macro == "Pc") {
            glue = 1
            put(")")
        } else if (macro == "Ta") {
            column++
            while (length(line) < tab[depth, column]) line = line " "
            put("")
        } else if (!argument(k + 1)) {
            if (macro == "Nm") put(name)
            else if (macro == "Fl") put("-")
            else if (macro == "Ar") put("file ...")
        }
    }
    if (ends != "") {
        glue = 1
        put(ends)
    }
    for (; k <= words; k++) {
        glue = 1
        put(word[k])
    }
}

function item(   k) {
    flush()
    indent = base[depth]
    if (!compact[depth] && kind[depth] != "column") blank = 1
    if (kind[depth] == "column") {
        column = 0
        say(2)
        verbatim(line)
        line = ""
    } else if (kind[depth] == "tag") {
        say(2)
        flush()
        indent += 6
    } else if (kind[depth] != "item") {
        put(kind[depth] == "enum" ? ++number[depth] "." : "o")
    }
}
function list(   k) {
    flush()
    depth++
    outdent[depth] = word[2] == "-enum" || word[2] == "-bullet" ? 2 : 0
    base[depth] = indent + outdent[depth]
    kind[depth] = substr(word[2], 2)
    number[depth] = compact[depth] = 0
    blank = 1
    tab[depth, 1] = 0
    for (k = 3; k <= words; k++) {
        if (word[k] == "-compact") compact[depth] = 1
        if (kind[depth] == "column") tab[depth, k - 2] = tab[depth, k - 3] + length(plain(word[k])) + 2
    }
}

/^[.']\\"/ { next }
literal && !/^\./ { verbatim(plain($0)); next }
!/^\./ {
    if ($0 ~ /^[ \t]*$/) paragraph()
    else put(plain($0))
    next
}
{
    cut_words(substr($0, 2))
    if (!words) next
    m = word[1]
    if (m == "Dd" || m == "Os") next
    if (m == "Dt") {
        verbatim(word[2] "(" word[3] ")")
        next
    }
    if (m == "Sh") {
        paragraph()
        indent = 0
        section = substr($0, 5)
        put(section)
        flush()
        indent = 5
    } else if (m == "Ss") {
        paragraph()
        indent = 2
        say(2)
        flush()
        indent = 5
    } else if (m == "Pp") paragraph()
    else if (m == "Nd") put("- " plain(substr($0, 5)))
    else if (m == "Bl") list()
    else if (m == "It") item()
    else if (m == "El") {
        flush()
        indent = base[depth] - outdent[depth]
        depth--
        blank = 1
    } else if (m == "Bd") {
        paragraph()
        literal = 1
        shift = $0 ~ /-offset/ ? 6 : 0
        indent += shift
    } else if (m == "Ed") {
        indent -= shift
        literal = 0
        blank = 1
    } else if (m == "Dl") {
        flush()
        indent += 6
        verbatim(plain(substr($0, 5)))
        indent -= 6
    } else if (m == "Rs") paragraph()
    else if (m == "Re") {
        glue = 1
        put(".")
        flush()
    } else if (substr(m, 1, 1) == "%") {
        if (authors && m == "%A") put("and") # two at most
        else if (line != "") {
            glue = 1
            put(",")
        }
        authors = m == "%A"
        put(m == "%T" ? "\"" plain(substr($0, 5)) "\"" : plain(substr($0, 5)))
    } else {
        if (m == "Nm") {
            if (words > 1 && name == "") name = word[2]
            if (section == "SYNOPSIS") flush()
        }
        if (!callable(1)) fail("macro ." m)
        say(1)
    }
}
END {
    if (!failed) flush()
    exit failed
}
