# Loaded by every .bats file: `load ../helper`.
#
# The working directory of a test is its own scratch directory, the tools are first on PATH, and
# results are never written beside the sources.  $ROOT is the project, $DATA the real data (absent
# on most machines), $REF the committed fixtures, $PREPARED the files that tests/prepare makes.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MODE=${MODE:-release}
if [ "$MODE" = release ]; then BINDIR=$ROOT/bin; else BINDIR=$ROOT/build/$MODE/bin; fi
BUILD=$ROOT/build/$MODE
PREPARED=$BUILD/tests/prepared
# shellcheck disable=SC2034 # for the tests
REF=$ROOT/tests/ref
DATA=${CELLMATCH_DATA:-$ROOT/../shared/data}
[ ! -d "$DATA" ] || DATA=$(cd "$DATA" && pwd)
export PATH=$BINDIR:$ROOT/pipelines:$PATH
export OPENBLAS_NUM_THREADS=1 LC_ALL=C
unset CM_THREADS CM_LEVEL CM_PROVENANCE

# tests/watchdog tells a test that hangs; what it was waiting for is dead then.
if [ -n "${BATS_TEST_FILENAME:-}" ]; then
    trap 'echo "this test hangs: nothing of it ran, or it ran too long (tests/watchdog)"; exit 1' USR2
fi

# A .bats file that defines its own setup() calls this first.
scratch() { cd "$BATS_TEST_TMPDIR" || exit 1; }
setup() { scratch; }

# need_data [FILE...]: skips the test where the real data (or these files of it) are absent.
need_data() {
    [ -d "$DATA" ] || skip "real data absent (CELLMATCH_DATA)"
    local f
    for f in "$@"; do
        [ -e "$DATA/$f" ] || skip "real data absent: $f"
    done
}

# need TOOL...: skips where a program is not there (python3, awk; or a tool of ours not built yet).
need() {
    local t
    for t in "$@"; do
        command -v "$t" >/dev/null || skip "no $t"
    done
}

# need_long: for slow tests, run by `make check-long` alone.
need_long() { [ -n "${CM_TEST_LONG:-}" ] || skip "slow: make check-long"; }

# prepared FILE...: links to files that tests/prepare has made, in the scratch directory.
prepared() {
    local f
    [ -e "$PREPARED/done" ] || "$ROOT/tests/prepare" "$PREPARED" >&2
    for f in "$@"; do
        [ -e "$PREPARED/$f" ] || skip "tests/prepare did not make $f"
        ln -sf "$PREPARED/$f" "$f"
    done
}

# fails STATUS COMMAND...: the command must end with STATUS and exactly one line
# `TOOL: error: ...` on standard error, which is left in $message.
fails() {
    local want=$1 got=0
    shift
    "$@" >fails.out 2>fails.err || got=$?
    message=$(cat fails.err)
    if [ "$got" != "$want" ] || [ "$(grep -c ': error: ' fails.err)" != 1 ]; then
        echo "expected status $want and one error line from: $*" >&2
        echo "found status $got and:" >&2
        cat fails.err >&2
        return 1
    fi
}

# says TEXT: $message contains TEXT.
says() {
    [[ $message == *"$1"* ]] || {
        echo "expected '$1' in: $message" >&2
        return 1
    }
}

# digest FILE: the content's hash as cms-info prints it.
digest() { cms-info "$1" | awk -F '\t' '$1 == "digest" { print $2 }'; }

# close_to A B TOLERANCE
close_to() {
    awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN {
        d = a - b; if (d < 0) d = -d
        if (!(d <= t)) { print a " and " b " differ by " d ", more than " t > "/dev/stderr"; exit 1 } }'
}
