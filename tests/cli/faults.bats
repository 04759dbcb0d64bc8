load ../helper

# The fault runner itself: a tool with every bad manner must be found out.

setup() {
    scratch
    mkdir -p path cases
    export PATH=$PATH:$PWD/path CM_FAULT_CASES=$PWD/cases
    echo 'args=(@gex.cms) wrong_kind=(gex.cms=pairs.cms) wrong_state=(gex.cms=gex.log.cms)' >cases/fake.case
    prepared gex.cms pairs.cms gex.log.cms
}

fake() { # BODY: $in and $out are set
    cat >path/fake <<END
#!/bin/bash
in=- out=
while [ \$# -gt 0 ]; do
    case \$1 in
    --help) echo 'usage: fake [options] [IN.cms]'; exit ;;
    --version) echo 'fake (cellmatch) 1.2.3'; exit ;;
    -o) out=\$2; shift ;;
    -*) echo 'fake: error: what?' >&2; exit 2 ;;
    *) in=\$1 ;;
    esac
    shift
done
$1
END
    chmod +x path/fake
}

found() { grep -q "^not ok .*: $1" log || { echo "not found: $1"; cat log; false; }; }

@test "faults: a tool that copies whatever it reads is found out" {
    fake 'if [ -n "$out" ]; then cat "$in" >"$out"; else cat "$in"; fi 2>/dev/null'
    ! "$ROOT/tests/faults/run" fake >log || false
    for f in "gex.cms is a text file" "gex.cms is empty" "gex.cms: damage 'half'" \
        "gex.cms: damage 'noend'" "gex.cms: cut after frame 1" "gex.cms: ABORT" "wrong kind" \
        "wrong state" "pipe: half a stream" "pipe: ABORT"; do
        found "$f"
    done
}

@test "faults: the right status is not enough" {
    # Two lines of error, and what was written stays.
    fake '[ "$in" != "${in#*prepared}" ] || { echo x >left; echo "fake: error: a" >&2; echo b >&2; exit 3; }
          cp "$in" "${out:-/dev/stdout}"'
    ! "$ROOT/tests/faults/run" fake >log || false
    found "gex.cms: damage 'half'"
    grep -q "expected one line" log
    grep -q "left behind: left" log
}

@test "faults: a tool without a case fails" {
    rm cases/fake.case
    fake 'true'
    ! "$ROOT/tests/faults/run" fake >log || false
    found "has no tests/faults/fake.case"
}
