# What packagers rely on: where things go, with which flags, and that the library can be used.
load ../helper

setup() { scratch; }
# installed [VARIABLE=VALUE...]: under $PWD/root, prefix /opt/cm.
installed() { make -s -C "$ROOT" MODE="$MODE" install DESTDIR="$PWD/root" prefix=/opt/cm "$@" >make.out 2>make.err || { cat make.err; return 1; }; }
at=root/opt/cm
cm() { CELLMATCH_LIBEXEC=$PWD/$at/libexec/cellmatch CELLMATCH_PIPELINES=$PWD/$at/share/cellmatch/pipelines $at/bin/cellmatch "$@"; }

@test "make install: tools in libexec, one command in bin, and all of it removable" {
    local t
    installed
    [ "$(ls $at/bin)" = cellmatch ]
    grep -q "^libexec=.*:-/opt/cm/libexec/cellmatch}" $at/bin/cellmatch
    for t in "$ROOT"/bin/*.c; do
        t=$(basename "$t" .c)
        cm "$t" --version | grep -q "^$t (cellmatch) "
    done
    for t in "$ROOT"/pipelines/*.sh; do cm "$(basename "$t" .sh)" --help >help && grep -q '^usage: ' help; done
    [ "$(readlink $at/share/cellmatch/pipelines/rivals.sh)" = baselines.sh ]
    [ ! -e $at/share/cellmatch/pipelines/packaging ]
    [ ! -e $at/share/cellmatch/pipelines/cellmatch.in ]
    for t in bash-completion/completions/cellmatch zsh/site-functions/_cellmatch fish/vendor_completions.d/cellmatch.fish; do
        [ -s "$at/share/$t" ]
    done
    make -s -C "$ROOT" MODE="$MODE" uninstall DESTDIR="$PWD/root" prefix=/opt/cm
    [ -z "$(find root ! -type d)" ]
}

@test "make install: pages of tools do not stand among other programs' pages, and are found" {
    local page name
    installed
    [ "$(ls $at/share/man/man1)" = cellmatch.1 ]
    [ -f $at/share/man/man1/cellmatch.1 ]
    [ "$(ls $at/share/man/man[357])" = "$(cd "$ROOT/man" && mkdir -p "$BATS_TEST_TMPDIR/p/share/man/man"{3,5,7} &&
        for page in *.[357]; do cp "$page" "$BATS_TEST_TMPDIR/p/share/man/man${page##*.}"; done; cd "$BATS_TEST_TMPDIR/p" &&
        ls share/man/man[357] | sed "s|^share|$at/share|")" ]
    for page in "$ROOT"/man/*.[1-8]; do
        name=$(basename "$page")
        cm help "${name%.[1-8]}" >page.txt && grep -q NAME page.txt
    done
    eval "$(cm env)"
    [[ $MANPATH = "$PWD/$at/share/cellmatch/man:"* ]]
    # Pages may be compressed, or left out, where packages are installed: help does not need them.
    rm -r $at/share/man
    cm help cms >page.txt && grep -q NAME page.txt
    cm help tfidf >page.txt && grep -q NAME page.txt
}

@test "make install: the same for any umask, and readable" {
    (umask 077 && installed)
    find root -type f ! -perm -444 -o -type d ! -perm -555 >found
    cut -c1-200 found
    [ ! -s found ]
    [ -z "$(find root -type f -perm /022)" ]
}

@test "make install: compiles nothing that stands, whatever the flags; directories can be chosen" {
    installed CC=false CFLAGS=-O0 libdir=/opt/cm/lib/arch PREFIX=/other zshdir=/opt/cm/z
    ! grep -E '^ +(cc|ld|ar) ' make.out || false
    [ -e $at/lib/arch/libcellmatch.a ]
    grep -qx 'libdir=/opt/cm/lib/arch' $at/lib/arch/pkgconfig/cellmatch.pc
    [ -e $at/z/_cellmatch ]
    # PREFIX is another spelling of prefix, also from the environment.
    PREFIX=/else make -s -C "$ROOT" MODE="$MODE" install DESTDIR="$PWD/root" >/dev/null
    grep -q ':-/else/libexec/cellmatch}' root/else/bin/cellmatch
}

@test "make install-strip: without symbols, and working" {
    make -s -C "$ROOT" MODE="$MODE" install-strip DESTDIR="$PWD/root" prefix=/opt/cm >/dev/null
    ! readelf -S $at/libexec/cellmatch/tfidf | grep -q debug_info || false
    cm tfidf --version
    # The library keeps its symbols.
    nm $at/lib/libcellmatch.a 2>/dev/null | grep -q ' T cm_reader_open'
}

@test "make: CC, CPPFLAGS, CFLAGS and LDFLAGS count, from the command line and the environment" {
    local how
    for how in given environment; do
        if [ $how = given ]; then
            make -C "$ROOT" -n -B V=1 MODE=release CC=mycc CPPFLAGS=-DPP CFLAGS=-DCC LDFLAGS=-Wl,--mine bin/tfidf >out
        else
            CC=mycc CPPFLAGS=-DPP CFLAGS=-DCC LDFLAGS=-Wl,--mine make -C "$ROOT" -n -B V=1 MODE=release bin/tfidf >out
        fi
        grep -E '^mycc .* -DPP -DCC .*-c -o build/release/lib/base/mem.o' out
        grep -E '^mycc .* -Wl,--mine .*-o bin/tfidf' out
        # The user's flags come after ours.
        grep -E '^mycc .* -O2 .* -DCC .*mem.o' out
    done
    # Archives have no times in them.
    grep -E '^ar rcsD ' out
}

library() {
    [ "$MODE" = release ] || skip "a library with a sanitizer needs its flags"
    installed
    export PKG_CONFIG_PATH=$PWD/$at/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$PWD/root
    # The sysroot is for what is installed below it.
    flags=$(pkg-config --cflags --libs cellmatch | sed "s|$PWD/root/usr|/usr|g")
}

@test "pkg-config cellmatch: a program of ten lines reads a stream" {
    library
    prepared gex.cms
    cat >count.c <<'EOF'
#include <stdio.h>
#include <stream/cms.h>
int main(int argc, char **argv)
{
    struct cm_reader *r;
    struct cm_chunk c = {0};
    unsigned long long rows = 0;
    int code = argc == 2 ? cm_reader_open(&r, argv[1]) : -2;
    while (code >= 0 && (code = cm_reader_next(r, &c)) > 0)
        rows += c.rows;
    return code ? -code : printf("%llu\n", rows) < 0;
}
EOF
    for compiler in 'gcc -std=c11 -x c' 'g++ -x c++ -Wno-missing-field-initializers' 'clang -x c'; do
        command -v "${compiler%% *}" >/dev/null || continue
        # shellcheck disable=SC2086
        $compiler -Wall -Wextra -Werror -o count count.c -x none $flags
        [ "$(./count gex.cms)" = "$(cms-info gex.cms | awk -F '\t' '$1 == "rows" { print $2 }')" ]
        head -c 1000 gex.cms >cut.cms
        got=0 && ./count cut.cms || got=$?
        [ $got = 3 ]
    done
    [ "$(pkg-config --modversion cellmatch)" = "$(tfidf --version | sed -n '1s/.* //p')" ]
}

@test "pkg-config cellmatch: a tool with options links, and so does every public function" {
    library
    prepared gex.cms
    # The headers compile alone, from where they are installed.
    (cd $at/include/cellmatch && find . -name '*.h') | while read -r h; do
        echo "#include <$h>" | gcc -Wall -Wextra -Werror -fsyntax-only -I$at/include/cellmatch -x c -
        cmp "$ROOT/lib/$h" "$at/include/cellmatch/$h"
    done
    # What a header declares and the library defines.
    nm -P $at/lib/libcellmatch.a 2>/dev/null | awk '$2 == "T" { print $1 }' | sort -u >defined
    cat $(find $at/include -name '*.h') | grep -oE '\bcm_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u | comm -12 - defined >public
    [ "$(wc -l <public)" -gt 100 ]
    echo 'int main(void) { return 0; }' >main.c
    # shellcheck disable=SC2086,SC2046
    gcc -o all main.c $(sed 's/^/-Wl,-u,/' public) $flags
    ./all
    cat >tool.c <<'EOF'
#include <cli/cli.h>
static struct { int64_t k; } o;
static const struct cm_opt options[] = {
    CM_OPT_INT("top", 'k', &o.k, "5", 1, 9, "N", "a number"),
    CM_OPT_END,
};
static const struct cm_tool tool = {"same", "[IN.cms]", "copy a stream", options, 0, 1, CM_TOOL_DEFAULT};
int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_reader *r = cm_in_open(in[0] ? in[0] : "-");
    struct cm_chunk c = {0};
    struct cm_writer *w = cm_out_open(cm_reader_head(r));
    while (cm_next(r, &c))
        cm_try(cm_writer_chunk(w, &c, cm_reader_head(r)));
    return cm_finish();
}
EOF
    # shellcheck disable=SC2086
    gcc -o same tool.c $flags
    ./same -o copy.cms gex.cms
    cms-diff gex.cms copy.cms
    fails 2 ./same -k 10 gex.cms
}

@test "the version is the Makefile's, wherever it is written" {
    local version where=0
    version=$(sed -n 's/^VERSION := //p' "$ROOT/Makefile")
    cd "$ROOT"
    is() { # FILE SED: prints the version that FILE names
        [ "$(sed -nE "$2" "$1" | sort -u)" = "$version" ] || { echo "$1: '$(sed -nE "$2" "$1")', not $version"; return 1; }
        where=$((where + 1))
    }
    is lib/cli/cli.h 's/^#define CM_VERSION "(.*)"/\1/p'
    is CITATION.cff 's/^version: //p'
    is CHANGELOG.md '/^## /{s/^## ([0-9.]+).*/\1/p;q}'
    [ "$("$BINDIR/tfidf" --version | sed -n 1p)" = "tfidf (cellmatch) $version" ]
    [ "$("$BINDIR/cellmatch" --version)" = "cellmatch (cellmatch) $version" ]
}

