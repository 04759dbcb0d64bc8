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
    make -s -C "$ROOT" MODE="$MODE" uninstall DESTDIR="$PWD/root" prefix=/opt/cm
    [ -z "$(find root -type f)" ]
}

@test "make new: a template that compiles once its decisions are taken" {
    mkdir -p tree/tests
    cp -r "$ROOT/tests/template" tree/tests/
    tree/tests/template/new foo-bar
    cd tree
    ! gcc -fsyntax-only -std=c11 -D_GNU_SOURCE -I"$ROOT/lib" bin/foo-bar.c 2>errors || false
    [ "$(grep -c 'error: #error "decide' errors)" -ge 4 ]
    sed -i '/^#error/d' bin/foo-bar.c
    gcc -fsyntax-only -Wall -Wextra -Werror -std=c11 -D_GNU_SOURCE -I"$ROOT/lib" bin/foo-bar.c
    mandoc -T lint -W warning man/foo-bar.1
    ! tests/template/new foo-bar || false
    ! tests/template/new 'Foo bar' || false
}
