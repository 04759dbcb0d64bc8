# How the pipelines read their two inputs, and what they hold against each other; sourced, never run.
# shellcheck shell=bash

# What reads FILE: nothing (a stream), mtx-read or h5-read; its content decides where the name does not.
reader_of() { # FILE
    if [ -d "$1" ] || [[ $1 = *.mtx || $1 = *.mtx.gz ]]; then echo mtx-read
    elif [[ $1 = *.h5mu/* ]]; then echo h5-read
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
# A file of one type tells what it is; TYPE chooses among several, and names what does not say.  Type
# `second` is ATAC, or ADT where a file of several types has that and no ATAC.
read_one() { # TYPE FILE
    local reader status=2 out=$tmp/$1.read.cms said='' slot='' type=$1
    reader=$(reader_of "$2")
    if [[ $2 != *.h5mu ]]; then
        status=0
        said=$("$reader" "${noise[@]}" -o "$out" -- "$2" 2>&1) || status=$? # TMPDIR may be full
        [ $status != 0 ] || slot=$(slot_of "$out")
    fi
    if [ $status = 2 ] || [ "$slot" = X ]; then
        [ "$type" != second ] || type=$(second_type "$reader" "$2")
        stage "$reader" "$reader" "${noise[@]}" --type "$type" -o "$out" -- "$2"
    elif [ $status != 0 ]; then
        stage "$reader" fail_as $status "$said"
    else
        [ -z "$said" ] || printf '%s\n' "$said" >&$err || :
    fi
}
fail_as() { printf '%s\n' "$2" >&2 && return "$1"; }
second_type() { # READER FILE
    if ! "$1" -q --type ATAC -- "$2" >/dev/null 2>&1 && "$1" -q --type ADT -- "$2" >/dev/null 2>&1; then echo ADT; else echo ATAC; fi
}
read_two() { # FILE: both types at once
    local reader type=$second
    reader=$(reader_of "$1")
    [ "$type" != second ] || type=$(second_type "$reader" "$1")
    stage "$reader" "$reader" "${noise[@]}" --to GEX="$tmp/GEX.read.cms" --to "$type=$tmp/$second.read.cms" -- "$1"
}
# Sets $gex and $atac, streams of them, and $second, the slot of the second file: SECOND, or what it
# holds, ATAC or ADT; a file of both types is read once.
read_inputs() { # GEX ATAC
    second=${SECOND:-second}
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
    if [ "$second" = second ]; then
        require_kind matrix "$atac"
        second=${head[slot.0.name]-}
        [ "$second" = ADT ] || second=ATAC
    fi
    check_side "$second" "$2" "$atac" "$second file second"
}
# What a preset of xattn-train is, from the trainer itself.
presets() {
    [[ $(xattn-train --help) =~ --preset\ ([a-z|]+) ]] && printf '%s\n' "${BASH_REMATCH[1]//|/ }"
}
declare -A setting=()
preset_of() { # [NAME]: sets $preset and setting[]
    xattn-train ${1:+--preset "$1"} --show >"$tmp/preset"
    read_tsv "$tmp/preset" setting
    preset=${setting[hp.preset]-}
}
schedule_for() { # CELLS GEX ATAC: sets $schedule, the words of `batch` for so many cells to train and validate
    local size
    schedule=${setting[schedule]-}
    for size in large huge; do
        [ "$1" -lt "${setting[schedule.$size.above]-}" ] || schedule=${setting[schedule.$size]-}
    done
    [ "$schedule" = "${setting[schedule]-}" ] || ! can_join batch "$2" "$3" || schedule+=' --within batch'
}
# What awk and sort say of a TMPDIR that is full is said by `clean`.
names_of() { # STREAM [SLOT]: its features
    cms-text --cols -- "$1" | awk -F '\t' -v slot="${2:-}" '
        $1 == "#slot" { on = $2 == slot; head = 1; next }
        NR == 1 { head = on = 1 }
        head { head = 0; next }
        on { print $1 }' 2>/dev/null
}
check_side() { # TYPE FILE STREAM ORDER: a matrix, and not of the other side
    local regions twice
    require_kind matrix "$3"
    case ${head[slot.0.name]-} in
    "$1") ;;
    GEX | ATAC | ADT) die 3 "$4: '$2' holds ${head[slot.0.name]-}" ;;
    esac
    names_of "$3" >"$tmp/$1.names"
    awk -v twice="$tmp/twice" '
        BEGIN { printf "" >twice }
        /^[^ ]+[:_-][0-9]+[-_][0-9]+$/ { n++ }
        seen[$0]++ == 1 { print >twice }
        END { print (NR && n > .9 * NR) }' "$tmp/$1.names" 2>/dev/null >"$tmp/regions"
    read -r regions <"$tmp/regions"
    [ "$regions" = 0 ] || [ "$1" != GEX ] || die 3 "$4: '$2' holds ATAC (its features are regions: '$(head -n 1 "$tmp/$1.names")')"
    [ ! -s "$tmp/twice" ] || twice=$(LC_ALL=C sort "$tmp/twice") && [ -z "${twice:-}" ] || die 3 "'$2': the feature name '${twice%%$'\n'*}' occurs twice ($(wc -l <<<"$twice") of its names are repeated); a model finds features by name"
}

label_names() { # those of head[], one a line
    local k
    for ((k = 0; k < ${head[labels]:-0}; k++)); do printf '%s\n' "${head[label.$k.name]-}"; done
}
has_label() { # STREAM LABEL
    local k
    head_of "$1"
    for ((k = 0; k < ${head[labels]:-0}; k++)); do [ "${head[label.$k.name]-}" != "$2" ] || return 0; done
    return 1
}
table_of() { stage cms-text cms-text --labels -- "$1" >"$2"; }
declare -A tables=()
labels_of() { # STREAM...: their rows' names and labels, once; tables[STREAM] is the file
    local f
    for f; do
        [ -z "${tables[$f]-}" ] || continue
        tables[$f]=$tmp/table.${#tables[@]}
        start table_of "$f" "${tables[$f]}"
    done
    [ ${#jobs[@]} = 0 ] || finish
}
values() { # STREAM LABEL FILE: the sorted values of the rows, one a row; an empty line where there is none
    labels_of "$1"
    awk -F '\t' -v l="$2" '
        NR == 1 { for (k = 2; k <= NF; k++) if ($k == l) at = k; next }
        { print at ? $at : "" }' "${tables[$1]}" | LC_ALL=C sort 2>/dev/null >"$3"
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
require_counts() { # VARIABLE FILE STREAM: our own preparation begins with counts
    local state hint=
    [ ! -v "$1" ] || [ -z "${!1}" ] || return 0
    head_of "$3"
    state=${head[slot.0.state]-}
    case $state in counts | unknown | binary) return 0 ;; esac
    case $(reader_of "$2") in
    h5-read) hint="; if a layer has them: h5-read --layer counts '$2' >counts.cms, and counts.cms in its place" ;;
    *) hint="; $1 in the environment replaces the preparation" ;;
    esac
    die 3 "'$2' holds $state values, expected counts$hint"
}
require_partners() { # FILE STREAM FILE STREAM: cells are joined by name
    local one two both
    labels_of "$2" "$4"
    read -r one two both < <(awk -F '\t' '
        FNR == 1 { file++; next }
        file == 1 { seen[$1]; one = 1; next }
        { two = 1 }
        $1 in seen { both = 1; exit }
        END { print one + 0, two + 0, both + 0 }' "${tables[$2]}" "${tables[$4]}")
    [ "$both" = 0 ] || return 0
    [ "$one" = 1 ] || die 3 "'$1' has no cells"
    [ "$two" = 1 ] || die 3 "'$3' has no cells"
    die 3 "no cell of '$1' has a cell of the same name in '$3' ($(some "${tables[$2]}") against $(some "${tables[$4]}"))"
}
some() { awk -F '\t' 'NR > 1 && NR < 5 { printf "%s\047%s\047", (NR > 2 ? ", " : ""), $1 }' "$1"; }