@test "make install, uninstall: a directory that a shell would take for something else is refused, and nothing is touched" {
    local goal
    mkdir -p home && echo precious >home/my
    for goal in install uninstall; do
        for a in DESTDIR="$PWD/home/my data" 'prefix=rel' 'prefix=mydir/x' "prefix=/a'b" 'prefix=/a|b' 'prefix=/a&b' 'DESTDIR=~'; do
            run make -s -C "$ROOT" MODE="$MODE" $goal "$a"
            [ "$status" = 2 ] && [[ $output = "make: ${a%%=*}"*": expected a path"* || $output = "make: bindir: expected a path"* ]]
        done
    done
    [ "$(cat home/my)" = precious ]
    [ ! -e "$ROOT/rel" ]
}

@test "completion of pipelines needs no tool on PATH; a directory that is gone, and output that is full, are named" {
    installed
    [ "$(PATH=/usr/bin:/bin cm --complete-line train --preset '' | grep -c '^closed')" = 1 ]
    PATH=/usr/bin:/bin cm --complete-line match --wi | grep -q '^--within'
    fails 4 env CELLMATCH_LIBEXEC="$PWD/gone" $at/bin/cellmatch tfidf
    says "there is no directory '$PWD/gone'"
    if [ -e /dev/full ]; then
        fails 4 bash -c "$at/bin/cellmatch >/dev/full"
        says 'cannot write standard output'
        [ "$(wc -l <fails.err)" = 1 ]
    fi
}
