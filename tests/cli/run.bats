load ../helper

# tests/run itself: nothing that goes wrong in a suite may look like success.

setup() {
    scratch
    mkdir -p tests/unit build/release/tests/unit
    cp "$ROOT/tests/run" "$ROOT/tests/helper.bash" "$ROOT/tests/watchdog" tests/
    printf '#!/bin/sh\nmkdir -p "$1"\n' >tests/prepare
    chmod +x tests/prepare
    export MODE=release CM_TEST_LIMIT=60 CM_TEST_IDLE=2 CM_TEST_CPU=1
}

suite() { # NAME BODY
    touch "tests/unit/$1.c"
    printf '#!/bin/bash\n%s\n' "$2" >"build/release/tests/unit/$1"
    chmod +x "build/release/tests/unit/$1"
}

last() { tail -n 1 <<<"$output"; }

@test "tests/run: all well" {
    suite good 'echo 1..3; echo ok 1 - a; echo ok 2 - b; echo "ok 3 - c # SKIP no data"'
    run tests/run --only unit
    [ "$status" = 0 ]
    [ "$(last)" = "2 passed, 0 failed, 1 skipped" ]
}

@test "tests/run: a failure is shown and counted" {
    suite good 'echo 1..1; echo ok 1 - a'
    suite bad 'echo 1..2; echo ok 1 - a; echo not ok 2 - b; echo "# because"; exit 1'
    run tests/run --only unit
    [ "$status" = 1 ]
    [ "$(last)" = "2 passed, 1 failed" ]
    [[ $output == *"not ok 2 - b"*"# because"* ]]
}

@test "tests/run: a crash, a hang, a missing plan, a missing test, a bad end are failures" {
    suite crash 'echo 1..2; echo ok 1 - a; kill -SEGV $$'
    suite hang 'echo 1..1; echo ok 1 - a; sleep 300'
    suite spin 'echo 1..1; echo ok 1 - a; while :; do :; done'
    suite plan 'echo ok 1 - a'
    suite short 'echo 1..3; echo ok 1 - a'
    suite end 'echo 1..1; echo ok 1 - a; exit 1'
    suite silent 'exit 0'
    run tests/run --only unit
    [ "$status" = 1 ]
    [ "$(last)" = "6 passed, 7 failed" ]
    for ((k = 0; k < 100; k++)); do # nothing goes on
        left=$(grep -las "$PWD/build/release/tests/unit/" /proc/[0-9]*/cmdline) || break
        sleep .1
    done
    [ -z "$left" ]
    [ "$(grep -cE '^---- unit-(hang|spin): hung' <<<"$output")" = 2 ]
}

@test "tests/run: no test at all is a failure" {
    run tests/run --only unit
    [ "$status" = 1 ]
    [ "$(last)" = "0 passed, 0 failed" ]
}

@test "tests/run: the time limit of a job" {
    export CM_TEST_LIMIT=2 CM_TEST_IDLE=100
    suite hang 'echo 1..1; echo ok 1 - a; sleep 300'
    run tests/run --only unit
    [ "$(last)" = "1 passed, 1 failed" ]
    [[ $output == *"unit-hang: took too long"* ]]
}

@test "tests/run: of tests that hang only these fail, and the rest goes on" {
    mkdir -p tests/cli bin
    printf '%s\n' 'load ../helper' \
        '@test "before" { true; }' \
        '@test "sleeps" { run sleep 300; }' \
        '@test "waits for nobody" { mkfifo f; cat f | cat >g; }' \
        '@test "passes if a command fails" { ! sleep 300; }' \
        '@test "spins" { while :; do :; done; }' \
        '@test "after" { true; }' >tests/cli/some.bats
    run tests/run --only cli
    [ "$(last)" = "2 passed, 4 failed" ]
    for k in 2 3 4 5; do
        [ "$(grep -c "^not ok $k " <<<"$output")" = 1 ]
    done
    [ "$(grep -c 'this test hangs' <<<"$output")" -ge 3 ]
    [[ $output != *"took too long"* ]]
}

@test "tests/run: every failure is shown once, also of a job that breaks off" {
    suite broken 'echo 1..9; for k in 1 2 3; do echo "not ok $k - t$k"; yes "# because" | head -n 70; done; exit 1'
    run tests/run --only unit
    [ "$(last)" = "0 passed, 4 failed" ]
    for k in 1 2 3; do
        [ "$(grep -c "^not ok $k - t$k" <<<"$output")" = 1 ]
    done
    [ "$(grep -c '^# because' <<<"$output")" = 120 ]
    [[ $output == *"ran 3 of 9 tests"* ]]
}

@test "tests/run --tool: what belongs to one tool; an unknown one is refused" {
    mkdir -p bin lib tests/cli tests/faults tests/man
    printf '#include "cli/cli.h"\n#include "room/idea.h" /* why */\n' >bin/some.c
    touch bin/other.c
    suite idea 'echo 1..1; echo ok 1 - idea'
    suite none 'echo 1..1; echo not ok 1 - none; exit 1'
    echo '#include "room/idea.h"' >tests/unit/idea.c
    for t in some some-more other; do printf '@test "%s" { [ %s != other ]; }\n' $t $t >tests/cli/$t.bats; done
    for t in faults/run man/run layers words size; do
        printf '#!/bin/sh\necho 1..1; test "${1:-some}" = some && echo ok 1 - x || echo not ok 1 - x\n' >tests/$t
        chmod +x tests/$t
    done
    run tests/run --tool some
    [ "$status" = 0 ]
    [ "$(last)" = "8 passed, 0 failed" ]
    run tests/run --tool nothing
    [ "$status" = 2 ]
    [[ $output == *"no tool 'nothing' in bin/, which has other some" ]]
}
