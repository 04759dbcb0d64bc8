# Files that were damaged, at random or on purpose: h5-read ends with 0 or 3, soon, with one line.
load ../helper

setup() {
    scratch
    zstd -dqc "$REF/formats.tar.zst" | tar -xf -
    export TMPDIR=$PWD
}

# The sanitizers find what libhdf5 does to its own memory; that is not ours to repair.
foreign_report() {
    [ "$MODE" != release ] || return 1
    awk '/^ +#[0-9]+ 0x/ && !/interceptor|asan_|__sanitizer|libasan/ { print; exit }' err | grep -q libhdf5
}

# mutants FIRST LAST FILE...: every mutant of every file; counts are left in $done and $refused.
mutants() {
    local first=$1 last=$2 f seed status how
    shift 2
    done=0 refused=0
    for f; do
        case $f in
        tenx3.h5) how=(--type GEX mutant) ;;
        tenx2.h5) how=(--genome hg19 mutant) ;;
        two.h5mu) how=(mutant/rna) ;;
        prediction.h5ad) how=(--match mutant) ;;
        *) how=(mutant) ;;
        esac
        for ((seed = first; seed <= last; seed++)); do
            "$BUILD/tests/faults/h5mutate" "$f" "$seed" >mutant
            status=0
            timeout -k 5 60 h5-read -q --no-provenance -o out.cms "${how[@]}" 2>err || status=$?
            if [ "$status" = 0 ]; then
                [ ! -s err ] && [ -e out.cms ]
            elif ! foreign_report; then
                [ "$status" = 3 ] && [ ! -e out.cms ] && [ "$(grep -c 'h5-read: error: ' err)" = 1 ]
                refused=$((refused + 1))
            fi || { echo "$f, seed $seed: status $status, $(cat err)"; ls -A; return 1; }
            rm -f out.cms
            done=$((done + 1))
            [ -z "$(find . -maxdepth 1 -name '.*.tmp.*')" ] || { ls -A; return 1; }
        done
    done
}

@test "h5-read: mutants of every layout end with 0 or 3 and one line" {
    mutants 1 15 v05.h5ad v07.h5ad v13.h5ad odd.h5ad zstd.h5ad loop.h5ad prediction.h5ad \
        tenx2.h5 tenx3.h5 two.h5mu same-gzip.h5ad same-gzip-csc.h5ad same-shuffle.h5ad \
        same-lzf.h5ad same-szip.h5ad same-names-text.h5ad full-gzip.h5ad full-tile.h5ad \
        missing.h5ad same-data-f8.h5ad loom.loom
    echo "$done files, $refused refused"
    [ $done = 315 ] && [ $refused -gt 60 ] && [ $refused -lt 300 ] # wounds that hurt, or do not
}

@test "h5-read: many more mutants" {
    need_long
    mutants 100 250 v05.h5ad v07.h5ad v13.h5ad odd.h5ad tenx2.h5 tenx3.h5 two.h5mu same-gzip.h5ad \
        same-szip.h5ad full-gzip.h5ad
}

# The process that waits and the one that works must look like one from outside.
child_of() { # PID: its child, once there is one
    local k p
    for ((k = 0; k < 100; k++)); do
        p=$(grep -ls "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status)
        p=${p#/proc/}
        [ -z "$p" ] || { echo "${p%/status}"; return; }
        sleep .05
    done
    return 1
}
until_there() { # GLOB
    local k
    for ((k = 0; k < 200; k++)); do
        [ -z "$(find . -name "$1")" ] || return 0
        sleep .05
    done
    return 1
}
# h5-read with an output begun, waiting for a reader of a FIFO; $tool and $worker are its processes.
begin_and_wait() {
    mkfifo fifo
    h5-read --to GEX=x.cms --to Peaks=fifo tenx3.h5 2>err &
    tool=$!
    worker=$(child_of $tool)
    until_there '.x.cms.tmp.*'
}
ended() { # STATUS: of $tool, and nothing is left
    local status=0
    wait $tool || status=$?
    [ "$status" = "$1" ] || { echo "status $status: $(cat err)"; return 1; }
    ! kill -0 "$worker" 2>/dev/null
    [ -z "$(find . -name '*x.cms*')" ]
}

@test "h5-read: a crash of the library is one line and status 3, and leaves nothing" {
    local number all="SEGV ABRT BUS FPE PROF"
    [ "$MODE" = release ] || all="ABRT PROF" # a sanitizer reports the others itself
    for number in $all; do
        begin_and_wait
        kill -s $number "$worker"
        ended 3
        [ "$(wc -l <err)" = 1 ]
        grep -q '^h5-read: error: tenx3.h5: damaged or malicious: libhdf5' err
        rm fifo
    done
}

@test "h5-read: signals reach the process that works, and both end by them" {
    local number
    for number in TERM:143 HUP:129 USR1:138; do
        begin_and_wait
        kill -s ${number%:*} $tool
        ended ${number#*:}
        [ ! -s err ]
        rm fifo
    done
    begin_and_wait
    kill -s TERM "$worker" # one that finds the wrong process
    ended 143
    rm fifo
    begin_and_wait
    kill -s KILL $tool # nobody is left to wait for it
    wait $tool || true
    for ((number = 0; number < 100; number++)); do
        kill -0 "$worker" 2>/dev/null || break
        sleep .05
    done
    ! kill -0 "$worker" 2>/dev/null
    [ -z "$(find . -name '.x.cms*')" ]
}

@test "h5-read: a reader that leaves is SIGPIPE, as of one process" {
    local status
    set +e
    h5-read new.h5ad | true
    status=${PIPESTATUS[0]}
    set -e
    [ "$status" = 141 ] || [ "$status" = 0 ] # 0: all of it fitted into the pipe
    set +e
    (sleep .3; cat new.h5ad) | h5-read - | sleep 0
    status=${PIPESTATUS[1]}
    set -e
    [ "$status" = 141 ]
}

@test "h5-read: what goes beyond the memory is refused with the amount" {
    [ "$MODE" = release ] || skip "the limit is off in sanitizer builds"
    fails 3 h5-read --max-memory 4K -o x.cms giant.h5ad
    [ ! -e x.cms ]
    [ -x /usr/bin/time ] || skip "no time"
    /usr/bin/time -f %M -o peak h5-read -q --max-memory 4K -o x.cms giant.h5ad 2>/dev/null || true
    [ "$(tail -n 1 peak)" -lt 600000 ] # kilobytes
}
