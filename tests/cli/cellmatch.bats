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

@test "cellmatch: completion knows tools and their options" {
    cp cellmatch path/cellmatch
    printf '#!/bin/sh\nprintf "%%s\\n" --scale --output --help\n' >libexec/foo
    . "$ROOT/pipelines/completion.bash"
    COMP_WORDS=(cellmatch f) COMP_CWORD=1
    _cellmatch
    [ "${COMPREPLY[*]}" = foo ]
    COMP_WORDS=(cellmatch foo --s) COMP_CWORD=2
    _cellmatch
    [ "${COMPREPLY[*]}" = --scale ]
}

@test "cellmatch: completion has every tool by its bare name, and no other program's" {
    local tool
    ln -s "$BINDIR/cellmatch" path/cellmatch
    unset CELLMATCH_LIBEXEC CELLMATCH_PIPELINES
    . "$ROOT/pipelines/completion.bash"
    for tool in "$ROOT"/bin/*.c; do
        complete -p "$(basename "$tool" .c)"
    done
    ! complete -p env || false
    ! complete -p help || false
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

@test "make install: tools in libexec, one command in bin, and all of it removable" {
    make -s -C "$ROOT" MODE="$MODE" install DESTDIR="$PWD/root" prefix=/opt/cm >/dev/null
    [ -x root/opt/cm/bin/cellmatch ]
    [ "$(ls root/opt/cm/bin)" = cellmatch ]
    unset CELLMATCH_LIBEXEC CELLMATCH_PIPELINES
    grep -q "^libexec=.*:-/opt/cm/libexec/cellmatch}" root/opt/cm/bin/cellmatch
    for tool in "$ROOT"/bin/*.c; do
        t=$(basename "$tool" .c)
        CELLMATCH_LIBEXEC=$PWD/root/opt/cm/libexec/cellmatch root/opt/cm/bin/cellmatch "$t" --version
    done
    [ -e root/opt/cm/share/man/man7/cellmatch.7 ]
    CELLMATCH_MAN=$PWD/root/opt/cm/share/man CELLMATCH_PIPELINES=$PWD/root/opt/cm/share/cellmatch/pipelines \
        root/opt/cm/bin/cellmatch help tfidf | grep -q weigh
    make -s -C "$ROOT" MODE="$MODE" uninstall DESTDIR="$PWD/root" prefix=/opt/cm
    [ -z "$(find root -type f)" ]
}
