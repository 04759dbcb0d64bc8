# What the pipelines share; sourced, never run.
#
# Every stage ends in a file of $tmp or in a pipe under pipefail, and every background job is waited
# for by number: no failure can hide (in a process substitution it would).  The result is put in
# place only when all is well.
set -euo pipefail
me=$(basename "$0")
pipelines=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v xattn-train >/dev/null || export PATH=$pipelines/../bin:$PATH
export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1} OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

die() { # STATUS MESSAGE
    printf '%s: error: %s\n' "$me" "$2" >&2
    exit "$1"
}
usage() { die 2 "usage: $me $1"; }

command -v xattn-train >/dev/null || die 2 'the tools are not on PATH (eval "$(cellmatch env)")'

tmp=$(mktemp -d "${TMPDIR:-/tmp}/cellmatch.XXXXXX") part=
clean() {
    local status=$?
    trap - EXIT
    # shellcheck disable=SC2046 # several numbers
    kill $(jobs -p) 2>/dev/null || true
    rm -rf "$tmp" ${part:+"$part"}
    exit $status
}
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# both A B: two functions side by side; fails if either fails, with the status of the first to be named.
both() {
    local a b status=0
    "$1" & a=$!
    "$2" & b=$!
    wait $a || status=$?
    wait $b || status=$((status ? status : $?))
    return $status
}

# What reads FILE: nothing (a stream), mtx-read or h5-read; its content decides where it can be read twice.
reader_of() { # FILE
    if [ -d "$1" ] || [[ $1 = *.mtx || $1 = *.mtx.gz ]]; then echo mtx-read
    elif [[ $1 = *.cms ]] || { [ -f "$1" ] && [ "$(head -c 4 "$1" | od -An -tx1 | tr -d ' ')" = 28b52ffd ]; }; then echo
    else echo h5-read; fi
}
slot_of() { cms-text --head "$1" | awk -F '\t' '$1 == "slot.0.name" { print $2 }'; }
# A file of one type tells what it is (and is refused elsewhere if that is the other one); TYPE chooses
# among several, and names what does not say.
read_one() { # TYPE FILE: sets $input to a stream of it
    local reader status=0
    reader=$(reader_of "$2")
    input=$2
    [ "$reader" ] || return 0
    input=$tmp/$1.read.cms
    if [[ $2 = *.h5mu ]]; then status=2; else "$reader" -o "$input" "$2" 2>"$tmp/said" || status=$?; fi
    if [ $status = 2 ] || { [ $status = 0 ] && [ "$(slot_of "$input")" = X ]; }; then
        status=0
        "$reader" --type "$1" -o "$input" "$2" 2>"$tmp/said" || status=$?
    fi
    cat "$tmp/said" >&2
    [ $status = 0 ] || exit $status
}
read_inputs() { # GEX ATAC: sets $gex and $atac; a file of both is read once; SECOND as in match.sh
    local reader second=${SECOND:-ATAC}
    reader=$(reader_of "$1")
    if [ "$1" = "$2" ] && [ "$reader" ]; then
        gex=$tmp/GEX.read.cms atac=$tmp/$second.read.cms
        "$reader" --to GEX="$gex" --to "$second=$atac" "$1"
    else
        read_one GEX "$1"
        gex=$input
        read_one "$second" "$2"
        atac=$input
    fi
}

has_label() { # STREAM LABEL
    cms-text --head "$1" | awk -F '\t' -v l="$2" '$1 ~ /^label[.][0-9]+[.]name$/ && $2 == l { n++ } END { exit !n }'
}
values() { # STREAM LABEL: the values that rows have, sorted
    cms-text --labels "$1" | awk -F '\t' -v l="$2" '
        NR == 1 { for (k = 2; k <= NF; k++) if ($k == l) at = k; next }
        at && $at != "" { print $at }' | LC_ALL=C sort -u
}

# deliver FILE TARGET: whole or not at all.
deliver() {
    cms-info --check "$1" >/dev/null
    if [ "$2" = - ]; then
        cat "$1"
    elif [ -e "$2" ] && [ ! -f "$2" ]; then
        cat "$1" >"$2"
    else
        part=$(dirname "$2")/.$(basename "$2").tmp.$$
        cp "$1" "$part" && mv -f "$part" "$2"
        part=
    fi
}
