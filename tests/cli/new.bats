# `make new`: a tool from the template works and passes its tests before anybody has changed a line.
load ../helper

# A tree of its own, whose tools, tests and build are links to the real ones.
tree() {
    mkdir -p tree/bin tree/lib/prep tree/man tree/tests/unit tree/tests/cli tree/tests/faults tree/tests/man
    ln -s "$ROOT/build" tree/build
    ln -s "$BINDIR"/* tree/bin/
    rm -f tree/bin/*.c
    ln -s "$ROOT"/man/*.[1-9] tree/man/
    cp -R "$ROOT/tests/template" "$ROOT/tests/helper.bash" tree/tests/
    cp "$ROOT/tests/cli/tiny.bash" tree/tests/cli/
    cp "$ROOT/tests/faults/run" tree/tests/faults/
    cp "$ROOT/tests/man/run" tree/tests/man/
    rm tree/man/cellmatch.7
    cp "$ROOT/man/cellmatch.7" tree/man/
    cp "$ROOT/README.md" tree/
}

@test "make new: what it makes compiles without warnings and passes its tests" {
    [ "$MODE" = release ] || skip "built in mode release only"
    prepared gex.cms
    tree
    cd tree
    tests/template/new two-words
    [ "$(grep -c '`two-words`' README.md)" = 1 ]
    [ "$(grep -c '^.Xr two-words 1 ,' man/cellmatch.7)" = 1 ]
    ! grep -rE '@[a-zA-Z]+@' bin/two-words.c lib man/two-words.1 tests/unit tests/cli/two-words.bats || false
    read -ra packages < <(make -s -C "$ROOT" --eval='packages: ; @echo $(PACKAGES)' packages)
    read -ra flags < <(pkg-config --cflags "${packages[@]}")
    read -ra libs < <(pkg-config --libs "${packages[@]}")
    build() { gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wcast-qual -Werror -Ilib -I"$ROOT/lib" "${flags[@]}" "$@" \
        lib/prep/two_words.c build/release/libcellmatch.a "${libs[@]}" -lm -pthread -Wl,--as-needed; }
    build -o bin/two-words bin/two-words.c
    build -o unit tests/unit/test_prep_two_words.c -lcmocka
    ./unit
    bats tests/cli/two-words.bats
    tests/man/run two-words
    [ -z "${CM_TEST_LONG:-}" ] || tests/faults/run two-words
    ! tests/template/new two-words || false
    ! tests/template/new 2words || false
}
