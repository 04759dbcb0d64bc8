load ../helper

# What holds for every tool, shown on one or two; the fault matrix does the rest tool by tool.

@test "manners: a closed standard output is an error, not a success" {
    prepared gex.cms
    fails 4 bash -c 'exec lognorm gex.cms >&-'
}

@test "manners: a closed standard input is an error" {
    fails 4 bash -c 'exec lognorm <&-'
}

@test "manners: an output named like an input of a redirection is refused, and stays" {
    prepared gex.cms
    cp --remove-destination "$PREPARED/gex.cms" x.cms
    fails 2 bash -c 'exec lognorm -o x.cms <x.cms'
    fails 2 bash -c 'exec lognorm x.cms >>x.cms'
    ln x.cms hard.cms
    fails 2 lognorm -o hard.cms x.cms
    cmp x.cms "$PREPARED/gex.cms"
}

@test "manners: an existing output is replaced as a whole, keeps its mode, or stays as it was" {
    prepared gex.cms
    echo old >out.cms
    chmod 640 out.cms
    fails 3 lognorm -o out.cms <<<'no stream'
    [ "$(cat out.cms)" = old ]
    lognorm -o out.cms gex.cms
    [ "$(stat -c %a out.cms)" = 640 ]
    cmp out.cms "$PREPARED/gex.log.cms"
    [ "$(find . -name '.*tmp*')" = "" ]
}

@test "manners: -o - is standard output" {
    prepared gex.cms match.cms
    lognorm gex.cms >want.cms
    lognorm -o - gex.cms | cmp - want.cms
    lognorm -o - <gex.cms | cmp - <(lognorm <gex.cms)
    fails 2 plot ranks --tsv - -o - match.cms
    says "two outputs go to 'stdout'"
}

@test "manners: /dev/fd, a FIFO and /dev/null are written in place" {
    prepared gex.cms
    lognorm -o /dev/null gex.cms
    [ -c /dev/null ]
    lognorm -o /dev/fd/1 gex.cms | cmp - "$PREPARED/gex.log.cms"
    lognorm -o >(cat >copy) gex.cms
    mkfifo fifo
    cat fifo >copy2 &
    lognorm -o fifo gex.cms
    wait
    cmp copy2 "$PREPARED/gex.log.cms"
}

@test "manners: a stage that fails inside <( ) makes the last stage fail" {
    prepared model.cms gex.log.cms t.cms
    "$BUILD/tests/faults/cmsbreak" noend gex.log.cms cut.cms
    fails 5 bash -c 'exec knn-match -o match.cms <(embed --model model.cms cut.cms 2>/dev/null) t.cms'
    says "embed upstream failed"
    [ ! -e match.cms ]
}

@test "manners: ABORT goes through a chain of stages and names its origin" {
    prepared gex.cms model.cms t.cms
    "$BUILD/tests/faults/cmsbreak" noend gex.cms cut.cms
    fails 5 bash -c 'lognorm cut.cms 2>/dev/null | embed --model model.cms 2>/dev/null |
        knn-match -o x.cms - t.cms'
    says "lognorm upstream failed"
    [ ! -e x.cms ]
}

@test "manners: -v tells seconds and peak memory, -q nothing" {
    prepared gex.cms
    lognorm -v gex.cms 2>said >/dev/null
    grep -qE '^lognorm: [0-9.]+ seconds, .* MiB' said
    lognorm -q gex.cms 2>said >/dev/null
    [ ! -s said ]
}

@test "manners: progress only where it is asked for when there is no terminal" {
    prepared gex.cms
    (cat "$PREPARED/gex.cms") | lognorm 2>said >/dev/null
    [ ! -s said ]
}

@test "manners: the environment gives defaults, and its mistakes are named" {
    prepared gex.cms
    CM_LEVEL=19 CM_THREADS=2 lognorm -o a.cms gex.cms
    lognorm -o b.cms --level 19 gex.cms
    cmp a.cms b.cms
    CM_PROVENANCE=0 lognorm -o a.cms gex.cms
    lognorm --no-provenance -o b.cms gex.cms
    cmp a.cms b.cms
    ! cmp -s a.cms "$PREPARED/gex.log.cms" || false
    CM_LEVEL=high fails 2 lognorm gex.cms
    says "environment variable CM_LEVEL"
}

@test "manners: no byte tells where, when and by whom it was made" {
    prepared gex.cms
    lognorm gex.cms | zstd -dc >inner
    ! grep -aqF "$(hostname)" inner || false
    ! grep -aqF "$PWD" inner || false
    ! grep -aqE "20[2-9][0-9]-[01][0-9]" inner || false
}

@test "manners: binary is not written to a terminal, nor read from one" {
    need script
    script -qec true /dev/null </dev/null >pty 2>&1 || skip "no pseudo-terminal here"
    prepared gex.cms
    script -qec 'lognorm gex.cms; echo "status $?"' /dev/null </dev/null >said
    grep -q 'status 2' said
    grep -q 'is a terminal' said
}
