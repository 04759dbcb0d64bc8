load ../helper

# tests/run itself: nothing that goes wrong in a suite may look like success.

setup() {
    scratch
    mkdir -p tests/unit build/release/tests/unit
    cp "$ROOT/tests/run" "$ROOT/tests/helper.bash" tests/
    export MODE=release CM_TEST_LIMIT=2
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
    suite hang 'echo 1..1; echo ok 1 - a; sleep 30'
    suite plan 'echo ok 1 - a'
    suite short 'echo 1..3; echo ok 1 - a'
    suite end 'echo 1..1; echo ok 1 - a; exit 1'
    suite silent 'exit 0'
    run tests/run --only unit
    [ "$status" = 1 ]
    [ "$(last)" = "5 passed, 6 failed" ]
    [[ $output == *"took too long"* ]]
}

@test "tests/run: no test at all is a failure" {
    run tests/run --only unit
    [ "$status" = 1 ]
    [ "$(last)" = "0 passed, 0 failed" ]
}
