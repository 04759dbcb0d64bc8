load ../helper

setup() {
    scratch
    mkdir -p libexec pipelines path
    sed "s|@libexecdir@|$PWD/none|; s|@datadir@|$PWD/none|; s|@version@|9.8.7|" \
        "$ROOT/pipelines/cellmatch.in" >cellmatch
    chmod +x cellmatch
    export CELLMATCH_LIBEXEC=$PWD/libexec CELLMATCH_PIPELINES=$PWD/pipelines
    printf '#!/bin/sh\n[ "$1" != --help ] || { echo "usage: foo"; echo "foos the cells"; exit; }\necho "foo: $*"\nexit 3\n' >libexec/foo
    printf '#!/bin/sh\n# run.sh - runs foo\nfoo from pipeline "$@"\n' >pipelines/run.sh
    printf '#!/bin/sh\necho "bar: $*"\n' >path/cellmatch-bar
    chmod +x libexec/foo pipelines/run.sh path/cellmatch-bar
    PATH=$PWD/path:$PATH
}

@test "cellmatch: a tool gets its words and gives its status" {
    run ./cellmatch foo --x 'a b'
    [ "$status" = 3 ]
    [ "$output" = "foo: --x a b" ]
}

@test "cellmatch: a pipeline finds the tools by their bare names" {
    run ./cellmatch run 1
    [ "$output" = "foo: from pipeline 1" ]
}

@test "cellmatch: cellmatch-bar on PATH becomes cellmatch bar" {
    run ./cellmatch bar 1 2
    [ "$output" = "bar: 1 2" ]
}

@test "cellmatch: alone it lists tools, pipelines and what is on PATH" {
    run ./cellmatch
    [ "$status" = 0 ]
    [[ $output == *"foo             foos the cells"* ]]
    [[ $output == *"run             runs foo"* ]]
    [[ $output == *"  bar"* ]]
}

@test "cellmatch: unknown tools and options are refused in one line" {
    fails 2 ./cellmatch nothing
    says "there is no tool 'nothing'"
    fails 2 ./cellmatch --nothing
    fails 2 ./cellmatch ../libexec/foo
}

@test "cellmatch: version" {
    run ./cellmatch --version
    [ "$output" = "cellmatch (cellmatch) 9.8.7" ]
}

@test "cellmatch: one BLAS thread unless the user says otherwise" {
    printf '#!/bin/sh\necho "$OPENBLAS_NUM_THREADS $OMP_WAIT_POLICY"\n' >libexec/foo
    unset OPENBLAS_NUM_THREADS OMP_WAIT_POLICY
    [ "$(./cellmatch foo)" = "1 passive" ]
    [ "$(OPENBLAS_NUM_THREADS=4 ./cellmatch foo)" = "4 passive" ]
}

@test "cellmatch: env puts bare names on PATH, first" {
    eval "$(./cellmatch env)"
    [ "$(command -v foo)" = "$PWD/libexec/foo" ]
    [ -n "$OPENBLAS_NUM_THREADS" ]
}

# A PATH of these programs alone.
only() {
    local t
    mkdir only
    for t in "$@"; do ln -s "$(command -v "$t")" "only/$t"; done
}

@test "cellmatch help: pages are shown without man and mandoc" {
    unset CELLMATCH_LIBEXEC CELLMATCH_PIPELINES
    only sh awk sed readlink dirname
    PATH=$PWD/only "$BINDIR/cellmatch" help >page
    grep -q '^CELLMATCH(7)' page
    grep -q 'batch gex.norm.cms atac.norm.cms | xattn-train' page
    PATH=$PWD/only "$BINDIR/cellmatch" help tfidf >page
    grep -q 'tfidf - weigh accessibility counts' page
    PATH=$PWD/only "$BINDIR/cellmatch" help cms >page
    grep -q '^CMS(5)' page
    PATH=$PWD/only "$BINDIR/cellmatch" help match >page
    grep -q 'match.sh .*MODEL.cms GEX ATAC MATCH.cms' page
    fails 2 "$BINDIR/cellmatch" help nothing
    says "no page 'nothing'"
}

@test "cellmatch help: a man that only says it is not there is passed over" {
    unset CELLMATCH_LIBEXEC CELLMATCH_PIPELINES
    only sh awk sed readlink dirname
    printf '#!/bin/sh\necho This system has been minimized\n' >only/man
    chmod +x only/man
    PATH=$PWD/only "$BINDIR/cellmatch" help tfidf | grep -q 'tfidf - weigh'
}

@test "cellmatch help: every page, without man and mandoc, in the awks that are here" {
    local page name awk
    unset CELLMATCH_LIBEXEC CELLMATCH_PIPELINES
    only sh sed readlink dirname
    for awk in mawk gawk original-awk 'busybox awk'; do
        command -v ${awk% *} >/dev/null || continue
        rm -f only/awk
        printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v "${awk% *}")${awk#"${awk% *}"}" >only/awk
        chmod +x only/awk
        for page in "$ROOT"/man/*.[1-8]; do
            name=$(basename "$page") && name=${name%.[1-8]}
            PATH=$PWD/only "$BINDIR/cellmatch" help "${name%.sh}" >page 2>said || { echo "$awk: $name"; cat said; return 1; }
            [ ! -s said ]
            awk -f "$ROOT/pipelines/mdoc.awk" "$page" | cmp - page || { echo "$awk: $name"; return 1; }
        done
    done
    grep -q SYNOPSIS page
}

@test "mdoc.awk: every page says what mandoc makes of it" {
    local page
    bare() { tr -d ' \n' | tr '`' "'"; }
    for page in "$ROOT"/man/*.[1-8]; do
        awk -f "$ROOT/pipelines/mdoc.awk" "$page" | sed 1d | bare >ours
        mandoc -T ascii "$page" | sed 's/.\x08//g' | sed '1d;$d' | bare >theirs
        cmp ours theirs || { echo "$page"; return 1; }
    done
    printf '.Dt X 1\n.Sh NAME\n.Zz unknown\n' >page.1
    ! awk -f "$ROOT/pipelines/mdoc.awk" page.1 >text 2>said || false
    grep -q 'page.1:3: unknown macro .Zz' said
}
