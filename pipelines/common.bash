# What the pipelines share; sourced, never run: options, messages, stages, the output.
#
# A script sets $about, $operands and $options, then `parse "$@"`.  Work is done in jobs (`start`, `finish`): functions that
# call programs through `stage`, in the background and each in a process group of its own, so that a signal to the script
# is noticed at once and ends every process of every stage.  The first failure is reported in one line, with its status.
set -euo pipefail
unset CDPATH
me=${0##*/} pipelines=${BASH_SOURCE[0]%/*}
[ "$pipelines" != "${BASH_SOURCE[0]}" ] || pipelines=.
pipelines=$(cd -- "$pipelines" && pwd)
command -v xattn-train >/dev/null || export PATH=$pipelines/../bin:$PATH
export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1} OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
# For jobs, whose own standard input and standard error are /dev/null.  Numbers that the caller does not use: an operand
# may be /dev/fd/N.
shut=
[ -e /proc/self/fd/0 ] || exec </dev/null
[ -e /proc/self/fd/1 ] || { exec >/dev/null && shut=1; }
[ -e /proc/self/fd/2 ] || exec 2>/dev/null
exec {in}<&0 {err}>&2
explained= # set where the script ends with a message

leave() { explained=1 && exit "$1"; } # STATUS
hint() { printf '%s\n' "${1//$'\n'/ }" >&$err 2>/dev/null || :; } # LINE; one that cannot be written is no failure
die() { # STATUS MESSAGE
    hint "$me: error: $2"
    leave "$1"
}
misused() { # MESSAGE, and a call that works where this one did: installed, the scripts are not on PATH
    local call=$me
    command -v "$me" >/dev/null || call="cellmatch ${me%.sh}"
    die 2 "$1 (see '$call --help')"
}
warn() { [ "${opt[quiet]:-}" ] || hint "$me: warning: $1"; }
report() { [ "${opt[quiet]:-}" ] || hint "$me: $1"; }

command -v xattn-train >/dev/null || die 2 'the tools are not on PATH (eval "$(cellmatch env)")'

# ---- options --------------------------------------------------------------------------------
# Lines LONG[,LETTER]|METAVAR|HELP[|WORDS]; no METAVAR: a flag; WORDS: all that the value may be.
common='threads,t|N|threads of every stage, 0 for all processors [env CM_THREADS]
seed|N|seed of the random numbers
quiet,q||no warnings, no report
verbose,v||every stage says more
help,h||show this and exit
version||show the version and exit'
stages=(LOGNORM TFIDF TRAIN EMBED KNN_MATCH XATTN_SCORE ASSIGN)
declare -A opt=() takes=() letter=()
declare -A own=() # of those stages the ones that are ours
operand=()

