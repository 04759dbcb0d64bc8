# How the pipelines read their two inputs, and what they hold against each other; sourced, never run.
# shellcheck shell=bash

# What reads FILE: nothing (a stream), mtx-read or h5-read; its content decides where the name does not.
reader_of() { # FILE
    local front
    if [ -d "$1" ] || [[ $1 = *.mtx || $1 = *.mtx.gz ]]; then echo mtx-read
    elif [[ $1 = *.h5mu/* ]]; then echo h5-read
    elif [[ $1 = *.cms ]] || { LC_ALL=C read -rN 4 front <"$1" && [ "$front" = $'\x28\xb5\x2f\xfd' ]; }; then echo
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
        [ $status != 0 ] || front_of "$1" "$out"
        slot=${head[slot.0.name]-}
    fi
    if [ $status = 2 ] || [ "$slot" = X ]; then
        [ "$type" != second ] || type=$(second_type "$reader" "$2")
        stage "$reader" "$reader" "${noise[@]}" --type "$type" -o "$out" -- "$2" && front_of "$1" "$out"
    elif [ $status != 0 ]; then
        stage "$reader" fail_as $status "$said"
    else
        [ -z "$said" ] || printf '%s\n' "$said" >&$err || :
    fi
    facts_of "$1" "$out"
}
second_type() { # READER FILE
    if ! "$1" -q --type ATAC -- "$2" >/dev/null 2>&1 && "$1" -q --type ADT -- "$2" >/dev/null 2>&1; then echo ADT; else echo ATAC; fi
}
read_two() { # FILE: both types at once
    local reader type=$second
    reader=$(reader_of "$1")
    [ "$type" != second ] || type=$(second_type "$reader" "$1")
    stage "$reader" "$reader" "${noise[@]}" --to GEX="$tmp/GEX.read.cms" --to "$type=$tmp/$second.read.cms" -- "$1"
}
# What will be asked of an input is found out in its job, side by side with the other's: the HEAD,
# the names of the features, as they stand and sorted, those that are repeated, and for $with_rows the
# table of its rows.
with_rows=
front_of() { step cms-text --head "$2" >"$tmp/$1.head" && read_tsv "$tmp/$1.head" head; } # SIDE STREAM
facts_of() { # SIDE STREAM, whose HEAD is in head[]
    local status=0 names
    [ "${head[kind]-}" = matrix ] || return 0
    names_of "$2" | tee "$tmp/$1.names" | LC_ALL=C sort | tee "$tmp/$1.sorted" | uniq -d >"$tmp/$1.twice" & names=$!
    [ -z "$with_rows" ] || table_of "$2" "$tmp/$1.table" || status=$?
    wait $names && return $status
}
look_at() { front_of "$@" && facts_of "$@"; }
open_one() { # SIDE FILE: starts the job; sets $stream
    stream=$2
    if [ "$(reader_of "$2")" ]; then start read_one "$@" && stream=$tmp/$1.read.cms; else start look_at "$@"; fi
    facts[$stream]=$tmp/$1
    [ -z "$with_rows" ] || tables[$stream]=$tmp/$1.table
}
# Sets $gex and $atac, streams of them, and $second, the slot of the second file: SECOND, or what it
# holds, ATAC or ADT; a file of both types is read once.
read_inputs() { # GEX ATAC
    local stream
    second=${SECOND:-second}
    given_one GEX "$1" && gex=$input
    [ "$1$2" != -- ] || misused "standard input ('-') can be read only once"
    if [ "$1" = "$2" ]; then atac=$gex; else given_one "$second" "$2" && atac=$input; fi
    called "$gex" "$1" && called "$atac" "$2"
    if [ "$gex" = "$atac" ] && [ "$(reader_of "$gex")" ]; then
        run read_two "$gex"
        gex=$tmp/GEX.read.cms atac=$tmp/$second.read.cms
    fi
    open_one GEX "$gex" && gex=$stream
    open_one "$second" "$atac" && atac=$stream
    finish
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
    stage cms-text cms-text --cols -- "$1" | awk -F '\t' -v slot="${2:-}" '
        $1 == "#slot" { on = $2 == slot; head = 1; next }
        NR == 1 { head = on = 1 }
        head { head = 0; next }
        on { print $1 }' 2>/dev/null
}
check_side() { # TYPE FILE STREAM ORDER: a matrix, and not of the other side
    local names=${facts[$3]}.names regions twice
    require_kind matrix "$3"
    case ${head[slot.0.name]-} in
    "$1") ;;
    GEX | ATAC | ADT) die 3 "$4: '$2' holds ${head[slot.0.name]-}" ;;
    esac
    if [ "$1" = GEX ]; then
        regions=$(LC_ALL=C grep -cE '^[^ ]+[:_-][0-9]+[-_][0-9]+$' "$names") || :
        ((10 * regions <= 9 * $(wc -l <"$names"))) || die 3 "$4: '$2' holds ATAC (its features are regions: '$(head -n 1 "$names")')"
    fi
    [ ! -s "${facts[$3]}.twice" ] || {
        twice=$(<"${facts[$3]}.twice")
        die 3 "'$2': the feature name '${twice%%$'\n'*}' occurs twice ($(wc -l <<<"$twice") of its names are repeated); a model finds features by name"
    }
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
