# How the pipelines read their two inputs, and what they hold against each other; sourced, never run.
# shellcheck shell=bash

# What reads FILE: nothing (a stream), mtx-read or h5-read; its content decides where the name does not.
reader_of() { # FILE
    if [ -d "$1" ] || [[ $1 = *.mtx || $1 = *.mtx.gz ]]; then echo mtx-read
    elif [[ $1 = *.cms ]] || [ "$(head -c 4 -- "$1" | od -An -tx1 | tr -d ' ')" = 28b52ffd ]; then echo
    else echo h5-read; fi
}
keep() { stage input cat -- "$1" >"$2"; }
# What can be read only once, standard input (-) or a pipe, is kept.
given_one() { # SIDE FILE: sets $input
    input=$2
    [ "$2" != - ] || set -- "$1" "/dev/fd/$in"
    [[ -e $2 || $2 != *.h5mu/* ]] || set -- "$1" "${2%.h5mu/*}.h5mu"
    [ -e "$2" ] || die 4 "cannot open '$2': there is no such file"
    [ -r "$2" ] || die 4 "cannot open '$2': it may not be read"
    [ ! -p "$2" ] && [ "$input" != - ] && return
    input=$tmp/$1.given
    run keep "$2" "$input"
}
# A file of one type tells what it is; TYPE chooses among several, and names what does not say.
read_one() { # TYPE FILE
    local reader status=2 out=$tmp/$1.read.cms said=$tmp/said.$1 slot=
    reader=$(reader_of "$2")
    if [[ $2 != *.h5mu ]]; then
        status=0
        "$reader" "${noise[@]}" -o "$out" -- "$2" 2>"$said" || status=$?
        [ $status != 0 ] || slot=$(cms-text --head "$out" | awk -F '\t' '$1 == "slot.0.name" { print $2 }')
    fi
    if [ $status = 2 ] || [ "$slot" = X ]; then
        stage "$reader" "$reader" "${noise[@]}" --type "$1" -o "$out" -- "$2"
    elif [ $status != 0 ]; then
        stage "$reader" fail_as $status "$said"
    else
        cat "$said" >&$err || :
    fi
}
fail_as() { cat "$2" >&2 && return "$1"; }
read_two() { # FILE: both types at once
    local reader
    reader=$(reader_of "$1")
    stage "$reader" "$reader" "${noise[@]}" --to GEX="$tmp/GEX.read.cms" --to "$second=$tmp/$second.read.cms" -- "$1"
}
read_inputs() { # GEX ATAC: sets $gex and $atac, streams of them; a file of both is read once
    second=${SECOND:-ATAC}
    given_one GEX "$1" && gex=$input
    [ "$1$2" != -- ] || misused "standard input ('-') can be read only once"
    if [ "$1" = "$2" ]; then atac=$gex; else given_one "$second" "$2" && atac=$input; fi
    if [ "$gex" = "$atac" ] && [ "$(reader_of "$gex")" ]; then
        run read_two "$gex"
        gex=$tmp/GEX.read.cms atac=$tmp/$second.read.cms
    else
        [ -z "$(reader_of "$gex")" ] || { start read_one GEX "$gex" && gex=$tmp/GEX.read.cms; }
        [ -z "$(reader_of "$atac")" ] || { start read_one "$second" "$atac" && atac=$tmp/$second.read.cms; }
        finish
    fi
    check_side GEX "$1" "$gex" 'GEX file first'
    check_side "$second" "$2" "$atac" "$second file second"
}
names_of() { # STREAM [SLOT]: its features
    cms-text --cols -- "$1" | awk -F '\t' -v slot="${2:-}" '
        $1 == "#slot" { on = $2 == slot; head = 1; next }
        NR == 1 { head = on = 1 }
        head { head = 0; next }
        on { print $1 }'
}
check_side() { # TYPE FILE STREAM ORDER: a matrix, and not of the other side
    local slot regions twice
    require_kind matrix "$3"
    slot=$(key slot.0.name)
    case $slot in
    "$1") ;;
    GEX | ATAC | ADT) die 3 "$4: '$2' holds $slot" ;;
    esac
    names_of "$3" >"$tmp/$1.names"
    regions=$(awk '/^[^ ]+[:_-][0-9]+[-_][0-9]+$/ { n++ } END { print (NR && n > .9 * NR) ? "ATAC" : "" }' "$tmp/$1.names")
    [ -z "$regions" ] || [ "$1" != GEX ] || die 3 "$4: '$2' holds ATAC (its features are regions: '$(head -n 1 "$tmp/$1.names")')"
    twice=$(LC_ALL=C sort "$tmp/$1.names" | uniq -d)
    [ -z "$twice" ] || die 3 "'$2': the feature name '${twice%%$'\n'*}' occurs twice ($(wc -l <<<"$twice") names do); a model finds features by name"
}

label_names() { awk -F '\t' '$1 ~ /^label[.][0-9]+[.]name$/ { print $2 }' "$tmp/head"; }
has_label() { # STREAM LABEL
    head_of "$1"
    label_names | grep -qxF -e "$2"
}
table_of() { stage cms-text cms-text --labels -- "$1" >"$2"; }
values() { # STREAM LABEL FILE: the sorted values of the rows, one a row; an empty line where there is none
    run table_of "$1" "$tmp/labels"
    awk -F '\t' -v l="$2" '
        NR == 1 { for (k = 2; k <= NF; k++) if ($k == l) at = k; next }
        { print at ? $at : "" }' "$tmp/labels" | LC_ALL=C sort >"$3"
}
# Both sides have LABEL for every cell, and the rows no value that the columns lack; else says why.
can_join() { # LABEL ROWS COLUMNS [WHAT-FOLLOWS]
    local side none
    has_label "$2" "$1" && has_label "$3" "$1" || return 1
    values "$2" "$1" "$tmp/rows"
    values "$3" "$1" "$tmp/columns"
    for side in rows columns; do
        none=$(grep -cx '' "$tmp/$side" || :)
        [ "$none" = 0 ] && continue
        warn "label '$1': $none of $(wc -l <"$tmp/$side") cells of the $side have no value${4-, so it restricts nothing}"
        return 1
    done
    [ -s "$tmp/rows" ] && [ -z "$(LC_ALL=C comm -23 <(uniq "$tmp/rows") <(uniq "$tmp/columns"))" ]
}
require_label() { # LABEL FILE STREAM
    has_label "$3" "$1" || die 3 "'$2' has no label '$1'; it has: $(label_names | paste -sd , | sed 's/,/, /g')"
}