help() {
    local line name meta text words head=Options:
    printf 'usage: %s\n%s\n' "$me [options]${operands:+ $operands}" "$about"
    while IFS='|' read -r name meta text words; do
        [ "$name" ] || continue
        if [ "$name" = end ]; then head='Common options:' && continue; fi
        [ -z "$head" ] || printf '\n%s\n' "$head"
        head=
        case $name in *,*) line="  -${name#*,}, --${name%,*}" ;; *) line="      --$name" ;; esac
        printf '%-27s %s\n' "$line${meta:+ $meta}" "$text"
    done <<<"$options"$'\nend\n'"$common"
    printf '\nMore: %s\n' "$me(1), cellmatch(7)"
}
complete_types() { # as the tools print them: --NAME TYPE METAVAR
    local name meta text words type
    while IFS='|' read -r name meta text words; do
        [ "$name" ] || continue
        case $meta,$words in ,*) type=flag ;; FILE,*) type=input ;; N,*) type=int ;; *,) type=str ;; *) type=choice meta=${words// /|} ;; esac
        printf -- '--%s\t%s\t%s\n' "${name%,*}" "$type" "$meta"
    done <<<"$options"$'\n'"$common"
}
near() { # WORD PREFIX NAME...: ", did you mean ...?" where one is near enough
    local name
    name=$(printf '%s\n' "${@:3}" | awk -v word="$1" -f "$pipelines/near.awk")
    [ -z "$name" ] || printf ", did you mean '%s%s'?" "$2" "$name"
}
option() { # NAME WORD: sets $meta, or refuses
    [[ $1 =~ ^[a-z][a-z0-9-]*$ && ${takes[$1]+known} ]] || misused "unknown option '$2'$(near "$1" -- "${!takes[@]}")"
    meta=${takes[$1]}
}
parse() { # WORDS: fills opt[NAME] and operand[]
    local name meta text word words
    while IFS='|' read -r name meta text words; do
        [[ $name != *,* ]] || letter[${name#*,}]=${name%,*}
        [ -z "$name" ] || takes[${name%,*}]=$meta
    done <<<"$options"$'\n'"$common"
    while [ $# -gt 0 ]; do
        word=$1 && shift
        case $word in
        --) operand+=("$@") && break ;;
        --complete) printf -- '--%s\n' "${!takes[@]}" && exit ;;
        --complete-types) complete_types && exit ;;
        --*) name=${word#--} name=${name%%=*} && option "$name" "${word%%=*}" ;;
        -[a-zA-Z0-9]*) name=${letter[${word:1:1}]:-} && option "$name" "${word:0:2}" ;;
        -?*) misused "unknown option '$word'" ;;
        *) operand+=("$word") && continue ;;
        esac
        case ${meta:+value}$word in
        --*=*) misused "option '--$name' takes no value" ;;
        --*) opt[$name]=1 ;;
        -?) opt[$name]=1 ;;
        -*) opt[$name]=1 && set -- "-${word:2}" "$@" ;;
        value--*=*) opt[$name]=${word#*=} ;;
        value-[!-]?*) opt[$name]=${word:2} ;;
        *) [ $# -gt 0 ] || misused "option '$word' needs a value: $meta" && opt[$name]=$1 && shift ;;
        esac
    done
    [ -z "${opt[help]:-}" ] || { help >"$tmp/shown" && show "$tmp/shown" && exit; }
    [ -z "${opt[version]:-}" ] || { xattn-train --version | sed "1s/^xattn-train/$me/" >"$tmp/shown" && show "$tmp/shown" && exit; }
    number threads 1024 && number seed 999999999999999999
    [ -z "${opt[threads]:-}" ] || export CM_THREADS=${opt[threads]}
    runnable
    noise=(${opt[quiet]:+-q} ${opt[verbose]:+-v}) seed=(${opt[seed]:+--seed "${opt[seed]}"})
}
runnable() { # before any work: is each stage of the environment a program?
    local v words
    for v in "${stages[@]}"; do
        read -ra words <<<"${!v:-}"
        [ ${#words[@]} != 0 ] || own[$v]=1
        [ ${#words[@]} = 0 ] || command -v -- "${words[0]}" >/dev/null || die 2 "$v ('${!v}'): there is no program '${words[0]}'"
    done
}
number() { # OPTION MAX: a whole number, if it is given
    [ -n "${opt[$1]+given}" ] || return 0
    [[ ${opt[$1]} =~ ^[0-9]{1,18}$ ]] && ((10#${opt[$1]} <= $2)) ||
        misused "option '--$1': expected a whole number from 0 to $2, found '${opt[$1]}'"
}
expect() { # N: so many operands; one that begins with a dash is no option to any stage
    local k
    [ ${#operand[@]} = "$1" ] || misused "expected $1 operands: $operands; found ${#operand[@]}"
    for k in "${!operand[@]}"; do
        [ "${operand[k]}" ] || misused "an operand is empty: $operands"
        [[ ${operand[k]} != -?* ]] || operand[k]=./${operand[k]}
    done
}
one_of() { # WHAT VALUE CHOICE...
    local what=$1 value=$2 text
    shift 2
    printf -v text '%s, ' "$@"
    [[ " $* " = *" $value "* && $value != *' '* ]] || misused "unknown $what '$value'; ${what}s: ${text%, }"
}

# ---- the end --------------------------------------------------------------------------------
# Histories name temporary files by their last part where they lie in TMPDIR: the same bytes wherever that is.  A pipeline
# within a pipeline keeps the outer one's.
tmp=$(mktemp -d "${TMPDIR:-/tmp}/cellmatch.XXXXXX" 2>/dev/null) || die 4 "cannot make a directory in '${TMPDIR:-/tmp}'"
[[ ${TMPDIR:-} = */cellmatch.?????? ]] || export TMPDIR=$tmp
jobs=() part='' patience=40
# What failed: STATUS, name, what it said; through a pipe, since TMPDIR may be full.
failures=()
mkfifo -- "$tmp/failures" && exec {failed}<>"$tmp/failures" || die 4 "cannot make a pipe in '${tmp%/*}'"

stop() { # ends every process of every job
    local j n
    for j in "${jobs[@]}"; do kill -TERM -- "-$j" 2>/dev/null || :; done
    for j in "${jobs[@]}"; do
        for ((n = 0; n < patience; n++)); do kill -0 -- "-$j" 2>/dev/null && sleep 0.05 || break; done
        kill -KILL -- "-$j" 2>/dev/null || :
        wait "$j" 2>/dev/null || : # or bash reports that it was terminated
    done
    jobs=()
}
no_space() { # sets $why, if TMPDIR takes no more
    ! why=$({ printf '%65536s' '' >"$tmp/space"; } 2>&1) && why="cannot write in '${tmp%/*}': ${why##*: }"
}
clean() {
    local status=$? why
    trap - EXIT
    trap '' HUP INT TERM USR1
    stop
    if [ $status != 0 ] && [ $status != 4 ] && [ -z "$explained" ]; then
        if no_space; then hint "$me: error: $why" && status=4
        elif [ $status = 1 ]; then hint "$me: error: it ended without a word" && status=70; fi
    fi
    rm -rf -- "$tmp" ${part:+"$part"}
    exit $status
}
trap clean EXIT
trap 'leave 129' HUP
trap 'leave 130' INT
trap 'leave 143' TERM
trap 'collect; [ ${#failures[@]} != 0 ] || leave 138; failed' USR1

# ---- stages ---------------------------------------------------------------------------------
named() { # VARIABLE-OR-NAME: LOGNORM ('./mine'), or the name alone
    if [[ $1 = [A-Z]* && -v $1 ]]; then printf "%s ('%s')" "$1" "${!1}"; else printf %s "$1"; fi
}
quote() { # TEXT: sets $quoted, as sed takes it
    local c b='\'
    quoted=${1//$'\n'/ }
    for c in '\' ']' '[' '.' '*' '^' '$' '|' '&'; do quoted=${quoted//"$c"/"$b$c"}; done
}
# What sed does to messages.  A job has those of its start; from a file it might read a half-written line.
edits=()
called() { # PATH NAME: how messages call a temporary file
    local quoted path
    quote "$1" && path=$quoted
    quote "$2" && edits+=(-e "s|$path|$quoted|g")
}
# What a program says is passed on but for errors, which go to descriptor N.  A line that ends with \1 is the last.
hear() { # N
    local quoted words
    quote "${subject:-stdin}"
    words=(sed -u -e $'/\1$/{s///\n/^$/Q\nh\n}'
        "${edits[@]}" -e "s|^\([^ ]*: [a-z]*: \)stdin: |\1$quoted: |"
        -e "/^[^ ]*: error: /{w /dev/fd/$1" -e $'x\n/./Q\nx\nd\n}' -e $'p\nx\n/./Q\nx\nd')
    "${words[@]}" >&$err || "${words[@]}" >/dev/null || : # a message that cannot be written is no failure
}
# A program in a job; $subject is what its standard input was made from.  Its errors wait until it is known whose came
# first.  Only the program is waited for: a child that it leaves behind may keep its standard error.
stage() { # VARIABLE-OR-NAME COMMAND...
    local status=0 said='' out log
    if [ "$1" = TRAIN ] && [ -t $err ]; then # progress is drawn by the trainer itself
        "${@:2}" 2>&$err || status=$? said=shown
    else
        exec {out}>&1
        said=$(
            exec {log}>&1
            { "${@:2}" 2>&1 >&$out {out}>&- {log}>&- {err}>&- {failed}>&- || status=$?
                printf '\1\n' && exit $status; } | hear $log {out}>&-
        ) || status=$?
        exec {out}>&-
    fi
    [ $status != 0 ] || return 0
    said=${said%%$'\n'*}
    printf '%s\t%s\t%s\n' $status "$1" "${said:0:900}" >&$failed # less than a pipe takes at once
    case $status in 5 | 141) ;; *) kill -USR1 $$ ;; esac # those two are of another stage's making
    return $status
}
step() { stage "$1" "$@"; }
collect() { # fills failures[]
    local line
    while read -r -t 0 -u $failed; do IFS= read -r -u $failed line && failures+=("$line"); done
}
failed() { # reports the first cause, and ends
    local status name said why
    stop
    collect
    [ ${#failures[@]} != 0 ] || ! no_space || die 4 "$why"
    [ ${#failures[@]} != 0 ] || die 70 'a job ended without a word'
    IFS=$'\t' read -r status name said < <(printf '%s\n' "${failures[@]}" | awk -F '\t' '
        { rank = $1 == 141 ? 2 : $1 == 5 }
        NR == 1 || rank < best { best = rank; line = $0 }
        END { print line }')
    if [ "$said" = shown ]; then leave "$status"
    elif [ "$said" ]; then hint "$said" && leave "$status"
    elif [ "$status$name" = 141output ]; then leave 141
    elif [ "$status" = 141 ] && no_space; then die 4 "$why" # who read wrote to TMPDIR
    elif [ "$status" = 141 ]; then die 3 "the stage that reads from $(named "$name") stopped before the end"
    elif [ "$status" -gt 128 ]; then die "$status" "$(named "$name") was killed by signal $((status - 128))"
    elif no_space; then die 4 "$why"
    else die "$status" "$(named "$name") failed with status $status"; fi
}
start() { # FUNCTION WORD...: as a job
    set -m
    "$@" </dev/null 2>/dev/null &
    set +m
    jobs+=($!)
}
finish() { # [VARIABLE FILE KIND]...: waits for every job; what those stages wrote is of that kind
    local j status=0
    for j in "${jobs[@]}"; do wait "$j" 2>/dev/null || status=$?; done
    headed= # a job may have written that file
    collect
    if [ $status != 0 ] && printf '%s\n' "${failures[@]}" | grep -qvE '^(5\b|141\b|$)'; then failed; fi
    while [ $# -gt 0 ]; do
        [ $status != 0 ] && { [ -s "$2" ] || [ $status = 5 ]; } || wrote "$1" "$2" "$3"
        shift 3
    done
    [ $status = 0 ] || failed
    stop # what a stage has left behind
}
fail_as() { printf '%s\n' "$2" >&2 && return "$1"; }
refuse() { # STATUS LINE: ends the script, or the job
    [ $BASHPID != $$ ] || { hint "$2" && leave "$1"; }
    stage refused fail_as "$1" "$2" || exit
}
# Of a tool of ours its status says all, and its reader will check the stream.
wrote() { # VARIABLE FILE KIND: something, and the stream that it should be; in a job or outside
    local said status=0 file=$tmp/info.$BASHPID it
    it="$me: error: $(named "$1")"
    [ -s "$2" ] || refuse 3 "$it wrote nothing"
    [ -z "${own[$1]-}" ] || return 0
    said=$(cms-info --check -- "$2" 2>&1 >"$file") || status=$?
    [ $status != 4 ] || refuse 4 "$said"
    said=${said#cms-info: error: }
    [ $status = 0 ] || refuse 3 "$it wrote no whole stream: ${said#"$2: "}"
    read_tsv "$file" info
    rows[$2]=${info[rows]-}
    [ "${info[kind]-}" = "$3" ] || refuse 3 "$it wrote a stream of kind ${info[kind]-}, expected $3"
}
run() { start "$@" && finish; }

# What the tools print as KEY TAB VALUE: head[] is the HEAD of $headed, info[] the last output of cms-info; rows[FILE].
# facts[STREAM]: FRONT of the files in which a job has left what it found out (FRONT.head ...).
declare -A head=() info=() rows=() facts=()
headed=
read_tsv() { # FILE ARRAY
    local -n array=$2
    local line lines
    array=()
    mapfile -t lines <"$1"
    for line in "${lines[@]}"; do [[ $line != ?*$'\t'* ]] || array[${line%%$'\t'*}]=${line#*$'\t'}; done
}
head_of() { # STREAM
    local file=$tmp/head.$BASHPID # two inputs are read side by side
    [ "$headed" != "$1" ] || return 0
    if [ "${facts[$1]-}" ]; then file=${facts[$1]}.head
    else step cms-text --head "$1" >"$file" || exit; fi # where both fail, `failed` says so once
    read_tsv "$file" head
    headed=$1
}
short() { LC_ALL=C printf %.4g "${head[$1]:-0}"; } # KEY
slot_of() { head_of "$1" && printf %s "${head[slot.0.name]-}"; }
require_kind() { # KIND FILE: of what the user gave
    head_of "$2"
    [ "${head[kind]-}" = "$1" ] || die 3 "'$2' is a stream of kind ${head[kind]-}, expected a $1"
}

# ---- outputs --------------------------------------------------------------------------------
values_in() { # WORD: what of --option=FILE, TYPE=FILE or -xFILE may be a file; words of a stage hold no blanks
    local rest=$1 k
    while [[ $rest = *=* ]]; do rest=${rest#*=} && printf '%s\n' "$rest"; done
    [[ $1 != -[!-]* ]] || for ((k = 2; k < ${#1}; k++)); do printf '%s\n' "${1:k}"; done
}
refuse_input() { # OUTPUT INPUT...: one file, through whatever links
    local f stage output=$1 beside
    [ "$1" != - ] || output=/dev/stdout
    [ -e "$output" ] && [ ! -c "$output" ] && [ ! -p "$output" ] || return 0
    for f in "${@:2}"; do
        [ "$f" != - ] || f=/dev/stdin
        [[ -e $f || $f != *.h5mu/* ]] || f=${f%.h5mu/*}.h5mu
        beside=("$f")
        [ ! -d "$f" ] || beside=("$f"/*)
        [[ $f != *.mtx && $f != *.mtx.gz ]] || beside+=("$(dirname -- "$f")"/*.{mtx,tsv,txt,csv,gz})
        for f in "${beside[@]}"; do
            ! [ "$f" -ef "$output" ] || misused "output '$1' is also an input ('$f'), which would be lost"
        done
    done
    for stage in "${stages[@]}"; do
        for f in ${!stage:-}; do
            for f in "$f" $(values_in "$f"); do
                ! [ "$f" -ef "$output" ] || misused "output '$1' is part of $stage ('${!stage}'), which would be lost"
            done
        done
    done
}
check_directory() { # NAME FILE: can one be made beside it?
    local dir
    dir=$(dirname -- "$2")
    [ -d "$dir" ] || die 4 "cannot create '$1': there is no directory '$(dirname -- "$1")'"
    part=$(mktemp -- "$dir/.cellmatch.tmp.XXXXXX" 2>/dev/null) || die 4 "cannot create '$1': directory '$dir' cannot be written"
    rm -f -- "$part" && part=
}
check_output() { # OUTPUT INPUT...: before any work; sets $target, with links followed
    target=$1
    case $1 in - | /dev/stdout | /dev/fd/1 | /proc/self/fd/1) may_print ;; esac
    [ "$1" != - ] || [ ! -t 1 ] || misused 'standard output is a terminal and the output is binary'
    refuse_input "$@"
    [ "$1" != - ] || return 0
    [ ! -d "$1" ] || die 4 "cannot create '$1': it is a directory"
    if [ -e "$1" ]; then
        [ -w "$1" ] || die 4 "cannot create '$1': it is there and cannot be written"
        [ -f "$1" ] || return 0
    fi
    target=$(readlink -mn -- "$1" && echo /)
    target=${target%/}
    check_directory "$1" "$target"
}
may_print() { [ -z "$shut" ] || die 4 'standard output is closed'; }
show() { may_print && target=- && run pass "$1"; } # FILE: to standard output
copying() { # COMMAND...: cp or cat; its message in the form of ours
    local status=0 why to
    exec {to}>&1
    why=$("$@" 2>&1 >&$to {to}>&-) || status=$?
    exec {to}>&-
    [ $status = 1 ] || return $status
    local name="'${target//$'\n'/ }'"
    [ "$target" != - ] || name='standard output'
    printf '%s: error: cannot write %s: %s\n' "$me" "$name" "${why##*: }" >&2
    return 4
}
put() { stage output copying cp -- "$1" "$part"; }
pass() { stage output copying cat -- "$1"; }
pass_to() { stage output copying cat -- "$1" >"$2"; }
deliver() { # FILE: to $target, whole or not at all
    if [ "$target" = - ]; then run pass "$1" && return; fi
    if [ -e "$target" ] && [ ! -f "$target" ]; then run pass_to "$1" "$target" && return; fi
    part=$(mktemp -- "$(dirname -- "$target")/.cellmatch.tmp.XXXXXX") || die 4 "cannot create '$target'"
    if [ -e "$target" ]; then chmod --reference="$target" -- "$part"; else chmod "$(printf %o $((0666 & ~8#$(umask))))" -- "$part"; fi
    run put "$1"
    mv -fT -- "$part" "$target" || die 4 "cannot create '$target'"
    part=
}
